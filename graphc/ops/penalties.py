"""Penalties Ω(θ), to be added to a loss: J = l + λ Ω(θ)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.errors import GraphcError
from graphc.ir.node import Node
from graphc.ir.op import function
from graphc.ops.elementwise import abs, square
from graphc.ops.operands import operand
from graphc.ops.reduction import sum

__all__ = ["l1_penalty", "l2_penalty"]


@function
def l1_penalty(*nodes: Any) -> Node:
    """The sum of |θ| over all elements of all nodes; its gradient is the sign of each."""
    return total("l1_penalty", abs, nodes)


@function
def l2_penalty(*nodes: Any) -> Node:
    """The sum of θ² over all elements of all nodes; its gradient is 2 θ.

    There is no ½ and no root: `l2_penalty(W) * (decay / 2)` has the gradient of PyTorch's
    `weight_decay`.
    """
    return total("l2_penalty", square, nodes)


def total(name: str, size: Callable[[Node], Node], nodes: tuple[Any, ...]) -> Node:
    """The sum over all elements. Raises GraphcError without any node."""
    if not nodes:
        raise GraphcError(f"{name} expects at least one node")
    first, *rest = (sum(size(operand(node, floating=True))) for node in nodes)
    for term in rest:
        first = first + term
    result: Node = first
    return result
