"""Elementwise functions: powers, exponentials, logarithms, angles. Name left, formula right.

In a rule, g is a cotangent or a tangent, y the result, the rest the operands; the rule is
g times ∂y/∂operand.
"""

from __future__ import annotations

import math
from math import inf
from typing import Any

from graphc.errors import GraphcError
from graphc.ir.graph import CONSTANT, scalar_value
from graphc.ir.intervals import (
    MODERATE,
    NOT_NEGATIVE,
    NOT_ZERO,
    POSITIVE,
    Domain,
    Interval,
    increasing,
    interval_of,
)
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import INT
from graphc.ops.elementwise import abs, minimum, square, where
from graphc.ops.families import FEW, elementwise
from graphc.ops.operands import operands
from graphc.runtime import arrays, scalars, special

__all__ = [
    "cbrt",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "hypot",
    "log",
    "log1p",
    "log2",
    "log10",
    "pow",
    "sigmoid",
    "sin",
    "sinh",
    "tanh",
]  # fmt: skip


# --- powers ------------------------------------------------------------------------------------


def _pow_base(g: Node, y: Node, x: Node, p: Node) -> Node | None:
    exponent = scalar_value(p)
    if exponent is not None:
        return None if exponent == 0 else g * (p * x ** (exponent - 1))
    # x**-1 must not meet 0 where p is 0: the derivative there is 0.
    return g * (p * x ** where(p == 0, 1, p - 1))


def _pow_exponent(g: Node, y: Node, x: Node, p: Node) -> Node:
    # lim x→0 of x**p log x is 0 for p > 0, and at 0**0 the constant branch is taken.
    return g * (y * log(where((x == 0) & (p >= 0), 1, x)))


def _pow_call(op: Op, x: Any, p: Any) -> Node:
    x, p = operands(x, p)
    if p.dtype.kind == INT and p.op is CONSTANT and (p.params.data.array < 0).any():
        name = x.graph.describe(x, site=True)
        raise GraphcError(
            f"pow: an int to a negative power is no int: {name}", hint="use a float exponent"
        )
    return op.node((x, p))


def _plain_power(node: Node) -> str:
    """Python's own raises an error for 0 to a negative power, and makes floats of some ints."""
    if node.dtype.kind == INT:
        return "whole_power({x}, {p})"
    own = interval_of(node.args[0]).low > 0 or interval_of(node.args[1]).low >= 0
    return "math.pow({x}, {p})" if own else "power({x}, {p})"


def _pow_finite(node: Node) -> tuple[Domain | None, None]:
    exponent = scalar_value(node.args[1])
    if exponent is None or not float(exponent).is_integer():
        return POSITIVE, None
    return (None if exponent >= 0 else NOT_ZERO), None


pow = elementwise(
    "pow", "x to the power p; of ints an int", operands="x p", result="number", call=_pow_call,
    noun="power",
    numpy="np.power({x}, {p})", out="np.power({x}, {p}, out={out})",
    math=_plain_power, plain=(scalars.power, scalars.whole_power), notation="{x}^{p}",
    rules=(_pow_base, _pow_exponent),
    symbolic=lambda sp, x, p: x**p, domain=((0.5, 2), (-0.9, 2)), finite=_pow_finite,
)  # fmt: skip

hypot: Op = elementwise(
    "hypot", "√(x² + y²), of which neither square overflows", operands="x y", commutative=True,
    ufunc="np.hypot", math="math.hypot({x}, {y})",
    rules=(
        lambda g, out, x, y: g * (x / where(out == 0, 1.0, out)),
        lambda g, out, x, y: g * (y / where(out == 0, 1.0, out)),
    ),
    symbolic=lambda sp, x, y: sp.sqrt(x**2 + y**2), bounds=lambda x, y: NOT_NEGATIVE,
    kink=dict.fromkeys(("torch", "jax", "textbook"), "hypot'(0, 0) = 0"),
)  # fmt: skip

cbrt = elementwise(
    "cbrt", "the cube root of x, which is negative where x is",
    ufunc="np.cbrt", math="cbrt({x})", plain=(scalars.cbrt,),
    rules=(lambda g, y, x: g / (3.0 * square(y)),),
    symbolic=lambda sp, x: sp.cbrt(x), domain=((0.5, 2),), finite=(NOT_ZERO,), layouts=FEW,
)  # fmt: skip

# --- exponentials and logarithms ---------------------------------------------------------------

