"""SGD, step for step: as torch.optim.SGD has it, and as written down by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from tests.peers import peer
from tests.styles import in_every_style, load

STEPS = 50
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"lr": 0.1},
    "momentum": {"lr": 0.05, "momentum": 0.9},
    "nesterov": {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    "weight decay": {"lr": 0.1, "weight_decay": 0.01},
    "all of them": {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05},
}
RNG = np.random.default_rng(5)
X = RNG.normal(size=(STEPS, 6, 3))
T = RNG.normal(size=(STEPS, 6, 2))


def model() -> Any:
    with gc.Graph("m", dtype="float64") as g:
        x = g.input("x", ("n", 3))
        t = g.input("t", ("n", 2))
        W = g.parameter("W", (3, 2), init="normal")
        b = g.parameter("b", (2,))
        g.parameter("unused", (2,), init="ones", trainable=False)
        g.loss(gc.mse(gc.tanh(x @ W + b), t))
    return g


def trained(
    options: dict[str, Any], style: str, **keywords: float
) -> tuple[list[Any], list[float]]:
    """Parameters and losses of each step of the generated training step."""
    net = load(model(), style=style, optimizer=gc.optim.sgd(**options))
    params = net.init_params(np.random.default_rng(1))
    state = net.init_optimizer(params)
    history, losses = [params], []
    for step in range(STEPS):
        before = {name: value.copy() for name, value in params.items()}
        new, state, loss = net.train_step(params, state, X[step], T[step], **keywords)
        for name, value in before.items():  # the step is pure
            np.testing.assert_array_equal(params[name], value)
        params = new
        history.append(params)
        losses.append(float(loss))
        assert state["step"] == step + 1
    return history, losses


@in_every_style
@pytest.mark.parametrize("kind", KINDS)
def test_by_hand(kind: str, style: str) -> None:
    options = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0, **KINDS[kind]}
    history, losses = trained(KINDS[kind], style)
    p = {name: value.copy() for name, value in history[0].items()}
    v = {name: np.zeros_like(value) for name, value in p.items()}
    for step in range(STEPS):
        h = np.tanh(X[step] @ p["W"] + p["b"])
        error = h - T[step]
        np.testing.assert_allclose(losses[step], (error**2).mean(), rtol=1e-12)
        pre_bar = 2 * error / error.size * (1 - h * h)
        grads = {"W": X[step].T @ pre_bar, "b": pre_bar.sum(axis=0)}
        for name, g in grads.items():
            g = g + options["weight_decay"] * p[name]
            v[name] = options["momentum"] * v[name] + g
            p[name] = p[name] - options["lr"] * (
                g + options["momentum"] * v[name] if options["nesterov"] else v[name]
            )
            np.testing.assert_allclose(history[step + 1][name], p[name], rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(history[-1]["unused"], np.ones(2))


@in_every_style
@pytest.mark.parametrize("kind", KINDS)
def test_as_torch_has_it(kind: str, style: str) -> None:
    torch = peer("torch")
    history, losses = trained(KINDS[kind], style)
    W = torch.tensor(history[0]["W"], requires_grad=True)
    b = torch.tensor(history[0]["b"], requires_grad=True)
    optimizer = torch.optim.SGD([W, b], **KINDS[kind])
    for step in range(STEPS):
        optimizer.zero_grad()
        prediction = torch.tanh(torch.tensor(X[step]) @ W + b)
        loss = torch.nn.functional.mse_loss(prediction, torch.tensor(T[step]))
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(losses[step], loss.item(), rtol=1e-12)
        for name, value in (("W", W), ("b", b)):
            found = history[step + 1][name]
            np.testing.assert_allclose(found, value.detach().numpy(), rtol=1e-9, atol=1e-13)


@in_every_style
def test_numbers_may_change_from_step_to_step(style: str) -> None:
    slower, _ = trained({"lr": 0.1, "momentum": 0.9}, style, lr=0.02, momentum=0.5)
    fixed, _ = trained({"lr": 0.02, "momentum": 0.5}, style)
    np.testing.assert_array_equal(slower[-1]["W"], fixed[-1]["W"])
    faster, _ = trained({"lr": 0.1, "momentum": 0.9}, style)
    assert not np.allclose(slower[-1]["W"], faster[-1]["W"])


@in_every_style
def test_float32_stays_float32(style: str) -> None:
    with gc.Graph("m") as g:
        W = g.parameter("W", (3,), init="ones")
        s = g.parameter("s", init=2)
        g.loss((W * W).sum() * s)
    net = load(
        g, optimizer=gc.optim.sgd(momentum=0.9, nesterov=True, weight_decay=0.1), style=style
    )
    params = net.init_params(np.random.default_rng(0))
    state = net.init_optimizer(params)
    for lr in (0.1, np.float64(0.1), 1):
        params, state, loss = net.train_step(params, state, lr=lr)
        kinds = {np.asarray(v).dtype.name for v in (*params.values(), *state["velocity"].values())}
        assert kinds == {"float32"} and loss.dtype == np.float32
        assert params["s"].shape == ()


@in_every_style
def test_frozen_parameters_have_no_slot(style: str) -> None:
    net = load(model(), optimizer=gc.optim.sgd(momentum=0.9), freeze=["b"], style=style)
    params = net.init_params(np.random.default_rng(1))
    state = net.init_optimizer(params)
    assert list(state["velocity"]) == ["W"]
    new, _, _ = net.train_step(params, state, X[0], T[0])
    np.testing.assert_array_equal(new["b"], params["b"])
    assert not np.shares_memory(new["b"], params["b"])
    assert not np.array_equal(new["W"], params["W"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.1}, "lr has to be a number >= 0, got -0.1"),
        ({"lr": float("nan")}, "lr has to be a number >= 0, got nan"),
        ({"lr": float("inf")}, "lr has to be a number >= 0, got inf"),
        ({"lr": "0.1"}, "lr has to be a number >= 0, got '0.1'"),
        ({"lr": None}, "lr has to be a number >= 0, got None"),
        ({"momentum": -1}, "momentum has to be a number >= 0, got -1"),
        ({"weight_decay": -1}, "weight_decay has to be a number >= 0, got -1"),
        ({"nesterov": True}, "nesterov needs a momentum > 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        gc.optim.sgd(**options)
    assert str(caught.value).endswith(message)


def test_an_optimizer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match=r"there is no optimizer 'sdg'; did you mean 'sgd'\?"):
        gc.compile(model(), optimizer="sdg")
