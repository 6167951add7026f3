"""`gc.optim`: how a training step changes parameters, and its learning rate from step to step."""

from typing import Any

from graphc.errors import suggest
from graphc.optim.methods import adagrad, adam, adamw, momentum, nesterov, rmsprop, sgd
from graphc.optim.schedules import constant, cosine, exponential, step, warmup

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "constant",
    "cosine",
    "exponential",
    "momentum",
    "nesterov",
    "rmsprop",
    "sgd",
    "step",
    "warmup",
]


def __getattr__(name: str) -> Any:
    advice = suggest(name, __all__) or f"it has {', '.join(__all__)}"
    raise AttributeError(f"gc.optim has no {name!r}; {advice}")
