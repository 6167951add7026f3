"""The cases of `tests/data/stability.json`: formulas as users write them, and what they come to.

An expression is one string that reads the same for every library: it is evaluated on that library's
functions. The file is our own and made by `tests/data/make_stability.py`, so `eval` is no risk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

PATH = Path(__file__).parent / "data" / "stability.json"
RTOL_ULP = 64  # in units of the dtype's eps, where a case does not say otherwise

Numbers: TypeAlias = Any  # a float, or lists of them
Functions: TypeAlias = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Case:
    """One formula at one point.

    gradient    of the value, or of the sum of its elements, by the inputs named here
    source      where the gradient comes from: "mp.diff" or "closed form"
    why         what a closed form rests on, or why a tolerance is another one
    dtypes      those that can hold the point and the results
    in_domain   NumPy has no reason to warn
    scalar      every value is a scalar
    table       the row of README's table that the case belongs to, or 0
    accept      bounds that hold for every valid convention at a kink: for each input the least and
                the largest derivatives, and what they add up to, where that is certain
    rtol_ulp, atol_ulp    tolerances in units of the dtype's eps
    peers       what PyTorch and JAX find, where that is wrong
    """

    name: str
    group: str
    expression: str
    inputs: dict[str, Numbers]
    value: Numbers
    gradient: dict[str, Numbers]
    source: str
    dtypes: tuple[str, ...]
    in_domain: bool
    scalar: bool
    why: str = ""
    table: int = 0
    accept: dict[str, dict[str, Numbers]] = field(default_factory=dict)
    rtol_ulp: float = RTOL_ULP
    atol_ulp: float = 0
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)


def encoded(value: Any) -> Any:
    """With names for the floats that JSON has no spelling for, or that readers of it may lose."""
    if isinstance(value, Mapping):
        return {key: encoded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(inner) for inner in value]
    if isinstance(value, float):
        lost = not np.isfinite(value) or (value == 0 and np.signbit(value))
        return str(value) if lost else value
    return value


def decoded(value: Any) -> Any:
    """The floats again."""
    if isinstance(value, Mapping):
        return {key: decoded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [decoded(inner) for inner in value]
    return float(value) if isinstance(value, (int, float)) or value in SPELLED else value


SPELLED = ("inf", "-inf", "nan", "-0.0")
DECODED = ("inputs", "value", "gradient", "accept", "peers")


@cache
def table() -> tuple[str, ...]:
    """The rows of README's table."""
    return tuple(json.loads(PATH.read_text(encoding="utf-8"))["table"])


@cache
def cases() -> tuple[Case, ...]:
    """All cases."""
    read = json.loads(PATH.read_text(encoding="utf-8"))["cases"]
    return tuple(
        Case(**{
            key: decoded(value) if key in DECODED else tuple(value) if key == "dtypes" else value
            for key, value in case.items()
        })
        for case in read
    )  # fmt: skip


def evaluated(expression: str, functions: Functions, inputs: Mapping[str, Any]) -> Any:
    """An expression of ours on the functions of a library."""
    return eval(expression, {**functions, **inputs})


def close(found: Any, wanted: Numbers, dtype: Any, rtol_ulp: float, atol_ulp: float) -> Any:
    """Where numbers agree. Zeros, infinities and NaN are exact; below the normal numbers of the
    dtype there are no 64 ulp to be off by, so there the smallest normal number is the tolerance.
    """
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    kind = np.finfo(dtype)
    tolerance = rtol_ulp * float(kind.eps) * np.abs(wanted) + atol_ulp * float(kind.eps)
    tolerance += np.where(wanted == 0, 0, float(kind.tiny))
    with np.errstate(invalid="ignore"):
        near = np.abs(found - wanted) <= tolerance
    exact = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    return np.where(np.isfinite(wanted), near, exact)
