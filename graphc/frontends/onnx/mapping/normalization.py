"""Softmax and its relatives, and normalisation to mean 0 and variance 1.

Normalisations compute in the float dtype of `stash_type` where it is wider than that of x. Where it
is narrower they stay with that of x, as onnxruntime does: exporters leave float32 in models of
float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc import ops
from graphc.frontends.builder import Graph
from graphc.frontends.onnx.registry import Call, maps
from graphc.frontends.onnx.tensors import FLOATS
from graphc.ir import dims
from graphc.ir.node import Node
from graphc.ir.types import DType, as_dtype
from graphc.ops.normalization import (
    deviation,
    placed,
    positive_eps,
    rms_scaled,
    standardized,
    standardized_by,
    variance_of,
)
from graphc.ops.operands import axis_of, cast
from graphc.ops.reduction import first_maximum
from graphc.ops.shape import broadcast_to, expand_dims, reshape

Along = Callable[[Node, int], Node]

# --- softmax -----------------------------------------------------------------------------------


def hardmax(x: Node, axis: int) -> Node:
    """1 at the first of the largest elements along an axis, 0 elsewhere."""
    return cast(first_maximum(x, axis), x.dtype)


def normalizes(op_type: str, along: Along) -> None:
    """Register what works along an axis; up to opset 12, on all axes from that one on as one."""

    def on_rows(call: Call, x: Node, *, axis: int = 1) -> Node:
        first = axis_of(op_type, axis, x) if axis != x.ndim else x.ndim
        if first == x.ndim - 1:
            return along(x, first)
        rows = reshape(x, (dims.product(x.shape[:first]), dims.product(x.shape[first:])))
        return reshape(along(rows, 1), x.shape)

    def on_axis(call: Call, x: Node, *, axis: int = -1) -> Node:
        return along(x, axis_of(op_type, axis, x))

    maps(op_type, on_rows, until=12)
    maps(op_type, on_axis, since=13)


normalizes("Softmax", ops.softmax)
normalizes("LogSoftmax", ops.log_softmax)
normalizes("Hardmax", hardmax)

# --- by the moments of the batch ---------------------------------------------------------------


@maps("BatchNormalization", until=6)
def batch_norm_by_flag(
    call: Call, x: Node, scale: Node, bias: Node, mean: Node, variance: Node, *,
    epsilon: float = 1e-5, momentum: float = 0.9, is_test: int = 0, spatial: int = 1,
    consumed_inputs: Sequence[int] = (),
) -> tuple[Node, ...]:  # fmt: skip
    """Up to opset 6, a flag says whether the node trains."""
    node = (call, x, scale, bias, mean, variance)
    if not spatial:
        return batch_norm_of_elements(*node, epsilon=epsilon, training=not is_test)
    return batch_norm(*node, epsilon=epsilon, momentum=momentum, training_mode=int(not is_test))


@maps("BatchNormalization", since=7, until=8)
def batch_norm_by_outputs(
    call: Call, x: Node, scale: Node, bias: Node, mean: Node, variance: Node, *,
    epsilon: float = 1e-5, momentum: float = 0.9, spatial: int = 1,
) -> tuple[Node, ...]:  # fmt: skip
    """Up to opset 13, a node that has more than one output trains."""
    node, training = (call, x, scale, bias, mean, variance), call.outputs > 1
    if not spatial:
        return batch_norm_of_elements(*node, epsilon=epsilon, training=training)
    return batch_norm(*node, epsilon=epsilon, momentum=momentum, training_mode=int(training))


def batch_norm_of_elements(
    call: Call, x: Node, scale: Node, bias: Node, mean: Node, variance: Node, *,
    epsilon: float, training: bool,
) -> tuple[Node, ...]:  # fmt: skip
    """Up to opset 8, moments may belong to each element of an example in place of each channel."""
    if training:
        call.refuse("training with spatial=0 is not supported", hint="export with opset 9 or later")
    return (standardized_by(x, mean, variance, epsilon) * scale + bias,)


@maps("BatchNormalization", since=9, until=13)
def batch_norm_of_channels(
    call: Call, x: Node, scale: Node, bias: Node, mean: Node, variance: Node, *,
    epsilon: float = 1e-5, momentum: float = 0.9,
) -> tuple[Node, ...]:  # fmt: skip
    """Up to opset 13, a node that has more than one output trains."""
    return batch_norm(
        call, x, scale, bias, mean, variance, epsilon=epsilon, momentum=momentum,
        training_mode=int(call.outputs > 1),
    )  # fmt: skip


@maps("BatchNormalization", since=14)
def batch_norm(
    call: Call, x: Node, scale: Node, bias: Node, mean: Node, variance: Node, *,
    epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0,
) -> tuple[Node, ...]:  # fmt: skip
    """Each channel by the moments that are given or, in training mode, by those of the batch.

    Where running moments are states of the graph, training updates them, and `predict` uses them.
    """
    given = [
        placed(call.op_type, name, value, x, (1,))
        for name, value in (("input_mean", mean), ("input_var", variance))
    ]
    y = standardized_by(x, *given, epsilon)
    moments = [mean, variance]
    if training_mode:
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        by_batch = cast(standardized(x, axes, epsilon), y.dtype)
        batch = [ops.mean(x, axes), reshape(variance_of(x, axes), (x.shape[1],))]
        moments = [
            cast(before * momentum + now * (1.0 - momentum), before.dtype)
            for before, now in zip(moments, batch, strict=True)
        ]
        running = update(call, {mean: moments[0], variance: moments[1]})
        y = ops.by_mode(by_batch, y) if running else by_batch
    y = cast(scaled(call, y, scale, bias), x.dtype)
    # Up to opset 13 there are the moments of the batch too, for a backward pass of its own.
    saved = batch if training_mode and call.outputs > 3 else []
    return (y, *moments, *saved)


def update(call: Call, moments: dict[Node, Node]) -> bool:
    """Declare what running moments become, if they are states of the graph."""
    graph = call.graph
    assert isinstance(graph, Graph)
    states = {node for node, _ in graph.states.values()}
    running = all(node in states for node in moments)
    if running:
        for state, value in moments.items():
            graph.update(state, value)
    return running


def scaled(call: Call, y: Node, scale: Node, bias: Node) -> Node:
    """y times a number for each channel, plus one."""
    gain, shift = (
        placed(call.op_type, name, value, y, (1,))
        for name, value in (("scale", scale), ("B", bias))
    )
    return y * gain + shift


# --- by the moments of each example ------------------------------------------------------------


@maps("InstanceNormalization")
def instance_norm(call: Call, x: Node, scale: Node, bias: Node, *, epsilon: float = 1e-5) -> Node:
    """Each channel of each example by its moments."""
    return ops.instance_norm(x, scale, bias, epsilon)


@maps("LayerNormalization")
def layer_norm(
    call: Call, x: Node, scale: Node, bias: Node | None = None, *, axis: int = -1,
    epsilon: float = 1e-5, stash_type: int = 1,
) -> tuple[Node, ...]:  # fmt: skip
    """The axes from one on by their moments; also the mean, and 1 over the deviation."""
    axes, eps = from_axis(call, axis, x), positive_eps(call.op_type, epsilon)
    stash = stash_dtype(call, stash_type)
    wide = widened(x, stash)
    y = cast(standardized.node((wide,), axes, eps), x.dtype) * scale
    y = y if bias is None else y + bias
    centre = ops.mean(wide, axes, keepdims=True)
    inverse = 1.0 / deviation.node((wide,), axes, eps)
    return y, cast(centre, stash), cast(inverse, stash)


@maps("RMSNormalization")
def rms_norm(
    call: Call, x: Node, scale: Node, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Node:
    """The axes from one on over the root of their mean square."""
    wide = widened(x, stash_dtype(call, stash_type))
    y = rms_scaled.node((wide,), from_axis(call, axis, x), positive_eps(call.op_type, epsilon))
    return cast(y, x.dtype) * scale


@maps("GroupNormalization", until=20)
def group_norm_of_groups(
    call: Call, x: Node, scale: Node, bias: Node, *, num_groups: int, epsilon: float = 1e-5
) -> Node:
    """Up to opset 20, scale and bias are one number for each group."""
    share = dims.exact_quotient(x.shape[1], num_groups)
    if share is None:
        call.refuse(f"{num_groups} groups do not divide {x.shape[1]} channels")
    gain, shift = (
        reshape(broadcast_to(expand_dims(each, 1), (num_groups, share)), (x.shape[1],))
        for each in (scale, bias)
    )
    return ops.group_norm(x, num_groups, gain, shift, epsilon)


@maps("GroupNormalization", since=21)
def group_norm(
    call: Call, x: Node, scale: Node, bias: Node, *, num_groups: int, epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Node:  # fmt: skip
    """Equal groups of channels of each example by their moments."""
    wide = widened(x, stash_dtype(call, stash_type))
    y = cast(ops.group_norm(wide, num_groups, eps=epsilon), x.dtype)
    return scaled(call, y, scale, bias)


def from_axis(call: Call, axis: int, x: Node) -> tuple[int, ...]:
    """All axes from one on."""
    return tuple(range(axis_of(call.op_type, axis, x), x.ndim))


def stash_dtype(call: Call, stash_type: int) -> DType:
    """The dtype that moments are computed in, by ONNX's number for it."""
    if stash_type not in FLOATS:
        call.refuse(f"stash_type {stash_type} is no float dtype of graphc")
    return as_dtype(FLOATS[stash_type])


