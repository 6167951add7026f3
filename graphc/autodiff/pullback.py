"""Reverse mode: cotangents flow from the outputs back to wrt.

Every node on a path from wrt to an output is visited once, users before operands. Its cotangent is
complete by then, and the op's VJP turns it into contributions to the cotangents of its operands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from graphc.errors import DifferentiationError
from graphc.ir.function import differentiable_path
from graphc.ir.graph import ITEM
from graphc.ir.node import Node
from graphc.ops.families import add_up
from graphc.ops.reduction import fitted

Bar: TypeAlias = "Node | list[Node | None] | None"  # a list for a node with several results


def pullback(
    outputs: Sequence[Node],
    cotangents: Sequence[Node],
    wrt: Sequence[Node],
    kinks: str = "torch",
    *,
    leaves: Sequence[Node] = (),
) -> list[Node | None]:
    """The cotangents of wrt, for cotangents of the outputs: None where nothing arrives.

    The derivatives are total: what reaches wrt through another wrt is counted, except through
    `leaves`, whose operands are not followed.
    """
    bars: dict[Node, Bar] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        accumulate(bars, output, cotangent)
    path = differentiable_path(outputs, wrt, stop=leaves)
    on_path, ends = set(path), set(leaves)
    for node in reversed(path):
        bar = bars.get(node)
        if isinstance(bar, Node):
            node.graph.relate(bar, "bar", node)
        if bar is None or node in ends or on_path.isdisjoint(node.args):
            continue
        for operand, contribution in contributions(node, bar, on_path, kinks):
            accumulate(bars, operand, contribution)
    return [received(bars, node) for node in wrt]


def received(bars: dict[Node, Bar], node: Node) -> Node | None:
    """The cotangent of a node, None where nothing arrived; an item's is kept by the whole."""
    if node.op is ITEM:
        parts = bars.get(node.args[0])
        return parts[node.params.index] if isinstance(parts, list) else None
    bar = bars.get(node)
    return bar if isinstance(bar, Node) else None


def accumulate(bars: dict[Node, Bar], node: Node, contribution: Node) -> None:
    """Add a contribution to a cotangent: this is where several paths meet."""
    if node.op is ITEM:
        (whole,) = node.args
        parts = bars.setdefault(whole, [None] * len(whole.types))
        assert isinstance(parts, list)
        parts[node.params.index] = add_up([parts[node.params.index], fitted(contribution, node)])
        return
    before = bars.get(node)
    assert not isinstance(before, list)
    total = add_up([before, fitted(contribution, node)])
    assert total is not None
    bars[node] = total


def contributions(
    node: Node, bar: Bar, on_path: set[Node], kinks: str
) -> Iterator[tuple[Node, Node]]:
    """What each operand on the path receives from one node."""
    op = node.op
    if op.vjp is None:
        if op.body is None or not isinstance(bar, Node):
            raise DifferentiationError(f"{op.name} has no derivative")
        operands = [arg for arg in dict.fromkeys(node.args) if arg in on_path]
        body = op.body(*node.args, *node.params)
        parts = pullback([body], [bar], operands, kinks, leaves=node.args)
        arrived = zip(operands, parts, strict=True)
        yield from ((operand, part) for operand, part in arrived if part is not None)
        return
    for index, operand in enumerate(node.args):
        if operand in on_path:
            contribution = op.vjp(index, bar, node, kinks)
            if contribution is not None:
                yield operand, contribution
