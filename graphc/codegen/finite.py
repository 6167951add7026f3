"""Checks for debugging: after each statement whether the value is finite, and where it is from.

NaN is never let pass. An infinity is where a statement reads one that is there on purpose: an
infinite constant of the model, or a value that was let pass for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.codegen.dialect import Dialect
from graphc.codegen.literals import bracketed, escaped, quoted, width
from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT, ITEM, is_cotangent
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.lower.program import Program

MAX_PLACE = 84  # columns of a string on a line of its own, inside a call in a method
DERIVED = "derived"
OVERWRITTEN = "overwritten"  # the variable of an operand that may be infinite, before it is gone
CHECKED = ("input", "parameter", "state")  # the arguments of forward; backward has only cotangents


@dataclass(frozen=True, slots=True)
class FiniteChecks:
    """The checks of one program.

    stage     how messages call it: forward, backward, …
    places    where its values are from
    infinite  the values that are computed from an infinite constant, and such constants
    """

    program: Program
    dialect: Dialect
    stage: str
    places: dict[Node, str]
    infinite: frozenset[Node]

    @staticmethod
    def of(program: Program, dialect: Dialect, stage: str) -> FiniteChecks:
        """The checks of a program."""
        return FiniteChecks(program, dialect, stage, places(program), infinite(program))

    def arguments(self) -> Iterator[tuple[Node, str]]:
        """The arguments that are checked before anything is computed, and what each is."""
        for node in self.program.arguments:
            given = node.op is ARGUMENT and node.params.kind in CHECKED
            if is_cotangent(node) or (given and self.program.name != "backward"):
                yield node, node.params.kind

    def check(self, node: Node, name: str, told: str, read: Sequence[str], indent: int) -> str:
        """The statement that checks a value.

        name, told  its variable, and how messages call it
        read        the expressions of operands that may be infinite
        """
        return checked(self.stage, told, name, self.places.get(node, DERIVED), read, indent)

    def beside(self, node: Node) -> str:
        """Where the value of a statement is from, if that has to stand beside it; else empty.

        Python's numbers raise errors before any check can run. Their tracebacks show the line of
        the module, comment and all, and so name the line of the model too.
        """
        return escaped(shortened(self.places.get(node, ""), 40)) if self.dialect.raises else ""


def checked(
    stage: str, told: str, name: str, place: str, read: Sequence[str] = (), indent: int = 4
) -> str:
    """The statement that checks the value of a variable."""
    items = [quoted(stage), quoted(told), name, quoted(place), *read]
    return bracketed("check_finite(", items, ")", indent, statement=True)


def places(program: Program) -> dict[Node, str]:
    """Where the values of a program are from, as far as can be told.

    What graphc made is of the line that it was made for: in the backward pass that of the cotangent
    that it continues, else that of the first value that is computed from it.
    """
    found: dict[Node, str] = {}
    for node in (*program.arguments, *program.order):
        place = place_of(node.args[0] if node.op is ITEM else node)
        if place is not None:
            found[node] = place
    if program.name == "backward":
        flowing = {*program.order, *filter(is_cotangent, program.arguments)}
        for node in program.order:
            for arg in node.args:
                if node not in found and arg in flowing and arg in found:
                    found[node] = found[arg]
    own = set(found)
    for node in reversed(program.order):
        for arg in node.args:
            if arg not in own and node in found:
                found[arg] = found[node]
    return found


def place_of(node: Node) -> str | None:
    """Where the user wrote a value, or what it is the cotangent of, if that can be told."""
    site = node.graph.place_of(node)
    return None if site is None else shortened(f"from {site}", MAX_PLACE)


def shortened(place: str, columns: int) -> str:
    """A place that takes no more than so many columns as a string; the end of a path says most."""
    shown, path = place, place.removeprefix("from ")
    while width(quoted(shown)) > columns:
        path = path[1:]
        shown = f"from …{path}"
    return shown


def infinite(program: Program) -> frozenset[Node]:
    """The infinite constants, and the floats that are computed from one."""
    found: set[Node] = set()
    for node in topological(program.order):
        if node.op is CONSTANT:
            array = node.params.data.array
            if array.dtype.kind == "f" and np.isinf(array).any():
                found.add(node)
        elif node.types[0].dtype.kind == FLOAT and not found.isdisjoint(node.args):
            found.add(node)
    return frozenset(found)
