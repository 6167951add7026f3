"""Reductions over axes, what runs along one, and the places of extrema.

Up to an operator's opset 17 (ReduceSum: 12) axes are an attribute, later an input. Results have the
dtype of the operand: where graphc adds up ints as int64, the sum is cast back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.node import Node
from graphc.ir.types import BOOL, FLOAT, float64
from graphc.ops.cumulative import delayed
from graphc.ops.families import without_axes
from graphc.ops.operands import axes_of, cast, size_node
from graphc.ops.reduction import reduced_size
from graphc.ops.shape import broadcast_to

Axes = tuple[int, ...]
Reduce = Callable[[Node, Axes, bool], Node]

# --- reductions --------------------------------------------------------------------------------


def reduces(op_type: str, reduce: Reduce, *, axes_are_input_since: int = 18) -> None:
    """Register a reduction in both of its forms."""

    def reduced(x: Node, axes: Sequence[int] | None, keepdims: int) -> Node:
        chosen = axes_of(op_type, None if axes is None else tuple(axes), x)
        return cast(reduce(x, chosen, bool(keepdims)), x.dtype)

    def by_attribute(call: Call, x: Node, *, axes: Axes | None = None, keepdims: int = 1) -> Node:
        return reduced(x, axes or None, keepdims)

    def by_input(
        call: Call, x: Node, axes: Node | None = None, *, keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Node:  # fmt: skip
        chosen = () if axes is None else call.ints(axes, "axes")
        return reduced(x, chosen if chosen or noop_with_empty_axes else None, keepdims)

    maps(op_type, by_attribute, until=axes_are_input_since - 1)
    maps(op_type, by_input, since=axes_are_input_since)


def mean(x: Node, axes: Axes, keepdims: bool) -> Node:
    """The mean; that of ints is cut off to an int."""
    if x.dtype.kind == FLOAT:
        return ops.mean(x, axes, keepdims)
    count = size_node(x.graph, reduced_size(x, axes), float64)
    return cast(ops.sum(x, axes, keepdims), float64) / count


def extremum(extreme: Callable[..., Node], sign: int) -> Reduce:
    """The maximum or minimum; of nothing it is the number that no other lies beyond."""

    def reduce(x: Node, axes: Axes, keepdims: bool) -> Node:
        if reduced_size(x, axes) != 0:
            return extreme(x, axes, keepdims)
        if x.dtype.kind == FLOAT:
            last = -sign * np.inf
        elif x.dtype.kind == BOOL:
            last = sign < 0
        else:
            bounds = np.iinfo(x.dtype.numpy)
            last = int(bounds.min if sign > 0 else bounds.max)
        shape = without_axes(x.shape, axes, keepdims)
        return broadcast_to(x.graph.constant(last, x.dtype), shape)

    return reduce


reduces("ReduceSum", ops.sum, axes_are_input_since=13)
reduces("ReduceMean", mean)
reduces("ReduceMax", extremum(ops.max, 1))
reduces("ReduceMin", extremum(ops.min, -1))
reduces("ReduceProd", ops.prod)
reduces("ReduceL1", lambda x, axes, keepdims: ops.sum(ops.abs(x), axes, keepdims))
reduces("ReduceL2", lambda x, axes, keepdims: ops.sqrt(ops.sum(ops.square(x), axes, keepdims)))
reduces("ReduceLogSum", lambda x, axes, keepdims: ops.log(ops.sum(x, axes, keepdims)))
reduces("ReduceLogSumExp", ops.logsumexp)
reduces("ReduceSumSquare", lambda x, axes, keepdims: ops.sum(ops.square(x), axes, keepdims))

# --- along an axis -----------------------------------------------------------------------------


def accumulates(op_type: str, accumulate: Callable[[Node, int], Node], first: float) -> None:
    """Register what adds up along an axis; with `exclusive` it starts from its neutral element."""

    def accumulated(
        call: Call, x: Node, axis: Node, *, exclusive: int = 0, reverse: int = 0
    ) -> Node:
        (place,) = axes_of(op_type, (call.number(axis, "the axis"),), x)
        start = ops.flip(x, place) if reverse else x
        total = cast(accumulate(start, place), x.dtype)
        total = delayed(total, place, first) if exclusive else total
        return ops.flip(total, place) if reverse else total

    maps(op_type, accumulated)


accumulates("CumSum", ops.cumulative_sum, 0)
accumulates("CumProd", ops.cumulative_prod, 1)

# --- places ------------------------------------------------------------------------------------


def finds(op_type: str, find: Callable[..., Node]) -> None:
    """Register the place of an extremum."""

    def found(
        call: Call, x: Node, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
    ) -> Node:
        return find(x, axis, bool(keepdims), last=bool(select_last_index))

    maps(op_type, found)


finds("ArgMax", ops.argmax)
finds("ArgMin", ops.argmin)


@maps("TopK", until=9)
def top_k_of_attribute(call: Call, x: Node, *, k: int, axis: int = -1) -> tuple[Node, ...]:
    """The k largest elements and their places."""
    return ops.top_k(x, k, axis)


@maps("TopK", since=10)
def top_k(
    call: Call, x: Node, k: Node, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Node, ...]:
    """The k largest or smallest elements and their places, sorted even where they need not be."""
    return ops.top_k(x, call.size(k, "K"), axis, largest=bool(largest))
