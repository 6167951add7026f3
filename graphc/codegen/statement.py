"""A statement of generated code with what is told beside it, and how that is laid out."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from graphc.codegen.literals import LINE, width


class Statement(NamedTuple):
    """One statement.

    code   its source, without indentation; lines after the first have theirs already
    shape  the shape of what it computes, escaped; or what else stands beside it if there is room
    notes  what else the reader is told of it
    """

    code: str
    shape: str = ""
    notes: tuple[str, ...] = ()

    def laid(self, indent: int) -> list[str]:
        """The statement with its comments, on lines of their own above where they do not fit."""
        told = "; ".join(self.notes)
        line = self.beside(", ".join(filter(None, (self.shape, told))), indent)
        if line is not None:
            return [line]
        above = textwrap.wrap(told, LINE - indent - 2, break_long_words=False)
        return [*(f"# {row}" for row in above), self.beside(self.shape, indent) or self.code]

    def beside(self, comment: str, indent: int) -> str | None:
        """The statement with a comment behind it, if that fits."""
        line = f"{self.code}  # {comment}" if comment else self.code
        fits = "\n" not in line and width(line) + indent <= LINE
        return line if fits else None

    def annotated(self, name: str, indent: int) -> list[Statement]:
        """The statement with the variable annotated, for the type checker, if it assigns to it."""
        start = f"{name} = "
        if not self.code.startswith(start):
            return [self]
        full = self._replace(code=f"{name}: Array = {self.code[len(start) :]}")
        fits = width(full.code) + indent <= LINE
        return [full] if fits else [Statement(f"{name}: Array"), self]
