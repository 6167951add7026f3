"""Attention. Heads that share keys and values stand in the axis of the queries, one below another.

What the standard defines by other operators, as RotaryEmbedding, is walked by its definition.
"""

from __future__ import annotations

from math import sqrt

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.frontends.onnx.tensors import FLOATS
from graphc.ir.dims import Dim, Extent
from graphc.ir.node import Node
from graphc.ir.types import BOOL, as_dtype
from graphc.ops.attention import scaled_scores, shares
from graphc.ops.operands import cast
from graphc.ops.shape import arange_on


@maps("Attention", since=23)
def attention(
    call: Call, Q: Node, K: Node, V: Node, mask: Node | None = None, past_key: Node | None = None,
    past_value: Node | None = None, lengths: Node | None = None, *, is_causal: int = 0,
    kv_num_heads: int | None = None, left_window_size: int = -1, q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0, right_window_size: int = -1, scale: float | None = None,
    softcap: float = 0.0, softmax_precision: int | None = None,
) -> tuple[Node, ...]:  # fmt: skip
    """softmax(scores) V with scores of queries and keys: (Y, all keys, all values, some scores).

    Q is (batch, heads, queries, d), or (batch, queries, heads * d) with `q_num_heads`; so are K
    and V. Past keys and values stand before the others. `lengths` (batch,) is how many keys there
    are of each sequence; its queries are the last of them.
    """
    flat = Q.ndim == 3
    cached = [node for node in (past_key, past_value) if node is not None]
    if Q.ndim not in (3, 4) or K.ndim != Q.ndim or V.ndim != Q.ndim:
        call.refuse(f"Q, K and V have 3 or 4 axes, all as many, got {Q.ndim}, {K.ndim}, {V.ndim}")
    if len(cached) == 1 or any(node.ndim != 4 for node in cached):
        call.refuse("past keys and values come together, and have 4 axes")
    q, k, v = Q, K, V
    if flat:
        q, k, v = (
            _in_heads(call, x, heads)
            for x, heads in ((Q, q_num_heads), (K, kv_num_heads), (V, kv_num_heads))
        )
    past: Extent = 0
    if past_key is not None and past_value is not None:
        past = past_key.shape[2]
        k, v = ops.concat([past_key, k], 2), ops.concat([past_value, v], 2)
    scores = raw = _ungrouped(scaled_scores(_grouped(call, q, k), k, scale or None), q)
    if softcap:
        scores = ops.tanh(scores / softcap) * softcap
    capped = scores
    allowed = []
    if mask is not None:
        mask = _widened(mask, scores.shape[-1])
        if mask.dtype.kind == BOOL:
            allowed.append(mask)
        else:
            scores = scores + cast(mask, scores.dtype)
    empty = mask is not None or lengths is not None or right_window_size >= 0
    right = 0 if is_causal else right_window_size
    if right >= 0 or left_window_size >= 0:
        allowed += _window(scores, past, lengths, left_window_size, right)
    if lengths is not None:
        keys = arange_on(call.graph, scores.shape[-1], lengths.dtype)
        allowed.append(keys < lengths[:, None, None, None])
    weights = _weights(call, scores, allowed, empty, softmax_precision)
    y = _ungrouped(_grouped(call, weights, v) @ v, q)
    if flat:
        y = ops.reshape(ops.permute_dims(y, (0, 2, 1, 3)), (y.shape[0], y.shape[2], -1))
    stages = {0: raw, 1: capped, 2: None, 3: weights}
    if qk_matmul_output_mode not in stages:
        call.refuse(f"qk_matmul_output_mode is 0, 1, 2 or 3, got {qk_matmul_output_mode}")
    shown = stages[qk_matmul_output_mode]
    if shown is None:
        shown = scores
        for condition in allowed:
            shown = ops.where(condition, shown, float("-inf"))
    return y, k, v, shown


def _in_heads(call: Call, x: Node, heads: int | None) -> Node:
    """(batch, length, heads * d) as (batch, heads, length, d)."""
    if not heads:
        call.refuse("inputs of three axes need q_num_heads and kv_num_heads")
    batch, length, _ = x.shape
    return ops.permute_dims(ops.reshape(x, (batch, length, heads, -1)), (0, 2, 1, 3))


