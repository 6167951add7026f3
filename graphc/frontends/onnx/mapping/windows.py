"""Convolutions and pools: operators on windows that slide over the axes behind the channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphc import ops
from graphc.frontends.onnx.registry import Call, bound, maps
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ir.types import TensorType
from graphc.ops.averaging import averages, lp_pool
from graphc.ops.convolution import convolution, transposed_convolution, with_bias
from graphc.ops.pooling import max_pool
from graphc.ops.shape import arange_on, zeros_of

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

LARGEST = 1 << 20  # elements of a window: generated code has a step for each


# --- geometry ------------------------------------------------------------------------------------


def geometry(
    call: Call, x: Node, kernel: Sequence[Any], strides: Ints, pads: Ints, dilations: Ints,
    auto_pad: str,
) -> dict[str, Any]:  # fmt: skip
    """Stride, padding and dilation of windows as graphc's ops take them."""
    ones = (1,) * len(kernel)
    require_windows(call, x, kernel, strides, dilations)
    stride, dilation = strides or ones, dilations or ones
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        axes = zip(x.shape[2:], kernel, stride, dilation, strict=False)
        totals = [
            same_total(call, auto_pad, size, k, step, spread) for size, k, step, spread in axes
        ]
        padding = halves(totals, auto_pad == "SAME_UPPER")
    elif auto_pad == "VALID":
        padding = ((0, 0),) * len(kernel)
    else:
        padding = pairs(call, pads, len(kernel))
    return {"stride": stride, "padding": padding, "dilation": dilation}


def require_windows(call: Call, x: Node, kernel: Sequence[Any], *attributes: Ints) -> None:
    """Raise UnsupportedError for windows that x, or an attribute, tells something else of."""
    rank = len(kernel)
    if rank < 1 or x.ndim != rank + 2:
        call.refuse(f"windows of {rank} axes slide over inputs of {rank + 2} axes, got {x.ndim}")
    if math.prod(size for size in kernel if isinstance(size, int)) > LARGEST:
        call.refuse(f"windows have at most {LARGEST} elements, got {tuple(kernel)}")
    wrong = [given for given in attributes if given and len(given) != rank]
    if wrong:
        call.refuse(f"windows of {rank} axes have {rank} numbers in each attribute, got {wrong[0]}")


def pairs(call: Call, pads: Ints, rank: int) -> Pairs:
    """The standard lists the padding in front of all axes, then that behind."""
    pads = pads or (0,) * (2 * rank)
    if len(pads) != 2 * rank:
        call.refuse(f"pads are {2 * rank} numbers for {rank} axes, got {pads}")
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


