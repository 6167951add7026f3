"""Ops that state what they mean to SymPy, against SymPy: value and first and second derivative."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import sympy

import graphc as gc
from graphc.ir.op import OPS, Op
from tests.ops.cases import CASES, Array, Case, Model, declare, gives_floats, over

DIGITS = 30
# Those of bools have no derivatives; tests/frontends/test_symbolic.py has their values.
SYMBOLIC = [
    case
    for case in CASES
    if case.op.symbolic is not None and "condition" not in case.op.operands and gives_floats(case)
]


def formula(op: Op) -> tuple[Any, tuple[Any, ...]]:
    """The SymPy expression of an op, and its symbols."""
    assert op.symbolic is not None
    count = len(inspect.signature(op.symbolic).parameters) - 1
    symbols = sympy.symbols(f"x:{count}", real=True)
    return op.symbolic(sympy, *symbols), symbols


def at_points(expression: Any, symbols: tuple[Any, ...], points: list[Array]) -> Array:
    """The expression at each element of broadcast arrays, to many more digits than a float has."""
    values = [
        float(expression.evalf(DIGITS, subs=dict(zip(symbols, point, strict=True))))
        for point in zip(*([sympy.Float(x) for x in array.flat] for array in points), strict=True)
    ]
    return np.array(values).reshape(points[0].shape)


def derived(case: Case) -> tuple[Model, list[Array]]:
    """The model with first derivatives `d0`, … and second `dd0`, …, and operands of one shape.

    Operands are stretched here, so that no cotangent is summed over a broadcast axis.
    """
    arguments, _ = case.draw()
    shape = np.broadcast_shapes(*(a.shape for a in arguments))
    model = declare(case, convert=lambda value: np.array(np.broadcast_to(value, shape)))
    with model.graph:
        firsts = [gc.vjp(model.results[0], x, allow_unused=True) for x in model.floats]
        model.outputs("d", firsts)
        for j, x in enumerate(model.floats):
            model.outputs(f"dd{j}_", [gc.vjp(d, x, allow_unused=True) for d in firsts])
    return model, [model.feeds[x.params.name] for x in model.floats]


@over(SYMBOLIC)
def test_value_and_derivatives_are_sympys(case: Case) -> None:
    model, points = derived(case)
    results = model.run()
    expression, symbols = formula(case.op)
    assert len(points) == len(symbols)

    def check(name: str, expected: Any) -> None:
        exact = at_points(expected, symbols, points)
        np.testing.assert_allclose(results[name], exact, rtol=1e-13, atol=1e-14, err_msg=name)

    check("y0", expression)
    for i, x in enumerate(symbols if case.op.differentiable else ()):
        first = sympy.diff(expression, x)
        check(f"d{i}", first)
        for j, other in enumerate(symbols):
            check(f"dd{j}_{i}", sympy.diff(first, other))


def test_the_formulas_of_most_smooth_elementwise_ops_are_known() -> None:
    smooth = [op for op in OPS.values() if op.family == "elementwise" and op.differentiable]
    assert sum(op.symbolic is not None for op in smooth) >= 0.8 * len(smooth)
