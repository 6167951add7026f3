"""The samples of ops in dtypes other than the two that models are declared in, and in mixtures."""

from __future__ import annotations

from functools import cache
from itertools import cycle

import numpy as np

import graphc as gc
from graphc.errors import DTypeError
from tests.ops.cases import Array, Case, Convert, Model, applied

# A mixture gives its dtypes to the operands in turn.
MIXTURES = ("bool/float32", "float32/bool", "int64/float32", "float32/float64", "uint8/int32")
KINDS = {  # by the dtype of the graph
    "float16": ("float16",),
    "float32": ("int64", "int32", "uint8", "bool", *MIXTURES),
    "float64": ("int8",),
}


def as_kind(value: Array, kind: str) -> Array:
    """Floats as values of another dtype; rounded up, so that what is positive stays positive."""
    if kind.startswith("float"):
        return value.astype(kind)
    if kind == "bool":
        return np.asarray(value > 0.25)
    whole = np.ceil(value)
    return (np.abs(whole) if kind.startswith("u") else whole).astype(kind)


def to_kind(kind: str) -> Convert:
    """Floats as values of a dtype, or of those of a mixture in turn."""
    kinds = cycle(kind.split("/"))
    return lambda value: as_kind(value, next(kinds))


@cache
def of_kinds(case: Case, dtype: str) -> tuple[Model, dict[str, DTypeError]]:
    """The values of an op on operands of each kind, and the errors of the kinds that it refuses.

    One graph holds all kinds that belong to a dtype of graphs: one module is compiled for them.
    """
    model, refused = Model(gc.Graph(case.op.name, dtype=dtype)), {}
    for kind in KINDS[dtype]:
        try:
            results = applied(case, model, to_kind(kind))
        except DTypeError as error:
            refused[kind] = error
        else:
            model.outputs(f"{kind.replace('/', '_')}_", results)
    return model, refused
