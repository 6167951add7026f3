"""Arrays with their elements repeated, moved around, or masked by where they are. All linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import GraphcError, ShapeError
from graphc.ir.dims import Extent, Shape
from graphc.ir.emission import Emission, size_text, tuple_text
from graphc.ir.graph import current_graph
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import DType, TensorType, as_dtype
from graphc.ops.coordinates import flattened, take
from graphc.ops.families import linear
from graphc.ops.indexing import getitem
from graphc.ops.operands import axes_of, axis_of, operand, require_rank, whole
from graphc.ops.reduction import sum
from graphc.ops.shape import as_count, as_shape, expand_dims, reshape

__all__ = ["eye", "flip", "repeat", "roll", "tile", "tril", "triu"]


def _sample(shape: tuple[int, ...], *arguments: Any, **options: Any) -> Draw:
    return lambda rng: ((rng.normal(size=shape), *arguments), options)


def _written(text: Callable[[Node], str]) -> Emission:
    """A function of NumPy's, which formulas call by the same name."""
    return Emission(lambda node: f"np.{text(node)}", notation=text)


# --- repeated ----------------------------------------------------------------------------------


def _tile_call(op: Op, x: Any, repetitions: Any) -> Node:
    x = operand(x)
    counts = tuple(as_count("tile", n) for n in as_shape(repetitions))
    missing = len(counts) - x.ndim
    x = expand_dims(x, tuple(range(missing)))
    counts = (1,) * -missing + counts
    return op.node((x,), counts) if any(n != 1 for n in counts) else x


def _tile_transpose(bar: Node, y: Node) -> Node:
    parts: list[Extent] = []
    summed = []
    for count, size in zip(y.params.repetitions, y.args[0].shape, strict=True):
        if count != 1:
            summed.append(len(parts))
            parts.append(count)
        parts.append(size)
    return sum(reshape(bar, tuple(parts)), tuple(summed))


tile = linear(
    "tile", "x one copy after the other along its axes, as np.tile", noun="tiled",
    parameters=("repetitions",),
    infer=lambda require, x, repetitions: TensorType(
        tuple(size * n for size, n in zip(x.shape, repetitions, strict=True)), x.dtype
    ),
    emission=_written(lambda node: f"tile({{x}}, {tuple_text(node.params.repetitions)})"),
    transpose=_tile_transpose, call=_tile_call,
    samples=(
        _sample((2, 3), (2, 1)),
        _sample((3,), (2, 2)),
        _sample((2, 1, 2), (3, 2)),
        _sample((2, 3), (0, 1)),
    ),
)  # fmt: skip


def _repeat_call(op: Op, x: Any, repeats: Any, axis: int | None = None) -> Node:
    x, axis = flattened("repeat", x, axis)
    if isinstance(repeats, (list, tuple, np.ndarray)):
        counts, size = np.asarray(repeats), x.shape[axis]
        if counts.dtype.kind not in "iu" or counts.shape != (size,) or (counts < 0).any():
            name = x.graph.describe(x, site=True)
            raise GraphcError(
                f"repeat: counts are an int, or an int for each part of axis {axis} of {name}, "
                f"none negative, got {repeats!r}"
            )
        return take(x, np.repeat(np.arange(len(counts)), counts), axis)
    count = as_count("repeat", repeats)
    return x if count == 1 else op.node((x,), count, axis)


def _repeat_infer(require: Any, x: TensorType, repeats: Extent, axis: int) -> TensorType:
    return TensorType((*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :]), x.dtype)


def _repeat_transpose(bar: Node, y: Node) -> Node:
    axis = y.params.axis
    before, behind = bar.shape[:axis], bar.shape[axis + 1 :]
    parts = (*before, y.args[0].shape[axis], y.params.repeats, *behind)
    return sum(reshape(bar, parts), axis + 1)


repeat = linear(
    "repeat", "x with each element repeated beside itself along an axis, as np.repeat",
    noun="repeated",
    parameters=("repeats", "axis"), infer=_repeat_infer,
    emission=_written(
        lambda node: f"repeat({{x}}, {size_text(node.params.repeats)}, axis={node.params.axis})"
    ),
    transpose=_repeat_transpose, call=_repeat_call,
    samples=(_sample((2, 3), 2, 1), _sample((2, 2), 3), _sample((2, 3), 0, 0)),
)  # fmt: skip

# --- moved -------------------------------------------------------------------------------------


