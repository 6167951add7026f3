"""The checks of values in modules for debugging: what they let pass, and what they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graphc.runtime import scalars
from graphc.runtime.finite import check_finite

NAN, INF = math.nan, math.inf


def said(value: Any, *read: Any) -> str:
    """What is raised about an array; empty for nothing."""
    try:
        check_finite("forward", "h", value, "from model.py:3", *read)
    except FloatingPointError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_first_bad_value_is_named_with_its_index_and_how_many_there_are(dtype: str) -> None:
    array = np.zeros((20, 32), dtype)
    assert said(array) == ""
    array[3, 2] = NAN
    array[4, :6] = INF
    before = "forward: h (from model.py:3): "
    assert said(array) == f"{before}nan at [3, 2], 7 of 640 elements are not finite"
    array[0, 31] = -INF
    assert said(array) == f"{before}-inf at [0, 31], 8 of 640 elements are not finite"


def test_the_order_of_elements_is_that_of_their_indices_and_not_of_memory() -> None:
    array = np.zeros((3, 4)).T
    array[2, 0] = array[1, 2] = NAN
    assert "nan at [1, 2], 2 of 12" in said(array)


@pytest.mark.parametrize("value", [NAN, np.float32(NAN), np.array(NAN, np.float16)])
def test_a_scalar_has_no_index(value: Any) -> None:
    assert said(value) == "forward: h (from model.py:3): nan"
    assert said(np.float32(-INF)) == "forward: h (from model.py:3): -inf"
    assert said(1e300) == said(np.float64(1e300)) == ""


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 0, 2)])
def test_nothing_is_wrong_with_no_elements(shape: tuple[int, ...]) -> None:
    assert said(np.zeros(shape)) == said(np.zeros(shape), np.inf) == ""


def test_an_infinity_may_be_where_one_is_read_but_no_nan() -> None:
    array = np.array([1, -INF, 2, INF])
    for read in ((INF,), (np.zeros(2), np.array([0, -INF])), (np.float32(-INF),)):
        assert said(array, *read) == ""
    assert "-inf at [1], 2 of 4 elements are not finite" in said(array, np.zeros(2), NAN)
    array[3] = NAN
    assert "nan at [3], 1 of 4 elements are nan" in said(array, INF)
    assert "-inf at [1], 2 of 4 elements are not finite" in said(array)
    assert said(np.float64(NAN), INF).endswith(": nan")


@pytest.mark.parametrize("value", [NAN, INF, -INF, 0.0, -1e308])
@pytest.mark.parametrize("read", [(), (INF,), (-INF, 2.0), (1.0,), (NAN,)])
def test_numbers_are_checked_as_arrays_are(value: float, read: tuple[float, ...]) -> None:
    expected = said(value, *read)
    assert bool(expected) == (
        math.isnan(value) or (math.isinf(value) and INF not in map(abs, read))
    )
    if not expected:
        scalars.check_finite("forward", "h", value, "from model.py:3", *read)
        return
    with pytest.raises(FloatingPointError) as caught:
        scalars.check_finite("forward", "h", value, "from model.py:3", *read)
    assert str(caught.value) == expected
