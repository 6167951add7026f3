"""The models whose generated code is kept, to be read by people and compared byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc


def mlp() -> gc.Graph:
    """Two layers and a cross-entropy."""
    with gc.Graph("mlp") as g:
        x = g.input("x", ("batch", 64))
        t = g.input("t", ("batch",), dtype="int64")
        W1 = g.parameter("W1", (64, 128), init="he_normal")
        b1 = g.parameter("b1", (128,))
        W2 = g.parameter("W2", (128, 10), init="glorot_uniform")
        b2 = g.parameter("b2", (10,))
        h = gc.relu(x @ W1 + b1)
        logits = h @ W2 + b2
        g.output("logits", logits)
        g.loss(gc.cross_entropy(logits, t))
    return g


def deep_mlp() -> gc.Graph:
    """Four hidden layers made in a loop, so that labels count the rounds; a sigmoid in each."""
    with gc.Graph("deep_mlp") as g:
        x = g.input("x", ("batch", 8))
        t = g.input("t", ("batch", 2))
        h = x
        for layer, (inputs, outputs) in enumerate([(8, 16), (16, 16), (16, 16), (16, 2)], 1):
            W = g.parameter(f"W{layer}", (inputs, outputs), init="lecun_normal")
            b = g.parameter(f"b{layer}", (outputs,))
            h = gc.sigmoid(h @ W + b)
        g.output("y", h)
        g.loss(gc.mse(h, t))
    return g


def shared_weights() -> gc.Graph:
    """An autoencoder whose decoder is the transposed encoder: one weight, two paths."""
    with gc.Graph("tied_autoencoder") as g:
        x = g.input("x", ("batch", 20))
        W = g.parameter("W", (20, 5), init="glorot_normal")
        code = np.tanh(x @ W)
        reconstruction = code @ W.T
        g.output("reconstruction", reconstruction)
        g.loss(gc.mse(reconstruction, x))
    return g


def several_outputs() -> gc.Graph:
    """Two heads and no loss: backward takes a cotangent for each."""
    with gc.Graph("two_heads") as g:
        x = g.input("x", ("n", 3))
        W = g.parameter("W", (3, 4), init="normal")
        V = g.parameter("V", (4,), init="ones")
        features = gc.exp(-((x @ W) ** 2))
        score = features @ V
        probabilities = gc.softmax(features)
        g.output("score", score)
        g.output("probabilities", probabilities)
    return g


def expression() -> gc.Graph:
    """The quiz of the lecture on backpropagation: no parameters, so gradients for the inputs."""
    with gc.Graph("quiz", dtype="float64") as g:
        x = g.input("x")
        z = g.input("z")
        y = gc.exp(x * z) + x * z / gc.log(x) + gc.sin(gc.log(x)) / (x * z)
        g.output("y", y)
    return g


def second_derivative() -> gc.Graph:
    """A gradient penalty: the loss holds a derivative, so its gradient holds a second one."""
    with gc.Graph("gradient_penalty") as g:
        x = g.input("x", ("batch", 2))
        W = g.parameter("W", (2, 16), init="he_normal")
        v = g.parameter("v", (16,), init="normal")
        f = np.tanh(x @ W) @ v
        slope = gc.grad(f.sum(), x)
        penalty = ((slope**2).sum(axis=1) - 1) ** 2
        g.output("slope", slope)
        g.loss(penalty.mean())
    return g


def dropout_mlp() -> gc.Graph:
    """Dropout on the inputs and on a hidden layer."""
    with gc.Graph("dropout_mlp") as g:
        x = g.input("x", ("batch", 8))
        t = g.input("t", ("batch",), dtype="int64")
        W1 = g.parameter("W1", (8, 16), init="he_normal")
        b1 = g.parameter("b1", (16,))
        W2 = g.parameter("W2", (16, 3), init="glorot_uniform")
        h = gc.dropout(gc.relu(gc.dropout(x, 0.2) @ W1 + b1), 0.5)
        logits = h @ W2
        g.output("logits", logits)
        g.loss(gc.cross_entropy(logits, t))
    return g


MODELS: dict[str, tuple[Callable[[], gc.Graph], dict[str, Any]]] = {
    "mlp": (mlp, {"optimizer": "sgd"}),
    "deep_mlp": (
        deep_mlp,
        {"optimizer": gc.optim.sgd(momentum=0.9, nesterov=True, weight_decay=1e-4)},
    ),
    "tied_autoencoder": (shared_weights, {}),
    "two_heads": (several_outputs, {}),
    "quiz": (expression, {}),
    "gradient_penalty": (second_derivative, {}),
    "dropout_mlp": (dropout_mlp, {"optimizer": "sgd"}),
    "mlp_inference": (mlp, {"inference": True}),
}

FITTED: dict[str, Any] = {
    "optimizer": "adam",
    "schedule": gc.optim.warmup(100, then=gc.optim.cosine(900)),
    "clip_norm": 1.0,
    "l2": 1e-4,
    "penalize": "W*",
    "fit": True,
}

# In another style, or with all of training: the kept files, beside those of the models above.
GOLDEN = MODELS | {
    "quiz_scalar": (expression, {"style": "scalar"}),
    "mlp_workspace": (mlp, {"optimizer": "sgd", "style": "workspace"}),
    "fitted": (dropout_mlp, FITTED),
    "fitted_workspace": (dropout_mlp, FITTED | {"style": "workspace"}),
    "two_heads_workspace": (several_outputs, {"style": "workspace"}),
}
