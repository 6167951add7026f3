"""The check of values in modules that are compiled for debugging."""

from __future__ import annotations

from typing import Any

import numpy as np


def check_finite(stage: str, name: str, value: Any, place: str, *read: Any) -> None:
    """Raise FloatingPointError for a NaN in a value, or an infinity where nothing it reads has one.

    stage, name, place  for the message: the pass, the variable, the line of the model
    """
    array = np.asarray(value)
    if np.isfinite(array).all():
        return
    passing = any(np.isinf(operand).any() for operand in read)
    bad = np.isnan(array) if passing else ~np.isfinite(array)
    if not bad.any():
        return
    first = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
    found = str(array[first])
    if first:
        kind = "nan" if passing else "not finite"
        found += f" at {list(first)}, {bad.sum()} of {bad.size} elements are {kind}"
    raise FloatingPointError(f"{stage}: {name} ({place}): {found}")
