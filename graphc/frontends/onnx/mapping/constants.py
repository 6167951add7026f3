"""Values that are in the model: single ones, and arrays filled with one."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.node import Node


@maps("Constant")
def constant(
    call: Call,
    *,
    value: np.ndarray[Any, Any] | None = None,
    value_float: float | None = None,
    value_floats: tuple[float, ...] | None = None,
    value_int: int | None = None,
    value_ints: tuple[int, ...] | None = None,
) -> Node:
    """The one value that is given."""
    floats = [np.asarray(v, np.float32) for v in (value_float, value_floats) if v is not None]
    ints = [np.asarray(v, np.int64) for v in (value_int, value_ints) if v is not None]
    given = [*([] if value is None else [value]), *floats, *ints]
    if len(given) != 1:
        call.refuse(f"a Constant has one value, got {len(given)}")
    return call.constant(given[0])


@maps("ConstantOfShape")
def filled(call: Call, shape: Node, *, value: np.ndarray[Any, Any] | None = None) -> Node:
    """An array of some shape filled with a value, by default the float32 0."""
    fill = np.zeros((), np.float32) if value is None else value
    if fill.size != 1:
        call.refuse(f"the value is one number, got shape {fill.shape}")
    return ops.broadcast_to(call.constant(fill.reshape(())), call.sizes(shape, "the shape"))
