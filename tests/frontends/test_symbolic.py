"""Nodes as SymPy expressions and back, against SymPy's own numbers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import sympy

import graphc as gc
from graphc.errors import ExpressionError
from graphc.inspect.symbolic import MAX_OPERATIONS
from graphc.ir.types import BOOL
from tests.ops.cases import CASES, Case, declare, over

X, Z = sympy.symbols("x z", real=True)
POINTS = [(0.7, 1.9), (-1.3, 0.4), (2.0, 2.0)]
DIGITS = 30

# One sample of each op that states what it means, and of some that are told by their bodies.
BY_THEIR_BODIES = {"leaky_relu", "stop_gradient"}
FORMULATED = [
    case
    for case in CASES
    if case.sample == 0 and (case.op.symbolic is not None or case.op.name in BY_THEIR_BODIES)
]


@over(FORMULATED)
def test_an_op_is_its_formula_and_comes_back_from_it(case: Case) -> None:
    model = declare(case)
    (node,) = model.results
    formula = gc.to_sympy(node)
    if node.dtype.kind == BOOL:
        formula = sympy.Piecewise((1, formula), (0, True))
    inputs = {n.params.name: n for n in model.inputs}
    with model.graph:
        again = gc.from_sympy(formula, **{s.name: inputs[s.name] for s in formula.free_symbols})
        model.graph.output("again", again)
    results = model.run()
    np.testing.assert_allclose(
        np.broadcast_to(results["again"], node.shape), results["y0"], rtol=1e-12, atol=1e-13
    )
    first = {name: np.asarray(array).flat[0] for name, array in model.feeds.items()}
    exact = formula.subs({s: value_of(first[s.name]) for s in formula.free_symbols})
    assert float(exact.evalf(DIGITS)) == pytest.approx(float(results["y0"].flat[0]), rel=1e-12)


def value_of(number: Any) -> Any:
    """A number of a sample as SymPy has it, bit for bit."""
    if isinstance(number, np.bool_):
        return sympy.true if number else sympy.false
    return sympy.Float(float(number), DIGITS)


EXPRESSIONS = [
    X / (1 + sympy.exp(-X)),
    sympy.sqrt(X**2 + Z**2) - 1 / sympy.sqrt(X**2 + 1),
    X**3 - 2 * X * Z / 3 + sympy.Rational(1, 7),
    sympy.exp(-(X**2) / 2) / sympy.sqrt(2 * sympy.pi),
    sympy.E * X - sympy.pi * Z + sympy.Float("0.1"),
    (X**2 + 1) ** sympy.Rational(-3, 2) + 2**-Z + (Z**2 + 2) ** X,
    sympy.Max(X, Z, 1) - sympy.Min(X, -Z, 0, 2 * X) + sympy.Abs(X - 1),
    sympy.Piecewise((X**2, X > 1), (sympy.sin(Z), (X > -1) & (Z < 1)), (-X, True)),
    sympy.Piecewise((1, sympy.Eq(X, Z)), (2, sympy.Ne(X, 0.7)), (3, True)),
    sympy.Piecewise((1, ~((X >= 0) | (Z <= 0))), (X, True)),
    sympy.Piecewise((X, X > Z), (Z, X <= Z)),  # none of which is for all the rest
    sympy.sign(X) * sympy.Heaviside(Z - 1) + sympy.Heaviside(X - 2, 1),
    sympy.sin(X) * sympy.cos(Z) + sympy.tanh(X) - sympy.cosh(Z) / 9 + sympy.sinh(X),
    -X - Z - 1,
    -(X + 1) * (Z - 2) / (X**2 + 3),
    sympy.Integer(4) / 5 + sympy.sqrt(2),
    sympy.Mul(X, sympy.Pow(Z, -2, evaluate=False), evaluate=False) + 1 / Z,
]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_an_expression_has_sympys_value_and_keeps_it(expression: Any) -> None:
    with gc.Graph("expression", dtype="float64") as g:
        known = {"x": g.input("x"), "z": g.input("z")}
        names = {s.name for s in expression.free_symbols}
        y = gc.from_sympy(expression, **{n: known[n] for n in names})
        g.output("y", y)
    predict = gc.compile(g, style="scalar", inference=True).load().predict
    again = gc.to_sympy(y)
    for x, z in POINTS:
        point = {X: sympy.Float(x), Z: sympy.Float(z)}
        expected = float(expression.subs(point).evalf(DIGITS))
        given = [{"x": x, "z": z}[n] for n in ("x", "z") if n in names]
        assert predict(*given) == pytest.approx(expected, rel=1e-13, abs=1e-14)
        assert float(again.subs(point).evalf(DIGITS)) == pytest.approx(expected, rel=1e-13)


def test_what_stands_twice_is_one_node() -> None:
    with gc.Graph("shared") as g:
        before = gc.from_sympy(sympy.sin(X), x=(x := g.input("x")))
        after = gc.from_sympy(sympy.exp(sympy.sin(X)) + sympy.sin(X) ** 3, x=x)
    assert sum(node.op.name == "sin" for node in g.nodes) == 1
    assert before.op.name == "sin"
    assert after.op.name == "add"


def test_assigned_expressions_are_called_after_their_variables() -> None:
    with gc.Graph("labels") as g:
        gate = gc.from_sympy(1 / (1 + sympy.exp(-X)), x=g.input("x", ("batch",)))
    assert g.labels[gate].text == "gate"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (sympy.zeta(X), "no op for SymPy's zeta, in zeta"),
        (sympy.Sum(X, (Z, 0, 3)), "no op for SymPy's Sum"),
        (sympy.Integral(X, X), "no op for SymPy's Integral"),
        (sympy.Function("sinn")(X), "did you mean 'sin"),
        (sympy.I * X, "I has no finite real value"),
        (sympy.log(-1) * X, "no finite real value"),
        (X * sympy.zoo, "no finite real value"),
        (X + Z, "'z' is not given; the inputs are x"),
        (sympy.Integer(3), "'x' is no symbol of the expression; there are none"),
        ("x", "from_expression reads text"),
        (X > 0, "expects a SymPy expression"),
        (None, "expects a SymPy expression"),
    ],
    ids=str,
)
def test_what_has_no_nodes_is_refused(expression: Any, message: str) -> None:
    with gc.Graph("refused") as g:
        x = g.input("x")
        with pytest.raises(ExpressionError, match=message) as caught:
            gc.from_sympy(expression, x=x)
    assert "test_symbolic.py" in str(caught.value)


# --- to SymPy -------------------------------------------------------------------------------------


def test_constants_are_exact_where_they_are_small() -> None:
    with gc.Graph("constants", dtype="float64") as g:
        x = g.input("x")
        node = x * 0.5 + np.pi - x * 0.1 + 3.0 + np.float64(np.e) * x + 2**60 * x
    parts = gc.to_sympy(node).as_coefficients_dict()
    assert parts[sympy.pi] == 1
    assert parts[sympy.Integer(1)] == 3
    x = sympy.Symbol("x", real=True)
    slope = sympy.diff(gc.to_sympy(node), x)
    assert float(slope - sympy.E) == pytest.approx(0.4 + 2**60)


def test_numbers_that_are_too_large_for_exact_arithmetic_become_floats() -> None:
    with gc.Graph("large", dtype="float64") as g:
        tower = g.constant(9.0) ** g.constant(9.0) ** g.constant(9.0)
        small = gc.exp(gc.exp(gc.exp(g.constant(9.0))) * -1.0)
    assert gc.to_sympy(tower) == sympy.oo
    assert gc.to_sympy(small) == 0


def test_integers_and_bools_have_their_own_symbols() -> None:
    with gc.Graph("kinds") as g:
        n, on = g.input("n", dtype="int64"), g.input("on", dtype="bool")
        formula = gc.to_sympy(gc.where(on, n.astype("float32"), 0.0))
    symbols = {s.name: s for s in formula.free_symbols}
    assert symbols["n"].is_integer
    assert formula.subs({symbols["on"]: True, symbols["n"]: 4}) == 4


def nested(times: int) -> gc.Node:
    """sin(x)*x nested so often: as a tree twice as large each time."""
    with gc.Graph("nested") as g:
        y = g.input("x")
        for _ in range(times):
            y = gc.sin(y) * y
    return y


def test_a_tree_that_would_be_too_large_is_refused_at_once() -> None:
    start = time.process_time()
    with pytest.raises(ExpressionError, match=f"has 8190 operations.* at most {MAX_OPERATIONS}"):
        gc.to_sympy(nested(12))
    with pytest.raises(ExpressionError, match="operations"):
        gc.to_sympy(nested(2000))
    assert time.process_time() - start < 1.0
    assert gc.to_sympy(nested(5)).count_ops() == 62


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v, x: v.sum(), "sum is no function of scalars"),
        (lambda v, x: v @ v, "matmul is no function of scalars"),
        (lambda v, x: gc.softmax(v), "is no function of scalars"),
        (lambda v, x: v * np.array([1.0, 2.0, 3.0]), "an array of different constants"),
        (lambda v, x: gc.grad(gc.sin(x), x), r"to_sympy expands no derivatives.*sympy\.diff"),
    ],
)
def test_what_is_no_formula_of_scalars_is_refused(make: Any, message: str) -> None:
    with gc.Graph("arrays") as g:
        node = make(g.input("v", (3,)), g.input("x"))
    with pytest.raises(ExpressionError, match=message) as caught:
        gc.to_sympy(node)
    assert "test_symbolic.py" in str(caught.value)


def test_deep_nesting_is_told() -> None:
    with gc.Graph("deep") as g:
        y = g.input("x")
        for _ in range(900):
            y = gc.sin(y)
    with pytest.raises(ExpressionError, match="nested too deeply for SymPy"):
        gc.to_sympy(y)
