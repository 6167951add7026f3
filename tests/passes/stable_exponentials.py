"""Formulas that fail as written: exponentials, tails, squares and roots, zeros."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np

import graphc as gc
from tests.passes import dual
from tests.passes.stable_cases import LOGARITHMS, Case, forms

# --- exponentials ------------------------------------------------------------------------------


def share(x: Any, y: Any) -> Any:
    return dual.exp(x) / (dual.exp(x) + dual.exp(y))


def cosh(x: Any) -> Any:
    return (dual.exp(x) + dual.exp(-x)) / 2


TINY: dict[str, Any] = {"points": (1e-20, -1e-17), "narrow": (1e-10, -1e-9)}
EXPONENTIALS = [
    *(Case("exp(x) - 1 = expm1(x)", build, lambda x: dual.exp(x) - 1, **TINY)
      for build in (lambda x: gc.exp(x) - 1, lambda x: gc.exp(x) + -1, lambda x: -1 + gc.exp(x))),
    Case("1 - exp(x) = -expm1(x)", lambda x: 1 - gc.exp(x), lambda x: 1 - dual.exp(x), **TINY),
    *forms(
        "exp(x) * exp(y) = exp_sum(x, y)", lambda x, y: dual.exp(x + y),
        ((800.0, -790.0), (-760.0, 760.5)),
        lambda x, y: gc.exp(x) * gc.exp(y),
        lambda x, y: gc.exp(y) * gc.exp(x),
        narrow=((100.0, -95.0), (-110.0, 110.5)),
        also=((1e17, -9.0), (1e16, -5.0), (-1e16, 5.0), (700.1, -690.3)),
    ),
    *forms(
        "exp(x) / exp(y) = exp_sum(x, -y)", lambda x, y: dual.exp(x - y),
        ((800.0, 790.0), (-760.0, -760.5)),
        lambda x, y: gc.exp(x) / gc.exp(y),
        narrow=((100.0, 95.0), (-110.0, -110.5)),
    ),
    Case("exp(x) / exp(y) = exp_sum(x, -y)", lambda x, y: gc.exp(x) / gc.exp(-y),
         lambda x, y: dual.exp(x + y), ((800.0, -790.0),), narrow=((100.0, -95.0),)),
    *forms(
        "1 / exp(x) = exp(-x)", lambda x: dual.exp(-x), (400.0, 1000.0),
        lambda x: 1 / gc.exp(x),
        lambda x: gc.reciprocal(gc.exp(x)),
        lambda x: gc.exp(x) ** -1,
        narrow=(55.0, 200.0),
    ),
    *forms(
        "exp(x) / (1 + exp(x)) = sigmoid(x)", dual.sigmoid, (1000.0, 40.0),
        lambda x: gc.exp(x) / (1 + gc.exp(x)),
        lambda x: gc.exp(x) / (gc.exp(x) + 1),
        narrow=(100.0, 20.0),
    ),
    *forms(
        "expm1(x) / (1 + exp(x)) = tanh(x / 2)", lambda x: dual.tanh(x / 2), (1000.0, 80.0),
        lambda x: (gc.exp(x) - 1) / (gc.exp(x) + 1),
        lambda x: gc.expm1(x) / (1 + gc.exp(x)),
        narrow=(100.0, 40.0),
    ),
    *forms(
        "-expm1(x) / (1 + exp(x)) = -tanh(x / 2)", lambda x: -dual.tanh(x / 2), (1000.0, 80.0),
        lambda x: (1 - gc.exp(x)) / (1 + gc.exp(x)),
        lambda x: -gc.expm1(x) / (gc.exp(x) + 1),
        narrow=(100.0, 40.0),
    ),
    *forms(
        "1 / (1 + exp(-x)) = sigmoid(x)", dual.sigmoid, (-1000.0,),
        lambda x: 1 / (1 + gc.exp(-x)),
        lambda x: 1 / (gc.exp(-x) + 1),
        lambda x: gc.reciprocal(1 + gc.exp(-x)),
        lambda x: (1 + gc.exp(-x)) ** -1,
        narrow=(-100.0,),
    ),
    Case("1 / (1 + exp(-x)) = sigmoid(x)", lambda x: 1 / (1 + gc.exp(x)),
         lambda x: dual.sigmoid(-x), (1000.0,), narrow=(100.0,)),
    *forms(
        "y / (1 + exp(-x)) = y * sigmoid(x)", lambda x, y: y * dual.sigmoid(x),
        ((-1000.0, 3.0), (-400.0, 3.0)),
        lambda x, y: y / (1 + gc.exp(-x)),
        lambda x, y: y / (gc.exp(-x) + 1),
        narrow=((-200.0, 3.0), (-60.0, 3.0)),
        also=((-740.0, 1e300), (-709.5, 1e300), (-88.5, 1e30)),
    ),
    Case("y / (1 + exp(-x)) = y * sigmoid(x)", lambda x: x / (1 + gc.exp(-x)),
         lambda x: x * dual.sigmoid(x), (-1000.0, -400.0), narrow=(-200.0, -60.0),
         slopes=lambda dtype, x: 0.25),
    *forms(
        "(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = tanh(x)", dual.tanh, (1000.0, 1e-20),
        lambda x: (gc.exp(x) - gc.exp(-x)) / (gc.exp(x) + gc.exp(-x)),
        lambda x: (gc.exp(x) - gc.exp(-x)) / (gc.exp(-x) + gc.exp(x)),
        narrow=(100.0, 1e-10),
    ),
    *forms(
        "2 * sigmoid(x) - 1 = tanh(x / 2)", lambda x: dual.tanh(x / 2), (1e-20, 80.0),
        lambda x: 2 * gc.sigmoid(x) - 1,
        lambda x: gc.sigmoid(x) * 2 - 1,
        narrow=(1e-10, 40.0),
    ),
    Case("2 * sigmoid(x) - 1 = tanh(x / 2)", lambda x: 2 / (1 + gc.exp(-x)) - 1,
         lambda x: dual.tanh(x / 2), (1e-20,), narrow=(1e-10,)),
    *forms(
        "exp(x) / (exp(x) + exp(y)) = share(x, y)", share,
        ((1000.0, 999.0), (-1000.0, -1001.0), (80.0, 3.0)),
        lambda x, y: gc.exp(x) / (gc.exp(x) + gc.exp(y)),
        lambda x, y: gc.exp(x) / (gc.exp(y) + gc.exp(x)),
        narrow=((100.0, 99.0), (-110.0, -111.0), (40.0, 3.0)),
        also=((1e-3, 700.0), (-700.0, 1e-3), (3.0, 40.1), (-1e-4, 80.0)),
    ),
    Case("exp(x) / (exp(x) + exp(y)) = share(x, y)", lambda x: gc.exp(x) / (2 + gc.exp(x)),
         lambda x: dual.exp(x) / (2 + dual.exp(x)), (1000.0,), narrow=(100.0,)),
    Case("exp(x) / (exp(x) + exp(y)) = share(x, y)", lambda x: gc.exp(x) / (gc.exp(x) + 1e-8),
         lambda x: dual.exp(x) / (dual.exp(x) + 1e-8), (1000.0,), narrow=(100.0,),
         also=(-18.42,)),
    *forms(
        "(exp(x) + exp(-x)) / 2 = cosh(x)", cosh, (710.0, -710.0, 1e-20),
        lambda x: (gc.exp(x) + gc.exp(-x)) / 2,
        lambda x: 0.5 * (gc.exp(-x) + gc.exp(x)),
        lambda x: (gc.exp(x) + gc.exp(-x)) * 0.5,
        narrow=(89.0, -89.0, 1e-10),
    ),
    *forms(
        "(exp(x) - exp(-x)) / 2 = sinh(x)", lambda x: (dual.exp(x) - dual.exp(-x)) / 2,
        (710.0, -710.0, 1e-20),
        lambda x: (gc.exp(x) - gc.exp(-x)) / 2,
        lambda x: 0.5 * (gc.exp(x) - gc.exp(-x)),
        narrow=(89.0, -89.0, 1e-10),
    ),
]  # fmt: skip

# --- tails -------------------------------------------------------------------------------------


def slope(x: Any) -> Any:
    return dual.sigmoid(x) * dual.sigmoid(-x)


TAILS = [
    *forms(
        "1 - sigmoid(x) = sigmoid(-x)", lambda x: dual.sigmoid(-x), (40.0, 700.0),
        lambda x: 1 - gc.sigmoid(x),
        lambda x: 1 - 1 / (1 + gc.exp(-x)),
        narrow=(20.0, 80.0),
    ),
    *forms(
        "sigmoid(x) * (1 - sigmoid(x)) = sigmoid_slope(x)", slope, (40.0, -1e-16),
        lambda x: gc.sigmoid(x) * (1 - gc.sigmoid(x)),
        lambda x: (1 - gc.sigmoid(x)) * gc.sigmoid(x),
        narrow=(20.0, -1e-7),
    ),
    *forms(
        "sigmoid(x) * (1 - sigmoid(x)) = sigmoid_slope(x)", slope, (1e-16,),
        lambda x: gc.sigmoid(x) * gc.sigmoid(-x),
        lambda x: gc.sigmoid(-x) * gc.sigmoid(x),
        narrow=(1e-7,),
    ),
    *forms(
        "1 - tanh(x) ** 2 = tanh_slope(x)", lambda x: 4 * slope(2 * x), (20.0, -300.0),
        lambda x: 1 - gc.tanh(x) ** 2,
        lambda x: 1 - gc.tanh(x) * gc.tanh(x),
        lambda x: 1 - gc.square(gc.tanh(x)),
        narrow=(10.0, -40.0),
    ),
]  # fmt: skip

# --- squares and roots -------------------------------------------------------------------------


def length(*terms: Any) -> Any:
    total = terms[0] * terms[0]
    for term in terms[1:]:
        total = total + term * term
    return dual.sqrt(total)


RANGE: dict[str, Any] = {"points": (1e200, -1e-200, 0.0), "narrow": (1e30, -1e-30, 0.0)}
PLANE: dict[str, Any] = {
    "points": ((1e200, 1e199), (1e-200, -1e-200), (0.0, 0.0)),
    "narrow": ((1e30, 1e29), (1e-30, -1e-30), (0.0, 0.0)),
    "absorbs": (np.inf,),
}
ROOTS = [
    *(Case("sqrt(x * x) = |x|", build, dual.magnitude, **RANGE)
      for build in (
          lambda x: gc.sqrt(x * x),
          lambda x: gc.sqrt(x**2),
          lambda x: gc.sqrt(gc.square(x)),
          lambda x: (x * x) ** 0.5,
          lambda x: (x**2) ** 0.5,
      )),
    *(Case("sqrt(x * x + y * y) = hypot(x, y)", build, length, **PLANE)
      for build in (
          lambda x, y: gc.sqrt(x * x + y * y),
          lambda x, y: gc.sqrt(y**2 + gc.square(x)),
          lambda x, y: (x**2 + y**2) ** 0.5,
      )),
    Case("sqrt(x * x + y * y) = hypot(x, y)", lambda x, y: gc.sqrt(x * x + y * y + x * x),
         lambda x, y: length(x, y, x), finite=True, **PLANE),
    *(Case("sqrt(x) ** 2 = x", build, dual.positive, (0.0,))
      for build in (
          lambda x: gc.sqrt(x) ** 2,
          lambda x: gc.sqrt(x) * gc.sqrt(x),
          lambda x: gc.square(gc.sqrt(x)),
      )),
    *forms(
        "sqrt(x + s) - sqrt(x) = s / (sqrt(x + s) + sqrt(x))",
        lambda x: dual.sqrt(x + 1) - dual.sqrt(x), (1e16, 1e40),
        lambda x: gc.sqrt(x + 1) - gc.sqrt(x),
        lambda x: gc.sqrt(1 + x) - gc.sqrt(x),
        narrow=(1e8, 1e20),
    ),
    *forms(
        "sqrt(x + s) - sqrt(x) = s / (sqrt(x + s) + sqrt(x))",
        lambda x: dual.sqrt(x) - dual.sqrt(x + 0.5), (1e16,),
        lambda x: gc.sqrt(x) - gc.sqrt(x + 0.5),
        narrow=(1e8,),
    ),
    *forms(
        "sqrt(x + s) - sqrt(x) = s / (sqrt(x + s) + sqrt(x))",
        lambda x: dual.sqrt(x) - dual.sqrt(x - 0.5), (1e16,),
        lambda x: gc.sqrt(x) - gc.sqrt(x - 0.5),
        narrow=(1e8,),
    ),
    Case("1 - cos(x) = 2 * sin(x / 2) ** 2", lambda x: 1 - gc.cos(x), lambda x: 1 - dual.cos(x),
         (1e-9, 1e-160), narrow=(1e-4, 1e-20)),
    *(Case("cos(x) - 1 = -2 * sin(x / 2) ** 2", build, lambda x: dual.cos(x) - 1,
           (1e-9, 1e-160), narrow=(1e-4, 1e-20))
      for build in (lambda x: gc.cos(x) - 1, lambda x: gc.cos(x) + -1, lambda x: -1 + gc.cos(x))),
]  # fmt: skip

# --- zeros -------------------------------------------------------------------------------------


def xlogx(x: Any) -> Any:
    return x * dual.log(x) if dual.value(x) else with_slopes(x, 0, -mp.inf)


def with_slopes(x: Any, value: Any, slope: Any) -> Any:
    """A function of x where its formula is undefined."""
    return dual.function(lambda v: mp.mpf(value), lambda v, y: slope)(x)


def cross(x: Any, y: Any) -> Any:
    """x (log(x) - y)."""
    return x * (dual.log(x) - y) if dual.value(x) else with_slopes(x, 0, -mp.inf)


def rel_entr(x: Any, y: Any) -> Any:
    if dual.value(x):
        return x * dual.log(x / y)
    return with_slopes(x, 0 if dual.value(y) >= 0 else mp.nan, -mp.inf)


def times_xlogx(s: Any, x: Any) -> Any:
    return s * x * dual.log(x) if dual.value(x) else s * with_slopes(x, 0, -mp.inf)


def subnormal_quotient(dtype: str, x: float, y: float) -> float:
    """Such a quotient has lost digits, and so has its logarithm, in the value as well."""
    with np.errstate(all="ignore"):
        quotient = abs(np.float64(x) / y)
        return max(1.0, float(np.finfo(dtype).tiny / quotient))


ZEROS = [
    Case("x / x = 1", lambda x: x / x, lambda x: with_slopes(x, 1, mp.mpf(0)), (0.0,)),
    *forms(
        "x * log(x) = xlogx(x)", xlogx, (0.0,),
        lambda x: x * gc.log(x),
        lambda x: gc.log(x) * x,
        slopes=lambda dtype, x: 1.0,
    ),
    *forms(
        "s * x * log(x) = xlogx(x, 0, s)", times_xlogx, ((3.0, 0.0),),
        lambda s, x: s * x * gc.log(x),
        lambda s, x: x * s * gc.log(x),
        lambda s, x: gc.log(x) * (s * x),
        slopes=lambda dtype, s, x: abs(s),
    ),
    Case("s * x * log(x) = xlogx(x, 0, s)", lambda x: -2.5 * x * gc.log(x),
         lambda x: -2.5 * xlogx(x), (0.0,), slopes=lambda dtype, x: 2.5),
    *forms(
        "-x * log(x) = -xlogx(x)", lambda x: -xlogx(x), (0.0,),
        lambda x: -x * gc.log(x),
        lambda x: gc.log(x) * -x,
        slopes=lambda dtype, x: 1.0,
    ),
    *forms(
        "x * (log(x) - y) = xlogx(x, y)", cross, ((0.0, 3.0),),
        lambda x, y: x * (gc.log(x) - y),
        lambda x, y: (gc.log(x) - y) * x,
        slopes=lambda dtype, x, y: max(1.0, abs(y)),
    ),
    *forms(
        "x * log(x / y) = rel_entr(x, y)", rel_entr, ((0.0, 3.0),),
        lambda x, y: x * gc.log(x / y),
        lambda x, y: gc.log(x / y) * x,
        slopes=subnormal_quotient,
    ),
    Case("mask(x, y) = where(y, x, 0)", lambda x: gc.mask(gc.log(x), x > 0),
         lambda x: dual.log(x) if dual.value(x) > 0 else with_slopes(x, 0, mp.mpf(0)), (0.0, -1.0),
         absorbs=(0.0,)),
]  # fmt: skip

ELEMENTWISE = (*LOGARITHMS, *EXPONENTIALS, *TAILS, *ROOTS, *ZEROS)
