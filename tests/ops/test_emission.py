"""One op, several texts: what is interpreted, printed, written into a buffer, and pure Python."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.op import OPS
from graphc.ir.types import BOOL, FLOAT, INT, TensorType
from graphc.lower.interpreter import interpret, operand_value
from tests.ops.cases import (
    CASES,
    FLOATS,
    SEED,
    Array,
    Case,
    Model,
    arrays,
    largest,
    over,
    same_bits,
    values,
)
from tests.ops.kinds import as_kind


def interpreted(model: Model, feeds: dict[str, Array]) -> dict[Node, Any]:
    """Every value of the program behind `predict`, by the reference interpreter."""
    program = model.module.lowered.predict
    assert program is not None
    given = {node: feeds[node.params.name] for node in program.arguments}
    return interpret(program, given, rng=np.random.default_rng(SEED))


def feeds_of(model: Model) -> list[dict[str, Array]]:
    """The drawn values, and whole numbers near them: there the ties, zeros and infinities are."""
    whole = {
        name: as_kind(value, "int64").astype(value.dtype) if value.dtype.kind == "f" else value
        for name, value in model.feeds.items()
    }
    return [model.feeds, whole]


def runs(case: Case) -> Iterator[tuple[Model, dict[str, Array]]]:
    """The models of a case in both float dtypes, each with the values that it is called with."""
    for dtype in FLOATS:
        model = largest(case, dtype)
        for feeds in feeds_of(model):
            yield model, feeds


@over(CASES)
def test_generated_code_computes_the_interpreters_bits(case: Case) -> None:
    for model, feeds in runs(case):
        with np.errstate(all="ignore"):
            results = model.run(feeds)
            known = interpreted(model, feeds)
        program = model.module.lowered.predict
        assert program is not None
        for result, node in zip(results.values(), program.results, strict=True):
            assert same_bits(result, known[node])


# --- out= -----------------------------------------------------------------------------------------


def filled(template: str, node: Node, operands: dict[str, str], out: str) -> str:
    """A template with names put in; parentheses are not needed around names."""
    for name, text in (operands | {"out": out}).items():
        template = template.replace(f"{{{name}}}", text)
    assert "{" not in template.replace("{{", ""), template
    return template


@over(CASES)
def test_workspaces_compute_nearly_the_same(case: Case) -> None:
    """Sums of elements that lie in another order differ in the last bits."""
    for model, feeds in runs(case):
        tolerance = {"float32": 2e-6, "float64": 1e-13}[model.graph.dtype.name]
        with np.errstate(all="ignore"):
            expected, found = model.run(feeds), model.run(feeds, "workspace")
        for name, value in expected.items():
            assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
            scale = np.max(np.abs(value[np.isfinite(value)]), initial=1.0)
            np.testing.assert_allclose(
                found[name], value, rtol=tolerance, atol=tolerance * scale, err_msg=name
            )


@over(CASES)
def test_the_out_form_writes_the_same_bits(case: Case) -> None:
    for model, feeds in runs(case):
        with np.errstate(all="ignore"):
            known = interpreted(model, feeds)
            for node, value in known.items():
                if node.op.emission.out is not None:
                    assert same_bits(written(node, known), np.asarray(value)), node


def written(node: Node, known: dict[Node, Any]) -> Array:
    """What the `out=` form leaves in a buffer that held garbage."""
    assert isinstance(node.type, TensorType)
    emission = node.op.emission
    text = emission.out if isinstance(emission.out, str) else emission.out(node)  # type: ignore[misc]
    spelled = [f"operand_{place}" for place, _ in enumerate(node.args)]
    variadic = node.op.operands[0].startswith("*")
    names = [", ".join(spelled)] if variadic else spelled
    operands = dict(zip(node.op.operands, names, strict=True))
    statement = filled(text, node, operands, "buffer")
    buffer = np.full(node.shape, 77, node.dtype.numpy)
    scope: dict[str, Any] = {"np": np, "buffer": buffer}
    scope.update({helper.__name__: helper for helper in emission.helpers})
    scope |= {name: operand_value(arg, known) for name, arg in zip(spelled, node.args, strict=True)}
    exec(compile(statement, "<out>", "exec"), scope)
    return buffer


def test_every_ufunc_has_an_out_form() -> None:
    """An elementwise op that is one call of a ufunc or one operator can write into a buffer."""
    for op in OPS.values():
        text = op.emission.numpy
        if op.family == "elementwise" and isinstance(text, str) and text.startswith("np."):
            name = ast.parse(text.replace("{", "").replace("}", ""), mode="eval").body.func.attr  # type: ignore[attr-defined]
            assert not isinstance(getattr(np, name), np.ufunc) or op.emission.out is not None, op


# --- math -----------------------------------------------------------------------------------------

SCALAR = [
    case
    for case in CASES
    if case.op.emission.math is not None and all(array.ndim == 0 for array in arrays(case))
]


@pytest.mark.parametrize("kind", ["drawn", "whole"])
@over(SCALAR)
def test_the_math_form_agrees(case: Case, kind: str) -> None:
    model = values(case)
    feeds = feeds_of(model)[kind == "whole"]
    with np.errstate(all="ignore"):
        known = interpreted(model, feeds)
    for node, value in known.items():
        if node.op is not CONSTANT and node.op.emission.math is not None and node.args:
            if not np.isfinite(value):
                continue  # Python's math raises where NumPy says inf or nan
            result = plain(node, known)
            assert type(result) is {BOOL: bool, INT: int, FLOAT: float}[node.dtype.kind]
            np.testing.assert_allclose(result, value, rtol=1e-12, atol=0)


def plain(node: Node, known: dict[Node, Any]) -> Any:
    """What the `math` form makes of Python numbers."""
    emission = node.op.emission
    text = emission.math if isinstance(emission.math, str) else emission.math(node)  # type: ignore[misc]
    operands = {name: f"operand_{name}" for name in node.op.operands}
    scope: dict[str, Any] = {"math": math}
    scope.update({helper.__name__: helper for helper in emission.plain})
    for name, arg in zip(node.op.operands, node.args, strict=True):
        scope[f"operand_{name}"] = np.asarray(operand_value(arg, known)).item()
    return eval(filled(text, node, operands, ""), scope)


# --- views ----------------------------------------------------------------------------------------


@over(CASES)
def test_only_declared_views_share_memory_with_an_operand(case: Case) -> None:
    models = [largest(case, dtype) for dtype in FLOATS]
    known: dict[Node, Any] = {}
    for model in models:
        known |= interpreted(model, model.feeds)
    for node, value in known.items():
        arrays = [a for a in (value if isinstance(value, list) else [value]) if np.ndim(a)]
        for arg in node.args:
            operand = operand_value(arg, known)
            shares = any(
                np.may_share_memory(a, o)
                for a in arrays
                for o in (operand if isinstance(operand, list) else [operand])
            )
            assert not shares or node.op.emission.view, node


@over(CASES)
def test_results_share_no_memory_with_inputs_or_each_other(case: Case) -> None:
    model = largest(case, "float64")
    results = list(model.run().items())
    for i, (name, value) in enumerate(results):
        for other, array in [*model.feeds.items(), *results[:i]]:
            assert not np.may_share_memory(value, array), (name, other)
        if np.size(value) > 1:
            assert all(s for s, n in zip(np.asarray(value).strides, np.shape(value), strict=True)
                       if n > 1), name  # fmt: skip
