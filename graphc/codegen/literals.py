"""Values and texts as Python source, in the form that ruff's formatter leaves alone."""

from __future__ import annotations

import base64
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from graphc.ir.types import as_dtype

LINE = 100
MAX_LITERAL_ELEMENTS = 32
MAX_EMBEDDED_BYTES = 64 * 1024
RIGHT_TO_LEFT = ("R", "AL", "AN")  # characters that would reorder the line that they stand in
_SIGNS = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[][(){},]""")


def quoted(text: str) -> str:
    """A string literal in double quotes, or single ones where that saves backslashes."""
    if text.isascii() and text.isprintable() and not ('"' in text or "\\" in text):
        return f'"{text}"'
    if is_plain(text):
        return f'"{text}"'
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(f"\\{c}" if c == quote else spelled(c) for c in text) + quote


def escaped(text: str) -> str:
    """Text of the user's in a docstring or comment: one line, and nothing that ends the string."""
    return text if is_plain(text) else "".join("'" if c == '"' else spelled(c) for c in text)


def is_plain(text: str) -> bool:
    """Whether a text means itself in a literal and in a docstring."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text


def clipped(text: str, columns: int) -> str:
    """Escaped text that takes no more than so many columns; an ellipsis stands for the rest."""
    whole = escaped(text)
    if width(whole) <= columns:
        return whole
    kept = ""
    for piece in map(escaped, text):
        if width(kept + piece) >= columns:
            break
        kept += piece
    return f"{kept}…"


def spelled(character: str) -> str:
    """A character in a literal or docstring: escaped if it could end or reorder its line."""
    if character == "\\":
        return "\\\\"
    if character.isprintable() and unicodedata.bidirectional(character) not in RIGHT_TO_LEFT:
        return character
    return character.encode("unicode_escape").decode()


def number(value: Any, *, whole: bool = False) -> str:
    """A NumPy scalar as the shortest Python literal that has its bits in its own dtype.

    `whole` writes small whole floats as ints: beside an array both mean the same.
    """
    plain = value.item()
    if whole and plain == int_or_nan(plain) and abs(plain) < 1000 and not np.signbit(value):
        return str(int(plain))
    if isinstance(plain, (bool, int)):
        return repr(plain)
    if math.isnan(plain):
        return nan(value)
    if math.isinf(plain):
        return "np.inf" if plain > 0 else "-np.inf"
    short = np.format_float_positional(value, trim="0")
    if len(short) > 18 or 0 < abs(plain) < 1e-4:
        short = np.format_float_scientific(value, trim="-").replace("e+", "e")
    exact = type(value)(float(short)) == value
    return short if exact else repr(plain).replace("e+", "e")


def python_number(value: float) -> str:
    """One of Python's numbers as source, exact."""
    if isinstance(value, float) and not math.isfinite(value):
        return "math.nan" if math.isnan(value) else "math.inf" if value > 0 else "-math.inf"
    return repr(value).replace("e+", "e")


def int_or_nan(plain: float) -> float:
    """The whole part of a finite number."""
    return math.trunc(plain) if math.isfinite(plain) else math.nan


def nan(value: Any) -> str:
    """A NaN, bit for bit: some carry a sign or a payload."""
    if value.tobytes() == value.dtype.type(np.nan).tobytes():
        return "np.nan"
    bits = value.view(f"u{value.dtype.itemsize}")
    return f"np.{bits.dtype.name}({bits.item():#x}).view(np.{value.dtype.name})"


