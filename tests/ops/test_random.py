"""`gc.random` and dropout: what is drawn, how often, in which order, and what flows through it."""

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
from graphc.autodiff.partition import partition
from graphc.check import check
from graphc.errors import DTypeError, GraphcError, ShapeError, UnsupportedError
from graphc.ir.graph import entered
from graphc.ir.types import float32, float64
from graphc.lower.interpreter import interpret
from graphc.lower.program import lower
from graphc.passes.precision import with_dtype
from tests.codegen.nets import Net
from tests.ops.cases import same_bits
from tests.peers import peer

SEED = 11
MANY = 200_000


def seeded(seed: int = SEED) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(make: Callable[[], Any], dtype: str = "float64", seed: int = SEED) -> Any:
    """What `predict` returns for a graph whose only output is made here."""
    with gc.Graph("drawn", dtype=dtype) as g:
        g.output("y", make())
    return gc.compile(g, inference=True).load().predict(rng=seeded(seed))


def close(sample: Any, expected: float, deviation: float) -> None:
    """Assert that a mean of many draws lies within five of its standard errors."""
    assert abs(np.mean(sample, dtype=np.float64) - expected) < 5 * deviation / np.sqrt(sample.size)


# --- what is drawn ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_of_the_normal_distribution(dtype: str) -> None:
    y = drawn(lambda: gc.random.normal((MANY // 2, 2), 3.0, 2.0), dtype)
    assert (y.dtype, y.shape) == (np.dtype(dtype), (MANY // 2, 2))
    z = (y.astype(np.float64) - 3) / 2
    # E z = 0, E z² = 1, E z³ = 0, E z⁴ = 3; their variances 1, 2, 15, 96.
    for power, (mean, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], 1):
        close(z**power, mean, np.sqrt(variance))
    close(z[:, 0] * z[:, 1], 0, 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_moments_of_the_uniform_distribution(dtype: str) -> None:
    y = drawn(lambda: gc.random.uniform(MANY, -1.0, 3.0), dtype)
    assert (y.dtype, y.shape) == (np.dtype(dtype), (MANY,))
    assert -1 <= y.min() < -0.99 < 2.99 < y.max() <= 3
    if dtype != "float16":
        close(y, 1, 4 / np.sqrt(12))
        close((y - 1) ** 2, 16 / 12, np.sqrt(256 * (1 / 80 - 1 / 144)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.99, 1.0])
def test_moments_of_the_bernoulli_distribution(p: float, dtype: str) -> None:
    y = drawn(lambda: gc.random.bernoulli(p, (MANY,)), dtype)
    assert (y.dtype, y.shape) == (np.dtype(bool), (MANY,))
    if p in (0, 1):
        assert y.all() == y.any() == bool(p)
    close(y, p, np.sqrt(p * (1 - p)) + 1e-12)


class Highest(np.random.Generator):
    """Draws the largest number below 1."""

    def random(self, size: Any = None, *rest: Any, **more: Any) -> Any:
        highest = np.nextafter(1.0, 0.0)
        return float(highest) if size is None else np.full(size, highest)


def test_a_narrow_uniform_stays_below_one() -> None:
    for dtype in ("float16", "float32", "float64"):
        for shape in ((), (3,)):
            with gc.Graph("highest", dtype=dtype) as g:
                g.output("y", gc.random.uniform(shape))
            y = gc.compile(g).load().predict(rng=Highest(np.random.PCG64()))
            assert y.dtype == dtype
            assert (y == np.nextafter(np.ones((), dtype), np.zeros((), dtype))).all()


def test_a_probability_is_compared_in_full_width() -> None:
    for dtype in ("float16", "float64"):
        with gc.Graph("highest", dtype=dtype) as g:
            g.output("nearly", gc.random.bernoulli(0.9999))
            g.output("sure", gc.random.bernoulli(1.0))
            g.output("told", gc.random.bernoulli(g.constant(1.0), (2,)))
        found = gc.compile(g).load().predict(rng=Highest(np.random.PCG64()))
        assert (bool(found.nearly), bool(found.sure), found.told.all()) == (False, True, True)


def test_a_narrow_module_sees_the_rounded_draws() -> None:
    for make in (lambda: gc.random.normal((50,)), lambda: gc.random.uniform((5, 10))):
        wide = drawn(make, "float64")
        for dtype in ("float32", "float16"):
            assert same_bits(drawn(make, dtype), wide.astype(dtype))
    masks = [drawn(lambda: gc.random.bernoulli(0.3, (99,)), d) for d in ("float32", "float64")]
    assert same_bits(*masks)
    assert same_bits(masks[0], seeded().random(99) < 0.3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_without_axes(dtype: str) -> None:
    rng = seeded()
    for make, value in [
        (lambda: gc.random.normal(), rng.standard_normal()),
        (lambda: gc.random.uniform(()), seeded().random()),
    ]:
        assert same_bits(drawn(make, dtype), np.asarray(value, dtype))


# --- seeds --------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_draws_and_others_others() -> None:
    def noise() -> Any:
        return gc.random.normal((4,))

    assert same_bits(drawn(noise), drawn(noise))
    assert not np.any(drawn(noise) == drawn(noise, seed=SEED + 1))


def test_the_interpreter_draws_the_same_bits() -> None:
    for dtype in ("float32", "float64"):
        with gc.Graph("both", dtype=dtype) as g:
            x = g.input("x", ("batch", 3))
            h = gc.dropout(gc.exp(x), 0.4) + gc.random.normal(x.shape, x, 2.0)
            g.loss((h * gc.random.uniform((3,), 1.0, 2.0)).sum())
        module = gc.compile(g)
        forward, backward = module.lowered.forward, module.lowered.backward
        assert forward is not None
        assert backward is not None
        at = seeded(1).normal(size=(5, 3)).astype(dtype)
        loss, residuals = module.load().forward(at, rng=seeded())
        known = interpret(forward, {g.inputs["x"]: at}, rng=seeded())
        assert same_bits(loss, known[forward.results[0]])
        for value, node in zip(residuals, module.lowered.residuals, strict=False):
            assert same_bits(value, known[node])
        with pytest.raises(TypeError, match="the program of forward draws: pass rng"):
            interpret(forward, {g.inputs["x"]: at})


# --- never merged -------------------------------------------------------------------------------


def test_equal_calls_are_different_draws() -> None:
    with gc.Graph("two") as g:
        first, second = gc.random.normal((8,)), gc.random.normal((8,))
        g.output("first", first)
        g.output("second", second)
        g.output("difference", first - second)
    found = gc.compile(g).load().predict(rng=seeded())
    rng = seeded()
    assert same_bits(found.first, rng.standard_normal(8).astype(np.float32))
    assert same_bits(found.second, rng.standard_normal(8).astype(np.float32))
    assert same_bits(found.difference, found.first - found.second)


def test_one_draw_used_twice_is_one_draw() -> None:
    def twice() -> Any:
        z = gc.random.normal((8,))
        return z - z

    assert not drawn(twice).any()


def test_two_dropouts_have_masks_of_their_own() -> None:
    with gc.Graph("two") as g:
        x = g.input("x", (64,))
        a, b = gc.dropout(x, 0.5), gc.dropout(x, 0.5)
        g.output("a", a)
        g.output("b", b)
        g.loss((a * b).sum())
    module = gc.compile(g)
    ones = np.ones(64, np.float32)
    loss, grads = module.load().value_and_grad(ones, rng=seeded())
    rng = seeded()
    masks = [rng.random(64) < 0.5 for _ in range(2)]
    assert (masks[0] != masks[1]).any()
    np.testing.assert_allclose(loss, 4.0 * (masks[0] & masks[1]).sum())
    np.testing.assert_allclose(grads["x"], 8.0 * (masks[0] & masks[1]))


# --- never computed again -----------------------------------------------------------------------


def test_backward_takes_the_draws_of_forward() -> None:
    with gc.Graph("kept", dtype="float64") as g:
        x = g.input("x", ("n", 3))
        z = gc.random.normal(x.shape)
        y = gc.dropout(x * z, 0.25)
        g.output("y", y)
    module = gc.compile(g)
    assert "rng" not in inspect.signature(module.load().backward).parameters
    assert "rng" not in module.source.split("def backward(")[1].split("return {")[0]
    at, bar = seeded(1).normal(size=(2, 6, 3))
    y, residuals = module.load().forward(at, rng=seeded())
    kept = y != 0
    assert 0 < kept.sum() < kept.size
    noise = seeded().standard_normal((6, 3))
    np.testing.assert_allclose(y, np.where(kept, at * noise, 0) / 0.75, rtol=1e-14)
    for _ in range(2):
        grads = module.load().backward(residuals, bar)
        np.testing.assert_allclose(grads["x"], np.where(kept, bar * noise, 0) / 0.75, rtol=1e-14)


def test_the_residual_of_dropout_is_the_mask() -> None:
    with gc.Graph("mask") as g:
        x = g.input("x", ("n", 3))
        g.output("y", gc.dropout(x, 0.25))
    residuals = gc.compile(g).lowered.residuals
    assert [(node.dtype.name, node.op.name) for node in residuals] == [("bool", "less")]


def test_a_draw_that_only_the_gradient_reads_is_made_by_forward() -> None:
    noisy = gc.Graph("noisy", dtype="float64")
    with noisy as g:
        x = g.input("x", (4,))
        z = gc.random.normal(x.shape)
        g.loss((x + gc.stop_gradient(z) - z).sum())
        g.output("slope", gc.grad((x * x * z).sum(), x))
    module = gc.compile(g).load()
    at = seeded(1).normal(size=4)
    np.testing.assert_allclose(
        module.predict(at, rng=seeded()), 2 * at * seeded().standard_normal(4)
    )
    loss, grads = module.value_and_grad(at, rng=seeded())
    np.testing.assert_allclose(loss, at.sum())
    np.testing.assert_array_equal(grads["x"], np.ones(4))


def test_partition_keeps_a_draw_that_no_result_needs() -> None:
    with gc.Graph("apart") as g:
        x = g.input("x", (3,))
        z = gc.random.normal((3,))
        value, gradient = x.sum(), x * z
    parts = partition([value], [gradient], [])
    assert [node.op.name for node in parts.residuals] == ["argument", "standard_normal"]
    program = lower("forward", [x], [value], kept=parts.residuals)
    assert program.draws
    backward = lower("backward", parts.residuals, [gradient])
    assert not backward.draws


# --- order --------------------------------------------------------------------------------------


def test_draws_happen_in_the_order_of_their_declaration() -> None:
    with gc.Graph("reversed", dtype="float64") as g:
        scale = g.parameter("scale", (3,), init="ones")
        draws = [
            gc.random.normal((3,)), gc.random.uniform((2, 3)), gc.random.bernoulli(0.5, (3,)),
            gc.random.uniform(), gc.random.normal((3,)),
        ]  # fmt: skip
        total = scale
        for draw in reversed(draws):
            total = gc.tanh(total) * draw
        g.output("last", draws[4] + 1)
        g.output("y", total)
        g.loss(total.sum())
    module = gc.compile(g, optimizer="sgd").load()
    reference = seeded()
    expected = [
        reference.standard_normal(3), reference.random((2, 3)), reference.random(3) < 0.5,
        reference.random(), reference.standard_normal(3),
    ]  # fmt: skip
    y = np.ones(3)
    for value in reversed(expected):
        y = np.tanh(y) * value
    params = {"scale": np.ones(3)}
    calls: dict[str, Callable[..., Any]] = {
        "predict": lambda **rng: module.predict(params, **rng).y.sum(),
        "evaluate": lambda **rng: module.evaluate(params, **rng),
        "forward": lambda **rng: module.forward(params, **rng)[0],
        "value_and_grad": lambda **rng: module.value_and_grad(params, **rng)[0],
        "train_step": lambda **rng: module.train_step(params, module.init_optimizer(params), **rng)[
            -1
        ],
    }
    for name, call in calls.items():
        rng = seeded()
        np.testing.assert_allclose(call(rng=rng), y.sum(), rtol=1e-14, err_msg=name)
        assert rng.bit_generator.state == reference.bit_generator.state, name


def test_only_what_is_needed_is_drawn() -> None:
    with gc.Graph("unused") as g:
        gc.random.normal((3,))
        y = gc.random.uniform((3,))
        gc.random.normal((3,))
        g.output("y", y)
    rng, other = seeded(), seeded()
    found = gc.compile(g).load().predict(rng=rng)
    assert same_bits(found, other.random(3).astype(np.float32))
    assert rng.bit_generator.state == other.bit_generator.state


def test_a_draw_inside_an_expression_moves_past_no_other() -> None:
    with gc.Graph("inlined") as g:
        x = g.input("x", (3,))
        a = x * gc.random.normal((3,))
        b = x + gc.random.uniform((3,))
        y = (b / 2) * (a + 1)  # b is printed where y is
        g.output("y", y)
    rng = seeded()
    x_ = np.array([1, 2, 3], np.float32)
    a_ = x_ * rng.standard_normal(3).astype(np.float32)
    b_ = x_ + rng.random(3).astype(np.float32)
    found = gc.compile(g).load().predict(x_, rng=seeded())
    np.testing.assert_allclose(found, b_ / 2 * (a_ + 1), rtol=1e-6)


def test_numbers_of_unused_draws_do_not_show_in_the_hash() -> None:
    def digest(unused: int, order: int = 1) -> str:
        with gc.Graph("hash") as g:
            for _ in range(unused):
                gc.random.normal((2,))
            draws = [gc.random.normal((2,)), gc.random.uniform((2,))][::order]
            g.output("y", draws[0] - draws[1])
        return gc.compile(g).lowered.digest

    def same_op_swapped(order: int) -> str:
        with gc.Graph("hash") as g:
            first, second = [gc.random.normal((2,)), gc.random.normal((2,))][::order]
            g.output("y", first - second)
        return gc.compile(g).lowered.digest

    assert digest(0) == digest(3)
    assert digest(0) != digest(0, -1)
    assert same_op_swapped(1) != same_op_swapped(-1)


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
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0])
def test_dropout_zeroes_and_scales_as_torch_does(rate: float, dtype: str) -> None:
    with gc.Graph("dropout", dtype=dtype) as g:
        x = g.input("x", ("rows", 7))
        g.output("y", gc.dropout(x, rate))
    module = gc.compile(g).load()
    at = (seeded(1).normal(size=(300, 7)) + 9).astype(dtype)
    bar = seeded(2).normal(size=(300, 7)).astype(dtype)
    needs = {"rng": seeded()} if 0 < rate < 1 else {}
    y, residuals = module.forward(at, **needs)
    grads = module.backward(residuals, bar)
    kept = y != 0
    close(kept, 1 - rate, np.sqrt(rate * (1 - rate)) + 1e-12)
    assert same_bits(module.predict(at), at)
    share = 1 - rate if rate < 1 else 1.0
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
    (lambda x: gc.dropout(x, 1.5), GraphcError, "dropout: rate is a number from 0 to 1, got 1.5"),
    (lambda x: gc.dropout(x, -0.1), GraphcError, "dropout: rate is a number from 0 to 1"),
    (lambda x: gc.dropout(x, np.nan), GraphcError, "dropout: rate is a number from 0 to 1"),
    (lambda x: gc.dropout(x, "0.5"), GraphcError, "dropout: rate is a number from 0 to 1"),
    (lambda x: gc.dropout(x, x), GraphcError, "dropout: rate is a number from 0 to 1"),
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
    assert str(caught.value).count("test_random.py:") == (2 if shape is None else 1)
