"""Initialisers: shapes, dtypes, and the moments that their papers prescribe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError
from graphc.frontends.initializers import INITIALIZERS


def initial(shape: Any, dtype: str = "float32", seed: int = 0, **sizes: int) -> Any:
    """What init_params makes of each initialiser, for a parameter of a shape."""
    with gc.Graph("m", dtype=dtype) as g:
        total = g.input("x")
        for name in INITIALIZERS:
            total = total + g.parameter(name, shape, init=name).sum()
        g.loss(total)
    return gc.compile(g).load().init_params(np.random.default_rng(seed), **sizes)


# Variances in terms of the numbers of inputs and outputs of a unit.
VARIANCES = {
    "zeros": lambda i, o: 0.0,
    "ones": lambda i, o: 0.0,
    "normal": lambda i, o: 0.01**2,
    "uniform": lambda i, o: 0.01**2 / 3,
    "lecun_normal": lambda i, o: 1 / i,
    "lecun_uniform": lambda i, o: 1 / i,
    "glorot_normal": lambda i, o: 2 / (i + o),
    "glorot_uniform": lambda i, o: 2 / (i + o),
    "he_normal": lambda i, o: 2 / i,
    "he_uniform": lambda i, o: 2 / i,
}
LAYERS = {
    "dense": ((400, 250), 400, 250),
    "convolution": ((3, 3, 40, 250), 360, 2250),
    "vector": ((90000,), 90000, 90000),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_moments_are_those_of_theory(layer: str) -> None:
    shape, inputs, outputs = LAYERS[layer]
    params = initial(shape)
    assert list(params) == list(INITIALIZERS) == list(VARIANCES)
    for name, value in params.items():
        assert (value.shape, value.dtype) == (shape, np.float32)
        variance = VARIANCES[name](inputs, outputs)
        # The standard errors of mean and variance of 90 000 draws, five times.
        mean = 1.0 if name == "ones" else 0.0
        np.testing.assert_allclose(value.mean(), mean, atol=5 * np.sqrt(variance / value.size))
        np.testing.assert_allclose(value.var(dtype="f8"), variance, rtol=5 * np.sqrt(2 / 9e4))


def test_uniform_draws_keep_within_their_bound() -> None:
    params = initial((300, 300))
    for name, value in params.items():
        if name.endswith("uniform"):
            bound = np.sqrt(3 * VARIANCES[name](300, 300))
            assert 0.99 * bound < np.abs(value).max() <= bound * (1 + 1e-6), name


def test_normal_draws_have_tails() -> None:
    """That the variance is right says nothing about the distribution."""
    params = initial((300, 300))
    for name, value in params.items():
        if name.endswith("normal"):
            kurtosis = (value.astype("f8") ** 4).mean() / value.var(dtype="f8") ** 2
            assert 2.8 < kurtosis < 3.2, name


def test_a_seed_decides_everything() -> None:
    first, again, other = initial((4, 3)), initial((4, 3)), initial((4, 3), seed=1)
    for name in INITIALIZERS:
        np.testing.assert_array_equal(first[name], again[name])
        assert np.array_equal(first[name], other[name]) == (name in ("zeros", "ones"))
    drawn = [v.tobytes() for n, v in first.items() if n not in ("zeros", "ones")]
    assert len(set(drawn)) == len(drawn), "no two parameters share their draws"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (3,), (0,), (0, 3), (3, 0), (0, 0), (2, 0, 4), (1, 1, 1, 1)])
def test_every_shape_and_dtype(shape: tuple[int, ...], dtype: str) -> None:
    for value in initial(shape, dtype).values():
        assert isinstance(value, np.ndarray if shape else (np.ndarray, np.generic))
        assert (value.shape, value.dtype) == (shape, np.dtype(dtype))
        assert np.isfinite(value).all()


def test_named_sizes_are_arguments_of_init_params() -> None:
    with gc.Graph("m") as g:
        W = g.parameter("W", ("n", "m"), init="he_normal")
        g.loss((W * W).sum())
    net = gc.compile(g).load()
    params = net.init_params(np.random.default_rng(0), n=500, m=100)
    assert params["W"].shape == (500, 100)
    np.testing.assert_allclose(params["W"].var(), 2 / 500, rtol=0.05)
    with pytest.raises(TypeError, match="missing 2 required keyword-only arguments"):
        net.init_params(np.random.default_rng(0))


@pytest.mark.parametrize(
    "value", [0, 1, -2, 0.1, 1e-30, True, np.float64(0.1), np.inf, -np.inf, np.nan]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_fills_the_parameter(value: Any, dtype: str) -> None:
    with gc.Graph("m") as g:
        W = g.parameter("W", (2, 3), init=value, dtype=dtype)
        g.loss(W.sum())
    found = gc.compile(g).load().init_params(np.random.default_rng(0))["W"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.full((2, 3), value, dtype))


@pytest.mark.parametrize(
    ("dtype", "value"), [("int64", 3), ("uint8", 255), ("int8", -128), ("bool", True), ("bool", 0)]
)
def test_a_number_of_another_kind(dtype: str, value: Any) -> None:
    with gc.Graph("m") as g:
        k = g.parameter("k", (2,), init=value, dtype=dtype, trainable=False)
        g.loss((k * g.parameter("W", (2,))).sum())
    found = gc.compile(g).load().init_params(np.random.default_rng(0))["k"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.full(2, value, dtype))


def test_an_array_is_copied_at_declaration_and_at_each_call() -> None:
    value = np.arange(6.0).reshape(2, 3)
    with gc.Graph("m") as g:
        W = g.parameter("W", (2, 3), init=value)
        g.loss(W.sum())
        value[:] = 9
    net = gc.compile(g).load()
    first = net.init_params(np.random.default_rng(0))["W"]
    np.testing.assert_array_equal(first, np.arange(6.0).reshape(2, 3))
    assert first.dtype == np.float32
    first[:] = 7
    again = net.init_params(np.random.default_rng(0))["W"]
    np.testing.assert_array_equal(again, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("init", "dtype", "message"),
    [
        ("he_norml", "float32", "there is no initialiser 'he_norml'; did you mean 'he_normal'?"),
        ("qqq", "float32", "there is no initialiser 'qqq'; use one of zeros, ones, normal"),
        ("normal", "int64", "initialiser 'normal' makes floats, not int64"),
        (None, "float32", "an initialiser of float32 is a name, a number or an array"),
        (1j, "float32", "got 1j"),
        (np.ones(3, "c8"), "float32", "got an array of complex64"),
        ([[1], [1, 2]], "float32", "got [[1], [1, 2]]"),
        (np.random, "float32", "got <module 'numpy.random'"),
        (1.5, "int64", "an initialiser of int64 is a name, a number or an array"),
        (np.array([0.5, 1.0, 2.0]), "int64", "got an array of float64"),
        (300, "int8", "an initialiser of int8 is a name, a number or an array of the shape, got 3"),
        (-1, "uint8", "got -1"),
        (np.ones(4), "float32", "the initial value has shape (4,), not that of W float32 (3,)"),
        (np.ones((3, 1)), "float32", "the initial value has shape (3, 1)"),
    ],
)  # fmt: skip
def test_what_cannot_initialise_is_refused(init: Any, dtype: str, message: str) -> None:
    with gc.Graph("m") as g, pytest.raises(DeclarationError) as caught:
        g.parameter("W", (3,), init=init, dtype=dtype, trainable=False)
    assert message in str(caught.value)
    assert "test_initializers.py:" in str(caught.value)
    assert not g.parameters
