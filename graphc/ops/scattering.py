"""Writing elements by their coordinates, which data may hold: copies with updates.

What is written to becomes an array with fewer axes, whose rows `places` numbers. The derivative of
reading is a sum of rows (`scatter_add`); what is written reads its derivative where it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import Emission
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import BOOL, FLOAT, TensorType, equal_sizes, int64, shape_text
from graphc.ops.coordinates import along, leading, paired, places_of
from graphc.ops.cumulative import delayed, linear_recurrence
from graphc.ops.elementwise import mask, maximum
from graphc.ops.families import add_up
from graphc.ops.lookup import gather, int_node, scatter_add
from graphc.ops.operands import is_same, operands, require_one
from graphc.ops.ordering import argsort
from graphc.ops.rearranging import flip
from graphc.ops.shape import arange_on, broadcast_to, expand_dims, reshape, zeros_like, zeros_of
from graphc.runtime import indexing

__all__ = ["scatter_along_axis", "scatter_nd"]

REDUCTIONS = ("none", "add", "mul", "max", "min")


def _scatter_infer(
    require: Any, x: TensorType, ids: TensorType, updates: TensorType, reduction: str
) -> TensorType:
    expected = (*ids.shape, *x.shape[1:])
    if len(updates.shape) != len(expected):
        raise ShapeError("there has to be an update for each id")
    for own, other in zip(updates.shape, expected, strict=True):
        require(equal_sizes(own, other))
    return x


def _reduction(op: str, reduction: object, x: Node) -> str:
    require_one(op, "reduction", reduction, REDUCTIONS)
    if reduction != "none" and x.dtype.kind == BOOL:
        raise DTypeError(f"{op}: {reduction!r} expects numbers, got {x.graph.describe(x)}")
    return str(reduction)


def _scatter_call(op: Op, x: Any, ids: Any, updates: Any, reduction: str = "none") -> Node:
    x, updates = operands(x, updates)
    ids = int_node(op.name, "ids", ids, x)
    return op.node((x, ids, updates), _reduction(op.name, reduction, x))


def _repeats(ids: Node) -> bool:
    """Whether an id may occur twice, for all that is known."""
    if ids.op is not CONSTANT:
        return ids.size != 1
    values = ids.params.data.array
    return bool(np.unique(values).size != values.size)


def _beside(mask: Node, x: Node) -> Node:
    """A value for each id beside the rows of x."""
    return expand_dims(mask, tuple(range(mask.ndim, x.ndim)))


def _last(ids: Node, rows: Extent) -> Node:
    """Where the update of an id is the last one, which stays."""
    order = reshape(arange_on(ids.graph, ids.size), ids.shape)
    last = scatter(zeros_of(ids, TensorType((rows,), int64)), ids, order)
    return gather(last, ids) == order


def _other_factors(ids: Node, updates: Node) -> Node:
    """For each update the product of all others of its id: of those before it and those behind it.

    Nothing is divided by an update, so that derivatives of any order hold where some are zero.
    """
    places = reshape(ids, (ids.size,)).astype(int64)
    order = argsort(places)
    own = gather(places, order)
    factors = gather(reshape(updates, (ids.size, *updates.shape[ids.ndim :])), order)
    behind = flip(_factors_before(flip(own, 0), flip(factors, 0)), 0)
    others = gather(_factors_before(own, factors) * behind, argsort(order))
    return reshape(others, updates.shape)


def _factors_before(ids: Node, factors: Node) -> Node:
    """For each factor the product of those before it that have the same id, of ids in a row."""
    same = _beside(ids == delayed(ids, 0, -1), factors)
    first = broadcast_to((~same).astype(factors.dtype), factors.shape)
    return linear_recurrence.node((mask(delayed(factors, 0, 0.0), same), first), 0)


def _products(x: Node, ids: Node, updates: Node) -> Node:
    """For each row of x the product of its updates."""
    return scatter(broadcast_to(x.graph.constant(1, x.dtype), x.shape), ids, updates, "mul")


def _slopes(y: Node) -> tuple[Node, Node]:
    """What the result changes by with its row of x, and with each of the updates.

    What a maximum or a minimum is shared by has even shares in it: PyTorch's scatter_reduce.
    """
    x, ids, updates = y.args
    if y.params.reduction == "mul":
        return _products(x, ids, updates), gather(x, ids) * _other_factors(ids, updates)
    own, others = x == y, updates == gather(y, ids)
    counts = own.astype(x.dtype) + scatter_add(others.astype(x.dtype), ids, x.shape[0])
    share = 1.0 / maximum(counts, 1.0)  # of a NaN, which nothing is equal to, there are none
    return mask(share, own), mask(gather(share, ids), others)


def _scatter_vjp(index: int, bar: Node, y: Node, kinks: str) -> Node | None:
    x, ids, updates = y.args
    if index == 1:
        return None
    if y.params.reduction != "none":
        own, others = _slopes(y)
        return bar * own if index == 0 else gather(bar, ids) * others
    if index == 0:
        return scatter(bar, ids, zeros_like(updates))
    arrived = gather(bar, ids)
    return mask(arrived, _beside(_last(ids, x.shape[0]), arrived)) if _repeats(ids) else arrived


def _scatter_jvp(y: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
    x, ids, updates = y.args
    x_dot, _, updates_dot = tangents
    if y.params.reduction == "none":
        x_dot = zeros_like(x) if x_dot is None else x_dot
        updates_dot = zeros_like(updates) if updates_dot is None else updates_dot
        return scatter(x_dot, ids, updates_dot)
    own, others = _slopes(y)
    return add_up([
        None if x_dot is None else x_dot * own,
        None if updates_dot is None else scatter_add(updates_dot * others, ids, x.shape[0]),
    ])  # fmt: skip


def _scatter_notation(node: Node) -> str:
    reduction = node.params.reduction
    return f"scatter({{x}}, {{ids}}, {{updates}}{'' if reduction == 'none' else f', {reduction}'})"


def _scatter_sample(size: int, shape: tuple[int, ...], reduction: str) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x, updates = rng.normal(size=(4, size)), rng.normal(size=(*shape, size))
        return (x, rng.integers(0, 4, shape), updates, reduction), {}

    return draw


scatter: Op = Op(
    name="scatter", doc="x with updates at the rows that ids tell, which a reduction combines",
    noun="scattered",
    operands=("x", "ids", "updates"), parameters=("reduction",), infer=_scatter_infer,
    emission=Emission(
        lambda node: f'scatter({{x}}, {{ids}}, {{updates}}, "{node.params.reduction}")',
        helpers=(indexing.elements, indexing.scatter), notation=_scatter_notation,
    ),
    call=_scatter_call, vjp=_scatter_vjp, jvp=_scatter_jvp,
    samples=(
        _scatter_sample(2, (5,), "none"),
        _scatter_sample(2, (2, 3), "mul"),
        _scatter_sample(3, (5,), "max"),
        _scatter_sample(2, (6,), "min"),
        lambda rng: ((np.arange(4), np.array([1, 3, 1]), np.array([5, 6, 7]), "add"), {}),
    ),
)  # fmt: skip


def _put(x: Node, place: Node, updates: Node, reduction: str) -> Node:
    """x with an update at each of its rows that `place` tells.

    Sums of floats are linear, and added up faster.
    """
    if reduction == "add" and x.dtype.kind == FLOAT:
        total: Node = x + scatter_add(updates, place, x.shape[0])
        return total
    return scatter.node((x, place, updates), reduction)


def written(
    op: str, x: Node, place: Node, updates: Node, indexed: int, reduction: object = "none"
) -> Node:
    """x, whose first so many axes the places number, with updates (*places, *rest)."""
    shape = (*place.shape, *x.shape[indexed:])
    if len(updates.shape) != len(shape) or not all(map(is_same, updates.shape, shape)):
        told = updates.graph.describe(updates, site=True)
        raise ShapeError(f"{op} expects updates of shape {shape_text(shape)}, got {told}")
    rows = reshape(x, (dims.product(x.shape[:indexed]), *x.shape[indexed:]))
    result = _put(rows, place, updates, _reduction(op, reduction, x))
    return reshape(result, x.shape)


@function
def scatter_along_axis(
    x: Any, indices: Any, updates: Any, axis: int = -1, reduction: str = "none"
) -> Node:
    """A copy of x with updates at indices of an axis, the counterpart of `take_along_axis`.

    x          (…, size, …)
    indices    ints of as many axes in -size..size - 1, along other axes at most as long as x
    updates    one for each index
    reduction  how updates are combined with what is there: "none" (the last one stays), "add",
               "mul", "max" or "min"

    PyTorch's scatter and scatter_reduce, ONNX's ScatterElements. Where several updates are the
    maximum (minimum) they share its derivative evenly; of "none" the one that stays has it. Raises
    ShapeError, DTypeError and GraphcError; an index that x does not have is an IndexError when the
    module runs.
    """
    x, updates = operands(x, updates)
    x, index, axis = paired("scatter_along_axis", x, indices, axis)
    for i, (own, size) in enumerate(zip(index.shape, x.shape, strict=True)):
        if i != axis and isinstance(own, int) and isinstance(size, int) and own > size:
            told = f"{index.graph.describe(index, site=True)} for {x.graph.describe(x, site=True)}"
            raise ShapeError(f"scatter_along_axis: indices are longer in axis {i}: {told}")
    place = places_of("scatter_along_axis", along(index, index.shape, axis), x.shape)
    return written("scatter_along_axis", x, place, updates, x.ndim, reduction)


@function
def scatter_nd(x: Any, indices: Any, updates: Any, reduction: str = "none") -> Node:
    """A copy of x with updates at the coordinates that stand along the last axis of indices.

    x          (*indexed, *rest)
    indices    ints, (*places, len(indexed)); negative ones count from the end
    updates    (*places, *rest)
    reduction  as for `scatter_along_axis`: "none", "add", "mul", "max" or "min"

    What `gather_nd` reads; ONNX's ScatterND. Raises ShapeError, DTypeError and GraphcError; an
    index that x does not have is an IndexError when the module runs.
    """
    x, updates = operands(x, updates)
    place, rows = leading("scatter_nd", x, indices)
    return written("scatter_nd", x, place, updates, len(rows), reduction)
