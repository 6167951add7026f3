"""Tracing: an existing NumPy function, called with nodes, declares the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphc.errors import DeclarationError
from graphc.frontends.builder import Graph
from graphc.ir.node import Node


@dataclass(frozen=True, slots=True)
class TracedParameter:
    """The declaration of a parameter for `trace`."""

    shape: Any
    init: object
    dtype: Any
    trainable: bool
    fans: tuple[Any, Any] | None


def param(
    shape: Any = (),
    *,
    init: object = "zeros",
    dtype: Any = None,
    trainable: bool = True,
    fans: tuple[Any, Any] | None = None,
) -> TracedParameter:
    """In `gc.trace(f, W=gc.param((64, 10)))`: an argument that is a parameter, not an input."""
    return TracedParameter(shape, init, dtype, trainable, fans)


def trace(
    function: Callable[..., Any], *, name: str | None = None, dtype: Any = None, **arguments: Any
) -> Graph:
    """The graph of a NumPy function.

    arguments  for each argument of the function a shape, (shape, dtype) in a dict, or `gc.param`

    What the function returns becomes the outputs: one array is called `output`, those in a dict by
    their keys, those in a tuple `output_1`, `output_2`, … or by its fields if they have names.
    """
    graph = Graph(name or getattr(function, "__name__", "model").strip("<>"), dtype=dtype)
    with graph:
        nodes = {key: _declare(graph, key, given) for key, given in arguments.items()}
        results = function(**nodes)
    for key, value in _named(results):
        if not isinstance(value, Node):
            raise DeclarationError(f"{graph.name} returns {value!r}, which is no node")
        graph.output(key, value)
    return graph


def _declare(graph: Graph, name: str, given: Any) -> Node:
    if isinstance(given, TracedParameter):
        return graph.parameter(
            name, given.shape, init=given.init, dtype=given.dtype, trainable=given.trainable,
            fans=given.fans,
        )  # fmt: skip
    if isinstance(given, Mapping):
        return graph.input(name, **given)
    return graph.input(name, given)


def _named(results: Any) -> list[tuple[str, Any]]:
    if isinstance(results, Mapping):
        return [(str(key), value) for key, value in results.items()]
    if hasattr(results, "_asdict"):
        return list(results._asdict().items())
    if isinstance(results, (tuple, list)):
        return [(f"output_{i}", value) for i, value in enumerate(results, 1)]
    return [("output", results)]
