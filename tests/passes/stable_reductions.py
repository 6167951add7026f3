"""Formulas over axes that fail as written, by the STABILIZE rule that mends them.

Each is a function of graphc, or of `tests.passes.exact.Exact`, and an array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SHIFT, SCALE, SPREAD = "shift", "scale", "spread"


@dataclass(frozen=True)
class Reduction:
    """A variant of what a rule takes.

    build   (graphc or Exact, x) -> y
    x       where the formula as written fails; a dict by dtype where that differs
    error   what the rounding of results is measured in. SHIFT: x minus its maximum is rounded, and
            nothing can mend that; SCALE: digits of the result; SPREAD: the same beside the square
            of the rounding of a mean
    fails   False where the rule only removes what the composite does anyway
    """

    build: Callable[[Any, Any], Any]
    x: Any
    error: str = SHIFT
    fails: bool = True

    @property
    def dtypes(self) -> tuple[str, ...]:
        return tuple(self.x) if isinstance(self.x, dict) else ("float64", "float32")

    def point(self, dtype: str) -> np.ndarray[Any, Any]:
        chosen = self.x[dtype] if isinstance(self.x, dict) else self.x
        return np.array(chosen, dtype)


def either(wide: Any, narrow: Any) -> dict[str, Any]:
    """Numbers for float64, and for float32, which overflows earlier."""
    return {"float64": wide, "float32": narrow}


# Columns, rows and all of it have what overflows and what vanishes.
GRID = [[1000.0, 1001.5, -3.0], [-1000.0, -1001.5, -999.0]]
LOW = [[-1000.0, -1001.5, -999.0], [-2000.0, -1998.5, -2001.0]]
ROW = [1000.0, 1001.5, 999.0, -3.0]
CUBE = [[[800.0, 801.0], [-900.0, -902.5]], [[0.5, -700.0], [1200.0, 1201.0]]]
WEIGHTS = np.array([0.5, 2.0, 0.25])
LABELS = np.array([2, 0])
HUGE = either([3e200, -4e200, 1e199], [3e30, -4e30, 1e29])
TINY = either([3e-200, -4e-200, 1e-201], [3e-30, -4e-30, 1e-31])
HUGE_GRID = either([[3e200, -4e200], [1e199, 5e-320]], [[3e30, -4e30], [1e29, 0.0]])
TINY_GRID = either([[3e-200, -4e-200], [1e-201, 2e-200]], [[3e-30, -4e-30], [1e-31, 2e-30]])
ZEROS = [[0.0, 0.0], [0.0, 0.0]]
FAR = either([1e9, 1e9 + 0.5, 1e9 - 2.25, 1e9 + 1], [4096.0, 4096.5, 4093.75, 4097.0])
FAR_GRID = either(
    [[1e9, 1e9 + 0.5, 1e9 - 2.25], [-1e9, -1e9 + 1.25, -1e9 - 3.5]],
    [[4096.0, 4096.5, 4093.75], [-4096.0, -4097.25, -4092.5]],
)
EQUAL = [[2.5, 2.5, 2.5], [1.0, 1.0, 1.0]]
LARGE = either([[1e15, 1e15, 1e15 + 1], [-1e15, -1e15, -1e15]], [[2e6, 2e6, 2e6 + 1], [-2e6] * 3])
LARGE_COLUMNS = either([[1e15, -1e15], [1e15, -1e15]], [[2e6, -2e6], [2e6, -2e6]])

LOGSUMEXP = "log(sum(exp(x))) = logsumexp(x)"
WEIGHTED = "log(s * sum(t * exp(x))) = weighted_logsumexp(x, s * t)"
LOG_SOFTMAX = "log(softmax(x)) = log_softmax(x)"
OWN_TOTAL = "x - logsumexp(x) = log_softmax(x)"
SHIFTED_TOTAL = "max(x) + logsumexp(x - max(x)) = logsumexp(x)"
SOFTMAX = "exp(x) / sum(exp(x)) = softmax(x)"
NORM = "sqrt(sum(x * x)) = norm(x)"
STD = "sqrt(var(x)) = std(x)"
ONE_PASS = "mean(x ** 2) - mean(x) ** 2 = var(x)"
TWO_PASS = "mean((x - mean(x)) ** 2) = var(x)"
CROSS_ENTROPY = "-mean(pick(log_softmax(x), y)) = cross_entropy(x, y)"


def own_shift(f: Any, x: Any, axis: int = -1) -> Any:
    """x with the maximum subtracted by hand."""
    return x - f.max(x, axis=axis, keepdims=True)


REDUCTIONS: dict[str, list[Reduction]] = {
    LOGSUMEXP: [
        Reduction(lambda f, x: f.log(f.sum(f.exp(x))), ROW),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x))), GRID),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=0)), GRID),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=-1)), LOW),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=1, keepdims=True)), GRID),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=(0, 2))), CUBE),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=(1, 2), keepdims=True)), CUBE),
        Reduction(lambda f, x: 3 * f.log(f.sum(f.exp(-x), axis=1)), LOW),
        Reduction(lambda f, x: f.log(f.sum(f.reshape(f.exp(x), (3, 2)), axis=1)), GRID),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=1)), [[1000.0], [-1000.0]]),
        Reduction(lambda f, x: f.log(f.sum(f.cast(f.exp(x), "float64"), axis=1)),
                  {"float32": GRID}),
    ],
    WEIGHTED: [
        Reduction(lambda f, x: f.log(f.mean(f.exp(x))), ROW),
        Reduction(lambda f, x: f.log(f.mean(f.exp(x), axis=0, keepdims=True)), GRID),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=1) / 3.0), LOW),
        Reduction(lambda f, x: f.log(0.25 * f.sum(f.exp(x), axis=1)), GRID),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=1) * 4.0 / 3.0), GRID),
        Reduction(lambda f, x: f.log(2.0 * f.mean(f.exp(x), axis=-1)), LOW),
        Reduction(lambda f, x: f.log(f.mean(WEIGHTS * f.exp(x), axis=1)), GRID),
        Reduction(lambda f, x: f.log(f.mean(f.exp(x) / WEIGHTS, axis=1)), LOW),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=(0, 1)) / 8.0), CUBE),
    ],
    LOG_SOFTMAX: [
        Reduction(lambda f, x: f.log(f.softmax(x)), [-800.0, 3.0, 2.5, 0.1]),
        Reduction(lambda f, x: f.log(f.softmax(x, axis=0)), GRID),
        Reduction(lambda f, x: f.log(f.softmax(x, axis=1)), CUBE),
        Reduction(lambda f, x: f.log(f.exp(x) / f.sum(f.exp(x), axis=1, keepdims=True)), GRID),
        Reduction(lambda f, x: -f.log(f.exp(x) / f.sum(f.exp(x)))[0:1], [-1000.0, 0.0]),
    ],
    OWN_TOTAL: [
        Reduction(lambda f, x: x - f.logsumexp(x, axis=1, keepdims=True), LARGE),
        Reduction(lambda f, x: x - f.log(f.sum(f.exp(x), axis=0, keepdims=True)), GRID),
        Reduction(lambda f, x: x - f.log(f.sum(f.exp(x))), ROW),
        Reduction(lambda f, x: x - f.expand_dims(f.log(f.sum(f.exp(x), axis=1)), 1), GRID),
        Reduction(lambda f, x: x - f.reshape(f.log(f.sum(f.exp(x), axis=1)), (2, 1)), LOW),
        Reduction(lambda f, x: x - f.broadcast_to(f.logsumexp(x, axis=1, keepdims=True), (2, 3)),
                  LARGE),
        Reduction(lambda f, x: x - f.logsumexp(x, axis=0), LARGE_COLUMNS),
    ],
    SHIFTED_TOTAL: [
        Reduction(lambda f, x: f.max(x, axis=1) + f.log(f.sum(f.exp(own_shift(f, x)), axis=1)),
                  GRID, fails=False),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x - f.max(x)))) + f.max(x), ROW, fails=False),
        Reduction(lambda f, x: f.max(x, axis=0, keepdims=True)
                  + f.logsumexp(own_shift(f, x, 0), axis=0, keepdims=True), GRID, fails=False),
        Reduction(lambda f, x: f.stop_gradient(f.max(x))
                  + f.log(f.sum(f.exp(x - f.stop_gradient(f.max(x))))), ROW, fails=False),
    ],
    "softmax(x - max(x)) = softmax(x)": [
        Reduction(lambda f, x: f.softmax(own_shift(f, x)), GRID, fails=False),
        Reduction(lambda f, x: f.softmax(own_shift(f, x, 0), axis=0), GRID, fails=False),
        Reduction(lambda f, x: f.log(f.softmax(own_shift(f, x))), GRID),
        Reduction(lambda f, x: f.exp(own_shift(f, x))
                  / f.sum(f.exp(own_shift(f, x)), axis=-1, keepdims=True), GRID, fails=False),
        Reduction(lambda f, x: f.softmax(x - f.stop_gradient(f.max(x))), ROW, fails=False),
    ],
    "log_softmax(x - max(x)) = log_softmax(x)": [
        Reduction(lambda f, x: f.log_softmax(own_shift(f, x)), GRID, fails=False),
        Reduction(lambda f, x: own_shift(f, x)
                  - f.log(f.sum(f.exp(own_shift(f, x)), axis=1, keepdims=True)),
                  GRID, fails=False),
    ],
    SOFTMAX: [
        Reduction(lambda f, x: f.exp(x) / f.sum(f.exp(x)), ROW),
        Reduction(lambda f, x: f.exp(x) / f.sum(f.exp(x)), [-1000.0, -1001.0]),
        Reduction(lambda f, x: f.exp(x) / f.sum(f.exp(x), axis=1, keepdims=True), GRID),
        Reduction(lambda f, x: f.exp(x) / f.sum(f.exp(x), axis=0, keepdims=True), GRID),
        Reduction(lambda f, x: f.exp(x) / f.sum(f.exp(x), axis=0), LOW),
        Reduction(lambda f, x: f.exp(x) / f.expand_dims(f.sum(f.exp(x), axis=-1), -1), GRID),
        Reduction(lambda f, x: f.exp(x) / f.reshape(f.sum(f.exp(x), axis=1), (2, 1)), LOW),
        Reduction(lambda f, x: f.exp(x) / f.broadcast_to(f.sum(f.exp(x)), (2, 3)), GRID),
        Reduction(lambda f, x: f.exp(x) / f.sum(f.exp(x)), GRID),
        Reduction(lambda f, x: f.exp(x) / f.sum(f.exp(x), axis=(0, 2), keepdims=True), CUBE),
    ],
    NORM: [
        Reduction(lambda f, x: f.sqrt(f.sum(x * x)), HUGE, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(x**2)), TINY, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(f.square(x))), ZEROS, SCALE),
        Reduction(lambda f, x: f.sum(x * x) ** 0.5, HUGE, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(x * x, axis=0)), HUGE_GRID, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(x * x, axis=-1, keepdims=True)), TINY_GRID, SCALE),
        Reduction(lambda f, x: f.sqrt(f.mean(x * x)), HUGE, SCALE),
        Reduction(lambda f, x: f.mean(x * x, axis=1) ** 0.5, ZEROS, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(x * x, axis=1) / 2.0), HUGE_GRID, SCALE),
        Reduction(lambda f, x: f.sqrt(3.0 * f.sum(x * x, axis=1, keepdims=True)), TINY_GRID, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(x * x, axis=(0, 1)) * 0.5 / 3.0), HUGE_GRID, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(f.reshape(f.square(x), (4,)))), HUGE_GRID, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(f.cast(x * x, "float64"))),
                  {"float32": HUGE["float32"]}, SCALE),
        Reduction(lambda f, x: x / f.sqrt(f.sum(x * x, axis=1, keepdims=True)), HUGE_GRID, SCALE),
        Reduction(lambda f, x: x / f.sqrt(f.sum(x * x, axis=1, keepdims=True)), TINY_GRID, SCALE),
        Reduction(lambda f, x: f.sqrt(f.sum(x * x)) ** 2, ZEROS, SCALE),
    ],
    "sqrt(x @ x) = norm(x)": [
        Reduction(lambda f, x: f.sqrt(x @ x), HUGE, SCALE),
        Reduction(lambda f, x: (x @ x) ** 0.5, TINY, SCALE),
        Reduction(lambda f, x: f.sqrt(x @ x), [0.0, 0.0], SCALE),
    ],
    STD: [
        Reduction(lambda f, x: f.sqrt(f.var(x)), [3.0, 3.0, 3.0], SPREAD),
        Reduction(lambda f, x: f.sqrt(f.var(x, axis=1, keepdims=True)), EQUAL, SPREAD),
        Reduction(lambda f, x: f.var(x, axis=1, correction=1) ** 0.5, EQUAL, SPREAD),
    ],
    ONE_PASS: [
        Reduction(lambda f, x: f.mean(x * x) - f.mean(x) ** 2, FAR, SPREAD),
        Reduction(lambda f, x: f.mean(x**2) - f.square(f.mean(x)), FAR, SPREAD),
        Reduction(lambda f, x: f.mean(f.square(x), axis=1) - f.mean(x, axis=1) ** 2, FAR_GRID,
                  SPREAD),
        Reduction(lambda f, x: f.mean(x * x, axis=1, keepdims=True)
                  - f.mean(x, axis=1, keepdims=True) ** 2, FAR_GRID, SPREAD),
        Reduction(lambda f, x: f.sum(x * x) / x.shape[0] - (f.sum(x) / x.shape[0]) ** 2, FAR,
                  SPREAD),
        Reduction(lambda f, x: f.mean(x * x, axis=0) - f.mean(x, axis=0) * f.mean(x, axis=0),
                  FAR, SPREAD),
        Reduction(lambda f, x: f.sqrt(f.mean(x * x) - f.mean(x) ** 2), FAR, SPREAD),
    ],
    TWO_PASS: [
        Reduction(lambda f, x: f.sqrt(f.mean((x - f.mean(x)) ** 2)), [3.0, 3.0, 3.0], SPREAD),
        Reduction(lambda f, x: f.sqrt(f.mean(f.square(x - f.mean(x, axis=1, keepdims=True)),
                                             axis=1)), EQUAL, SPREAD),
        Reduction(lambda f, x: f.sqrt(f.mean(
            f.square(x - f.expand_dims(f.mean(x, axis=1), 1)), axis=1, keepdims=True)),
            EQUAL, SPREAD),
    ],
    CROSS_ENTROPY: [
        Reduction(lambda f, x: -f.mean(f.pick(f.log(f.softmax(x)), LABELS)), GRID),
        Reduction(lambda f, x: f.mean(-f.pick(f.log(f.softmax(x)), LABELS)), GRID),
        Reduction(lambda f, x: -f.mean(f.pick(
            f.log(f.exp(x) / f.sum(f.exp(x), axis=1, keepdims=True)), LABELS)), LOW),
        Reduction(lambda f, x: -f.mean(f.log(f.pick(f.softmax(x), LABELS))), GRID),
    ],
    "log(reshape(x)) = reshape(log(x))": [
        Reduction(lambda f, x: f.log(f.reshape(f.softmax(x), (3, 2))), GRID),
        Reduction(lambda f, x: f.log(f.reshape(f.sum(f.exp(x), axis=1), (2, 1))), GRID),
    ],
    "log(expand_dims(x)) = expand_dims(log(x))": [
        Reduction(lambda f, x: f.log(f.expand_dims(f.sum(f.exp(x), axis=1), 0)), GRID),
    ],
    "log(squeeze(x)) = squeeze(log(x))": [
        Reduction(lambda f, x: f.log(f.squeeze(f.sum(f.exp(x), axis=1, keepdims=True), 1)), LOW),
    ],
    "log(permute_dims(x)) = permute_dims(log(x))": [
        Reduction(lambda f, x: f.log(f.permute_dims(f.softmax(x), (1, 0))), GRID),
    ],
    "log(broadcast_to(x)) = broadcast_to(log(x))": [
        Reduction(lambda f, x: f.log(f.broadcast_to(f.sum(f.exp(x), axis=0), (2, 3))), LOW),
    ],
    "log(getitem(x)) = getitem(log(x))": [
        Reduction(lambda f, x: f.log(f.softmax(x)[:, 0]), [[-800.0, 3.0], [-900.0, 2.5]]),
        Reduction(lambda f, x: f.log(f.softmax(x)[::-1, 1:]), GRID),
        Reduction(lambda f, x: f.log(f.sum(f.exp(x), axis=1)[1]), GRID),
        Reduction(lambda f, x: f.log(f.expand_dims(f.softmax(x), 0)[0, 0]), GRID),
    ],
    "log(pick(x, y)) = pick(log(x), y)": [
        Reduction(lambda f, x: f.log(f.pick(f.permute_dims(f.softmax(x, axis=0), (1, 0)),
                                            [0, 1, 1])), GRID),
        Reduction(lambda f, x: f.log(f.pick(f.softmax(x), LABELS)), GRID),
    ],
    "log(cast(x)) = cast(log(x))": [
        Reduction(lambda f, x: f.log(f.cast(f.softmax(x), "float16")), {"float32": GRID}),
        Reduction(lambda f, x: f.log(f.cast(f.sum(f.exp(x), axis=1), "float32")),
                  {"float64": GRID}),
        Reduction(lambda f, x: f.log(f.cast(f.softmax(x), "float64")), {"float32": GRID}),
        Reduction(lambda f, x: f.log(f.cast(f.sum(f.exp(x), axis=1), "float64")),
                  {"float32": GRID}),
        Reduction(lambda f, x: f.log(f.cast(f.reshape(f.sum(f.exp(x), axis=1), (2, 1)),
                                            "float64")), {"float32": GRID}),
        Reduction(lambda f, x: f.log(f.cast(f.pick(f.softmax(x), LABELS), "float64")),
                  {"float32": GRID}),
    ],
}  # fmt: skip
