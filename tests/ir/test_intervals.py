"""What is told of values before anything runs holds for all that can be computed."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.intervals import (
    EVERYWHERE,
    MODERATE,
    NOT_ZERO,
    POSITIVE,
    Domain,
    Interval,
    interval_of,
    may_be_infinite,
    unsafe_operands,
)
from graphc.ir.op import OPS
from graphc.lower.interpreter import interpret
from graphc.lower.program import lower
from graphc.passes.driver import Report, normalize
from graphc.passes.expand import EXPAND_RULES
from graphc.passes.pipeline import table

inf, nan = np.inf, np.nan
INTERVALS = [(-2.0, 3.0), (0.0, 0.0), (0.0, 2.5), (-1.5, 0.0), (1e-3, 5.0), (-4.0, -0.25),
             (-1.0, 1.0), (-800.0, 900.0), (0.0, inf), (-inf, -1.0), (-inf, inf)]  # fmt: skip
ELEMENTWISE = [op for op in OPS.values() if op.bounds is not None and op.family == "elementwise"]
OTHERS = [op for op in OPS.values() if op.bounds is not None and op.family != "elementwise"
          and op.samples]  # fmt: skip
HAZARDOUS = [op for op in OPS.values() if op.finite is not None]


def within(low: float, high: float, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Numbers of an interval, its ends among them."""
    inner = rng.uniform(max(low, -1e3), min(high, 1e3), 7)
    near = [v for v in (0.0, -0.0, 1.0, -1.0, 5e-324) if low <= v <= high]
    return np.array([low, high, *near, *inner])


def value(node: gc.Node) -> Any:
    """What a node of constants comes to."""
    (node,) = normalize([node], table(EXPAND_RULES, len(OPS)), Report())
    program = lower("value", [], [node])
    with np.errstate(all="ignore"):
        return interpret(program, {})[node]


def assert_holds(node: gc.Node, slack: float = 1e-15) -> None:
    found, told = np.asarray(value(node), float), interval_of(node)
    numbers = found[~np.isnan(found)]
    assert (numbers >= told.low - slack * abs(told.low) - slack).all(), (told, numbers.min())
    assert (numbers <= told.high + slack * abs(told.high) + slack).all(), (told, numbers.max())


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_results_lie_in_the_interval(op: Any) -> None:
    rng = np.random.default_rng(1)
    floats = [name for name in op.operands if name != "condition"]
    for ends in itertools.product(INTERVALS, repeat=len(floats)):
        if op.name in ("clip", "hardtanh") and ends[1][1] > ends[2][0]:
            continue  # low is at most high
        with gc.Graph("bounds", dtype="float64") as graph:
            draws = iter([within(*pair, rng) for pair in ends])
            grids = []
            for name in op.operands:
                chosen = np.array([True, False])
                grids.append(chosen if name == "condition" else next(draws))
            arrays = np.meshgrid(*grids)
            with graph.quiet():
                node = op.node(tuple(graph.constant(a.ravel()) for a in arrays))
                assert_holds(node)


@pytest.mark.parametrize("op", OTHERS, ids=lambda op: op.name)
def test_results_of_reductions_and_the_rest_lie_in_the_interval(op: Any) -> None:
    rng = np.random.default_rng(2)
    for sample, sign, shift in itertools.product(op.samples, (1, -1), (-3.0, 0.0, 3.0)):
        (x, *rest), options = sample(rng)
        with gc.Graph("bounds", dtype="float64") as graph:
            if isinstance(x, np.ndarray):
                x = graph.constant(sign * np.abs(x) + shift)
            rest = [graph.constant(v) if isinstance(v, np.ndarray) else v for v in rest]
            assert_holds(op(x, *rest, **options))


VIEWS = [
    lambda x: gc.reshape(x, (3, 2)),
    lambda x: gc.permute_dims(x, (1, 0)),
    lambda x: gc.expand_dims(x, 1),
    lambda x: x[0, ::-1],
    lambda x: gc.broadcast_to(x, (4, 2, 3)),
    lambda x: x.astype("float32").astype("float64"),
    lambda x: (x > 1).astype("float64"),
]


