"""A two-layer network for handwritten digits: 8×8 pixels in, ten classes out.

    python examples/digits_mlp.py [--size small|full]     compile, train and test it
    graphc compile examples/digits_mlp.py -o digits_net.py --optimizer sgd

Run as a program, it lets the module that graphc generates train on 1437 images and tests it on 360
others. Prints the loss as training goes, then the accuracy on the other images and where the
generated module lies. Exits with status 1 if fewer than 97 % of them are recognised.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gc

EPOCHS = {"small": 15, "full": 30}
BATCH = 32
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


def main(size: str) -> None:
    images, labels, test_images, test_labels = digits()
    epochs = EPOCHS[size]
    module = gc.compile(
        g,
        optimizer=gc.optim.sgd(lr=0.1, momentum=0.9, weight_decay=0.003),
        schedule=gc.optim.cosine(epochs * -(-len(images) // BATCH)),
        fit=True,
    )
    GENERATED.parent.mkdir(exist_ok=True)
    module.save(GENERATED)
    net = module.load()

    def report(epoch: int, loss: float, *_: Any) -> None:
        if (epoch + 1) % 5 == 0:
            print(f"epoch {epoch + 1:3}: loss {loss:.4f}")

    rng = np.random.default_rng(SEED)
    params, _, _ = net.fit(
        net.init_params(rng), images, labels,
        epochs=epochs, batch_size=BATCH, rng=rng, callback=report,
    )  # fmt: skip
    reached = (net.predict(params, test_images).argmax(axis=1) == test_labels).mean()
    print(f"test accuracy: {reached:.2%} of {len(test_labels)} images")
    print(f"generated module: {GENERATED}")
    if reached < REQUIRED:
        sys.exit(f"expected a test accuracy of at least {REQUIRED:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a network on handwritten digits.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
