"""Pools that average: the sum, the mean and the p-norm of each window, and of all of an image."""

from __future__ import annotations

from typing import Any

from graphc.ir.dims import Shape
from graphc.ir.intervals import NOT_NEGATIVE
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import TensorType, equal_sizes
from graphc.ops.elementwise import abs, sign, sqrt, where
from graphc.ops.families import composite, given, linear
from graphc.ops.operands import flag
from graphc.ops.pooling import pool_emission, pool_windows, pooled
from graphc.ops.reduction import mean
from graphc.ops.shape import broadcast_to
from graphc.ops.windows import Windows, image, numbers, paddings, windows_of

__all__ = [
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "global_avg_pool", "lp_pool1d", "lp_pool2d",
    "lp_pool3d",
]  # fmt: skip


def _sample(shape: tuple[int, ...], *arguments: Any, **options: Any) -> Draw:
    return lambda rng: ((rng.normal(size=shape), *arguments), options)


# --- sums ----------------------------------------------------------------------------------------


def _spread_infer(require: Any, x: TensorType, size: Shape, windows: Windows) -> TensorType:
    for guard in windows.fitted(size):
        require(guard)
    for own, count in zip(x.shape[2:], windows.counts(size), strict=True):
        require(equal_sizes(own, count))
    return TensorType((*x.shape[:2], *size), x.dtype)


