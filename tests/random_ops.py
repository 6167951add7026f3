"""What random graphs are made of: for each op the graphc call, PyTorch's, and its range of values.

Ops with a kink are written with an offset (`relu(x + 0.17)`), so that sharing and exact zeros do
not put operands on the kink, where rounding would decide. `T` is the torch module, so that this
file can be imported without it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import graphc as gc

Interval: TypeAlias = tuple[float, float]
ANY: Interval = (-math.inf, math.inf)
POSITIVE: Interval = (0.2, math.inf)


@dataclass(frozen=True)
class RandomOp:
    """One op in both languages.

    kind    how operands and options are drawn, see `random_graphs`
    graphc  (*nodes, **options) -> node
    torch   (T, *tensors, **options) -> tensor
    bound   (n, *intervals) -> interval of the result, where n elements go into one
    domain  the interval that operands have to lie in
    smooth  has no kink, and maps distinct numbers to distinct numbers
    """

    name: str
    kind: str
    graphc: Callable[..., Any]
    torch: Callable[..., Any]
    bound: Callable[..., Interval]
    domain: Interval = ANY
    smooth: bool = True


# --- ranges ---------------------------------------------------------------------------------------


def corners(f: Callable[..., float]) -> Callable[..., Interval]:
    """The range of a function that is monotone in each argument."""

    def bound(n: int, *intervals: Interval) -> Interval:
        values = [f(*corner) for corner in itertools.product(*intervals)]
        return min(values), max(values)

    return bound


def fixed(low: float, high: float) -> Callable[..., Interval]:
    """A range that does not depend on the operands."""
    return lambda n, *intervals: (low, high)


def hull(n: int, *intervals: Interval) -> Interval:
    """The range of what chooses among its operands, or moves or averages them."""
    return min(a for a, _ in intervals), max(b for _, b in intervals)


def largest(*intervals: Interval) -> float:
    """The largest absolute value of several intervals."""
    return max(abs(end) for interval in intervals for end in interval)


def squared(n: int, a: Interval) -> Interval:
    return 0.0, largest(a) ** 2


def powered(n: int, a: Interval) -> Interval:
    """x ** p for the constant exponents below."""
    return -(largest(a, (1, 1)) ** 4), largest(a, (1, 1)) ** 4


def summed(n: int, a: Interval) -> Interval:
    return n * min(a[0], 0.0), n * max(a[1], 0.0)


def contracted(n: int, a: Interval, b: Interval) -> Interval:
    most = n * largest(a) * largest(b)
    return -most, most


def multiplied(n: int, a: Interval) -> Interval:
    most = max(largest(a), 1.0) ** n
    return -most, most


# --- PyTorch's spellings --------------------------------------------------------------------------


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def over(name: str, **fixed_options: Any) -> Callable[..., Any]:
    """A reduction of torch that takes several axes."""

    def reduce(T: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.ndim == 0:  # `dim=()` means all axes in some functions of torch, and none in others
            x = x.reshape(1)
            axis = None
            keepdims = False
        return getattr(T, name)(x, dim=axes_of(x, axis), keepdim=keepdims, **fixed_options)

    return reduce


def torch_prod(T: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    for a in sorted(axes_of(x, axis), reverse=True):
        x = T.prod(x, dim=a, keepdim=keepdims)
    return x


def torch_getitem(T: Any, x: Any, key: tuple[Any, ...]) -> Any:
    """torch has no negative steps."""
    read = [entry for entry in key if entry is not None]
    flipped = [axis for axis, entry in enumerate(read) if entry == "reversed"]
    return T.flip(x, flipped)[numpy_key(key, reverse=slice(None))]


def numpy_key(key: tuple[Any, ...], reverse: slice = slice(None, None, -1)) -> tuple[Any, ...]:
    """An index from its plain form: ints, None, "reversed", and slices as tuples."""
    spelled = {"reversed": reverse, "...": Ellipsis}
    return tuple(
        slice(*e) if isinstance(e, tuple) else spelled[e] if isinstance(e, str) else e for e in key
    )


def merged(shape: Any, groups: tuple[tuple[int, ...], ...]) -> tuple[Any, ...]:
    """A shape in which groups of neighbouring axes are joined; an empty group is an axis of 1."""
    sizes = []
    for group in groups:
        size = 1
        for axis in group:
            size = shape[axis] * size
        sizes.append(size)
    return tuple(sizes)


def torch_cross_entropy(T: Any, x: Any, labels: Any) -> Any:
    rows = x.reshape(-1, x.shape[-1])
    return T.nn.functional.cross_entropy(rows, labels.reshape(-1))


def torch_clip(T: Any, x: Any) -> Any:
    return T.clip(x, -0.71, 0.83)


def torch_wrapped(T: Any, x: Any, axis: int) -> Any:
    return T.cat([x.narrow(axis, x.shape[axis] - 1, 1), x, x.narrow(axis, 0, 1)], axis)


def at_axis(x: Any, axis: int, there: Any, elsewhere: Any) -> tuple[Any, ...]:
    """An entry for each axis of x."""
    return tuple(there if i == axis % x.ndim else elsewhere for i in range(x.ndim))


def contract(x: Any, y: Any) -> Any:
    """The product of matrices, or vectors, in Einstein's notation."""
    left, right = ("...ij" if x.ndim > 1 else "j"), ("...jk" if y.ndim > 1 else "j")
    rows, columns = "i" * (x.ndim > 1), "k" * (y.ndim > 1)
    return gc.einsum(f"{left},{right}->...{rows}{columns}", x, y)


