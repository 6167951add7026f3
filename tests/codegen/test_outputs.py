"""Modules without a loss: outputs of every kind, and backward from a cotangent for each.

A cotangent c of outputs y makes of them the scalar Σ c · y, whose gradient central differences give
in float64. The module is run in every style.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DifferentiationError
from tests import styles
from tests.styles import in_every_style

Array: TypeAlias = np.ndarray[Any, Any]
Outputs: TypeAlias = dict[str, gc.Node]

ARGUMENTS: dict[str, Array] = {
    "x": np.array([[0.3, -1.2, 2.0], [1.1, 0.4, -0.7]]),
    "z": np.array([0.5, -0.25, 1.5]),
    "W": np.array([[0.2, -0.4], [1.0, 0.3], [-0.6, 0.8]]),
    "b": np.array([0.1, -0.2]),
    "s": np.array(0.7),
}

# name: the outputs of a model in x, z, W, b, s
MODELS: dict[str, Callable[..., Outputs]] = {
    "one": lambda x, z, W, b, s: {"y": gc.tanh(x @ W + b) * s},
    "several": lambda x, z, W, b, s: {"y": x @ W + b, "h": gc.exp(x * z) * s},
    "ints": lambda x, z, W, b, s: {"n": gc.astype(x * 3, "int64"), "y": (x @ W + b) * s},
    "bools": lambda x, z, W, b, s: {"y": (x @ W + b) * s, "p": x > z},
    "no floats": lambda x, z, W, b, s: {"n": gc.astype(x + b[0] + s, "int32"), "p": x > W[:, 0]},
    "an input": lambda x, z, W, b, s: {"x": x, "y": x @ W + b * s},
    "an input alone": lambda x, z, W, b, s: {"x": x},
    "a parameter": lambda x, z, W, b, s: {"W": W, "y": x @ W + b * s},
    "the same twice": lambda x, z, W, b, s: {"y": (y := (x @ W + b) * s), "again": y},
    "a view": lambda x, z, W, b, s: {"turned": x.T, "row": x[0], "y": x @ W + b * s},
    "scalars": lambda x, z, W, b, s: {
        "total": (x @ W).sum(),
        "s": s,
        "mean": (x * z).mean() + b[0],
    },
    "a constant": lambda x, z, W, b, s: {"c": x.graph.constant([1.0, 2.0]), "y": x @ W + b * s},
    "a zero": lambda x, z, W, b, s: {"c": x.graph.constant(0.0), "y": x @ W + b * s},
    "an input apart": lambda x, z, W, b, s: {"e": gc.exp(z), "y": x @ W + b * s},
    "hostile names": lambda x, z, W, b, s: {
        "y-1": x @ W,
        "y_1": b * s,
        "class": x * z,
        "count": x + 1.0,
    },
}


def declared(name: str) -> gc.Graph:
    """The graph of a model; parameters that no output reads are left out."""
    with gc.Graph("m", dtype="float64") as g:
        x, z = g.input("x", ("batch", 3)), g.input("z", (3,))
        W, b = g.parameter("W", (3, 2)), g.parameter("b", (2,))
        s = g.parameter("s")
        for output, node in MODELS[name](x, z, W, b, s).items():
            g.output(output, node)
    return g


def compiled(name: str, style: str, **options: Any) -> tuple[gc.Module, Any]:
    """A module and its functions."""
    module = gc.compile(declared(name), style=style, allow_unused=True, **options)
    return module, styles.functions(module)


def called(function: Callable[..., Any], values: dict[str, Array]) -> Any:
    """A function with what it takes of the arguments."""
    given = {name: values[name] for name in ("x", "z")}
    given |= {"params": {name: values[name] for name in ("W", "b", "s")}}  # type: ignore[dict-item]
    names = inspect.signature(function).parameters
    return function(**{name: given[name] for name in names})


def listed(outputs: Any) -> list[Array]:
    """The outputs in order."""
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


def cotangents(module: gc.Module, outputs: list[Array]) -> dict[str, Array]:
    """A cotangent for each output of floats."""
    named = zip(module.lowered.outputs, outputs, strict=True)
    floats = {name: y for name, y in named if y.dtype.kind == "f"}
    return {name: np.cos(np.arange(np.size(y)) + i).reshape(np.shape(y))
            for i, (name, y) in enumerate(floats.items())}  # fmt: skip


@in_every_style
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("wrt", [(), ("x", "W", "z")], ids=["parameters", "chosen"])
def test_backward_takes_a_cotangent_for_each_output_of_floats(
    name: str, wrt: tuple[str, ...], style: str
) -> None:
    if name == "no floats":
        pytest.skip("nothing to differentiate")
    module, functions = compiled(name, style, wrt=wrt)
    predicted = listed(called(functions.predict, ARGUMENTS))
    outputs, residuals = called(functions.forward, ARGUMENTS)
    for y, expected in zip(listed(outputs), predicted, strict=True):
        np.testing.assert_array_equal(y, expected)
        assert (np.shape(y), y.dtype) == (np.shape(expected), expected.dtype)
    bars = cotangents(module, predicted)
    grads = functions.backward(residuals, *bars.values())
    assert list(grads) == list(wrt or ("W", "b", "s"))

    def value(values: dict[str, Array]) -> float:
        found = listed(called(functions.predict, values))
        named = dict(zip(module.lowered.outputs, found, strict=True))
        return float(sum(np.sum(bar * named[output]) for output, bar in bars.items()))

    for key, gradient in grads.items():
        direction = np.sin(1 + np.arange(gradient.size)).reshape(gradient.shape)
        step = 1e-5 * direction
        ahead = value({**ARGUMENTS, key: ARGUMENTS[key] + step})
        difference = (ahead - value({**ARGUMENTS, key: ARGUMENTS[key] - step})) / 2e-5
        assert gradient.dtype == np.float64
        np.testing.assert_allclose(np.vdot(gradient, direction), difference, rtol=1e-8, atol=1e-9)


@in_every_style
@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_the_callers(name: str, style: str) -> None:
    _, functions = compiled(name, style)
    names = [n for n in ("predict", "forward") if hasattr(functions, n)]
    for function in (getattr(functions, n) for n in names):
        result = called(function, ARGUMENTS)
        outputs = listed(result[0] if function is not functions.predict else result)
        for place, y in enumerate(outputs):
            others = [*ARGUMENTS.values(), *outputs[:place]]
            assert not any(np.shares_memory(y, other) for other in others)


@in_every_style
def test_without_a_cotangent_an_output_counts_for_nothing(style: str) -> None:
    _, functions = compiled("several", style)
    outputs, residuals = called(functions.forward, ARGUMENTS)
    bar = np.ones_like(outputs.h)
    expected = functions.backward(residuals, np.zeros_like(outputs.y), bar)
    _, residuals = called(functions.forward, ARGUMENTS)
    grads = functions.backward(residuals, None, h_bar=bar)
    for key, gradient in grads.items():
        np.testing.assert_array_equal(gradient, expected[key])


@in_every_style
def test_outputs_without_floats_have_no_backward(style: str) -> None:
    module, functions = compiled("no floats", style)
    assert module.lowered.forward is None
    n, p = called(functions.predict, ARGUMENTS)
    np.testing.assert_array_equal(n, np.trunc(ARGUMENTS["x"] + 0.8))
    np.testing.assert_array_equal(p, ARGUMENTS["x"] > ARGUMENTS["W"][:, 0])
    with pytest.raises(DifferentiationError, match="nothing to differentiate"):
        compiled("no floats", style, wrt="x")


@in_every_style
@pytest.mark.parametrize("name", MODELS)
def test_the_self_test_passes(name: str, style: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, functions = compiled(name, style)
    if hasattr(functions, "self_test"):
        assert functions.self_test()
        assert capsys.readouterr().out.count("ok ") == 3  # W, b and s
