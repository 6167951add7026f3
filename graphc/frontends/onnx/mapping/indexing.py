"""Operators that read and write elements by their indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from graphc import ops
from graphc.errors import ShapeError
from graphc.frontends.onnx.registry import Call, maps
from graphc.frontends.onnx.tensors import element_type
from graphc.ir import dims
from graphc.ir.dims import Dim, Extent
from graphc.ir.node import Node
from graphc.ir.types import INT, int64, normalize_axis
from graphc.ops.coordinates import along, places_of
from graphc.ops.indexing import Span, getitem
from graphc.ops.operands import cast
from graphc.ops.rearranging import eye_on
from graphc.ops.scattering import written
from graphc.ops.shape import arange_on

FAR = 2**31 - 1  # what models write for the end of an axis, where it is not even more

# --- slices --------------------------------------------------------------------------------------


@maps("Slice", until=9)
def slice_attributes(
    call: Call,
    x: Node,
    *,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...] | None = None,
) -> Node:
    """The bounds are attributes."""
    return sliced(call, x, starts, ends, axes, None)


@maps("Slice", since=10)
def slice_inputs(
    call: Call,
    x: Node,
    starts: Node,
    ends: Node,
    axes: Node | None = None,
    steps: Node | None = None,
) -> Node:
    """The bounds are inputs, with steps."""
    bounds = call.sizes(starts, "the starts"), call.sizes(ends, "the ends")
    places = None if axes is None else call.ints(axes, "the axes")
    return sliced(
        call, x, *bounds, places, None if steps is None else call.ints(steps, "the steps")
    )


def sliced(
    call: Call,
    x: Node,
    starts: Sequence[Extent],
    ends: Sequence[Extent],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Node:
    """x between bounds that may lie beyond its ends, or count from its end."""
    listed = range(len(starts)) if axes is None else axes
    places = [normalize_axis(axis, x.ndim) for axis in listed]
    strides = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(places) == len(strides):
        call.refuse("there are as many starts as ends, axes and steps")
    key = [Span(0, size, 1) for size in x.shape]
    for axis, start, end, step in zip(places, starts, ends, strides, strict=True):
        key[axis] = span(call, x.shape[axis], start, end, step)
    whole = all(own == Span(0, size, 1) for own, size in zip(key, x.shape, strict=True))
    return x if whole else getitem.node((x,), x.shape, tuple(key))


def span(call: Call, size: Extent, start: Extent, end: Extent, step: int) -> Span:
    """A slice of an axis, its bounds brought between the ends as far as names let tell."""
    if step == 0:
        call.refuse("the step of a slice is not 0")
    if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
        first, stop, step = slice(start, end, step).indices(size)
        return Span(first, max(first, stop) if step > 0 else min(first, stop), step)
    low, high = (0, size) if step > 0 else (-1, size - 1)
    begin, behind = (from_front(bound, size, low, high) for bound in (start, end))
    empty = dims.at_least(begin, behind) if step > 0 else dims.at_least(behind, begin)
    return Span(begin, begin if empty else behind, step)


def from_front(bound: Extent, size: Extent, low: Extent, high: Extent) -> Extent:
    """A bound counted from the front, not below `low` and not above `high`.

    What names leave open is a condition that the module checks when it runs: that n is not below
    5 for a bound of 5, and that n - m is not negative, which would count from the end.
    """
    if isinstance(bound, int) and abs(bound) >= FAR:
        return high if bound > 0 else low
    if dims.at_least(-1, bound):
        bound = bound + size
    if dims.at_least(bound, high):
        return high
    return low if dims.at_least(low, bound) else bound


# --- reading -------------------------------------------------------------------------------------


@maps("Gather")
def gather(call: Call, x: Node, indices: Node, *, axis: int = 0) -> Node:
    """Parts of an axis; one that is known, be it by the name of a size, is a plain index."""
    known = call.importing.known(indices)
    if known is not None and known.ndim == 0:
        return x[(slice(None),) * normalize_axis(axis, x.ndim) + (known[()],)]
    return ops.take(x, indices, axis)


@maps("GatherElements", since=11)
def gather_elements(call: Call, x: Node, indices: Node, *, axis: int = 0) -> Node:
    """For each index the element of its place along other axes, of which x may have more."""
    axis = normalize_axis(axis, x.ndim)
    if indices.ndim != x.ndim:
        call.refuse(f"indices have as many axes as x, got {indices.ndim} and {x.ndim}")
    key = [slice(None) if i == axis else slice(size) for i, size in enumerate(indices.shape)]
    return ops.take_along_axis(x[tuple(key)], indices, axis)


maps(
    "GatherND",
    lambda call, x, indices, *, batch_dims=0: ops.gather_nd(x, indices, batch_dims),
    since=11,
)


@maps("ReverseSequence", since=10)
def reverse_sequence(
    call: Call, x: Node, lengths: Node, *, batch_axis: int = 1, time_axis: int = 0
) -> Node:
    """Each sequence of a batch backwards, as far as its length goes."""
    if lengths.ndim != 1:
        call.refuse(f"the lengths are one for each sequence, got {lengths.ndim} axes")
    moved = ops.moveaxis(x, (batch_axis, time_axis), (0, 1))
    time, length = arange_on(call.graph, moved.shape[1]), ops.expand_dims(cast(lengths, int64), 1)
    index = ops.where(time < length, length - 1 - time, time)
    rows = moved.shape[:2]
    order = places_of(call.op_type, along(index, rows, 1), rows)
    flat = ops.reshape(moved, (dims.product(rows), *moved.shape[2:]))
    return ops.moveaxis(ops.take(flat, order, 0), (0, 1), (batch_axis, time_axis))


# --- writing -------------------------------------------------------------------------------------


@maps("Scatter", since=9)
@maps("ScatterElements", since=11)
def scatter_elements(
    call: Call, x: Node, indices: Node, updates: Node, *, axis: int = 0, reduction: str = "none"
) -> Node:
    """Updates at indices of an axis."""
    return ops.scatter_along_axis(x, indices, updates, axis, reduction)


@maps("ScatterND", since=11)
def scatter_nd(
    call: Call, x: Node, indices: Node, updates: Node, *, reduction: str = "none"
) -> Node:
    """Updates at the coordinates on the last axis of the indices."""
    return ops.scatter_nd(x, indices, updates, reduction)


@maps("TensorScatter", since=24)
def tensor_scatter(
    call: Call,
    cache: Node,
    update: Node,
    starts: Node | None = None,
    *,
    axis: int = -2,
    mode: str = "linear",
) -> Node:
    """An update that is written into a cache from a start for each of the batch, along an axis."""
    axis = normalize_axis(axis, cache.ndim)
    if mode not in ("linear", "circular") or axis == 0:
        call.refuse(f"the mode {mode!r} along axis {axis} is not supported")
    if update.ndim != cache.ndim:
        call.refuse(f"the update has {update.ndim} axes, and the cache {cache.ndim}")
    rows, size = update.shape[: axis + 1], cache.shape[axis]
    index = arange_on(call.graph, rows[-1])
    if starts is not None:
        index = ops.expand_dims(cast(starts, int64), tuple(range(1, axis + 1))) + index
    if mode == "circular":
        index = ops.where(index >= size, index - size, index)
    place = places_of(call.op_type, along(index, rows, axis), cache.shape[: axis + 1])
    return written(call.op_type, cache, place, update, axis + 1)


# --- made of indices -----------------------------------------------------------------------------


@maps("OneHot", since=9)
def one_hot(call: Call, indices: Node, depth: Node, values: Node, *, axis: int = -1) -> Node:
    """The second value at each index, else the first; indices outside of the depth have none."""
    count: Extent
    if depth.dtype.kind == INT:
        count = call.size(depth, "the depth")
    else:
        number = call.number(depth, "the depth")
        count = int(number) if float(number).is_integer() else call.refuse(f"a depth of {number}")
    axis = normalize_axis(axis, indices.ndim + 1)
    index = cast(indices, int64)
    own = ops.expand_dims(ops.where(index < 0, index + count, index), axis)
    behind = tuple(range(1, own.ndim - axis))
    numbers = arange_on(call.graph, count)
    return ops.where(own == ops.expand_dims(numbers, behind), values[1], values[0])


@maps("EyeLike", since=9)
def eye_like(call: Call, x: Node, *, dtype: int | None = None, k: int = 0) -> Node:
    """Ones on a diagonal, in the shape of x."""
    if x.ndim != 2:
        raise ShapeError(f"EyeLike expects a matrix, got {x.ndim} axes")
    kept = x.dtype if dtype is None else element_type(dtype, "the result")
    rows, columns = x.shape
    return eye_on(call.graph, rows, columns, k, kept)


@maps("Range", since=11)
def range_(call: Call, start: Node, limit: Node, delta: Node, *, stash_type: int = 1) -> Node:
    """start, start + delta, … below the limit; sizes may have names."""
    inputs = ((start, "the start"), (limit, "the limit"), (delta, "the step"))
    if start.dtype.kind == INT:
        first, last, step = (call.size(node, what) for node, what in inputs)
        if isinstance(step, Dim) or step == 0:
            call.refuse(f"the step of a range is a number other than 0, got {step}")
        count = Span(first, last, step).length()
    else:
        first, last, step = (call.number(node, what) for node, what in inputs)
        if not np.isfinite([first, last, step]).all() or step == 0:
            call.refuse(f"a range from {first} to {last} in steps of {step}")
        count = int(np.ceil((last - first) / step))
    count = max(count, 0) if isinstance(count, int) else count
    numbers = arange_on(call.graph, count, start.dtype)
    scaled = numbers if step == 1 else numbers * step
    return scaled if isinstance(first, (int, float)) and first == 0 else scaled + first


@maps("Trilu", since=14)
def trilu(call: Call, x: Node, k: Node | None = None, *, upper: int = 1) -> Node:
    """The upper or lower triangle of the last two axes."""
    told = 0 if k is None else call.number(k, "the diagonal")
    diagonal = max(-FAR, min(told, FAR))  # NumPy counts with 64 bits beyond it
    return ops.triu(x, diagonal) if upper else ops.tril(x, diagonal)


# --- results of a size that data decides ---------------------------------------------------------


@maps("NonZero", since=9)
def nonzero(call: Call, x: Node) -> Node:
    """The coordinates of what is not zero, where that is known."""
    known = call.known(x)
    if known is None:
        undecided(call, "elements are not zero")
    return call.constant(np.array(np.nonzero(known), np.int64))


@maps("Compress", since=9)
def compress(call: Call, x: Node, condition: Node, *, axis: int | None = None) -> Node:
    """The parts of x that a condition chooses, where that is known."""
    known = call.known(condition)
    if known is None:
        undecided(call, "elements the condition chooses")
    return ops.take(x, np.flatnonzero(known), axis)


def undecided(call: Call, what: str) -> NoReturn:
    """Refuse an operator whose result has a shape that depends on data."""
    call.refuse(
        f"the shape of the result depends on data: how many {what}, and a graph is static",
        hint="bind the input if it is fixed: --bind NAME=FILE.npy",
    )