CONSTANT = np.array([0.5, -1.25, 2.0])  # on the last axis of (…, 3)


def listed() -> list[RandomOp]:
    """The table: name, how it is drawn, graphc, PyTorch, range, domain."""
    R = RandomOp
    return [
        # one operand
        R("exp", "one", lambda x: gc.exp(x), lambda T, x: T.exp(x), corners(math.exp), (-4, 3.5)),
        R("expm1", "one", lambda x: gc.expm1(x), lambda T, x: T.expm1(x), corners(math.expm1),
          (-4, 3.5)),
        R("log", "one", lambda x: gc.log(x), lambda T, x: T.log(x), corners(math.log), POSITIVE),
        R("log1p", "one", lambda x: gc.log1p(x), lambda T, x: T.log1p(x), corners(math.log1p),
          (-0.7, math.inf)),
        R("sqrt", "one", lambda x: gc.sqrt(x), lambda T, x: T.sqrt(x), corners(math.sqrt),
          POSITIVE),
        R("sin", "one", lambda x: gc.sin(x), lambda T, x: T.sin(x), fixed(-1, 1)),
        R("cos", "one", lambda x: gc.cos(x), lambda T, x: T.cos(x), fixed(-1, 1)),
        R("tanh", "one", lambda x: gc.tanh(x), lambda T, x: T.tanh(x), fixed(-1, 1)),
        R("atan", "one", lambda x: gc.atan(x), lambda T, x: T.atan(x), fixed(-1.6, 1.6)),
        R("asinh", "one", lambda x: gc.asinh(x), lambda T, x: T.asinh(x), corners(math.asinh)),
        R("exp2", "one", lambda x: gc.exp2(x), lambda T, x: T.exp2(x), corners(lambda a: 2**a),
          (-5, 5)),
        R("log2", "one", lambda x: gc.log2(x), lambda T, x: T.log2(x), corners(math.log2),
          POSITIVE),
        R("sigmoid", "one", lambda x: gc.sigmoid(x), lambda T, x: T.sigmoid(x), fixed(0, 1)),
        R("negative", "one", lambda x: -x, lambda T, x: -x, corners(lambda a: -a)),
        R("square", "one", lambda x: gc.square(x), lambda T, x: T.square(x), squared),
        R("reciprocal", "one", lambda x: gc.reciprocal(x), lambda T, x: T.reciprocal(x),
          corners(lambda a: 1 / a), POSITIVE),
        R("stop", "one", lambda x: gc.stop_gradient(x), lambda T, x: x.detach(), hull),
        R("twice", "one", lambda x: x + x, lambda T, x: 2 * x, corners(lambda a: 2 * a)),
        R("abs", "one", lambda x: gc.abs(x - 0.11), lambda T, x: T.abs(x - 0.11),
          lambda n, a: (0, largest(a) + 1), smooth=False),
        R("relu", "one", lambda x: gc.relu(x + 0.17), lambda T, x: T.relu(x + 0.17),
          lambda n, a: (0, largest(a) + 1), smooth=False),
        R("leaky_relu", "one", lambda x: gc.leaky_relu(x - 0.05, 0.2),
          lambda T, x: T.nn.functional.leaky_relu(x - 0.05, 0.2),
          lambda n, a: (a[0] - 1, a[1] + 1), smooth=False),
        R("clip", "one", lambda x: gc.clip(x, -0.71, 0.83), torch_clip, fixed(-0.71, 0.83),
          smooth=False),
        # one operand and a number
        R("scale", "number", lambda x, c: c * x, lambda T, x, c: c * x, lambda n, a: a),
        R("shift", "number", lambda x, c: x + c, lambda T, x, c: x + c, lambda n, a: a),
        R("minus_from", "number", lambda x, c: c - x, lambda T, x, c: c - x,
          corners(lambda a: -a)),
        R("over_number", "number", lambda x, c: x / c, lambda T, x, c: x / c, lambda n, a: a),
        R("number_over", "number", lambda x, c: c / x, lambda T, x, c: c / x,
          corners(lambda a: 1 / a), POSITIVE),
        R("power", "exponent", lambda x, p: x**p, lambda T, x, p: x**p, powered, (-2.5, 2.5)),
        R("root_power", "real", lambda x, p: x**p, lambda T, x, p: x**p, fixed(0, 100), (0.2, 6)),
        R("times_constant", "three", lambda x: x * CONSTANT,
          lambda T, x: x * T.from_numpy(CONSTANT), lambda n, a: (-2 * largest(a), 2 * largest(a))),
        # two operands that broadcast
        R("add", "two", lambda x, y: x + y, lambda T, x, y: x + y, corners(lambda a, b: a + b)),
        R("subtract", "two", lambda x, y: x - y, lambda T, x, y: x - y,
          corners(lambda a, b: a - b)),
        R("multiply", "two", lambda x, y: x * y, lambda T, x, y: x * y,
          corners(lambda a, b: a * b)),
        R("divide", "two", lambda x, y: x / y, lambda T, x, y: x / y, corners(lambda a, b: a / b),
          POSITIVE),
        R("pow", "two", lambda x, y: x**y, lambda T, x, y: x**y, fixed(0, 50), (0.2, 2.1)),
        R("atan2", "two", lambda x, y: gc.atan2(x, y), lambda T, x, y: T.atan2(x, y),
          fixed(0, 1.6), POSITIVE),
        R("maximum", "two", lambda x, y: gc.maximum(x, y + 0.13),
          lambda T, x, y: T.maximum(x, y + 0.13),
          lambda n, a, b: (min(a[0], b[0]), largest(a, b) + 1), smooth=False),
        R("minimum", "two", lambda x, y: gc.minimum(x, y - 0.19),
          lambda T, x, y: T.minimum(x, y - 0.19),
          lambda n, a, b: (-largest(a, b) - 1, max(a[1], b[1])), smooth=False),
        R("indicator", "two", lambda x, y: (x > y + 0.07).astype("float64"),
          lambda T, x, y: (x > y + 0.07).to(T.float64), fixed(0, 1), smooth=False),
        R("masked", "two", lambda x, y: gc.mask(x, y <= x - 0.03),
          lambda T, x, y: x * (y <= x - 0.03), lambda n, a, b: hull(n, a, (0, 0)), smooth=False),
        R("where", "three_operands", lambda x, y, z: gc.where(x > y + 0.09, z, x),
          lambda T, x, y, z: T.where(x > y + 0.09, z, x), hull, smooth=False),
        R("broadcast_like", "two", lambda x, y: gc.broadcast_to(x, (x + y).shape) * y,
          lambda T, x, y: x * y, corners(lambda a, b: a * b)),
        R("times_int", "int", lambda x, k: k * x, lambda T, x, k: k * x,
          lambda n, a: (-3 * largest(a), 3 * largest(a))),
        # over axes
        R("sum", "axes", gc.sum, over("sum"), summed),
        R("mean", "axes", gc.mean, over("mean"), hull),
        R("prod", "axes", gc.prod, torch_prod, multiplied, (-2, 2)),
        R("var", "axes", gc.var, over("var", correction=0), lambda n, a: (0, (a[1] - a[0]) ** 2)),
        R("std", "axes",
          lambda x, axis=None, keepdims=False: gc.sqrt(gc.var(x, axis, keepdims) + 0.5),
          lambda T, x, **o: T.sqrt(over("var", correction=0)(T, x, **o) + 0.5),
          lambda n, a: (0.7, a[1] - a[0] + 1)),
        R("max", "generic_axes", gc.max, over("amax"), hull),
        R("min", "generic_axes", gc.min, over("amin"), hull),
        R("logsumexp", "axes", gc.logsumexp, over("logsumexp"),
          lambda n, a: (a[0], a[1] + math.log(n))),
        R("naive_logsumexp", "axes",
          lambda x, axis=None, keepdims=False: gc.log(gc.sum(gc.exp(x), axis, keepdims)),
          over("logsumexp"), lambda n, a: (a[0], a[1] + math.log(n)), (-4, 4)),
        R("softmax", "axis", gc.softmax, lambda T, x, axis: T.softmax(x, axis), fixed(0, 1)),
        R("log_softmax", "axis", gc.log_softmax, lambda T, x, axis: T.log_softmax(x, axis),
          lambda n, a: (a[0] - a[1] - math.log(n), 0)),
        R("log_of_softmax", "axis", lambda x, axis: gc.log(gc.softmax(x, axis)),
          lambda T, x, axis: T.log_softmax(x, axis),
          lambda n, a: (a[0] - a[1] - math.log(n), 0), (-6, 6)),
        # along an axis, in order
        R("cumulative_sum", "axis", gc.cumulative_sum, lambda T, x, axis: T.cumsum(x, axis),
          summed),
        R("cumulative_prod", "axis", gc.cumulative_prod, lambda T, x, axis: T.cumprod(x, axis),
          multiplied, (-2, 2)),
        R("sort", "generic_axis", gc.sort,
          lambda T, x, axis: T.sort(x, dim=axis, stable=True).values, hull),
        R("descending", "generic_axis", lambda x, axis: gc.sort(x, axis, descending=True),
          lambda T, x, axis: T.sort(x, dim=axis, stable=True, descending=True).values, hull),
        R("top_1", "generic_axis", lambda x, axis: gc.top_k(x, 1, axis)[0],
          lambda T, x, axis: T.topk(x, 1, axis).values, hull),
        R("flip", "axis", gc.flip, lambda T, x, axis: T.flip(x, (axis,)), hull),
        R("roll", "axis", lambda x, axis: gc.roll(x, 2, axis),
          lambda T, x, axis: T.roll(x, 2, axis), hull),
        R("doubled", "axis", lambda x, axis: gc.repeat(x, 2, axis),
          lambda T, x, axis: T.repeat_interleave(x, 2, axis), hull, smooth=False),
        R("tiled", "axis", lambda x, axis: gc.tile(x, at_axis(x, axis, 2, 1)),
          lambda T, x, axis: T.tile(x, at_axis(x, axis, 2, 1)), hull, smooth=False),
        R("ends", "axis", lambda x, axis: gc.take(x, [0, -1], axis),
          lambda T, x, axis: x.index_select(axis, T.tensor([0, x.shape[axis] - 1])), hull,
          smooth=False),
        R("wrapped", "axis", lambda x, axis: gc.pad(x, at_axis(x, axis, (1, 1), (0, 0)), "wrap"),
          torch_wrapped, hull, smooth=False),
        R("tril", "matrix", gc.tril, lambda T, x: T.tril(x), lambda n, a: hull(n, a, (0, 0)),
          smooth=False),
        # shapes
        R("merge", "merge", lambda x, groups: gc.reshape(x, merged(x.shape, groups)),
          lambda T, x, groups: x.reshape(merged(x.shape, groups)), hull),
        R("flatten", "one", lambda x: x.reshape(-1), lambda T, x: x.flatten(), hull),
        R("permute", "order", lambda x, axes: gc.permute_dims(x, axes),
          lambda T, x, axes: x.permute(axes), hull),
        R("repeat", "one", lambda x: gc.broadcast_to(x, (2, *x.shape)),
          lambda T, x: x.expand(2, *x.shape), hull, smooth=False),
        R("expand_dims", "new_axis", lambda x, axis: gc.expand_dims(x, axis),
          lambda T, x, axis: x.unsqueeze(axis), hull),
        R("squeeze", "unit_axes", gc.squeeze, lambda T, x, axis: x.squeeze(axis), hull),
        R("getitem", "key", lambda x, key: x[numpy_key(key)], torch_getitem, hull),
        R("part", "part", lambda x, cut, axis, part: gc.split(x, [cut], axis)[part],
          lambda T, x, cut, axis, part: T.tensor_split(x, [cut], axis)[part], hull),
        R("concat", "same_shape", lambda *xs, axis: gc.concat(list(xs), axis),
          lambda T, *xs, axis: T.cat(xs, axis), hull, smooth=False),
        R("stack", "same_shape", lambda *xs, axis: gc.stack(list(xs), axis),
          lambda T, *xs, axis: T.stack(xs, axis), hull, smooth=False),
        # products and losses
        R("einsum", "matmul", contract, lambda T, x, y: x @ y, contracted),
        R("matmul", "matmul", lambda x, y: x @ y, lambda T, x, y: x @ y, contracted),
        R("widen", "inner", lambda x: x.astype("float64"), lambda T, x: x.to(T.float64), hull),
        R("mse", "same_pair", gc.mse, lambda T, x, y: T.nn.functional.mse_loss(x, y),
          lambda n, a, b: (0, (largest(a) + largest(b)) ** 2)),
        R("cross_entropy", "labels", gc.cross_entropy, torch_cross_entropy,
          lambda n, a: (0, a[1] - a[0] + math.log(n))),
    ]  # fmt: skip


