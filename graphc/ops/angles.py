"""Angles, and the inverses of sine, cosine and tangent. Name left, formula right.

In a rule, g is a cotangent or a tangent, y the result (of atan2, whose operand has that name, out),
the rest the operands; the rule is g times ∂y/∂operand. No square in a rule overflows.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from graphc.ir.intervals import NOT_NEGATIVE, Domain, Interval
from graphc.ir.node import Node
from graphc.ops.elementwise import abs, clip, sqrt, square, where
from graphc.ops.families import FEW, Rule, elementwise
from graphc.ops.functions import cos, hypot, sin

__all__ = ["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "sinc", "tan"]

_INSIDE_1 = Domain(-1.0, 1.0, 0.0)  # excluded are the ends, where slopes are infinite

tan = elementwise(
    "tan", "tangent of x radians",
    ufunc="np.tan", math="math.tan({x})",
    rules=(lambda g, y, x: g * (1 + square(y)),),
    symbolic=lambda sp, x: sp.tan(x), domain=((-1.2, 1.2),), layouts=FEW,
)  # fmt: skip
asin = elementwise(
    "asin", "the angle, in -π/2..π/2, whose sine is x",
    ufunc="np.arcsin", math="math.asin({x})",
    rules=(lambda g, y, x: g / sqrt((1 - x) * (1 + x)),),
    symbolic=lambda sp, x: sp.asin(x), domain=((-0.9, 0.9),), finite=(_INSIDE_1,), layouts=FEW,
)  # fmt: skip
acos = elementwise(
    "acos", "the angle, in 0..π, whose cosine is x",
    ufunc="np.arccos", math="math.acos({x})",
    rules=(lambda g, y, x: -(g / sqrt((1 - x) * (1 + x))),),
    symbolic=lambda sp, x: sp.acos(x), domain=((-0.9, 0.9),), finite=(_INSIDE_1,),
    bounds=lambda x: NOT_NEGATIVE, layouts=FEW,
)  # fmt: skip
atan = elementwise(
    "atan", "the angle, in -π/2..π/2, whose tangent is x",
    ufunc="np.arctan", math="math.atan({x})",
    rules=(lambda g, y, x: g / hypot(x, 1.0) / hypot(x, 1.0),),
    symbolic=lambda sp, x: sp.atan(x), layouts=FEW,
)  # fmt: skip


def _turning(along: str) -> Rule:
    """The share that a coordinate has in a turn: the other one over the squared distance."""

    def rule(g: Node, out: Node, y: Node, x: Node) -> Node:
        distance = hypot(y, x)
        radius = where(distance == 0, 1.0, distance)
        return g * (x / radius / radius) if along == "y" else -(g * (y / radius / radius))

    return rule


atan2 = elementwise(
    "atan2", "the angle, in -π..π, of the point (x, y)", operands="y x",
    ufunc="np.arctan2", math="math.atan2({y}, {x})",
    rules=(_turning("y"), _turning("x")),
    symbolic=lambda sp, y, x: sp.atan2(y, x),
    kink=dict.fromkeys(("torch", "jax", "textbook"), "atan2'(0, 0) = 0"), layouts=slice(1, 5),
)  # fmt: skip

_NEAR = 0.25  # of 0: there nothing is left of a difference
# (cos(πx) - sinc(x)) / x = -π² x Σ (-1)ᵏ 2(k + 1) (πx)²ᵏ / (2k + 3)!, the last term first
_SERIES = [(-1) ** k * 2 * (k + 1) / math.factorial(2 * k + 3) for k in reversed(range(8))]


def _sinc_body(x: Node) -> Node:
    angle = x.graph.hint(math.pi * where(x == 0, 1.0, x), "angle")
    return where(x == 0, 1.0, sin(angle) / angle)


def _sinc_slope(g: Node, y: Node, x: Node) -> Node:
    close = abs(x) < _NEAR
    near, far = clip(x, -_NEAR, _NEAR), where(close, 1.0, x)
    angle = math.pi * near
    total: Any = functools.reduce(lambda sum, c: sum * square(angle) + c, _SERIES)
    return g * where(close, -math.pi * angle * total, (cos(math.pi * far) - y) / far)


sinc = elementwise(
    "sinc", "sin(πx) / (πx), and 1 where x is 0",
    body=_sinc_body, rules=(_sinc_slope,),
    symbolic=lambda sp, x: sp.Piecewise((sp.sin(sp.pi * x) / (sp.pi * x), sp.Ne(x, 0)), (1, True)),
    bounds=lambda x: Interval(-1.0, 1.0),
    samples=(
        lambda rng: ((rng.uniform(-2, 2, 5),), {}),
        lambda rng: ((rng.uniform(-0.1, 0.1, ()),), {}),
    ),
)  # fmt: skip

# --- hyperbolic --------------------------------------------------------------------------------

asinh = elementwise(
    "asinh", "log(x + √(x² + 1)), whose hyperbolic sine is x",
    ufunc="np.arcsinh", math="math.asinh({x})",
    rules=(lambda g, y, x: g / hypot(x, 1.0),),
    symbolic=lambda sp, x: sp.asinh(x), layouts=FEW,
)  # fmt: skip
acosh = elementwise(
    "acosh", "log(x + √(x² - 1)), whose hyperbolic cosine is x ≥ 1",
    ufunc="np.arccosh", math="math.acosh({x})",
    rules=(lambda g, y, x: g / (sqrt(x - 1) * sqrt(x + 1)),),
    symbolic=lambda sp, x: sp.acosh(x), domain=((1.5, 3),),
    finite=(Domain(1.0, float("inf"), 2.0),), bounds=lambda x: NOT_NEGATIVE, layouts=FEW,
)  # fmt: skip
atanh = elementwise(
    "atanh", "log((1 + x) / (1 - x)) / 2, whose hyperbolic tangent is x",
    ufunc="np.arctanh", math="math.atanh({x})",
    rules=(lambda g, y, x: g / ((1 - x) * (1 + x)),),
    symbolic=lambda sp, x: sp.atanh(x), domain=((-0.9, 0.9),), finite=(_INSIDE_1,), layouts=FEW,
)  # fmt: skip
