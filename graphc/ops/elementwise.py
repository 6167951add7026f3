"""Elementwise arithmetic: name left, formula right.

In a rule, g is a cotangent or a tangent, y the result, the rest the operands; the rule is
g times ∂y/∂operand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.emission import Emission
from graphc.ir.graph import CONSTANT
from graphc.ir.intervals import (
    NOT_NEGATIVE,
    NOT_ZERO,
    POSITIVE,
    ZERO,
    Interval,
    added,
    increasing,
    inverted,
    joined,
    multiplied,
    negated,
    squared,
)
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import BOOL, FLOAT
from graphc.ops.comparison import isnan
from graphc.ops.families import Kinked, composite, elementwise, given, unary_call
from graphc.ops.operands import number, operand, operands
from graphc.runtime import scalars

__all__ = [
    "abs", "add", "clip", "divide", "leaky_relu", "mask", "maximum", "minimum", "multiply",
    "nan_to_num", "negative", "positive", "reciprocal", "relu", "sign", "sqrt", "square",
    "stop_gradient", "subtract", "where",
]  # fmt: skip

# --- arithmetic --------------------------------------------------------------------------------


def _product(node: Node) -> str:
    """`x ⊙ y` of arrays; one with a number, which stands first, a constant before all; `x²`."""
    x, y = node.args
    if x is y:
        return "{x}²"
    if x.shape and y.shape:
        return "{x} ⊙ {y}"
    swapped = x.op is not CONSTANT if x.shape == y.shape and y.op is CONSTANT else x.shape
    return "{y}·{x}" if swapped else "{x}·{y}"


def _plain(numbers: str, bools: str) -> Callable[[Node], str]:
    """The `math` form on numbers, and that on bools: Python would make ints of them."""
    return lambda node: bools if node.dtype.kind == BOOL else numbers


add = elementwise(
    "add", "x + y", operands="x y", result="same",
    noun="total", phrase="{x}_plus_{y}",
    numpy="{x} + {y}", out="np.add({x}, {y}, out={out})",
    math=_plain("{x} + {y}", "{x} or {y}"), notation="{x} + {y}",
    rules=(lambda g, y, a, b: g, lambda g, y, a, b: g),
    symbolic=lambda sp, x, y: x + y, commutative=True, bounds=added,
)  # fmt: skip
subtract = elementwise(
    "subtract", "x - y", operands="x y", result="number",
    noun="difference", phrase="{x}_minus_{y}",
    numpy="{x} - {y}", out="np.subtract({x}, {y}, out={out})", math="{x} - {y}",
    notation="{x} - {y}",
    rules=(lambda g, y, a, b: g, lambda g, y, a, b: -g),
    symbolic=lambda sp, x, y: x - y, bounds=lambda x, y: added(x, negated(y)),
)  # fmt: skip
multiply = elementwise(
    "multiply", "x * y", operands="x y", result="same",
    noun="product", phrase="{x}_times_{y}",
    numpy="{x} * {y}", out="np.multiply({x}, {y}, out={out})",
    math=_plain("{x} * {y}", "{x} and {y}"), notation=_product,
    rules=(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a),
    symbolic=lambda sp, x, y: x * y, commutative=True, bounds=multiplied,
)  # fmt: skip
divide = elementwise(
    "divide", "x / y", operands="x y",
    noun="quotient", phrase="{x}_over_{y}",
    numpy="{x} / {y}", out="np.divide({x}, {y}, out={out})", math="{x} / {y}",
    notation="{x} / {y}",
    rules=(lambda g, y, a, b: g / b, lambda g, y, a, b: -(g * y / b)),
    symbolic=lambda sp, x, y: x / y, domain=((-2, 2), (0.5, 2)),
    finite=(None, NOT_ZERO), bounds=lambda x, y: multiplied(x, inverted(y)),
)  # fmt: skip
negative = elementwise(
    "negative", "-x", result="number",
    noun="negated",
    numpy="-{x}", out="np.negative({x}, out={out})", math="-{x}", notation="-{x}",
    rules=(lambda g, y, x: -g,),
    symbolic=lambda sp, x: -x, bounds=negated,
)  # fmt: skip
reciprocal = elementwise(
    "reciprocal", "1 / x",
    numpy="np.reciprocal({x})", out="np.divide(1, {x}, out={out})", math="1.0 / {x}",
    notation="1 / {x}",
    rules=(lambda g, y, x: -(g * (y * y)),),
    symbolic=lambda sp, x: 1 / x, domain=((0.5, 2),), finite=(NOT_ZERO,), bounds=inverted,
)  # fmt: skip
square = elementwise(
    "square", "x²", result="number",
    noun="square",
    ufunc="np.square", math="{x} * {x}", notation="{x}²",
    rules=(lambda g, y, x: g * (2 * x),),
    symbolic=lambda sp, x: x**2, bounds=squared,
)  # fmt: skip
sqrt = elementwise(
    "sqrt", "√x",
    ufunc="np.sqrt", math="math.sqrt({x})", notation="√({x})",
    rules=(lambda g, y, x: 0.5 * g / y,),
    symbolic=lambda sp, x: sp.sqrt(x), domain=((0.5, 2),), finite=(POSITIVE,),
    bounds=increasing(math.sqrt, 0.0, inf),
)  # fmt: skip

# --- pieces: what has a kink, or no slope at all -----------------------------------------------

mask: Op = elementwise(
    "mask", "x where the condition holds, else 0 (x * condition)", operands="x condition",
    noun="masked",
    numpy="{x} * {condition}", out="np.multiply({x}, {condition}, out={out})",
    math=_plain("{x} * {condition}", "{x} and {condition}"),
    notation=lambda node: "{x} ⊙ 1[{condition}]" if node.args[0].shape else "{x}·1[{condition}]",
    rules=(lambda g, y, x, condition: mask(g, condition), None),
    symbolic=lambda sp, x, condition: sp.Piecewise((x, condition), (0, True)),
    selects=(lambda x, condition: condition, None), bounds=lambda x, condition: joined(x, ZERO),
)  # fmt: skip
where = elementwise(
    "where", "x where the condition holds, else y", operands="condition x y",
    noun="chosen",
    numpy="np.where({condition}, {x}, {y})", math="{x} if {condition} else {y}",
    rules=(
        None,
        lambda g, y, condition, a, b: mask(g, condition),
        lambda g, y, condition, a, b: mask(g, ~condition),
    ),
    symbolic=lambda sp, condition, x, y: sp.Piecewise((x, condition), (y, True)),
    selects=(None, lambda condition, a, b: condition, lambda condition, a, b: ~condition),
    bounds=lambda condition, a, b: joined(a, b),
)  # fmt: skip
abs = elementwise(
    "abs", "|x|", result="same",
    noun="magnitude",
    ufunc="np.abs", math=_plain("abs({x})", "{x}"),
    rules=(Kinked(
        torch=lambda g, y, x: g * sign(x),
        jax=lambda g, y, x: where(x >= 0, g, -g),
        textbook=lambda g, y, x: g * sign(x),
    ),),
    kink={"torch": "abs'(0) = 0", "jax": "abs'(0) = 1", "textbook": "abs'(0) = 0"},
    symbolic=lambda sp, x: sp.Abs(x), domain=((0.5, 2),), bounds=lambda x: NOT_NEGATIVE,
)  # fmt: skip
sign: Op = elementwise(
    "sign", "-1, 0 or 1", result="number",
    ufunc="np.sign", plain=(scalars.sign,),
    math=lambda n: "sign({x})" if n.dtype.kind == FLOAT else "({x} > 0) - ({x} < 0)",
    symbolic=lambda sp, x: sp.sign(x),
)  # fmt: skip


def _relu_text(node: Node) -> str:
    # Beside a scalar, NumPy 1.x would take the int 0 for an int64 and make a float64.
    zero = "0" if node.ndim else f"np.{node.dtype.name}(0)"
    return f"np.maximum({{x}}, {zero})"


relu = elementwise(
    "relu", "max(x, 0)", result="number",
    numpy=_relu_text, out="np.maximum({x}, 0, out={out})",
    math=lambda n: "max({x}, 0.0)" if n.dtype.kind == FLOAT else "max({x}, 0)",
    notation="max({x}, 0)",
    rules=(Kinked(
        torch=lambda g, y, x: mask(g, y > 0),
        jax=lambda g, y, x: mask(g, y > 0),
        textbook=lambda g, y, x: mask(g, x >= 0),
    ),),
    kink={"torch": "relu'(0) = 0", "jax": "relu'(0) = 0", "textbook": "relu'(0) = 1"},
    symbolic=lambda sp, x: sp.Max(x, 0),
    selects=(lambda x: ~(x < 0),), compares=True, bounds=lambda x: NOT_NEGATIVE,
)  # fmt: skip


def _extremum_rules(strict: Any, loose: Any) -> tuple[Kinked, Kinked]:
    """Rules of maximum and minimum, from the comparison that the result wins."""

    def halved(g: Node, own: Node, other: Node) -> Node:
        return mask(g, strict(own, other)) + mask(0.5 * g, own == other)

    def first(g: Node, y: Node, a: Node, b: Node) -> Node:
        return halved(g, a, b)

    def second(g: Node, y: Node, a: Node, b: Node) -> Node:
        return halved(g, b, a)

    return (
        Kinked(first, first, textbook=lambda g, y, a, b: mask(g, loose(a, b))),
        Kinked(second, second, textbook=lambda g, y, a, b: mask(g, strict(b, a))),
    )


def _is_number(node: Node) -> bool:
    """Whether a value is known not to be NaN."""
    if node.op is not CONSTANT or node.dtype.kind != FLOAT:
        return node.dtype.kind != FLOAT
    return not np.isnan(node.params.data.array).any()


def _plain_extremum(name: str, builtin: str, bools: str) -> Callable[[Node], str]:
    """Python's max and min keep a NaN that comes first, and pass over one that comes second."""

    def text(node: Node) -> str:
        x, y = node.args
        if node.dtype.kind == BOOL:
            return bools
        if _is_number(y):
            return f"{builtin}({{x}}, {{y}})"
        return f"{builtin}({{y}}, {{x}})" if _is_number(x) else f"{name}({{x}}, {{y}})"

    return text


