"""Derived gradients against central differences, in float64, at random points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.api import Module, compile
from graphc.errors import DifferentiationError
from graphc.ir import dims
from graphc.ir.graph import Graph, is_cotangent
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, INT, float64, shape_text
from graphc.passes.precision import with_dtype

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)  # a difference that crosses a kink is wrong at some, not at all
MAX_COORDINATES = 16  # up to so many elements, each is checked by itself
DIRECTIONS = 8


@dataclass(frozen=True, slots=True)
class Comparison:
    """One gradient: the largest disagreement with differences, relative to the slopes compared."""

    name: str
    shape: str
    directions: int
    error: float
    tolerance: float

    @property
    def ok(self) -> bool:
        return bool(self.error <= self.tolerance)


def check(
    graph: Graph, *, seed: int = 0, tolerance: float = 1e-6, **options: Any
) -> list[Comparison]:
    """Compare each gradient of a graph with central differences of what it is the gradient of.

    The graph is compiled in float64, its generated code is run. Options are those of `compile`.
    Raises DifferentiationError where no finite value is found to start from.
    """
    module = compile(with_dtype(graph, float64), **options)
    lowered = module.lowered
    if lowered.forward is None or lowered.backward is None:
        raise DifferentiationError(f"graph {graph.name!r} has nothing to differentiate")
    rng = np.random.default_rng(seed)
    point = Point.of(module, rng)
    grads = point.gradients()
    return [
        compare(point, node, np.asarray(grads[node.params.name]), rng, tolerance)
        for node in point.variables
    ]


def compare(
    point: Point, node: Node, gradient: Any, rng: np.random.Generator, tolerance: float
) -> Comparison:
    """One gradient against differences, along coordinates if they are few, else at random."""
    worst = 0.0
    count = 0
    # Beside the gradient, what rounding of the value leaves of a slope that is 0: that of a bias
    # before a normalisation, say, or before a softmax.
    scale = float(np.linalg.norm(gradient)) + 1e-8 + 1e-5 * abs(point.value())
    for direction in directions(gradient.shape, rng):
        slope = float(np.vdot(gradient, direction))
        errors = [abs(point.difference(node, direction, step) - slope) for step in STEPS]
        finite = [error for error in errors if np.isfinite(error)]
        worst = max(worst, min(finite, default=np.inf) / scale)
        count += 1
    return Comparison(node.params.name, shape_text(node.shape), count, worst, tolerance)


def directions(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[Any]:
    """Unit directions: the coordinates, or random ones where there are many."""
    size = int(np.prod(shape))
    if size <= MAX_COORDINATES:
        yield from np.eye(size).reshape(size, *shape)
        return
    for _ in range(DIRECTIONS):
        direction = rng.standard_normal(shape)
        yield direction / np.linalg.norm(direction)


@dataclass(slots=True)
class Point:
    """A generated module together with arguments at which everything is finite."""

    module: Any
    loss: bool
    arguments: dict[Node, Any]
    cotangents: list[Any]
    variables: list[Node]
    groups: Mapping[str, list[Node]]
    draws: bool

    @staticmethod
    def of(module: Module, rng: np.random.Generator) -> Point:
        """Random arguments: of both signs if the model allows, else positive ones.

        Labels are 0 or 1, or 0 where that is the only class.
        """
        lowered = module.lowered
        assert lowered.forward is not None
        assert lowered.backward is not None
        states = [node for node, _ in lowered.graph.states.values()]
        declared = lowered.graph.declared()
        named = {n.params.name: n for n in declared}
        reads = {node.params.kind for node in lowered.forward.arguments}
        groups = {
            "params": [
                n for n in declared if n.params.kind == "parameter" and "parameter" in reads
            ],
            "state": states if lowered.updates or "state" in reads else [],
            "inputs": [n for n in lowered.forward.arguments if n.params.kind == "input"],
        }
        sizes = lowered.sample_sizes()
        bars = [n for n in lowered.backward.arguments if is_cotangent(n)]
        point = Point(
            module.load(), bool(lowered.loss), {}, [],
            [named[name] for name in lowered.gradients], groups, lowered.forward.draws,
        )  # fmt: skip
        attempts: list[tuple[Callable[[tuple[int, ...]], Any], int]] = [
            (draw, labels)
            for draw in (
                lambda shape: rng.standard_normal(shape),
                lambda shape: rng.uniform(0.2, 0.8, shape),
                lambda shape: rng.uniform(1.2, 1.8, shape),
            )
            for labels in (2, 1)
        ]
        for draw, labels in attempts:
            point.arguments = {n: value(n, sizes, draw, labels, rng) for n in declared}
            point.cotangents = [value(n, sizes, draw, labels, rng) for n in bars]
            if point.is_finite():
                return point
        raise DifferentiationError(
            f"no arguments were found at which {lowered.graph.name!r} is finite"
        )

    def is_finite(self) -> bool:
        """Whether value and gradients are."""
        try:
            with np.errstate(all="ignore"):
                values = [self.value(), *self.gradients().values()]
        except IndexError:
            return False
        return all(np.isfinite(np.asarray(v)).all() for v in values)

    def call(self) -> tuple[Any, Any]:
        """What forward returns: loss or outputs, and residuals."""
        given: list[Any] = []
        for group in ("params", "state"):
            if self.groups[group]:
                given.append({n.params.name: self.arguments[n] for n in self.groups[group]})
        given += [self.arguments[n] for n in self.groups["inputs"]]
        if self.draws:  # the same ones in each call
            result = self.module.forward(*given, rng=np.random.default_rng(0))
        else:
            result = self.module.forward(*given)
        return result[0], result[-1]

    def value(self) -> float:
        """The loss, or the outputs weighted by the cotangents."""
        outputs, _ = self.call()
        if self.loss:
            return float(outputs)
        listed = [outputs] if len(self.cotangents) == 1 else outputs
        floats = [y for y in listed if np.asarray(y).dtype.kind == "f"]
        return float(sum(np.vdot(bar, y) for bar, y in zip(self.cotangents, floats, strict=True)))

    def gradients(self) -> dict[str, Any]:
        """What backward returns."""
        _, residuals = self.call()
        bars = [] if self.loss else self.cotangents
        grads: dict[str, Any] = self.module.backward(residuals, *bars)
        return grads

    def difference(self, node: Node, direction: Any, step: float) -> float:
        """The central difference of the value along a direction, of fourth order."""
        start = self.arguments[node]

        def at(distance: float) -> float:
            self.arguments[node] = start + distance * step * direction
            return self.value()

        with np.errstate(all="ignore"):
            slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
        self.arguments[node] = start
        return slope


def value(
    node: Node,
    sizes: Mapping[str, int],
    draw: Callable[[tuple[int, ...]], Any],
    labels: int,
    rng: np.random.Generator,
) -> Any:
    """A random value of the type of an argument."""
    shape = tuple(dims.evaluate(size, sizes) for size in node.shape)
    if node.dtype.kind == FLOAT:
        return np.asarray(draw(shape))
    high = labels if node.dtype.kind == INT else 2
    return rng.integers(0, high, shape).astype(node.dtype.numpy)
