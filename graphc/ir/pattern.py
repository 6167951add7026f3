"""Patterns of nodes, so that a rewrite rule can be written as the identity that it states.

    x, s = Wild("x"), Wild("s")
    Rule("-(-x) = x", -(-x), x, EXACT)

A pattern matches commuted operands too; each order becomes a variant of its own, so that matching
needs no backtracking.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from graphc.ir.graph import scalar_value
from graphc.ir.node import Node
from graphc.ir.op import FUNCTIONS, OPS, Op
from graphc.ir.types import FLOAT

EXACT = "exact"  # the same bits, infinities, NaN and -0.0 included
STABILIZE = "stabilize"  # more accurate; value and derivative stay, at kinks too
REASSOCIATE = "reassociate"  # the last bits may change

Bindings: TypeAlias = dict[str, Node]


class Pattern:
    """Something that a node may match. Operators build the pattern of that operation."""

    def __add__(self, other: object) -> Pattern:
        return call("add", self, other)

    def __radd__(self, other: object) -> Pattern:
        return call("add", other, self)

    def __sub__(self, other: object) -> Pattern:
        return call("subtract", self, other)

    def __rsub__(self, other: object) -> Pattern:
        return call("subtract", other, self)

    def __mul__(self, other: object) -> Pattern:
        return call("multiply", self, other)

    def __rmul__(self, other: object) -> Pattern:
        return call("multiply", other, self)

    def __truediv__(self, other: object) -> Pattern:
        return call("divide", self, other)

    def __rtruediv__(self, other: object) -> Pattern:
        return call("divide", other, self)

    def __pow__(self, other: object) -> Pattern:
        return call("pow", self, other)

    def __matmul__(self, other: object) -> Pattern:
        return call("matmul", self, other)

    def __neg__(self) -> Pattern:
        return call("negative", self)

    def __invert__(self) -> Pattern:
        return call("logical_not", self)


@dataclass(frozen=True, slots=True)
class Wild(Pattern):
    """Any node; the same name means the same node."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal(Pattern):
    """A scalar constant of exactly this value (0.0 is not -0.0)."""

    value: float


@dataclass(frozen=True, slots=True)
class Apply(Pattern):
    """An op on operands that match; its parameters may be any."""

    op: str
    args: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Either(Pattern):
    """Several ways to write the same thing; each becomes a variant of the rule."""

    forms: tuple[Pattern, ...]


def call(op: str, *args: object) -> Pattern:
    """The pattern of an op; numbers stand for scalar constants."""
    return Apply(op, tuple(a if isinstance(a, Pattern) else Literal(a) for a in args))  # type: ignore[arg-type]


def calls(names: str) -> list[Callable[..., Pattern]]:
    """A function for each op named, so that patterns read as formulas: `log(1 + exp(x))`."""
    return [partial(call, name) for name in names.split()]


def either(*forms: Pattern) -> Pattern:
    """A pattern that any of the given ones stands for."""
    return Either(forms)


def wilds(names: str) -> list[Wild]:
    """Wildcards of the given names."""
    return [Wild(name) for name in names.split()]


