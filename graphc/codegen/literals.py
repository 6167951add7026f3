"""Values and texts as Python source, in the form that ruff's formatter leaves alone."""

from __future__ import annotations

import base64
import math
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir.types import as_dtype

LINE = 100
MAX_LITERAL_ELEMENTS = 32
MAX_EMBEDDED_BYTES = 64 * 1024
RIGHT_TO_LEFT = ("R", "AL", "AN")  # characters that would reorder the line that they stand in


def quoted(text: str) -> str:
    """A string literal in double quotes, or single ones where that saves backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    written = []
    for character in text:
        if character in ("\\", quote):
            written.append("\\" + character)
        elif character.isprintable() and unicodedata.bidirectional(character) not in RIGHT_TO_LEFT:
            written.append(character)
        else:
            written.append(character.encode("unicode_escape").decode())
    return quote + "".join(written) + quote


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
    if len(short) > 18:
        short = np.format_float_scientific(value, trim="-").replace("e+", "e")
    exact = type(value)(float(short)) == value
    return short if exact else repr(plain)


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
    """The columns that a line takes: characters of East Asian scripts take two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def bracketed(before: str, items: Sequence[str], after: str, indent: int = 0) -> str:
    """`before item, item after` in as few lines as the formatter leaves alone.

    One line if it fits; the items of a call or signature on a second one; else one item a line with
    trailing commas. `indent` is that of the line on which `before` stands; items that span lines
    were made for `indent + 4`.
    """
    joined = ", ".join(items)
    comma = 1 if indent > 4 else 0  # an item of something that spans lines itself
    if width(before + joined + after) + indent + comma <= LINE and "\n" not in joined:
        return f"{before}{joined}{after}"
    inner = " " * (indent + 4)
    is_call = before.endswith("(") and before[-2:-1].isidentifier()
    if is_call and width(inner + joined) <= LINE and "\n" not in joined and "*, " not in joined:
        return f"{before}\n{inner}{joined}\n{' ' * indent}{after}"
    rows = "".join(f"{inner}{item},\n" for item in items)
    return f"{before}\n{rows}{' ' * indent}{after}"


def entry(key: str, call: str, indent: int) -> str:
    """`key: call` of a dict; parentheses of the call span lines if they have to.

    Of a chain of calls these are the last ones, if what stands before them fits, else the first.
    """
    if width(f"{key}: {call},") + indent <= LINE or call.endswith("()"):
        return f"{key}: {call}"
    opened = [
        at
        for at, character in enumerate(call)
        if character == "(" and call.count("(", 0, at) == call.count(")", 0, at)
    ]
    fits = width(f"{key}: {call[: opened[-1] + 1]}") + indent <= LINE
    start = (opened[-1] if fits else opened[0]) + 1
    end, depth = start, 1
    while depth:
        depth += {"(": 1, ")": -1}.get(call[end], 0)
        end += 1
    inner, outer = " " * (indent + 4), " " * indent
    return f"{key}: {call[:start]}\n{inner}{call[start : end - 1]}\n{outer}{call[end - 1 :]}"


def array(value: np.ndarray[Any, Any]) -> str | None:
    """An expression for an array: a literal, base64, or None where it has to go into a file."""
    dtype = as_dtype(value.dtype).source
    unusual_nan = np.isnan(value) if value.dtype.kind == "f" else np.zeros((), bool)
    plain = not unusual_nan.any() or value[unusual_nan].tobytes() == np.full(
        int(unusual_nan.sum()), np.nan, value.dtype
    ).tobytes()  # fmt: skip
    if value.size <= MAX_LITERAL_ELEMENTS and plain and value.size:
        return bracketed("np.array(", [nested(value, 4), f"dtype={dtype}"], ")")
    if value.size == 0:
        return f"np.zeros({value.shape}, dtype={dtype})"
    if value.nbytes > MAX_EMBEDDED_BYTES:
        return None
    encoded = base64.b64encode(value.astype(value.dtype.newbyteorder("<")).tobytes()).decode()
    pieces = [encoded[i : i + 84] for i in range(0, len(encoded), 84)]
    text = "\n".join(f'        "{piece}"' for piece in pieces)
    code = value.dtype.newbyteorder("<").str
    shape = ", ".join(map(str, value.shape))
    decoded = f"base64.b64decode(\n{text}\n    )"
    if len(encoded) <= LINE - 25:
        decoded = f'base64.b64decode("{encoded}")'
    return f'np.frombuffer(\n    {decoded},\n    dtype="{code}",\n).reshape({shape})'


def nested(value: np.ndarray[Any, Any], indent: int) -> str:
    """An array as nested lists."""
    if value.ndim == 0:
        return number(value[()])
    return bracketed("[", [nested(row, indent + 4) for row in value], "]", indent)
