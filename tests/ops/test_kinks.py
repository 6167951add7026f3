"""Derivatives exactly at the kinks: DESIGN.md's table of conventions, as numbers.

Each row gives operands, and for each convention the cotangent of every operand for cotangents of
ones. What is an operand by itself in NumPy's sense is one here: the axes of `max` are an option.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from graphc.ir.op import FUNCTIONS, KINKS, OPS
from tests.styles import in_every_style, load


class Row(NamedTuple):
    """An op at a kink."""

    op: str
    operands: tuple[Any, ...]
    torch: tuple[Any, ...]
    jax: tuple[Any, ...]
    textbook: tuple[Any, ...]
    options: dict[str, Any] = {}  # noqa: RUF012

    def __str__(self) -> str:
        return f"{self.op}{self.operands}{self.options or ''}"


# Two maxima of a row of three; the maximum of everything occurs three times.
TIED = [[1.0, 5.0, 5.0], [5.0, 0.0, -1.0]]
HALVES, FIRSTS = [[0, 0.5, 0.5], [1, 0, 0]], [[0, 1, 0], [1, 0, 0]]
THIRDS, FIRST = [[0, 1 / 3, 1 / 3], [1 / 3, 0, 0]], [[0, 1, 0], [0, 0, 0]]
TABLE = [
    Row("relu", ([-1.0, 0.0, 1.0],), ([0, 0, 1],), ([0, 0, 1],), ([0, 1, 1],)),
    Row("relu", (-0.0,), (0,), (0,), (1,)),
    Row("abs", ([-2.0, 0.0, 2.0],), ([-1, 0, 1],), ([-1, 1, 1],), ([-1, 0, 1],)),
    Row("abs", (-0.0,), (0,), (1,), (0,)),
    Row("maximum", ([0.0, 1.0, 2.0], 1.0),
        ([0, 0.5, 1], 1.5), ([0, 0.5, 1], 1.5), ([0, 1, 1], 1)),
    Row("maximum", ([-1.0, 0.0], [1.0, -0.0]),
        ([0, 0.5], [1, 0.5]), ([0, 0.5], [1, 0.5]), ([0, 1], [1, 0])),
    Row("minimum", ([0.0, 1.0, 2.0], 1.0),
        ([1, 0.5, 0], 1.5), ([1, 0.5, 0], 1.5), ([1, 1, 0], 1)),
    Row("max", (TIED,), (HALVES,), (HALVES,), (FIRSTS,), {"axis": 1}),
    Row("max", (TIED,), (HALVES,), (HALVES,), (FIRSTS,), {"axis": -1, "keepdims": True}),
    Row("max", (TIED,), (THIRDS,), (THIRDS,), (FIRST,)),
    Row("max", (TIED,), (THIRDS,), (THIRDS,), (FIRST,), {"axis": (1, 0)}),
    Row("max", (7.0,), (1,), (1,), (1,)),
    Row("min", (np.negative(TIED),), (HALVES,), (HALVES,), (FIRSTS,), {"axis": 1}),
    Row("min", (np.negative(TIED),), (THIRDS,), (THIRDS,), (FIRST,), {"keepdims": True}),
    # Overlapping windows, each of which sends its cotangent to its first maximum.
    Row("max_pool1d", ([[[2.0, 2.0, 1.0, 1.0, 1.0]]],),
        *[([[[1, 1, 1, 1, 0]]],)] * 3, {"kernel": 2, "stride": 1}),
    Row("max_pool2d", ([[[[1.0, 3.0], [3.0, 3.0]]]],),
        *[([[[[0, 1], [0, 0]]]],)] * 3, {"kernel": 2}),
    Row("max_pool2d", ([[[[0.0, -0.0], [0.0, 0.0]]]],),
        *[([[[[1, 1], [1, 1]]]],)] * 3, {"kernel": 2, "padding": 1}),
    Row("global_max_pool", ([[[1.0, 3.0, 3.0]]],), *[([[[0, 1, 0]]],)] * 3),
    # Below, at the lower bound, inside, at the upper bound, above.
    Row("clip", ([-2.0, -1.0, 0.0, 1.0, 2.0], -1.0, 1.0),
        ([0, 1, 1, 1, 0], 1, 1), ([0, 0.5, 1, 0.5, 0], 1.5, 1.5), ([0, 1, 1, 1, 0], 1, 1)),
    # Where no convention differs: the middle of all slopes, and that of the left.
    Row("norm", ([[0.0, -0.0], [3.0, 4.0]],),
        *[([[0, 0], [0.6, 0.8]],)] * 3, {"axis": 1}),
    Row("norm", (0.0,), (0,), (0,), (0,)),
    Row("hypot", ([0.0, 3.0], [0.0, 4.0]), *[([0, 0.6], [0, 0.8])] * 3),
    Row("atan2", ([0.0, 0.0], [0.0, 2.0]), *[([0, 0.5], [0, 0])] * 3),
    Row("leaky_relu", ([-1.0, 0.0, 1.0],),
        ([0.1, 0.1, 1],), *[([0.1, 1, 1],)] * 2, {"slope": 0.1}),
    Row("shifted_relu", ([-2.0, -1.0, 0.0], -1.0),
        ([0, 0, 1], 2), ([0, 0, 1], 2), ([0, 1, 1], 1)),
    Row("hardtanh", ([-2.0, -1.0, 0.0, 1.0, 2.0], -1.0, 1.0), *[([0, 0, 1, 0, 0], 2, 2)] * 3),
    Row("hard_swish", ([-3.0, 0.0, 3.0],), *[([0, 0.5, 1],)] * 3),
    Row("prelu", ([-1.0, 0.0, 2.0], 0.25),
        ([0.25, 0.25, 1], -1), *[([0.25, 1, 1], -1)] * 2),
    Row("elu", ([0.0, 1.0], 2.0), *[([2, 1], 0)] * 2, ([1, 1], 0)),
    Row("elu", ([0.0, 1.0],), *[([1, 1],)] * 3),
]  # fmt: skip


def compiled(row: Row, kinks: str, forward: bool, style: str) -> list[np.ndarray[Any, Any]]:
    """The cotangents for a cotangent of ones, or the sums of tangents along each operand."""
    feeds = {f"x{i}": np.array(value, "float64") for i, value in enumerate(row.operands)}
    with gc.Graph("kink", dtype="float64") as g:
        xs = [g.input(name, value.shape) for name, value in feeds.items()]
        y = FUNCTIONS[row.op](*xs, **row.options)
        if not forward:
            bars = gc.vjp(y, xs)
        else:
            bars = [
                gc.stack([gc.jvp(y, x, unit).sum() for unit in units(feed.shape)]).reshape(x.shape)
                for x, feed in zip(xs, feeds.values(), strict=True)
            ]
        for i, bar in enumerate(bars):
            g.output(f"bar{i}", bar)
    module = load(g, style=style, kinks=kinks, inference=True)
    wanted = inspect.signature(module.predict).parameters  # none where the derivative is constant
    result = module.predict(**{name: feed for name, feed in feeds.items() if name in wanted})
    return list(result) if len(bars) > 1 else [result]


def units(shape: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    """The directions of single elements."""
    size = int(np.prod(shape))
    return [row.reshape(shape) for row in np.eye(size)]


@in_every_style
@pytest.mark.parametrize("forward", [False, True], ids=["vjp", "jvp"])
@pytest.mark.parametrize("kinks", KINKS)
@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_derivative_at_a_kink(row: Row, kinks: str, forward: bool, style: str) -> None:
    bars = compiled(row, kinks, forward, style)
    for bar, expected in zip(bars, getattr(row, kinks), strict=True):
        assert bar.shape == np.shape(expected)
        np.testing.assert_allclose(bar, expected, rtol=1e-15)


@pytest.mark.parametrize("kinks", KINKS)
@in_every_style
def test_one_option_holds_for_backward_too(kinks: str, style: str) -> None:
    with gc.Graph("kink", dtype="float64") as g:
        x = g.input("x", (2,))
        g.loss(gc.relu(x).sum() + gc.abs(x).sum())
    module = load(g, kinks=kinks, style=style)
    _, residuals = module.forward(np.zeros(2))
    slope = {"torch": 0.0, "jax": 1.0, "textbook": 1.0}[kinks]
    np.testing.assert_array_equal(module.backward(residuals)["x"], [slope, slope])


@pytest.mark.parametrize("kinks", KINKS)
def test_the_docstring_states_the_conventions_that_were_used(kinks: str) -> None:
    with gc.Graph("kink") as g:
        x = g.input("x", (2,))
        g.loss(gc.relu(x).sum())
    source = gc.compile(g, kinks=kinks).source
    relu = OPS["relu"].kink
    assert relu is not None
    assert relu[kinks] in source
    assert "abs'" not in source


def test_an_unknown_convention_is_refused() -> None:
    with gc.Graph("kink") as g:
        g.loss(g.input("x"))
    with pytest.raises(UsageError, match="torch, jax, textbook, got 'tensorflow'"):
        gc.compile(g, kinks="tensorflow")
