"""A convolutional network for handwritten digits, to 98 % or better.

    python examples/digits_cnn.py [--size small|full]

Two convolutions with pooling between them, and two dense layers with dropout, on scikit-learn's
images of 8×8 pixels: 1437 to train on and 360 to test on. Prints the loss, and the accuracy on the
test images, as training goes. Exits with status 1 if fewer than 98 % of them are recognised.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphc as gc

EPOCHS = {"small": 20, "full": 40}
BATCH = 64
REQUIRED = 0.98
SEED = 1

with gc.Graph("digits_cnn") as g:
    x = g.input("x", ("batch", 1, 8, 8))
    t = g.input("t", ("batch",), dtype="int64")
    h = gc.relu(gc.nn.conv2d(x, 16, 3, padding="same", init="he_normal"))
    h = gc.max_pool2d(h, 2)
    h = gc.relu(gc.nn.conv2d(h, 32, 3, padding="same", init="he_normal"))
    h = gc.dropout(h.reshape(-1, 32 * 4 * 4), 0.25)
    h = gc.dropout(gc.relu(gc.nn.dense(h, 64, init="he_normal")), 0.25)
    logits = gc.nn.dense(h, 10)
    g.output("logits", logits)
    g.loss(gc.cross_entropy(logits, t))


def main(size: str) -> None:
    images, labels = load_digits(return_X_y=True)
    images = ((images - images.mean()) / images.std()).astype(np.float32).reshape(-1, 1, 8, 8)
    images, test_images, labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=SEED
    )
    epochs = EPOCHS[size]
    steps = epochs * -(-len(images) // BATCH)
    optimizer = gc.optim.adam(lr=0.004)
    module = gc.compile(g, optimizer=optimizer, schedule=gc.optim.cosine(steps), fit=True)
    net = module.load()

    def accuracy(params: dict[str, Any]) -> float:
        return float((net.predict(params, test_images).argmax(axis=1) == test_labels).mean())

    def report(epoch: int, loss: float, params: dict[str, Any], _: Any) -> None:
        if (epoch + 1) % (epochs // 4) == 0:
            print(f"epoch {epoch + 1:3}: loss {loss:.4f}, test accuracy {accuracy(params):.2%}")

    rng = np.random.default_rng(SEED)
    params, _, _ = net.fit(
        net.init_params(rng), images, labels,
        epochs=epochs, batch_size=BATCH, rng=rng, callback=report,
    )  # fmt: skip
    if accuracy(params) < REQUIRED:
        sys.exit(f"expected a test accuracy of at least {REQUIRED:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a convolutional network on digits.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
