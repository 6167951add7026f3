"""Ops from a formula, against SymPy's values and derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy

import graphc as gc
from graphc.errors import DeclarationError, GraphcError
from graphc.ir.op import OPS
from tests.ops.cases import Case, first_order
from tests.styles import STYLES, functions

X, A = sympy.symbols("x a", real=True)
FORMULAS: dict[str, tuple[Any, Any]] = {  # what is declared, and the same of x and a to SymPy
    "function": (lambda x, a: x / (1 + sympy.exp(-a * x)), X / (1 + sympy.exp(-A * X))),
    "expression": (sympy.sin(X) ** 2 * A + sympy.sqrt(X), None),
    "text": ("x**a * log(1 + x)", X**A * sympy.log(1 + X)),
    "pieces": (
        lambda x, a: sympy.Piecewise((x**2, x > 1), (a * sympy.tanh(x), True)),
        sympy.Piecewise((X**2, X > 1), (A * sympy.tanh(X), True)),
    ),
    "extremum": (lambda x, a: sympy.Max(x, a) + sympy.Abs(x - 1.1) * a, None),
}  # fmt: skip


def declared(case: str) -> tuple[Any, Any]:
    """The op of a formula, and its meaning to SymPy."""
    formula, meaning = FORMULAS[case]
    if meaning is None:
        meaning = formula(X, A) if callable(formula) else formula
    order = {} if callable(formula) else {"operands": ("x", "a")}
    return gc.elementwise_op(f"op_{case}", formula, **order), meaning


@pytest.mark.parametrize("style", [*STYLES, "scalar"])
@pytest.mark.parametrize("case", FORMULAS)
def test_values_and_derivatives_of_a_formula_are_sympys(case: str, style: str) -> None:
    op, meaning = declared(case)
    shape = () if style == "scalar" else (4,)
    with gc.Graph("formula", dtype="float64") as g:
        x, a = g.input("x", shape), g.input("a", shape)
        y = op(x, a)
        first = gc.vjp(y, x)
        outputs = {"y": y, "x": first, "a": gc.vjp(y, a), "xx": gc.vjp(first, x)}
        outputs["xa"] = gc.vjp(first, a)
        for name, node in outputs.items():
            g.output(name, node)
    predict = functions(gc.compile(g, style=style, inference=True)).predict
    points = [(0.3, 1.7), (1.9, 0.6), (0.8, 0.9), (1.2, 1.5)]
    if style == "scalar":
        results = np.array([predict(*point) for point in points]).T
    else:
        results = np.array(predict(*np.array(points).T))
    for row, wrt in zip(results, [(), (X,), (A,), (X, X), (X, A)], strict=True):
        derivative = meaning
        for symbol in wrt:
            derivative = sympy.diff(derivative, symbol)
        exact = [float(derivative.subs({X: sympy.Float(x), A: sympy.Float(a)}).evalf(30))
                 for x, a in points]  # fmt: skip
        np.testing.assert_allclose(row, exact, rtol=1e-12, atol=1e-14, err_msg=str(wrt))


def test_it_is_an_op_like_all_others() -> None:
    swish = gc.elementwise_op("swish", lambda x: x / (1 + sympy.exp(-x)))
    assert OPS["swish"] is swish
    assert swish.doc.startswith("x/(1 + exp(-x)); ∂/∂x = x*exp(-x)/(1 + exp(-x))**2")
    for sample in range(len(swish.samples)):
        for dtype in ("float32", "float64"):
            model = first_order(Case(swish, sample), dtype)
            results = [model.run(style=style) for style in STYLES]
            for name, value in results[0].items():
                assert value.dtype == dtype
                np.testing.assert_allclose(value, results[1][name], rtol=1e-6)
    with gc.Graph("labels") as g:
        x = g.input("x", ("batch", 3))
        gate = swish(x + 1) * gc.from_expression("swish(x)", x=x[:, :1])
    assert gate.shape == x.shape
    assert g.labels[gate].text == "gate"
    with gc.Graph("ints") as g:
        assert swish(g.input("n", dtype="int64")).dtype.name == "float32"


def test_a_formula_is_made_stable_and_shares_its_parts() -> None:
    swish = gc.elementwise_op("swish", lambda x: x / (1 + sympy.exp(-x)))
    with gc.Graph("stable", dtype="float64") as g:
        g.output("y", swish(g.input("x", (4,))))
    module = gc.compile(g)
    net = module.load()
    y, residuals = net.forward(np.array([-1000.0, 0.0, 1000.0, -5.0]))
    slope = net.backward(residuals, np.ones(4))["x"]
    s = 1 / (1 + math.exp(5))
    np.testing.assert_allclose(y, [0, 0, 1000, -5 * s], rtol=1e-13)
    np.testing.assert_allclose(slope, [0, 0.5, 1, s - 5 * s * (1 - s)], rtol=1e-13)
    assert module.source.count("= sigmoid(x)") == 1


def test_arguments_with_a_default_are_static_numbers() -> None:
    scaled = gc.elementwise_op("scaled", lambda x, z, k=2.0: k * x + z / k)
    with gc.Graph("static", dtype="float64") as g:
        x = g.input("x")
        g.output("y", scaled(x, 1.0))
        g.output("y4", scaled(x, 1.0, k=4))
        for wrong, message in [
            (lambda: scaled(x), "scaled: missing a required argument: 'z'"),
            (lambda: scaled(x, x, 3), "scaled: too many positional arguments"),
            (lambda: scaled(x, x, q=3), "unexpected keyword argument 'q'"),
            (lambda: scaled(x, x, k=x), "scaled: k is a finite number"),
        ]:
            with pytest.raises(GraphcError, match=message):
                wrong()
    assert gc.compile(g, style="scalar").load().predict(3) == (6.5, 12.25)


def test_declaring_again_is_harmless_and_declaring_otherwise_an_error() -> None:
    first = gc.elementwise_op("again", "x*x")
    assert gc.elementwise_op("again", "x*x") is first
    with pytest.raises(DeclarationError, match="'again' is declared already, otherwise than here"):
        gc.elementwise_op("again", "x*x + 1")

    def cube(x: Any) -> Any:
        return x * x * x

    made = [gc.custom_op("cube", cube, vjp=lambda bar, out, x: bar * (3 * x * x)) for _ in range(2)]
    assert made[0] is made[1]
    with pytest.raises(DeclarationError, match="'cube' is declared already"):
        gc.custom_op("cube", "x**3", vjp=None)


@pytest.mark.parametrize(
    ("name", "formula", "message"),
    [
        ("sin", "x*x", "there is an op 'sin' already"),
        ("clip", "x*x", "there is an? (op|function) 'clip' already"),
        ("mse", "x*x", "there is an? (op|function) 'mse' already"),
        ("pi", "x*x", "there is a constant 'pi' already"),
        ("two words", "x*x", "is an identifier"),
        ("_private", "x*x", "does not begin with an underscore"),
        ("lambda", "x*x", "is an identifier"),
        ("\uff53", "x*x", "ASCII"),
        (3, "x*x", "is an identifier"),
        ("op", "3", "op 'op' has no operand"),
        ("op", "x*zeta(x)", "column 3: there is no function 'zeta'"),
        ("op", lambda x: sympy.zeta(x), "no op for SymPy's zeta"),
        ("op", lambda x: np.exp(x), "fails on SymPy symbols.*use SymPy's functions"),
        ("op", lambda x: x > 0, "the formula is no number"),
        ("op", lambda x: "x", "fails on SymPy symbols"),
        ("op", lambda *x: x[0], "the arguments of the formula are plain"),
        ("op", lambda x, k=None: x, "op: k is a finite number, got None"),
        ("op", sympy.I * X, "no finite real value"),
        ("op", 3, "a formula is a function of SymPy symbols"),
        ("op", "out*2", "an operand cannot be called 'out'"),
    ],
)
def test_what_is_no_op_is_refused(name: Any, formula: Any, message: str) -> None:
    before = list(OPS)
    with pytest.raises(GraphcError, match=message):
        gc.elementwise_op(name, formula)
    assert list(OPS) == before


def test_operands_in_another_order_are_asked_for_by_name() -> None:
    ratio = gc.elementwise_op("ratio", "x/z", operands="z x")
    with gc.Graph("order", dtype="float64") as g:
        g.output("y", ratio(4.0, g.input("x")))
    assert gc.compile(g, style="scalar").load().predict(2.0) == 0.5
    with pytest.raises(DeclarationError, match="has the operands x, z, not x, y"):
        gc.elementwise_op("other", "x/z", operands="x y")
