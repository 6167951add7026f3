"""Activation functions. Beyond every bound derivatives are PyTorch's; at corners `kinks` decides.

In a rule, g is a cotangent or a tangent, y the result, the rest the operands; the rule is
g times ∂y/∂operand. Infinities have the limits as their values: x f(x) is written with an x that is
bounded where f(x) is 0 in every float dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import GraphcError, ShapeError, suggest
from graphc.ir.graph import scalar_value
from graphc.ir.intervals import Interval, joined
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ops.comparison import greater, greater_equal
from graphc.ops.elementwise import abs, clip, mask, maximum, minimum, relu, square, where
from graphc.ops.families import FEW, Kinked, Rule, composite, elementwise
from graphc.ops.functions import erfc, exp, expm1, sigmoid, tanh
from graphc.ops.operands import axis_of, is_same, number, operand, operands
from graphc.ops.reduction import max
from graphc.ops.shape import reshape
from graphc.ops.stable import softplus

__all__ = [
    "celu", "elu", "gelu", "hard_sigmoid", "hard_swish", "hardtanh", "maxout", "mish", "prelu",
    "relu6", "selu", "shifted_relu", "silu", "softsign", "threshold",
]  # fmt: skip


def _everywhere(text: str) -> dict[str, str]:
    """What all conventions say."""
    return dict.fromkeys(("torch", "jax", "textbook"), text)


# --- exponential below 0 -----------------------------------------------------------------------


def _decay(x: Node) -> Node:
    """exp(x) where x < 0, else 1."""
    return exp(minimum(x, 0.0))


def _elu_slope(linear: Callable[..., Node]) -> Rule:
    """The slope of elu, which is 1 where x is in the linear part."""

    def rule(g: Node, y: Node, x: Node, alpha: Node) -> Node:
        if scalar_value(alpha) == 1:
            return g * _decay(x)
        return g * (alpha * _decay(x) + mask(1.0 - alpha, linear(x, 0.0)))

    return rule


elu = elementwise(
    "elu", "x where x > 0, else alpha (exp(x) - 1)",
    operands="x alpha",
    body=lambda x, alpha: relu(x) + alpha * expm1(minimum(x, 0.0)),
    rules=(
        Kinked(
            torch=_elu_slope(greater), jax=_elu_slope(greater), textbook=_elu_slope(greater_equal)
        ),
        lambda g, y, x, alpha: g * expm1(minimum(x, 0.0)),
    ),
    kink={"torch": "elu'(0) = alpha", "jax": "elu'(0) = alpha", "textbook": "elu'(0) = 1"},
    symbolic=lambda sp, x, a: sp.Piecewise((x, x > 0), (a * (sp.exp(x) - 1), True)),
    call=lambda op, x, alpha=1.0: op.node(operands(x, alpha, floating=True)), layouts=FEW,
)  # fmt: skip


def _celu_scale_slope(g: Node, y: Node, x: Node, alpha: Node) -> Node:
    ratio = minimum(x, 0.0) / alpha
    return g * (expm1(ratio) - ratio * exp(ratio))


celu = elementwise(
    "celu", "x where x > 0, else alpha (exp(x / alpha) - 1)", operands="x alpha",
    body=lambda x, alpha: relu(x) + alpha * expm1(minimum(x, 0.0) / alpha),
    rules=(lambda g, y, x, alpha: g * exp(minimum(x, 0.0) / alpha), _celu_scale_slope),
    symbolic=lambda sp, x, a: sp.Piecewise((x, x > 0), (a * (sp.exp(x / a) - 1), True)),
    call=lambda op, x, alpha=1.0: op.node(operands(x, alpha, floating=True)),
    domain=((-2, 2), (0.5, 2)), layouts=FEW,
)  # fmt: skip

# Klambauer et al., "Self-Normalizing Neural Networks", 2017.
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _selu_slope(x: Node) -> Node:
    steep = _SELU_SCALE * _SELU_ALPHA
    return steep * _decay(x) + mask(_SELU_SCALE - steep, x > 0)


selu = elementwise(
    "selu", "1.0507 x where x > 0, else 1.7581 (exp(x) - 1); its derivative at 0 is 1.7581",
    body=lambda x: (
        _SELU_SCALE * relu(x) + _SELU_SCALE * _SELU_ALPHA * expm1(minimum(x, 0.0))
    ),
    rules=(
        lambda g, y, x: g * _selu_slope(x),
    ),
    symbolic=lambda sp, x: _SELU_SCALE * sp.Piecewise(
        (x, x > 0), (_SELU_ALPHA * (sp.exp(x) - 1), True)
    ),
    layouts=FEW,
)  # fmt: skip

# --- lines -------------------------------------------------------------------------------------


def _prelu_call(op: Op, x: Any, slope: Any) -> Node:
    x, slope = operands(x, slope, floating=True)
    if slope.ndim == 0 or slope.shape == (1,):
        return op.node((x, slope))
    if slope.ndim != 1 or x.ndim < 2 or not is_same(slope.shape[0], x.shape[1]):
        told = ", ".join(node.graph.describe(node, site=True) for node in (x, slope))
        raise ShapeError(f"prelu expects one slope, or one for each channel (axis 1 of x): {told}")
    if x.ndim > 2:
        slope = reshape(slope, (slope.shape[0], *[1] * (x.ndim - 2)))
    return op.node((x, slope))


prelu = elementwise(
    "prelu", "x where x > 0, else slope * x; one slope, or one for each channel (axis 1)",
    operands="x slope",
    body=lambda x, slope: relu(x) + slope * minimum(x, 0.0),
    rules=(
        Kinked(
            torch=lambda g, y, x, slope: g * (slope + mask(1.0 - slope, x > 0)),
            jax=lambda g, y, x, slope: g * (slope + mask(1.0 - slope, x >= 0)),
            textbook=lambda g, y, x, slope: g * (slope + mask(1.0 - slope, x >= 0)),
        ),
        lambda g, y, x, slope: g * minimum(x, 0.0),
    ),
    kink={"torch": "prelu'(0) = slope", "jax": "prelu'(0) = 1", "textbook": "prelu'(0) = 1"},
    call=_prelu_call,
    samples=(
        lambda rng: ((rng.normal(size=(2, 3)), rng.normal(size=3)), {}),
        lambda rng: ((rng.normal(size=(2, 3, 2)), rng.normal(size=3)), {}),
        lambda rng: ((rng.normal(size=4), rng.normal(size=())), {}),
    ),
)  # fmt: skip
shifted_relu = elementwise(
    "shifted_relu", "max(x, shift)", operands="x shift",
    body=lambda x, shift: maximum(x, shift),
    rules=(
        Kinked(
            torch=lambda g, y, x, shift: mask(g, x > shift),
            jax=lambda g, y, x, shift: mask(g, x > shift),
            textbook=lambda g, y, x, shift: mask(g, x >= shift),
        ),
        Kinked(
            torch=lambda g, y, x, shift: mask(g, x <= shift),
            jax=lambda g, y, x, shift: mask(g, x <= shift),
            textbook=lambda g, y, x, shift: mask(g, x < shift),
        ),
    ),
    kink={
        "torch": "shifted_relu'(shift) = 0", "jax": "shifted_relu'(shift) = 0",
        "textbook": "shifted_relu'(shift) = 1",
    },
    symbolic=lambda sp, x, shift: sp.Max(x, shift), domain=((-2, 0), (0, 2)),
    call=lambda op, x, shift=-1.0: op.node(operands(x, shift, floating=True)),
    selects=(lambda x, shift: x > shift, lambda x, shift: x <= shift), compares=True,
    bounds=lambda x, shift: Interval(shift.low, joined(x, shift).high), layouts=FEW,
)  # fmt: skip
hardtanh = elementwise(
    "hardtanh", "x limited to low..high, with derivative 0 at both",
    operands="x low high",
    body=lambda x, low, high: clip(x, low, high),
    rules=(
        lambda g, y, x, low, high: mask(g, (x > low) & (x < high)),
        lambda g, y, x, low, high: mask(g, x <= low),
        lambda g, y, x, low, high: mask(g, x >= high),
    ),
    kink=_everywhere("hardtanh at its bounds: 0"),
    symbolic=lambda sp, x, low, high: sp.Min(sp.Max(x, low), high),
    call=lambda op, x, low=-1.0, high=1.0: op.node(operands(x, low, high, floating=True)),
    selects=(
        lambda x, low, high: (x > low) & (x < high),
        lambda x, low, high: x <= low,
        lambda x, low, high: x >= high,
    ),
    compares=True, bounds=lambda x, low, high: Interval(low.low, high.high),
    domain=((-2, 2), (-1, -0.5), (0.5, 1)), layouts=FEW,
)  # fmt: skip


@function
def relu6(x: Any) -> Node:
    """x limited to 0..6, with derivative 0 at both."""
    return hardtanh(x, 0.0, 6.0)


def _three_up(x: Node) -> Node:
    """6 times hard_sigmoid(x)."""
    return hardtanh(x + 3.0, 0.0, 6.0)


def _hard_swish_slope(g: Node, y: Node, x: Node) -> Node:
    ramp = clip(x, -3.0, 3.0) / 3.0 + 0.5
    return g * (mask(ramp, x > -3.0) - mask(0.5, x >= 3.0))


hard_sigmoid = composite(
    "hard_sigmoid", "x / 6 + 1/2 limited to 0..1, with derivative 0 at both",
    body=lambda x: _three_up(x) / 6.0,
    call=lambda op, x: op.node(operands(x, floating=True)),
    bounds=lambda node, x: Interval(0.0, 1.0),
    samples=(lambda rng: ((4 * rng.normal(size=(2, 3)),), {}),),
)  # fmt: skip
hard_swish = elementwise(
    "hard_swish", "x hard_sigmoid(x), with derivative 0 at -3 and 1 at 3",
    body=lambda x: maximum(x, -3.0) * _three_up(x) / 6.0, rules=(_hard_swish_slope,),
    kink=_everywhere("hard_swish: 0 at -3, 1 at 3"),
    symbolic=lambda sp, x: x * sp.Min(sp.Max(x + 3, 0), 6) / 6, domain=((-4, 4),), layouts=FEW,
)  # fmt: skip
threshold = composite(
    "threshold", "x where x > limit, else value", parameters=("limit", "value"),
    body=lambda x, limit, value: where(x > limit, x, value),
    call=lambda op, x, limit, value: op.node(
        operands(x, floating=True), number("threshold", "limit", limit),
        number("threshold", "value", value),
    ),
    samples=(lambda rng: ((rng.normal(size=(2, 3)),), {"limit": 0.1, "value": 2.0}),),
)  # fmt: skip

# --- x times what lies between 0 and 1 ---------------------------------------------------------

_FAR = 1000.0  # sigmoid(-1000) is 0, and so is what it multiplies


def _silu_slope(g: Node, y: Node, x: Node) -> Node:
    near, own = clip(x, -_FAR, _FAR), sigmoid(x)
    return g * (own * (1.0 + (near - near * own)))


silu = elementwise(
    "silu", "x sigmoid(x)",
    body=lambda x: maximum(x, -_FAR) * sigmoid(x), rules=(_silu_slope,),
    symbolic=lambda sp, x: x / (1 + sp.exp(-x)), layouts=FEW,
)  # fmt: skip


def _mish_slope(g: Node, y: Node, x: Node) -> Node:
    own = tanh(softplus(x))
    return g * (own + clip(x, -_FAR, _FAR) * sigmoid(x) * ((1.0 + own) * (1.0 - own)))


mish = elementwise(
    "mish", "x tanh(softplus(x))",
    body=lambda x: maximum(x, -_FAR) * tanh(softplus(x)), rules=(_mish_slope,),
    symbolic=lambda sp, x: x * sp.tanh(sp.log(1 + sp.exp(x))), layouts=FEW,
)  # fmt: skip

_TAIL = 40.0  # exp(-40²/2) is 0


def _gelu_share(x: Node) -> Node:
    """Twice the probability that a normal variable is below x."""
    return erfc(-math.sqrt(0.5) * x)


def _gelu_slope(g: Node, y: Node, x: Node) -> Node:
    near = clip(x, -_TAIL, _TAIL)
    density = exp(-0.5 * square(near)) / math.sqrt(2.0 * math.pi)
    return g * (0.5 * _gelu_share(x) + near * density)


# Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
_LINEAR = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715 * _LINEAR


def _gelu_tanh(x: Node) -> tuple[Node, Node]:
    """x near 0, and 1 + tanh of its polynomial."""
    near = x.graph.hint(clip(x, -_TAIL, _TAIL), "near")
    return near, 1.0 + tanh(near * (_LINEAR + _CUBIC * square(near)))


def _gelu_tanh_slope(g: Node, y: Node, x: Node) -> Node:
    near, share = _gelu_tanh(x)
    inner = near * (_LINEAR + 3.0 * _CUBIC * square(near))
    return g * (0.5 * share * (1.0 + inner * (2.0 - share)))


def _gelu_call(op: Op, x: Any, approximate: str = "none") -> Node:
    (x,) = operands(x, floating=True)
    if approximate not in ("none", "tanh"):
        raise GraphcError(
            f"gelu: approximate is 'none' or 'tanh', got {approximate!r}",
            hint=suggest(str(approximate), ("none", "tanh")),
        )
    return (op if approximate == "none" else gelu_tanh).node((x,))


gelu = elementwise(
    "gelu", "x (1 + erf(x / √2)) / 2; approximate='tanh' has a tanh in place of erf",
    body=lambda x: 0.5 * maximum(x, -_TAIL) * _gelu_share(x), rules=(_gelu_slope,),
    symbolic=lambda sp, x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2, call=_gelu_call, layouts=FEW,
)  # fmt: skip
gelu_tanh = elementwise(
    "gelu_tanh", "x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2 (gc.gelu(x, approximate='tanh'))",
    body=lambda x: 0.5 * maximum(x, -_TAIL) * _gelu_tanh(x)[1], rules=(_gelu_tanh_slope,),
    symbolic=lambda sp, x: (
        x * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (x + sp.Rational(44715, 1000000) * x**3))) / 2
    ),
    layouts=FEW,
)  # fmt: skip

# --- others ------------------------------------------------------------------------------------


def _softsign_body(x: Node) -> Node:
    most = float(np.finfo(x.dtype.numpy).max)
    finite = clip(x, -most, most)
    return finite / (1.0 + abs(finite))


softsign = elementwise(
    "softsign", "x / (1 + |x|)",
    body=_softsign_body, rules=(lambda g, y, x: g * square(1.0 / (1.0 + abs(x))),),
    symbolic=lambda sp, x: x / (1 + sp.Abs(x)), domain=((0.5, 2),),
    bounds=lambda x: Interval(-1.0, 1.0), layouts=FEW,
)  # fmt: skip


def _maxout_call(op: Op, x: Any, pieces: Any, axis: Any = -1) -> Node:
    x = operand(x, floating=True)
    place = axis_of("maxout", axis, x)
    size, told = x.shape[place], x.graph.describe(x, site=True)
    if not isinstance(pieces, int) or isinstance(pieces, bool) or pieces < 1:
        raise GraphcError(f"maxout: pieces is an int of at least 1, got {pieces!r}")
    if isinstance(size, int) and size % pieces:
        raise ShapeError(f"maxout: {pieces} pieces do not divide axis {axis} of {told}")
    return op.node((x,), pieces, place)


def _maxout_body(x: Node, pieces: int, axis: int) -> Node:
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    return max(reshape(x, (*before, x.shape[axis] // pieces, pieces, *after)), axis + 1)


maxout = composite(
    "maxout", "the largest of each group of so many neighbours along an axis",
    parameters=("pieces", "axis"), body=_maxout_body, call=_maxout_call,
    samples=(
        lambda rng: ((rng.normal(size=(2, 6)), 3), {}),
        lambda rng: ((rng.normal(size=(4, 3)),), {"pieces": 2, "axis": 0}),
    ),
)  # fmt: skip
