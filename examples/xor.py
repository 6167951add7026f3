"""XOR: no single neuron computes it; two layers do, with weights set by hand and with learned ones.

    python examples/xor.py [--size small|full]

One output is 1 where exactly one of two inputs is. Prints what each network says for the four pairs
of inputs. Exits with status 1 if the neuron gets all four right, or one of the others does not.
"""

from __future__ import annotations

import argparse
import sys
from types import ModuleType
from typing import Any

import numpy as np

import graphc as gc

STEPS = {"small": 2000, "full": 20000}
INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
XOR = np.array([0, 1, 1, 0], np.float64)

# A XOR B = (A and not B) or (B and not A): a hidden neuron for each half, the output for "or".
# A sigmoid of ±10 is 1 or 0 but for 5e-5.
BY_HAND = {
    "W1": 20 * np.array([[1.0, -1.0], [-1.0, 1.0]]),
    "b1": np.array([-10.0, -10.0]),
    "w2": np.array([20.0, 20.0]),
    "b2": -10.0,
}


def neuron() -> gc.Graph:
    """A sigmoid of a weighted sum."""
    with gc.Graph("neuron", dtype="float64") as g:
        x = g.input("x", ("batch", 2))
        t = g.input("t", ("batch",))
        w = g.parameter("w", (2,), init="glorot_uniform")
        b = g.parameter("b")
        y = gc.sigmoid(x @ w + b)
        g.output("y", y)
        g.loss(gc.mse(y, t))
    return g


def two_layers() -> gc.Graph:
    """Two hidden neurons, and one that reads them."""
    with gc.Graph("two_layers", dtype="float64") as g:
        x = g.input("x", ("batch", 2))
        t = g.input("t", ("batch",))
        W1 = g.parameter("W1", (2, 2), init="glorot_uniform")
        b1 = g.parameter("b1", (2,))
        w2 = g.parameter("w2", (2,), init="glorot_uniform")
        b2 = g.parameter("b2")
        h = gc.sigmoid(x @ W1 + b1)
        y = gc.sigmoid(h @ w2 + b2)
        g.output("y", y)
        g.loss(gc.mse(y, t))
    return g


def train(net: ModuleType, steps: int, seed: int) -> dict[str, Any]:
    """Gradient descent on all four pairs."""
    params: dict[str, Any] = net.init_params(np.random.default_rng(seed))
    state = net.init_optimizer(params)
    for _ in range(steps):
        params, state, _ = net.train_step(params, state, INPUTS, XOR, lr=5.0)
    return params


def right(net: ModuleType, params: dict[str, Any], title: str) -> int:
    """Print a network's answers; how many of them are right, when rounded."""
    answers = net.predict(params, INPUTS)
    count = int(((answers > 0.5) == XOR).sum())
    print(f"{title:34}" + "".join(f"{answer:8.4f}" for answer in answers) + f"   {count} right")
    return count


def main(size: str) -> None:
    single = gc.compile(neuron(), optimizer="sgd").load()
    double = gc.compile(two_layers(), optimizer="sgd").load()
    print(f"{'A, B':34}" + "".join(f"    {a:.0f}, {b:.0f}" for a, b in INPUTS))
    print(f"{'A XOR B':34}" + "".join(f"{target:8.0f}" for target in XOR))
    attempts = [
        right(single, train(single, STEPS[size], seed=0), "one neuron, trained") < 4,
        right(double, BY_HAND, "two layers, weights set by hand") == 4,
        right(double, train(double, STEPS[size], seed=0), "two layers, trained") == 4,
    ]
    if not all(attempts):
        sys.exit("expected that two layers compute XOR and one neuron does not")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="XOR by one neuron and by two layers.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
