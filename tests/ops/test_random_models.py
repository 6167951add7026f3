"""What is computed with draws: derivatives, dropout, errors, other dtypes, the self-test."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.check import check
from graphc.errors import DTypeError, GraphcError, ShapeError, UnsupportedError
from graphc.ir.graph import entered
from graphc.ir.types import float32, float64
from graphc.passes.precision import with_dtype
from tests.codegen.nets import Net
from tests.ops.cases import same_bits
from tests.peers import peer

SEED = 11
MANY = 200_000


def seeded(seed: int = SEED) -> np.random.Generator:
    return np.random.default_rng(seed)


def close(sample: Any, expected: float, deviation: float) -> None:
    """Assert that a mean of many draws lies within five of its standard errors."""
    assert abs(np.mean(sample, dtype=np.float64) - expected) < 5 * deviation / np.sqrt(sample.size)


# --- derivatives --------------------------------------------------------------------------------


def test_gradients_flow_through_loc_and_scale() -> None:
    with gc.Graph("reparametrised", dtype="float64") as g:
        loc = g.input("loc", ("n",))
        scale = g.input("scale", ("n",))
        z = gc.random.normal(loc.shape, loc, scale)
        u = gc.random.uniform(None, loc, scale)
        g.loss((z * z).sum() + (u * u * u).sum())
    at = {"loc": np.array([0.5, -1.0, 2.0]), "scale": np.array([1.0, 2.0, 0.5])}
    loss, grads = gc.compile(g).load().value_and_grad(**at, rng=seeded())
    rng = seeded()
    noise, share = rng.standard_normal(3), rng.random(3)
    z_, u_ = at["loc"] + at["scale"] * noise, at["loc"] + (at["scale"] - at["loc"]) * share
    np.testing.assert_allclose(loss, (z_**2).sum() + (u_**3).sum())
    np.testing.assert_allclose(grads["loc"], 2 * z_ + 3 * u_**2 * (1 - share))
    np.testing.assert_allclose(grads["scale"], 2 * z_ * noise + 3 * u_**2 * share)
    assert [row.ok for row in check(g)] == [True, True]


def test_the_gradient_of_a_probability_is_zero() -> None:
    with gc.Graph("coin", dtype="float64") as g:
        p = g.input("p", (50,))
        x = g.input("x", (50,))
        y = gc.where(gc.random.bernoulli(p), x, -x)
        g.output("y", y)
    at = {"p": np.linspace(0, 1, 50), "x": np.ones(50)}
    module = gc.compile(g, allow_unused=True).load()
    y, residuals = module.forward(**at, rng=seeded())
    np.testing.assert_array_equal(y > 0, seeded().random(50) < at["p"])
    grads = module.backward(residuals, np.ones(50))
    np.testing.assert_array_equal(grads["p"], np.zeros(50))
    np.testing.assert_array_equal(grads["x"], y)


def test_higher_derivatives_see_the_same_draws() -> None:
    with gc.Graph("higher", dtype="float64") as g:
        x = g.input("x", (3,))
        v = g.input("v", (3,))
        z = gc.random.normal((3,))
        kept = gc.random.bernoulli(0.5, (3,))
        y = gc.where(kept, gc.exp(x * z), x * x * z)
        g.output("grad", gc.grad(y.sum(), x))
        g.output("hvp", gc.hvp(y.sum(), x, v))
        g.output("jacobian", gc.jacobian(y, x))
        g.output("jvp", gc.jvp(y, x, v))
    at, direction = np.array([0.3, -0.7, 1.1]), np.array([1.0, 2.0, -1.0])
    found = gc.compile(g, inference=True).load().predict(at, direction, rng=seeded())
    rng = seeded()
    noise, heads = rng.standard_normal(3), rng.random(3) < 0.5
    first = np.where(heads, noise * np.exp(at * noise), 2 * at * noise)
    second = np.where(heads, noise**2 * np.exp(at * noise), 2 * noise)
    np.testing.assert_allclose(found.grad, first, rtol=1e-14)
    np.testing.assert_allclose(found.hvp, second * direction, rtol=1e-14)
    np.testing.assert_allclose(found.jacobian, np.diag(first), rtol=1e-14)
    np.testing.assert_allclose(found.jvp, first * direction, rtol=1e-14)


# --- dropout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.99])
def test_dropout_zeroes_and_scales_as_torch_does(rate: float, dtype: str) -> None:
    with gc.Graph("dropout", dtype=dtype) as g:
        x = g.input("x", ("rows", 7))
        g.output("y", gc.dropout(x, rate))
    module = gc.compile(g).load()
    at = (seeded(1).normal(size=(300, 7)) + 9).astype(dtype)
    bar = seeded(2).normal(size=(300, 7)).astype(dtype)
    needs = {"rng": seeded()} if rate else {}
    y, residuals = module.forward(at, **needs)
    grads = module.backward(residuals, bar)
    kept = y != 0
    close(kept, 1 - rate, np.sqrt(rate * (1 - rate)) + 1e-12)
    assert same_bits(module.predict(at), at)
    share = 1 - rate
    np.testing.assert_allclose(y, np.where(kept, at / share, 0), rtol=1e-6)
    np.testing.assert_allclose(grads["x"], np.where(kept, bar / share, 0), rtol=1e-6)
    # What torch makes of its own mask, read off its output, is what graphc makes of its own.
    torch = peer("torch")
    x_ = torch.tensor(at, requires_grad=True)
    theirs = torch.nn.functional.dropout(x_, rate)
    theirs.backward(torch.tensor(bar))
    kept = theirs.detach().numpy() != 0
    np.testing.assert_allclose(theirs.detach(), np.where(kept, at / share, 0), rtol=1e-6)
    np.testing.assert_allclose(x_.grad, np.where(kept, bar / share, 0), rtol=1e-6)


def test_inference_draws_no_masks() -> None:
    with gc.Graph("modes") as g:
        x = g.input("x", ("n", 3))
        w = g.parameter("w", (3,), init="ones")
        y = gc.dropout(x * w, 0.5)
        g.output("y", y)
        g.loss(y.sum())
    module = gc.compile(g, optimizer="sgd").load()
    signatures = {name: str(inspect.signature(getattr(module, name))) for name in (
        "predict", "evaluate", "forward", "backward", "value_and_grad", "train_step",
    )}  # fmt: skip
    drawing = [name for name, text in signatures.items() if "rng" in text]
    assert drawing == ["forward", "value_and_grad", "train_step"]
    assert list(inspect.signature(module.train_step).parameters)[-2:] == ["rng", "lr"]
    for name in drawing:
        rng = inspect.signature(getattr(module, name)).parameters["rng"]
        assert (rng.kind, rng.default) == (rng.KEYWORD_ONLY, rng.empty)


# --- the argument -------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 0, np.random.RandomState(0), np.random, "seed"], ids=str)
def test_another_argument_than_a_generator_is_refused(wrong: Any) -> None:
    with gc.Graph("noise") as g:
        w = g.parameter("w", (3,))
        y = w + gc.random.normal((3,))
        g.output("y", y)
        g.loss(y.sum())
    module = gc.compile(g, optimizer="sgd").load()
    params = {"w": np.zeros(3, np.float32)}
    given = {
        "predict": (params,), "evaluate": (params,), "forward": (params,),
        "value_and_grad": (params,), "train_step": (params, module.init_optimizer(params)),
    }  # fmt: skip
    told = f"rng: expected a numpy.random.Generator, got {type(wrong).__name__}; .*default_rng"
    for name, arguments in given.items():
        with pytest.raises(TypeError, match=told):
            getattr(module, name)(*arguments, rng=wrong)
        with pytest.raises(TypeError, match="rng"):
            getattr(module, name)(*arguments)


# --- what is declared ---------------------------------------------------------------------------


def test_named_sizes_and_shapes_of_nodes() -> None:
    with gc.Graph("sizes", dtype="float64") as g:
        x = g.input("x", ("batch", 3))
        noise = gc.random.normal(("batch", x.shape[1] + 1))
        wide = gc.random.uniform((2 * g.dim("batch"),))
        g.output("noise", noise)
        g.output("wide", wide)
        g.output("beside", x + gc.random.normal(x.shape))
    found = gc.compile(g).load().predict(np.zeros((5, 3)), rng=seeded())
    rng = seeded()
    assert same_bits(found.noise, rng.standard_normal((5, 4)))
    assert same_bits(found.wide, rng.random(10))
    assert same_bits(found.beside, rng.standard_normal((5, 3)))


def test_parameters_decide_shape_and_dtype() -> None:
    with gc.Graph("types") as g:
        wide = g.input("wide", ("n", 1), dtype="float64")
        counts = g.input("counts", (4,), dtype="int64")
        types = {
            gc.random.normal(): "float32 ()",
            gc.random.normal(3): "float32 (3,)",
            gc.random.normal(loc=wide): "float64 (n, 1)",
            gc.random.normal(None, wide, np.ones(4)): "float64 (n, 4)",
            gc.random.normal(("n", 4), wide): "float64 (n, 4)",
            gc.random.normal(loc=counts): "float32 (4,)",
            gc.random.uniform(high=np.full(5, 2.0)): "float32 (5,)",
            gc.random.bernoulli(wide): "bool (n, 1)",
            gc.random.bernoulli(): "bool ()",
            gc.random.bernoulli([0.1, 0.2]): "bool (2,)",
            gc.dropout(counts, 0.5): "float32 (4,)",
        }
    assert {str(node.types[0]) for node in types} == set(types.values())
    for node, text in types.items():
        assert str(node.types[0]) == text


WRONG: list[tuple[Callable[..., Any], type[GraphcError], str]] = [
    (lambda x: gc.random.normal((3,), sigma=1), UnsupportedError, "random.normal got an .*sigma"),
    (lambda x: gc.random.uniform((3,), 0, 1, 2), UnsupportedError, "random.uniform takes from 0"),
    (lambda x: gc.random.normal((3,), scale=-1), GraphcError, "normal: scale is not negative, got"),
    (lambda x: gc.random.normal((3,), scale=np.nan), GraphcError, "scale is not negative, got nan"),
    (lambda x: gc.random.normal((2,), 0, [1, -1]), GraphcError, r"not negative, got \[1, -1\]"),
    (lambda x: gc.random.normal((3,), "0"), DTypeError, "got '0'"),
    (lambda x: gc.random.uniform((3,), 2, 1), GraphcError, "high - low is not negative, got -1"),
    (lambda x: gc.random.bernoulli(1.5), GraphcError, r"p lies in \[0, 1\], got 1.5"),
    (lambda x: gc.random.bernoulli(-0.1, 3), GraphcError, r"p lies in \[0, 1\], got -0.1"),
    (lambda x: gc.random.bernoulli((3,)), GraphcError, r"p lies in \[0, 1\]"),
    (lambda x: gc.random.normal((-3,)), ShapeError, "random.normal: a size is not negative"),
    (lambda x: gc.random.normal(2.5), ShapeError, "random.normal: a size is an int .* got 2.5"),
    (lambda x: gc.random.normal("2n"), ShapeError, "random.normal: the name of a dimension"),
    (lambda x: gc.random.normal(x), ShapeError, "random.normal: a shape is no node, got x float32"),
    (lambda x: gc.random.normal((2,), x), ShapeError, "random.normal: sizes 2 and 3 differ: x"),
    (lambda x: gc.random.normal((), x), ShapeError, r"\(3\) does not broadcast to \(\)"),
    (lambda x: gc.random.bernoulli(x, (5, 1)), ShapeError, r"does not broadcast to \(5, 1\)"),
    (lambda x: gc.dropout(x, 1.5), GraphcError, r"dropout: rate is a number in \[0, 1\), got 1.5"),
    (lambda x: gc.dropout(x, 1), GraphcError, r"got 1 for x float32 .*_models.py"),
    (lambda x: gc.dropout(x, -0.1), GraphcError, "dropout: rate is a number in"),
    (lambda x: gc.dropout(x, np.nan), GraphcError, "dropout: rate is a number in"),
    (lambda x: gc.dropout(x, "0.5"), GraphcError, "dropout: rate is a number in"),
    (lambda x: gc.dropout(x, x), GraphcError, "dropout: rate is a number in"),
    (lambda x: gc.dropout(x, p=0.5), UnsupportedError, "dropout got an unexpected keyword .* 'p'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "told"), WRONG, ids=[w[2] for w in WRONG])
def test_a_wrong_call_is_told(call: Any, error: type[GraphcError], told: str) -> None:
    with gc.Graph("wrong") as g:
        x = g.input("x", (3,))
        with pytest.raises(error, match=told) as caught:
            call(x)
    assert Path(__file__).name in str(caught.value).split(": ")[0]
    assert g.draws == 0


# --- other dtypes, checks -----------------------------------------------------------------------


def noisy(dtype: str = "float32") -> gc.Graph:
    """A model with draws of each kind, whose gradients are smooth along most directions."""
    with gc.Graph("noisy", dtype=dtype) as g:
        x = g.input("x", ("batch", 4))
        W = g.parameter("W", (4, 3), init="he_normal")
        scale = g.parameter("scale", (3,), init="ones")
        unused = gc.random.normal((9,))
        h = gc.dropout(gc.tanh(x @ W), 0.3)
        h = h + gc.random.normal(h.shape, 0.0, gc.exp(scale))
        y = gc.where(gc.random.bernoulli(0.5, h.shape), h, h * h)
        g.output("y", y)
        g.loss((y * y).mean())
    assert unused.op.random
    return g


def test_another_dtype_keeps_the_draws() -> None:
    g = noisy()
    wide = with_dtype(g, float64)
    serials = [sorted(n.params.serial for n in w.nodes if n.op.random) for w in (g, wide)]
    assert serials == [[0, 1, 2, 3], [1, 2, 3]]
    assert wide.draws == g.draws == 4
    with entered(wide):
        assert gc.random.normal(()).params.serial == 4
    back = with_dtype(wide, float32)
    net = Net(g)
    params, x = net.values["params"], net.values["inputs"]["x"]
    losses = [
        gc.compile(graph).load().value_and_grad(params, x, rng=seeded())[0]
        for graph in (g, wide, back, noisy("float64"))
    ]
    assert losses[0].dtype == np.float32
    assert losses[1].dtype == np.float64
    assert same_bits(losses[0], losses[2])
    np.testing.assert_allclose(losses[1], losses[3], rtol=1e-7)  # 1 / 0.7 was a float32
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_check_compares_with_the_same_draws() -> None:
    assert all(row.ok and row.error < 1e-8 for row in check(noisy()))
    assert len(check(noisy())) == 2


# --- the self-test ------------------------------------------------------------------------------


def self_test(path: Path) -> tuple[int, str]:
    """Exit status and output of a module's self-test."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), "--self-test"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_self_test_compares_with_differences(dtype: str, tmp_path: Path) -> None:
    path = gc.compile(noisy(dtype)).save(tmp_path / "noisy.py")
    source = path.read_text(encoding="utf-8")
    body = source.split("def self_test() -> bool:")[1]
    assert "is_slope" in body
    assert "def agrees" not in source
    status, told = self_test(path)
    assert (status, told.count("ok"), told.count("\n")) == (0, 2, 2)
    assert "gradient of W" in told
    for line in ("W_bar = ", "scale_bar = "):
        changed = source.replace(f"    {line}", f"    {line}1.5 * ")
        assert changed != source
        path.write_text(changed, encoding="utf-8")
        status, told = self_test(path)
        assert (status, told.count("FAILED"), told.count("ok")) == (1, 1, 1)


