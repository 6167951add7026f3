"""The scalar style: generated modules on Python's numbers, against NumPy, SymPy and themselves."""

from __future__ import annotations

import ast
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sympy

import graphc as gc
from graphc.ir.graph import is_cotangent
from tests.codegen.nets import Net
from tests.codegen.scalar_models import MODELS
from tests.test_generated import passes, sabotaged, tool

over = pytest.mark.parametrize("name", MODELS)
FUNCTIONS = ("predict", "evaluate", "forward", "value_and_grad", "train_step")


@cache
def scalar(name: str) -> Net:
    """A model of the catalogue in the scalar style."""
    make, options = MODELS[name]
    return Net(make(), {**options, "style": "scalar"})


@cache
def functional(name: str) -> Net:
    """The same on NumPy arrays."""
    make, options = MODELS[name]
    return Net(make(), options)


def plain(value: Any) -> Any:
    """NumPy's scalars as Python's, in dicts too."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return value.item() if hasattr(value, "item") else value


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All numbers in nested dicts and tuples."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{path}/{key}")
    elif isinstance(value, tuple):
        for place, inner in enumerate(value):
            yield from flat(inner, f"{path}/{place}")
    else:
        yield path, value


def bars(model: Net) -> list[float]:
    """A cotangent for each argument of backward that asks for one."""
    program = model.compiled.lowered.backward
    assert program is not None
    count = sum(map(is_cotangent, program.arguments))
    return [math.cos(place) for place in range(count)]


def arguments(model: Net, function: str) -> dict[str, Any]:
    """The arguments of a function, as Python's numbers."""
    return {name: plain(value) for name, value in model.arguments(function).items()}


def results(model: Net) -> dict[str, Any]:
    """What all functions return, by path; residuals are left out."""
    given = arguments if model.options.get("style") == "scalar" else Net.arguments
    found: dict[str, Any] = {}
    for name in FUNCTIONS:
        if hasattr(model.module, name):
            value = getattr(model.module, name)(**given(model, name))
            if name == "forward":
                *kept, residuals = value
                gradients = model.module.backward(residuals, *bars(model))
                value = (*kept, gradients)
            found.update(flat(value, name))
    return found


# --- what it computes -----------------------------------------------------------------------------


@over
def test_it_computes_what_the_functional_style_does(name: str) -> None:
    model = scalar(name)
    ours, theirs = results(model), results(functional(name))
    assert ours.keys() == theirs.keys()
    assert ours
    tolerance = 1e-3 if name == "single" else 1e-12
    for key, value in ours.items():
        other = np.asarray(theirs[key])
        kind = {"f": float, "i": int, "b": bool}[other.dtype.kind]
        assert type(value) is kind, key
        assert value == pytest.approx(other.item(), rel=tolerance, abs=0, nan_ok=True), key


def test_float32_constants_keep_their_value_and_sums_their_digits() -> None:
    module = scalar("single").module
    tenth = float(np.float32(0.1))
    assert module.init_params(None) == {"w": tenth}
    assert module.predict({"w": tenth}, 1 / 3, 7) == tenth * (1 / 3) + tenth * 7


def test_derivatives_agree_with_sympy() -> None:
    x, z = sympy.symbols("x z")
    formula = sympy.exp(x * z) + x * z / sympy.log(x) + sympy.sin(sympy.log(x)) / (x * z)
    module = scalar("quiz").module
    for point in ((2.0, 3.0), (0.3, -1.7), (1.01, 5.0)):
        at = dict(zip((x, z), map(sympy.Float, point, (40, 40)), strict=True))
        value, gradients = module.value_and_grad(*point)
        assert value == pytest.approx(float(formula.evalf(40, at)), rel=1e-13)
        for symbol in (x, z):
            expected = float(sympy.diff(formula, symbol).evalf(40, at))
            assert gradients[str(symbol)] == pytest.approx(expected, rel=1e-12)


def test_derivatives_in_the_model_agree_with_sympy() -> None:
    x = sympy.Symbol("x")
    f = sympy.exp(sympy.sin(x)) * x
    module = scalar("second_derivative").module
    first, second, third = (sympy.diff(f, x, n).evalf(40, {x: 0.7}) for n in (1, 2, 3))
    assert module.predict(0.7) == pytest.approx((first, second, 2 * second), rel=1e-12)
    loss, gradients = module.value_and_grad(0.7)
    assert loss == pytest.approx(float(second**2), rel=1e-12)
    assert gradients["x"] == pytest.approx(float(2 * second * third), rel=1e-12)


