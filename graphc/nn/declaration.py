"""How layers are registered, and where they declare their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from graphc.errors import DeclarationError, ShapeError
from graphc.frontends.builder import Graph, path, scoped
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ir.op import registered
from graphc.ops.shape import as_count

_F = TypeVar("_F", bound=Callable[..., Any])


def layer(implementation: _F) -> _F:
    """Register a function of `gc.nn`."""
    return registered(f"nn.{implementation.__name__}", implementation)


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
