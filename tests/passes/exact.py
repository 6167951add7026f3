"""Functions of arrays of mpmath numbers, called as graphc's are: a formula written once is both.

The formula runs as the user wrote it, at so many digits that nothing in it overflows or cancels.
Derivatives are central differences whose step leaves 200 digits and more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import mpmath as mp
import numpy as np

DIGITS = 1000
STEP = mp.mpf(10) ** -450


def elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers as one of arrays."""
    over = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(over(x), dtype=object)


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction that returns an array even where no axis is left."""

    def reduced(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        result = function(np.asarray(x, dtype=object), axis=axis, keepdims=keepdims)
        return np.asarray(result, dtype=object)

    return reduced


@lru_cache(4096)
def exp_at(x: Any, digits: int) -> Any:
    """exp(x), kept: of a formula at neighbouring points most exponentials are the same."""
    return mp.exp(x)


@lru_cache(4096)
def log_at(x: Any, digits: int) -> Any:
    """log(x), kept likewise."""
    return mp.log(x)


class Exact:
    """The part of graphc that the formulas use."""

    exp = staticmethod(elementwise(lambda v: exp_at(v, mp.mp.dps)))
    log = staticmethod(elementwise(lambda v: log_at(v, mp.mp.dps)))
    sqrt = staticmethod(elementwise(mp.sqrt))
    square = staticmethod(elementwise(lambda v: v * v))
    sum = staticmethod(reduction(np.sum))
    mean = staticmethod(reduction(np.mean))
    max = staticmethod(reduction(np.max))
    expand_dims = staticmethod(np.expand_dims)
    squeeze = staticmethod(np.squeeze)
    reshape = staticmethod(np.reshape)
    permute_dims = staticmethod(np.transpose)
    broadcast_to = staticmethod(np.broadcast_to)

    @staticmethod
    def cast(x: Any, dtype: str) -> Any:
        """On paper all numbers are of one kind."""
        return x

    @staticmethod
    def stop_gradient(x: Any) -> Any:
        """Only for what the result does not depend on."""
        return x

    @staticmethod
    def pick(x: Any, labels: Any) -> Any:
        """The element of each row that its label tells."""
        return np.take_along_axis(x, np.asarray(labels)[..., None], axis=-1)[..., 0]

    @classmethod
    def logsumexp(cls, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """As written."""
        return cls.log(cls.sum(cls.exp(x), axis, keepdims))

    @classmethod
    def softmax(cls, x: Any, axis: int = -1) -> Any:
        """As written."""
        return cls.exp(x) / cls.sum(cls.exp(x), axis, True)

    @classmethod
    def log_softmax(cls, x: Any, axis: int = -1) -> Any:
        """As written."""
        return cls.log(cls.softmax(x, axis))

    @classmethod
    def var(cls, x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
        """As NumPy's."""
        centred = x - cls.mean(x, axis, True)
        size = x.size // cls.mean(x, axis, True).size
        return cls.sum(centred * centred, axis, keepdims) / (mp.mpf(size) - correction)


def exactly(x: Any) -> Any:
    """An array of floats as one of mpmath numbers."""
    return np.asarray(np.frompyfunc(lambda v: mp.mpf(float(v)), 1, 1)(x), dtype=object)


def value_and_slopes(formula: Any, x: Any, weights: Any) -> tuple[Any, Any]:
    """The formula at x, and the gradient of its sum weighted by weights of the shape of that."""
    with mp.workdps(DIGITS):
        point, factors = exactly(x), exactly(weights)
        value = np.asarray(formula(Exact, point), dtype=object)
        slopes = np.empty(point.shape, object)
        for index in np.ndindex(point.shape):
            above, below = point.copy(), point.copy()
            above[index], below[index] = point[index] + STEP, point[index] - STEP
            change = np.asarray(formula(Exact, above) - formula(Exact, below), dtype=object)
            slopes[index] = np.sum(change * factors) / (2 * STEP)
        return value, slopes
