"""Layers of convolution: kernels `name.W` and biases `name.b`, laid out as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import ShapeError
from graphc.frontends.builder import Graph, path
from graphc.ir.node import Node
from graphc.nn.naming import unused
from graphc.ops import convolution as ops
from graphc.ops.windows import image, numbers


def conv1d(
    x: Node,
    channels: int,
    kernel: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    name: str = "conv1d",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """Convolve x (batch, inputs, width) with kernels of its own: (batch, channels, …).

    W is (channels, inputs / groups, kernel), b (channels,) and zeros at first; see `gc.conv1d`.
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    return _layer(ops.conv1d, 1, x, channels, kernel, groups, name, init, bias, options)


def conv2d(
    x: Node,
    channels: int,
    kernel: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    name: str = "conv2d",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """Convolve x (batch, inputs, height, width) with kernels of its own: (batch, channels, …).

    W is (channels, inputs / groups, *kernel), b (channels,) and zeros at first; see `gc.conv2d`.

    kernel  the size of a window: an int, or one for each axis
    init    of W, as in `Graph.parameter`
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    return _layer(ops.conv2d, 2, x, channels, kernel, groups, name, init, bias, options)


def conv_transpose1d(
    x: Node,
    channels: int,
    kernel: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    name: str = "conv_transpose1d",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """The transposed convolution of x (batch, inputs, width): (batch, channels, …).

    W is (inputs, channels / groups, kernel), b (channels,) and zeros at first; see
    `gc.conv_transpose1d`.
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    options["output_padding"] = output_padding
    return _layer(ops.conv_transpose1d, 1, x, channels, kernel, groups, name, init, bias, options)


def conv_transpose2d(
    x: Node,
    channels: int,
    kernel: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
    name: str = "conv_transpose2d",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """The transposed convolution of x (batch, inputs, height, width): (batch, channels, …).

    W is (inputs, channels / groups, *kernel), b (channels,) and zeros at first; see
    `gc.conv_transpose2d`.
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    options["output_padding"] = output_padding
    return _layer(ops.conv_transpose2d, 2, x, channels, kernel, groups, name, init, bias, options)


def _layer(
    op: Callable[..., Node],
    rank: int,
    x: Node,
    channels: int,
    kernel: Any,
    groups: int,
    name: str,
    init: object,
    bias: bool,
    options: dict[str, Any],
) -> Node:
    """A convolution with parameters of its own; transposed ones have their inputs first."""
    layer = op.__name__
    x = image(layer, x, rank)
    inputs = x.shape[1]
    kernel = numbers(layer, "kernel", kernel, rank, 1)
    (outputs,) = numbers(layer, "channels", channels, 1, 1)
    (groups,) = numbers(layer, "groups", groups, 1, 1)
    if not isinstance(inputs, int):
        described = x.graph.describe(x, site=True)
        raise ShapeError(f"{layer} expects a known number of channels, got {described}")
    ops.require_divisible(layer, groups, inputs, "channels", x)
    if outputs % groups:
        raise ShapeError(f"{layer}: {groups} groups do not divide {outputs} channels of the result")
    transposed = layer.startswith("conv_transpose")
    shape = (inputs, outputs // groups) if transposed else (outputs, inputs // groups)
    # What a kernel reads, and what reads it: for the scale of initial values.
    field = 1
    for size in kernel:
        field *= size
    fans = (inputs // groups * field, outputs // groups * field)
    graph = x.graph
    assert isinstance(graph, Graph)
    with path(unused(graph, name)):
        W = graph.parameter("W", (*shape, *kernel), init=init, fans=fans, dtype=x.dtype)
        b = graph.parameter("b", (outputs,), dtype=x.dtype) if bias else None
        return op(x, W, b, groups=groups, **options)
