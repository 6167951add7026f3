"""`gc.random` and dropout: what is drawn, how often, in which order, and what flows through it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.autodiff.partition import partition
from graphc.lower.interpreter import interpret
from graphc.lower.program import lower
from tests.ops.cases import same_bits

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
