"""How layers are registered, and where they declare their parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar, cast

from graphc.errors import DeclarationError, ShapeError
from graphc.frontends.builder import Graph, path, scoped
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ir.op import registered
from graphc.ops.shape import as_count

_F = TypeVar("_F", bound=Callable[..., Any])


def layer(implementation: _F) -> _F:
    """Register a function of `gc.nn`. Where it raises, the graph keeps nothing that it declared."""
    called = registered(f"nn.{implementation.__name__}", implementation)

    @functools.wraps(implementation)
    def whole(*arguments: Any, **options: Any) -> Any:
        given = (*arguments, *options.values())
        graph = next((value.graph for value in given if isinstance(value, Node)), None)
        if not isinstance(graph, Graph):
            return called(*arguments, **options)
        tables: tuple[dict[str, Any], ...] = (graph.parameters, graph.states, graph.updates)
        before = [len(table) for table in tables]
        try:
            return called(*arguments, **options)
        except BaseException:
            for table, count in zip(tables, before, strict=True):
                for name in list(table)[count:]:
                    del table[name]
            raise

    return cast("_F", whole)


class Declared(NamedTuple):
    """A layer: the graph that it is in, and its name there."""

    graph: Graph
    name: str


@contextmanager
def declaring(x: Node, name: str, default: str) -> Iterator[Declared]:
    """The graph of an operand and the name of a layer; what is declared in here is `name.…`.

    A default name that is taken already gets a number. Raises DeclarationError where x belongs to
    a graph that nothing can be declared in.
    """
    if not isinstance(x.graph, Graph):
        raise DeclarationError(f"layers need an operand of a gc.Graph, got one of {x.graph!r}")
    with path(unused(x.graph, name) if name == default else name):
        yield Declared(x.graph, scoped())


def unused(graph: Graph, name: str) -> str:
    """A name that no parameter or state of the graph lies under: `dense`, or else `dense_2`, …"""
    wanted, count = name, 1
    while _is_taken(graph, f"{scoped(wanted)}."):
        count += 1
        wanted = f"{name}_{count}"
    return wanted


def _is_taken(graph: Graph, start: str) -> bool:
    return any(known.startswith(start) for known in (*graph.parameters, *graph.states))


def as_units(op: str, name: str, value: Any) -> Extent:
    """A size that a user chose, at least 1. Raises ShapeError for others, naming it."""
    try:
        size = 0 if isinstance(value, bool) else as_count(op, value)
    except ShapeError:
        size = 0
    if isinstance(size, int) and size < 1:
        raise ShapeError(f"{op}: {name} is a size of at least 1, got {value!r}")
    return size
