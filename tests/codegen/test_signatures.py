"""Signatures of generated functions: `params, state, inputs…`; what is not needed drops out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import Net, built, net

CHOICES = list(product([False, True], repeat=3))


def signature(module: ModuleType, function: str) -> str:
    """The names of the arguments as text: `params, x, *, lr=0.01`."""
    written = []
    keyword = False
    for name, parameter in inspect.signature(getattr(module, function)).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword:
            written.append("*")
            keyword = True
        default = parameter.default
        written.append(name if default is parameter.empty else f"{name}={default}")
    return ", ".join(written)


def functions(module: ModuleType) -> set[str]:
    """The public functions of a generated module, without those pasted in for the boundary."""
    own = {name for name, f in vars(module).items() if getattr(f, "__module__", "") == "generated"}
    pasted = {
        "checked",
        "plain_array",
        "shape_text",
        "sample_values",
        "sample_slope",
        "agrees",
        "self_test",
    }
    return {n for n in own if inspect.isfunction(getattr(module, n))} - pasted - {"embed"}


def model(parameter: bool, state: bool, labels: bool) -> Net:
    """A model that has what is asked for; everything it has is read by its loss."""

    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("batch", 3))
        y: Any = x * 2
        if parameter:
            y = y * g.parameter("scale", (3,), init="ones")
        if state:
            origin = g.state("origin", (3,))
            y = y - origin
            g.update(origin, origin + x.mean(axis=0))
        g.output("y", y)
        g.loss((y * g.input("t", ("batch",))[:, None]).mean() if labels else y.mean())

    return built(declare, {"optimizer": "sgd"} if parameter else {})


@pytest.mark.parametrize(("parameter", "state", "labels"), CHOICES)
def test_groups_drop_out(parameter: bool, state: bool, labels: bool) -> None:
    module = model(parameter, state, labels).module
    groups = ["params"] * parameter + ["state"] * state
    inputs = ["x"] + ["t"] * labels
    assert signature(module, "predict") == ", ".join([*groups, "x"])
    for function in ("evaluate", "forward", "value_and_grad"):
        assert signature(module, function) == ", ".join([*groups, *inputs])
    assert signature(module, "backward") == "residuals, loss_bar=1.0"
    expected = {"predict", "evaluate", "forward", "backward", "value_and_grad"}
    if parameter:
        arguments = [*groups, "optimizer_state", *inputs, "*", "lr=0.01"]
        assert signature(module, "train_step") == ", ".join(arguments)
        assert signature(module, "init_params") == "rng"
        assert signature(module, "init_optimizer") == "params"
        assert signature(module, "save_params") == "path, params"
        assert signature(module, "load_params") == "path"
        assert signature(module, "ravel_params") == "params"
        assert signature(module, "unravel_params") == "vector"
        expected |= {"init_params", "save_params", "load_params", "load_arrays"}
        expected |= {"ravel_params", "unravel_params"}
        expected |= {"init_optimizer", "train_step", "sgd", "checked_number"}
    if state:
        assert signature(module, "init_state") == ""
        assert signature(module, "save_state") == "path, state"
        assert signature(module, "load_state") == "path"
        expected |= {"init_state", "save_state", "load_state", "load_arrays"}
    assert functions(module) == expected


@pytest.mark.parametrize(("parameter", "state", "labels"), CHOICES)
def test_results_have_the_declared_order(parameter: bool, state: bool, labels: bool) -> None:
    made = model(parameter, state, labels)
    kinds = {
        "forward": [np.float32, *([dict] if state else []), tuple],
        "value_and_grad": [np.float32, *([dict] if state else []), dict],
        "train_step": [dict, *([dict] if state else []), dict, np.float32],
    }
    for function, expected in kinds.items():
        if hasattr(made.module, function):
            result = made.call(function)
            assert len(result) == len(expected)
            assert all(isinstance(r, kind) for r, kind in zip(result, expected, strict=True))
    assert isinstance(made.call("predict"), np.ndarray)
    assert isinstance(made.call("evaluate"), np.float32)


def test_inputs_keep_the_order_of_their_declaration() -> None:
    def declare(g: gc.Graph) -> None:
        c, a, b = (g.input(name, (2,)) for name in "cab")
        w2, w1 = (g.parameter(name, (2,), init="ones") for name in ("w2", "w1"))
        g.output("y", b * w1 + a * w2)
        g.loss((b * w1 + c * w2 - a).sum())

    module = built(declare).module
    assert signature(module, "predict") == "params, a, b"
    assert signature(module, "forward") == "params, c, a, b"
    assert list(module.Params.__annotations__) == ["w2", "w1"]
    assert list(module.Grads.__annotations__) == ["w2", "w1"]


def test_predict_takes_nothing_of_the_loss() -> None:
    source = net("mlp").compiled.source
    predict = source[source.index("def predict(") : source.index("def evaluate(")]
    for word in ("t:", "t =", "loss", "exp", "batch =", "pick"):
        assert word not in predict
    assert "h @ W2 + b2" in predict


def test_cotangents_of_several_outputs_have_to_be_given() -> None:
    module = net("two_heads").module
    assert signature(module, "backward") == "residuals, score_bar, probabilities_bar"
    with pytest.raises(TypeError, match="probabilities_bar"):
        module.backward(net("two_heads").call("forward")[-1], None)


def test_cotangents_of_scalars_default_to_one() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        g.output("squares", x * x)
        g.output("total", x.sum())
        g.output("twice", x * 2)

    made = built(declare)
    assert signature(made.module, "backward") == (
        "residuals, squares_bar, total_bar=1.0, twice_bar=None"
    )
    _, residuals = made.call("forward")
    backward: Callable[..., Any] = made.module.backward
    np.testing.assert_array_equal(backward(residuals, None)["x"], np.ones(3))
    np.testing.assert_array_equal(backward(residuals, None, None)["x"], np.zeros(3))
    np.testing.assert_array_equal(backward(residuals, None, 3, np.ones(3))["x"], np.full(3, 5.0))
    x = made.values["inputs"]["x"]
    np.testing.assert_allclose(backward(residuals, np.ones(3), None)["x"], 2 * x, rtol=1e-6)


def test_one_scalar_output_is_the_loss() -> None:
    module = net("quiz").module
    assert signature(module, "backward") == "residuals, y_bar=1.0"
    assert signature(module, "value_and_grad") == "x, z"
    assert not hasattr(module, "evaluate")


def test_vector_outputs_have_no_value_and_grad() -> None:
    module = net("vector_function").module
    assert signature(module, "backward") == "residuals, polar_bar"
    assert not hasattr(module, "value_and_grad")


def test_outputs_are_a_named_tuple_in_order() -> None:
    made = net("mixed_outputs")
    result = made.call("predict")
    names = ("energy", "is_positive", "count_2", "wide", "total")  # tuples have a count already
    assert result._fields == names
    assert isinstance(result, made.module.Outputs)
    assert tuple(made.module.Outputs.__annotations__) == names
    x, bias = made.values["inputs"]["x"], made.values["params"]["bias"]
    np.testing.assert_array_equal(result.is_positive, x - bias > 0)
    np.testing.assert_allclose(result.energy, ((x - bias) ** 2).sum(axis=1), rtol=1e-6)


def test_the_size_of_a_parameter_is_an_argument_of_init_params() -> None:
    module = net("named_dimensions").module
    assert signature(module, "init_params") == "rng, *, units"
    made = module.init_params(np.random.default_rng(0), units=7)
    assert made["W"].shape == (7, 3)
    assert not hasattr(module, "ravel_params")  # nothing says where one parameter would end


def test_keyword_arguments_of_the_optimizer() -> None:
    def step(**options: float | bool) -> str:
        made = gc.optim.sgd(**options)  # type: ignore[arg-type]
        text = signature(net("mlp", optimizer=made).module, "train_step")
        return text.removeprefix("params, optimizer_state, x, t, *, ")

    assert step() == "lr=0.01"
    assert step(lr=0.5, weight_decay=1e-3) == "lr=0.5, weight_decay=0.001"
    assert step(momentum=0.9) == "lr=0.01, momentum=0.9"
    assert step(momentum=0.9, nesterov=True, weight_decay=0.1) == (
        "lr=0.01, momentum=0.9, weight_decay=0.1"
    )


def test_an_input_that_only_training_reads_is_not_asked_for_in_inference() -> None:
    def declare(g: gc.Graph) -> None:
        x, noise = g.input("x", (3,)), g.input("noise", (3,))
        w = g.parameter("w", (3,), init="ones")
        y = gc.by_mode(x + noise, x) * w
        g.output("y", y)
        g.loss((y * y).sum())

    module = built(declare).module
    assert signature(module, "predict") == "params, x"
    assert signature(module, "evaluate") == "params, x"
    assert signature(module, "forward") == "params, x, noise"
