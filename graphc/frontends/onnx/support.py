"""Which operators of a model have a form in graphc: all that have none are told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphc.errors import UnsupportedError, suggest
from graphc.frontends.onnx.functions import is_defined, operator_sets
from graphc.frontends.onnx.names import describe, qualified, standard
from graphc.frontends.onnx.registry import MAPPINGS, mapping_of

SHOWN = 3  # nodes of an operator that a message names


def require_supported(model: Any, place: str) -> None:
    """Raise UnsupportedError with all operators that a model uses and graphc does not know."""
    functions = {(standard(f.domain), f.name): f for f in model.functions}
    unknown: dict[str, list[Any]] = {}
    for proto, opsets in nodes_of(model):
        domain = standard(proto.domain)
        opset = opsets.get(domain, 1)
        known = (domain, proto.op_type) in functions or mapping_of(domain, proto.op_type, opset)
        if not known and not is_defined(domain, proto.op_type, opset):
            unknown.setdefault(qualified(domain, proto.op_type), []).append(proto)
    if not unknown:
        return
    told = "; ".join(told_of(operator, nodes) for operator, nodes in sorted(unknown.items()))
    names = [qualified(*key) for key in MAPPINGS]
    close = [suggest(operator, names) for operator in sorted(unknown)]
    raise UnsupportedError(
        f"{place} uses operators that are not supported: {told}",
        hint=next(filter(None, close), None),
    )


def told_of(operator: str, nodes: list[Any]) -> str:
    """An operator with how often it occurs, and where."""
    shown = ", ".join(describe(proto) for proto in nodes[:SHOWN])
    more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
    return f"{operator} ({len(nodes)}: {shown}{more})"


def nodes_of(model: Any) -> Iterator[tuple[Any, Mapping[str, int]]]:
    """All nodes of a model with the operator sets they are written in, branches included."""
    opsets = operator_sets(model)
    stack = [(model.graph.node, opsets)]
    stack += [(f.node, {**opsets, **operator_sets(f)}) for f in model.functions]
    while stack:
        nodes, known = stack.pop()
        for proto in nodes:
            yield proto, known
            graphs = [a.g for a in proto.attribute if a.HasField("g")]
            graphs += [g for a in proto.attribute for g in a.graphs]
            stack += [(graph.node, known) for graph in graphs]
