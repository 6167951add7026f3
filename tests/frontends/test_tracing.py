"""gc.trace: an existing NumPy function becomes a model."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError, DTypeError, ShapeError, UnsupportedError
from tests.styles import in_every_style, load, predicted

RNG = np.random.default_rng(2)


class Heads(NamedTuple):
    """Two results with names."""

    mean: Any
    spread: Any


def network(x: Any, W: Any, b: Any) -> Any:
    """A function that knows nothing of graphc."""
    return np.tanh(x @ W + b)


def run(graph: gc.Graph, *arguments: Any) -> Any:
    return predicted(graph, dict(zip(graph.inputs, arguments, strict=True)))


@in_every_style
def test_a_numpy_function_becomes_a_model(style: str) -> None:
    graph = gc.trace(
        network,
        x=("batch", 3),
        W=gc.param((3, 2), init="he_normal"),
        b=gc.param((2,), trainable=False),
    )
    assert graph.name == "network"
    assert list(graph.inputs) == ["x"]
    assert {n: (p.trainable, str(p.init)) for n, p in graph.parameters.items()} == {
        "W": (True, "he_normal"),
        "b": (False, "zeros"),
    }
    net = load(graph, style=style)
    params = net.init_params(np.random.default_rng(0))
    x = RNG.normal(size=(5, 3)).astype("f4")
    expected = network(x, params["W"], params["b"])
    np.testing.assert_allclose(net.predict(params, x), expected, rtol=1e-6)
    _, residuals = net.forward(params, x)
    bar = RNG.normal(size=(5, 2)).astype("f4")
    grads = net.backward(residuals, bar)
    assert list(grads) == ["W"]
    np.testing.assert_allclose(grads["W"], x.T @ (bar * (1 - expected**2)), rtol=1e-4, atol=1e-6)


RESULTS = {
    "one": (lambda x: x + 1, ["output"]),
    "a tuple": (lambda x: (x + 1, x * 2), ["output_1", "output_2"]),
    "a list": (lambda x: [x + 1, x * 2], ["output_1", "output_2"]),
    "a tuple of one": (lambda x: (x + 1,), ["output_1"]),
    "a dict": (lambda x: {"plus": x + 1, "times": x * 2}, ["plus", "times"]),
    "a dict of other keys": (lambda x: {0: x + 1, 1: x * 2}, ["0", "1"]),
    "a named tuple": (lambda x: Heads(x + 1, x * 2), ["mean", "spread"]),
    "the argument itself": (lambda x: x, ["output"]),
    "the same twice": (lambda x: (x, x), ["output_1", "output_2"]),
}


@pytest.mark.parametrize("what", RESULTS)
def test_what_a_function_returns_becomes_the_outputs(what: str) -> None:
    function, names = RESULTS[what]
    graph = gc.trace(function, name="m", x=(3,))
    assert list(graph.outputs) == names
    x = RNG.normal(size=3).astype("f4")
    expected = function(x)
    listed = list(expected.values()) if isinstance(expected, dict) else expected
    result = run(graph, x)
    if len(names) == 1:
        np.testing.assert_array_equal(result, listed[0] if isinstance(listed, tuple) else listed)
        return
    for found, wanted in zip(result, listed, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert not any(np.shares_memory(found, x) for found in result)
    assert not np.shares_memory(result[0], result[1])


def test_shapes_and_dtypes_of_arguments() -> None:
    graph = gc.trace(
        lambda x, i, s, W: x * s + i + W,
        dtype="float64",
        x=("n", 3),
        i={"shape": (3,), "dtype": "int32"},
        s=(),
        W=gc.param((3,), dtype="float32"),
    )
    assert graph.name == "lambda"
    described = {n: str(node.types[0]) for n, node in graph.inputs.items()}
    assert described == {"x": "float64 (n, 3)", "i": "int32 (3,)", "s": "float64 ()"}
    assert graph.parameters["W"].node.dtype.name == "float32"
    assert graph.outputs["output"].dtype.name == "float64"


@in_every_style
def test_a_scalar_result_is_the_loss(style: str) -> None:
    graph = gc.trace(lambda w, x: ((w * x).sum() - 1) ** 2, name="m", w=gc.param((3,)), x=(3,))
    net = load(graph, optimizer="sgd", style=style)
    params = {"w": np.array([1, 2, 3], "f4")}
    loss, grads = net.value_and_grad(params, np.ones(3, "f4"))
    assert loss == 25
    np.testing.assert_array_equal(grads["w"], [10, 10, 10])


def test_a_function_with_a_loop_and_helpers() -> None:
    def repeated(x: Any, steps: int = 3) -> Any:
        for _ in range(steps):
            x = network(x, np.eye(3) * 0.5, np.zeros(3))
        return x

    graph = gc.trace(repeated, x=("n", 3))
    x = RNG.normal(size=(2, 3)).astype("f4")
    np.testing.assert_allclose(run(graph, x), repeated(x), rtol=1e-5, atol=1e-7)


def number(x: Any) -> Any:
    return 3.0


def test_mistakes_explain_themselves() -> None:
    with pytest.raises(DeclarationError, match=r"number returns 3\.0, which is no node"):
        gc.trace(number, x=(3,))
    with pytest.raises(DeclarationError, match="returns None, which is no node"):
        gc.trace(lambda x: None, x=(3,))
    with pytest.raises(DeclarationError, match="there is an output '1' already"):
        gc.trace(lambda x: {1: x, "1": x + 1}, x=(3,))
    with pytest.raises(UnsupportedError, match=r"np\.partition has no op"):
        gc.trace(lambda x: np.partition(x, 1), x=(3,))
    with pytest.raises(ShapeError, match="matmul: sizes 3 and 4 differ"):
        gc.trace(network, x=("n", 3), W=gc.param((4, 2)), b=gc.param((2,)))
    with pytest.raises(DTypeError, match="cannot be trained"):
        gc.trace(lambda W: W, W=gc.param((3,), dtype="int64"))
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'"):
        gc.trace(network, x=("n", 3), W=gc.param((3, 2)))
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        gc.trace(lambda x: x, x=(3,), y=(3,))
