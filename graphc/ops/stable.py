"""What naive formulas are rewritten to: composites that stay accurate over the whole float range.

Each body is a formula in which nothing overflows and nothing cancels that matters; each derivative
is written down, since that of the body would not be as good.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.ir.intervals import NOT_NEGATIVE, POSITIVE, Domain, Interval
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ops.comparison import isfinite
from graphc.ops.elementwise import abs, maximum, minimum, relu, sqrt, square, stop_gradient, where
from graphc.ops.families import composite, elementwise, given
from graphc.ops.functions import exp, expm1, log, log1p, sigmoid, sinh, tanh
from graphc.ops.operands import axes_of, flag, operand
from graphc.ops.reduction import largest, restored, sum
from graphc.ops.shape import squeeze
from graphc.runtime import arrays, scalars

__all__ = ["log_sigmoid", "norm", "softplus"]

# --- logarithms of sums of exponentials --------------------------------------------------------

softplus = elementwise(
    "softplus", "log(1 + exp(x))",
    body=lambda x: relu(x) + log1p(exp(-abs(x))),
    rules=(lambda g, y, x: g * sigmoid(x),),
    symbolic=lambda sp, x: sp.log(1 + sp.exp(x)), bounds=lambda x: NOT_NEGATIVE,
)  # fmt: skip
log_sigmoid = elementwise(
    "log_sigmoid", "log(1 / (1 + exp(-x)))",
    body=lambda x: minimum(x, 0.0) - log1p(exp(-abs(x))),
    rules=(lambda g, y, x: g * sigmoid(-x),),
    symbolic=lambda sp, x: -sp.log(1 + sp.exp(-x)),
    bounds=lambda x: Interval(-math.inf, 0.0),
)  # fmt: skip
sigmoid_cross_entropy = elementwise(
    "sigmoid_cross_entropy", "-(t log p + (1 - t) log(1 - p)) where p = sigmoid(z)",
    operands="z t",
    body=lambda z, t: relu(z) - z * t + log1p(exp(-abs(z))),
    rules=(lambda g, y, z, t: g * (sigmoid(z) - t), lambda g, y, z, t: -(g * z)),
    symbolic=lambda sp, z, t: sp.log(1 + sp.exp(z)) - z * t,
)  # fmt: skip


def _log1mexp_body(x: Node) -> Node:
    # Mächler, "Accurately computing log(1 - exp(-|a|))", 2012: each form has its side of -log 2.
    near = log(-expm1(maximum(x, -_LOG_2)))
    far = log1p(-exp(minimum(x, -_LOG_2)))
    return where(x > -_LOG_2, near, far)


_LOG_2 = math.log(2.0)
log1mexp = elementwise(
    "log1mexp", "log(1 - exp(x)) of x < 0",
    body=_log1mexp_body,
    rules=(lambda g, y, x: g * (exp(x) / expm1(x)),),
    symbolic=lambda sp, x: sp.log(1 - sp.exp(x)), domain=((-2, -0.1),),
    finite=(Domain(-math.inf, 0.0, -1.0),), bounds=lambda x: Interval(-math.inf, 0.0),
)  # fmt: skip


def _log_cosh_body(x: Node) -> Node:
    # Near 0 by cosh(x) = 1 + 2 sinh(x/2)², since the other form cancels there.
    size = abs(x)
    near = log1p(2.0 * square(sinh(0.5 * minimum(size, 1.0))))
    return where(size < 1.0, near, size + log1p(exp(-2.0 * size)) - _LOG_2)


log_cosh = elementwise(
    "log_cosh", "log(cosh(x))",
    body=_log_cosh_body, rules=(lambda g, y, x: g * tanh(x),),
    symbolic=lambda sp, x: sp.log(sp.cosh(x)), bounds=lambda x: NOT_NEGATIVE,
)  # fmt: skip

# --- exponentials ------------------------------------------------------------------------------

exp_sum: Op = elementwise(
    "exp_sum", "exp(x) exp(y), of which neither factor overflows", operands="x y",
    commutative=True,
    numpy="exp_sum({x}, {y})", helpers=(arrays.exp_sum,),
    math="exp_sum({x}, {y})", plain=(scalars.exp_sum,),
    rules=(lambda g, out, x, y: g * out, lambda g, out, x, y: g * out),
    symbolic=lambda sp, x, y: sp.exp(x + y), bounds=lambda x, y: NOT_NEGATIVE,
)  # fmt: skip


def _sigmoid_slope_body(x: Node) -> Node:
    decay = x.graph.hint(exp(-abs(x)), "decay")
    return decay / square(1.0 + decay)


sigmoid_slope: Op = elementwise(
    "sigmoid_slope", "sigmoid(x) (1 - sigmoid(x))",
    body=_sigmoid_slope_body, rules=(lambda g, y, x: -(g * (y * tanh(0.5 * x))),),
    symbolic=lambda sp, x: sp.exp(x) / (1 + sp.exp(x)) ** 2, bounds=lambda x: Interval(0.0, 0.25),
)  # fmt: skip

# --- x log x -----------------------------------------------------------------------------------


def _xlogx_slope(g: Node, y: Node, x: Node, z: Node) -> Node:
    log_x = log(where(x == 0, 1.0, x))
    return g * where(x == 0, -math.inf, log_x - z + 1.0)


xlogx = elementwise(
    "xlogx", "x (log(x) - z), and 0 where x is 0", operands="x z",
    body=lambda x, z: x * (log(where(x == 0, 1.0, x)) - z),
    rules=(_xlogx_slope, lambda g, y, x, z: -(g * x)),
    symbolic=lambda sp, x, z: x * (sp.log(x) - z), domain=((0.5, 2), (-2, 2)),
    finite=(POSITIVE, None),
)  # fmt: skip


def _rel_entr_slope(g: Node, out: Node, x: Node, y: Node) -> Node:
    return g * where(x == 0, -math.inf, log(where(x == 0, 1.0, x / y)) + 1.0)


rel_entr = elementwise(
    "rel_entr", "x log(x / y), and 0 where x is 0", operands="x y",
    body=lambda x, y: x * log(where(x == 0, 1.0, x / y)),
    rules=(_rel_entr_slope, lambda g, out, x, y: -(g * (x / y))),
    symbolic=lambda sp, x, y: x * sp.log(x / y), domain=((0.5, 2), (0.5, 2)),
    finite=(POSITIVE, POSITIVE),
)  # fmt: skip

# --- norms -------------------------------------------------------------------------------------


def _norm_body(x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    hint = x.graph.hint
    size = stop_gradient(largest(abs(x), axes))
    scale = hint(where((size > 0) & isfinite(size), size, 1.0), "scale")
    result = scale * sqrt(sum(square(x / scale), axes, True))
    return result if keepdims or not axes else squeeze(result, axes)


def _direction(node: Node) -> Node:
    """∂norm/∂x = x / norm(x), and 0 where all of x is 0."""
    x = node.args[0]
    size = restored(node, node)
    result: Node = x / where(size == 0, 1.0, size)
    return result


def _norm_jvp(node: Node, tangents: tuple[Any, ...], kinks: str) -> Node:
    axes, keepdims = node.params
    return sum(_direction(node) * given(tangents), axes, keepdims)


def _norm_call(op: Op, x: Any, axis: Any = None, keepdims: bool = False) -> Node:
    x = operand(x, floating=True)
    return op.node((x,), axes_of("norm", axis, x), flag("norm", "keepdims", keepdims))


norm = composite(
    "norm", "√(sum(x²)) over axes, of which no square overflows",
    parameters=("axes", "keepdims"), body=_norm_body, call=_norm_call,
    vjp=lambda index, bar, node, kinks: restored(bar, node) * _direction(node), jvp=_norm_jvp,
    bounds=lambda node, x: NOT_NEGATIVE,
    kink=dict.fromkeys(("torch", "jax", "textbook"), "norm'(0) = 0"),
    samples=(
        lambda rng: ((rng.normal(size=(3, 4)),), {}),
        lambda rng: ((rng.normal(size=(3, 4)), 0), {}),
        lambda rng: ((rng.normal(size=(2, 3, 4)), (0, -1), True), {}),
        lambda rng: ((rng.normal(size=()),), {}),
    ),
)  # fmt: skip
