"""Numbers with derivatives, in mpmath: what a formula comes to on paper, over the whole range.

Exponents are unbounded here, so that nothing overflows, and precision is such that nothing that a
float could show is lost beside 1: `log(1 + exp(x))` can be written just so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath as mp

FAR = mp.ldexp(1, 1100)  # stands for infinity: beyond every float, so that limits are reached
BITS = {"float64": 1300, "float32": 400}  # the exponents of floats, and digits to spare


@dataclass(frozen=True)
class Number:
    """A value and its partial derivatives."""

    value: Any
    slopes: tuple[Any, ...]

    def __add__(self, other: Any) -> Number:
        other = self.like(other)
        return Number(self.value + other.value, added(self.slopes, other.slopes))

    def __neg__(self) -> Number:
        return Number(-self.value, tuple(-s for s in self.slopes))

    def __sub__(self, other: Any) -> Number:
        return self + -self.like(other)

    def __mul__(self, other: Any) -> Number:
        other = self.like(other)
        slopes = added(scaled(other.value, self.slopes), scaled(self.value, other.slopes))
        return Number(self.value * other.value, slopes)

    def __truediv__(self, other: Any) -> Number:
        return self * inverse(self.like(other))

    def __rsub__(self, other: Any) -> Number:
        return -self + other

    def __rtruediv__(self, other: Any) -> Number:
        return self.like(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def like(self, other: Any) -> Number:
        """Another operand; plain numbers have no slopes."""
        if isinstance(other, Number):
            return other
        return Number(mp.mpf(other), (mp.mpf(0),) * len(self.slopes))


def added(first: Sequence[Any], second: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def scaled(factor: Any, slopes: Sequence[Any]) -> tuple[Any, ...]:
    """A factor times slopes; what does not depend on an operand has no slope in any case."""
    return tuple(factor * s if s else s for s in slopes)


def function(value: Callable[..., Any], slope: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers with and without derivatives; `slope` is given x and f(x)."""

    def apply(x: Any) -> Any:
        if not isinstance(x, Number):
            return value(x)
        y = value(x.value)
        return Number(y, scaled(slope(x.value, y), x.slopes))

    return apply


def real(f: Callable[..., Any], low: float = -mp.inf) -> Callable[..., Any]:
    """A function that has no value below `low`."""
    return lambda x: f(x) if x >= low else mp.nan


def value(x: Any) -> Any:
    """A number without its derivatives."""
    return x.value if isinstance(x, Number) else x


def over(x: Any, y: Any) -> Any:
    """x / y; over 0 it is infinite."""
    return x / y if y else mp.sign(x) * mp.inf


@cache
def _exp(x: Any, precision: int) -> Any:
    return mp.exp(x)


@cache
def _log(x: Any, precision: int) -> Any:
    return mp.log(x)


inverse = function(lambda x: over(mp.mpf(1), x), lambda x, y: -y * y)
exp = function(lambda x: _exp(x, mp.mp.prec), lambda x, y: y)
log = function(
    real(lambda x: _log(x, mp.mp.prec), 0), lambda x, y: over(mp.mpf(1), x) if x >= 0 else mp.nan
)
sqrt = function(real(mp.sqrt, 0), lambda x, y: over(mp.mpf(0.5), y))
cos = function(mp.cos, lambda x, y: -mp.sin(x))
magnitude = function(abs, lambda x, y: mp.sign(x))
positive = function(lambda x: x if x >= 0 else mp.nan, lambda x, y: 1)


def power(x: Any, p: float) -> Any:
    """x**p; of what is negative only to a whole power."""

    def raised(x: Any) -> Any:
        if x < 0 and p % 1:
            return mp.nan
        return over(mp.mpf(1), mp.power(x, -p)) if p < 0 else mp.power(x, p)

    return function(raised, lambda x, y: p * over(y, x) if x else (mp.inf if p < 1 else 0.0))(x)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def tanh(x: Any) -> Any:
    return (exp(x) - exp(-x)) / (exp(x) + exp(-x))


def at(formula: Callable[..., Any], point: Sequence[float], bits: int) -> Number:
    """Value and slopes of a formula at floats, in which infinities stand for their limits."""
    with mp.workprec(bits):
        places = [mp.mpf(v) if mp.isfinite(v) else mp.sign(v) * FAR for v in point]
        operands = [
            Number(v, tuple(mp.mpf(i == k) for k in range(len(point))))
            for i, v in enumerate(places)
        ]
        result: Number = formula(*operands)
        return result
