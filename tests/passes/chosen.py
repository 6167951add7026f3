"""Formulas evaluated one element at a time, and only where they are chosen.

A formula runs on arrays whose elements are `Lazy`: numbers that are not yet computed. What a
`where` does not choose is never evaluated, so it cannot spoil anything: neither the value nor the
derivatives, which are carried forward beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Slopes: TypeAlias = dict[int, float]  # by the number of the input element


class UndefinedError(ArithmeticError):
    """A value that is asked for has no finite value or slope."""


@dataclass(eq=False)
class Lazy:
    """A number: how to compute it and its slopes, at most once."""

    compute: Callable[[], tuple[float, Slopes]]
    known: tuple[float, Slopes] | None = field(default=None)

    def get(self) -> tuple[float, Slopes]:
        if self.known is None:
            self.known = self.compute()
        return self.known

    def __add__(self, other: Any) -> Lazy:
        return linked(lambda a, b: (a + b, 1.0, 1.0), self, other)

    def __radd__(self, other: Any) -> Lazy:
        return linked(lambda a, b: (a + b, 1.0, 1.0), self, other)

    def __sub__(self, other: Any) -> Lazy:
        return linked(lambda a, b: (a - b, 1.0, -1.0), self, other)

    def __rsub__(self, other: Any) -> Lazy:
        return linked(lambda a, b: (a - b, 1.0, -1.0), other, self)

    def __mul__(self, other: Any) -> Lazy:
        return linked(lambda a, b: (a * b, b, a), self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Lazy:
        return linked(quotient, self, other)

    def __rtruediv__(self, other: Any) -> Lazy:
        return linked(quotient, other, self)

    def __pow__(self, other: Any) -> Lazy:
        return linked(power, self, other)

    def __rpow__(self, other: Any) -> Lazy:
        return linked(power, other, self)

    def __neg__(self) -> Lazy:
        return linked(lambda a: (-a, -1.0), self)


def linked(rule: Callable[..., tuple[float, ...]], *operands: Any) -> Lazy:
    """A number made of others; the rule tells its value and its slope by each."""

    def compute() -> tuple[float, Slopes]:
        parts = [operand.get() if isinstance(operand, Lazy) else (float(operand), {})
                 for operand in operands]  # fmt: skip
        value, *slopes = rule(*(part[0] for part in parts))
        total: Slopes = {}
        for slope, (_, own) in zip(slopes, parts, strict=True):
            for index, inner in own.items():
                if slope != 0:  # what has no part has none, whatever is inside of it
                    total[index] = total.get(index, 0.0) + slope * inner
        return value, total

    return Lazy(compute)


def defined(inside: Any) -> None:
    """Raise where a function is left; NaN is in no such place."""
    if not inside:
        raise UndefinedError


def quotient(a: float, b: float) -> tuple[float, float, float]:
    defined(b != 0)
    return a / b, 1 / b, -a / b / b


def power(a: float, p: float) -> tuple[float, float, float]:
    whole = float(p).is_integer()
    defined(a > 0 or (whole and (a != 0 or p >= 0)) or a != a or p != p)
    value = a**p
    slope = 0.0 if p == 0 else p * a ** (p - 1)
    return value, slope, value * math.log(a) if a > 0 else math.nan if a or p <= 0 else 0.0


def logarithm(a: float) -> tuple[float, float]:
    defined(not a <= 0)
    return math.log(a), 1 / a


def logarithm_1p(a: float) -> tuple[float, float]:
    defined(not a <= -1)
    return math.log1p(a), 1 / (1 + a)


def root(a: float) -> tuple[float, float]:
    defined(not a <= 0)
    return math.sqrt(a), 0.5 / math.sqrt(a)


def exponential(a: float) -> tuple[float, float]:
    defined(not a > 700)
    return math.exp(a), math.exp(a)


def share(own: bool, tie: bool) -> float:
    return 0.5 if tie else float(own)


def larger(a: float, b: float) -> tuple[float, float, float]:
    return float(np.maximum(a, b)), share(a > b, a == b), share(b > a, a == b)


def smaller(a: float, b: float) -> tuple[float, float, float]:
    return float(np.minimum(a, b)), share(a < b, a == b), share(b < a, a == b)


def limited(a: float, low: float, high: float) -> tuple[float, ...]:
    return float(np.clip(a, low, high)), float(low <= a <= high), float(a < low), float(a > high)


def each(rule: Callable[..., tuple[float, ...]], operands: int = 1) -> Any:
    """A rule of numbers as a function of arrays."""
    over = np.frompyfunc(lambda *numbers: linked(rule, *numbers), operands, 1)
    return staticmethod(lambda *arrays: over(*arrays))


def test_of(rule: Callable[[float, float], bool]) -> Any:
    return each(lambda a, b: (rule(a, b), 0.0, 0.0), 2)


def value_of(number: Any) -> float:
    return number.get()[0] if isinstance(number, Lazy) else number


def choice(condition: Any, a: Any, b: Any) -> Lazy:
    def compute() -> tuple[float, Slopes]:
        chosen = a if value_of(condition) else b
        return chosen.get() if isinstance(chosen, Lazy) else (float(chosen), {})

    return Lazy(compute)


class Chosen:
    """The part of graphc that the formulas use."""

    exp = each(exponential)
    log = each(logarithm)
    log1p = each(logarithm_1p)
    sqrt = each(root)
    reciprocal = each(lambda a: quotient(1.0, a)[::2])
    sin = each(lambda a: (math.sin(a), math.cos(a)))
    tanh = each(lambda a: (math.tanh(a), 1 - math.tanh(a) ** 2))
    abs = each(lambda a: (abs(a), float(np.sign(a))))
    square = each(lambda a: (a * a, 2 * a))
    relu = each(lambda a: (float(np.maximum(a, 0)), float(a > 0)))
    maximum = each(larger, 2)
    minimum = each(smaller, 2)
    clip = each(limited, 3)
    greater = test_of(lambda a, b: a > b)
    greater_equal = test_of(lambda a, b: a >= b)
    less = test_of(lambda a, b: a < b)
    equal = test_of(lambda a, b: a == b)
    not_equal = test_of(lambda a, b: a != b)
    logical_and = test_of(lambda a, b: bool(a and b))
    logical_or = test_of(lambda a, b: bool(a or b))
    logical_not = each(lambda a: (not a, 0.0))
    isfinite = each(lambda a: (math.isfinite(a), 0.0))
    where = staticmethod(np.frompyfunc(choice, 3, 1))
    reshape = staticmethod(np.reshape)
    permute_dims = staticmethod(np.transpose)
    expand_dims = staticmethod(np.expand_dims)
    broadcast_to = staticmethod(np.broadcast_to)
    concat = staticmethod(np.concatenate)
    matmul = staticmethod(lambda a, b: np.asarray(a, object) @ np.asarray(b, object))
    flip = staticmethod(np.flip)

    @staticmethod
    def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return np.sum(x, axis=axis, keepdims=keepdims)

    @staticmethod
    def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        total = np.asarray(np.sum(x, axis=axis, keepdims=keepdims), object)
        return total * (1 / (np.size(x) // max(total.size, 1)))

    @classmethod
    def softmax(cls, x: Any, axis: int) -> Any:
        """Of what is moderate."""
        return cls.exp(x) / cls.sum(cls.exp(x), axis=axis, keepdims=True)

    @staticmethod
    def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """Ties are left out: they are not shared by halves only."""
        reduced = np.frompyfunc(lambda a, b: linked(larger, a, b), 2, 1).reduce
        return reduced(np.ravel(x)) if axis is None else reduced(x, axis=axis, keepdims=keepdims)


def evaluated(formula: Any, *arrays: Any) -> tuple[Any, list[Any]]:
    """The value of a formula, and the gradients of the sum of its elements."""
    inputs, start = [], 0
    for array in arrays:
        numbers = [
            Lazy(lambda: (math.nan, {}), (float(v), {start + i: 1.0}))
            for i, v in enumerate(np.ravel(array))
        ]
        held = np.empty(len(numbers), object)
        held[:] = numbers
        inputs.append(held.reshape(np.shape(array)))
        start += len(numbers)
    result = np.asarray(formula(Chosen, *inputs), object)
    parts = [n.get() if isinstance(n, Lazy) else (float(n), {}) for n in result.flat]
    slopes = np.zeros(start)
    for _, own in parts:
        for index, slope in own.items():
            slopes[index] += slope
    value = np.array([part[0] for part in parts]).reshape(result.shape)
    ends = np.cumsum([np.size(array) for array in arrays])[:-1]
    split = np.split(slopes, ends)
    return value, [s.reshape(np.shape(a)) for s, a in zip(split, arrays, strict=True)]
