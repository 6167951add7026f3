"""forward, backward, value_and_grad and evaluate agree: with each other, and with differences."""

from __future__ import annotations

import ast
import copy
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import is_cotangent
from graphc.ir.types import FLOAT
from tests.codegen.nets import ALL, Net, built, net
from tests.peers import peer
from tests.styles import in_every_style

WITH_LOSS = [name for name in ALL if hasattr(net(name).module, "value_and_grad")]
WITH_BACKWARD = [name for name in ALL if hasattr(net(name).module, "backward")]
STEP = {"float16": 0.05, "float32": 1e-2, "float64": 1e-5}
TOLERANCE = {"float16": 0.1, "float32": 5e-3, "float64": 1e-7}


def scaled(values: dict[str, dict[str, Any]], name: str, change: Any) -> dict[str, Any]:
    """The arguments with one of them changed."""
    moved = copy.deepcopy(values)
    group = "params" if name in values["params"] else "inputs"
    moved[group][name] = (moved[group][name] + change).astype(moved[group][name].dtype)
    return moved


def objective(made: Net, values: dict[str, Any], weights: list[Any]) -> float:
    """The loss, or the outputs weighted with the cotangents, in the mode of training."""
    first, *_ = made.call("forward", values)
    if made.compiled.lowered.loss:
        return float(first)
    outputs = first if isinstance(first, tuple) else (first,)
    floats = [value for value in outputs if value.dtype.kind == "f"]
    pairs = zip(floats, weights, strict=True)
    return sum(float((value.astype(np.float64) * weight).sum()) for value, weight in pairs)


@pytest.mark.parametrize("name", WITH_BACKWARD)
@in_every_style
def test_gradients_are_those_of_central_differences(name: str, style: str) -> None:
    made = net(name, style)
    lowered = made.compiled.lowered
    assert lowered.backward is not None
    rng = np.random.default_rng(1)
    *_, residuals = made.call("forward")
    weights: list[Any] = []
    if not lowered.loss:
        for node in filter(is_cotangent, lowered.backward.arguments):
            weights.append(made.draw(node, rng))
    gradients = made.module.backward(residuals, *weights)
    everything = made.values["params"] | made.values["inputs"]
    for key in list(gradients)[:4] + list(gradients)[-2:]:
        value = everything[key]
        direction = rng.uniform(0.5, 1.0, value.shape) * rng.choice([-1.0, 1.0], value.shape)
        direction = direction / max(1.0, np.linalg.norm(direction))
        step = STEP[value.dtype.name]
        higher = objective(made, scaled(made.values, key, step * direction), weights)
        lower = objective(made, scaled(made.values, key, -step * direction), weights)
        slope = float((gradients[key].astype(np.float64) * direction).sum())
        scale = max(1.0, float(np.linalg.norm(gradients[key].astype(np.float64))))
        differences = (higher - lower) / (2 * step)
        assert abs(slope - differences) <= TOLERANCE[value.dtype.name] * scale, key


@pytest.mark.parametrize("name", WITH_LOSS)
@in_every_style
def test_value_and_grad_is_forward_then_backward(name: str, style: str) -> None:
    made = net(name, style)
    loss, *state, residuals = made.call("forward")
    gradients = made.module.backward(residuals)
    value, *new_state, both = made.call("value_and_grad")
    assert value == loss
    assert both.keys() == gradients.keys()
    for key, gradient in gradients.items():
        np.testing.assert_array_equal(both[key], gradient)
    np.testing.assert_equal(new_state, state)


@pytest.mark.parametrize("name", WITH_LOSS)
@in_every_style
def test_backward_is_linear_in_the_cotangent(name: str, style: str) -> None:
    made = net(name, style)
    once = made.module.backward(made.call("forward")[-1])
    twice = made.module.backward(made.call("forward")[-1], 2.0)
    for key, gradient in once.items():
        np.testing.assert_allclose(twice[key], 2 * gradient, rtol=1e-2 if name == "half" else 1e-5)


@pytest.mark.parametrize("name", [n for n in WITH_LOSS if hasattr(net(n).module, "evaluate")])
@in_every_style
def test_evaluate_is_the_loss_where_modes_do_not_differ(name: str, style: str) -> None:
    made = net(name, style)
    evaluated, trained = made.call("evaluate"), made.call("forward")[0]
    if name in ("running_mean", "batch_norm", "dropout_mlp"):
        assert abs(evaluated - trained) > 0.01
    else:
        np.testing.assert_allclose(evaluated, trained, rtol=1e-2 if name == "half" else 1e-6)


