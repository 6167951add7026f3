"""Functions of Python's numbers: what `math` has no name for, and the boundary of scalar modules.

They import nothing but the standard library.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# --- arithmetic --------------------------------------------------------------------------------


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)); exp only ever sees numbers <= 0, so that it cannot overflow."""
    return math.exp(min(x, 0.0)) / (1.0 + math.exp(-abs(x)))


def logaddexp(x: float, y: float) -> float:
    """log(exp(x) + exp(y)); exp only ever sees numbers <= 0, so that it cannot overflow."""
    larger = x if x >= y else y if x < y else x + y
    return larger if math.isinf(larger) else larger + math.log1p(math.exp(-abs(x - y)))


def sigmoid_slope(x: float) -> float:
    """sigmoid(x) (1 - sigmoid(x)); the second factor has no digits left where the first is 1."""
    decay = math.exp(-abs(x))
    return decay / ((1.0 + decay) * (1.0 + decay))


def tanh_slope(x: float) -> float:
    """1 - tanh(x)², of which nothing is left where tanh(x) rounds to 1."""
    decay = math.exp(-2.0 * abs(x))
    return 4.0 * decay / ((1.0 + decay) * (1.0 + decay))


def exp_sum(x: float, y: float) -> float:
    """exp(x + y), with what the addition rounds off made good."""
    total = x + y
    part = total - x
    rest = (x - (total - part)) + (y - part)
    return math.exp(total) * (1.0 + (rest if abs(rest) < 0.5 else 0.0))


def power(x: float, p: float) -> float:
    """x to the power p; 0 to a negative power is an infinity, as NumPy has it."""
    if x != 0.0 or not p < 0.0:
        return math.pow(x, p)
    return math.copysign(math.inf, x) if p % 2.0 == 1.0 else math.inf


def whole_power(x: int, p: int) -> int:
    """An int to the power of another. Raises ValueError, as NumPy does, if that is negative."""
    if p < 0:
        raise ValueError(f"{x} to the power {p} is no int")
    result: int = x**p
    return result


def cbrt(x: float) -> float:
    """The cube root; Newton's step makes good what rounding 1/3 has done to the exponent."""
    root = math.copysign(math.pow(abs(x), 1.0 / 3.0), x)
    if root == 0.0 or not math.isfinite(root):
        return root
    return root - (root - x / (root * root)) / 3.0


def sign(x: float) -> float:
    """-1, 0 or 1; NaN stays NaN."""
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else abs(x)


def maximum(x: float, y: float) -> float:
    """The larger number; NaN if one is."""
    return x if x >= y else y if x < y else x + y


def minimum(x: float, y: float) -> float:
    """The smaller number; NaN if one is."""
    return x if x <= y else y if x > y else x + y


# --- the training step -------------------------------------------------------------------------


def clip_scale(gradients: Iterable[Any], clip_norm: float) -> float:
    """What gradients are multiplied by, so that the norm of all together is at most `clip_norm`.

    As torch.nn.utils.clip_grad_norm_ has it, 1e-6 included: 0 for an infinite norm, NaN for a NaN.
    """
    values = list(gradients)
    norm = math.nan if any(map(math.isnan, values)) else math.hypot(*values)
    scale = clip_norm / (norm + 1e-6)
    return min(scale, 1.0)  # in this order NaN stays


# --- the boundary ------------------------------------------------------------------------------


def check_rng(rng: Any) -> None:
    """Raise TypeError for what is no numpy.random.Generator: the model draws as its others do."""
    if not hasattr(rng, "bit_generator"):
        raise TypeError(
            f"rng: expected a numpy.random.Generator, got {type(rng).__name__}; "
            "pass numpy.random.default_rng(seed)"
        )


def scalar_kind(name: str, expected: str, value: Any) -> str:
    """The kind of dtype of one of NumPy's scalars; nothing for other values, and for classes.

    Raises ValueError for an array with axes, TypeError for a masked one: it has no value, but would
    be converted to NaN, 0 or False.
    """
    if isinstance(value, type):
        return ""
    shape = getattr(value, "shape", ())
    if shape:
        raise ValueError(f"{name}: expected {expected}, got an array of shape {tuple(shape)}")
    if getattr(value, "mask", False):
        raise TypeError(f"{name}: expected {expected}, got a masked one; use .filled()")
    kind: str = getattr(getattr(value, "dtype", None), "kind", "")
    return kind


def as_float(name: str, value: Any) -> float:
    """The value as a float.

    Raises TypeError for what is no real number, ValueError for an array with axes or a number that
    no float stands for. Both name the argument.
    """
    if type(value) is float:
        return value
    kind = scalar_kind(name, "a float", value)
    if not hasattr(type(value), "__float__") or isinstance(value, complex) or kind not in "biuf":
        raise TypeError(f"{name}: expected a float, got {type(value).__name__}")
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a float, got what is none: {error}") from None


def as_int(name: str, value: Any) -> int:
    """The value as an int. Raises TypeError, or ValueError for an array with axes."""
    if scalar_kind(name, "an int", value) == "b":
        return int(value)
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an int, got {type(value).__name__}") from None


def as_bool(name: str, value: Any) -> bool:
    """The value as a bool. Raises TypeError, or ValueError for an array with axes."""
    if scalar_kind(name, "a bool", value) != "b" and not isinstance(value, bool):
        raise TypeError(f"{name}: expected a bool, got {type(value).__name__}")
    return bool(value)


def as_floats(name: str, values: Iterable[Any], count: int) -> list[float]:
    """So many values as floats. Raises TypeError or ValueError, naming the argument."""
    try:
        listed = list(values)
    except TypeError:
        raise TypeError(f"{name}: expected {count} floats, got {type(values).__name__}") from None
    if len(listed) != count:
        raise ValueError(f"{name}: expected {count} floats, got {len(listed)}")
    return [as_float(f"{name}[{place}]", value) for place, value in enumerate(listed)]


def checked_number(name: str, value: Any) -> float:
    """The value as a float. Raises ValueError, naming it, unless it is finite and >= 0."""
    number = as_float(name, value)
    if not 0.0 <= number < float("inf"):
        raise ValueError(f"{name}: expected a number >= 0, got {number}")
    return number


def load_numbers(path: str | Path, group: str, names: Iterable[str]) -> dict[str, Any]:
    """A group of numbers in a JSON file. Raises ValueError unless it holds all that are named."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON file: {error}") from None
    found = content.get(group) if isinstance(content, dict) else None
    numbers: dict[str, Any] = found if isinstance(found, dict) else {}
    missing = [name for name in names if name not in numbers]
    if missing:
        raise ValueError(f"{path} holds no {missing[0]!r} among its {group}")
    return numbers


def check_finite(stage: str, name: str, value: float, place: str, *read: float) -> None:
    """Raise FloatingPointError for a NaN, or an infinity where nothing that it reads is infinite.

    stage, name, place  for the message: the pass, the variable, the line of the model
    """
    if math.isnan(value) or (math.isinf(value) and not any(map(math.isinf, read))):
        raise FloatingPointError(f"{stage}: {name} ({place}): {value}")


# --- the self-test -----------------------------------------------------------------------------


def agrees(name: str, value: float, stored: float, tolerance: float) -> bool:
    """Whether a number is what was stored, told on standard output."""
    same = abs(value - stored) <= tolerance
    print(f"{'ok' if same else 'FAILED':6} {name}: {value:.6g}, stored {stored:.6g}")
    return same
