"""Gradients of a model beside differences of what its generated module computes, in 64 bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.ir.types import FLOAT, float64
from graphc.passes.precision import with_dtype
from tests.onnx.backend import arguments, bound, input_names

Arrays = dict[str, Any]

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
DIRECTIONS = 2  # through all floats at once
ELEMENTS = 24  # that are moved alone where a kink spoils all directions
SMOOTH = 1e-3  # how much the slopes to both sides may differ where there is no kink
EXACT = 1e-6  # how much the gradient may differ from the slope, of what moves along


class Slopes:
    """A model in 64 bits at a point: Σ ȳ y over its float outputs, by all its float arguments."""

    def __init__(self, graph: gc.Graph, inputs: Mapping[str, Any]) -> None:
        wide = with_dtype(graph, float64)
        self.rng = np.random.default_rng(0)
        values = {name: p.init for name, p in wide.parameters.items() if p.trainable}
        values |= {name: inputs[name] for name, n in wide.inputs.items() if n.dtype.kind == FLOAT}
        self.start = {name: np.asarray(value, np.float64) for name, value in values.items()}
        self.fixed = {name: array for name, array in inputs.items() if name not in values}
        self.floats = [name for name, n in wide.outputs.items() if n.dtype.kind == FLOAT]
        if self.start and self.floats:
            self.module = gc.compile(wide, wrt=[*self.start], allow_unused=True)
            self.loaded = self.module.load()
            y = self.outputs(self.start)
            if not all(is_moderate(value).all() for value in y):
                self.start = {n: self.rng.uniform(0.2, 0.8, v.shape) for n, v in self.start.items()}
                y = self.outputs(self.start)
            # What is infinite whatever goes in, as a masked score, has no slope.
            self.bars = [self.rng.normal(size=value.shape) * is_moderate(value) for value in y]
            if self.module.lowered.loss:
                self.bars = [np.ones(())]

    def forward(self, values: Arrays) -> Any:
        """What the module's forward returns."""
        program = self.module.lowered.forward
        assert program is not None
        rng = {"rng": np.random.default_rng(0)} if program.draws else {}
        with np.errstate(all="ignore"):
            return self.loaded.forward(
                *arguments(self.module, program, {**self.fixed, **values}), **rng
            )

    def outputs(self, values: Arrays) -> list[Any]:
        """The float outputs."""
        outputs = self.forward(values)[0]
        lowered = self.module.lowered
        listed = outputs if len(lowered.outputs) > 1 and not lowered.loss else [outputs]
        return [y for y in map(np.asarray, listed) if y.dtype.kind == "f"]

    def at(self, direction: Arrays, distance: float) -> float:
        """The number that is differentiated, some way off."""
        moved = {name: value + distance * direction[name] if name in direction else value
                 for name, value in self.start.items()}  # fmt: skip
        y = self.outputs(moved)
        pairs = zip(self.bars, y, strict=True)
        return float(sum(bar[bar != 0] @ value[bar != 0] for bar, value in pairs))

    def gradients(self) -> Arrays:
        """What backward returns."""
        *_, residuals = self.forward(self.start)
        bars = [] if self.module.lowered.loss else self.bars
        with np.errstate(all="ignore"):
            found: Arrays = self.loaded.backward(residuals, *bars)
        return found

    # --- comparing ------------------------------------------------------------------------------

    def check(self) -> Arrays:
        """Compare, and return the gradients. Raises AssertionError where they are not the slopes.

        Where a kink spoils all directions, single elements are moved; one at least has to do.
        """
        gradients = self.gradients()
        if not all(self.agrees(gradients, d) for d in self.directions()):
            alone = [self.agrees(gradients, d) for d in self.elements()]  # each may raise
            assert any(alone), "kinks everywhere"
        return gradients

    def directions(self) -> Iterator[Arrays]:
        """Random directions through all arguments."""
        for _ in range(DIRECTIONS):
            yield {name: self.rng.normal(size=v.shape) for name, v in self.start.items()}

    def elements(self) -> Iterator[Arrays]:
        """Directions along which one element moves."""
        places = [(name, i) for name, value in self.start.items() for i in range(value.size)]
        for k in self.rng.permutation(len(places))[:ELEMENTS]:
            name, i = places[k]
            direction = np.zeros(self.start[name].shape)
            direction.flat[i] = 1
            yield {name: direction}

    def agrees(self, gradients: Arrays, direction: Arrays) -> bool:
        """Whether the slope is the gradient's; False at a kink. Raises AssertionError else."""
        moving = {name: np.flatnonzero(d) for name, d in direction.items()}  # 0 · inf is NaN
        predicted = sum(
            float(gradients[n].flat[i] @ direction[n].flat[i]) for n, i in moving.items()
        )
        here, told, before = self.at({}, 0.0), [], np.inf
        for step in STEPS:
            ahead, behind, slope, rounding = self.differences(direction, step, here)
            tolerance = EXACT * (1 + abs(slope)) + rounding
            if not np.isfinite([ahead, behind]).all():
                continue
            smooth = SMOOTH * (1 + abs(slope))
            if abs(ahead - behind) <= smooth and abs(predicted - slope) <= tolerance:
                return True
            if abs(ahead - behind) <= smooth >= abs(before - slope):  # at a jump, slopes grow
                told.append(f"step {step}: {slope!r} against {predicted!r}")
            before = slope
        if told:
            raise AssertionError("; ".join(told))
        return False

    def differences(
        self, direction: Arrays, step: float, here: float
    ) -> tuple[float, float, float, float]:
        """The slopes ahead and behind, that across, and what rounding may be in them."""
        far = {k: self.at(direction, k * step) for k in (-2, -1, 1, 2)}
        ahead = (4 * far[1] - far[2] - 3 * here) / (2 * step)
        behind = (3 * here - 4 * far[-1] + far[-2]) / (2 * step)
        across = (8 * (far[1] - far[-1]) - (far[2] - far[-2])) / (12 * step)
        size = max(abs(value) for value in (*far.values(), here))
        return ahead, behind, across, 1e-14 * size / step


def is_moderate(y: Any) -> Any:
    """Which elements are neither infinite, nor NaN, nor so large that rounding is all there is."""
    return np.abs(y) < 1e12


def slopes_of(model: Any, inputs: Sequence[Any]) -> Slopes:
    """The slopes of an ONNX model, at its inputs; those that have to be bound are."""
    arrays = dict(zip(input_names(model), inputs, strict=True))
    graph, bind = bound(model, arrays)
    return Slopes(graph, {name: array for name, array in arrays.items() if name not in bind})
