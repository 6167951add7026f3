"""Conversions of dtype. Those to types that graphc does not have are refused by their names."""

from __future__ import annotations

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.frontends.onnx.tensors import element_type
from graphc.ir.node import Node


@maps("Cast")
def cast(call: Call, x: Node, *, to: int, saturate: int = 1, round_mode: str = "up") -> Node:
    """x as another dtype: floats lose the digits behind the point, what is not 0 is true.

    The attributes beside the dtype are about floats of 8 bits.
    """
    return ops.astype(x, element_type(to, "the result"))


@maps("CastLike")
def cast_like(
    call: Call, x: Node, like: Node, *, saturate: int = 1, round_mode: str = "up"
) -> Node:
    """x as the dtype of another value."""
    return ops.astype(x, like.dtype)


@maps("Identity")
def identity(call: Call, x: Node) -> Node:
    """x itself."""
    return x
