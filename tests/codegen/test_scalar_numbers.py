"""Single numbers through the scalar style: kinks, infinities, NaN, the boundary, files, errors."""

from __future__ import annotations

import decimal
import fractions
import itertools
import json
import math
import random
import statistics
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError, GraphcError, UnsupportedError, UsageError
from graphc.frontends.initializers import SHORTHANDS
from graphc.ir.emission import Emission
from graphc.ir.op import FUNCTIONS, KINKS, OPS, Op
from graphc.ir.types import TensorType, float64
from tests.codegen.test_scalar import scalar
from tests.frontends.test_initializers import VARIANCES

# --- kinks ----------------------------------------------------------------------------------------

# Op and operands, then for each convention the derivative by each operand.
Row = tuple[str, tuple[float, ...], tuple[float, ...], tuple[float, ...], tuple[float, ...]]
TABLE: list[Row] = [
    ("relu", (0.0,), (0,), (0,), (1,)),
    ("relu", (-0.0,), (0,), (0,), (1,)),
    ("relu", (2.0,), (1,), (1,), (1,)),
    ("relu", (-2.0,), (0,), (0,), (0,)),
    ("abs", (0.0,), (0,), (1,), (0,)),
    ("abs", (-0.0,), (0,), (1,), (0,)),
    ("abs", (-3.0,), (-1,), (-1,), (-1,)),
    ("maximum", (1.0, 1.0), (0.5, 0.5), (0.5, 0.5), (1, 0)),
    ("maximum", (0.0, -0.0), (0.5, 0.5), (0.5, 0.5), (1, 0)),
    ("maximum", (1.0, 2.0), (0, 1), (0, 1), (0, 1)),
    ("minimum", (1.0, 1.0), (0.5, 0.5), (0.5, 0.5), (1, 0)),
    ("minimum", (1.0, 2.0), (1, 0), (1, 0), (1, 0)),
    ("clip", (1.0, -1.0, 1.0), (1, 0, 0), (0.5, 0, 0.5), (1, 0, 0)),
    ("clip", (-1.0, -1.0, 1.0), (1, 0, 0), (0.5, 0.5, 0), (1, 0, 0)),
    ("clip", (2.0, -1.0, 1.0), (0, 0, 1), (0, 0, 1), (0, 0, 1)),
    ("clip", (0.0, -1.0, 1.0), (1, 0, 0), (1, 0, 0), (1, 0, 0)),
    ("max", (7.0,), (1,), (1,), (1,)),
    ("min", (7.0,), (1,), (1,), (1,)),
    ("leaky_relu", (0.0,), (0.01,), (1,), (1,)),
    ("leaky_relu", (1.0,), (1,), (1,), (1,)),
]


@pytest.mark.parametrize("kinks", KINKS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}{row[1]}")
def test_the_derivative_at_a_kink(row: Row, kinks: str) -> None:
    op, values, *expected = row
    with gc.Graph("kink", dtype="float64") as g:
        names = [f"x{i}" for i in range(len(values))]
        g.loss(FUNCTIONS[op](*map(g.input, names)))
    compiled = gc.compile(g, style="scalar", kinks=kinks)
    _, gradients = compiled.load().value_and_grad(*values)
    assert tuple(gradients.values()) == expected[KINKS.index(kinks)]
    kink = OPS[op].kink
    if kink is not None:
        assert kink[kinks] in compiled.source


# --- infinities, NaN and zeros --------------------------------------------------------------------

SPECIAL = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5, -2.0, 800.0, -800.0, 5e-324)


def takes_floats(op: Op) -> bool:
    """Whether operands may be floats: bits are those of ints."""
    try:
        op.infer(lambda guard: None, *[TensorType((), float64)] * len(op.operands))
    except DTypeError:
        return False
    return True


SPECIAL_OPS = [
    op for op in OPS.values()
    if op.family == "elementwise" and op.emission.math is not None
    and "condition" not in op.operands and takes_floats(op)
]  # fmt: skip


@cache
def twins(op: Op) -> tuple[ModuleType, ModuleType]:
    """The op as a scalar and as a functional module."""
    with gc.Graph(op.name, dtype="float64") as g:
        g.output("y", FUNCTIONS[op.name](*map(g.input, op.operands)))
    return (
        gc.compile(g, style="scalar", inference=True).load(),
        gc.compile(g, inference=True).load(),
    )


