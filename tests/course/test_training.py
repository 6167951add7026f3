"""Training (notes 000, 001, 002, 003): steps, batches, initial weights, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import in_every_style, load

EXAMPLES = 256


def regression() -> gc.Graph:
    """A linear unit with the squared loss, whose gradient is known: 2 Xᵀ (X w - t) / b."""
    with gc.Graph("regression", dtype="float64") as graph:
        x = graph.input("x", ("batch", 3))
        t = graph.input("t", ("batch",))
        w = graph.parameter("w", (3,), init="normal")
        y = x @ w
        graph.output("y", y)
        graph.loss(gc.mse(y, t))
    return graph


def gradient(w: Any, x: Any, t: Any) -> Any:
    return 2 * x.T @ (x @ w - t) / len(x)


def data(rng: np.random.Generator) -> tuple[Any, Any]:
    x = rng.normal(size=(EXAMPLES, 3))
    return x, x @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=EXAMPLES)


BATCHES = {"gradient descent": EXAMPLES, "one example": 1, "mini-batches of 128": 128}


@in_every_style
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_steps_go_against_the_gradient_of_the_batch(batch: int, style: str) -> None:
    """000, 001, 002, 003: θ ← θ - η g, g the mean over all examples, of one, or of 128.

    An epoch in a shuffled order, with a learning rate that falls from step to step.
    """
    net: Any = load(regression(), style=style, optimizer="sgd")
    rng = np.random.default_rng(0)
    x, t = data(rng)
    params = net.init_params(rng)
    w = params["w"].copy()
    state = net.init_optimizer(params)
    order = rng.permutation(EXAMPLES)
    for step, start in enumerate(range(0, EXAMPLES, batch)):
        chosen = order[start : start + batch]
        rate = 0.05 / (1 + step)
        params, state, _ = net.train_step(params, state, x[chosen], t[chosen], lr=rate)
        w = w - rate * gradient(w, x[chosen], t[chosen])
    np.testing.assert_allclose(params["w"], w, rtol=1e-12)


def test_gradients_of_batches_average_to_the_gradient() -> None:
    """003: over an epoch, single examples and mini-batches estimate the gradient without bias."""
    net: Any = gc.compile(regression()).load()
    rng = np.random.default_rng(1)
    x, t = data(rng)
    params = net.init_params(rng)
    _, full = net.value_and_grad(params, x, t)
    np.testing.assert_allclose(full["w"], gradient(params["w"], x, t), rtol=1e-12)
    for batch in (1, 64):
        parts = rng.permutation(EXAMPLES).reshape(-1, batch)
        estimates = [net.value_and_grad(params, x[part], t[part])[1]["w"] for part in parts]
        np.testing.assert_allclose(np.mean(estimates, axis=0), full["w"], rtol=1e-12)


def test_normalised_inputs_train_in_fewer_steps() -> None:
    """002: inputs of mean 0 and variance 1, against the same with scales of 1, 10 and 30.

    Both with the largest stable rate, 1 over the largest eigenvalue of the Hessian 2 XᵀX / n.
    """
    net: Any = gc.compile(regression(), optimizer="sgd").load()
    rng = np.random.default_rng(2)
    raw = rng.normal(size=(EXAMPLES, 3)) * [1.0, 10.0, 30.0] + [0.5, -5.0, 20.0]
    normalised = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(normalised.var(axis=0), 1, rtol=1e-14)
    left = {}
    for name, x in {"raw": raw, "normalised": normalised}.items():
        t = x @ (1 / x.std(axis=0))
        rate = 1 / np.linalg.eigvalsh(2 * x.T @ x / EXAMPLES).max()
        params = {"w": np.zeros(3)}
        state = net.init_optimizer(params)
        for _ in range(50):
            params, state, _ = net.train_step(params, state, x, t, lr=rate)
        left[name] = net.evaluate(params, x, t) / np.square(t).mean()
    assert left["normalised"] < 1e-12 < 1e-3 < left["raw"]


@in_every_style
def test_dropout_zeroes_and_scales_in_training_alone(style: str) -> None:
    """002: kept with probability 1 - p and divided by it; the backward pass has the same mask."""
    size, rate = 20_000, 0.3
    with gc.Graph("dropout", dtype="float64") as graph:
        x = graph.input("x", (size,))
        w = graph.parameter("w", (size,), init="ones")
        y = gc.dropout(w * x, rate)
        graph.output("y", y)
        graph.loss(gc.sum(y))
    net: Any = load(graph, style=style)
    params = {"w": np.full(size, 2.0)}
    values = np.arange(1.0, size + 1)
    np.testing.assert_array_equal(net.predict(params, values), 2 * values)
    loss, grads = net.value_and_grad(params, values, rng=np.random.default_rng(0))
    kept = grads["w"] != 0
    np.testing.assert_allclose(grads["w"][kept], values[kept] / (1 - rate), rtol=1e-14)
    np.testing.assert_allclose(loss, 2 * grads["w"].sum(), rtol=1e-12)
    assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / size)


# name: (variance, bound of a uniform distribution) for so many inputs and outputs
INITIAL = {
    "lecun_normal": lambda i, o: (1 / i, None),
    "lecun_uniform": lambda i, o: (1 / i, np.sqrt(3 / i)),
    "glorot_normal": lambda i, o: (2 / (i + o), None),
    "glorot_uniform": lambda i, o: (2 / (i + o), np.sqrt(6 / (i + o))),
    "he_normal": lambda i, o: (2 / i, None),
    "he_uniform": lambda i, o: (2 / i, np.sqrt(6 / i)),
}


@pytest.mark.parametrize("init", INITIAL)
def test_initial_weights_keep_the_variance_of_signals(init: str) -> None:
    """002: LeCun, Glorot and He, uniform and normal: mean 0, their variance, their bounds."""
    inputs, outputs = 200, 100
    with gc.Graph("initial", dtype="float64") as graph:
        W = graph.parameter("W", (inputs, outputs), init=init)
        graph.output("y", graph.input("x", (inputs,)) @ W)
    weights = gc.compile(graph).load().init_params(np.random.default_rng(0))["W"]
    variance, bound = INITIAL[init](inputs, outputs)
    count = weights.size
    assert abs(weights.mean()) < 5 * np.sqrt(variance / count)
    assert abs(weights.var() / variance - 1) < 5 * np.sqrt(2 / count)
    if bound is None:
        assert abs(weights).max() > 3 * np.sqrt(variance)
    else:
        assert 0.999 * bound < abs(weights).max() <= bound
