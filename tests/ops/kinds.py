"""The samples of ops in dtypes other than the two that models are declared in, and in mixtures."""

from __future__ import annotations

from functools import cache
from itertools import cycle

import numpy as np

from tests.ops.cases import Array, Case, Model, declare

# A mixture gives its dtypes to the operands in turn.
MIXTURES = ("bool/float32", "float32/bool", "int64/float32", "float32/float64", "uint8/int32")
KINDS = ("float16", "int64", "int32", "int8", "uint8", "bool", *MIXTURES)


def as_kind(value: Array, kind: str) -> Array:
    """Floats as values of another dtype; rounded up, so that what is positive stays positive."""
    if kind.startswith("float"):
        return value.astype(kind)
    if kind == "bool":
        return np.asarray(value > 0.25)
    whole = np.ceil(value)
    return (np.abs(whole) if kind.startswith("u") else whole).astype(kind)


@cache
def of_kind(case: Case, kind: str) -> Model:
    """The values of an op on operands of a kind. Raises DTypeError where the op refuses them."""
    dtype = {"float16": "float16", "int8": "float64"}.get(kind, "float32")
    kinds = cycle(kind.split("/"))
    return declare(case, dtype, convert=lambda value: as_kind(value, next(kinds)))
