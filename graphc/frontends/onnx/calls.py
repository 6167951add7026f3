"""How functions of a model call each other, and how many nodes that makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.errors import ModelError
from graphc.frontends.onnx.contents import all_nodes
from graphc.frontends.onnx.functions import Key, called_by, functions_of
from graphc.frontends.onnx.names import quoted

MOST_NODES = 1 << 18  # that are walked; a minute of importing, and of code that nobody reads


def require_finite(model: Any) -> None:
    """Raise ModelError for functions that call themselves, or that make too many nodes."""
    functions = functions_of(model)
    sizes: dict[Key, int] = {}
    for key in functions:
        measure(key, functions, sizes)
    total = walked(model.graph, functions, sizes)
    if total > MOST_NODES:
        raise ModelError(
            f"there are {total} nodes, with those of functions in each place that calls them; "
            f"at most {MOST_NODES} are read"
        )


def measure(start: Key, functions: Mapping[Key, Any], sizes: dict[Key, int]) -> None:
    """Enter how many nodes a function is walked as, and those that it calls."""
    path: list[Key] = []  # the calls that are open, the outermost first
    stack = [start]
    while stack:
        key = stack[-1]
        if key in sizes:
            stack.pop()
        elif path and path[-1] is key:
            sizes[key] = walked(functions[key], functions, sizes)
            path.pop()
        else:
            path.append(key)
            for called in calls_of(functions[key], functions):
                if called in path:
                    circle = [*path[path.index(called) :], called]
                    told = " calls ".join(quoted(name) for _, name, _ in circle)
                    raise ModelError(f"functions call themselves: {told}")
                if called not in sizes:
                    stack.append(called)


def calls_of(body: Any, functions: Mapping[Key, Any]) -> list[Key]:
    """The functions that nodes of a graph or function call, each once."""
    called = [called_by(proto) for proto in all_nodes(body.node)]
    return [*dict.fromkeys(key for key in called if key in functions)]


def walked(body: Any, functions: Mapping[Key, Any], sizes: Mapping[Key, int]) -> int:
    """How many nodes a graph or function is walked as; functions that it calls are measured."""
    called = [called_by(proto) for proto in all_nodes(body.node)]
    return sum(1 + sizes[key] if key in functions else 1 for key in called)
