"""Nothing is made worse by a STABILIZE rule, wherever in the range of floats its operands are.

What is computed by the rewritten formula is at most 4 units in the last place off, or no further
than the formula as written; a derivative 16. NaN stays NaN, and infinities have limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from tests.passes.stable_cases import Case
from tests.passes.stable_exponentials import ELEMENTWISE
from tests.passes.stable_runs import BEYOND, compiled, exactly, precision, run_all, ulps
from tests.passes.stable_samples import sampled

# Of each rule one form with so many operands: others are the same once they are rewritten.
pytestmark = pytest.mark.conformance  # hundreds of points for each rule
FORMS = {(case.rule, case.operands, case.dtypes): case for case in reversed(ELEMENTWISE)}
RUNS = [
    pytest.param(case, dtype, id=f"{case.rule}-{case.operands}-{dtype}")
    for case in reversed(FORMS.values())
    for dtype in case.dtypes
]


@pytest.mark.parametrize(("case", "dtype"), RUNS)
def test_no_result_is_further_off_than_as_written(case: Case, dtype: str) -> None:
    points = sampled(case, dtype)
    naive = run_all(compiled(case, dtype, stabilize=False), points, dtype)
    actual = run_all(compiled(case, dtype), points, dtype)
    found = [
        (point, *what)
        for point, before, after in zip(points, naive, actual, strict=True)
        for what in worse(case, dtype, point, before, after)
    ]
    assert not found, f"{len(found)} of {len(points)} points, such as {found[:3]}"


def worse(
    case: Case,
    dtype: str,
    point: tuple[float, ...],
    before: Sequence[float],
    after: Sequence[float],
) -> Iterator[tuple[int, float, float, Any]]:
    """What is worse at a point: which result, as written, as compiled, and on paper."""
    if np.isnan(point).any():
        if not np.isnan(after[0]) and after[0] not in case.absorbs:
            yield 0, before[0], after[0], mp.nan
        return
    if case.finite and not np.isfinite(point).all():
        return
    exact = exactly(case, point, dtype)
    for index, (old, new, expected) in enumerate(zip(before, after, exact, strict=True)):
        own = precision(case, dtype, index)
        if index and not abs(exact[0]) < BEYOND[case.result or dtype]:
            return  # what has no value, or an infinite one, has any slope
        if not as_good(case, own, index, point, (old, new, expected)):
            yield index, old, new, expected


def as_good(
    case: Case, dtype: str, index: int, point: tuple[float, ...], results: tuple[float, float, Any]
) -> bool:
    """Whether a result as compiled is as good as the one as written, or good enough."""
    old, new, expected = results
    if old == new or (np.isnan(old) and np.isnan(new)):
        return True
    if mp.isnan(expected):  # undefined: no value, and any slope that does no harm
        return bool(np.isfinite(new)) if index else bool(np.isnan(new))
    if index and 0 in point and mp.isinf(expected):  # 0 has two sides
        return bool(np.isinf(new))
    size = case.slopes if index else case.terms
    if size is not None and np.isfinite(new):
        rounding = float(np.finfo(dtype).eps) * size(dtype, *point)
        if abs(new - expected) <= rounding:
            return True
    error = ulps(new, expected, dtype)
    return error <= case.ulps[index > 0] or error <= ulps(old, expected, dtype)
