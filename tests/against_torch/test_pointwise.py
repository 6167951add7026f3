"""Activations and elementwise losses beside PyTorch's, at ordinary and at extreme numbers."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import Array, Case, agrees, is_accurate, over
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance


def ordinary(rng: np.random.Generator) -> tuple[Array, ...]:
    return (rng.normal(size=(4, 5)) * 2,)


def extreme(rng: np.random.Generator) -> tuple[Array, ...]:
    ends = np.array([1e-30, 1e-8, 1e-3, 20.0, 90.0, 1e3, 1e4])
    return (np.concatenate([-ends, ends, rng.normal(size=6)]),)


UNARY = {
    "relu": (gc.relu, lambda torch, x: torch.relu(x)),
    "sigmoid": (gc.sigmoid, lambda torch, x: torch.sigmoid(x)),
    "tanh": (gc.tanh, lambda torch, x: torch.tanh(x)),
    "softplus": (gc.softplus, lambda torch, x: torch.nn.functional.softplus(x)),
    "log_sigmoid": (gc.log_sigmoid, lambda torch, x: torch.nn.functional.logsigmoid(x)),
}

CASES = [
    Case(f"{name}-{draw.__name__}", ours, theirs, draw)
    for name, (ours, theirs) in UNARY.items()
    for draw in (ordinary, extreme)
]


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@in_every_style
@over(CASES)
def test_float32_is_as_accurate(case: Case, style: str) -> None:
    is_accurate(case, style)
