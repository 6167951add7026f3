"""From a model to a graph: each ONNX node becomes what its mapping makes of it.

The walk is that of an interpreter. A frame holds values by name, as graphc's nodes; a node of the
model reads its inputs there and enters its outputs. An operator without a mapping that the model,
or the standard, defines by others is walked in a frame of its own.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from graphc.errors import ModelError, ShapeError, UnsupportedError
from graphc.frontends.builder import Graph
from graphc.frontends.onnx import mapping as mapping  # importing it registers all mappings
from graphc.frontends.onnx.declarations import Declarations
from graphc.frontends.onnx.functions import (
    body_of,
    called_by,
    functions_of,
    operator_sets,
    schema_of,
)
from graphc.frontends.onnx.names import (
    NodeSite,
    describe,
    hint_of,
    label_of,
    located,
    noun_of,
    standard,
)
from graphc.frontends.onnx.registry import Call, Tensors, Value, mapping_of
from graphc.frontends.onnx.registry import Mapping as OpMapping
from graphc.frontends.onnx.signatures import HELD, require_types
from graphc.frontends.onnx.static import Known
from graphc.frontends.onnx.support import require_supported
from graphc.frontends.onnx.tensors import FLOATS, MOST_AXES, shortest, tensor_array
from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT, entered
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.ops.shape import broadcast_to

NAMING_EXPORTERS = ("pytorch",)  # all names of values are theirs, none is the author's
DEEPEST = 64  # functions within functions, and branches within branches
FEW = 32  # elements: a constant that is as small stands in the file as a literal


class ImportedGraph(Graph):
    """A graph whose nodes come from nodes of a model, until the model is imported.

    What is added to it afterwards, a loss say, comes from lines of Python as it always does.
    """

    site: NodeSite | None = None
    importing = True

    def record(self, node: Node) -> None:
        """Note the node of the model that a node comes from."""
        if not self.importing:
            super().record(node)
        elif self.site is not None and node.op is not ARGUMENT:
            site = self.site
            self.sites.setdefault(node, []).append(lambda: site)

    def assigned(self, node: Node) -> None:
        """The variables of the import are no names of the model's."""
        if not self.importing:
            super().assigned(node)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a node is walked: the values and attributes in scope, and the operator sets."""

    values: ChainMap[str, Value | None]
    opsets: Mapping[str, int]
    attributes: Mapping[str, Any]
    depth: int = 0


def import_model(
    model: Any, place: str, bind: dict[str, Any], trainable: str | Sequence[str] | bool
) -> Graph:
    """The graph of a model that was read."""
    with located(lambda: NodeSite(place, 0)):
        require_supported(model)
        name = PurePath(place).stem if place.lower().endswith(".onnx") else model.graph.name
        graph = ImportedGraph(name or "model", dtype=graph_dtype(model), pretrained=True)
        importer = Importer(model, graph, place)
        with entered(graph):
            declarations = Declarations(graph, model, bind, trainable)
            frame = Frame(ChainMap(declarations.values()), operator_sets(model), {})
            for node, array in declarations.weights.items():
                importer.static.declare(node, array)
            importer.walk(model.graph.node, frame)
            for info in model.graph.output:
                graph.output(info.name, declarations.output(info, importer.read(info.name, frame)))
        declarations.keep({*topological([*graph.outputs.values(), *graph.updates.values()])})
        graph.importing = False
        return graph


def graph_dtype(model: Any) -> str:
    """The float dtype that the model computes with, as far as its declarations tell."""
    types = [info.type.tensor_type.elem_type for info in model.graph.input]
    types += [tensor.data_type for tensor in model.graph.initializer]
    return next((FLOATS[type] for type in types if type in FLOATS), "float32")


class Importer:
    """The walk over one model."""

    def __init__(self, model: Any, graph: ImportedGraph, place: str) -> None:
        self.graph: ImportedGraph = graph
        self.place = place
        self.functions = functions_of(model)
        self.named_by_exporter = model.producer_name in NAMING_EXPORTERS
        self.static = Known(graph)
        self.frame: Frame | None = None

    # --- the walk ---------------------------------------------------------------------------

    def walk(self, nodes: Any, frame: Frame) -> None:
        """Enter what all nodes compute, in their order."""
        for proto in nodes:
            with self.at(proto, frame):
                results = self.applied(proto, [self.read(n, frame) for n in proto.input], frame)
                for name, node in zip(proto.output, results, strict=False):
                    if name and node is not None:
                        frame.values[name] = self.settled(node, name, proto, frame)

    def applied(
        self, proto: Any, inputs: list[Value | None], frame: Frame
    ) -> Sequence[Value | None]:
        """What one node computes, by a function of the model, a mapping, or its definition."""
        domain, op_type = standard(proto.domain), proto.op_type
        while inputs and inputs[-1] is None:
            inputs.pop()  # left out at the end, as if it were not listed
        function, opset = self.functions.get(called_by(proto)), frame.opsets.get(domain, 1)
        if function is not None:
            return self.called(function, proto, inputs, frame)
        schema = schema_of(domain, op_type, opset)
        require_types(schema, inputs)
        found = mapping_of(domain, op_type, opset)
        attributes = self.attributes(proto, frame)
        if found is not None:
            outputs = max((i + 1 for i, name in enumerate(proto.output) if name), default=0)
            call = Call(self, op_type, opset, outputs)
            results = results_of(found, call, inputs, attributes)
            if len(results) < outputs:
                call.refuse(f"{op_type} with {outputs} outputs is not supported")
            return results
        body = body_of(schema, opset, proto, inputs)
        if body is None:
            raise UnsupportedError(f"the operator {op_type} is not supported")
        return self.called(body, proto, inputs, frame)

    def called(
        self, body: Any, proto: Any, inputs: list[Value | None], frame: Frame
    ) -> list[Value | None]:
        """What a function computes: its nodes, in a frame that holds its inputs and attributes."""
        if frame.depth >= DEEPEST:
            raise ModelError(f"functions are nested more than {DEEPEST} deep")
        given = {a.name: a for a in body.attribute_proto}
        given |= {a.name: self.resolved(a, frame) for a in proto.attribute}
        padded = [*inputs, *[None] * (len(body.input) - len(inputs))]
        values: dict[str, Value | None] = dict(zip(body.input, padded, strict=False))
        opsets = {**frame.opsets, **operator_sets(body)}
        attributes = {name: a for name, a in given.items() if a is not None}
        inner = Frame(ChainMap(values), opsets, attributes, frame.depth + 1)
        self.walk(body.node, inner)
        return [self.read(name, inner) for name in body.output]

    def branch(self, graph: Any) -> tuple[Value, ...]:
        """The outputs of a graph that is an attribute of the node that is walked."""
        frame = self.frame
        assert frame is not None
        if frame.depth >= DEEPEST:
            raise ModelError(f"branches are nested more than {DEEPEST} deep")
        values = frame.values.new_child()
        for tensor in graph.initializer:
            array = tensor_array(tensor)
            values[tensor.name] = self.graph.constant(array, array.dtype)
        inner = Frame(values, frame.opsets, frame.attributes, frame.depth + 1)
        self.walk(graph.node, inner)
        results = [self.read(info.name, inner) for info in graph.output]
        return tuple(node for node in results if node is not None)

    # --- what a node reads and enters ---------------------------------------------------------

    def read(self, name: str, frame: Frame) -> Value | None:
        """The value of a name; the empty name is an input that is left out."""
        if not name:
            return None
        if name not in frame.values:
            raise ModelError(f"{name!r} is read and nothing computes it before")
        return frame.values[name]

    def known(self, node: Node) -> np.ndarray[Any, Any] | None:
        """The value of a node where it is known by now."""
        return self.static.of(node)

    def settled(self, node: Value, name: str, proto: Any, frame: Frame) -> Value:
        """A result under its name; what follows from constants alone is a constant."""
        if isinstance(node, Tensors):
            return node
        require_possible(node)
        value = self.static.constant(node)
        if value is not None and is_shorter(value, node):
            node = self.graph.constant(value, node.dtype)
        if node.op is CONSTANT:
            return repeated(node)
        if self.known(node) is None:
            label = None if self.named_by_exporter else label_of(name)
            if frame.depth:
                self.graph.hint(node, noun_of(proto.op_type))
            elif label is None:
                self.graph.hint(node, hint_of(name, proto.op_type))
            else:
                self.graph.label(node, label)
        return node

    def resolved(self, attribute: Any, frame: Frame) -> Any:
        """An attribute; one that stands for an attribute of the function is that, or None."""
        if attribute.ref_attr_name:
            return frame.attributes.get(attribute.ref_attr_name)
        return attribute

    def attributes(self, proto: Any, frame: Frame) -> dict[str, Any]:
        """The attributes of a node by name, as Python's values."""
        found = {a.name: self.resolved(a, frame) for a in proto.attribute}
        return {name: attribute_value(a) for name, a in found.items() if a is not None}

    @contextlib.contextmanager
    def at(self, proto: Any, frame: Frame) -> Iterator[None]:
        """In here, nodes and errors come from a node of the model."""
        before = self.frame, self.graph.site
        if frame.depth == 0 or self.graph.site is None:
            self.graph.site = NodeSite(self.place, 0, describe(proto))
        self.frame = frame
        try:
            with located(lambda: self.graph.site or NodeSite(self.place, 0)):
                yield
        finally:
            self.frame, self.graph.site = before