_TIES = {
    "torch": "{0}(a, b) at a tie: half to each",
    "jax": "{0}(a, b) at a tie: half to each",
    "textbook": "{0}(a, b) at a tie: all to a",
}
maximum = elementwise(
    "maximum", "the larger of x and y", operands="x y", result="same",
    noun="larger",
    ufunc="np.maximum", notation="max({x}, {y})",
    math=_plain_extremum("maximum", "max", "{x} or {y}"), plain=(scalars.maximum,),
    rules=_extremum_rules(lambda a, b: a > b, lambda a, b: a >= b),
    kink={key: text.format("maximum") for key, text in _TIES.items()},
    symbolic=lambda sp, x, y: sp.Max(x, y), domain=((-2, 0), (0, 2)),
    selects=(lambda x, y: ~(x < y), lambda x, y: ~(y < x)), compares=True,
    bounds=lambda x, y: Interval(*map(max, x, y)),
)  # fmt: skip
minimum = elementwise(
    "minimum", "the smaller of x and y", operands="x y", result="same",
    noun="smaller",
    ufunc="np.minimum", notation="min({x}, {y})",
    math=_plain_extremum("minimum", "min", "{x} and {y}"), plain=(scalars.minimum,),
    rules=_extremum_rules(lambda a, b: a < b, lambda a, b: a <= b),
    kink={key: text.format("minimum") for key, text in _TIES.items()},
    symbolic=lambda sp, x, y: sp.Min(x, y), domain=((-2, 0), (0, 2)),
    selects=(lambda x, y: ~(x > y), lambda x, y: ~(y > x)), compares=True,
    bounds=lambda x, y: Interval(*map(min, x, y)),
)  # fmt: skip


