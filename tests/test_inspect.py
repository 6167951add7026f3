"""`graphc inspect`: names, shapes and gradients as equations."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from graphc.inspect.formulas import ops_text
from graphc.inspect.text import inspect_text, passes_text
from graphc.ir.pattern import STABILIZE, Rule, Wild, call
from tests.command_line import GOOD, run
from tests.golden.models import MODELS

EXPECTED = """\
graph good

inputs
  x  float32 (batch, 3)
  t  float32 (batch, 2)

parameters
  W  float32 (3, 2)  glorot_uniform
  b  float32 (2,)    zeros

forward
  h_pre = x · W + b  (batch, 2)
  h = tanh(h_pre)                   (batch, 2)
  y = 2·h                            (batch, 2)
"""


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(GOOD)


def squeezed(text: str) -> str:
    """Without the alignment."""
    return "\n".join(re.sub(r"(?<=\S) {2,}", "  ", line) for line in text.splitlines())


def test_the_report_names_everything_with_shapes_and_equations() -> None:
    result = run("inspect", "model.py")
    assert (result.status, result.err) == (0, "")
    text = squeezed(result.out)
    assert text.startswith(squeezed(EXPECTED))
    sections = [block.splitlines()[0] for block in result.out.split("\n\n")]
    assert sections == [
        "graph good", "inputs", "parameters", "forward", "results", "gradients of loss",
        "memory, in bytes at batch = 128", "residuals",
    ]  # fmt: skip
    assert "results\n  y  =  y  float32 (batch, 2)\n  loss  =  loss  float32 ()\n" in text
    gradients = "  ∂loss/∂b = Σ_batch(h_pre_bar)  (2,)\n  ∂loss/∂W = xᵀ · h_pre_bar  (3, 2)"
    assert f"{gradients}\n\nmemory" in text
    assert "y_minus_t  float32 (batch, 2)  8 * batch bytes  read by h_bar" in text
    assert run("inspect", "model.py", "--format", "text") == result


MEMORY = """
memory, in bytes at batch = 10
  planned  240  24 * batch  1.00 × the bound
  bound  240  the largest set of values alive at one time

residuals
  x  float32 (batch, 3)  12 * batch bytes  read by ∂loss/∂W
  h_pre  float32 (batch, 2)  8 * batch bytes  read by h_pre_bar
  y_minus_t  float32 (batch, 2)  8 * batch bytes  read by h_bar