@function
def flip(x: Any, axis: Any = None) -> Node:
    """x with the order of its elements reversed along an axis, several, or all."""
    x = operand(x)
    axes = axes_of("flip", axis, x)
    key = tuple(slice(None, None, -1 if i in axes else None) for i in range(x.ndim))
    return getitem(x, key) if axes else x


def _roll_call(op: Op, x: Any, shift: Any, axis: Any = None) -> Node:
    x = operand(x)
    if axis is None:
        return reshape(op(reshape(x, (x.size,)), shift, 0), x.shape)
    several = isinstance(axis, (tuple, list))
    places = [axis_of("roll", i, x) for i in (axis if several else [axis])]
    given = shift if isinstance(shift, (tuple, list)) else [shift] * len(places)
    shifts = [whole("roll", "the shift", n) for n in given]
    if len(shifts) != len(places):
        raise ShapeError(f"roll: a shift for each axis, got {shift!r} for {axis!r}")
    return op.node((x,), tuple(shifts), tuple(places))


def _roll_text(node: Node) -> str:
    shift, axis = (p[0] if len(p) == 1 else p for p in node.params)
    return f"roll({{x}}, {shift}, axis={axis})"


roll: Op = linear(
    "roll", "x moved along axes, what leaves at one end comes in at the other; as np.roll",
    noun="rolled",
    parameters=("shift", "axis"), infer=lambda require, x, shift, axis: x,
    emission=_written(_roll_text),
    transpose=lambda bar, y: roll.node((bar,), tuple(-n for n in y.params.shift), y.params.axis),
    call=_roll_call,
    samples=(
        _sample((2, 4), 1, 1),
        _sample((3, 4), (1, -5), (0, 1)),
        _sample((2, 3), 2),
    ),
)  # fmt: skip

# --- by the diagonal ---------------------------------------------------------------------------


def _triangle(name: str, side: str) -> Op:
    def call(op: Op, x: Any, k: int = 0) -> Node:
        return op.node((require_rank(name, operand(x), 2),), whole(name, "k", k))

    def text(node: Node) -> str:
        return f"{name}({{x}}, {node.params.k})" if node.params.k else f"{name}({{x}})"

    op = linear(
        name, f"x with zeros {side} diagonal k of its last two axes, as np.{name}",
        noun="triangle",
        parameters=("k",), infer=lambda require, x, k: x, emission=_written(text),
        transpose=lambda bar, y: op.node((bar,), y.params.k), call=call,
        samples=(_sample((3, 4)), _sample((2, 3, 2), -1), _sample((4, 3), 1)),
    )  # fmt: skip
    return op


tril = _triangle("tril", "above")
triu = _triangle("triu", "below")


def _eye_notation(node: Node) -> str:
    rows, columns, k, _ = node.params
    width = "" if columns is rows or columns == rows else f", {size_text(columns)}"
    return f"eye({size_text(rows)}{width}{f', k={k}' if k else ''})"


def _eye_text(node: Node) -> str:
    return f"np.{_eye_notation(node)[:-1]}, dtype={node.dtype.source})"


def eye_on(graph: Any, rows: Extent, columns: Extent, k: int, dtype: DType) -> Node:
    """Zeros with ones on diagonal k, in a given arena."""
    node: Node = graph.intern(eye, (), eye.record(rows, columns, k, dtype))
    return node


def _eye_call(op: Op, rows: Any, columns: Any = None, k: int = 0, dtype: Any = None) -> Node:
    graph = current_graph()
    height = as_count("eye", rows)
    width = height if columns is None else as_count("eye", columns)
    kept = graph.dtype if dtype is None else as_dtype(dtype)
    return eye_on(graph, height, width, whole("eye", "k", k), kept)


def _eye_infer(require: Any, rows: Extent, columns: Extent, k: int, dtype: DType) -> TensorType:
    shape: Shape = (rows, columns)
    return TensorType(shape, dtype)


eye = Op(
    name="eye", doc="zeros with ones on diagonal k: rows x columns, of the graph's dtype",
    operands=(), parameters=("rows", "columns", "k", "dtype"), infer=_eye_infer,
    emission=Emission(_eye_text, notation=_eye_notation), call=_eye_call, differentiable=False,
    samples=(
        lambda rng: ((3,), {}),
        lambda rng: ((2, 4, 1), {}),
        lambda rng: ((3, 2, -1, "int32"), {}),
    ),
)  # fmt: skip
