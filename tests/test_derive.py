"""`graphc derive`: closed forms, steps and numbers, against SymPy's, and the module it writes."""

from __future__ import annotations

import math
import re
import time
from itertools import combinations_with_replacement
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sympy

from graphc.derive import derive, point_of
from graphc.errors import UsageError
from tests.command_line import run

QUIZ = "exp(x*z) + x*z/log(x) + sin(log(x))/(x*z)"
DIGITS = 30

CASES = {
    "quiz": (QUIZ, {"x": 2.0, "z": 3.0}),
    "logistic": ("a/(1 + exp(-k*(t - s)))", {"a": 2.0, "k": 0.5, "t": 1.0, "s": -1.5}),
    "powers": ("x**3*z**-2 + (x + z)**1.5 + 2**x", {"x": 1.25, "z": 0.5}),
    "power of two variables": ("x**z", {"x": 1.7, "z": 0.3}),
    "names that Python has": ("max*print + in_**2", {"max": 1.5, "print": 2.0, "in_": 3.0}),
    "names of results": ("y*f*value", {"y": 1.5, "f": 2.0, "value": 3.0}),
    "names of cotangents": ("y_bar*x + x**2 + log_bar", {"y_bar": 1.5, "x": 2.0, "log_bar": 3.0}),
    "kinks": ("abs(x - z) + relu(x) + maximum(x*x, z)", {"x": 1.5, "z": -2.0}),
    "stable forms": ("log(1 + exp(x)) + sqrt(x*x + z*z)", {"x": 0.3, "z": 0.4}),
    "linear": ("3*x - z/4 + pi", {"x": 1.0, "z": 1.0}),
    "one variable": ("x", {"x": 5.0}),
}


def exact(text: str, point: dict[str, float], names: tuple[str, ...]) -> float:
    """A derivative at a point by SymPy; only texts of this file come here."""
    symbols = {name: sympy.Symbol(name, real=True) for name in point}
    known = {n: getattr(sympy, n) for n in ("exp", "log", "sin", "sqrt", "pi")}
    known |= {"abs": sympy.Abs, "maximum": sympy.Max, "relu": lambda x: sympy.Max(x, 0)}
    formula = sympy.sympify(eval(text, {**known, **symbols}))
    for name in names:
        formula = sympy.diff(formula, symbols[name])
    return float(formula.subs({symbols[n]: sympy.Float(v, DIGITS) for n, v in point.items()}))


def numbers_in(text: str) -> list[float]:
    """The numbers that are told at the point."""
    return [float(line.split(" = ")[1]) for line in text.split("\nat ")[1].splitlines()[1:] if line]


def entries(names: list[str], order: int) -> list[tuple[str, ...]]:
    return [e for n in range(order + 1) for e in combinations_with_replacement(names, n)]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_numbers_are_sympys(case: str, order: int) -> None:
    text, point = CASES[case]
    told = numbers_in(derive(text, order=order).text(point))
    expected = [exact(text, point, names) for names in entries(list(point), order)]
    assert told == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_closed_forms_are_the_derivatives(case: str) -> None:
    text, point = CASES[case]
    forms = derive(text, order=2).text().split("\n\n")[0].splitlines()[1:]
    names = {n: sympy.Symbol(n, real=True) for n in point}
    for line, entry in zip(forms, entries(list(point), 2), strict=True):
        form = eval(line.split(" = ")[1], {**vars(sympy), **names})
        value = sympy.sympify(form).subs({names[n]: v for n, v in point.items()})
        assert float(value) == pytest.approx(exact(text, point, entry), rel=1e-12, abs=1e-13), line


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_steps_are_a_program_that_computes_all_of_it(case: str, order: int) -> None:
    text, point = CASES[case]
    derivation = derive(text, order=order)
    steps = "\n".join(line for line in derivation.steps() if not line.startswith("∂"))
    named = {line.split(" = ")[1] for line in derivation.steps() if line.startswith("∂")}
    scope: dict[str, Any] = {**vars(derivation.module.load()), **point}
    exec(steps, scope)
    values = {eval(name, scope) for name in named}
    expected = {exact(text, point, e) for e in entries(list(point), order)[1:]}
    assert sorted(values) == pytest.approx(sorted(expected), rel=1e-12, abs=1e-13)


