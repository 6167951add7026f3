"""The samples of ops in dtypes other than the two that models are declared in."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.ops.cases import Array, Case, Model, declare

KINDS = ("float16", "int64", "int32", "int8", "uint8", "bool")


def as_kind(value: Array, kind: str) -> Array:
    """Floats as values of another kind; rounded up, so that what is positive stays positive."""
    if kind == "float16":
        return value.astype(kind)
    if kind == "bool":
        return np.asarray(value > 0.25)
    whole = np.ceil(value)
    return (np.abs(whole) if kind.startswith("u") else whole).astype(kind)


@cache
def of_kind(case: Case, kind: str) -> Model:
    """The values of an op on operands of a kind. Raises DTypeError where the op refuses them."""
    dtype = kind if kind == "float16" else "float64"
    return declare(case, dtype, convert=lambda value: as_kind(value, kind))
