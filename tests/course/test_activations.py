"""Activations (note 001), also those with numbers of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc

Z = np.array([-3.0, -1.0, -0.25, 0.0, 0.5, 1.0, 4.0])

# name: (activation, value, slope); at a kink the slope is the note's: that of the right side.
Formula = Callable[[Any], Any]
ACTIVATIONS: dict[str, tuple[Callable[[gc.Node], gc.Node], Formula, Formula]] = {
    "linear": (lambda z: z * 1, lambda z: z, np.ones_like),
    "sigmoid": (
        gc.sigmoid,
        lambda z: 1 / (1 + np.exp(-z)),
        lambda z: 1 / (1 + np.exp(-z)) * (1 - 1 / (1 + np.exp(-z))),
    ),
    "tanh": (
        gc.tanh,
        lambda z: 2 / (1 + np.exp(-2 * z)) - 1,  # 2 σ(2z) - 1
        lambda z: 1 - ((np.exp(2 * z) - 1) / (np.exp(2 * z) + 1)) ** 2,  # 1 - f²
    ),
    "relu": (gc.relu, lambda z: np.maximum(z, 0), lambda z: np.where(z >= 0, 1.0, 0.0)),
    "leaky relu 0.1": (
        lambda z: gc.leaky_relu(z, 0.1),
        lambda z: np.maximum(0.1 * z, z),
        lambda z: np.where(z >= 0, 1.0, 0.1),
    ),
    "leaky relu 0.01": (
        lambda z: gc.leaky_relu(z, 0.01),
        lambda z: np.maximum(0.01 * z, z),
        lambda z: np.where(z >= 0, 1.0, 0.01),
    ),
    "shifted relu": (
        gc.shifted_relu,
        lambda z: np.maximum(-1, z),
        lambda z: np.where(z >= -1, 1.0, 0.0),
    ),
    "elu": (
        lambda z: gc.elu(z, 1.0),
        lambda z: np.where(z >= 0, z, np.exp(z) - 1),
        lambda z: np.where(z >= 0, 1.0, np.exp(z)),
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_slopes(name: str) -> None:
    """001: linear, sigmoid, tanh, ReLU, leaky (0.1, 0.01) and shifted ReLU, ELU: their slopes."""
    build, value, slope = ACTIVATIONS[name]
    with gc.Graph("activation", dtype="float64") as graph:
        z = graph.input("z", (len(Z),))
        a = build(z)
        graph.output("a", a)
        graph.output("slope", gc.vjp(a, z, np.ones(len(Z))))
    found = gc.compile(graph, inference=True, kinks="textbook").load().predict(Z)
    np.testing.assert_allclose(found.a, value(Z), rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(found.slope, slope(Z), rtol=1e-13)


def test_sigmoid_and_tanh_are_each_others() -> None:
    """001: tanh(z) = 2 σ(2z) - 1, both by graphc."""
    with gc.Graph("identity", dtype="float64") as graph:
        z = graph.input("z", (len(Z),))
        graph.output("tanh", gc.tanh(z))
        graph.output("sigmoid", 2 * gc.sigmoid(2 * z) - 1)
    found = gc.compile(graph, inference=True).load().predict(Z)
    np.testing.assert_allclose(found.tanh, found.sigmoid, rtol=1e-14, atol=1e-16)


def test_softmax_is_a_distribution_with_its_jacobian() -> None:
    """001: positive, sums to 1, exp z_i / Σ exp z_c; ∂h/∂z = diag(h) - h hᵀ."""
    z = np.array([1.0, -2.0, 0.5, 3.0])
    with gc.Graph("softmax", dtype="float64") as graph:
        node = graph.input("z", (4,))
        h = gc.softmax(node)
        graph.output("h", h)
        graph.output("jacobian", gc.jacobian(h, node))
    found = gc.compile(graph, inference=True).load().predict(z)
    expected = np.exp(z) / np.exp(z).sum()
    np.testing.assert_allclose(found.h, expected, rtol=1e-14)
    assert (found.h > 0).all() and abs(found.h.sum() - 1) < 1e-15
    jacobian = np.diag(expected) - np.outer(expected, expected)
    np.testing.assert_allclose(found.jacobian, jacobian, rtol=1e-13, atol=1e-16)


def test_slope_of_a_parametric_relu_is_learned() -> None:
    """001: max(μ z, z), with ∂/∂μ = z below 0: gradient descent finds the μ of the data."""
    with gc.Graph("parametric", dtype="float64") as graph:
        z = graph.input("z", (len(Z),))
        t = graph.input("t", (len(Z),))
        mu = graph.parameter("mu", init=0.25)
        a = gc.prelu(z, mu)
        graph.output("a", a)
        graph.loss(gc.mse(a, t))
    net: Any = gc.compile(graph, optimizer="sgd").load()
    target = np.maximum(0.1 * Z, Z)
    params = net.init_params(np.random.default_rng(0))
    _, grads = net.value_and_grad(params, Z, target)
    below = Z[Z < 0]
    np.testing.assert_allclose(grads["mu"], 2 * np.sum(0.15 * below**2) / len(Z), rtol=1e-13)
    state = net.init_optimizer(params)
    for _ in range(40):
        params, state, _ = net.train_step(params, state, Z, target, lr=0.2)
    np.testing.assert_allclose(params["mu"], 0.1, rtol=1e-9)
    np.testing.assert_allclose(net.predict(params, Z), target, rtol=1e-8)


def test_maxout_of_two_affine_maps() -> None:
    """001: max(w1ᵀx + b1, w2ᵀx + b2): the gradient goes to the map that won."""
    rng = np.random.default_rng(0)
    W, b, x = rng.normal(size=(3, 2)), rng.normal(size=2), rng.normal(size=(6, 3))
    with gc.Graph("maxout", dtype="float64") as graph:
        node = graph.input("x", (6, 3))
        weights = graph.parameter("W", (3, 2))
        biases = graph.parameter("b", (2,))
        a = gc.maxout(node @ weights + biases, 2)
        graph.output("a", a)
        graph.loss(gc.sum(a))
    net: Any = gc.compile(graph).load()
    params = {"W": W, "b": b}
    maps = x @ W + b
    won = maps == maps.max(axis=1, keepdims=True)
    assert won.any(axis=0).all()
    np.testing.assert_allclose(net.predict(params, x), maps.max(axis=1, keepdims=True), rtol=1e-14)
    _, grads = net.value_and_grad(params, x)
    np.testing.assert_allclose(grads["b"], won.sum(axis=0), rtol=1e-14)
    np.testing.assert_allclose(grads["W"], x.T @ won, rtol=1e-13)


def test_relu_and_leaky_relu_are_maxouts() -> None:
    """001: of the maps (0, z) and (0.01 z, z)."""
    for low, activation in {0.0: gc.relu, 0.01: gc.leaky_relu}.items():
        with gc.Graph("maxout", dtype="float64") as graph:
            z = graph.input("z", (len(Z),))
            graph.output("maxout", gc.maxout(gc.stack([low * z, z], axis=1), 2).reshape(len(Z)))
            graph.output("own", activation(z))
        found = gc.compile(graph, inference=True).load().predict(Z)
        np.testing.assert_array_equal(found.maxout, found.own)
