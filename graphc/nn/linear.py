"""Layers that multiply by a matrix, or read its rows."""

from __future__ import annotations

from typing import Any

from graphc.ir.node import Node
from graphc.nn.declaration import as_units, declaring, layer
from graphc.ops.elementwise import mask
from graphc.ops.lookup import embedding as looked_up
from graphc.ops.lookup import row_of
from graphc.ops.operands import flag, operand, require_int, require_rank
from graphc.ops.shape import expand_dims


@layer
def dense(
    x: Any,
    units: Any,
    *,
    name: str = "dense",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """x @ W + b over the last axis of x, whose size becomes `units`; with `bias=False` no b.

    W is (inputs, units), the transpose of PyTorch's; b is (units,) and starts with zeros.
    """
    x = require_rank("nn.dense", operand(x, floating=True), 1)
    units = as_units("nn.dense", "units", units)
    with_bias = flag("nn.dense", "bias", bias)
    with declaring(x, name, "dense") as (graph, called):
        W = graph.parameter("W", (x.shape[-1], units), init=init, dtype=x.dtype)
        b = graph.parameter("b", (units,), dtype=x.dtype) if with_bias else None
    product: Node = x @ W
    return graph.hint(product if b is None else product + b, called)


@layer
def embedding(
    ids: Any,
    rows: Any,
    features: Any,
    *,
    padding_idx: int | None = None,
    name: str = "embedding",
    init: object = "normal",
) -> Node:
    """A learned vector for each id: `gc.embedding` with a table W (rows, features).

    The vectors of `padding_idx` are zeros and have no gradient, whatever that row of W holds. Ids
    are ints; one that W has no row for is an IndexError when the module runs. PyTorch starts with
    `gc.init.normal(std=1.0)`.
    """
    ids = require_int("nn.embedding", "ids", operand(ids))
    rows = as_units("nn.embedding", "rows", rows)
    features = as_units("nn.embedding", "features", features)
    with declaring(ids, name, "embedding") as (graph, called):
        W = graph.parameter("W", (rows, features), init=init)
    vectors = looked_up(W, ids)
    if padding_idx is not None:
        padding = row_of("nn.embedding", W, padding_idx)
        vectors = mask(vectors, expand_dims(ids != padding, -1))
    return graph.hint(vectors, called)
