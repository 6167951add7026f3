"""State from end to end: declared, initialised, read, updated, threaded through training.

The model is a batch norm written by hand: statistics of the batch in training, running ones in
inference. What it computes is computed here once more by a loop in plain NumPy.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.check import check
from graphc.errors import DeclarationError, DTypeError, GraphcError, UsageError
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


# --- dtypes and initial values -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_a_counter_stays_an_int(dtype: str) -> None:
    def declare(g: gc.Graph, w: Any) -> Any:
        count = g.state("count", dtype=dtype, init=5)
        g.update(count, count + 1)
        return w / count

    module = stateful(declare)
    state = module.init_state()
    for step in range(3):
        loss, state, _ = module.forward(PARAMS, state)
        np.testing.assert_allclose(loss, 5 / (5 + step), rtol=1e-6)
        assert (state["count"].dtype, state["count"].shape) == (np.dtype(dtype), ())
        assert state["count"] == 6 + step


def test_a_bool_state_remembers() -> None:
    with gc.Graph("remembers") as g:
        x = g.input("x", (3,))
        seen = g.state("seen", (3,), dtype="bool")
        armed = g.state("armed", dtype="bool", init=True)
        g.update(seen, seen | (x > 1))
        g.update(armed, armed & (x.sum() < 4))
        g.output("y", gc.where(seen, x, 0.0))
    module = gc.compile(g).load()
    state = module.init_state()
    assert (state["seen"].tolist(), bool(state["armed"])) == ([False] * 3, True)
    for x_, seen_, armed_ in [
        ([0, 2, 0], [False, True, False], True),
        ([3, 0, 0], [True, True, False], True),
        ([0, 0, 9], [True, True, True], False),
        ([0, 0, 0], [True, True, True], False),
    ]:
        _, state, _ = module.forward(state, np.array(x_, np.float32))
        assert {v.dtype for v in state.values()} == {np.dtype(bool)}
        assert (state["seen"].tolist(), bool(state["armed"])) == (seen_, armed_)
    np.testing.assert_array_equal(module.predict(state, np.ones(3, np.float32)), [1, 1, 1])


def test_initial_values_are_those_declared() -> None:
    array = np.array([[1.5, -0.0], [np.inf, np.nan]])
    with gc.Graph("initial") as g:
        x = g.input("x", (2,))
        g.state("zeros", (2,))
        g.state("number", (2, 1), init=0.5)
        g.state("lowest", (), init=-np.inf)
        g.state("array", (2, 2), init=array, dtype="float64")
        g.state("label", (), init=-1, dtype="int64")
        g.state("flags", (2,), init="ones", dtype="bool")
        g.state("half", (1,), init=0.1, dtype="float16")
        g.output("y", x * 2)
    array[...] = 7  # the graph has a copy
    module = gc.compile(g).load()
    first, second = module.init_state(), module.init_state()
    expected = {
        "zeros": np.zeros(2, np.float32),
        "number": np.full((2, 1), 0.5, np.float32),
        "lowest": np.asarray(-np.inf, np.float32),
        "array": np.array([[1.5, -0.0], [np.inf, np.nan]]),
        "label": np.asarray(-1),
        "flags": np.ones(2, bool),
        "half": np.full(1, 0.1, np.float16),
    }
    assert list(first) == list(expected)
    for name, value in expected.items():
        assert (first[name].dtype, first[name].shape) == (value.dtype, value.shape), name
        assert first[name].tobytes() == value.tobytes(), name
        first[name][...] = 1
        assert second[name].tobytes() == module.init_state()[name].tobytes() == value.tobytes()


def test_a_state_of_a_named_size_is_made_for_one() -> None:
    with gc.Graph("hidden", dtype="float64") as g:
        x = g.input("x", ("batch", 2))
        h = g.state("h", ("batch", 2))
        g.update(h, np.tanh(x + 0.5 * h))
        g.output("y", x + h)
    module = gc.compile(g).load()
    assert str(inspect.signature(module.init_state)) == "(*, batch: 'int') -> 'State'"
    state, h_ = module.init_state(batch=3), np.zeros((3, 2))
    x_ = np.arange(6.0).reshape(3, 2)
    for _ in range(3):
        np.testing.assert_allclose(module.predict(state, x_), x_ + h_)
        _, state, _ = module.forward(state, x_)
        h_ = np.tanh(x_ + 0.5 * h_)
        np.testing.assert_allclose(state["h"], h_)
    with pytest.raises(ValueError, match=r"x: expected float64 of shape \(4, 2\)"):
        module.forward(module.init_state(batch=4), x_)


def test_the_state_is_checked_at_the_boundary() -> None:
    module = gc.compile(batch_norm()).load()
    params, (x, t) = module.init_params(np.random.default_rng(1)), data()
    good = module.init_state()
    for wrong, error in [
        ({"norm.mean": np.zeros(3)}, ValueError),
        ({"steps": np.float64(1.5)}, TypeError),
        ({"norm.variance": None}, TypeError),
    ]:
        (name,) = wrong
        with pytest.raises(error, match=name):
            module.forward(params, {**good, **wrong}, x, t)
    with pytest.raises(KeyError, match="steps"):
        module.forward(params, {k: v for k, v in good.items() if k != "steps"}, x, t)


# --- the hash ------------------------------------------------------------------------------------


def test_the_hash_depends_on_all_that_is_declared_of_a_state() -> None:
    def digest(
        name: str = "s", init: Any = 0, dtype: str = "float32", factor: float = 0.5,
        *, updated: bool = True, extra: bool = False,
    ) -> str:  # fmt: skip
        with gc.Graph("hash") as g:
            x = g.input("x", ())
            s = g.state(name, (), init=init, dtype=dtype)
            if extra:
                g.state("idle")
            if updated:
                g.update(s, s * (1 if dtype == "int64" else factor))
            g.output("y", x + s)
        return gc.compile(g).lowered.digest

    changed = [
        digest(), digest("other"), digest(init=1), digest(dtype="float64"), digest(dtype="int64"),
        digest(factor=0.25), digest(updated=False), digest(extra=True), digest(init="ones"),
    ]  # fmt: skip
    assert len(set(changed)) == len(changed)
    assert digest() == changed[0]


# --- wrong declarations --------------------------------------------------------------------------

WRONG: list[tuple[Callable[[gc.Graph, Any, Any], Any], type[GraphcError], str]] = [
    (lambda g, s, x: g.update(x, s), DeclarationError, "expects a state of this graph, got .*x"),
    (lambda g, s, x: g.update(s + 1, s), DeclarationError, "expects a state of this graph"),
    (lambda g, s, x: g.update("s", x), DeclarationError, "expects a state of this graph, got 's'"),
    (lambda g, s, x: g.update(s, x[:1]), DeclarationError, "the update of s .* another shape"),
    (lambda g, s, x: g.update(g.state("n", (2,), dtype="int64"), x), DTypeError, "more than preci"),
    (lambda g, s, x: g.update(g.state("b", (2,), dtype="bool"), x), DTypeError, "more than precis"),
    (lambda g, s, x: [g.update(s, x), g.update(s, x)], DeclarationError, "has an update already"),
    (lambda g, s, x: g.state("s", (2,)), DeclarationError, "already state s"),
    (lambda g, s, x: g.state("n", (2,), init=np.zeros(3)), DeclarationError, r"shape \(3,\)"),
    (lambda g, s, x: g.state("n", dtype="int64", init=0.5), DeclarationError, "got 0.5"),
    (lambda g, s, x: g.state("n", dtype="bool", init="normal"), DeclarationError, "makes floats"),
    (lambda g, s, x: g.state("n", (-1,)), DeclarationError, "negative size"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "told"), WRONG, ids=[w[2] for w in WRONG])
def test_a_wrong_declaration_is_told(call: Any, error: type[GraphcError], told: str) -> None:
    with gc.Graph("wrong") as g:
        s, x = g.state("s", (2,)), g.input("x", (2,))
        with pytest.raises(error, match=told):
            call(g, s, x)
