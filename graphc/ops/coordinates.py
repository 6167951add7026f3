"""Reading elements by their coordinates, which data may hold.

What several coordinates tell is a row of an array with fewer axes: `places` numbers its rows,
checks the coordinates, and counts negative ones from the end; `gather` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Shape
from graphc.ir.emission import Emission, tuple_text
from graphc.ir.graph import CONSTANT, Graph
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import TensorType, broadcast, equal_sizes, int64
from graphc.ops.families import linear
from graphc.ops.indexing import getitem
from graphc.ops.lookup import gather, int_node, scatter_add
from graphc.ops.operands import axis_of, is_same, operand, require_rank, whole
from graphc.ops.shape import arange_on, broadcast_to, expand_dims, reshape
from graphc.runtime import indexing

__all__ = ["gather_nd", "take", "take_along_axis"]

# --- the numbers of elements -------------------------------------------------------------------


def _places_infer(require: Any, *rest: Any) -> TensorType:
    *types, _ = rest
    shape, guards = broadcast([t.shape for t in types])
    for guard in guards:
        require(guard)
    return TensorType(shape, int64)


def _places_call(op: Op, coordinates: Any, shape: Any) -> Node:
    return places_of(op.name, [operand(index) for index in coordinates], tuple(shape))


places = Op(
    name="places", doc="the places in C order of elements with these coordinates",
    operands=("*coordinates",), parameters=("shape",), infer=_places_infer,
    emission=Emission(
        lambda node: f"places([{{*coordinates}}], {tuple_text(node.params.shape)})",
        helpers=(indexing.places,),
    ),
    call=_places_call, differentiable=False,
    samples=(
        lambda rng: (([rng.integers(-4, 4, (2, 3))], (4,)), {}),
        lambda rng: (([np.arange(2)[:, None], rng.integers(-3, 3, (2, 4))], (2, 3)), {}),
    ),
)  # fmt: skip


def places_of(op: str, coordinates: Sequence[Node], shape: Shape) -> Node:
    """The places of elements in an array of a shape, a coordinate for each of its axes.

    Constants are looked at here, and GraphcError names those outside of the shape; others are
    checked when the module runs.
    """
    for index, size in zip(coordinates, shape, strict=True):
        if index.op is CONSTANT and isinstance(size, int):
            values = index.params.data.array
            wrong = values[(values < -size) | (values >= size)]
            if wrong.size:
                raise GraphcError(f"{op}: index {wrong.flat[0]} does not exist in {size} elements")
    graph = coordinates[0].graph
    known = [index.params.data.array for index in coordinates if index.op is CONSTANT]
    if len(known) == len(coordinates) and all(isinstance(size, int) for size in shape):
        return graph.constant(indexing.places(known, shape), int64)  # type: ignore[arg-type]
    return places.node(tuple(coordinates), shape)


def counters(graph: Graph, shape: Shape) -> list[Node]:
    """For each axis of a shape the numbers of its places, which broadcast along the others."""
    numbers = [arange_on(graph, size) for size in shape]
    behind = [tuple(range(1, len(shape) - axis)) for axis in range(len(shape))]
    return [expand_dims(n, axes) for n, axes in zip(numbers, behind, strict=True)]


def along(index: Node, shape: Shape, axis: int) -> list[Node]:
    """The coordinates of all elements of a shape, with an index for their place along an axis."""
    own = counters(index.graph, shape)
    return [*own[:axis], index, *own[axis + 1 :]]


def flattened(op: str, x: Any, axis: int | None) -> tuple[Node, int]:
    """x and an axis of it; without one, the elements of x in a row."""
    x = operand(x)
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    return x, axis_of(op, axis, require_rank(op, x, 1))


# --- reading -----------------------------------------------------------------------------------


@function
def take(x: Any, indices: Any, axis: int | None = None) -> Node:
    """The parts of x at these indices of an axis, as np.take: x[indices] for axis 0.

    x  of any dtype, (*before, size, *behind); indices ints of any shape in -size..size - 1, where
    negative ones count from the end. The result is (*before, *indices.shape, *behind). Without an
    axis, x is flattened first. Raises DTypeError for indices that are no ints; an index that x does
    not have is an error here if it is a constant, else an IndexError when the module runs.
    """
    x, axis = flattened("take", x, axis)
    index = int_node("take", "indices", indices, x)
    if index.op is CONSTANT and index.ndim == 0:
        return getitem(x, (slice(None),) * axis + (int(index.params.data.array),))
    return gather.node((x, places_of("take", [index], (x.shape[axis],))), axis)


def _along_infer(require: Any, x: TensorType, indices: TensorType, axis: int) -> TensorType:
    for i, (own, size) in enumerate(zip(indices.shape, x.shape, strict=True)):
        if i != axis:
            require(equal_sizes(own, size))
    return TensorType(indices.shape, x.dtype)


def _both(x: Node, index: Node) -> str:
    return f"{x.graph.describe(x, site=True)} and {index.graph.describe(index, site=True)}"


def paired(op: str, x: Any, indices: Any, axis: int) -> tuple[Node, Node, int]:
    """x and indices of as many axes, and an axis of theirs."""
    x = require_rank(op, operand(x), 1)
    index = int_node(op, "indices", indices, x)
    axis = axis_of(op, axis, x)
    if x.ndim != index.ndim:
        raise ShapeError(f"{op} expects indices of as many axes as x, got {_both(x, index)}")
    return x, index, axis


def _along_call(op: Op, x: Any, indices: Any, axis: int = -1) -> Node:
    x, index, axis = paired(op.name, x, indices, axis)
    return op.node((_widened(x, index, axis), _widened(index, x, axis)), axis)


def _widened(x: Node, other: Node, axis: int) -> Node:
    """x repeated where it has one element and the other has more, except along one axis."""
    wide = list(other.shape)
    for i, size in enumerate(x.shape):
        if i == axis or size != 1:
            wide[i] = size
    return broadcast_to(x, tuple(wide)) if tuple(wide) != x.shape else x


def _along_transpose(bar: Node, y: Node) -> Node:
    x, index = y.args
    place = places_of("take_along_axis", along(index, index.shape, y.params.axis), x.shape)
    flat, rows = reshape(bar, (bar.size,)), dims.product(x.shape)
    return reshape(scatter_add.node((flat, reshape(place, (bar.size,))), rows), x.shape)


take_along_axis: Op = linear(
    "take_along_axis", "for each place the element of x at an index of an axis",
    noun="taken",
    operands=("x", "indices"), parameters=("axis",), infer=_along_infer,
    emission=Emission(
        lambda node: f"np.take_along_axis({{x}}, {{indices}}, axis={node.params.axis})",
        notation=lambda node: f"take_along_axis({{x}}, {{indices}}, axis={node.params.axis})",
    ),
    transpose=_along_transpose, call=_along_call,
    samples=(
        lambda rng: ((rng.normal(size=(4, 3)), rng.integers(-3, 3, (4, 5))), {}),
        lambda rng: ((rng.normal(size=(2, 5, 3)), rng.integers(0, 5, (2, 2, 3)), 1), {}),
        lambda rng: ((rng.normal(size=(1, 4)), rng.integers(0, 4, (3, 2)), 1), {}),
    ),
)  # fmt: skip


def leading(op: str, x: Node, indices: Any, batch_dims: int = 0) -> tuple[Node, Shape]:
    """The places that the last axis of indices tells, and the shape of the axes that it is for."""
    index = require_rank(op, int_node(op, "indices", indices, x), 1)
    batch_dims = whole(op, "batch_dims", batch_dims)
    count = index.shape[-1]
    if not 0 <= batch_dims < index.ndim:
        told = f"{batch_dims} axes of the batch are none of the indices'"
        raise ShapeError(f"{op}: {told}: {_both(x, index)}")
    if not isinstance(count, int) or not 1 <= count <= x.ndim - batch_dims:
        told = f"1 to {x.ndim - batch_dims} indices an element"
        raise ShapeError(f"{op} expects {told}, got {_both(x, index)}")
    batch = index.shape[:batch_dims]
    if len(batch) < batch_dims or not all(map(is_same, batch, x.shape)):
        told = f"the first {batch_dims} sizes have to be equal"
        raise ShapeError(f"{op}: {told}, got {_both(x, index)}")
    own = [_column(index, i) for i in range(count)]
    in_batch = counters(x.graph, own[0].shape)[:batch_dims]
    rows = x.shape[: batch_dims + count]
    return places_of(op, [*in_batch, *own], rows), rows


def _column(index: Node, i: int) -> Node:
    """One index of each element; those of constants are constants."""
    if index.op is CONSTANT:
        return index.graph.constant(index.params.data.array[..., i], index.dtype)
    return getitem(index, (Ellipsis, i))


@function
def gather_nd(x: Any, indices: Any, batch_dims: int = 0) -> Node:
    """The parts of x whose leading coordinates stand along the last axis of indices.

    x        of any dtype, (*batch, *indexed, *rest)
    indices  ints, (*batch, *places, len(indexed)); negative ones count from the end
    The result is (*batch, *places, *rest): ONNX's GatherND. Raises ShapeError and DTypeError; an
    index that x does not have is an IndexError when the module runs.
    """
    x = operand(x)
    place, rows = leading("gather_nd", x, indices, batch_dims)
    return gather.node((reshape(x, (dims.product(rows), *x.shape[len(rows) :])), place), 0)
