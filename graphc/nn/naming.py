"""The names under which layers keep their parameters."""

from __future__ import annotations

from graphc.frontends.builder import scoped
from graphc.ir.graph import Graph


def unused(graph: Graph, name: str) -> str:
    """The name of a layer, with a number behind it where there is such a layer already."""
    candidate, count = name, 1
    while any(taken.startswith(f"{scoped(candidate)}.") for taken in graph.parameters):
        count += 1
        candidate = f"{name}_{count}"
    return candidate