def test_an_operand_that_is_written_twice_is_computed_once() -> None:
    source = scalar("nested").compiled.source
    assert "    difference = x * y - 1.0\n" in source
    assert "    negated_x = -x\n" in source
    assert source.count("x * y - 1.0") == 2  # in predict and in forward


def test_training_follows_the_functional_style() -> None:
    ours, theirs = scalar("logistic").module, functional("logistic").module
    params = {"w1": 0.5, "w2": -0.4, "bias": 0.1, "offset": -0.1}
    arrays = {key: np.array(value) for key, value in params.items()}
    state, other = ours.init_optimizer(params), theirs.init_optimizer(arrays)
    for step in range(20):
        batch = (math.sin(step), math.cos(step), step % 2)
        params, state, loss = ours.train_step(params, state, *batch)
        arrays, other, expected = theirs.train_step(arrays, other, *batch)
        assert loss == pytest.approx(float(expected), rel=1e-12)
    assert params == pytest.approx({key: float(v) for key, v in arrays.items()}, rel=1e-12)
    assert state["step"] == 20
    assert state["velocity"] == pytest.approx(
        {key: float(v) for key, v in other["velocity"].items()}, rel=1e-11
    )


# --- as its users have it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All modules, as `name.py`."""
    target = tmp_path_factory.mktemp("scalars")
    for name in MODELS:
        scalar(name).compiled.save(target / f"{name}.py")
    return target


@pytest.fixture(scope="module")
def complaints(folder: Path) -> str:
    """What the linters say about all modules."""
    ruff = ["--isolated", "--line-length", "100"]
    return "\n".join([
        tool(folder, "ruff", "check", *ruff, "--select=E,F,W,PLR0124", "--output-format=concise"),
        tool(folder, "ruff", "format", *ruff, "--check"),
        tool(folder, "mypy", "--strict", "--python-version", "3.11"),
    ])  # fmt: skip


@over
def test_linters_and_type_checker_find_nothing(name: str, complaints: str) -> None:
    assert [line for line in complaints.splitlines() if re.search(rf"\b{name}\.py", line)] == []


@over
def test_it_is_python_3_9_and_imports_the_standard_library(name: str, folder: Path) -> None:
    tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 9))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    assert found <= sys.stdlib_module_names
    assert "numpy" not in scalar(name).compiled.source


ALONE = """
import importlib.util, json, sys
try:
    import numpy
    print("NumPy can be imported")
except ImportError:
    pass
folder, answers = sys.argv[1], {}
for name, calls in json.load(open(f"{folder}/calls.json", encoding="utf-8")).items():
    spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = answers[name] = {}
    for function, (given, bars) in calls.items():
        result = getattr(module, function)(**given)
        if function == "forward":
            result = (*result[:-1], module.backward(result[-1], *bars))
        found[function] = result
    if hasattr(module, "self_test"):
        found["passes"] = module.self_test()
assert "numpy" not in sys.modules
print(json.dumps(answers))
"""


def run_alone(python: str, folder: Path, target: Path) -> dict[str, Any]:
    """The results of all modules in an interpreter that has the standard library alone."""
    calls: dict[str, Any] = {}
    for name in MODELS:
        model = scalar(name)
        (target / f"{name}.py").write_bytes((folder / f"{name}.py").read_bytes())
        calls[name] = {
            function: (arguments(model, function), bars(model) if function == "forward" else [])
            for function in FUNCTIONS
            if hasattr(model.module, function)
        }
    (target / "calls.json").write_text(json.dumps(calls), encoding="utf-8")
    script = target / "alone.py"
    script.write_text(ALONE, encoding="utf-8")
    command = [python, "-I", "-S", "-W", "error", str(script), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert "NumPy" not in done.stdout
    assert "FAILED" not in done.stdout
    return answers


def test_it_runs_where_there_is_no_numpy_and_computes_the_same_bits(
    folder: Path, tmp_path: Path
) -> None:
    answers = run_alone(sys.executable, folder, tmp_path)
    for name in MODELS:
        model = scalar(name)
        assert answers[name].pop("passes", True) is True
        expected: dict[str, Any] = {}
        for function in answers[name]:
            value = getattr(model.module, function)(**arguments(model, function))
            if function == "forward":
                value = (*value[:-1], model.module.backward(value[-1], *bars(model)))
            expected[function] = value
        assert json.dumps(answers[name]) == json.dumps(expected), name


@over
def test_the_self_test_notices_a_wrong_gradient_line(name: str) -> None:
    source = scalar(name).compiled.source
    if "def backward" not in source:
        pytest.skip("no backward pass")
    assert passes(source)
    if "_bar = " in source:
        unnoticed = [line for line, changed in sabotaged(source).items() if passes(changed)]
        # At the sample values, the other operand of that maximum is the larger one.
        assert unnoticed == (["product_bar"] if name.startswith("pieces") else [])


def test_the_self_test_keeps_away_from_what_overflows() -> None:
    with gc.Graph("overflowing", dtype="float64") as g:
        x = g.input("x")
        g.output("y", x / (2 + gc.exp(10000 * (1 - x))))
    module = gc.compile(g, style="scalar")
    with pytest.raises(OverflowError):
        module.load().predict(math.sin(1))
    assert "x = 1.5 + math.sin(1)" in module.source
    assert passes(module.source)


def test_the_module_says_what_its_numbers_are() -> None:
    source = scalar("single").compiled.source
    assert "floats have 64 bits, whatever the model declares" in source
    assert '"style": "scalar"' in source
    assert "float32" not in source


def test_the_same_model_gives_the_same_bytes() -> None:
    for name, (make, options) in MODELS.items():
        again = gc.compile(make(), **{**options, "style": "scalar"}).source
        assert again == scalar(name).compiled.source


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "scalar.py.jinja").write_text(
        '{% extends "graphc/scalar.py.jinja" %}\n{% block imports %}\n# mine\n{{ super() }}'
        "{% endblock %}\n"
    )
    make, _ = MODELS["quiz"]
    source = gc.compile(make(), style="scalar", templates=tmp_path).source
    assert "# mine\nimport math\n" in source


