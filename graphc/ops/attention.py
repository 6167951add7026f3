"""Attention: means of values, weighed by how well a query agrees with each key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf, sqrt
from operator import and_
from typing import Any

import numpy as np

from graphc.errors import DTypeError, ShapeError
from graphc.ir.intervals import Interval
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import BOOL, FLOAT, broadcast, equal_sizes, shape_text
from graphc.ops import elementwise
from graphc.ops.elementwise import where
from graphc.ops.families import composite, given
from graphc.ops.mode import dropout as dropped
from graphc.ops.nn import finite_shares, softmax, softmax_rule
from graphc.ops.operands import (
    axis_of,
    cast,
    flag,
    number,
    operand,
    operands,
    own_node,
    require_bool,
    require_rank,
    size_node,
)
from graphc.ops.shape import arange_on, expand_dims, matrix_transpose

__all__ = ["scaled_dot_product_attention"]

# --- softmax of what a mask leaves -------------------------------------------------------------


def _masked_body(x: Node, condition: Node, axis: int, empty: bool) -> Node:
    masked = x.graph.hint(where(condition, x, -inf), "masked")
    return finite_shares(masked, (axis,)) if empty else softmax(masked, axis)


def _masked_call(op: Op, x: Any, condition: Any, axis: int = -1, empty: bool = True) -> Node:
    x = operand(x, floating=True)
    condition = require_bool(op.name, condition, (x,))
    return op.node((x, condition), axis_of(op.name, axis, x), empty)


def _drawn_mask(rng: np.random.Generator) -> Any:
    """A mask of which one row has nothing."""
    return rng.uniform(size=(3, 4)) < np.array([[0.6], [0.6], [0.0]])


# Elements that are masked out have the weight 0, hence no gradient: nothing else has to see to it.
# `empty` says that the condition may leave nothing, where a plain softmax would be 0 / 0.
masked_softmax = composite(
    "masked_softmax",
    "softmax(x) along an axis of what the condition leaves; zeros where it leaves nothing",
    operands=("x", "condition"), parameters=("axis", "empty"), body=_masked_body, call=_masked_call,
    vjp=lambda index, bar, node, kinks: softmax_rule(bar, node) if index == 0 else None,
    jvp=lambda node, tangents, kinks: None if tangents[0] is None else softmax_rule(
        tangents[0], node
    ),
    bounds=lambda node, x, condition: Interval(0.0, 1.0),
    samples=(
        lambda rng: ((rng.normal(size=(3, 4)), _drawn_mask(rng)), {}),
        lambda rng: ((rng.normal(size=(2, 3, 4)), _drawn_mask(rng)), {"axis": 0}),
        lambda rng: ((rng.normal(size=(4, 4)), np.tri(4, dtype=bool), -1, False), {}),
    ),
)  # fmt: skip
safe_softmax = composite(
    "safe_softmax", "softmax(x) along an axis, and zeros where all elements are -inf",
    parameters=("axis",), body=lambda x, axis: finite_shares(x, (axis,)),
    call=lambda op, x, axis=-1: op.node(
        (operand(x, floating=True),), axis_of(op.name, axis, operand(x))
    ),
    vjp=lambda index, bar, node, kinks: softmax_rule(bar, node),
    jvp=lambda node, tangents, kinks: softmax_rule(given(tangents), node),
    bounds=lambda node, x: Interval(0.0, 1.0),
    samples=(
        lambda rng: ((rng.normal(size=(3, 4)),), {}),
        lambda rng: ((rng.normal(size=(3, 4)),), {"axis": 0}),
    ),
)  # fmt: skip

# --- attention ---------------------------------------------------------------------------------


@function
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Node:
    """softmax(scale * query @ keyᵀ) @ value, over the keys; axes before the last two are a batch.

    query is (…, L, d), key (…, S, d) and value (…, S, e); the result is (…, L, e). Vaswani et al.
    2017; as PyTorch's function of the same name.

    mask     broadcasts to (…, L, S): bools, True where a query may attend to a key, or floats
             that are added to the scores. A query that may attend to nothing gets zeros
    causal   query i may attend to the keys 0 … i only; both masks hold where there are two
    scale    1/√d if none is given
    dropout  the rate at which weights are zeroed in `forward`

    Raises ShapeError and DTypeError for operands that do not fit together, by name.
    """
    place = "scaled_dot_product_attention"
    q, k, v = (require_rank(place, node, 2) for node in operands(query, key, value, floating=True))
    _require_equal(place, "the last axes of query and key", q, k, q.shape[-1], k.shape[-1])
    _require_equal(place, "the number of keys and values", k, v, k.shape[-2], v.shape[-2])
    graph = q.graph
    scores = scaled_scores(q, k, None if scale is None else number(place, "scale", scale))
    allowed = [_causal(scores)] if flag(place, "causal", causal) else []
    if mask is not None:
        mask = _mask(place, mask, scores)
        if mask.dtype.kind == BOOL:
            allowed.append(mask)
        else:
            scores = graph.hint(scores + cast(mask, scores.dtype), "biased")
    weights = shares(scores, allowed, mask is not None)
    weights = graph.hint(dropped(graph.hint(weights, "weights"), dropout), "dropped")
    return graph.hint(weights @ v, "context")


def scaled_scores(q: Node, k: Node, scale: float | None) -> Node:
    """How well each query agrees with each key; the scale is 1/√d if none is given."""
    graph, size = q.graph, q.shape[-1]
    factor: Any = scale
    if factor is None and isinstance(size, int):
        factor = 1.0 / sqrt(size) if size else 1.0
    elif factor is None:
        factor = 1.0 / elementwise.sqrt(size_node(graph, size, q.dtype))
    return graph.hint(graph.hint(q * factor, "scaled") @ matrix_transpose(k), "scores")


def shares(scores: Node, allowed: Sequence[Node], empty: bool) -> Node:
    """The weights of the values, where all conditions allow them.

    empty  conditions, or scores of -inf, may leave a query nothing: then its weights are zeros
    """
    if not allowed:
        return safe_softmax(scores) if empty else softmax(scores)
    return masked_softmax(scores, reduce(and_, allowed), -1, empty)


def _causal(scores: Node) -> Node:
    queries, keys = (arange_on(scores.graph, size) for size in scores.shape[-2:])
    return scores.graph.hint(expand_dims(queries, -1) >= keys, "causal")


def _mask(op: str, mask: Any, scores: Node) -> Node:
    """The mask as a node of bools or floats. Raises ShapeError and DTypeError for others."""
    node = own_node(op, "mask", mask, scores.graph)
    name = node.graph.describe(node, site=True)
    if node.dtype.kind not in (BOOL, FLOAT):
        raise DTypeError(f"{op}: the mask is of bools or floats, got {name}", hint="mask != 0")
    try:
        shape, guards = broadcast([scores.shape, node.shape])
    except ShapeError:
        shape, guards = (), []
    if shape != scores.shape or guards:
        expected = shape_text(scores.shape)
        raise ShapeError(f"{op}: the mask has to broadcast to the scores, {expected}, got {name}")
    return node


def _require_equal(op: str, what: str, a: Node, b: Node, left: Any, right: Any) -> None:
    try:
        equal_sizes(left, right)  # a guard, if there is one, is that of the product
    except ShapeError:
        names = ", ".join(n.graph.describe(n, site=True) for n in (a, b))
        raise ShapeError(f"{op}: {what} differ: {left} and {right}: {names}") from None
