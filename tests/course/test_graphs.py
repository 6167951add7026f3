"""Graphs and the chain rule (notes 000, 002, 003, 004): the partials that the notes write out."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import sympy

import graphc as gc
from tests.course.symbols import SIGMA, SLOPE, declared, on_symbols


@dataclass
class Partials:
    """A function of scalars, and its partial derivatives as the note has them."""

    names: str
    build: Callable[..., gc.Node]
    expected: dict[str, str]


NET = "w3*x3 + w4*x4"
CIRCUITS = {
    "x1 - x2": Partials("x1 x2", lambda x1, x2: x1 - x2, {"x1": "1", "x2": "-1"}),
    "x1 - (x3 + x4)": Partials(
        "x1 x3 x4", lambda x1, x3, x4: x1 - (x3 + x4), {"x1": "1", "x3": "-1", "x4": "-1"}
    ),
    "x1 - (x3 + x5 + x4)": Partials(
        "x1 x3 x4 x5", lambda x1, x3, x4, x5: x1 - (x3 + x5 + x4), {"x5": "-1", "x3": "-1"}
    ),
    "x1 - (w3 x3 + w4 x4)": Partials(
        "x1 x3 x4 w3 w4",
        lambda x1, x3, x4, w3, w4: x1 - (w3 * x3 + w4 * x4),
        {"w3": "-x3", "w4": "-x4", "x3": "-w3"},
    ),
    "x1 - σ(w3 x3 + w4 x4)": Partials(
        "x1 x3 x4 w3 w4",
        lambda x1, x3, x4, w3, w4: x1 - gc.sigmoid(w3 * x3 + w4 * x4),
        {"w3": f"-slope({NET})*x3", "w4": f"-slope({NET})*x4", "x1": "1"},
    ),
    "(x1 + x5) - σ(w3 x3 + w4 x4)": Partials(
        "x1 x5 x3 x4 w3 w4",
        lambda x1, x5, x3, x4, w3, w4: (x1 + x5) - gc.sigmoid(w3 * x3 + w4 * x4),
        {"x1": "1", "x5": "1", "w3": f"-slope({NET})*x3"},
    ),
    "(x3 + x5) - σ(w3 x3 + w4 x4)": Partials(
        "x3 x5 x4 w3 w4",
        lambda x3, x5, x4, w3, w4: (x3 + x5) - gc.sigmoid(w3 * x3 + w4 * x4),
        {"x3": f"-slope({NET})*w3 + 1", "x4": f"-slope({NET})*w4", "x5": "1"},
    ),
}
circuits = pytest.mark.parametrize("name", CIRCUITS)


def parsed(formula: str) -> sympy.Expr:
    return sympy.sympify(formula, locals={"slope": SLOPE, "sigma": SIGMA})


@circuits
def test_partials_are_the_expressions_of_the_note(name: str) -> None:
    """000: each partial of a circuit, as the emitted code writes it, with σ' for the slope."""
    case = CIRCUITS[name]
    found = on_symbols(case.build, case.names)
    for wrt, expected in case.expected.items():
        assert sympy.expand(found[wrt] - parsed(expected)) == 0, wrt


@circuits
def test_slopes_are_written_through_the_sigmoid_itself(name: str) -> None:
    """000: without stable rewriting, σ' is σ (1 - σ), of the σ that the forward pass computed."""
    case = CIRCUITS[name]
    found = on_symbols(case.build, case.names, stabilize=False)
    through = SIGMA(parsed(NET)) * (1 - SIGMA(parsed(NET)))
    for wrt, expected in case.expected.items():
        note = parsed(expected).replace(SLOPE, lambda net: through)
        assert sympy.expand(found[wrt] - note) == 0, wrt


@circuits
def test_partials_have_the_numbers_of_the_note(name: str) -> None:
    """000: the same in numbers, with σ' = σ (1 - σ) evaluated in 30 digits."""
    case = CIRCUITS[name]
    point = dict(zip(case.names.split(), (0.7, -1.3, 0.4, 2.1, -0.6, 1.9), strict=False))
    net: Any = gc.compile(declared(case.build, case.names)).load()
    _, grads = net.value_and_grad(**point)
    for wrt, expected in case.expected.items():
        slope = parsed(expected).replace(
            SLOPE, lambda net: sympy.exp(-net) / (1 + sympy.exp(-net)) ** 2
        )
        np.testing.assert_allclose(grads[wrt], float(slope.evalf(30, subs=point)), rtol=1e-14)


