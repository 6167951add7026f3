"""Formulas as text: what they mean, against Python's own reading, and what is refused.

A text that is refused says where; one that is large or nested is refused or read in little time.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping

import mpmath
import pytest

import graphc as gc
from graphc.errors import ExpressionError
from graphc.frontends.expression import MAX_LENGTH, parse, scalar_functions
from graphc.ir.op import OPS

POINT = {"x": 0.7, "z": 1.9, "long_name_2": -0.4}
MEANING = {name: getattr(mpmath, name) for name in ("exp", "log", "sin", "cos", "tanh", "sqrt")}
MEANING |= {
    "maximum": max,
    "minimum": min,
    "abs": abs,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}
MEANING |= {"pi": mpmath.pi, "e": mpmath.e}

FORMULAS = [
    "x",
    "-x**2",
    "2**-x**2",
    "(-x)**2",
    "-2**2",
    "x - z - 1",
    "x / z / 2",
    "2**3**2 - x",
    "x**2**0.5",
    "- - x + +z",
    "x*-z",
    "x/-z**-2",
    "1e-3*x + .5*z + 2.*x + 1.5E+1",
    "exp(x*z) + x*z/log(x) + sin(log(x))/(x*z)",
    "maximum(x, minimum(z, 3)) * abs(long_name_2)",
    "sigmoid(-x)*cos(pi*z) + e**x",
    " x\n\t+ z ",
    "((((x))))",
    "sin (x)",
]


def value(text: str, point: Mapping[str, float]) -> float:
    """A formula at a point, by the module that is generated for it."""
    with gc.Graph("formula", dtype="float64") as g:
        inputs = {name: g.input(name) for name in parse(text).names}
        g.output("y", gc.from_expression(text, **inputs))
    net = gc.compile(g, style="scalar", inference=True).load()
    return float(net.predict(*(point[name] for name in inputs)))


def meaning(text: str, point: Mapping[str, float]) -> float:
    """What Python makes of the same text; only texts of this file come here."""
    exact = {name: mpmath.mpf(number) for name, number in point.items()}
    return float(eval(" ".join(text.split()), {**MEANING, **exact}))


def random_formula(rng: random.Random, depth: int) -> str:
    """A text with all operators, more parentheses than it needs, and fewer than a tree would."""
    if depth == 0:
        return rng.choice(["x", "z", "2", "0.5", "3.", "long_name_2"])
    left, right = (random_formula(rng, depth - 1 - rng.randrange(depth)) for _ in range(2))
    form = rng.choice(
        ["{0}+{1}", "{0} - {1}", "{0}*{1}", "{0}/({1}+7)", "-{0}", "({0})", "abs({0})**{1}",
         "sin({0})", "2**-{0}", "{0}*-{1}", "-{0}**2", "maximum({0},{1})"]
    )  # fmt: skip
    return form.format(left, right)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_means_what_python_means(text: str) -> None:
    assert value(text, POINT) == pytest.approx(meaning(text, POINT), rel=1e-14)


@pytest.mark.parametrize("seed", range(25))
def test_random_formulas_mean_what_python_means(seed: int) -> None:
    text = random_formula(random.Random(seed), 4)
    try:
        expected = meaning(text, POINT)
    except (TypeError, ValueError):  # a root of what is negative
        pytest.skip("not real")
    if abs(expected) < 1e100:
        assert value(text, POINT) == pytest.approx(expected, rel=1e-10, abs=1e-12), text


def test_every_function_is_read_with_as_many_operands_as_its_op_has() -> None:
    names = scalar_functions()
    assert {"exp", "relu", "hypot", "clip", "softplus"} <= set(names)
    assert {"where", "sum", "matmul", "softmax", "less", "mask", "peak"}.isdisjoint(names)
    for name in names:
        operands = OPS[name].operands
        parsed = parse(f"{name}({', '.join(operands)})")
        assert parsed.names == operands
        with pytest.raises(ExpressionError, match=f"{name} takes {len(operands)} argument"):
            parse(f"{name}({', '.join([*operands, 'another'])})")


def test_equal_parts_are_one_node() -> None:
    with gc.Graph("shared") as g:
        node = gc.from_expression("sin(x*z) + sin(x*z)", x=g.input("x"), z=g.input("z"))
    assert node.args[0] is node.args[1]


def test_arrays_and_numbers_stand_for_variables() -> None:
    with gc.Graph("arrays", dtype="float64") as g:
        x = g.input("x", (3,))
        y = gc.from_expression("a*x + 1/3", x=x, a=2)
        g.output("y", y)
    net = gc.compile(g, inference=True).load()
    assert g.labels[y].text == "y"
    assert net.predict([1.0, 2.0, 3.0]).tolist() == pytest.approx([7 / 3, 13 / 3, 19 / 3])


REFUSED = [
    # text, the column that the message names, and what it says
    ("", 1, "expected a number, a name or a parenthesis at the end"),
    ("x +", 4, "expected a number"),
    ("x^2", 2, r"a power is written \*\*"),
    ("2x", 2, "a product is written with"),
    ("x y", 3, "expected an operator"),
    ("x(z)", 1, "there is no function 'x'"),
    ("x*sinn(x)", 3, "did you mean 'sin'"),
    ("zeta(x)", 1, "there are abs, acos"),
    ("x.y", 2, "no attributes"),
    ("x[0]", 2, "no subscripts"),
    ("x // z", 3, "write x / y, or floor_divide"),
    ("x % z", 3, "write remainder"),
    ("x == z", 3, "no comparisons"),
    ("x = 2", 3, "no comparisons"),
    ("x if z else 1", 3, "expected an operator before 'if'"),
    ("lambda x: x", 1, "a keyword of Python"),
    ("None", 1, "a keyword of Python"),
    ("__import__('os')", 1, "no function '__import__'"),
    ("().__class__", 3, "no attributes"),
    ("x; z", 2, "unexpected ';'"),
    ("f'{x}'", 2, "no text in a formula"),
    ("{x}", 1, r"group with \( and \)"),
    ("x\0", 2, "U\\+0000"),
    ("\u0445 + 1", 1, "CYRILLIC SMALL LETTER HA"),
    ("x − 1", 3, "MINUS SIGN"),
    ("x × z", 3, "MULTIPLICATION SIGN"),
    ("\uff12*x", 1, "FULLWIDTH DIGIT TWO"),
    ("x\u202e", 2, "RIGHT-TO-LEFT OVERRIDE"),
    ("(x", 1, "never closed"),
    ("x)", 2, "no parenthesis that it could belong to"),
    ("()", 2, "expected a number"),
    ("(x, z)", 3, "only the arguments of a function"),
    ("sin(x, z)", 9, "sin takes 1 argument, got 2"),
    ("hypot(x)", 8, "hypot takes 2 arguments, got 1"),
    ("sin", 1, r"write sin\(…\)"),
    ("pi(x)", 1, r"a product is written pi\*"),
    ("9**9**9**9", 5, "no finite real value"),
    ("9**-9**9", 2, "smaller than the smallest float"),
    ("1/(2-2)", 2, "divides by 0"),
    ("(-1)**0.5*x", 5, "no finite real value"),
    ("1e999", 1, "larger than the largest float"),
    ("1" * 100, 1, "a number of 100 characters"),
    ("x" * 100, 1, "a name of 100 characters"),
    ("0x10", 2, "expected an operator"),
    ("1_000", 2, "expected an operator"),
    ("x if", 3, "expected an operator"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_formula_is_refused_with_its_place(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(text)
    assert f"column {column}:" in str(caught.value)
    assert str(caught.value).isprintable()


LARGE = {
    "a megabyte": "x+" * 500_000 + "x",
    "100 000 parentheses": "(" * 100_000 + "x",
    "closed ones": "(" * 45_000 + "x" + ")" * 45_000,
    "signs": "-" * 90_000 + "x",
    "powers of numbers": "9**" * 30_000 + "9",
    "powers of names": "x**" * 3_000 + "x",
    "calls": "sin(" * 20_000 + "x" + ")" * 20_000,
    "commas": "maximum(" + "x," * 40_000 + "x)",
    "digits": "1" * 99_000,
    "letters": "x" * 99_000,
    "open calls": "sin(" * 20_000,
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_texts_are_read_or_refused_at_once(kind: str) -> None:
    start = time.process_time()
    told = ""
    try:
        parse(LARGE[kind])
    except ExpressionError as error:
        told = str(error)
    assert len(told) < 400
    assert time.process_time() - start < 2.0
    assert MAX_LENGTH == 100_000


@pytest.mark.parametrize("text", [None, 3, b"x", ["x"]])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(ExpressionError, match="a formula is a text"):
        parse(text)


def test_a_variable_that_is_not_given_is_named() -> None:
    with gc.Graph("missing") as g:
        x = g.input("weight")
        with pytest.raises(ExpressionError, match=r"'wieght' .* did you mean 'weight'"):
            gc.from_expression("2*wieght", weight=x)


@pytest.mark.parametrize(("text", "number"), [("pi/2", math.pi / 2), ("-2**3", -8.0), ("x", None)])
def test_arithmetic_on_numbers_is_known_while_reading(text: str, number: float | None) -> None:
    assert parse(text).number == number