def test_the_quiz_of_the_course() -> None:
    result = run("derive", QUIZ, "--wrt", "x,z", "--at", "x=2,z=3")
    assert (result.status, result.err) == (0, "")
    x, z = 2.0, 3.0
    log = math.log(x)
    by_hand = [
        math.exp(x * z) + x * z / log + math.sin(log) / (x * z),
        z * math.exp(x * z)
        + (z * log - z) / log**2
        + (math.cos(log) * z - math.sin(log) * z) / (x * z) ** 2,
        x * math.exp(x * z) + x / log - math.sin(log) / (x * z**2),
    ]
    assert numbers_in(result.out) == pytest.approx(by_hand, rel=1e-14)
    assert "  ∂y/∂z = x*exp(x*z) + x/log(x) - sin(log(x))/(x*z**2)\n" in result.out
    assert "sqrt" not in result.out  # of cos - sin SymPy would make sqrt(2)*cos(log(x) + pi/4)
    assert result.out.count("math.log(x)") == 1  # what is shared is computed once
    assert result.out.count("math.exp(") == 1


def test_it_differentiates_by_what_it_is_told() -> None:
    out = run("derive", "x*z*w", "--wrt", "w, x").out
    assert re.findall("∂y/∂(.) +=", out.split("steps")[0]) == ["w", "x"]
    assert run("derive", "x*z*w", "--wrt", "x", "--order", "2").out.count("∂²y/∂x²") == 2


@pytest.mark.parametrize(
    ("formula", "target"),
    [("y", "f"), ("y*f", "value"), ("y*f*value*result", "y_2"), ("y*f*value*result*y_2", "y_3")],
)
def test_the_value_is_called_as_no_variable_is(formula: str, target: str) -> None:
    derivation = derive(formula, wrt=["y"])
    assert derivation.target == target
    assert f"∂{target}/∂y" in derivation.text(dict.fromkeys(formula.split("*"), 2.0))


def test_derivatives_may_be_called_alike() -> None:
    derivation = derive("x**2 * x_x", order=2)
    assert [*derivation.numbers({"x": 3.0, "x_x": 5.0})] == [
        "45.0", "30.0", "9.0", "10.0", "6.0", "0.0"
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["1", "2"])
def test_the_module_that_it_writes_gives_the_same(order: str, tmp_path: Path) -> None:
    target = tmp_path / "quiz.py"
    arguments = ("derive", QUIZ, "--at", "x=2,z=3", "--order", order, "-o", str(target))
    result = run(*arguments)
    assert result.out.endswith(f"\nwrote {target}\n")
    net = ModuleType("quiz")
    exec(compile(target.read_text(), "quiz.py", "exec"), net.__dict__)
    value, grads = net.value_and_grad(2, 3)
    told = numbers_in(result.out.split("\nwrote")[0])
    assert [value, grads["x"], grads["z"]] == pytest.approx(told[:3], rel=1e-14)
    if order == "2":
        assert list(net.predict(2, 3)) == told
        assert net.Outputs._fields == ("y", "y_x", "y_z", "y_x_x", "y_x_z", "y_z_z")
    assert net.self_test()
    assert "import numpy" not in target.read_text()
    assert f"graphc derive '{QUIZ}' --at x=2,z=3" in target.read_text()
    assert run(*arguments).status == 0  # its own file it replaces


