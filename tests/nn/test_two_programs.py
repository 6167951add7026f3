"""Training and inference are two programs of one graph: what each says, and does not say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import in_every_style, load


def mlp() -> gc.Graph:
    """A classifier with dropout before and after a hidden layer."""
    with gc.Graph("mlp") as g:
        x = g.input("x", ("batch", 8))
        t = g.input("labels", ("batch",), "int64")
        h = gc.dropout(gc.relu(gc.nn.dense(gc.dropout(x, 0.1), 16)), 0.4)
        logits = g.output("logits", gc.nn.dense(h, 3))
        g.loss(gc.cross_entropy(logits, t))
    return g


def transformer() -> gc.Graph:
    """A block that predicts the next token of each prefix."""
    with gc.Graph("transformer") as g:
        ids = g.input("ids", ("batch", 6), "int64")
        t = g.input("labels", ("batch", 6), "int64")
        x = gc.dropout(gc.nn.embedding(ids, 50, 8), 0.1)
        x = x + gc.nn.multi_head_attention(gc.nn.layer_norm(x), 2, causal=True, dropout=0.2)
        x = x + gc.dropout(gc.nn.dense(gc.relu(gc.nn.dense(gc.nn.layer_norm(x), 9)), 8), 0.1)
        logits = g.output("logits", gc.nn.dense(x, 50))
        g.loss(gc.cross_entropy(logits, t))
    return g


def batch_norm_net() -> gc.Graph:
    """A batch norm, whose moments are those of the batch in training alone."""
    with gc.Graph("batch_norm_net") as g:
        x = g.input("x", ("batch", 8))
        t = g.input("labels", ("batch",), "int64")
        h = gc.relu(gc.nn.batch_norm(gc.nn.dense(x, 16, bias=False)))
        logits = g.output("logits", gc.nn.dense(gc.dropout(h, 0.5), 3))
        g.loss(gc.cross_entropy(logits, t))
    return g


MODELS: dict[str, Callable[[], gc.Graph]] = {
    model.__name__: model for model in (mlp, transformer, batch_norm_net)
}
each_model = pytest.mark.parametrize("model", MODELS)

# What only training knows: draws, labels, the loss and its parts, moments of the batch.
TRAINING = {
    "mlp": r"rng|labels|loss|\bnp\.exp|\.sum\(|pick|kept",
    "transformer": r"rng|labels|loss|np\.log|pick|kept",
    "batch_norm_net": r"rng|labels|loss|np\.exp|\.sum\(|\.mean\(|pick|kept",
}


def written(source: str, name: str) -> str:
    """The text of one generated function or method."""
    start = re.search(rf"^( *)def {name}\(", source, re.MULTILINE)
    assert start is not None
    end = re.compile(rf"^{start[1]}(def|class) ", re.MULTILINE).search(source, start.end())
    return source[start.start() : end.start() if end else len(source)]


@in_every_style
@each_model
def test_predict_has_nothing_of_training(model: str, style: str) -> None:
    source = gc.compile(MODELS[model](), style=style).source
    predict = written(source, "predict")
    assert re.findall(TRAINING[model], predict) == []
    assert {"predict", "forward"} == {n for n in ("predict", "forward") if f"def {n}(" in source}
    assert "rng.random" in written(source, "forward")


@in_every_style
@each_model
def test_the_mask_is_a_residual(model: str, style: str) -> None:
    source = gc.compile(MODELS[model](), style=style).source
    assert source.count("rng.random(") == written(source, "forward").count("rng.random(")
    backward = written(source, "backward")
    assert "rng" not in backward
    assert "kept" in backward


@in_every_style
@each_model
def test_inference_alone_needs_no_generator(model: str, style: str) -> None:
    source = gc.compile(MODELS[model](), style=style, inference=True).source
    assert re.findall(r"rng\.|labels|self_test|def (?:forward|backward|evaluate)\(", source) == []


@in_every_style
def test_predict_of_a_dropout_is_the_net_without_it(style: str) -> None:
    net: Any = load(mlp(), style=style)
    params = net.init_params(np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    h = np.maximum(x @ params["dense.W"] + params["dense.b"], 0)
    expected = h @ params["dense_2.W"] + params["dense_2.b"]
    np.testing.assert_allclose(net.predict(params, x), expected, rtol=2e-6, atol=1e-6)


@in_every_style
def test_a_batch_of_one_cannot_be_trained_on(style: str) -> None:
    net: Any = load(batch_norm_net(), style=style)
    params, state = net.init_params(np.random.default_rng(0)), net.init_state()
    x, labels = np.ones((1, 8), np.float32), np.zeros(1, np.int64)
    assert np.isfinite(net.predict(params, state, x)).all()
    with pytest.raises(ValueError, match="training needs more than one value a channel"):
        net.forward(params, state, x, labels, rng=np.random.default_rng(0))
