"""Softmax and its relatives: composites whose bodies are shifted by the maximum."""

from __future__ import annotations

from math import inf
from typing import Any

from graphc.errors import ShapeError
from graphc.ir.intervals import FINITE, Domain, Interval, has_infinity, interval_of
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op
from graphc.ops.comparison import isfinite
from graphc.ops.elementwise import where
from graphc.ops.families import add_up, composite, given
from graphc.ops.functions import exp, log
from graphc.ops.operands import axes_of, axis_of, flag, operand, operands
from graphc.ops.reduction import largest, restored, sum
from graphc.ops.shape import squeeze

__all__ = ["log_softmax", "logsumexp", "softmax"]


def shifted_exp(x: Node, axes: tuple[int, ...]) -> tuple[Node, Node, Node]:
    """x - max(x), its exponential and the sum of that, kept on axes of size 1."""
    graph = x.graph
    shifted = graph.hint(x - largest(x, axes), "shifted")
    exps = graph.hint(exp(shifted), "exps")
    return shifted, exps, graph.hint(sum(exps, axes, True), "sums")


def _softmax_body(x: Node, axis: int) -> Node:
    _, exps, sums = shifted_exp(x, (axis,))
    return exps / sums


def _log_softmax_body(x: Node, axis: int) -> Node:
    shifted, _, sums = shifted_exp(x, (axis,))
    return shifted - log(sums)


def finitely_shifted_exp(x: Node, axes: tuple[int, ...]) -> tuple[Node, Node, Node]:
    """A finite shift near the maximum, exp(x - shift) and the sum of that.

    Where the maximum is infinite, so is the logsumexp: a shift by it would make inf - inf.
    """
    hint = x.graph.hint
    shift = hint(finite(largest(x, axes)), "shift")
    exps = hint(exp(x - shift), "exps")
    return shift, exps, hint(sum(exps, axes, True), "sums")


