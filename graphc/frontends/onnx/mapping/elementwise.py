"""Arithmetic, functions, comparisons and logic on each element by itself.

Operands broadcast as NumPy's do; up to opset 6 an attribute says which axis the second one starts
at.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.intervals import interval_of
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, INT, float64
from graphc.ops.operands import cast

Binary = Callable[[Call, Node, Node], Node]

# --- one operand -------------------------------------------------------------------------------


def maps_unary(op_type: str, op: Callable[[Node], Node]) -> None:
    """Register an operator that is an op of the same operand."""
    maps(op_type, lambda call, x: op(x))


maps_unary("Abs", ops.abs)
maps_unary("Acos", ops.acos)
maps_unary("Acosh", ops.acosh)
maps_unary("Asin", ops.asin)
maps_unary("Asinh", ops.asinh)
maps_unary("Atan", ops.atan)
maps_unary("Atanh", ops.atanh)
maps_unary("BitwiseNot", ops.bitwise_invert)
maps_unary("Ceil", ops.ceil)
maps_unary("Cos", ops.cos)
maps_unary("Cosh", ops.cosh)
maps_unary("Erf", lambda x: cast(ops.erf(x), x.dtype))
maps_unary("Exp", ops.exp)
maps_unary("Floor", ops.floor)
maps_unary("IsNaN", ops.isnan)
maps_unary("Log", ops.log)
maps_unary("Neg", ops.negative)
maps_unary("Not", ops.logical_not)
maps_unary("Reciprocal", ops.reciprocal)
maps_unary("Round", ops.round)
maps_unary("Sign", ops.sign)
maps_unary("Sin", ops.sin)
maps_unary("Sinh", ops.sinh)
maps_unary("Sqrt", ops.sqrt)
maps_unary("Tan", ops.tan)


@maps("IsInf")
def isinf(call: Call, x: Node, *, detect_negative: int = 1, detect_positive: int = 1) -> Node:
    """Which elements are infinite, with the sign that is looked for."""
    if detect_negative and detect_positive:
        return ops.isinf(x)
    if not detect_negative and not detect_positive:
        return ops.logical_and(ops.isinf(x), False)
    return ops.equal(x, math.inf if detect_positive else -math.inf)


# --- two operands ------------------------------------------------------------------------------


# Those that opset 6 has, where an attribute says which axis the second operand starts at.
ALIGNED = ("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor")


def maps_binary(op_type: str, function: Binary) -> None:
    """Register an operator of two operands, in both of its forms if it has two."""

    def aligned(
        call: Call, x: Node, y: Node, *, axis: int | None = None, broadcast: int = 0
    ) -> Node:
        return function(call, x, y if axis is None else starting_at(call, x, y, axis))

    if op_type in ALIGNED:
        maps(op_type, aligned, until=6)
        maps(op_type, function, since=7)
    else:
        maps(op_type, function)


def starting_at(call: Call, x: Node, y: Node, axis: int) -> Node:
    """The second operand with its first axis beside one of the first operand's."""
    first = axis + x.ndim if axis < 0 else axis
    after = x.ndim - first - y.ndim
    if first < 0 or after < 0:
        call.refuse(f"an operand of {y.ndim} axes does not fit one of {x.ndim} from axis {axis}")
    return ops.expand_dims(y, tuple(range(y.ndim, y.ndim + after)))


def has_sizes(call: Call, node: Node) -> bool:
    """Whether a value holds named sizes."""
    value = call.importing.known(node)
    return value is not None and value.dtype == object


def is_count(call: Call, node: Node) -> bool:
    """Whether no element is negative; named sizes and what is computed from them count as such."""
    value = call.known(node)
    if value is None:
        return has_sizes(call, node) or interval_of(node).low >= 0
    return bool((value >= 0).all())


def divide(call: Call, x: Node, y: Node) -> Node:
    """x / y; of ints the quotient without its digits behind the point."""
    if x.dtype.kind == FLOAT:
        return ops.divide(x, y)
    unsigned = x.dtype.numpy.kind == "u" or (is_count(call, x) and is_count(call, y))
    return ops.floor_divide(x if unsigned else x - ops.fmod(x, y), y)


