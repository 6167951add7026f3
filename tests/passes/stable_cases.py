"""Formulas that fail as written: a case for each form of a rule about elements.

This file has the logarithms; `stable_exponentials` has the other rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gc
from tests.passes import dual


@dataclass(frozen=True)
class Case:
    """One form of a formula that a rule rewrites.

    rule      its name
    build     (*nodes) -> node
    exact     the same on numbers, also in a form that is defined where the rule defines it
    points    where the formula as written fails in float64: numbers, or tuples for several operands
    narrow    where it does in float32; by default at the same points
    arrays    the formula needs axes, so that it has no scalar style
    dtypes    that the operands may have
    result    the dtype of the result, where it is another one
    ulps      how far value and gradient may be off at the points; more than usual has a reason
    also      further points at which nothing may be made worse
    absorbs   results that a NaN may have: of what is not chosen, and hypot(nan, inf) as IEEE has it
    terms     (dtype, *point) -> the size of what cancels, whose rounding no form escapes
    slopes    the same for derivatives
    finite    nothing is promised of infinities
    """

    rule: str
    build: Callable[..., gc.Node]
    exact: Callable[..., Any]
    points: tuple[Any, ...]
    narrow: tuple[Any, ...] | None = None
    arrays: bool = False
    dtypes: tuple[str, ...] = ("float64", "float32")
    result: str | None = None
    ulps: tuple[float, float] = (4, 16)
    also: tuple[Any, ...] = ()
    absorbs: tuple[float, ...] = ()
    terms: Callable[..., float] | None = None
    slopes: Callable[..., float] | None = None
    finite: bool = False

    def __str__(self) -> str:
        return self.rule

    def at(self, dtype: str) -> list[tuple[float, ...]]:
        """The points at which the formula as written fails."""
        points = self.points if dtype == "float64" or self.narrow is None else self.narrow
        return [tuple(np.array(as_tuple(point), dtype).tolist()) for point in points]

    @property
    def operands(self) -> int:
        return len(as_tuple(self.points[0]))


def as_tuple(point: Any) -> tuple[float, ...]:
    return point if isinstance(point, tuple) else (point,)


def forms(
    rule: str, exact: Callable[..., Any], points: tuple[Any, ...], *builds: Any, **options: Any
) -> list[Case]:
    """Several ways to write the same."""
    return [Case(rule, build, exact, points, **options) for build in builds]


EPS = {"float64": 2.0**-52, "float32": 2.0**-23}
ODD = 1 + 3 * EPS["float64"]  # what is next to 1 loses a digit when it is halved
ODD_NARROW = 1 + 3 * EPS["float32"]

# --- of a sum that is written out --------------------------------------------------------------


def softplus(x: Any) -> Any:
    return dual.log(1 + dual.exp(x))


def logaddexp(x: Any, y: Any) -> Any:
    return dual.log(dual.exp(x) + dual.exp(y))


def larger(dtype: str, *point: float) -> float:
    return max(1.0, *map(abs, point))


def log1mexp(x: Any) -> Any:
    return dual.log(1 - dual.exp(x))


def log_cosh(x: Any) -> Any:
    return dual.log((dual.exp(x) + dual.exp(-x)) / 2)


TERMS = [
    *forms(
        "log(1 + exp(x)) = softplus(x)", softplus, (1000.0, -40.0),
        lambda x: gc.log(1 + gc.exp(x)),
        lambda x: gc.log(gc.exp(x) + 1),
        narrow=(100.0, -20.0),
    ),
    *forms(
        "log(1 + exp(x)) = softplus(x)", softplus, (1000.0,),
        lambda x: gc.log1p(gc.exp(x)),
        narrow=(100.0,),
    ),
    Case("log(1 + exp(x)) = softplus(x)", lambda x: gc.log(1 + 1 / gc.exp(x)),
         lambda x: softplus(-x), (1000.0, -1000.0), narrow=(100.0, -100.0)),
    *forms(
        "log(exp(x) + exp(y)) = logaddexp(x, y)", logaddexp,
        ((1000.0, 999.0), (-1000.0, -1001.0), (3.0, 1000.0)),
        lambda x, y: gc.log(gc.exp(x) + gc.exp(y)),
        lambda x, y: gc.log(gc.exp(y) + gc.exp(x)),
        narrow=((100.0, 99.0), (-120.0, -121.0), (3.0, 100.0)),
        also=((700.0, 1e-3), (1e-3, 700.0), (-1e-5, -100.3), (80.0, 1e-4), (1e-4, 80.0)),
        terms=larger,
    ),
    Case("log(exp(x) + exp(y)) = logaddexp(x, y)",
         lambda x, y: gc.log(gc.expand_dims(gc.exp(x), 0) + gc.exp(gc.expand_dims(y, 0)))[0],
         logaddexp, ((1000.0, 999.0),), narrow=((100.0, 99.0),), arrays=True, terms=larger),
    *forms(
        "log(exp(x) + exp(y)) = logaddexp(x, y)",
        lambda x, y: dual.log(dual.exp(x) + dual.exp(y) + 1), ((1000.0, 999.0), (800.0, -3.0)),
        lambda x, y: gc.log(gc.exp(x) + gc.exp(y) + 1),
        lambda x, y: gc.log(1 + (gc.exp(x) + gc.exp(y))),
        narrow=((100.0, 99.0), (90.0, -3.0)), terms=larger,
    ),
    *forms(
        "log(exp(x) + exp(y)) = logaddexp(x, y)",
        lambda x, y: dual.log(2 * dual.exp(x) + dual.exp(y)),
        ((1000.0, 999.0), (-1000.0, -1001.0)),
        lambda x, y: gc.log(2 * gc.exp(x) + gc.exp(y)),
        lambda x, y: gc.log(gc.exp(y) + gc.exp(x) / 0.5),
        narrow=((100.0, 99.0), (-120.0, -121.0)), terms=larger,
    ),
    *forms(
        "log(exp(x) + exp(y)) = logaddexp(x, y)", lambda x: dual.log(2 + dual.exp(x)), (1000.0,),
        lambda x: gc.log(2 + gc.exp(x)),
        lambda x: gc.log(gc.exp(x) + 2),
        narrow=(100.0,),
    ),
    Case("log(exp(x) + exp(y)) = logaddexp(x, y)",
         lambda x: gc.log(1 + gc.exp(x).reshape(-1, 1)).reshape(-1), softplus, (1000.0,),
         narrow=(100.0,), arrays=True),
    *forms(
        "log(1 - exp(x)) = log1mexp(x)", log1mexp, (-1e-20, -40.0),
        lambda x: gc.log(1 - gc.exp(x)),
        narrow=(-1e-10, -20.0), also=(-0.6931, -0.6932),
    ),
    *forms(
        "log(1 - exp(x)) = log1mexp(x)", log1mexp, (-40.0,),
        lambda x: gc.log(-gc.expm1(x)),
        lambda x: gc.log(-(gc.exp(x) - 1)),
        narrow=(-20.0,),
    ),
    *forms(
        "log(1 - exp(x)) = log1mexp(x)", log1mexp, (-1e-20,),
        lambda x: gc.log1p(-gc.exp(x)),
        narrow=(-1e-10,),
    ),
    *forms(
        "log(cosh(x)) = log_cosh(x)", log_cosh, (1000.0, -1000.0, 1e-9),
        lambda x: gc.log(gc.cosh(x)),
        lambda x: gc.log((gc.exp(x) + gc.exp(-x)) / 2),
        lambda x: gc.log(0.5 * (gc.exp(-x) + gc.exp(x))),
        narrow=(100.0, -100.0, 1e-4), also=(1.0, 0.9999, -1.0001),
    ),
    *forms(
        "log(1 + x) = log1p(x)", lambda x: dual.log(1 + x), (1e-20, -1e-20),
        lambda x: gc.log(1 + x),
        lambda x: gc.log(x + 1),
        narrow=(1e-10, -1e-10),
    ),
    Case("log(1 - x) = log1p(-x)", lambda x: gc.log(1 - x), lambda x: dual.log(1 - x),
         (1e-20, -1e-20), narrow=(1e-10, -1e-10)),
]  # fmt: skip

# --- of products and powers --------------------------------------------------------------------


def log_sigmoid(x: Any) -> Any:
    return -dual.log(1 + dual.exp(-x))


FACTORS = [
    *forms(
        "log(exp(x)) = x", lambda x: x, (1000.0, -1000.0, 1e-20),
        lambda x: gc.log(gc.exp(x)),
        narrow=(100.0, -120.0, 1e-10),
    ),
    *forms(
        "log(exp(x) * exp(y)) = x + y", lambda x, y: x + y, ((1000.0, -3.0), (-700.0, -100.0)),
        lambda x, y: gc.log(gc.exp(x) * gc.exp(y)),
        narrow=((100.0, -3.0), (-80.0, -70.0)),
    ),
    Case("log(exp(x) * exp(y)) = x + y", lambda x, y: gc.log(gc.exp(x) / gc.exp(y)),
         lambda x, y: x - y, ((1000.0, 3.0), (-700.0, 100.0)),
         narrow=((100.0, 3.0), (-80.0, 70.0))),
    *forms(
        "log(sigmoid(x)) = log_sigmoid(x)", log_sigmoid, (-1000.0,),
        lambda x: gc.log(gc.sigmoid(x)),
        lambda x: gc.log(1 / (1 + gc.exp(-x))),
        lambda x: gc.log(1 / (gc.exp(-x) + 1)),
        lambda x: gc.log(gc.reciprocal(1 + gc.exp(-x))),
        lambda x: gc.log((1 + gc.exp(-x)) ** -1),
        narrow=(-110.0,),
    ),
    *forms(
        "log(sigmoid(x)) = log_sigmoid(x)", log_sigmoid, (1000.0,),
        lambda x: gc.log(gc.exp(x) / (1 + gc.exp(x))),
        narrow=(100.0,),
    ),
    *forms(
        "log(sigmoid(x)) = log_sigmoid(x)", lambda x: log_sigmoid(-x), (1000.0,),
        lambda x: gc.log(1 - gc.sigmoid(x)),
        lambda x: gc.log(1 / (1 + gc.exp(x))),
        narrow=(110.0,),
    ),
    *forms(
        "log(share(x, y)) = log_share(x, y)",
        lambda x, y: -dual.log(1 + dual.exp(y - x)), ((-1000.0, 0.0), (1000.0, 999.0)),
        lambda x, y: gc.log(gc.exp(x) / (gc.exp(x) + gc.exp(y))),
        lambda x, y: gc.log(gc.exp(x) / (gc.exp(y) + gc.exp(x))),
        narrow=((-110.0, 0.0), (100.0, 99.0)),
        also=((-1000.0, 999.3), (1e-3, 30.1), (30.1, 1e-3), (-300.7, -330.2), (1e-3, 700.0)),
    ),
    Case("log(saturation(x, y)) = log_sigmoid(x - log(y))",
         lambda x: gc.log(gc.exp(x) / (2 + gc.exp(x))),
         lambda x: -dual.log(1 + 2 * dual.exp(-x)), (-1000.0, 1000.0), narrow=(-110.0, 100.0),
         ulps=(16, 64)),  # what the difference rounds off is large in an exponent
    *forms(
        "log(x * y) = log(x) + log(y)", lambda x, y: dual.log(y) + x,
        ((1000.0, 3.0), (-1000.0, 0.25)),
        lambda x, y: gc.log(y * gc.exp(x)),
        lambda x, y: gc.log(gc.exp(x) * y),
        narrow=((100.0, 3.0), (-120.0, 0.25)), terms=lambda dtype, x, y: abs(x),
        also=((-700.0, 1.01e304), (-5.0, 148.41), (5.0, 0.0067379), (-80.0, 5.54e34)),
    ),
    *forms(
        "log(x * y) = log(x) + log(y)", lambda x, y: log_sigmoid(x) + dual.log(y),
        ((-1000.0, 3.0),),
        lambda x, y: gc.log(y * gc.sigmoid(x)),
        lambda x, y: gc.log(y / (1 + gc.exp(-x))),
        lambda x, y: gc.log(gc.sigmoid(x) / (1 / y)),
        narrow=((-110.0, 3.0),), terms=lambda dtype, x, y: 2.0,
    ),
    Case("log(x * y) = log(x) + log(y)", lambda x, y: gc.log(gc.exp(x) / y),
         lambda x, y: x - dual.log(y), ((1000.0, 3.0),), narrow=((100.0, 3.0),)),
    Case("log(x * y) = log(x) + log(y)", lambda x, y: gc.log(y / gc.exp(x)),
         lambda x, y: dual.log(y) - x, ((1000.0, 3.0),), narrow=((110.0, 3.0),)),
    Case("log(x ** s) = s * log(x)", lambda x: gc.log(x**2.0),
         lambda x: 2 * dual.log(dual.magnitude(x)), (1e200, -1e-200), narrow=(1e30, -1e-30)),
    Case("log(x ** s) = s * log(x)", lambda x: gc.log(x**3), lambda x: 3 * dual.log(x),
         (1e200, 1e-200), narrow=(1e30, 1e-30)),
    Case("log(x ** s) = s * log(x)", lambda x: gc.log(x**0.5), lambda x: dual.log(x) / 2,
         (ODD, 5e-324), narrow=(ODD_NARROW, 1e-45)),
    Case("log(x ** s) = s * log(x)", lambda x: gc.log(x**-4),
         lambda x: -4 * dual.log(dual.magnitude(x)), (1e200, -1e-200), narrow=(1e30, -1e-30)),
    *forms(
        "log(x * x) = 2 * log(|x|)", lambda x: 2 * dual.log(dual.magnitude(x)),
        (1e200, 1e-200, -1e200),
        lambda x: gc.log(x * x),
        lambda x: gc.log(gc.square(x)),
        narrow=(1e30, 1e-30, -1e30),
    ),
    Case("log(sqrt(x)) = 0.5 * log(x)", lambda x: gc.log(gc.sqrt(x)), lambda x: dual.log(x) / 2,
         (ODD,), narrow=(ODD_NARROW,)),
    *forms(
        "log(1 / x) = -log(x)", lambda x: -dual.log(x), (1e-310,),
        lambda x: gc.log(1 / x),
        lambda x: gc.log(gc.reciprocal(x)),
        narrow=(1e-40,),
    ),
]  # fmt: skip

# --- with a view or a cast between -------------------------------------------------------------


def above(x: gc.Node) -> gc.Node:
    return 1 + gc.exp(x)


def second(x: gc.Node) -> gc.Node:
    """Labels that pick the second of two columns."""
    return (gc.zeros_like(x) + 1).astype("int64")


VIEWS = {
    "reshape": lambda x: gc.log(above(x).reshape(1, -1, 1)).reshape(-1),
    "expand_dims": lambda x: gc.log(gc.expand_dims(above(x), 0))[0],
    "squeeze": lambda x: gc.log(gc.squeeze(above(gc.expand_dims(x, 0)), 0)),
    "permute_dims": lambda x: gc.log(above(gc.stack([x, 2 * x])).T)[:, 0],
    "broadcast_to": lambda x: gc.log(gc.broadcast_to(above(x), (3, x.shape[0])))[1],
    "getitem": lambda x: gc.log(above(x)[::-1])[::-1],
}
BETWEEN = [
    *(Case(f"log({view}(x)) = {view}(log(x))", build, softplus, (1000.0, -40.0),
           narrow=(100.0, -20.0), arrays=True)
      for view, build in VIEWS.items()),
    Case("log(pick(x, y)) = pick(log(x), y)",
         lambda x: gc.log(gc.pick(above(gc.stack([2 * x, x], 1)), second(x))),
         softplus, (1000.0, -40.0), narrow=(100.0, -20.0), arrays=True),
    # The wide exponential is taken of the wide operand.
    Case("log(cast(x)) = cast(log(x))", lambda x: gc.log(above(x).astype("float64")), softplus,
         (100.0, -20.0), dtypes=("float32",), result="float64"),
    Case("log(cast(x)) = cast(log(x))", lambda x: gc.log(above(x).astype("float32")), softplus,
         (1000.0, -20.0), dtypes=("float64",), result="float32"),
]  # fmt: skip

# --- losses ------------------------------------------------------------------------------------


def likelihood(z: Any, t: Any) -> Any:
    return t * log_sigmoid(z) + (1 - t) * log_sigmoid(-z)


LOGITS: dict[str, Any] = {
    "slopes": lambda dtype, z, t: abs(t),
    "points": ((1000.0, 0.25), (-1000.0, 1.0), (1000.0, 0.0)),
    "narrow": ((110.0, 0.25), (-110.0, 1.0), (110.0, 0.0)),
    "also": ((5.0, 0.999), (40.0, 1.0), (-40.0, 0.0), (1000.0, 0.999), (10.0, 0.99), (0.1, 0.5)),
}
LOSSES = [
    Case("t * log_sigmoid(z) + (1 - t) * log_sigmoid(-z) = -sigmoid_cross_entropy(z, t)",
         lambda z, t: t * gc.log(gc.sigmoid(z)) + (1 - t) * gc.log(1 - gc.sigmoid(z)),
         likelihood, **LOGITS),
    Case("t * log_sigmoid(z) + (1 - t) * log_sigmoid(-z) = -sigmoid_cross_entropy(z, t)",
         lambda z, t: gc.log(1 - gc.sigmoid(z)) * (1 - t) + gc.log(gc.sigmoid(z)) * t,
         likelihood, **LOGITS),
    Case("t * log_sigmoid(z) + (1 - t) * log_sigmoid(-z) = -sigmoid_cross_entropy(z, t)",
         lambda z, t: -(t * gc.log(gc.sigmoid(z)) + (1 - t) * gc.log(1 - gc.sigmoid(z))),
         lambda z, t: -likelihood(z, t), **LOGITS),
    Case("-t * log_sigmoid(z) - (1 - t) * log_sigmoid(-z) = sigmoid_cross_entropy(z, t)",
         lambda z, t: -t * gc.log(gc.sigmoid(z)) - (1 - t) * gc.log(1 - gc.sigmoid(z)),
         lambda z, t: -likelihood(z, t), **LOGITS),
    Case("-t * log_sigmoid(z) - (1 - t) * log_sigmoid(-z) = sigmoid_cross_entropy(z, t)",
         lambda z, t: -(t * gc.log(gc.sigmoid(z))) - (1 - t) * gc.log(1 - gc.sigmoid(z)),
         lambda z, t: -likelihood(z, t), **LOGITS),
    Case("bce(sigmoid(z), t) = sigmoid_cross_entropy(z, t)",
         lambda z, t: gc.bce(gc.sigmoid(z), t, reduction="none"),
         lambda z, t: -likelihood(z, t), **LOGITS),
]  # fmt: skip

LOGARITHMS = (*TERMS, *FACTORS, *BETWEEN, *LOSSES)
