"""Custom ops: what a formula becomes, against SymPy's derivatives; what NumPy code is held to."""

from __future__ import annotations

import ast
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

import graphc as gc
from graphc.errors import DeclarationError, GraphcError
from graphc.ir.op import FUNCTIONS, OPS
from tests.ops.cases import Case, declare, first_order, same_bits
from tests.styles import STYLES, functions

Array = np.ndarray[Any, Any]
FACTOR = 2.0  # what a pasted function must not read


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Ops of one test are unknown to the next, and to the tests that go over all ops."""
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name], FUNCTIONS[name]


# --- from a formula -------------------------------------------------------------------------------

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


# --- from NumPy code ------------------------------------------------------------------------------


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
           "import test_custom_ops as tests\n" \
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
    assert "test_custom_ops.py" in str(caught.value)


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
