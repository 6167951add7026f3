"""Values that differ between training and inference."""

from __future__ import annotations

from numbers import Real
from typing import Any

from graphc.errors import GraphcError, ShapeError
from graphc.ir.emission import Emission
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import TensorType
from graphc.ops.elementwise import mask
from graphc.ops.operands import operand, operands
from graphc.ops.random import coin

__all__ = ["by_mode", "dropout"]


def _infer(require: Any, train: TensorType, infer: TensorType) -> TensorType:
    if train != infer:
        raise ShapeError("needs two values of one type")
    return train


by_mode = Op(
    name="by_mode", doc="the first value in `forward`, the second in `predict` and `evaluate`",
    operands=("train", "infer"), infer=_infer, emission=Emission(""),
    call=lambda op, train, infer: op.node(operands(train, infer)),
)  # fmt: skip


@function
def dropout(x: Any, rate: Any = 0.5) -> Node:
    """In `forward`, x with elements zeroed at a rate and the others divided by 1 - rate.

    In `predict` and `evaluate` it is x itself. The rate is in [0, 1): of 1, which PyTorch takes,
    nothing would be left.
    """
    node = operand(x, floating=True)
    if not isinstance(rate, Real) or not 0.0 <= float(rate) < 1.0:
        described = node.graph.describe(node, site=True)
        raise GraphcError(f"dropout: rate is a number in [0, 1), got {rate!r} for {described}")
    share = 1.0 - float(rate)  # that is kept
    if share == 1.0:
        return node
    kept = node.graph.hint(coin(node.graph, share, node.shape), "kept")
    return by_mode(mask(node, kept) * (1.0 / share), node)
