"""`NAME=VALUE` of the command line: what the inputs and dimensions of a model are bound to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import UsageError

FORMS = "write an int or float, a list as in 2,3 or 2, for one of one element, or a .npy file"
BOOLS = {"true": True, "false": False}


def as_bindings(texts: Iterable[str]) -> dict[str, Any]:
    """The values by name. Raises UsageError for what is no `NAME=VALUE`, or a name twice."""
    found: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise UsageError(f"--bind expects NAME=VALUE, got {text!r}", hint=FORMS)
        if name in found:
            raise UsageError(f"--bind gives {name!r} two values")
        found[name] = stored(name, value) if value.endswith(".npy") else written(name, value)
    return found


def written(name: str, text: str) -> Any:
    """A number or list of numbers, or the name of another dimension."""
    if text.isidentifier() and text.lower() not in (*BOOLS, "inf", "nan", "infinity"):
        return text
    parts = text.removesuffix(",").split(",")
    numbers = [number(name, part.strip()) for part in parts]
    return np.array(numbers) if "," in text else numbers[0]


def number(name: str, text: str) -> bool | int | float:
    """One number."""
    if text.lower() in BOOLS:
        return BOOLS[text.lower()]
    kind = int if text.lstrip("+-").isdigit() else float
    try:
        return kind(text)
    except ValueError:  # also of an int of more digits than Python reads
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise UsageError(f"--bind: {shown!r} is no value for {name!r}", hint=FORMS) from None


def stored(name: str, path: str) -> np.ndarray[Any, Any]:
    """The array of a .npy file. Nothing in it is executed, nor trusted about its size."""
    try:
        # Mapped rather than read: NumPy makes room for what a header says before it reads on.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"--bind: {Path(path).name!r} cannot be read: {reason}") from None
    except (ValueError, EOFError, OverflowError, SyntaxError) as error:
        raise UsageError(
            f"--bind: {Path(path).name!r} for {name!r} is no .npy file: {error}"
        ) from None
    if not isinstance(array, np.ndarray):
        raise UsageError(f"--bind: {Path(path).name!r} for {name!r} holds several arrays")
    return np.array(array)
