"""What is supported, as a table in Markdown: read off the public namespaces."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType


def supported_text(namespaces: Mapping[str, ModuleType]) -> str:
    """One row for each file that public names are from: what it is about, and the names.

    namespaces  packages and modules with an `__all__`, by what stands before their names; the first
                sentence of a docstring, up to a colon, says what a file is about
    """
    lines = ["| what | names |", "| --- | --- |"]
    for prefix, namespace in namespaces.items():
        rows: dict[ModuleType, list[str]] = {}
        for name in namespace.__all__:
            if not isinstance(getattr(namespace, name), ModuleType):  # has rows of its own
                rows.setdefault(home(namespace, name), []).append(f"`{prefix}{name}`")
        lines += [f"| {subject(module)} | {', '.join(names)} |" for module, names in rows.items()]
    return "\n".join(lines) + "\n"


def operators_text(rows: Mapping[ModuleType | None, Sequence[object]]) -> str:
    """One row for each file that maps operators of ONNX; None: what has the standard's definition.

    rows  the operators of each file, as they are to be printed
    """
    lines = ["| what | operators |", "| --- | --- |"]
    for module, listed in rows.items():
        told = "By their definition in the standard" if module is None else subject(module)
        lines.append(f"| {told} | {', '.join(map(str, listed))} |")
    return "\n".join(lines) + "\n"


def home(namespace: ModuleType, name: str) -> ModuleType:
    """The file of a package that a public name of it is from; the namespace itself if it is one."""
    for module in files(namespace):
        if name in getattr(module, "__all__", ()):
            return module
    value = getattr(namespace, name)
    return sys.modules[value.__module__] if callable(value) else namespace


def files(namespace: ModuleType) -> Iterator[ModuleType]:
    """The modules of a package that have been imported."""
    start = f"{namespace.__name__}."
    yield from (module for name, module in sys.modules.items() if name.startswith(start))


def subject(module: ModuleType) -> str:
    """What a docstring begins with: `gc.random`, a colon and the like are left out."""
    sentence = " ".join((module.__doc__ or "").split("\n\n")[0].split())
    told = re.sub(r"^`[\w.]+`: ", "", sentence)
    clause = re.split(r"[.:](?:\s|$)", told)[0]
    return clause[:1].upper() + clause[1:]
