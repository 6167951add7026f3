"""Layers of convolution: kernels `name.W` and biases `name.b`, laid out as PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from graphc.errors import ShapeError
from graphc.ir.node import Node
from graphc.nn.declaration import declaring, layer
from graphc.ops import convolution as ops
from graphc.ops.operands import flag, operand
from graphc.ops.windows import image, numbers


@layer
def conv1d(
    x: Any,
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

    W is (channels, inputs / groups, kernel), as PyTorch's; b is (channels,) and starts with zeros.
    See `gc.conv1d` for the options.
    """
    return _convolved(
        ops.conv1d, 1, x, channels, kernel, groups, name, init, bias,
        stride=stride, padding=padding, dilation=dilation,
    )  # fmt: skip


@layer
def conv2d(
    x: Any,
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

    W is (channels, inputs / groups, *kernel), as PyTorch's; b is (channels,) and starts with zeros.
    See `gc.conv2d` for the options.

    kernel  the size of a window: an int, or one for each axis
    init    of W, as in `Graph.parameter`
    """
    return _convolved(
        ops.conv2d, 2, x, channels, kernel, groups, name, init, bias,
        stride=stride, padding=padding, dilation=dilation,
    )  # fmt: skip


@layer
def conv_transpose1d(
    x: Any,
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

    W is (inputs, channels / groups, kernel), as PyTorch's; b is (channels,) and starts with zeros.
    See `gc.conv_transpose2d` for the options.
    """
    return _convolved(
        ops.conv_transpose1d, 1, x, channels, kernel, groups, name, init, bias,
        stride=stride, padding=padding, output_padding=output_padding, dilation=dilation,
    )  # fmt: skip


@layer
def conv_transpose2d(
    x: Any,
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

    W is (inputs, channels / groups, *kernel), as PyTorch's; b is (channels,) and starts with zeros.
    See `gc.conv_transpose2d` for the options.
    """
    return _convolved(
        ops.conv_transpose2d, 2, x, channels, kernel, groups, name, init, bias,
        stride=stride, padding=padding, output_padding=output_padding, dilation=dilation,
    )  # fmt: skip


def _convolved(
    op: Callable[..., Node],
    rank: int,
    x: Any,
    channels: Any,
    kernel: Any,
    groups: Any,
    name: str,
    init: object,
    bias: bool,
    **options: Any,
) -> Node:
    """A convolution with parameters of its own; transposed ones have their inputs first."""
    default = op.__name__
    told = f"nn.{default}"
    x = image(told, operand(x, floating=True), rank)
    inputs = x.shape[1]
    kernel = numbers(told, "kernel", kernel, rank, 1)
    (outputs,) = numbers(told, "channels", channels, 1, 1)
    (groups,) = numbers(told, "groups", groups, 1, 1)
    with_bias = flag(told, "bias", bias)
    if not isinstance(inputs, int):
        described = x.graph.describe(x, site=True)
        raise ShapeError(f"{told} expects a known number of channels, got {described}")
    ops.require_divisible(told, groups, inputs, "channels", x)
    if outputs % groups:
        raise ShapeError(f"{told}: {groups} groups do not divide {outputs} channels of the result")
    transposed = default.startswith("conv_transpose")
    shape = (inputs, outputs // groups) if transposed else (outputs, inputs // groups)
    # Of one group: what goes into an output, and what an input goes into.
    field = prod(kernel)
    fans = (inputs // groups * field, outputs // groups * field)
    with declaring(x, name, default) as (graph, called):
        W = graph.parameter("W", (*shape, *kernel), init=init, fans=fans, dtype=x.dtype)
        b = graph.parameter("b", (outputs,), dtype=x.dtype) if with_bias else None
    return graph.hint(op(x, W, b, groups=groups, **options), called)
