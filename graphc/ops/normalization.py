"""Normalisation: to mean 0 and variance 1 over some axes, with a gain and a bias or without.

Two composites do the work, and have the compact gradient of the textbook; the layers of networks
differ in the axes that they normalise over and in the axes that gain and bias lie along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import Emission, size_text
from graphc.ir.intervals import Interval
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import TensorType, equal_sizes, shape_text
from graphc.ops.elementwise import sqrt, square
from graphc.ops.families import composite, given, linear
from graphc.ops.mode import by_mode
from graphc.ops.operands import axes_of, axis_of, operand, operands, require_rank, size_node
from graphc.ops.reduction import mean, reduced_size, var
from graphc.ops.shape import as_count, expand_dims, reshape
from graphc.runtime import arrays

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]

# --- what all of them are made of --------------------------------------------------------------


def centred_by_mean(x: Node, axes: tuple[int, ...]) -> Node:
    """x minus its mean; as in the body of `var`, with which it is shared."""
    return x.graph.hint(x - mean(x, axes, keepdims=True), "centred")


def _root_bounds(node: Node, x: Interval) -> Interval:
    """At least √eps: nothing divided by it is infinite."""
    eps = node.params.eps
    return Interval(math.sqrt(eps) if eps >= np.finfo(node.dtype.numpy).tiny else 0.0, math.inf)


def _deviation_body(x: Node, axes: tuple[int, ...], eps: float) -> Node:
    return x.graph.hint(sqrt(variance_of(x, axes) + eps), "deviation")


def _rms_body(x: Node, axes: tuple[int, ...], eps: float) -> Node:
    return x.graph.hint(sqrt(mean(square(x), axes, keepdims=True) + eps), "rms")


def variance_of(x: Node, axes: tuple[int, ...]) -> Node:
    """The mean square of what is left of x without its mean: two passes, so nothing cancels."""
    return x.graph.hint(var(x, axes, keepdims=True), "variance")


def _size(y: Node) -> Node:
    """How many elements were reduced to one."""
    return size_node(y.graph, reduced_size(y.args[0], y.params.axes), y.dtype)


def _reduction_call(op: Op, x: Any, axes: Any = -1, eps: float = 1e-5) -> Node:
    x = operand(x, floating=True)
    return op.node((x,), normalized_axes(op.name, x, axes), positive_eps(op.name, eps))


def _standardized_rule(g: Node, y: Node) -> Node:
    """The Jacobian is symmetric: what is left of g without its parts along 1 and along y."""
    axes = y.params.axes
    along = y * mean(g * y, axes, keepdims=True)
    return (g - mean(g, axes, keepdims=True) - along) / deviation.node(y.args, *y.params)


def _rms_rule(g: Node, y: Node) -> Node:
    along = y * mean(g * y, y.params.axes, keepdims=True)
    return (g - along) / root_mean_square.node(y.args, *y.params)


_SAMPLES: tuple[Draw, ...] = (
    lambda rng: ((rng.normal(size=(3, 4)),), {}),
    lambda rng: ((rng.normal(size=(2, 3, 2)), (0, -1)), {"eps": 0.1}),
)

deviation: Op = composite(
    "deviation", "√(var(x) + eps) over axes, which stay with size 1",
    parameters=("axes", "eps"), call=_reduction_call,
    body=_deviation_body,
    vjp=lambda index, bar, y, kinks: bar * (standardized.node(y.args, *y.params) / _size(y)),
    jvp=lambda y, tangents, kinks: mean(
        standardized.node(y.args, *y.params) * given(tangents), y.params.axes, keepdims=True
    ),
    bounds=_root_bounds, samples=_SAMPLES,
)  # fmt: skip
standardized: Op = composite(
    "standardized", "(x - mean(x)) / √(var(x) + eps) over axes",
    parameters=("axes", "eps"), call=_reduction_call,
    body=lambda x, axes, eps: centred_by_mean(x, axes) / deviation(x, axes, eps),
    vjp=lambda index, bar, node, kinks: _standardized_rule(bar, node),
    jvp=lambda node, tangents, kinks: _standardized_rule(given(tangents), node),
    samples=_SAMPLES,
)  # fmt: skip
root_mean_square: Op = composite(
    "root_mean_square", "√(mean(x²) + eps) over axes, which stay with size 1",
    parameters=("axes", "eps"), call=_reduction_call,
    body=_rms_body,
    vjp=lambda index, bar, y, kinks: bar * (rms_scaled.node(y.args, *y.params) / _size(y)),
    jvp=lambda y, tangents, kinks: mean(
        rms_scaled.node(y.args, *y.params) * given(tangents), y.params.axes, keepdims=True
    ),
    bounds=_root_bounds, samples=_SAMPLES,
)  # fmt: skip
rms_scaled: Op = composite(
    "rms_scaled", "x / √(mean(x²) + eps) over axes",
    parameters=("axes", "eps"), call=_reduction_call,
    body=lambda x, axes, eps: x / root_mean_square(x, axes, eps),
    vjp=lambda index, bar, node, kinks: _rms_rule(bar, node),
    jvp=lambda node, tangents, kinks: _rms_rule(given(tangents), node),
    samples=_SAMPLES,
)  # fmt: skip


def _unbiased_infer(require: Any, variance: TensorType, count: Extent) -> TensorType:
    if isinstance(count, int) and count < 2:
        raise ShapeError(f"needs more than one value to train on, got {count}")
    return variance


unbiased: Op = linear(
    "unbiased", "variance * n / (n - 1), of which there is none where n is 1",
    operands=("variance",), parameters=("count",), infer=_unbiased_infer,
    emission=Emission(
        lambda node: f"unbiased({{variance}}, {size_text(node.params.count)})",
        helpers=(arrays.unbiased,),
    ),
    transpose=lambda bar, y: unbiased.node((bar,), y.params.count),
    call=lambda op, variance, count: op.node(
        (operand(variance, floating=True),), as_count(op.name, count)
    ),
    samples=(
        lambda rng: ((rng.uniform(0.5, 2, (1, 4)), 3), {}),
        lambda rng: ((rng.uniform(0.5, 2, ()), 2), {}),
    ),
)  # fmt: skip


def unbiased_variance(x: Node, axes: tuple[int, ...]) -> Node:
    """The variance over axes, which stay with size 1, divided by n - 1 as running variances are.

    Raises ShapeError where n is known to be 1; elsewhere the module does, when it trains.
    """
    return unbiased.node((variance_of(x, axes),), reduced_size(x, axes))


standardized_by = composite(
    "standardized_by", "(x - mean) / √(variance + eps), of moments that are given",
    operands=("x", "mean", "variance"), parameters=("eps",),
    body=lambda x, mean, variance, eps: (x - mean) / sqrt(variance + eps),
    call=lambda op, x, mean, variance, eps=1e-5: op.node(
        operands(x, mean, variance, floating=True), positive_eps(op.name, eps)
    ),
    samples=(
        lambda rng: ((rng.normal(size=(3, 4)), rng.normal(size=4), rng.uniform(0.5, 2, 4)), {}),
        lambda rng: ((rng.normal(size=3), rng.normal(size=3), rng.uniform(0.5, 2, ()), 0.1), {}),
    ),
)  # fmt: skip

# --- the normalisations of networks ------------------------------------------------------------


@function
def layer_norm(
    x: Any, gain: Any = None, bias: Any = None, axes: Any = -1, eps: float = 1e-5
) -> Node:
    """(x - mean(x)) / √(variance(x) + eps) * gain + bias, where both moments are over `axes`.

    Gain and bias have the sizes of these axes, in the order of x. Ba, Kiros, Hinton 2016; as
    PyTorch's, which takes the sizes of the last axes in place of `axes`.
    """
    x = operand(x, floating=True)
    chosen = normalized_axes("layer_norm", x, axes)
    y = standardized.node((x,), chosen, positive_eps("layer_norm", eps))
    return scaled("layer_norm", y, chosen, gain, bias)


@function
def rms_norm(x: Any, gain: Any = None, axes: Any = -1, eps: float | None = None) -> Node:
    """x / √(mean(x²) + eps) * gain, where the mean is over `axes`.

    The gain has the sizes of these axes, in the order of x; eps is the rounding unit of the dtype
    if none is given. Zhang, Sennrich 2019; as PyTorch's.
    """
    x = operand(x, floating=True)
    chosen = normalized_axes("rms_norm", x, axes)
    least = float(np.finfo(x.dtype.numpy).eps) if eps is None else eps
    y = rms_scaled.node((x,), chosen, positive_eps("rms_norm", least))
    return scaled("rms_norm", y, chosen, gain, None)


@function
def group_norm(x: Any, groups: int, gain: Any = None, bias: Any = None, eps: float = 1e-5) -> Node:
    """Layer norm over equal groups of channels, and all axes behind, of each example.

    x is (batch, channels, …), gain and bias are (channels,). Wu, He 2018; as PyTorch's. Raises
    ShapeError unless the groups divide the channels.
    """
    x = require_rank("group_norm", operand(x, floating=True), 2)
    batch, channels, *field = x.shape
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise GraphcError(f"group_norm: groups is an int of at least 1, got {groups!r}")
    share = dims.exact_quotient(channels, groups)
    if share is None:
        name = x.graph.describe(x, site=True)
        raise ShapeError(
            f"group_norm: {groups} groups do not divide the {channels} channels of {name}"
        )
    grouped = reshape(x, (batch, groups, dims.product((share, *field))))
    y = standardized.node((grouped,), (2,), positive_eps("group_norm", eps))
    return scaled("group_norm", reshape(y, x.shape), (1,), gain, bias)


@function
def instance_norm(x: Any, gain: Any = None, bias: Any = None, eps: float = 1e-5) -> Node:
    """Layer norm over all axes behind the channels, of each example and channel.

    x is (batch, channels, …), gain and bias are (channels,). Ulyanov, Vedaldi, Lempitsky 2016; as
    PyTorch's without running statistics.
    """
    x = require_rank("instance_norm", operand(x, floating=True), 3)
    y = standardized.node((x,), tuple(range(2, x.ndim)), positive_eps("instance_norm", eps))
    return scaled("instance_norm", y, (1,), gain, bias)


@function
def batch_norm(
    x: Any,
    mean: Any,
    variance: Any,
    gain: Any = None,
    bias: Any = None,
    axis: int = 1,
    eps: float = 1e-5,
) -> Node:
    """Each channel of x by the moments of the batch in `forward`, and by given ones in `predict`.

    mean, variance, gain and bias are (channels,), the size of the axis `axis`; the moments are
    over all other axes. The given moments are running ones as a rule: states of the graph, whose
    updates `gc.nn.batch_norm` declares. Ioffe, Szegedy 2015; as PyTorch's.
    """
    x, given_mean, given_variance = operands(x, mean, variance, floating=True)
    channel = axis_of("batch_norm", axis, x)
    axes = tuple(i for i in range(x.ndim) if i != channel)
    if not axes:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"batch_norm expects an axis beside that of the channels, got {name}")
    eps = positive_eps("batch_norm", eps)
    centre, spread = (
        placed("batch_norm", name, value, x, (channel,))
        for name, value in (("mean", given_mean), ("variance", given_variance))
    )
    by_batch = standardized.node((x,), axes, eps)
    by_given = standardized_by.node((x, centre, spread), eps)
    return scaled("batch_norm", by_mode(by_batch, by_given), (channel,), gain, bias)


def scaled(op: str, y: Node, axes: tuple[int, ...], gain: Any, bias: Any) -> Node:
    """y * gain + bias, each of which may be None, and lies along axes of y."""
    if gain is not None:
        y = y.graph.hint(y, "normalized") * placed(op, "gain", gain, y, axes)
    return y if bias is None else y + placed(op, "bias", bias, y, axes)


# --- what is passed ----------------------------------------------------------------------------


def placed(op: str, name: str, value: Any, x: Node, axes: Sequence[int]) -> Node:
    """A value with the sizes of some axes of x, in a shape that broadcasts against x.

    Raises ShapeError, naming the argument, where it has others.
    """
    _, node = operands(x, value, floating=True)
    expected = tuple(x.shape[axis] for axis in axes)
    try:
        same = len(node.shape) == len(expected)
        for own, size in zip(node.shape, expected, strict=same):
            same = same and equal_sizes(own, size) is None
    except ShapeError:
        same = False
    if not same:
        described = node.graph.describe(node, site=True)
        raise ShapeError(
            f"{op}: {name} has to be of shape {shape_text(expected)}, got {described}, beside "
            f"{x.graph.describe(x, site=True)}"
        )
    new = [axis - axes[0] for axis in range(axes[0], x.ndim) if axis not in axes]
    return expand_dims(node, tuple(new))


def normalized_axes(op: str, x: Node, axes: Any) -> tuple[int, ...]:
    """The axes to normalise over. Raises ShapeError if there are none."""
    chosen = axes_of(op, axes, x)
    if not chosen:
        raise ShapeError(f"{op} needs an axis, got {x.graph.describe(x, site=True)}")
    return chosen


def positive_eps(op: str, eps: object) -> float:
    """What is added to a variance. Raises GraphcError unless it is a positive number."""
    if isinstance(eps, bool) or not isinstance(eps, Real) or not 0 < float(eps) < np.inf:
        raise GraphcError(f"{op}: eps is a positive number, got {eps!r}")
    return float(eps)