# --- the chain rule -------------------------------------------------------------------------------


def value(build: Callable[[gc.Graph], gc.Node], **options: Any) -> Any:
    """What a graph without inputs that are unknown comes to."""
    with gc.Graph("course", dtype="float64") as graph:
        graph.output("result", build(graph))
    return gc.compile(graph, inference=True, **options).load().predict


def test_chain_rule_of_a_chain() -> None:
    """004, case 1: z = h(g(x)); dz/dx = dz/dy dy/dx, each factor taken from the graph."""

    def factors(graph: gc.Graph) -> gc.Node:
        x = graph.input("x")
        y = gc.sin(x)
        z = gc.exp(y)
        return gc.stack([gc.grad(z, x), gc.grad(z, y), gc.grad(y, x)])

    total, outer, inner = value(factors)(0.8)
    np.testing.assert_allclose([outer, inner], [math.exp(math.sin(0.8)), math.cos(0.8)], rtol=1e-15)
    np.testing.assert_allclose(total, outer * inner, rtol=1e-15)


def test_chain_rule_of_two_paths() -> None:
    """004, case 2: z = k(g(s), h(s)); both paths from s are followed, and their parts added."""

    def factors(graph: gc.Graph) -> gc.Node:
        s = graph.input("s")
        x = s**2
        y = gc.sin(s)
        z = x * y
        return gc.stack([gc.grad(z, s), gc.grad(z, x), gc.grad(x, s), gc.grad(z, y), gc.grad(y, s)])

    s = 1.2
    total, z_x, x_s, z_y, y_s = value(factors)(s)
    np.testing.assert_allclose(
        [z_x, x_s, z_y, y_s], [math.sin(s), 2 * s, s**2, math.cos(s)], rtol=1e-15
    )
    np.testing.assert_allclose(total, z_x * x_s + z_y * y_s, rtol=1e-15)


def test_a_value_that_feeds_three_branches() -> None:
    """002: s_i = w_i z, and C depends on each: ∂C/∂z is the sum of w_i ∂C/∂s_i."""

    def partials(graph: gc.Graph) -> gc.Node:
        w = [graph.input(f"w{i}") for i in range(3)]
        z = graph.input("z")
        s0, s1, s2 = (weight * z for weight in w)
        cost = gc.tanh(s0) + gc.exp(s1) * s2 + s2**3
        return gc.stack([gc.grad(cost, z), *gc.grad(cost, [s0, s1, s2])])

    weights, z = (0.5, -1.5, 2.0), 0.4
    total, *by_branch = value(partials)(*weights, z)
    s0, s1, s2 = (w * z for w in weights)
    expected = [1 - math.tanh(s0) ** 2, math.exp(s1) * s2, math.exp(s1) + 3 * s2**2]
    np.testing.assert_allclose(by_branch, expected, rtol=1e-14)
    np.testing.assert_allclose(total, np.dot(weights, expected), rtol=1e-14)


# --- the rules of modules -------------------------------------------------------------------------

X = np.array([[1.0, -2.0, 0.0], [0.5, 3.0, -0.0]])
Y = np.array([[1.0, 1.0, -1.0], [2.0, -3.0, 0.0]])
BAR = np.array([[10.0, 20.0, 30.0], [40.0, 50.0, 60.0]])
W = np.array([[2.0, -1.0], [0.5, 4.0], [1.0, 3.0]])
WIDE = np.arange(1.0, 10.0).reshape(3, 3)

