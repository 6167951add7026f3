"""Operators that tell, change, cut and join shapes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from graphc import ops
from graphc.errors import ShapeError
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir import dims
from graphc.ir.dims import Dim, Extent, Shape
from graphc.ir.node import Node
from graphc.ir.types import int64, normalize_axes, normalize_axis
from graphc.ops.operands import size_node
from graphc.ops.shape import as_count

MOST_PARTS = 1 << 16  # that an array is split into

# --- sizes as values ---------------------------------------------------------------------------


@maps("Shape")
def shape(call: Call, x: Node, *, start: int = 0, end: int | None = None) -> Node:
    """The sizes of some axes, as a vector; bounds beyond the axes are those of slices."""
    return vector(call, x.shape[slice(start, end)])


@maps("Size")
def size(call: Call, x: Node) -> Node:
    """The number of elements."""
    return size_node(call.graph, x.size, int64)


def vector(call: Call, sizes: Shape) -> Node:
    """Ints and named sizes as a vector of int64."""
    if any(isinstance(size, Dim) for size in sizes):
        return ops.stack([size_node(call.graph, size, int64) for size in sizes])
    return call.constant(np.array(sizes, np.int64))


# --- the same elements in another shape ----------------------------------------------------------


@maps("Reshape", since=5)
def reshape(call: Call, x: Node, shape: Node, *, allowzero: int = 0) -> Node:
    """A size of -1 follows from the others; one of 0 is that of x, unless it is allowed."""
    target = list(sizes_of(call, shape))
    for axis, size in enumerate(target):
        if isinstance(size, int) and size == 0 and not allowzero:
            if axis >= x.ndim:
                call.refuse(f"axis {axis} of the shape is 0, and x has only {x.ndim} axes")
            target[axis] = x.shape[axis]
    try:
        return ops.reshape(x, tuple(target))
    except ShapeError as error:
        raise ShapeError(error.message, hint=error.hint or fixed_size(x, tuple(target))) from None


def fixed_size(x: Node, target: Shape) -> str | None:
    """What to do where a target has the number that an axis with a name had in the example.

    PyTorch's tracing does so to sequences in nn.MultiheadAttention.
    """
    left = sorted(dims.all_names(x.shape) - dims.all_names(target))
    if len(left) != 1 or -1 in target:
        return None
    others = dims.substitute(x.size, lambda name: 1 if name == left[0] else dims.named(name))
    size = None if others == 0 else dims.exact_quotient(dims.product(target), others)
    if not isinstance(size, int):
        return None
    return f"the exporter fixed a size: --bind {left[0]}={size}"


def sizes_of(call: Call, shape: Node) -> Shape:
    """The sizes of a shape; one that nothing tells follows from the others, as if it were -1.

    Of a mask `bias[:n]` with 16 rows, torch.export counts `min(16, n)`, which is no polynomial.
    """
    parts = shape.args if shape.op is ops.concat else ()
    unknown = [part for part in parts if call.importing.known(part) is None]
    if len(unknown) != 1 or unknown[0].shape != (1,):
        return call.sizes(shape, "the shape")
    each = [(-1,) if part is unknown[0] else call.sizes(part, "the shape") for part in parts]
    sizes = tuple(size for part in each for size in part)
    return call.sizes(shape, "the shape") if sizes.count(-1) > 1 else sizes


@maps("Flatten")
def flatten(call: Call, x: Node, *, axis: int = 1) -> Node:
    """A matrix: the axes before `axis` are the rows."""
    if not -x.ndim <= axis <= x.ndim:
        raise ShapeError(f"axis {axis} is none of 0..{x.ndim}")
    place = axis + x.ndim if axis < 0 else axis
    return ops.reshape(x, (dims.product(x.shape[:place]), dims.product(x.shape[place:])))


@maps("Squeeze", until=12)
def squeeze_axes(call: Call, x: Node, *, axes: tuple[int, ...] | None = None) -> Node:
    """The axes are an attribute; without them all that are 1."""
    return ops.squeeze(x, axes)


@maps("Squeeze", since=13)
def squeeze(call: Call, x: Node, axes: Node | None = None) -> Node:
    """The axes are an input."""
    return ops.squeeze(x, None if axes is None else call.ints(axes, "the axes"))


maps("Unsqueeze", lambda call, x, *, axes: ops.expand_dims(x, axes), until=12)
maps(
    "Unsqueeze",
    lambda call, x, axes: ops.expand_dims(x, call.ints(axes, "the axes")),
    since=13,
)
maps("Transpose", lambda call, x, *, perm=None: ops.permute_dims(x, perm))


@maps("Expand", since=8)
def expand(call: Call, x: Node, shape: Node) -> Node:
    """Broadcast with a shape: where that is 1, the size of x stays."""
    target = call.sizes(shape, "the shape")
    own = (1,) * (len(target) - x.ndim) + x.shape
    wanted = (1,) * (x.ndim - len(target)) + target
    sizes = [mine if size == 1 else size for mine, size in zip(own, wanted, strict=True)]
    return ops.broadcast_to(x, tuple(sizes))


maps("Tile", lambda call, x, repeats: ops.tile(x, call.sizes(repeats, "repeats")), since=6)

# --- joined and cut ------------------------------------------------------------------------------

maps("Concat", lambda call, *xs, axis: ops.concat(xs, axis), since=4)


@maps("Split", since=2, until=12)
def split_sizes(
    call: Call, x: Node, *, axis: int = 0, split: tuple[int, ...] | None = None
) -> tuple[Node, ...]:
    """The sizes of the parts are an attribute; without them the parts are equal."""
    return parts(x, axis, split or equal_parts(x, axis, call.outputs))


@maps("Split", since=13)
def split(
    call: Call, x: Node, split: Node | None = None, *, axis: int = 0, num_outputs: int = 0
) -> tuple[Node, ...]:
    """The sizes of the parts are an input; without them all are equal, but maybe for the last."""
    if split is not None:
        return parts(x, axis, call.sizes(split, "the sizes of the parts"))
    if num_outputs > MOST_PARTS:
        call.refuse(f"num_outputs is at most {MOST_PARTS}, got {num_outputs}")
    size = x.shape[normalize_axis(axis, x.ndim)]
    if num_outputs < 1 or dims.exact_quotient(size, num_outputs) is not None:
        return parts(x, axis, equal_parts(x, axis, num_outputs or call.outputs))
    each = dims.floor_divide(size + num_outputs - 1, num_outputs)
    return parts(x, axis, (*[each] * (num_outputs - 1), size - each * (num_outputs - 1)))


def equal_parts(x: Node, axis: int, count: int) -> Shape:
    """The sizes of so many equal parts. Raises ShapeError where there are none."""
    size = x.shape[normalize_axis(axis, x.ndim)]
    if count < 1 or (isinstance(size, int) and size % count):
        raise ShapeError(f"{size} does not divide into {count} equal parts")
    return (dims.floor_divide(size, count),) * count


def parts(x: Node, axis: int, sizes: Sequence[Extent]) -> tuple[Node, ...]:
    """x cut along an axis into parts of these sizes."""
    own = x.shape[normalize_axis(axis, x.ndim)]
    *cuts, total = accumulate(sizes, initial=0)
    if isinstance(total, int) and isinstance(own, int) and total != own:
        raise ShapeError(f"parts of {tuple(sizes)} do not make up {own}")
    return tuple(ops.split(x, cuts[1:], axis))


# --- blocks of images ----------------------------------------------------------------------------


@maps("DepthToSpace")
def depth_to_space(call: Call, x: Node, *, blocksize: int, mode: str = "DCR") -> Node:
    """Channels become the pixels of blocks; they count blocks first (DCR) or last (CRD)."""
    batch, channels, height, width = images(call, x, blocksize)
    kept = dims.floor_divide(channels, blocksize * blocksize)
    block = (blocksize, blocksize)
    first = moded(call, mode) == "DCR"
    split = (*block, kept) if first else (kept, *block)
    apart = ops.reshape(x, (batch, *split, height, width))
    order = (0, 3, 4, 1, 5, 2) if first else (0, 1, 4, 2, 5, 3)
    joined = (batch, kept, height * blocksize, width * blocksize)
    return ops.reshape(ops.permute_dims(apart, order), joined)


@maps("SpaceToDepth")
def space_to_depth(call: Call, x: Node, *, blocksize: int, mode: str = "DCR") -> Node:
    """The pixels of blocks become channels; they count blocks first (DCR) or last (CRD)."""
    batch, channels, height, width = images(call, x, blocksize)
    rows, columns = (dims.floor_divide(size, blocksize) for size in (height, width))
    apart = ops.reshape(x, (batch, channels, rows, blocksize, columns, blocksize))
    order = (0, 3, 5, 1, 2, 4) if moded(call, mode) == "DCR" else (0, 1, 3, 5, 2, 4)
    joined = (batch, channels * blocksize * blocksize, rows, columns)
    return ops.reshape(ops.permute_dims(apart, order), joined)


def images(call: Call, x: Node, blocksize: int) -> Shape:
    """The sizes of a batch of images, which are to be made of blocks."""
    if x.ndim != 4 or blocksize < 1:
        call.refuse(f"{call.op_type} expects images (batch, channels, height, width), and blocks")
    return x.shape


def moded(call: Call, mode: str) -> str:
    """The order of channels, if it is one of the standard's."""
    if mode not in ("DCR", "CRD"):
        call.refuse(f"the mode is 'DCR' or 'CRD', got {mode!r}")
    return mode