exp = elementwise(
    "exp", "e to the power x",
    ufunc="np.exp", math="math.exp({x})",
    rules=(lambda g, y, x: g * y,),
    symbolic=lambda sp, x: sp.exp(x), finite=(MODERATE,), bounds=increasing(math.exp, 0.0, inf),
)  # fmt: skip
log = elementwise(
    "log", "natural logarithm of x",
    ufunc="np.log", math="math.log({x})",
    rules=(lambda g, y, x: g / x,),
    symbolic=lambda sp, x: sp.log(x), domain=((0.5, 2),), finite=(POSITIVE,),
    bounds=increasing(math.log, -inf, inf),
)  # fmt: skip
expm1 = elementwise(
    "expm1", "exp(x) - 1, accurate near 0",
    ufunc="np.expm1", math="math.expm1({x})", notation="exp({x}) - 1",
    rules=(lambda g, y, x: g * exp(x),),  # y + 1 has no digit of exp(-40)
    symbolic=lambda sp, x: sp.exp(x) - 1, finite=(MODERATE,),
)  # fmt: skip
log1p = elementwise(
    "log1p", "log(1 + x), accurate near 0",
    ufunc="np.log1p", math="math.log1p({x})", notation="log(1 + {x})",
    rules=(lambda g, y, x: g / (x + 1),),
    symbolic=lambda sp, x: sp.log(1 + x), domain=((-0.5, 2),), finite=(Domain(-1.0, inf, 0.0),),
)  # fmt: skip
exp2 = elementwise(
    "exp2", "2 to the power x",
    ufunc="np.exp2", math="math.pow(2.0, {x})", notation="2^{x}",
    rules=(lambda g, y, x: g * (math.log(2.0) * y),),
    symbolic=lambda sp, x: 2**x, finite=(MODERATE,), layouts=FEW,
    bounds=increasing(lambda x: 2.0**x, 0.0, inf),
)  # fmt: skip
log2 = elementwise(
    "log2", "logarithm of x to the base 2",
    ufunc="np.log2", math="math.log2({x})",
    rules=(lambda g, y, x: g / (math.log(2.0) * x),),
    symbolic=lambda sp, x: sp.log(x, 2), domain=((0.5, 2),), finite=(POSITIVE,), layouts=FEW,
    bounds=increasing(math.log2, -inf, inf),
)  # fmt: skip
log10 = elementwise(
    "log10", "logarithm of x to the base 10",
    ufunc="np.log10", math="math.log10({x})",
    rules=(lambda g, y, x: g / (math.log(10.0) * x),),
    symbolic=lambda sp, x: sp.log(x, 10), domain=((0.5, 2),), finite=(POSITIVE,), layouts=FEW,
    bounds=increasing(math.log10, -inf, inf),
)  # fmt: skip
sigmoid: Op = elementwise(
    "sigmoid", "1 / (1 + exp(-x))",
    numpy="sigmoid({x})", helpers=(arrays.sigmoid,),
    math="sigmoid({x})", plain=(scalars.sigmoid,),
    rules=(lambda g, y, x: g * (y * (1 - y)),),
    symbolic=lambda sp, x: 1 / (1 + sp.exp(-x)), bounds=lambda x: Interval(0.0, 1.0),
)  # fmt: skip

_SLOPE = 2.0 / math.sqrt(math.pi)


def _bell(x: Node) -> Node:
    """exp(-x²), of which the square does not overflow: it is 0 from 30 on."""
    return exp(-square(minimum(abs(x), 30.0)))


erf = elementwise(
    "erf", "2/√π times the integral of exp(-s²) from 0 to x",
    numpy="erf({x})", helpers=(special.erfc, special.erf), math="math.erf({x})",
    rules=(lambda g, y, x: g * (_SLOPE * _bell(x)),),
    symbolic=lambda sp, x: sp.erf(x), bounds=lambda x: Interval(-1.0, 1.0), layouts=slice(2, 5),
)  # fmt: skip
erfc = elementwise(
    "erfc", "1 - erf(x), without cancellation where it is small",
    numpy="erfc({x})", helpers=(special.erfc,), math="math.erfc({x})",
    rules=(lambda g, y, x: g * (-_SLOPE * _bell(x)),),
    symbolic=lambda sp, x: sp.erfc(x), bounds=lambda x: Interval(0.0, 2.0), layouts=slice(2, 5),
)  # fmt: skip

# --- angles ------------------------------------------------------------------------------------

sin = elementwise(
    "sin", "sine of x radians",
    ufunc="np.sin", math="math.sin({x})",
    rules=(lambda g, y, x: g * cos(x),),
    symbolic=lambda sp, x: sp.sin(x),
)  # fmt: skip
cos: Op = elementwise(
    "cos", "cosine of x radians",
    ufunc="np.cos", math="math.cos({x})",
    rules=(lambda g, y, x: -(g * sin(x)),),
    symbolic=lambda sp, x: sp.cos(x),
)  # fmt: skip
tanh = elementwise(
    "tanh", "hyperbolic tangent of x",
    ufunc="np.tanh", math="math.tanh({x})",
    rules=(lambda g, y, x: g * (1 - y * y),),
    symbolic=lambda sp, x: sp.tanh(x), bounds=lambda x: Interval(-1.0, 1.0),
)  # fmt: skip
cosh: Op = elementwise(
    "cosh", "hyperbolic cosine of x",
    ufunc="np.cosh", math="math.cosh({x})",
    rules=(lambda g, y, x: g * sinh(x),),
    symbolic=lambda sp, x: sp.cosh(x), finite=(Domain(-10.0, 10.0, 0.0),),
    bounds=lambda x: Interval(1.0, inf),
)  # fmt: skip
sinh: Op = elementwise(
    "sinh", "hyperbolic sine of x",
    ufunc="np.sinh", math="math.sinh({x})",
    rules=(lambda g, y, x: g * cosh(x),),
    symbolic=lambda sp, x: sp.sinh(x), finite=(Domain(-10.0, 10.0, 0.0),),
)  # fmt: skip