def _sum_call(
    op: Op, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Node:
    x = image("sum_pool", x)
    return op.node((x,), pool_windows("sum_pool", x, kernel, stride, padding, dilation))


def _spread_call(
    op: Op, x: Any, size: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Node:
    x = image("spread_pool", x)
    rank = x.ndim - 2
    stride = kernel if stride is None else stride
    windows = windows_of("spread_pool", kernel, rank, stride, padding, dilation)
    return op.node((x,), tuple(size), windows)


sum_pool: Op = linear(
    "sum_pool", "the sum of each window; (batch, channels, …)", noun="pool",
    parameters=("windows",), infer=pooled, emission=pool_emission("sum_pool", "x"),
    transpose=lambda bar, y: spread_pool.node((bar,), y.args[0].shape[2:], y.params.windows),
    call=_sum_call,
    samples=(_sample((2, 2, 4, 5), 2), _sample((1, 2, 5), 3, stride=2, padding=1),
             _sample((1, 1, 5), 2, stride=1, padding=1, dilation=2)),
)  # fmt: skip
spread_pool: Op = linear(
    "spread_pool", "each number added to all of its window, in arrays of a size", noun="spread",
    parameters=("size", "windows"),
    infer=_spread_infer, emission=pool_emission("spread_pool", "x", sized=True),
    transpose=lambda bar, y: sum_pool.node((bar,), y.params.windows),
    call=_spread_call,
    samples=(
        _sample((2, 2, 2, 2), (4, 5), 2),
        _sample((1, 2, 3), (5,), 3, stride=2, padding=1),
        _sample((1, 1, 5), (5,), 2, stride=1, padding=1, dilation=2),
    ),
)  # fmt: skip


# --- means ---------------------------------------------------------------------------------------


def averages(
    op: str, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: Any = False, count_include_pad: Any = True, rank: int | None = None,
) -> Node:  # fmt: skip
    """The sums of windows over the numbers of their elements, with any number of axes."""
    x = image(op, x, rank)
    windows = pool_windows(op, x, kernel, stride, padding, dilation, ceil_mode)
    hint = x.graph.hint
    counts: Any = float(windows.elements)
    # What a last window has beyond the padding that is declared never counts.
    counted = paddings(op, padding, windows.kernel, windows.stride, windows.dilation)
    if not flag(op, "count_include_pad", count_include_pad):
        counted = ((0, 0),) * len(counted)
    if counted != windows.padding:
        size = tuple(n + front + end for n, (front, end) in zip(x.shape[2:], counted, strict=True))
        beyond = tuple(
            (front - own_front, end - own_end)
            for (front, end), (own_front, own_end) in zip(windows.padding, counted, strict=True)
        )
        ones = broadcast_to(x.graph.constant(1.0, x.dtype), (1, 1, *size))
        inside = windows._replace(padding=beyond)
        counts = hint(sum_pool.node((hint(ones, "ones"),), inside), "counts")
    result: Node = hint(sum_pool.node((x,), windows) / counts, "average")
    return result


@function
def avg_pool1d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Node:  # fmt: skip
    """The mean of each window of x (batch, channels, width), as PyTorch's.

    See `avg_pool2d`; `padding` of two ends is ((before, behind),).
    """
    options = (stride, padding, dilation, ceil_mode, count_include_pad)
    return averages("avg_pool1d", x, kernel, *options, rank=1)


@function
def avg_pool2d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Node:  # fmt: skip
    """The mean of each window of x (batch, channels, height, width), as PyTorch's.

    An option is one number, or one for each axis. Windows are side by side unless `stride` is
    given.

    padding            counts as zeros, and is less than a window; also ((top, bottom), (left,
                       right)). Without `count_include_pad`, means are of what lies inside x.
    ceil_mode          a last window may reach beyond the end, unless it would begin there; what is
                       beyond the padding never counts
    """
    options = (stride, padding, dilation, ceil_mode, count_include_pad)
    return averages("avg_pool2d", x, kernel, *options, rank=2)


@function
def avg_pool3d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, count_include_pad: bool = True,
) -> Node:  # fmt: skip
    """The mean of each window of x (batch, channels, depth, height, width), as PyTorch's.

    See `avg_pool2d`.
    """
    options = (stride, padding, dilation, ceil_mode, count_include_pad)
    return averages("avg_pool3d", x, kernel, *options, rank=3)


@function
def global_avg_pool(x: Any) -> Node:
    """The mean of each channel of x (batch, channels, …): (batch, channels)."""
    x = image("global_avg_pool", x)
    return mean(x, tuple(range(2, x.ndim)))


# --- p-norms -------------------------------------------------------------------------------------


def _raised(x: Node, p: int) -> Node:
    """|x|ᵖ."""
    size = x if p % 2 == 0 else abs(x)
    return size if p == 1 else size**p


def _slope(x: Node, p: int) -> Node:
    """The derivative of |x|ᵖ / p."""
    return x ** (p - 1) if p % 2 == 0 else sign(x) * _raised(x, p - 1)


def _over_norm(g: Node, y: Node, p: int) -> Node:
    """g over the norm to the power p - 1; where the norm is 0, so is the slope of x."""
    return g if p == 1 else g / where(y == 0, 1.0, y) ** (p - 1)


def _norm_body(x: Node, windows: Windows, p: int) -> Node:
    total = sum_pool.node((_raised(x, p),), windows)
    return total if p == 1 else sqrt(total) if p == 2 else total ** (1 / p)


def _norm_vjp(index: int, bar: Node, y: Node, kinks: str) -> Node:
    (x,), (windows, p) = y.args, y.params
    return spread_pool.node((_over_norm(bar, y, p),), x.shape[2:], windows) * _slope(x, p)


def _norm_jvp(y: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node:
    (x,), (windows, p) = y.args, y.params
    return _over_norm(sum_pool.node((given(tangents) * _slope(x, p),), windows), y, p)


def _norms(
    op: str, x: Any, p: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, rank: int | None = None,
) -> Node:  # fmt: skip
    x = image(op, x, rank)
    (p,) = numbers(op, "p", p, 1, 1)
    windows = pool_windows(op, x, kernel, stride, padding, dilation, ceil_mode)
    return lp_pool.node((x,), windows, p)


lp_pool = composite(
    "lp_pool", "(sum(|x|ᵖ))¹ᐟᵖ over each window; (batch, channels, …)",
    parameters=("windows", "p"), body=_norm_body, vjp=_norm_vjp, jvp=_norm_jvp,
    call=lambda op, x, p, kernel, *geometry, **options: _norms(
        "lp_pool", x, p, kernel, *geometry, **options
    ),
    bounds=lambda node, x: NOT_NEGATIVE,
    kink=dict.fromkeys(("torch", "jax", "textbook"), "lp_pool'(0) = 0"),
    samples=(
        _sample((2, 2, 4, 3), 2, 2),
        _sample((1, 2, 5), 3, 3, stride=2, padding=1, ceil_mode=True),
        _sample((1, 1, 2, 3, 3), 1, 2, stride=1, dilation=(1, 2, 1)),
    ),
)  # fmt: skip


@function
def lp_pool1d(
    x: Any, p: int, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Node:  # fmt: skip
    """The p-norm of each window of x (batch, channels, width): (sum(|x|ᵖ))¹ᐟᵖ.

    See `lp_pool2d`; `padding` of two ends is ((before, behind),).
    """
    return _norms("lp_pool1d", x, p, kernel, stride, padding, dilation, ceil_mode, 1)


@function
def lp_pool2d(
    x: Any, p: int, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Node:  # fmt: skip
    """The p-norm of each window of x (batch, channels, height, width): (sum(|x|ᵖ))¹ᐟᵖ.

    As ONNX's LpPool: PyTorch's takes no absolute values, which differs where p is odd. The options
    are those of `max_pool2d`, with zeros for the padding; p is a whole number of at least 1. The
    slope of windows of zeros is 0.
    """
    return _norms("lp_pool2d", x, p, kernel, stride, padding, dilation, ceil_mode, 2)


@function
def lp_pool3d(
    x: Any, p: int, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Node:  # fmt: skip
    """The p-norm of each window of x (batch, channels, depth, height, width).

    See `lp_pool2d`.
    """
    return _norms("lp_pool3d", x, p, kernel, stride, padding, dilation, ceil_mode, 3)
