"""graphc as a backend of ONNX: `onnx.backend.base.Backend`, which runs models and single nodes.

prepared = GraphcBackend.prepare(model)
(y,) = prepared.run([x])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.backend.base import Backend, BackendRep

import graphc as gc
from graphc.errors import UnsupportedError
from tests.styles import functions

ASKED = re.compile(r"--bind (.+)=VALUE")


class Prepared(BackendRep):
    """A model that is compiled, or that will be when it gets the inputs which fix its shapes."""

    def __init__(self, model: onnx.ModelProto, style: str = "functional") -> None:
        self.model, self.style = model, style
        self.names = input_names(model)
        self.bound: dict[str, Any] = {}
        self.module: gc.Module | None = None
        try:
            self.compile(gc.from_onnx(model))
        except UnsupportedError as error:
            if not isinstance(asked_for(error, self.names), str):
                raise

    def compile(self, graph: gc.Graph) -> None:
        """Make the module, and load it."""
        self.module = gc.compile(graph, inference=True, style=self.style)
        self.loaded = functions(self.module)

    def run(self, inputs: Sequence[Any], **kwargs: Any) -> tuple[Any, ...]:
        """The outputs for some inputs, in the order of the model's."""
        if len(inputs) != len(self.names):
            raise ValueError(f"the model has {len(self.names)} inputs, got {len(inputs)}")
        arrays = dict(zip(self.names, inputs, strict=True))
        if self.module is None or any(
            not np.array_equal(value, arrays[name]) for name, value in self.bound.items()
        ):
            graph, self.bound = bound(self.model, arrays)
            self.compile(graph)
        assert self.module is not None
        program = self.module.lowered.predict
        assert program is not None
        with np.errstate(all="ignore"):
            results = self.loaded.predict(*arguments(self.module, program, arrays))
        return tuple(results) if len(self.module.lowered.outputs) > 1 else (results,)


class GraphcBackend(Backend):
    """Models become graphs, graphs become modules, and those run with NumPy."""

    style = "functional"

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether there is such a device: "CPU" alone."""
        return device.split(":")[0] == "CPU"

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Compile a model; one whose inputs fix shapes or axes is compiled when it is run."""
        if not cls.supports_device(device):
            raise ValueError(f"there is no device {device!r}")
        return Prepared(model, cls.style)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Sequence[Any],
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs of one node for all its inputs that are not left out."""
        version = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        return cls.prepare(model_of_node(node, inputs, version), device).run(inputs)


class WorkspaceBackend(GraphcBackend):
    """The same with modules that own their memory."""

    style = "workspace"


def model_of_node(node: onnx.NodeProto, inputs: Sequence[Any], version: int) -> onnx.ModelProto:
    """A model of one node, for all its inputs that are not left out."""
    names = [name for name in node.input if name]
    arrays = dict(zip(names, map(np.asarray, inputs), strict=True))
    given = {
        name: helper.make_tensor_type_proto(
            helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in arrays.items()
    }
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    opsets = [helper.make_opsetid(node.domain, version)]
    tensors = {name: numpy_helper.from_array(array, name) for name, array in arrays.items()}
    computed = shape_inference.infer_node_outputs(
        schema, node, given, tensors, opset_imports=opsets
    )
    graph = helper.make_graph(
        [node],
        "node",
        [helper.make_value_info(name, type) for name, type in given.items()],
        [helper.make_value_info(name, computed[name]) for name in node.output if name],
    )
    return helper.make_model_gen_version(graph, opset_imports=opsets)


def input_names(model: onnx.ModelProto) -> list[str]:
    """The inputs of a model that are no initialisers."""
    initial = {tensor.name for tensor in model.graph.initializer}
    return [info.name for info in model.graph.input if info.name not in initial]


def bound(model: onnx.ModelProto, arrays: Mapping[str, Any]) -> tuple[gc.Graph, dict[str, Any]]:
    """The graph, and the inputs that had to be bound: those that the messages ask for."""
    bind: dict[str, Any] = {}
    while True:
        try:
            return gc.from_onnx(model, bind=bind), bind
        except UnsupportedError as error:
            name = asked_for(error, [name for name in arrays if name not in bind])
            if name is None:
                raise
            bind[name] = arrays[name]


def asked_for(error: UnsupportedError, names: Sequence[str]) -> str | None:
    """The input that has to be bound, if that is what an error is about."""
    found = ASKED.search(error.hint or "")
    return found[1] if found and found[1] in names else None


def arguments(module: gc.Module, program: Any, values: Mapping[str, Any]) -> list[Any]:
    """What a function of the module takes: parameters, states, inputs.

    values  inputs by name, and parameters that are to differ from those that the model came with
    """
    kinds = {node.params.kind for node in program.arguments}
    graph = module.lowered.graph
    given: list[Any] = []
    if "parameter" in kinds:
        given.append({name: values.get(name, p.init) for name, p in graph.parameters.items()})
    if "state" in kinds:
        given.append({name: init for name, (_, init) in graph.states.items()})
    inputs = [node.params.name for node in program.arguments if node.params.kind == "input"]
    return given + [values[name] for name in inputs]
