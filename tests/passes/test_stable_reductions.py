"""STABILIZE rules over axes: the formula as written fails, compiled it is right to the last bits.

Errors are told in units of the last place of the larger of the result and the largest finite
operand: the rounding of x - max(x) is in the exponent and cannot be avoided. Of a gradient that
is a relative error, as large as x, beside the largest slope of the array.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gc
from graphc.ir.verify import verify
from tests.passes.exact import value_and_slopes
from tests.passes.stable_reductions import REDUCTIONS, SCALE, SHIFT, Reduction
from tests.styles import functions, in_every_style

ULPS = 8
RUNS = [
    pytest.param(rule, i, dtype, id=f"{rule}-{i}-{dtype}")
    for rule, variants in REDUCTIONS.items()
    for i, variant in enumerate(variants)
    for dtype in variant.dtypes
]
FAILING = [run for run in RUNS if REDUCTIONS[run.values[0]][run.values[1]].fails]  # type: ignore[index]


class Graphc:
    """graphc's functions, and one for casts, which are methods."""

    def __getattr__(self, name: str) -> Any:
        return getattr(gc, name)

    @staticmethod
    def cast(x: gc.Node, dtype: str) -> gc.Node:
        return x.astype(dtype)


def weights(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """Factors that no dtype rounds."""
    return np.resize(np.array([1.0, -0.5, 2.0, 0.25, -1.5], dtype), shape)


def declared(case: Reduction, dtype: str, *, slopes: bool = False) -> gc.Graph:
    """The formula as output, its weighted sum as loss; or the gradient of that as an output."""
    with gc.Graph("stable", dtype=dtype) as graph:
        x = graph.input("x", case.point(dtype).shape)
        y = case.build(Graphc(), x)
        loss = gc.sum(y * weights(y.shape, y.dtype.name))
        graph.output("y", y)
        if slopes:
            graph.output("slopes", gc.grad(loss, x))
        else:
            graph.loss(loss)
    return graph


def run(module: gc.Module, x: Any) -> tuple[Any, Any]:
    """Value and gradient."""
    code = functions(module)
    with np.errstate(all="ignore"):
        _, grads = code.value_and_grad(x)
        return code.predict(x), grads["x"]


@cache
def on_paper(rule: str, index: int, dtype: str) -> tuple[Any, Any]:
    """Value and gradient as mpmath has them."""
    case = REDUCTIONS[rule][index]
    shape = declared(case, dtype).outputs["y"].shape
    return value_and_slopes(case.build, case.point(dtype), weights(shape, "float64"))


def excess(actual: Any, exact: Any, unit: Any) -> float:
    """The largest error in units; infinite where a result is not finite."""
    found = np.asarray(actual)
    assert found.shape == exact.shape
    if not np.isfinite(found).all():
        return np.inf
    errors = [
        abs(mp.mpf(float(a)) - e) / mp.mpf(float(u))
        for a, e, u in zip(found.flat, exact.flat, np.broadcast_to(unit, found.shape).flat,
                           strict=True)
    ]  # fmt: skip
    return float(max(errors))


def units(case: Reduction, x: Any, value: Any, slopes: Any) -> tuple[Any, Any]:
    """One ulp of each value, and of the gradient as a whole."""
    dtype = min(value.dtype, x.dtype, key=lambda d: d.itemsize)
    eps, largest = np.finfo(dtype).eps, float(np.abs(x).max())
    smallest = float(np.finfo(dtype).smallest_subnormal)
    own = np.maximum(np.abs(value.astype(float)) * eps, smallest)
    slope = max(float(np.abs(slopes).max()) * float(eps), smallest)
    if case.error == SCALE:
        return own, slope
    if case.error == SHIFT:
        return np.maximum(own, largest * eps), slope * max(1.0, largest)
    return own + (largest * eps) ** 2, slope + largest * eps


@pytest.mark.parametrize(("rule", "index", "dtype"), RUNS)
def test_the_rule_fires_unless_switched_off(rule: str, index: int, dtype: str) -> None:
    graph = declared(REDUCTIONS[rule][index], dtype)
    module = gc.compile(graph, after_pass=lambda name, f: verify(f))
    assert rule in [r.name for r, _ in module.report.fired]
    off = gc.compile(declared(REDUCTIONS[rule][index], dtype), stabilize=False)
    assert rule not in [r.name for r, _ in off.report.fired]


@pytest.mark.parametrize(("rule", "index", "dtype"), FAILING)
def test_the_formula_fails_as_written(rule: str, index: int, dtype: str) -> None:
    case = REDUCTIONS[rule][index]
    pairs = zip(
        run(gc.compile(declared(case, dtype), stabilize=False), case.point(dtype)),
        on_paper(rule, index, dtype),
        strict=True,
    )
    assert any(
        excess(found, exact, 1e-3 * np.maximum(np.abs(exact.astype(float)), 1e-320)) > 1
        for found, exact in pairs
    )


@in_every_style
@pytest.mark.parametrize(("rule", "index", "dtype"), RUNS)
def test_value_and_gradient_are_right(rule: str, index: int, dtype: str, style: str) -> None:
    case = REDUCTIONS[rule][index]
    x = case.point(dtype)
    value, gradient = run(gc.compile(declared(case, dtype), style=style), x)
    exact, slopes = on_paper(rule, index, dtype)
    unit, slope = units(case, x, np.asarray(value), slopes)
    assert excess(value, exact, unit) <= ULPS
    assert excess(gradient, slopes, slope) <= ULPS
    assert gradient.dtype == dtype


@pytest.mark.parametrize(("rule", "index", "dtype"), RUNS)
def test_derivative_nodes_are_right(rule: str, index: int, dtype: str) -> None:
    case = REDUCTIONS[rule][index]
    x = case.point(dtype)
    module = gc.compile(declared(case, dtype, slopes=True), inference=True)
    value, gradient = module.load().predict(x)
    exact, slopes = on_paper(rule, index, dtype)
    unit, slope = units(case, x, np.asarray(value), slopes)
    assert excess(value, exact, unit) <= ULPS
    assert excess(gradient, slopes, slope) <= ULPS
