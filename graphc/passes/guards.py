"""Guards: where a branch is not chosen, its operations see numbers that do no harm.

`where(x > 0, sqrt(x), 0)` has the derivative 0 · infinity at 0, which is NaN: the branch that is
not chosen spoils the one that is. What a branch computes for elements that nobody chose can be
anything, so the operand that would do harm becomes `where(x > 0, x, 1)`.

Which elements of a value are needed is told backwards, as cotangents are: those that one of its
users needs, and of what a user chooses from only the chosen ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphc.ir.function import topological
from graphc.ir.graph import scalar_value
from graphc.ir.intervals import Domain, may_be_infinite, unsafe_operands
from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Rule
from graphc.ir.types import BOOL, FLOAT, broadcast
from graphc.ops.elementwise import stop_gradient, where
from graphc.ops.operands import cast
from graphc.ops.reduction import fitted, spread
from graphc.ops.shape import broadcast_to
from graphc.passes.driver import Report

GUARD = Rule("f(x) = f(where(chosen, x, 1))", lambda op: False, lambda node: None, STABILIZE)


def guard(roots: Sequence[Node], report: Report) -> list[Node]:
    """The roots, with the operands masked that would do harm where they are not needed."""
    return masked(topological(roots), dict.fromkeys(roots), report)


def masked(nodes: Sequence[Node], needs: Mapping[Node, Node | None], report: Report) -> list[Node]:
    """What is asked for, with harmful operands masked.

    nodes  in order, operands first; what is not among them is left as it is
    needs  the values asked for, each with the condition under which an element is; None: always
    """
    harmful = harmful_operands(nodes, [node for node, need in needs.items() if need is None])
    comparing = [node for node in nodes if node.op.compares]
    done: dict[Node, Node] = {}
    if harmful:
        known = needed_elements(nodes, needs, harmful)
    if not harmful and not any(map(loses_to_infinity, comparing)):
        return list(needs)
    for node in nodes:
        args = [done.get(arg, arg) if has_slope(node) else arg for arg in node.args]
        for index, domain in harmful.get(node, ()):
            chosen = known.get(node)
            if chosen is not None:
                args[index] = where(chosen, args[index], domain.inside)
                report.fired.append((GUARD, node))
        if node.op.compares:
            args = [compared(node, index, arg, report) for index, arg in enumerate(args)]
        done[node] = node.graph.rebuild(node, tuple(args))
        node.graph.inherit(node, done[node])
    return [done[node] for node in needs]


def has_slope(node: Node) -> bool:
    """Whether derivatives go through a node; what has none, as a comparison, does no harm."""
    return node.op.differentiable and node.dtype.kind == FLOAT


# --- what a choice leaves out ------------------------------------------------------------------


def harmful_operands(
    nodes: Sequence[Node], needed: Sequence[Node]
) -> dict[Node, list[tuple[int, Domain]]]:
    """For each value that is not always needed, the operands that may do harm."""
    always = set(needed)
    for node in reversed(nodes):
        if node in always and has_slope(node):
            always.update(arg for i, arg in enumerate(node.args) if choice(node, i) is None)
    rarely = [node for node in nodes if node not in always and has_slope(node)]
    found = {node: unmasked(node) for node in rarely if node.op.finite is not None}
    return {node: operands for node, operands in found.items() if operands}


def choice(node: Node, index: int) -> Callable[..., Node] | None:
    """The condition under which an operand is chosen; None where it is always needed."""
    return node.op.selects[index] if node.op.selects and not node.op.compares else None


def unmasked(node: Node) -> list[tuple[int, Domain]]:
    """The operands that may do harm and have no mask yet."""
    return [
        (index, domain)
        for index, domain in unsafe_operands(node)
        if node.args[index].op is not where
        or domain.inside not in map(scalar_value, node.args[index].args[1:])
    ]


def needed_elements(
    nodes: Sequence[Node],
    given: Mapping[Node, Node | None],
    harmful: Mapping[Node, list[tuple[int, Domain]]],
) -> dict[Node, Node | None]:
    """For what harm is above of, the condition under which an element is needed; None: always.

    What only a comparison reads has no entry.
    """
    above = set(harmful)
    for node in nodes:
        if not above.isdisjoint(node.args):
            above.add(node)
    needs = dict(given)
    for node in reversed(nodes):
        if node not in needs or not has_slope(node):
            continue
        for index, arg in enumerate(node.args):
            if arg in above:
                need = passed_on(node, index, needs[node])
                before = needs.get(arg, need)
                both = need is not None and before is not None
                needs[arg] = (need if before is need else before | need) if both else None
    return needs


def passed_on(node: Node, index: int, need: Node | None) -> Node | None:
    """The elements of an operand that are needed where `need` says which of the result are."""
    chosen = choice(node, index)
    if chosen is not None:
        own = chosen(*node.args)
        need = own if need is None else need & own
    if need is None or not need.shape:
        return need
    shape = node.args[index].shape
    if node.op.family == "elementwise" and broadcast([need.shape, shape])[0] == shape:
        return need
    return transposed(need, node, index)


def transposed(need: Node, node: Node, index: int) -> Node | None:
    """Elements of a result as elements of an operand: along the transpose, where there is one."""
    operand = node.args[index]
    part: Node | None = broadcast_to(need, node.shape)
    if node.op.family == "linear" and index == 0 and node.op.vjp is not None:
        part = node.op.vjp(0, part, node, "torch")
    elif {"axes", "keepdims"} <= set(node.op.parameters):
        part = spread(part, node)
    elif node.op.family != "elementwise":
        return None
    if part is None or (part.dtype.kind == BOOL and part.shape == operand.shape):
        return part
    return fitted(cast(part, operand.dtype), operand) > 0


# --- what loses a comparison -------------------------------------------------------------------


def loses_to_infinity(node: Node) -> bool:
    """Whether an operand of a maximum may have an infinite slope where it is not the larger."""
    return any(may_be_infinite(arg) and not is_compared(arg) for arg in node.args)


def is_compared(node: Node) -> bool:
    """Whether a value is what `compared` makes."""
    return node.op is where and node.args[2].op is stop_gradient


def compared(node: Node, index: int, arg: Node, report: Report) -> Node:
    """An operand of a maximum: masked where it wins, and without a slope where it loses."""
    operand, chosen = node.args[index], node.op.selects[index]
    if chosen is None or is_compared(operand) or not may_be_infinite(operand):
        return arg
    wins = chosen(*node.args)
    inside = topological([operand])
    nodes = [n for n in inside if n.op.family in ("elementwise", "linear")]
    (safe,) = masked(nodes, {operand: wins}, report)
    return arg if safe is operand else where(wins, safe, stop_gradient(arg))
