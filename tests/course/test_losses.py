"""Losses and regularised objectives (notes 001, 002)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import graphc as gc

# Predictions and targets; the loss of a pair (p, y) as the note has it, in mpmath.
REAL = np.array([0.3, -1.2, 2.5, 0.9]), np.array([1.0, -0.5, 2.0, -3.0])
SIGNS = np.array([0.3, -1.2, 2.5, -0.9]), np.array([1.0, -1.0, -1.0, 1.0])
CHANCES = np.array([0.2, 0.9, 0.55, 0.01]), np.array([0.0, 1.0, 1.0, 0.0])
LOGITS = np.array([0.3, -1.2, 2.5, -40.0]), np.array([0.0, 1.0, 1.0, 0.0])

Loss = Callable[[gc.Node, gc.Node], gc.Node]
LOSSES: dict[str, tuple[Loss, Callable[[Any, Any], Any], tuple[Any, Any]]] = {
    "square": (gc.mse, lambda p, y: (y - p) ** 2, REAL),
    "hinge": (gc.hinge, lambda p, y: max(0, 1 - p * y), SIGNS),
    "logistic": (gc.logistic, lambda p, y: mpmath.log(1 + mpmath.exp(-p * y)), SIGNS),
    "cross-entropy": (
        gc.bce,
        lambda p, y: -(y * mpmath.log(p) + (1 - y) * mpmath.log(1 - p)),
        CHANCES,
    ),
    "cross-entropy of a sigmoid": (
        gc.bce_with_logits,
        lambda p, y: mpmath.log(1 + mpmath.exp(-p if y else p)),
        LOGITS,
    ),
    "negative log-likelihood, normal of variance 1": (
        lambda p, y: gc.gaussian_nll(p, y, np.ones(4), full=True),
        lambda p, y: (y - p) ** 2 / 2 + mpmath.log(2 * mpmath.pi) / 2,
        REAL,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_the_note(name: str) -> None:
    """001: square, hinge, logistic, cross-entropy, and the Gaussian's log-likelihood.

    The mean over the examples, and its gradient, against differences in 40 digits.
    """
    build, loss, (predictions, targets) = LOSSES[name]
    with gc.Graph("loss", dtype="float64") as graph:
        p = graph.input("p", (4,))
        y = graph.input("y", (4,))
        graph.loss(build(p, y))
    value, grads = gc.compile(graph, wrt="p").load().value_and_grad(predictions, targets)
    with mpmath.workdps(40):
        pairs = [(mpmath.mpf(a), mpmath.mpf(b)) for a, b in zip(predictions, targets, strict=True)]
        exact = sum(loss(a, b) for a, b in pairs) / 4
        slopes = [mpmath.diff(lambda v, b=b: loss(v, b), a) / 4 for a, b in pairs]
    np.testing.assert_allclose(value, float(exact), rtol=1e-14)
    np.testing.assert_allclose(grads["p"], np.array(slopes, float), rtol=1e-12)


def test_softmax_cross_entropy_has_the_gradient_h_minus_e() -> None:
    """001: J = -log h_y with h = softmax(z): ∇_h J is -1/h_y at y, ∇_z J = h - e_y."""
    z, label = np.array([1.0, -0.5, 2.0, 0.1]), 3
    h = np.exp(z) / np.exp(z).sum()
    with gc.Graph("entropy", dtype="float64") as graph:
        node = graph.input("z", (4,))
        chances = gc.softmax(node)
        J = -gc.log(chances[label])
        graph.output("by_chance", gc.grad(J, chances))
        graph.output("by_hand", gc.grad(J, node))
        graph.output("by_op", gc.grad(gc.cross_entropy(node, np.array(label)), node))
    found = gc.compile(graph, inference=True).load().predict(z)
    e = np.eye(4)[label]
    np.testing.assert_allclose(found.by_chance, -e / h, rtol=1e-13)
    np.testing.assert_allclose(found.by_hand, h - e, rtol=1e-13)
    np.testing.assert_allclose(found.by_op, h - e, rtol=1e-13)


def test_log_likelihoods_of_the_three_outputs() -> None:
    """001: Gaussian: half the square loss; Bernoulli and multinomial: cross-entropies."""
    rng = np.random.default_rng(0)
    mean, target = rng.normal(size=5), rng.normal(size=5)
    logits, labels = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    truth = rng.integers(0, 2, 5).astype(float)
    with gc.Graph("likelihoods", dtype="float64") as graph:
        m, t, b = (graph.input(name, (5,)) for name in ("m", "t", "b"))
        z = graph.input("z", (5, 3))
        y = graph.input("y", (5,), dtype="int64")
        graph.output("normal", gc.gaussian_nll(m, t, np.ones(5)))
        graph.output("bernoulli", gc.bce(gc.sigmoid(m), b))
        graph.output("multinomial", gc.nll(gc.log_softmax(z), y))
    found = (
        gc.compile(graph, inference=True)
        .load()
        .predict(m=mean, t=target, b=truth, z=logits, y=labels)
    )
    chance = 1 / (1 + np.exp(-mean))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.normal, np.mean((target - mean) ** 2) / 2, rtol=1e-13)
    expected = -np.log(np.where(truth == 1, chance, 1 - chance)).mean()
    np.testing.assert_allclose(found.bernoulli, expected, rtol=1e-13)
    np.testing.assert_allclose(
        found.multinomial, -np.log(chances[np.arange(5), labels]).mean(), rtol=1e-13
    )


# l1, l2, and the gradient of Ω(θ) = l1 Σ|θ| + l2 Σθ²
PENALTIES: dict[str, tuple[float, float]] = {"L1": (0.3, 0.0), "L2": (0.0, 0.2), "both": (0.3, 0.2)}


@pytest.mark.parametrize("name", PENALTIES)
def test_regularised_objective(name: str) -> None:
    """001, 002: J = Σ l / T + λ Ω(θ) of the weights and not of the biases, and its gradient."""
    l1, l2 = PENALTIES[name]
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(6, 3)), rng.normal(size=6)
    with gc.Graph("regularised", dtype="float64") as graph:
        node = graph.input("x", (6, 3))
        w = graph.parameter("w", (3,))
        b = graph.parameter("b")
        graph.output("y", node @ w + b)
        graph.loss(gc.mse(node @ w + b, t))
    params = {"w": np.array([0.5, -2.0, 1.0]), "b": np.float64(0.7)}
    net: Any = gc.compile(graph, l1=l1, l2=l2, penalize="w").load()
    value, grads = net.value_and_grad(params, x)
    error = x @ params["w"] + params["b"] - t
    omega = l1 * np.abs(params["w"]).sum() + l2 * np.square(params["w"]).sum()
    np.testing.assert_allclose(value, np.mean(error**2) + omega, rtol=1e-13)
    slope = l1 * np.sign(params["w"]) + l2 * 2 * params["w"]
    np.testing.assert_allclose(grads["w"], 2 * x.T @ error / 6 + slope, rtol=1e-13)
    np.testing.assert_allclose(grads["b"], 2 * error.mean(), rtol=1e-13)
