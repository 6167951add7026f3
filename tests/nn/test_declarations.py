"""What layers declare: names, shapes, initial values, and errors that tell what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError, DTypeError, GraphcError, ShapeError, UnsupportedError
from tests.styles import in_every_style, load

# --- parameters --------------------------------------------------------------------------------


def shapes(graph: gc.Graph) -> dict[str, tuple[Any, ...]]:
    """The parameters and states of a graph, in order."""
    found = {name: p.node.shape for name, p in graph.parameters.items()}
    return found | {name: node.shape for name, (node, _) in graph.states.items()}


DECLARED: dict[str, tuple[Callable[[gc.Node], Any], dict[str, tuple[int, ...]]]] = {
    "dense": (lambda x: gc.nn.dense(x, 7), {"dense.W": (6, 7), "dense.b": (7,)}),
    "dense-twice": (
        lambda x: gc.nn.dense(gc.nn.dense(x, 7, bias=False), 2, bias=False),
        {"dense.W": (6, 7), "dense_2.W": (7, 2)},
    ),
    "layer_norm": (
        lambda x: gc.nn.layer_norm(x, axes=(1, 2), bias=False), {"layer_norm.gain": (4, 6)},
    ),
    "rms_norm": (gc.nn.rms_norm, {"rms_norm.gain": (6,)}),
    "group_norm": (
        lambda x: gc.nn.group_norm(x, 2), {"group_norm.gain": (4,), "group_norm.bias": (4,)},
    ),
    "instance_norm": (gc.nn.instance_norm, {}),
    "batch_norm": (
        lambda x: gc.nn.batch_norm(x, axis=-1, bias=False, name="norm"),
        {"norm.gain": (6,), "norm.mean": (6,), "norm.variance": (6,)},
    ),
    "attention": (
        lambda x: gc.nn.multi_head_attention(x, 3, key=x[..., :4], bias=False),
        {
            "attention.W_q": (6, 6), "attention.W_k": (4, 6), "attention.W_v": (4, 6),
            "attention.W_o": (6, 6),
        },
    ),
    "gru": (
        lambda x: gc.nn.gru(x, 5),
        {"gru.W": (6, 15), "gru.U": (5, 15), "gru.b": (15,), "gru.b_n": (5,)},
    ),
    "lstm": (lambda x: gc.nn.lstm(x, 5, bias=False), {"lstm.W": (6, 20), "lstm.U": (5, 20)}),
    "rnn_cell": (
        lambda x: gc.nn.rnn_cell(x[:, 0], x[:, 1, :2]),
        {"rnn_cell.W": (6, 2), "rnn_cell.U": (2, 2), "rnn_cell.b": (2,)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DECLARED)
def test_a_layer_declares_its_parameters(name: str) -> None:
    build, expected = DECLARED[name]
    with gc.Graph("layer") as g:
        build(g.input("x", ("batch", 4, 6)))
    assert shapes(g) == expected


def test_names_lie_under_paths_and_count_within_them() -> None:
    with gc.Graph("paths") as g:
        x = g.input("x", ("batch", 3))
        for block in range(2):
            with gc.path(f"block{block}"):
                x = gc.nn.dense(gc.nn.dense(x, 3, bias=False), 3, bias=False)
        gc.nn.dense(x, 3, bias=False, name="head")
        with pytest.raises(DeclarationError, match=r"already parameter head\.W"):
            gc.nn.dense(x, 3, name="head")
    assert list(g.parameters) == [
        "block0.dense.W", "block0.dense_2.W", "block1.dense.W", "block1.dense_2.W", "head.W"
    ]  # fmt: skip


def test_a_result_is_called_like_its_variable() -> None:
    with gc.Graph("labels") as g:
        x = g.input("x", ("batch", 3))
        hidden = gc.nn.dense(x, 3)
        g.loss(gc.mean(gc.tanh(hidden) * hidden))
    assert "hidden = x @ dense_W + dense_b" in gc.compile(g).source


@pytest.mark.parametrize(("kind", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_each_gate_starts_like_a_layer_of_its_own(kind: str, gates: int) -> None:
    with gc.Graph("fans") as g:
        x = g.input("x", ("batch", 2, 300))
        _, last = getattr(gc.nn, kind)(x, 100)
        g.loss(gc.mean(last[0] if kind == "lstm" else last))
    W = gc.compile(g).load().init_params(np.random.default_rng(0))[f"{kind}.W"]
    assert W.shape == (300, gates * 100)
    bound = np.sqrt(6 / 400)  # of a glorot_uniform with 300 inputs and 100 outputs
    assert 0.99 * bound < np.abs(W).max() <= bound


# --- embeddings --------------------------------------------------------------------------------


@in_every_style
@pytest.mark.parametrize("rows", [5, 40])
@pytest.mark.parametrize("wrong", [-1, "rows"])
def test_an_id_without_a_row_is_an_error(rows: int, wrong: Any, style: str) -> None:
    with gc.Graph("ids") as g:
        ids = g.input("ids", ("n",), "int64")
        g.loss(gc.mean(gc.nn.embedding(ids, rows, 2) ** 2))
    net: Any = load(g, style=style)
    params = net.init_params(np.random.default_rng(0))
    bad = rows if wrong == "rows" else wrong
    told = rf"ids must be in 0\.\.{rows - 1}, got {min(bad, 1)}\.\.{max(bad, 1)}"
    with pytest.raises(IndexError, match=told):
        net.forward(params, np.array([1, bad]))
    assert np.isfinite(net.value_and_grad(params, np.array([1, rows - 1]))[0])


@in_every_style
def test_padding_is_zeros_and_has_no_gradient(style: str) -> None:
    with gc.Graph("padding", dtype="float64") as g:
        ids = g.input("ids", (4,), "int64")
        g.loss(gc.sum(gc.exp(gc.nn.embedding(ids, 3, 2, padding_idx=-1))))
    net: Any = load(g, style=style)
    params = {"embedding.W": np.arange(6.0).reshape(3, 2)}
    loss, grads = net.value_and_grad(params, np.array([2, 0, 2, 0]))
    np.testing.assert_allclose(loss, 4 + 2 * (1 + np.e), rtol=1e-14)
    expected = [[2, 2 * np.e], [0, 0], [0, 0]]
    np.testing.assert_allclose(grads["embedding.W"], expected, rtol=1e-14)


# --- what does not fit -------------------------------------------------------------------------

WRONG: list[tuple[Callable[..., Any], type[GraphcError], str]] = [
    (lambda x, i: gc.nn.dense(x, 0), ShapeError, "nn.dense: units is a size of at least 1, got 0"),
    (lambda x, i: gc.nn.dense(x, 2.5), ShapeError, "units is a size of at least 1, got 2.5"),
    (lambda x, i: gc.nn.dense(x, 3, init="glorot"), DeclarationError, "did you mean 'glorot"),
    (lambda x, i: gc.nn.dense(x, 3, biases=1), UnsupportedError, "nn.dense got .* 'biases'"),
    (lambda x, i: gc.nn.dense(x, 3, bias=1), GraphcError, "bias is True or False, got 1"),
    (lambda x, i: gc.nn.embedding(x, 9, 2), DTypeError, "ids of an int dtype, got x float32"),
    (lambda x, i: gc.embedding(x, i), ShapeError, r"table of two axes, \(rows, .*, got x float32"),
    (lambda x, i: gc.embedding(x[0], x[0]), DTypeError, "ids of an int dtype"),
    (lambda x, i: gc.embedding(x[0], i, 4), ShapeError, "padding_idx 4 is no row of"),
    (lambda x, i: gc.embedding(x[0], i, 1.5), GraphcError, "padding_idx is an int or None, got"),
    (lambda x, i: gc.layer_norm(x, axes=3), ShapeError, "axis 3 does not exist .* 3 axes: x"),
    (lambda x, i: gc.layer_norm(x, axes=(1, -2)), ShapeError, "an axis occurs twice"),
    (lambda x, i: gc.layer_norm(x, axes=()), ShapeError, "layer_norm needs an axis, got x"),
    (lambda x, i: gc.layer_norm(x, eps=0), GraphcError, "eps is a positive number, got 0"),
    (lambda x, i: gc.rms_norm(x, eps=-1e-5), GraphcError, "rms_norm: eps is a positive number"),
    (lambda x, i: gc.layer_norm(x, gain=x[0, 0, :5]), ShapeError, r"gain has .* \(6,\), got .*5"),
    (lambda x, i: gc.group_norm(x, 3), ShapeError, "3 groups do not divide the 4 channels of x"),
    (lambda x, i: gc.group_norm(x, 0), GraphcError, "groups is an int of at least 1, got 0"),
    (lambda x, i: gc.instance_norm(x[0]), ShapeError, "instance_norm expects at least 3 axes"),
    (lambda x, i: gc.nn.batch_norm(x, axis=5), ShapeError, "nn.batch_norm: axis 5 does not exist"),
    (lambda x, i: gc.nn.batch_norm(x, momentum=2), GraphcError, "momentum is .* 0 to 1, got 2"),
    (lambda x, i: gc.nn.batch_norm(x[:1, :, 0]), ShapeError, "batch_norm .* one value .* got 1: "),
    (lambda x, i: gc.nn.dense(x, 3, name=""), DeclarationError, "name of the path is a non-empty"),
    (lambda x, i: gc.embedding(x[0], None), DTypeError, "embedding: ids: .* got None"),
    (
        lambda x, i: gc.nn.multi_head_attention(x, 4), ShapeError,
        r"multi_head_attention: 4 heads do not divide the 6 units of x float32 \(batch, 4, 6\)",
    ),
    (lambda x, i: gc.nn.multi_head_attention(x, 0), GraphcError, "heads is an int of at least 1"),
    (lambda x, i: gc.nn.multi_head_attention(x[0], 2), ShapeError, r"x has to be \(batch, length"),
    (lambda x, i: attention(x, mask=np.ones((4, 5), bool)), ShapeError,
     r"mask has to broadcast to the scores, \(batch, 4, 4\), got constant bool \(4, 5\)"),
    (lambda x, i: attention(x, mask=np.ones((2, 3, 4, 4), bool)), ShapeError, "mask has to broad"),
    (lambda x, i: attention(x, mask="causal"), DTypeError, "attention: mask: .* got 'causal'"),
    (lambda x, i: attention(x, scale=np.inf), GraphcError, "scale is a finite number, got inf"),
    (lambda x, i: attention(x, mask=i), DTypeError, "the mask is of bools or floats, got i int64"),
    (lambda x, i: attention(x, x[..., :5]), ShapeError, "last axes of query and key differ: 6"),
    (lambda x, i: attention(x, x, x[:, :3]), ShapeError, "number of keys and values differ: 4"),
    (lambda x, i: attention(x, causal=1), GraphcError, "causal is True or False, got 1"),
    (lambda x, i: attention(x, dropout=1.0), GraphcError, r"rate is a number in \[0, 1\), got 1.0"),
    (lambda x, i: gc.nn.lstm(x[:, :0], 5), ShapeError, "lstm is unrolled .* at least 1, got 0"),
    (lambda x, i: gc.nn.gru(gc.swapaxes(x, 0, 1), 5), ShapeError, "fixed number .* got batch"),
    (lambda x, i: gc.nn.rnn(x[0], 5), ShapeError, "nn.rnn expects at least 3 axes"),
    (lambda x, i: gc.nn.rnn(x, 5, h=x[:, 0]), ShapeError, r"h has to be of shape \(batch, 5\)"),
    (lambda x, i: gc.nn.lstm(x, 5, state=x), GraphcError, r"state is a pair \(h, c\), got"),
    (lambda x, i: gc.nn.rnn(x, 5, activation="rely"), GraphcError, "did you mean 'relu'"),
    (lambda x, i: gc.lstm(x, x[0].T, x[0, :, :4], h=1.0), GraphcError, "h and c are given both"),
    (lambda x, i: gc.nn.lstm_cell(x[0], (x[0], None)), GraphcError, r"c is a state .* got None"),
    (lambda x, i: gc.nn.gru_cell(x[0], None), GraphcError, r"gru_cell: h is a state .* got None"),
    (lambda x, i: gc.rnn_cell(x[0], None, x[0].T, x[0]), GraphcError, "rnn_cell: h is a state"),
    (lambda x, i: gc.rnn(x, x[0].T, x[0]), ShapeError, r"rnn: U has to be of shape \(4, 4\), got"),
]  # fmt: skip


def attention(x: gc.Node, key: Any = None, value: Any = None, **options: Any) -> Any:
    key = x if key is None else key
    value = key if value is None else value
    return gc.scaled_dot_product_attention(x, key, value, **options)


@pytest.mark.parametrize(("call", "error", "told"), WRONG, ids=[w[2][:40] for w in WRONG])
def test_what_does_not_fit_is_told(call: Any, error: type[GraphcError], told: str) -> None:
    with gc.Graph("wrong") as g:
        x = g.input("x", ("batch", 4, 6))
        ids = g.input("i", (4,), "int64")
        with pytest.raises(error, match=told) as caught:
            call(x, ids)
    assert not (g.parameters or g.states or g.updates)  # and nothing is left of the layer
    assert str(caught.value).startswith(f"tests/nn/{Path(__file__).name}:")