# --- long models ----------------------------------------------------------------------------------


def compiled(graph: gc.Graph) -> ModuleType:
    """The scalar module of a graph; no recursion limit is touched on the way."""
    limit = sys.getrecursionlimit()
    module = gc.compile(graph, style="scalar").load()
    assert sys.getrecursionlimit() == limit
    return module


def test_a_ladder_of_sums_is_exact() -> None:
    with gc.Graph("ladder", dtype="float64") as g:
        x = g.input("x")
        total = x
        for _ in range(60):
            total = total + total
        g.output("y", total)
    assert compiled(g).value_and_grad(3.0) == (3.0 * 2**60, {"x": 2.0**60})


def test_a_deep_nesting() -> None:
    with gc.Graph("tower", dtype="float64") as g:
        x = g.input("x")
        y = x
        for _ in range(200):
            y = gc.sin(y) * y
        g.output("y", y)
    value, slope = 2.0, 1.0
    for _ in range(200):
        slope *= math.cos(value) * value + math.sin(value)
        value *= math.sin(value)
    assert compiled(g).value_and_grad(2.0) == (
        pytest.approx(value, rel=1e-12),
        {"x": pytest.approx(slope, rel=1e-9)},
    )


def test_a_product_of_a_thousand_parameters() -> None:
    with gc.Graph("product", dtype="float64") as g:
        product: Any = 1.0
        for i in range(1000):
            product = g.parameter(f"p{i}") * product
        g.loss(product)
    params = {f"p{i}": 1 + math.sin(i) / 10 for i in range(1000)}
    loss, gradients = compiled(g).value_and_grad(params)
    assert loss == pytest.approx(math.prod(params.values()), rel=1e-12)
    for name, value in params.items():
        assert gradients[name] * value == pytest.approx(loss, rel=1e-11)


def test_an_lstm_of_300_steps() -> None:
    """One unit with four gates, whose weights are shared by all steps."""

    def unrolled(dtype: str) -> gc.Graph:
        with gc.Graph("lstm", dtype=dtype) as g:
            x = g.input("x")
            w = {f"{gate}{i}": g.parameter(f"{gate}{i}") for gate in "ifoc" for i in range(3)}
            h: Any = g.constant(0.0)
            c: Any = g.constant(0.0)
            for step in range(300):
                u = x * math.sin(step)
                i, f, o, n = (w[f"{k}0"] * u + w[f"{k}1"] * h + w[f"{k}2"] for k in "ifoc")
                c = gc.sigmoid(f) * c + gc.sigmoid(i) * gc.tanh(n)
                h = gc.sigmoid(o) * gc.tanh(c)
            g.loss((h - 0.3) ** 2)
        return g

    params = {f"{k}{i}": math.cos(3 * p + i) for p, k in enumerate("ifoc") for i in range(3)}
    loss, gradients = compiled(unrolled("float64")).value_and_grad(params, 0.8)
    reference = gc.compile(unrolled("float64")).load()
    expected, slopes = reference.value_and_grad({k: np.array(v) for k, v in params.items()}, 0.8)
    assert loss == pytest.approx(float(expected), rel=1e-12)
    assert gradients == pytest.approx({k: float(v) for k, v in slopes.items()}, rel=1e-10)
