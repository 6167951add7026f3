"""A convolutional network (note 001), against loops over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from tests.styles import in_every_style, load


def network() -> gc.Graph:
    """A convolution of 3 × 3, ReLU, pooling of 2 × 2, and one neuron for each of two classes."""
    with gc.Graph("network", dtype="float64") as graph:
        x = graph.input("x", ("batch", 1, 6, 6))
        t = graph.input("t", ("batch",), dtype="int64")
        kernels = graph.parameter("kernels", (2, 1, 3, 3))
        bias = graph.parameter("bias", (2,))
        W = graph.parameter("W", (8, 2))
        h = gc.max_pool2d(gc.relu(gc.conv2d(x, kernels, bias)), 2)
        logits = h.reshape(-1, 8) @ W
        graph.output("logits", logits)
        graph.loss(gc.cross_entropy(logits, t))
    return graph


def by_hand(params: dict[str, Any], x: Any) -> Any:
    """The logits, a pixel at a time."""
    pooled = np.zeros((len(x), 2, 2, 2))
    for n, c, i, j in np.ndindex(len(x), 2, 4, 4):
        window = x[n, 0, i : i + 3, j : j + 3]
        z = np.sum(window * params["kernels"][c, 0]) + params["bias"][c]
        pooled[n, c, i // 2, j // 2] = max(pooled[n, c, i // 2, j // 2], z, 0.0)
    return pooled.reshape(len(x), 8) @ params["W"]


@in_every_style
def test_a_convolutional_network(style: str) -> None:
    """001: shared weights over an image: values by hand, gradients by centred differences."""
    rng = np.random.default_rng(0)
    shapes = {"kernels": (2, 1, 3, 3), "bias": (2,), "W": (8, 2)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x, t = rng.normal(size=(3, 1, 6, 6)), np.array([0, 1, 1])

    def loss(params: dict[str, Any]) -> float:
        logits = by_hand(params, x)
        return float(np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(3), t]))

    net: Any = load(network(), style=style)
    np.testing.assert_allclose(net.predict(params, x), by_hand(params, x), rtol=1e-12)
    value, grads = net.value_and_grad(params, x, t)
    np.testing.assert_allclose(value, loss(params), rtol=1e-12)
    for name, shape in shapes.items():
        for place in [(0,) * len(shape), tuple(size - 1 for size in shape)]:
            step = np.zeros(shape)
            step[place] = 1e-5
            above, below = ({**params, name: params[name] + s} for s in (step, -step))
            quotient = (loss(above) - loss(below)) / 2e-5
            np.testing.assert_allclose(grads[name][place], quotient, rtol=1e-6, atol=1e-9)
