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
        else:
            form = node.graph.rebuild(node, tuple([normal[arg] for arg in node.args]))
            if form is not node:
                succeed(node, form, uses)
            if form in normal or form in rewritten:
                rewritten[node] = form
                goals.append(form)
            elif (replacement := replaced(form, table, uses, report)) is None:
                normal[node] = normal[form] = form
                goals.pop()
            else:
                succeed(form, replacement, uses)
                rewritten[node] = rewritten[form] = replacement
                goals.append(replacement)
    return [normal[root] for root in roots]


def succeed(old: Node, new: Node, uses: Counter[Node]) -> None:
    """A node takes the place of another."""
    old.graph.inherit(old, new)
    uses[new] = max(uses[new], uses[old])


def replaced(node: Node, table: Table, uses: Counter[Node], report: Report) -> Node | None:
    """What the first rule that fires makes of a node on normal operands, or None."""
    for variant in table.candidates(node):
        replacement = variant.apply(node, uses)
        if replacement is not None and replacement is not node:
            if replacement.type != node.type:
                name = variant.rule.name
                raise TypeError(f"rule {name!r} makes {replacement!r} of {node!r}: another type")
            report.fired.append((variant.rule, node))
            return replacement
    return None
