"""Attention with learned projections."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.nn.declaration import declaring, layer
from graphc.ops.attention import scaled_dot_product_attention
from graphc.ops.operands import flag, operands, own_node
from graphc.ops.shape import expand_dims, permute_dims, reshape

PLACE = "nn.multi_head_attention"


@layer
def multi_head_attention(
    x: Any,
    heads: int,
    *,
    key: Any = None,
    value: Any = None,
    mask: Any = None,
    causal: bool = False,
    dropout: float = 0.0,
    name: str = "attention",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """Attention of x (batch, L, units) in several heads, each on its own projections.

    The heads are joined and projected once more, to (batch, L, units). Vaswani et al. 2017; as
    PyTorch's with `batch_first`, whose weights are the transposes of W_q, W_k, W_v and W_o.

    heads    divides the units
    key      (batch, S, …), x if none is given
    value    (batch, S, …), the key if none is given
    mask     of (L, S), (batch, L, S) or (batch, heads, L, S), or what broadcasts to one of these:
             bools, True where a query may attend to a key (PyTorch's layer has it the other way
             round, unlike its function), or floats that are added to the scores
    causal   query i may attend to the keys 0 … i only
    dropout  the rate at which weights are zeroed in `forward`
    bias     whether each projection has a bias: b_q, b_k, b_v and b_o
    """
    keys = x if key is None else key
    x, keys, values = operands(x, keys, keys if value is None else value, floating=True)
    for what, node in (("x", x), ("key", keys), ("value", values)):
        if node.ndim != 3:
            described = node.graph.describe(node, site=True)
            raise ShapeError(f"{PLACE}: {what} has to be (batch, length, units), got {described}")
    units = x.shape[-1]
    size = _head_size(x, heads)
    with_bias = flag(PLACE, "bias", bias)

    def projected(source: Node, letter: str) -> Node:
        W = graph.parameter(f"W_{letter}", (source.shape[-1], units), init=init, dtype=x.dtype)
        b = graph.parameter(f"b_{letter}", (units,), dtype=x.dtype) if with_bias else None
        return source @ W if b is None else source @ W + b

    def in_heads(source: Node, letter: str, told: str) -> Node:
        batch, length, _ = source.shape
        together = graph.hint(projected(source, letter), told)
        apart = reshape(together, (batch, length, heads, size))
        return graph.hint(permute_dims(apart, (0, 2, 1, 3)), letter)

    with declaring(x, name, "attention") as (graph, called):
        q = in_heads(x, "q", "queries")
        k, v = in_heads(keys, "k", "keys"), in_heads(values, "v", "values")
        attended = scaled_dot_product_attention(
            q, k, v, mask=_over_heads(mask, x), causal=causal, dropout=dropout
        )
        joined = reshape(permute_dims(attended, (0, 2, 1, 3)), x.shape)
        return graph.hint(projected(graph.hint(joined, "joined"), "o"), called)


def _head_size(x: Node, heads: Any) -> Extent:
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
        raise GraphcError(f"{PLACE}: heads is an int of at least 1, got {heads!r}")
    size = dims.exact_quotient(x.shape[-1], heads)
    if size is None:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"{PLACE}: {heads} heads do not divide the {x.shape[-1]} units of {name}")
    return size


def _over_heads(mask: Any, x: Node) -> Any:
    """A mask that broadcasts to (batch, heads, L, S)."""
    if mask is None:
        return None
    node = own_node(PLACE, "mask", mask, x.graph)
    return expand_dims(node, 1) if node.ndim == 3 else node
