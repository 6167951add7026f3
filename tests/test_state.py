"""State from end to end: declared, initialised, read, updated, threaded through training.

The model is a batch norm written by hand: statistics of the batch in training, running ones in
inference. What it computes is computed here once more by a loop in plain NumPy.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.check import check
from graphc.errors import UsageError
from tests.peers import peer

MOMENTUM = 0.25
EPSILON = 1e-5


def batch_norm(dtype: str = "float64") -> gc.Graph:
    """y = gain * (x @ W - mean) / sqrt(variance + ε) + bias, and its mean squared error."""
    with gc.Graph("batch_norm", dtype=dtype) as g:
        x = g.input("x", ("batch", 3))
        t = g.input("t", ("batch", 2))
        W = g.parameter("W", (3, 2), init="glorot_uniform")
        gain = g.parameter("gain", (2,), init="ones")
        bias = g.parameter("bias", (2,))
        with gc.path("norm"):
            mean = g.state("mean", (2,))
            variance = g.state("variance", (2,), init="ones")
        steps = g.state("steps", dtype="int64")
        z = x @ W
        batch_mean, batch_variance = z.mean(axis=0), z.var(axis=0)
        g.update(mean, (1 - MOMENTUM) * mean + MOMENTUM * batch_mean)
        g.update(variance, (1 - MOMENTUM) * variance + MOMENTUM * batch_variance)
        g.update(steps, steps + 1)
        center = gc.by_mode(batch_mean, mean)
        spread = gc.by_mode(batch_variance, variance)
        y = gain * (z - center) / np.sqrt(spread + EPSILON) + bias
        g.output("y", y)
        g.loss(gc.mse(y, t))
    return g


def by_hand(params: dict[str, Any], mean: Any, variance: Any, x: Any) -> Any:
    """The output for given statistics."""
    z = x @ params["W"]
    return params["gain"] * (z - mean) / np.sqrt(variance + EPSILON) + params["bias"]


def data(seed: int = 0, batch: int = 6) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (batch, 3)), rng.normal(size=(batch, 2))


def names(module: Any, function: str) -> list[str]:
    return list(inspect.signature(getattr(module, function)).parameters)


# --- the model -----------------------------------------------------------------------------------


def test_running_statistics_follow_the_batches() -> None:
    module = gc.compile(batch_norm(), optimizer="sgd").load()
    params = module.init_params(np.random.default_rng(1))
    state, optimizer_state = module.init_state(), module.init_optimizer(params)
    mean, variance = np.zeros(2), np.ones(2)
    for step in range(5):
        x, t = data(step)
        z = x @ params["W"]
        expected = np.square(by_hand(params, z.mean(axis=0), z.var(axis=0), x) - t).mean()
        mean = (1 - MOMENTUM) * mean + MOMENTUM * z.mean(axis=0)
        variance = (1 - MOMENTUM) * variance + MOMENTUM * z.var(axis=0)
        params, state, optimizer_state, loss = module.train_step(
            params, state, optimizer_state, x, t, lr=0.1
        )
        np.testing.assert_allclose(loss, expected, rtol=1e-12)
        assert list(state) == ["norm.mean", "norm.variance", "steps"]
        np.testing.assert_allclose(state["norm.mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(state["norm.variance"], variance, rtol=1e-12)
        assert (state["steps"].dtype, int(state["steps"])) == (np.dtype("int64"), step + 1)


def test_every_training_function_returns_the_same_state() -> None:
    module = gc.compile(batch_norm(), optimizer="sgd").load()
    params, state = module.init_params(np.random.default_rng(1)), module.init_state()
    x, t = data()
    _, first, _ = module.forward(params, state, x, t)
    _, second, _ = module.value_and_grad(params, state, x, t)
    _, third, *_ = module.train_step(params, state, module.init_optimizer(params), x, t)
    assert first["steps"] == 1
    np.testing.assert_equal(second, first)
    np.testing.assert_equal(third, first)


def test_predict_and_evaluate_read_the_state_and_leave_it_alone() -> None:
    module = gc.compile(batch_norm()).load()
    params = module.init_params(np.random.default_rng(1))
    x, t = data()
    for state in (
        module.init_state(),
        {"norm.mean": np.array([1.0, -2.0]), "norm.variance": np.array([0.5, 3.0]), "steps": 7},
    ):
        before = copy.deepcopy(state)
        y = by_hand(params, state["norm.mean"], state["norm.variance"], x)
        np.testing.assert_allclose(module.predict(params, state, x), y, rtol=1e-12)
        loss = module.evaluate(params, state, x, t)
        np.testing.assert_allclose(loss, np.square(y - t).mean(), rtol=1e-12)
        np.testing.assert_equal(state, before)


def test_training_leaves_its_argument_alone() -> None:
    module = gc.compile(batch_norm(), optimizer="sgd").load()
    params, state = module.init_params(np.random.default_rng(1)), module.init_state()
    for value in state.values():
        value.flags.writeable = False
    before = copy.deepcopy(state)
    _, new, *_ = module.train_step(params, state, module.init_optimizer(params), *data())
    np.testing.assert_equal(state, before)
    for name in state:
        assert not np.may_share_memory(new[name], state[name])


def test_gradients_are_those_of_the_statistics_of_the_batch() -> None:
    assert all(row.ok for row in check(batch_norm()))
    torch = peer("torch")
    module = gc.compile(batch_norm()).load()
    params, state = module.init_params(np.random.default_rng(1)), module.init_state()
    x, t = data()
    loss, new, grads = module.value_and_grad(params, state, x, t)
    layer = torch.nn.BatchNorm1d(2, eps=EPSILON, momentum=MOMENTUM, dtype=torch.float64)
    W = torch.tensor(params["W"], requires_grad=True)
    theirs = torch.nn.functional.mse_loss(layer(torch.tensor(x) @ W), torch.tensor(t))
    theirs.backward()
    np.testing.assert_allclose(loss, theirs.item(), rtol=1e-12)
    for name, gradient in (("W", W), ("gain", layer.weight), ("bias", layer.bias)):
        np.testing.assert_allclose(grads[name], gradient.grad.numpy(), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(new["norm.mean"], layer.running_mean.numpy(), rtol=1e-12)
    # torch keeps the unbiased variance.
    unbiased = 1 - MOMENTUM + MOMENTUM * (x @ params["W"]).var(axis=0, ddof=1)
    np.testing.assert_allclose(layer.running_var.numpy(), unbiased, rtol=1e-12)
    assert int(new["steps"]) == layer.num_batches_tracked


def test_the_self_test_of_a_model_with_state() -> None:
    for dtype in ("float32", "float64"):
        assert gc.compile(batch_norm(dtype)).load().self_test()


def test_inference_alone_keeps_the_state_that_predict_reads() -> None:
    module = gc.compile(batch_norm(), inference=True).load()
    assert names(module, "predict") == ["params", "state", "x"]
    assert not hasattr(module, "forward")
    state = module.init_state()
    params = {"W": np.eye(3, 2), "gain": np.ones(2), "bias": np.zeros(2)}
    x, _ = data()
    expected = by_hand(params, state["norm.mean"], state["norm.variance"], x)
    np.testing.assert_allclose(module.predict(params, state, x), expected, rtol=1e-12)


@pytest.mark.parametrize("style", ["functional", "workspace"])
def test_a_trained_state_goes_to_inference_through_a_file(style: str, tmp_path: Path) -> None:
    net = gc.compile(batch_norm()).load()
    params, (x, t) = net.init_params(np.random.default_rng(3)), data()
    _, state, _ = net.value_and_grad(params, net.init_state(), x, t)
    net.save_params(tmp_path / "params", params)
    net.save_state(tmp_path / "state", state)
    with np.load(tmp_path / "state") as archive:
        assert archive.files == ["state/norm.mean", "state/norm.variance", "state/steps"]
    served = gc.compile(batch_norm(), inference=True, style=style).load()
    assert not hasattr(served, "save_state")
    params, state = served.load_params(tmp_path / "params"), served.load_state(tmp_path / "state")
    assert state["steps"].dtype == np.int64
    expected = by_hand(params, state["norm.mean"], state["norm.variance"], x)
    if style == "workspace":
        workspace = served.Workspace(params, batch=len(x))
        workspace.state = state
        np.testing.assert_allclose(workspace.predict(x), expected, rtol=1e-12)
    else:
        np.testing.assert_allclose(served.predict(params, state, x), expected, rtol=1e-12)
    np.savez(tmp_path / "wrong.npz", **{f"state/{name}": np.ones(3) for name in state})
    with pytest.raises(ValueError, match=r"norm.mean: expected float64 of shape \(2,\), got"):
        served.load_state(tmp_path / "wrong.npz")


def test_a_state_of_python_numbers_is_kept_in_json(tmp_path: Path) -> None:
    with gc.Graph("counter") as g:
        x = g.input("x")
        count, mean = g.state("count", dtype="int64"), g.state("mean")
        g.update(count, count + 1)
        g.update(mean, (mean * count + x) / (count + 1))
        g.loss(x * mean)
    net = gc.compile(g, style="scalar").load()
    state = net.init_state()
    for value in (1.0, 4.0):
        _, state, _ = net.value_and_grad(state, value)
    net.save_state(tmp_path / "state.json", state)
    assert net.load_state(tmp_path / "state.json") == {"count": 2, "mean": 2.5}
    (tmp_path / "state.json").write_text('{"state": {"count": 2}}')
    with pytest.raises(ValueError, match="holds no 'mean' among its state"):
        net.load_state(tmp_path / "state.json")


# --- which functions take and return it ----------------------------------------------------------


def stateful(declare: Callable[[gc.Graph, Any], Any], **options: Any) -> Any:
    """The module of a loss that is made of a parameter `w` and what is declared here."""
    with gc.Graph("stateful", dtype="float64") as g:
        w = g.parameter("w", (2,), init="ones")
        y = declare(g, w)
        g.output("y", y)
        g.loss(y.sum())
    return gc.compile(g, **options).load()


PARAMS = {"w": np.array([2.0, 3.0])}


def test_a_state_that_is_only_updated_is_no_argument_of_inference() -> None:
    def declare(g: gc.Graph, w: Any) -> Any:
        last = g.state("last", (2,))
        g.update(last, w * 2)
        return w * w

    module = stateful(declare, optimizer="sgd")
    assert names(module, "predict") == names(module, "evaluate") == ["params"]
    assert names(module, "forward") == ["params", "state"]
    assert names(module, "train_step") == ["params", "state", "optimizer_state", "lr"]
    _, state, _ = module.forward(PARAMS, module.init_state())
    np.testing.assert_array_equal(state["last"], [4, 6])


def test_a_state_that_is_only_read_is_no_result() -> None:
    module = stateful(lambda g, w: w * g.state("fixed", (2,), init=3), optimizer="sgd")
    assert names(module, "predict") == names(module, "forward") == ["params", "state"]
    state = module.init_state()
    loss, grads = module.value_and_grad(PARAMS, state)
    assert loss == 15
    np.testing.assert_array_equal(grads["w"], [3, 3])
    assert len(module.train_step(PARAMS, state, module.init_optimizer(PARAMS))) == 3


def test_a_state_that_is_only_read_comes_along_beside_one_that_is_updated() -> None:
    def declare(g: gc.Graph, w: Any) -> Any:
        fixed, count = g.state("fixed", (2,), init="ones"), g.state("count", dtype="int32")
        g.update(count, count + 1)
        return w * fixed

    module = stateful(declare)
    state = module.init_state()
    _, new, _ = module.forward(PARAMS, state)
    assert list(new) == ["fixed", "count"]
    np.testing.assert_array_equal(new["fixed"], [1, 1])
    assert not np.may_share_memory(new["fixed"], state["fixed"])


def test_a_state_that_nothing_uses_is_initialised_and_no_more() -> None:
    def declare(g: gc.Graph, w: Any) -> Any:
        g.state("idle", (2,))
        return w * w

    module = stateful(declare)
    np.testing.assert_array_equal(module.init_state()["idle"], [0, 0])
    assert names(module, "forward") == ["params"]


def test_states_may_be_exchanged() -> None:
    def declare(g: gc.Graph, w: Any) -> Any:
        a, b = g.state("a", (2,), init=1), g.state("b", (2,), init=2)
        g.update(a, b)
        g.update(b, a)
        return w * (a - b)

    module = stateful(declare)
    state = module.init_state()
    for first in (2, 1, 2):
        _, state, _ = module.forward(PARAMS, state)
        assert (state["a"].tolist(), state["b"].tolist()) == ([first] * 2, [3 - first] * 2)
        assert not np.may_share_memory(state["a"], state["b"])


def test_a_state_may_be_an_output() -> None:
    with gc.Graph("shown", dtype="float64") as g:
        x = g.input("x", (2,))
        total = g.state("total", (2,), init=np.array([1.0, 2.0]))
        g.update(total, total + x)
        g.output("total", total)
        g.output("y", total * x)
    module = gc.compile(g).load()
    state, x_ = module.init_state(), np.array([3.0, 4.0])
    shown = module.predict(state, x_).total
    np.testing.assert_array_equal(shown, [1, 2])
    assert not np.may_share_memory(shown, state["total"])
    outputs, new, _ = module.forward(state, x_)
    np.testing.assert_array_equal(outputs.total, [1, 2])
    np.testing.assert_array_equal(outputs.y, [3, 8])
    np.testing.assert_array_equal(new["total"], [4, 6])


def test_frozen_parameters_do_not_freeze_the_state() -> None:
    g = batch_norm()
    module = gc.compile(g, optimizer="sgd", freeze="W").load()
    params, state = module.init_params(np.random.default_rng(1)), module.init_state()
    new_params, new, *_ = module.train_step(params, state, module.init_optimizer(params), *data())
    np.testing.assert_array_equal(new_params["W"], params["W"])
    assert (new_params["bias"] != params["bias"]).all()
    assert new["steps"] == 1
    assert (new["norm.mean"] != 0).all()
    with pytest.raises(UsageError, match=r"'norm\.\*' fits no parameter"):
        gc.compile(g, freeze="norm.*")


def test_a_state_has_no_gradient_of_its_own() -> None:
    with pytest.raises(UsageError, match=r"'norm\.mean' is no parameter and no input"):
        gc.compile(batch_norm(), wrt="norm.mean")
    assert gc.compile(batch_norm()).lowered.gradients == ("W", "gain", "bias")


def test_an_update_may_draw() -> None:
    def declare(g: gc.Graph, w: Any) -> Any:
        walk = g.state("walk", (2,))
        g.update(walk, walk + gc.random.normal((2,)))
        return w + walk

    module = stateful(declare, optimizer="sgd")
    assert names(module, "predict") == ["params", "state"]
    assert names(module, "train_step") == ["params", "state", "optimizer_state", "rng", "lr"]
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    state, params, optimizer_state = module.init_state(), PARAMS, module.init_optimizer(PARAMS)
    walk = np.zeros(2)
    for _ in range(3):
        params, state, optimizer_state, _ = module.train_step(
            params, state, optimizer_state, rng=rng
        )
        walk = walk + other.standard_normal(2)
        np.testing.assert_array_equal(state["walk"], walk)