def power(call: Call, x: Node, p: Node) -> Node:
    """x to the power p, in the dtype of x; a power of ints to floats is computed by float64."""
    if x.dtype.kind == INT and p.dtype.kind == FLOAT:
        x, p, dtype = cast(x, float64), cast(p, float64), x.dtype
        return cast(ops.pow(x, p), dtype)
    return cast(ops.pow(x, p), x.dtype)


def maps_op(op_type: str, op: Callable[[Node, Node], Node]) -> None:
    """Register an operator that is an op of the same two operands."""
    maps_binary(op_type, lambda call, x, y: op(x, y))


maps_op("Add", ops.add)
maps_op("And", ops.logical_and)
maps_op("BitwiseAnd", ops.bitwise_and)
maps_op("BitwiseOr", ops.bitwise_or)
maps_op("BitwiseXor", ops.bitwise_xor)
maps_op("Equal", ops.equal)
maps_op("Greater", ops.greater)
maps_op("GreaterOrEqual", ops.greater_equal)
maps_op("Less", ops.less)
maps_op("LessOrEqual", ops.less_equal)
maps_op("Mul", ops.multiply)
maps_op("Or", ops.logical_or)
maps_op("Sub", ops.subtract)
maps_op("Xor", ops.logical_xor)
maps_binary("Div", divide)
maps_binary("Pow", power)


@maps("Mod")
def remainder(call: Call, x: Node, y: Node, *, fmod: int = 0) -> Node:
    """The remainder of x / y with the sign of y, or with that of x."""
    if fmod:
        return ops.fmod(x, y)
    if has_sizes(call, x) or has_sizes(call, y):
        return x - y * ops.floor_divide(x, y)  # what sizes have is a quotient
    return ops.remainder(x, y)


@maps("BitShift")
def shift(call: Call, x: Node, count: Node, *, direction: str) -> Node:
    """Bits moved by so many places; by more than there are, or by less than none, all move out."""
    if direction not in ("LEFT", "RIGHT"):
        call.refuse(f"direction is LEFT or RIGHT, got {direction!r}")
    move = ops.bitwise_left_shift if direction == "LEFT" else ops.bitwise_right_shift
    return move(x, count)


# --- any number of operands --------------------------------------------------------------------


def maps_any(op_type: str, op: Callable[[Node, Node], Node]) -> None:
    """Register an operator that goes through its operands by an op of two."""
    maps(op_type, lambda call, x, *others: functools.reduce(op, others, x))


maps_any("Max", ops.maximum)
maps_any("Min", ops.minimum)
maps_any("Sum", ops.add)


@maps("Mean")
def mean(call: Call, x: Node, *others: Node) -> Node:
    """The mean of the operands, element by element."""
    total = functools.reduce(ops.add, others, x)
    return total / (1 + len(others)) if others else x


# --- choices -----------------------------------------------------------------------------------


@maps("Where")
def where(call: Call, condition: Node, x: Node, y: Node) -> Node:
    """x where the condition holds, else y."""
    return ops.where(condition, x, y)


FAR = float(np.finfo(np.float32).max)  # a bound that is no bound, up to opset 10


@maps("Clip", until=10)
def clip_by_attributes(call: Call, x: Node, *, min: float = -FAR, max: float = FAR) -> Node:
    """x limited to min..max."""
    low, high = np.float32(min), np.float32(max)
    return limited(x, min if low > -FAR else None, max if high < FAR else None)


@maps("Clip", since=11)
def clip(call: Call, x: Node, low: Node | None = None, high: Node | None = None) -> Node:
    """x limited to low..high, either of which may be absent."""
    return limited(x, scalar(low), scalar(high))


def scalar(bound: Node | None) -> Node | None:
    """A bound without the axes of size 1 that some exporters give it."""
    return ops.reshape(bound, ()) if bound is not None and bound.ndim else bound


def limited(x: Node, low: Node | float | None, high: Node | float | None) -> Node:
    """x limited on the sides that have a bound."""
    return x if low is None and high is None else ops.clip(x, low, high)
