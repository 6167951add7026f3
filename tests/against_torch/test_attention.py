"""Attention beside PyTorch's function, layer and transformer block: values and all gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch import layers
from tests.against_torch.comparison import (
    Array,
    Case,
    Draw,
    assert_same,
    graphc_results,
    is_accurate,
    over,
    torch_results,
)
from tests.against_torch.layers import Layer, part, transposed, whole
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance

BATCH, HEADS, QUERIES, KEYS, SIZE = 2, 2, 3, 4, 5
UNITS = HEADS * SIZE


# --- the function ------------------------------------------------------------------------------


def attended(torch: Any, q: Any, k: Any, v: Any, mask: Any = None, **options: Any) -> Any:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, **options)


def query_key_value(scale: float, mask: Callable[[np.random.Generator], Any] | None = None) -> Draw:
    """Operands of attention, whose scores are of the order of the scale."""

    def draw(rng: np.random.Generator) -> tuple[Any, ...]:
        q, k, v = (rng.normal(size=(BATCH, HEADS, n, SIZE)) for n in (QUERIES, KEYS, KEYS))
        return (q * scale, k, v, *([] if mask is None else [mask(rng)]))

    return draw


def random_mask(rng: np.random.Generator) -> Array:
    """Bools, of which one row allows nothing."""
    mask = rng.uniform(size=(BATCH, 1, QUERIES, KEYS)) < 0.6
    mask[0, 0, 1] = False
    return np.asarray(mask)


def added_mask(rng: np.random.Generator) -> Array:
    """Floats, -inf for one key, and for all of one query."""
    mask = rng.normal(size=(QUERIES, KEYS))
    mask[:, 2] = -np.inf
    mask[0] = -np.inf
    return mask


ours = gc.scaled_dot_product_attention
FUNCTIONS = [
    Case("plain", ours, attended, query_key_value(1)),
    Case("extreme", ours, attended, query_key_value(1e4)),
    Case(
        "causal", lambda *nodes: ours(*nodes, causal=True, scale=0.3),
        lambda torch, *nodes: attended(torch, *nodes, is_causal=True, scale=0.3),
        query_key_value(1),
    ),
    Case("mask", ours, attended, query_key_value(1, random_mask)),
    Case("mask-extreme", ours, attended, query_key_value(1e4, random_mask)),
    Case("added", ours, attended, query_key_value(1, added_mask), fixed=(3,)),
    Case(
        "of-the-mask", ours, attended,
        query_key_value(1, lambda rng: rng.normal(size=(HEADS, QUERIES, KEYS))),
    ),
]  # fmt: skip


@in_every_style
@over(FUNCTIONS)
def test_float64_agrees(case: Case, style: str) -> None:
    # Where one key takes all, the gradients of queries and keys are 0.
    theirs = torch_results(case, "float64", "float64")
    assert_same(graphc_results(case, "float64", style), theirs, together=True)


@in_every_style
@over(FUNCTIONS)
def test_float32_is_as_accurate(case: Case, style: str) -> None:
    is_accurate(case, style)


# --- the layer ---------------------------------------------------------------------------------


def projections(name: str, other: str = "") -> dict[str, Any]:
    """Our parameters by PyTorch's, which keeps the projections of q, k and v in one array."""
    rows = {letter: (i * UNITS, (i + 1) * UNITS) for i, letter in enumerate("qkv")}
    return {
        **{
            f"{name}.W_{letter}": (f"{other}in_proj_weight", part(*span, transposed))
            for letter, span in rows.items()
        },
        **{
            f"{name}.b_{letter}": (f"{other}in_proj_bias", part(*span))
            for letter, span in rows.items()
        },
        f"{name}.W_o": (f"{other}out_proj.weight", transposed),
        f"{name}.b_o": (f"{other}out_proj.bias", whole),
    }


MASK = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]], bool)
X = (BATCH, QUERIES, UNITS)


def block(x: Any) -> Any:
    """A transformer block that normalises first."""
    h = gc.nn.layer_norm(x)
    x = x + gc.nn.multi_head_attention(h, HEADS, mask=MASK)
    h = gc.nn.layer_norm(x)
    return x + gc.nn.dense(gc.relu(gc.nn.dense(h, 7)), UNITS)


def their_block(torch: Any) -> Any:
    return torch.nn.TransformerEncoderLayer(
        UNITS, HEADS, 7, dropout=0.0, batch_first=True, norm_first=True
    )


def forbidden() -> Any:
    """PyTorch's layers want to know where a query may not attend."""
    return layers.peer("torch").tensor(~MASK)


LAYERS = [
    Layer(
        "self-attention", lambda x: gc.nn.multi_head_attention(x, HEADS),
        lambda torch: torch.nn.MultiheadAttention(UNITS, HEADS, batch_first=True),
        lambda module, x: module(x, x, x)[0], (X,), projections("attention"),
    ),
    Layer(
        "masked", lambda x: gc.nn.multi_head_attention(x, HEADS, mask=MASK),
        lambda torch: torch.nn.MultiheadAttention(UNITS, HEADS, batch_first=True),
        lambda module, x: module(x, x, x, attn_mask=forbidden())[0], (X,),
        projections("attention"),
    ),
    Layer(
        "cross-attention",
        lambda x, key, value: gc.nn.multi_head_attention(x, HEADS, key=key, value=value),
        lambda torch: torch.nn.MultiheadAttention(UNITS, HEADS, kdim=3, vdim=7, batch_first=True),
        lambda module, x, key, value: module(x, key, value)[0],
        (X, (BATCH, KEYS, 3), (BATCH, KEYS, 7)),
        projections("attention") | {
            f"attention.W_{letter}": (f"{letter}_proj_weight", transposed) for letter in "qkv"
        },
    ),
    Layer(
        "block", block, their_block, lambda module, x: module(x, src_mask=forbidden()), (X,),
        {
            **projections("attention", "self_attn."),
            "layer_norm.gain": ("norm1.weight", whole), "layer_norm.bias": ("norm1.bias", whole),
            "layer_norm_2.gain": ("norm2.weight", whole),
            "layer_norm_2.bias": ("norm2.bias", whole),
            "dense.W": ("linear1.weight", transposed), "dense.b": ("linear1.bias", whole),
            "dense_2.W": ("linear2.weight", transposed), "dense_2.b": ("linear2.bias", whole),
        },
        scale=0.7,
    ),
]  # fmt: skip


@in_every_style
@layers.over(LAYERS)
def test_a_layer_agrees(layer: Layer, style: str) -> None:
    layer.agrees(style)


@in_every_style
@layers.over(LAYERS)
def test_a_layer_is_as_accurate(layer: Layer, style: str) -> None:
    layer.is_accurate(style)
