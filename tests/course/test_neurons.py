"""Neurons (notes 001, 002), with what they can and cannot compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

import graphc as gc
from tests.course.symbols import SIGMA, SLOPE, on_symbols

# --- one neuron -----------------------------------------------------------------------------------


def test_sigmoid_unit_with_squared_loss() -> None:
    """001: the three partials of (σ(w1 x1 + w2 x2 + b) - y)², with σ' and written out by σ."""
    names = "w1 w2 b x1 x2 y"

    def loss(w1: gc.Node, w2: gc.Node, b: gc.Node, x1: gc.Node, x2: gc.Node, y: gc.Node) -> gc.Node:
        return (gc.sigmoid(w1 * x1 + w2 * x2 + b) - y) ** 2

    found = on_symbols(loss, names)
    w1, w2, b, x1, x2, y = sympy.symbols(names)
    z = w1 * x1 + w2 * x2 + b
    inner = {"w1": x1, "w2": x2, "b": 1}
    for wrt, factor in inner.items():
        note = 2 * (SIGMA(z) - y) * SLOPE(z) * factor
        assert sympy.expand(found[wrt] - note) == 0

    through = on_symbols(loss, names, stabilize=False)
    for wrt, factor in inner.items():
        note = 2 * (SIGMA(z) - y) * (1 - SIGMA(z)) * SIGMA(z) * factor
        assert sympy.expand(through[wrt] - note) == 0


def test_a_layer_of_neurons() -> None:
    """001: a = f(wᵀx + b): each neuron of a layer is the sum over its own weights."""
    rng = np.random.default_rng(0)
    W, b, x = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    with gc.Graph("layer", dtype="float64") as graph:
        nodes = [graph.input(n, a.shape) for n, a in {"W": W, "b": b, "x": x}.items()]
        graph.output("a", gc.tanh(nodes[0] @ nodes[2] + nodes[1]))
    found = gc.compile(graph, inference=True).load().predict(W, b, x)
    one_by_one = [np.tanh(sum(W[i, j] * x[j] for j in range(3)) + b[i]) for i in range(4)]
    np.testing.assert_allclose(found, one_by_one, rtol=1e-14)


# --- XOR ------------------------------------------------------------------------------------------

PAIRS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
XOR = np.array([0, 1, 1, 0], np.float64)


def perceptron(hidden: int | None) -> gc.Graph:
    """A sigmoid unit, on two inputs or on a layer of sigmoid units."""
    with gc.Graph("xor", dtype="float64") as graph:
        h = graph.input("x", ("batch", 2))
        t = graph.input("t", ("batch",))
        if hidden is not None:
            W = graph.parameter("W", (2, hidden), init="glorot_uniform")
            c = graph.parameter("c", (hidden,))
            h = gc.sigmoid(h @ W + c)
        w = graph.parameter("w", (h.shape[1],), init="glorot_uniform")
        b = graph.parameter("b")
        y = gc.sigmoid(h @ w + b)
        graph.output("y", y)
        graph.loss(gc.mse(y, t))
    return graph


def trained(net: Any, seed: int, steps: int = 1000) -> dict[str, Any]:
    params: dict[str, Any] = net.init_params(np.random.default_rng(seed))
    state = net.init_optimizer(params)
    for _ in range(steps):
        params, state, _ = net.train_step(params, state, PAIRS, XOR, lr=8.0)
    return params


def test_one_neuron_cannot_do_xor() -> None:
    """001: not by training, and not with any of many weights: at most three of four are right."""
    net = gc.compile(perceptron(None), optimizer="sgd").load()
    params = trained(net, seed=0)
    # The best that there is: 1/2 for all, with no gradient left.
    np.testing.assert_allclose(net.predict(params, PAIRS), 0.5, atol=1e-6)
    _, grads = net.value_and_grad(params, PAIRS, XOR)
    np.testing.assert_allclose(grads["w"], 0, atol=1e-6)

    rng = np.random.default_rng(0)
    right = [
        ((net.predict({"w": w, "b": b}, PAIRS) > 0.5) == XOR).sum()
        for w, b in zip(rng.normal(size=(300, 2)), rng.normal(size=300), strict=True)
    ]
    assert max(right) == 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_layers_learn_xor(seed: int) -> None:
    """001: by gradient descent."""
    net = gc.compile(perceptron(2), optimizer="sgd").load()
    params = trained(net, seed)
    np.testing.assert_allclose(net.predict(params, PAIRS), XOR, atol=0.1)


def test_two_layers_do_xor_with_weights_set_by_hand() -> None:
    """001: A XOR B = A B' + A' B: a hidden unit for each product, the output for their sum."""
    net = gc.compile(perceptron(2)).load()
    params = {
        "W": np.array([[20.0, -20.0], [-20.0, 20.0]]),
        "c": np.array([-10.0, -10.0]),
        "w": np.array([20.0, 20.0]),
        "b": np.float64(-10.0),
    }
    np.testing.assert_allclose(net.predict(params, PAIRS), XOR, atol=1e-4)


# --- handwritten digits ---------------------------------------------------------------------------


def glyphs(rng: np.random.Generator, each: int) -> tuple[Any, Any]:
    """Digits of seven strokes on 16 × 16 cells: ink is 1, no ink 0; a tenth of the cells wrong."""
    strokes = [
        "abcdef",
        "bc",
        "abdeg",
        "abcdg",
        "bcfg",
        "acdfg",
        "acdefg",
        "abc",
        "abcdefg",
        "abcdfg",
    ]
    area = {
        "a": np.s_[1:3, 3:13], "b": np.s_[2:8, 11:13], "c": np.s_[8:14, 11:13],
        "d": np.s_[13:15, 3:13], "e": np.s_[8:14, 3:5], "f": np.s_[2:8, 3:5],
        "g": np.s_[7:9, 3:13],
    }  # fmt: skip
    images = np.zeros((10, 16, 16), bool)
    for digit, drawn in enumerate(strokes):
        for stroke in drawn:
            images[digit][area[stroke]] = True
    labels = np.tile(np.arange(10), each)
    wrong = rng.uniform(size=(len(labels), 16, 16)) < 0.1
    return (images[labels] ^ wrong).reshape(-1, 256).astype(np.float32), labels


def test_three_layers_recognise_digits_of_16_by_16_cells() -> None:
    """001: 256 inputs, 10 classes; trained by mini-batches, tested on others."""
    with gc.Graph("digits") as graph:
        h = graph.input("x", ("batch", 256))
        t = graph.input("t", ("batch",), dtype="int64")
        for layer, (inputs, outputs) in enumerate([(256, 32), (32, 16), (16, 10)], 1):
            W = graph.parameter(f"W{layer}", (inputs, outputs), init="he_normal")
            b = graph.parameter(f"b{layer}", (outputs,))
            z = h @ W + b
            h = gc.relu(z)
        graph.output("logits", z)
        graph.loss(gc.cross_entropy(z, t))
    net = gc.compile(graph, optimizer="sgd").load()
    rng = np.random.default_rng(0)
    images, labels = glyphs(rng, each=30)
    params = net.init_params(rng)
    state = net.init_optimizer(params)
    for _ in range(10):
        order = rng.permutation(len(images))
        for batch in order.reshape(-1, 30):
            params, state, _ = net.train_step(params, state, images[batch], labels[batch], lr=0.1)
    others, expected = glyphs(rng, each=10)
    assert (net.predict(params, others).argmax(axis=1) == expected).mean() >= 0.95