def width(text: str) -> int:
    """The columns of a line: an East Asian character takes two, a mark upon another takes none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") or "\u1160" <= c <= "\u11ff"
        else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )  # fmt: skip


def bracketed(
    before: str, items: Sequence[str], after: str, indent: int = 0, *, statement: bool = False
) -> str:
    """`before item, item after` in as few lines as the formatter leaves alone.

    One line if it fits; the items of a call or signature on a second one; else one item a line with
    trailing commas. `indent` is that of the line on which `before` stands; items that span lines
    were made for `indent + 4`. Beyond an indentation of 4, a comma has to fit behind, unless it is
    a `statement`, of a method.
    """
    joined = ", ".join(items)
    comma = 1 if indent > 4 and not statement else 0  # of what spans lines itself
    if width(before + joined + after) + indent + comma <= LINE and "\n" not in joined:
        return f"{before}{joined}{after}"
    inner = " " * (indent + 4)
    is_call = before.endswith("(") and before[-2:-1].isidentifier()
    if is_call and width(inner + joined) <= LINE and "\n" not in joined and "*, " not in joined:
        return f"{before}\n{inner}{joined}\n{' ' * indent}{after}"
    items = [item if "\n" in item else cut(item, indent + 4) for item in items]
    rows = "".join(f"{inner}{item},\n" for item in items)
    return f"{before}\n{rows}{' ' * indent}{after}"


def cut(item: str, indent: int) -> str:
    """An item between brackets, cut where the formatter cuts it if it is too long: as a sum."""
    if indent + width(item) < LINE:
        return item
    rows = terms(item)
    if len(rows) == 1:
        return laid(item, indent)
    fitting = (factors(row) if indent + width(row) >= LINE else [row] for row in rows)
    return f"\n{' ' * indent}".join(chain.from_iterable(fitting))


def laid(text: str, indent: int, after: str = ",") -> str:
    """An expression on lines of its own, cut where the formatter cuts it if it is too long.

    From the left, each pair of brackets stays closed if all up to the next pair fits on the line.
    `after` is what follows on the last line.
    """
    if indent + width(text + after) <= LINE:
        return text
    pairs = [(start, end) for start, end in brackets(text) if end > start + 1]
    for place, (start, end) in enumerate(pairs, 1):
        reached = text[: pairs[place][0] + 1] if place < len(pairs) else text + after
        if indent + width(reached) <= LINE:
            continue
        inner = " " * (indent + 4)
        content = text[start + 1 : end]
        if text[start] == "[":
            content = inner + laid(content, indent + 4, "")
        elif indent + 4 + width(content) <= LINE:
            content = inner + content
        else:
            content = "\n".join(f"{inner}{cut(item, indent + 4)}," for item in split(content))
        rest = laid(text[end:], indent, after)
        return f"{text[: start + 1]}\n{content}\n{' ' * indent}{rest}"
    return text


def brackets(text: str) -> Iterator[tuple[int, int]]:
    """Where the outermost brackets of an expression open and close; those in strings are none."""
    opened: list[int] = []
    for match in _SIGNS.finditer(text):
        if match[0] in ("(", "[", "{"):
            opened.append(match.start())
        elif match[0] in (")", "]", "}") and opened:
            start = opened.pop()
            if not opened:
                yield start, match.start()


def split(text: str) -> list[str]:
    """The items of a list without its brackets."""
    inside = [range(start, end) for start, end in brackets(text)]
    commas = [m.start() for m in _SIGNS.finditer(text) if m[0] == ","]
    cuts = [cut for cut in commas if not any(cut in pair for pair in inside)]
    starts = [0, *(cut + 1 for cut in cuts)]
    return [text[a:b].strip() for a, b in zip(starts, [*cuts, len(text)], strict=True)]


def terms(text: str) -> list[str]:
    """The terms of a sum, each but the first with its sign, as the formatter breaks it."""
    return parted(text, " [+-] ")


def factors(text: str) -> list[str]:
    """The factors of a product, each but the first with its sign, as the formatter breaks it."""
    return parted(text, " (?:[*/@]|//) ")


def parted(text: str, operators: str) -> list[str]:
    """An expression before each of some operators that stands outside of brackets and strings."""
    strings = [m.span() for m in _SIGNS.finditer(text) if m[0][0] in "\"'"]
    inside = [range(start, end) for start, end in (*brackets(text), *strings)]
    signs = [m.start() + 1 for m in re.finditer(operators, text)]
    cuts = [cut for cut in signs if not any(cut in pair for pair in inside)]
    return [text[a:b].strip() for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def array(value: np.ndarray[Any, Any], before: str = "") -> str:
    """An expression for an array, a literal or base64, behind what is before it on its line."""
    dtype = as_dtype(value.dtype).source
    unusual_nan = np.isnan(value) if value.dtype.kind == "f" else np.zeros((), bool)
    plain = not unusual_nan.any() or value[unusual_nan].tobytes() == np.full(
        int(unusual_nan.sum()), np.nan, value.dtype
    ).tobytes()  # fmt: skip
    if value.size <= MAX_LITERAL_ELEMENTS and plain and value.size:
        return bracketed(f"{before}np.array(", [nested(value, 4), f"dtype={dtype}"], ")")
    if value.size == 0:
        return f"{before}np.zeros({value.shape}, dtype={dtype})"
    encoded = base64.b64encode(value.astype(value.dtype.newbyteorder("<")).tobytes()).decode()
    pieces = [encoded[i : i + 84] for i in range(0, len(encoded), 84)]
    text = "\n".join(f'        "{piece}"' for piece in pieces)
    code = value.dtype.newbyteorder("<").str
    shape = ", ".join(map(str, value.shape))
    decoded = f"base64.b64decode(\n{text}\n    )"
    if len(encoded) <= LINE - 25:
        decoded = f'base64.b64decode("{encoded}")'
    return f'{before}np.frombuffer(\n    {decoded},\n    dtype="{code}",\n).reshape({shape})'


def is_large(value: np.ndarray[Any, Any]) -> bool:
    """Whether an array goes into a file beside the module, unless it is to be embedded."""
    return value.nbytes > MAX_EMBEDDED_BYTES


def nested(value: np.ndarray[Any, Any], indent: int) -> str:
    """An array as nested lists."""
    if value.ndim == 0:
        return number(value[()])
    return bracketed("[", [nested(row, indent + 4) for row in value], "]", indent)