@in_every_style
def test_evaluate_takes_the_mode_of_inference(style: str) -> None:
    made = net("running_mean", style)
    values = made.values
    x, scale = values["inputs"]["x"], values["params"]["scale"]
    running, origin = values["state"]["running"], values["state"]["origin"]
    y = (x - running - origin) * scale
    np.testing.assert_allclose(made.call("predict"), y, rtol=1e-5)
    np.testing.assert_allclose(made.call("evaluate"), (y**2).mean(), rtol=1e-5)
    y = (x - x.mean(axis=0) - origin) * scale
    np.testing.assert_allclose(made.call("forward")[0], (y**2).mean(), rtol=1e-5)


@pytest.mark.parametrize("name", WITH_BACKWARD)
def test_backward_reads_every_residual_and_nothing_else(name: str) -> None:
    require_all_read(net(name))


def test_backward_reads_no_size_that_only_types_tell() -> None:
    def declare(g: gc.Graph) -> None:
        g.loss((gc.pad(g.input("x", (2, "n")), ((0, 0), (2, 1)), "wrap") ** 2).sum())

    require_all_read(built(declare))


def require_all_read(made: Net) -> None:
    """Assert that backward reads each of the residuals that it is given."""
    fields = list(made.module.Residuals._fields)
    tree = ast.parse(made.compiled.source)
    (function,) = (f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "backward")
    loaded = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and is_load(n)}
    assert [field for field in fields if field not in loaded] == []


def is_load(name: ast.Name) -> bool:
    """Whether a name is read, and not assigned to."""
    return isinstance(name.ctx, ast.Load)


def test_residuals_hold_no_value_that_could_be_left_out() -> None:
    fields = net("mlp").module.Residuals._fields
    assert set(fields) == {"x", "h", "W2", "exps", "sums", "t"}  # not W1, b1, b2, logits, loss
    fields = net("quiz").module.Residuals._fields
    assert "y" not in fields


def test_a_linear_model_keeps_its_inputs_only() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("batch", 3))
        W, b = g.parameter("W", (3, 2), init="ones"), g.parameter("b", (2,))
        g.output("y", x @ W + b)

    assert built(declare).module.Residuals._fields == ("x",)


@pytest.mark.conformance
@in_every_style
def test_gradients_agree_with_pytorch(style: str) -> None:
    torch = peer("torch")
    made = net("attention", style)
    tensors = {
        key: torch.tensor(value, dtype=torch.float64, requires_grad=key in made.values["params"])
        for key, value in (made.values["params"] | made.values["inputs"]).items()
    }
    x, target = tensors["x"], tensors["target"]
    batch, time = x.shape[:2]

    def heads(name: str) -> Any:
        return (x @ tensors[name]).reshape(batch, time, 2, 4).permute(0, 2, 1, 3)

    scores = heads("W_q") @ heads("W_k").transpose(2, 3) / 2
    mixed = (scores.softmax(-1) @ heads("W_v")).permute(0, 2, 1, 3).reshape(batch, time, 8)
    y = x + mixed @ tensors["W_o"]
    normal = torch.nn.functional.layer_norm(y, (8,), tensors["gain"], eps=1e-5)
    loss = ((normal - target) ** 2).mean()
    loss.backward()
    value, gradients = made.call("value_and_grad")
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    np.testing.assert_allclose(made.call("predict"), normal.detach().numpy(), rtol=1e-4, atol=1e-5)
    for key, gradient in gradients.items():
        theirs = tensors[key].grad.numpy()
        scale = float(np.abs(theirs).max())
        np.testing.assert_allclose(gradient, theirs, rtol=1e-3, atol=1e-4 * scale, err_msg=key)


@pytest.mark.conformance
@in_every_style
def test_the_mlp_agrees_with_pytorch(style: str) -> None:
    torch = peer("torch")
    made = net("mlp", style)
    tensors = {
        key: torch.tensor(value.astype(np.float64), requires_grad=True)
        for key, value in made.values["params"].items()
    }
    x, t = (torch.tensor(made.values["inputs"][key]) for key in "xt")
    hidden = torch.relu(x.double() @ tensors["W1"] + tensors["b1"])
    loss = torch.nn.functional.cross_entropy(hidden @ tensors["W2"] + tensors["b2"], t)
    loss.backward()
    value, gradients = made.call("value_and_grad")
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    for key, gradient in gradients.items():
        theirs = tensors[key].grad.numpy()
        np.testing.assert_allclose(gradient, theirs, rtol=1e-3, atol=1e-5, err_msg=key)


@in_every_style
def test_float_inputs_are_what_declared_dtypes_say(style: str) -> None:
    made = net("mlp", style)
    values = copy.deepcopy(made.values)
    values["inputs"]["x"] = values["inputs"]["x"].astype(np.float64)
    values["params"] = {k: v.astype(np.float64) for k, v in values["params"].items()}
    loss, gradients = made.call("value_and_grad", values)
    assert loss.dtype == np.float32
    assert {g.dtype for g in gradients.values()} == {np.dtype(np.float32)}
    assert all(node.dtype.kind == FLOAT for node in made.graph.outputs.values())
