"""Reading and writing by indices beside PyTorch's functions: values, and gradients at ties too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import Array, Case, Draw, agrees, is_accurate, over
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance


def normal(*shape: int) -> Callable[[np.random.Generator], Array]:
    return lambda rng: np.asarray(rng.normal(size=shape))


def tied(*shape: int) -> Callable[[np.random.Generator], Array]:
    """Few numbers, so that several are the largest; no zeros."""
    return lambda rng: np.asarray(rng.choice([-2.0, -1.0, 1.0, 2.0], shape))


def with_zeros(*shape: int) -> Callable[[np.random.Generator], Array]:
    """Numbers of which a third are 0."""
    return lambda rng: np.asarray(rng.normal(size=shape) * (rng.uniform(size=shape) > 0.3))


def indices(size: int, *shape: int) -> Callable[[np.random.Generator], Array]:
    return lambda rng: np.asarray(rng.integers(0, size, shape))


def each_once(size: int, rows: int, count: int) -> Callable[[np.random.Generator], Array]:
    """For each row some different indices."""
    return lambda rng: np.stack([rng.permutation(size)[:count] for _ in range(rows)])


def draws(*each: Callable[[np.random.Generator], Array]) -> Draw:
    return lambda rng: tuple(draw(rng) for draw in each)


def reduced(
    reduction: str, theirs: str, axis: int, *draw: Callable[[np.random.Generator], Array]
) -> Case:
    return Case(
        f"scatter_along_axis {reduction} {axis} {draw[0].__qualname__.split('.')[0]}",
        lambda x, index, updates: gc.scatter_along_axis(x, index, updates, axis, reduction),
        lambda torch, x, index, updates: x.scatter_reduce(axis, index, updates, theirs),
        draws(*draw),
    )


CASES = [
    Case(
        "take_along_axis", lambda x, i: gc.take_along_axis(x, i, 1),
        lambda torch, x, i: torch.gather(x, 1, i), draws(normal(3, 4), indices(4, 3, 7)),
    ),
    Case(
        "take", lambda x, i: gc.take(x, i, -1),
        lambda torch, x, i: x[..., i], draws(normal(2, 3, 40), indices(40, 4, 2)),
    ),
    Case(
        "take from the end", lambda x, i: gc.take(x, i - 5, 0),
        lambda torch, x, i: x[i - 5], draws(normal(5, 2), indices(5, 9)),
    ),
    Case(
        "gather_nd", gc.gather_nd,
        lambda torch, x, i: x[i[..., 0], i[..., 1]], draws(normal(4, 3, 2), indices(3, 5, 2)),
    ),
    Case(
        "gather_nd in a batch", lambda x, i: gc.gather_nd(x, gc.expand_dims(i, -1), 1),
        lambda torch, x, i: torch.stack([own[j] for own, j in zip(x, i, strict=True)]),
        draws(normal(4, 3, 2), indices(3, 4, 5)),
    ),
    Case(
        "scatter_along_axis", lambda x, i, u: gc.scatter_along_axis(x, i, u, 1),
        lambda torch, x, i, u: x.scatter(1, i, u),
        draws(normal(3, 6), each_once(6, 3, 4), normal(3, 4)),
    ),
    Case(
        "scatter_nd add", lambda x, i, u: gc.scatter_nd(x, i, u, "add"),
        lambda torch, x, i, u: x.index_put((i[:, 0], i[:, 1]), u, accumulate=True),
        draws(normal(4, 3, 2), indices(3, 7, 2), normal(7, 2)),
    ),
    reduced("add", "sum", 0, normal(4, 3), indices(4, 6, 3), normal(6, 3)),
    reduced("add", "sum", 2, normal(2, 3, 4), indices(4, 2, 2, 5), normal(2, 2, 5)),
    reduced("mul", "prod", 0, normal(4, 3), indices(4, 9, 3), normal(9, 3)),
    reduced("mul", "prod", 0, with_zeros(3, 3), indices(3, 6, 3), with_zeros(6, 3)),
    reduced("max", "amax", 1, normal(3, 4), indices(4, 3, 9), normal(3, 9)),
    reduced("max", "amax", 1, tied(3, 4), indices(4, 3, 9), tied(3, 9)),
    reduced("min", "amin", 0, tied(3, 4), indices(3, 9, 4), tied(9, 4)),
    Case("tile", lambda x: gc.tile(x, (2, 1, 3)), lambda torch, x: torch.tile(x, (2, 1, 3)),
         draws(normal(3, 4))),
    Case("repeat", lambda x: gc.repeat(x, 3, 0),
         lambda torch, x: torch.repeat_interleave(x, 3, 0), draws(normal(3, 4))),
    Case("repeat unevenly", lambda x: gc.repeat(x, [2, 0, 1], 0),
         lambda torch, x: torch.repeat_interleave(x, torch.tensor([2, 0, 1]), 0),
         draws(normal(3, 4))),
    Case("roll", lambda x: gc.roll(x, (1, -7), (0, 1)),
         lambda torch, x: torch.roll(x, (1, -7), (0, 1)), draws(normal(3, 4))),
    Case("flip", lambda x: gc.flip(x, (0, -1)), lambda torch, x: torch.flip(x, (0, -1)),
         draws(normal(3, 2, 4))),
    Case("moveaxis", lambda x: gc.moveaxis(x, (0, -1), (1, 0)),
         lambda torch, x: torch.moveaxis(x, (0, -1), (1, 0)), draws(normal(3, 2, 4))),
    Case("tril", lambda x: gc.tril(x, -1), lambda torch, x: torch.tril(x, -1),
         draws(normal(2, 3, 4))),
    Case("triu", lambda x: gc.triu(x, 1), lambda torch, x: torch.triu(x, 1),
         draws(normal(2, 4, 3))),
    Case("pad around", lambda x: gc.pad(x, ((0, 0), (0, 0), (3, 1)), "wrap"),
         lambda torch, x: torch.nn.functional.pad(x, (3, 1), mode="circular"),
         draws(normal(2, 2, 3))),
]  # fmt: skip


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@in_every_style
@over(CASES[:12])
def test_float32_is_as_accurate(case: Case, style: str) -> None:
    is_accurate(case, style)


@in_every_style
def test_a_scatter_of_many_edges_is_that_of_a_graph_network(style: str) -> None:
    """Features of 200 edges, added at 40 nodes: an index that is repeated along the features."""

    def summed(x: Any, index: Any, edges: Any) -> Any:
        wide = gc.broadcast_to(gc.expand_dims(index, 1), edges.shape)
        return gc.scatter_along_axis(x, wide, edges, 0, "add")

    case = Case(
        "edges", summed, lambda torch, x, index, edges: x.index_add(0, index, edges),
        draws(normal(40, 3), indices(40, 200), normal(200, 3)),
    )  # fmt: skip
    agrees(case, style)
