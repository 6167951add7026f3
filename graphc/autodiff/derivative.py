"""Expansion of derivative nodes: each becomes the graph that computes it, innermost first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphc.autodiff.pullback import pullback
from graphc.autodiff.pushforward import pushforward
from graphc.ir.function import Function, substitute, topological
from graphc.ir.graph import ARGUMENT, ITEM
from graphc.ir.node import Node
from graphc.ops.derivatives import JVP_NODE, VJP_NODE
from graphc.ops.shape import zeros_like

Prepare: TypeAlias = Callable[[Sequence[Node]], list[Node]]


def expand_derivatives(function: Function, kinks: str, prepare: Prepare) -> Function:
    """The function without derivative nodes; `prepare` rewrites a target before it is derived."""
    graph = function.graph
    done: dict[Node, Node] = {}
    results: dict[Node, list[Node]] = {}  # of the derivative nodes
    for node in topological(function.roots):
        if node.op is ITEM and node.args[0] in results:
            done[node] = results[node.args[0]][node.params.index]
        else:
            rebuilt = done[node] = graph.rebuild(node, tuple(done[arg] for arg in node.args))
            if node.op in (VJP_NODE, JVP_NODE):
                results[node] = expand(rebuilt, kinks, prepare)
        graph.inherit(node, done[node])
    return function.with_roots(done[root] for root in function.roots)


def expand(node: Node, kinks: str, prepare: Prepare) -> list[Node]:
    """The results of one derivative node."""
    count = node.params.targets
    if node.op is JVP_NODE:
        variables = len(node.args[count:]) // 2
        targets, tangents = node.args[:count], node.args[count : count + variables]
        wrt = node.args[count + variables :]
        inner, free = isolated(targets, wrt)
        dots = pushforward(prepare(inner), [free.get(w, w) for w in wrt], tangents, kinks)
        return restored(dots, targets, free)
    targets, cotangents = node.args[:count], node.args[count : 2 * count]
    wrt = node.args[2 * count :]
    found: dict[Node, Node] = {}
    # A wrt inside the graph is cut out, which would hide it from the others: each has its turn.
    leaves = [w for w in wrt if w.op is ARGUMENT]
    for group in [leaves, *([w] for w in wrt if w.op is not ARGUMENT)]:
        inner, free = isolated(targets, group)
        bars = pullback(prepare(inner), cotangents, [free.get(w, w) for w in group], kinks)
        found.update(zip(group, restored(bars, group, free), strict=True))
    return [found[w] for w in wrt]


def isolated(targets: Sequence[Node], wrt: Sequence[Node]) -> tuple[list[Node], dict[Node, Node]]:
    """The targets with each inner wrt replaced by an argument, so that no rewrite swallows it."""
    free = {
        w: w.graph.argument("stand-in", f"{w.graph.label_of(w) or w.op.name}", w.shape, w.dtype)
        for w in wrt
        if w.op is not ARGUMENT
    }
    return substitute(targets, free), free


def restored(
    parts: Sequence[Node | None], likes: Sequence[Node], free: dict[Node, Node]
) -> list[Node]:
    """Results with zeros for what nothing reached, and the stand-ins exchanged back."""
    filled = [zeros_like(like) if p is None else p for p, like in zip(parts, likes, strict=True)]
    return substitute(filled, {stand_in: w for w, stand_in in free.items()})
