"""From naive formulas to composites with stable bodies, before differentiation and after it.

Value and derivative stay what they are on paper; what changes is that they survive floating point.
Operands are in normal form before their user is looked at, so rules build on each other: the
quotient in `log(1 / (1 + exp(-x)))` is a sigmoid by the time the logarithm is met. What a rule
takes beside its plain form is spelled out by `either`, or by the function that looks at the
operands; sums and products match in any order.
"""

from __future__ import annotations

import math

from graphc.ir.intervals import interval_of, may_be_infinite
from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Pattern, Rule, call, calls, either, wilds
from graphc.ops.comparison import isfinite
from graphc.ops.elementwise import abs as size_of
from graphc.ops.elementwise import negative, where
from graphc.ops.elementwise import sqrt as root
from graphc.ops.functions import exp as exp_of
from graphc.ops.functions import hypot
from graphc.ops.functions import sigmoid as sigmoid_of
from graphc.ops.nn import logsumexp
from graphc.ops.nn import softmax as softmax_of
from graphc.ops.reduction import std, var
from graphc.ops.stable import exp_sum, norm, saturation, share
from graphc.passes.logarithms import LOGARITHMS
from graphc.passes.sums import (
    MAX_TERMS,
    difference,
    exponents,
    is_along,
    is_number,
    mean_of,
    plain,
    scaled_sum,
    squared,
    terms,
)

x, y, z, s = wilds("x y z s")
cos, exp, expm1, log, mean, sigmoid, sin, sqrt, square, sum, tanh = calls(
    "cos exp expm1 log mean sigmoid sin sqrt square sum tanh"
)


def squares(of: Pattern) -> Pattern:
    """The square of something, however it is written."""
    return either(square(of), of * of, of**2.0)


def roots(of: Pattern) -> Pattern:
    """The square root of something, however it is written."""
    return either(sqrt(of), of**0.5)


def negated(x: Node) -> Node:
    """-x, without two signs in a row."""
    return x.args[0] if x.op is negative else -x


# --- exponentials ------------------------------------------------------------------------------

_BESIDE_1 = 1.0 + exp(x)
_SUMMED = sum(exp(x))


def share_of_terms(node: Node, x: Node, y: Node, z: Node) -> Node | None:
    """exp(x) over a sum of two exponentials that it is one of."""
    found = exponents(node.args[1])
    others = [other for other in found if other is not x]
    if len(found) != 2 or len(others) != 1:
        return None
    numbers = [part for part in terms(node.args[1]) if is_number(part)]
    return saturation(x, numbers[0]) if numbers else share(x, others[0])


def share_of_sum(node: Node, x: Node) -> Node | None:
    """Over one axis a softmax; over several, or none to subtract a maximum on, by the logarithm."""
    total = plain(node.args[1])
    axes = total.params.axes
    if not is_along(node.args[1], x, axes):
        return None
    if not axes:
        return exp_sum(x, negated(x))
    return softmax_of(x, axes[0]) if len(axes) == 1 else exp_of(x - logsumexp(x, axes, True))


