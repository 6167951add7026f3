"""Ops from NumPy code: what they compute, what is pasted, and what they are held to."""

from __future__ import annotations

import ast
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError, GraphcError
from graphc.ir.op import FUNCTIONS, OPS
from tests.ops.cases import Case, declare, same_bits
from tests.styles import STYLES, functions

Array = np.ndarray[Any, Any]
FACTOR = 2.0  # what a pasted function must not read


def soft_sign(x: Array) -> Array:
    """x over one more than its size."""
    # Bounded by 1.
    size = np.abs(x)
    return x / (size + 1)


def soft_sign_vjp(bar: Any, out: Any, x: Any) -> Any:
    return bar / gc.square(1 + gc.abs(x))


def running_sum(x: Array) -> Array:
    return np.cumsum(x, axis=-1)


def running_sum_vjp(bar: Any, out: Any, x: Any) -> Any:
    after = np.triu(np.ones((4, 4)))
    return bar @ after.T


def custom_ops() -> dict[str, Callable[[], Any]]:
    """Ops of all kinds, by name."""
    return {
        "soft_sign": lambda: gc.custom_op("soft_sign", soft_sign, vjp=soft_sign_vjp),
        "soft_text": lambda: gc.custom_op(
            "soft_text", "x / (np.abs(x) + 1)", vjp=soft_sign_vjp, math="x / (abs(x) + 1)"
        ),
        "ratio": lambda: gc.custom_op(
            "ratio", "a / np.sqrt(a * a + b * b)", domain=[(0.5, 2), (0.5, 2)],
            vjp=lambda bar, out, a, b: (
                bar * (out * (1 - out * out) / a), -bar * (out * b / (a * a + b * b))
            ),
        ),
        "running_sum": lambda: gc.custom_op(
            "running_sum", running_sum, shape=lambda x: x, vjp=running_sum_vjp
        ),
        "row_products": lambda: gc.custom_op(
            "row_products", "(x * y).sum(axis=1)", shape=lambda x, y: x[:1],
            vjp=lambda bar, out, x, y: (bar[:, None] * y, bar[:, None] * x),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", custom_ops())
def test_custom_ops_have_derivatives_of_all_orders(name: str) -> None:
    op = custom_ops()[name]()
    case = Case(op, 0)
    model = declare(case)
    with model.graph:
        loss = gc.sum(gc.sin(model.results[0]))
        x = model.inputs[0]
        vector = np.cos(np.arange(np.prod(x.shape))).reshape(x.shape)
        gradient = gc.grad(loss, x)
        model.outputs("g", [gradient, gc.hvp(loss, x, vector)])
    step, feeds, key = 1e-5, model.feeds, x.params.name

    def at(distance: float, output: str) -> Array:
        return model.run({**feeds, key: feeds[key] + distance * vector})[output]

    results = model.run()
    loss_slope = sum(
        weight * np.sin(at(distance * step, "y0")).sum()
        for distance, weight in [(-1, -0.5 / step), (1, 0.5 / step)]
    )
    np.testing.assert_allclose(np.vdot(results["g0"], vector), loss_slope, rtol=1e-7, atol=1e-8)
    slope = (at(step, "g0") - at(-step, "g0")) / (2 * step)
    np.testing.assert_allclose(results["g1"], slope, rtol=1e-6, atol=1e-7)
    for name, value in model.run(style="workspace").items():
        np.testing.assert_allclose(value, results[name], rtol=1e-13, err_msg=name)


def network() -> gc.Graph:
    """A model with one op of each kind."""
    make = custom_ops()
    first, second, third = make["soft_sign"](), make["soft_text"](), make["running_sum"]()
    with gc.Graph("network") as g:
        x = g.input("soft_sign", ("batch", 3))  # named as the pasted function is
        W = g.parameter("W", (3, 4), init="glorot_uniform")
        h = third(first(x @ W) + second(x @ W))
        g.output("h", h)
        g.loss(gc.mean(h * first(gc.sum(x))))
    return g


@pytest.mark.parametrize("style", STYLES)
def test_what_is_pasted_is_the_source_with_a_signature_of_its_own(style: str) -> None:
    source = gc.compile(network(), style=style, optimizer="sgd").source
    pasted = '''def soft_sign(x: Any) -> Any:
    """x over one more than its size."""
    # Bounded by 1.
    size = np.abs(x)
    return x / (size + 1)
'''
    assert source.count(pasted) == 1
    assert source.count("def running_sum(x: Any) -> Any:") == 1
    ast.parse(source, feature_version=(3, 9))


@pytest.mark.conformance
def test_generated_modules_are_clean_and_run_alone(tmp_path: Path) -> None:
    for style in STYLES:
        gc.compile(network(), style=style, optimizer="sgd").save(tmp_path / f"{style}.py")
    environment = {**os.environ, "MYPY_CACHE_DIR": str(tmp_path / ".cache"), "PYTHONPATH": ""}
    ruff = ["ruff", "check", "--isolated", "--line-length", "100", "--extend-select", "E,W", "."]
    layout = ["ruff", "format", "--isolated", "--line-length", "100", "--check", "."]
    for command in (ruff, layout, ["mypy", "--strict", "."]):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
    for style in STYLES:
        done = subprocess.run(
            [sys.executable, "-I", f"{style}.py", "--self-test"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ok     gradient of W" in done.stdout


@pytest.mark.parametrize(
    ("text", "emitted"),
    [
        ("x*2 # twice", "y = x * 2  #"),
        ("np.maximum( x,0 )**2", "y = np.maximum(x, 0) ** 2  #"),
        ("(x**2+x.real**.5)", "y = x**2 + x.real**0.5  #"),
        ("x.copy('C')+(1.)", 'y = x.copy("C") + 1.0  #'),
    ],
)
def test_a_formula_is_laid_out_as_other_code_is(text: str, emitted: str) -> None:
    op = gc.custom_op("untidy", text, vjp=None, domain=[(0.5, 2)])
    with gc.Graph("tidy", dtype="float64") as g:
        g.output("y", op(g.input("x", (3,))))
    assert emitted in gc.compile(g, inference=True).source


def test_pasted_code_runs_in_a_process_that_has_not_called_numpy_before() -> None:
    """The sums of arrays are imported when the first is asked for, by what NumPy finds there."""
    code = "import numpy as np\nfrom graphc.custom.source import pasted\n" \
           "import test_code_ops as tests\n" \
           "print(pasted('centred', tests.centred)[0](np.arange(3.0)))"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parent), str(Path(gc.__file__).parents[1])]
        )},
    )  # fmt: skip
    assert done.stdout == "[-1.  0.  1.]\n", done.stderr


