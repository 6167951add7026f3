"""Convolutions, pools and resizing of ONNX models beside onnxruntime.

The standard's own cases test one form of each; these are of options together, of several images
and channels, of sizes that are named, and of versions that the standard has no cases for.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError
from tests.peers import peer
from tests.styles import load

pytestmark = pytest.mark.conformance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Case:
    """One node: its operator, inputs by their shapes, further inputs that are known, attributes."""

    op: str
    shapes: tuple[tuple[int, ...], ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    known: tuple[Any, ...] = ()
    opset: int = 21
    outputs: int = 1
    named: tuple[str | int, ...] = ()  # sizes of the first input, as the model declares them

    def __str__(self) -> str:
        options = [f"{name}={value}" for name, value in self.attributes.items()]
        return f"{self.op}-{self.opset}-{self.shapes[0]}-{options}-{[*map(str, self.known)]}"

    def feeds(self) -> list[Array]:
        """Values of the inputs."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        return [rng.normal(size=shape).astype("float32") for shape in self.shapes]

    def model(self) -> bytes:
        """The file with that one node."""
        onnx = peer("onnx")
        float32 = onnx.TensorProto.FLOAT
        names = [f"x{i}" for i in range(len(self.shapes))]
        shapes = [self.named or self.shapes[0], *self.shapes[1:]]
        inputs = [
            onnx.helper.make_tensor_value_info(name, float32, shape)
            for name, shape in zip(names, shapes, strict=True)
        ]
        known = [f"k{i}" if value is not None else "" for i, value in enumerate(self.known)]
        constants = [
            onnx.numpy_helper.from_array(value, name)
            for value, name in zip(self.known, known, strict=True)
            if value is not None
        ]
        results = [f"y{i}" for i in range(self.outputs)]
        types = [float32, onnx.TensorProto.INT64]
        outputs = [
            onnx.helper.make_tensor_value_info(name, type, None)
            for name, type in zip(results, types, strict=False)
        ]
        node = onnx.helper.make_node(self.op, [*names, *known], results, **self.attributes)
        graph = onnx.helper.make_graph([node], "case", inputs, outputs, constants)
        opset = onnx.helper.make_opsetid("", self.opset)
        model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
        content: bytes = model.SerializeToString()
        return content


def floats(*values: float) -> Array:
    return np.array(values, "float32")


def ints(*values: int) -> Array:
    return np.array(values, "int64")


IMAGE, KERNELS = (2, 4, 7, 6), (6, 4, 3, 2)
BATCH, SIZES = ("N", 4, 7, 6), ("N", 4, "H", "W")

