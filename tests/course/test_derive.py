"""What a reader is shown (notes 000, 001, 003): closed forms, steps of both passes, equations."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy

from tests.command_line import run

QUIZ = "exp(x*z) + x*z/log(x) + sin(log(x))/(x*z)"
# name: (formula, wrt, the partials that the note gives, a point)
FORMULAS: dict[str, tuple[str, dict[str, str], dict[str, float]]] = {
    "x1 - x2": ("x1 - x2", {"x1": "1", "x2": "-1"}, {"x1": 2.0, "x2": 0.5}),
    "weights": (
        "x1 - (w3*x3 + w4*x4)",
        {"w3": "-x3", "w4": "-x4"},
        {"x1": 1.0, "w3": 0.5, "x3": 2.0, "w4": -1.0, "x4": 3.0},
    ),
    "sigmoid": (
        "x1 - sigmoid(w3*x3 + w4*x4)",
        {"w3": "-x3*exp(-w3*x3 - w4*x4)/(1 + exp(-w3*x3 - w4*x4))**2"},
        {"x1": 1.0, "w3": 0.5, "x3": 2.0, "w4": -1.0, "x4": 3.0},
    ),
    "several paths": (
        "(x3 + x5) - sigmoid(w3*x3 + w4*x4)",
        {"x3": "1 - w3*exp(-w3*x3 - w4*x4)/(1 + exp(-w3*x3 - w4*x4))**2", "x5": "1"},
        {"x3": 1.0, "x5": 0.2, "w3": 0.5, "w4": -1.0, "x4": 3.0},
    ),
    "quiz": (
        QUIZ,
        {
            "x": "z*exp(x*z) + z/log(x) - z/log(x)**2 + (cos(log(x)) - sin(log(x)))/(x**2*z)",
            "z": "x*exp(x*z) + x/log(x) - sin(log(x))/(x*z**2)",
        },
        {"x": 2.0, "z": 3.0},
    ),
}
formulas = pytest.mark.parametrize("name", FORMULAS)


def derived(name: str) -> dict[str, str]:
    """What `graphc derive` prints about a formula: the text of each section by its heading."""
    formula, partials, point = FORMULAS[name]
    at = ",".join(f"{variable}={value}" for variable, value in point.items())
    done = run("derive", formula, "--wrt", ",".join(partials), "--at", at)
    assert done.status == 0, done.err
    parts = re.split(r"^(\w.*)$", done.out, flags=re.MULTILINE)
    return {
        heading.split(" ")[0]: text for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def equations(text: str) -> dict[str, str]:
    """Left and right sides of the lines."""
    lines = [line.split("#")[0].strip() for line in text.splitlines() if " = " in line]
    pairs = [re.split(r"\s+= ", line, maxsplit=1) for line in lines]
    return {left: right for left, right in pairs}  # noqa: C416


@formulas
def test_closed_forms_are_those_of_the_note(name: str) -> None:
    """000, 003: each derivative as an expression."""
    _, partials, point = FORMULAS[name]
    found = equations(derived(name)["closed"])
    symbols = {variable: sympy.Symbol(variable) for variable in point}
    for variable, note in partials.items():
        difference = sympy.sympify(found[f"∂y/∂{variable}"], locals=symbols) - sympy.sympify(
            note, locals=symbols
        )
        assert sympy.simplify(difference) == 0


@formulas
def test_numbers_at_a_point(name: str) -> None:
    """000, 003: value and derivatives, against the note's partials in 40 digits."""
    _, partials, point = FORMULAS[name]
    found = equations(derived(name)["at"])
    for variable, note in partials.items():
        exact = float(sympy.sympify(note).evalf(40, subs=point))
        np.testing.assert_allclose(float(found[f"∂y/∂{variable}"]), exact, rtol=1e-14)


def test_quiz_rounded_to_integers() -> None:
    """003: at x = 2, z = 3 the answer is [1208, 810], of the value 412."""
    found = equations(derived("quiz")["at"])
    rounded = {side: round(float(number)) for side, number in found.items()}
    assert rounded == {"y": 412, "∂y/∂x": 1208, "∂y/∂z": 810}
    with mpmath.workdps(30):
        y = mpmath.exp(6) + 6 / mpmath.log(2) + mpmath.sin(mpmath.log(2)) / 6
    np.testing.assert_allclose(float(found["y"]), float(y), rtol=1e-15)


@formulas
def test_steps_are_a_trace_of_both_passes(name: str) -> None:
    """001, 003: the steps, carried out one after another from dy/dy = 1, give the numbers."""
    _, partials, point = FORMULAS[name]
    sections = derived(name)
    steps, numbers = equations(sections["steps"]), equations(sections["at"])
    assert steps["y_bar"] == "1.0"
    assert list(steps).index("y") < list(steps).index("y_bar")

    def sigmoid(z: float) -> float:
        return 1 / (1 + math.exp(-z))

    def sigmoid_slope(z: float) -> float:
        return sigmoid(z) * (1 - sigmoid(z))

    known: dict[str, Any] = {"math": math, "sigmoid": sigmoid, "sigmoid_slope": sigmoid_slope}
    values: dict[str, Any] = dict(point)
    for left, right in steps.items():
        values[left] = eval(right, known, values)  # the step may use what came before it alone
    for variable in partials:
        side = f"∂y/∂{variable}"
        np.testing.assert_allclose(values[side], float(numbers[side]), rtol=1e-13)


def test_two_hidden_layers_as_matrix_equations(tmp_path: Path) -> None:
    """001, 003: `graphc inspect` of σ(βᵀ σ(α₂ᵀ σ(α₁ᵀ x))): ∂y/∂β and ∂y/∂α, with shapes."""
    model = tmp_path / "quiz.py"
    model.write_text(
        "import graphc as gc\n"
        'with gc.Graph("quiz", dtype="float64") as g:\n'
        '    x = g.input("x", (4,))\n'
        '    alpha1 = g.parameter("alpha1", (4, 3))\n'
        '    alpha2 = g.parameter("alpha2", (3, 2))\n'
        '    beta = g.parameter("beta", (2,))\n'
        "    z1 = alpha1.T @ x\n"
        "    h1 = gc.sigmoid(z1)\n"
        "    z2 = alpha2.T @ h1\n"
        "    h2 = gc.sigmoid(z2)\n"
        "    z3 = beta @ h2\n"
        '    g.output("y", gc.sigmoid(z3))\n'
    )
    done = run("inspect", str(model))
    assert done.status == 0, done.err
    gradients = done.out.split("gradients of y\n")[1].split("\n\n")[0].splitlines()
    # Without what follows an equation: its shape, and what is reused of the forward pass.
    found = [re.split(r"\s{2,}", line.strip())[0] for line in gradients]
    assert found == [
        "y_bar = 1",
        "z3_bar = y_bar·sigmoid'(z3)",
        "∂y/∂beta = z3_bar·h2",
        "h2_bar = z3_bar·beta",
        "z2_bar = h2_bar ⊙ sigmoid'(z2)",
        "∂y/∂alpha2 = (z2_bar[:, None] ⊙ h1)ᵀ",
        "h1_bar = alpha2 · z2_bar",
        "z1_bar = h1_bar ⊙ sigmoid'(z1)",
        "∂y/∂alpha1 = (z1_bar[:, None] ⊙ x)ᵀ",
    ]
    shapes = [re.findall(r"\([\d, ]+\)", line)[-1:] for line in gradients if "∂" in line]
    assert shapes == [["(2,)"], ["(3, 2)"], ["(4, 3)"]]
