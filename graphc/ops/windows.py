"""Windows that slide over the axes behind batch and channels, as columns: im2col and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphc.errors import GraphcError, ShapeError, suggest
from graphc.ir import dims
from graphc.ir.dims import Shape
from graphc.ir.emission import Emission, tuple_text
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op
from graphc.ir.types import Guard, TensorType, equal_sizes
from graphc.ops.families import linear
from graphc.ops.operands import is_whole, operand, require_float, require_number
from graphc.ops.shape import as_count
from graphc.runtime import windows as runtime

__all__ = ["fold", "unfold"]

HELPERS = (runtime.window_count, runtime.window_slices)


class Windows(NamedTuple):
    """The geometry of sliding windows: one entry for each axis that they slide along.

    kernel    the elements of a window
    stride    from one window to the next
    padding   how far windows reach beyond the front and the end
    dilation  from one element of a window to the next
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    @property
    def elements(self) -> int:
        """The number of elements of a window."""
        return int(np.prod(self.kernel))

    @property
    def spans(self) -> tuple[int, ...]:
        """How far a window reaches from its first element to its last, both included."""
        return tuple(
            spread * (k - 1) + 1 for k, spread in zip(self.kernel, self.dilation, strict=True)
        )

    def counts(self, size: Shape) -> Shape:
        """How many windows there are along axes of the given sizes."""
        return tuple(
            dims.floor_divide(n + sum(pad) - span, step) + 1
            for n, span, step, pad in zip(size, self.spans, self.stride, self.padding, strict=True)
        )

    def with_a_last_one(self) -> Windows:
        """Windows of which a last one may reach beyond the end, but not begin there (ceil_mode).

        Such a one is padding to reach into; it begins at most where the array ends.
        """
        ends = zip(self.padding, self.stride, self.spans, strict=True)
        padding = tuple((front, min(end + step - 1, span - 1)) for (front, end), step, span in ends)
        return self._replace(padding=padding)

    def fitted(self, size: Shape) -> list[Guard]:
        """What has to hold of named sizes, so that there is a window along each axis.

        Raises ShapeError where a window is larger than an axis with its padding.
        """
        guards = []
        listed = zip(size, self.kernel, self.spans, self.padding, self.dilation, strict=True)
        for axis, (n, k, needed, pad, spread) in enumerate(listed, 2):
            if dims.at_least(n, needed - sum(pad), sizes_from=0):
                continue
            beside = f" + padding {sum(pad)}" if any(pad) else ""
            dilated = f" ({k} dilated by {spread})" if spread > 1 else ""
            problem = f"the window {needed}{dilated} is larger than axis {axis} of size {n}{beside}"
            if isinstance(n, int):
                raise ShapeError(problem)
            least = needed - sum(pad)
            guards.append(Guard(n, ">=", least, f"a window needs {n} >= {least}"))
        return guards

    def arguments(self, stride: tuple[int, ...]) -> str:
        """The geometry as arguments of a runtime function, without what is usual."""
        rank = len(self.kernel)
        usual = (stride, ((0, 0),) * rank, (1,) * rank)
        options = zip(self._fields[1:], self[1:], usual, strict=True)
        told = [f"{name}={value}" for name, value, own in options if value != own]
        return ", ".join([str(self.kernel), *told])


# --- what users write ----------------------------------------------------------------------------


def numbers(op: str, name: str, value: Any, rank: int, least: int) -> tuple[int, ...]:
    """An int, or one for each of `rank` axes, as a tuple. Raises GraphcError for anything else."""
    several = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(several) != rank or not all(map(is_whole, several)) or any(n < least for n in several):
        expected = f"an int or {rank} ints" if rank > 1 else "an int"
        raise GraphcError(f"{op}: {name} is {expected} of at least {least}, got {value!r}")
    return tuple(int(n) for n in several)


def windows_of(
    op: str, kernel: Any, rank: int, stride: Any, padding: Any, dilation: Any = 1
) -> Windows:
    """The geometry of windows from what users write. Raises GraphcError for what has no sense."""
    kernel = numbers(op, "kernel", kernel, rank, 1)
    stride = numbers(op, "stride", stride, rank, 1)
    dilation = numbers(op, "dilation", dilation, rank, 1)
    return Windows(kernel, stride, paddings(op, padding, kernel, stride, dilation), dilation)


