"""What a model declares: inputs, initialisers, and the sizes of its axes."""

from __future__ import annotations

import fnmatch
import math
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import ModelError, UnsupportedError, UsageError, suggest
from graphc.frontends.builder import Graph
from graphc.frontends.onnx.names import UNNAMED, quoted, standard
from graphc.frontends.onnx.registry import Tensors, Value
from graphc.frontends.onnx.tensors import element_type, tensor_array
from graphc.ir.dims import Dim, Extent, Shape
from graphc.ir.node import Node
from graphc.ir.types import DType
from graphc.ops.shape import as_size

MOST_ELEMENTS = sys.maxsize // 8


class Declarations:
    """The inputs, parameters, states and constants of a model, as nodes of a graph.

    weights  the initialisers that are arguments of the generated functions, with their values
    """

    def __init__(
        self,
        graph: Graph,
        model: Any,
        bind: Mapping[str, Any],
        trainable: str | Sequence[str] | bool,
    ) -> None:
        self.graph, self.proto, self.bind = graph, model.graph, bind
        self.trainable = patterns(trainable)
        self.sizes: dict[str, Extent] = {}
        self.weights: dict[Node, np.ndarray[Any, Any]] = {}
        self._check_names()

    def values(self) -> dict[str, Value | None]:
        """Declare everything: the node of each name."""
        given = {t.name: t for t in self.proto.initializer if t.name not in self.bind}
        for info in self.proto.input:
            if info.name in given:
                require_declared(given[info.name], info.type.tensor_type)
        inputs = [info for info in self.proto.input if info.name not in given]
        found: dict[str, Value | None] = {info.name: self.input(info) for info in inputs}
        running = running_statistics(self.proto)
        for tensor in self.proto.initializer:
            if tensor.name in given:  # else it is the default of an input that is bound
                found[tensor.name] = self.initializer(tensor, tensor.name in running)
        return found

    def input(self, info: Any) -> Node:
        """An argument of the generated functions, or the value that it is bound to."""
        dtype = dtype_of(info, f"the input {quoted(info.name)}")
        if info.name in self.bind:
            return self.graph.constant(self._bound(info, dtype), dtype)
        return self.graph.input(info.name, self.shape(info), dtype)

    def initializer(self, tensor: Any, running: bool) -> Node:
        """A parameter or a state with its value; a constant if it cannot be trained."""
        name, array = tensor.name, tensor_array(tensor)
        listed = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.trainable)
        asked = listed and self.trainable != ("*",)
        number = not array.ndim or (array.size == 1 and UNNAMED.fullmatch(name))
        if array.dtype.kind != "f" or (number and not asked):
            return self.graph.constant(array, array.dtype)
        if running and not asked:
            node = self.graph.state(name, array.shape, init=array, dtype=array.dtype)
        else:
            node = self.graph.parameter(
                name, array.shape, init=array, dtype=array.dtype, trainable=listed
            )
        self.weights[node] = array
        return node

    def output(self, info: Any, node: Value | None) -> Node:
        """What an output is. Raises ModelError for what it is not declared to be."""
        what = f"the output {quoted(info.name)}"
        if node is None:
            raise ModelError(f"{what} is an input that was left out")
        if isinstance(node, Tensors):
            raise UnsupportedError(f"{what} is a sequence of tensors", hint="name each of them")
        if info.type.WhichOneof("value") is not None:
            dtype = dtype_of(info, what)
            if dtype is not node.dtype:
                raise ModelError(f"{what} is declared as {dtype}, and is computed as {node.dtype}")
        return node

    def keep(self, used: Collection[Node]) -> None:
        """Forget the parameters and states that no output depends on."""
        for name, parameter in [*self.graph.parameters.items()]:
            if parameter.node not in used:
                del self.graph.parameters[name]
        for name, (node, _) in [*self.graph.states.items()]:
            if node not in used:
                del self.graph.states[name]

    # --- sizes ------------------------------------------------------------------------------

    def shape(self, info: Any) -> Shape:
        """The sizes of an input's axes; those that are not given are named after the input."""
        if not info.type.tensor_type.HasField("shape"):
            raise UnsupportedError(
                f"the input {quoted(info.name)} does not say how many axes it has"
            )
        axes = info.type.tensor_type.shape.dim
        shape = tuple(self._axis(axis, f"{info.name}_{i}") for i, axis in enumerate(axes))
        if math.prod(size for size in shape if isinstance(size, int) and size) > MOST_ELEMENTS:
            raise ModelError(
                f"the input {quoted(info.name)} has more elements than memory has: {shape}"
            )
        return shape

    def _axis(self, axis: Any, default: str) -> Extent:
        if is_fixed(axis):
            return int(axis.dim_value)
        name = axis.dim_param or default
        if name not in self.sizes:
            self.sizes[name] = self._size(name)
        return self.sizes[name]

    def _size(self, name: str) -> Extent:
        """The size that a name is bound to, else a named dimension."""
        if name in self.bind:
            size = self.bind[name]
            if isinstance(size, str):
                return as_size(identifier(size))
            count = np.asarray(size)
            if count.ndim or count.dtype.kind not in "iu" or count < 0:
                raise UsageError(f"bind: the dimension {name!r} is an int, got {size!r}")
            return int(count)
        spelled = identifier(name)
        taken = {str(size) for size in self.sizes.values()}
        while spelled in taken:
            spelled += "_"
        return as_size(spelled)

    def _bound(self, info: Any, dtype: DType) -> np.ndarray[Any, Any]:
        value = np.asarray(self.bind[info.name])
        kept = value.dtype.kind in "biuf" and np.can_cast(value.dtype, dtype.numpy, "same_kind")
        whole = value.dtype.kind in "iu" and np.array_equal(value.astype(dtype.numpy), value)
        if not (kept or whole):
            raise UsageError(f"bind: {info.name!r} holds {dtype}, got {self.bind[info.name]!r}")
        shape = self.shape(info)
        fits = len(shape) == value.ndim and all(
            isinstance(size, Dim) or size == given
            for size, given in zip(shape, value.shape, strict=True)
        )
        if not fits:
            raise UsageError(f"bind: {info.name!r} has shape {shape}, got {value.shape}")
        return value

    def _check_names(self) -> None:
        """Raise UsageError for names in `bind`, or patterns, that the model does not have."""
        inputs = [info.name for info in self.proto.input]
        known = [
            axis.dim_param or f"{info.name}_{i}"
            for info in self.proto.input
            for i, axis in enumerate(info.type.tensor_type.shape.dim)
            if not is_fixed(axis)
        ]
        for name in self.bind:
            if name not in inputs and name not in known:
                raise UsageError(
                    f"bind: the model has no input and no dimension {name!r}",
                    hint=suggest(name, [*inputs, *known]),
                )
        weights = [tensor.name for tensor in self.proto.initializer]
        for pattern in self.trainable:
            if pattern != "*" and not fnmatch.filter(weights, pattern):
                raise UsageError(
                    f"trainable: no initialiser is called {pattern!r}",
                    hint=suggest(pattern, weights),
                )


