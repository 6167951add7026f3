"""Sums and products of all elements up to each one."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphcError
from graphc.ir.emission import Emission
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op
from graphc.ir.types import FLOAT, TensorType, broadcast, int64
from graphc.ops.families import add_up, given, linear
from graphc.ops.joining import concat
from graphc.ops.operands import axis_of, operand, operands, require_rank
from graphc.ops.rearranging import flip
from graphc.ops.shape import broadcast_to
from graphc.runtime import arrays

__all__ = ["cumulative_prod", "cumulative_sum"]


def _call(op: Op, x: Any, axis: int | None = None) -> Node:
    x = require_rank(op.name, operand(x), 1)
    if axis is None and x.ndim > 1:
        name = x.graph.describe(x, site=True)
        raise GraphcError(
            f"{op.name} needs an axis, got {name}", hint="x.flatten() makes one axis of all"
        )
    kept = x.dtype.kind == FLOAT or x.dtype.name == "uint64"
    x = x if kept else x.astype(int64)
    return op.node((x,), axis_of(op.name, 0 if axis is None else axis, x))


def _emission(name: str) -> Emission:
    return Emission(
        lambda node: f"{{x}}.{name}(axis={node.params.axis})",
        lambda node: f"{{x}}.{name}(axis={node.params.axis}, out={{out}})",
        notation=lambda node: f"{node.op.name}({{x}}, axis={node.params.axis})",
    )


_SAMPLES: tuple[Draw, ...] = (
    lambda rng: ((rng.normal(size=4),), {}),
    lambda rng: ((rng.normal(size=(2, 3, 2)), 1), {}),
    lambda rng: ((rng.normal(size=(2, 0)), -1), {}),
)

cumulative_sum: Op = linear(
    "cumulative_sum", "along an axis, for each element the sum of all up to it", noun="sums",
    parameters=("axis",), infer=lambda require, x, axis: x, emission=_emission("cumsum"),
    # Called as users do: of conditions, which ask what a sum is made of, it counts.
    transpose=lambda bar, y: flip(
        cumulative_sum(flip(bar, y.params.axis), y.params.axis), y.params.axis
    ),
    call=_call, samples=_SAMPLES,
)  # fmt: skip


def delayed(x: Node, axis: int, first: float) -> Node:
    """For each element the one before it, and a number for the first."""
    shape = tuple(1 if i == axis else size for i, size in enumerate(x.shape))
    joined = concat([broadcast_to(x.graph.constant(first, x.dtype), shape), x], axis)
    before: Node = joined[(*[slice(None)] * axis, slice(None, -1))]
    return before


# --- products ----------------------------------------------------------------------------------


def _product_jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node:
    # y[i] = x[i] y[i-1], so ẏ[i] = x[i] ẏ[i-1] + ẋ[i] y[i-1]: nothing is divided by an x.
    axis = node.params.axis
    return linear_recurrence.node((node.args[0], delayed(node, axis, 1.0) * given(tangents)), axis)


cumulative_prod = Op(
    name="cumulative_prod",
    doc="along an axis, for each element the product of all up to it; its derivative never divides",
    operands=("x",), parameters=("axis",), noun="products",
    infer=lambda require, x, axis: x, emission=_emission("cumprod"), call=_call,
    vjp=lambda index, bar, node, kinks: (
        delayed(node, node.params.axis, 1.0) * _backwards(node.args[0], bar, node.params.axis)
    ),
    jvp=_product_jvp,
    samples=(*_SAMPLES, lambda rng: ((rng.integers(0, 2, (3, 5)) * rng.normal(size=5), 1), {})),
)  # fmt: skip


def _infer(require: Any, factor: TensorType, term: TensorType, axis: int) -> TensorType:
    for guard in broadcast([factor.shape, term.shape])[1]:
        require(guard)
    return term


def _backwards(factor: Node, bar: Node, axis: int) -> Node:
    """s[i] = bar[i] + factor[i+1] s[i+1]: the cotangent of the terms of a recurrence."""
    later = delayed(flip(factor, axis), axis, 0.0)
    return flip(linear_recurrence.node((later, flip(bar, axis)), axis), axis)


def _recurrence_vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
    axis = node.params.axis
    back = _backwards(node.args[0], bar, axis)
    return back if index else back * delayed(node, axis, 0.0)


def _recurrence_jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
    axis = node.params.axis
    moved = None if tangents[0] is None else tangents[0] * delayed(node, axis, 0.0)
    term = add_up([moved, tangents[1]])
    return None if term is None else linear_recurrence.node((node.args[0], term), axis)


linear_recurrence: Op = Op(
    name="linear_recurrence", doc="y[i] = factor[i] y[i-1] + term[i] along an axis, from y[-1] = 0",
    operands=("factor", "term"), parameters=("axis",), infer=_infer,
    emission=Emission(
        lambda node: f"linear_recurrence({{factor}}, {{term}}, {node.params.axis})",
        helpers=(arrays.linear_recurrence,),
        notation=lambda node: f"linear_recurrence({{factor}}, {{term}}, axis={node.params.axis})",
    ),
    call=lambda op, factor, term, axis: op.node(operands(factor, term, floating=True), axis),
    vjp=_recurrence_vjp, jvp=_recurrence_jvp,
    samples=(
        lambda rng: ((rng.normal(size=5), rng.normal(size=5), 0), {}),
        lambda rng: ((rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, 2)), 1), {}),
    ),
)  # fmt: skip