def test_the_self_test_holds_for_other_streams(tmp_path: Path) -> None:
    # NumPy may change what a seed gives; the comparison does not depend on it.
    path = gc.compile(noisy()).save(tmp_path / "noisy.py")
    source = path.read_text(encoding="utf-8")
    for seed in range(1, 20):
        path.write_text(source.replace("default_rng(0)", f"default_rng({seed})"), encoding="utf-8")
        spec = importlib.util.spec_from_file_location("noisy", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.self_test(), seed


def test_what_differences_cannot_tell_is_left_out() -> None:
    with gc.Graph("straight_through") as g:
        x = g.input("x", (4,))
        w = g.input("w", (4,))
        # The gradient of a rounded value is, by declaration, that of the value itself.
        rounded = x + gc.stop_gradient(gc.sign(x) - x)
        g.loss((rounded * w * gc.random.uniform((4,))).sum())
    test = gc.compile(g).lowered.self_test
    assert test is not None
    assert (test.slopes, test.values) == (("w",), ())


@pytest.mark.parametrize("shape", [(-1,), "a b", None])
def test_errors_name_the_op_and_the_line_once(shape: Any) -> None:
    with gc.Graph("m"), pytest.raises(gc.errors.ShapeError) as caught:
        gc.random.normal(gc.random.normal(()) if shape is None else shape)
    assert str(caught.value).count("random.normal: ") == 1
    assert str(caught.value).count("test_random_models.py:") == (2 if shape is None else 1)
