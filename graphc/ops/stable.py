"""What naive formulas are rewritten to: composites that stay accurate over the whole float range.

Each body is a formula in which nothing overflows and nothing cancels that matters; each derivative
is written down, since that of the body would not be as good.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.ir.intervals import EVERYWHERE, NOT_NEGATIVE, POSITIVE, Domain, Interval
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ops.comparison import isfinite
from graphc.ops.elementwise import abs, maximum, minimum, relu, sqrt, square, where
from graphc.ops.families import composite, elementwise, given
from graphc.ops.functions import exp, expm1, log, log1p, sigmoid, sinh, tanh
from graphc.ops.operands import axes_of, flag, operand
from graphc.ops.reduction import largest, restored, sum
from graphc.ops.shape import squeeze
from graphc.runtime import arrays, scalars

__all__ = ["log_sigmoid", "logaddexp", "norm", "softplus"]

# --- exponentials ------------------------------------------------------------------------------

exp_sum: Op = elementwise(
    "exp_sum", "exp(x) exp(y), of which neither factor overflows", operands="x y",
    commutative=True,
    numpy="exp_sum({x}, {y})", helpers=(arrays.exp_sum,),
    math="exp_sum({x}, {y})", plain=(scalars.exp_sum,), notation="exp({x} + {y})",
    rules=(lambda g, out, x, y: g * out, lambda g, out, x, y: g * out),
    symbolic=lambda sp, x, y: sp.exp(x + y), bounds=lambda x, y: NOT_NEGATIVE,
)  # fmt: skip


def _decay(x: Node, y: Node) -> Node:
    # Not exp(-abs(x - y)): what the difference rounds off is large in an exponent.
    return x.graph.hint(exp_sum(minimum(x, y), -maximum(x, y)), "decay")


def _share_body(x: Node, y: Node) -> Node:
    decay = _decay(x, y)
    result: Node = where(x < y, decay, 1.0) / (1.0 + decay)
    return result


share: Op = elementwise(
    "share", "exp(x) / (exp(x) + exp(y))", operands="x y",
    body=_share_body,
    rules=(
        lambda g, out, x, y: g * (out * share(y, x)),
        lambda g, out, x, y: -(g * (out * share(y, x))),
    ),
    symbolic=lambda sp, x, y: sp.exp(x) / (sp.exp(x) + sp.exp(y)),
    bounds=lambda x, y: Interval(0.0, 1.0),
)  # fmt: skip


def _saturation_body(x: Node, c: Node) -> Node:
    # Not share(x, log(c)): the logarithm is rounded, which is large in an exponent.
    own = x.graph.hint(exp(minimum(x, 0.0)), "own")
    result: Node = own / (c * exp(-maximum(x, 0.0)) + own)
    return result


saturation: Op = elementwise(
    "saturation", "exp(x) / (c + exp(x)) of c > 0", operands="x c",
    body=_saturation_body,
    rules=(
        lambda g, out, x, c: g * (out * saturation(-x, 1.0 / c)),
        lambda g, out, x, c: -(g * (out * saturation(-x, 1.0 / c) / c)),
    ),
    symbolic=lambda sp, x, c: sp.exp(x) / (c + sp.exp(x)), domain=((-2, 2), (0.5, 2)),
    finite=(None, POSITIVE),
    bounds=lambda x, c: Interval(0.0, 1.0) if c.low > 0 else EVERYWHERE,
)  # fmt: skip
sigmoid_slope: Op = elementwise(
    "sigmoid_slope", "sigmoid(x) (1 - sigmoid(x))",
    numpy="sigmoid_slope({x})", helpers=(arrays.sigmoid_slope,),
    math="sigmoid_slope({x})", plain=(scalars.sigmoid_slope,), notation="sigmoid'({x})",
    rules=(lambda g, y, x: -(g * (y * tanh(0.5 * x))),),
    symbolic=lambda sp, x: sp.exp(x) / (1 + sp.exp(x)) ** 2, bounds=lambda x: Interval(0.0, 0.25),
)  # fmt: skip
tanh_slope: Op = elementwise(
    "tanh_slope", "1 - tanh(x)²",
    numpy="tanh_slope({x})", helpers=(arrays.tanh_slope,),
    math="tanh_slope({x})", plain=(scalars.tanh_slope,), notation="tanh'({x})",
    rules=(lambda g, y, x: -2.0 * (g * (y * tanh(x))),),
    symbolic=lambda sp, x: 1 - sp.tanh(x) ** 2, bounds=lambda x: Interval(0.0, 1.0),
)  # fmt: skip

# --- logarithms of sums of exponentials --------------------------------------------------------

logaddexp = elementwise(
    "logaddexp", "log(exp(x) + exp(y)), of which no exponential overflows", operands="x y",
    ufunc="np.logaddexp", math="logaddexp({x}, {y})", plain=(scalars.logaddexp,), commutative=True,
    rules=(lambda g, out, x, y: g * share(x, y), lambda g, out, x, y: g * share(y, x)),
    symbolic=lambda sp, x, y: sp.log(sp.exp(x) + sp.exp(y)),
)  # fmt: skip
softplus = elementwise(
    "softplus", "log(1 + exp(x))",
    body=lambda x: relu(x) + log1p(exp(-abs(x))),
    rules=(lambda g, y, x: g * sigmoid(x),),
    symbolic=lambda sp, x: sp.log(1 + sp.exp(x)), bounds=lambda x: NOT_NEGATIVE,
)  # fmt: skip
log_share = elementwise(
    "log_share", "log(exp(x) / (exp(x) + exp(y)))", operands="x y",
    body=lambda x, y: minimum(x - y, 0.0) - log1p(_decay(x, y)),
    rules=(lambda g, out, x, y: g * share(y, x), lambda g, out, x, y: -(g * share(y, x))),
    symbolic=lambda sp, x, y: x - sp.log(sp.exp(x) + sp.exp(y)),
    bounds=lambda x, y: Interval(-math.inf, 0.0),
)  # fmt: skip
log_sigmoid = elementwise(
    "log_sigmoid", "log(1 / (1 + exp(-x)))",
    body=lambda x: minimum(x, 0.0) - log1p(exp(-abs(x))),
    rules=(lambda g, y, x: g * sigmoid(-x),),
    symbolic=lambda sp, x: -sp.log(1 + sp.exp(-x)),
    bounds=lambda x: Interval(-math.inf, 0.0),
)  # fmt: skip


def _sigmoid_cross_entropy_body(z: Node, t: Node) -> Node:
    # Not relu(z) - z t, in which what is left of a large z cancels.
    size = abs(z)
    return where(z > 0, 1.0 - t, t) * size + log1p(exp(-size))


sigmoid_cross_entropy = elementwise(
    "sigmoid_cross_entropy", "-(t log p + (1 - t) log(1 - p)) where p = sigmoid(z)",
    operands="z t",
    body=_sigmoid_cross_entropy_body,
    rules=(
        lambda g, y, z, t: g * (sigmoid(z) - t),
        lambda g, y, z, t: -(g * z),
    ),
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
    # Of x < 0; at 0 itself the denominator is 0, and not -0.
    rules=(lambda g, y, x: -(g * (exp(x) / abs(expm1(x)))),),
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

# --- x log x -----------------------------------------------------------------------------------


def _log_but_of_0(x: Node) -> Node:
    return log(where(x == 0, 1.0, x))


def _xlogx_slope(g: Node, y: Node, x: Node, z: Node, s: Node) -> Node:
    return g * (s * where(x == 0, -math.inf, _log_but_of_0(x) - z + 1.0))


# The scale is an operand, since s x may be in the range of floats where x log(x) is not.
xlogx = elementwise(
    "xlogx", "s x (log(x) - z), and 0 where x is 0", operands="x z s",
    body=lambda x, z, s: (s * x) * (_log_but_of_0(x) - z),
    rules=(
        _xlogx_slope,
        lambda g, y, x, z, s: -(g * (s * x)),
        lambda g, y, x, z, s: g * (x * (_log_but_of_0(x) - z)),
    ),
    symbolic=lambda sp, x, z, s: s * x * (sp.log(x) - z), domain=((0.5, 2), (-2, 2), (-2, 2)),
    finite=(POSITIVE, None, None),
)  # fmt: skip


def _log_of_quotient(x: Node, y: Node) -> Node:
    """log(x / y), and 0 where x is 0; of what is negative or NaN there is none."""
    return log(where((x == 0) & (y >= 0), 1.0, x / y))


def _rel_entr_slope(g: Node, out: Node, x: Node, y: Node) -> Node:
    return g * where(x == 0, -math.inf, _log_of_quotient(x, y) + 1.0)


rel_entr = elementwise(
    "rel_entr", "x log(x / y), and 0 where x is 0", operands="x y",
    body=lambda x, y: x * _log_of_quotient(x, y),
    rules=(_rel_entr_slope, lambda g, out, x, y: -(g * (x / y))),
    symbolic=lambda sp, x, y: x * sp.log(x / y), domain=((0.5, 2), (0.5, 2)),
    finite=(POSITIVE, POSITIVE),
)  # fmt: skip

# --- norms -------------------------------------------------------------------------------------


def _norm_body(x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    hint = x.graph.hint
    most = largest(abs(x), axes)
    scale = hint(where((most > 0) & isfinite(most), most, 1.0), "scale")
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
