"""Another float dtype: constants are what the user wrote, not what that was rounded to."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import CONSTANT
from graphc.ir.types import float64
from graphc.passes.precision import MAX_DECIMALS, with_dtype


@pytest.mark.parametrize(("size", "exact"), [(1, True), (4096, True), (4097, False)])
def test_constants_are_widened_by_their_decimals_unless_there_are_many(
    size: int, exact: bool
) -> None:
    assert MAX_DECIMALS == 4096
    with gc.Graph("constants") as g:
        g.output("y", g.input("x", (size,)) * np.full(size, 0.1, np.float32))
    (constant,) = (node for node in with_dtype(g, float64).nodes if node.op is CONSTANT)
    value = constant.params.data.array
    assert value.dtype == np.float64
    expected = 0.1 if exact else float(np.float32(0.1))
    np.testing.assert_array_equal(value, np.full(size, expected))
