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
    reach = int(np.ceil((1 if cubic is None else 2) / min(scale, 1.0)))
    distance = np.abs(np.arange(-reach, size + reach) - places[:, np.newaxis]) * min(scale, 1.0)
    if cubic is None:
        weights = np.maximum(1 - distance, 0)
    else:
        near = ((cubic + 2) * distance - (cubic + 3)) * distance * distance + 1
        far = (((distance - 5) * distance + 8) * distance - 4) * cubic
        weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    shares: Array = weights[:, reach : size + reach]
    if not exclude_outside:
        shares[:, 0] += weights[:, :reach].sum(axis=1)
        shares[:, -1] += weights[:, size + reach :].sum(axis=1)
    result: Array = (shares / shares.sum(axis=1, keepdims=True)).astype(dtype)
    return result
