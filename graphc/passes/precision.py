"""The same graph in another float dtype, in an arena of its own."""

from __future__ import annotations

from typing import Any

from graphc.ir.function import topological
from graphc.ir.graph import Constant, Graph, Parameter
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, DType
from graphc.ops.operands import astype

MAX_DECIMALS = 4096  # constants of more elements keep the rounding of the dtype they had


def with_dtype(graph: Graph, dtype: DType) -> Graph:
    """A copy of a graph in which every float is of the given dtype; the original is untouched."""
    copy = Graph(graph.name, dtype)
    objective = [graph.objective] if graph.objective is not None else []
    roots = [*graph.declared(), *graph.updates.values(), *graph.outputs.values(), *objective]
    copy.draws = graph.draws
    copied: dict[Node, Node] = {}
    for node in topological(roots):
        params = [converted(value, dtype) for value in node.params]
        record = node.op.record(*params) if params else ()
        args = tuple(copied[a] for a in node.args)
        if node.op is astype and args[0].dtype is params[0]:
            copied[node] = args[0]  # between float dtypes there is nothing left to convert
            continue
        new = copied[node] = copy.intern(node.op, args, record)
        if node in graph.labels:
            copy.label(new, graph.labels[node].name)
        if node in graph.sites:
            copy.sites.setdefault(new, list(graph.sites[node]))
    copy.inputs = {name: copied[node] for name, node in graph.inputs.items()}
    copy.parameters = {
        name: Parameter(copied[p.node], p.init, p.trainable) for name, p in graph.parameters.items()
    }
    copy.states = {name: (copied[node], init) for name, (node, init) in graph.states.items()}
    copy.updates = {name: copied[node] for name, node in graph.updates.items()}
    copy.outputs = {name: copied[node] for name, node in graph.outputs.items()}
    copy.objective = copied[graph.objective] if graph.objective is not None else None
    return copy


def converted(value: Any, dtype: DType) -> Any:
    """A static parameter of an op in the other dtype, where it has one."""
    if isinstance(value, DType) and value.kind == FLOAT:
        return dtype
    if isinstance(value, Constant) and value.array.dtype.kind == "f":
        # By the shortest decimal: 0.1 in float32 was 0.1, not 0.10000000149.
        decimal = value.array.astype(str) if value.array.size <= MAX_DECIMALS else value.array
        return Constant.of(decimal.astype(dtype.numpy))
    return value