def _clip_rules(inside: Any, share: float) -> tuple[Any, Any, Any]:
    """Rules of clip: g passes whole to x where `inside` holds, and by `share` on a bound."""

    def bound(g: Node, x: Node, limit: Node, beyond: Node) -> Node:
        return mask(g, beyond) + mask((1 - share) * g, x == limit) if share < 1 else mask(g, beyond)

    def value(g: Node, y: Node, x: Node, low: Node, high: Node) -> Node:
        whole = mask(g, inside(x, low, high))
        return whole + mask(share * g, (x == low) | (x == high)) if share < 1 else whole

    return (
        value,
        lambda g, y, x, low, high: bound(g, x, low, (x < low) & (low <= high)),
        lambda g, y, x, low, high: bound(g, x, high, (x > high) | (low > high)),
    )


def _plain_clip(node: Node) -> str:
    if node.dtype.kind == BOOL:
        return "({x} or {low}) and {high}"
    _, low, high = map(_is_number, node.args)
    lower = "max({x}, {low})" if low else "maximum({x}, {low})"
    return f"min({lower}, {{high}})" if high else f"minimum({lower}, {{high}})"


_CLOSED = _clip_rules(lambda x, low, high: (x >= low) & (x <= high), 1.0)
_HALVED = _clip_rules(lambda x, low, high: (x > low) & (x < high), 0.5)
_clip = elementwise(
    "clip", "x limited to low..high; high everywhere if low > high",
    operands="x low high", result="same",
    numpy="np.clip({x}, {low}, {high})", out="np.clip({x}, {low}, {high}, out={out})",
    math=_plain_clip, plain=(scalars.maximum, scalars.minimum),
    rules=tuple(Kinked(torch=c, jax=h, textbook=c) for c, h in zip(_CLOSED, _HALVED, strict=True)),
    kink={
        "torch": "clip at its bound: 1", "jax": "clip at its bound: 1/2",
        "textbook": "clip at its bound: 1",
    },
    symbolic=lambda sp, x, low, high: sp.Min(sp.Max(x, low), high),
    selects=(
        lambda x, low, high: ~((x < low) | (x > high)),
        lambda x, low, high: x < low,
        lambda x, low, high: x > high,
    ),
    compares=True, bounds=lambda x, low, high: Interval(low.low, high.high),
    domain=((-2, 2), (-1, -0.5), (0.5, 1)),
)  # fmt: skip


