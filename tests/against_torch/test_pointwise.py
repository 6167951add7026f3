"""Activations and elementwise losses beside PyTorch's, at ordinary and at extreme numbers."""

from __future__ import annotations

from typing import Any

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
    "erf": (gc.erf, lambda torch, x: torch.erf(x)),
    "erfc": (gc.erfc, lambda torch, x: torch.erfc(x)),
    "elu": (gc.elu, lambda torch, x: torch.nn.functional.elu(x)),
    "elu-0.3": (
        lambda x: gc.elu(x, alpha=0.3), lambda torch, x: torch.nn.functional.elu(x, alpha=0.3)
    ),
    "celu": (gc.celu, lambda torch, x: torch.nn.functional.celu(x)),
    "celu-2": (lambda x: gc.celu(x, 2), lambda torch, x: torch.nn.functional.celu(x, 2)),
    "selu": (gc.selu, lambda torch, x: torch.selu(x)),
    "leaky_relu-0.1": (
        lambda x: gc.leaky_relu(x, 0.1), lambda torch, x: torch.nn.functional.leaky_relu(x, 0.1)
    ),
    "leaky_relu": (gc.leaky_relu, lambda torch, x: torch.nn.functional.leaky_relu(x)),
    "shifted_relu": (gc.shifted_relu, lambda torch, x: torch.relu(x + 1) - 1),
    "hardtanh": (gc.hardtanh, lambda torch, x: torch.nn.functional.hardtanh(x)),
    "hardtanh-2..3": (
        lambda x: gc.hardtanh(x, -2, 3), lambda torch, x: torch.nn.functional.hardtanh(x, -2, 3)
    ),
    "relu6": (gc.relu6, lambda torch, x: torch.nn.functional.relu6(x)),
    # Not by hardsigmoid: PyTorch's own has a slope of float32(1/6), in float64 too.
    "hard_sigmoid": (gc.hard_sigmoid, lambda torch, x: torch.nn.functional.relu6(x + 3) / 6),
    "hard_swish": (gc.hard_swish, lambda torch, x: torch.nn.functional.hardswish(x)),
    "threshold": (
        lambda x: gc.threshold(x, 0.5, -2),
        lambda torch, x: torch.nn.functional.threshold(x, 0.5, -2),
    ),
    "silu": (gc.silu, lambda torch, x: torch.nn.functional.silu(x)),
    "mish": (gc.mish, lambda torch, x: torch.nn.functional.mish(x)),
    "gelu": (gc.gelu, lambda torch, x: torch.nn.functional.gelu(x)),
    "gelu-tanh": (
        lambda x: gc.gelu(x, approximate="tanh"),
        lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
    ),
    "softsign": (gc.softsign, lambda torch, x: torch.nn.functional.softsign(x)),
    "maxout": (
        lambda x: gc.maxout(x, 5 if x.ndim == 2 else 4),
        lambda torch, x: x.reshape(*x.shape[:-1], -1, 5 if x.ndim == 2 else 4).amax(-1),
    ),
}  # fmt: skip


def corners(rng: np.random.Generator) -> tuple[Array, ...]:
    return (np.array([-3.0, -1.0, -0.0, 0.0, 1.0, 3.0, 6.0]),)


def slopes(shape: tuple[int, ...], count: tuple[int, ...]) -> Any:
    return lambda rng: (rng.normal(size=shape), rng.normal(size=count))


def prelu(torch: Any, x: Any, slope: Any) -> Any:
    return torch.nn.functional.prelu(x, slope.reshape(-1))


CASES = [
    Case(f"{name}-{draw.__name__}", ours, theirs, draw)
    for name, (ours, theirs) in UNARY.items()
    for draw in (ordinary, extreme)
]
CASES += [
    Case(f"{name}-corners", *UNARY[name], corners)
    for name in ("relu", "elu", "elu-0.3", "celu-2", "selu", "leaky_relu-0.1", "hardtanh", "relu6",
                 "hard_sigmoid", "hard_swish", "shifted_relu", "softsign", "gelu", "mish")
]  # fmt: skip
CASES += [
    Case(f"prelu-{len(shape)}-{count}", gc.prelu, prelu, slopes(shape, count))
    for shape, count in (((4,), ()), ((3, 4), (4,)), ((2, 3, 2, 2), (3,)), ((2, 3), (1,)))
]


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@in_every_style
@over(CASES)
def test_float32_is_as_accurate(case: Case, style: str) -> None:
    is_accurate(case, style)
