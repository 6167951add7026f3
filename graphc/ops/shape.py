"""Ops that move elements and compute nothing. All linear: their transposes move them back."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent, Shape
from graphc.ir.emission import Emission, size_text, tuple_text
from graphc.ir.graph import current_graph
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import (
    DType,
    Guard,
    TensorType,
    as_dtype,
    equal_sizes,
    int64,
)
from graphc.ops.families import linear
from graphc.ops.operands import axes_of, axis_of, operand, require_rank

__all__ = [
    "arange", "broadcast_to", "expand_dims", "matrix_transpose", "moveaxis", "permute_dims",
    "reshape", "squeeze", "swapaxes", "zeros_like",
]  # fmt: skip

# --- the order of axes -------------------------------------------------------------------------


def _permute_call(op: Op, x: Any, axes: Any = None) -> Node:
    x = operand(x)
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
    places = tuple(axis_of("permute_dims", axis, x) for axis in order)
    if sorted(places) != list(range(x.ndim)):
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"permute_dims expects each axis of {name} once, got {order}")
    return op.node((x,), places)


def _permute_text(node: Node) -> str:
    axes = node.params.axes
    if axes == tuple(reversed(range(node.ndim))):
        return "{x}.T"
    moved = [i for i, axis in enumerate(axes) if i != axis]
    if len(moved) == 2:
        return f"{{x}}.swapaxes({moved[0] - node.ndim}, {moved[1] - node.ndim})"
    return f"{{x}}.transpose({', '.join(map(str, axes))})"


def _permute_notation(node: Node) -> str:
    axes = node.params.axes
    last = (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2)
    return "{x}ᵀ" if axes == last else f"transpose({{x}}, {axes})"


permute_dims: Op = linear(
    "permute_dims", "x with its axes in another order, reversed by default",
    noun="transposed", phrase="{x}_T",
    parameters=("axes",),
    infer=lambda require, x, axes: TensorType(tuple(x.shape[a] for a in axes), x.dtype),
    emission=Emission(_permute_text, view=True, notation=_permute_notation),
    transpose=lambda bar, y: permute_dims(bar, tuple(np.argsort(y.params.axes).tolist())),
    call=_permute_call,
    samples=(
        lambda rng: ((rng.normal(size=(2, 3)),), {}),
        lambda rng: ((rng.normal(size=(2, 3, 4)), (2, 0, 1)), {}),
        lambda rng: ((rng.normal(size=(2, 3, 0, 4)), (0, 2, 1, 3)), {}),
        lambda rng: ((rng.normal(size=()),), {}),
    ),
)  # fmt: skip


@function
def matrix_transpose(x: Any) -> Node:
    """x with its last two axes swapped."""
    x = require_rank("matrix_transpose", operand(x), 2)
    return permute_dims.node((x,), (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@function
def swapaxes(x: Any, first: int, second: int) -> Node:
    """x with two axes swapped."""
    x = operand(x)
    order = list(range(x.ndim))
    i, j = (axis_of("swapaxes", axis, x) for axis in (first, second))
    order[i], order[j] = order[j], order[i]
    return permute_dims.node((x,), tuple(order))


@function
def moveaxis(x: Any, source: Any, destination: Any) -> Node:
    """x with some axes (an int or a tuple) in other places; the others keep their order.

    Raises ShapeError for axes that x does not have, and for one that is named twice.
    """
    x = operand(x)
    pairs = [axes if isinstance(axes, (tuple, list)) else [axes] for axes in (source, destination)]
    sources, places = ([axis_of("moveaxis", axis, x) for axis in axes] for axes in pairs)
    if len(sources) != len(places) or len(set(sources)) + len(set(places)) != 2 * len(sources):
        raise ShapeError(
            f"moveaxis expects as many places as axes, each once, got {source} and {destination}"
        )
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return x if order == list(range(x.ndim)) else permute_dims.node((x,), tuple(order))


# --- the shape ---------------------------------------------------------------------------------


def as_shape(shape: Any) -> Shape:
    """A shape from what users write: a size or a sequence of ints, named sizes and Dims."""
    listed = isinstance(shape, (tuple, list)) or (isinstance(shape, np.ndarray) and shape.ndim)
    several = shape if listed else (shape,)
    return tuple(as_size(size) for size in several)


def as_size(size: Any) -> Extent:
    """One size; a string names a dimension. Raises ShapeError for anything else."""
    if isinstance(size, str):
        if not size.isidentifier():
            raise ShapeError(f"the name of a dimension is an identifier, got {size!r}")
        return dims.named(unicodedata.normalize("NFKC", size))  # as Python reads identifiers
    if isinstance(size, dims.Dim):
        return size
    try:
        return int(size.__index__())
    except (AttributeError, TypeError):  # an array has the method, and refuses
        raise ShapeError(f"a size is an int or the name of a dimension, got {size!r}") from None


def as_count(op: str, size: Any) -> Extent:
    """A size that is not negative."""
    count = as_size(size)
    if isinstance(count, int) and count < 0:
        raise ShapeError(f"{op}: a size is not negative, got {count}")
    return count


def _reshape_infer(require: Any, x: TensorType, shape: Shape) -> TensorType:
    total = dims.product(x.shape)
    if -1 not in shape:
        try:
            require(equal_sizes(total, dims.product(shape)))
        except ShapeError:
            raise ShapeError(f"{total} elements do not fill {tuple_of(shape)}") from None
        return TensorType(shape, x.dtype)
    known = dims.product(tuple(size for size in shape if size != -1))
    if known == 0 or shape.count(-1) > 1:
        raise ShapeError(f"the size -1 in {tuple_of(shape)} is not determined")
    missing = dims.exact_quotient(total, known)
    if missing is None:
        if isinstance(total, int):
            raise ShapeError(f"{total} elements do not divide by {known}")
        missing = dims.floor_divide(total, known)
        reason = f"{total} elements have to divide by {known}"
        require(Guard(total - missing * known, "==", 0, reason))
    return TensorType(tuple(missing if size == -1 else size for size in shape), x.dtype)


def tuple_of(shape: Shape) -> str:
    """A shape as a message shows it."""
    return "(" + ", ".join(map(str, shape)) + ")"


def _reshape_call(op: Op, x: Any, *shape: Any, **options: Any) -> Node:
    target = options.get("shape", options.get("newshape", shape[0] if len(shape) == 1 else shape))
    several = target if isinstance(target, (tuple, list)) else (target,)
    sizes = (as_size(size) for size in several)
    return op.node((operand(x),), tuple(n if n == -1 else as_count("reshape", n) for n in sizes))


def _reshape_text(node: Node) -> str:
    sizes = list(map(size_text, node.shape))
    flexible = [i for i, size in enumerate(node.params.shape) if size == -1]
    others = [size for i, size in enumerate(node.shape) if i not in flexible]
    # NumPy cannot tell what -1 is where another size may be 0.
    if flexible and all(isinstance(size, int) and size for size in others):
        sizes[flexible[0]] = "-1"
    return f"{{x}}.reshape({', '.join(sizes) or '()'})"


reshape: Op = linear(
    "reshape", "the elements of x in another shape, in C order; one size may be -1",
    noun="reshaped",
    parameters=("shape",),
    infer=_reshape_infer,
    emission=Emission(
        _reshape_text, view=True,
        notation=lambda node: f"reshape({{x}}, {tuple_text(node.shape)})",
    ),
    transpose=lambda bar, y: reshape(bar, y.args[0].shape),
    call=_reshape_call,
    samples=(
        lambda rng: ((rng.normal(size=(2, 6)), (3, -1)), {}),
        lambda rng: ((rng.normal(size=(2, 6)), (12,)), {}),
        lambda rng: ((rng.normal(size=(1,)), ()), {}),
        lambda rng: ((rng.normal(size=(0, 3)), (3, 0)), {}),
    ),
)  # fmt: skip


def _expand_call(op: Op, x: Any, axis: Any = 0) -> Node:
    x = operand(x)
    several = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = axes_of("expand_dims", axis, x, added=len(several))
    return op.node((x,), axes) if axes else x


def _expand_infer(require: Any, x: TensorType, axes: tuple[int, ...]) -> TensorType:
    shape = list(x.shape)
    for axis in axes:
        shape.insert(axis, 1)
    return TensorType(tuple(shape), x.dtype)


def _expand_text(node: Node) -> str:
    axes = node.params.axes
    if axes[-1] == node.ndim - 1 and len(axes) == 1 and node.ndim > 2:
        return "{x}[..., None]"
    keys = ["None" if axis in axes else ":" for axis in range(axes[-1] + 1)]
    # A scalar may be a NumPy scalar, whose [None] is an array as well.
    return f"{{x}}[{', '.join(keys)}]"


expand_dims = linear(
    "expand_dims", "x with new axes of size 1",
    noun="expanded",
    parameters=("axes",),
    infer=_expand_infer,
    emission=Emission(_expand_text, view=True, notation=_expand_text),
    transpose=lambda bar, y: squeeze(bar, y.params.axes),
    call=_expand_call,
    samples=(
        lambda rng: ((rng.normal(size=(2, 3)), 1), {}),
        lambda rng: ((rng.normal(size=(3,)), (0, 2)), {}),
        lambda rng: ((rng.normal(size=()), 0), {}),
    ),
)  # fmt: skip


def _squeeze_call(op: Op, x: Any, axis: Any = None) -> Node:
    x = operand(x)
    single = tuple(i for i, size in enumerate(x.shape) if size == 1)
    axes = single if axis is None else axes_of("squeeze", axis, x)
    for i in axes:
        if i not in single:
            raise ShapeError(f"squeeze: axis {i} of {x.graph.describe(x, site=True)} is not 1")
    return op.node((x,), axes) if axes else x


def _squeeze_text(node: Node) -> str:
    axes, rank = node.params.axes, node.args[0].ndim
    if axes == (rank - 1,) and rank > 2:
        return "{x}[..., 0]"
    return f"{{x}}[{', '.join('0' if axis in axes else ':' for axis in range(axes[-1] + 1))}]"


squeeze: Op = linear(
    "squeeze", "x without axes of size 1",
    noun="squeezed",
    parameters=("axes",),
    infer=lambda require, x, axes: TensorType(
        tuple(size for i, size in enumerate(x.shape) if i not in axes), x.dtype
    ),
    emission=Emission(_squeeze_text, view=True, notation=_squeeze_text),
    transpose=lambda bar, y: expand_dims(bar, y.params.axes),
    call=_squeeze_call,
    samples=(
        lambda rng: ((rng.normal(size=(2, 1, 3)),), {}),
        lambda rng: ((rng.normal(size=(1, 2, 1)), 0), {}),
        lambda rng: ((rng.normal(size=(1, 1)),), {}),
    ),
)  # fmt: skip


def _broadcast_infer(require: Any, x: TensorType, shape: Shape) -> TensorType:
    if len(shape) < len(x.shape):
        raise ShapeError(f"{tuple_of(x.shape)} does not broadcast to {tuple_of(shape)}")
    for own, wanted in zip(reversed(x.shape), reversed(shape), strict=False):
        if own != 1:
            require(equal_sizes(own, wanted))
    return TensorType(shape, x.dtype)


broadcast_to = linear(
    "broadcast_to", "x repeated along axes that are missing or of size 1",
    noun="repeated",
    parameters=("shape",),
    infer=_broadcast_infer,
    emission=Emission(
        lambda node: f"np.broadcast_to({{x}}, {tuple_text(node.shape)})", view=True, repeats=True,
        notation=lambda node: f"repeat({{x}}, {tuple_text(node.shape)})",
    ),
    # The loop of the pullback sums over what was broadcast.
    transpose=lambda bar, y: bar,
    call=lambda op, x, shape: op.node(
        (operand(x),), tuple(as_count("broadcast_to", size) for size in as_shape(shape))
    ),
    samples=(
        lambda rng: ((rng.normal(size=(3,)), (2, 3)), {}),
        lambda rng: ((rng.normal(size=(2, 1)), (4, 2, 3)), {}),
        lambda rng: ((rng.normal(size=()), (0, 3)), {}),
    ),
)  # fmt: skip


@function
def zeros_like(x: Any) -> Node:
    """Zeros of the shape and dtype of x."""
    x = operand(x)
    return zeros_of(x, x.types[0])


def zeros_of(node: Node, type: TensorType) -> Node:
    """Zeros of a type, in the arena of a node."""
    return broadcast_to(node.graph.constant(0, type.dtype), type.shape)


def _arange_call(op: Op, size: Any, dtype: Any = int64) -> Node:
    graph = current_graph()
    return graph.intern(op, (), op.record(as_count("arange", size), as_dtype(dtype)))


def arange_on(graph: Any, size: Extent, dtype: DType = int64) -> Node:
    """0, 1, … size - 1 in a given arena."""
    node: Node = graph.intern(arange, (), arange.record(size, dtype))
    return node


def _arange_infer(require: Any, size: Extent, dtype: DType) -> TensorType:
    if isinstance(size, int) and size < 0:
        raise ShapeError(f"a size is not negative, got {size}")
    if not dims.at_least(size, 0, sizes_from=0):
        require(Guard(size, ">=", 0, f"there are no {size} numbers to count"))
    return TensorType((size,), dtype)


def _arange_text(node: Node) -> str:
    dtype = "" if node.dtype is int64 else f", dtype=np.{node.dtype.name}"
    return f"np.arange({size_text(node.params.size)}{dtype})"


arange = Op(
    name="arange", doc="0, 1, … size - 1",
    operands=(), parameters=("size", "dtype"),
    infer=_arange_infer,
    emission=Emission(
        _arange_text, notation=lambda node: f"arange({size_text(node.params.size)})"
    ),
    call=_arange_call, differentiable=False,
    samples=(
        lambda rng: ((5,), {}),
        lambda rng: ((0,), {}),
        lambda rng: ((3, "float32"), {}),
    ),
)  # fmt: skip