@function
def clip(x: Any, low: Any = None, high: Any = None) -> Node:
    """x limited to low..high; a bound that is None does not limit."""
    if low is None and high is None:
        raise GraphcError("clip needs low, high or both")
    if low is None or high is None:
        return minimum(x, high) if low is None else maximum(x, low)
    return _clip(x, low, high)


@function
def positive(x: Any) -> Node:
    """x itself, as a node."""
    return operands(x)[0]


def _leaky_vjp(index: int, g: Node, node: Node, kinks: str) -> Node:
    (x,) = node.args
    return where(x > 0 if kinks == "torch" else x >= 0, g, node.params.slope * g)


leaky_relu = composite(
    "leaky_relu", "x where x > 0, else slope * x; slope <= 1",
    parameters=("slope",),
    body=lambda x, slope: maximum(x, slope * x),
    vjp=_leaky_vjp,
    jvp=lambda node, tangents, kinks: _leaky_vjp(0, given(tangents), node, kinks),
    kink={
        "torch": "leaky_relu'(0) = slope", "jax": "leaky_relu'(0) = 1",
        "textbook": "leaky_relu'(0) = 1",
    },
    call=lambda op, x, slope=0.01: op.node(operands(x, floating=True), _slope(slope)),
    samples=(lambda rng: ((rng.normal(size=(2, 3)),), {"slope": 0.1}),),
)  # fmt: skip


def _slope(slope: object) -> float:
    if not isinstance(slope, (int, float)) or not slope <= 1:
        raise GraphcError(f"leaky_relu expects a slope <= 1, got {slope!r}")
    return float(slope)


def _number_body(x: Node, nan: float, posinf: float | None, neginf: float | None) -> Node:
    limits = np.finfo(x.dtype.numpy)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    return where(isnan(x), nan, where(x == inf, high, where(x == -inf, low, x)))


def _number_text(node: Node) -> str:
    options = [f", {k}={v!r}" for k, v in node.params._asdict().items() if v is not None]
    return f"np.nan_to_num({{x}}{''.join(options)})"


def _number_call(op: Op, x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Node:
    value: Node = operand(x)
    ends = [
        None if end is None else number("nan_to_num", name, end)
        for name, end in (("posinf", posinf), ("neginf", neginf))
    ]
    nan = number("nan_to_num", "nan", nan)
    return op.node((value,), nan, *ends) if value.dtype.kind == FLOAT else value


nan_to_num = composite(
    "nan_to_num", "x, with numbers in place of NaN and of infinities",
    parameters=("nan", "posinf", "neginf"), body=_number_body, call=_number_call,
    emission=Emission(_number_text),
    samples=(
        lambda rng: ((rng.normal(size=(2, 3)),), {}),
        lambda rng: ((rng.normal(size=()),), {"nan": 1.0, "posinf": 7.0, "neginf": -7.0}),
    ),
)  # fmt: skip
stop_gradient = composite(
    "stop_gradient", "x, with derivative 0",
    body=lambda x: x, call=unary_call, differentiable=False,
    samples=(lambda rng: ((rng.normal(size=(2, 3)),), {}),),
)  # fmt: skip
loser = composite(
    "loser", "x as it loses a comparison: with derivative 0; made by guards, which know it by this",
    body=lambda x: x, call=unary_call, differentiable=False,
    samples=(lambda rng: ((rng.normal(size=(2, 3)),), {}),),
)  # fmt: skip
