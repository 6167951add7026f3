"""The names of custom ops and of their operands."""

from __future__ import annotations

import keyword
import math
from collections.abc import Sequence
from typing import Any

from graphc.codegen import assemble
from graphc.codegen.arrays import ARRAYS
from graphc.codegen.scalars import SCALARS
from graphc.errors import DeclarationError
from graphc.frontends.expression import CONSTANTS
from graphc.ir.op import FUNCTIONS, OPS, Op
from graphc.lower.naming import RESERVED
from graphc.runtime import arrays, boundary, files, finite, scalars

MAX_NAME = 40  # characters, as of a variable in generated code

# The names that generated modules have already.
_TAKEN = frozenset(
    (
        *(*assemble.RESERVED, *assemble.WORKSPACE_RESERVED, *assemble.ATTRIBUTES),
        *(*ARRAYS.reserved, *SCALARS.reserved, *RESERVED),
        *(name for module in (arrays, boundary, files, finite, scalars) for name in vars(module)),
    )
)


def check_name(name: object) -> None:
    """Raise DeclarationError for what cannot be the name of an op."""
    if not is_plain(name):
        raise DeclarationError(
            f"the name of an op is an identifier of at most {MAX_NAME} ASCII characters that does "
            f"not begin with an underscore, got {name!r:.60}"
        )
    if name in CONSTANTS or (name in FUNCTIONS and name not in OPS):
        raise DeclarationError(
            f"there is a {'constant' if name in CONSTANTS else 'function'} {name!r} already",
            hint="choose another name",
        )


def check_pasted_name(name: str) -> None:
    """Raise DeclarationError for the name of something that generated modules have already."""
    if name in _TAKEN:
        raise DeclarationError(
            f"an op cannot be called {name!r}: generated modules have something of this name",
            hint="choose another name",
        )


def check_operands(name: str, operands: Sequence[str]) -> None:
    """Raise DeclarationError for names that cannot be those of operands."""
    if not operands:
        raise DeclarationError(f"op {name!r} has no operand")
    for operand in operands:
        if not is_plain(operand) or operand in ("condition", "out"):
            raise DeclarationError(f"op {name!r}: an operand cannot be called {operand!r:.60}")


def check_drawn(name: str, what: str, given: Sequence[Any], operands: Sequence[str]) -> None:
    """Raise DeclarationError unless there is one of something for each operand, or none at all."""
    if given and len(given) != len(operands):
        raise DeclarationError(
            f"op {name!r}: {what} has {len(given)} entries, and the operands are "
            f"{', '.join(operands)}"
        )


def check_domain(name: str, domain: Sequence[Any], operands: Sequence[str]) -> None:
    """Raise DeclarationError unless there is an interval for each operand, or none at all."""
    check_drawn(name, "the domain", domain, operands)
    for interval in domain:
        try:
            low, high = map(float, interval)
            valid = 0 < high - low < math.inf
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise DeclarationError(
                f"op {name!r}: the domain is an interval (low, high) for each operand, got "
                f"{interval!r:.60}"
            )


def is_plain(name: object) -> bool:
    """Whether a name can stand in code and in a template."""
    return (
        isinstance(name, str)
        and name.isascii()
        and name.isidentifier()
        and not name.startswith("_")
        and not keyword.iskeyword(name)
        and len(name) <= MAX_NAME
    )


def declared(name: str, definition: str) -> Op | None:
    """The op of this name, if it is declared in the same way already; None if there is none.

    Raises DeclarationError if it is declared otherwise.
    """
    known = OPS.get(name)
    if known is None or known.definition == definition:
        return known
    if not known.definition:
        raise DeclarationError(f"there is an op {name!r} already", hint="choose another name")
    raise DeclarationError(
        f"op {name!r} is declared already, otherwise than here",
        hint="choose another name, or start Python anew: graphs may have nodes of the first one",
    )


def ordered(name: str, found: Sequence[str], operands: Sequence[str]) -> tuple[str, ...]:
    """The operands in the order that is asked for, which has to be one of those that are found."""
    asked = operands.split() if isinstance(operands, str) else list(operands)
    if asked and (sorted(asked) != sorted(found)):
        raise DeclarationError(
            f"op {name!r}: the formula has the operands {', '.join(found)}, not {', '.join(asked)}"
        )
    return tuple(asked or found)
