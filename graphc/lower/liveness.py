"""Liveness: how long the memory of each value is needed.

To read a view is to read the value that it shows, and to read a value that is written inside its
user is to read what that is made of: neither has memory of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from graphc.ir.node import Node


def last_uses(
    order: Sequence[Node], read: Mapping[Node, Sequence[Node]], kept: Iterable[Node] = ()
) -> dict[Node, int]:
    """For each value with memory, the place of the last statement that reads it.

    What is never read lives for its own statement only; what is `kept` lives beyond the end.
    """
    last: dict[Node, int] = {}
    for place, node in enumerate(order):
        for value in (node, *node.args):
            for shown in read.get(value, (value,)):
                last[shown] = place
    for node in kept:
        last.update(dict.fromkeys(read.get(node, (node,)), len(order)))
    return last


def memory_read(
    order: Sequence[Node], inline: Collection[Node] = ()
) -> dict[Node, tuple[Node, ...]]:
    """For each value, the values whose memory is read wherever it is written down."""
    read: dict[Node, tuple[Node, ...]] = {}
    for node in order:
        if node.op.emission.view or node in inline:
            shown = [value for arg in node.args for value in read.get(arg, (arg,))]
            read[node] = tuple(dict.fromkeys(shown)) if len(shown) > 1 else tuple(shown)
        else:
            read[node] = (node,)
    return read
