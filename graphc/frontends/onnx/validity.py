"""Whether a model is valid: what the walk over it, and the mappings, rely on.

This is `onnx.checker` once more, in Python: that one copies the whole model with its weights, tells
names of C++ and not of nodes, and stops at operators and versions that it does not know.
Ignored, since no value depends on them: doc strings, metadata, declared types of values between
nodes, quantisation annotations, training information and device configurations.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import onnx
from onnx import defs

from graphc.errors import ModelError, UnsupportedError
from graphc.frontends.onnx.calls import require_finite
from graphc.frontends.onnx.contents import branches_of
from graphc.frontends.onnx.functions import (
    Key,
    called_by,
    functions_of,
    operator_sets,
    schema_of,
)
from graphc.frontends.onnx.names import NodeSite, describe, located, nearest, quoted, standard
from graphc.frontends.onnx.signatures import require_call

OLDEST_IR = 3  # earlier formats do not say which operator sets they use
Scopes = tuple[set[str], ...]  # names that are visible: of this graph, of the one around it, …


def require_valid(model: Any, place: str) -> None:
    """Raise ModelError for a model that the standard does not allow.

    Raises UnsupportedError for one of another time, or with what graphc does not read at all.
    """
    require_versions(model)
    functions = functions_of(model)
    if len(functions) < len(model.functions):
        names = [(standard(f.domain), f.name, f.overload) for f in model.functions]
        raise ModelError(f"the function {quoted(repeated(names)[1])} is defined twice")
    require_finite(model)
    validity = Validity(place, functions)
    opsets = operator_sets(model)
    validity.graph(model.graph, (), opsets, "the graph")
    if not model.graph.output:
        raise ModelError("the graph has no outputs")
    for function in model.functions:
        validity.function(function, {**opsets, **operator_sets(function)})


def require_versions(model: Any) -> None:
    """Raise for a format, or operator sets, that the installed package cannot know."""
    upgrade = f"install a newer version of the package onnx than {onnx.__version__}"
    if model.ir_version > onnx.IR_VERSION:
        raise UnsupportedError(
            f"the format's version (ir_version) {model.ir_version} is newer than "
            f"{onnx.IR_VERSION}, the newest that is known here",
            hint=upgrade,
        )
    if model.ir_version < OLDEST_IR:
        raise UnsupportedError(
            f"the format's version (ir_version) is {model.ir_version}; the oldest that is read "
            f"is {OLDEST_IR}",
            hint="convert the model with onnx.version_converter",
        )
    for holder in (model, *model.functions):
        versions: dict[str, int] = {}
        for opset in holder.opset_import:
            domain = standard(text(opset.domain, "the domain of an operator set"))
            if opset.version < 1:
                raise ModelError(f"the operator set {quoted(domain)} has version {opset.version}")
            if versions.setdefault(domain, opset.version) != opset.version:
                raise ModelError(f"the operator set {quoted(domain)} has two versions")
        newest = defs.onnx_opset_version()
        if versions.get("", 0) > newest:
            raise UnsupportedError(
                f"the operator set's version (opset) {versions['']} is newer than {newest}, the "
                "newest that is known here",
                hint=f"{upgrade}, or export with opset {newest}",
            )
    if not model.opset_import:
        raise ModelError("the model does not say which operator sets it uses (opset_import)")


class Validity:
    """The check of one model's graphs and functions."""

    def __init__(self, place: str, functions: Mapping[Key, Any]) -> None:
        self.place = place
        self.functions = functions

    def graph(
        self,
        graph: Any,
        around: Scopes,
        opsets: Mapping[str, int],
        what: str,
        attributes: set[str] | None = None,
    ) -> None:
        """A graph, with the names that are visible around it."""
        inputs = self.names([info.name for info in graph.input], f"an input of {what}")
        weights = self.names([t.name for t in graph.initializer], f"an initialiser of {what}")
        text(graph.name, f"the name of {what}")
        for info in graph.input:
            for axis in info.type.tensor_type.shape.dim:
                text(axis.dim_param, f"a dimension of the input {quoted(info.name)}")
        if graph.sparse_initializer:
            sparse = [tensor.values.name for tensor in graph.sparse_initializer]
            raise UnsupportedError(
                f"{what} has sparse initialisers: {', '.join(map(quoted, sparse[:3]))}",
                hint="store them as dense tensors",
            )
        own = {*inputs, *weights}
        self.nodes(graph.node, (own, *around), opsets, attributes)
        outputs = self.names([info.name for info in graph.output], f"an output of {what}")
        for name in outputs:
            if not any(name in scope for scope in (own, *around)):
                raise ModelError(
                    f"the output {quoted(name)} of {what} is computed by no node",
                    hint=nearest(name, sorted(own)),
                )

    def function(self, function: Any, opsets: Mapping[str, int]) -> None:
        """A function of the model."""
        what = f"the function {quoted(function.name)}"
        own = {*self.names(function.input, f"an input of {what}")}
        attributes = {*function.attribute, *(a.name for a in function.attribute_proto)}
        self.nodes(function.node, (own,), opsets, attributes)
        for name in self.names(function.output, f"an output of {what}"):
            if name not in own:
                raise ModelError(f"the output {quoted(name)} of {what} is computed by no node")

    def nodes(
        self,
        nodes: Any,
        scopes: Scopes,
        opsets: Mapping[str, int],
        attributes: set[str] | None,
    ) -> None:
        """Nodes in their order; the names that they compute are entered into the first scope.

        attributes  those of the function that the nodes are part of, None outside of functions
        """
        for proto in nodes:
            with located(partial(self.site, proto)):
                require_texts(proto)
                domain = standard(proto.domain)
                schema = schema_of(domain, proto.op_type, opsets.get(domain, 1))
                require_call(proto, self.functions.get(called_by(proto)), schema, attributes)
                for name in proto.input:
                    if name and not any(name in scope for scope in scopes):
                        raise unsorted(name, proto, nodes, scopes)
                for graph in branches_of(proto):
                    self.graph(graph, scopes, opsets, "a branch", attributes)
                for name in filter(None, proto.output):
                    if name in scopes[0]:
                        raise ModelError(f"{quoted(name)} is computed, or declared, twice")
                    scopes[0].add(name)

    def site(self, proto: Any) -> NodeSite:
        """The place of a node."""
        return NodeSite(self.place, 0, describe(proto))

    def names(self, names: Sequence[str], what: str) -> list[str]:
        """Names that are there, are text, and differ."""
        for name in names:
            if not text(name, f"the name of {what}"):
                raise ModelError(f"{what} has no name")
        if twice := repeated(names):
            raise ModelError(f"{quoted(twice)} is the name of {what} twice")
        return [*names]


