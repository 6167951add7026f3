"""Rows of a table by their number, and the transpose that adds rows up."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import Emission, size_text
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import TensorType, equal_sizes
from graphc.ops.elementwise import stop_gradient, where
from graphc.ops.families import linear
from graphc.ops.indexing import one_hot
from graphc.ops.operands import operand, own_node, require_float, require_int
from graphc.ops.shape import as_count, expand_dims, matrix_transpose, reshape
from graphc.runtime import arrays

__all__ = ["embedding"]

# A product with one-hot rows takes 0.2 to 0.9 of the time of np.bincount up to here, whatever the
# number of ids and of columns, and from twice as many rows on often more.
MAX_ONE_HOT = 32


def _table(op: str, table: Any) -> Node:
    node = require_float(op, operand(table))
    if node.ndim != 2:
        name = node.graph.describe(node, site=True)
        raise ShapeError(f"{op} expects a table of two axes, (rows, features), got {name}")
    return node


def _ids(op: str, ids: Any, beside: Node) -> Node:
    return require_int(op, "ids", own_node(op, "ids", ids, beside.graph))


def _gather_call(op: Op, table: Any, ids: Any) -> Node:
    table = _table(op.name, table)
    return op.node((table, _ids(op.name, ids, table)))


def _sum_of_rows(bar: Node, y: Node) -> Node:
    """The cotangent of the table: each row is the sum of those that were read from it."""
    table, ids = y.args
    rows, features = table.shape
    if not isinstance(rows, int) or rows > MAX_ONE_HOT:
        return scatter_add.node((bar, ids), rows)
    count = dims.product(ids.shape)
    chosen = bar.graph.hint(one_hot(reshape(ids, (count,)), rows).astype(bar.dtype), "one_hot")
    total: Node = matrix_transpose(chosen) @ reshape(bar, (count, features))
    return total


gather = linear(
    "gather", "table[ids]: a row of the table for each id (gc.embedding)", noun="rows",
    operands=("table", "ids"),
    infer=lambda require, table, ids: TensorType((*ids.shape, table.shape[1]), table.dtype),
    emission=Emission(
        "gather({table}, {ids})", "gather({table}, {ids}, {out})", helpers=(arrays.gather,)
    ),
    transpose=_sum_of_rows, call=_gather_call,
    samples=(
        lambda rng: ((rng.normal(size=(40, 2)), rng.integers(0, 40, (2, 3))), {}),
        lambda rng: ((rng.normal(size=(4, 2)), rng.integers(0, 4, 5, np.uint64)), {}),
        lambda rng: ((rng.normal(size=(4, 2)), np.int64(3)), {}),
    ),
)  # fmt: skip


def _scatter_infer(require: Any, x: TensorType, ids: TensorType, rows: Extent) -> TensorType:
    if len(x.shape) != len(ids.shape) + 1:
        raise ShapeError("rows need one axis more than their ids")
    for own, other in zip(x.shape, ids.shape, strict=False):
        require(equal_sizes(own, other))
    return TensorType((rows, x.shape[-1]), x.dtype)


def _scatter_call(op: Op, x: Any, ids: Any, rows: Any) -> Node:
    x = require_float("scatter_add", operand(x))
    return op.node((x, _ids("scatter_add", ids, x)), as_count("scatter_add", rows))


scatter_add = linear(
    "scatter_add", "zeros of so many rows, to which x[i] is added in row ids[i]; the transpose of "
    "gather", noun="sums",
    operands=("x", "ids"), parameters=("rows",), infer=_scatter_infer,
    emission=Emission(
        lambda node: f"scatter_add({{x}}, {{ids}}, {size_text(node.params.rows)})",
        helpers=(arrays.scatter_add,),
    ),
    transpose=lambda bar, y: gather(bar, y.args[1]), call=_scatter_call,
    samples=(
        lambda rng: ((rng.normal(size=(5, 2)), rng.integers(0, 4, 5), 4), {}),
        lambda rng: ((rng.normal(size=(2, 3, 2)), rng.integers(0, 4, (2, 3)), 4), {}),
        lambda rng: ((rng.normal(size=(0, 2)), rng.integers(0, 4, 0), 4), {}),
    ),
)  # fmt: skip


@function
def embedding(table: Any, ids: Any, padding_idx: int | None = None) -> Node:
    """table[ids]: a row for each id, of shape `ids.shape + (features,)`.

    The table is (rows, features). A row that is `padding_idx` is read like others, and has no
    gradient from it; as PyTorch's. Raises DTypeError for ids that are no ints; ids that the table
    has no row for are an IndexError when the module runs, negative ones too.
    """
    table = _table("embedding", table)
    ids = _ids("embedding", ids, table)
    rows = gather(table, ids)
    if padding_idx is None:
        return rows
    learned = expand_dims(ids != row_of("embedding", table, padding_idx), -1)
    return where(learned, rows, stop_gradient(rows))


def row_of(op: str, table: Node, padding_idx: object) -> Extent:
    """The number of the padding row; negative ones count from the end. Raises GraphcError."""
    count = table.shape[0]
    if isinstance(padding_idx, bool) or not isinstance(padding_idx, int):
        raise GraphcError(f"{op}: padding_idx is an int or None, got {padding_idx!r}")
    if isinstance(count, int) and not -count <= padding_idx < count:
        name = table.graph.describe(table, site=True)
        raise ShapeError(f"{op}: padding_idx {padding_idx} is no row of {name}")
    if padding_idx < 0:
        return padding_idx + count
    return padding_idx
