"""Graphs in a line: what named results come to for given arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import graphc as gc
from graphc.ir.verify import verify
from tests.styles import predicted

Nodes: TypeAlias = dict[str, gc.Node]


def values(build: Callable[..., Nodes], dtype: str = "float64", **arrays: Any) -> dict[str, Any]:
    """What the named results of a graph come to; its arguments are those of `build`."""
    with gc.Graph("case", dtype=dtype) as graph:
        nodes = {n: graph.input(n, np.shape(a), np.asarray(a).dtype) for n, a in arrays.items()}
        results = build(**nodes)
        for name, node in results.items():
            graph.output(name, node)
    given = {name: np.asarray(array) for name, array in arrays.items()}
    found = predicted(graph, given, after_pass=lambda name, f: verify(f))
    return dict(zip(results, found if len(results) > 1 else [found], strict=True))


def near(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-13)
    assert np.shape(actual) == np.shape(expected)
