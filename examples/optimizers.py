"""How many examples to a step: gradient descent, one example and mini-batches compared on digits.

    python examples/optimizers.py [--size small|full]

The same network starts from the same parameters, with inputs of mean 0 and variance 1. A step takes
all examples, one, or 128 of them, in a new order each epoch; the learning rate is the power of 2
that was fastest for each. Prints the epochs and seconds until the loss on all examples falls below
0.02, and draws the curves to build/optimizers.png. Exits with status 1 if mini-batches do not need
the fewest seconds, or if single examples need more epochs than all at once.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import graphc as gc

REPEATS = {"small": 3, "full": 10}  # of which the fastest counts: the machine does other things
TARGET = 0.02
MAX_EPOCHS = 200
PLOT = Path(__file__).resolve().parent.parent / "build" / "optimizers.png"

with gc.Graph("digits") as g:
    x = g.input("x", ("batch", 64))
    t = g.input("t", ("batch",), dtype="int64")
    W1 = g.parameter("W1", (64, 32), init="he_normal")
    b1 = g.parameter("b1", (32,))
    W2 = g.parameter("W2", (32, 10), init="glorot_uniform")
    b2 = g.parameter("b2", (10,))
    logits = gc.relu(x @ W1 + b1) @ W2 + b2
    g.output("logits", logits)
    g.loss(gc.cross_entropy(logits, t))


@dataclass
class Run:
    """The loss on all examples as training went, and the seconds, before and after each epoch."""

    losses: list[float]
    seconds: list[float]


def train(net: ModuleType, images: Any, labels: Any, batch_size: int, lr: float) -> Run:
    """Take steps until the loss is below the target; what it takes to know that is not counted."""
    rng = np.random.default_rng(0)
    params = net.init_params(rng)
    state = net.init_optimizer(params)
    run = Run([float(net.evaluate(params, images, labels))], [0.0])
    while run.losses[-1] > TARGET and len(run.losses) <= MAX_EPOCHS:
        start = time.perf_counter()
        order = rng.permutation(len(images))
        for first in range(0, len(images), batch_size):
            batch = order[first : first + batch_size]
            params, state, _ = net.train_step(params, state, images[batch], labels[batch], lr=lr)
        run.seconds.append(run.seconds[-1] + time.perf_counter() - start)
        run.losses.append(float(net.evaluate(params, images, labels)))
    return run


def draw(runs: dict[str, Run]) -> None:
    """The losses over epochs and over seconds, beside each other."""
    figure = Figure(figsize=(10, 4), layout="tight")
    by_epoch, by_second = figure.subplots(1, 2, sharey=True)
    for name, run in runs.items():
        by_epoch.plot(run.losses, label=name)
        by_second.plot(run.seconds[1:], run.losses[1:], label=name)  # 0 has no logarithm
    by_epoch.set(xlabel="epochs", ylabel="loss on all examples", yscale="log")
    by_second.set(xlabel="seconds", xscale="log")
    by_second.legend()
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=120)


def main(size: str) -> None:
    net = gc.compile(g, optimizer="sgd").load()
    images, labels = load_digits(return_X_y=True)
    deviation = images.std(axis=0)
    deviation[deviation == 0] = 1  # pixels at the border that are never inked
    images = ((images - images.mean(axis=0)) / deviation).astype(np.float32)

    ways = {
        "gradient descent": (len(images), 2.0),
        "one example": (1, 2**-5),
        "mini-batches of 128": (128, 2.0),
    }
    runs = {}
    print(f"{'':20}{'epochs':>8}{'steps':>8}{'seconds':>9}{'loss':>9}")
    for name, (batch_size, lr) in ways.items():
        repeated = [train(net, images, labels, batch_size, lr) for _ in range(REPEATS[size])]
        runs[name] = run = min(repeated, key=lambda run: run.seconds[-1])
        epochs = len(run.losses) - 1
        steps = epochs * -(-len(images) // batch_size)
        print(f"{name:20}{epochs:8}{steps:8}{run.seconds[-1]:9.4f}{run.losses[-1]:9.4f}")
    draw(runs)
    print(f"curves: {PLOT}")

    descent, one, mini = runs.values()
    if any(run.losses[-1] > TARGET for run in runs.values()):
        sys.exit(f"expected a loss of at most {TARGET}")
    if mini.seconds[-1] > min(descent.seconds[-1], one.seconds[-1]):
        sys.exit("expected that mini-batches are fastest")
    if len(one.losses) > len(descent.losses):
        sys.exit("expected that single examples need fewer epochs than all at once")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Gradient descent, SGD and mini-batches.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
