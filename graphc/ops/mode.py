"""Values that differ between training and inference."""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError
from graphc.ir.emission import Emission
from graphc.ir.op import Op
from graphc.ir.types import TensorType
from graphc.ops.operands import operands

__all__ = ["by_mode"]


def _infer(require: Any, train: TensorType, infer: TensorType) -> TensorType:
    if train != infer:
        raise ShapeError("needs two values of one type")
    return train


by_mode = Op(
    name="by_mode", doc="the first value in `forward`, the second in `predict` and `evaluate`",
    operands=("train", "infer"), infer=_infer, emission=Emission(""),
    call=lambda op, train, infer: op.node(operands(train, infer)),
)  # fmt: skip