def _grouped(call: Call, q: Node, k: Node) -> Node:
    """(batch, heads, queries, …) with as many heads as the keys have, and more queries each."""
    heads, groups = q.shape[1], k.shape[1]
    if heads == groups:
        return q
    if isinstance(heads, Dim) or isinstance(groups, Dim) or groups == 0 or heads % groups:
        call.refuse(f"the heads of queries, {heads}, are no multiple of those of keys, {groups}")
    batch, _, queries, size = q.shape
    return ops.reshape(q, (batch, groups, heads // groups * queries, size))


def _ungrouped(x: Node, q: Node) -> Node:
    """(batch, groups, queries of several heads, …) as (batch, heads, queries, …)."""
    shape = (*q.shape[:3], x.shape[3])
    return x if x.shape == shape else ops.reshape(x, shape)


def _widened(mask: Node, keys: Extent) -> Node:
    """A mask of as many keys as there are: those it does not tell of are masked."""
    own = mask.shape[-1]
    if own == 1 or not isinstance(keys, int) or not isinstance(own, int) or own >= keys:
        return mask
    value = False if mask.dtype.kind == BOOL else float("-inf")
    rest = ops.broadcast_to(mask.graph.constant(value, mask.dtype), (*mask.shape[:-1], keys - own))
    return ops.concat([mask, rest], -1)


def _window(scores: Node, past: Extent, lengths: Node | None, left: int, right: int) -> list[Node]:
    """Which keys a query may see: from `left` before its own place to `right` after; -1: all."""
    graph = scores.graph
    queries, keys = (arange_on(graph, size) for size in scores.shape[-2:])
    places = ops.expand_dims(queries, -1)
    if lengths is not None:
        last = cast(lengths, keys.dtype)
        places = places + (last[:, None, None, None] - scores.shape[-2])
    elif past != 0:
        places = places + past
    places = graph.hint(places, "places")
    allowed = []
    if right >= 0:
        allowed.append(graph.hint(keys <= (places + right if right else places), "seen"))
    if left >= 0:
        allowed.append(graph.hint(keys >= (places - left if left else places), "near"))
    return allowed


def _weights(
    call: Call, scores: Node, allowed: list[Node], empty: bool, precision: int | None
) -> Node:
    """The weights of values, computed in the precision that is asked for."""
    if precision is None:
        return call.graph.hint(shares(scores, allowed, empty), "weights")
    if precision not in FLOATS:
        call.refuse(f"softmax_precision {precision} is not supported")
    wide = cast(scores, as_dtype(FLOATS[precision]))
    return call.graph.hint(cast(shares(wide, allowed, empty), scores.dtype), "weights")


@maps("LinearAttention", since=27)
def linear_attention(
    call: Call, query: Node, key: Node, value: Node, past_state: Node | None = None,
    decay: Node | None = None, beta: Node | None = None, *, chunk_size: int = 0,
    kv_num_heads: int, q_num_heads: int, scale: float = 0.0, update_rule: str = "gated_delta",
) -> tuple[Node, Node]:  # fmt: skip
    """A memory S (batch, heads, d, e) of the values by their keys, read by each query in turn.

    For each step: S fades by exp(decay); the value, or beta times what S has wrong of it, is added
    under its key; the result is scale * query @ S.
    """
    if ("gated" in update_rule) != (decay is not None):
        call.refuse(f"the update rule {update_rule!r} and the input decay do not fit together")
    if ("delta" in update_rule) != (beta is not None):
        call.refuse(f"the update rule {update_rule!r} and the input beta do not fit together")
    for x in (query, key, value):
        if x.ndim != 3:
            call.refuse(f"queries, keys and values have 3 axes, got {x.shape}")
    steps = call.steps(query.shape[1])
    hint, dtype = call.graph.hint, query.dtype
    precise = as_dtype("float32") if dtype.itemsize < 4 else dtype
    batch, groups = query.shape[0], kv_num_heads

    def by_step(x: Node, *shape: int) -> Node:
        return ops.reshape(cast(x, precise), (batch, steps, *shape))

    if groups < 1 or q_num_heads < 1 or q_num_heads % groups:
        call.refuse(f"q_num_heads, {q_num_heads}, is no multiple of kv_num_heads, {groups}")
    q = by_step(query, groups, q_num_heads // groups, -1)
    k, v = by_step(key, groups, 1, -1), by_step(value, groups, 1, -1)
    scaled = q * (scale or 1.0 / sqrt(_require_int(call, q.shape[-1])))
    kept = None if decay is None else hint(ops.exp(by_step(decay, groups, -1, 1)), "kept")
    rate = None if beta is None else by_step(beta, -1, 1, 1)
    memory = None if past_state is None else cast(past_state, precise)
    read = []
    for i in range(steps):
        if memory is not None and kept is not None:
            memory = hint(memory * kept[:, i], f"faded_{i + 1}")
        new = v[:, i]
        if rate is not None:
            wrong = new if memory is None else new - k[:, i] @ memory
            new = hint(rate[:, i] * wrong, f"learned_{i + 1}")
        written = ops.matrix_transpose(k[:, i]) * new
        memory = hint(written if memory is None else memory + written, f"memory_{i + 1}")
        read.append(hint(scaled[:, i] @ memory, f"read_{i + 1}"))
    assert memory is not None
    output = cast(ops.reshape(ops.stack(read, 1), (batch, steps, -1)), dtype)
    return output, cast(memory, dtype if past_state is None else past_state.dtype)


def _require_int(call: Call, size: Extent) -> int:
    if not isinstance(size, int) or size < 1:
        call.refuse(f"the size of a head has to be a number, got {size}")
    return size
