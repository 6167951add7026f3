"""Formulas that fail as written: for each STABILIZE rule one, and what it comes to on paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

import graphc as gc


@dataclass(frozen=True)
class Stable:
    """A formula in graphc, in plain NumPy and in mpmath, and a vector on which NumPy fails.

    exact   takes and returns a list of mpmath numbers
    """

    build: Callable[[gc.Node], gc.Node]
    numpy: Callable[[np.ndarray[Any, Any]], Any]
    exact: Callable[[list[Any]], list[Any]]
    x: tuple[float, ...]


def exact_softmax(x: list[Any]) -> list[Any]:
    exps = [mp.exp(v) for v in x]
    return [e / mp.fsum(exps) for e in exps]


STABLE_CASES = {
    "log(softmax(x)) = log_softmax(x)": [
        Stable(
            lambda x: gc.log(gc.softmax(x)),
            lambda x: np.log(np.exp(x - x.max()) / np.exp(x - x.max()).sum()),
            lambda x: [mp.log(p) for p in exact_softmax(x)],
            (-800.0, 3.0, 2.5, 0.1),
        ),
    ],
    "log(sum(exp(x))) = logsumexp(x)": [
        Stable(
            lambda x: gc.log(gc.sum(gc.exp(x), keepdims=True)),
            lambda x: np.log(np.exp(x).sum(keepdims=True)),
            lambda x: [mp.log(mp.fsum(map(mp.exp, x)))],
            (1000.0, 1001.5, 999.0, -3.0),
        ),
        Stable(
            lambda x: gc.log(gc.exp(x).sum(axis=0)).reshape(1),
            lambda x: np.log(np.exp(x).sum(axis=0)).reshape(1),
            lambda x: [mp.log(mp.fsum(map(mp.exp, x)))],
            (-1000.0, -1001.5, -999.0, -2000.0),
        ),
    ],
}
