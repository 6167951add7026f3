"""Elementwise functions at 0, at infinities, at NaN and at the ends of what they are defined on."""

from __future__ import annotations

import math
from math import inf, nan, pi
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import STYLES, predicted

MOST = float(np.finfo(float).max)
# The op, operands, and its values (C99's Annex F and SciPy's conventions).
VALUES: list[tuple[str, tuple[Any, ...], list[float]]] = [
    ("acos", ([1.0, -1.0, 2.0, nan],), [0.0, pi, nan, nan]),
    ("acosh", ([1.0, inf, 0.5],), [0.0, inf, nan]),
    ("asin", ([1.0, -1.0, -0.0, 2.0],), [pi / 2, -pi / 2, -0.0, nan]),
    ("asinh", ([inf, -inf, -0.0],), [inf, -inf, -0.0]),
    ("atan", ([inf, -inf, -0.0],), [pi / 2, -pi / 2, -0.0]),
    ("atan2", ([0.0, -0.0, 1.0, inf], [-1.0, -1.0, 0.0, inf]), [pi, -pi, pi / 2, pi / 4]),
    ("atanh", ([1.0, -1.0, 2.0],), [inf, -inf, nan]),
    ("cbrt", ([-8.0, -0.0, inf],), [-2.0, -0.0, inf]),
    ("ceil", ([-0.5, 2.5, inf, nan],), [-0.0, 3.0, inf, nan]),
    ("entr", ([0.0, -1.0, 1.0, inf, nan],), [-0.0, -inf, -0.0, -inf, nan]),
    ("exp2", ([-inf, -1.0, 10.0, inf],), [0.0, 0.5, 1024.0, inf]),
    ("floor", ([-0.5, 2.5, -inf, nan],), [-1.0, 2.0, -inf, nan]),
    ("floor_divide", ([7.0, -7.0, 7.0, 1.0], [2.0, 2.0, -2.0, inf]), [3.0, -4.0, -4.0, 0.0]),
    ("fmod", ([7.0, -7.0, 7.0, 1.0, inf], [4.0, 4.0, -4.0, inf, 1]), [3.0, -3.0, 3.0, 1.0, nan]),
    ("log10", ([0.0, 1000.0, -1.0],), [-inf, 3.0, nan]),
    ("log2", ([0.0, 1024.0, -1.0],), [-inf, 10.0, nan]),
    ("logit", ([0.0, 0.5, 1.0, 2.0, 1e-300],), [-inf, 0.0, inf, nan, math.log(1e-300)]),
    ("nan_to_num", ([nan, inf, -inf, -0.0],), [0.0, MOST, -MOST, -0.0]),
    ("remainder", ([7.0, -7.0, 7.0, -1.0, inf], [4.0, 4.0, -4.0, inf, 1]), [3, 1, -1, inf, nan]),
    ("round", ([0.5, 1.5, 2.5, -0.5, -1.5, inf, nan],), [0.0, 2.0, 2.0, -0.0, -2.0, inf, nan]),
    ("sinc", ([0.0, -0.0, 1e-200, 0.5],), [1.0, 1.0, 1.0, 2 / pi]),
    ("trunc", ([-0.5, 2.5, -2.5, inf, nan],), [-0.0, 2.0, -2.0, inf, nan]),
    ("xlogy", ([0.0, 0.0, 0.0, 2.0, 0.0], [0.0, -1.0, inf, 0.0, nan]), [0, 0, 0, -inf, nan]),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("op", "operands", "expected"), VALUES, ids=[row[0] for row in VALUES])
def test_value(op: str, operands: tuple[Any, ...], expected: list[float], dtype: str) -> None:
    if dtype == "float32" and op in ("nan_to_num", "logit", "sinc"):
        pytest.skip("of numbers that float32 does not have")
    feeds = {f"x{i}": np.array(value, dtype) for i, value in enumerate(operands)}
    with gc.Graph("special", dtype=dtype) as g:
        g.output("y", getattr(gc, op)(*(g.input(name, ("n",)) for name in feeds)))
    y, wanted = predicted(g, feeds), np.array(expected, dtype)
    np.testing.assert_allclose(y, wanted, rtol=1e-6 if dtype == "float32" else 1e-15)
    np.testing.assert_array_equal(np.signbit(y[~np.isnan(y)]), np.signbit(wanted[~np.isnan(y)]))