"""


def test_the_report_tells_memory_and_residuals() -> None:
    # Three arrays of (batch, 2) floats are alive at one time: h, y - t and its square.
    result = run("inspect", "model.py", "--size", "batch=10")
    assert squeezed(result.out).endswith(squeezed(MEMORY).rstrip())


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("batch", "argument --size: expected NAME=N, got 'batch'"),
        ("batch=x", "argument --size: expected NAME=N, got 'batch=x'"),
        ("rows=3", "the model has no size 'rows'; it has batch"),
    ],
)
def test_sizes_that_do_not_exist_are_refused(size: str, message: str) -> None:
    result = run("inspect", "model.py", "--size", size)
    assert result.status == 2 and message in result.err
    assert result.out == ""  # no half of a report in front of the message


def test_no_value_is_called_as_the_function_that_is_applied_to_it() -> None:
    with gc.Graph("names") as g:
        x = g.input("x", ("batch", 3))
        a = (x @ g.parameter("W", (3, 3))).named("sigmoid")
        b = gc.sigmoid(a).named("erf")
        g.loss(gc.mean(gc.erf(b)))
    module = gc.compile(g)
    report = inspect_text(module.lowered)
    for text in ("sigmoid_2 = x · W ", "erf_2 = sigmoid(sigmoid_2) ", "loss = mean(erf(erf_2))"):
        assert text in report
    assert "    erf_2 = sigmoid(sigmoid_2)  #" in module.source


@pytest.mark.parametrize("name", MODELS)
def test_the_equations_are_those_of_the_module(name: str) -> None:
    """Each variable of the report is one of the generated code, in the same order."""
    make, options = MODELS[name]
    module = gc.compile(make(), **options)
    report = inspect_text(module.lowered)
    variables = re.findall(r"^  (\w+) = ", report, re.MULTILINE)
    written = re.findall(r"^    (\w+)(?:: Array)? = ", module.source, re.MULTILINE)
    assert len(variables) >= 1
    if name == "dropout_mlp":  # training and inference are two functions, which share names
        variables, written = ([*map(unnumbered, listed)] for listed in (variables, written))
    assert {v for v in variables if v != "outputs"} <= {*written, f"{module.lowered.loss}_bar"}
    gradients = [name for name in variables if name.endswith("_bar")]
    places = [written.index(name) for name in gradients if name in written]
    assert places == sorted(places)


def unnumbered(text: str) -> str:
    """A statement with `h_2` called `h`."""
    return re.sub(r"(?<=[a-z])_2\b", "", text)


def test_each_kind_of_argument_has_a_section() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 2))
        s = g.state("s", (2,))
        g.update(s, x.sum(axis=0))
        g.output("y", x + s)
        g.output("z", (x * 2).sum())
    text = squeezed(inspect_text(gc.compile(g).lowered))
    assert "states\n  s  float32 (2,)\n" in text
    assert "parameters" not in text
    assert "  y  =  y  float32 (n, 2)\n  z  =  z  float32 ()\n" in text
    assert "\n  ∂outputs/∂x = 2·z_bar + y_bar  (n, 2)" in text


def test_outputs_that_the_loss_does_not_need_have_equations_too() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 3))
        W = g.parameter("W", (3, 2))
        z = x @ W
        g.output("p", gc.exp(z) + 1)
        g.loss((z * z).sum())
    text = squeezed(inspect_text(gc.compile(g).lowered))
    assert "predict\n  z = x · W  (n, 2)\n  p = exp(z) + 1  (n, 2)\n" in text
    assert "forward\n  z = x · W  (n, 2)\n  loss = Σ(z²)\n" in text


def test_wrt_and_kinks_are_those_that_are_asked_for() -> None:
    Path("model.py").write_text(GOOD.replace("gc.tanh", "gc.relu"))
    text = run("inspect", "model.py", "--wrt", "x").out
    assert "∂loss/∂x = (h_bar ⊙ 1[h > 0]) · Wᵀ" in text and "∂loss/∂W" not in text
    assert run("inspect", "model.py", "--kinks", "textbook").out != run("inspect", "model.py").out


def test_a_model_without_gradients_has_no_backward() -> None:
    with gc.Graph("ints") as g:
        g.output("y", g.input("x", (3,), dtype="int64") * 2)
    text = inspect_text(gc.compile(g).lowered)
    assert "backward" not in text and "gradients" not in text
    assert squeezed(text).endswith("results\n  y  =  y  int64 (3,)")


def test_passes_lists_the_rules_that_fired_with_the_line() -> None:
    Path("model.py").write_text(GOOD.replace("gc.tanh(x @ W + b)", "gc.log(gc.softmax(x @ W + b))"))
    line = 1 + GOOD.splitlines().index("    h = gc.tanh(x @ W + b)")
    result = run("inspect", "model.py", "--passes")
    assert (result.status, result.err) == (0, "")
    equations, rules = result.out.split("\nrules\n")
    assert equations == run("inspect", "model.py").out
    rows = {tuple(re.split(r" {2,}", row.strip())) for row in rules.splitlines()}
    fired = {row[1]: row for row in rows}
    assert fired["log(softmax(x)) = log_softmax(x)"][2:] == ("stabilize", f"model.py:{line}")
    assert all(re.fullmatch(r"\d+×", row[0]) for row in rows)
    assert all(re.fullmatch(r"model\.py:\d+|derived", row[3]) for row in rows)
    quiet = run("inspect", "model.py", "--passes", "--no-stabilize").out
    assert "log(softmax(x)) = log_softmax(x)" not in quiet


NAIVE = """
import graphc as gc

with gc.Graph("naive") as g:
    x = g.input("x", ("batch", 3))
    W = g.parameter("W", (3, 2), init="glorot_uniform")
    a = gc.log(gc.sum(gc.exp(x @ W), axis=1))
    b = gc.log(gc.sum(gc.exp(-x), axis=1)); c = gc.log(gc.sum(gc.exp(x * 3), axis=1))
    d = gc.log(gc.softmax(x @ W))
    g.output("d", d)
    g.loss(gc.sum(a * b * c) + gc.sum(d * d))