def is_fixed(axis: Any) -> bool:
    """Whether an axis has a size; a negative one stands for any, as older exporters write it."""
    return bool(axis.HasField("dim_value")) and axis.dim_value >= 0


def patterns(trainable: str | Sequence[str] | bool) -> tuple[str, ...]:
    """Patterns of the names of what can be trained."""
    if isinstance(trainable, bool):
        return ("*",) if trainable else ()
    return (trainable,) if isinstance(trainable, str) else tuple(trainable)


def require_declared(tensor: Any, declared: Any) -> None:
    """Raise ModelError for an initialiser that is not as the input of its name is declared.

    Who names a parameter and an input alike exports a model in which one stands for the other.
    """
    sizes = [axis.dim_value for axis in declared.shape.dim]  # 0 or less where it has a name
    fits = not declared.HasField("shape") or (
        len(sizes) == len(tensor.dims)
        and all(size in (own, 0) or size < 0 for size, own in zip(sizes, tensor.dims, strict=True))
    )
    if not fits or declared.elem_type not in (tensor.data_type, 0):
        raise ModelError(
            f"{quoted(tensor.name)} is an initialiser of shape {tuple(tensor.dims)}, and an input "
            "of another shape or type"
        )


def running_statistics(graph: Any) -> set[str]:
    """The initialisers that batch normalisations, and nothing else, read as mean and variance."""
    statistics: set[str] = set()
    others: set[str] = set()
    for proto in graph.node:
        normalizes = proto.op_type == "BatchNormalization" and not standard(proto.domain)
        for place, name in enumerate(proto.input):
            (statistics if normalizes and place >= 3 else others).add(name)
    return statistics - others


def identifier(name: str) -> str:
    """The name of a dimension as Python can spell it."""
    spelled = re.sub(r"\W+", "_", name).strip("_") or "size"
    return spelled if spelled.isidentifier() else f"size_{spelled}"


def dtype_of(info: Any, what: str) -> DType:
    """The dtype of an input or output. Raises UnsupportedError for what is no tensor of numbers."""
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        told = (kind or "none").removesuffix("_type").replace("_", " ")
        raise UnsupportedError(f"{what} is no tensor; its type is {told}")
    return element_type(info.type.tensor_type.elem_type, what)
