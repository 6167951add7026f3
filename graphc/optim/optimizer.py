"""An optimiser: an elementwise graph that is printed like any other.

(parameter, gradient, slots, numbers of the step) -> (parameter', slots')
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graphc.errors import UsageError
from graphc.ir.dims import Shape
from graphc.ir.function import topological
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import DType, float64
from graphc.ops.shape import as_shape

ANY_SHAPE = as_shape("elements")
SCALE = "scale"  # what a gradient is multiplied by where the norm of all gradients is clipped

Rates = Callable[[dict[str, Node]], dict[str, Node]]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What is fixed at compile time; numbers are defaults of keyword arguments of `train_step`.

    slots            what is kept for each parameter from step to step, and what it starts from
    hyperparameters  name, default and meaning of each
    update           new parameter and slots, of those before and the numbers of a step
    rates            the numbers of a step, of the hyperparameters and of `step`, which counts from
                     1; by default the hyperparameters themselves. They are computed in 64 bits:
                     in float32, nothing much would be left of 1 - 0.999
    flags            what is switched on
    """

    kind: str
    slots: Mapping[str, float]
    hyperparameters: tuple[tuple[str, float, str], ...]
    update: Callable[[dict[str, Node]], tuple[Node, ...]]
    rates: Rates = field(default=lambda numbers: numbers)
    flags: tuple[str, ...] = ()

    def rates_graph(self) -> tuple[tuple[Node, ...], dict[str, Node]]:
        """The arguments, without a `step` that is not read, and the numbers of a step by name."""
        graph = Graph(f"{self.kind}_rates", float64)
        step = graph.argument("step", "step", (), float64)
        given = {
            name: graph.argument("hyperparameter", name, (), float64)
            for name, _, _ in self.hyperparameters
        }
        found = self.rates({**given, "step": step})
        found.pop("step", None)
        reads = step in set(topological(list(found.values())))
        return (*[step] * reads, *given.values()), found

    def graph(
        self, dtype: DType, shape: Shape = ANY_SHAPE, *, clipped: bool = False
    ) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """Arguments and results of the update of a parameter, of any shape by default.

        clipped  whether the gradient is multiplied by a last argument
        """
        graph = Graph(self.kind, dtype)
        nodes = {
            name: graph.argument("array", name, shape, dtype)
            for name in ("parameter", "gradient", *self.slots)
        }
        _, rates = self.rates_graph()
        for name in (*rates, *[SCALE] * clipped):
            nodes[name] = graph.argument("hyperparameter", name, (), dtype)
        arguments = tuple(nodes.values())
        if clipped:
            nodes["gradient"] = (nodes[SCALE] * nodes["gradient"]).named("clipped")
        return arguments, self.update(nodes)


def checked_number(
    name: str, value: object, *, below: float = math.inf, positive: bool = False
) -> float:
    """A number from 0 (if `positive`, above it) to below a bound. UsageError for anything else."""
    number = math.nan
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # an int or a fraction beyond floats
            number = float(value)
    if 0 <= number < below and not (positive and number == 0):
        return number
    most = f" and < {below:g}" if below < math.inf else ""
    least = "> 0" if positive else ">= 0"
    raise UsageError(f"{name} has to be a number {least}{most}, got {value!r}")
