"""The training loop that is generated (notes 001, 002, 003): epochs, shuffling, falling rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.course.test_training import EXAMPLES, data, gradient, regression


@pytest.mark.parametrize("batch", [1, 128, EXAMPLES])
def test_fit_shuffles_and_steps_through_each_epoch(batch: int) -> None:
    """001, 002, 003: each example once an epoch, in another order each time."""
    net: Any = gc.compile(regression(), optimizer=gc.optim.sgd(lr=0.02), fit=True).load()
    x, t = data(np.random.default_rng(0))
    params = {"w": np.zeros(3)}
    trained, *_ = net.fit(params, x, t, epochs=2, batch_size=batch, rng=np.random.default_rng(5))
    w, rng = np.zeros(3), np.random.default_rng(5)
    for _ in range(2):
        order = rng.permutation(EXAMPLES)
        for start in range(0, EXAMPLES, batch):
            chosen = order[start : start + batch]
            w = w - 0.02 * gradient(w, x[chosen], t[chosen])
    np.testing.assert_allclose(trained["w"], w, rtol=1e-11)


SCHEDULES = {
    "step": (lambda: gc.optim.step(2, gamma=0.5), lambda k: 0.5 ** (k // 2)),
    "exponential": (lambda: gc.optim.exponential(0.9), lambda k: 0.9**k),
    "cosine": (lambda: gc.optim.cosine(4), lambda k: (1 + np.cos(np.pi * min(k, 4) / 4)) / 2),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rate_decreases_by_a_schedule(name: str) -> None:
    """002: the rate of step k, seen in what the step changes."""
    schedule, share = SCHEDULES[name]
    net: Any = gc.compile(regression(), optimizer=gc.optim.sgd(lr=0.1), schedule=schedule()).load()
    x, t = data(np.random.default_rng(0))
    params = {"w": np.zeros(3)}
    state = net.init_optimizer(params)
    rates = []
    for _ in range(6):
        before = params["w"]
        params, state, _ = net.train_step(params, state, x, t)
        rates.append(np.mean((before - params["w"]) / gradient(before, x, t)))
    np.testing.assert_allclose(rates, [0.1 * share(k) for k in range(6)], rtol=1e-9, atol=1e-15)
    assert rates[-1] < rates[0]


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (5, 8)])
def test_orthogonal_initial_weights(shape: tuple[int, int]) -> None:
    """002: rows or columns, whichever are fewer, are orthonormal."""
    with gc.Graph("initial", dtype="float64") as graph:
        W = graph.parameter("W", shape, init="orthogonal")
        graph.output("y", graph.input("x", (shape[0],)) @ W)
    W = gc.compile(graph).load().init_params(np.random.default_rng(0))["W"]
    short = W if shape[0] <= shape[1] else W.T
    np.testing.assert_allclose(short @ short.T, np.eye(min(shape)), atol=1e-14)
