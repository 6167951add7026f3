"""From a formula to a file: declare a network, compile it, read its backward pass, train it.

    python examples/quickstart.py [--size small|full]

Fits a layer of tanh units to noisy samples of a sine. Prints the backward pass that was generated,
compares a gradient with a difference quotient, and trains. Exits with status 1 if the gradient is
wrong, or if the error that is left is more than 1.5 times that of the noise.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

import graphc as gc

STEPS = {"small": 5000, "full": 50_000}

with gc.Graph("sine", dtype="float64") as g:
    x = g.input("x", ("batch", 1))
    t = g.input("t", ("batch", 1))
    W1 = g.parameter("W1", (1, 16), init="glorot_uniform")
    b1 = g.parameter("b1", (16,))
    W2 = g.parameter("W2", (16, 1), init="glorot_uniform")
    b2 = g.parameter("b2", (1,))
    h = gc.tanh(x @ W1 + b1)
    y = h @ W2 + b2
    g.output("y", y)
    g.loss(gc.mse(y, t))


def main(size: str) -> None:
    module = gc.compile(g, optimizer="sgd")  # module.save("sine.py") writes the file
    functions = module.source.split("\n\n\n")
    print(next(text for text in functions if text.startswith("def backward")), end="\n\n")
    net = module.load()

    rng = np.random.default_rng(0)
    inputs = rng.uniform(-3, 3, (200, 1))
    noise = 0.1 * rng.normal(size=inputs.shape)
    targets = np.sin(inputs) + noise
    params = net.init_params(rng)

    _, grads = net.value_and_grad(params, inputs, targets)
    above, below = ({**params, "b2": params["b2"] + step} for step in (1e-5, -1e-5))
    rise = net.evaluate(above, inputs, targets) - net.evaluate(below, inputs, targets)
    derived, measured = grads["b2"][0], rise / 2e-5
    print(f"∂loss/∂b2: {derived:.9f} by the chain rule, {measured:.9f} by differences\n")
    if not np.isclose(derived, measured, rtol=1e-6):
        sys.exit("the gradient is wrong")

    state = net.init_optimizer(params)
    for step in range(STEPS[size]):
        if step % (STEPS[size] // 5) == 0:
            print(f"step {step:5}: loss {net.evaluate(params, inputs, targets):.4f}")
        params, state, _ = net.train_step(params, state, inputs, targets, lr=0.05)
    left, unavoidable = net.evaluate(params, inputs, targets), np.square(noise).mean()
    print(f"step {STEPS[size]:5}: loss {left:.4f}, of which {unavoidable:.4f} is the noise")
    if left > 1.5 * unavoidable:
        sys.exit(f"expected a loss of at most {1.5 * unavoidable:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Declare, compile, read, check and train.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
