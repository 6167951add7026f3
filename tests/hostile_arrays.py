"""Arrays of all kinds that mean the same, and some that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

X = np.arange(6, dtype=np.float32).reshape(2, 3) / 4 - 0.5
W = np.arange(12, dtype=np.float32).reshape(3, 4) / 8 - 0.75
LABELS = np.array([3, 0], dtype=np.int64)


class Subclass(np.ndarray[Any, Any]):
    """Multiplies otherwise than arrays do."""

    def __mul__(self, other: Any) -> Any:
        raise AssertionError("the subclass got inside")


class Convertible:
    """Says itself what it is as an array."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return X.astype(dtype or X.dtype)


def memory_mapped(value: Any, folder: Path) -> Any:
    np.save(folder / "value.npy", value)
    return np.load(folder / "value.npy", mmap_mode="r")


def read_only(value: Any, folder: Path) -> Any:
    own = value.copy()
    own.flags.writeable = False
    return own


def unaligned(value: Any, folder: Path) -> Any:
    return np.frombuffer(b"\0" + value.tobytes(), value.dtype, offset=1).reshape(value.shape)


def with_strides(value: Any, folder: Path) -> Any:
    wide = np.full((2 * value.shape[0], 3 * value.shape[1]), np.nan, value.dtype)
    wide[::2, ::3] = value
    return wide[::2, ::3]


KINDS: dict[str, Callable[[Any, Path], Any]] = {
    "plain": lambda value, folder: value,
    "big-endian": lambda value, folder: value.astype(value.dtype.newbyteorder(">")),
    "little-endian": lambda value, folder: value.astype(value.dtype.newbyteorder("<")),
    "Fortran": lambda value, folder: np.asfortranarray(value),
    "transposed": lambda value, folder: value.T.copy().T,
    "reversed": lambda value, folder: value[::-1].copy()[::-1],
    "strided": with_strides,
    "read-only": read_only,
    "unaligned": unaligned,
    "memory-mapped": memory_mapped,
    "float64": lambda value, folder: value.astype(np.float64),
    "longdouble": lambda value, folder: value.astype(np.longdouble),
    "list": lambda value, folder: value.tolist(),
    "list of arrays": lambda value, folder: list(value),
    "memoryview": lambda value, folder: memoryview(np.ascontiguousarray(value)),
    "matrix": lambda value, folder: np.matrix(value),
    "subclass": lambda value, folder: value.view(Subclass),
    "recarray": lambda value, folder: value.view(np.recarray),
    "masked, nothing is": lambda value, folder: np.ma.masked_array(value),
    "masked by False": lambda value, folder: np.ma.masked_array(value, np.zeros(value.shape, bool)),
}


def masked(value: Any) -> Any:
    return np.ma.masked_array(value, np.arange(value.size).reshape(value.shape) == 1)


def structured(value: Any) -> Any:
    return value.astype([("low", value.dtype), ("high", value.dtype)])


def objects(*values: Any) -> Any:
    """An array of just these objects."""
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array
