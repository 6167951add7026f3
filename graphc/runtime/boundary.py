"""What stands at the boundary of a generated module: checks of arguments, and its self-test."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def checked(name: str, value: Any, dtype: Any, *sizes: Any) -> Array:
    """The value as a plain array of a dtype and shape; a size given as text is free.

    Subclasses lose what is special about them: `*` of an np.matrix would be another product. Raises
    TypeError where elements are masked, or the conversion would lose more than precision (floats to
    ints), and ValueError where ints do not fit or the shape is another one. All name the argument.
    """
    array = value if type(value) is np.ndarray else plain_array(name, value)
    fits = array.ndim == len(sizes) and all(
        size == own or isinstance(size, str) for size, own in zip(sizes, array.shape)
    )
    if fits and array.dtype == dtype:
        return array
    expected = f"{name}: expected {np.dtype(dtype).name} of shape {shape_text(sizes)}"
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise TypeError(f"{expected}, got {array.dtype.name}")
    if not fits:
        raise ValueError(f"{expected}, got shape {shape_text(array.shape)}")
    result: Array = array.astype(dtype)
    if result.dtype.kind in "iu" and not np.array_equal(result, array):
        raise ValueError(f"{expected}, got {array.dtype} from {array.min()} to {array.max()}")
    return result


def checked_size(name: str, size: Any) -> int:
    """A size as an int. TypeError or ValueError, naming it, for what is no count."""
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
        raise TypeError(f"{name}: expected a size as an int, got {size!r}")
    if size < 0:
        raise ValueError(f"{name}: expected a size >= 0, got {size}")
    return int(size)


def check_rng(rng: Any) -> None:
    """Raise TypeError for what is no generator of random numbers."""
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng: expected a numpy.random.Generator, got {type(rng).__name__}; "
            "pass np.random.default_rng(seed)"
        )


def plain_array(name: str, value: Any) -> Array:
    """The value as an array of no subclass. Raises TypeError for masked elements."""
    try:
        masked, array = np.ma.is_masked(value), np.asarray(value)
    except (TypeError, ValueError) as error:
        kind = type(value).__name__
        raise ValueError(f"{name}: expected an array, got {kind}: {error}") from None
    if masked:
        raise TypeError(f"{name}: expected an array, got one with masked elements; use .filled()")
    return array


def shape_text(sizes: Any) -> str:
    """A shape as messages write it."""
    inside = ", ".join(str(size) for size in sizes)
    return f"({inside},)" if len(sizes) == 1 else f"({inside})"


def sample_values(
    dtype: Any, phase: int, *sizes: int, labels: int = 2, offset: float = 0.0
) -> Array:
    """Reproducible values for the self-test: a sine for floats, labels in turn for ints.

    An array of n rows is scaled by 1/√n, so that products with it stay of moderate size.
    """
    count = np.arange(np.prod(sizes, dtype=np.int64))
    rows = int(np.prod(sizes[:-1]))
    values: Array = offset + np.sin(1.7 * count + phase) / np.sqrt(max(rows, 1))
    if np.dtype(dtype).kind != "f":
        values = (count + phase) % labels
    return values.reshape(sizes).astype(dtype)


def sample_slope(gradient: Array) -> float:
    """The derivative along a fixed direction: one number that depends on every element."""
    flat = gradient.ravel().astype(np.float64)
    return float(flat @ np.cos(np.arange(flat.size) ** 2))


def nearest_difference(
    values: Any, weights: Any, array: Array, gradient: Array
) -> tuple[float, float]:
    """The change of values as an array moves along a fixed direction, and how far it may be off.

    Of three central differences the one nearest to the gradient: a kink misleads some of them.
    """
    start, eps = array.copy(), float(np.finfo(array.dtype).eps)
    direction = np.cos(np.arange(array.size) ** 2).reshape(array.shape)
    terms = float(np.sum(np.abs(gradient.astype(np.float64) * direction)))
    found = []
    for step in (4 * eps ** (1 / 3), eps ** (1 / 3), eps ** (1 / 3) / 4):
        array[...] = start + step * direction
        ahead = [np.asarray(value, np.float64) for value in values()]
        array[...] = start - step * direction
        pairs = list(zip(weights, ahead, values()))
        rise = sum(float(np.sum(weight * (high - low))) for weight, high, low in pairs)
        noise = sum(float(np.sum(np.abs(weight * high))) for weight, high, _ in pairs)
        found.append((rise / (2 * step), eps**0.25 * terms + 2 * eps * noise / step))
    array[...] = start
    slope = sample_slope(gradient)
    return min(found, key=lambda pair: abs(pair[0] - slope) - pair[1])


def is_slope(name: str, values: Any, weights: Any, array: Array, gradient: Array) -> bool:
    """Whether a gradient agrees with differences of values, told on standard output.

    `values()` computes them from the array, with the same draws in each call.
    """
    slope = sample_slope(gradient)
    difference, tolerance = nearest_difference(values, weights, array, gradient)
    same = abs(slope - difference) <= tolerance
    print(f"{'ok' if same else 'FAILED':6} {name}: {slope:.6g}, by differences {difference:.6g}")
    return same


def agrees(name: str, value: Any, stored: float, tolerance: float) -> bool:
    """Whether a number is what was stored, told on standard output."""
    same = bool(np.isclose(float(value), stored, rtol=0, atol=tolerance, equal_nan=True))
    print(f"{'ok' if same else 'FAILED':6} {name}: {float(value):.6g}, stored {stored:.6g}")
    return same
