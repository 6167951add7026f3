"""Derivatives through STABILIZE rules: at kinks, beside `stop_gradient`, and of second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gc
from tests.passes.stable_cases import Case
from tests.passes.stable_exponentials import ELEMENTWISE
from tests.passes.stable_runs import NAMES
from tests.styles import in_every_style, load

# --- kinks -------------------------------------------------------------------------------------

ABS = {"torch": 0.0, "jax": 1.0, "textbook": 0.0}
AT_0: dict[str, tuple[Callable[[gc.Node], gc.Node], dict[str, float]]] = {
    "sqrt(x * x)": (lambda x: gc.sqrt(x * x), ABS),
    "(x ** 2) ** 0.5": (lambda x: (x**2) ** 0.5, ABS),
    "sqrt(square(x))": (lambda x: gc.sqrt(gc.square(x)), ABS),
    "hypot": (lambda x: gc.sqrt(x * x + (2 * x) ** 2), dict.fromkeys(ABS, 0.0)),
    "sqrt(x) ** 2": (lambda x: gc.sqrt(x) ** 2, dict.fromkeys(ABS, 1.0)),
    "x / x": (lambda x: x / x, dict.fromkeys(ABS, 0.0)),
    "softplus": (lambda x: gc.log(1 + gc.exp(x)), dict.fromkeys(ABS, 0.5)),
    "log_sigmoid": (lambda x: gc.log(gc.sigmoid(x)), dict.fromkeys(ABS, 0.5)),
    "log_cosh": (lambda x: gc.log(gc.cosh(x)), dict.fromkeys(ABS, 0.0)),
    "logaddexp": (lambda x: gc.log(gc.exp(x) + gc.exp(3 * x)), dict.fromkeys(ABS, 2.0)),
    "sigmoid": (lambda x: 1 / (1 + gc.exp(-x)), dict.fromkeys(ABS, 0.25)),
    "share": (lambda x: gc.exp(x) / (gc.exp(x) + gc.exp(3 * x)), dict.fromkeys(ABS, -0.5)),
    "sigmoid_cross_entropy": (
        lambda x: 0.25 * gc.log(gc.sigmoid(x)) + 0.75 * gc.log(1 - gc.sigmoid(x)),
        dict.fromkeys(ABS, -0.25),
    ),
}


@in_every_style
@pytest.mark.parametrize("kinks", ABS)
@pytest.mark.parametrize("formula", AT_0)
def test_a_derivative_at_0_is_that_of_the_convention(formula: str, kinks: str, style: str) -> None:
    build, expected = AT_0[formula]
    with gc.Graph("kink", dtype="float64") as g:
        x = g.input("x", (2,))
        g.loss(gc.sum(build(x)))
    module = load(g, style=style, kinks=kinks)
    for zero in (0.0, -0.0):
        _, grads = module.value_and_grad(np.array([zero, 1.0]))
        assert grads["x"][0] == pytest.approx(expected[kinks], abs=1e-15)


# --- stop_gradient -----------------------------------------------------------------------------

STOPPED: dict[str, Callable[[Any, Any], Any]] = {
    "log(1 + .)": lambda x, stop: gc.log(1 + stop(gc.exp(x))),
    "log(.) of 1 + exp": lambda x, stop: gc.log(stop(1 + gc.exp(x))),
    "log1p": lambda x, stop: gc.log1p(stop(gc.exp(x))),
    "logaddexp": lambda x, stop: gc.log(stop(gc.exp(x)) + gc.exp(2 * x)),
    "log1mexp": lambda x, stop: gc.log(1 - stop(gc.exp(-x))),
    "log_cosh": lambda x, stop: gc.log(stop(gc.cosh(x))),
    "log(exp)": lambda x, stop: gc.log(stop(gc.exp(x))),
    "log(sigmoid)": lambda x, stop: gc.log(stop(gc.sigmoid(x))),
    "log of a product": lambda x, stop: gc.log(x * stop(gc.exp(x))),
    "log of a power": lambda x, stop: gc.log(stop(x**3) * x),
    "log(x * .)": lambda x, stop: gc.log(x * stop(x)),
    "log(sqrt)": lambda x, stop: gc.log(stop(gc.sqrt(x))),
    "log(1 / x)": lambda x, stop: gc.log(stop(1 / x)),
    "log of a view": lambda x, stop: gc.log(stop(gc.exp(x)).reshape(1, -1)),
    "log of a cast": lambda x, stop: gc.log(stop(gc.exp(x)).astype("float32")).astype("float64"),
    "expm1": lambda x, stop: stop(gc.exp(x)) - 1,
    "1 - exp": lambda x, stop: 1 - stop(gc.exp(x)),
    "exp_sum": lambda x, stop: stop(gc.exp(x)) * gc.exp(2 * x),
    "exp over exp": lambda x, stop: gc.exp(3 * x) / stop(gc.exp(x)),
    "exp over 1 + exp": lambda x, stop: gc.exp(x) / (1 + stop(gc.exp(x))),
    "expm1 over 1 + exp": lambda x, stop: stop(gc.expm1(x)) / (1 + gc.exp(x)),
    "sigmoid": lambda x, stop: 1 / (1 + stop(gc.exp(-x))),
    "y * sigmoid": lambda x, stop: x / stop(1 + gc.exp(-x)),
    "tanh": lambda x, stop: (
        (gc.exp(x) - gc.exp(-x)) / (gc.exp(x) + stop(gc.exp(-x)))
    ),
    "2 * sigmoid - 1": lambda x, stop: 2 * stop(gc.sigmoid(x)) - 1,
    "share": lambda x, stop: gc.exp(x) / (stop(gc.exp(x)) + gc.exp(2 * x)),
    "cosh": lambda x, stop: (gc.exp(x) + stop(gc.exp(-x))) / 2,
    "sinh": lambda x, stop: (stop(gc.exp(x)) - gc.exp(-x)) / 2,
    "1 - sigmoid": lambda x, stop: 1 - stop(gc.sigmoid(x)),
    "sigmoid_slope": lambda x, stop: gc.sigmoid(x) * stop(gc.sigmoid(-x)),
    "1 - tanh ** 2": lambda x, stop: 1 - gc.tanh(x) * stop(gc.tanh(x)),
    "sqrt(x * .)": lambda x, stop: gc.sqrt(x * stop(x)),
    "sqrt(.)": lambda x, stop: gc.sqrt(stop(x * x)),
    "hypot": lambda x, stop: gc.sqrt(x * x + stop(x * x)),
    "sqrt ** 2": lambda x, stop: gc.sqrt(x) * stop(gc.sqrt(x)),
    "sqrt - sqrt": lambda x, stop: gc.sqrt(x + 1) - gc.sqrt(stop(x)),
    "1 - cos": lambda x, stop: 1 - stop(gc.cos(x)),
    "x / .": lambda x, stop: x / stop(x),
    ". * log(x)": lambda x, stop: stop(x) * gc.log(x),
    "x * log(.)": lambda x, stop: x * gc.log(stop(x)),
    "x * log(x / .)": lambda x, stop: x * gc.log(stop(x) / (1 + x)),
    "mask": lambda x, stop: gc.mask(stop(gc.log(x)), x > 0),
}  # fmt: skip


@pytest.mark.parametrize("formula", STOPPED)
def test_no_rule_looks_through_stop_gradient(formula: str) -> None:
    def slope(stop: Callable[[Any], Any], stabilize: bool) -> Any:
        with gc.Graph("stopped", dtype="float64") as g:
            x = g.input("x", (3,))
            g.loss(gc.sum(STOPPED[formula](x, stop)) + gc.sum(x))
        module = gc.compile(g, stabilize=stabilize).load()
        return module.value_and_grad(np.array([0.7, 1.3, 2.1]))[1]["x"]

    stopped = slope(gc.stop_gradient, True)
    np.testing.assert_allclose(stopped, slope(gc.stop_gradient, False), rtol=1e-6)
    assert (np.abs(stopped - slope(lambda x: x, True)) > 1e-3).all()


def test_the_logarithm_of_what_is_stopped_has_no_slope() -> None:
    with gc.Graph("stopped", dtype="float64") as g:
        x = g.input("x", (3,))
        g.loss(gc.sum(gc.log(1 + gc.stop_gradient(gc.exp(x)))) + gc.sum(x))
    _, grads = gc.compile(g).load().value_and_grad(np.array([-1.0, 0.0, 3.0]))
    np.testing.assert_array_equal(grads["x"], 1.0)


# --- second order ------------------------------------------------------------------------------

ORDINARY = (0.7, -0.9, 1.6)  # numbers at which all is smooth
FORMS = {(case.rule, case.operands): case for case in reversed(ELEMENTWISE) if not case.result}


@pytest.mark.parametrize("case", FORMS.values(), ids=str)
def test_second_derivatives_are_right(case: Case) -> None:
    points = [tuple(np.roll(ORDINARY, i)[: case.operands]) for i in range(len(ORDINARY))]
    points = [point for point in points if not mp.isnan(case.exact(*map(mp.mpf, point)))]
    assert points
    with gc.Graph("second", dtype="float64") as g:
        nodes = [g.input(name, (len(points),)) for name in NAMES[: case.operands]]
        slopes = gc.grad(gc.sum(case.build(*nodes)), nodes, allow_unused=True)
        for i, slope in enumerate(slopes):
            for k, other in enumerate(gc.grad(gc.sum(slope), nodes, allow_unused=True)):
                g.output(f"y{i}{k}", other)
    columns = [np.array(column) for column in zip(*points, strict=True)]
    module = gc.compile(g, inference=True)
    program = module.lowered.predict
    assert program is not None
    named = dict(zip(NAMES, columns, strict=False))
    found = module.load().predict(*(named[node.params.name] for node in program.arguments))
    found = np.reshape(found, (case.operands, case.operands, len(points)))
    for at, point in enumerate(points):
        with mp.workdps(60):
            for i in range(case.operands):
                for k in range(case.operands):
                    order = tuple(int(i == m) + int(k == m) for m in range(case.operands))
                    exact = mp.diff(case.exact, point if case.operands > 1 else point[0],
                                    order if case.operands > 1 else 2)  # fmt: skip
                    assert found[i, k, at] == pytest.approx(float(exact), rel=1e-11, abs=1e-13)
