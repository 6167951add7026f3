"""Windows that slide over the axes behind batch and channels: for convolution and pooling.

`kernel` is the size of a window, `stride` from one to the next, `padding` how far they reach beyond
both ends, `dilation` from one element of a window to the next: one number, or pair, an axis. What
lies beyond an end is never made: each function works on slices, one for each element of a window.
What is not given is 1, no padding, and for pools windows side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def window_count(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    """How many windows there are along one axis."""
    return (size + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def window_slices(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any
) -> tuple[tuple[int, ...], list[tuple[Any, Any, Any]]]:
    """How many windows there are along each axis, and for each element of a window three indices:
    where in a window it is, the windows in which it lies inside the array, and where it is there.
    """
    stride, dilation = stride or (1,) * len(kernel), dilation or (1,) * len(kernel)
    padding = padding or ((0, 0),) * len(kernel)
    geometry = list(zip(size, kernel, stride, padding, dilation))
    counts = tuple(window_count(*axis) for axis in geometry)
    found = []
    for element in np.ndindex(kernel):
        windows, places = [], []
        for offset, count, (length, _, step, (before, _), spread) in zip(element, counts, geometry):
            start = offset * spread - before  # in the first window
            first = max(0, -(start // step))
            last = max(first, min(count, (length - 1 - start) // step + 1))
            windows.append(slice(first, last))
            places.append(slice(start + first * step, start + last * step, step))
        found.append((element, (..., *windows), (..., *places)))
    return counts, found


def unfold(
    x: Array, kernel: Any, stride: Any = (), padding: Any = (), dilation: Any = (), out: Any = None
) -> Array:
    """Each window of x (batch, channels, …) as a column: (batch, channels * elements, windows)."""
    batch, channels, *size = x.shape
    counts, slices = window_slices(tuple(size), kernel, stride, padding, dilation)
    if out is None:
        shape = (batch, channels * len(slices), int(np.prod(counts)))
        out = np.empty(shape, x.dtype)
    columns = out.reshape(batch, channels, *kernel, *counts)
    for element, windows, places in slices:
        part = columns[(slice(None), slice(None), *element)]
        part[windows] = x[places]
        for axis, inside in enumerate(windows[1:], 2):
            rows = part.swapaxes(0, axis)
            if inside.start > 0:
                rows[: inside.start] = 0
            if inside.stop < len(rows):
                rows[inside.stop :] = 0
    result: Array = out
    return result


def fold(
    columns: Array,
    size: Any,
    kernel: Any,
    stride: Any = (),
    padding: Any = (),
    dilation: Any = (),
    out: Any = None,
) -> Array:
    """The sum of windows (batch, channels * elements, windows) in arrays of a size: the transpose
    of `unfold`.
    """
    counts, slices = window_slices(size, kernel, stride, padding, dilation)
    batch, channels = columns.shape[0], columns.shape[1] // len(slices)
    if out is None:
        out = np.empty((batch, channels, *size), columns.dtype)
    out.fill(0)
    parts = columns.reshape(batch, channels, *kernel, *counts)
    for element, windows, places in slices:
        out[places] += parts[(slice(None), slice(None), *element)][windows]
    result: Array = out
    return result


def sum_pool(
    x: Array, kernel: Any, stride: Any = (), padding: Any = (), dilation: Any = (), out: Any = None
) -> Array:
    """The sum of each window."""
    counts, slices = window_slices(x.shape[2:], kernel, stride or kernel, padding, dilation)
    if out is None:
        out = np.empty((*x.shape[:2], *counts), x.dtype)
    out.fill(0)
    for _, windows, places in slices:
        out[windows] += x[places]
    result: Array = out
    return result


def spread_pool(
    x: Array,
    size: Any,
    kernel: Any,
    stride: Any = (),
    padding: Any = (),
    dilation: Any = (),
    out: Any = None,
) -> Array:
    """Each number added to all of its window, in arrays of a size: the transpose of `sum_pool`."""
    _, slices = window_slices(size, kernel, stride or kernel, padding, dilation)
    if out is None:
        out = np.empty((*x.shape[:2], *size), x.dtype)
    out.fill(0)
    apart = not (stride or dilation)
    for _, windows, places in slices:
        if apart:
            out[places] = x[windows]
        else:
            out[places] += x[windows]
    result: Array = out
    return result


def max_pool(
    x: Array, kernel: Any, stride: Any = (), padding: Any = (), dilation: Any = (), out: Any = None
) -> Array:
    """The largest element of each window."""
    counts, slices = window_slices(x.shape[2:], kernel, stride or kernel, padding, dilation)
    if out is None:
        out = np.empty((*x.shape[:2], *counts), x.dtype)
    out.fill(-np.inf if out.dtype.kind == "f" else np.iinfo(out.dtype).min)
    for _, windows, places in slices:
        np.maximum(out[windows], x[places], out=out[windows])
    result: Array = out
    return result


def first_in_windows(
    x: Array, y: Array, slices: list[tuple[Any, Any, Any]]
) -> Iterator[tuple[Any, Any, Array]]:
    """For each element of a window: the windows, its places in x, and a mask of where it is the
    first of the largest, which are y.
    """
    free = np.ones(y.shape, np.bool_)  # windows whose maximum has not been met
    for _, windows, places in slices:
        first = x[places] == y[windows]
        first &= free[windows]
        free[windows] ^= first
        yield windows, places, first


def max_unpool(
    bar: Array,
    x: Array,
    y: Array,
    kernel: Any,
    stride: Any = (),
    padding: Any = (),
    dilation: Any = (),
    out: Any = None,
) -> Array:
    """Each number of `bar` at the first of the largest elements of its window of x, which is y."""
    _, slices = window_slices(x.shape[2:], kernel, stride or kernel, padding, dilation)
    if out is None:
        out = np.empty(x.shape, bar.dtype)
    out.fill(0)
    apart = not (stride or dilation)
    for windows, places, first in first_in_windows(x, y, slices):
        if apart:
            np.multiply(bar[windows], first, out=out[places])
        else:
            out[places] += bar[windows] * first
    result: Array = out
    return result


def at_maxima(
    g: Array,
    x: Array,
    y: Array,
    kernel: Any,
    stride: Any = (),
    padding: Any = (),
    dilation: Any = (),
    out: Any = None,
) -> Array:
    """g at the first of the largest elements of each window of x: the transpose of `max_unpool`."""
    _, slices = window_slices(x.shape[2:], kernel, stride or kernel, padding, dilation)
    if out is None:
        out = np.empty(y.shape, g.dtype)
    out.fill(0)
    for windows, places, first in first_in_windows(x, y, slices):
        out[windows] += g[places] * first
    result: Array = out
    return result
