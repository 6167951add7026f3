"""Padding: arrays made larger at the ends of their axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphcError, ShapeError
from graphc.ir.dims import at_least
from graphc.ir.emission import Emission
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op
from graphc.ir.types import BOOL, FLOAT, Guard, TensorType
from graphc.ops.families import given, linear
from graphc.ops.operands import operand, require_one
from graphc.runtime import padding

__all__ = ["pad"]

Widths = tuple[tuple[int, int], ...]
MODES = ("constant", "reflect", "edge", "wrap")


def _widths(widths: Any, x: Node) -> Widths:
    """The widths before and behind each axis, from what np.pad takes."""
    try:
        pairs = np.broadcast_to(np.asarray(widths), (x.ndim, 2))
    except ValueError:
        pairs = np.zeros(0)
    if pairs.dtype.kind not in "iu" or (pairs < 0).any():
        name = x.graph.describe(x, site=True)
        raise GraphcError(
            f"pad: widths are an int, a pair, or a pair for each of the {x.ndim} axes, none "
            f"negative, got {widths!r} for {name}"
        )
    return tuple((int(before), int(behind)) for before, behind in pairs)


def _call(
    op: Op, array: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0.0
) -> Node:
    x: Node = operand(array)
    require_one("pad", "the mode", mode, MODES)
    fill = _fill(x, constant_values) if mode == "constant" else 0.0
    pairs = _widths(pad_width, x)
    if not any(map(any, pairs)):
        return x
    return op.node((x,), pairs, mode, fill)


def _fill(x: Node, value: Any) -> bool | int | float:
    """The number that x is padded with, of its kind. Raises GraphcError for what is none."""
    if not isinstance(value, (bool, int, float, np.bool_, np.number)):
        raise GraphcError(f"pad: constant_values is a number, got {value!r}")
    if x.dtype.kind == FLOAT:
        return float(value)
    limits = None if x.dtype.kind == BOOL else np.iinfo(x.dtype.numpy)
    least, most = (limits.min, limits.max) if limits else (0, 1)
    if not least <= value <= most or value != int(value):
        name = x.graph.describe(x, site=True)
        raise DTypeError(f"pad: constant_values {value!r} is no value of {name}")
    return bool(value) if x.dtype.kind == BOOL else int(value)


def _infer(require: Any, x: TensorType, widths: Widths, mode: str, value: Any) -> TensorType:
    for axis, (size, pair) in enumerate(zip(x.shape, widths, strict=True)):
        least = {"constant": 0, "edge": 1, "reflect": max(pair) + 1, "wrap": max(pair)}
        needed = least[mode] if any(pair) else 0
        if at_least(size, needed, sizes_from=0):
            continue
        if isinstance(size, int):
            raise ShapeError(f"mode {mode!r} by {max(pair)} needs {needed} elements in axis {axis}")
        require(Guard(size, ">=", needed, f"padding in mode {mode!r} needs {size} >= {needed}"))
    sizes = zip(x.shape, widths, strict=True)
    return TensorType(tuple(size + before + behind for size, (before, behind) in sizes), x.dtype)


def _text(node: Node) -> str:
    widths, mode, value = node.params
    option = ""
    if mode != "constant":
        option = f', mode="{mode}"'
    elif value:
        number = repr(value) if np.isfinite(value) else f"np.{value}".replace("np.-", "-np.")
        option = f", constant_values={number}"
    return f"np.pad({{x}}, {widths}{option})"


def _transpose(bar: Node, y: Node) -> Node:
    widths, mode, _ = y.params
    if mode != "constant":
        return unpad.node((bar,), widths, mode)
    sizes = zip(widths, y.args[0].shape, strict=True)
    own: Node = bar[tuple(slice(before, before + size) for (before, _), size in sizes)]
    return own


def _jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node:
    widths, mode, _ = node.params
    return pad.node((given(tangents),), widths, mode, 0.0)


def _sample(shape: tuple[int, ...], *arguments: Any, **options: Any) -> Draw:
    return lambda rng: ((rng.normal(size=shape), *arguments), options)


pad: Op = Op(
    name="pad",
    doc="x made larger at the ends of its axes, as np.pad does: constant, reflect, edge or wrap",
    operands=("x",), parameters=("pad_width", "mode", "constant_values"), noun="padded",
    infer=_infer, emission=Emission(_text), call=_call,
    vjp=lambda index, bar, node, kinks: _transpose(bar, node), jvp=_jvp,
    samples=(
        _sample((2, 3), ((1, 0), (0, 2)), constant_values=1.5),
        _sample((4, 3), ((3, 1), (0, 2)), "reflect"),
        _sample((2, 3), ((0, 3), (2, 1)), "edge"),
        _sample((3, 2), ((1, 3), (0, 2)), "wrap"),
    ),
)  # fmt: skip


def _unpad_infer(require: Any, x: TensorType, widths: Widths, mode: str) -> TensorType:
    sizes = zip(x.shape, widths, strict=True)
    return TensorType(tuple(size - before - behind for size, (before, behind) in sizes), x.dtype)


unpad: Op = linear(
    "unpad", "what pad repeated, added to where it came from",
    parameters=("pad_width", "mode"),
    infer=_unpad_infer,
    emission=Emission(
        lambda node: f'unpad({{x}}, {node.params.pad_width}, "{node.params.mode}")',
        helpers=(padding.unpad,),
    ),
    transpose=lambda bar, y: pad.node((bar,), *y.params, 0.0),
    call=lambda op, x, widths, mode: op.node((operand(x, floating=True),), widths, mode),
    samples=(
        _sample((7, 5), ((2, 1), (0, 2)), "reflect"),
        _sample((5, 6), ((0, 3), (2, 1)), "edge"),
        _sample((0, 4), ((0, 0), (1, 1)), "edge"),
        _sample((7, 6), ((1, 3), (0, 2)), "wrap"),
    ),
)  # fmt: skip
