"""The training step: pure, equal to the formulas of SGD, and with the state of the model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import ALL, Net, built, net
from tests.peers import peer

TRAINED = [name for name in ALL if hasattr(net(name).module, "train_step")]
OPTIMIZERS: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.1, "momentum": 0.8},
    {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.3},
    {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.3, "nesterov": True},
]


def by_hand(
    params: dict[str, Any], gradients: dict[str, Any], velocity: dict[str, Any], o: dict[str, Any]
) -> None:
    """One step of SGD as the documentation of torch.optim.SGD states it, in place."""
    for key, gradient in gradients.items():
        step = gradient + o.get("weight_decay", 0.0) * params[key]
        if o.get("momentum"):
            velocity[key] = o["momentum"] * velocity[key] + step
            nesterov = step + o["momentum"] * velocity[key]
            step = nesterov if o.get("nesterov") else velocity[key]
        params[key] = params[key] - o["lr"] * step


def problem(options: dict[str, Any]) -> Net:
    """A small regression in float64, with a scalar parameter."""

    def declare(g: gc.Graph) -> None:
        x, t = g.input("x", ("batch", 3)), g.input("t", ("batch",))
        w, b = g.parameter("w", (3,), init="normal"), g.parameter("b", (), init=0.1)
        g.output("y", np.tanh(x @ w + b))
        g.loss(gc.mse(np.tanh(x @ w + b), t))

    return built(declare, {"optimizer": gc.optim.sgd(**options)}, dtype="float64")


@pytest.mark.parametrize("options", OPTIMIZERS, ids=str)
def test_steps_are_those_of_sgd(options: dict[str, Any]) -> None:
    made = problem(options)
    module, inputs = made.module, list(made.values["inputs"].values())
    params, expected = made.values["params"], dict(made.values["params"])
    state = module.init_optimizer(params)
    velocity = {key: np.zeros_like(value) for key, value in params.items()}
    for step in range(4):
        assert state["step"] == step
        loss, gradients = module.value_and_grad(expected, *inputs)
        params, state, told = module.train_step(params, state, *inputs)
        by_hand(expected, gradients, velocity, options)
        np.testing.assert_allclose(told, loss, rtol=1e-14)
        for key, value in expected.items():
            np.testing.assert_allclose(params[key], value, rtol=1e-13)
            if "momentum" in options:
                np.testing.assert_allclose(state["velocity"][key], velocity[key], rtol=1e-13)


@pytest.mark.conformance
@pytest.mark.parametrize("options", OPTIMIZERS, ids=str)
def test_steps_are_those_of_pytorch(options: dict[str, Any]) -> None:
    torch = peer("torch")
    made = problem(options)
    module, inputs = made.module, list(made.values["inputs"].values())
    params = made.values["params"]
    tensors = {key: torch.tensor(value, requires_grad=True) for key, value in params.items()}
    optimizer = torch.optim.SGD(tensors.values(), **options)
    x, t = map(torch.tensor, inputs)
    state = module.init_optimizer(params)
    for _ in range(4):
        optimizer.zero_grad()
        ((torch.tanh(x @ tensors["w"] + tensors["b"]) - t) ** 2).mean().backward()
        optimizer.step()
        params, state, _ = module.train_step(params, state, *inputs)
    for key, value in params.items():
        np.testing.assert_allclose(value, tensors[key].detach().numpy(), rtol=1e-12)


def test_numbers_of_the_call_replace_those_of_the_compilation() -> None:
    made = problem({"lr": 0.1, "momentum": 0.5, "weight_decay": 0.2})
    params, inputs = made.values["params"], made.values["inputs"].values()
    state = made.module.init_optimizer(params)
    still, _, _ = made.module.train_step(params, state, *inputs, lr=0.0)
    np.testing.assert_equal(still, params)
    other = {"lr": 0.3, "momentum": 0.9, "weight_decay": 0.0}
    moved, _, _ = made.module.train_step(params, state, *inputs, **other)
    _, gradients = made.module.value_and_grad(params, *inputs)
    expected = dict(params)
    by_hand(expected, gradients, {key: np.zeros_like(v) for key, v in params.items()}, other)
    for key, value in expected.items():
        np.testing.assert_allclose(moved[key], value, rtol=1e-13)


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_changes_no_argument_and_no_dtype(name: str) -> None:
    made = net(name)
    arguments = made.arguments("train_step")
    before = copy.deepcopy({key: value for key, value in arguments.items() if key != "rng"})
    params, *state, optimizer_state, loss = made.module.train_step(**arguments)
    arguments.pop("rng", None)  # which has moved on
    np.testing.assert_equal(arguments, before)
    assert optimizer_state["step"] == 1
    assert np.isfinite(loss)
    for key, value in arguments["params"].items():
        assert (params[key].dtype, params[key].shape) == (value.dtype, value.shape)
    for slot in optimizer_state.keys() - {"step"}:
        trained = [key for key in params if key in made.compiled.lowered.gradients]
        assert list(optimizer_state[slot]) == trained
    for new in state:
        assert new.keys() == arguments["state"].keys()


@pytest.mark.parametrize("name", TRAINED)
def test_the_loss_falls(name: str) -> None:
    made = net(name)
    arguments = made.arguments("train_step")
    first = made.call("value_and_grad")[0]
    for _ in range(20):
        result = made.module.train_step(**arguments, lr=0.5 if name == "half" else 0.02)
        arguments |= {"params": result[0], "optimizer_state": result[-2]}
        if "state" in arguments:
            arguments["state"] = result[1]
    assert result[-1] < first


def test_frozen_parameters_stay() -> None:
    made = net("frozen")
    params, state, _ = made.call("train_step")
    np.testing.assert_array_equal(params["W"], made.values["params"]["W"])
    assert not np.array_equal(params["b"], made.values["params"]["b"])
    assert list(state["velocity"]) == ["b"]
    assert list(made.module.Grads.__annotations__) == ["b"]
    assert list(made.module.Params.__annotations__) == ["W", "b"]


def test_parameters_that_are_not_trainable_stay() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        w = g.parameter("w", (3,), init="ones")
        fixed = g.parameter("fixed", (3,), init="ones", trainable=False)
        g.loss((x * w * fixed).sum())

    made = built(declare, {"optimizer": gc.optim.sgd(weight_decay=0.5)})
    params, _, _ = made.call("train_step")
    np.testing.assert_array_equal(params["fixed"], made.values["params"]["fixed"])
    assert not np.array_equal(params["w"], made.values["params"]["w"])
    assert made.compiled.lowered.gradients == ("w",)


def test_freeze_takes_patterns_of_exact_names() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (2,))
        names = ("layer1.W", "layer1.b", "layer10.W", "Layer1.V")
        g.loss(sum(((x * g.parameter(n, (2,), init="ones")).sum() for n in names), x[0]))

    frozen = built(declare, {"freeze": "layer1.*"}).compiled.lowered.gradients
    assert frozen == ("layer10.W", "Layer1.V")
    frozen = built(declare, {"freeze": ["*.W", "Layer1.V"]}).compiled.lowered.gradients
    assert frozen == ("layer1.b",)
    with pytest.raises(gc.errors.UsageError, match="'layer2' fits no parameter"):
        gc.compile(built(declare).graph, freeze="layer2")


# --- state --------------------------------------------------------------------------------------


def test_forward_returns_the_next_state_and_passes_the_rest_on() -> None:
    made = net("running_mean")
    x, state = made.values["inputs"]["x"], made.values["state"]
    expected = state["running"] * np.float32(0.9) + x.mean(axis=0) * np.float32(0.1)
    for function in ("forward", "value_and_grad", "train_step"):
        new = made.call(function)[1]
        assert list(new) == ["running", "origin"]
        np.testing.assert_allclose(new["running"], expected, rtol=1e-6)
        np.testing.assert_array_equal(new["origin"], state["origin"])
        assert new["origin"] is not state["origin"]


def test_init_state_is_the_declared_one() -> None:
    state = net("running_mean").module.init_state()
    assert {k: (v.dtype.name, v.tolist()) for k, v in state.items()} == {
        "running": ("float32", [0.0, 0.0, 0.0]),
        "origin": ("float32", [1.0, 1.0, 1.0]),
    }


def test_the_running_mean_becomes_that_of_the_data() -> None:
    made = net("running_mean")
    values: dict[str, Any] = {**made.values, "state": made.module.init_state()}
    for _ in range(120):
        values["state"] = made.call("forward", values)[1]
    mean = made.values["inputs"]["x"].mean(axis=0)
    np.testing.assert_allclose(values["state"]["running"], mean, rtol=1e-4)


def test_a_state_without_an_update_is_no_result() -> None:
    def declare(g: gc.Graph) -> None:
        x, w = g.input("x", (3,)), g.parameter("w", (3,), init="ones")
        g.loss((x * w * g.state("fixed", (3,), init="ones")).sum())

    made = built(declare, {"optimizer": "sgd"})
    assert len(made.call("forward")) == 2
    assert len(made.call("train_step")) == 3


def test_an_update_reads_the_state_before_it() -> None:
    def declare(g: gc.Graph) -> None:
        x, w = g.input("x", (2,)), g.parameter("w", (2,), init="ones")
        last, before = g.state("last", (2,)), g.state("before", (2,))
        g.update(last, x)
        g.update(before, last)
        g.loss((x * w + last + before).sum())

    made = built(declare)
    new = made.call("forward")[1]
    np.testing.assert_array_equal(new["last"], made.values["inputs"]["x"])
    np.testing.assert_array_equal(new["before"], made.values["state"]["last"])
