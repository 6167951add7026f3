"""Guards: where a branch is not chosen, its operations see numbers that do no harm.

`where(x > 0, sqrt(x), 0)` has the derivative 0 · infinity at 0, which is NaN: the branch that is
not chosen spoils the one that is. What a branch computes for elements that nobody chose can be
anything, so the operand that would do harm becomes `where(x > 0, x, 1)`.

Which elements of a value are needed is told backwards, as cotangents are: those that one of its
users needs, and of what a user chooses from only the chosen ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from graphc.ir.function import topological
from graphc.ir.intervals import Domain, may_be_infinite, unsafe_operands
from graphc.ir.node import Node
from graphc.ir.pattern import EXACT, STABILIZE, Rule, call, wilds
from graphc.ir.types import BOOL, FLOAT, bool_, broadcast, float32
from graphc.ops.elementwise import loser, where
from graphc.ops.joining import concat, stack
from graphc.ops.linalg import matmul
from graphc.ops.nn import log_softmax, softmax
from graphc.ops.operands import astype, cast
from graphc.ops.reduction import fitted, spread, sum
from graphc.ops.shape import broadcast_to
from graphc.passes.conditions import both, either, is_long, without
from graphc.passes.driver import Report

Choice: TypeAlias = Callable[..., Node]  # (*operands) -> condition
Masks: TypeAlias = dict[Node, tuple[Node, list[tuple[int, Domain]]]]
MAX_PARTS = 4  # of a condition by which a maximum is masked
GUARD = Rule("f(x) = f(where(chosen, x, 1))", lambda op: False, lambda node: None, STABILIZE)

x, y = wilds("x y")
CHOICES = (
    # Users mask by a product with a condition.
    Rule("x * cast(y) = mask(x, y)", x * call("astype", y), call("mask", x, y), EXACT,
         when=lambda x, y: y.dtype is bool_),
)  # fmt: skip


def guard(roots: Sequence[Node], report: Report) -> list[Node]:
    """The roots, with the operands masked that would do harm where they are not needed."""
    nodes = topological(roots)
    if not any(node.op.selects for node in nodes):
        return list(roots)
    roots = with_safe_conditions(roots, nodes, report)
    nodes = topological(roots)
    suspect = suspects(nodes, roots)
    if not suspect:
        return list(roots)
    known = needed_elements(nodes, roots, suspect, slope_choice, has_slope)
    done: dict[Node, Node] = {}
    for node in nodes:
        args = [done[arg] if has_slope(node) else arg for arg in node.args]
        need = known.get(node)
        if need is not None:
            args = masked(node, args, need, unsafe_operands(node, (need,)), report)
        if node.op.compares:
            args = [compared(node, index, arg) for index, arg in enumerate(args)]
        done[node] = node.graph.rebuild(node, tuple(args))
        node.graph.inherit(node, done[node])
    return [done[root] for root in roots]


def masked(
    node: Node, args: list[Node], need: Node, harmful: Sequence[tuple[int, Domain]], report: Report
) -> list[Node]:
    """Operands of a node, the harmful ones exchanged for harmless numbers where not needed."""
    if node.op in (softmax, log_softmax):
        need = whole_rows(need, node)
    for index, domain in harmful:
        args[index] = where(need, args[index], domain.inside)
        node.graph.explain(args[index], "harmless where it is not chosen")
        report.fired.append((GUARD, node))
    return args


def whole_rows(need: Node, node: Node) -> Node:
    """The rows of a softmax in which an element is needed: each reads all of its row."""
    behind = node.ndim - node.params.axis  # axes, from the one of the rows on
    if need.ndim < behind or need.shape[-behind] == 1:
        return need
    rows = transposed(need, node, 0)
    return need if rows is None else rows


def has_slope(node: Node) -> bool:
    """Whether derivatives go through a node; what has none, as a comparison, does no harm."""
    return node.op.differentiable and node.dtype.kind == FLOAT


# --- what conditions read ---------------------------------------------------------------------


def with_safe_conditions(
    roots: Sequence[Node], nodes: Sequence[Node], report: Report
) -> Sequence[Node]:
    """The roots, with the operands masked of what conditions read, where nobody reads the value.

    `where(where(x > 0, log(x), 0) > 1, …)` needs the logarithm for the comparison, whichever
    elements are chosen in the end, and only where x > 0. Slopes are another matter: the condition
    has none, so afterwards more may be masked for them.
    """
    readers = [node for node in nodes if not has_slope(node) or node.op.compares]
    read = set(topological([arg for node in readers for arg in node.args]))
    suspect = [n for n in nodes if n in read and n.op.finite is not None and unsafe_operands(n)]
    if not suspect:
        return roots
    known = needed_elements(nodes, roots, suspect, choice, lambda node: True)
    masks: Masks = {}
    for node in suspect:
        need = known.get(node)
        if need is not None:  # what reads the node cannot be what masks it
            need = without(need, readers_of(node, need).__contains__)
        if need is not None and (harmful := unsafe_operands(node, (need,))):
            masks[node] = (need, harmful)
    if not masks:
        return roots
    order = in_order(roots, masks)
    done: dict[Node, Node] = {}
    for node in order:
        args = [done[arg] for arg in node.args]
        if node in masks:
            need, harmful = masks[node]
            args = masked(node, args, done[need], harmful, report)
        done[node] = node.graph.rebuild(node, tuple(args))
        node.graph.inherit(node, done[node])
    return [done[root] for root in roots]


def readers_of(node: Node, condition: Node) -> set[Node]:
    """What in a condition is made of a node, that itself included: all of it in one sweep."""
    found = {node}
    for part in topological([condition]):
        if not found.isdisjoint(part.args):
            found.add(part)
    return found


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


# --- what a choice leaves out ------------------------------------------------------------------


def suspects(nodes: Sequence[Node], needed: Sequence[Node]) -> list[Node]:
    """The values that may be infinite or have an infinite slope, and are not always needed."""
    always = set(needed)
    for node in reversed(nodes):
        if node in always and has_slope(node):
            always.update(arg for i, arg in enumerate(node.args) if slope_choice(node, i) is None)
    rarely = [node for node in nodes if node not in always and has_slope(node)]
    return [node for node in rarely if node.op.finite is not None and unsafe_operands(node)]


def choice(node: Node, index: int) -> Choice | None:
    """The condition under which an operand is chosen; None where it is always needed."""
    always = not node.op.selects or node.op.compares or is_compared(node)
    return None if always else node.op.selects[index]


def slope_choice(node: Node, index: int) -> Choice | None:
    """The same of slopes: what loses a comparison has none.

    A condition is worth it for what may be infinite, element by element; other slopes are
    multiplied by 0, and a row whose denominator is 0 has winners that are infinite too.
    """
    if not node.op.compares:
        return choice(node, index)
    arg = node.args[index]
    worth = not is_compared(arg) and may_be_infinite(arg, each=True)
    return node.op.selects[index] if worth else None


def needed_elements(
    nodes: Sequence[Node],
    roots: Sequence[Node],
    suspect: Sequence[Node],
    chosen: Callable[[Node, int], Choice | None],
    passes: Callable[[Node], bool],
) -> dict[Node, Node | None]:
    """For what is made of suspects, when an element of it is needed: a condition; None: always.

    chosen  when a node needs an operand: `choice` or `slope_choice`
    passes  whether a node needs its operands at all
    """
    above = set(suspect)
    for node in nodes:
        if not above.isdisjoint(node.args):
            above.add(node)
    needs: dict[Node, Node | None] = dict.fromkeys(roots)
    for node in reversed(nodes):
        if node not in needs or not passes(node):
            continue
        for index, arg in enumerate(node.args):
            if arg in above:
                need = passed_on(node, index, needs[node], chosen(node, index))
                needs[arg] = either(needs[arg], need) if arg in needs else need
    return needs


def passed_on(node: Node, index: int, need: Node | None, chosen: Choice | None) -> Node | None:
    """The elements of an operand that are needed where `need` says which of the result are."""
    if chosen is not None:
        own = chosen(*node.args)
        # A maximum of maxima would have a condition as long as the chain; fewer parts mask less.
        need = own if node.op.compares and is_long(need, MAX_PARTS) else both(need, own)
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
    elif node.op in (softmax, log_softmax):
        whole = cast(broadcast_to(need, node.shape), operand.dtype)
        part = broadcast_to(sum(whole, node.params.axis, True), node.shape)
    elif node.op.family == "elementwise" or node.op is astype:
        part = broadcast_to(need, broadcast([need.shape, node.shape])[0])
    else:
        part = None
    if part is None or (part.dtype.kind == BOOL and part.shape == operand.shape):
        return part
    counted = operand if operand.dtype.kind == FLOAT else cast(operand, float32)
    return fitted(cast(part, counted.dtype), counted) > 0


def product_need(need: Node, node: Node, index: int) -> Node | None:
    """Above 0 where an element of a factor of a matmul has a part in what is needed."""
    ones = [broadcast_to(need.graph.constant(1, arg.dtype), arg.shape) for arg in node.args]
    return matmul.vjp(index, need, matmul(*ones), "torch") if matmul.vjp else None


# --- what loses a comparison -------------------------------------------------------------------


def is_compared(node: Node) -> bool:
    """Whether a value is what `compared` makes."""
    return node.op is where and node.args[2].op is loser


def compared(node: Node, index: int, safe: Node) -> Node:
    """An operand of a maximum: masked where it wins, and without a slope where it loses."""
    arg, chosen = node.args[index], slope_choice(node, index)
    if safe is arg or chosen is None:
        return safe
    return where(chosen(*node.args), safe, loser(arg))