RANDOM_OPS = {op.name: op for op in listed()}

# --- how far a value is from a kink ---------------------------------------------------------------


def gap(x: np.ndarray[Any, Any], y: Any = 0.0) -> float:
    """The smallest distance of two arrays."""
    return float(np.min(np.abs(x - y), initial=np.inf))


def peak_gap(x: np.ndarray[Any, Any], axes: tuple[int, ...], sign: int) -> float:
    """The smallest distance of the largest and the next largest along axes."""
    if not axes:
        return np.inf
    moved = np.moveaxis(sign * x, axes, range(len(axes)))
    rows = np.sort(moved.reshape(-1, *moved.shape[len(axes) :]), axis=0)
    return gap(rows[-1], rows[-2]) if len(rows) > 1 else np.inf


# By the name of graphc's op: how far operands are from where the value or its derivative jumps.
MARGINS: dict[str, Callable[..., float]] = {
    **dict.fromkeys(("relu", "abs", "leaky_relu"), lambda node, x: gap(x)),
    **dict.fromkeys(
        ("maximum", "minimum", "less", "less_equal", "greater", "greater_equal"),
        lambda node, x, y: gap(x, y),
    ),
    "clip": lambda node, x, low, high: min(gap(x, low), gap(x, high)),
    "max": lambda node, x: peak_gap(x, node.params.axes, 1),
    "min": lambda node, x: peak_gap(x, node.params.axes, -1),
}
