"""Guards: where a branch is not chosen, its operations see numbers that do no harm.

`where(x > 0, sqrt(x), 0)` has the derivative 0 · infinity at 0, which is NaN: the branch that is
not chosen spoils the one that is. What a branch computes for elements that nobody chose can be
anything, so the operand that would do harm becomes `where(x > 0, x, 1)`.

Which elements of a value are needed is told backwards, as cotangents are: those that one of its
users needs, and of what a user chooses from only the chosen ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from graphc.ir.function import topological
from graphc.ir.intervals import Domain, may_be_infinite, unsafe_operands
from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Rule
from graphc.ir.types import BOOL, FLOAT, broadcast
from graphc.ops.comparison import logical_and, logical_or
from graphc.ops.elementwise import stop_gradient, where
from graphc.ops.joining import concat, stack
from graphc.ops.linalg import matmul
from graphc.ops.operands import cast
from graphc.ops.reduction import fitted, spread
from graphc.ops.shape import broadcast_to
from graphc.passes.driver import Report

Masks: TypeAlias = dict[Node, tuple[Node, list[tuple[int, Domain]]]]
WITH_NEEDS = ("elementwise", "linear")  # families whose elements are told apart
GUARD = Rule("f(x) = f(where(chosen, x, 1))", lambda op: False, lambda node: None, STABILIZE)


def guard(roots: Sequence[Node], report: Report) -> list[Node]:
    """The roots, with the operands masked that would do harm where they are not needed."""
    roots = with_safe_conditions(roots, report)
    needs: dict[Node, Node | None] = dict.fromkeys(roots)
    found = dict(zip(needs, masked(topological(roots), needs, report), strict=True))
    return [found[root] for root in roots]


def masked(
    nodes: Sequence[Node],
    needs: Mapping[Node, Node | None],
    report: Report,
    given: Mapping[Node, Node] | None = None,
) -> list[Node]:
    """What is asked for, with harmful operands masked.

    nodes  in order, operands first; what is not among them is left as it is
    needs  the values asked for, each with the condition under which an element is; None: always
    given  what stands for some other nodes
    """
    suspect = suspects(nodes, [node for node, need in needs.items() if need is None])
    known = needed_elements(nodes, needs, suspect) if suspect else {}
    harmful = {
        node: unsafe_operands(node, (need,)) for node, need in known.items() if need is not None
    }
    if not any(harmful.values()) and not any(map(loses_to_infinity, nodes)):
        return list(needs)
    done = dict(given or {})
    for node in nodes:
        args = [done.get(arg, arg) if has_slope(node) else arg for arg in node.args]
        for index, domain in harmful.get(node, ()):
            args[index] = where(known[node], args[index], domain.inside)
            report.fired.append((GUARD, node))
        if node.op.compares:
            args = [
                compared(node, index, args, known.get(node), report, done)
                for index in range(len(args))
            ]
        done[node] = node.graph.rebuild(node, tuple(args))
        node.graph.inherit(node, done[node])
    return [done[node] for node in needs]


def has_slope(node: Node) -> bool:
    """Whether derivatives go through a node; what has none, as a comparison, does no harm."""
    return node.op.differentiable and node.dtype.kind == FLOAT


# --- what conditions read ---------------------------------------------------------------------


def with_safe_conditions(roots: Sequence[Node], report: Report) -> Sequence[Node]:
    """The roots, with the operands masked of what conditions read, where nobody reads the value.

    `where(where(x > 0, log(x), 0) > 1, …)` needs the logarithm for the comparison, whichever
    elements are chosen in the end, and only where x > 0. Slopes are another matter: the condition
    has none, so afterwards more may be masked for them.
    """
    nodes = topological(roots)
    read = set(topological([arg for node in nodes if not has_slope(node) for arg in node.args]))
    suspect = [n for n in nodes if n in read and n.op.finite is not None and unsafe_operands(n)]
    known = needed_elements(nodes, dict.fromkeys(roots), suspect, lambda n: True) if suspect else {}
    masks: Masks = {}
    for node in suspect:
        need = known.get(node)
        if need is not None:  # what reads the node cannot be what masks it
            need = without(need, partial(reads, node))
        if need is not None and (harmful := unsafe_operands(node, (need,))):
            masks[node] = (need, harmful)
    if not masks:
        return roots
    order = in_order(roots, masks)
    done: dict[Node, Node] = {}
    for node in order:
        args = [done[arg] for arg in node.args]
        need, harmful = masks.get(node, (node, []))
        for index, domain in harmful:
            args[index] = where(done[need], args[index], domain.inside)
            report.fired.append((GUARD, node))
        done[node] = node.graph.rebuild(node, tuple(args))
        node.graph.inherit(node, done[node])
    return [done[root] for root in roots]


def reads(node: Node, user: Node) -> bool:
    """Whether a node is what another is made of."""
    return any(part is node for part in topological([user]))


def in_order(roots: Sequence[Node], masks: Masks) -> list[Node]:
    """All nodes, operands and the conditions of masks before their users.

    Where the condition of a mask reads what it is to mask by way of another mask, that part of it
    is left out: it may then keep more elements than are needed.
    """
    while True:
        every = topological([*roots, *(need for need, _ in masks.values())])
        before = {n: [*n.args, *((masks[n][0],) if n in masks else ())] for n in every}
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError as error:
            weaken_one(masks, set(error.args[1]))


def weaken_one(masks: Masks, circle: set[Node]) -> None:
    """Leave out what is in a circle of the first condition that has a part in it."""
    for node, (need, harmful) in masks.items():
        weaker = without(need, circle.__contains__) if node in circle else need
        if weaker is not need:
            if weaker is None:
                del masks[node]
            else:
                masks[node] = (weaker, harmful)
            return


def without(condition: Node, left_out: Callable[[Node], bool]) -> Node | None:
    """A condition that holds wherever this one does, made of none of some parts; None: always."""
    if condition.op not in (logical_and, logical_or):
        return None if left_out(condition) else condition
    first, second = (without(part, left_out) for part in condition.args)
    if first is condition.args[0] and second is condition.args[1]:
        return condition
    if condition.op is logical_or:
        return either(first, second)
    return second if first is None else first if second is None else both(first, second)


# --- what a choice leaves out ------------------------------------------------------------------


def suspects(nodes: Sequence[Node], needed: Sequence[Node]) -> list[Node]:
    """The values that may be infinite or have an infinite slope, and are not always needed."""
    always = set(needed)
    for node in reversed(nodes):
        if node in always and has_slope(node):
            always.update(arg for i, arg in enumerate(node.args) if choice(node, i) is None)
    rarely = [node for node in nodes if node not in always and has_slope(node)]
    return [node for node in rarely if node.op.finite is not None and unsafe_operands(node)]


def choice(node: Node, index: int) -> Callable[..., Node] | None:
    """The condition under which an operand is chosen; None where it is always needed."""
    return node.op.selects[index] if node.op.selects and not node.op.compares else None


def needed_elements(
    nodes: Sequence[Node],
    given: Mapping[Node, Node | None],
    suspect: Sequence[Node],
    passes: Callable[[Node], bool] = has_slope,
) -> dict[Node, Node | None]:
    """For what is made of suspects, when an element of it is needed: a condition; None: always.

    passes  whether needs go through a node; by default what only a comparison reads has no entry
    """
    above = set(suspect)
    for node in nodes:
        if not above.isdisjoint(node.args):
            above.add(node)
    needs = dict(given)
    for node in reversed(nodes):
        if node not in needs or not passes(node):
            continue
        for index, arg in enumerate(node.args):
            if arg in above:
                need = passed_on(node, index, needs[node])
                needs[arg] = either(needs[arg], need) if arg in needs else need
    return needs


def either(first: Node | None, second: Node | None) -> Node | None:
    """The elements that one of two users needs."""
    if first is None or second is None:
        return None
    parts, others = conjuncts(first), conjuncts(second)
    if parts <= others or others <= parts:  # a, or a and b
        return first if parts <= others else second
    return first | second


def both(first: Node, second: Node) -> Node:
    """Where two conditions hold."""
    parts, others = conjuncts(first), conjuncts(second)
    if parts <= others or others <= parts:
        return second if parts <= others else first
    return first & second


def conjuncts(condition: Node) -> set[Node]:
    """The conditions that hold all where this one does."""
    found, stack = set(), [condition]
    while stack:
        part = stack.pop()
        if part.op is logical_and:
            stack += part.args
        else:
            found.add(part)
    return found


def passed_on(node: Node, index: int, need: Node | None) -> Node | None:
    """The elements of an operand that are needed where `need` says which of the result are."""
    chosen = choice(node, index)
    if chosen is not None:
        own = chosen(*node.args)
        need = own if need is None else both(need, own)
    if need is None or not need.shape:
        return need
    shape = node.args[index].shape
    if node.op.family == "elementwise" and broadcast([need.shape, shape])[0] == shape:
        return need
    return transposed(need, node, index)


def transposed(need: Node, node: Node, index: int) -> Node | None:
    """Elements of a result as elements of an operand: along the transpose, where there is one."""
    operand = node.args[index]
    if node.op.family == "linear" and index == 0 and node.op.vjp is not None:
        part = node.op.vjp(0, broadcast_to(need, node.shape), node, "torch")
    elif {"axes", "keepdims"} <= set(node.op.parameters):
        part = spread(broadcast_to(need, node.shape), node)
    elif node.op in (concat, stack) and node.op.vjp is not None:
        part = node.op.vjp(index, broadcast_to(need, node.shape), node, "torch")
    elif node.op is matmul:
        # An element has a part in a row or column of results.
        part = product_need(cast(broadcast_to(need, node.shape), operand.dtype), node, index)
    elif node.op.family == "elementwise":
        part = broadcast_to(need, broadcast([need.shape, node.shape])[0])
    else:
        part = None
    if part is None or (part.dtype.kind == BOOL and part.shape == operand.shape):
        return part
    return fitted(cast(part, operand.dtype), operand) > 0


def product_need(need: Node, node: Node, index: int) -> Node | None:
    """Above 0 where an element of a factor of a matmul has a part in what is needed."""
    ones = [broadcast_to(need.graph.constant(1, arg.dtype), arg.shape) for arg in node.args]
    return matmul.vjp(index, need, matmul(*ones), "torch") if matmul.vjp else None


# --- what loses a comparison -------------------------------------------------------------------


def loses_to_infinity(node: Node) -> bool:
    """Whether an operand of a maximum may have an infinite slope where it is not the larger."""
    return node.op.compares and any(
        may_be_infinite(arg) and not is_compared(arg) for arg in node.args
    )


def is_compared(node: Node) -> bool:
    """Whether a value is what `compared` makes."""
    return node.op is where and node.args[2].op is stop_gradient


def compared(
    node: Node,
    index: int,
    args: Sequence[Node],
    need: Node | None,
    report: Report,
    done: Mapping[Node, Node],
) -> Node:
    """An operand of a maximum: masked where it wins, and without a slope where it loses.

    need  the elements of the maximum that are needed; elsewhere it may be of anything
    done  what stands for the nodes below, where only those are needed
    """
    operand, arg, chosen = node.args[index], args[index], node.op.selects[index]
    if chosen is None or is_compared(operand) or not may_be_infinite(operand):
        return arg
    wins = chosen(*args)
    inside = topological([operand])
    nodes = [n for n in inside if n.op.family in WITH_NEEDS]
    rest = {n: done[n] for n in inside if n in done and n.op.family not in WITH_NEEDS}
    wanted = {operand: wins if need is None else both(need, wins)}
    (safe,) = masked(nodes, wanted, report, rest)
    return arg if safe is operand else where(wins, safe, stop_gradient(arg))
