"""Rules for logarithms of what overflows, vanishes or rounds off before they are taken."""

from __future__ import annotations

import math
from functools import cache, reduce

from graphc.ir.graph import scalar_value
from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Rule, Table, call, calls, compile_rules, either, wilds
from graphc.ir.types import FLOAT, DType
from graphc.ops.elementwise import abs, add, maximum, stop_gradient
from graphc.ops.functions import log as log_of
from graphc.ops.labels import cross_entropy
from graphc.ops.nn import finite, log_softmax, logsumexp, weighed, weighted_logsumexp
from graphc.ops.operands import cast
from graphc.ops.shape import broadcast_to
from graphc.ops.stable import exp_sum, logaddexp, softplus
from graphc.passes.sums import (
    is_along,
    is_maximum,
    leaves_cast,
    plain,
    weighted_exponential,
    weighted_exponents,
    without_maximum,
)

x, y, z, s, t = wilds("x y z s t")
cosh, exp, expm1, log, log1p, log_sigmoid, mean, sigmoid, softmax, sqrt, square, sum = calls(
    "cosh exp expm1 log log1p log_sigmoid mean sigmoid softmax sqrt square sum"
)

# --- of a sum that is written out --------------------------------------------------------------


def log_of_terms(node: Node, x: Node, y: Node) -> Node | None:
    """The largest exponential decides; a number above 0 is one too."""
    found = weighted_exponents(node.args[0])
    if found is None:
        return None
    exponents = [x if weight is None else weighed(x, weight) for x, weight in found]
    if len(found) == 2 and all(weight is None for _, weight in found):
        first, second = exponents
        return softplus(second) if scalar_value(first) == 0 else logaddexp(first, second)
    # Not exp(x - shift): what the difference rounds off is large in an exponent.
    shift = stop_gradient(finite(reduce(maximum, exponents)))
    parts = [exp_sum(exponent, -shift) for exponent in exponents]
    scaled = [p if w is None else w * p for p, (_, w) in zip(parts, found, strict=True)]
    return shift + log_of(reduce(add, scaled))


TERMS = (
    # exp(x) is infinite above 709 (88 in float32), and is lost beside 1 below -37 (-17).
    Rule("log(1 + exp(x)) = softplus(x)",
         either(log(1.0 + exp(x)), log1p(exp(x))), call("softplus", x), STABILIZE),
    Rule("log(exp(x) + exp(y)) = logaddexp(x, y)", log(x + y), log_of_terms, STABILIZE),
    # 1 - exp(x) is 0 for small x, and exp(x) is lost beside 1 for large ones.
    Rule("log(1 - exp(x)) = log1mexp(x)",
         either(log(-expm1(x)), log1p(-exp(x))), call("log1mexp", x), STABILIZE),
    Rule("log(cosh(x)) = log_cosh(x)", log(cosh(x)), call("log_cosh", x), STABILIZE),
    Rule("log(1 + x) = log1p(x)", log(1.0 + x), log1p(x), STABILIZE),
    Rule("log(1 - x) = log1p(-x)", log(1.0 - x), log1p(-x), STABILIZE),
)  # fmt: skip

# --- of a sum over axes ------------------------------------------------------------------------


def log_of_sum(node: Node, x: Node) -> Node | None:
    """exp(x) overflows long before the result does."""
    found = weighted_exponential(node.args[0])
    if found is None or found.factor is not None:
        return None
    return logsumexp(found.term, found.axes, found.keepdims)


def log_of_weighted_sum(node: Node, x: Node, y: Node | None = None) -> Node | None:
    """Scale and weights go under the sum of the shifted exponentials, so that nothing cancels."""
    found = weighted_exponential(node.args[0])
    if found is None or found.factor is None:
        return None
    return weighted_logsumexp(found.term, found.factor, found.axes, found.keepdims)


def own_logsumexp(node: Node, x: Node) -> Node | None:
    """By hand each has the rounding of a large logsumexp."""
    total = node.args[1]
    axes = plain(total).params.axes
    return log_softmax(x, axes[0]) if len(axes) == 1 and is_along(total, x, axes) else None


def unshifted_logsumexp(node: Node, x: Node, y: Node) -> Node | None:
    """The maximum that was subtracted by hand and added again: the composite does it itself."""
    first, second = node.args
    total = first if first.op is logsumexp else second
    if x is not second and x is not first:
        return None
    u = without_maximum(y, total.params.axes)
    if u is None or not is_maximum(x, u, total.params.axes):
        return None
    result = logsumexp(u, *total.params)
    return result if result.type == node.type else None