def centred(x: Array) -> Any:
    return x - x.sum() / x.size


def test_both_styles_compute_what_numpy_does() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3)).astype("float32")
    results = []
    for style in STYLES:
        net = functions(gc.compile(network(), style=style))
        params = {"W": np.ones((3, 4), "float32")}
        results.append((net.predict(params, x), net.value_and_grad(params, x)[1]["W"]))
    expected = np.cumsum(2 * soft_sign(x @ np.ones((3, 4), "float32")), axis=-1)
    np.testing.assert_allclose(results[0][0], expected, rtol=1e-6)
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_scalar_style_takes_an_op_with_a_form_on_numbers() -> None:
    op, other = custom_ops()["soft_text"](), custom_ops()["soft_sign"]()
    with gc.Graph("scalars") as g:
        g.output("y", op(g.input("x")))
    assert gc.compile(g, style="scalar").load().value_and_grad(-3.0) == (-0.75, {"x": 1 / 16})
    with gc.Graph("arrays") as g:
        g.output("y", other(g.input("x")))
    with pytest.raises(GraphcError, match="soft_sign has no form on Python's numbers"):
        gc.compile(g, style="scalar")


def test_the_hash_of_a_module_depends_on_what_is_pasted() -> None:
    def model(text: str) -> str:
        op = gc.custom_op("doubled", text, vjp=lambda bar, out, x: 2 * bar)
        with gc.Graph("hash") as g:
            g.output("y", op(g.input("x")))
        digest = gc.compile(g).lowered.digest
        del OPS["doubled"], FUNCTIONS["doubled"]
        return digest

    assert model("x * 2") == model("x * 2")
    assert model("x * 2") != model("x + x")