def widened(x: Node, dtype: DType) -> Node:
    """x in a dtype, if that is wider than its own."""
    return cast(x, dtype) if dtype.itemsize > x.dtype.itemsize else x


# --- by norms ----------------------------------------------------------------------------------


@maps("LpNormalization")
def lp_norm(call: Call, x: Node, *, axis: int = -1, p: int = 2) -> Node:
    """x over its norm along an axis, and 0 where that is 0."""
    if p not in (1, 2):
        call.refuse(f"p is 1 or 2, got {p}")
    norm = (
        ops.sum(ops.abs(x), axis, keepdims=True)
        if p == 1
        else ops.sqrt(ops.sum(ops.square(x), axis, keepdims=True))
    )
    return x / ops.where(norm == 0, 1.0, norm)


@maps("MeanVarianceNormalization")
def moment_norm(call: Call, x: Node, *, axes: Sequence[int] = (0, 2, 3)) -> Node:
    """x to mean 0 and variance 1; the standard adds 1e-9 to the deviation."""
    centred = x - ops.mean(x, tuple(axes), keepdims=True)
    return centred / (ops.std(x, tuple(axes), keepdims=True) + 1e-9)


@maps("LRN")
def local_response_norm(
    call: Call, x: Node, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Node:
    """x / (bias + alpha / size Σ x²)^beta, summed over as many channels around each.

    Krizhevsky, Sutskever, Hinton 2012.
    """
    if size < 1:
        call.refuse(f"size is at least 1, got {size}")
    before = (call.steps(size) - 1) // 2
    none = [(0, 0)] * (x.ndim - 2)
    squares = ops.pad(ops.square(x), [(0, 0), (before, size - 1 - before), *none])
    total = squares[:, : x.shape[1]]
    for shift in range(1, size):
        total = total + squares[:, shift : x.shape[1] + shift]
    return x / (bias + alpha / size * total) ** beta
