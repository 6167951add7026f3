"""Interpolation by its definitions: a loop over each place, and each neighbour of it.

The formulas are those of ONNX's Resize, of which the definition speaks of one element at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def place(i: int, n: int, length: int, scale: float, coordinates: str, region: Any) -> float:
    """Where in an axis of n elements the new element i of a length lies."""
    whole = scale * n
    middle = (i + 0.5) / scale - 0.5
    if coordinates == "half_pixel_symmetric":
        return n / 2 * (1 - length / whole) + middle
    if coordinates == "pytorch_half_pixel":
        return middle if length > 1 else 0
    if coordinates == "align_corners":
        return i * (n - 1) / (whole - 1)
    if coordinates == "tf_crop_and_resize":
        start, end = region
        if length == 1:
            return 0.5 * (start + end) * (n - 1)
        return start * (n - 1) + i * (end - start) * (n - 1) / (whole - 1)
    return {"half_pixel": middle, "asymmetric": i / scale, "tf_half_pixel_for_nn": middle + 0.5}[
        coordinates
    ]


def places(
    size: int, length: int, scale: float | None, coordinates: str, region: Any = None
) -> Array:
    factor = scale or length / size
    return np.array([place(i, size, length, factor, coordinates, region) for i in range(length)])


def nearest(places: Array, size: int, rounding: str) -> Array:
    result = np.zeros((len(places), size), bool)
    for row, x in zip(result, places, strict=True):
        near = [i for i in (math.floor(x), math.ceil(x)) if abs(x - i) <= 0.5]
        chosen = {
            "floor": math.floor(x),
            "ceil": math.ceil(x),
            "round_prefer_floor": min(near),
            "round_prefer_ceil": max(near),
        }[rounding]
        row[min(max(chosen, 0), size - 1)] = True
    return result


def shares(
    places: Array, size: int, dtype: str = "float64", cubic: float | None = None,
    scale: float | None = None, exclude_outside: bool = False,
) -> Array:  # fmt: skip
    factor = 1.0 if scale is None else scale
    reach = 6  # more than any of the samples has
    result = np.zeros((len(places), size), dtype)
    for row, x in zip(result, places, strict=True):
        for i in range(-reach, size + reach):
            d = abs(x - i) * factor
            if cubic is None:
                share = max(0.0, 1 - d)
            elif d <= 1:
                share = (cubic + 2) * d**3 - (cubic + 3) * d**2 + 1
            else:
                share = cubic * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0
            if 0 <= i < size or not exclude_outside:
                row[min(max(i, 0), size - 1)] += share
        row /= sum(row)
    return result


FORMULAS: dict[str, Callable[..., Any]] = {
    "interpolation_places": places,
    "interpolation_weights": shares,
    "nearest_weights": nearest,
}
