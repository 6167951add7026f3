"""Recognition of sums: of exponentials, of squares, with a scale, with their maximum subtracted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from graphc.ir.graph import CONSTANT, scalar_value
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.ops.families import without_axes
from graphc.ops.operands import cast, size_node
from graphc.ops.reduction import reduced_size
from graphc.ops.shape import broadcast_to

MAX_TERMS = 16  # of a sum that is written out
VIEWS = ("expand_dims", "squeeze", "reshape", "broadcast_to")  # that keep the order of elements
COMPUTED = (
    "exp", "add", "subtract", "multiply", "divide", "negative", "sum", "mean", *VIEWS,
    "permute_dims", "getitem", "pick", "exp_sum", "expm1", "cosh", "sigmoid", "softmax",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScaledSum:
    """scale · Σ weight · term over axes; None stands for a factor of 1."""

    term: Node
    axes: tuple[int, ...]
    keepdims: bool
    scale: Node | None = None
    weight: Node | None = None

    @property
    def factor(self) -> Node | None:
        """Scale and weight in one, where the scale can go inside of the sum."""
        if self.scale is None:
            return self.weight
        return self.scale if self.weight is None else self.scale * self.weight


def is_number(node: Node) -> bool:
    """Whether a node is a scalar that is known when the graph is declared, but for its sizes."""
    return not node.shape and (node.op is CONSTANT or node.op.name == "dimension")


def scaled_sum(node: Node) -> ScaledSum | None:
    """A sum or mean times or over numbers."""
    op = node.op.name
    if op in ("sum", "mean"):
        (x,) = node.args
        axes, keepdims = node.params
        if op == "sum":
            return ScaledSum(x, axes, keepdims)
        size = size_node(node.graph, reduced_size(x, axes), x.dtype)
        return ScaledSum(x, axes, keepdims, 1.0 / size)
    if op in ("multiply", "divide") and any(map(is_number, node.args)):
        u, v = node.args
        if op == "multiply" and is_number(u):
            u, v = v, u
        inner = scaled_sum(u) if is_number(v) else None
        if inner is None:
            return None
        number = 1.0 / v if op == "divide" else v
        return replace(inner, scale=number if inner.scale is None else inner.scale * number)
    return None


def weighted_exponential(node: Node) -> ScaledSum | None:
    """The scaled sum of w exp(x) that a node is, with x for its term."""
    total = scaled_sum(node)
    found = weighted(total.term) if total is not None else None
    if total is None or found is None:
        return None
    return replace(total, term=found[0], weight=found[1])


def weighted(node: Node) -> tuple[Node, Node | None] | None:
    """(x, w) where the node is w exp(x), of any number of factors; (x, None) where it is exp(x)."""
    x = inverse("exp", node)
    if x is not None:
        return x, None
    op, args = node.op.name, node.args
    if op == "where" and scalar_value(args[2]) == 0:
        found, factor = weighted(args[1]), cast(args[0], node.dtype)
    elif op == "mask":
        found, factor = weighted(args[0]), cast(args[1], node.dtype)
    elif op == "multiply":
        found, factor = weighted(args[0]), args[1]
        if found is None:
            found, factor = weighted(args[1]), args[0]
    elif op == "divide":
        found = weighted(args[0])
        factor = node if found is None else 1.0 / args[1]
    else:
        return None
    if found is None:
        return None
    x, weight = found
    spread = x if x.shape == node.shape else broadcast_to(x, node.shape)
    return spread, factor if weight is None else weight * factor


def terms(node: Node) -> list[Node]:
    """The terms of a sum that is written with `+`, from left to right.

    Of more than MAX_TERMS only the first ones, one too many.
    """
    found: list[Node] = []
    stack = [node]
    while stack and len(found) <= MAX_TERMS:
        part = stack.pop()
        if part.op.name == "add":
            stack += reversed(part.args)
        else:
            found.append(part)
    return found


def inverse(function: str, node: Node) -> Node | None:
    """x where the node is f(x), also where f(x) was reshaped or cast: then x is in its place."""
    if node.op.name == function:
        return node.args[0]
    if not node.op.emission.view and node.op.name != "astype":
        return None
    x = squared(node.args[0]) if function == "square" else inverse(function, node.args[0])
    if x is None or x.dtype.kind != FLOAT:
        return None
    return node.graph.rebuild(node, (x, *node.args[1:]))


def exponent(node: Node) -> Node | None:
    """x where the node is exp(x), or a number that is one."""
    x = inverse("exp", node)
    if x is not None:
        return x
    value = scalar_value(node)
    if value is None or node.dtype.kind != FLOAT or not 0 < value < math.inf:
        return None
    return node.graph.constant(math.log(value), node.dtype)


def weighted_exponents(node: Node) -> list[tuple[Node, Node | None]] | None:
    """(x, w) for each term w exp(x) of a sum; numbers are exponentials too, if not all are."""
    parts = terms(node)
    if not 2 <= len(parts) <= MAX_TERMS or all(map(is_number, parts)):
        return None
    found = []
    for part in parts:
        x = exponent(part)
        pair = weighted(part) if x is None else (x, None)
        if pair is None:
            return None
        found.append(pair)
    return found


def exponents(node: Node) -> list[Node]:
    """The exponents of a sum of exponentials without weights; none if it is something else."""
    found = weighted_exponents(node) or []
    return [x for x, _ in found] if all(weight is None for _, weight in found) else []


def squared(node: Node) -> Node | None:
    """x where the node is its square, however that is written."""
    if node.op.name == "multiply" and node.args[0] is node.args[1]:
        return node.args[0]
    if node.op.name == "pow" and scalar_value(node.args[1]) == 2:
        return node.args[0]
    return inverse("square", node)


# --- shapes ------------------------------------------------------------------------------------


def plain(node: Node) -> Node:
    """A value without the views around it that only add axes or repeat it."""
    while node.op.name in VIEWS:
        node = node.args[0]
    return node


def is_along(reduced: Node, x: Node, axes: tuple[int, ...]) -> bool:
    """Whether what is a reduction of x over axes meets in x the elements that it was made of.

    It does as with `keepdims`, after its axes were put back by hand, or where only leading axes are
    gone, which broadcasting puts back.
    """
    while reduced.op.name == "broadcast_to":
        reduced = reduced.args[0]
    kept = without_axes(x.shape, axes, True)
    return (1,) * (x.ndim - reduced.ndim) + reduced.shape == kept


def mean_of(node: Node) -> tuple[Node, tuple[int, ...]] | None:
    """(x, axes) where the node is the mean of x, also as a sum over its size, views aside."""
    base = plain(node)
    if base.op.name == "mean":
        return base.args[0], base.params.axes
    if base.op.name == "divide" and base.args[0].op.name == "sum":
        total, size = base.args
        (x,), axes = total.args, total.params.axes
        if size is size_node(node.graph, reduced_size(x, axes), x.dtype):
            return x, axes
    return None


def is_maximum(node: Node, x: Node, axes: tuple[int, ...]) -> bool:
    """Whether a node is the maximum of x over axes, views aside.

    It may stand in a `stop_gradient`: what is shifted by it and back does not depend on it.
    """
    base = plain(node)
    if base.op.name == "stop_gradient":
        base = plain(base.args[0])
    return base.op.name == "max" and base.args[0] is x and base.params.axes == axes


def without_maximum(x: Node, axes: tuple[int, ...]) -> Node | None:
    """u where x is u - max(u) over axes."""
    if x.op.name != "subtract":
        return None
    u, shift = x.args
    return u if is_maximum(shift, u, axes) and is_along(shift, u, axes) else None


def difference(x: Node, y: Node) -> Node | None:
    """The number x - y, not 0, where one of them is the other plus or minus a number."""
    for upper, lower, sign in ((x, y, 1.0), (y, x, -1.0)):
        if upper.op.name not in ("add", "subtract"):
            continue
        first, second = upper.args
        if upper.op.name == "add" and second is lower:
            first, second = second, first
        step = scalar_value(second)
        if first is lower and step:
            return x.graph.constant(
                sign * step if upper.op.name == "add" else -sign * step, x.dtype
            )
    return None


# --- casts -------------------------------------------------------------------------------------


def leaves_cast(node: Node, convert: Callable[[Node], Node], depth: int = 8) -> Node:
    """The same value computed in another dtype, as far down as its exponentials and sums go."""
    if node.op.name not in COMPUTED or not depth:
        return convert(node)
    args = [
        leaves_cast(arg, convert, depth - 1) if arg.dtype.kind == FLOAT else arg
        for arg in node.args
    ]
    return node.graph.rebuild(node, tuple(args))
