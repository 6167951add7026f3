"""The exception tree. Every message says what was expected, what came, and the user's file:line."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType

import numpy as np


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the user's source."""

    file: str
    line: int

    def __str__(self) -> str:
        relative = os.path.relpath(self.file) if os.path.isabs(self.file) else self.file
        return f"{self.file if relative.startswith('..') else relative}:{self.line}"


# A line in these folders says nothing about the model; nor does one that enters a `with` block.
_INTERNAL = (
    *(os.path.dirname(os.path.abspath(f)) + os.sep for f in (__file__, np.__file__)),
    contextlib.__file__,
)
_COMMAND_LINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cli.py")


@lru_cache(maxsize=1024)
def is_internal(file: str) -> bool:
    """Whether a file is graphc's or NumPy's."""
    return file.startswith(_INTERNAL)


def caller_frame() -> FrameType | None:
    """The innermost frame that is neither graphc's nor NumPy's; None below the command line."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        if frame.f_code.co_filename == _COMMAND_LINE:
            return None
        frame = frame.f_back
    return frame


def caller_site() -> Site | None:
    """Where the user's code is at this moment."""
    frame = caller_frame()
    return None if frame is None else Site(frame.f_code.co_filename, frame.f_lineno or 0)


class GraphcError(Exception):
    """Base of all errors that graphc raises about its input.

    `site` is where the user wrote what is wrong, by default the line that is running; `hint` is
    what to try instead. The text is one line: control characters in names are escaped.
    """

    def __init__(self, message: str, *, site: Site | None = None, hint: str | None = None) -> None:
        self.message = message
        self.site = site or caller_site()
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        place = f"{self.site}: " if self.site else ""
        advice = f"; {self.hint}" if self.hint else ""
        text = f"{place}{self.message}{advice}"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ShapeError(GraphcError, ValueError):
    """Shapes that do not fit together, or an axis that does not exist."""


class DTypeError(GraphcError, TypeError):
    """A dtype that an operation does not take, or an unsafe conversion."""


class UnsupportedError(GraphcError, TypeError):
    """Something that a symbolic node cannot do: no such op, truth-testing, iterating."""


class DeclarationError(GraphcError, ValueError):
    """A graph that is declared wrongly: duplicate names, a loss that is no scalar, no outputs."""


class DifferentiationError(GraphcError, ValueError):
    """A derivative that does not exist: `wrt` cannot be reached, or an op has no derivative."""


class ExpressionError(GraphcError, ValueError):
    """A formula, as text or in SymPy, that has no form in graphc; a node that has none in SymPy."""


class ModelError(GraphcError):
    """A model definition that cannot be loaded."""


class UsageError(GraphcError, ValueError):
    """Options that do not exist or do not go together."""


def suggest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?` for the closest of the known names, or None."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else None