@pytest.mark.parametrize("view", VIEWS)
def test_views_and_casts_keep_the_interval(view: Any) -> None:
    with gc.Graph("views", dtype="float64") as graph:
        assert_holds(view(graph.constant(np.array([[1.0, -2.0, 0.5], [3.0, 0.0, 1.5]]))), 1e-6)


def test_intervals_of_compositions() -> None:
    with gc.Graph("compositions", dtype="float64") as graph:
        x, c = graph.input("x", (3,)), graph.input("c", (3,), dtype="bool")
        known = {
            gc.exp(x) + 1: (1, inf),
            1 / (1 + gc.exp(-x)): (0, 1),
            gc.square(x) + 1e-5: (1e-5, inf),
            gc.mean(gc.square(x)) + 1e-5: (1e-5, inf),
            2 - 3 * gc.sigmoid(x): (-1, 2),
            gc.abs(x) * -2.0: (-inf, 0),
            gc.where(c, gc.exp(x), 0.5): (0, inf),
            gc.clip(x, -1, 2): (-1, 2),
            gc.maximum(gc.tanh(x), 0.25): (0.25, 1),
            gc.log(gc.maximum(x, 1.0)): (0, inf),
            gc.sqrt(gc.relu(x)): (0, inf),
            x: (-inf, inf),
        }
        for node, interval in known.items():
            assert interval_of(node) == interval, node
        deep = gc.exp(x)
        for _ in range(9):
            deep = 1 * deep + 1
        assert interval_of(deep) == EVERYWHERE


def test_what_is_not_chosen_is_left_out() -> None:
    with gc.Graph("unless", dtype="float64") as graph:
        x = graph.input("x", (3,))
        condition = x > 0
        masked = gc.where(condition, x, 2.0)
        assert interval_of(masked) == EVERYWHERE
        assert interval_of(masked, (condition,)) == Interval(2, 2)
        assert interval_of(masked + 1, (condition,)) == Interval(3, 3)
        assert [i for i, _ in unsafe_operands(gc.log(masked))] == [0]
        assert unsafe_operands(gc.log(masked), (condition,)) == []
        other = x > 1
        assert [i for i, _ in unsafe_operands(gc.log(masked), (other,))] == [0]


def test_conditions_are_told_element_by_element() -> None:
    """A view or a sum has other elements than its operand, so the condition says nothing of it."""
    with gc.Graph("places", dtype="float64") as graph:
        x = graph.input("x", (3, 3))
        condition = x > 0
        masked = gc.where(condition, x, 0.0)
        for moved in (
            masked.T,
            masked[::-1],
            gc.sum(masked, 0),
            gc.mean(masked, 0),
            gc.max(masked),
        ):
            assert interval_of(moved, (condition,)) == EVERYWHERE
        log = gc.where(condition, gc.log(x), 0.0)
        assert not may_be_infinite(log, (condition,)) and may_be_infinite(log.T, (condition,))
        graph.loss(gc.sum(gc.where(condition, gc.square(gc.sqrt(gc.abs(x)) * masked.T), 0.0)))
    point = np.array([[1.0, 2.0, -1.0], [0.5, -2.0, 3.0], [4.0, -1.0, 1.5]])
    _, grads = gc.compile(graph).load().value_and_grad(point)
    other = np.where(point > 0, point, 0).T
    expected = np.where(point > 0, other**2 * np.sign(point), 0)
    expected += np.where(point > 0, (np.where(point > 0, np.abs(point), 0) * 2 * other).T, 0)
    np.testing.assert_allclose(grads["x"], expected, rtol=1e-13)


# --- domains ------------------------------------------------------------------------------------


def test_domains() -> None:
    assert POSITIVE.holds(Interval(0.1, inf)) and not POSITIVE.holds(Interval(0.0, 1.0))
    assert NOT_ZERO.holds(Interval(-2, -1)) and NOT_ZERO.holds(Interval(1e-300, inf))
    assert not NOT_ZERO.holds(Interval(-1, 1)) and not NOT_ZERO.holds(Interval(0, 0))
    assert MODERATE.holds(Interval(-inf, 9)) and not MODERATE.holds(Interval(-inf, 10))
    assert not any(domain.holds(EVERYWHERE) for domain in (POSITIVE, NOT_ZERO, MODERATE))


