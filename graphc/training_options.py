"""The options of the command line about training: each names an argument of an optimiser."""

from __future__ import annotations

import argparse
from typing import Any

from graphc.errors import UsageError
from graphc.optim.methods import OPTIMIZERS, optimizer_named
from graphc.optim.optimizer import Optimizer
from graphc.optim.schedules import SCHEDULES

# What an optimiser may take, by option: the names in Python with hyphens.
NUMBERS = {
    "lr": "the learning rate that the training step has by default",
    "momentum": "how much of a step stays in the next one",
    "dampening": "how much less of a gradient the momentum takes up",
    "alpha": "how much of the mean of squares stays, in rmsprop",
    "eps": "what keeps divisors from 0",
    "lr_decay": "how fast the learning rate of adagrad falls",
    "initial_accumulator": "what the sums of adagrad start from",
    "weight_decay": "weight decay: an L2 penalty, or that of adamw",
}
FLAGS = {"nesterov": "Nesterov's momentum, in sgd", "centered": "variances, in rmsprop"}


def add_training_options(command: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = command.add_argument_group("training")
    group.add_argument(
        "--optimizer", metavar="NAME", help=f"emit a training step: {', '.join(OPTIMIZERS)}"
    )
    for name, told in NUMBERS.items():
        group.add_argument(spelled(name), type=float, metavar="X", help=told)
    group.add_argument("--betas", type=numbers, metavar="X,X", help="the two rates of adam, adamw")
    for name, told in FLAGS.items():
        group.add_argument(spelled(name), action="store_true", default=None, help=told)
    group.add_argument(
        "--schedule",
        action="append",
        metavar="NAME:N=X,…",
        help=f"of the learning rate, as in cosine:steps=1000: {', '.join(SCHEDULES)}; "
        "repeat it after a warmup",
    )
    group.add_argument(
        "--clip-norm", type=float, metavar="X", help="clip the norm of all gradients together"
    )
    group.add_argument(
        "--fit", action="store_true", help="emit the loop over mini-batches, and checkpoints"
    )
    group.add_argument(
        "--l1", type=float, default=0.0, metavar="X", help="add X · Σ|θ| to the loss"
    )
    group.add_argument("--l2", type=float, default=0.0, metavar="X", help="add X · Σθ² to the loss")
    group.add_argument(
        "--penalize",
        action="append",
        default=[],
        metavar="PATTERN",
        help="do so for the parameters that fit, as in 'W*'; otherwise for all that are trained",
    )


def spelled(name: str) -> str:
    """The option for an argument."""
    return f"--{name.replace('_', '-')}"


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers as in 0.9,0.999, got {text!r}"
        ) from None


def optimizer_of(options: argparse.Namespace) -> Optimizer | None:
    """The optimiser with its numbers. Raises UsageError for those that it does not have."""
    given = {name: getattr(options, name) for name in (*NUMBERS, "betas", *FLAGS)}
    given = {name: value for name, value in given.items() if value is not None}
    if options.optimizer is not None:
        return optimizer_named(options.optimizer, **given)
    for name in given:
        raise UsageError(f"{spelled(name)} needs --optimizer")
    return None


def training_options(options: argparse.Namespace) -> dict[str, Any]:
    """What `compile` is told about training."""
    return {
        "optimizer": optimizer_of(options),
        "schedule": options.schedule,
        "clip_norm": options.clip_norm,
        "fit": options.fit,
        "l1": options.l1,
        "l2": options.l2,
        "penalize": ",".join(options.penalize),
    }
