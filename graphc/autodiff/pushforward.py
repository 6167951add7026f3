"""Forward mode: tangents flow from wrt to the outputs, operands before users."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import DifferentiationError
from graphc.ir.function import differentiable_path
from graphc.ir.node import Node
from graphc.ops.operands import cast
from graphc.ops.shape import broadcast_to


def pushforward(
    outputs: Sequence[Node],
    wrt: Sequence[Node],
    tangents: Sequence[Node | None],
    kinks: str = "torch",
    *,
    leaves: Sequence[Node] = (),
) -> list[Node | None]:
    """The tangents of the outputs, for tangents of wrt: None where nothing arrives.

    The tangents of wrt are as given, also where one depends on another; what `leaves` are made of
    is not followed.
    """
    dots: dict[Node, Node | None] = dict(zip(wrt, tangents, strict=True))
    ends = set(leaves)
    for node in differentiable_path(outputs, wrt, stop=leaves):
        if node in dots or node in ends:
            continue
        dot = tangent(node, tuple(dots.get(arg) for arg in node.args), kinks)
        if dot is not None:
            dots[node] = total = fitted(dot, node)
            node.graph.relate(total, "dot", node)
    return [dots.get(output) for output in outputs]


def tangent(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
    """The tangent of one node for those of its operands."""
    op = node.op
    if all(dot is None for dot in tangents):
        return None
    if op.jvp is not None:
        return op.jvp(node, tangents, kinks)
    if op.body is None:
        raise DifferentiationError(f"{op.name} has no derivative")
    given = {arg: dot for arg, dot in zip(node.args, tangents, strict=True) if dot is not None}
    body = op.body(*node.args, *node.params)
    return pushforward([body], list(given), list(given.values()), kinks, leaves=node.args)[0]


def fitted(dot: Node, node: Node) -> Node:
    """A tangent in the shape and dtype of its node."""
    if dot.type == node.type:
        return dot
    spread = dot if dot.shape == node.shape else broadcast_to(dot, node.shape)
    return cast(spread, node.dtype)
