"""Ops on sliding windows, and padding, by the sums that define them: a loop over each product."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.ops.windows import Windows

Array = np.ndarray[Any, Any]
Index = tuple[int, ...]


def options(kernel: Any, rank: int, stride: Any, padding: Any, dilation: Any) -> tuple[Any, ...]:
    """What may be one number as one an axis; the padding before each axis, and behind it."""
    spread = [n if isinstance(n, tuple) else (n,) * rank for n in (kernel, stride, dilation)]
    kernel, stride, dilation = spread
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return kernel, stride, [(total // 2, total - total // 2) for total in totals], dilation
    before = padding if isinstance(padding, tuple) else (padding,) * rank
    return kernel, stride, [p if isinstance(p, tuple) else (p, p) for p in before], dilation


def counts(size: Index, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Index:
    """How many windows there are, by placing them one after the other."""
    found = []
    for n, k, s, (before, behind), d in zip(size, kernel, stride, padding, dilation, strict=True):
        starts = range(-before, n + behind, s)
        found.append(sum(start + d * (k - 1) < n + behind for start in starts))
    return tuple(found)


def elements(size: Index, *geometry: Any) -> Iterator[tuple[Index, Index, Index]]:
    """Each window, each element of it, and where in the array that is, unless it is outside."""
    kernel, stride, padding, dilation = geometry
    for window in np.ndindex(*counts(size, *geometry)):
        for element in np.ndindex(*kernel):
            place = tuple(
                w * s + e * d - before
                for w, s, e, d, (before, _) in zip(
                    window, stride, element, dilation, padding, strict=True
                )
            )
            if all(0 <= at < n for at, n in zip(place, size, strict=True)):
                yield window, element, place


def unfold(x: Array, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Array:
    size = x.shape[2:]
    geometry = options(kernel, len(size), stride, padding, dilation)
    number = counts(size, *geometry)
    result = np.zeros((*x.shape[:2], *geometry[0], *number))
    for window, element, place in elements(size, *geometry):
        result[(slice(None), slice(None), *element, *window)] = x[(..., *place)]
    rows = x.shape[1] * int(np.prod(geometry[0]))
    return result.reshape(x.shape[0], rows, int(np.prod(number)))


def fold(
    x: Array, size: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Array:
    size = size if isinstance(size, tuple) else (size,)
    geometry = options(kernel, len(size), stride, padding, dilation)
    number = counts(size, *geometry)
    parts = x.reshape(x.shape[0], -1, *geometry[0], *number)
    result = np.zeros((*parts.shape[:2], *size))
    for window, element, place in elements(size, *geometry):
        result[(..., *place)] += parts[(slice(None), slice(None), *element, *window)]
    return result


def convolution(
    x: Array, w: Array, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Array:
    size = x.shape[2:]
    geometry = options(w.shape[2:], len(size), stride, padding, dilation)
    result = np.zeros((len(x), len(w), *counts(size, *geometry)))
    for window, element, place in elements(size, *geometry):
        for output, channel in itertools.product(range(len(w)), range(w.shape[1])):
            source = output // (len(w) // groups) * w.shape[1] + channel
            result[(slice(None), output, *window)] += (
                w[(output, channel, *element)] * x[(slice(None), source, *place)]
            )
    return result


def transposed_convolution(
    x: Array, w: Array, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Array:  # fmt: skip
    rank = x.ndim - 2
    geometry = options(w.shape[2:], rank, stride, padding, dilation)
    _, strides, paddings, dilations = geometry
    more = output_padding if isinstance(output_padding, tuple) else (output_padding,) * rank
    axes = zip(x.shape[2:], w.shape[2:], strides, paddings, dilations, more, strict=True)
    size = tuple((n - 1) * s + d * (k - 1) + 1 - sum(p) + m for n, k, s, p, d, m in axes)
    share, outputs = x.shape[1] // groups, w.shape[1]
    result = np.zeros((len(x), groups * outputs, *size))
    for window, element, place in elements(size, *geometry):
        if any(at >= n for at, n in zip(window, x.shape[2:], strict=True)):
            continue  # what output_padding has room for
        for channel, output in itertools.product(range(x.shape[1]), range(outputs)):
            result[(slice(None), channel // share * outputs + output, *place)] += (
                w[(channel, output, *element)] * x[(slice(None), channel, *window)]
            )
    return result


def with_a_last_one(size: Index, geometry: tuple[Any, ...]) -> tuple[Any, ...]:
    """The geometry with as much padding as the windows need that begin before the end."""
    kernel, stride, padding, dilation = geometry
    wider = []
    for n, k, s, (before, behind), d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = d * (k - 1) + 1
        starts = [start for start in range(-before, n, s) if start + span - s < n + behind]
        wider.append((before, max(behind, starts[-1] + span - n)))
    return kernel, stride, wider, dilation


def sum_pool(
    x: Array, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Array:
    size = x.shape[2:]
    geometry = options(kernel, len(size), kernel if stride is None else stride, padding, dilation)
    result = np.zeros((*x.shape[:2], *counts(size, *geometry)))
    for window, _, place in elements(size, *geometry):
        result[(..., *window)] += x[(..., *place)]
    return result


def spread_pool(
    x: Array, size: Index, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Array:
    geometry = options(kernel, len(size), kernel if stride is None else stride, padding, dilation)
    result = np.zeros((*x.shape[:2], *size))
    for window, _, place in elements(size, *geometry):
        result[(..., *place)] += x[(..., *window)]
    return result


def max_pool(
    x: Array, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    size = x.shape[2:]
    geometry = options(kernel, len(size), kernel if stride is None else stride, padding, dilation)
    geometry = with_a_last_one(size, geometry) if ceil_mode else geometry
    result = np.full((*x.shape[:2], *counts(size, *geometry)), -np.inf)
    for window, _, place in elements(size, *geometry):
        result[(..., *window)] = np.fmax(result[(..., *window)], x[(..., *place)])
    return result


def lp_pool(
    x: Array, p: int, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Array:  # fmt: skip
    size = x.shape[2:]
    geometry = options(kernel, len(size), kernel if stride is None else stride, padding, dilation)
    geometry = with_a_last_one(size, geometry) if ceil_mode else geometry
    result = np.zeros((*x.shape[:2], *counts(size, *geometry)))
    for window, _, place in elements(size, *geometry):
        result[(..., *window)] += np.abs(x[(..., *place)]) ** p
    return np.power(result, 1 / p)


def firsts(x: Array, y: Array, windows: Windows) -> Iterator[tuple[Any, Any]]:
    """For each image, channel and window, its index and that of its first largest element."""
    for image in np.ndindex(*x.shape[:2]):
        met = set()
        for window, _, place in elements(x.shape[2:], *windows):
            if window not in met and x[image + place] == y[image + window]:
                met.add(window)
                yield image + window, image + place


def max_unpool(bar: Array, x: Array, y: Array, windows: Windows) -> Array:
    result = np.zeros(x.shape)
    for window, place in firsts(x, y, windows):
        result[place] += bar[window]
    return result


def at_maxima(g: Array, x: Array, y: Array, windows: Windows) -> Array:
    result = np.zeros(y.shape)
    for window, place in firsts(x, y, windows):
        result[window] = g[place]
    return result


def unpad(x: Array, widths: Any, mode: str) -> Array:
    """Each element of x at the place that np.pad reads there."""
    size = tuple(n - before - behind for n, (before, behind) in zip(x.shape, widths, strict=True))
    places = np.pad(np.arange(np.prod(size)).reshape(size), widths, mode=mode)
    result = np.zeros(size)
    for value, place in zip(x.ravel(), places.ravel(), strict=True):
        result.flat[place] += value
    return result


FORMULAS: dict[str, Callable[..., Any]] = {
    "at_maxima": at_maxima,
    "convolution": convolution,
    "fold": fold,
    "global_max_pool": lambda x: x.reshape(*x.shape[:2], -1).max(-1),
    "lp_pool": lp_pool,
    "max_pool": max_pool,
    "max_unpool": max_unpool,
    "spread_pool": spread_pool,
    "sum_pool": sum_pool,
    "transposed_convolution": transposed_convolution,
    "unfold": unfold,
    "unpad": unpad,
}