def changes_its_operand(x: Array) -> Array:
    x *= 2
    return x + 0


def returns_its_operand(x: Array) -> Array:
    return x


def widens(x: Array) -> Array:
    return x * np.ones(1)


def fails_without_axes(x: Array) -> Array:
    result = x.copy()
    result[x < 0] = 0
    return result


def is_no_array(x: Array) -> Any:
    return [1.0, 2.0]


def reads_a_global(x: Array) -> Array:
    return x * FACTOR


def reads_a_module(x: Array) -> Any:
    return math.sin(x)


def reads_nested(x: Array) -> Any:
    return sum(FACTOR * each for each in x)


def imports(x: Array) -> Array:
    import os

    return x * os.getpid()


def draws(x: Array) -> Array:
    return x + np.random.default_rng(0).normal(size=x.shape)  # type: ignore[no-any-return]


def looks_inside(x: Array) -> Any:
    return x.__class__


def has_a_default(x: Array, power: int = 2) -> Any:
    return x**power


def takes_any_number(*x: Array) -> Any:
    return x[0] * 2


def opens(x: Array) -> Any:
    return open("file")


def yields(x: Array) -> Any:
    yield x


def matches(x: Array) -> Any:
    match x.ndim:
        case 0:
            return x * 2
    return x * 3


def closed_over() -> Any:
    factor = 2.0

    def inner(x: Array) -> Any:
        return x * factor

    return inner


def same(function: Any) -> Any:
    return function


@same
def is_decorated(x: Array) -> Any:
    return x * 2


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (changes_its_operand, {}, r"it changes an operand, at x = \[\[ 0\."),
    (returns_its_operand, {}, "returns an operand, or a view of one"),
    ("x.T.T", {}, "returns an operand, or a view of one"),
    (widens, {}, "returns float64 for operands of float32"),
    (fails_without_axes, {}, r"raises TypeError: .* at x = -?\d"),
    (is_no_array, {}, "returns list and no array"),
    ("x > 0", {}, "returns bool for operands of float64"),
    ("np.cumsum(x)", {}, r"returns shape \(6,\), and \(2, 3\) is declared"),
    ("np.log(x)", {}, "is not finite.*give a domain"),
    ("x * 2", {"vjp": lambda bar, out, x: bar * 3}, "VJP for x of .* central differences give"),
    ("x * x", {"vjp": lambda bar, out, x: bar * x * 2.0001}, "VJP for x"),
    ("np.cumsum(x, -1)", {"samples": [(np.ones((2, 3)),)]}, "JVP for x|VJP for x"),
    ("x * y", {"vjp": lambda bar, out, x, y: bar * y}, "returns 1 cotangents for 2 operands"),
    ("x * y", {"vjp": lambda bar, out, x, y: (bar * y, None)}, "VJP for y of 0"),
    ("x * 2", {"vjp": lambda bar, out, x: 2.0}, "returns 2.0; it returns nodes"),
    ("x * 2", {"vjp": lambda bar, out, x: gc.abs(bar) * 2}, "VJP for x"),
    (
        "x.sum(axis=0)",
        {"shape": lambda x: x[1:], "vjp": lambda bar, out, x: bar},
        r"cotangent of shape \(4,\) for an operand of shape \(3, 4\)",
    ),
    ("x.sum(axis=0)", {"shape": lambda x: x}, r"returns shape \(4,\), and \(3, 4\) is declared"),
    (
        "x.sum(axis=0)",
        {
            "shape": lambda x: x[1:],
            "vjp": lambda bar, out, x: gc.abs(gc.broadcast_to(bar, x.shape)),
        },
        "VJP for x|not linear in the cotangent",
    ),
    (
        "x.sum()",  # for one positive cotangent it is right
        {"shape": lambda x: (), "vjp": lambda bar, out, x: gc.broadcast_to(gc.abs(bar), x.shape)},
        "vjp is not linear in the cotangent",
    ),
    (reads_a_global, {}, "reads 'FACTOR', which will not be there"),
    (reads_a_module, {}, "reads 'math'"),
    (reads_nested, {}, "reads 'FACTOR'"),
    (imports, {}, "imports os"),
    (draws, {}, "forward draws; use gc.random"),
    (looks_inside, {}, "reads the attribute '__class__'"),
    (has_a_default, {}, "arguments with defaults"),
    (takes_any_number, {}, "plain: def f"),
    (opens, {}, "reads 'open'"),
    (yields, {}, "is a generator"),
    (matches, {}, r"does not run on Python 3\.9"),
    (closed_over(), {}, "reads 'factor'"),
    (is_decorated, {}, "has a decorator"),
    (lambda x: x * 2, {}, "use def, or a formula as text"),
    (np.sin, {}, "is a function or a formula as text"),
    ("__import__('os')", {}, "cannot be called '__import__'"),
    ("x + open('x')", {}, "cannot be called 'open'|raises|reads"),
    ("[y for y in x]", {}, "a formula has no ListComp"),
    ("(lambda: x)()", {}, "a formula has no Lambda"),
    ("x.__class__", {}, "reads the attribute '__class__'"),
    ("x +", {}, "is no expression"),
    ("(" * 300 + "x" + ")" * 300, {}, "is no expression"),
    ("x" * 2000, {}, "of at most 1000 characters"),
    ("\u0445 * 2", {}, "ASCII"),
    ("x * 2", {"operands": "y"}, "has the operands x, not y"),
    ("x * 2", {"domain": [(0, 1), (0, 1)]}, "the domain has 2 entries, and the operands are x"),
    ("x * y", {"samples": [(np.ones(3),)]}, "a sample has 1 entries, and the operands are x, y"),
    ("x * 2", {"math": "math.sin(q)"}, "reads 'q'; the operands are x"),
    ("x * 2", {"math": "x * 3"}, r"it is 1\.09569, and 1\.64354 in its math form, at x = 0\.5478"),
    (
        "x * 2",
        {"math": "math.sqrt(x) * 0 + x * 2"},
        "raises ValueError in its math form: .* at x = -0",
    ),
    ("x * 2", {"domain": [(1, 0)]}, r"an interval \(low, high\) for each operand, got \(1, 0\)"),
    ("x * 2", {"domain": [5]}, "an interval .* got 5"),
    ("x * 2", {"samples": [("a",)]}, "a sample is a tuple of arrays, got .*'a'"),
    ("x * 2", {"samples": [5]}, "a sample is a tuple of arrays, got 5"),
    ("x * 2", {"vjp": lambda bar, x: bar * 2}, "vjp raises TypeError: .* called with the cotang"),
    ("x * 2", {"shape": lambda x: x[9]}, r"shape raises IndexError for \(3, 4\): tuple index"),
]


