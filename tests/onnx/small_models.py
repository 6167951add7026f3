"""Small ONNX models, of which tests change a part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from graphc.errors import GraphcError, ModelError


class Case(NamedTuple):
    """A model, or what it is made of, and what is said about it."""

    name: str
    make: Callable[[], Any]
    told: str
    kind: type[GraphcError] = ModelError


node = helper.make_node
FLOAT = TensorProto.FLOAT


def value(name: str, shape: Any = (2, 3), element: int = FLOAT) -> Any:
    """An input or output that is a tensor."""
    return helper.make_tensor_value_info(name, element, shape)


def graph(
    nodes: Iterable[Any],
    inputs: Iterable[Any] | None = None,
    outputs: Iterable[Any] | None = None,
    weights: Mapping[str, Any] | None = None,
) -> Any:
    """A graph; by default from x (2, 3) to y."""
    return helper.make_graph(
        list(nodes),
        "g",
        [value("x")] if inputs is None else list(inputs),
        [value("y", None)] if outputs is None else list(outputs),
        [numpy_helper.from_array(np.asarray(w), name) for name, w in (weights or {}).items()],
    )


def model(
    nodes: Iterable[Any],
    inputs: Iterable[Any] | None = None,
    outputs: Iterable[Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    functions: Iterable[Any] = (),
    domains: Iterable[str] = (),
    ir_version: int = 10,
) -> Any:
    """A model of one graph in a version of the standard's operators."""
    sets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(
        graph(nodes, inputs, outputs, weights),
        opset_imports=sets, functions=list(functions), ir_version=ir_version,
    )  # fmt: skip


def relu() -> Any:
    """The smallest model."""
    return model([node("Relu", ["x"], ["y"], name="r")])


def function(name: str, nodes: Iterable[Any], **options: Any) -> Any:
    """A function of the domain `own` from a to b."""
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], ["b"], list(nodes), sets, **options)


def weighted(tensor: Any) -> Any:
    """A model that adds a tensor to its input."""
    made = model([node("Add", ["x", tensor.name or "w"], ["y"])])
    made.graph.initializer.append(tensor)
    return made
