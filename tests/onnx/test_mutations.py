"""Damaged models of all operators: each compiles, or is refused by an error of graphc's.

More of them: `python -m tests.onnx.mutations 600` looks for ten minutes.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

pytest.importorskip("onnx")

from tests.onnx import mutations
from tests.onnx.small_models import model, node, value


def test_torn_bytes_are_refused_or_read() -> None:
    made = model(
        [
            node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
            node("Relu", ["c"], ["r"]),
            node("Flatten", ["r"], ["y"]),
        ],
        [value("x", ("n", 2, 4, 4))],
        weights={"w": np.full((3, 2, 3, 3), 0.5, np.float32), "b": np.zeros(3, np.float32)},
    )
    ends = [mutations.ending(mutations.torn(made, random.Random(seed))) for seed in range(250)]
    assert ends.count("ModelError") > 50 and ends.count("compiled") > 20


@pytest.mark.conformance
@pytest.mark.parametrize("part", range(4))
def test_damaged_operators_are_refused_or_compiled(part: int) -> None:
    ends = [mutations.ending(made) for _, made in mutations.drawn(part, 300)]
    assert ends.count("compiled") > 50 and ends.count("ModelError") > 50
