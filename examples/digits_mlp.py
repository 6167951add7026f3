"""A two-layer network for handwritten digits: 8×8 pixels in, ten classes out.

    python examples/digits_mlp.py [--size small|full]     compile, train and test it
    graphc compile examples/digits_mlp.py -o digits_net.py --optimizer sgd

Run as a program, it trains the module that graphc generates on 1437 images and tests it on 360
others. Shows a progress bar with the loss and the accuracy on the training images, then prints the
accuracy on the others and where the generated module lies. Exits with status 1 if fewer than 97 %
of them are recognised.
"""

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import graphc as gc

EPOCHS = {"small": 15, "full": 40}
BATCH = 32
LEARNING_RATE = 0.1  # at the start; it falls to 0 in a straight line
REQUIRED = 0.97
SEED = 3
GENERATED = Path(__file__).resolve().parent.parent / "build" / "digits_net.py"

with gc.Graph("digits_mlp") as g:
    x = g.input("x", ("batch", 64))
    t = g.input("t", ("batch",), dtype="int64")
    W1 = g.parameter("W1", (64, 128), init="he_normal")
    b1 = g.parameter("b1", (128,), init="zeros")
    W2 = g.parameter("W2", (128, 10), init="glorot_uniform")
    b2 = g.parameter("b2", (10,), init="zeros")
    h = gc.relu(x @ W1 + b1)
    logits = h @ W2 + b2
    g.output("logits", logits)
    g.loss(gc.cross_entropy(logits, t))


def digits() -> tuple[Any, Any, Any, Any]:
    """Images and labels for training, then for testing: a fifth, with as many of each digit."""
    # Imported here: to compile the model takes nothing but graphc.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images, test_images, labels, test_labels = train_test_split(
        images.astype(np.float32), labels, test_size=0.2, stratify=labels, random_state=SEED
    )
    mean, deviation = images.mean(axis=0), images.std(axis=0)
    deviation[deviation == 0] = 1  # pixels at the border that are never inked
    return (images - mean) / deviation, labels, (test_images - mean) / deviation, test_labels


def accuracy(net: ModuleType, params: dict[str, Any], images: Any, labels: Any) -> float:
    """The fraction of the images that are recognised."""
    return float((net.predict(params, images).argmax(axis=1) == labels).mean())


def train(net: ModuleType, images: Any, labels: Any, epochs: int) -> dict[str, Any]:
    """Mini-batch gradient descent, in a new order each epoch; the trained parameters."""
    from tqdm import tqdm

    rng = np.random.default_rng(SEED)
    params: dict[str, Any] = net.init_params(rng)
    state = net.init_optimizer(params)
    starts = range(0, len(images), BATCH)
    rates = iter(np.linspace(LEARNING_RATE, 0, epochs * len(starts), endpoint=False))
    for _ in (progress := tqdm(range(epochs), unit="epoch")):
        order = rng.permutation(len(images))
        total = 0.0
        for start in starts:
            batch = order[start : start + BATCH]
            params, state, loss = net.train_step(
                params, state, images[batch], labels[batch], lr=next(rates)
            )
            total += float(loss) * len(batch)
        right = accuracy(net, params, images, labels)
        progress.set_postfix(loss=f"{total / len(images):.4f}", accuracy=f"{right:.2%}")
    return params


def main(size: str) -> None:
    GENERATED.parent.mkdir(exist_ok=True)
    module = gc.compile(g, optimizer="sgd")
    module.save(GENERATED)
    net = module.load()
    images, labels, test_images, test_labels = digits()
    params = train(net, images, labels, EPOCHS[size])
    reached = accuracy(net, params, test_images, test_labels)
    print(f"test accuracy: {reached:.2%} of {len(test_labels)} images")
    print(f"generated module: {GENERATED}")
    if reached < REQUIRED:
        sys.exit(f"expected a test accuracy of at least {REQUIRED:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a network on handwritten digits.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
