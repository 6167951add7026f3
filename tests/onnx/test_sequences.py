"""Sequences of tensors beside ONNX's reference; they are gone from the generated module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ModelError, UnsupportedError
from tests.peers import peer

# What makes y of x (5, 4).
BODIES = {
    "each": """
        s = SplitToSequence <axis = 1> (x)
        two = Constant <value = int64 {2}> ()
        y = SequenceAt (s, two)""",
    "each-without-axis": """
        s = SplitToSequence <axis = 1, keepdims = 0> (x)
        last = Constant <value = int64 {-1}> ()
        y = SequenceAt (s, last)""",
    "equal": """
        size = Constant <value = int64 {2}> ()
        s = SplitToSequence (x, size)
        last = Constant <value = int64 {2}> ()
        y = SequenceAt (s, last)""",
    "sizes": """
        sizes = Constant <value = int64[2] {4, 1}> ()
        s = SplitToSequence (x, sizes)
        first = Constant <value = int64 {0}> ()
        y = SequenceAt (s, first)""",
    "concat": """
        s = SplitToSequence <axis = -1> (x)
        y = ConcatFromSequence <axis = 0> (s)""",
    "stack": """
        r = Relu (x)
        s = SequenceConstruct (x, r, x)
        y = ConcatFromSequence <axis = 1, new_axis = 1> (s)""",
    "insert": """
        e = SequenceEmpty ()
        s = SequenceInsert (e, x)
        r = Relu (x)
        first = Constant <value = int64 {0}> ()
        t = SequenceInsert (s, r, first)
        y = ConcatFromSequence <axis = 0> (t)""",
    "erase": """
        s = SplitToSequence (x)
        place = Constant <value = int64 {-4}> ()
        t = SequenceErase (s, place)
        u = SequenceErase (t)
        y = ConcatFromSequence <axis = 0> (u)""",
    "length": """
        s = SplitToSequence (x)
        n = SequenceLength (s)
        f = Cast <to = 1> (n)
        y = Mul (x, f)""",
}
REFUSED = {
    "beyond": ("5 tensors, none at 5", UnsupportedError, """
        s = SplitToSequence (x)
        n = SequenceLength (s)
        y = SequenceAt (s, n)"""),
    "empty": ("is empty", UnsupportedError, """
        s = SequenceEmpty ()
        y = ConcatFromSequence <axis = 0> (s)"""),
    "no-sequence": ("is a tensor, not a sequence", ModelError, """
        zero = Constant <value = int64 {0}> ()
        y = SequenceAt (x, zero)"""),
    "no-tensor": ("is a sequence, not a tensor", ModelError, """
        s = SplitToSequence (x)
        y = Relu (s)"""),
}  # fmt: skip


def model(body: str) -> Any:
    """The model of a body."""
    peer("onnx")
    from onnx import parser

    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        sequences (float[5, 4] x) => (float y) {{{body}
        }}"""
    )


@pytest.mark.parametrize("name", BODIES)
def test_values(name: str) -> None:
    proto = model(BODIES[name])
    from onnx.reference import ReferenceEvaluator

    x = np.random.default_rng(1).normal(size=(5, 4)).astype("float32")
    (expected,) = ReferenceEvaluator(proto).run(None, {"x": x})
    module = gc.compile(gc.from_onnx(proto), inference=True)
    np.testing.assert_array_equal(module.load().predict(x), expected)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    told, error, body = REFUSED[name]
    with pytest.raises(error, match=told):
        gc.from_onnx(model(body))
