"""The memory layout of arguments changes no result: Fortran order, strides, reversed, offset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.cases import CASES, Array, Case, largest, over
from tests.styles import STYLES


def fortran(value: Array) -> Array:
    """A copy in Fortran order."""
    return np.array(value, order="F")


def spread(value: Array) -> Array:
    """A copy of which every other element of every axis belongs to something else."""
    wide = np.full([2 * n for n in value.shape], 77, value.dtype)
    every_other: Any = (..., *(slice(None, None, 2) for _ in value.shape))
    view = wide[every_other]
    view[...] = value
    return view


def reversed_(value: Array) -> Array:
    """A copy whose strides are negative."""
    back: Any = (..., *(slice(None, None, -1) for _ in value.shape))
    return np.asarray(np.array(value[back])[back])


def read_only(value: Array) -> Array:
    """A copy that must not be written to."""
    copy = value.copy()
    copy.flags.writeable = False
    return copy


LAYOUTS: list[Callable[[Array], Array]] = [fortran, spread, reversed_, read_only]


@over(CASES)
def test_the_layout_of_arguments_changes_nothing(case: Case) -> None:
    model = largest(case)
    expected = model.run()
    for layout in LAYOUTS:
        feeds = {name: layout(value) for name, value in model.feeds.items()}
        for name, value in model.feeds.items():
            np.testing.assert_array_equal(feeds[name], value)
        for style in STYLES:
            for name, value in model.run(feeds, style).items():
                told = f"{name}, {layout.__name__}, {style}"
                # Sums and products of another order of elements differ in the last bits.
                np.testing.assert_allclose(
                    value, expected[name], rtol=1e-13, atol=1e-14, err_msg=told
                )