CONVOLUTIONS = [
    Case("Conv", (IMAGE, KERNELS), {"auto_pad": pad, "strides": strides}, named=named)
    for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")
    for strides, named in (([3, 2], BATCH), ([1, 1], SIZES))
] + [
    Case("Conv", (IMAGE, KERNELS, (6,)), {"pads": [1, 0, 2, 3], "strides": [2, 1]}, named=SIZES),
    Case("Conv", (IMAGE, (6, 2, 3, 2)), {"group": 2, "kernel_shape": [3, 2]}, named=SIZES),
    Case("Conv", ((2, 2, 4, 3, 5), (3, 2, 2, 3, 1), (3,)), {"pads": [0, 1, 0, 1, 1, 2]}),
    Case("ConvTranspose", (IMAGE, (4, 3, 3, 2), (3,)), {"pads": [1, 0, 2, 1], "strides": [2, 3]},
         named=SIZES),
    Case("ConvTranspose", (IMAGE, (4, 2, 3, 3)),
         {"group": 2, "strides": [2, 3], "output_padding": [1, 2], "dilations": [2, 1]}),
    Case("ConvTranspose", (IMAGE, (4, 2, 3, 3)), {"strides": [2, 3], "output_shape": [16, 17]}),
    *(Case("ConvTranspose", (IMAGE, (4, 2, 4, 3)), {"strides": [2, 2], "auto_pad": pad})
      for pad in ("SAME_UPPER", "SAME_LOWER", "VALID")),
]  # fmt: skip
POOLS = [
    Case(op, (IMAGE,), {"kernel_shape": [3, 2], **options}, named=named)
    for op in ("MaxPool", "AveragePool", "LpPool")
    for options, named in [
        ({}, SIZES),
        ({"strides": [2, 3], "pads": [1, 0, 2, 1]}, SIZES),
        ({"strides": [2, 3], "pads": [1, 0, 2, 1], "ceil_mode": 1}, SIZES),
        ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, BATCH),
        ({"strides": [3, 2], "auto_pad": "SAME_LOWER"}, BATCH),
        ({"dilations": [2, 3], "strides": [1, 2]}, SIZES),
    ]
] + [
    Case("AveragePool", (IMAGE,), {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1,
                                   "pads": [1, 0, 2, 1], "count_include_pad": 1}, named=SIZES),
    *(Case("LpPool", (IMAGE,), {"kernel_shape": [3, 2], "p": p}) for p in (1, 3)),
    *(Case("MaxPool", ((2, 3, *size),), {"kernel_shape": [2] * len(size), "pads": pads,
                                          "strides": [1] * len(size), "storage_order": order},
           outputs=2)
      for size, pads in [((5, 4), [1, 0, 0, 1]), ((3, 4, 2), [0, 1, 0, 0, 0, 1]), ((6,), [1, 1])]
      for order in (0, 1)),
    *(Case(op, (IMAGE,), named=SIZES)
      for op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")),
    Case("GlobalLpPool", (IMAGE,), {"p": 3}),
]  # fmt: skip
PLAIN = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
RESIZES = [
    Case("Resize", ((2, 2, 5, 6),), {"mode": mode, "coordinate_transformation_mode": where},
         (None, None, ints(2, 2, *size)), named=("N", "C", 5, 6))
    for mode in ("linear", "cubic") for where in PLAIN for size in [(9, 4), (3, 13)]
    if mode == "linear" or where != "pytorch_half_pixel"
] + [
    Case("Resize", ((2, 2, 5, 6),), {"mode": "nearest", "nearest_mode": rounding,
                                     "coordinate_transformation_mode": where},
         (None, floats(1, 1, 1.6, 0.5)))
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    for where in ("half_pixel", "asymmetric")
] + [
    Case("Resize", ((2, 2, 5, 6),), {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5},
         (None, floats(1, 1, 1.6, 2))),
    Case("Resize", ((2, 2, 5, 6),), {"mode": "linear"}, (None, floats(1, 1, 2, 0.5)),
         named=("N", 2, "H", "W")),
    Case("Resize", ((2, 2, 5, 6),), {"mode": "linear", "axes": [3, 2],
         "keep_aspect_ratio_policy": "not_larger"}, (None, None, ints(8, 9))),
    Case("Resize", ((1, 1, 5, 6),), {"mode": "linear", "extrapolation_value": 7.0,
         "coordinate_transformation_mode": "tf_crop_and_resize"},
         (floats(0, 0, 0.2, -0.1, 1, 1, 1.3, 0.6), None, ints(1, 1, 6, 4))),
    Case("Resize", ((2, 2, 5, 6),), {"coordinate_transformation_mode": "tf_half_pixel_for_nn",
         "nearest_mode": "floor"}, (floats(), floats(1, 1, 2, 3)), opset=11),
    *(Case("Resize", ((2, 2, 5, 6),), {"mode": mode}, (floats(1, 1, *scales),), opset=10)
      for mode in ("nearest", "linear") for scales in [(2, 3), (1.6, 1.5), (0.6, 2), (0.5, 0.4)]),
    *(Case("Upsample", ((2, 2, 5, 6),), {"mode": mode}, (floats(1, 1, 2, 3),), opset=9)
      for mode in ("nearest", "linear")),
    Case("Upsample", ((2, 2, 5, 6),), {"scales": [1.0, 1.0, 2.0, 1.5]}, opset=7),
]  # fmt: skip
CASES = [*CONVOLUTIONS, *POOLS, *RESIZES]


def peers_results(case: Case) -> Sequence[Array]:
    runtime = peer("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(case.model(), options, providers=["CPUExecutionProvider"])
    found: Sequence[Array] = session.run(None, {f"x{i}": v for i, v in enumerate(case.feeds())})
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_are_those_of_onnxruntime(case: Case) -> None:
    module = load(gc.from_onnx(case.model()), style="functional", inference=True)
    results = module.predict(*case.feeds())
    results = results if case.outputs > 1 else (results,)
    for result, expected in zip(results, peers_results(case), strict=True):
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6)


REFUSED = [
    (Case("Conv", (IMAGE, KERNELS), {"kernel_shape": [3, 3]}), "kernel_shape (3, 3) is not that"),
    (Case("Conv", (IMAGE, KERNELS), {"pads": [1, 1]}), "pads are 4 numbers for 2 axes, got (1, 1)"),
    (Case("Conv", (IMAGE, KERNELS), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, named=SIZES),
     "auto_pad SAME_UPPER with stride 2 needs a size that is known, got H"),
    (Case("ConvTranspose", (IMAGE, (4, 2, 3, 3)), {"output_shape": [16, 17]}, named=SIZES),
     "output_shape (16, 17) needs sizes of the input that are known, got H"),
    (Case("MaxPool", (IMAGE,), {"kernel_shape": [3, 9]}), "window 9 is larger than axis 3 of size"),
    (Case("GlobalLpPool", (IMAGE,), {"p": 3}, named=SIZES), "p = 3 needs sizes that are known"),
    (Case("Resize", (IMAGE,), {"mode": "cubic", "coordinate_transformation_mode":
          "tf_crop_and_resize"}, (floats(0, 1), floats(1, 1, 2, 2))), "roi is 8 numbers, got 2"),
    (Case("Resize", (IMAGE,), {"mode": "quintic"}, (None, floats(1, 1, 2, 2))),
     "mode is one of 'nearest', 'linear', 'cubic', got 'quintic'"),
    (Case("Resize", (IMAGE,)), "Resize needs scales or sizes"),
    (Case("Resize", (IMAGE,), {"keep_aspect_ratio_policy": "not_larger", "axes": [2, 3]},
          (None, None, ints(9, 9)), named=SIZES), "'not_larger' needs sizes that are known"),
    (Case("Resize", (IMAGE,), {}, (None, floats(1, 1, 2))), "scales are 4 numbers, got 3"),
    (Case("Resize", (IMAGE,), {"axes": [7]}, (None, floats(2)), opset=18), "axis 7"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_cannot_be_is_told_with_its_node(case: Case, told: str) -> None:
    with pytest.raises(GraphcError) as caught:
        gc.from_onnx(case.model())
    assert told in str(caught.value)
    assert f"the {case.op} node of 'y0'" in str(caught.value)


@pytest.mark.parametrize("overlap", [False, True])
def test_what_is_unpooled_stands_where_it_was_largest(overlap: bool) -> None:
    onnx = peer("onnx")
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    strides = [1, 1] if overlap else [2, 2]
    graph = onnx.helper.make_graph(
        [
            node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2, 2], strides=strides),
            node("MaxUnpool", ["p", "i"], ["y"], kernel_shape=[2, 2], strides=strides),
        ],
        "unpooled",
        [value("x", onnx.TensorProto.FLOAT, ["N", 3, 4, 6])],
        [value("y", onnx.TensorProto.FLOAT, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    net = load(gc.from_onnx(model.SerializeToString()), style="functional", wrt=["x"])
    x = np.random.default_rng(0).permutation(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).astype("float32")
    expected = np.zeros_like(x)
    for image, channel, row, column in np.ndindex(2, 3, 4, 6):
        top, left = row * strides[0], column * strides[1]
        window = x[image, channel, top : top + 2, left : left + 2]
        if window.shape == (2, 2):
            place = np.unravel_index(window.argmax(), (2, 2))
            expected[image, channel, top + place[0], left + place[1]] = window.max()
    y, residuals = net.forward(x)
    np.testing.assert_array_equal(y, expected)
    if not overlap:
        (grad,) = net.backward(residuals, np.ones_like(y)).values()
        np.testing.assert_array_equal(grad, expected != 0)


def test_an_image_is_resized_to_the_size_of_another() -> None:
    """As PyTorch exports `interpolate(x, y.shape[2:])`: the sizes have names, and so do ours."""
    onnx = peer("onnx")
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            node("Shape", ["x"], ["both"], end=2),
            node("Shape", ["y"], ["size"], start=2),
            node("Concat", ["both", "size"], ["sizes"], axis=0),
            node("Resize", ["x", "", "", "sizes"], ["z"], mode="cubic"),
        ],
        "as_large",
        [
            value("x", onnx.TensorProto.FLOAT, ["N", 2, "H", "W"]),
            value("y", onnx.TensorProto.FLOAT, ["N", 1, "P", "Q"]),
        ],
        [value("z", onnx.TensorProto.FLOAT, None)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    model.ir_version = 8
    content = model.SerializeToString()
    net = load(gc.from_onnx(content), style="functional", inference=True)
    session = peer("onnxruntime").InferenceSession(content)
    rng = np.random.default_rng(0)
    for size, other in [((5, 4), (7, 9)), ((6, 6), (3, 12)), ((4, 3), (1, 3))]:
        x = rng.normal(size=(2, 2, *size)).astype("float32")
        y = np.zeros((2, 1, *other), "float32")
        (expected,) = session.run(None, {"x": x, "y": y})
        np.testing.assert_allclose(net.predict(x, y), expected, rtol=2e-5, atol=2e-6)


def test_a_network_of_an_import_has_the_gradients_of_pytorch() -> None:
    """Convolution, pool, resizing and transposed convolution, with a batch and sizes by name."""
    onnx, torch = peer("onnx"), peer("torch")
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in
               {"w": (4, 2, 3, 3), "b": (4,), "v": (4, 3, 3, 2)}.items()}  # fmt: skip
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            node("Conv", ["x", "w", "b"], ["c"], pads=[1, 0, 1, 0], strides=[2, 1]),
            node("MaxPool", ["c"], ["p"], kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1),
            node("Resize", ["p", "", "scales"], ["r"], mode="linear"),
            node("ConvTranspose", ["r", "v"], ["t"], strides=[2, 3], pads=[1, 0, 1, 0]),
            node("AveragePool", ["t"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        "network",
        [value("x", onnx.TensorProto.FLOAT, ["N", 2, "H", "W"])],
        [value("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(v, name) for name, v in weights.items()]
        + [onnx.numpy_helper.from_array(floats(1, 1, 2, 1.5), "scales")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    net = load(gc.from_onnx(model.SerializeToString()), style="functional", wrt=["w", "b", "v"])
    x = rng.normal(size=(3, 2, 11, 8)).astype("float32")
    y, residuals = net.forward(weights, x)
    bar = rng.normal(size=y.shape).astype("float32")
    grads = net.backward(residuals, bar)

    tensors = {name: torch.tensor(v, requires_grad=True) for name, v in weights.items()}
    F = torch.nn.functional
    c = F.conv2d(torch.tensor(x), tensors["w"], tensors["b"], stride=(2, 1), padding=(1, 0))
    p = F.max_pool2d(c, (3, 2), stride=2, ceil_mode=True)
    r = F.interpolate(p, scale_factor=(2.0, 1.5), mode="bilinear")
    t = F.conv_transpose2d(r, tensors["v"], stride=(2, 3), padding=(1, 0))
    expected = F.avg_pool2d(t, 2)
    expected.backward(torch.tensor(bar))
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    assert list(grads) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_allclose(grads[name], tensor.grad.numpy(), rtol=1e-4, atol=1e-3)
