"""Damaged models: one of the suite's, with something in it changed.

Whatever is changed, reading and compiling either works or says what is wrong: an exception that is
none of graphc's, a crash, or memory and time that the model does not account for, is a bug.

    python -m tests.onnx.mutations 600

looks for such for ten minutes, and prints what the damaged model was made of.
"""

from __future__ import annotations

import functools
import itertools
import random
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import graphc as gc

INTS = (-(2**63), -(2**31), -100, -2, -1, 0, 1, 2, 3, 7, 100, 10**12, 2**31, 2**62, 2**63 - 1)
FLOATS = (float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 0.5, 1.0, 1e-40, 1e30)
STRINGS = (b"", b"NOTSET", b"SAME_UPPER", b"linear", b"\xff\xfe", b"'; import os", b"x" * 1000)
TYPES = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 22, 99)
Mutation = Callable[[random.Random, Any], None]


@functools.cache
def valid_models() -> dict[str, Any]:
    """The models of the suite's single operators; what fixes shapes is in the model."""
    from onnx.backend.test.case.node import collect_testcases  # seconds

    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite divides by zero to get its infinities
        cases = collect_testcases(None)
    for case in cases:
        if case.model is not None and case.data_sets:
            model = onnx.ModelProto()
            model.CopyFrom(case.model)
            for info, value in zip(model.graph.input, case.data_sets[0][0], strict=False):
                if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
                    model.graph.initializer.append(numpy_helper.from_array(value, info.name))
            found[case.name] = model
    return found


def drawn(seed: int, count: int | None = None) -> Iterator[tuple[str, Any]]:
    """Damaged models, each with what it is called and how it is drawn again."""
    names = [*valid_models()]
    for number in range(count) if count is not None else itertools.count():
        draw = random.Random(f"{seed}/{number}")
        name = draw.choice(names)
        change = torn if draw.random() < 0.15 else damaged
        yield f"{name} of {seed}/{number}", change(valid_models()[name], draw)


def ending(made: Any) -> str:
    """How reading and compiling a model ends: `compiled`, or the class of graphc's error."""
    try:
        gc.compile(gc.from_onnx(made), inference=True)
    except gc.GraphcError as error:
        return type(error).__name__
    return "compiled"


