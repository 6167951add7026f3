"""Deep graphs that share values: compiled, run and differentiated in every style that fits.

The expected numbers come from closed forms, and from complex steps: for an analytic function,
f(x + ih) = f(x) + ih f'(x) to the last bit when h is tiny enough.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import functions

TINY = 1e-100
SHAPES = [("functional", ()), ("functional", (3,)), ("workspace", ()), ("workspace", (3,)),
          ("scalar", ())]  # fmt: skip
in_every_style = pytest.mark.parametrize(("style", "shape"), SHAPES)


def of_one(
    function: Callable[[Any, Any], Any], style: str, shape: tuple[int, ...], depth: int
) -> gc.Module:
    """The sum of a function of one input, compiled with its gradient."""
    with gc.Graph("deep", dtype="float64") as g:
        x = g.input("x", shape)
        y = function(x, depth)
        g.loss(gc.sum(y) if shape else y)
    return gc.compile(g, style=style)


def slope_at(module: gc.Module, x: float, shape: tuple[int, ...]) -> tuple[float, Any]:
    """The loss and the gradient where all elements are the same."""
    loss, grads = functions(module).value_and_grad(np.full(shape, x)[()])
    return float(loss), grads["x"]


def ladder(x: Any, depth: int) -> Any:
    for _ in range(depth):
        x = x + x
    return x


def tower(x: Any, depth: int) -> Any:
    for _ in range(depth):
        x = gc.sin(x) * x
    return x


def complex_tower(x: complex, depth: int) -> complex:
    for _ in range(depth):
        x = cmath.sin(x) * x
    return x


@in_every_style
def test_the_slope_of_a_ladder_is_a_power_of_two(style: str, shape: tuple[int, ...]) -> None:
    module = of_one(ladder, style, shape, 60)
    loss, slope = slope_at(module, 1.5, shape)
    assert loss == 1.5 * 2.0**60 * math.prod(shape)
    np.testing.assert_array_equal(slope, np.full(shape, 2.0**60))


@in_every_style
def test_a_tower_of_200_has_the_slope_of_forward_mode(style: str, shape: tuple[int, ...]) -> None:
    module = of_one(tower, style, shape, 200)
    loss, slope = slope_at(module, 1.2, shape)
    expected = complex_tower(complex(1.2, TINY), 200)
    assert loss == pytest.approx(expected.real * math.prod(shape), rel=1e-12)
    np.testing.assert_allclose(slope, np.full(shape, expected.imag / TINY), rtol=1e-11)


@in_every_style
def test_the_statements_of_a_tower_grow_linearly(style: str, shape: tuple[int, ...]) -> None:
    lines = [of_one(tower, style, shape, depth).source.count("\n") for depth in (50, 100, 150)]
    # A workspace makes arrays too, in tuples that are wrapped as they grow.
    assert lines[2] - lines[1] <= 1.1 * (lines[1] - lines[0])
    assert lines[1] - lines[0] <= 50 * (40 if style == "workspace" else 10)


@pytest.mark.parametrize("style", ["functional", "workspace", "scalar"])
def test_a_product_of_a_thousand_variables(style: str) -> None:
    names = [f"x{i}" for i in range(1000)]
    with gc.Graph("product", dtype="float64") as g:
        total = g.input(names[0])
        for name in names[1:]:
            total = total * g.input(name)
        g.loss(total)
    module = gc.compile(g, style=style)
    x = np.random.default_rng(0).uniform(0.9, 1.1, 1000)
    loss, grads = functions(module).value_and_grad(*map(float, x))
    assert float(loss) == pytest.approx(math.prod(x), rel=1e-12)
    for i in (0, 1, 499, 998, 999):
        expected = math.prod(np.delete(x, i))
        assert float(grads[names[i]]) == pytest.approx(expected, rel=1e-12)
    assert module.source.count(" * ") + module.source.count("np.multiply(") < 4_000


# --- an LSTM of 300 steps ---------------------------------------------------------------------

WEIGHTS = [f"{kind}_{gate}" for gate in "ifog" for kind in ("w", "u", "b")]


def lstm(values: dict[str, Any], xs: Any, sigmoid: Any, tanh: Any) -> Any:
    """The last hidden value of an LSTM with one unit."""
    h = c = 0.0 * values["w_i"]
    for x in xs:
        pre = {
            gate: values[f"w_{gate}"] * x + values[f"u_{gate}"] * h + values[f"b_{gate}"]
            for gate in "ifog"
        }
        c = sigmoid(pre["f"]) * c + sigmoid(pre["i"]) * tanh(pre["g"])
        h = sigmoid(pre["o"]) * tanh(c)
    return h


@pytest.mark.parametrize(
    ("style", "shape"),
    [
        SHAPES[0],
        pytest.param(*SHAPES[1], marks=pytest.mark.conformance),
        pytest.param(*SHAPES[2], marks=pytest.mark.conformance),
        *SHAPES[3:],
    ],
)
def test_an_lstm_of_300_steps(style: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    given = dict(zip(WEIGHTS, rng.normal(size=len(WEIGHTS)), strict=True))
    xs = rng.normal(size=300).tolist()
    with gc.Graph("lstm", dtype="float64") as g:
        parameters = {name: g.parameter(name, shape) for name in WEIGHTS}
        h = lstm(parameters, xs, gc.sigmoid, gc.tanh)
        g.loss(gc.sum(h) if shape else h)
    params = {name: np.full(shape, value)[()] for name, value in given.items()}
    loss, grads = functions(gc.compile(g, style=style)).value_and_grad(params)
    for name in WEIGHTS:
        shifted = given | {name: complex(given[name], TINY)}
        expected = lstm(shifted, xs, lambda z: 1 / (1 + cmath.exp(-z)), cmath.tanh)
        assert float(loss) == pytest.approx(expected.real * math.prod(shape), rel=1e-11)
        slope = np.full(shape, expected.imag / TINY)
        np.testing.assert_allclose(grads[name], slope, rtol=1e-9, atol=1e-14)


@pytest.mark.conformance
@pytest.mark.parametrize(("style", "shape"), [SHAPES[0], SHAPES[3], SHAPES[4]])
def test_a_chain_of_a_hundred_thousand_values(style: str, shape: tuple[int, ...]) -> None:
    def chain(x: Any, depth: int) -> Any:
        y = x
        for _ in range(depth // 2):
            y = gc.sin(y) + x
        return y

    module = of_one(chain, style, shape, 100_000)
    loss, slope = slope_at(module, 0.3, shape)
    value, derivative = 0.3, 1.0
    for _ in range(50_000):
        value, derivative = math.sin(value) + 0.3, math.cos(value) * derivative + 1.0
    assert loss == pytest.approx(value * math.prod(shape), rel=1e-9)
    np.testing.assert_allclose(slope, np.full(shape, derivative), rtol=1e-9)
