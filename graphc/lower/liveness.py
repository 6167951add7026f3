"""Liveness: how long the memory of each value is needed.

A view has no memory of its own: reading it reads the value that it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.ir.node import Node


def storage(node: Node) -> Node:
    """The value whose memory a value lives in: itself, unless it is a view of another."""
    while node.op.emission.view:
        node = node.args[0]
    return node


def last_uses(order: Sequence[Node], kept: Iterable[Node] = ()) -> dict[Node, int]:
    """For each value with memory, the place of the last statement that reads it or a view of it.

    What is never read lives for its own statement only; what is `kept` lives beyond the end.
    """
    last: dict[Node, int] = {}
    for place, node in enumerate(order):
        for value in (node, *node.args):
            last[storage(value)] = place
    last.update((storage(node), len(order)) for node in kept)
    return last
