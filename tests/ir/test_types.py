"""Types: one way to write down what means the same."""

from __future__ import annotations

import pytest

import graphc as gc
from graphc.errors import ShapeError
from graphc.ir.types import normalize_axes


@pytest.mark.parametrize("axis", [(0, 2), (2, 0), [-1, 0], (-3, 2)])
def test_axes_are_sorted_and_counted_from_the_front(axis: object) -> None:
    assert normalize_axes(axis, 3) == (0, 2)
    x = gc.Graph("m").input("x", (2, 3, 4))
    assert gc.max(x, axis=axis) is gc.max(x, axis=(0, 2))


@pytest.mark.parametrize("axis", [(0, 0), (1, -2), [2, 0, 2]])
def test_an_axis_occurs_once(axis: object) -> None:
    with pytest.raises(ShapeError, match="occurs twice"):
        normalize_axes(axis, 3)
