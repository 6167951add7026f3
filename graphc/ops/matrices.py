"""Diagonals, and what square matrices have: an inverse and a determinant."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.dims import Extent, Shape
from graphc.ir.emission import Emission, tuple_text
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function, registered
from graphc.ir.types import TensorType, equal_sizes, float32
from graphc.ops.families import given, linear
from graphc.ops.operands import axis_of, cast, operand, require_rank, whole
from graphc.ops.reduction import sum
from graphc.ops.shape import expand_dims, matrix_transpose
from graphc.runtime import arrays

# A function `trace` is no name of graphc's: gc.trace makes graphs of functions.
__all__ = ["det", "diagonal", "inv"]

# --- diagonals ---------------------------------------------------------------------------------


def _diagonal_length(rows: Extent, columns: Extent, offset: int) -> Extent:
    if isinstance(rows, int) and isinstance(columns, int):
        return max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    equal_sizes(rows, columns)
    return rows - abs(offset)


def _diagonal_infer(
    require: Any, x: TensorType, offset: int, first: int, second: int
) -> TensorType:
    kept = tuple(size for i, size in enumerate(x.shape) if i not in (first, second))
    length = _diagonal_length(x.shape[first], x.shape[second], offset)
    return TensorType((*kept, length), x.dtype)


def _diagonal_call(op: Op, x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    x = require_rank(op.name, operand(x), 2)
    first, second = (axis_of(op.name, axis, x) for axis in (axis1, axis2))
    if first == second:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"{op.name} is over two axes, got {axis1} twice: {name}")
    offset = whole(op.name, "the offset", offset)
    if offset and not all(isinstance(x.shape[axis], int) for axis in (first, second)):
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"{op.name}: beside the main one, the axes need fixed sizes: {name}")
    return op.node((x,), offset, first, second)


def _diagonal_options(node: Node) -> str:
    offset, first, second = node.params
    options = [f"offset={offset}"] if offset else []
    if (first, second) != (0, 1):
        options += [f"axis1={first}", f"axis2={second}"]
    return ", ".join(options)


def _diagonal_notation(node: Node) -> str:
    options = _diagonal_options(node)
    return f"diagonal({{x}}{', ' if options else ''}{options})"


diagonal: Op = linear(
    "diagonal", "the diagonal of x over two axes, as a last axis; offset > 0 lies above the main",
    noun="diagonal", parameters=("offset", "axis1", "axis2"), infer=_diagonal_infer,
    emission=Emission(
        lambda node: f"{{x}}.diagonal({_diagonal_options(node)})", view=True,
        notation=_diagonal_notation,
    ),
    transpose=lambda bar, y: embed_diagonal.node((bar,), y.args[0].shape, *y.params),
    call=_diagonal_call,
    samples=(
        lambda rng: ((rng.normal(size=(3, 3)),), {}),
        lambda rng: ((rng.normal(size=(2, 4)), 1), {}),
        lambda rng: ((rng.normal(size=(3, 2, 4)), -1, 2, 0), {}),
    ),
)  # fmt: skip


def _embed_text(node: Node) -> str:
    shape, *places = node.params
    return f"embed_diagonal({{x}}, {tuple_text(shape)}, {', '.join(map(str, places))})"


embed_diagonal: Op = linear(
    "embed_diagonal", "zeros of a shape with the last axis of x on a diagonal over two axes",
    noun="embedded", parameters=("shape", "offset", "axis1", "axis2"),
    infer=lambda require, x, shape, offset, first, second: TensorType(shape, x.dtype),
    emission=Emission(
        _embed_text, helpers=(arrays.embed_diagonal,),
    ),
    transpose=lambda bar, y: diagonal.node((bar,), *y.params[1:]),
    call=lambda op, x, shape, offset, first, second: op.node(
        (operand(x),), shape, offset, first, second
    ),
    samples=(
        lambda rng: ((rng.normal(size=3), (3, 3), 0, 0, 1), {}),
        lambda rng: ((rng.normal(size=(2, 3)), (4, 2, 4), -1, 2, 0), {}),
    ),
)  # fmt: skip


@function
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The sum of a diagonal over two axes: np.trace(x), or x.trace()."""
    return sum(diagonal(x, offset, axis1, axis2), -1)


