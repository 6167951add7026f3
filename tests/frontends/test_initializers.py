"""Initialisers: shapes, dtypes, and the moments that their papers prescribe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError
from graphc.frontends.initializers import SHORTHANDS
from graphc.ir.types import as_dtype
from graphc.passes.precision import with_dtype

BY_MOMENTS = [name for name in SHORTHANDS if name != "orthogonal"]


def initial(shape: Any, dtype: str = "float32", seed: int = 0, **sizes: int) -> Any:
    """What init_params makes of each initialiser, for a parameter of a shape."""
    with gc.Graph("m", dtype=dtype) as g:
        total = g.input("x")
        for name in BY_MOMENTS:
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
    assert list(params) == BY_MOMENTS == list(VARIANCES)
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
    for name in BY_MOMENTS:
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


# --- numbers and fans ----------------------------------------------------------------------------


def started(
    init: Any, shape: Any, *, seed: int = 0, style: str = "functional", **options: Any
) -> Any:
    """A parameter as init_params makes it."""
    with gc.Graph("m") as g:
        g.loss(g.parameter("W", shape, init=init, **options).sum())
    module = gc.compile(g, style=style).load()
    return module.init_params(np.random.default_rng(seed))["W"]


# (initialiser, fans) of a parameter of shape (300, 300) -> mean, variance
CONVOLUTION = (27, 144)
NUMBERS: dict[str, tuple[Any, Any, float, float]] = {
    "normal": (gc.init.normal(3.0, 0.5), None, 3.0, 0.25),
    "normal std": (gc.init.normal(std=0.02), None, 0.0, 0.02**2),
    "uniform": (gc.init.uniform(-1.0, 5.0), None, 2.0, 3.0),
    "lecun fans": (gc.init.lecun_uniform(), CONVOLUTION, 0.0, 1 / 27),
    "glorot gain": (gc.init.glorot_normal(5 / 3), None, 0.0, 25 / 9 / 300),
    "glorot fans": (gc.init.glorot_uniform(0.5), CONVOLUTION, 0.0, 0.25 * 2 / 171),
    "he slope": (gc.init.he_normal(-3), None, 0.0, 2 / 10 / 300),
    "he fans": ("he_uniform", CONVOLUTION, 0.0, 2 / 27),
    "no fans": (gc.init.normal(), CONVOLUTION, 0.0, 1e-4),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_and_fans_decide_the_moments(case: str) -> None:
    init, fans, mean, variance = NUMBERS[case]
    value = started(init, (300, 300), fans=fans).astype("f8")
    np.testing.assert_allclose(value.mean(), mean, atol=5 * np.sqrt(variance / value.size))
    np.testing.assert_allclose(value.var(), variance, rtol=5 * np.sqrt(2 / value.size))


@pytest.mark.parametrize("style", ["functional", "workspace"])
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (4, 2, 3), (8, 3, 2, 1), (1, 1), (0, 3)])
def test_rows_or_columns_are_orthonormal(shape: tuple[int, ...], style: str) -> None:
    value = started(gc.init.orthogonal(1.5), shape, style=style)
    assert (value.shape, value.dtype) == (shape, np.float32)
    flat = value.reshape(shape[0], int(np.prod(shape[1:]))).astype("f8")
    products = flat @ flat.T if shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(products, 2.25 * np.eye(min(flat.shape)), atol=1e-6)


def test_orthogonal_draws_are_uniform() -> None:
    """Q of a QR has signs of its own: only with those of R made good is no direction preferred."""
    with gc.Graph("m") as g:
        g.loss(sum(g.parameter(f"W{i}", (3, 3), init="orthogonal").sum() for i in range(400)))
    net = gc.compile(g).load()
    drawn = np.stack(list(net.init_params(np.random.default_rng(0)).values()))
    # Each element of a uniform orthogonal matrix has mean 0 and variance 1/3.
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=5 * np.sqrt(1 / 3 / 400))
    assert abs(np.linalg.det(drawn).mean()) < 5 / np.sqrt(400)


def test_a_name_stands_for_its_function() -> None:
    def digest(init: Any, fans: Any = None) -> str:
        with gc.Graph("m") as g:
            g.loss(g.parameter("W", (3, 3), init=init, fans=fans).sum())
        return gc.compile(g).lowered.digest

    for name, meant in SHORTHANDS.items():
        assert getattr(gc.init, name)() == meant
        assert digest(name) == digest(meant)
    assert digest(gc.init.constant(0.5)) == digest(0.5)
    assert digest("normal", (9, 4)) == digest("normal"), "which does not go by fans"
    changed = [
        digest("he_normal"), digest(gc.init.he_normal(0.2)), digest("he_normal", (9, 4)),
        digest("he_normal", (4, 9)), digest("normal"), digest(gc.init.normal(std=0.02)),
        digest("glorot_normal"), digest(gc.init.glorot_normal(2)), digest("orthogonal"),
    ]  # fmt: skip
    assert len(set(changed)) == len(changed)


def test_fans_survive_tracing_and_another_dtype() -> None:
    W = gc.param(("n", 300), init="lecun_normal", fans=("k", 2))
    graph = gc.trace(lambda W: W.sum(), W=W)
    for dtype in ("float32", "float64"):
        net = gc.compile(with_dtype(graph, as_dtype(dtype))).load()
        value = net.init_params(np.random.default_rng(0), n=300, k=5)["W"]
        assert value.dtype == dtype
        np.testing.assert_allclose(value.var(), 1 / 5, rtol=5 * np.sqrt(2 / 9e4))


def test_what_a_file_for_inference_has_of_it() -> None:
    with gc.Graph("m") as g:
        g.output("y", g.input("x", (3,)) @ g.parameter("W", (3, 2), init="orthogonal"))
    assert "def orthogonal(" in gc.compile(g).source
    assert "orthogonal" not in gc.compile(g, inference=True).source


# --- what is refused -----------------------------------------------------------------------------

NAN = float("nan")
CALLS: dict[str, Any] = {
    "init.normal: std is a number >= 0, got -1": lambda: gc.init.normal(std=-1),
    "init.normal: std is a number >= 0, got nan": lambda: gc.init.normal(std=NAN),
    "init.normal: std is a number >= 0, got …": lambda: gc.init.normal(std=10**400),
    "init.normal: mean is a finite number, got inf": lambda: gc.init.normal(mean=float("inf")),
    "init.uniform: low is not above high, got 2 and 1": lambda: gc.init.uniform(2, 1),
    "init.uniform: low is not above high, got -1e+308": lambda: gc.init.uniform(-1e308, 1e308),
    "init.uniform: high is a finite number, got nan": lambda: gc.init.uniform(0, NAN),
    "init.orthogonal: gain is a number >= 0, got 'x'": lambda: gc.init.orthogonal("x"),  # type: ignore[arg-type]
    "init.glorot_normal: gain is a number >= 0, got -2": lambda: gc.init.glorot_normal(-2),
    "init.he_normal: negative_slope is a finite number, got None": lambda: gc.init.he_normal(None),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("message", CALLS)
def test_bad_numbers_are_refused(message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        CALLS[message]()
    assert message in str(caught.value)
    assert "test_initializers.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fans": 3}, "fans are two sizes, the inputs and the outputs of a unit, got 3"),
        ({"fans": (1, 2, 3)}, "got (1, 2, 3)"),
        ({"fans": (-1, 2)}, "got (-1, 2): fans: a size is not negative, got -1"),
        ({"fans": (1.5, 2)}, "got (1.5, 2): a size is an int or the name of a dimension"),
        ({"init": "orthogonal"}, "init.orthogonal needs two axes or more, got W float32 (3,)"),
        ({"init": gc.init.he_normal}, "call it"),
        ({"init": gc.init.constant("a")}, "is a name, a number or an array of the shape, got 'a'"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_declaration_is_told(options: Any, message: str) -> None:
    with gc.Graph("m") as g, pytest.raises(DeclarationError) as caught:
        g.parameter("W", (3,), **options)
    assert message in str(caught.value)
    assert "test_initializers.py:" in str(caught.value)


def test_a_state_starts_without_draws() -> None:
    """`init_state` has no generator."""
    with gc.Graph("m") as g:
        g.state("s", (3,), init=gc.init.ones())
        with pytest.raises(DeclarationError, match=r"without draws, got normal for s2"):
            g.state("s2", (3,), init="normal")


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
