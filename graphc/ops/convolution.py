"""Convolution as in networks (no kernel is flipped): a product with the windows as columns.

Kernels are laid out as PyTorch's: (outputs, inputs / groups, …), and (inputs, outputs / groups, …)
for the transposed convolutions.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent, Shape
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ops.families import composite
from graphc.ops.operands import operands
from graphc.ops.shape import expand_dims, matrix_transpose, reshape
from graphc.ops.windows import Windows, check_windows, fold, image, numbers, unfold, windows_of

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip


# --- values --------------------------------------------------------------------------------------


def _columns(x: Node, windows: Windows) -> Node:
    """The windows of x as columns; those of single elements are x itself, or a part of it."""
    if windows.elements > 1 or any(map(any, windows.padding)):
        return x.graph.hint(unfold.node((x,), windows), "cols")
    part: Node = x[(..., *(slice(None, None, step) for step in windows.stride))]
    return reshape(part, (*x.shape[:2], dims.product(part.shape[2:])))


def _body(x: Node, w: Node, windows: Windows, groups: int) -> Node:
    outputs, rows = w.shape[0], dims.product(w.shape[1:])
    counts = windows.counts(x.shape[2:])
    cols = _columns(x, windows)
    if groups == 1:
        product = _matrix(w, outputs, rows) @ cols
    else:
        parts = reshape(cols, (x.shape[0], groups, rows, cols.shape[2]))
        product = _matrix(w, groups, outputs // groups, rows) @ parts
    return reshape(product, (x.shape[0], outputs, *counts))


def _transposed_body(x: Node, w: Node, size: Shape, windows: Windows, groups: int) -> Node:
    batch, inputs = x.shape[:2]
    rows, count = dims.product(w.shape[1:]), dims.product(x.shape[2:])
    if groups == 1:
        cols = matrix_transpose(_matrix(w, inputs, rows)) @ reshape(x, (batch, inputs, count))
    else:
        share = inputs // groups
        parts = reshape(x, (batch, groups, share, count))
        cols = matrix_transpose(_matrix(w, groups, share, rows)) @ parts
        cols = reshape(cols, (batch, groups * rows, count))
    return fold.node((x.graph.hint(cols, "cols"),), size, windows)


def _matrix(w: Node, *shape: Extent) -> Node:
    """Kernels as a matrix, or one for each group."""
    return w.graph.hint(reshape(w, shape), "kernels")


# --- what users write ----------------------------------------------------------------------------


def _convolved(
    op: str, rank: int, x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Node:
    x, w, groups = _image_and_kernels(op, rank, x, w, groups)
    channels, outputs = x.shape[1], w.shape[0]
    require_divisible(op, groups, channels, "channels", x)
    require_divisible(op, groups, outputs, "outputs", w)
    if w.shape[1] * groups != channels:
        raise ShapeError(
            f"{op}: kernels of {_each(w.shape[1], groups)} channels do not fit x of {channels}: "
            f"{_described(x, w)}"
        )
    windows = windows_of(op, w.shape[2:], rank, stride, padding, dilation)
    check_windows(op, x, windows)
    return convolution.node((x, w), windows, groups)


def _transposed(
    op: str, rank: int, x: Any, w: Any, stride: Any, padding: Any, output_padding: Any,
    dilation: Any, groups: Any,
) -> Node:  # fmt: skip
    x, w, groups = _image_and_kernels(op, rank, x, w, groups)
    channels = x.shape[1]
    require_divisible(op, groups, channels, "channels", x)
    if w.shape[0] != channels:
        raise ShapeError(
            f"{op}: kernels of {w.shape[0]} channels do not fit x of {channels}: {_described(x, w)}"
        )
    if isinstance(padding, str):
        raise GraphcError(f"{op}: padding is an int, or {rank} ints or pairs, got {padding!r}")
    windows = windows_of(op, w.shape[2:], rank, stride, padding, dilation)
    more = numbers(op, "output_padding", output_padding, rank, 0)
    size: list[Extent] = []
    ends: list[tuple[int, int]] = []
    for n, k, step, (front, end), spread, extra in zip(x.shape[2:], *windows, more, strict=True):
        if extra >= max(step, spread):
            raise GraphcError(
                f"{op}: output_padding is less than stride or dilation, got {output_padding!r} "
                f"for stride {step} and dilation {spread}"
            )
        length = (n - 1) * step + spread * (k - 1) + 1 - front - end + extra
        if isinstance(length, int) and length < 1:
            cut = front if front == end else (front, end)
            raise ShapeError(f"{op}: padding {cut} leaves nothing of {_described(x, w)}")
        size.append(length)
        ends.append((front, end - extra))
    windows = windows._replace(padding=tuple(ends))
    return transposed_convolution.node((x, w), tuple(size), windows, groups)


def _image_and_kernels(op: str, rank: int, x: Any, w: Any, groups: Any) -> tuple[Node, Node, int]:
    x, w = operands(x, w, floating=True)
    image(op, x, rank)
    if w.ndim != rank + 2 or not all(isinstance(k, int) and k > 0 for k in w.shape[2:]):
        name = w.graph.describe(w, site=True)
        expected = f"{rank + 2} axes, the last {rank} of known sizes" if rank > 1 else "3 axes"
        raise ShapeError(f"{op} expects kernels of {expected}, got {name}")
    (groups,) = numbers(op, "groups", groups, 1, 1)
    return x, w, groups


def require_divisible(op: str, groups: int, count: Extent, what: str, node: Node) -> None:
    """Raise ShapeError, naming op and operand, unless as many channels can be cut into groups."""
    if groups > 1 and (not isinstance(count, int) or count % groups):
        name = node.graph.describe(node, site=True)
        raise ShapeError(f"{op}: {groups} groups do not divide the {count} {what} of {name}")


def _each(channels: Extent, groups: int) -> str:
    return f"{channels} × {groups}" if groups > 1 else str(channels)


def _described(*nodes: Node) -> str:
    return ", ".join(node.graph.describe(node, site=True) for node in nodes)


def with_bias(op: str, y: Node, bias: Any) -> Node:
    """y with a number added to each channel."""
    if bias is None:
        return y
    y, bias = operands(y, bias)
    if bias.shape != y.shape[1:2]:
        name = bias.graph.describe(bias, site=True)
        raise ShapeError(f"{op} expects a bias of shape ({y.shape[1]},), got {name}")
    return y + expand_dims(bias, tuple(range(1, y.ndim - 1)))


def _call(
    op: Op, x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1
) -> Node:
    return _convolved(op.name, operands(x)[0].ndim - 2, x, w, stride, padding, dilation, groups)


def _transposed_call(
    op: Op, x: Any, w: Any, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    dilation: Any = 1, groups: Any = 1,
) -> Node:  # fmt: skip
    rank = operands(x)[0].ndim - 2
    return _transposed(op.name, rank, x, w, stride, padding, output_padding, dilation, groups)


def _sample(x: tuple[int, ...], w: tuple[int, ...], **options: Any) -> Draw:
    return lambda rng: ((rng.normal(size=x), rng.normal(size=w)), options)


convolution = composite(
    "convolution", "the windows of x (batch, channels, …), each times all kernels w",
    operands=("x", "w"), parameters=("windows", "groups"), body=_body, call=_call,
    samples=(
        _sample((2, 2, 4, 3), (3, 2, 2, 2)),
        _sample((1, 2, 4, 3), (2, 1, 2, 3), stride=(2, 1), padding=1, groups=2),
        _sample((2, 2, 3, 3), (2, 2, 1, 1), stride=2),
        _sample((1, 2, 6), (1, 2, 2), padding="same", dilation=3),
        _sample((1, 1, 2, 3, 3), (2, 1, 2, 2, 1), padding=((1, 0), (0, 0), (0, 2)), stride=2),
    ),
)  # fmt: skip
transposed_convolution = composite(
    "transposed_convolution", "the sum of kernels w, each times its element of x, over windows",
    operands=("x", "w"), parameters=("size", "windows", "groups"),
    body=_transposed_body, call=_transposed_call,
    samples=(
        _sample((2, 2, 2, 3), (2, 3, 2, 2)),
        _sample((1, 2, 2, 2), (2, 1, 3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0),
                groups=2),
        _sample((1, 2, 4), (2, 1, 3), dilation=2, padding=1, output_padding=1),
        _sample((1, 1, 2, 1, 2), (1, 2, 1, 2, 3), stride=2, padding=((0, 0), (1, 0), (0, 2))),
    ),
)  # fmt: skip


@function
def conv1d(
    x: Any, w: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: Any = 1,
) -> Node:  # fmt: skip
    """Convolve x (batch, channels, width) with w (outputs, channels / groups, k), as PyTorch does.

    See `conv2d`; `padding` of two ends is ((before, behind),).
    """
    y = _convolved("conv1d", 1, x, w, stride, padding, dilation, groups)
    return with_bias("conv1d", y, bias)


@function
def conv2d(
    x: Any, w: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: Any = 1,
) -> Node:  # fmt: skip
    """Convolve x (batch, channels, height, width) with w (outputs, channels / groups, kh, kw).

    As PyTorch's: (batch, outputs, (height + 2 padding - dilation (kh - 1) - 1) // stride + 1, …).
    An option is one number, or one for each axis.

    bias     (outputs,), added to each channel
    padding  also ((top, bottom), (left, right)), "valid" for 0, and "same" for as many outputs as
             inputs, with a stride of 1
    groups   channels are cut into as many parts, each with outputs of its own; as many groups as
             channels are a depthwise convolution
    """
    y = _convolved("conv2d", 2, x, w, stride, padding, dilation, groups)
    return with_bias("conv2d", y, bias)


@function
def conv3d(
    x: Any, w: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: Any = 1,
) -> Node:  # fmt: skip
    """Convolve x (batch, channels, depth, height, width) with w (outputs, channels / groups, …).

    See `conv2d`.
    """
    y = _convolved("conv3d", 3, x, w, stride, padding, dilation, groups)
    return with_bias("conv3d", y, bias)


@function
def conv_transpose1d(
    x: Any, w: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: Any = 1, dilation: Any = 1,
) -> Node:  # fmt: skip
    """The transpose of `conv1d` in x, as PyTorch's; w is (channels, outputs / groups, k).

    See `conv_transpose2d`.
    """
    op = "conv_transpose1d"
    y = _transposed(op, 1, x, w, stride, padding, output_padding, dilation, groups)
    return with_bias(op, y, bias)


@function
def conv_transpose2d(
    x: Any, w: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: Any = 1, dilation: Any = 1,
) -> Node:  # fmt: skip
    """The transpose of `conv2d` in x, as PyTorch's; w is (channels, outputs / groups, kh, kw).

    Results are (batch, outputs, (height - 1) stride - 2 padding + dilation (kh - 1) +
    output_padding + 1, …). An option is one number, or one for each axis.

    bias            (outputs,), added to each channel
    padding         what is cut off from both ends; also ((top, bottom), (left, right))
    output_padding  how much longer the end is: of inputs that strides make one size, which it was
    """
    op = "conv_transpose2d"
    y = _transposed(op, 2, x, w, stride, padding, output_padding, dilation, groups)
    return with_bias(op, y, bias)


@function
def conv_transpose3d(
    x: Any, w: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: Any = 1, dilation: Any = 1,
) -> Node:  # fmt: skip
    """The transpose of `conv3d` in x, as PyTorch's; w is (channels, outputs / groups, …).

    See `conv_transpose2d`.
    """
    op = "conv_transpose3d"
    y = _transposed(op, 3, x, w, stride, padding, output_padding, dilation, groups)
    return with_bias(op, y, bias)
