"""Pooling: one number for each window, and the transposes that spread numbers over windows."""

from __future__ import annotations

from functools import partial
from typing import Any

from graphc.errors import GraphcError
from graphc.ir import dims
from graphc.ir.dims import Shape
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import TensorType, equal_sizes
from graphc.ops.elementwise import mask
from graphc.ops.families import composite, given, linear
from graphc.ops.operands import flag
from graphc.ops.reduction import first_maximum, max, mean, sum
from graphc.ops.shape import broadcast_to, expand_dims, reshape
from graphc.ops.windows import Windows, check_windows, emission, image, numbers, windows_of
from graphc.runtime import windows as runtime

__all__ = [
    "avg_pool1d", "avg_pool2d", "global_avg_pool", "global_max_pool", "max_pool1d", "max_pool2d",
]  # fmt: skip


def _pooled(require: Any, x: TensorType, windows: Windows) -> TensorType:
    batch, channels, *size = x.shape
    for guard in windows.fitted(tuple(size)):
        require(guard)
    return TensorType((batch, channels, *windows.counts(tuple(size))), x.dtype)


def _pool_windows(
    op: str, x: Node, kernel: Any, stride: Any, padding: Any, dilation: Any = 1
) -> Windows:
    """The windows of a pool, which are side by side unless there is a stride."""
    rank = x.ndim - 2
    kernel = numbers(op, "kernel", kernel, rank, 1)
    stride = kernel if stride is None else stride
    windows = windows_of(op, kernel, rank, stride, padding, dilation)
    for size, pad in zip(windows.kernel, windows.padding, strict=True):
        if 2 * min(pad) > size:  # there would be windows of nothing
            raise GraphcError(
                f"{op}: padding is at most half of the kernel {kernel}, got {padding!r}"
            )
    check_windows(op, x, windows)
    return windows


_emission = partial(emission, side_by_side=True)
_of_maxima = partial(_emission, helpers=(runtime.first_in_windows,))


def _sample(shape: tuple[int, ...], *arguments: Any, **options: Any) -> Draw:
    return lambda rng: ((rng.normal(size=shape), *arguments), options)


# --- the largest element -------------------------------------------------------------------------


