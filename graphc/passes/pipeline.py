"""The order of passes, and why it is this one. Nowhere else is it stated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from graphc.ir.function import Function
from graphc.ir.node import Node
from graphc.ir.op import OPS
from graphc.ir.pattern import Rule, Table, compile_rules
from graphc.passes.driver import Report, normalize, rewrite
from graphc.passes.expand import EXPAND_RULES, MODE_RULES
from graphc.passes.guards import CHOICES, guard
from graphc.passes.labels import trust_labels
from graphc.passes.parts import PARTS_RULES
from graphc.passes.shapes import ABSORB
from graphc.passes.simplify import EXACT_RULES, REASSOCIATE_RULES
from graphc.passes.stabilize import STABILIZE_RULES

SIMPLIFY_RULES = (*EXACT_RULES, *REASSOCIATE_RULES, *PARTS_RULES)
Prepare: TypeAlias = Callable[[Sequence[Node]], list[Node]]
Differentiate: TypeAlias = Callable[[Function, str, Prepare], Function]


@dataclass(slots=True)
class Pipeline:
    """What the passes need to know, and what they report.

    differentiate   expands derivative nodes: (function, kinks, prepare) -> function
    """

    differentiate: Differentiate
    kinks: str = "torch"
    stabilize: bool = True
    report: Report = field(default_factory=Report)
    after: Callable[[str, Function], None] = lambda name, function: None

    def run(self, function: Function, mode: str) -> Function:
        """The function in terms of ops that can be printed, ready to be lowered."""
        with function.graph.quiet():
            for name, apply in self.passes(mode):
                function = apply(function)
                self.after(name, function)
        return function

    def passes(self, mode: str) -> list[tuple[str, Callable[[Function], Function]]]:
        """The passes in order."""
        return [
            # Derivatives of what only the other mode computes would be wasted.
            ("specialise", lambda f: self.rewritten(f, MODE_RULES[mode])),
            # The derivative of an unstable expression is usually beyond repair, so each target is
            # stabilised first; composites are still whole and have better rules than their bodies.
            ("differentiate", lambda f: self.differentiate(f, self.kinks, self.stabilized)),
            # Values that no derivative was asked of, and forms that only the rules of ops make.
            ("stabilise", lambda f: f.with_roots(self.stabilized(f.roots))),
            # Forward and backward share the insides of composites once both are spelled out; from
            # here on nothing needs a composite.
            ("expand", lambda f: self.rewritten(f, EXPAND_RULES)),
            # Only now is it seen which labels a loss picks with.
            ("trust labels", trust_labels),
            # Last, when every value is there and its users can be counted.
            ("simplify", lambda f: self.rewritten(f, SIMPLIFY_RULES)),
        ]  # fmt: skip

    def rewritten(self, function: Function, rules: tuple[Rule, ...]) -> Function:
        """One sweep of a list of rules."""
        return rewrite(function, table(rules, len(OPS)), self.report) if rules else function

    def stabilized(self, roots: Sequence[Node]) -> list[Node]:
        """Values in forms that survive floating point, whichever branches are chosen."""
        if not self.stabilize:
            return list(roots)
        # Numbers stand in identities as scalars; models have them as arrays of one element too.
        rules = (ABSORB, *CHOICES, *STABILIZE_RULES)
        stable = normalize(roots, table(rules, len(OPS)), self.report)
        return guard(stable, self.report)


@cache
def table(rules: tuple[Rule, ...], ops: int) -> Table:
    """The rules by root op; `ops` counts the ops, since a family grows with each new one."""
    return compile_rules(rules)
