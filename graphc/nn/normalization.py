"""Layers that normalise, with a learned gain and bias."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from graphc.errors import GraphcError, ShapeError
from graphc.frontends.builder import Graph
from graphc.ir.node import Node
from graphc.nn.declaration import declaring, layer
from graphc.ops import normalization as ops
from graphc.ops.operands import axis_of, flag, operand, require_rank
from graphc.ops.reduction import mean, reduced_size
from graphc.ops.shape import reshape


def _affine(
    op: str, graph: Graph, x: Node, axes: Sequence[int], gain: bool, bias: bool
) -> tuple[Node | None, Node | None]:
    """A gain that starts with ones and a bias that starts with zeros, along axes of x."""
    sizes = tuple(x.shape[axis] for axis in axes)
    with_gain, with_bias = flag(op, "gain", gain), flag(op, "bias", bias)
    return (
        graph.parameter("gain", sizes, init="ones", dtype=x.dtype) if with_gain else None,
        graph.parameter("bias", sizes, dtype=x.dtype) if with_bias else None,
    )


@layer
def layer_norm(
    x: Any,
    *,
    axes: Any = -1,
    eps: float = 1e-5,
    gain: bool = True,
    bias: bool = True,
    name: str = "layer_norm",
) -> Node:
    """`gc.layer_norm` with a gain and a bias of the sizes of `axes`, unless they are False."""
    x = operand(x, floating=True)
    chosen = ops.normalized_axes("nn.layer_norm", x, axes)
    with declaring(x, name, "layer_norm") as (graph, called):
        scale, shift = _affine("nn.layer_norm", graph, x, chosen, gain, bias)
    return graph.hint(ops.layer_norm(x, scale, shift, chosen, eps), called)


@layer
def rms_norm(
    x: Any, *, axes: Any = -1, eps: float | None = None, gain: bool = True, name: str = "rms_norm"
) -> Node:
    """`gc.rms_norm` with a gain of the sizes of `axes`, unless it is False."""
    x = operand(x, floating=True)
    chosen = ops.normalized_axes("nn.rms_norm", x, axes)
    with declaring(x, name, "rms_norm") as (graph, called):
        scale, _ = _affine("nn.rms_norm", graph, x, chosen, gain, False)
    return graph.hint(ops.rms_norm(x, scale, chosen, eps), called)


@layer
def group_norm(
    x: Any,
    groups: int,
    *,
    eps: float = 1e-5,
    gain: bool = True,
    bias: bool = True,
    name: str = "group_norm",
) -> Node:
    """`gc.group_norm` of x (batch, channels, …), with a gain and a bias for each channel."""
    x = require_rank("nn.group_norm", operand(x, floating=True), 2)
    with declaring(x, name, "group_norm") as (graph, called):
        scale, shift = _affine("nn.group_norm", graph, x, (1,), gain, bias)
    return graph.hint(ops.group_norm(x, groups, scale, shift, eps), called)


@layer
def instance_norm(
    x: Any,
    *,
    eps: float = 1e-5,
    gain: bool = False,
    bias: bool = False,
    name: str = "instance_norm",
) -> Node:
    """`gc.instance_norm` of x (batch, channels, …), with a gain and a bias if asked for."""
    x = require_rank("nn.instance_norm", operand(x, floating=True), 3)
    with declaring(x, name, "instance_norm") as (graph, called):
        scale, shift = _affine("nn.instance_norm", graph, x, (1,), gain, bias)
    return graph.hint(ops.instance_norm(x, scale, shift, eps), called)


@layer
def batch_norm(
    x: Any,
    *,
    axis: int = 1,
    momentum: float = 0.1,
    eps: float = 1e-5,
    gain: bool = True,
    bias: bool = True,
    name: str = "batch_norm",
) -> Node:
    """Each channel of x by the moments of the batch in `forward`, by running ones in `predict`.

    The channels are the axis `axis`. The running moments are states, `name.mean` and
    `name.variance`, which `forward` and `train_step` return updated:
    (1 - momentum) * running + momentum * that of the batch, where the variance is divided by n - 1.
    Ioffe, Szegedy 2015; as PyTorch's. Training on a batch of one value a channel is an error.
    """
    x = operand(x, floating=True)
    channel = axis_of("nn.batch_norm", axis, x)
    axes = tuple(i for i in range(x.ndim) if i != channel)
    if isinstance(momentum, bool) or not isinstance(momentum, Real) or not 0 <= momentum <= 1:
        raise GraphcError(f"nn.batch_norm: momentum is a number from 0 to 1, got {momentum!r}")
    count = reduced_size(x, axes)
    if isinstance(count, int) and count < 2:
        told = x.graph.describe(x, site=True)
        raise ShapeError(f"nn.batch_norm needs more than one value a channel, got {count}: {told}")
    channels = x.shape[channel]
    with declaring(x, name, "batch_norm") as (graph, called):
        running_mean = graph.state("mean", (channels,), dtype=x.dtype)
        running_variance = graph.state("variance", (channels,), init="ones", dtype=x.dtype)
        scale, shift = _affine("nn.batch_norm", graph, x, (channel,), gain, bias)
    y = ops.batch_norm(x, running_mean, running_variance, scale, shift, channel, eps)
    share = float(momentum)
    for running, moment, told in (
        (running_mean, mean(x, axes, keepdims=True), "running_mean"),
        (running_variance, ops.unbiased_variance(x, axes), "running_variance"),
    ):
        moved = (1.0 - share) * running + share * reshape(moment, (channels,))
        graph.update(running, graph.hint(moved, told))
    return graph.hint(y, called)