# NumPy's of the same names are over the last two axes.
def _matrix_diagonal(x: Any, *, offset: int = 0) -> Node:
    """The diagonal of x over the last two axes: np.linalg.diagonal(x)."""
    return diagonal(x, offset, -2, -1)


def _matrix_trace(x: Any, *, offset: int = 0) -> Node:
    """The sum of a diagonal over the last two axes: np.linalg.trace(x)."""
    return trace(x, offset, -2, -1)


registered("linalg.diagonal", _matrix_diagonal)
registered("linalg.trace", _matrix_trace)

# --- square matrices ---------------------------------------------------------------------------


def _square(require: Any, x: TensorType) -> Shape:
    if len(x.shape) < 2:
        raise ShapeError("expects the two axes of a matrix, or more")
    require(equal_sizes(x.shape[-2], x.shape[-1]))
    return x.shape


def _square_call(op: Op, x: Any) -> Node:
    x = operand(x, floating=True)
    # LAPACK has no numbers of 16 bits.
    return op.node((x,)) if x.dtype.itemsize > 2 else cast(op.node((cast(x, float32),)), x.dtype)


def _samples(*shapes: tuple[int, ...]) -> tuple[Draw, ...]:
    """Far from singular, of determinants above and below 0, as ints too."""

    def sample(shape: tuple[int, ...]) -> Draw:
        return lambda rng: ((rng.uniform(-0.2, 0.2, shape) + 3 * np.eye(shape[-1])[::-1],), {})

    return tuple(map(sample, shapes))


inv: Op = Op(
    name="inv",
    doc="""the inverses of square matrices, the last two axes of x

A matrix that has none is numpy.linalg.LinAlgError when the module runs.""",
    operands=("x",), noun="inverse",
    infer=lambda require, x: TensorType(_square(require, x), x.dtype),
    emission=Emission("np.linalg.inv({x})"), call=_square_call,
    vjp=lambda index, bar, y, kinks: -(matrix_transpose(y) @ bar @ matrix_transpose(y)),
    jvp=lambda y, tangents, kinks: -(y @ given(tangents) @ y),
    samples=_samples((3, 3), (2, 1, 2, 2)),
)  # fmt: skip


def _in_place_of(scalars: Node) -> Node:
    """A number for each matrix, to multiply the matrices with."""
    return expand_dims(scalars, (scalars.ndim, scalars.ndim + 1))


det: Op = Op(
    name="det",
    doc="""the determinants of square matrices, the last two axes of x

The derivative, the matrix of cofactors, holds for singular matrices too; second derivatives are
made of an inverse, and are numpy.linalg.LinAlgError where there is none.""",
    operands=("x",), noun="determinant",
    infer=lambda require, x: TensorType(_square(require, x)[:-2], x.dtype),
    emission=Emission("np.linalg.det({x})"), call=_square_call,
    vjp=lambda index, bar, y, kinks: _in_place_of(bar) * cofactors(y.args[0]),
    jvp=lambda y, tangents, kinks: sum(cofactors(y.args[0]) * given(tangents), (-2, -1)),
    samples=_samples((3, 3), (2, 1, 2, 2), (4, 1, 1)),
)  # fmt: skip


def _cofactors_slope(y: Node, g: Node) -> Node:
    """Of C = det(x) x⁻ᵀ: tr(x⁻¹ ẋ) C - x⁻ᵀ ẋᵀ C, which is a symmetric map of ẋ."""
    inverse = matrix_transpose(inv(y.args[0]))
    along = sum(inverse * g, (-2, -1), True) * y
    return along - inverse @ matrix_transpose(g) @ y


cofactors: Op = Op(
    name="cofactors", doc="the derivative of det(x), which is det(x) inv(x)ᵀ where there is that",
    operands=("x",), noun="cofactors",
    infer=lambda require, x: TensorType(_square(require, x), x.dtype),
    emission=Emission("cofactors({x})", helpers=(arrays.product_of_others, arrays.cofactors)),
    call=_square_call,
    vjp=lambda index, bar, y, kinks: _cofactors_slope(y, bar),
    jvp=lambda y, tangents, kinks: _cofactors_slope(y, given(tangents)),
    samples=_samples((3, 3), (2, 1, 2, 2)),
)  # fmt: skip