def damaged(model: Any, draw: random.Random) -> Any:
    """A copy of a model with one to three things changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        draw.choice(MUTATIONS)(draw, copy)
    return copy


def torn(model: Any, draw: random.Random) -> bytes:
    """The bytes of a model with some changed, taken out or doubled."""
    content = bytearray(model.SerializeToString())
    for _ in range(draw.choice((1, 2, 8))):
        at = draw.randrange(len(content))
        match draw.randrange(4):
            case 0:
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                content[at] = draw.randrange(256)
            case 2:
                del content[at : at + draw.randrange(1, 9)]
            case _:
                content[at:at] = content[at : at + draw.randrange(1, 9)]
        if not content:
            break
    return bytes(content)


def node(draw: random.Random, model: Any) -> Any:
    """One of the nodes."""
    return draw.choice(model.graph.node) if model.graph.node else onnx.NodeProto()


def attribute(draw: random.Random, model: Any) -> None:
    """Another value of an attribute, or none."""
    proto = node(draw, model)
    if not proto.attribute:
        return
    chosen = draw.choice(proto.attribute)
    match draw.randrange(8):
        case 0:
            proto.attribute.remove(chosen)
        case 1:
            chosen.type = draw.randrange(1, 12)
        case 2:
            chosen.name = draw.choice(("axis", "axes", "mode", "nope", "", "pads"))
        case _:
            change_value(draw, chosen)


def change_value(draw: random.Random, chosen: Any) -> None:
    """Another value of the same type."""
    kind = onnx.AttributeProto.AttributeType.Name(chosen.type)
    chosen.ClearField("i")
    chosen.ClearField("f")
    if kind == "INT":
        chosen.i = draw.choice(INTS)
    elif kind == "FLOAT":
        chosen.f = draw.choice(FLOATS)
    elif kind == "STRING":
        chosen.s = draw.choice(STRINGS)
    elif kind == "INTS":
        change_list(draw, chosen.ints, INTS)
    elif kind == "FLOATS":
        change_list(draw, chosen.floats, FLOATS)
    elif kind == "STRINGS":
        change_list(draw, chosen.strings, STRINGS)
    elif kind == "TENSOR":
        change_tensor(draw, chosen.t)


def change_list(draw: random.Random, values: Any, choices: Any) -> None:
    """Another element, one more, one less, or none."""
    match draw.randrange(4):
        case 0 if values:
            values[draw.randrange(len(values))] = draw.choice(choices)
        case 1:
            values.append(draw.choice(choices))
        case 2 if values:
            del values[draw.randrange(len(values))]
        case _:
            del values[:]


def tensor(draw: random.Random, model: Any) -> None:
    """Another initialiser."""
    if model.graph.initializer:
        change_tensor(draw, draw.choice(model.graph.initializer))


def change_tensor(draw: random.Random, proto: Any) -> None:
    """Other numbers in a tensor that stays whole, or sizes, a type or data that do not fit."""
    match draw.randrange(6):
        case 0:
            change_list(draw, proto.dims, INTS)
        case 1:
            proto.data_type = draw.choice(TYPES)
        case 2:
            proto.raw_data = draw.randbytes(draw.randrange(20))
        case _:
            try:
                array = numpy_helper.to_array(proto).copy()
            except Exception:  # it was damaged before
                return
            if array.size and array.dtype.kind in "iuf":
                flat = array.reshape(-1)
                choices = FLOATS if array.dtype.kind == "f" else INTS
                with np.errstate(all="ignore"):
                    flat[draw.randrange(flat.size)] = np.array(draw.choice(choices)).astype(
                        array.dtype
                    )
            if draw.randrange(4) == 0:
                array = array.reshape(-1)[: draw.randrange(1 + array.size)]
            proto.CopyFrom(numpy_helper.from_array(array, proto.name))


def shape(draw: random.Random, model: Any) -> None:
    """Other sizes of an input, or another type."""
    if not model.graph.input:
        return
    info = draw.choice(model.graph.input).type.tensor_type
    match draw.randrange(5):
        case 0:
            info.elem_type = draw.choice(TYPES)
        case 1:
            info.ClearField("shape")
        case 2 if info.shape.dim:
            del info.shape.dim[draw.randrange(len(info.shape.dim))]
        case 3:
            info.shape.dim.add().dim_value = draw.choice(INTS)
        case _ if info.shape.dim:
            axis = draw.choice(info.shape.dim)
            if draw.randrange(2):
                axis.dim_value = draw.choice(INTS)
            else:
                axis.dim_param = draw.choice(("n", "m", "batch; x", ""))


def wiring(draw: random.Random, model: Any) -> None:
    """Another input or output of a node, one more, or one less."""
    proto = node(draw, model)
    names = [*(info.name for info in model.graph.input), *proto.output, "nowhere", ""]
    change_list(draw, draw.choice((proto.input, proto.input, proto.output)), names)


def operator(draw: random.Random, model: Any) -> None:
    """Another operator, or another version of the operators."""
    if draw.randrange(2) and model.opset_import:
        draw.choice(model.opset_import).version = draw.randrange(1, 30)
    else:
        node(draw, model).op_type = draw.choice(OPERATORS)


MUTATIONS: tuple[Mutation, ...] = (
    attribute, attribute, attribute, tensor, tensor, shape, shape, wiring, operator,
)  # fmt: skip
OPERATORS = sorted(schema.name for schema in onnx.defs.get_all_schemas())


def main(seconds: float) -> int:
    """Look for bugs; the number of those found."""
    start, bugs = time.monotonic(), 0
    for name, made in drawn(int(time.time())):
        if time.monotonic() - start > seconds:
            break
        try:
            ending(made)
        except Exception:  # whatever it is, it is what is looked for
            bugs += 1
            print(f"{name}:\n{traceback.format_exc(limit=-4)}", flush=True)
    return bugs


if __name__ == "__main__":
    sys.exit(min(1, main(float(sys.argv[1]))))