# --- larger and smaller ends ---------------------------------------------------------------------


@maps("Pad", since=2, until=10)
def pad_attributes(
    call: Call, x: Node, *, pads: tuple[int, ...], mode: str = "constant", value: float = 0.0
) -> Node:
    """The widths and the value are attributes."""
    return padded(call, x, pads, tuple(range(x.ndim)), mode, call.constant(value, x.dtype))


@maps("Pad", since=11)
def pad(
    call: Call,
    x: Node,
    pads: Node,
    constant_value: Node | None = None,
    axes: Node | None = None,
    *,
    mode: str = "constant",
) -> Node:
    """The widths, the value and the axes are inputs."""
    places = range(x.ndim) if axes is None else call.ints(axes, "the axes")
    chosen = tuple(normalize_axis(axis, x.ndim) for axis in places)
    normalize_axes(chosen, x.ndim)  # none of them twice
    return padded(call, x, call.ints(pads, "the widths"), chosen, mode, constant_value)


def padded(
    call: Call,
    x: Node,
    pads: tuple[int, ...],
    axes: tuple[int, ...],
    mode: str,
    value: Node | None,
) -> Node:
    """x with ends that are larger, or smaller where a width is negative; a value data may hold."""
    if len(pads) != 2 * len(axes):
        call.refuse(f"{len(axes)} axes have {2 * len(axes)} widths, got {len(pads)}")
    widths = [(0, 0)] * x.ndim
    for axis, before, behind in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        widths[axis] = before, behind
    cut = []
    for size, (before, behind) in zip(x.shape, widths, strict=True):
        start, stop = max(0, -before), size + min(0, behind)
        if isinstance(stop, int) and start > stop:
            call.refuse(f"widths of {before} and {behind} leave nothing of {size} elements")
        cut.append(slice(start, stop))
    kept = x[tuple(cut)]
    added = [(max(0, before), max(0, behind)) for before, behind in widths]
    if mode != "constant" or value is None:
        return ops.pad(kept, added, mode)
    known = call.known(value)
    if known is not None:
        return ops.pad(kept, added, constant_values=call.number(value, "the value"))
    inside = ops.pad(ops.broadcast_to(call.constant(True), kept.shape), added)
    return ops.where(inside, ops.pad(kept, added), ops.reshape(value, ()))


@maps("CenterCropPad", since=18)
def center_crop_pad(
    call: Call, x: Node, shape: Node, *, axes: tuple[int, ...] | None = None
) -> Node:
    """The middle of x along axes that get smaller; zeros around x along those that get larger."""
    places = range(x.ndim) if axes is None else [normalize_axis(axis, x.ndim) for axis in axes]
    sizes = call.sizes(shape, "the shape")
    if len(sizes) != len(places):
        call.refuse(f"{len(places)} axes have as many sizes, got {len(sizes)}")
    key, widths = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
    for axis, wanted in zip(places, sizes, strict=True):
        own = x.shape[axis]
        as_count("CenterCropPad", wanted)
        if dims.at_least(own, wanted):
            start = dims.floor_divide(own - wanted, 2)
            key[axis] = slice(start, start + wanted)
        elif isinstance(own, int) and isinstance(wanted, int):
            before = (wanted - own) // 2
            widths[axis] = before, wanted - own - before
        else:
            call.refuse(f"whether {own} is more than {wanted} in axis {axis} is not known")
    return ops.pad(x[tuple(key)], widths)
