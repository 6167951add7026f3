"""Interpolation beside PyTorch's, in all modes that both have."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import Array, Case, Draw, agrees, is_accurate, over
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance

MODES = {1: ("linear", None), 2: ("bilinear", "bicubic"), 3: ("trilinear", None)}
SHAPES = {1: (2, 3, 7), 2: (2, 3, 5, 6), 3: (1, 2, 3, 4, 5)}
SIZES: dict[int, list[tuple[int, ...]]] = {
    1: [(11,), (3,), (1,)],
    2: [(10, 3), (1, 13), (5, 9), (15, 12)],
    3: [(6, 3, 7)],
}


def normal(shape: tuple[int, ...]) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[Array, ...]:
        return (rng.normal(size=shape),)

    return draw


def peer(*size: Any, **options: Any) -> Callable[..., Any]:
    return lambda torch, x: torch.nn.functional.interpolate(x, *size, **options)


def sized() -> Iterator[Case]:
    for rank, sizes in SIZES.items():
        for size, theirs, ours in itertools.product(sizes, MODES[rank], ("linear", "cubic")):
            if theirs is None or (theirs == "bicubic") != (ours == "cubic"):
                continue
            for corners in (False, True):
                # Of one element, PyTorch's middle is the first where corners are aligned.
                coordinates = "align_corners" if corners else "half_pixel"
                yield Case(
                    f"{theirs}-{size}-{coordinates}",
                    lambda x, size=size, mode=ours, coordinates=coordinates: gc.interpolate(
                        x, size, mode=mode, coordinates=coordinates
                    ),
                    peer(size, mode=theirs, align_corners=corners),
                    normal(SHAPES[rank]),
                )
        for size in sizes:
            yield Case(
                f"nearest-{size}", lambda x, size=size: gc.interpolate(x, size),
                peer(size, mode="nearest"), normal(SHAPES[rank]),
            )  # fmt: skip
            yield Case(
                f"nearest-exact-{size}",
                lambda x, size=size: gc.interpolate(
                    x, size, coordinates="half_pixel", rounding="round_prefer_ceil"
                ),
                peer(size, mode="nearest-exact"), normal(SHAPES[rank]),
            )  # fmt: skip


OTHERS = [
    *(
        Case(
            f"{theirs}-scale-{scale}",
            lambda x, scale=scale, mode=ours: gc.interpolate(x, scale=scale, mode=mode),
            peer(scale_factor=scale, mode=theirs),
            normal(SHAPES[2]),
        )
        for (theirs, ours), scale in itertools.product(
            [("nearest", "nearest"), ("bilinear", "linear"), ("bicubic", "cubic")],
            [(2.0, 3.0), (1.5, 0.7), (1.0, 0.5)],
        )
    ),
    *(
        Case(
            f"{theirs}-antialias-{size}",
            lambda x, size=size, mode=ours: gc.interpolate(
                x, size, mode=mode, cubic=-0.5, antialias=True, exclude_outside=True
            ),
            peer(size, mode=theirs, antialias=True),
            normal(SHAPES[2]),
        )
        for (theirs, ours), size in itertools.product(
            [("bilinear", "linear"), ("bicubic", "cubic")], [(2, 3), (10, 4), (1, 1)]
        )
    ),
]
CASES = [*sized(), *OTHERS]


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@over(CASES)
def test_float32_is_as_accurate(case: Case) -> None:
    is_accurate(case, "functional")
