"""Interpolation: what share each element of an axis has in the values between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def nearest_weights(places: Array, size: int, rounding: str) -> Array:
    """For each place a row that is true at the nearest of `size` elements."""
    if rounding == "floor":
        nearest = np.floor(places)
    elif rounding == "ceil":
        nearest = np.ceil(places)
    elif rounding == "round_prefer_floor":
        nearest = np.ceil(places - 0.5)
    else:
        nearest = np.floor(places + 0.5)
    result: Array = np.clip(nearest, 0, size - 1)[:, np.newaxis] == np.arange(size)
    return result


def interpolation_weights(
    places: Array,
    size: int,
    dtype: Any,
    cubic: float | None = None,
    scale: float = 1.0,
    exclude_outside: bool = False,
) -> Array:
    """For each place a row with the share of each of `size` elements, which add up to 1.

    A share falls with the distance, in a straight line to 0 at 1; or as a cubic that is 0 at 1 and
    from 2 on (Keys, 1981), of which `cubic` is the coefficient. With a scale less than 1, distances
    count so much less. Beyond the ends the outermost elements stand, or nothing.
    """
    shrink = min(scale, 1.0)
    reach = int(np.ceil((1 if cubic is None else 2) / shrink))
    first = np.floor(places).astype(np.int64) - reach + 1
    near = first[:, np.newaxis] + np.arange(2 * reach)
    distance = np.abs(near - places[:, np.newaxis]) * shrink
    if cubic is None:
        weights = np.maximum(1 - distance, 0)
    else:
        inner = ((cubic + 2) * distance - (cubic + 3)) * distance * distance + 1
        outer = (((distance - 5) * distance + 8) * distance - 4) * cubic
        weights = np.where(distance <= 1, inner, np.where(distance < 2, outer, 0))
    if exclude_outside:
        weights *= (near >= 0) & (near < size)
    weights /= weights.sum(axis=1, keepdims=True)
    indices = np.clip(near, 0, size - 1) + size * np.arange(len(places))[:, np.newaxis]
    shares = np.bincount(indices.ravel(), weights.ravel(), len(places) * size)
    result: Array = shares.reshape(len(places), size).astype(dtype)
    return result
