"""STABILIZE rules at what a review found them to get wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.passes.sums import MAX_TERMS
from tests.styles import in_every_style, load

Build = Callable[[Any], Any]


def value_and_gradient(build: Build, point: Any, **options: Any) -> tuple[Any, Any]:
    """Value and gradient at a point, of which NumPy may not warn."""
    point = np.array(point, np.float64)
    with gc.Graph("review", dtype="float64") as graph:
        x = graph.input("x", point.shape)
        graph.loss(gc.sum(build(x)))
    code = load(graph, **options)
    with np.errstate(all="raise", under="ignore"):
        value, grads = code.value_and_grad(x=point)
    return value, grads["x"]


@in_every_style
@pytest.mark.parametrize("terms", [2, MAX_TERMS, MAX_TERMS + 1, MAX_TERMS + 2, 3 * MAX_TERMS])
def test_the_root_of_many_squares_leaves_none_out(terms: int, style: str) -> None:
    point = np.arange(1.0, terms + 1)
    value, slopes = value_and_gradient(
        lambda x: gc.sqrt(reduce(add, [x[i] * x[i] for i in range(terms)])), point, style=style
    )
    size = np.sqrt(np.sum(point**2))
    np.testing.assert_allclose(value, size, rtol=1e-14)
    np.testing.assert_allclose(slopes, point / size, rtol=1e-14)
