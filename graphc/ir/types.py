"""Types of nodes: dtype and shape, and how they combine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent, Shape

BOOL, INT, FLOAT = 0, 1, 2


class DType:
    """One of the element types that graphc knows; each exists once, so compare with `is`."""

    __slots__ = ("itemsize", "kind", "name", "numpy")

    def __init__(self, name: str) -> None:
        self.name = name
        self.numpy = np.dtype(name)
        self.kind = {"b": BOOL, "i": INT, "u": INT, "f": FLOAT}[self.numpy.kind]
        self.itemsize = self.numpy.itemsize

    @property
    def source(self) -> str:
        """The dtype as Python source, by a name that every version of NumPy has."""
        return "np.bool_" if self.kind == BOOL else f"np.{self.name}"

    def __repr__(self) -> str:
        return self.name


DTYPES = {
    name: DType(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64"),
    )
}
_OF_NUMPY = {dtype.numpy: dtype for dtype in DTYPES.values()}  # NumPy works a dtype's name out
bool_, int64 = DTYPES["bool"], DTYPES["int64"]
float32, float64 = DTYPES["float32"], DTYPES["float64"]


def as_dtype(dtype: object) -> DType:
    """The DType meant by a name, a NumPy dtype or a Python type.

    Raises DTypeError for what graphc has no dtype for (complex, object, strings, records).
    """
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, np.dtype) and dtype in _OF_NUMPY:
        return _OF_NUMPY[dtype]
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise DTypeError(f"dtype {name!r} is not supported", hint=f"use one of {list(DTYPES)}")
    return DTYPES[name]


def promote(dtypes: Sequence[DType]) -> DType:
    """The dtype that operands are cast to: of the highest kind, the widest.

    bool < int < float: an int64 beside a float32 becomes float32, never float64.
    """
    if len({*dtypes}) == 1:
        return dtypes[0]
    kind = max(d.kind for d in dtypes)
    candidates = [d for d in dtypes if d.kind == kind]
    result = candidates[0]
    for dtype in candidates[1:]:
        if dtype is not result:
            result = as_dtype(np.promote_types(dtype.numpy, result.numpy))
    return result if result.kind == kind else int64


class TensorType(NamedTuple):
    """Shape and dtype of an array."""

    shape: Shape
    dtype: DType

    def __str__(self) -> str:
        return f"{self.dtype.name} {shape_text(self.shape)}"


class TupleType(NamedTuple):
    """The type of an op with several results; only `item` consumes it."""

    items: tuple[TensorType, ...]


Type: TypeAlias = TensorType | TupleType


class Guard(NamedTuple):
    """A condition on named sizes that the generated module checks: `left relation right`."""

    left: Extent
    relation: str
    right: Extent
    reason: str


@dims.remembered
def shape_text(shape: Shape) -> str:
    """A shape as Python writes tuples."""
    inside = ", ".join(map(str, shape))
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def equal_sizes(left: Extent, right: Extent) -> Guard | None:
    """None if two sizes are the same; a guard if that shows only at run time.

    Raises ShapeError where they can be told to differ: two different names, or a difference that
    is a constant other than zero. Only floor divisions leave the question open.
    """
    if left is right or (isinstance(left, int) and left == right):
        return None
    if dims.has_floor(left - right):
        return Guard(left, "==", right, f"{left} and {right} have to be equal")
    raise ShapeError(f"sizes {left} and {right} differ")


def broadcast(shapes: Sequence[Shape]) -> tuple[Shape, list[Guard]]:
    """The common shape after NumPy's broadcasting, and what has to be checked at run time."""
    distinct = {shape for shape in shapes if shape}
    if len(distinct) <= 1:
        return next(iter(distinct), ()), []
    guards: list[Guard] = []
    result: list[Extent] = []
    rank = max(map(len, shapes))
    for axis in range(-rank, 0):
        size: Extent = 1
        for shape in shapes:
            if -axis > len(shape) or shape[axis] == 1:
                continue
            if isinstance(size, int) and size == 1:
                size = shape[axis]
            elif (guard := equal_sizes(size, shape[axis])) is not None:
                guards.append(guard)
        result.append(size)
    return tuple(result), guards


def normalize_axis(axis: object, rank: int) -> int:
    """The axis counted from the front. Raises ShapeError if there is none such."""
    try:
        position = axis.__index__()  # type: ignore[attr-defined]
    except AttributeError:
        raise ShapeError(f"an axis is an int, got {axis!r}") from None
    if not -rank <= position < rank:
        raise ShapeError(f"axis {position} does not exist in an array of {rank} axes")
    return int(position) % rank


def normalize_axes(axis: object, rank: int) -> tuple[int, ...]:
    """Sorted axes counted from the front; None means all of them."""
    if axis is None:
        return tuple(range(rank))
    several = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = sorted(normalize_axis(a, rank) for a in several)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"an axis occurs twice in {axis!r}")
    return tuple(axes)
