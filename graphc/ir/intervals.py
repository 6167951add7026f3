"""Intervals: what is known about the elements of a value before anything runs.

A few rules ask whether a denominator can be 0 or a logarithm meet a negative number. The answer is
found from a few operations above, and errs towards "it can".
"""

from __future__ import annotations

from math import inf, isnan
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from graphc.ir.node import Node

DEPTH = 6  # operations that are looked at


class Interval(NamedTuple):
    """Numbers from low to high, both included."""

    low: float
    high: float


class Domain(NamedTuple):
    """Numbers between low and high, these excluded, and without the hole; `inside` is one of them.

    NaN as the hole is none.
    """

    low: float
    high: float
    inside: float
    hole: float = float("nan")

    def holds(self, interval: Interval) -> bool:
        """Whether all of an interval lies in the domain."""
        above = self.low == -inf or self.low < interval.low
        below = self.high == inf or interval.high < self.high
        return above and below and not interval.low <= self.hole <= interval.high


EVERYWHERE = Interval(-inf, inf)
NOT_NEGATIVE = Interval(0.0, inf)
POSITIVE = Domain(0.0, inf, 1.0)
NOT_ZERO = Domain(-inf, inf, 1.0, 0.0)
MODERATE = Domain(-inf, 10.0, 0.0)  # exp stays finite in every float dtype


def interval_of(node: Node, depth: int = DEPTH) -> Interval:
    """An interval that holds every element of a value, unless it is NaN."""
    bounds = node.op.bounds
    if bounds is None and node.op.emission.view and depth:
        return interval_of(node.args[0], depth - 1)
    if bounds is None or not depth:
        return EVERYWHERE
    found = bounds(node, *[interval_of(arg, depth - 1) for arg in node.args])
    return EVERYWHERE if isnan(found.low) or isnan(found.high) else found


def unsafe_operands(node: Node) -> list[tuple[int, Domain]]:
    """The operands for which value or slope may be infinite or undefined, with their domains."""
    if node.op.finite is None:
        return []
    domains = enumerate(node.op.finite(node))
    return [
        (index, domain)
        for index, domain in domains
        if domain is not None and not domain.holds(interval_of(node.args[index]))
    ]


def may_be_infinite(node: Node, depth: int = DEPTH) -> bool:
    """Whether a value comes, element by element, from an op that has infinite results."""
    if node.op.family not in ("elementwise", "linear") or not depth:
        return False
    unsafe = bool(unsafe_operands(node))
    return unsafe or any(may_be_infinite(arg, depth - 1) for arg in node.args)


# --- arithmetic --------------------------------------------------------------------------------


def added(x: Interval, y: Interval) -> Interval:
    """x + y."""
    return Interval(x.low + y.low, x.high + y.high)


def negated(x: Interval) -> Interval:
    """-x."""
    return Interval(-x.high, -x.low)


def multiplied(x: Interval, y: Interval) -> Interval:
    """x * y; unknown where an infinity meets 0."""
    ends = [a * b for a in x for b in y]
    return EVERYWHERE if any(map(isnan, ends)) else Interval(min(ends), max(ends))


def inverted(x: Interval) -> Interval:
    """1 / x."""
    return EVERYWHERE if x.low <= 0 <= x.high else Interval(1 / x.high, 1 / x.low)


def squared(x: Interval) -> Interval:
    """x²."""
    ends = (x.low * x.low, x.high * x.high)
    return Interval(0.0 if x.low <= 0 <= x.high else min(ends), max(ends))


def joined(x: Interval, y: Interval) -> Interval:
    """Whatever is in one or the other."""
    return Interval(min(x.low, y.low), max(x.high, y.high))
