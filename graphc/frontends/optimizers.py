"""Optimisers, each an elementwise graph that is printed like any other.

(parameter, gradient, slots, hyperparameters) -> (parameter', slots')
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass

from graphc.errors import UsageError, suggest
from graphc.ir.dims import Shape
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import DType
from graphc.ops.shape import as_shape

ANY_SHAPE = as_shape("elements")


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What is fixed at compile time; numbers are defaults of keyword arguments of `train_step`."""

    kind: str
    slots: tuple[str, ...]
    hyperparameters: tuple[tuple[str, float, str], ...]  # name, default, meaning
    update: Callable[[dict[str, Node]], tuple[Node, ...]]
    flags: tuple[str, ...] = ()  # what is switched on

    def graph(
        self, dtype: DType, shape: Shape = ANY_SHAPE
    ) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """Arguments and results of the update of a parameter, of any shape by default."""
        graph = Graph(self.kind, dtype)
        nodes = {
            name: graph.argument("array", name, shape, dtype)
            for name in ("parameter", "gradient", *self.slots)
        }
        for name, _, _ in self.hyperparameters:
            nodes[name] = graph.argument("hyperparameter", name, (), dtype)
        arguments = tuple(nodes.values())
        return arguments, self.update(nodes)


def sgd(
    lr: float = 0.01, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> Optimizer:
    """Stochastic gradient descent as torch.optim.SGD has it (without dampening).

    g += weight_decay · p;  v = momentum · v + g;  p -= lr · v, or lr · (g + momentum · v) with
    Nesterov. What is 0 here is left out of the generated code.
    """
    if nesterov and not momentum:
        raise UsageError("nesterov needs a momentum > 0")
    for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
        if not isinstance(value, numbers.Real) or not 0 <= value < math.inf:
            raise UsageError(f"{name} has to be a number >= 0, got {value!r}")
    hyperparameters = [("lr", float(lr), "the learning rate")]
    if momentum:
        meaning = "how much of the last step's velocity stays"
        hyperparameters.append(("momentum", float(momentum), meaning))
    if weight_decay:
        hyperparameters.append(("weight_decay", float(weight_decay), "the L2 penalty"))

    def update(n: dict[str, Node]) -> tuple[Node, ...]:
        step = n["gradient"]
        if weight_decay:
            step = (step + n["weight_decay"] * n["parameter"]).named("decayed")
        if not momentum:
            return ((n["parameter"] - n["lr"] * step).named("updated"),)
        velocity = (n["momentum"] * n["velocity"] + step).named("new_velocity")
        step = step + n["momentum"] * velocity if nesterov else velocity
        return (n["parameter"] - n["lr"] * step).named("updated"), velocity

    slots = ("velocity",) if momentum else ()
    flags = ("nesterov",) if nesterov else ()
    return Optimizer("sgd", slots, tuple(hyperparameters), update, flags)


OPTIMIZERS = {"sgd": sgd}


def as_optimizer(optimizer: Optimizer | str | None) -> Optimizer | None:
    """An optimiser from its name. Raises UsageError for one that does not exist."""
    if optimizer is None or isinstance(optimizer, Optimizer):
        return optimizer
    if optimizer not in OPTIMIZERS:
        hint = suggest(str(optimizer), OPTIMIZERS) or f"use one of {', '.join(OPTIMIZERS)}"
        raise UsageError(f"there is no optimizer {optimizer!r}", hint=hint)
    return OPTIMIZERS[optimizer]()
