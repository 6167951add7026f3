"""`debug_nan`: a module that tells which of its values is not finite first, and whose that is."""

from __future__ import annotations

import ast
import itertools
import json
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import ALL, leaves, net
from tests.codegen.scalar_models import MODELS as SCALAR_MODELS
from tests.styles import STYLES, functions
from tests.test_generated import tool

EVERY = [*STYLES, "scalar"]
ARRAYS = pytest.mark.parametrize("style", STYLES)
NAN, INF = np.nan, np.inf


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """In a folder of its own; NumPy does not warn, as in most programs."""
    monkeypatch.chdir(tmp_path)
    with np.errstate(all="ignore"):
        yield


def declared(body: str, file: str = "model.py", dtype: str = "float64") -> gc.Graph:
    """A graph declared by lines of a file: `g` is open, the first line is line 1."""
    scope: dict[str, Any] = {"gc": gc, "np": np}
    with gc.Graph("debugged", dtype=dtype) as g:
        scope["g"] = g
        exec(compile(body, file, "exec"), scope)
    return g


def debugged(body: str, style: str = "functional", **options: Any) -> Any:
    """The functions of a debug module."""
    return functions(gc.compile(declared(body), style=style, debug_nan=True, **options))


def told(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """What the FloatingPointError of a call says."""
    with pytest.raises(FloatingPointError) as caught:
        call(*arguments, **options)
    return str(caught.value)


MLP = """\
x = g.input("x", ("batch", 3))
W = g.parameter("W", (3, 2))
n = g.input("n", ("batch",), dtype="int64")
h = x @ W
y = gc.log(h)
g.output("y", y)
g.loss(gc.sum(y * y) * gc.sum(n))
"""


def mlp(style: str, **options: Any) -> tuple[Any, dict[str, Any], Any, Any]:
    return (
        debugged(MLP, style, **options),
        {"W": np.full((3, 2), 0.5)},
        np.ones((4, 3)),
        np.ones(4, np.int64),
    )


# --- where it is told ---------------------------------------------------------------------------


@ARRAYS
@pytest.mark.parametrize(
    ("function", "stage"),
    [("predict", "predict"), ("evaluate", "evaluate"), ("value_and_grad", "forward")],
)
def test_the_first_statement_with_a_bad_value_is_named(
    style: str, function: str, stage: str
) -> None:
    code, params, x, n = mlp(style)
    call = getattr(code, function)
    arguments = {"params": params, "x": x} | ({} if function == "predict" else {"n": n})
    call(**arguments)
    x[2] = -1
    found = "nan at [2, 0], 2 of 8 elements are not finite"
    assert told(call, **arguments) == f"{stage}: y (from model.py:5): {found}"
    x[1] = 0
    found = "-inf at [1, 0], 4 of 8 elements are not finite"
    assert told(call, **arguments) == f"{stage}: y (from model.py:5): {found}"


@ARRAYS
def test_arguments_that_are_bad_already_are_named_first(style: str) -> None:
    code, params, x, n = mlp(style)
    x[3, 1] = NAN
    assert told(code.predict, params, x) == (
        "predict: input x (from model.py:1): nan at [3, 1], 1 of 12 elements are not finite"
    )
    params["W"][0, 1] = -INF
    assert told(code.value_and_grad, params, x, n) == (
        "forward: parameter W (from model.py:2): -inf at [0, 1], 1 of 6 elements are not finite"
    )


@ARRAYS
def test_a_cotangent_is_told_with_the_line_of_its_primal(style: str) -> None:
    body = MLP.replace("gc.log(h)", "gc.sqrt(h)")
    code = debugged(body, style, stabilize=False)
    params, n = {"W": np.full((3, 2), 0.5)}, np.ones(4, np.int64)
    x = np.ones((4, 3))
    code.value_and_grad(params, x, n)
    # sqrt(0) is 0, and its slope is infinite: 0 * inf, where no rule makes a choice of that.
    x[1] = 0
    message = told(code.value_and_grad, params, x, n)
    assert re.fullmatch(
        r"backward: \w+ \(from model\.py:[45]\): nan at \[1, 0\], 2 of 8 elements are not finite",
        message,
    )


@ARRAYS
def test_a_bad_cotangent_is_an_argument(style: str) -> None:
    body = """\
x = g.input("x", (2,))
a = x * x
b = gc.sin(x)
g.output("a", a)
g.output("b", b)
"""
    code = debugged(body, style)
    _, residuals = code.forward(np.ones(2))
    assert told(code.backward, residuals, np.array([1, NAN]), None).startswith(
        "backward: cotangent a_bar (from model.py:2): nan at [1], 1 of 2"
    )
    _, residuals = code.forward(np.ones(2))
    assert told(code.backward, residuals, None, np.array([INF, 1])).startswith(
        "backward: cotangent b_bar (from model.py:3): inf at [0], 1 of 2"
    )


@ARRAYS
def test_what_graphc_made_is_told_with_the_line_that_it_was_made_for(style: str) -> None:
    """Inside of a softmax, and where its derivative begins."""
    body = """\
x = g.input("x", ("n", 3))
t = g.input("t", ("n",), dtype="int64")
z = x * 1e308
g.loss(gc.cross_entropy(z, t))
"""
    code = debugged(body, style)
    places = set(re.findall(r'"(from model.py:\d|derived)"', gc.compile(
        declared(body), style=style, debug_nan=True).source))  # fmt: skip
    assert "derived" not in places
    message = told(code.value_and_grad, np.array([[1.0, -1, 0]]), np.array([1]))
    assert message.startswith("forward: ") and "(from model.py:4)" in message


@ARRAYS
def test_a_step_that_leaves_the_floats_is_told(style: str) -> None:
    code, params, x, n = mlp(style, optimizer=gc.optim.sgd(momentum=0.9))
    state = code.init_optimizer(params)
    message = told(code.train_step, params, state, x, n, lr=1e308)
    if style == "functional":
        found = re.escape("at [0, 0], 6 of 6 elements are not finite")
        assert re.fullmatch(rf"train_step: W \(from model\.py:2\): -?inf {found}", message)
    else:  # all parameters are one vector there
        assert re.fullmatch(r"sgd: \w+ \(derived\): -?inf at \[0\], 6 of 6 .*", message)


def test_a_workspace_keeps_its_parameters_when_a_step_fails() -> None:
    module = gc.compile(declared(MLP), style="workspace", optimizer="sgd", debug_nan=True).load()
    ws = module.Workspace({"W": np.full((3, 2), 0.5)}, batch=4)
    for lr, x in ((1e308, np.ones((4, 3))), (0.1, np.zeros((4, 3)))):
        before = ws.param_vector.copy()
        told(ws.step, x, np.ones(4, np.int64), lr=lr)
        np.testing.assert_array_equal(ws.param_vector, before)


def test_states_are_checked() -> None:
    body = """\
x = g.input("x", (2,))
s = g.state("s", (2,))
g.update(s, s * 1e200)
g.output("y", x * s)
g.loss(gc.sum(x * s))
"""
    code = debugged(body)
    s = np.array([1e200, 1.0])
    message = told(code.forward, {"s": s}, np.ones(2))
    assert (
        message == "forward: product (from model.py:3): inf at [0], 1 of 2 elements are not finite"
    )
    assert told(code.predict, {"s": s * INF}, np.ones(2)).startswith("predict: state s (from model")


def test_ints_and_bools_are_not_checked() -> None:
    body = """\
n = g.input("n", (3,), dtype="int64")
p = g.input("p", (3,), dtype="bool")
g.output("y", n * 2)
g.output("z", p & (n > 1))
"""
    source = gc.compile(declared(body), debug_nan=True).source
    assert source.count("check_finite(") == 1  # its definition
    functions(gc.compile(declared(body), debug_nan=True)).predict(np.arange(3), np.ones(3, bool))


@ARRAYS
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_overflow_of_small_floats_is_found(style: str, dtype: str) -> None:
    body = 'x = g.input("x", ("n", 2))\ny = x * x\ng.output("y", y)\ng.output("s", gc.sum(x))\n'
    code = functions(gc.compile(declared(body, dtype=dtype), style=style, debug_nan=True))
    x = np.ones((3, 2), dtype)
    code.predict(x)
    x[2, 1] = np.finfo(dtype).max
    assert told(code.predict, x) == (
        "predict: y (from model.py:2): inf at [2, 1], 1 of 6 elements are not finite"
    )
    code.predict(np.ones((0, 2), dtype))


@ARRAYS
def test_a_value_without_axes_has_no_index(style: str) -> None:
    body = 'x = g.input("x")\ny = gc.log(x)\ng.output("y", y)\n'
    for options in ({}, {"inference": True}):
        code = debugged(body, style, **options)
        assert told(code.predict, np.array(-1.0)) == "predict: y (from model.py:2): nan"
        code.predict(np.array(1.0))


@ARRAYS
def test_each_result_of_an_op_with_several_is_checked(style: str) -> None:
    body = """\
x = g.input("x", (4,))
a, b = gc.split(gc.exp(x), 2)
g.output("a", a + 1)
g.output("b", b * 2)
"""
    message = told(debugged(body, style).predict, np.array([0, 0, 0, 1e4]))
    assert re.fullmatch(r"predict: \w+ \(from model\.py:2\): inf at \[\d\], .*", message)


# --- infinities on purpose ----------------------------------------------------------------------

MASKED = """\
x = g.input("x", (3, 3))
keep = g.input("keep", (3, 3), dtype="bool")
masked = gc.where(keep, x, -np.inf)
p = gc.softmax(masked)
scaled = p * 1e300
wide = gc.sum(scaled, axis=1)
h = wide * wide
g.output("p", p)
g.loss(gc.sum(h))
"""


@ARRAYS
def test_a_mask_of_infinities_is_let_pass(style: str) -> None:
    code = debugged(MASKED.replace("1e300", "3.0"), style)
    x, keep = np.arange(9.0).reshape(3, 3), np.tril(np.ones((3, 3), bool))
    expected = functions(gc.compile(declared(MASKED.replace("1e300", "3.0")), style=style))
    for name in ("predict", "evaluate", "value_and_grad"):
        given = (x, keep)
        found = [v for _, v in leaves(getattr(code, name)(*given))]
        plain = [v for _, v in leaves(getattr(expected, name)(*given))]
        for one, other in zip(found, plain, strict=True):
            np.testing.assert_array_equal(one, other)


@ARRAYS
def test_nan_is_not_let_pass_there(style: str) -> None:
    code = debugged(MASKED, style)
    keep = np.tril(np.ones((3, 3), bool))
    keep[1] = False  # nothing is left: -inf - -inf
    message = told(code.predict, np.zeros((3, 3)), keep)
    assert re.fullmatch(
        r"predict: \w+ \(from model\.py:4\): nan at \[1, 0\], 3 of 9 elements are nan", message
    )


@ARRAYS
def test_an_infinity_that_is_new_is_not_let_pass_behind_a_mask(style: str) -> None:
    """p is made of a mask, but finite; so what it overflows to is a fault."""
    code = debugged(MASKED, style)
    keep = np.tril(np.ones((3, 3), bool))
    assert told(code.evaluate, np.zeros((3, 3)), keep) == (
        "evaluate: h (from model.py:7): inf at [0], 3 of 3 elements are not finite"
    )


def test_a_masked_constant_array_is_let_pass() -> None:
    body = """\
x = g.input("x", (2, 2))
bias = g.constant(np.array([[0, -np.inf], [0, 0]]))
s = x + bias
g.output("y", gc.exp(s))
"""
    for style in STYLES:
        code = debugged(body, style)
        np.testing.assert_array_equal(code.predict(np.zeros((2, 2))), [[1, 0], [1, 1]])
        assert "nan" in told(code.predict, np.array([[0, 0], [NAN, 0]]))


# --- Python's numbers ---------------------------------------------------------------------------

NUMBERS = """\
x = g.input("x")
w = g.parameter("w", init=2.0)
y = gc.exp(x * w)
z = y * 1e300 * w
g.output("z", z)
g.loss(gc.log(x) * z)
"""


def test_numbers_are_checked() -> None:
    code = debugged(NUMBERS, "scalar", optimizer="sgd")
    assert told(code.predict, {"w": 2.0}, 30.0) == "predict: z (from model.py:4): inf"
    assert told(code.predict, {"w": 2.0}, NAN) == "predict: input x (from model.py:1): nan"
    state = code.init_optimizer({"w": 2.0})
    message = told(code.train_step, {"w": 2.0}, state, 2.0, lr=1e308)
    assert re.fullmatch(r"train_step: w \(from model\.py:2\): -?inf", message)
    body = 'x = g.input("x")\ny = gc.minimum(x, np.inf)\ng.output("y", gc.maximum(y, -np.inf))\n'
    assert debugged(body, "scalar").predict(3.0) == 3.0


@pytest.mark.parametrize(("x", "line"), [(-1.0, 6), (1000.0, 3)])
def test_the_line_is_in_the_traceback_of_what_python_raises_itself(
    x: float, line: int, tmp_path: Path
) -> None:
    path = gc.compile(declared(NUMBERS), style="scalar", debug_nan=True).save("net.py")
    module = ModuleType("net")
    exec(compile(path.read_text(), str(path.resolve()), "exec"), module.__dict__)
    with pytest.raises((ValueError, OverflowError)) as caught:
        module.evaluate({"w": 2.0}, x)
    assert f"# from model.py:{line}\n" in "".join(traceback.format_exception(caught.value))


def test_every_statement_on_numbers_names_its_line() -> None:
    for name, (make, options) in SCALAR_MODELS.items():
        source = gc.compile(make(), style="scalar", debug_nan=True, **options).source
        lines = source.splitlines()
        for line, following in itertools.pairwise(lines):
            if (
                following.startswith("    check_finite(")
                and " = " in line
                and "(from " in following
            ):
                assert "  # from " in line, (name, line)
                assert len(line) <= 100


# --- the text -----------------------------------------------------------------------------------


@pytest.mark.parametrize("style", EVERY)
def test_off_it_leaves_no_trace(style: str) -> None:
    body = NUMBERS if style == "scalar" else MLP
    plain = gc.compile(declared(body), style=style, optimizer="sgd")
    assert plain.source == gc.compile(
        declared(body), style=style, optimizer="sgd", debug_nan=False
    ).source  # fmt: skip
    assert "check_finite" not in plain.source and "debug_nan" not in plain.source
    assert "model.py" not in plain.source


@pytest.mark.parametrize("style", EVERY)
def test_the_option_is_in_the_header_and_in_the_hash(style: str) -> None:
    body = NUMBERS if style == "scalar" else MLP
    plain = gc.compile(declared(body), style=style).load().__graphc__
    made = gc.compile(declared(body), style=style, debug_nan=True)
    header = made.load().__graphc__
    assert header["options"] == {**plain["options"], "debug_nan": "true"}
    assert header["hash"] != plain["hash"]
    assert "FloatingPointError" in made.source.split('"""')[1]
    again = gc.compile(declared(body), style=style, debug_nan=True)
    assert again.source == made.source
    moved = gc.compile(declared(body, "elsewhere.py"), style=style, debug_nan=True)
    assert moved.load().__graphc__["hash"] == header["hash"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ALL)
def test_the_checks_change_no_number(name: str, style: str) -> None:
    options = {**ALL[name][1], "debug_nan": True}
    plain, checked = net(name, style), net(name, style, **options)
    for function in ("predict", "evaluate", "value_and_grad"):
        if hasattr(plain.module, function):
            found = [list(leaves(model.call(function))) for model in (plain, checked)]
            for (_, one), (_, other) in zip(*found, strict=True):
                np.testing.assert_array_equal(one, other)


HOSTILE_FILES = [
    'a"b\\c\n""" # noqa\u202e.py',
    "/very/" + "long/" * 60 + "m.py",
    "日本語" * 40 + ".py",
    "type: ignore",
    "{{ 7*7 }}{% raw %}.py",
    "fmt: off",
    "a  b\t\x7f.py",
    "<ipython-input-3-0123456789ab>",
]
HOSTILE = """\
x = g.input('x\\n\"\"\"; import os', ("batch", 3))
W = g.parameter("check_finite", (3, 2), init="he_normal")
check_finite = x @ W
parts = gc.log(gc.sum(gc.exp(check_finite), axis=1))
g.output("a\\\\", parts)
g.output("b", gc.max(check_finite, axis=0))
g.loss(gc.sum(parts))
"""
HOSTILE_NUMBERS = """\
x = g.input('x\\n\"\"\"; import os')
total = x
for k in range(8): total = total * gc.exp(x + k) + gc.log(gc.sum(gc.exp(x * total)))
g.output("y", total)
"""


@pytest.mark.parametrize("file", HOSTILE_FILES)
def test_a_hostile_file_name_is_told_as_it_is(file: str) -> None:
    net = gc.compile(declared(HOSTILE, file), debug_nan=True).load()
    params = net.init_params(np.random.default_rng(0))
    message = told(net.predict, params, np.full((1, 3), NAN))
    place = re.fullmatch(r"predict: input \w+ \(from (.*):1\): nan at .*", message, re.DOTALL)
    assert place is not None
    assert place[1] == file or (place[1][0] == "…" and file.endswith(place[1][1:]))
    assert len(place[1]) > 30 or place[1] == file


def test_linters_find_nothing(tmp_path: Path) -> None:
    Path("more").mkdir()
    for style in STYLES:
        for name in ALL:
            debug = net(name, style, **{**ALL[name][1], "debug_nan": True})
            debug.compiled.save(f"more/{name}__{style}.py")
        for place, file in enumerate(HOSTILE_FILES):
            graph = declared(HOSTILE, file)
            made = gc.compile(
                graph, style=style, debug_nan=True, optimizer=gc.optim.sgd(momentum=0.5)
            )
            made.save(f"hostile_{style}_{place}.py")
    for place, file in enumerate(HOSTILE_FILES):
        graph = declared(HOSTILE_NUMBERS, file)
        gc.compile(graph, style="scalar", debug_nan=True).save(f"hostile_numbers_{place}.py")
    for name, (make, options) in SCALAR_MODELS.items():
        made = gc.compile(make(), style="scalar", debug_nan=True, **options)
        made.save(f"more/scalar_{name}.py")
    ruff = ["--isolated", "--line-length", "100"]
    found = json.loads(
        tool(tmp_path, "ruff", "check", *ruff, "--extend-select", "E,W", "--output-format=json")
    )
    # On Python's numbers, E, F and W are asked for, as in test_scalar.
    numbers = ("scalar_", "hostile_numbers")
    found = [
        item
        for item in found
        if item["code"][0] in "EFW" or not Path(item["filename"]).name.startswith(numbers)
    ]
    assert found == []
    assert "would" not in tool(tmp_path, "ruff", "format", *ruff, "--check")
    for path in tmp_path.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        if path.parent != tmp_path and not path.name.startswith(("mlp", "two_heads", "scalar_log")):
            path.unlink()  # mypy is slow
    said = tool(tmp_path, "mypy", "--strict", "--python-version", "3.11")
    assert said.startswith("Success")
