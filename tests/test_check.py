"""Derived gradients against central differences: what is right passes, what is wrong does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.check import DIRECTIONS, MAX_COORDINATES, check
from graphc.errors import DifferentiationError, ShapeError, UsageError
from graphc.ir.op import OPS
from tests.golden.models import MODELS


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mlp_inference"])
def test_models_agree_with_differences(name: str) -> None:
    graph = MODELS[name][0]()
    trained = [n for n, p in graph.parameters.items() if p.trainable]
    rows = check(graph)
    assert [row.name for row in rows] == (trained or list(graph.inputs))
    for row in rows:
        assert row.ok and row.error < 1e-7, row


@pytest.mark.parametrize("seed", range(3))
def test_other_points_agree_too(seed: int) -> None:
    assert all(row.error < 1e-7 for row in check(MODELS["mlp"][0](), seed=seed))


@contextmanager
def derivative(name: str, change: Callable[[gc.Node], gc.Node]) -> Iterator[None]:
    """In here, the derivative of an op is another one."""
    op, rule = OPS[name], OPS[name].vjp
    assert rule is not None

    def changed(index: int, bar: gc.Node, node: gc.Node, kinks: str) -> gc.Node | None:
        right = rule(index, bar, node, kinks)
        return None if right is None else change(right)

    object.__setattr__(op, "vjp", changed)  # an op is frozen for everyone else
    try:
        yield
    finally:
        object.__setattr__(op, "vjp", rule)


def layers() -> gc.Graph:
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 5))
        V = g.parameter("V", (5, 4), init="normal")
        W = g.parameter("W", (4,), init="normal")
        h = gc.tanh(x @ V)
        g.loss((gc.sin(h @ W) ** 2).mean())
    return g


WRONG: dict[str, Callable[[gc.Node], gc.Node]] = {
    "a factor": lambda g: g * 1.0001,
    "a sign": lambda g: -g,
    "a term": lambda g: g + 1e-3,
    "nothing": lambda g: g * 0,
    "NaN": lambda g: g * np.nan,
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_derivative_is_found_where_it_is(what: str) -> None:
    """tanh stands between V and the loss, sin behind both."""
    with derivative("tanh", WRONG[what]):
        verdicts = {row.name: row.ok for row in check(layers())} if what != "NaN" else None
        if what == "NaN":
            with pytest.raises(DifferentiationError, match="no arguments were found at which"):
                check(layers())
    assert verdicts in (None, {"V": False, "W": True})
    if what != "NaN":
        with derivative("sin", WRONG[what]):
            assert [row.ok for row in check(layers())] == [False, False]
    assert all(row.ok for row in check(layers()))


def test_rounding_is_not_taken_for_a_mistake() -> None:
    with derivative("tanh", lambda g: g * (1 + 1e-9)):
        assert all(row.ok for row in check(layers()))


def test_few_elements_are_checked_one_by_one() -> None:
    """A mistake in one element of many hides from no direction, but is small in each."""
    rows = {row.name: row for row in check(layers())}
    assert (rows["W"].shape, rows["W"].directions) == ("(4,)", 4)
    assert (rows["V"].shape, rows["V"].directions) == ("(5, 4)", DIRECTIONS)
    assert 4 <= MAX_COORDINATES < 20


def test_tolerance_decides() -> None:
    rows = check(layers(), tolerance=0.0)
    assert not any(row.ok for row in rows if row.error > 0)
    assert all(row.tolerance == 0 for row in rows)


VARIED: dict[str, Callable[[gc.Graph], Any]] = {
    "float16": lambda g: gc.exp(g.parameter("W", (3,), dtype="float16")).sum(),
    "positive arguments alone": lambda g: gc.log(g.parameter("W", (3,))).sum(),
    "arguments above one": lambda g: gc.sqrt(gc.log(g.parameter("W", (3,)))).sum(),
    "a kink": lambda g: gc.abs(gc.relu(g.parameter("W", (30,)) * 3) - 1).sum(),
    "a scalar": lambda g: g.parameter("W") ** 2,
    "no elements": lambda g: g.parameter("W", (0, 3)).sum(),
    "one class": lambda g: gc.cross_entropy(
        g.parameter("W", ("n", 1)) * 2, g.input("t", ("n",), dtype="int64")
    ),
    "a bool": lambda g: gc.where(g.input("b", (3,), dtype="bool"), g.parameter("W", (3,)), 0).sum(),
    "a state": lambda g: (g.parameter("W", (3,)) * g.state("s", (3,))).sum(),
    "named sizes": lambda g: (
        g.input("x", ("n", "m")) @ g.parameter("W", ("m", "k")) @ g.input("y", ("k", "n"))
    ).mean(),
    "a second derivative": lambda g: (
        gc.grad((gc.sin(w := g.parameter("W", (3,))) * w).sum(), w) ** 2
    ).sum(),
    "sizes that are large enough": lambda g: gc.sum(
        gc.max_pool1d(gc.conv1d(g.input("x", (1, 1, "w")), g.parameter("W", (1, 1, 5))), 3)
    ),
    "sizes that divide": lambda g: gc.maxout(g.parameter("W", ("n", "m")), 4).sum(),
    "a slope of 0": lambda g: gc.softmax(g.parameter("W", (1,)) + g.input("x", (3, 4)) * 30.0)[
        :, 0
    ].sum(),
    "an unstable formula": lambda g: gc.log(gc.exp(g.parameter("W", (3,)) * 9).sum()),
}


@pytest.mark.parametrize("what", VARIED)
def test_all_kinds_of_arguments(what: str) -> None:
    with gc.Graph("m") as g:
        g.loss(VARIED[what](g).astype("float32"))
    (row,) = check(g)
    assert row.name == "W" and row.ok, row


def test_sizes_that_no_module_has_are_told() -> None:
    with gc.Graph("m") as g:
        g.loss(gc.sum(g.input("x", ("w",))[::2] * np.ones(5000)))
    with pytest.raises(ShapeError, match=r"no small sizes were found at which 'm' runs; .* 5000"):
        check(g)


def test_several_outputs_are_weighted() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (3,))
        g.output("y", x * x)
        g.output("positive", x > 0)
        g.output("z", x.sum())
    assert [(row.name, row.ok) for row in check(g)] == [("x", True)]
    with derivative("multiply", lambda g: g * 2):
        assert [row.ok for row in check(g)] == [False]


def test_options_are_those_of_compile() -> None:
    graph = layers()
    assert [row.name for row in check(graph, wrt="x,W")] == ["x", "W"]
    assert [row.name for row in check(graph, freeze=["V"])] == ["W"]
    with pytest.raises(UsageError, match="wrt 'U' is no parameter"):
        check(graph, wrt="U")
    with gc.Graph("unused") as g:
        g.parameter("W", (3,))
        g.loss(g.input("x") * 2)
    with pytest.raises(DifferentiationError, match="is zero everywhere"):
        check(g)
    assert [row.ok for row in check(g, allow_unused=True)] == [True]


def test_the_graph_stays_as_it_is() -> None:
    graph = layers()
    before = gc.compile(layers()).source
    nodes = len(graph.nodes)
    check(graph)
    assert len(graph.nodes) == nodes
    assert gc.compile(graph).source == before
    assert graph.dtype.name == "float32"


def test_nothing_to_differentiate_is_told() -> None:
    with gc.Graph("ints") as g:
        g.output("y", g.input("x", (3,), dtype="int64") * 2)
    with pytest.raises(DifferentiationError, match="graph 'ints' has nothing to differentiate"):
        check(g)


def test_no_finite_point_is_told() -> None:
    with gc.Graph("nowhere") as g:
        x = g.input("x", (3,))
        g.output("y", gc.log(-gc.exp(x)))
    with pytest.raises(DifferentiationError, match="no arguments were found at which 'nowhere'"):
        check(g)
