"""Reading and writing elements by their indices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def gather(table: Array, ids: Array, axis: int = 0, out: Array | None = None) -> Array:
    """table[ids] along an axis. IndexError names ids that the table has no row for."""
    size = table.shape[axis]
    if ids.size and not (0 <= ids.min() and ids.max() < size):
        raise IndexError(f"ids must be in 0..{size - 1}, got {ids.min()}..{ids.max()}")
    rows = ids.astype(np.intp, copy=False)
    result: Array = np.take(table, rows, axis=axis, out=out, mode="clip")  # the mode that is fast
    return result


def elements(ids: Array, columns: int) -> Array:
    """The places of the elements of rows, in an array of as many columns, one after the other."""
    rows = ids.ravel().astype(np.intp, copy=False)
    if columns == 1:
        return rows
    return (rows[:, np.newaxis] * columns + np.arange(columns)).ravel()


def scatter_add(x: Array, ids: Array, rows: int) -> Array:
    """Zeros of so many rows, to which each row of x is added at its id.

    np.bincount adds up in float64, in a fraction of the time that np.add.at takes on rows.
    """
    if ids.size and not (0 <= ids.min() and ids.max() < rows):
        raise IndexError(f"ids must be in 0..{rows - 1}, got {ids.min()}..{ids.max()}")
    rest = x.shape[ids.ndim :]
    columns = int(np.prod(rest))
    sums = np.bincount(elements(ids, columns), x.ravel(), rows * columns)
    return sums.reshape(rows, *rest).astype(x.dtype)


def scatter(x: Array, ids: Array, updates: Array, reduction: str) -> Array:
    """A copy of x with an update at each id; reduction combines those of one id with its row.

    Without one the last update of an id stays. On one axis the `at` of a ufunc has a fast loop
    since NumPy 1.25, which takes a tenth of the time of sorting the updates by their ids.
    """
    if ids.size and not (0 <= ids.min() and ids.max() < len(x)):
        raise IndexError(f"ids must be in 0..{len(x) - 1}, got {ids.min()}..{ids.max()}")
    result = x.copy()
    if reduction == "none":
        result[ids.ravel().astype(np.intp)] = updates.reshape(ids.size, *x.shape[1:])
        return result
    ufuncs = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    columns = int(np.prod(x.shape[1:]))
    ufuncs[reduction].at(result.reshape(-1), elements(ids, columns), updates.ravel())
    return result


def places(coordinates: list[Array], shape: tuple[int, ...]) -> Array:
    """The places in C order of elements with these coordinates; negative ones count from the end.

    IndexError names coordinates that lie outside of the shape.
    """
    place: Any = 0
    for index, size in zip(coordinates, shape):
        if index.size and not (-size <= index.min() and index.max() < size):
            found = f"{index.min()}..{index.max()}"
            raise IndexError(f"indices must be in {-size}..{size - 1}, got {found}")
        index = index.astype(np.int64)
        place = place * size + np.where(index < 0, index + size, index)
    result: Array = place
    return result