@pytest.mark.parametrize(("forward", "options", "message"), REFUSED, ids=range(len(REFUSED)))
def test_registration_refuses_and_shows_the_input(
    forward: Any, options: dict[str, Any], message: str
) -> None:
    before = list(OPS), list(FUNCTIONS)
    with pytest.raises(GraphcError, match=message) as caught:
        gc.custom_op("refused", forward, **{"vjp": lambda bar, out, *x: bar * 2, **options})
    assert (list(OPS), list(FUNCTIONS)) == before
    assert "test_code_ops.py" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["np", "forward", "checked", "params", "Array", "len", "Workspace"]
)
def test_names_of_generated_modules_are_taken(name: str) -> None:
    with pytest.raises(DeclarationError, match="generated modules have something of this name"):
        gc.custom_op(name, "x * 2", vjp=None)


def test_an_op_without_a_derivative_says_so() -> None:
    op = gc.custom_op("staircase", "np.floor(x)", vjp=None)
    with gc.Graph("staircase") as g:
        x = g.input("x", (3,))
        y = op(x)
        g.output("y", y)
    net = gc.compile(g, inference=True).load()
    assert same_bits(net.predict(np.float32([1.5, -0.5, 2])), np.float32([1, -1, 2]))


def test_named_sizes_pass_through_a_shape_rule() -> None:
    op = custom_ops()["row_products"]()
    with gc.Graph("named") as g:
        x = g.input("x", ("batch", 4))
        assert op(x, x).shape == x.shape[:1]
        with pytest.raises(GraphcError, match="row_products takes 2 operands, got 1"):
            op(x)