"""


def test_what_makes_a_formula_stable_comes_first_with_each_line_and_how_often() -> None:
    Path("model.py").write_text(NAIVE)
    rules = run("inspect", "model.py", "--passes").out.split("\nrules\n")[1].splitlines()
    rows = [re.split(r" {2,}", row.strip()) for row in rules]
    logsumexp, log_softmax = "log(sum(exp(x))) = logsumexp(x)", "log(softmax(x)) = log_softmax(x)"
    assert [row for row in rows if row[2] == "stabilize"] == rows[:3]
    assert sorted(rows[:3]) == [
        ["1×", log_softmax, "stabilize", "model.py:9"],
        ["1×", logsumexp, "stabilize", "model.py:7"],
        ["2×", logsumexp, "stabilize", "model.py:8"],
    ]
    places = [(row[1], row[3]) for row in rows]
    assert len(set(places)) == len(places)


def test_a_rule_on_a_cotangent_is_of_the_line_of_its_primal() -> None:
    with gc.Graph("g", dtype="float64") as g:
        x = g.input("x", (3,))
        y = gc.sin(x)
        g.output("y", y)
        with g.quiet():
            bar, other = gc.cos(x), gc.tanh(x)
            g.relate(bar, "bar", y)
            dot = gc.exp(bar)
            g.relate(dot, "dot", bar)
    rule = Rule("f(x) = g(x)", call("f", Wild("x")), Wild("x"), STABILIZE)
    text = passes_text([(rule, other), (rule, dot), (rule, bar), (rule, bar)])
    line = g.site_of(y)
    assert squeezed(text) == (
        f"rules\n  1×  f(x) = g(x)  stabilize  derived\n  2×  f(x) = g(x)  stabilize  {line}"
    )


def test_equations_say_what_they_were_made_from() -> None:
    Path("model.py").write_text(NAIVE)
    equations = run("inspect", "model.py").out
    told = r"a = .*  \(batch,\) +logsumexp, from log\(sum\(exp\(\.\)\)\)\n"
    assert re.search(told, equations)
    assert "logsumexp" not in run("inspect", "model.py", "--no-stabilize").out


def test_no_rules_are_no_rows() -> None:
    assert passes_text([]) == "rules\n"


def test_names_that_collide_are_told_apart_as_in_the_module() -> None:
    with gc.Graph("m") as g:
        a, b = g.input("a b", (2,)), g.input("a-b", (2,))
        g.output("a_b", a * b)
    text = inspect_text(gc.compile(g).lowered)
    assert "a_b    float32 (2,)\n  a_b_2  float32 (2,)" in text
    assert "a_b_3 = a_b ⊙ a_b_2" in text


def test_hostile_names_break_no_line() -> None:
    name = 'a\nb"""\x1b[31m{{ 7*7 }}'
    with gc.Graph(name) as g:
        x = g.input(name, (2,))
        g.output("y", x * 2)
    text = inspect_text(gc.compile(g).lowered)
    assert all(c.isprintable() for c in text.replace("\n", ""))
    assert text.splitlines()[1] == ""


def test_formulas_are_simplified_by_what_is_passed() -> None:
    """inspect imports no passes: whoever calls it says how to simplify."""
    plain, simplified = ops_text(list), run("ops").out
    assert plain != simplified
    assert len(plain) > len(simplified)
    assert len(plain.splitlines()) == len(simplified.splitlines())


def test_formulas_bind_as_python_binds_them() -> None:
    """Each formula is Python; evaluated on numbers it is the derivative."""
    text = run("ops").out
    formulas = dict(re.findall(r"^(\w+)\(.*\)\n.*\n    x_bar = (.+)$", text, re.MULTILINE))
    x, y, out_bar, step = np.float64(0.7), np.float64(1.3), np.float64(2), 1e-6
    functions = {
        "add": lambda x: x + y, "subtract": lambda x: x - y, "multiply": lambda x: x * y,
        "divide": lambda x: x / y, "negative": lambda x: -x, "reciprocal": lambda x: 1 / x,
        "square": lambda x: x * x, "sqrt": np.sqrt, "exp": np.exp, "log": np.log,
        "expm1": np.expm1, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    }  # fmt: skip
    for name, function in functions.items():
        scope = {"np": np, "x": x, "y": y, "out": function(x), "out_bar": out_bar}
        slope = (function(x + step) - function(x - step)) / (2 * step)
        np.testing.assert_allclose(eval(formulas[name], scope), out_bar * slope, rtol=1e-8)
