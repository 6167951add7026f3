"""Which operators of ONNX graphc knows, and in which of their versions."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import NamedTuple

from onnx import defs

from graphc.frontends.onnx import mapping
from graphc.frontends.onnx.names import qualified
from graphc.frontends.onnx.registry import MAPPINGS
from graphc.frontends.onnx.support import has_form

OLDEST = {"": 7}  # the operator set from which on one is known that needs no first version


class Operator(NamedTuple):
    """An operator with the operator sets, first and last, in which graphc knows it.

    The first is None for one that is known since opset 7 (1 beside the standard's own domain), the
    last for one that is known in today's.
    """

    name: str
    first: int | None
    last: int | None

    def __str__(self) -> str:
        if self.first is None and self.last is None:
            return f"`{self.name}`"
        return f"`{self.name}` ({self.first or ''}–{self.last or ''})"


def operators() -> dict[ModuleType | None, list[Operator]]:
    """The operators by the file that maps them; None: those that have the standard's definition."""
    files = [file for file in vars(mapping).values() if isinstance(file, ModuleType)]
    found: dict[ModuleType | None, list[Operator]] = {file: [] for file in [*files, None]}
    came: dict[tuple[str, str], int] = {}
    newest: dict[str, int] = {}
    for schema in defs.get_all_schemas_with_history():
        key, version = (schema.domain, schema.name), schema.since_version
        came[key] = min(version, came.get(key, version))
        newest[schema.domain] = max(version, newest.get(schema.domain, version))
    for domain, name in sorted(came):
        operator = known(domain, name, came[domain, name], newest[domain])
        if operator is not None:
            found[file_of(domain, name)].append(operator)
    return {file: listed for file, listed in found.items() if listed}


def known(domain: str, name: str, came: int, newest: int) -> Operator | None:
    """An operator with its versions; None if graphc has no form for it.

    came, newest  the operator sets that it came with, and today's
    """
    versions = [version for version in range(came, newest + 1) if has_form(domain, name, version)]
    if not versions:
        return None
    first = None if versions[0] <= OLDEST.get(domain, 1) else versions[0]
    last = None if versions[-1] == newest else versions[-1]
    return Operator(qualified(domain, name), first, last)


def file_of(domain: str, name: str) -> ModuleType | None:
    """The file that maps an operator."""
    found = MAPPINGS.get((domain, name))
    return sys.modules[found[-1].function.__module__] if found else None
