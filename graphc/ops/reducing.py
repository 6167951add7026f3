"""What losses share: operands of one shape, and a reduction that knows weights and masks.

Every loss takes `reduction` and `sample_weight`. "mean" divides by the number of losses, or by the
sum of all weights where there are some: so a mask leaves the mean of what it keeps, and a mean of
nothing is NaN, as PyTorch has it. "sum" and "none" weigh and divide by nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphcError, ShapeError, suggest
from graphc.ir import dims
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.types import BOOL
from graphc.ops.elementwise import mask, maximum
from graphc.ops.families import composite, given
from graphc.ops.operands import cast, is_same, operand, operands, own_node, size_node
from graphc.ops.reduction import mean, sum
from graphc.ops.shape import broadcast_to, expand_dims

REDUCTIONS = ("mean", "sum", "none")
OPTIONS = """

reduction      "mean" (by the number of losses, or by the sum of their weights), "sum" or "none"
sample_weight  numbers, or a bool mask of what counts; its axes are the first ones of the losses
"""
PAIR = """

Both are floats of one shape, or one is a scalar; ShapeError where they are not."""


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
    if reduction == "mean" and not weights and share is None:
        return mean(losses)
    if reduction == "mean" and share is None and all(w.dtype.kind == BOOL for w in weights):
        mask_of_all = weights[0] if len(weights) == 1 else weights[0] & weights[1]
        return kept_mean.node((losses, mask_of_all))
    total = share
    for weight in weights:
        losses = weighed(losses, weight)
        total = cast(weight, losses.dtype) if total is None else weighed(total, weight)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    assert total is not None
    return sum(losses) / counted(total, losses)


def counted(weight: Node, losses: Node) -> Node:
    """The sum of the weights of all losses, of which each may have several in common."""
    shape = (*weight.shape, *[1] * (losses.ndim - weight.ndim))
    times = dims.product(
        tuple(size for size, own in zip(losses.shape, shape, strict=True) if own == 1)
    )
    total = sum(weight)
    return total if times == 1 else total * size_node(total.graph, times, total.dtype)


def weighed(value: Node, weight: Node) -> Node:
    """A value times a number, or under a mask."""
    return mask(value, weight) if weight.dtype.kind == BOOL else value * weight


def fitting(op: str, losses: Node, sample_weight: Any) -> Node:
    """A weight as a node of the dtype of the losses, or a bool one, with as many axes."""
    weight = sample_weight = own_node(op, "sample_weight", sample_weight, losses.graph)
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


# --- the mean of what is kept ------------------------------------------------------------------


def _count(losses: Node, kept: Node) -> Node:
    return losses.graph.hint(counted(cast(kept, losses.dtype), losses), "valid_count")


def _kept_mean_share(g: Node, node: Node) -> Node:
    # Where nothing is kept the mean is NaN, and nothing has a part in it.
    losses, kept = node.args
    return g / maximum(_count(losses, kept), 1.0)


def _kept_mean_vjp(index: int, bar: Node, node: Node, kinks: str) -> Node | None:
    if index:
        return None
    losses, kept = node.args
    return broadcast_to(mask(_kept_mean_share(bar, node), kept), losses.shape)


kept_mean = composite(
    "kept_mean", "the mean of those losses that are kept; the axes of the mask are their first",
    operands=("losses", "kept"),
    body=lambda losses, kept: sum(mask(losses, kept)) / _count(losses, kept),
    vjp=_kept_mean_vjp,
    jvp=lambda node, tangents, kinks: _kept_mean_share(
        sum(mask(given(tangents[:1]), node.args[1])), node
    ),
    call=lambda op, losses, kept: op.node((operand(losses, floating=True), operand(kept))),
    samples=(
        lambda rng: ((rng.normal(size=(4, 3)), np.array([[True], [True], [False], [True]])), {}),
        lambda rng: ((rng.normal(size=4), np.array([False, True, True, False])), {}),
    ),
)  # fmt: skip

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
