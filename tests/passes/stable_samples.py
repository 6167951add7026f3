"""Operands over the whole range of floats: where identities of real numbers break."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.passes.stable_cases import Case, as_tuple

COUNT = 240  # of operands of one kind


def ends(dtype: str) -> list[float]:
    """The numbers at which something begins or ends, of both signs."""
    info = np.finfo(dtype)
    limits = [np.log(float(info.max)), -np.log(float(info.tiny)), -np.log(float(info.eps))]
    sizes = [0.0, info.smallest_subnormal, info.tiny, info.eps, 0.5, 1.0, info.max, np.inf]
    around = [1 - float(info.eps), 1 + float(info.eps)]
    values = [*map(float, sizes), *around, *limits, 1000.0, 3.0]
    return [sign * value for value in values for sign in (1.0, -1.0)] + [np.nan]


def wide(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray[Any, Any]:
    """Numbers of every size, subnormal ones too."""
    info = np.finfo(dtype)
    exponents = rng.uniform(info.minexp - info.nmant, info.maxexp - 1, count)
    return signs(rng, count) * rng.uniform(1, 2, count) * 2.0 ** np.floor(exponents)


def ordinary(rng: np.random.Generator, count: int, dtype: str) -> np.ndarray[Any, Any]:
    """Numbers for which the functions here are neither 0 nor infinite nor constant."""
    largest = float(np.log(np.finfo(dtype).max))
    return signs(rng, count) * np.exp(rng.uniform(-9, np.log(largest), count))


def signs(rng: np.random.Generator, count: int) -> np.ndarray[Any, Any]:
    return rng.choice([1.0, -1.0], count)


def sampled(case: Case, dtype: str, seed: int = 7) -> list[tuple[float, ...]]:
    """Points over the whole range, those of the case among them; the same in every run."""
    rng = np.random.default_rng(seed)
    half = COUNT // 2
    with np.errstate(over="ignore", under="ignore"):
        if case.operands == 1:
            drawn = [ends(dtype), wide(rng, half, dtype), ordinary(rng, half, dtype)]
            points = [(v,) for v in np.concatenate(drawn)]
        else:
            x, y = ends(dtype), ends(dtype)
            grid = [(a, b) for a in x for b in y]
            chosen = rng.permutation(len(grid))[:half]
            kinds = [(wide, wide), (ordinary, ordinary), (wide, ordinary), (ordinary, wide)]
            pairs = [zip(f(rng, half // 2, dtype), g(rng, half // 2, dtype), strict=True)
                     for f, g in kinds]  # fmt: skip
            points = [grid[i] for i in chosen] + [pair for part in pairs for pair in part]
        points += case.at(dtype) + [as_tuple(point) for point in case.also]
        columns = zip(*points, strict=True)
        rounded = [np.array(column).astype(dtype).astype(float).tolist() for column in columns]
    return list(zip(*rounded, strict=True))
