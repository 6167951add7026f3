"""What a model contains: its graphs, nodes and tensors, those within others included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphc.frontends.onnx.functions import operator_sets


def branches_of(proto: Any) -> list[Any]:
    """The graphs that are attributes of a node."""
    graphs = [a.g for a in proto.attribute if a.HasField("g")]
    return graphs + [graph for a in proto.attribute for graph in a.graphs]


def all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes, and those of the graphs that are their attributes, in the order of the model."""
    stack = [iter(nodes)]
    while stack:
        proto = next(stack[-1], None)
        if proto is None:
            stack.pop()
            continue
        yield proto
        stack += [iter(graph.node) for graph in reversed(branches_of(proto))]


def nodes_of(model: Any) -> Iterator[tuple[Any, Mapping[str, int]]]:
    """All nodes of a model with the operator sets they are written in, functions included."""
    opsets = operator_sets(model)
    yield from ((proto, opsets) for proto in all_nodes(model.graph.node))
    for function in model.functions:
        known = {**opsets, **operator_sets(function)}
        yield from ((proto, known) for proto in all_nodes(function.node))


def graphs_of(model: Any) -> Iterator[Any]:
    """All graphs of a model."""
    yield model.graph
    for proto, _ in nodes_of(model):
        yield from branches_of(proto)


def tensors_of(model: Any) -> Iterator[Any]:
    """All tensors of a model: initialisers, and attributes of nodes and of functions."""
    for graph in graphs_of(model):
        yield from graph.initializer
    attributes = [a for proto, _ in nodes_of(model) for a in proto.attribute]
    attributes += [a for function in model.functions for a in function.attribute_proto]
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