def results_of(
    found: OpMapping, call: Call, inputs: list[Value | None], attributes: dict[str, Any]
) -> Sequence[Value | None]:
    """What a mapping makes of a call. Raises UnsupportedError for what it does not take."""
    unknown = [name for name in attributes if name not in found.attributes]
    if unknown:
        call.refuse(f"the attribute {unknown[0]!r} is not supported")
    try:
        bound = found.signature.bind(call, *inputs, **attributes)
    except TypeError as error:
        raise ModelError(f"{error}, of {len(inputs)} inputs and {sorted(attributes)}") from None
    results = found.function(*bound.args, **bound.kwargs)
    return (results,) if isinstance(results, (Node, Tensors)) else results


def is_shorter(value: np.ndarray[Any, Any], node: Node) -> bool:
    """Whether a known value takes less room in the file than what it is computed from.

    Zeros that are repeated, or the numbers up to n, do not.
    """
    made_of = [arg.params.data.array.size for arg in node.args if arg.op is CONSTANT]
    return node.op is not CONSTANT and value.size <= max(FEW, *made_of, 0)


def repeated(node: Node) -> Node:
    """A constant; one number that is repeated is that number, which can be computed with once."""
    value = node.params.data.array
    first = value.reshape(-1)[:1]
    alike = value.ndim and value.size and value.tobytes() == first.tobytes() * value.size
    if not alike or node.dtype.kind != FLOAT:
        return node
    return broadcast_to(node.graph.constant(first.reshape(()), node.dtype), node.shape)


