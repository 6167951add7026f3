"""Depth and size: nothing in graphc recurses over a graph, and large ones stay cheap to keep."""

from __future__ import annotations

import gc as collector
import sys
import tracemalloc

import numpy as np
import pytest

import graphc as gc
from graphc.self_test import MAX_STATEMENTS


def chain(rounds: int) -> gc.Graph:
    """y = sin(y) * y + x, round after round: three nodes each, one on top of the other."""
    with gc.Graph("chain", dtype="float64") as g:
        x = g.input("x")
        y = x
        for _ in range(rounds):
            y = gc.sin(y) * y + x
        g.loss(y)
    return g


def expected(rounds: int, x: float) -> tuple[float, float]:
    """Value and derivative of the chain, forward by hand."""
    y, dy = x, 1.0
    for _ in range(rounds):
        y, dy = np.sin(y) * y + x, (np.cos(y) * y + np.sin(y)) * dy + 1
    return y, dy


def check(module: gc.Module, rounds: int) -> None:
    """The gradient of a compiled chain against the one by hand."""
    loss, grads = module.load().value_and_grad(np.float64(0.1))
    value, slope = expected(rounds, 0.1)
    assert loss == pytest.approx(value, rel=1e-12)
    assert grads["x"] == pytest.approx(slope, rel=1e-12)


def test_a_deep_chain_has_the_right_gradient() -> None:
    rounds = 2_000
    assert 3 * rounds > sys.getrecursionlimit()
    check(gc.compile(chain(rounds)), rounds)


@pytest.mark.conformance
def test_a_chain_of_a_hundred_thousand_nodes_has_the_right_gradient() -> None:
    rounds = 33_334
    graph = chain(rounds)
    assert len(graph.nodes) > 100_000
    check(gc.compile(graph), rounds)


def test_compiling_takes_little_memory_for_each_node() -> None:
    gc.compile(chain(3))
    tracemalloc.start()
    try:
        lowered = gc.compile(chain(1_000)).lowered
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lowered.forward is not None
    assert lowered.backward is not None
    assert peak < 4_000 * (len(lowered.forward.order) + len(lowered.backward.order))


def test_large_modules_have_no_self_test() -> None:
    statements = 9  # forward and backward, a round
    small, large = MAX_STATEMENTS // statements - 1, MAX_STATEMENTS // statements + 2
    assert "def self_test" in gc.compile(chain(small)).source
    compiled = gc.compile(chain(large))
    assert "self_test" not in compiled.source
    assert compiled.lowered.self_test is None
    check(compiled, large)


def test_the_collector_runs_again_after_a_compilation_and_after_an_error() -> None:
    gc.compile(chain(3))
    assert collector.isenabled()
    with pytest.raises(gc.GraphcError):
        gc.compile(gc.Graph("empty"))
    assert collector.isenabled()
    collector.disable()
    try:
        gc.compile(chain(3))
        assert not collector.isenabled()
    finally:
        collector.enable()
