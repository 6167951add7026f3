"""Expansion of derivative nodes: each becomes the graph that computes it, innermost first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphc.autodiff.pullback import pullback
from graphc.autodiff.pushforward import pushforward
from graphc.ir.function import Function, substitute
from graphc.ir.graph import ARGUMENT, ITEM
from graphc.ir.node import Node
from graphc.ops.derivatives import JVP_NODE, VJP_NODE
from graphc.ops.families import add_up
from graphc.ops.shape import zeros_like

Prepare: TypeAlias = Callable[[Sequence[Node]], list[Node]]


def expand_derivatives(function: Function, kinks: str, prepare: Prepare) -> Function:
    """The function without derivative nodes; `prepare` rewrites a target before it is derived."""
    graph = function.graph
    done: dict[Node, Node] = {}
    results: dict[Node, list[Node]] = {}  # of the derivative nodes
    if not any(node.op in (VJP_NODE, JVP_NODE) for node in function.nodes):
        return function
    for node in function.nodes:
        if node.op is ITEM and node.args[0] in results:
            done[node] = results[node.args[0]][node.params.index]
        else:
            rebuilt = done[node] = graph.rebuild(node, tuple(done[arg] for arg in node.args))
            if node.op in (VJP_NODE, JVP_NODE):
                results[node] = expand(rebuilt, kinks, prepare)
        graph.inherit(node, done[node])
    return function.with_roots(done[root] for root in function.roots)


def expand(node: Node, kinks: str, prepare: Prepare) -> list[Node]:
    """The results of one derivative node; every derivative is total.

    A wrt inside the graph is cut out, which would hide what reaches the target through it from the
    others: each such wrt has its turn alone.
    """
    targets, given, wrt = parts(node)
    leaves = [w for w in dict.fromkeys(wrt) if w.op is ARGUMENT]
    groups = [leaves, *([w] for w in dict.fromkeys(wrt) if w.op is not ARGUMENT)]
    if node.op is JVP_NODE:
        dots: list[Node | None] = [None] * len(targets)
        tangents = {w: add_up(t for v, t in zip(wrt, given, strict=True) if v is w) for w in wrt}
        for group in groups:
            inner, free = isolated(targets, group)
            arriving = [tangents[w] for w in group]
            found = pushforward(prepare(inner), [free.get(w, w) for w in group], arriving, kinks)
            dots = [add_up(pair) for pair in zip(dots, restored(found, free), strict=True)]
        return filled(dots, targets)
    bars: dict[Node, Node | None] = {}
    for group in groups:
        inner, free = isolated(targets, group)
        found = pullback(prepare(inner), given, [free.get(w, w) for w in group], kinks)
        bars.update(zip(group, restored(found, free), strict=True))
    return filled([bars[w] for w in wrt], wrt)


def parts(node: Node) -> tuple[Sequence[Node], Sequence[Node], Sequence[Node]]:
    """Targets, cotangents or tangents, and wrt of a derivative node."""
    count = node.params.targets
    middle = count + (count if node.op is VJP_NODE else (len(node.args) - count) // 2)
    return node.args[:count], node.args[count:middle], node.args[middle:]


def isolated(targets: Sequence[Node], wrt: Sequence[Node]) -> tuple[list[Node], dict[Node, Node]]:
    """The targets with each inner wrt replaced by an argument, so that no rewrite swallows it."""
    free = {
        w: w.graph.argument(f"stand-in {w.id}", w.graph.label_of(w) or w.op.name, w.shape, w.dtype)
        for w in wrt
        if w.op is not ARGUMENT
    }
    return substitute(targets, free) if free else list(targets), free


def restored(found: Sequence[Node | None], free: dict[Node, Node]) -> list[Node | None]:
    """Results with the stand-ins exchanged back."""
    if not free:
        return list(found)
    arrived = [part for part in found if part is not None]
    exchanged = iter(substitute(arrived, {stand_in: w for w, stand_in in free.items()}))
    return [None if part is None else next(exchanged) for part in found]


def filled(found: Sequence[Node | None], likes: Sequence[Node]) -> list[Node]:
    """Results with zeros for what nothing reached."""
    return [zeros_like(like) if p is None else p for p, like in zip(found, likes, strict=True)]
