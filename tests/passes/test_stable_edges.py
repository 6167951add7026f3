"""STABILIZE rules over axes: what they leave alone, and what is at the edge of what they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.passes.stable_reductions import (
    CROSS_ENTROPY,
    LOGSUMEXP,
    NORM,
    ONE_PASS,
    OWN_TOTAL,
    SOFTMAX,
    STD,
    TWO_PASS,
    WEIGHTED,
)
from tests.styles import functions, in_every_style

Build = Callable[[Any], Any]


def compiled(build: Build, shape: Any, dtype: str = "float64", **options: Any) -> gc.Module:
    with gc.Graph("edge", dtype=dtype) as graph:
        x = graph.input("x", shape)
        y = build(x)
        graph.output("y", y)
        graph.loss(gc.sum(y) + 0 * gc.sum(x))  # which x reaches in any case
    return gc.compile(graph, **options)


def fired(build: Build, shape: Any = (3, 4)) -> set[str]:
    return {rule.name for rule, _ in compiled(build, shape).report.fired}


stopped = gc.stop_gradient


@pytest.mark.parametrize(
    ("rule", "build"),
    [
        (LOGSUMEXP, lambda x: gc.log(stopped(gc.sum(gc.exp(x))))),
        (LOGSUMEXP, lambda x: gc.log(gc.sum(stopped(gc.exp(x)), axis=1))),
        (WEIGHTED, lambda x: gc.log(stopped(gc.mean(gc.exp(x), axis=1)))),
        (SOFTMAX, lambda x: gc.exp(x) / stopped(gc.sum(gc.exp(x), axis=1, keepdims=True))),
        (SOFTMAX, lambda x: gc.exp(x) / gc.sum(stopped(gc.exp(x)), axis=1, keepdims=True)),
        (SOFTMAX, lambda x: stopped(gc.exp(x)) / gc.sum(gc.exp(x), axis=1, keepdims=True)),
        (OWN_TOTAL, lambda x: x - stopped(gc.logsumexp(x, axis=1, keepdims=True))),
        (NORM, lambda x: gc.sqrt(stopped(gc.sum(x * x)))),
        (NORM, lambda x: gc.sqrt(gc.sum(stopped(x * x)))),
        (NORM, lambda x: gc.sqrt(gc.sum(x * stopped(x)))),
        (STD, lambda x: gc.sqrt(stopped(gc.var(x)))),
        (ONE_PASS, lambda x: gc.mean(x * x) - stopped(gc.mean(x)) ** 2),
        (ONE_PASS, lambda x: stopped(gc.mean(x * x)) - gc.mean(x) ** 2),
        (TWO_PASS, lambda x: gc.mean((x - stopped(gc.mean(x))) ** 2)),
        (CROSS_ENTROPY, lambda x: -gc.mean(stopped(gc.pick(gc.log_softmax(x), [0, 1, 2])))),
    ],
)
def test_no_rule_looks_through_a_stop(rule: str, build: Build) -> None:
    x = np.linspace(-1, 1, 12).reshape(3, 4) ** 3
    assert rule not in fired(build)
    runs = [compiled(build, (3, 4), stabilize=s).load().value_and_grad(x) for s in (True, False)]
    (loss, grads), (naive, slopes) = runs
    np.testing.assert_allclose(loss, naive, rtol=1e-13)
    np.testing.assert_allclose(grads["x"], slopes["x"], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("rule", "build"),
    [
        (SOFTMAX, lambda x: gc.exp(x) / gc.sum(gc.exp(x), axis=1)),  # broadcast along the other
        (OWN_TOTAL, lambda x: x - gc.logsumexp(x, axis=1)),
        (TWO_PASS, lambda x: gc.mean((x - gc.mean(x, axis=1)) ** 2, axis=1)),
        (TWO_PASS, lambda x: gc.mean((x - gc.mean(x, axis=0, keepdims=True)) ** 2, axis=1)),
        (ONE_PASS, lambda x: gc.mean(x * x, axis=0) - gc.mean(x, axis=1) ** 2),
        (ONE_PASS, lambda x: gc.mean(x * x, axis=1, keepdims=True) - gc.mean(x, axis=1) ** 2),
        (LOGSUMEXP, lambda x: gc.log(gc.sum(gc.exp(x) + 1, axis=1))),
        (NORM, lambda x: gc.sqrt(gc.sum(x * x * x, axis=1))),
        (WEIGHTED, lambda x: gc.log(gc.sum(gc.exp(x), axis=1) * gc.mean(x))),
    ],
)
def test_what_is_along_another_axis_is_something_else(rule: str, build: Build) -> None:
    x = np.linspace(0.1, 1, 9).reshape(3, 3) ** 3
    assert rule not in fired(build, (3, 3))
    runs = [compiled(build, (3, 3), stabilize=s).load() for s in (True, False)]
    np.testing.assert_allclose(runs[0].predict(x), runs[1].predict(x), rtol=1e-12)
    slopes = [code.value_and_grad(x)[1]["x"] for code in runs]
    np.testing.assert_allclose(*slopes, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("x", [0.0, 1e200, -1e-200, 800.0, -800.0, 2.5])
@pytest.mark.parametrize("name", ["logsumexp", "softmax", "norm", "log mean"])
def test_a_scalar_is_a_sum_of_one_term(name: str, x: float) -> None:
    builds: dict[str, tuple[Build, Any]] = {
        "logsumexp": (lambda x: gc.log(gc.sum(gc.exp(x))), (x, 1.0)),
        "log mean": (lambda x: gc.log(gc.mean(gc.exp(x)) / 2.0), (x - np.log(2), 1.0)),
        "softmax": (lambda x: gc.exp(x) / gc.sum(gc.exp(x)), (1.0, 0.0)),
        "norm": (lambda x: gc.sqrt(gc.sum(x * x)), (abs(x), np.sign(x))),
    }
    build, (value, slope) = builds[name]
    with gc.Graph("edge", dtype="float64") as graph:
        graph.loss(build(graph.input("x")))
    loss, grads = gc.compile(graph).load().value_and_grad(x)
    np.testing.assert_allclose(loss, value, rtol=1e-15)
    np.testing.assert_allclose(grads["x"], slope, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_scale_is_not_lost_beside_a_large_operand(dtype: str) -> None:
    code = compiled(lambda x: gc.log(gc.sum(gc.exp(x)) / 4), (2,), dtype).load()
    loss, grads = code.value_and_grad(np.array([1e17, 1e17], dtype))
    assert loss == np.array(1e17, dtype)
    np.testing.assert_array_equal(grads["x"], [0.5, 0.5])


@in_every_style
@pytest.mark.parametrize(
    ("build", "x", "value", "slopes"),
    [
        (lambda x: gc.log(gc.sum(gc.exp(x))), [20, 19, -20], 20.313, [0.731, 0.269, 0]),
        (lambda x: gc.log(gc.mean(gc.exp(x))), [-30, -30, -30], -30, [1 / 3] * 3),
        (lambda x: gc.sqrt(gc.sum(x * x)), [3000, 4000, 0], 5000, [0.6, 0.8, 0]),
        (lambda x: gc.sqrt(gc.sum(x * x)), [3 * 2**-20, 4 * 2**-20, 0], 5 * 2**-20, [0.6, 0.8, 0]),
        (lambda x: gc.mean(x * x) - gc.mean(x) ** 2, [300, 301, 302], 2 / 3, [-2 / 3, 0, 2 / 3]),
    ],
)
def test_half_precision(build: Build, x: Any, value: float, slopes: Any, style: str) -> None:
    code = functions(compiled(build, (3,), "float16", style=style))
    loss, grads = code.value_and_grad(np.array(x, "float16"))
    assert loss.dtype == grads["x"].dtype == "float16"
    np.testing.assert_allclose(loss, value, rtol=2e-3, atol=1e-7)
    np.testing.assert_allclose(grads["x"], slopes, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("value", [0.1, 1 / 3, -1e10 / 7, 1e-310, 7e100 / 11])
def test_the_slope_of_a_deviation_is_0_where_all_elements_are_equal(
    size: int, value: float
) -> None:
    for build in (
        lambda x: gc.sqrt(gc.mean((x - gc.mean(x)) ** 2)),
        lambda x: gc.sqrt(gc.var(x)),
        lambda x: gc.std(x),
    ):
        code = compiled(build, (size,)).load()
        _, grads = code.value_and_grad(np.full(size, value))
        np.testing.assert_array_equal(grads["x"], np.zeros(size))


# --- cross entropy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "build",
    [
        lambda z, t: -gc.mean(gc.pick(gc.log(gc.softmax(z)), t)),
        lambda z, t: -gc.mean(gc.log(gc.pick(gc.softmax(z), t))),
        lambda z, t: (
            -gc.mean(gc.pick(gc.log(gc.exp(z) / gc.sum(gc.exp(z), axis=-1, keepdims=True)), t))
        ),
        lambda z, t: gc.mean(-gc.pick(z - gc.logsumexp(z, axis=-1, keepdims=True), t)),
    ],
)
@pytest.mark.parametrize("shape", [("n", 4), (2, "n", 4), (4,)])
def test_backward_is_softmax_less_one_hot(build: Callable[..., Any], shape: Any) -> None:
    def source(formula: Callable[..., Any]) -> tuple[str, gc.Module]:
        with gc.Graph("classes", dtype="float64") as graph:
            z = graph.input("z", shape)
            graph.loss(formula(z, graph.input("t", shape[:-1], dtype="int64")))
        module = gc.compile(graph)
        return backward_of(module.source), module

    text, module = source(build)
    assert text == source(gc.cross_entropy)[0]
    assert "exps / sums - (" in text and "np.arange(4))" in text and ".sum(" not in text
    full = [5 if size == "n" else size for size in shape]
    z = np.random.default_rng(3).normal(size=full) * 500
    t = np.random.default_rng(4).integers(0, 4, full[:-1])
    _, grads = module.load().value_and_grad(z, t)
    shares = np.exp(z - z.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    expected = (shares - np.eye(4)[t]) / max(t.size, 1)
    np.testing.assert_allclose(grads["z"], expected, rtol=1e-13, atol=1e-16)


def backward_of(text: str) -> str:
    """The lines of `backward`, without what is told of rules."""
    lines = text.split("def backward")[1].split("\ndef ")[0].splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith("#"))