@pytest.mark.parametrize("op", SPECIAL_OPS, ids=lambda op: op.name)
def test_special_values_come_out_as_in_numpy_or_are_errors(op: Op) -> None:
    ours, theirs = twins(op)
    for values in itertools.product(SPECIAL, repeat=len(op.operands)):
        with np.errstate(all="ignore"):
            expected = theirs.predict(*map(np.array, values)).item()
        try:
            result = ours.predict(*values)
        except (ValueError, OverflowError, ZeroDivisionError):
            assert not math.isfinite(expected), values
            assert op.name not in ("maximum", "minimum", "relu", "clip", "abs", "sign", "sigmoid")
            continue
        assert result == pytest.approx(expected, rel=1e-14, abs=0, nan_ok=True), values
        ties = op.name in ("maximum", "minimum", "relu", "clip") and expected == 0
        if not ties and not math.isnan(expected):
            assert math.copysign(1, result) == math.copysign(1, expected), values


def test_constant_operands_let_nan_through_too() -> None:
    with gc.Graph("nan", dtype="float64") as g:
        x = g.input("x")
        g.output("a", gc.maximum(x, 1.0))
        g.output("b", gc.maximum(1.0, x))
        g.output("c", gc.minimum(x, 1.0))
        g.output("d", gc.minimum(1.0, x))
        g.output("e", gc.clip(x, 0.0, 1.0))
        g.output("f", gc.clip(1.0, 0.0, x))
        g.output("g", gc.clip(1.0, x, 2.0))
        g.output("h", gc.maximum(x, np.nan))
        g.output("i", gc.maximum(np.nan, x))
        g.output("j", gc.where(x > 0, 1.0, x))
        g.output("k", gc.relu(x))
    module = gc.compile(g, style="scalar", inference=True).load()
    assert all(map(math.isnan, module.predict(math.nan)))
    assert [math.isnan(v) for v in module.predict(1.0)] == [v in "hi" for v in "abcdefghijk"]


def test_saturating_functions_do_not_overflow() -> None:
    with gc.Graph("saturating", dtype="float64") as g:
        x = g.input("x")
        y = gc.sigmoid(x) + gc.tanh(x) + gc.logsumexp(x) + gc.log1p(gc.exp(-gc.abs(x)))
        g.output("y", y)
    module = gc.compile(g, style="scalar").load()
    for x in (1000.0, -1000.0, 1e308, -1e308):
        side = math.copysign(1.0, x)
        value, gradients = module.value_and_grad(x)
        assert value == (side + 1) / 2 + side + x
        assert gradients["x"] == 1.0


def test_what_has_no_value_raises_as_math_does() -> None:
    module = scalar("quiz").module
    errors = [(0.0, 1.0, ValueError), (-1.0, 1.0, ValueError), (2.0, 0.0, ZeroDivisionError),
              (2.0, 1000.0, OverflowError)]  # fmt: skip
    for x, z, error in errors:
        with pytest.raises(error):
            module.predict(x, z)


# --- the boundary ---------------------------------------------------------------------------------

FLOATS: list[Any] = [
    *(2, True, np.float32(0.5), np.float64(0.1), np.float16(3), np.int8(-3), np.bool_(True)),
    *(np.array(0.5), np.array(7), np.array(True), fractions.Fraction(1, 3), decimal.Decimal("0.1")),
    *(math.inf, math.nan, -0.0, 2**1000),
]
NO_FLOATS: list[Any] = [
    *("1.0", b"1", None, [1.0], (), {}, 1j, np.complex64(1), np.complex128(1), np.str_("1")),
    *(np.array("1"), np.array(1 + 0j), np.array(None), np.datetime64("2020"), float),
]
ARRAYS: list[Any] = [np.ones(1), np.ones((2, 2)), np.ones((1, 1), int), np.zeros(0)]


@cache
def identity() -> ModuleType:
    """An argument of each kind, a parameter and a state, given back."""
    with gc.Graph("identity", dtype="float64") as g:
        x = g.input("x")
        n = g.input("n", dtype="uint8")
        flag = g.input("flag", dtype="bool")
        w = g.parameter("w")
        s = g.state("s")
        for name, node in {"x": x, "n": n, "flag": flag, "w": w, "s": s}.items():
            g.output(name, node)
        g.loss(x * w + s)
    return gc.compile(g, style="scalar").load()


def given_back(**changed: Any) -> Any:
    """What comes out when some arguments are changed."""
    given: dict[str, Any] = {"x": 1.0, "n": 1, "flag": True, "w": 1.0, "s": 1.0, **changed}
    params, state = {"w": given.pop("w")}, {"s": given.pop("s")}
    return identity().predict(params, state, **given)


@pytest.mark.parametrize("name", ["x", "w", "s"])
@pytest.mark.parametrize("value", FLOATS, ids=repr)
def test_numbers_are_taken_as_floats(name: str, value: Any) -> None:
    result = getattr(given_back(**{name: value}), name)
    assert type(result) is float
    assert repr(result) == repr(float(value))


