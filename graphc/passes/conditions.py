"""Conditions: what holds for some elements of a value and not for others, joined and taken apart.

None stands for what holds everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from graphc.ir.function import topological
from graphc.ir.node import Node
from graphc.ops.comparison import logical_and, logical_not, logical_or

MAX_WAYS = 16  # that are told apart


def either(first: Node | None, second: Node | None) -> Node | None:
    """The elements that one of two users needs."""
    if first is None or second is None:
        return None
    parts, others = conjuncts(first), conjuncts(second)
    if parts.keys() <= others.keys() or others.keys() <= parts.keys():  # a, or a and b
        return first if parts.keys() <= others.keys() else second
    own, other = parts.keys() - others.keys(), others.keys() - parts.keys()
    if len(own) == len(other) == 1 and are_opposite(*own, *other):  # a and b, or a and not b
        shared = [part for part in parts if part not in own]
        return reduce(logical_and, shared) if shared else None
    # Of many users, by many ways, nearly all elements are needed.
    return None if is_long(first, MAX_WAYS) or is_long(second, MAX_WAYS) else first | second


def are_opposite(first: Node, second: Node) -> bool:
    """Whether one condition is the negation of the other."""
    return any(
        a.op is logical_not and a.args[0] is b for a, b in ((first, second), (second, first))
    )


def both(first: Node | None, second: Node) -> Node:
    """Where two conditions hold; None: everywhere."""
    if first is None:
        return second
    parts, others = conjuncts(first).keys(), conjuncts(second).keys()
    if parts <= others or others <= parts:
        return second if parts <= others else first
    return first & second


def is_long(condition: Node | None, limit: int) -> bool:
    """Whether a condition has at least so many parts."""
    parts = 1
    stack = [] if condition is None else [condition]
    while stack and parts < limit:
        part = stack.pop()
        if part.op in (logical_and, logical_or):
            parts += 1
            stack += part.args
    return parts >= limit


def conjuncts(condition: Node) -> dict[Node, None]:
    """The conditions that hold all where this one does, in a fixed order."""
    found: dict[Node, None] = {}
    stack = [condition]
    while stack:
        part = stack.pop()
        if part.op is logical_and:
            stack += reversed(part.args)
        else:
            found[part] = None
    return found


def without(condition: Node, left_out: Callable[[Node], bool]) -> Node | None:
    """A condition that holds wherever this one does, made of none of some parts; None: always."""
    found: dict[Node, Node | None] = {}
    for part in topological([condition]):
        if part.op not in (logical_and, logical_or):
            found[part] = part
            continue
        first, second = (
            None if arg.op not in (logical_and, logical_or) and left_out(arg) else found[arg]
            for arg in part.args
        )
        if first is part.args[0] and second is part.args[1]:
            found[part] = part
        elif part.op is logical_or:
            found[part] = either(first, second)
        else:
            found[part] = first if second is None else both(first, second)
    atom = condition.op not in (logical_and, logical_or)
    return None if atom and left_out(condition) else found[condition]
