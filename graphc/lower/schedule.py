"""The order of statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT
from graphc.ir.node import Node


def schedule(
    results: Sequence[Node], arguments: Iterable[Node], *, longest_first: bool = True
) -> tuple[Node, ...]:
    """Every value to compute, each right before its first use: what is alive stays little.

    Of several operands the one that takes the longest chain comes first: what a recurrence reads
    in its last step would else be computed before its first, and wait all the time. Results that
    are in a good order already, as those of backward, do better without.
    Arguments may be inner nodes (the residuals of backward); what they are made of is left out.
    """
    given = set(arguments)
    order = topological(results, stop=given)
    if longest_first:
        depth: dict[Node, int] = {}
        for node in order:
            args = () if node in given else node.args
            depth[node] = 1 + max((depth[arg] for arg in args), default=0)
        order = topological(results, stop=given, rank=depth)
    steps = [n for n in order if n not in given and n.op not in (ARGUMENT, CONSTANT)]
    return tuple(in_order_of_draws(steps))


def in_order_of_draws(steps: Sequence[Node]) -> Iterator[Node]:
    """The steps, with draws in the order of their declaration: before each, all earlier ones.

    Draws have no operands, so they may come earlier than they are needed.
    """
    draws = sorted((n for n in steps if n.op.random), key=lambda n: n.params.serial, reverse=True)
    for node in steps:
        if not node.op.random:
            yield node
        while node.op.random and draws and draws[-1].params.serial <= node.params.serial:
            yield draws.pop()


def backward_order(
    gradients: Sequence[Node], wrt: Sequence[Node], forward: Sequence[Node]
) -> list[Node]:
    """The gradients in the order in which a pass back through the forward pass completes them."""
    last_use = {arg: place for place, node in enumerate(forward) for arg in node.args}
    ranked = sorted(range(len(wrt)), key=lambda i: -last_use.get(wrt[i], -1))
    return [gradients[i] for i in ranked]