# name: (operands, outputs of them, cotangents of the outputs, cotangents of the operands)
RULES: dict[str, tuple[list[Any], Callable[..., list[gc.Node]], list[Any], list[Any]]] = {
    "linear": ([W, X], lambda w, x: [w @ x], [WIDE], [WIDE @ X.T, W.T @ WIDE]),
    "relu": ([X], lambda x: [gc.relu(x)], [BAR], [np.where(X < 0, 0, BAR)]),
    "duplicate": ([X], lambda x: [x, x], [BAR, 2 * BAR], [3 * BAR]),
    "add": ([X, Y], lambda x, y: [x + y], [BAR], [BAR, BAR]),
    "max": (
        [X, Y], lambda x, y: [gc.maximum(x, y)], [BAR],
        [np.where(X >= Y, BAR, 0), np.where(X >= Y, 0, BAR)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", ["functional", "workspace"])
@pytest.mark.parametrize("name", RULES)
def test_backward_rules_of_modules(name: str, style: str) -> None:
    """002: linear, ReLU (1 at 0), duplicate (a sum), add and max (a tie is the first's)."""
    operands, build, bars, expected = RULES[name]
    with gc.Graph(name, dtype="float64") as graph:
        nodes = [graph.input(f"x{i}", array.shape) for i, array in enumerate(operands)]
        for i, cotangent in enumerate(gc.vjp(build(*nodes), nodes, bars)):
            graph.output(f"bar{i}", cotangent)
    net: Any = gc.compile(graph, inference=True, kinks="textbook", style=style).load()
    target = net.Workspace() if style == "workspace" else net
    read = inspect.signature(target.predict).parameters
    found = target.predict(*(operands[int(name.removeprefix("x"))] for name in read))
    for actual, wanted in zip(found if len(expected) > 1 else [found], expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


# --- the two passes -------------------------------------------------------------------------------


def quiz(x: gc.Node, z: gc.Node) -> dict[str, gc.Node]:
    """The variables of the note's quiz, in the order in which they are computed."""
    a = x * z
    b = gc.log(x)
    c = gc.sin(b)
    d = gc.exp(a)
    e = a / b
    f = c / a
    y = d + e + f
    return {"x": x, "z": z, "a": a, "b": b, "c": c, "d": d, "e": e, "f": f, "y": y}


# Each variable of the quiz: its operands and its local derivatives, for the textbook's algorithm.
TAPE: dict[str, dict[str, Callable[[dict[str, float]], float]]] = {
    "a": {"x": lambda v: v["z"], "z": lambda v: v["x"]},
    "b": {"x": lambda v: 1 / v["x"]},
    "c": {"b": lambda v: math.cos(v["b"])},
    "d": {"a": lambda v: math.exp(v["a"])},
    "e": {"a": lambda v: 1 / v["b"], "b": lambda v: -v["a"] / v["b"] ** 2},
    "f": {"c": lambda v: 1 / v["a"], "a": lambda v: -v["c"] / v["a"] ** 2},
    "y": {"d": lambda v: 1.0, "e": lambda v: 1.0, "f": lambda v: 1.0},
}
POINT = {"x": 2.0, "z": 3.0}


def evaluated() -> dict[str, float]:
    """The variables of the quiz at the point of the note."""
    v = dict(POINT)
    v |= {"a": v["x"] * v["z"], "b": math.log(v["x"])}
    v |= {"c": math.sin(v["b"]), "d": math.exp(v["a"]), "e": v["a"] / v["b"]}
    v |= {"f": v["c"] / v["a"]}
    return v | {"y": v["d"] + v["e"] + v["f"]}


def test_every_partial_of_the_backward_pass() -> None:
    """003: dy/du for each variable u of the quiz, against the algorithm as the note gives it.

    All start at 0 but dy/dy = 1; each variable, the last first, adds to those it was computed from.
    """
    values = evaluated()
    partials = dict.fromkeys(values, 0.0) | {"y": 1.0}
    for variable in reversed(TAPE):
        for operand, local in TAPE[variable].items():
            partials[operand] += partials[variable] * local(values)

    with gc.Graph("quiz", dtype="float64") as graph:
        nodes = quiz(graph.input("x"), graph.input("z"))
        inner = [node for name, node in nodes.items() if name != "y"]
        for name, slope in zip(nodes, gc.grad(nodes["y"], inner), strict=False):
            graph.output(f"d{name}", slope)
    found = gc.compile(graph, inference=True).load().predict(**POINT)._asdict()
    assert len(found) == len(partials) - 1
    for name, slope in found.items():
        np.testing.assert_allclose(slope, partials[name[1:]], rtol=1e-14, err_msg=name)


def assigned(source: str, function: str) -> list[str]:
    """The variables of a function of the module, in the order in which they are computed."""
    tree = ast.parse(source)
    (found,) = (f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == function)
    targets = [step.targets[0] for step in found.body if isinstance(step, ast.Assign)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_passes_visit_variables_in_topological_order_and_its_reverse() -> None:
    """001, 003: a variable is computed after its operands, its cotangent before theirs."""
    source = gc.compile(declared(lambda x, z: quiz(x, z)["y"], "x z"), style="scalar").source
    forward, backward = assigned(source, "forward"), assigned(source, "backward")
    assert set(forward) >= {*TAPE, "x", "z"} and len(set(forward)) == len(forward)
    assert {"x_bar", "z_bar", "a_bar", "b_bar", "y_bar"} <= set(backward)
    pairs = [(operand, result) for result, locals_ in TAPE.items() for operand in locals_]
    for operand, result in pairs:
        assert forward.index(operand) < forward.index(result)
        if f"{operand}_bar" in backward and f"{result}_bar" in backward:
            assert backward.index(f"{result}_bar") < backward.index(f"{operand}_bar")
    assert "def backward(residuals: Residuals, y_bar: float = 1.0)" in source  # dy/dy


def test_what_nothing_reaches_has_the_derivative_zero() -> None:
    """003: dy/du starts at 0, and stays so for a variable that y was not computed from."""
    with gc.Graph("unused", dtype="float64") as graph:
        x, w = graph.input("x"), graph.parameter("w")
        graph.output("y", gc.where(w > 0, x**2, x))
    net: Any = gc.compile(graph, wrt="x,w", allow_unused=True, style="scalar").load()
    assert net.value_and_grad({"w": 5.0}, 3.0)[1] == {"x": 6.0, "w": 0.0}


# --- Jacobians ------------------------------------------------------------------------------------


def test_jacobian_of_a_functional_module() -> None:
    """002: m × n for a module of n inputs and m outputs, and [1 × n] = [1 × m] [m × n]."""
    rng = np.random.default_rng(0)
    weights, x, c = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=2)
    with gc.Graph("module", dtype="float64") as graph:
        z = graph.input("x", (3,))
        out = gc.tanh(graph.constant(weights) @ z)
        cost = gc.sum(c * out**2)
        jacobian = gc.jacobian(out, z)
        graph.output("jacobian", jacobian)
        graph.output("product", gc.grad(cost, out) @ jacobian)
        graph.output("gradient", gc.grad(cost, z))
    found = gc.compile(graph, inference=True).load().predict(x)
    tanh = np.tanh(weights @ x)
    assert found.jacobian.shape == (2, 3)
    np.testing.assert_allclose(found.jacobian, (1 - tanh**2)[:, None] * weights, rtol=1e-14)
    np.testing.assert_allclose(found.product, 2 * c * tanh @ found.jacobian, rtol=1e-14)
    np.testing.assert_allclose(found.gradient, found.product, rtol=1e-13)


def test_hessian_of_a_scalar_function() -> None:
    """002: of exp(aᵀx) + ½ xᵀ B x, which is exp(aᵀx) a aᵀ + ½ (B + Bᵀ)."""
    rng = np.random.default_rng(1)
    a, B, x = rng.normal(size=3), rng.normal(size=(3, 3)), rng.normal(size=3)
    with gc.Graph("hessian", dtype="float64") as graph:
        v = graph.input("x", (3,))
        f = gc.exp(gc.sum(a * v)) + gc.sum(v * (graph.constant(B) @ v)) / 2
        graph.output("hessian", gc.hessian(f, v))
    found = gc.compile(graph, inference=True).load().predict(x)
    np.testing.assert_allclose(found, np.exp(a @ x) * np.outer(a, a) + (B + B.T) / 2, rtol=1e-13)
