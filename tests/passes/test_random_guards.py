"""Random nests of choices between branches that do harm where they are not chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc as gc
from tests.passes.chosen import UndefinedError, evaluated
from tests.styles import functions, in_every_style

Formula: TypeAlias = Callable[..., Any]
POINTS = np.array([-3.0, -1.0, -0.5, 0.0, 0.0, 0.25, 0.5, 1.0, 2.0, 3.5])
GRAPHS, SIZE, INPUTS = 60, 6, 3


def shifted(part: Formula, by: float) -> Formula:
    return lambda f, *xs: part(f, *xs) + by


def guarded(rng: np.random.Generator, depth: int) -> Formula:
    """A hazard of a part, chosen where it does no harm."""
    u, v, other = (drawn(rng, depth - 1) for _ in range(3))
    bound = float(rng.choice([0.0, 0.125, 1.0]))
    hazards: list[tuple[Formula, Formula]] = [
        (lambda f, a, b: f.greater(a, bound), lambda f, a, b: f.log(a)),
        (lambda f, a, b: f.greater(a, bound), lambda f, a, b: f.sqrt(a)),
        (lambda f, a, b: f.greater(a, bound), lambda f, a, b: a**0.5 * b),
        (lambda f, a, b: f.greater(a, bound), lambda f, a, b: f.log(a) * f.sqrt(a)),
        (lambda f, a, b: f.not_equal(a, 0), lambda f, a, b: b / a),
        (lambda f, a, b: f.greater(f.abs(a), 0.1), lambda f, a, b: f.reciprocal(a)),
        (lambda f, a, b: f.logical_and(f.greater(a, 0.2), f.less(b, 3)), lambda f, a, b: a**b),
        (lambda f, a, b: f.less(a, 5), lambda f, a, b: f.exp(a)),
        (lambda f, a, b: f.greater(a, -0.9), lambda f, a, b: f.log1p(a)),
        (lambda f, a, b: f.greater(a, bound), lambda f, a, b: f.maximum(f.log(a), f.tanh(b))),
        (lambda f, a, b: f.not_equal(a, 0), lambda f, a, b: f.clip(1 / a, -2.0, 2.0)),
    ]
    condition, hazard = hazards[rng.integers(len(hazards))]
    swapped = rng.random() < 0.3

    def formula(f: Any, *xs: Any) -> Any:
        a, b = u(f, *xs), v(f, *xs)
        chosen = condition(f, a, b)
        if swapped:
            return f.where(f.logical_not(chosen), other(f, *xs), hazard(f, a, b))
        return f.where(chosen, hazard(f, a, b), other(f, *xs))

    return formula


def drawn(rng: np.random.Generator, depth: int) -> Formula:
    """A formula of vectors."""
    kind = rng.random()
    if depth <= 0 or kind < 0.1:
        which = int(rng.integers(INPUTS))
        return lambda f, *xs: xs[which]
    if kind < 0.65:
        return guarded(rng, depth)
    first, second = drawn(rng, depth - 1), drawn(rng, depth - 1)
    plain: list[Formula] = [
        lambda f, *xs: first(f, *xs) + second(f, *xs),
        lambda f, *xs: 0.5 * first(f, *xs) * f.tanh(second(f, *xs)),
        lambda f, *xs: f.sin(first(f, *xs)) - 0.25,
        lambda f, *xs: f.relu(first(f, *xs)) - second(f, *xs),
        lambda f, *xs: f.minimum(first(f, *xs), second(f, *xs) + 0.1),
        lambda f, *xs: first(f, *xs) - 0.125 * f.sum(second(f, *xs)),
        lambda f, *xs: f.reshape(f.permute_dims(f.reshape(first(f, *xs), (2, 3)), (1, 0)), (6,)),
        lambda f, *xs: f.concat([first(f, *xs)[3:], second(f, *xs)[:3]]),
    ]
    return plain[rng.integers(len(plain))]


def cases() -> list[Any]:
    """Formulas with points at which they are defined, and steep nowhere."""
    found: list[Any] = []
    seed = 0
    while len(found) < GRAPHS:
        rng = np.random.default_rng(seed)
        formula = drawn(rng, int(rng.integers(2, 5)))
        arrays = [rng.choice(POINTS, SIZE) for _ in range(INPUTS)]
        seed += 1
        try:
            value, slopes = evaluated(formula, *arrays)
        except (UndefinedError, OverflowError, ZeroDivisionError):
            continue
        size = max(np.abs(part).max() for part in (value, *slopes))
        if 0 < size < 1e6 and any(slope.any() for slope in slopes):
            found.append(pytest.param(formula, arrays, id=str(seed - 1)))
    return found


@in_every_style
@pytest.mark.parametrize(("formula", "arrays"), cases())
def test_random_choices(formula: Formula, arrays: list[Any], style: str) -> None:
    with gc.Graph("random", dtype="float64") as graph:
        nodes = [graph.input(f"x{i}", (SIZE,)) for i in range(INPUTS)]
        y = formula(gc, *nodes)
        graph.output("y", y)
        graph.loss(gc.sum(y) + sum(0 * gc.sum(node) for node in nodes))
    compiled = gc.compile(graph, style=style)
    code = functions(compiled)
    value, slopes = evaluated(formula, *arrays)
    with np.errstate(all="raise", under="ignore"):
        _, grads = code.value_and_grad(*arrays)
    program = compiled.lowered.predict
    assert program is not None
    read = [int(node.params.name[1:]) for node in program.arguments]
    with np.errstate(all="raise", under="ignore"):
        found = code.predict(*(arrays[i] for i in read))
    np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-12)
    for i, slope in enumerate(slopes):
        scale = max(1.0, float(np.abs(slope).max()))
        np.testing.assert_allclose(grads[f"x{i}"], slope, rtol=1e-10, atol=1e-11 * scale)