@pytest.mark.parametrize("name", ["x", "w", "s"])
@pytest.mark.parametrize("value", NO_FLOATS, ids=repr)
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected a float, got {type(value).__name__}$"):
        given_back(**{name: value})


@pytest.mark.parametrize("name", ["x", "w", "s", "n", "flag"])
@pytest.mark.parametrize("value", ARRAYS, ids=repr)
def test_arrays_with_axes_are_refused(name: str, value: Any) -> None:
    shape = str(value.shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=f"^{name}: expected an? .* got an array of shape {shape}"):
        given_back(**{name: value})


def test_an_int_beyond_all_floats_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^x: expected a float, got .*too large"):
        given_back(x=10**400)


def test_ints_and_bools() -> None:
    for value in (3, True, np.int64(3), np.uint8(3), np.array(3), np.bool_(True), 10**30):
        assert (given_back(n=value).n, type(given_back(n=value).n)) == (int(value), int)
    for refused in (1.0, "1", None, np.float64(1), 1j, np.array(1.5)):
        with pytest.raises(TypeError, match=r"^n: expected an int, got"):
            given_back(n=refused)
    for value in (True, False, np.bool_(True), np.array(False)):
        assert given_back(flag=value).flag is bool(value)
    for refused in (1, 0, 1.0, "True", None, np.int64(1), []):
        with pytest.raises(TypeError, match=r"^flag: expected a bool, got"):
            given_back(flag=refused)


def test_cotangents_are_checked_and_none_stands_for_zero() -> None:
    module = scalar("several").module
    _, residuals = module.forward(0.5, 2, True)
    assert module.backward(residuals, None, None, None, 1) == {"x": 1.0}
    assert module.backward(residuals, 1, None, None, None)["x"] == 2 * math.cos(0.5)
    with pytest.raises(TypeError, match=r"^product_bar: expected a float, got str"):
        module.backward(residuals, "1")


def test_a_training_step_gives_floats_for_whatever_numbers_it_gets() -> None:
    module = scalar("running_mean").module
    params = {"gain": np.float32(0.1)}
    state = {"mean": np.array(0.5), "steps": np.int64(2), "seen": np.bool_(True)}
    params, state, memory, loss = module.train_step(
        params, state, module.init_optimizer(params), np.float16(0.5), lr=1
    )
    numbers = [params["gain"], state["mean"], memory["velocity"]["gain"], loss]
    assert [type(number) for number in numbers] == [float] * 4
    assert (state["steps"], type(state["steps"])) == (3, int)


# --- parameters -----------------------------------------------------------------------------------


def test_files_keep_every_bit(tmp_path: Path) -> None:
    module = scalar("logistic").module
    for values in ((0.1, -0.0, 5e-324, 1 / 3), (math.inf, -math.inf, math.nan, 1e308)):
        params = dict(zip(("w1", "w2", "bias", "offset"), values, strict=True))
        module.save_params(tmp_path / "params.json", params)
        assert repr(module.load_params(str(tmp_path / "params.json"))) == repr(params)
    assert json.loads((tmp_path / "params.json").read_text())["params"]["offset"] == 1e308