def _logsumexp_body(x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    shift, _, sums = finitely_shifted_exp(x, axes)
    result = shift + log(sums)
    return result if keepdims or not axes else squeeze(result, axes)


def finite(x: Node) -> Node:
    """x, and 0 where it is infinite or NaN."""
    return where(isfinite(x), x, 0.0)


def _axis_call(op: Op, x: Any, axis: int = -1) -> Node:
    x = operand(x, floating=True)
    if x.ndim == 0:
        raise ShapeError(f"{op.name} needs an axis, got {x.graph.describe(x, site=True)}")
    return op.node((x,), axis_of(op.name, axis, x))


def _axes_call(op: Op, x: Any, axis: Any = None, keepdims: bool = False) -> Node:
    x = operand(x, floating=True)
    return op.node((x,), axes_of(op.name, axis, x), flag(op.name, "keepdims", keepdims))


def softmax_rule(g: Node, y: Node) -> Node:
    """The Jacobian of a softmax y, which is symmetric, times g."""
    return y * (g - sum(g * y, y.params.axis, True))


def _log_softmax_vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
    axis = node.params.axis
    return bar - softmax(node.args[0], axis) * sum(bar, axis, True)


def _log_softmax_jvp(node: Node, tangents: tuple[Any, ...], kinks: str) -> Node:
    axis = node.params.axis
    tangent = given(tangents)
    return tangent - sum(softmax(node.args[0], axis) * tangent, axis, True)


def finite_shares(x: Node, axes: tuple[int, ...]) -> Node:
    """exp(x) / sum(exp(x)) over axes, and 0 where the sum is."""
    _, exps, sums = finitely_shifted_exp(x, axes)
    result: Node = exps / where(sums == 0, 1.0, sums)
    return result


def weights(node: Node) -> Node:
    """The gradient of a logsumexp: the softmax of its operand, over its axes."""
    return finite_shares(node.args[0], node.params.axes)


def _logsumexp_jvp(node: Node, tangents: tuple[Any, ...], kinks: str) -> Node:
    axes, keepdims = node.params
    return sum(weights(node) * tangents[0], axes, keepdims)


def weighed(x: Node, weights: Node) -> Node:
    """x, and -inf where its weight is 0: exp(x) may be infinite there, and 0 times that is NaN."""
    return x if interval_of(weights).low > 0 else where(weights == 0, -inf, x)


def _weighted_body(x: Node, weights: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    shift, _, sums = weighted_exp(x, weights, axes)
    result = shift + log(sums)
    return result if keepdims or not axes else squeeze(result, axes)


def weighted_exp(x: Node, weights: Node, axes: tuple[int, ...]) -> tuple[Node, Node, Node]:
    """A finite shift near the maximum, weights exp(x - shift) and the sum of that."""
    x = weighed(x, weights)
    shift = x.graph.hint(finite(largest(x, axes)), "shift")
    exps = weights * exp(x - shift)
    return shift, exps, x.graph.hint(sum(exps, axes, True), "sums")


def _weighted_slopes(node: Node) -> tuple[Node, Node]:
    """∂y/∂x = w exp(x - y), and ∂y/∂w without the w, where y is the result.

    By the shifted exponentials, since beside a large x there is little left of the sum in y.
    """
    x, weights = node.args
    shift, exps, sums = weighted_exp(x, weights, node.params.axes)
    sums = where(sums == 0, 1.0, sums)
    return exps / sums, exp(x - shift) / sums


def _weighted_vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
    return restored(bar, node) * _weighted_slopes(node)[index]


def _weighted_jvp(node: Node, tangents: tuple[Any, ...], kinks: str) -> Node | None:
    slopes = _weighted_slopes(node)
    terms = [s * t for s, t in zip(slopes, tangents, strict=True) if t is not None]
    total = add_up(terms)
    return None if total is None else sum(total, *node.params)


def _samples(*options: dict[str, Any]) -> tuple[Draw, ...]:
    def sample(chosen: dict[str, Any]) -> Draw:
        return lambda rng: ((rng.normal(size=(3, 4)),), chosen)

    return tuple(sample(chosen) for chosen in options)


def _masked_domain(node: Node) -> tuple[Domain | None]:
    """A mask of -inf may leave a row nothing to share: what it has then is NaN."""
    return (FINITE if has_infinity(node.args[0]) else None,)


softmax = composite(
    "softmax", "exp(x) / sum(exp(x)) along an axis",
    parameters=("axis",), body=_softmax_body, call=_axis_call,
    vjp=lambda index, bar, node, kinks: softmax_rule(bar, node),
    jvp=lambda node, tangents, kinks: softmax_rule(given(tangents), node),
    samples=_samples({}, {"axis": 0}), bounds=lambda node, x: Interval(0.0, 1.0),
    finite=_masked_domain,
)  # fmt: skip
log_softmax = composite(
    "log_softmax", "log(softmax(x)) along an axis",
    parameters=("axis",), body=_log_softmax_body, call=_axis_call,
    vjp=_log_softmax_vjp, jvp=_log_softmax_jvp,
    samples=_samples({}, {"axis": 0}), finite=_masked_domain,
)  # fmt: skip
logsumexp = composite(
    "logsumexp", "log(sum(exp(x))) over axes",
    parameters=("axes", "keepdims"), body=_logsumexp_body, call=_axes_call,
    vjp=lambda index, bar, node, kinks: restored(bar, node) * weights(node),
    jvp=_logsumexp_jvp,
    samples=_samples({}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}),
)  # fmt: skip
weighted_logsumexp = composite(
    "weighted_logsumexp", "log(sum(weights exp(x))) over axes",
    operands=("x", "weights"), parameters=("axes", "keepdims"),
    body=_weighted_body, vjp=_weighted_vjp, jvp=_weighted_jvp,
    call=lambda op, x, weights, axis=None, keepdims=False: op.node(
        operands(x, weights, floating=True),
        axes_of(op.name, axis, operand(x)), flag(op.name, "keepdims", keepdims),
    ),
    samples=(
        lambda rng: ((rng.normal(size=(3, 4)), rng.uniform(0.5, 2, (3, 4))), {}),
        lambda rng: ((rng.normal(size=(3, 4)), rng.uniform(0.5, 2, ())), {"axis": 0}),
        lambda rng: (
            (rng.normal(size=(3, 4)), rng.uniform(0.5, 2, 4)), {"axis": 1, "keepdims": True}
        ),
    ),
)  # fmt: skip
