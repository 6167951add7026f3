"""The formulas of `stability.json` that choose: branches, and points where a derivative has none.

A branch that is not chosen contributes nothing, whatever it comes to. What has several valid
derivatives is given with PyTorch's convention and with the bounds that all conventions keep.
"""

from __future__ import annotations

import mpmath as mp

from tests.data.stability_formulas import INF, at, named, x

# --- a branch that is not chosen ------------------------------------------------------------------

AT_EDGE = "0 is not chosen by x > 0, and the other branch is a constant"

BRANCHES = (
    at("where: log", "where(x > 0, log(x), 0)", x(-1), table=7),
    at("where: log", "where(x > 0, log(x), 0)", x(0), value=0.0, gradient={"x": 0.0}, why=AT_EDGE,
       table=7),
    at("where: log", "where(x > 0, log(x), 0)", x(2, 1e-30)),
    at("where: log", "where(x > 0, log(x), 0)", x([-1, 0, 2]), value=[0.0, 0.0, mp.log(2)],
       gradient={"x": [0.0, 0.0, 0.5]}, why=AT_EDGE),
    at("where: log", "sum(where(x > 0, log(x), 0))", x([-1, 4])),
    at("where: log", "where(x > 1, log(x - 1), 0)", x(0.5)),
    at("where: log", "where(x > 1, log(x - 1), 0)", x(1), value=0.0, gradient={"x": 0.0},
       why="the same at 1"),
    at("where: log", "where(x > 0, log(x), log(-x))", x(3, -3)),
    at("where: log", "where(x <= 0, 0, log(x))", x(-1)),
    at("where: log", "where(x > 0, log(where(x > 0, x, 1)), 0)", x(0), value=0.0,
       gradient={"x": 0.0}, why=AT_EDGE),
    at("where: root", "where(x > 0, sqrt(x), 0)", x(0), value=0.0, gradient={"x": 0.0}, why=AT_EDGE,
       table=8),
    at("where: root", "where(x > 0, sqrt(x), 0)", x(-1, 4, [-1, 4])),
    at("where: root", "where(x < 1, sqrt(1 - x), 0)", x(2, -3)),
    at("where: root", "where(x < 1, sqrt(1 - x), 0)", x(1), value=0.0, gradient={"x": 0.0},
       why="the same at 1"),
    at("where: root", "where(x > 0, sqrt(x), 0) + sqrt(x + 1)", x(0), value=1.0,
       gradient={"x": 0.5}, why=AT_EDGE),
    at("where: quotient", "where(x > 0, 1 / x, 0)", x(0, -0.0), value=0.0, gradient={"x": 0.0},
       why=AT_EDGE),
    at("where: quotient", "where(x > 0, 1 / x, 0)", x([0, 2]), value=[0.0, 0.5],
       gradient={"x": [0.0, -0.25]}, why=AT_EDGE),
    at("where: quotient", "where(x == 0, 1, sin(x) / x)", x(0), value=1.0, gradient={"x": 0.0},
       why="the limit, and the derivative of the constant"),
    at("where: quotient", "where(x == 0, 1, sin(x) / x)", x(0.5)),
    at("where: quotient", "where(x > 0, log(x) + sqrt(x) + 1 / x, 0)", x(0), value=0.0,
       gradient={"x": 0.0}, why=AT_EDGE),
    at("where: quotient", "where(x > 0, (x - 1) / sqrt(x), 0)", x(0), value=0.0,
       gradient={"x": 0.0}, why=AT_EDGE),
    at("where: power", "where(x > 0, x ** 0.5, 0)", x(0), value=0.0, gradient={"x": 0.0},
       why=AT_EDGE),
    at("where: power", "where(x > 0, x ** -1.5, 0)", x(0), value=0.0, gradient={"x": 0.0},
       why=AT_EDGE),
    at("where: power", "where(x > 0, x ** y, 0)", named("x y", (0, 0.5), (0, -1.5)), value=0.0,
       gradient={"x": 0.0, "y": 0.0}, why=AT_EDGE),
    at("where: power", "where(x > 0, x ** y, 0)", named("x y", (-1, 0.5))),
    at("where: exp", "where(x > 0, x, exp(x) - 1)", x(1000, -1e-10, -1000)),
    at("where: exp", "where(x > 0, x, exp(x) - 1)", x([-1000, -1, 1000])),
    at("where: exp", "where(x < 10, exp(x), x)", x(1000)),
    at("where: exp", "where(x > 0, exp(1 / x), 0)", x(0), value=0.0, gradient={"x": 0.0},
       why=AT_EDGE),
    at("where: exp", "where(x > 0, exp(-1 / x), 0)", x(0), value=0.0, gradient={"x": 0.0},
       why="smooth: all its derivatives at 0 are 0"),
    at("where: exp", "where(x > 0, exp(-1 / x), 0)", x(-1, 1)),
)  # fmt: skip

# --- branches inside branches ---------------------------------------------------------------------

