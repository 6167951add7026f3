"""Ops of your own: one from a formula, one from NumPy code with its derivative.

    python examples/custom_op.py [--size small|full]

Both are losses that outliers hardly count in: a line is fitted to points of which a fifth are far
off, by least squares and by each of the two. Prints the lines that were found, the statement that
each loss became, and what graphc says to a derivative with a mistake in it. Exits with status 1 if
a robust line is not closer than that of least squares, or if the mistake goes unnoticed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc

POINTS = {"small": 200, "full": 5000}
STEPS = 2000
TRUE = {"slope": 2.0, "offset": -1.0}

# A formula is enough: its derivative follows from it. (Dennis and Welsch 1978.)
welsch = gc.elementwise_op("welsch", "1 - exp(-x**2 / 2)")


# NumPy code is pasted into the generated file as it stands; its derivative is written in nodes.
def tukey(x: Any) -> Any:
    """The biweight of Beaton and Tukey (1974)."""
    return np.where(np.abs(x) < 3, 1 - (1 - x * x / 9) ** 3, 1.0)


def tukey_vjp(bar: gc.Node, out: gc.Node, x: gc.Node) -> Any:
    return bar * gc.where(gc.abs(x) < 3, 2 / 3 * x * (1 - x * x / 9) ** 2, 0.0)


biweight = gc.custom_op("tukey", tukey, vjp=tukey_vjp, domain=[(-4, 4)])


def wrong_vjp(bar: gc.Node, out: gc.Node, x: gc.Node) -> Any:
    return bar * gc.where(gc.abs(x) < 3, x * (1 - x * x / 9) ** 2, 0.0)  # without the factor of 2/3


def line(loss: Callable[[gc.Node], gc.Node]) -> gc.Graph:
    """The mean loss of what is left of the points beside a line."""
    with gc.Graph("line", dtype="float64") as g:
        x = g.input("x", ("points",))
        y = g.input("y", ("points",))
        slope = g.parameter("slope")
        offset = g.parameter("offset")
        residual = y - (slope * x + offset)
        g.output("residual", residual)
        g.loss(gc.mean(loss(residual)))
    return g


def refusal() -> str:
    """What graphc says to the wrong derivative; nothing if it says nothing."""
    try:
        gc.custom_op("tukey_with_a_mistake", tukey, vjp=wrong_vjp, domain=[(-4, 4)])
    except gc.GraphcError as error:
        return str(error)
    return ""


def main(size: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, POINTS[size])
    y = TRUE["slope"] * x + TRUE["offset"] + 0.2 * rng.normal(size=x.shape)
    outliers = rng.permutation(len(x))[: len(x) // 5]
    y[outliers] += 8 * x[outliers] + 4

    distances = {}
    print(f"{'':15}{'slope':>8}{'offset':>8}")
    print(f"{'the true line':15}{TRUE['slope']:8.3f}{TRUE['offset']:8.3f}")
    for name, loss in {"least squares": gc.square, "welsch": welsch, "tukey": biweight}.items():
        module = gc.compile(line(loss), optimizer="sgd")
        net = module.load()
        params = net.init_params(rng)
        state = net.init_optimizer(params)
        for _ in range(STEPS):
            params, state, _ = net.train_step(params, state, x, y, lr=0.1)
        statements = [row.strip() for row in module.source.splitlines()]
        emitted = next(row for row in statements if row.startswith("loss = "))
        print(f"{name:15}{params['slope']:8.3f}{params['offset']:8.3f}    {emitted}")
        distances[name] = max(abs(params[key] - TRUE[key]) for key in TRUE)

    message = refusal()
    print(f"\nof a derivative without its factor of 2/3:\n    {message}")
    if not message:
        sys.exit("expected that the wrong derivative is refused")
    if max(distances["welsch"], distances["tukey"]) > distances["least squares"] / 5:
        sys.exit("expected lines at least 5 times as close as that of least squares")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Ops of your own.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