def unshifted(node: Node, x: Node, y: Node) -> Node | None:
    """The same of what the maximum was subtracted from."""
    u = without_maximum(node.args[0], (node.params.axis,))
    return None if u is None else node.op.node((u,), node.params.axis)


_TOTAL = call("logsumexp", x)
SUMS = (
    Rule("log(softmax(x)) = log_softmax(x)", log(softmax(x)),
         lambda node, x: log_softmax(x, node.args[0].params.axis), STABILIZE),
    Rule("log(sum(exp(x))) = logsumexp(x)", log(sum(x)), log_of_sum, STABILIZE),
    Rule("log(s * sum(t * exp(x))) = weighted_logsumexp(x, s * t)",
         either(log(sum(x)), log(mean(x)), log(x * y), log(x / y)), log_of_weighted_sum, STABILIZE),
    Rule("x - logsumexp(x) = log_softmax(x)",
         x - either(_TOTAL, *(call(view, _TOTAL)
                              for view in ("expand_dims", "reshape", "broadcast_to"))),
         own_logsumexp, STABILIZE),
    Rule("max(x) + logsumexp(x - max(x)) = logsumexp(x)", x + call("logsumexp", y),
         unshifted_logsumexp, STABILIZE),
    Rule("softmax(x - max(x)) = softmax(x)", softmax(x - y), unshifted, STABILIZE),
    Rule("log_softmax(x - max(x)) = log_softmax(x)", call("log_softmax", x - y), unshifted,
         STABILIZE),
)  # fmt: skip

# --- of products and powers --------------------------------------------------------------------

INVERSES = ("exp", "exp_sum", "sigmoid", "softmax")  # whose logarithm takes them back


def has_inverse(node: Node) -> bool:
    """Whether a value, views aside, is one whose logarithm takes it back."""
    while node.op.emission.view:
        node = node.args[0]
    return node.op.name in INVERSES


def log_of_factors(node: Node, x: Node, y: Node) -> Node | None:
    """What is 0 or infinite by itself only has a large logarithm."""
    if not any(has_inverse(part) for part in (x, y)):
        return None
    return log_of(x) + log_of(y) if node.args[0].op.name == "multiply" else log_of(x) - log_of(y)


def log_of_power(node: Node, x: Node, s: Node) -> Node | None:
    """A power leaves the range of floats k times as early as its base."""
    power = scalar_value(s)
    if power is None or power == 0 or not math.isfinite(power):
        return None
    return s * log_of(abs(x) if power % 2 == 0 else x)


FACTORS = (
    Rule("log(exp(x)) = x", log(exp(x)), x, STABILIZE),
    Rule("log(exp(x) * exp(y)) = x + y", log(call("exp_sum", x, y)), x + y, STABILIZE),
    Rule("log(sigmoid(x)) = log_sigmoid(x)", log(sigmoid(x)), log_sigmoid(x), STABILIZE),
    Rule("log(share(x, y)) = log_share(x, y)", log(call("share", x, y)), call("log_share", x, y),
         STABILIZE),
    Rule("log(saturation(x, y)) = log_sigmoid(x - log(y))", log(call("saturation", x, y)),
         log_sigmoid(x - log(y)), STABILIZE),
    Rule("log(x * y) = log(x) + log(y)", either(log(x * y), log(x / y)), log_of_factors, STABILIZE),
    Rule("log(x ** s) = s * log(x)", log(x**s), log_of_power, STABILIZE),
    Rule("log(x * x) = 2 * log(|x|)", either(log(square(x)), log(x * x)),
         2.0 * log(call("abs", x)), STABILIZE),
    Rule("log(sqrt(x)) = 0.5 * log(x)", log(sqrt(x)), 0.5 * log(x), STABILIZE),
    Rule("log(1 / x) = -log(x)", either(log(1.0 / x), log(call("reciprocal", x))), -log(x),
         STABILIZE),
)  # fmt: skip

# --- with a view or a cast between -------------------------------------------------------------


@cache
def composed() -> Table:
    """The rules for a logarithm, also of a view of a view."""
    return compile_rules((*TERMS, *SUMS, *FACTORS, *BETWEEN))


def has_rule(node: Node) -> bool:
    """Whether one of the rules fires on a node."""
    return any(variant.apply(node, {}) is not None for variant in composed().candidates(node))


def log_of_view(node: Node, x: Node) -> Node | None:
    """Which element stands where makes no difference to a logarithm."""
    view = node.args[0]
    if view.op.name in CHOOSING and not reads_all(x):
        inside = log_of(taken(view, x))
        return inside if inside is not node and has_rule(inside) else None
    inside = log_of(x)
    return view.graph.rebuild(view, (inside, *view.args[1:])) if has_rule(inside) else None


