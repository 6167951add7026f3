"""Pools of maxima: the largest of each window, and the transposes that go back to its place."""

from __future__ import annotations

import builtins
from functools import partial
from typing import Any

from graphc.errors import GraphcError
from graphc.ir import dims
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import TensorType, equal_sizes
from graphc.ops.elementwise import mask
from graphc.ops.families import composite, given, linear
from graphc.ops.operands import flag
from graphc.ops.reduction import first_maximum, max, sum
from graphc.ops.shape import arange_on, broadcast_to, expand_dims, permute_dims, reshape
from graphc.ops.windows import Windows, check_windows, emission, image, numbers, windows_of
from graphc.runtime import windows as runtime

__all__ = ["global_max_pool", "max_pool1d", "max_pool2d", "max_pool3d", "max_pool_indices"]


def pooled(require: Any, x: TensorType, windows: Windows) -> TensorType:
    """The type of one number for each window of x."""
    batch, channels, *size = x.shape
    for guard in windows.fitted(tuple(size)):
        require(guard)
    return TensorType((batch, channels, *windows.counts(tuple(size))), x.dtype)


def pool_windows(
    op: str, x: Node, kernel: Any, stride: Any, padding: Any, dilation: Any = 1,
    ceil_mode: Any = False,
) -> Windows:  # fmt: skip
    """The windows of a pool, which are side by side unless there is a stride."""
    rank = x.ndim - 2
    kernel = numbers(op, "kernel", kernel, rank, 1)
    stride = kernel if stride is None else stride
    windows = windows_of(op, kernel, rank, stride, padding, dilation)
    for span, pair in zip(windows.spans, windows.padding, strict=True):
        if builtins.max(pair) >= span:  # there would be windows of nothing
            raise GraphcError(f"{op}: padding is less than the window {span}, got {padding!r}")
    if flag(op, "ceil_mode", ceil_mode):
        windows = windows.with_a_last_one()
    check_windows(op, x, windows)
    return windows


pool_emission = partial(emission, side_by_side=True)
_of_maxima = partial(pool_emission, helpers=(runtime.first_in_windows,))


def _max_call(
    op: Op, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Node:  # fmt: skip
    return _of_maximum(op.name, None, x, kernel, stride, padding, dilation, ceil_mode)


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
    infer=pooled, emission=pool_emission("max_pool", "x"), call=_max_call,
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
        _max_sample((1, 2, 2, 3, 4), 2, padding=((0, 0), (1, 0), (0, 1)), ceil_mode=True),
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


_INDEX_ORDERS = ("C", "F")


def _of_maximum(op: str, rank: int | None, x: Any, kernel: Any, *geometry: Any) -> Node:
    x = image(op, x, rank, floating=False)
    return max_pool.node((x,), pool_windows(op, x, kernel, *geometry))


@function
def max_pool1d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Node:  # fmt: skip
    """The largest element of each window of x (batch, channels, width), as PyTorch's.

    See `max_pool2d`; `padding` of two ends is ((before, behind),).
    """
    return _of_maximum("max_pool1d", 1, x, kernel, stride, padding, dilation, ceil_mode)


@function
def max_pool2d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Node:  # fmt: skip
    """The largest element of each window of x (batch, channels, height, width), as PyTorch's.

    An option is one number, or one for each axis. Windows are side by side unless `stride` is
    given. Of equal elements, the first, row by row, receives the gradient.

    padding    never the largest, and less than a window; also ((top, bottom), (left, right))
    ceil_mode  a last window may reach beyond the end, unless it would begin there
    """
    return _of_maximum("max_pool2d", 2, x, kernel, stride, padding, dilation, ceil_mode)


@function
def max_pool3d(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Node:  # fmt: skip
    """The largest element of each window of x (batch, channels, depth, height, width).

    See `max_pool2d`.
    """
    return _of_maximum("max_pool3d", 3, x, kernel, stride, padding, dilation, ceil_mode)


@function
def max_pool_indices(
    x: Any, kernel: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, order: str = "C",
) -> Node:  # fmt: skip
    """Where in its channel the first of the largest elements of each window is: int64.

    As the indices that PyTorch's max pools return, for any number of axes behind the channels; the
    options are those of `max_pool2d`.

    order  "C" counts elements of a channel row by row, "F" column by column
    """
    op = "max_pool_indices"
    if order not in _INDEX_ORDERS:
        raise GraphcError(f"{op}: order is 'C' or 'F', got {order!r}")
    y = _of_maximum(op, None, x, kernel, stride, padding, dilation, ceil_mode)
    size = y.args[0].shape[2:]
    places = arange_on(y.graph, dims.product(size))
    if order == "C":
        places = reshape(places, size)
    else:
        places = permute_dims(reshape(places, size[::-1]))
    places = broadcast_to(y.graph.hint(places, "places"), y.args[0].shape)
    return at_maxima.node((places, y.args[0], y), y.params.windows)


# --- over all of an image ------------------------------------------------------------------------


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
