"""What losses share: operands of one shape, and a reduction that knows weights and masks.

Every loss takes `reduction` and `sample_weight`. "mean" divides by the number of losses, or by the
sum of all weights where there are some: so a mask leaves the mean of what it keeps, and a mean of
nothing is NaN, as PyTorch has it. "sum" and "none" weigh and divide by nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import DTypeError, GraphcError, ShapeError, suggest
from graphc.ir import dims
from graphc.ir.dims import Shape
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.types import BOOL, equal_sizes
from graphc.ops.elementwise import mask
from graphc.ops.operands import cast, operands, size_node
from graphc.ops.reduction import mean, sum
from graphc.ops.shape import expand_dims

REDUCTIONS = ("mean", "sum", "none")


def reduced(
    op: str,
    losses: Node,
    reduction: object = "mean",
    sample_weight: Any = None,
    *,
    kept: Node | None = None,
    share: Node | None = None,
) -> Node:
    """The losses weighed and reduced; scalar unless the reduction is "none".

    sample_weight  numbers, or a bool mask of what counts; its axes are the first ones of the losses
    kept           a mask of graphc's own, of what is not ignored
    share          what the losses were multiplied with already, which counts as a weight of theirs

    Raises GraphcError for an unknown reduction, ShapeError for a weight of another shape.
    """
    if reduction not in REDUCTIONS:
        raise GraphcError(
            f"{op}: reduction is 'mean', 'sum' or 'none', got {reduction!r}",
            hint=suggest(str(reduction), REDUCTIONS),
        )
    weights = [fitting(op, losses, sample_weight)] if sample_weight is not None else []
    weights += [kept] if kept is not None else []
    for weight in weights:
        losses = weighed(losses, weight)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    if share is None and not weights:
        return mean(losses)
    total = share
    for weight in weights:
        total = cast(weight, losses.dtype) if total is None else weighed(total, weight)
    assert total is not None
    repeated = [
        size for size, own in zip(losses.shape, padded(total, losses), strict=True) if own == 1
    ]
    times = dims.product(tuple(repeated))
    whole = sum(total)
    return sum(losses) / (
        whole if times == 1 else whole * size_node(whole.graph, times, whole.dtype)
    )


def weighed(value: Node, weight: Node) -> Node:
    """A value times a number, or under a mask."""
    return mask(value, weight) if weight.dtype.kind == BOOL else value * weight


def padded(value: Node, like: Node) -> Shape:
    """The shape of a value, with axes of size 1 behind it up to the rank of another."""
    return (*value.shape, *[1] * (like.ndim - value.ndim))


def fitting(op: str, losses: Node, sample_weight: Any) -> Node:
    """A weight as a node of the dtype of the losses, or a bool one, with as many axes."""
    if not isinstance(sample_weight, Node):
        sample_weight = losses.graph.constant(sample_weight)
    weight: Node = sample_weight
    if weight.dtype.kind != BOOL:
        weight = cast(weight, losses.dtype)
    if weight.ndim > losses.ndim or not all(
        is_same(own, size) or own == 1
        for own, size in zip(weight.shape, losses.shape, strict=False)
    ):
        told = ", ".join(node.graph.describe(node, site=True) for node in (sample_weight, losses))
        raise ShapeError(
            f"{op}: the axes of sample_weight are the first ones of the losses: {told}"
        )
    missing = range(weight.ndim, losses.ndim)
    return expand_dims(weight, tuple(missing)) if weight.ndim and missing else weight


def is_same(left: Any, right: Any) -> bool:
    """Whether two sizes may be equal, for all that is known."""
    try:
        equal_sizes(left, right)
    except ShapeError:
        return False
    return True


# --- operands ----------------------------------------------------------------------------------


def paired(op: str, names: str, left: Any, right: Any) -> tuple[Node, Node]:
    """Two float operands of one shape, of which one may be a scalar.

    Broadcasting of others would make a table of (n,) and (n, 1): ShapeError.
    """
    a, b = operands(left, right, floating=True)
    if a.ndim and b.ndim and not (a.ndim == b.ndim and all(map(is_same, a.shape, b.shape))):
        told = ", ".join(node.graph.describe(node, site=True) for node in (a, b))
        raise ShapeError(f"{op}: {names} need one shape: {told}")
    return a, b


def require_values(
    op: str, rule: str, node: Node, holds: Callable[[Any], Any], hint: str | None = None
) -> Node:
    """The node, or GraphcError for a constant that breaks a rule; an argument may hold anything."""
    if node.op is CONSTANT:
        array = node.params.data.array
        bad = array[~holds(array)]
        if bad.size:
            raise GraphcError(f"{op}: {rule}, got {bad.flat[0]}", hint=hint)
    return node


def require_signs(op: str, labels: Node) -> Node:
    """Labels -1 and 1, or DTypeError for bools, GraphcError for other constants."""
    hint = "2 * t - 1 makes them of 0 and 1"
    if labels.dtype.kind == BOOL:
        told = labels.graph.describe(labels, site=True)
        raise DTypeError(f"{op} expects labels -1 and 1, got bools: {told}", hint=hint)
    return require_values(op, "labels are -1 or 1", labels, lambda t: abs(t) == 1, hint)
