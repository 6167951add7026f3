"""Recipes: graphs as plain data, with a meaning in graphc and one in PyTorch.

Being data, a recipe can be printed when a test fails, rebuilt, and sent to another process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphc as gc
from tests.random_ops import RANDOM_OPS


@dataclass(frozen=True)
class Declared:
    """An argument of the graph; `most` bounds the values of ints (exclusive)."""

    name: str
    kind: str
    shape: tuple[int | str, ...]
    dtype: str = "float64"
    most: int = 0


@dataclass(frozen=True)
class Step:
    """One op on named values."""

    name: str
    op: str
    args: tuple[str, ...]
    options: dict[str, Any]
    labelled: bool


@dataclass
class Recipe:
    """A graph as data: arguments, steps, and which values are its results."""

    sizes: dict[str, int]
    declared: list[Declared] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    loss: str | None = None

    @property
    def variables(self) -> list[str]:
        """The float arguments, by which gradients are taken."""
        return [d.name for d in self.declared if d.dtype.startswith("float")]

    @property
    def objective(self) -> str:
        """The loss of a recipe that has one."""
        assert self.loss is not None
        return self.loss

    @property
    def targets(self) -> list[str]:
        """What is differentiated."""
        return self.outputs if self.loss is None else [self.loss]

    def arrays(self, seed: int) -> dict[str, np.ndarray[Any, Any]]:
        """Values for all arguments."""
        rng = np.random.default_rng(seed)
        made = {}
        for d in self.declared:
            shape = [self.sizes[s] if isinstance(s, str) else s for s in d.shape]
            floats = rng.uniform(-1.5, 1.5, shape)
            made[d.name] = np.array(rng.integers(0, d.most, shape) if d.most else floats, d.dtype)
        return made


def build(recipe: Recipe) -> gc.Graph:
    """The recipe as a graph."""
    with gc.Graph("random", dtype="float64") as graph:
        fill(graph, recipe)
    return graph


def fill(
    graph: gc.Graph, recipe: Recipe, arguments: dict[str, gc.Node] | None = None
) -> dict[str, gc.Node]:
    """Declare everything in an open graph; the values by their names in the recipe.

    `arguments` are used in place of those that are declared.
    """
    values = arguments or {d.name: declare(graph, d) for d in recipe.declared}
    for step in recipe.steps:
        apply(step, values)
    for name in recipe.outputs:
        graph.output(f"out_{name}", values[name])
    if recipe.loss is not None:
        graph.loss(values[recipe.loss])
    return values


def declare(graph: gc.Graph, d: Declared) -> gc.Node:
    make: Callable[..., gc.Node] = graph.parameter if d.kind == "parameter" else graph.input
    return make(d.name, d.shape, dtype=d.dtype)


def apply(step: Step, values: dict[str, gc.Node]) -> None:
    """Add a value; only a labelled step gets a name in generated code."""
    operands = [values[name] for name in step.args]
    values[step.name] = RANDOM_OPS[step.op].graphc(*operands, **step.options)
    if step.labelled:
        values[step.name].named(step.name)


def run_torch(T: Any, recipe: Recipe, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """All values of the recipe, computed by PyTorch."""
    values = dict(tensors)
    for step in recipe.steps:
        operands = [values[name] for name in step.args]
        values[step.name] = RANDOM_OPS[step.op].torch(T, *operands, **step.options)
    return values
