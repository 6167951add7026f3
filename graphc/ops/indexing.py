"""Reading parts of an array, and the transposes that write them back into zeros."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphc.errors import ShapeError, UnsupportedError
from graphc.ir import dims
from graphc.ir.dims import Extent, Shape
from graphc.ir.emission import Emission, size_text, tuple_text
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import Guard, TensorType, equal_sizes, int64
from graphc.ops.families import composite, linear
from graphc.ops.operands import operand, operands, require_float, require_labels
from graphc.ops.shape import arange_on, as_count, as_size, expand_dims, moveaxis
from graphc.runtime import arrays

__all__ = ["getitem", "one_hot", "pick"]


class Span(NamedTuple):
    """A slice of an axis whose bounds count from its front; `stop` is exclusive.

    With a negative step the span runs down, and a stop of -1 lies before the first element.
    """

    start: Extent
    stop: Extent
    step: int

    def length(self) -> Extent:
        if self.step > 0:
            return dims.floor_divide(self.stop - self.start + self.step - 1, self.step)
        return dims.floor_divide(self.start - self.stop - self.step - 1, -self.step)


Key = tuple[Any, ...]  # of Span, int (an axis that vanishes) and None (a new axis)


def _bound(bound: Any, size: Extent, default: Extent) -> Extent:
    if bound is None:
        return default
    if isinstance(bound, str):
        raise ShapeError(f"an index is made of ints and sizes, got {bound!r}")
    position = as_size(bound)
    return size + position if isinstance(position, int) and position < 0 else position


def _span(key: slice, size: Extent) -> Span:
    step = 1 if key.step is None else as_size(key.step)
    if not isinstance(step, int) or step == 0:
        raise ShapeError(f"the step of a slice is an int other than 0, got {key.step!r}")
    if isinstance(size, int) and not any(isinstance(b, dims.Dim) for b in (key.start, key.stop)):
        start, stop, step = key.indices(size)
        return Span(start, max(start, stop) if step > 0 else min(start, stop), step)
    if step < 0:
        return Span(_bound(key.start, size, size - 1), _bound(key.stop, size, -1), step)
    return Span(_bound(key.start, size, 0), _bound(key.stop, size, size), step)


def _normalize(key: Any, x: Node) -> Key:
    entries = list(key) if isinstance(key, tuple) else [key]
    for entry in entries:
        if isinstance(entry, (Node, np.ndarray, list, bool, np.bool_)):
            raise UnsupportedError(
                f"an index is made of ints, slices, None and ..., got {entry!r}",
                hint="gc.where chooses by a mask, gc.pick reads one element a row",
            )
    if entries.count(Ellipsis) > 1:
        raise ShapeError("an index has one ... at most")
    used = sum(entry is not None and entry is not Ellipsis for entry in entries)
    if used > x.ndim:
        raise ShapeError(f"an index of {used} axes for {x.graph.describe(x, site=True)}")
    if Ellipsis not in entries:
        entries.append(Ellipsis)
    at = entries.index(Ellipsis)
    entries[at : at + 1] = [slice(None)] * (x.ndim - used)
    result: list[Any] = []
    axis = 0
    for entry in entries:
        if entry is None:
            result.append(None)
            continue
        size = x.shape[axis]
        axis += 1
        if isinstance(entry, slice):
            result.append(_span(entry, size))
            continue
        position = _bound(entry, size, 0)
        if isinstance(position, int) and isinstance(size, int) and not 0 <= position < size:
            name = x.graph.describe(x, site=True)
            raise ShapeError(f"index {entry} does not exist in axis {axis - 1} of {name}")
        result.append(position)
    return tuple(result)


def _getitem_call(op: Op, value: Any, key: Any) -> Node:
    x = operand(value)
    normal = _normalize(key, x)
    if normal == tuple(Span(0, size, 1) for size in x.shape):
        return x
    return op.node((x,), x.shape, normal)


def _getitem_infer(require: Any, x: TensorType, shape: Shape, key: Key) -> TensorType:
    return TensorType(_read_shape(require, shape, key), x.dtype)


def _read_shape(require: Any, shape: Shape, key: Key) -> Shape:
    result: list[Extent] = []
    axis = 0
    for entry in key:
        if entry is None:
            result.append(1)
            continue
        size = shape[axis]
        axis += 1
        if isinstance(entry, Span):
            low, high = (entry.start, entry.stop) if entry.step > 0 else (entry.stop, entry.start)
            bound = size if entry.step > 0 else size - 1
            _require_order(require, 0 if entry.step > 0 else -1, low)
            _require_order(require, low, high)
            _require_order(require, high, bound)
            result.append(entry.length())
        else:
            _require_order(require, 0, entry)
            _require_order(require, entry + 1, size)
    return tuple(result)


def _require_order(require: Any, low: Extent, high: Extent) -> None:
    if not dims.at_least(high, low, sizes_from=0):
        if isinstance(low, int) and isinstance(high, int):
            raise ShapeError(f"{low} lies beyond {high}")
        require(Guard(high, ">=", low, f"an index needs {high} >= {low}"))


def key_text(key: Key, shape: Shape) -> str:
    """A basic index as Python writes it."""
    entries = []
    axis = 0
    for entry in key:
        if entry is None:
            entries.append("None")
            continue
        size = shape[axis]
        axis += 1
        if isinstance(entry, Span):
            entries.append(_span_text(entry, size))
        else:
            entries.append(_position_text(entry, size))
    while len(entries) > 1 and entries[-1] == ":" and axis > 0:
        entries.pop()
    return ", ".join(entries)


def _position_text(position: Extent, size: Extent) -> str:
    """A bound, counted from the end where that makes it a plain number."""
    from_end = position - size
    if not isinstance(position, int) and isinstance(from_end, int) and from_end < 0:
        return str(from_end)
    return size_text(position)


def _span_text(span: Span, size: Extent) -> str:
    first, last = (0, size) if span.step > 0 else (size - 1, -1)
    start = "" if span.start is first or span.start == first else _position_text(span.start, size)
    stop = "" if span.stop is last or span.stop == last else _position_text(span.stop, size)
    # A colon is set like an operator: spaces beside it where a bound is more than a name.
    wide = any(" " in bound for bound in (start, stop))
    left = f"{start} " if wide and start else start
    right = f" {stop}" if wide and stop else stop
    text = f"{left}:{right}"
    if span.step == 1:
        return text
    return f"{text} : {span.step}" if wide else f"{text}:{span.step}"


def _samples(shape: tuple[int, ...], key: Any) -> Any:
    return lambda rng: ((rng.normal(size=shape), key), {})


def _getitem_text(node: Node) -> str:
    return f"{{x}}[{key_text(node.params.key, node.params.shape)}]"


getitem = linear(
    "getitem", "x[key] for ints, slices, None and ...",
    noun="part",
    parameters=("shape", "key"),
    infer=_getitem_infer,
    emission=Emission(_getitem_text, view=True, notation=_getitem_text),
    transpose=lambda bar, y: embed.node((bar,), y.params.shape, y.params.key),
    call=_getitem_call,
    samples=(
        _samples((5, 4), (slice(1, -1), slice(None, None, 2))),
        _samples((5, 4), (slice(None, None, -1), -1)),
        _samples((5, 4), (Ellipsis, None, slice(2, 0, -1))),
        _samples((3,), 1),
        _samples((3, 2), slice(3, 1)),
    ),
)  # fmt: skip


def _embed_infer(require: Any, x: TensorType, shape: Shape, key: Key) -> TensorType:
    for own, read in zip(x.shape, _read_shape(require, shape, key), strict=True):
        require(equal_sizes(own, read))
    return TensorType(shape, x.dtype)


def _embed_text(node: Node) -> str:
    shape, key = node.params
    return f"embed({{x}}, {tuple_text(shape)}, np.s_[{key_text(key, shape)}])"


embed: Op = linear(
    "embed", "zeros of a shape with x at [key]",
    noun="embedded",
    parameters=("shape", "key"),
    infer=_embed_infer,
    emission=Emission(
        _embed_text, helpers=(arrays.embed,),
        notation=lambda node: f"embed({{x}}, at[{key_text(node.params.key, node.params.shape)}])",
    ),
    transpose=lambda bar, y: getitem.node((bar,), y.params.shape, y.params.key),
    call=lambda op, x, shape, key: op.node((operand(x),), tuple(shape), key),
    samples=(
        lambda rng: ((rng.normal(size=(2, 3)), (4, 3), (Span(1, 3, 1), Span(0, 3, 1))), {}),
        lambda rng: ((rng.normal(size=(2,)), (5, 2), (4, Span(1, -1, -1))), {}),
    ),
)  # fmt: skip

# --- labels ------------------------------------------------------------------------------------


def _one_hot_call(op: Op, index: Any, classes: Any, axis: int = -1) -> Node:
    count = as_count("one_hot", classes)
    rows = op.node((require_labels("one_hot", operand(index), count),), count)
    return moveaxis(rows, -1, axis)


def _one_hot_body(index: Node, classes: Extent) -> Node:
    # An arange of more numbers than its dtype has would start again: classes 3 and 259 are not one.
    most = int(np.iinfo(index.dtype.numpy).max)
    fits = classes <= most if isinstance(classes, int) else most >= 2**31 - 1
    return expand_dims(index, -1) == arange_on(index.graph, classes, index.dtype if fits else int64)


def _pick_call(op: Op, x: Any, index: Any) -> Node:
    x = require_float("pick", operand(x))
    (index,) = operands(index) if isinstance(index, Node) else (x.graph.constant(index),)
    classes = x.shape[-1] if x.ndim else None
    return op.node((x, require_labels("pick", index, classes)))


def _pick_infer(require: Any, x: TensorType, index: TensorType) -> TensorType:
    if len(x.shape) != len(index.shape) + 1:
        raise ShapeError("labels need one axis less than what they pick from")
    for own, other in zip(x.shape, index.shape, strict=False):
        require(equal_sizes(own, other))
    return TensorType(index.shape, x.dtype)


pick = linear(
    "pick", "x[..., index]: one element of the last axis for each label",
    operands=("x", "index"),
    infer=_pick_infer,
    emission=Emission("pick({x}, {index})", helpers=(arrays.pick,)),
    transpose=lambda bar, y: expand_dims(bar, -1) * one_hot(y.args[1], y.args[0].shape[-1]),
    call=_pick_call,
    samples=(
        lambda rng: ((rng.normal(size=(4, 3)), rng.integers(0, 3, 4)), {}),
        lambda rng: ((rng.normal(size=(3,)), np.int64(2)), {}),
        lambda rng: ((rng.normal(size=(2, 4, 3)), rng.integers(0, 3, (2, 4))), {}),
    ),
)  # fmt: skip
one_hot: Op = composite(
    "one_hot", "for each label a bool row, along an axis, that is true in its place",
    operands=("index",), parameters=("classes",),
    body=_one_hot_body, call=_one_hot_call, differentiable=False,
    emission=Emission(
        lambda node: f"one_hot({{index}}, {size_text(node.params.classes)})",
        helpers=(arrays.one_hot,),
    ),
    samples=(lambda rng: ((rng.integers(0, 3, 4), 3), {}),),
)  # fmt: skip
