"""Compile `digits_mlp.py` and train the module that comes out on 1797 handwritten digits.

    python examples/train_digits.py

Shows a progress bar with the loss and the accuracy on the training images, then prints the accuracy
on images that were held out and where the generated module lies. Exits with status 1 if fewer than
97 % of them are recognised.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
MODEL = Path("examples", "digits_mlp.py")
GENERATED = Path("build", "digits_net.py")

EPOCHS = 30
BATCH = 32
LEARNING_RATE = 0.1  # at the start; it falls to 0 in a straight line
OPTIMIZER = ["--optimizer", "sgd", "--momentum", "0.9", "--weight-decay", "0.003"]
REQUIRED = 0.97
SEED = 3


def compile_model() -> ModuleType:
    """Let graphc write the module, and import the file: from here on graphc has no part in it."""
    (ROOT / GENERATED).parent.mkdir(exist_ok=True)
    # -P: the graphc that is installed, also where the current folder holds its source.
    graphc = [sys.executable, "-P", "-m", "graphc"]
    command = [*graphc, "compile", str(MODEL), "-o", str(GENERATED), *OPTIMIZER]
    compiled = subprocess.run(command, cwd=ROOT, check=False)
    if compiled.returncode:
        sys.exit(compiled.returncode)  # graphc has said why
    spec = importlib.util.spec_from_file_location(GENERATED.stem, ROOT / GENERATED)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def digits() -> tuple[Any, Any, Any, Any]:
    """Images and labels for training, then for testing: a fifth, with as many of each digit."""
    images, labels = load_digits(return_X_y=True)
    x, x_test, t, t_test = train_test_split(
        images.astype(np.float32), labels, test_size=0.2, stratify=labels, random_state=SEED
    )
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1  # pixels at the border that are never inked
    return (x - mean) / deviation, t, (x_test - mean) / deviation, t_test


def accuracy(net: ModuleType, params: dict[str, Any], x: Any, t: Any) -> float:
    """The fraction of the images that are recognised."""
    return float((net.predict(params, x).argmax(axis=1) == t).mean())


def train(net: ModuleType, x: Any, t: Any) -> dict[str, Any]:
    """Mini-batch gradient descent, in a new order each epoch; the trained parameters."""
    rng = np.random.default_rng(SEED)
    params: dict[str, Any] = net.init_params(rng)
    optimizer_state = net.init_optimizer(params)
    starts = range(0, len(x), BATCH)
    rates = iter(np.linspace(LEARNING_RATE, 0, EPOCHS * len(starts), endpoint=False))
    for _ in (epochs := tqdm(range(EPOCHS), unit="epoch")):
        order = rng.permutation(len(x))
        total = 0.0
        for start in starts:
            batch = order[start : start + BATCH]
            params, optimizer_state, loss = net.train_step(
                params, optimizer_state, x[batch], t[batch], lr=next(rates)
            )
            total += float(loss) * len(batch)
        right = accuracy(net, params, x, t)
        epochs.set_postfix(loss=f"{total / len(x):.4f}", accuracy=f"{right:.2%}")
    return params


def main() -> None:
    net = compile_model()
    x, t, x_test, t_test = digits()
    params = train(net, x, t)
    reached = accuracy(net, params, x_test, t_test)
    print(f"test accuracy: {reached:.2%} of {len(t_test)} images")
    print(f"generated module: {ROOT / GENERATED}")
    if reached < REQUIRED:
        sys.exit(f"expected a test accuracy of at least {REQUIRED:.0%}")


if __name__ == "__main__":
    main()
