"""Four ways to a derivative (note 003), and how large a derivative gets as an expression."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy

import graphc as gc
from tests.command_line import run
from tests.course.symbols import declared, on_symbols

AT = 2.0, 3.0


def quiz(x: Any, z: Any, log: Any = gc.log, exp: Any = gc.exp, sin: Any = gc.sin) -> Any:
    """The function of the note's quiz, of nodes, symbols or numbers."""
    return exp(x * z) + x * z / log(x) + sin(log(x)) / (x * z)


def quotients() -> list[float]:
    """Centred differences of the generated function."""
    net: Any = gc.compile(declared(quiz, "x z"), style="scalar").load()
    x, z = AT
    step = 1e-5
    return [
        (net.predict(x + step, z) - net.predict(x - step, z)) / (2 * step),
        (net.predict(x, z + step) - net.predict(x, z - step)) / (2 * step),
    ]


def symbolic() -> list[float]:
    """SymPy's derivatives of its own function."""
    x, z = sympy.symbols("x z")
    y = quiz(x, z, sympy.log, sympy.exp, sympy.sin)
    return [float(y.diff(v).evalf(30, subs={x: 2, z: 3})) for v in (x, z)]


def forward_mode() -> list[float]:
    """Dual numbers: a tangent for each input, pushed through the graph."""
    with gc.Graph("forward", dtype="float64") as graph:
        x, z = graph.input("x"), graph.input("z")
        y = quiz(x, z)
        graph.output("x", gc.jvp(y, [x, z], [1.0, 0.0]))
        graph.output("z", gc.jvp(y, [x, z], [0.0, 1.0]))
    return [float(d) for d in gc.compile(graph, inference=True).load().predict(*AT)]


def reverse_mode() -> list[float]:
    """The generated backward pass."""
    _, grads = gc.compile(declared(quiz, "x z"), style="scalar").load().value_and_grad(*AT)
    return [grads["x"], grads["z"]]


WAYS: dict[str, tuple[Callable[[], list[float]], float]] = {
    "finite differences": (quotients, 1e-8),
    "symbolic": (symbolic, 1e-15),
    "forward mode": (forward_mode, 1e-14),
    "reverse mode": (reverse_mode, 1e-14),
}


@pytest.mark.parametrize("way", WAYS)
def test_four_ways_to_one_derivative(way: str) -> None:
    """003, quiz 1: at x = 2, z = 3, rounded to the nearest integer: 1208 and 810."""
    found, tolerance = WAYS[way][0](), WAYS[way][1]
    with mpmath.workdps(40):
        function = lambda x, z: quiz(x, z, mpmath.log, mpmath.exp, mpmath.sin)  # noqa: E731
        exact = [float(mpmath.diff(function, AT, order)) for order in ((1, 0), (0, 1))]
    np.testing.assert_allclose(found, exact, rtol=tolerance)
    assert [round(d) for d in found] == [1208, 810]


def test_quiz_as_expressions() -> None:
    """003, quiz 1: the emitted value and derivatives, run on symbols, are SymPy's."""
    found = on_symbols(quiz, "x z")
    x, z = sympy.symbols("x z")
    y = quiz(x, z, sympy.log, sympy.exp, sympy.sin)
    assert sympy.simplify(found["y"] - y) == 0
    assert sympy.simplify(found["x"] - y.diff(x)) == 0
    assert sympy.simplify(found["z"] - y.diff(z)) == 0


def test_check_compares_the_derivatives_with_differences(tmp_path: Path) -> None:
    """003: `graphc check` on the quiz as a model."""
    model = tmp_path / "quiz.py"
    model.write_text(
        "import graphc as gc\n"
        'with gc.Graph("quiz", dtype="float64") as g:\n'
        '    x, z = g.input("x"), g.input("z")\n'
        '    g.output("y", gc.exp(x * z) + x * z / gc.log(x) + gc.sin(gc.log(x)) / (x * z))\n'
    )
    done = run("check", str(model))
    assert done.status == 0, done.err
    assert "2 of 2 gradients agree with central differences" in done.out


# --- size -----------------------------------------------------------------------------------------


def nested(depth: int, x: Any, sine: Callable[[Any], Any]) -> Any:
    """x sin x, of itself, and so on."""
    for _ in range(depth):
        x = x * sine(x)
    return x


def lines(depth: int) -> int:
    """The statements of the two passes that compute something."""
    source = gc.compile(declared(lambda x: nested(depth, x, gc.sin), "x"), style="scalar").source
    passes = [
        f for f in ast.parse(source).body if getattr(f, "name", "") in ("forward", "backward")
    ]
    computing = (ast.BinOp, ast.UnaryOp)
    return sum(
        any(isinstance(n, computing) or ast.unparse(n).startswith("math.") for n in ast.walk(step))
        for function in passes
        for step in function.body  # type: ignore[attr-defined]
    )


def test_a_derivative_blows_up_as_a_tree_and_not_as_a_program() -> None:
    """003: nested x sin x: SymPy's derivative more than doubles with each level, the code does not.

    Each level adds as many lines as the one before.
    """
    x = sympy.Symbol("x")
    trees = [int(nested(depth, x, sympy.sin).diff(x).count_ops()) for depth in range(1, 7)]
    assert all(after > 2 * before for before, after in pairwise(trees))
    assert [lines(depth) for depth in (1, 2, 3, 6, 12, 24)] == [3 * d for d in (1, 2, 3, 6, 12, 24)]


def test_a_deep_derivative_is_right() -> None:
    """003: twelve levels, where the expression as a tree has some 400 000 operations."""
    graph = declared(lambda x: nested(12, x, gc.sin), "x")
    _, grads = gc.compile(graph, style="scalar").load().value_and_grad(1.3)
    value, slope = 1.3, 1.0
    for _ in range(12):  # y = v sin v has the slope (sin v + v cos v) v'
        value, slope = value * math.sin(value), (math.sin(value) + value * math.cos(value)) * slope
    np.testing.assert_allclose(grads["x"], slope, rtol=1e-13)
