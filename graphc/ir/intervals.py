"""Intervals: what is known about the elements of a value before anything runs.

A few rules ask whether a denominator can be 0 or a logarithm meet a negative number. The answer is
found from a few operations above, and errs towards "it can".
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import inf, isnan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

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
NOWHERE = Interval(inf, -inf)
ZERO = Interval(0.0, 0.0)
NOT_NEGATIVE = Interval(0.0, inf)
POSITIVE = Domain(0.0, inf, 1.0)
NOT_ZERO = Domain(-inf, inf, 1.0, 0.0)
FINITE = Domain(-sys.float_info.max, sys.float_info.max, 0.0)
MODERATE = Domain(-inf, 10.0, 0.0)  # exp stays finite in every float dtype


def interval_of(node: Node, unless: Sequence[Node] = (), depth: int = DEPTH) -> Interval:
    """An interval that holds every element of a value that is no NaN.

    unless  conditions: what is told holds for the elements where all of them are false
    """
    bounds = node.op.bounds
    unless = kept_by(node, unless)
    if bounds is None and node.op.emission.view and depth:
        return interval_of(node.args[0], depth=depth - 1)
    if bounds is None or not depth:
        return EVERYWHERE
    operands = [
        NOWHERE if is_chosen(node, index, unless) else interval_of(arg, unless, depth - 1)
        for index, arg in enumerate(node.args)
    ]
    found = bounds(node, *operands)
    return EVERYWHERE if isnan(found.low) or isnan(found.high) else found


def kept_by(node: Node, conditions: Sequence[Node]) -> Sequence[Node]:
    """What conditions tell of operands: nothing where elements change places or are joined."""
    return conditions if node.op.family == "elementwise" else ()


def is_chosen(node: Node, index: int, conditions: Sequence[Node]) -> bool:
    """Whether an operand has a part in the result under one of some conditions, and only then."""
    if not conditions or not node.op.selects or node.op.compares:
        return False
    own = node.op.selects[index]
    if own is None:
        return False
    condition = own(*node.args)
    return any(condition is other for other in conditions)


def unsafe_operands(node: Node, unless: Sequence[Node] = ()) -> list[tuple[int, Domain]]:
    """The operands for which value or slope may be infinite or undefined, with their domains."""
    if node.op.finite is None:
        return []
    domains = enumerate(node.op.finite(node))
    return [
        (index, domain)
        for index, domain in domains
        if domain is not None and not domain.holds(interval_of(node.args[index], unless))
    ]


def may_be_infinite(
    node: Node, unless: Sequence[Node] = (), depth: int = DEPTH, *, each: bool = False
) -> bool:
    """Whether a value comes, element by element, from an op that has infinite results.

    each  only by operands that have an element of their own for each of the value's
    """
    if node.op.family not in ("elementwise", "linear") or not depth:
        return False
    unsafe = unsafe_operands(node, unless)
    if any(not each or node.args[index].shape == node.shape for index, _ in unsafe):
        return True
    unless = kept_by(node, unless)
    return any(
        may_be_infinite(arg, unless, depth - 1, each=each)
        for index, arg in enumerate(node.args)
        if not is_chosen(node, index, unless)
    )


def has_infinity(node: Node, depth: int = DEPTH) -> bool:
    """Whether the elements of a value may come from a constant that is infinite, as a mask's do."""
    if node.op.name == "constant":
        return bool(np.isinf(node.params.data.array).any())
    passes = node.op.family in ("elementwise", "linear") or node.op.name == "astype"
    return passes and depth > 0 and any(has_infinity(arg, depth - 1) for arg in node.args)


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


def increasing(
    function: Callable[[float], float], least: float, greatest: float
) -> Callable[[Interval], Interval]:
    """f(x) of an increasing function; its limits where it is not defined or overflows."""

    def at(x: float, otherwise: float) -> float:
        try:
            return function(x)
        except (ValueError, OverflowError):
            return otherwise

    return lambda x: Interval(at(x.low, least), at(x.high, greatest))
