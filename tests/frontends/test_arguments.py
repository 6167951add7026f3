"""What generated functions take, and what they say to what they do not take."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import STYLES, in_every_style, load


@pytest.fixture(scope="module")
def net(model: gc.Graph) -> Any:
    """The functional style, whose functions name what they are given."""
    return load(model, style="functional", optimizer="sgd")


@pytest.fixture(scope="module", params=STYLES)
def styled(model: gc.Graph, request: pytest.FixtureRequest) -> Any:
    """Each style."""
    return load(model, style=request.param, optimizer="sgd")


@pytest.fixture(scope="module")
def model() -> gc.Graph:
    with gc.Graph("m") as g:
        x = g.input("x", ("batch", 3))
        t = g.input("t", ("batch",), dtype="int64")
        scale = g.input("scale")
        flag = g.input("flag", ("batch",), dtype="bool")
        W = g.parameter("W", (3, 4), init="normal")
        logits = gc.where(flag, 1.0, scale)[:, None] * (x @ W)
        g.output("logits", logits)
        g.loss(gc.cross_entropy(logits, t))
    return g


@pytest.fixture
def given(net: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "params": net.init_params(rng),
        "x": rng.normal(size=(5, 3)).astype("f4"),
        "t": rng.integers(0, 4, 5),
        "scale": np.float32(2),
        "flag": np.arange(5) % 2 == 0,
    }


ACCEPTED = {
    "a list": ("x", lambda v: v.tolist()),
    "nested tuples": ("x", lambda v: tuple(map(tuple, v.tolist()))),
    "columns first": ("x", np.asfortranarray),
    "a transposed view": ("x", lambda v: np.ascontiguousarray(v.T).T),
    "every second element": ("x", lambda v: np.repeat(v, 2, axis=1)[:, ::2]),
    "reversed strides": ("x", lambda v: np.ascontiguousarray(v[::-1])[::-1]),
    "read-only": ("x", lambda v: np.frombuffer(v.tobytes(), "f4").reshape(v.shape)),
    "float64": ("x", lambda v: v.astype("f8")),
    "big-endian": ("x", lambda v: v.astype(">f4")),
    "a subclass": ("x", lambda v: v.view(np.ma.MaskedArray)),
    "int32 labels": ("t", lambda v: v.astype("i4")),
    "uint8 labels": ("t", lambda v: v.astype("u1")),
    "a list of labels": ("t", lambda v: v.tolist()),
    "a Python float": ("scale", float),
    "a Python int": ("scale", int),
    "a float64 scalar": ("scale", np.float64),
    "a 0-d array": ("scale", np.asarray),
    "a list of bools": ("flag", lambda v: v.tolist()),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_what_means_the_same_gives_the_same(styled: Any, given: dict[str, Any], what: str) -> None:
    net = styled
    name, convert = ACCEPTED[what]
    expected = net.value_and_grad(**given)
    logits = net.predict(*(given[k] for k in ("params", "x", "scale", "flag")))
    assert logits.dtype == np.float32
    before = pickle.dumps(given)
    changed = {**given, name: convert(given[name])}
    loss, grads = net.value_and_grad(**changed)
    assert loss.dtype == np.float32
    np.testing.assert_allclose(loss, expected[0], rtol=1e-6)
    np.testing.assert_allclose(grads["W"], expected[1]["W"], rtol=1e-5, atol=1e-7)
    assert type(grads["W"]) is np.ndarray and grads["W"].dtype == np.float32
    assert pickle.dumps(given) == before, "arguments are not written to"


REFUSED: dict[str, tuple[str, Any, type[Exception], str]] = {
    "too few axes": (
        "x", lambda v: v[0], ValueError,
        "x: expected float32 of shape (batch, 3), got shape (3,)",
    ),
    "too many axes": (
        "x", lambda v: v[None], ValueError,
        "x: expected float32 of shape (batch, 3), got shape (1, 5, 3)",
    ),
    "another fixed size": (
        "x", lambda v: v[:, :2], ValueError,
        "x: expected float32 of shape (batch, 3), got shape (5, 2)",
    ),
    "another named size": (
        "t", lambda v: v[:3], ValueError, "t: expected int64 of shape (5,), got shape (3,)",
    ),
    "a vector for a scalar": (
        "scale", lambda v: v[None], ValueError,
        "scale: expected float32 of shape (), got shape (1,)",
    ),
    "floats for ints": (
        "t", lambda v: v.astype("f4"), TypeError,
        "t: expected int64 of shape (5,), got float32",
    ),
    "ints for bools": (
        "flag", lambda v: v.astype("i8"), TypeError,
        "flag: expected bool of shape (5,), got int64",
    ),
    "complex numbers": (
        "x", lambda v: v * 1j, TypeError,
        "x: expected float32 of shape (batch, 3), got complex64",
    ),
    "objects": (
        "x", lambda v: v.astype(object), TypeError,
        "x: expected float32 of shape (batch, 3), got object",
    ),
    "None": (
        "x", lambda v: None, TypeError, "x: expected float32 of shape (batch, 3), got object",
    ),
    "text": (
        "x", lambda v: "abc", TypeError, "x: expected float32 of shape (batch, 3), got str",
    ),
    "dates": (
        "t", lambda v: v.astype("M8[s]"), TypeError,
        "t: expected int64 of shape (5,), got datetime64",
    ),
    "an object of the user's": (
        "x", lambda v: SimpleNamespace(), TypeError,
        "x: expected float32 of shape (batch, 3), got object",
    ),
    "a parameter of another shape": (
        "params", lambda v: {"W": v["W"].T}, ValueError,
        "W: expected float32 of shape (3, 4), got shape (4, 3)",
    ),
    "a missing parameter": ("params", lambda v: {}, KeyError, "W"),
    "a label that is too large": (
        "t", lambda v: v * 0 + 4, IndexError, "labels must be in 0..3, got 4..4",
    ),
    "a negative label": (
        "t", lambda v: v * 0 - 1, IndexError, "labels must be in 0..3, got -1..-1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_named(net: Any, given: dict[str, Any], what: str) -> None:
    name, convert, error, message = REFUSED[what]
    changed = {**given, name: convert(given[name])}
    for function in (net.value_and_grad, net.evaluate, net.forward):
        with pytest.raises(error) as caught:
            function(**changed)
        assert message in str(caught.value)
    if name not in ("t",):
        with pytest.raises(error) as caught:
            net.predict(*(changed[k] for k in ("params", "x", "scale", "flag")))
        assert message in str(caught.value)


def test_a_missing_argument_is_named_by_python(net: Any, given: dict[str, Any]) -> None:
    del given["flag"]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'flag'"):
        net.value_and_grad(**given)


def test_nan_and_infinities_pass_through(styled: Any, given: dict[str, Any]) -> None:
    net = styled
    given["x"][0, 0] = np.nan
    given["x"][1, 0] = np.inf
    logits = net.predict(*(given[k] for k in ("params", "x", "scale", "flag")))
    assert np.isnan(logits[0]).all() and np.isinf(logits[1]).all()
    assert np.isfinite(logits[2:]).all()
    with np.errstate(invalid="ignore"):
        loss, _ = net.value_and_grad(**given)
    assert np.isnan(loss)


def test_gradients_and_outputs_belong_to_the_caller(net: Any, given: dict[str, Any]) -> None:
    """Whatever is returned may be overwritten without changing what was given."""
    before = pickle.dumps(given)
    _, residuals = net.forward(**given)
    for result in (net.value_and_grad(**given)[1]["W"], net.backward(residuals)["W"]):
        result[:] = 0
    params, state, _ = net.train_step(
        given["params"], net.init_optimizer(given["params"]),
        given["x"], given["t"], given["scale"], given["flag"],
    )  # fmt: skip
    params["W"][:] = 0
    assert pickle.dumps(given) == before
    assert state["step"] == 1


def test_cotangents_scale_the_gradients(net: Any, given: dict[str, Any]) -> None:
    _, residuals = net.forward(**given)
    once = net.backward(residuals)["W"]
    for bar in (2, 2.0, np.float64(2), np.float32(2), np.array(2.0)):
        twice = net.backward(residuals, bar)["W"]
        assert twice.dtype == np.float32
        np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)
    with pytest.raises(ValueError, match=r"loss_bar: expected float32 of shape \(\), got shape"):
        net.backward(residuals, np.ones(3, "f4"))


@in_every_style
def test_an_output_that_is_an_argument_is_a_copy(style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (3,))
        W = g.parameter("W", (3,))
        for name, value in {
            "x": x,
            "again": x,
            "W": W,
            "turned": x[::-1],
            "c": g.constant([1.0]),
        }.items():
            g.output(name, value)
    predict = load(g, inference=True, style=style).predict
    x, params = np.arange(3, dtype="f4"), {"W": np.ones(3, "f4")}
    first = predict(params, x)
    for value in first:
        value[:] = 9
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_array_equal(params["W"], np.ones(3))
    second = predict(params, x)
    assert [v.tolist() for v in second] == [[0, 1, 2], [0, 1, 2], [1, 1, 1], [2, 1, 0], [1]]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0), (1, 0, 2)])
@in_every_style
def test_arrays_without_elements(shape: tuple[int, ...], style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", shape)
        W = g.parameter("W", shape, init="normal")
        y = gc.exp(x * W) + 1
        g.output("y", y)
        g.output("total", y.sum())
        g.loss((y * y).sum())
    net = load(g, optimizer="sgd", style=style)
    params = net.init_params(np.random.default_rng(0))
    x = np.zeros(shape, "f4")
    y, total = net.predict(params, x)
    assert (y.shape, total) == (shape, 0)
    loss, grads = net.value_and_grad(params, x)
    assert (loss, grads["W"].shape) == (0, shape)
    if style == "functional":
        assert net.ravel_params(params).shape == (0,)
    assert net.self_test()


@pytest.mark.parametrize("shape", [(1,) * 20, (2,) * 10])
@in_every_style
def test_many_axes(shape: tuple[int, ...], style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", shape)
        g.output("y", (x.transpose() * 2).sum(axis=(0, -1)).reshape(-1))
    x = np.random.default_rng(0).normal(size=shape).astype("f4")
    result = load(g, inference=True, style=style).predict(x)
    np.testing.assert_allclose(result, (x.T * 2).sum(axis=(0, -1)).ravel(), rtol=1e-6)