EXPONENTIALS = (
    # What is small has its digits rounded off beside 1.
    Rule("exp(x) - 1 = expm1(x)", either(exp(x) - 1.0, exp(x) + -1.0), expm1(x), STABILIZE),
    Rule("1 - exp(x) = -expm1(x)", 1.0 - exp(x), -expm1(x), STABILIZE),
    # One factor may be infinite where the other is 0.
    Rule("exp(x) * exp(y) = exp_sum(x, y)", exp(x) * exp(y), call("exp_sum", x, y), STABILIZE,
         when=lambda x, y: x is not y),
    Rule("exp(x) / exp(y) = exp_sum(x, -y)", exp(x) / exp(y),
         lambda node, x, y: exp_sum(x, negated(y)), STABILIZE),
    # Its derivative squares the exponential.
    Rule("1 / exp(x) = exp(-x)",
         either(1.0 / exp(x), call("reciprocal", exp(x)), exp(x)**-1.0),
         lambda node, x: exp_of(negated(x)), STABILIZE),
    # The derivative of 1 / (1 + exp(x)) is infinity over infinity from 355 (45) on.
    Rule("exp(x) / (1 + exp(x)) = sigmoid(x)", exp(x) / _BESIDE_1, sigmoid(x), STABILIZE),
    Rule("expm1(x) / (1 + exp(x)) = tanh(x / 2)", expm1(x) / _BESIDE_1, tanh(0.5 * x), STABILIZE),
    Rule("-expm1(x) / (1 + exp(x)) = -tanh(x / 2)", -expm1(x) / _BESIDE_1, -tanh(0.5 * x),
         STABILIZE),
    Rule("1 / (1 + exp(-x)) = sigmoid(x)",
         either(1.0 / _BESIDE_1, call("reciprocal", _BESIDE_1), _BESIDE_1**-1.0),
         lambda node, x: sigmoid_of(negated(x)), STABILIZE),
    Rule("y / (1 + exp(-x)) = y * sigmoid(x)", y / _BESIDE_1,
         lambda node, x, y: y * sigmoid_of(negated(x)), STABILIZE),
    Rule("(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = tanh(x)",
         (exp(x) - exp(-x)) / (exp(x) + exp(-x)), tanh(x), STABILIZE),
    Rule("2 * sigmoid(x) - 1 = tanh(x / 2)", 2.0 * sigmoid(x) - 1.0, tanh(0.5 * x), STABILIZE),
    Rule("exp(x) / (exp(x) + exp(y)) = share(x, y)", exp(x) / (y + z), share_of_terms,
         STABILIZE),
    Rule("(exp(x) + exp(-x)) / 2 = cosh(x)",
         either((exp(x) + exp(-x)) / 2.0, 0.5 * (exp(x) + exp(-x))), call("cosh", x), STABILIZE),
    Rule("(exp(x) - exp(-x)) / 2 = sinh(x)",
         either((exp(x) - exp(-x)) / 2.0, 0.5 * (exp(x) - exp(-x))), call("sinh", x), STABILIZE),
    # Infinity over infinity, or 0 over 0.
    Rule("exp(x) / sum(exp(x)) = softmax(x)",
         exp(x) / either(_SUMMED, *(call(view, _SUMMED)
                                    for view in ("expand_dims", "reshape", "broadcast_to"))),
         share_of_sum, STABILIZE),
)  # fmt: skip

# --- tails -------------------------------------------------------------------------------------

TAILS = (
    # Of what is all but 1 nothing is left after the subtraction.
    Rule("1 - sigmoid(x) = sigmoid(-x)", 1.0 - sigmoid(x),
         lambda node, x: sigmoid_of(negated(x)), STABILIZE),
    Rule("sigmoid(x) * (1 - sigmoid(x)) = sigmoid_slope(x)", sigmoid(x) * sigmoid(-x),
         call("sigmoid_slope", x), STABILIZE),
    Rule("1 - tanh(x) ** 2 = tanh_slope(x)", 1.0 - squares(tanh(x)), call("tanh_slope", x),
         STABILIZE),
)  # fmt: skip

# --- squares and roots -------------------------------------------------------------------------


def norm_of_squares(node: Node, x: Node, y: Node | None = None) -> Node | None:
    """A square overflows, or vanishes, long before the root of their sum does."""
    total = scaled_sum(node.args[0])
    found = squared(total.term) if total is not None and total.weight is None else None
    if total is None or found is None:
        return None
    result = norm(found, total.axes, total.keepdims) if total.axes else size_of(found)
    return result if total.scale is None else root(total.scale) * result


def hypot_of_terms(node: Node, x: Node, y: Node) -> Node | None:
    """The same of a few squares, added one by one."""
    found = [squared(term) for term in terms(node.args[0])]
    if not 2 <= len(found) <= MAX_TERMS or any(term is None for term in found):
        return None
    first, *rest = found
    for other in rest:
        first = hypot(first, other)
    return first


def own_root(node: Node, x: Node) -> Node:
    """The derivative goes through infinity times 0 at 0; of what is negative there is no root."""
    return x if interval_of(x).low >= 0 else where(x >= 0, x, math.nan)


def variance_of_centred(node: Node, x: Node, y: Node) -> Node | None:
    """Already in two passes; as one value its root has a derivative where it is 0."""
    axes, keepdims = node.params
    found = mean_of(y)
    if found is None or found[0] is not x or found[1] != axes or not is_along(y, x, axes):
        return None
    return var(x, axes, keepdims) if axes else None


