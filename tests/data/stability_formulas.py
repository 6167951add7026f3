"""What users write, and where it breaks: the formulas and points of `stability.json`.

The first thirteen are the rows of README's table; the point there is the one at which at least one
of the libraries goes wrong, or the one beside it. Others are what the same user writes next: terms
in another order, a factor before, numbers instead of arrays, the maximum subtracted by hand.

Results are not given here but computed by `make_stability`, other than at kinks and in limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import mpmath as mp

Point: TypeAlias = Mapping[str, Any]

INF, NAN = math.inf, math.nan

TABLE = (
    "`log(1 + exp(x))` at ±1000",
    "`log(1 / (1 + exp(-x)))` at ±1000",
    "`log(sum(exp(x)))` at [1000, 0] and [−1000, −1001]",
    "`-log(exp(x) / sum(exp(x)))[0]` at [−1000, 0]",
    "`sqrt(sum(x * x)) ** 2` at 0",
    "`sqrt(sum(x * x))` at 0, and where `x * x` overflows or underflows",
    "`where(x > 0, log(x), 0)` at −1 and 0",
    "`where(x > 0, sqrt(x), 0)` at 0",
    "`sum(x / x)` at 0",
    "`prod(x)` at [0, 0, 3] and [2, 0, 3]",
    "`x ** 2.0`, `x ** 0.5` and `x ** y` at 0",
    "`max(x)` at ties",
    "`abs(x)` at 0",
)


@dataclass(frozen=True)
class Formula:
    """An expression at some points; fields are those of `Case`.

    wrt             the inputs to differentiate by; all of them where none is named
    value, gradient what it comes to where mpmath cannot say so: in limits, at kinks
    quiet           False where NumPy is right to warn although the results are finite
    """

    group: str
    expression: str
    points: Sequence[Point]
    wrt: tuple[str, ...] = ()
    value: Any = None
    gradient: Mapping[str, Any] | None = None
    why: str = ""
    table: int = 0
    accept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quiet: bool = True
    rtol_ulp: float = 0
    atol_ulp: float = 0


at = Formula  # as in: this formula at these points


def x(*values: Any) -> list[Point]:
    """Points of a formula in x alone."""
    return [{"x": value} for value in values]


def named(names: str, *values: Sequence[Any]) -> list[Point]:
    """Points of a formula in several inputs."""
    return [dict(zip(names.split(), each, strict=True)) for each in values]


SUBGRADIENT = {"x": {"least": -1, "most": 1}}
ROUNDS_AT_ONE = "what is near 0 here is the difference of numbers near 1"

# --- logarithms of sums of exponentials -----------------------------------------------------------

EXPONENTIALS = (
    at("softplus", "log(1 + exp(x))", x(1000, -1000), table=1),
    at("softplus", "log(1 + exp(x))", x(-40, -700, 0.5, [-1000, 0, 1000])),
    at("softplus", "log(1 + exp(x))", x(INF), value=INF, gradient={"x": 1.0},
       why="the limit: log(1 + exp(x)) is x for large x"),
    at("softplus", "log(1 + exp(x))", x(-INF), value=0.0, gradient={"x": 0.0}, why="the limit"),
    at("softplus", "log(1 + exp(x))", x(NAN), value=NAN, gradient={"x": NAN}, why="NaN in, NaN out",
       quiet=False),
    at("softplus", "log(exp(x) + 1)", x(1000, -1000, -40)),
    at("softplus", "log(1 + exp(-x))", x(1000, -1000)),
    at("softplus", "log(1 + exp(2 * x + 1))", x(1000, -1000)),
    at("softplus", "sum(log(1 + exp(x)))", x([-1000, -40, 1000])),
    at("softplus", "3 * log(1 + exp(x)) / 2", x(1000)),
    at("softplus", "log(2 + exp(x))", x(1000, -1000)),
    at("softplus", "log(exp(x) + 0.5)", x(1000)),
    at("softplus", "where(x > 30, x, log(1 + exp(x)))", x(1000, -1000)),
    at("log of sigmoid", "log(1 / (1 + exp(-x)))", x(1000, -1000), table=2),
    at("log of sigmoid", "log(1 / (1 + exp(-x)))", x(40, 0.5, [-1000, 40, 1000])),
    at("log of sigmoid", "-log(1 + exp(-x))", x(-1000, 40)),
    at("log of sigmoid", "log(1 / (exp(-x) + 1))", x(-1000)),
    at("log of sigmoid", "log(exp(x) / (1 + exp(x)))", x(1000, -1000)),
    at("log of sigmoid", "log(exp(x) / (exp(x) + 1))", x(1000, -1000)),
    at("logsumexp", "log(sum(exp(x)))", x([1000, 0], [-1000, -1001]), table=3),
    at("logsumexp", "log(sum(exp(x)))", x([0.5, 2, -1])),
    at("logsumexp", "log(sum(exp(x)))", x([-INF, 0, 1]), value=mp.log(1 + mp.e),
       gradient={"x": [0.0, 1 / (1 + mp.e), 1 / (1 + 1 / mp.e)]},
       why="a masked place counts for nothing"),
    at("logsumexp", "log(sum(exp(x), axis=1))", x([[1000, 0], [-1000, -1001]])),
    at("logsumexp", "log(sum(exp(x), axis=0, keepdims=True))", x([[1000, 0], [999, -1001]])),
    at("logsumexp", "log(sum(exp(-x)))", x([1000, 1001])),
    at("logsumexp", "log(sum(exp(2 * x)))", x([500, 499.5])),
    at("logsumexp", "log(mean(exp(x)))", x([1000, 0], [-1000, -1001])),
    at("logsumexp", "log(3 * sum(exp(x)))", x([1000, 0], [-1000, -1001])),
    at("logsumexp", "log(sum(exp(x)) / 2)", x([1000, 999])),
    at("logsumexp", "log(sum(w * exp(x)))",
       named("w x", ([1, 3], [1000, 999]), ([2, 3], [-1000, -1001])), wrt=("x",)),
    at("logsumexp", "log(sum(w * exp(x) / s))",
       named("w s x", ([1, 3], [2, 0.5], [-1000, -1001])), wrt=("x",)),
    at("logsumexp", "log(sum(exp(x) * w))", named("w x", ([1, 3], [1000, 999]))),
    at("logsumexp", "max(x) + log(sum(exp(x - max(x))))", x([1000, 0], [-1000, -1001])),
    at("logsumexp", "max(x) + log(sum(exp(x - max(x))))", x([1000, 1000]), value=1000 + mp.log(2),
       gradient={"x": [0.5, 0.5]}, why="smooth: what the maximum contributes cancels"),
    at("logsumexp", "log(sum(exp(x - max(x)))) + max(x)", x([-1000, -1001])),
    at("logsumexp", "log(sum(exp(x - max(x))))", x([1000, 0])),
    at("logaddexp", "log(exp(a) + exp(b))",
       named("a b", (1000, 0), (0, 1000), (1000, 1000), (-1000, -1001), (-1000, 1000), (0.5, 2))),
    at("logaddexp", "log(exp(a) + exp(b))", named("a b", ([1000, -1000], [1000, -1001]))),
    at("logaddexp", "log(exp(a) + exp(b) + exp(c))",
       named("a b c", (1000, 999, -1000), (-1000, -1000, -1001))),
    at("logaddexp", "log(exp(a) + (exp(b) + exp(c)))", named("a b c", (1000, 999, -1000))),
    at("logaddexp", "log(2 * exp(a) + 3 * exp(b))", named("a b", (1000, 999))),
    at("log of cosh", "log((exp(x) + exp(-x)) / 2)", x(1000, -1000, 3)),
    at("log of cosh", "log(0.5 * (exp(-x) + exp(x)))", x(1000)),
    at("log of cosh", "log((exp(x) + exp(-x)) / 2)", x(0, 1e-10), atol_ulp=4, why=ROUNDS_AT_ONE),
)  # fmt: skip

# --- softmax and cross-entropy --------------------------------------------------------------------

CROSS_ENTROPIES = (
    at("cross-entropy", "-log(exp(x) / sum(exp(x)))[0]", x([-1000, 0]), table=4),
    at("cross-entropy", "-log(exp(x) / sum(exp(x)))[0]", x([0, -1000], [0.5, 2])),
    at("cross-entropy", "-log(exp(x)[0] / sum(exp(x)))", x([-1000, 0])),
    at("cross-entropy", "-log((exp(x) / sum(exp(x)))[0])", x([-1000, 0])),
    at("cross-entropy", "log(sum(exp(x))) - x[0]", x([-1000, 0])),
    at("cross-entropy", "-sum(t * log(exp(x) / sum(exp(x))))",
       named("t x", ([0, 1, 0], [1000, 0, -1000]), ([0.25, 0.75], [-1000, 0])), wrt=("x",)),
    at("cross-entropy", "-sum(t * log(exp(x) / sum(exp(x))))", named("t x", ([1, 0], [50, 0])),
       wrt=("x",), atol_ulp=4, why="softmax(x) - t, and " + ROUNDS_AT_ONE),
    at("cross-entropy", "-mean(sum(t * log(exp(x) / sum(exp(x), axis=1, keepdims=True)), axis=1))",
       named("t x", ([[0, 1], [1, 0]], [[1000, 0], [-1000, -999]])), wrt=("x",)),
    at("cross-entropy", "-log(exp(a) / (exp(a) + exp(b)))", named("a b", (-1000, 0), (0, -1000))),
    at("log-softmax", "log(exp(x) / sum(exp(x)))", x([1000, 0, -1000], [-1000, 0])),
    at("log-softmax", "x - log(sum(exp(x)))", x([1000, 0, -1000])),
    at("log-softmax", "x - log(sum(exp(x), axis=1, keepdims=True))",
       x([[1000, 0, -1000], [-1000, 0, -999]])),
    at("log-softmax", "x - max(x) - log(sum(exp(x - max(x))))", x([1000, 0, -1000])),
    at("log-softmax", "log(exp(a) / (exp(a) + exp(b)))",
       named("a b", (-1000, 0), (1000, 0), (-1000, -1001))),
    at("softmax", "(exp(x) / sum(exp(x)))[0]", x([1000, 999], [1000, 0], [-1000, -1001])),
    at("softmax", "sum(w * (exp(x) / sum(exp(x))))", named("w x", ([1, 3], [1000, 999]))),
    at("softmax", "(exp(x - max(x)) / sum(exp(x - max(x))))[1]", x([1000, 999])),
    at("softmax", "(exp(x) / sum(exp(x)))[2]", x([-INF, 0, 1]), value=1 / (1 + 1 / mp.e),
       gradient={"x": [0.0, *[s * mp.e / (1 + mp.e) ** 2 for s in (-1, 1)]]},
       why="a masked place counts for nothing"),
    at("softmax", "exp(a) / (exp(a) + exp(b))",
       named("a b", (1000, 999), (1000, 0), (-1000, -1001))),
)  # fmt: skip

# --- sigmoid and tanh -----------------------------------------------------------------------------

SIGMOIDS = (
    at("sigmoid", "1 / (1 + exp(-x))", x(20, 40, -40, 1000, -1000, 0.5)),
    at("sigmoid", "exp(x) / (1 + exp(x))", x(1000, -1000, 40)),
    at("sigmoid", "1 - 1 / (1 + exp(-x))", x(40, -40, 1000, -1000)),
    at("sigmoid", "1 / (1 + exp(x))", x(1000, 40)),
    at("binary cross-entropy",
       "-(t * log(1 / (1 + exp(-x))) + (1 - t) * log(1 - 1 / (1 + exp(-x))))",
       named("t x", (1, 1000), (0, 1000), (1, -1000), (0, -1000), (0.25, 1000), (0, -40),
             (0.25, 3)),
       wrt=("x",)),
    at("binary cross-entropy",
       "-(t * log(1 / (1 + exp(-x))) + (1 - t) * log(1 - 1 / (1 + exp(-x))))",
       named("t x", (1, 40)), wrt=("x",), atol_ulp=4, why="sigmoid(x) - t, and " + ROUNDS_AT_ONE),
    at("binary cross-entropy",
       "-mean(t * log(1 / (1 + exp(-x))) + (1 - t) * log(1 - 1 / (1 + exp(-x))))",
       named("t x", ([1, 0, 1, 0], [1000, 1000, -1000, -1000])), wrt=("x",)),
    at("tanh", "tanh(x)", x(20, 40, -40, 1000)),
    at("tanh", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", x(1000, -1000, 20, 1e-10)),
    at("cosh and sinh", "(exp(x) - exp(-x)) / 2", x(1e-10, 3, 710)),
    at("cosh and sinh", "(exp(x) + exp(-x)) / 2", x(3, 710)),
)  # fmt: skip

# --- near 0 and near 1 ----------------------------------------------------------------------------

DIFFERENCES = (
    at("expm1", "exp(x) - 1", x(1e-10, -1e-10, 1e-20, -1000, 0)),
    at("expm1", "1 - exp(x)", x(1e-10, -1000)),
    at("expm1", "-1 + exp(x)", x(1e-10)),
    at("log1p", "log(1 + x)", x(1e-10, -1e-10, 1e-20, 1e30, 0)),
    at("log1p", "log(x + 1)", x(1e-10)),
    at("log1p", "log(1 - x)", x(1e-10)),
    at("log1p", "log(1 + x * x)", x(1e-10)),
    at("log1p", "log(maximum(x, 0) + 1)", x(1e-10, -1)),
    at("log of 1 - exp", "log(1 - exp(x))", x(-1e-10, -0.5, -40, -800)),
    at("log of 1 - exp", "log(1 - exp(-x))", x(1e-10, 800)),
    at("1 - cos", "1 - cos(x)", x(1e-4, 1e-10, 0, 2)),
    at("1 - cos", "(1 - cos(x)) / 2", x(1e-10)),
    at("difference of roots", "sqrt(x + 1) - sqrt(x)", x(1e10, 1e15, 2)),
    at("difference of roots", "sqrt(1 + x) - sqrt(x)", x(1e15)),
    at("variance", "mean(x * x) - mean(x) ** 2",
       x([1, 2, 3, 6], [10001, 10002, 10003, 10006], [1000001, 1000002, 1000003, 1000006],
         [1e8 - 32, 1e8 - 32, 1e8, 1e8 + 192])),  # sums are exact, and so is the mean
    at("variance", "mean(x ** 2) - mean(x) * mean(x)", x([10001, 10002, 10003, 10006])),
)  # fmt: skip

# --- logarithms of powers, products of exponentials -----------------------------------------------

POWERS = (
    at("log of power", "log(x ** 2)", x(1e200, 1e-200, -3, 1e25, -1e-25)),
    at("log of power", "log(x * x)", x(1e200, 1e-25)),
    at("log of power", "log(x ** 3)", x(1e150, 1e-150, 1e20)),
    at("log of power", "log(1 / x)", x(1e300, 1e-300, 1e30)),
    at("log of power", "log(sqrt(x))", x(1e300, 1e-300, 1e-30)),
    at("log of exp", "log(exp(x))", x(1000, -1000, [-1000, 1000])),
    at("log of exp", "log(exp(a) * exp(b))", named("a b", (1000, -998), (-1000, 3))),
    at("product of exp", "exp(a) * exp(b)",
       named("a b", (800, -799), ([800, -1000], [-799, 1000]))),
    at("product of exp", "exp(a) / exp(b)", named("a b", (800, 799), (-800, -799))),
)  # fmt: skip

# --- norms ----------------------------------------------------------------------------------------

ZERO_NORM = "0 is the subgradient of least norm"

NORMS = (
    at("squared norm", "sqrt(sum(x * x)) ** 2", x([0, 0]), value=0.0, gradient={"x": [0.0, 0.0]},
       why="it is sum(x * x)", table=5),
    at("squared norm", "sqrt(sum(x * x)) ** 2", x([3, 4], [3e10, 4e10])),
    at("squared norm", "sqrt(sum(x * x)) * sqrt(sum(x * x))", x([0, 0]), value=0.0,
       gradient={"x": [0.0, 0.0]}, why="it is sum(x * x)"),
    at("squared norm", "sqrt(x * x + y * y) ** 2", named("x y", (0, 0)), value=0.0,
       gradient={"x": 0.0, "y": 0.0}, why="it is x * x + y * y"),
    at("squared norm", "sqrt(x) ** 2", x(0), value=0.0, gradient={"x": 1.0},
       why="it is x, to the right of 0 and in the limit at 0"),
    at("norm", "sqrt(sum(x * x))", x([0, 0]), value=0.0, gradient={"x": [0.0, 0.0]}, why=ZERO_NORM,
       accept=SUBGRADIENT, table=6),
    at("norm", "sqrt(sum(x * x))", x([3e200, 4e200], [3e-200, 4e-200]), table=6),
    at("norm", "sqrt(sum(x * x))", x([3e25, 4e25], [3e-30, 4e-30], [0, 2])),
    at("norm", "sqrt(sum(x ** 2))", x([3e200, 4e200], [3e-200, 4e-200])),
    at("norm", "sqrt(sum(x * x, axis=1))", x([[3e25, 4e25], [3e-30, 4e-30]])),
    at("norm", "sqrt(x * x + y * y)", named("x y", (3e200, 4e200), (3e-200, 4e-200), (3e25, 4e25))),
    at("norm", "sqrt(x * x + y * y)", named("x y", (0, 0)), value=0.0,
       gradient={"x": 0.0, "y": 0.0}, why=ZERO_NORM,
       accept={name: {"least": -1, "most": 1} for name in "xy"}),
    at("norm", "sqrt(mean(x * x))", x([0, 0]), value=0.0, gradient={"x": [0.0, 0.0]}, why=ZERO_NORM,
       accept=SUBGRADIENT),
    at("norm", "sqrt(mean(x * x))", x([3e200, 4e200], [3e25, 4e25], [3e-30, 4e-30])),
    at("normalised", "x / sqrt(sum(x * x))",
       x([3e200, 4e200], [3e-200, 4e-200], [3e10, 4e10], [3e-30, 4e-30])),
    at("normalised", "x / sqrt(x * x + y * y)", named("x y", (3e200, 4e200), (3e-30, 4e-30))),
    at("root of square", "sqrt(x * x)", x(1e200, -1e-200, -1e30, 3)),
    at("root of square", "sqrt(x ** 2)", x(-1e200, 1e-30)),
    at("root of square", "sqrt(x * x)", x(0, -0.0), value=0.0, gradient={"x": 0.0},
       why="it is abs(x), whose derivative at 0 is 0 by convention", accept=SUBGRADIENT),
)  # fmt: skip

SMOOTH = (*EXPONENTIALS, *CROSS_ENTROPIES, *SIGMOIDS, *DIFFERENCES, *POWERS, *NORMS)
