"""Array operations that NumPy has no function for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)); exp only ever sees numbers <= 0, so that it cannot overflow."""
    one = x.dtype.type(1)
    result: Array = np.exp(np.minimum(x, x.dtype.type(0))) / (one + np.exp(-np.abs(x)))
    return result


def sigmoid_slope(x: Array) -> Array:
    """sigmoid(x) (1 - sigmoid(x)); the second factor has no digits left where the first is 1."""
    decay = np.exp(-np.abs(x))
    result: Array = decay / np.square(x.dtype.type(1) + decay)
    return result


def tanh_slope(x: Array) -> Array:
    """1 - tanh(x)², of which nothing is left where tanh(x) rounds to 1."""
    decay = np.exp(x.dtype.type(-2) * np.abs(x))
    result: Array = x.dtype.type(4) * decay / np.square(x.dtype.type(1) + decay)
    return result


def exp_sum(x: Array, y: Array) -> Array:
    """exp(x + y), with what the addition rounds off made good: the last bits count in an exponent.

    The rest is that of Knuth's sum of two numbers (The Art of Computer Programming, 4.2.2).
    """
    total = x + y
    with np.errstate(invalid="ignore"):  # infinities have no rest
        part = total - x
        rest = (x - (total - part)) + (y - part)
    # Large rests are of sums that no exponential is finite for, but 0 times infinity is NaN.
    kind = total.dtype.type
    result: Array = np.exp(total) * (kind(1) + np.where(np.abs(rest) < 0.5, rest, kind(0)))
    return result


def embed(x: Array, shape: tuple[int, ...], key: Any) -> Array:
    """Zeros of a shape, with x at a basic index: the transpose of reading `[key]`."""
    result = np.zeros(shape, x.dtype)
    result[key] = x
    return result


def pick(x: Array, index: Array) -> Array:
    """x[..., index], one element a row. IndexError names an index outside of the last axis."""
    if index.size and not (0 <= index.min() and index.max() < x.shape[-1]):
        raise IndexError(
            f"labels must be in 0..{x.shape[-1] - 1}, got {index.min()}..{index.max()}"
        )
    result: Array = np.take_along_axis(x, index[..., np.newaxis], axis=-1)[..., 0]
    return result


def one_hot(index: Array, classes: int) -> Array:
    """For each label a bool row that is true in its place. IndexError names one outside of it."""
    if index.size and not (0 <= index.min() and index.max() < classes):
        raise IndexError(f"labels must be in 0..{classes - 1}, got {index.min()}..{index.max()}")
    result: Array = index[..., np.newaxis] == np.arange(classes)
    return result


def unbiased(variance: Array, count: int) -> Array:
    """A mean of squares as a sum over one less. Raises ValueError for the variance of one value."""
    if count < 2:
        raise ValueError(f"training needs more than one value a channel, got {count}")
    result: Array = variance * variance.dtype.type(count / (count - 1))
    return result


def first_maximum(x: Array, axes: tuple[int, ...]) -> Array:
    """A mask of the first maximum over some axes, in C order."""
    others = tuple(axis for axis in range(x.ndim) if axis not in axes)
    moved = x.transpose(others + axes)
    size = int(np.prod([x.shape[axis] for axis in axes]))
    rows = moved.reshape([x.shape[axis] for axis in others] + [size])
    mask = np.arange(rows.shape[-1]) == rows.argmax(axis=-1)[..., np.newaxis]
    result: Array = mask.reshape(moved.shape).transpose(np.argsort(others + axes))
    return result


def product_of_others(x: Array) -> Array:
    """Along the last axis, for each element the product of all the others; no division."""
    ones = np.ones_like(x[..., :1])
    before = np.concatenate([ones, x[..., :-1]], axis=-1).cumprod(axis=-1, dtype=x.dtype)
    after = np.concatenate([ones, x[..., :0:-1]], axis=-1).cumprod(axis=-1, dtype=x.dtype)
    result: Array = before * after[..., ::-1]
    return result


def linear_recurrence(factor: Array, term: Array, axis: int) -> Array:
    """y[i] = factor[i] y[i-1] + term[i] along an axis.

    Each round joins runs of a length to runs of twice that, all of them at once (Hillis, Steele
    1986), so that there are only log2(n) rounds.
    """
    total = np.moveaxis(term, axis, 0).copy()
    product = np.moveaxis(factor, axis, 0).copy()
    step = 1
    while step < len(total):
        total[step:] += product[step:] * total[:-step]
        product[step:] = product[step:] * product[:-step]
        step *= 2
    result: Array = np.moveaxis(total, 0, axis)
    return result


def embed_diagonal(x: Array, shape: tuple[int, ...], offset: int, first: int, second: int) -> Array:
    """Zeros of a shape whose diagonal over two axes is the last axis of x."""
    result = np.zeros(shape, x.dtype)
    matrices = np.moveaxis(result, (first, second), (-2, -1))
    places = np.arange(x.shape[-1])
    matrices[..., places - min(offset, 0), places + max(offset, 0)] = x
    return result


def cofactors(x: Array) -> Array:
    """The derivative of det(x), which is det(x) inv(x)ᵀ where x has an inverse.

    By the singular values, of which none is divided by: that of U S Vᵀ is det(U) det(V) times
    U, the products of the other singular values, and Vᵀ.
    """
    left, values, right = np.linalg.svd(x)
    sign = np.linalg.det(left) * np.linalg.det(right)
    others = product_of_others(values) * sign[..., np.newaxis]
    result: Array = (left * others[..., np.newaxis, :]) @ right
    return result
