"""The order of statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT
from graphc.ir.node import Node


def schedule(results: Sequence[Node], arguments: Iterable[Node]) -> tuple[Node, ...]:
    """Every value to compute, each right before its first use: what is alive stays little.

    Arguments may be inner nodes (the residuals of backward); what they are made of is left out.
    """
    given = set(arguments)
    order = topological(results, stop=given)
    return tuple(n for n in order if n not in given and n.op not in (ARGUMENT, CONSTANT))


def backward_order(
    gradients: Sequence[Node], wrt: Sequence[Node], forward: Sequence[Node]
) -> list[Node]:
    """The gradients in the order in which a pass back through the forward pass completes them."""
    last_use = {arg: place for place, node in enumerate(forward) for arg in node.args}
    ranked = sorted(range(len(wrt)), key=lambda i: -last_use.get(wrt[i], -1))
    return [gradients[i] for i in ranked]