def inside(domain: Domain | None, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Numbers of moderate size in a domain, not at its ends."""
    low, high = (domain.low, domain.high) if domain is not None else (-3.0, 3.0)
    numbers = rng.uniform(max(low, -8.0), min(high, 8.0), 60)
    known = [] if domain is None else [domain.inside]
    numbers = numbers[np.abs(numbers - max(low, -8.0)) > 0.05]
    numbers = numbers[(np.abs(numbers) > 0.05) & (np.abs(min(high, 8.0) - numbers) > 0.05)]
    return np.array([*known, *numbers])[:40]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("op", HAZARDOUS, ids=lambda op: op.name)
def test_value_and_slope_are_finite_in_the_domain(op: Any, dtype: str) -> None:
    rng = np.random.default_rng(3)
    exponents: list[float | None] = [None]
    if op.name == "pow":
        exponents = [None, 0.5, -0.5, 1.5, -1.0, -2.0, 2.0, 0.0]
    for exponent in exponents:
        with gc.Graph("domain", dtype=dtype) as graph:
            nodes = [
                graph.constant(exponent, dtype)
                if index and exponent is not None
                else graph.input(name, (40,))
                for index, name in enumerate(op.operands)
            ]
            y = op(*nodes)
            domains = op.finite(y)
            graph.output("y", y)
            graph.loss(gc.sum(y))
        arrays = [
            np.resize(inside(domain, rng), 40).astype(dtype)
            for node, domain in zip(nodes, domains, strict=True)
            if node.shape
        ]
        arrays = [a / 3 if op.name == "pow" and i else a for i, a in enumerate(arrays)]
        code = gc.compile(graph, stabilize=False).load()
        with np.errstate(all="raise", under="ignore"):
            result = code.predict(*arrays)
            residual = code.forward(*[a[...] for a in arrays])[-1]
            slopes = code.backward(residual)
        assert np.isfinite(result).all()
        assert all(np.isfinite(slope).all() for slope in slopes.values())


@pytest.mark.parametrize("op", HAZARDOUS, ids=lambda op: op.name)
def test_the_number_inside_is_inside(op: Any) -> None:
    with gc.Graph("inside", dtype="float64") as graph:
        node = op(*(graph.input(name, (3,)) for name in op.operands))
    for domain in op.finite(node):
        if domain is not None:
            assert domain.holds(Interval(domain.inside, domain.inside))


def test_unsafe_operands() -> None:
    with gc.Graph("unsafe", dtype="float64") as graph:
        x, y = graph.input("x", (3,)), graph.input("y", (3,))
        unsafe = {
            gc.log(x): [0],
            gc.log(gc.exp(x)): [0],  # which may vanish
            gc.log(gc.exp(x) + 1): [],
            gc.sqrt(gc.square(x) + 1e-5): [],
            gc.sqrt(gc.square(x)): [0],
            x / y: [1],
            x / (gc.abs(y) + 1): [],
            x / 2: [],
            x**2: [],
            x**0.5: [0],
            x**-1: [0],
            gc.pow(x, y): [0],
            gc.exp(x): [0],
            gc.exp(-gc.abs(x)): [],
            gc.exp(gc.minimum(x, 3.0)): [],
            gc.log1p(gc.exp(x)): [],
            gc.log1p(x): [0],
            gc.tanh(x): [],
        }
        for node, operands in unsafe.items():
            assert [index for index, _ in unsafe_operands(node)] == operands, node


def test_what_may_be_infinite() -> None:
    with gc.Graph("infinite", dtype="float64") as graph:
        x, c = graph.input("x", (3,)), graph.input("c", (3,), dtype="bool")
        assert may_be_infinite(gc.log(x)) and may_be_infinite(2 * gc.sqrt(x)[1:])
        assert may_be_infinite(gc.sum(1 / x))
        assert not may_be_infinite(x) and not may_be_infinite(gc.tanh(x) + gc.square(x))
        chosen = gc.where(c, gc.log(x), 0.0)
        assert may_be_infinite(chosen) and not may_be_infinite(chosen, unless=(c,))
