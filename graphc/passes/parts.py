"""Sums of parts that do not overlap: what is written into zeros piece by piece is a whole.

Whoever reads an array step by step, as a recurrent net does, gets for each step a cotangent in
zeros of the size of the whole. Together they are the steps side by side.
"""

from __future__ import annotations

from graphc.ir.node import Node
from graphc.ir.pattern import REASSOCIATE, Rule
from graphc.ops.elementwise import add
from graphc.ops.families import add_up
from graphc.ops.indexing import Span, embed
from graphc.ops.joining import concat, stack


def joined_parts(node: Node) -> Node | None:
    """A sum in which some terms are all parts of one array."""
    last = next(arg for arg in reversed(node.args) if arg.op is embed)
    terms = _terms(node)
    for axis in range(len(last.params.key)):
        parts = [term for term in terms if _differ_only(last, term, axis)]
        whole = _side_by_side(parts, axis)
        if whole is not None:
            chosen = set(parts)
            return add_up([whole, *(term for term in terms if term not in chosen)])
    return None


def _terms(node: Node) -> list[Node]:
    """The terms of a sum that was added up one by one."""
    found = []
    while node.op is add:
        first, second = node.args
        if first.op is add and second.op is add:
            break
        node, term = (second, first) if second.op is add else (first, second)
        found.append(term)
    return [node, *reversed(found)]


def _differ_only(a: Node, b: Node, axis: int) -> bool:
    """Whether two embedded parts lie in arrays of one shape, apart along one axis only."""
    if b.op is not embed or b.params.shape != a.params.shape or b.dtype is not a.dtype:
        return False
    own, other = a.params.key, b.params.key
    return (
        len(own) == len(other) and own[:axis] + own[axis + 1 :] == other[:axis] + other[axis + 1 :]
    )


def _side_by_side(parts: list[Node], axis: int) -> Node | None:
    """Parts that fill an axis of their array, in order and without a gap, as one array."""
    shape, key = parts[0].params.shape, parts[0].params.key
    entries = [part.params.key[axis] for part in parts]
    spans = [span for entry in entries if (span := _span(entry)) is not None]
    single = [isinstance(entry, int) for entry in entries]
    if len(parts) < 2 or len(spans) < len(parts) or any(single) != all(single) or None in key:
        return None
    ordered = sorted(zip(spans, parts, strict=True), key=lambda pair: pair[0])
    ends = [0, *(stop for (_, stop), _ in ordered)]
    if ends != [*(start for (start, _), _ in ordered), shape[axis]]:
        return None
    before = sum(isinstance(entry, Span) for entry in key[:axis])
    whole = (stack if single[0] else concat)([part.args[0] for _, part in ordered], before)
    filled = (*key[:axis], Span(0, shape[axis], 1), *key[axis + 1 :])
    if filled == tuple(Span(0, size, 1) for size in shape):
        return whole if whole.shape == shape else None  # a guard alone may make them equal
    return embed.node((whole,), shape, filled)


def _span(entry: object) -> tuple[int, int] | None:
    """Where a part starts and ends, if both are fixed and nothing between is left out."""
    if isinstance(entry, int):
        return entry, entry + 1
    if not isinstance(entry, Span) or entry.step != 1:
        return None
    start, stop = entry.start, entry.stop
    return (start, stop) if isinstance(start, int) and isinstance(stop, int) else None


PARTS_RULES = (
    Rule("embed(x) + embed(y) = concat(x, y)", lambda op: op is add, joined_parts, REASSOCIATE,
         operands=lambda ops: embed in ops),
)  # fmt: skip
