"""The driver: brings every node to normal form under a table of rules, in one sweep.

Operands come first. What a rule makes is brought to normal form in turn before anything uses it,
so a second sweep would find nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain

from graphc.ir.function import Function, topological
from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Rule, Table


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
    uses: Counter[Node] = Counter()
    if table.counts_uses:
        uses.update(chain(roots, *[node.args for node in nodes]))
    normal: dict[Node, Node] = {}
    for node in nodes:
        # Nearly all nodes are untouched, and are told from the others at one glance.
        if table.candidates(node) or any(normal[arg] is not arg for arg in node.args):
            settle(node, normal, table, uses, report)
        else:
            normal[node] = node
    return [normal[root] for root in roots]


def settle(
    node: Node, normal: dict[Node, Node], table: Table, uses: Counter[Node], report: Report
) -> None:
    """Find the normal form of a node, and of all that rules make of it."""
    rewritten: dict[Node, Node] = {}  # to something that has to be brought to normal form itself
    goals = [node]
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
            explain(variant.rule, node, replacement)
            return replacement
    return None


def explain(rule: Rule, node: Node, replacement: Node) -> None:
    """Note on a replacement which formula it stands for, if it is another than the user's.

    An operand that takes the place of a node stands for itself. What had been replaced already, and
    is now part of something larger, is told there.
    """
    graph = node.graph
    if rule.preserves == STABILIZE:
        if not is_part(made := unsigned(replacement), node):
            graph.explain(made, origin(rule.name))
    elif graph.origins and replacement not in graph.origins and node not in graph.origins:
        told = [arg for arg in node.args if arg in graph.origins]
        gone = [arg for arg in told if not (is_part(arg, replacement) or is_part(replacement, arg))]
        if gone:
            graph.explain(replacement, "; ".join(graph.origins[arg] for arg in gone))


def unsigned(node: Node) -> Node:
    """A value without its sign, which other rules move about."""
    return node.args[0] if node.op.name == "negative" else node


def is_part(part: Node, node: Node, depth: int = 3) -> bool:
    """Whether one node is the other or is seen in it, as deep as patterns look."""
    return part is node or (depth > 0 and any(is_part(part, arg, depth - 1) for arg in node.args))


@cache
def origin(name: str) -> str:
    """What a reader is told of a rule: `log(sum(exp(x))) = logsumexp(x)` read backwards.

    That is `logsumexp, from log(sum(exp(.)))`: the name of a single variable says nothing.
    """
    before, _, after = name.partition(" = ")
    if after.startswith("-"):  # told at what the sign is taken of, see `unsigned`
        before, after = f"-({before})", after[1:]
    if set(VARIABLE.findall(before)) == {"x"}:
        before = VARIABLE.sub(".", before)
    call = re.match(r"(\w+)\(", after)
    whole = call is not None and closes_last(after, call.end() - 1)
    return f"{call[1] if call and whole else after}, from {before}"


VARIABLE = re.compile(r"\b[A-Za-z_]\w*\b(?!\()")


def closes_last(text: str, start: int) -> bool:
    """Whether the parenthesis at a place is closed by the last character of the text."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place == len(text) - 1
    return False
