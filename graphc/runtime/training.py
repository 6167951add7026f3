"""What a training step needs beside its graphs: the norm that gradients are clipped to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.runtime.boundary import checked

Array = NDArray[Any]


def checked_number(name: str, value: Any) -> float:
    """The value as a float. Raises ValueError, naming it, unless it is finite and >= 0."""
    number = float(checked(name, value, np.float64))
    if not 0.0 <= number < float("inf"):
        raise ValueError(f"{name}: expected a number >= 0, got {number}")
    return number


def clip_scale(gradients: Iterable[Any], clip_norm: float) -> float:
    """What gradients are multiplied by, so that the norm of all together is at most `clip_norm`.

    As torch.nn.utils.clip_grad_norm_ has it, 1e-6 included: 0 for an infinite norm, NaN for a NaN.
    """
    scale = clip_norm / (global_norm(gradients) + 1e-6)
    return min(scale, 1.0)  # in this order NaN stays


def global_norm(arrays: Iterable[Any]) -> float:
    """The root of the sum of all squares in all arrays, also where a square would overflow."""
    flat = [np.ravel(array) for array in arrays]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        total = sum(float(np.dot(x, x)) for x in flat)
    least = max((float(np.finfo(x.dtype).tiny) for x in flat), default=0.0)
    if 1e8 * least < total < math.inf:
        return math.sqrt(total)
    # Squares that overflowed or lost their digits: those of shares of the largest do not.
    largest = float(np.max([0.0, *(np.abs(x).max(initial=0) for x in flat)]))
    if not 0.0 < largest < math.inf:
        return largest
    shares = [x.astype(np.float64) / largest for x in flat]
    return largest * math.sqrt(sum(float(np.dot(x, x)) for x in shares))
