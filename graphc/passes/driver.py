"""The driver: brings every node to normal form under a table of rules, in one sweep.

Operands come first. What a rule makes is brought to normal form in turn before anything uses it,
so a second sweep would find nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from graphc.ir.function import Function, topological
from graphc.ir.node import Node
from graphc.ir.pattern import Rule, Table


@dataclass(slots=True)
class Report:
    """Which rules fired, on which nodes, in order."""

    fired: list[tuple[Rule, Node]] = field(default_factory=list)


def rewrite(function: Function, table: Table, report: Report) -> Function:
    """The function with every node in normal form; untouched nodes stay by identity."""
    return function.with_roots(normalize(function.roots, table, report, function.nodes))


def normalize(
    roots: Sequence[Node], table: Table, report: Report, nodes: Sequence[Node] | None = None
) -> list[Node]:
    """The normal forms of the roots. Raises RecursionError if the rules run in a circle.

    nodes  what the roots need, operands first, where that is known already
    """
    nodes = topological(roots) if nodes is None else nodes
    if table.by_root.keys().isdisjoint([node.op.name for node in nodes]):
        return list(roots)
    uses = Counter(chain.from_iterable([node.args for node in nodes]))
    uses.update(roots)
    normal: dict[Node, Node] = {}
    rewritten: dict[Node, Node] = {}  # to something that has to be brought to normal form itself
    goals = list(reversed(nodes))
    while goals:
        node = goals[-1]
        if node in normal:
            goals.pop()
        elif node in rewritten:
            if rewritten[node] not in normal:
                raise RecursionError(f"the rules run in a circle at {node!r}")
            normal[node] = normal[rewritten[node]]
        elif pending := [arg for arg in node.args if arg not in normal]:
            goals.extend(reversed(pending))
        elif (next_form := step(node, normal, table, uses, report)) is None:
            normal[node] = node
            goals.pop()
        else:
            if next_form in rewritten and next_form not in normal:
                raise RecursionError(f"the rules run in a circle at {node!r}")
            node.graph.inherit(node, next_form)
            uses[next_form] = max(uses[next_form], uses[node])
            rewritten[node] = next_form
            goals.append(next_form)
    return [normal[root] for root in roots]


def step(
    node: Node, normal: dict[Node, Node], table: Table, uses: Counter[Node], report: Report
) -> Node | None:
    """The node after one step towards normal form, or None if it is there."""
    rebuilt = node.graph.rebuild(node, tuple([normal[arg] for arg in node.args]))
    if rebuilt is not node:
        return rebuilt
    for variant in table.candidates(node):
        replacement = variant.apply(node, uses)
        if replacement is not None and replacement is not node:
            if replacement.type != node.type:
                name = variant.rule.name
                raise TypeError(f"rule {name!r} makes {replacement!r} of {node!r}: another type")
            report.fired.append((variant.rule, node))
            return replacement
    return None