def require_texts(proto: Any) -> None:
    """Raise ModelError for a node whose names are no text, or that has no operator."""
    for name in (proto.name, proto.op_type, proto.domain, *proto.input, *proto.output):
        text(name, "a name")
    if not proto.op_type:
        raise ModelError("the node has no operator")


def text(name: str | bytes, what: str) -> str:
    """A name that is text. Raises ModelError for bytes that are no UTF-8."""
    if not isinstance(name, str):  # protobuf gives bytes for what it cannot decode
        raise ModelError(f"{what} is no UTF-8: {quoted(name)}")
    return name


def repeated(names: Sequence[Any]) -> Any:
    """The first of some names that was there before, or None."""
    seen: set[Any] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def unsorted(name: str, reader: Any, nodes: Any, scopes: Scopes) -> ModelError:
    """The error about a name that nothing computes before a node reads it."""
    makers = {output: proto for proto in nodes for output in proto.output if output}
    if name not in makers:
        known = sorted({known for scope in scopes for known in scope})
        return ModelError(
            f"reads {quoted(name)}, which nothing computes", hint=nearest(name, known)
        )
    if circle := cycle(name, reader, makers):
        told = " reads from ".join(map(describe, circle))
        return ModelError(f"the graph has a cycle: {told}")
    return ModelError(
        f"reads {quoted(name)}, which {describe(makers[name])} computes only later",
        hint="nodes have to be sorted: each after those that it reads from",
    )


def cycle(name: str, reader: Any, makers: Mapping[str, Any]) -> list[Any]:
    """The nodes from a reader of a name back to itself, each reading from the next; or none."""
    wanted = {output for output in reader.output if output}
    if name in wanted:
        return [reader, reader]
    came = {name: ""}
    pending = deque([name])
    while pending:
        reached = pending.popleft()
        for needed in makers[reached].input:
            if needed in wanted:
                path = [reader]
                while reached:
                    path.insert(0, makers[reached])
                    reached = came[reached]
                return [reader, *path]
            if needed in makers and needed not in came:
                came[needed] = reached
                pending.append(needed)
    return []
