"""Formulas whose branches do harm where they are not chosen, and what they are run on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

PLAIN = (-2.0, -1.0, -0.25, 0.0, 0.25, 1.0, 2.0, 4.0)
FAR = (-1000.0, -2.0, 0.0, 0.5, 3.0, 1000.0)
GRID = ((-1.0, 0.0, 4.0), (1.0, 2.25, 0.25))


@dataclass(frozen=True)
class Guarded:
    """A formula of graphc, or of `tests.passes.chosen.Chosen`, and its arguments.

    guards  whether an operand is masked; some hazards are taken by rules, some do no harm
    """

    name: str
    build: Callable[..., Any]
    x: tuple[Any, ...] = (PLAIN,)
    guards: bool = True

    def __str__(self) -> str:
        return self.name

    def arrays(self, dtype: str = "float64") -> list[np.ndarray[Any, Any]]:
        return [np.array(values, dtype) for values in self.x]


def nested(f: Any, x: Any, depth: int) -> Any:
    """where in where: each level guards a logarithm of the one below."""
    inner = x if not depth else nested(f, x, depth - 1)
    return f.where(f.greater(inner, 0.3), f.log(inner - 0.3), 1.0 + x * 0.25)


def twice(f: Any, x: Any) -> Any:
    root = f.sqrt(x)
    return f.where(f.greater(x, 0), root, 0.0) + f.where(f.greater(x, 1), 3 * root, x)


def split(f: Any, x: Any) -> Any:
    root = f.sqrt(x)
    return f.where(f.greater(x, 1), root, 0.0) + f.where(f.greater(x, 0), 0.0, 2.0) * x


def stage(f: Any, x: Any) -> Any:
    safe = f.where(f.greater(x, 0), x, 1.0)
    return f.where(f.greater(x, 0), f.log(safe), 0.0)


def summed_rows(f: Any, x: Any) -> Any:
    kept = f.greater(f.sum(x, axis=1), 3.2)
    return f.where(kept, f.sum(f.sqrt(x), axis=1), 0.0)


def masked_rows(f: Any, x: Any, mask: Any) -> Any:
    scores = x + f.where(f.greater(mask, 0), 0.0, -np.inf)
    some = f.greater(f.sum(mask, axis=1, keepdims=True), 0)
    return f.where(some, f.softmax(scores, axis=1), 0.0)


CASES = [
    Guarded("log", lambda f, x: f.where(f.greater(x, 0), f.log(x), 0.0)),
    Guarded("log otherwise", lambda f, x: f.where(f.greater(0.0, x), x, f.log(x + 0.125))),
    Guarded("sqrt", lambda f, x: f.where(f.greater(x, 0), f.sqrt(x), 0.0)),
    Guarded("root by power", lambda f, x: f.where(f.greater(x, 0), x**0.5, -x)),
    Guarded("power 1.5", lambda f, x: f.where(f.greater(x, 0), x**1.5, 0.0)),
    Guarded("reciprocal", lambda f, x: f.where(f.not_equal(x, 0), 1 / x, 0.0)),
    Guarded("reciprocal op", lambda f, x: f.where(f.equal(x, 0), x, f.reciprocal(x))),
    Guarded("square of a reciprocal", lambda f, x: f.where(f.not_equal(x, 0), x**-2.0, 0.0)),
    Guarded("quotient", lambda f, x, y: f.where(f.equal(y, 0), x, x / y),
            (PLAIN, (1.0, 0.0, 2.0, 0.0, -1.0, 3.0, 0.0, 0.5))),
    Guarded("sin(x) / x", lambda f, x: f.where(f.equal(x, 0), 1.0, f.sin(x) / x)),
    Guarded("power of both", lambda f, x, p: f.where(f.greater(x, 0), x**p, p),
            (PLAIN, (2.5, -1.0, 0.0, -2.0, 2.0, 3.0, -0.5, 0.5))),
    Guarded("elu", lambda f, x: f.where(f.greater(x, 0), x, f.exp(x) - 1), (FAR,)),
    Guarded("celu", lambda f, x: f.where(f.greater(x, 0), x, 2 * f.exp(x)), (FAR,)),
    Guarded("exp of a square", lambda f, x: f.where(f.less(f.abs(x), 3), f.exp(x * x), x), (FAR,)),
    Guarded("log1p", lambda f, x: f.where(f.greater(x, -1), f.log1p(x), 0.0)),
    Guarded("both branches", lambda f, x: f.where(f.greater(x, 0), f.log(x), f.sqrt(0.5 - x))),
    Guarded("both kinds", lambda f, x: f.where(f.greater(x, 0.1), 1 / x, f.log(1.1 - x) * x)),
    *(Guarded(f"nested {depth} deep", lambda f, x, d=depth: nested(f, x, d)) for depth in range(5)),
    Guarded("branches in a branch", lambda f, x: f.where(
        f.greater(x, 0), f.where(f.greater(x, 1), f.log(x - 1 + 1e-3), f.sqrt(x)),
        f.where(f.less(x, -1), f.log(-x), f.sqrt(1.5 + x)))),
    Guarded("a chain", lambda f, x: f.where(f.greater(x, 0), f.log(f.sqrt(x) + 1 / x), 0.0)),
    Guarded("two conditions", lambda f, x: f.where(
        f.logical_and(f.greater(x, 0), f.less(x, 1)), f.log(x) * f.log1p(-x), 0.0)),
    Guarded("shared", twice),
    Guarded("condition of the branch", lambda f, x: f.where(
        f.greater(x, 0), f.where(f.greater(f.sqrt(x), 0.6), f.sqrt(x), 0.6), 0.0)),
    Guarded("masked by hand", stage, guards=False),
    Guarded("a product outside", lambda f, x: 3 * x * f.where(f.greater(x, 0), f.log(x), 0.0)),
    # conditions of other shapes
    Guarded("scalar condition", lambda f, x, c: f.where(f.greater(c, 0), f.log(x), x),
            (PLAIN, -1.0)),
    Guarded("scalar condition holds", lambda f, x, c: f.where(f.greater(c, 0), f.log(x * x + c), x),
            (PLAIN, 1.0)),
    Guarded("column condition", lambda f, x: f.where(
        f.greater(f.expand_dims(f.sum(x, axis=1), 1), 3.2), f.sqrt(x), 0.0), (GRID,)),
    Guarded("row condition", lambda f, x, r: f.where(f.greater(r, 0), f.log(x + 1.5), x * r),
            (((-2.0, 0.0, 4.0), (-3.0, 2.25, 0.25)), (-1.0, 1.0, 2.0))),
    Guarded("reduced condition", lambda f, x: f.where(f.greater(f.sum(x), 100.0), f.sqrt(x), x)),
    Guarded("broadcast branch", lambda f, x, c: f.where(f.greater(c, 0), f.log(x), c),
            ((-1.0, 2.0, 4.0), ((-1.0, 1.0, 2.0), (-2.0, -1.0, 3.0)))),
    # what lies between the hazard and the choice
    Guarded("sum", summed_rows, (GRID,)),
    Guarded("sum of all", lambda f, x: f.where(
        f.greater(f.sum(x), 100.0), f.sum(f.log(x)), f.sum(x)), (GRID,)),
    Guarded("mean", lambda f, x: f.where(
        f.greater(f.sum(x, axis=1, keepdims=True), 3.2),
        f.mean(f.log(x), axis=1, keepdims=True), 0.0), (GRID,)),
    Guarded("reshape", lambda f, x: f.where(
        f.greater(f.reshape(x, (3, 2)), 0), f.reshape(f.log(x), (3, 2)), 0.0), (GRID,)),
    Guarded("permute", lambda f, x: f.where(
        f.greater(f.permute_dims(x, (1, 0)), 0), f.permute_dims(f.sqrt(x), (1, 0)), 0.0), (GRID,)),
    Guarded("expand", lambda f, x: f.where(
        f.greater(f.expand_dims(x, 0), 0), f.expand_dims(1 / x, 0), 0.0), (GRID,)),
    Guarded("broadcast", lambda f, x, c: f.where(
        f.greater(c, 0), f.broadcast_to(f.log(x), (2, 3)), c),
        ((-1.0, 2.0, 4.0), ((-1.0, 1.0, 2.0), (-2.0, -1.0, 3.0)))),
    Guarded("getitem", lambda f, x: f.where(f.greater(x[::2], 0), f.log(x)[::2], 0.0)),
    Guarded("getitem of a row", lambda f, x: f.where(f.greater(x[0], 0), f.sqrt(x)[0], x[1]),
            (GRID,)),
    Guarded("concat", lambda f, x: f.where(
        f.greater(f.concat([x, -x]), 0), f.concat([f.log(x), f.sqrt(-x)]), 0.0)),
    Guarded("matmul", lambda f, x: f.where(
        f.greater(f.sum(x, axis=1), 3.2), f.matmul(f.sqrt(x), np.array([1.0, 2.0, 0.5])), 0.0),
        (GRID,)),
    Guarded("weights of a matmul", lambda f, x, w: f.where(
        f.greater(f.sum(x, axis=0), 4.0), f.matmul(w, f.log(x)), 0.0), (GRID, (0.5, 2.0))),
    Guarded("softmax", lambda f, x: f.where(
        f.greater(f.sum(x, axis=1, keepdims=True), 3.2), f.softmax(f.log(x), axis=1), x), (GRID,)),
    Guarded("softmax of masked rows", masked_rows, (GRID, ((0.0, 0.0, 0.0), (1.0, 0.0, 1.0)))),
    Guarded("condition of a row", lambda f, x, r: f.where(
        f.greater(x, 0), f.where(f.greater(f.sqrt(r), 0.6), x, 0.0), x),
        (((-2.0, 1.0, 4.0), (-3.0, 2.25, -1.0)), (-1.0, 0.25, 2.0))),
    # what compares
    Guarded("relu of log", lambda f, x: f.relu(f.log(x + 2.25))),
    Guarded("log of relu", lambda f, x: f.where(
        f.greater(x, 0), f.log(f.relu(x)), 0.0)),
    Guarded("maximum with sqrt", lambda f, x: f.where(
        f.greater(x, 0), f.maximum(f.sqrt(x), 1.0), x)),
    Guarded("minimum with a quotient", lambda f, x: f.where(
        f.not_equal(x, 0), f.minimum(1 / x, 2.0), x)),
    Guarded("clip of log", lambda f, x: f.where(
        f.greater(x, 0), f.clip(f.log(x), -0.5, 0.5), x)),
    Guarded("sqrt of a maximum", lambda f, x: f.sqrt(f.maximum(x, 0.25)), guards=False),
    Guarded("log of clip", lambda f, x: f.log(f.clip(x, 0.125, 1.0)), guards=False),
]  # fmt: skip