def variance_in_one_pass(node: Node, x: Node, y: Node) -> Node | None:
    """Two large numbers whose difference has no digit left, or is negative."""
    first, second = mean_of(x), mean_of(y)
    if first is None or second is None or first[1] != second[1] or not first[1]:
        return None
    if squared(first[0]) is not second[0]:
        return None
    kept = node.ndim == second[0].ndim
    result = var(second[0], first[1], kept)
    return result if result.type == node.type else None


def difference_of_roots(node: Node, x: Node, y: Node) -> Node | None:
    """Roots of neighbours have the same leading digits; their sum keeps all."""
    step = difference(x, y)
    return None if step is None else step / (root(x) + root(y))


ROOTS = (
    Rule("sqrt(x * x) = |x|", roots(squares(x)), call("abs", x), STABILIZE),
    Rule("sqrt(var(x)) = std(x)", roots(call("var", x)),
         lambda node, x: std(x, *node.args[0].params), STABILIZE),
    Rule("sqrt(sum(x * x)) = norm(x)", roots(either(sum(x), mean(x), x * y, x / y)),
         norm_of_squares, STABILIZE),
    Rule("sqrt(x @ x) = norm(x)", roots(call("matmul", x, x)),
         lambda node, x: norm(x, (0,)) if x.ndim == 1 else None, STABILIZE),
    Rule("sqrt(x * x + y * y) = hypot(x, y)", roots(x + y), hypot_of_terms, STABILIZE),
    Rule("sqrt(x) ** 2 = x", squares(sqrt(x)), own_root, STABILIZE),
    Rule("mean((x - mean(x)) ** 2) = var(x)", mean(squares(x - y)), variance_of_centred, STABILIZE),
    Rule("mean(x ** 2) - mean(x) ** 2 = var(x)", x - squares(y), variance_in_one_pass, STABILIZE),
    Rule("sqrt(x + s) - sqrt(x) = s / (sqrt(x + s) + sqrt(x))", sqrt(x) - sqrt(y),
         difference_of_roots, STABILIZE),
    Rule("1 - cos(x) = 2 * sin(x / 2) ** 2", 1.0 - cos(x), 2.0 * square(sin(0.5 * x)), STABILIZE),
    Rule("cos(x) - 1 = -2 * sin(x / 2) ** 2", either(cos(x) - 1.0, cos(x) + -1.0),
         -2.0 * square(sin(0.5 * x)), STABILIZE),
)  # fmt: skip

# --- zeros -------------------------------------------------------------------------------------


def chosen(node: Node, x: Node, y: Node) -> Node | None:
    """Infinity times False is no zero: it matters if x can be infinite where it is masked out."""
    return where(y, x, 0.0) if may_be_infinite(x, unless=(y,)) else None


ZEROS = (
    # Wherever x / x is a number it is 1, and so it is at 0.
    Rule("x / x = 1", x / x,
         lambda node, x: where(isfinite(x), node.graph.constant(1.0, x.dtype), math.nan),
         STABILIZE),
    # 0 times the logarithm of 0.
    Rule("x * log(x) = xlogx(x)", x * log(x), call("xlogx", x, 0.0, 1.0), STABILIZE),
    Rule("s * x * log(x) = xlogx(x, 0, s)", (s * x) * log(x), call("xlogx", x, 0.0, s), STABILIZE),
    Rule("-x * log(x) = -xlogx(x)", -x * log(x), -call("xlogx", x, 0.0, 1.0), STABILIZE),
    Rule("x * (log(x) - y) = xlogx(x, y)", x * (log(x) - y), call("xlogx", x, y, 1.0), STABILIZE),
    Rule("x * log(x / y) = rel_entr(x, y)", x * log(x / y), call("rel_entr", x, y), STABILIZE),
    Rule("mask(x, y) = where(y, x, 0)", call("mask", x, y), chosen, STABILIZE),
)  # fmt: skip

STABILIZE_RULES = (*LOGARITHMS, *EXPONENTIALS, *TAILS, *ROOTS, *ZEROS)