BAD_FILES = {
    "": "is no JSON file",
    "\x00PK": "is no JSON file",
    "[1, 2]": "holds no 'w1' among its params",
    "{}": "holds no 'w1' among its params",
    '{"params": [1]}': "holds no 'w1' among its params",
    '{"params": {"w1": 1, "w2": 2, "bias": 3}}': "holds no 'offset' among its params",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_bad_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "params.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"params.json {BAD_FILES[text]}"):
        scalar("logistic").module.load_params(path)


def test_other_bad_files(tmp_path: Path) -> None:
    module, path = scalar("logistic").module, tmp_path / "params.json"
    with pytest.raises(FileNotFoundError):
        module.load_params(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no JSON file"):
        module.load_params(path)
    path.write_text('{"params": {"w1": "1", "w2": 2, "bias": 3, "offset": 4}}')
    with pytest.raises(TypeError, match=r"^w1: expected a float, got str"):
        module.load_params(path)


def test_vectors() -> None:
    module = scalar("logistic").module
    params = {"w1": 0.5, "w2": -0.4, "bias": 0.1, "offset": -0.1}
    vector = module.ravel_params(params)
    assert vector == [0.5, -0.4, 0.1]
    assert module.unravel_params(vector, params) == params
    assert module.unravel_params(np.array([1, 2, 3]), params)["w2"] == 2.0
    _, gradients = module.value_and_grad(params, 1.0, 2.0, 1)
    assert module.ravel_params(gradients) == [gradients[key] for key in ("w1", "w2", "bias")]
    for wrong, error in (([1.0], ValueError), (1.0, TypeError), (["1", 2, 3], TypeError)):
        with pytest.raises(error, match=r"^vector(\[0\])?: expected"):
            module.unravel_params(wrong, params)


@pytest.mark.parametrize("init", [name for name in SHORTHANDS if name != "orthogonal"])
def test_initialisers_have_the_variance_of_theory(init: str) -> None:
    with gc.Graph("initial") as g:
        w = g.parameter("w", init=init)
        g.loss(w * w)
    module = gc.compile(g, style="scalar").load()
    rng = random.Random(1)
    drawn = [module.init_params(rng)["w"] for _ in range(4000)]
    variance = statistics.pvariance(drawn)
    expected = VARIANCES[init](1, 1)
    if init in ("zeros", "ones"):
        assert set(drawn) == {float(init == "ones")}
        return
    assert variance == pytest.approx(expected, rel=0.1)
    assert abs(statistics.mean(drawn)) < 4 * math.sqrt(variance / 4000)
    assert (max(map(abs, drawn)) < 1.8 * math.sqrt(variance)) == ("uniform" in init)


SCALED = {
    "normal": (gc.init.normal(2.0, 0.5), None, 2.0, 0.5),
    "uniform": (gc.init.uniform(1.0, 3.0), None, 2.0, 1 / math.sqrt(3)),
    "glorot": (gc.init.glorot_normal(1.5), (3, 5), 0.0, 1.5 * math.sqrt(2 / 8)),
    "he": (gc.init.he_uniform(2.0), (9, 4), 0.0, math.sqrt(2 / 5 / 9)),
}


@pytest.mark.parametrize("name", SCALED)
def test_numbers_and_fans_count_for_scalars(name: str) -> None:
    init, fans, mean, deviation = SCALED[name]
    with gc.Graph("initial") as g:
        w = g.parameter("w", init=init, fans=fans)
        g.loss(w * w)
    module = gc.compile(g, style="scalar").load()
    rng = random.Random(2)
    drawn = [module.init_params(rng)["w"] for _ in range(4000)]
    assert statistics.mean(drawn) == pytest.approx(mean, abs=5 * deviation / math.sqrt(4000))
    assert statistics.pstdev(drawn) == pytest.approx(deviation, rel=5 / math.sqrt(2 * 4000))


# --- what does not fit ----------------------------------------------------------------------------


def refused(graph: gc.Graph, **options: Any) -> GraphcError:
    """The error of a compilation."""
    with pytest.raises(GraphcError) as caught:
        gc.compile(graph, style="scalar", **options)
    return caught.value


def test_an_input_with_axes() -> None:
    with gc.Graph("vector") as g:
        x = g.input("x", ("batch", 3))
        g.loss(x.sum())
    error = refused(g)
    assert isinstance(error, UsageError)
    assert "every value is a scalar, got x float32 (batch, 3)" in str(error)
    assert "test_scalar_numbers.py" in str(error)
    assert str(error).endswith('use style="functional"')


@pytest.mark.parametrize("kind", ["parameter", "state"])
def test_a_parameter_or_state_with_axes(kind: str) -> None:
    with gc.Graph("vector") as g:
        x = g.input("x")
        getattr(g, kind)("w", (2,))
        g.loss(x * x)
    assert "got w float32 (2,)" in str(refused(g, allow_unused=True))


def test_a_value_in_the_middle_with_axes_is_named_with_its_line() -> None:
    with gc.Graph("stacked") as g:
        a, b = g.input("a"), g.input("b")
        both = gc.stack([a, b])
        g.loss(both.sum())
    error = refused(g)
    site = g.site_of(both)
    assert "got both float32 (2,)" in str(error)
    assert error.site == site
    assert site is not None
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[site.line - 1]
    assert "gc.stack" in line


def test_an_op_without_a_form_on_numbers() -> None:
    op = OPS["tanh"]
    before = op.emission
    object.__setattr__(op, "emission", Emission("np.tanh({x})"))
    try:
        with gc.Graph("lacking") as g:
            y = gc.tanh(g.input("x"))
            g.output("y", y)
        error = refused(g)
    finally:
        object.__setattr__(op, "emission", before)
    assert isinstance(error, UnsupportedError)
    assert "tanh has no form on Python's numbers" in str(error)
    assert "y float32 ()" in str(error)
    assert error.site == g.site_of(y)


def test_an_unknown_style_names_those_that_exist() -> None:
    with gc.Graph("any") as g:
        g.loss(g.input("x"))
    with pytest.raises(UsageError, match=r"there is no style 'numpy'; use one of .*scalar"):
        gc.compile(g, style="numpy")