TWO = "where(x > 0, where(x > 1, log(x - 1), sqrt(x)), 0)"
THREE = "where(x > 0, where(x > 1, where(x > 2, log(x - 2), sqrt(x - 1)), 1 / x), x)"

NESTED = (
    at("where: nested", TWO, x(-1, 0.25, 2)),
    at("where: nested", TWO, x(0), value=0.0, gradient={"x": 0.0}, why=AT_EDGE),
    at("where: nested", TWO, x(1), value=1.0, gradient={"x": 0.5}, why="the branch of the root"),
    at("where: nested", TWO, x([-1, 0.25, 3])),
    at("where: nested", THREE, x(-1, 0.5, 1.25, 3)),
    at("where: nested", THREE, x(0), value=0.0, gradient={"x": 1.0}, why="the outermost branch, x"),
    at("where: nested", THREE, x(1), value=1.0, gradient={"x": -1.0},
       why="the branch of the quotient"),
    at("where: nested", THREE, x(2), value=1.0, gradient={"x": 0.5}, why="the branch of the root"),
    at("where: nested", "where(x < 0, where(x < -10, 0, exp(-x)), where(x > 0, x ** 0.5, 0))",
       x(1000, -1000, -1)),
    at("where: nested", "where(x < 0, where(x < -10, 0, exp(-x)), where(x > 0, x ** 0.5, 0))", x(0),
       value=0.0, gradient={"x": 0.0}, why="the innermost constant"),
)  # fmt: skip

# --- conditions and branches of other shapes ------------------------------------------------------

SHAPES = (
    at("where: reduced", "where(sum(x) > 0, log(sum(x)), 0)", x([-1, 0.5])),
    at("where: reduced", "where(sum(x) > 0, log(sum(x)), 0)", x([0, 0]), value=0.0,
       gradient={"x": [0.0, 0.0]}, why=AT_EDGE),
    at("where: reduced", "where(max(x) > 0, x / max(x), x)", x([0, 0]), value=[0.0, 0.0],
       gradient={"x": [1.0, 1.0]}, why="the branch x"),
    at("where: reduced", "where(sum(x * x) > 0, x / sqrt(sum(x * x)), 0)", x([0, 0]),
       value=[0.0, 0.0], gradient={"x": [0.0, 0.0]}, why="the branch of the constant"),
    at("where: reduced", "where(sum(x * x) > 0, x / sqrt(sum(x * x)), 0)", x([3, 4])),
    at("where: reduced", "where(x > 0, sum(log(y)), 0)", named("x y", (-1, [0, 1])), wrt=("y",),
       value=0.0, gradient={"y": [0.0, 0.0]}, why="the branch of the constant"),
    at("where: reduced", "where(x > 0, sum(log(y)), 0)", named("x y", (1, [2, 4])), wrt=("y",)),
    at("where: reduced", "where(x > 0, sum(exp(y)), 0)", named("x y", (-1, [1000, 0])), wrt=("y",)),
    at("where: reduced", "where(x > 0, sqrt(sum(y)), 0)", named("x y", (-1, [0, 0])), wrt=("y",),
       value=0.0, gradient={"y": [0.0, 0.0]}, why="the branch of the constant"),
    at("where: broadcast", "where(x > 0, log(y), 0)", named("x y", ([-1, -2], 0)), wrt=("y",),
       value=[0.0, 0.0], gradient={"y": 0.0}, why="the branch of the constant"),
    at("where: broadcast", "where(x > 0, log(y), 0)", named("x y", ([-1, 2], 4)), wrt=("y",)),
    at("where: broadcast", "where(x > 0, log(y), 0)", named("x y", ([[1], [-1]], [[2, 4]])),
       wrt=("y",)),
    at("where: broadcast", "sum(where(x > 0, sqrt(y), 0), axis=1)",
       named("x y", ([[1, -1], [-1, 1]], [[4, 0], [-1, 9]])), wrt=("y",), value=[2.0, 3.0],
       gradient={"y": [[0.25, 0.0], [0.0, 1 / 6]]}, why="each row has one branch that is chosen"),
    at("clipped", "maximum(sqrt(x), 0.125)", x(0), value=0.125, gradient={"x": 0.0},
       why="the constant is larger, and is so on both sides"),
    at("clipped", "maximum(sqrt(x), 0.125)", x(4, [1e-4, 4])),
    at("clipped", "minimum(maximum(sqrt(x), 0.125), 2)", x(0), value=0.125, gradient={"x": 0.0},
       why="the constant is larger, and is so on both sides"),
    at("clipped", "minimum(maximum(sqrt(x), 0.125), 2)", x(1, 9)),
    at("clipped", "maximum(log(x), -10)", x(0), value=-10.0, gradient={"x": 0.0}, quiet=False,
       why="log(0) is less than any number; that it is infinite is what NumPy may tell"),
    at("clipped", "sqrt(maximum(x, 0))", x(-1), value=0.0, gradient={"x": 0.0},
       why="0 for every x < 0"),
)  # fmt: skip

