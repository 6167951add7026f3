"""Embeddings beside PyTorch's: values and the gradient of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import Case, Draw, agrees, is_accurate, over
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance


def table_and_ids(rows: int, *shape: int) -> Draw:
    """A table, and ids of which some occur often and the last row at least once."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        ids = np.minimum(rng.integers(0, rows, shape), rng.integers(0, rows, shape))
        ids.flat[0] = rows - 1
        return rng.normal(size=(rows, 4)) * 100, ids

    return draw


CASES = [
    Case(
        f"{rows}-rows-{len(shape)}-axes-padding-{padding}",
        lambda table, ids, padding=padding: gc.embedding(table, ids, padding),
        lambda torch, table, ids, padding=padding: torch.nn.functional.embedding(
            ids, table, padding
        ),
        table_and_ids(rows, *shape),
    )
    # A small table has a product with one-hot rows in its gradient, a large one np.bincount.
    for rows in (5, 32, 33, 200)
    for shape in ((50,), (4, 5, 3))
    for padding in (None, 0, -1)
]


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@in_every_style
@over(CASES[::3])
def test_float32_is_as_accurate(case: Case, style: str) -> None:
    is_accurate(case, style)