def require_possible(node: Node) -> None:
    """Raise ShapeError for a result that no memory has addresses for, or NumPy no axes."""
    if node.ndim > MOST_AXES:
        raise ShapeError(f"the result has {node.ndim} axes; NumPy has at most {MOST_AXES}")
    known = math.prod(size for size in node.shape if isinstance(size, int) and size)
    if known * node.dtype.itemsize > sys.maxsize:
        raise ShapeError(f"the result has more elements than memory has addresses: {node.shape}")


def attribute_value(attribute: Any) -> Any:
    """An attribute as a Python value; tensors are arrays, graphs stay as they are."""
    kind = attribute.AttributeType.Name(attribute.type)
    if kind not in READ:
        raise UnsupportedError(f"the attribute {attribute.name!r} of type {kind} is not supported")
    return READ[kind](getattr(attribute, HELD[kind]))


def text_of(value: bytes) -> str:
    """A string of the model's."""
    return value.decode(errors="replace")


READ: dict[str, Callable[[Any], Any]] = {
    "FLOAT": shortest,
    "INT": int,
    "STRING": text_of,
    "TENSOR": tensor_array,
    "GRAPH": lambda graph: graph,
    "FLOATS": lambda values: tuple(map(shortest, values)),
    "INTS": tuple,
    "STRINGS": lambda values: tuple(map(text_of, values)),
}
