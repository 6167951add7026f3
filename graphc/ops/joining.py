"""Joining arrays along an axis, and cutting them apart again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent, Shape
from graphc.ir.emission import Emission, size_text
from graphc.ir.graph import ITEM
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import Guard, TensorType, TupleType, equal_sizes
from graphc.ops.families import linear_jvp
from graphc.ops.operands import axis_of, operand, operands, require_rank
from graphc.ops.shape import as_size, zeros_like, zeros_of

__all__ = ["concat", "split", "stack"]


def _listed(name: str, arrays: Any) -> tuple[Node, ...]:
    if isinstance(arrays, Node) or not isinstance(arrays, (tuple, list)) or not arrays:
        raise GraphcError(f"{name} expects a list of at least one array, got {arrays!r}")
    return operands(*arrays)


def _concat_infer(require: Any, *rest: Any) -> TensorType:
    *types, axis = rest
    total: Extent = 0
    for type in types:
        if len(type.shape) != len(types[0].shape):
            raise ShapeError("all need the same number of axes")
        for i, (own, first) in enumerate(zip(type.shape, types[0].shape, strict=True)):
            if i != axis:
                require(equal_sizes(own, first))
        total = total + type.shape[axis]
    shape = list(types[0].shape)
    shape[axis] = total
    return TensorType(tuple(shape), types[0].dtype)


def _concat_call(op: Op, arrays: Sequence[Any], axis: int = 0) -> Node:
    nodes = tuple(require_rank("concat", node, 1) for node in _listed("concat", arrays))
    return op.node(nodes, axis_of("concat", axis, nodes[0]))


def _concat_vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
    axis = node.params.axis
    start = sum_sizes(arg.shape[axis] for arg in node.args[:index])
    stop = start + node.args[index].shape[axis]
    return bar[(slice(None),) * axis + (slice(start, stop),)]


def sum_sizes(sizes: Any) -> Extent:
    """The sum of some sizes."""
    total: Extent = 0
    for size in sizes:
        total = total + size
    return total


def _variadic_jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node:
    filled = (
        zeros_like(arg) if t is None else t for t, arg in zip(tangents, node.args, strict=True)
    )
    return node.graph.rebuild(node, tuple(filled))


concat = Op(
    name="concat", doc="arrays one after the other along an axis",
    noun="joined",
    operands=("*xs",), parameters=("axis",),
    infer=_concat_infer,
    emission=Emission(
        lambda node: f"np.concatenate([{{*xs}}], axis={node.params.axis})",
        lambda node: f"np.concatenate([{{*xs}}], axis={node.params.axis}, out={{out}})",
    ),
    call=_concat_call, vjp=_concat_vjp, jvp=_variadic_jvp,
    samples=(
        lambda rng: (([rng.normal(size=(2, 3)), rng.normal(size=(4, 3))],), {}),
        lambda rng: (([rng.normal(size=(2, 3)), rng.normal(size=(2, 0))], -1), {}),
        lambda rng: (([rng.normal(size=(2,))] * 3,), {}),
    ),
)  # fmt: skip


def _stack_infer(require: Any, *rest: Any) -> TensorType:
    *types, axis = rest
    for type in types[1:]:
        if len(type.shape) != len(types[0].shape):
            raise ShapeError("all need the same shape")
        for own, first in zip(type.shape, types[0].shape, strict=True):
            require(equal_sizes(own, first))
    shape = list(types[0].shape)
    shape.insert(axis, len(types))
    return TensorType(tuple(shape), types[0].dtype)


def _stack_call(op: Op, arrays: Sequence[Any], axis: int = 0) -> Node:
    nodes = _listed("stack", arrays)
    return op.node(nodes, axis_of("stack", axis, nodes[0], added=1))


stack = Op(
    name="stack", doc="arrays of one shape side by side along a new axis",
    noun="stacked",
    operands=("*xs",), parameters=("axis",),
    infer=_stack_infer,
    emission=Emission(
        lambda node: f"np.stack([{{*xs}}], axis={node.params.axis})",
        lambda node: f"np.stack([{{*xs}}], axis={node.params.axis}, out={{out}})",
    ),
    call=_stack_call,
    vjp=lambda index, bar, node, kinks: bar[(slice(None),) * node.params.axis + (index,)],
    jvp=_variadic_jvp,
    samples=(
        lambda rng: (([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))],), {}),
        lambda rng: (([rng.normal(size=(2, 3)), rng.normal(size=(2, 3))], -1), {}),
        lambda rng: (([rng.normal(size=()), rng.normal(size=())],), {}),
    ),
)  # fmt: skip


def _split_infer(require: Any, x: TensorType, sizes: Shape, axis: int) -> TupleType:
    require(equal_sizes(sum_sizes(sizes), x.shape[axis]))
    for size in sizes if len(set(sizes)) > 1 else ():
        # NumPy would cut a shorter axis without a word, into parts of other sizes.
        if not dims.at_least(size, 0, sizes_from=0):
            require(Guard(size, ">=", 0, f"a part of {size} elements cannot be cut off"))
    return TupleType(
        tuple(TensorType((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes)
    )


def _split_text(node: Node) -> str:
    sizes = node.params.sizes
    ends = [sum_sizes(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    cuts = ", ".join(map(size_text, ends))
    return f"np.split({{x}}, [{cuts}], axis={node.params.axis})"


def _split_vjp(index: int, bar: Any, node: Node, kinks: str) -> Node:
    filled = [
        zeros_of(node, type) if part is None else part
        for part, type in zip(bar, node.types, strict=True)
    ]
    return concat(filled, node.params.axis)


_split = Op(
    name="split", doc="x cut along an axis, into equal parts or at positions",
    operands=("x",), parameters=("sizes", "axis"),
    infer=_split_infer,
    emission=Emission(_split_text, view=True),
    call=lambda op, *arguments: split(*arguments)[0].args[0], vjp=_split_vjp,
    jvp=linear_jvp,
    samples=(
        lambda rng: ((rng.normal(size=(4, 3)), 2), {}),
        lambda rng: ((rng.normal(size=(2, 5)), [1, 3], -1), {}),
    ),
)  # fmt: skip


@function
def split(x: Any, sections: Any, axis: int = 0) -> list[Node]:
    """x cut along an axis: into so many equal parts, or at a list of positions."""
    x = require_rank("split", operand(x), 1)
    axis = axis_of("split", axis, x)
    size = x.shape[axis]
    if not isinstance(sections, (list, tuple, np.ndarray)):
        sections = as_size(sections)
        if not isinstance(sections, int):
            raise ShapeError(f"split: the number of parts is an int, got {sections}")
        if sections < 1 or (isinstance(size, int) and size % sections):
            raise ShapeError(
                f"split: {size} does not divide into {sections} equal parts",
                hint="give the positions at which to cut, as a list",
            )
        sizes: Shape = (dims.floor_divide(size, sections),) * sections
    else:
        cuts = [0, *(as_size(cut) for cut in sections), size]
        sizes = tuple(stop - start for start, stop in pairwise(cuts))
        if any(isinstance(n, int) and n < 0 for n in sizes):
            raise ShapeError(f"split: the positions {list(sections)} do not ascend within {size}")
    node = _split.node((x,), sizes, axis)
    return [x.graph.intern(ITEM, (node,), ITEM.record(i)) for i in range(len(sizes))]