CHOOSING = ("getitem", "pick")  # views that leave elements out


def reads_all(x: Node) -> bool:
    """Whether the logarithm is finite for every element, or is not made of elements one by one.

    Of an element that is left out the logarithm may be infinite, and so may its slope: what is left
    out of `log((x * x)[0])` may be 0.
    """
    while x.op.emission.view or x.op.name == "astype":
        x = x.args[0]
    return x.op.name in INVERSES or x.op.family != "elementwise"


def taken(view: Node, x: Node, depth: int = 2) -> Node:
    """The view of f(a, b) as f of views, which computes no element that is left out."""
    if x.op.family != "elementwise" or not depth:
        return view.graph.rebuild(view, (x, *view.args[1:]))
    spread = [a if a.shape in ((), x.shape) else broadcast_to(a, x.shape) for a in x.args]
    args = [taken(view, arg, depth - 1) if arg.shape else arg for arg in spread]
    return x.graph.rebuild(x, tuple(args))


def widened(node: Node, dtype: DType) -> Node:
    """A value in a wider dtype, where a number stays one that rules see."""
    value = scalar_value(node)
    return cast(node, dtype) if value is None else node.graph.constant(value, dtype)


def log_of_cast(node: Node, x: Node) -> Node | None:
    """What overflows in the narrow dtype is computed in the wide one, before or after the cast."""
    if x.dtype.kind != FLOAT:
        return None
    if node.dtype.itemsize <= x.dtype.itemsize:
        return cast(log_of(x), node.dtype) if has_rule(log_of(x)) else None
    wide = log_of(leaves_cast(x, lambda leaf: widened(leaf, node.dtype)))
    return wide if wide is not node and has_rule(wide) else None


BETWEEN = (
    *(Rule(f"log({view}(x)) = {view}(log(x))", log(call(view, x)), log_of_view, STABILIZE)
      for view in ("reshape", "expand_dims", "squeeze", "permute_dims", "broadcast_to", "getitem")),
    Rule("log(pick(x, y)) = pick(log(x), y)", log(call("pick", x, y)),
         lambda node, x, y: log_of_view(node, x), STABILIZE),
    Rule("log(cast(x)) = cast(log(x))", log(call("astype", x)), log_of_cast, STABILIZE),
)  # fmt: skip

# --- losses ------------------------------------------------------------------------------------


def mean_cross_entropy(node: Node, x: Node, y: Node) -> Node | None:
    """With its own derivative, softmax - one_hot, which needs no sum of cotangents."""
    picked = plain_pick(node)
    logits = picked.args[0]
    last = logits.ndim - 1
    if logits.params.axis != last or node.shape or mean_axes(node) != tuple(range(last)):
        return None
    return cross_entropy(logits.args[0], y)


def plain_pick(node: Node) -> Node:
    """The pick inside of a negated mean."""
    while node.op.name != "pick":
        node = node.args[0]
    return node


def mean_axes(node: Node) -> tuple[int, ...]:
    """The axes of the mean in it."""
    while node.op.name != "mean":
        node = node.args[0]
    axes: tuple[int, ...] = node.params.axes
    return axes


_PICKED = call("pick", call("log_softmax", x), y)
_OWN, _OTHER = log_sigmoid(z), log_sigmoid(-z)
LOSSES = (
    Rule("-mean(pick(log_softmax(x), y)) = cross_entropy(x, y)",
         either(-mean(_PICKED), mean(-_PICKED)), mean_cross_entropy, STABILIZE),
    Rule("t * log_sigmoid(z) + (1 - t) * log_sigmoid(-z) = -sigmoid_cross_entropy(z, t)",
         t * _OWN + (1.0 - t) * _OTHER, -call("sigmoid_cross_entropy", z, t), STABILIZE),
    Rule("-t * log_sigmoid(z) - (1 - t) * log_sigmoid(-z) = sigmoid_cross_entropy(z, t)",
         either(-t * _OWN - (1.0 - t) * _OTHER, -(t * _OWN) - (1.0 - t) * _OTHER),
         call("sigmoid_cross_entropy", z, t), STABILIZE),
    Rule("bce(sigmoid(z), t) = sigmoid_cross_entropy(z, t)", call("bce", sigmoid(z), t),
         call("sigmoid_cross_entropy", z, t), STABILIZE),
)  # fmt: skip

LOGARITHMS = (*FACTORS[:1], *TERMS, *SUMS, *FACTORS[1:], *BETWEEN, *LOSSES)
