"""STABILIZE rules about elements: as written the formula fails, compiled it is right."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gc
from tests.passes.stable_cases import Case
from tests.passes.stable_exponentials import ELEMENTWISE
from tests.passes.stable_runs import compiled, exactly, fired, precision, run_all, ulps

CASES = [pytest.param(case, id=f"{case.rule}-{i}") for i, case in enumerate(ELEMENTWISE)]
RUNS = [
    pytest.param(case, dtype, style, id=f"{case.rule}-{i}-{dtype}-{style}")
    for i, case in enumerate(ELEMENTWISE)
    for dtype in case.dtypes
    for style in ("functional", "workspace", "scalar")
    if style != "scalar" or (dtype == "float64" and not case.arrays and case.result is None)
]
LOST = 1e-3  # of relative accuracy, and a formula has failed


@pytest.mark.parametrize("case", CASES)
def test_the_rule_fires_unless_switched_off(case: Case) -> None:
    dtype = case.dtypes[0]
    assert case.rule in fired(compiled(case, dtype))
    assert not fired(compiled(case, dtype, stabilize=False)) & {c.rule for c in ELEMENTWISE}


def is_lost(actual: float, expected: Any) -> bool:
    """Whether a result is not what it comes to on paper, not even nearly."""
    if mp.isnan(expected) or not mp.isfinite(expected):
        return False
    return not np.isfinite(actual) or abs(actual - expected) > LOST * abs(expected)


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=f"{case.rule}-{i}-{dtype}")
        for i, case in enumerate(ELEMENTWISE)
        for dtype in case.dtypes
    ],
)
def test_the_formula_fails_as_written(case: Case, dtype: str) -> None:
    naive = run_all(compiled(case, dtype, stabilize=False), case.at(dtype), dtype)
    for point, results in zip(case.at(dtype), naive, strict=True):
        pairs = zip(results, exactly(case, point, dtype), strict=True)
        assert any(is_lost(actual, expected) for actual, expected in pairs), point


@pytest.mark.parametrize(("case", "dtype", "style"), RUNS)
def test_value_and_gradient_are_right(case: Case, dtype: str, style: str) -> None:
    results = run_all(compiled(case, dtype, style=style), case.at(dtype), dtype)
    for point, row in zip(case.at(dtype), results, strict=True):
        for index, expected in enumerate(exactly(case, point, dtype)):
            error = ulps(row[index], expected, precision(case, dtype, index))
            assert error <= case.ulps[index > 0], (point, index, row[index], expected)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_a_sum_over_nothing_has_no_maximum_to_take(shape: tuple[int, int]) -> None:
    with gc.Graph("empty", dtype="float64") as g:
        g.output("y", gc.log(gc.sum(gc.exp(g.input("x", shape)))))
    with np.errstate(divide="ignore"):
        assert gc.compile(g, inference=True).load().predict(np.zeros(shape)) == -np.inf