# --- limits at 0 ----------------------------------------------------------------------------------

LIMITS = (
    at("quotient of equals", "sum(x / x)", x([0, 0], [0, 2]), value=2.0, gradient={"x": [0.0, 0.0]},
       why="1 for every finite x", table=9),
    at("quotient of equals", "x / x", x(0, 1e-30), value=1.0, gradient={"x": 0.0},
       why="1 for every finite x"),
    at("product", "prod(x)", x([0, 0, 3], [2, 0, 3]), table=10),
    at("product", "prod(x)", x([2, 5, 3])),
    at("product", "x * y * z", named("x y z", (0, 0, 3), (2, 0, 3))),
    at("power at 0", "x ** 2.0", x(0), table=11),
    at("power at 0", "x ** 2.0", x(-3)),
    at("power at 0", "x ** 0.5", x(0), value=0.0, gradient={"x": INF},
       why="the limit from the right", table=11),
    at("power at 0", "x ** y", named("x y", (0, 2)), value=0.0, gradient={"x": 0.0, "y": 0.0},
       why="0 ** y is 0 for every y > 0", table=11),
    at("power at 0", "x ** y", named("x y", (0, 0.5)), value=0.0, gradient={"x": INF, "y": 0.0},
       why="0 ** y is 0 for every y > 0", table=11),
    at("power at 0", "x ** y", named("x y", (0, 1)), value=0.0, gradient={"x": 1.0, "y": 0.0},
       why="0 ** y is 0 for every y > 0", table=11),
    at("power at 0", "x ** y", named("x y", (0, 0)), wrt=("x",), value=1.0, gradient={"x": 0.0},
       why="x ** 0 is 1 for every x"),
    at("power at 0", "x ** 1.5", x(0), value=0.0, gradient={"x": 0.0},
       why="the limit from the right"),
    at("power at 0", "sum(x ** y)", named("x y", ([0, 0, 4], [2, 1, 0.5])), value=2.0,
       gradient={"x": [0.0, 1.0, 0.25], "y": [0.0, 0.0, 2 * mp.log(4)]},
       why="0 ** y is 0 for every y > 0"),
    at("x log x", "x * log(x)", x(0), value=0.0, gradient={"x": -INF},
       why="the limit from the right"),
    at("x log x", "log(x) * x", x(0), value=0.0, gradient={"x": -INF},
       why="the limit from the right"),
    at("x log x", "x * log(x)", x(2, 1e-30)),
    at("x log x", "-sum(x * log(x))", x([0, 0.5, 0.5]), value=mp.log(2),
       gradient={"x": [INF, mp.log(2) - 1, mp.log(2) - 1]}, why="the limit from the right"),
    at("x log x", "where(x > 0, x * log(x), 0)", x(0, -1), value=0.0, gradient={"x": 0.0},
       why=AT_EDGE),
    at("x log x", "sum(p * log(p / q))", named("p q", ([0, 0.5, 0.5], [0.25, 0.25, 0.5])),
       value=mp.log(2) / 2, gradient={"p": [-INF, mp.log(2) + 1, 1.0], "q": [0.0, -2.0, -1.0]},
       why="the limit from the right"),
)  # fmt: skip

# --- kinks ----------------------------------------------------------------------------------------

SHARES = "ties share evenly by convention"
MIDDLE = "0, between -1 and 1, by convention"
KINK = {"x": {"least": -1, "most": 1}}

KINKS = (
    at("maximum at ties", "max(x)", x([1, 1, 0]), value=1.0, gradient={"x": [0.5, 0.5, 0.0]},
       why=SHARES, accept={"x": {"least": [0, 0, 0], "most": [1, 1, 0], "sum": 1}}, table=12),
    at("maximum at ties", "max(x)", x([2, 2]), value=2.0, gradient={"x": [0.5, 0.5]}, why=SHARES,
       accept={"x": {"least": 0, "most": 1, "sum": 1}}, table=12),
    at("maximum at ties", "max(x)", x([1, 3, 2])),
    at("maximum at ties", "maximum(x, y)", named("x y", (1, 1)), value=1.0,
       gradient={"x": 0.5, "y": 0.5}, why=SHARES,
       accept={name: {"least": 0, "most": 1} for name in "xy"}),
    at("abs at 0", "abs(x)", x(0), value=0.0, gradient={"x": 0.0}, why=MIDDLE, accept=KINK,
       table=13),
    at("abs at 0", "abs(x)", x(-0.0), value=0.0, gradient={"x": 0.0}, why=MIDDLE, accept=KINK),
    at("abs at 0", "abs(x)", x([0, -2, 3]), value=[0.0, 2.0, 3.0], gradient={"x": [0.0, -1.0, 1.0]},
       why=MIDDLE, accept={"x": {"least": [-1, -1, 1], "most": [1, -1, 1]}}),
)  # fmt: skip

CHOOSING = (*BRANCHES, *NESTED, *SHAPES, *LIMITS, *KINKS)
