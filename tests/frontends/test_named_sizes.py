"""Named sizes: known only when the generated module runs, checked when the graph is declared."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ShapeError
from graphc.ir import dims
from tests.styles import in_every_style, load

RNG = np.random.default_rng(11)


def random(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


@in_every_style
def test_one_module_serves_every_size(style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", ("batch", 3))
        t = g.input("t", ("batch",), dtype="int64")
        W = g.parameter("W", (3, 4), init="glorot_normal")
        logits = x @ W
        g.output("logits", logits)
        g.loss(gc.cross_entropy(logits, t))
    net = load(g, optimizer="sgd", style=style)
    params = net.init_params(np.random.default_rng(0))
    W = params["W"].astype(np.float64)
    for batch in (1, 2, 7):
        x, t = random(batch, 3), RNG.integers(0, 4, batch)
        z = x @ W
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(net.predict(params, x), z, rtol=1e-4, atol=1e-6)
        loss, grads = net.value_and_grad(params, x, t)
        np.testing.assert_allclose(loss, -np.log(p[range(batch), t]).mean(), rtol=1e-5)
        error = (p - np.eye(4)[t]) / batch
        np.testing.assert_allclose(grads["W"], x.T @ error, rtol=1e-4, atol=1e-6)
    assert net.predict(params, random(0, 3)).shape == (0, 4)


@in_every_style
def test_a_sum_over_no_examples_has_the_gradient_zero(style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 3))
        W = g.parameter("W", (3, 2), init="ones")
        g.loss(gc.tanh(x @ W).sum())
    net = load(g, style=style)
    params = net.init_params(np.random.default_rng(0))
    loss, grads = net.value_and_grad(params, np.zeros((0, 3), np.float32))
    assert loss == 0
    np.testing.assert_array_equal(grads["W"], np.zeros((3, 2)))


def test_sizes_that_differ_name_both_declarations() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 3))
        y = g.input("y", ("m", 3))
        here = re.escape(__file__.rpartition("/")[2])
        with pytest.raises(ShapeError, match=rf"add: sizes n and m differ: x .*{here}:\d+\], y "):
            x + y
        with pytest.raises(ShapeError, match="matmul: sizes m and n differ"):
            x @ y.T @ x
        with pytest.raises(ShapeError, match=r"sizes 2 \* n and n differ"):
            gc.concat([x, x]) + x
        with pytest.raises(ShapeError, match=r"sizes n and n \+ 1 differ"):
            x + g.input("longer", (g.dim("n") + 1, 3))


def test_equal_sizes_made_in_different_ways_are_one() -> None:
    with gc.Graph("m") as g:
        n, m = g.dim("n"), g.dim("m")
        assert n is g.dim("n") is dims.named("n")
        assert 2 * n + m - n is n + m
        assert (n + 1) * (n - 1) is n * n - 1
        assert 6 * n // 3 is 2 * n
        x = g.input("x", (2 * n, m))
        y = g.input("y", (n, m))
        assert (x + gc.concat([y, y])).shape == (2 * n, m)
        assert x.reshape(n, 2, m).shape == (n, 2, m)


@in_every_style
def test_reshape_finds_the_missing_size(style: str) -> None:
    with gc.Graph("m") as g:
        n = g.dim("n")
        x = g.input("x", ("n", 4, 6))
        assert x.reshape(-1).shape == (24 * n,)
        assert x.reshape("n", -1).shape == (n, 24)
        assert x.reshape(-1, 8).shape == (3 * n, 8)
        with pytest.raises(ShapeError, match=r"\(n, 5\)"):
            x.reshape("n", 5)
        with pytest.raises(ShapeError, match="is not determined"):
            x.reshape(-1, -1)
        g.output("y", x.reshape(-1, 8) * 2)
    predict = load(g, inference=True, style=style).predict
    for size in (0, 1, 5):
        x = random(size, 4, 6)
        np.testing.assert_array_equal(predict(x), 2 * x.reshape(3 * size, 8))


@in_every_style
def test_a_reshape_that_divides_only_sometimes_is_guarded(style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", ("n",))
        g.output("y", x.reshape(-1, 3) * 2)
    predict = load(g, inference=True, style=style).predict
    np.testing.assert_array_equal(predict(np.arange(6.0, dtype="f4")), [[0, 2, 4], [6, 8, 10]])
    for size in (1, 4, 5):
        with pytest.raises(ValueError, match="n elements have to divide by 3"):
            predict(np.zeros(size, "f4"))


@pytest.mark.parametrize(
    ("key", "smallest"),
    [
        (slice(None, 3), 3),
        (slice(2, 5), 5),
        (slice(1, None), 1),
        (slice(None, -2), 2),
        (slice(-2, None), 2),
        (slice(None, None, 2), 0),
        (slice(None, None, -1), 0),
        (slice(1, -1), 2),
        (0, 1),
        (-1, 1),
        (4, 5),
    ],
    ids=str,
)
@in_every_style
def test_what_a_slice_needs_is_checked_when_the_module_runs(
    key: Any, smallest: int, style: str
) -> None:
    """NumPy would shorten the slice without a word; then nothing that was declared would hold."""
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 2))
        g.output("y", x[key] * 2)
        g.loss((x[key] ** 2).sum())
    net = load(g, wrt="x", style=style)
    for size in range(7):
        x = random(size, 2)
        if size < smallest:
            with pytest.raises(ValueError, match="an index needs"):
                net.predict(x)
            with pytest.raises(ValueError, match="an index needs"):
                net.value_and_grad(x)
            continue
        np.testing.assert_array_equal(net.predict(x), 2 * x[key])
        _, grads = net.value_and_grad(x)
        expected = np.zeros_like(x)
        expected[key] = 2 * x[key]
        np.testing.assert_array_equal(grads["x"], expected)


def test_a_fixed_size_is_cut_at_a_named_one() -> None:
    with gc.Graph("m", dtype="float64") as g:
        x, t = g.input("x", (6,)), g.input("t", ("n",))
        n = t.shape[0]
        g.output("head", x[:n] * t)
        g.output("tail", x[n:])
        g.output("middle", x[n : 2 * n])
    predict = gc.compile(g, inference=True).load().predict
    x = np.arange(6.0)
    for size in range(4):
        found = predict(x, np.full(size, 2.0))
        np.testing.assert_array_equal(found.head, 2 * x[:size])
        np.testing.assert_array_equal(found.tail, x[size:])
        np.testing.assert_array_equal(found.middle, x[size : 2 * size])
    with pytest.raises(ValueError, match=r"an index needs 6 >= 2 \* n"):
        predict(x, np.ones(4))


@in_every_style
def test_sizes_computed_from_names(style: str) -> None:
    with gc.Graph("m") as g:
        n = g.dim("n")
        x = g.input("x", (2 * n, 3))
        y = g.input("y", (n, 3))
        W = g.parameter("W", (2 * n + 1,))
        total = gc.concat([x, y]) * 2
        g.output("total", total)
        g.loss(total.sum() + W.sum())
    net = load(g, style=style)
    params = net.init_params(np.random.default_rng(0), n=4)
    assert params["W"].shape == (9,)
    x, y = random(8, 3), random(4, 3)
    np.testing.assert_array_equal(net.predict(x, y), 2 * np.concatenate([x, y]))
    np.testing.assert_array_equal(net.value_and_grad(params, x, y)[1]["W"], np.ones(9))
    with pytest.raises(ValueError, match=r"x: expected float32 of shape \(10, 3\), got shape \(8"):
        net.predict(x, random(5, 3))


@in_every_style
def test_a_size_that_stands_only_in_a_sum_cannot_be_read_off(style: str) -> None:
    """Nothing says what n is, so arguments are taken as they come or refused, never misread."""
    with gc.Graph("m") as g:
        n = g.dim("n")
        x = g.input("x", (2 * n,))
        g.output("y", x.reshape(n, 2).sum(axis=0))
    try:
        predict = load(g, inference=True, style=style).predict
    except gc.GraphcError as error:
        assert "n" in str(error)  # noqa: PT017
        return
    np.testing.assert_array_equal(predict(np.arange(6, dtype="f4")), [6, 9])
    with pytest.raises(ValueError, match="x"):
        predict(np.arange(5, dtype="f4"))


@in_every_style
def test_a_size_as_a_value(style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 3))
        g.output("y", x.sum(axis=0) / x.shape[0] + (x.shape[0] - 1))
    predict = load(g, inference=True, style=style).predict
    x = random(5, 3)
    result = predict(x)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, x.mean(axis=0) + 4, rtol=1e-6)


def test_a_size_is_no_number_before_the_module_runs() -> None:
    n = gc.Graph("m").dim("n")
    with pytest.raises(ShapeError, match="the size n is known only when the generated module runs"):
        bool(n)
    with pytest.raises(ShapeError, match="the size n has no int value"):
        range(n)  # type: ignore[call-overload]


HOSTILE = [
    *("x", "W", "y", "loss", "params", "np", "int", "class", "None", "lambda", "print", "self"),
    *("forward", "predict", "checked", "batch", "residuals", "grads", "Array", "rng", "match"),
    *("größe", "日本", "_", "__n__", "n" * 200, "residuals_2", "shape", "x_bar", "shape_text"),
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: name[:20])
@in_every_style
def test_a_size_may_be_called_like_anything_else(name: str, style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (name, 3))
        u = g.input("u", (name, "other"))
        W = g.parameter("W", (3, "other"), init="normal")
        y = gc.tanh(x @ W) + u
        g.output("y", y)
        g.loss((y.sum(axis=1) / x.shape[0]).mean())
    net = load(g, optimizer=gc.optim.sgd(momentum=0.5), style=style)
    params = net.init_params(np.random.default_rng(0), other=2)
    x, u = random(5, 3), random(5, 2)
    expected = np.tanh(x @ params["W"]) + u
    np.testing.assert_allclose(net.predict(params, x, u), expected, rtol=1e-5, atol=1e-6)
    loss, grads = net.value_and_grad(params, x, u)
    np.testing.assert_allclose(loss, expected.sum() / 25, rtol=1e-4)
    assert grads["W"].shape == (3, 2)
    with pytest.raises(
        ValueError, match=r"u: expected float32 of shape \(5, 2\), got shape \(4, 2\)"
    ):
        net.predict(params, x, random(4, 2))
    net.train_step(params, net.init_optimizer(params), x, u)
    assert net.self_test()