def paddings(
    op: str, padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The padding before and behind each axis; of "same", what is odd comes behind."""
    rank = len(kernel)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise GraphcError(
                f"{op}: padding is an int, 'same' or 'valid', got {padding!r}",
                hint=suggest(padding, ("same", "valid")),
            )
        if padding == "valid":
            return ((0, 0),) * rank
        if set(stride) != {1}:
            raise GraphcError(f"{op}: padding 'same' needs a stride of 1, got {stride}")
        totals = [spread * (k - 1) for k, spread in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    each = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * rank
    pairs = [tuple(n) if isinstance(n, (tuple, list)) else (n, n) for n in each]
    if len(pairs) != rank or not all(
        len(pair) == 2 and all(is_whole(n) and n >= 0 for n in pair) for pair in pairs
    ):
        several = f"an int, or {rank} ints or pairs of ints,"
        expected = several if rank > 1 else "an int or a pair ((before, behind),)"
        raise GraphcError(f"{op}: padding is {expected} of at least 0, got {padding!r}")
    return tuple((int(before), int(behind)) for before, behind in pairs)


AXES = {
    1: "(batch, channels, width)",
    2: "(batch, channels, height, width)",
    3: "(batch, channels, depth, height, width)",
}


def image(op: str, value: Any, rank: int | None = None, *, floating: bool = True) -> Node:
    """An operand with axes for batch, channels and `rank` more, or any number of them.

    Raises ShapeError for others, and DTypeError where it holds no floats; with `floating` False,
    where it holds no numbers.
    """
    x: Node = operand(value)
    x = require_float(op, x) if floating else require_number(op, x)
    if x.ndim != rank + 2 if rank else x.ndim < 3:
        axes = AXES[rank] if rank else "(batch, channels, …)"
        raise ShapeError(f"{op} expects axes {axes}, got {x.graph.describe(x, site=True)}")
    return x


def check_windows(op: str, x: Node, windows: Windows) -> None:
    """Raise ShapeError, naming op and operand, where x has no room for a window."""
    try:
        windows.fitted(x.shape[2:])
    except ShapeError as error:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"{op}: {error.message}: {name}") from None


# --- columns -------------------------------------------------------------------------------------


def emission(
    name: str,
    *operands: str,
    sized: bool = False,
    side_by_side: bool = False,
    helpers: tuple[Callable[..., Any], ...] = (),
) -> Emission:
    """A call of the runtime function of that name, on operands, the size if any, and windows.

    side_by_side  where the windows are if that function is given no stride
    helpers       what that function calls beside those of all windows
    """

    def notation(node: Node) -> str:
        # Without its windows it could be any; its size is told beside it.
        listed = [f"{{{name}}}" for name in operands]
        return f"{name}({', '.join([*listed, arguments(node)])})"

    def arguments(node: Node) -> str:
        windows = node.params.windows
        usual = windows.kernel if side_by_side else (1,) * len(windows.kernel)
        return str(windows.arguments(usual))

    def text(node: Node, *last: str) -> str:
        size = [tuple_text(node.params.size)] if sized else []
        listed = [*(f"{{{name}}}" for name in operands), *size, arguments(node)]
        return f"{name}({', '.join([*listed, *last])})"

    return Emission(
        text,
        lambda node: text(node, "out={out}"),
        helpers=(*HELPERS, *helpers, getattr(runtime, name)),
        notation=notation,
    )


def _unfold_infer(require: Any, x: TensorType, windows: Windows) -> TensorType:
    batch, channels, *size = x.shape
    for guard in windows.fitted(tuple(size)):
        require(guard)
    count = dims.product(windows.counts(tuple(size)))
    return TensorType((batch, channels * windows.elements, count), x.dtype)


def _unfold_call(
    op: Op, x: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> Node:
    x = image("unfold", x)
    return op.node((x,), windows_of("unfold", kernel, x.ndim - 2, stride, padding, dilation))


def _fold_infer(require: Any, columns: TensorType, size: Shape, windows: Windows) -> TensorType:
    batch, rows, count = columns.shape
    for guard in windows.fitted(size):
        require(guard)
    for length in size:
        if not dims.at_least(length, 0):  # of a transposed convolution, less its padding
            require(Guard(length, ">=", 0, f"the size {length} needs {length} >= 0"))
    try:
        require(equal_sizes(count, dims.product(windows.counts(size))))
    except ShapeError:
        counts = " × ".join(map(str, windows.counts(size)))
        raise ShapeError(f"arrays of size {size} have {counts} windows, not {count}") from None
    channels = dims.exact_quotient(rows, windows.elements)
    if channels is None:
        raise ShapeError(f"{rows} rows are no multiple of the {windows.elements} of a window")
    return TensorType((batch, channels, *size), columns.dtype)


def _fold_call(
    op: Op, columns: Any, size: Any, kernel: Any, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1,
) -> Node:  # fmt: skip
    columns = require_float("fold", operand(columns))
    if columns.ndim != 3:
        name = columns.graph.describe(columns, site=True)
        raise ShapeError(f"fold expects axes (batch, channels * elements, windows), got {name}")
    several = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    sizes = tuple(as_count("fold", n) for n in several)
    windows = windows_of("fold", kernel, len(sizes), stride, padding, dilation)
    return op.node((columns,), sizes, windows)


def _sample(shape: tuple[int, ...], *arguments: Any, **options: Any) -> Draw:
    return lambda rng: ((rng.normal(size=shape), *arguments), options)


unfold: Op = linear(
    "unfold", "the windows of x (batch, channels, …) as columns (batch, channels * elements, …)",
    noun="cols",
    parameters=("windows",),
    infer=_unfold_infer,
    emission=emission("unfold", "x"),
    transpose=lambda bar, y: fold.node((bar,), y.args[0].shape[2:], y.params.windows),
    call=_unfold_call,
    samples=(
        _sample((2, 2, 4, 3), (2, 3)),
        _sample((1, 2, 5, 4), 3, stride=(2, 1), padding=1),
        _sample((2, 1, 7), 3, dilation=2, padding="same"),
        _sample((0, 2, 4), 2),
    ),
)  # fmt: skip
fold: Op = linear(
    "fold", "the sum of windows, given as columns, in arrays of a size; the transpose of unfold",
    noun="folded",
    parameters=("size", "windows"),
    infer=_fold_infer,
    emission=emission("fold", "x", sized=True),
    transpose=lambda bar, y: unfold.node((bar,), y.params.windows),
    call=_fold_call,
    samples=(
        _sample((2, 12, 3), (4, 3), (2, 3)),
        _sample((1, 9, 12), (5, 4), 3, stride=(2, 1), padding=1),
        _sample((2, 3, 3), 7, 3, dilation=2),
    ),
)  # fmt: skip
