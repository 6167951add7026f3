"""STABILIZE rules: the formula as written fails in NumPy, compiled it is right to the last bits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gc
from graphc.ir.verify import verify
from tests.passes.stable_cases import STABLE_CASES, Stable
from tests.styles import functions, in_every_style

WEIGHTS = np.array([1.0, -0.5, 2.0, 0.25])
RUNS = [
    pytest.param(rule, case, id=f"{rule}-{i}")
    for rule, cases in STABLE_CASES.items()
    for i, case in enumerate(cases)
]


def compiled(case: Stable, **options: Any) -> gc.Module:
    """The formula as output, its weighted sum as loss."""
    with gc.Graph("stable", dtype="float64") as graph:
        x = graph.input("x", (len(case.x),))
        y = case.build(x)
        graph.output("y", y)
        graph.loss(gc.sum(y * WEIGHTS[: y.shape[0]]))
    return gc.compile(graph, after_pass=lambda name, f: verify(f), **options)


def run(module: gc.Module, case: Stable) -> tuple[Any, Any]:
    """Value and gradient."""
    code = functions(module)
    with np.errstate(all="ignore"):
        _, grads = code.value_and_grad(np.array(case.x))
        return code.predict(np.array(case.x)), grads["x"]


@pytest.mark.parametrize(("rule", "case"), RUNS)
def test_the_rule_fires_unless_switched_off(rule: str, case: Stable) -> None:
    assert rule in [r.name for r, _ in compiled(case).report.fired]
    assert rule not in [r.name for r, _ in compiled(case, stabilize=False).report.fired]


@pytest.mark.parametrize(("rule", "case"), RUNS)
def test_the_formula_fails_as_written(rule: str, case: Stable) -> None:
    with np.errstate(all="ignore"):
        assert not np.isfinite(case.numpy(np.array(case.x))).all()
    value, gradient = run(compiled(case, stabilize=False), case)
    assert not (np.isfinite(value).all() and np.isfinite(gradient).all())


@in_every_style
@pytest.mark.parametrize(("rule", "case"), RUNS)
def test_value_and_gradient_are_right(rule: str, case: Stable, style: str) -> None:
    value, gradient = run(compiled(case, style=style), case)
    with mp.workdps(60):
        point = [mp.mpf(v) for v in case.x]
        exact = [float(v) for v in case.exact(point)]

        def loss(i: int, xi: Any) -> Any:
            values = case.exact([*point[:i], xi, *point[i + 1 :]])
            return mp.fsum(mp.mpf(w) * v for w, v in zip(WEIGHTS, values, strict=False))

        slopes = [float(mp.diff(lambda xi, i=i: loss(i, xi), point[i])) for i in range(len(point))]
    np.testing.assert_allclose(value, exact, rtol=1e-15)
    np.testing.assert_allclose(gradient, slopes, rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_a_sum_over_nothing_has_no_maximum_to_take(shape: tuple[int, int]) -> None:
    with gc.Graph("empty", dtype="float64") as g:
        g.output("y", gc.log(gc.sum(gc.exp(g.input("x", shape)))))
    with np.errstate(divide="ignore"):
        assert gc.compile(g, inference=True).load().predict(np.zeros(shape)) == -np.inf
