"""Draws of initial values that take more than one expression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A matrix with orthonormal rows or columns, in a shape whose first axis counts the rows.

    The signs of the triangle make the draw uniform (Mezzadri 2007).
    """
    rows, columns = shape[0], int(np.prod(shape[1:]))
    drawn = rng.standard_normal((max(rows, columns), min(rows, columns)))
    basis, triangle = np.linalg.qr(drawn)
    basis = basis * np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    result: Array = (basis if rows >= columns else basis.T).reshape(shape)
    return result
