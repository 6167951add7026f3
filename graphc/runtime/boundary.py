"""What stands at the boundary of a generated module: checks of arguments, and its self-test."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def checked(name: str, value: Any, dtype: Any, *sizes: Any) -> Array:
    """The value as an array of a dtype and shape; a size given as text is free.

    Raises TypeError where the conversion would lose more than precision (floats to ints), and
    ValueError where the shape is another one. Both name the argument.
    """
    array = np.asarray(value)
    expected = f"{name}: expected {np.dtype(dtype).name} of shape {shape_text(sizes)}"
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError(f"{expected}, got {array.dtype.name}")
    if array.ndim != len(sizes) or any(
        not isinstance(size, str) and size != own for size, own in zip(sizes, array.shape)
    ):
        raise ValueError(f"{expected}, got shape {shape_text(array.shape)}")
    result: Array = array.astype(dtype, copy=False)
    return result


def shape_text(sizes: Any) -> str:
    """A shape as messages write it."""
    inside = ", ".join(str(size) for size in sizes)
    return f"({inside},)" if len(sizes) == 1 else f"({inside})"


def sample_values(dtype: Any, phase: int, *sizes: int, labels: int = 2) -> Array:
    """Reproducible values for the self-test: a sine for floats, labels in turn for ints."""
    count = np.arange(np.prod(sizes, dtype=np.int64))
    values: Array = 0.6 + 0.35 * np.sin(1.7 * count + phase)
    if np.dtype(dtype).kind != "f":
        values = (count + phase) % labels
    return values.reshape(sizes).astype(dtype)


def sample_slope(gradient: Array) -> float:
    """The derivative along a fixed direction: one number that depends on every element."""
    flat = gradient.ravel().astype(np.float64)
    return float(flat @ np.cos(np.arange(flat.size)))


def agrees(name: str, value: Any, stored: float, tolerance: float) -> bool:
    """Whether a number is what was stored, told on standard output."""
    same = bool(np.isclose(float(value), stored, rtol=tolerance, atol=tolerance, equal_nan=True))
    print(f"{'ok' if same else 'FAILED':6} {name}: {float(value):.9g}, stored {stored:.9g}")
    return same