def test_it_replaces_no_file_that_is_not_its_own(tmp_path: Path) -> None:
    target = tmp_path / "mine.py"
    target.write_text("important = 1\n")
    result = run("derive", "x*x", "-o", str(target))
    assert result.status == 2
    assert "was not written by graphc; pass --force" in result.err
    assert target.read_text() == "important = 1\n"
    assert run("derive", "x*x", "-o", str(target), "--force").status == 0
    assert "was not written" not in run("derive", "x*x", "-o", str(tmp_path)).err
    assert run("derive", "x*x", "-o", str(tmp_path / "missing" / "a.py")).status == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x*sinn(x)"], "'x*sinn(x)': column 3: there is no function 'sinn'; did you mean 'sin'?"),
        (["ln(x)"], "'ln(x)': column 1: there is no function 'ln'; write log"),
        (["softmax(x)"], "there is no function 'softmax'; there are abs, acos, "),
        (["__import__('os').getcwd()"], "there is no function '__import__'"),
        (["3*4"], "no variable to differentiate by"),
        (["x*rate", "--wrt", "rat"], "no variable of the formula; those are x, rate; did you mean"),
        (["x", "--at", "x"], "--at expects NAME=NUMBER, got 'x'"),
        (["x", "--at", "x=1,z=2"], "--at names 'z', but the variables are x"),
        (["x*z", "--at", "x=1"], "--at gives no number for z"),
        (["x", "--at", "x=1,x=2"], "--at gives 'x' twice"),
        (["x", "--at", "x=sin(1)"], "--at expects a number for 'x', got 'sin(1)'"),
        (["x", "--at", "x=1e999"], "larger than the largest float"),
        (["log(x)", "--at", "x=-1"], "derivative has no value at x = -1.0: math domain error"),
        (["1/x", "--at", "x=0"], "derivative has no value at x = 0.0: float division by zero"),
        (["exp(x)", "--at", "x=1000"], "derivative has no value at x = 1000.0: math range error"),
        (["x", "--order", "3"], "invalid choice"),
        (["+".join(f"sin({i}*x)" for i in range(900))], "each counted once, of at most 2000"),
        (["+".join(f"v{i}" for i in range(50)), "--order", "2"], "has 1325 derivatives by 50 var"),
        ([], "EXPR"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_derived_is_told_in_a_line(arguments: list[str], message: str) -> None:
    result = run("derive", *arguments)
    assert (result.status, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1


def test_standard_output_gets_the_module_alone() -> None:
    result = run("derive", "x*x", "-o", "-")
    assert result.status == 0
    net = ModuleType("net")
    exec(result.out, net.__dict__)
    assert net.value_and_grad(3) == (9.0, {"x": 6.0})


def test_numbers_of_a_point_may_be_arithmetic() -> None:
    assert point_of("z=2**0.5, x = -pi/2", ["x", "z"]) == {"x": -math.pi / 2, "z": math.sqrt(2)}
    with pytest.raises(UsageError):
        point_of("x=x", ["x"])


def nested(times: int) -> str:
    """sin(x)*x nested: twice as long each time, and its derivative more than that."""
    text = "x"
    for _ in range(times):
        text = f"(sin({text})*{text})"
    return text


@pytest.mark.parametrize("order", [1, 2])
def test_what_is_large_as_a_tree_is_told_in_steps_at_once(order: int) -> None:
    start = time.process_time()
    derivation = derive(nested(12), order=order)
    text = derivation.text({"x": 0.9})
    assert time.process_time() - start < 3.0
    assert "∂y/∂x" in text
    assert "omitted: more than 300 operations when nothing is shared" in text
    assert len(derivation.steps()) < 250
    slope = (exact_nested(0.9 + 1e-6) - exact_nested(0.9 - 1e-6)) / 2e-6
    assert numbers_in(text)[:2] == pytest.approx([exact_nested(0.9), slope], rel=1e-6)


def exact_nested(x: float) -> float:
    for _ in range(12):
        x = math.sin(x) * x
    return x


@pytest.mark.parametrize(
    "text",
    [
        "(x + 1)**1000000",
        "exp(exp(exp(exp(9))))*x",
        "**".join(["x"] * 12),
        "sin(" * 60 + "x" + ")" * 60,
        "abs(abs(x) - abs(z))/abs(x*z)",
        "maximum(" * 8 + "x" + ", z)" * 8,
    ],
    ids=range(6),
)
def test_nothing_takes_long(text: str) -> None:
    start = time.process_time()
    derive(text, order=2).text()
    assert time.process_time() - start < 10.0


def test_a_trigonometric_sum_is_simplified_where_that_is_much_shorter() -> None:
    assert "∂y/∂x = 0\n" in derive("sin(x)**2 + cos(x)**2").text()
    assert "∂y/∂x = -sin(x) + cos(x)\n" in derive("sin(x) + cos(x)").text()
