"""A small regression that every optimiser is tried on, and its training in every style."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

import graphc as gc
from tests.styles import load

Array: TypeAlias = np.ndarray[Any, Any]
STEPS = 50
RNG = np.random.default_rng(5)
X = RNG.normal(size=(STEPS, 6, 3))
T = RNG.normal(size=(STEPS, 6, 2))


def regression(dtype: str = "float64") -> gc.Graph:
    """A layer of tanh with the mean squared error, and a parameter that is not trained."""
    with gc.Graph("m", dtype=dtype) as g:
        x = g.input("x", ("n", 3))
        t = g.input("t", ("n", 2))
        W = g.parameter("W", (3, 2), init="normal")
        b = g.parameter("b", (2,))
        g.parameter("unused", (2,), init="ones", trainable=False)
        g.loss(gc.mse(gc.tanh(x @ W + b), t))
    return g


def gradients(p: dict[str, Array], step: int) -> tuple[float, dict[str, Array]]:
    """Loss and gradients of a step, by hand."""
    h = np.tanh(X[step] @ p["W"] + p["b"])
    error = h - T[step]
    pre_bar = 2 * error / error.size * (1 - h * h)
    return (error**2).mean(), {"W": X[step].T @ pre_bar, "b": pre_bar.sum(axis=0)}


def trained(
    style: str, dtype: str = "float64", numbers: dict[str, float] | None = None, **options: Any
) -> tuple[list[dict[str, Array]], list[float], dict[str, Any]]:
    """The parameters before and after each step, the losses, and the last optimiser's state."""
    net = load(regression(dtype), style=style, **options)
    params = net.init_params(np.random.default_rng(1))
    state = net.init_optimizer(params)
    history, losses = [params], []
    for step in range(STEPS):
        inputs = (X[step].astype(dtype), T[step].astype(dtype))
        before = {name: value.copy() for name, value in params.items()}
        new, state, loss = net.train_step(params, state, *inputs, **(numbers or {}))
        for name, value in before.items():  # the step is pure
            np.testing.assert_array_equal(params[name], value)
        params = new
        history.append(params)
        losses.append(float(loss))
        assert state["step"] == step + 1
    np.testing.assert_array_equal(params["unused"], np.ones(2))
    return history, losses, state