def _max_call(
    op: Op, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Node:
    x = image("max_pool", x)
    return op.node((x,), _pool_windows("max_pool", x, kernel, stride, padding, dilation))


def _moved(require: Any, g: TensorType, source: TensorType, target: TensorType) -> TensorType:
    """The type of g, of the shape of one of x and y, in the shape of the other."""
    for own, other in zip(g.shape, source.shape, strict=True):
        require(equal_sizes(own, other))
    return TensorType(target.shape, g.dtype)


def _max_sample(shape: tuple[int, ...], *arguments: Any, **options: Any) -> Draw:
    def draw(rng: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # Far enough apart for differences of values to be slopes.
        x = rng.permutation(dims.product(shape)).reshape(shape) / 4.0
        return (x, *arguments), options

    return draw


def _place_sample(bar: tuple[int, ...], x: tuple[int, ...], *geometry: Any) -> Draw:
    def draw(rng: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # In ints, which have no derivatives: what moves a maximum moves y with it.
        image = rng.integers(0, 3, x)
        largest = runtime.max_pool(image.astype(float), *geometry).astype(int)
        return (rng.normal(size=bar), image, largest, Windows(*geometry)), {}

    return draw


GEOMETRY = ((2, 2), (2, 1), ((1, 1), (0, 0)), (1, 1))  # overlapping, and beyond two edges

max_pool = Op(
    name="max_pool", doc="the largest element of each window; (batch, channels, …)",
    operands=("x",), parameters=("windows",), noun="pool",
    infer=_pooled, emission=_emission("max_pool", "x"), call=_max_call,
    vjp=lambda index, bar, y, kinks: max_unpool.node((bar, y.args[0], y), y.params.windows),
    jvp=lambda y, tangents, kinks: at_maxima.node(
        (given(tangents), y.args[0], y), y.params.windows
    ),
    bounds=lambda node, x: x,
    kink=dict.fromkeys(("torch", "jax", "textbook"), "max_pool, ties: the first"),
    samples=(
        _max_sample((2, 2, 4, 4), 2),
        _max_sample((1, 2, 5, 4), (3, 2), stride=(2, 1), padding=1),
        _max_sample((2, 1, 7), 2, stride=1, dilation=2),
        _max_sample((0, 2, 4), 2),
    ),
)  # fmt: skip
max_unpool: Op = linear(
    "max_unpool", "each number at the first of the largest elements of its window of x",
    operands=("bar", "x", "y"), parameters=("windows",),
    infer=lambda require, bar, x, y, windows: _moved(require, bar, y, x),
    emission=_of_maxima("max_unpool", "bar", "x", "y"),
    transpose=lambda g, out: at_maxima.node((g, *out.args[1:]), out.params.windows),
    call=lambda op, bar, x, y, windows: op.node((bar, x, y), windows),
    samples=(_place_sample((2, 1, 3, 3), (2, 1, 5, 4), *GEOMETRY),),
)  # fmt: skip
at_maxima: Op = linear(
    "at_maxima", "g at the first of the largest elements of each window of x",
    operands=("g", "x", "y"), parameters=("windows",),
    infer=lambda require, g, x, y, windows: _moved(require, g, x, y),
    emission=_of_maxima("at_maxima", "g", "x", "y"),
    transpose=lambda bar, out: max_unpool.node((bar, *out.args[1:]), out.params.windows),
    call=lambda op, g, x, y, windows: op.node((g, x, y), windows),
    samples=(_place_sample((2, 1, 5, 4), (2, 1, 5, 4), *GEOMETRY),),
)  # fmt: skip


@function
def max_pool1d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Node:
    """The largest element of each window of x (batch, channels, width), as PyTorch's.

    Windows are side by side unless `stride` is given; `padding` is never the largest, and at most
    half of the kernel. Of equal elements, the first receives the gradient.
    """
    x = image("max_pool1d", x, 1)
    windows = _pool_windows("max_pool1d", x, kernel, stride, padding, dilation)
    return max_pool.node((x,), windows)


@function
def max_pool2d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Node:
    """The largest element of each window of x (batch, channels, height, width), as PyTorch's.

    An option is one number, or one for each axis. Windows are side by side unless `stride` is
    given; `padding` is never the largest, and at most half of the kernel. Of equal elements, the
    first, row by row, receives the gradient.
    """
    x = image("max_pool2d", x, 2)
    windows = _pool_windows("max_pool2d", x, kernel, stride, padding, dilation)
    return max_pool.node((x,), windows)


# --- the sum, and the mean -----------------------------------------------------------------------


def _spread_infer(require: Any, x: TensorType, size: Shape, windows: Windows) -> TensorType:
    for guard in windows.fitted(size):
        require(guard)
    for own, count in zip(x.shape[2:], windows.counts(size), strict=True):
        require(equal_sizes(own, count))
    return TensorType((*x.shape[:2], *size), x.dtype)


def _sum_call(op: Op, x: Any, kernel: Any, stride: Any = None, padding: Any = 0) -> Node:
    x = image("sum_pool", x)
    return op.node((x,), _pool_windows("sum_pool", x, kernel, stride, padding))


def _spread_call(
    op: Op, x: Any, size: Any, kernel: Any, stride: Any = None, padding: Any = 0
) -> Node:
    x = image("spread_pool", x)
    rank = x.ndim - 2
    stride = kernel if stride is None else stride
    windows = windows_of("spread_pool", kernel, rank, stride, padding)
    return op.node((x,), tuple(size), windows)


sum_pool: Op = linear(
    "sum_pool", "the sum of each window; (batch, channels, …)", noun="pool",
    parameters=("windows",), infer=_pooled, emission=_emission("sum_pool", "x"),
    transpose=lambda bar, y: spread_pool.node((bar,), y.args[0].shape[2:], y.params.windows),
    call=_sum_call,
    samples=(_sample((2, 2, 4, 5), 2), _sample((1, 2, 5), 3, stride=2, padding=1)),
)  # fmt: skip
spread_pool: Op = linear(
    "spread_pool", "each number added to all of its window, in arrays of a size", noun="spread",
    parameters=("size", "windows"),
    infer=_spread_infer, emission=_emission("spread_pool", "x", sized=True),
    transpose=lambda bar, y: sum_pool.node((bar,), y.params.windows),
    call=_spread_call,
    samples=(
        _sample((2, 2, 2, 2), (4, 5), 2),
        _sample((1, 2, 3), (5,), 3, stride=2, padding=1),
    ),
)  # fmt: skip


def _average(op: str, x: Node, windows: Windows, padded: Any) -> Node:
    """The sums of windows over the numbers of their elements."""
    hint = x.graph.hint
    counts: Any = float(windows.elements)
    if not flag(op, "count_include_pad", padded) and any(map(any, windows.padding)):
        ones = hint(broadcast_to(x.graph.constant(1.0, x.dtype), (1, 1, *x.shape[2:])), "ones")
        counts = hint(sum_pool.node((ones,), windows), "counts")
    return hint(sum_pool.node((x,), windows) / counts, "average")


@function
def avg_pool1d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> Node:
    """The mean of each window of x (batch, channels, width), as PyTorch's.

    Windows are side by side unless `stride` is given; `padding` counts as zeros, and at most half
    of the kernel. Without `count_include_pad`, means are of what lies inside x.
    """
    x = image("avg_pool1d", x, 1)
    windows = _pool_windows("avg_pool1d", x, kernel, stride, padding)
    return _average("avg_pool1d", x, windows, count_include_pad)


@function
def avg_pool2d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> Node:
    """The mean of each window of x (batch, channels, height, width), as PyTorch's.

    An option is one number, or one for each axis. Windows are side by side unless `stride` is
    given; `padding` counts as zeros, and is at most half of the kernel. Without
    `count_include_pad`, means are of what lies inside x.
    """
    x = image("avg_pool2d", x, 2)
    windows = _pool_windows("avg_pool2d", x, kernel, stride, padding)
    return _average("avg_pool2d", x, windows, count_include_pad)


# --- over all of an image ------------------------------------------------------------------------


@function
def global_avg_pool(x: Any) -> Node:
    """The mean of each channel of x (batch, channels, …): (batch, channels)."""
    x = image("global_avg_pool", x)
    return mean(x, tuple(range(2, x.ndim)))


def _global_max_body(x: Node) -> Node:
    return max(reshape(x, (*x.shape[:2], dims.product(x.shape[2:]))), -1)


def _first(x: Node) -> Node:
    return first_maximum.node((x,), tuple(range(2, x.ndim)))


def _global_max_vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
    x = node.args[0]
    return mask(expand_dims(bar, tuple(range(2, x.ndim))), _first(x))


def _global_max_jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node:
    x = node.args[0]
    return sum(mask(given(tangents), _first(x)), tuple(range(2, x.ndim)))


global_max_pool = composite(
    "global_max_pool", "the largest element of each channel of x (batch, channels, …)",
    body=_global_max_body, call=lambda op, x: op.node((image("global_max_pool", x),)),
    vjp=_global_max_vjp, jvp=_global_max_jvp, bounds=lambda node, x: x,
    kink=dict.fromkeys(("torch", "jax", "textbook"), "global_max_pool, ties: the first"),
    samples=(_max_sample((2, 2, 2, 3)), _max_sample((2, 1, 4))),
)  # fmt: skip