# The op, operands, and the derivative by each.
SLOPES: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("acosh", ([1e200],), ([1e-200],)),
    ("asinh", ([1e200, 0.0],), ([1e-200, 1.0],)),
    ("atan", ([1e200, 0.0],), ([0.0, 1.0],)),
    ("atan2", ([1e200, 1e-200], [1e200, 1e-200]), ([5e-201, 5e199], [-5e-201, -5e199])),
    ("cbrt", ([0.0, 8.0, -8.0],), ([inf, 1 / 12, 1 / 12],)),
    ("entr", ([0.0, 1.0],), ([inf, -1.0],)),
    ("fmod", ([7.0, -7.0], [4.0, 4.0]), ([1.0, 1.0], [-1.0, 1.0])),
    ("nan_to_num", ([nan, inf, -inf, 3.0],), ([0.0, 0.0, 0.0, 1.0],)),
    ("remainder", ([7.0, -7.0], [4.0, 4.0]), ([1.0, 1.0], [-1.0, 2.0])),
    ("sinc", ([0.0, 1e-8, 1.0],), ([0.0, -1e-8 * pi**2 / 3, -1.0],)),
    ("xlogy", ([0.0, 0.0, 2.0], [0.0, math.e, 0.5]), ([0.0, 1.0, -math.log(2.0)], [0, 0, 4])),
]


@pytest.mark.parametrize(("op", "operands", "expected"), SLOPES, ids=[row[0] for row in SLOPES])
def test_slope(op: str, operands: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    feeds = {f"x{i}": np.array(value) for i, value in enumerate(operands)}
    with gc.Graph("special", dtype="float64") as g:
        xs = [g.input(name, ("n",)) for name in feeds]
        y = getattr(gc, op)(*xs)
        for i, bar in enumerate(gc.vjp([y], xs, [gc.zeros_like(y) + 1.0])):
            g.output(f"bar{i}", bar)
    bars = predicted(g, feeds)
    for bar, slope in zip(bars if len(xs) > 1 else (bars,), expected, strict=True):
        np.testing.assert_allclose(bar, slope, rtol=1e-14)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("op", "x"), [("atan", 1e200), ("logit", 1e-300), ("logit", 0.5)])
def test_nothing_on_the_way_is_infinite(op: str, x: float) -> None:
    with gc.Graph("finite", dtype="float64") as g:
        g.loss(getattr(gc, op)(g.input("x", ())))
    for style in (*STYLES, "scalar"):
        found = gc.compile(g, style=style).load()
        run = found.Workspace() if style == "workspace" else found
        loss, grads = run.value_and_grad(np.float64(x))
        assert np.isfinite([loss, grads["x"]]).all()


def test_sinc_has_all_its_derivatives_at_0() -> None:
    """sinc(x) = 1 - (πx)²/6 + (πx)⁴/120 - …, of which quotients by x leave nothing."""
    with gc.Graph("sinc", dtype="float64") as g:
        x = g.input("x", ())
        y = gc.sinc(x)
        for order in range(1, 5):
            y = gc.grad(y, x)
            g.output(f"d{order}", y)
    found = predicted(g, {"x": np.float64(0.0)})
    np.testing.assert_allclose(found, [0.0, -(pi**2) / 3, 0.0, pi**4 / 5], rtol=1e-14)


def test_logit_keeps_its_digits_around_a_half() -> None:
    """logit(1/2 + d) = 4 d + 16 d³/3 + …"""
    d = np.array([1e-3, 1e-9, -1e-15])
    with gc.Graph("logit", dtype="float64") as g:
        g.output("y", gc.logit(g.input("x", ("n",))))
    x = 0.5 + d
    exact = 4 * (x - 0.5) + 16 * (x - 0.5) ** 3 / 3 + 64 * (x - 0.5) ** 5 / 5
    np.testing.assert_allclose(predicted(g, {"x": x}), exact, rtol=1e-15)


def test_logit_of_limited_probabilities() -> None:
    with gc.Graph("logit", dtype="float64") as g:
        g.output("y", gc.logit(g.input("x", ("n",)), eps=0.1))
    ends = [-math.log(9), 0.0, math.log(9)]
    np.testing.assert_allclose(predicted(g, {"x": np.array([0.0, 0.5, 1.0])}), ends, rtol=1e-14)
