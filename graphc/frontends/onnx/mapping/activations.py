"""Activation functions. At corners their derivatives are those of graphc's ops."""

from __future__ import annotations

import numpy as np

from graphc import ops
from graphc.frontends.onnx.mapping.elementwise import maps_unary
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.ops.operands import cast

maps_unary("HardSwish", ops.hard_swish)
maps_unary("Mish", ops.mish)
maps_unary("Relu", ops.relu)
maps_unary("Sigmoid", ops.sigmoid)
maps_unary("Softplus", ops.softplus)
maps_unary("Softsign", ops.softsign)
maps_unary("Tanh", ops.tanh)

# --- exponential below 0 -----------------------------------------------------------------------


@maps("Celu")
def celu(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x where x > 0, else alpha (exp(x / alpha) - 1)."""
    return ops.celu(x, alpha)


@maps("Elu")
def elu(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x where x > 0, else alpha (exp(x) - 1)."""
    return ops.elu(x, alpha)


SELU = (1.6732632, 1.050701)  # the numbers of the paper to the digits of 32 bits


@maps("Selu")
def selu(call: Call, x: Node, *, alpha: float = SELU[0], gamma: float = SELU[1]) -> Node:
    """gamma elu(x, alpha)."""
    return ops.selu(x) if (alpha, gamma) == SELU else gamma * ops.elu(x, alpha)


# --- lines -------------------------------------------------------------------------------------


@maps("HardSigmoid")
def hard_sigmoid(call: Call, x: Node, *, alpha: float = 0.2, beta: float = 0.5) -> Node:
    """alpha x + beta limited to 0..1."""
    if np.float32(alpha) == np.float32(1 / 6) and beta == 0.5:
        return ops.hard_sigmoid(x)
    return ops.hardtanh(alpha * x + beta, 0.0, 1.0)


@maps("LeakyRelu")
def leaky_relu(call: Call, x: Node, *, alpha: float = 0.01) -> Node:
    """x where x > 0, else alpha x."""
    return ops.leaky_relu(x, alpha) if alpha <= 1 else ops.prelu(x, alpha)


@maps("PRelu", until=6)
def prelu_of_channels(call: Call, x: Node, slope: Node) -> Node:
    """x where x > 0, else slope x; one slope, or one for each channel."""
    return ops.prelu(x, slope)


@maps("PRelu", since=7)
def prelu(call: Call, x: Node, slope: Node) -> Node:
    """x where x > 0, else slope x; slopes broadcast to x."""
    if x.dtype.kind == FLOAT:
        return ops.prelu.node((x, slope))
    return ops.where(x > 0, x, slope * x)


@maps("Shrink")
def shrink(call: Call, x: Node, *, bias: float = 0.0, lambd: float = 0.5) -> Node:
    """x moved by the bias towards 0 where |x| > lambd, else 0."""
    below = ops.where(x < -lambd, x + bias, 0.0)
    return cast(ops.where(x > lambd, x - bias, below), x.dtype)


@maps("ThresholdedRelu")
def thresholded_relu(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x where x > alpha, else 0."""
    return ops.threshold(x, alpha, 0.0)


# --- x times what lies between 0 and 1 ---------------------------------------------------------


@maps("Gelu")
def gelu(call: Call, x: Node, *, approximate: str = "none") -> Node:
    """x times the probability that a normal variable is below it, or nearly so by a tanh."""
    return ops.gelu(x, approximate)


@maps("Swish")
def swish(call: Call, x: Node, *, alpha: float = 1.0) -> Node:
    """x sigmoid(alpha x)."""
    if alpha == 0:
        return 0.5 * x
    return ops.silu(x) if alpha == 1 else ops.silu(alpha * x) / alpha


@maps("SwiGLU")
def swiglu(call: Call, gate: Node, x: Node, *, alpha: float = 1.0) -> Node:
    """x times the swish of the gate."""
    return swish(call, gate, alpha=alpha) * x
