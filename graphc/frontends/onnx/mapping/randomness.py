"""Chance: draws, and what drops values at random.

They come from the generator `rng` that the generated functions take, so a `seed` in the model has
no meaning here.
"""

from __future__ import annotations

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.frontends.onnx.tensors import element_type
from graphc.ir.dims import Shape
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import FLOAT, DType, bool_
from graphc.ops.operands import cast
from graphc.ops.random import draw, moved, standard_normal, standard_uniform

# --- dropout -----------------------------------------------------------------------------------


@maps("Dropout", until=6)
def dropout_by_mode(
    call: Call, x: Node, *, ratio: float = 0.5, is_test: int = 0
) -> tuple[Node, ...]:
    """x, of which a training step drops a share unless the node is one for tests."""
    return dropped(call, x, 0.0 if is_test else ratio, x.dtype)


@maps("Dropout", since=7, until=11)
def dropout_of_inference(call: Call, x: Node, *, ratio: float = 0.5) -> tuple[Node, ...]:
    """x itself: models of these versions are exported for inference."""
    return dropped(call, x, 0.0, x.dtype if call.opset < 10 else bool_)


@maps("Dropout", since=12)
def dropout(
    call: Call,
    x: Node,
    ratio: Node | None = None,
    training_mode: Node | None = None,
    *,
    seed: int | None = None,
) -> tuple[Node, ...]:
    """x itself or, with `training_mode`, what a training step drops a share of."""
    training = training_mode is not None and call.number(training_mode, "training_mode")
    share = 0.5 if ratio is None else call.number(ratio, "ratio") if training else 0.0
    return dropped(call, x, share if training else 0.0, bool_)


def dropped(call: Call, x: Node, share: float, mask: DType) -> tuple[Node, ...]:
    """The results of a dropout: its output and, if nothing is dropped, the mask."""
    result = ops.dropout(x, share)
    if call.outputs < 2:
        return (result,)
    if share:
        call.refuse("the mask of a dropout that drops is not supported")
    return result, ops.broadcast_to(call.constant(1, mask), x.shape)


# --- draws -------------------------------------------------------------------------------------


@maps("Bernoulli")
def bernoulli(call: Call, x: Node, *, dtype: int | None = None, seed: float | None = None) -> Node:
    """1 with the probability that x says, else 0."""
    return cast(ops.random.bernoulli(x), as_declared(x, dtype))


@maps("RandomNormal")
def normal(
    call: Call, *, shape: tuple[int, ...], dtype: int = 1, mean: float = 0.0, scale: float = 1.0,
    seed: float | None = None,
) -> Node:  # fmt: skip
    """Draws from a normal distribution."""
    return drawn(call, standard_normal, shape, as_declared(None, dtype), mean, scale)


@maps("RandomNormalLike")
def normal_like(
    call: Call, x: Node, *, dtype: int | None = None, mean: float = 0.0, scale: float = 1.0,
    seed: float | None = None,
) -> Node:  # fmt: skip
    """Draws from a normal distribution, as many as x has elements."""
    return drawn(call, standard_normal, x.shape, as_declared(x, dtype), mean, scale)


@maps("RandomUniform")
def uniform(
    call: Call, *, shape: tuple[int, ...], dtype: int = 1, low: float = 0.0, high: float = 1.0,
    seed: float | None = None,
) -> Node:  # fmt: skip
    """Draws from the numbers between low and high."""
    return drawn(call, standard_uniform, shape, as_declared(None, dtype), low, high - low)


@maps("RandomUniformLike")
def uniform_like(
    call: Call, x: Node, *, dtype: int | None = None, low: float = 0.0, high: float = 1.0,
    seed: float | None = None,
) -> Node:  # fmt: skip
    """Draws from the numbers between low and high, as many as x has elements."""
    return drawn(call, standard_uniform, x.shape, as_declared(x, dtype), low, high - low)


def as_declared(x: Node | None, dtype: int | None) -> DType:
    """The dtype of ONNX's number for it, by default that of x."""
    if dtype is not None:
        return element_type(dtype, "the result")
    assert x is not None
    return x.dtype


def drawn(call: Call, source: Op, shape: Shape, dtype: DType, start: float, spread: float) -> Node:
    """Draws of a dtype, spread and moved."""
    if dtype.kind != FLOAT:
        call.refuse(f"draws are floats, got {dtype}")
    return moved(draw(source, call.graph, shape, dtype), start, spread)
