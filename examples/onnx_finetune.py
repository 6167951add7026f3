"""A network that PyTorch trained, fine-tuned by NumPy alone.

    python examples/onnx_finetune.py [--size small|full] [--retrain]

`digits_cnn.onnx` beside this file is a convolutional network that recognises scikit-learn's digits,
trained and exported by PyTorch. Here the images come from a scanner that was mounted sideways, so
that most of them are not recognised. The model is compiled into `net.py` with its weights in
`net.npz`; a second program, which imports NumPy and that file and nothing else, trains it further
on a few labelled images of the new kind. Prints the accuracy on test images before and after. Exits
with status 1 unless it was below 50 % and is at least 90 % then.

`--retrain` makes the .onnx file anew before; that needs PyTorch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphc as gc

MODEL = Path(__file__).with_name("digits_cnn.onnx")
LABELLED = {"small": 400, "full": 800}
SEED = 1

# What runs where only NumPy is: it finds the weights beside the module.
FINE_TUNING = """
import sys
import numpy as np
import net

data = np.load("scans.npz")
params = net.load_params()


def accuracy():
    recognised = net.predict(params, data["test_images"]).argmax(axis=1) == data["test_labels"]
    return recognised.mean()


before = accuracy()
rng = np.random.default_rng(1)
params, _, losses = net.fit(
    params, data["images"], data["labels"], epochs=30, batch_size=32, rng=rng
)
net.save_params("tuned.npz", params)
print(f"accuracy {before:.2%} before and {accuracy():.2%} after; loss {losses[0]:.3f}"
      f" to {losses[-1]:.3f}")
foreign = {"graphc", "onnx", "torch", "sklearn", "scipy"} & {*sys.modules}
sys.exit(f"imported {foreign}" if foreign else not (before < 0.5 and accuracy() >= 0.9))
"""


def main(size: str) -> None:
    images, labels = digits()
    scans = np.rot90(images, axes=(2, 3))
    images, test_images, labels, test_labels = train_test_split(
        scans, labels, train_size=LABELLED[size], stratify=labels, random_state=SEED
    )

    g = gc.from_onnx(MODEL)
    with g:
        t = g.input("t", ("batch",), dtype="int64")
        g.loss(gc.cross_entropy(g.outputs["logits"], t))
    module = gc.compile(g, optimizer=gc.optim.adam(lr=0.002), fit=True)

    with tempfile.TemporaryDirectory() as folder:
        module.save(Path(folder, "net.py"))
        Path(folder, "tune.py").write_text(FINE_TUNING)
        np.savez(
            Path(folder, "scans.npz"),
            images=images, labels=labels, test_images=test_images, test_labels=test_labels,
        )  # fmt: skip
        tuned = subprocess.run([sys.executable, "tune.py"], cwd=folder, check=False)
    sys.exit(tuned.returncode)


def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images (n, 1, 8, 8) of mean 0 and variance 1, and their labels."""
    images, labels = load_digits(return_X_y=True)
    return ((images - 4.88) / 6.02).astype(np.float32).reshape(-1, 1, 8, 8), labels


def train_in_pytorch() -> None:
    """Train the network on upright digits, and export it."""
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    images, labels = map(torch.from_numpy, digits())
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 12, 3, padding=1), relu1=nn.ReLU(), pool=nn.MaxPool2d(2),
            conv2=nn.Conv2d(12, 24, 3, padding=1), relu2=nn.ReLU(), flatten=nn.Flatten(),
            dense=nn.Linear(24 * 4 * 4, 10),
        )
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(30):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    torch.onnx.export(
        network.eval(), (images[:2],), MODEL, dynamo=False,
        input_names=["images"], output_names=["logits"],
        dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fine-tune a network of PyTorch's in NumPy.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--retrain", action="store_true", help="make the .onnx file anew")
    arguments = parser.parse_args()
    if arguments.retrain:
        train_in_pytorch()
    main(arguments.size)