def halves(totals: Sequence[int], more_behind: bool) -> Pairs:
    """What is added to both ends of each axis; of an odd number, one end has one more."""
    parts = [(total // 2, total - total // 2) for total in totals]
    return tuple(parts if more_behind else [(most, least) for least, most in parts])


def same_total(
    call: Call, auto_pad: str, size: Extent, kernel: int, stride: int, dilation: int
) -> int:
    """The padding with which there are as many windows as strides begin in an axis."""
    span = dilation * (kernel - 1) + 1
    if stride == 1:
        return span - 1
    told = f"auto_pad {auto_pad} with stride {stride} needs a size that is known"
    size = call.fixed(told, size)
    return max((-(-size // stride) - 1) * stride + span - size, 0)


def kernel_of(call: Call, w: Node, kernel_shape: Ints) -> Sequence[Any]:
    """The size of a kernel; the attribute may tell it again."""
    if kernel_shape and kernel_shape != w.shape[2:]:
        call.refuse(f"kernel_shape {kernel_shape} is not that of the kernels, {w.shape[2:]}")
    return w.shape[2:]


# --- convolutions --------------------------------------------------------------------------------


@maps("Conv")
def conv(
    call: Call, x: Node, w: Node, bias: Node | None = None, *, group: int = 1,
    kernel_shape: Ints = (), strides: Ints = (), pads: Ints = (), dilations: Ints = (),
    auto_pad: str = "NOTSET",
) -> Node:  # fmt: skip
    """Windows times kernels, and a bias for each channel."""
    kernel = kernel_of(call, w, kernel_shape)
    options = geometry(call, x, kernel, strides, pads, dilations, auto_pad)
    return with_bias("Conv", convolution(x, w, groups=group, **options), bias)


@maps("ConvTranspose")
def conv_transpose(
    call: Call, x: Node, w: Node, bias: Node | None = None, *, group: int = 1,
    kernel_shape: Ints = (), strides: Ints = (), pads: Ints = (), dilations: Ints = (),
    output_padding: Ints = (), output_shape: Ints = (), auto_pad: str = "NOTSET",
) -> Node:  # fmt: skip
    """The transpose of a convolution; padding is cut off, or follows from the size of the result.

    Where the result is larger than all windows, the rest is as `output_padding` behind them.
    """
    kernel = kernel_of(call, w, kernel_shape)
    ones = (1,) * len(kernel)
    require_windows(call, x, kernel, strides, dilations, output_padding, output_shape)
    stride, dilation, more = strides or ones, dilations or ones, output_padding or (0,) * len(ones)
    same = auto_pad in ("SAME_UPPER", "SAME_LOWER")
    if output_shape or same:
        sizes = x.shape[2:]
        wanted = output_shape[-len(kernel) :] or [n * s for n, s in zip(sizes, stride, strict=True)]
        axes = zip(sizes, stride, kernel, dilation, more, wanted, strict=True)
        totals = [(n - 1) * s + d * (k - 1) + 1 + m - size for n, s, k, d, m, size in axes]
        unknown = [n for n, total in zip(sizes, totals, strict=True) if not isinstance(total, int)]
        for size in unknown[:1]:
            call.refuse(
                f"output_shape {output_shape} needs sizes of the input that are known, got {size}",
                hint=bound(size),
            )
        more = tuple(m - min(total, 0) for m, total in zip(more, totals, strict=True))
        padding = halves([max(total, 0) for total in totals], auto_pad == "SAME_UPPER")
    else:
        padding = pairs(call, () if auto_pad == "VALID" else pads, len(kernel))
    y = transposed_convolution(
        x, w, stride=stride, padding=padding, output_padding=more, dilation=dilation, groups=group
    )
    return with_bias("ConvTranspose", y, bias)


@maps("Col2Im")
def col2im(
    call: Call, columns: Node, image_shape: Node, block_shape: Node, *, strides: Ints = (),
    pads: Ints = (), dilations: Ints = (),
) -> Node:  # fmt: skip
    """The sum of windows, given as columns, in an image."""
    kernel = call.ints(block_shape, "block_shape")
    size = call.sizes(image_shape, "image_shape")
    ones = (1,) * len(kernel)
    return ops.fold(
        columns, size, kernel, stride=strides or ones, padding=pairs(call, pads, len(kernel)),
        dilation=dilations or ones,
    )  # fmt: skip


# --- pools ---------------------------------------------------------------------------------------


@maps("MaxPool")
def max_pooling(
    call: Call, x: Node, *, kernel_shape: Ints, strides: Ints = (), pads: Ints = (),
    dilations: Ints = (), auto_pad: str = "NOTSET", ceil_mode: int = 0, storage_order: int = 0,
) -> tuple[Node, ...]:  # fmt: skip
    """The largest element of each window and, where asked for, its place in all of x."""
    options = geometry(call, x, kernel_shape, strides, pads, dilations, auto_pad)
    options["ceil_mode"] = bool(ceil_mode)
    y = max_pool(x, kernel_shape, **options)
    if call.outputs < 2:
        return (y,)
    in_channel = ops.max_pool_indices(x, kernel_shape, order="CF"[storage_order], **options)
    batch, channels, *size = x.shape
    firsts = arange_on(call.graph, batch * channels) * dims.product(tuple(size))
    return y, in_channel + ops.reshape(firsts, (batch, channels, *[1] * len(size)))


@maps("MaxUnpool")
def max_unpooling(
    call: Call, x: Node, indices: Node, output_shape: Node | None = None, *, kernel_shape: Ints,
    strides: Ints = (), pads: Ints = (),
) -> Node:  # fmt: skip
    """Zeros with x where the indices of a max pool tell, in arrays as large as its input at least.

    The indices are places in what windows and padding make of x; a larger shape has zeros behind.
    """
    require_windows(call, x, kernel_shape, strides)
    rank = len(kernel_shape)
    axes = zip(
        x.shape[2:], kernel_shape, strides or (1,) * rank, pairs(call, pads, rank), strict=True
    )
    size = [(n - 1) * step + k - front - end for n, k, step, (front, end) in axes]
    shape = (*x.shape[:2], *size)
    zeros = zeros_of(x, TensorType((dims.product(shape),), x.dtype))
    flat = (dims.product(x.shape),)
    places, values = ops.reshape(indices, flat), ops.reshape(x, flat)
    y = ops.reshape(ops.scatter_along_axis(zeros, places, values), shape)
    wanted = shape if output_shape is None else call.sizes(output_shape, "output_shape")
    more = [size - own for size, own in zip(wanted, shape, strict=False)]
    if len(wanted) != len(shape) or not all(isinstance(n, int) and n >= 0 for n in more):
        call.refuse(f"output_shape is at least {shape}, got {wanted}")
    return ops.pad(y, [(0, n) for n in more])


@maps("AveragePool")
def average_pooling(
    call: Call, x: Node, *, kernel_shape: Ints, strides: Ints = (), pads: Ints = (),
    dilations: Ints = (), auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
) -> Node:  # fmt: skip
    """The mean of each window."""
    options = geometry(call, x, kernel_shape, strides, pads, dilations, auto_pad)
    return averages(
        "AveragePool", x, kernel_shape, ceil_mode=bool(ceil_mode),
        count_include_pad=bool(count_include_pad), **options,
    )  # fmt: skip


@maps("LpPool")
def lp_pooling(
    call: Call, x: Node, *, kernel_shape: Ints, p: float = 2, strides: Ints = (), pads: Ints = (),
    dilations: Ints = (), auto_pad: str = "NOTSET", ceil_mode: int = 0,
) -> Node:  # fmt: skip
    """The p-norm of each window; p is a float in the first version, and an int in others."""
    options = geometry(call, x, kernel_shape, strides, pads, dilations, auto_pad)
    return lp_pool(x, whole(call, p), kernel_shape, ceil_mode=bool(ceil_mode), **options)


def whole(call: Call, p: float) -> int:
    """The exponent of a norm."""
    if p != int(p):
        call.refuse(f"p is a whole number, got {p}")
    return int(p)


def behind(x: Node) -> Ints:
    """The axes behind batch and channels."""
    return tuple(range(2, x.ndim))


maps("GlobalAveragePool", lambda call, x: ops.mean(x, behind(x), keepdims=True))
maps("GlobalMaxPool", lambda call, x: ops.expand_dims(ops.global_max_pool(x), behind(x)))


@maps("GlobalLpPool")
def global_lp_pool(call: Call, x: Node, *, p: float = 2) -> Node:
    """The p-norm of each channel."""
    exponent = whole(call, p)
    if exponent == 2:
        return ops.norm(x, behind(x), keepdims=True)
    for size in x.shape[2:]:
        call.fixed(f"GlobalLpPool with p = {p} needs sizes that are known", size)
    return lp_pool(x, exponent, x.shape[2:])
