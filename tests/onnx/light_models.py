"""The nine light models of ONNX's test suite, with weights that tell something.

They come with constant weights, 0.02 each, so that all their outputs are the same number. Here the
weights are drawn, small images go in, and the last layer is scaled so that the outputs differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
FULL = 224  # pixels: the side of an image in the suite
SIDES = {"shufflenet": FULL, "bvlc_alexnet": 96, "zfnet512": 96}  # those that need more than 64
DENSE = {4096: 256}  # units of a dense layer, and how many it has here
SPREAD = 2.0  # the standard deviation of the last layer's outputs


def read(name: str, *, full: bool = False) -> tuple[onnx.ModelProto, onnx.ValueInfoProto]:
    """A light model with drawn weights, for small images unless it is wanted in full; its input."""
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    model.ir_version = 8  # so that initialisers need not be inputs
    image = for_images(model, FULL if full else SIDES.get(name, 64))
    draw_weights(model, np.random.default_rng(0), {} if full else DENSE)
    return model, image


def given(name: str) -> tuple[onnx.ModelProto, Any]:
    """A light model as it comes, and the output that the suite expects."""
    output = onnx.TensorProto()
    output.ParseFromString((FOLDER / f"light_{name}_output_0.pb").read_bytes())
    return onnx.load(FOLDER / f"light_{name}.onnx"), numpy_helper.to_array(output)


def for_images(model: onnx.ModelProto, side: int) -> onnx.ValueInfoProto:
    """Let images of another size in, and return the input."""
    graph = model.graph
    (image,) = [info for info in graph.input if shape_of(info) == [1, 3, FULL, FULL]]
    for axis in image.type.tensor_type.shape.dim[2:]:
        axis.dim_value = side
    del graph.value_info[:]
    del graph.input[:]
    graph.input.append(image)
    for node in graph.node:
        for attribute in node.attribute:
            # The pools of 7 × 7 are over all that is left of an image.
            if node.op_type == "AveragePool" and list(attribute.ints) == [7, 7]:
                attribute.ints[:] = [7 * side // FULL] * 2
    return graph.input[0]


def shape_of(info: onnx.ValueInfoProto) -> list[int]:
    return [axis.dim_value for axis in info.type.tensor_type.shape.dim]


def draw_weights(
    model: onnx.ModelProto, rng: np.random.Generator, units: Mapping[int, int]
) -> None:
    """Exchange all initialisers of floats, and those that nodes fill, for drawn ones.

    units  how many units layers of certain sizes have instead
    """
    graph = model.graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {name: list(tensor.dims) for name, tensor in known.items() if tensor.data_type == 1}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = numpy_helper.to_array(known[node.input[0]]).tolist()
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    dense = [node for node in nodes if node.op_type == "Gemm" and node.input[1] in shapes]
    for node in nodes:
        if node.op_type == "Reshape" and dense and dense[0].input[0] in node.output:
            rows = numpy_helper.from_array(np.array([1, -1]), node.input[1])
            known[node.input[1]].CopyFrom(rows)
    tensors = {name: t for name, t in known.items() if name not in shapes}
    read = {name for node in nodes for name in node.input}
    roles = {name: (node.op_type, k) for node in nodes for k, name in enumerate(node.input)}
    if dense:
        shapes[dense[0].input[1]][1] = columns_of(dense[0], model, nodes, shapes, tensors)
    for name, shape in shapes.items():
        if name in read:
            shape = [units.get(size, size) for size in shape]
            array = drawn(rng, shape, *roles[name]).astype(np.float32)
            tensors[name] = numpy_helper.from_array(array, name)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in tensors.items() if name in read)


def drawn(rng: np.random.Generator, shape: list[int], op_type: str, place: int) -> Any:
    """Weights that keep the size of what goes through; scales and variances near 1."""
    if len(shape) > 1:
        return rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
    if op_type == "Unsqueeze" or (op_type == "BatchNormalization" and place in (1, 4)):
        return rng.uniform(0.5, 1.5, shape)
    return rng.normal(size=shape) / 10


def columns_of(
    layer: Any, model: onnx.ModelProto, nodes: list[Any], shapes: Mapping[str, list[int]],
    tensors: Mapping[str, Any],
) -> int:  # fmt: skip
    """How many numbers a dense layer gets of a small image."""
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    del typed.graph.node[:], typed.graph.initializer[:]
    typed.graph.node.extend(nodes)
    typed.graph.initializer.extend(tensors.values())
    typed.graph.input.extend(
        helper.make_tensor_value_info(name, 1, shape)
        for name, shape in shapes.items()
        if name not in layer.input
    )
    known = shape_inference.infer_shapes(typed).graph.value_info
    (got,) = [info for info in known if info.name == layer.input[0]]
    return shape_of(got)[-1]


def scale_last_layer(model: onnx.ModelProto, spread: float) -> None:
    """Multiply weights and biases of the last layer that has some."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    last = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")][-1]
    reshaped = {node.output[0]: node.input[0] for node in model.graph.node
                if node.op_type == "Reshape"}  # fmt: skip
    for name in (reshaped.get(name, name) for name in last.input[1:]):
        array = (numpy_helper.to_array(tensors[name]) * spread).astype(np.float32)
        tensors[name].CopyFrom(numpy_helper.from_array(array, name))


def scores(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without a softmax at its end."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    last = shown.graph.node[-1]
    if last.op_type == "Softmax":
        info = helper.make_tensor_value_info(last.input[0], 1, None)
        del shown.graph.output[:], shown.graph.node[-1]
        shown.graph.output.append(info)
    return shown