@dataclass(frozen=True, eq=False, slots=True)  # hashed again and again: by identity
class Rule:
    """An identity: what matches the left side is replaced by the right.

    name         how reports call it
    pattern      the left side; or a test of ops, whose every node is offered to `replacement`
    operands     beside a test of ops a second one, of the ops of the operands
    replacement  a pattern; or (node, **bindings) -> Node, or None where the rule does not hold
    preserves    EXACT, STABILIZE or REASSOCIATE
    when         a further condition on the bindings
    once         the inner operations of the left side must have no other user, since moving work
                 out of a shared value would do it twice, and no name, since it would be lost
    """

    name: str
    pattern: Pattern | Callable[[Op], bool]
    replacement: Pattern | Callable[..., Node | None]
    preserves: str
    when: Callable[..., bool] | None = None
    once: bool = False
    operands: Callable[[Sequence[Op]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One order of the operands of a rule's pattern: the ops it needs at first glance, and all."""

    rule: Rule
    heads: tuple[str | None, ...] = ()
    matches: Callable[[Node], tuple[Bindings, list[Node]] | None] | None = None

    def admits(self, operands: Sequence[Op]) -> bool:
        """Whether a node on operands of these ops might match."""
        if self.matches is None:
            return self.rule.operands is None or self.rule.operands(operands)
        return len(operands) == len(self.heads) and all(
            head is None or op.name == head for op, head in zip(operands, self.heads, strict=True)
        )

    def apply(self, node: Node, uses: Mapping[Node, int]) -> Node | None:
        """The replacement of a node, or None if the rule does not apply to it."""
        found = ({}, []) if self.matches is None else self.matches(node)
        if found is None:
            return None
        bindings, inner = found
        if self.rule.once and any(uses.get(n, 1) > 1 or n.graph.is_named(n) for n in inner):
            return None
        if self.rule.when is not None and not self.rule.when(**bindings):
            return None
        if isinstance(self.rule.replacement, Pattern):
            return instantiate(self.rule.replacement, node, bindings)
        return self.rule.replacement(node, **bindings)


MAX_OPERANDS = 3  # of patterns; longer lists are seldom met twice


@dataclass(frozen=True, slots=True)
class Table:
    """All variants of all rules, by the op at the root and then by those of its operands.

    For nearly all nodes that leaves none to be tried. What is found for a combination of ops is
    `known` from then on.
    """

    by_root: Mapping[str, tuple[Variant, ...]]
    counts_uses: bool  # whether a rule asks how many users a value has
    known: dict[tuple[Op, ...], tuple[Variant, ...]] = field(default_factory=dict)

    def candidates(self, node: Node) -> tuple[Variant, ...]:
        """The variants that a node might match."""
        key = (node.op, *[arg.op for arg in node.args])
        found = self.known.get(key)
        if found is None:
            variants = self.by_root.get(node.op.name, ())
            found = tuple(variant for variant in variants if variant.admits(key[1:]))
            if len(node.args) <= MAX_OPERANDS:
                self.known[key] = found
        return found


def compile_rules(rules: tuple[Rule, ...]) -> Table:
    """The rules, ready to be looked up."""
    table: dict[str, list[Variant]] = {}
    for rule in rules:
        if not isinstance(rule.pattern, Pattern):
            for op in filter(rule.pattern, OPS.values()):
                table.setdefault(op.name, []).append(Variant(rule))
            continue
        for pattern in orders(rule.pattern):
            assert isinstance(pattern, Apply)
            heads = tuple(_head(arg) for arg in pattern.args)
            table.setdefault(pattern.op, []).append(Variant(rule, heads, matcher(pattern)))
    by_root = {op: tuple(variants) for op, variants in table.items()}
    return Table(by_root, any(rule.once for rule in rules))


def orders(pattern: Pattern) -> Iterator[Pattern]:
    """The pattern in each of its forms, with the operands of commutative ops in either order."""
    if isinstance(pattern, Either):
        for form in pattern.forms:
            yield from orders(form)
        return
    if not isinstance(pattern, Apply):
        yield pattern
        return
    seen = []
    for args in itertools.product(*(list(orders(arg)) for arg in pattern.args)):
        for order in (args, args[::-1]) if OPS[pattern.op].commutative else (args,):
            if order not in seen:
                seen.append(order)
                yield Apply(pattern.op, tuple(order))


def _head(pattern: Pattern) -> str | None:
    if isinstance(pattern, Apply):
        return pattern.op
    return "constant" if isinstance(pattern, Literal) else None


def matcher(pattern: Apply) -> Callable[[Node], tuple[Bindings, list[Node]] | None]:
    """The test of one pattern on a node: its bindings and the inner operations matched, or None.

    Written as Python, since sweeps ask at nearly every node: `x * (y * s)` becomes
    `node.args[1].op is op_multiply`, and x is `node.args[0]`.
    """
    scope: dict[str, Any] = {"has_value": has_value}
    tests, inner = ["True"], []
    bound: dict[str, str] = {}

    def visit(part: Pattern, place: str) -> None:
        if isinstance(part, Wild):
            if bound.setdefault(part.name, place) != place:
                tests.append(f"{place} is {bound[part.name]}")
        elif isinstance(part, Literal):
            tests.append(f"has_value({place}, {part.value!r})")
        elif isinstance(part, Apply):
            if place != "node":  # else the table has looked already
                scope[f"op_{part.op}"] = OPS[part.op]
                inner.append(place)
                tests.append(f"{place}.op is op_{part.op}")
                tests.append(f"len({place}.args) == {len(part.args)}")
            for index, arg in enumerate(part.args):
                visit(arg, f"{place}.args[{index}]")

    visit(pattern, "node")
    found = ", ".join(f"{name!r}: {place}" for name, place in bound.items())
    source = f"({{{found}}}, [{', '.join(inner)}]) if {' and '.join(tests)} else None"
    test: Callable[[Node], tuple[Bindings, list[Node]] | None]
    test = eval(f"lambda node: {source}", scope)
    return test


def has_value(node: Node, value: float) -> bool:
    """Whether a node is a scalar constant of exactly this value (0.0 is not -0.0)."""
    own = scalar_value(node)
    return own == value and (value != 0 or bool(np.signbit(own) == np.signbit(value)))


def instantiate(pattern: Pattern, like: Node, bindings: Bindings) -> Node:
    """The node that a pattern describes; literals take the dtype of `like`."""
    if isinstance(pattern, Wild):
        return bindings[pattern.name]
    if isinstance(pattern, Literal):
        whole = like.dtype.kind != FLOAT and pattern.value.is_integer()  # no float is an int's
        return like.graph.constant(int(pattern.value) if whole else pattern.value, like.dtype)
    assert isinstance(pattern, Apply)
    result: Node = FUNCTIONS[pattern.op](
        *(instantiate(arg, like, bindings) for arg in pattern.args)
    )
    return result
