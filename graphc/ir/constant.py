"""The values of constant nodes: plain arrays, told apart by their bits."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphcError, UnsupportedError
from graphc.ir.node import Node
from graphc.ir.types import as_dtype


def plain_array(value: object) -> np.ndarray[Any, Any]:
    """A declared value as an array of no subclass; it may share memory with the value.

    Raises DTypeError for what holds anything but bools, ints and floats, and for masked elements.
    """
    if np.ma.is_masked(value):
        raise DTypeError("masked elements of an array have no value", hint="use .filled(...)")
    try:
        array = np.asarray(value)
    except GraphcError:  # a node in it explains itself
        raise
    except (TypeError, ValueError) as error:
        raise DTypeError(f"{type(value).__name__} is no array: {error}") from None
    if array.dtype == object:
        if any(isinstance(element, Node) for element in array.flat):
            raise UnsupportedError("an array of nodes is no array", hint="use gc.stack")
        if all(isinstance(element, int) for element in array.flat):
            raise DTypeError("an int of more than 64 bits has no dtype", hint="write a float")
    if array.dtype.kind != "f":  # others convert to a float that is asked for
        as_dtype(array.dtype)
    return array


def unchangeable(array: np.ndarray[Any, Any], dtype: Any = None) -> np.ndarray[Any, Any]:
    """The values in a dtype and native byte order, in C layout, where nobody can change them.

    A view of a `bytes` object: of a new one, or of that which the array is a view of already, so
    that the weights of a file which is in memory are not held twice.
    """
    wanted = np.dtype(array.dtype if dtype is None else dtype).newbyteorder("=")
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    kept = isinstance(base, bytes) and array.flags.c_contiguous and array.flags.aligned
    if kept and array.dtype == wanted:
        return array
    with np.errstate(over="ignore"):
        content = np.asarray(array, wanted).tobytes()
    return np.ndarray(array.shape, wanted, buffer=content)


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """The value of a constant node, compared by dtype, shape and bits."""

    array: np.ndarray[Any, Any]
    key: tuple[str, tuple[int, ...], bytes]

    @staticmethod
    def of(array: np.ndarray[Any, Any]) -> Constant:
        """The constant of an array, which may be changed afterwards."""
        own = unchangeable(array)
        # Large values are read where they are: a copy of the weights of a network is a lot.
        data = own.tobytes() if own.nbytes <= 64 else hashlib.sha256(own.data).digest()
        return Constant(own, (own.dtype.name, own.shape, data))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self.key == other.key

    def __repr__(self) -> str:
        name, shape, data = self.key
        return f"{name}{shape}:{base64.b16encode(data).decode()}"
