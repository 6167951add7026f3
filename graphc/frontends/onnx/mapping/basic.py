"""Operators of the model itself: branches that are decided when it is compiled."""

from __future__ import annotations

from typing import Any

from graphc.frontends.onnx.registry import Call, Value, maps
from graphc.ir.node import Node


@maps("If")
def choose(call: Call, condition: Node, *, then_branch: Any, else_branch: Any) -> tuple[Value, ...]:
    """The branch that the condition decides for."""
    return call.branch(then_branch if call.number(condition, "the condition") else else_branch)
