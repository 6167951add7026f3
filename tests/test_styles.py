"""One model that draws and carries a state, in every style: the same numbers, step for step."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import functions

EVERY = ("functional", "workspace", "scalar")


def model() -> gc.Graph:
    """Draws of each kind, dropout, a running mean and a count of the steps."""
    with gc.Graph("noisy", dtype="float64") as g:
        x = g.input("x")
        w = g.parameter("w")
        normal = gc.random.normal((), loc=x, scale=2.0)
        uniform = gc.random.uniform((), low=0.0, high=w)
        chosen = gc.random.bernoulli(0.5, ())
        y = gc.dropout(gc.where(chosen, normal * uniform, w * x), 0.4)
        mean = g.state("mean", ())
        count = g.state("count", (), dtype="int64")
        g.update(mean, 0.9 * mean + 0.1 * gc.stop_gradient(y))
        g.update(count, count + 1)
        g.output("y", y + mean)
        g.loss((y - x) ** 2 + uniform * w)
    return g


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    return {
        style: functions(
            gc.compile(model(), style=style, optimizer=gc.optim.sgd(0.05, momentum=0.5))
        )
        for style in EVERY
    }


def start(style: str) -> tuple[Any, Any]:
    kind = float if style == "scalar" else np.float64
    return {"w": kind(1.5)}, {"mean": kind(0.25), "count": 3}


def test_equal_draws_values_gradients_and_states(compiled: dict[str, Any]) -> None:
    found = []
    for style, code in compiled.items():
        rng = np.random.default_rng(5)
        loss, state, grads = code.value_and_grad(*start(style), 0.7, rng=rng)
        predicted = code.predict(*start(style), 0.7, rng=rng)
        numbers = [loss, state["mean"], state["count"], grads["w"], predicted]
        found.append(([float(number) for number in numbers], rng.bit_generator.state))
    assert found[0] == found[1] == found[2]
    assert found[0][0][2] == 4.0


def test_equal_steps(compiled: dict[str, Any]) -> None:
    histories = []
    for style, code in compiled.items():
        params, state = start(style)
        optimizer = code.init_optimizer(params)
        rng = np.random.default_rng(6)
        history = []
        for _ in range(20):
            params, state, optimizer, loss = code.train_step(params, state, optimizer, 0.7, rng=rng)
            history += [float(loss), float(params["w"]), float(state["mean"]), int(state["count"])]
        histories.append(history)
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-12)
    np.testing.assert_allclose(histories[2], histories[0], rtol=1e-12)
    assert histories[0][-1] == 23


@pytest.mark.parametrize("style", EVERY)
@pytest.mark.parametrize("rng", [None, 3, np.random.RandomState(0)])
def test_what_is_no_generator_is_refused(compiled: dict[str, Any], style: str, rng: Any) -> None:
    params, state = start(style)
    with pytest.raises(TypeError, match=r"rng: expected a numpy\.random\.Generator, got \w+; pass"):
        compiled[style].value_and_grad(params, state, 0.7, rng=rng)


@pytest.mark.parametrize("style", EVERY)
def test_the_state_of_the_start(compiled: dict[str, Any], style: str) -> None:
    state = compiled[style].init_state()
    assert {name: float(value) for name, value in state.items()} == {"mean": 0.0, "count": 0.0}


def test_backward_draws_nothing(compiled: dict[str, Any]) -> None:
    for code in compiled.values():
        assert "rng" not in inspect.signature(code.backward).parameters


@pytest.mark.parametrize("style", EVERY)
@pytest.mark.parametrize("name", ["lr", "momentum"])
@pytest.mark.parametrize("value", [None, "0.1", 1j, np.ones(2), [0.1]])
def test_hyperparameters_are_checked(
    compiled: dict[str, Any], style: str, name: str, value: Any
) -> None:
    params, state = start(style)
    optimizer = compiled[style].init_optimizer(params)
    rng = np.random.default_rng(0)
    with pytest.raises((TypeError, ValueError), match=f"^{name}: expected"):
        compiled[style].train_step(params, state, optimizer, 0.7, rng=rng, **{name: value})


@pytest.mark.parametrize("style", EVERY)
def test_hyperparameters_may_be_numbers_of_any_kind(compiled: dict[str, Any], style: str) -> None:
    params, state = start(style)
    optimizer = compiled[style].init_optimizer(params)
    found = [
        compiled[style].train_step(
            params, state, optimizer, 0.7, rng=np.random.default_rng(0), lr=lr
        )[0]["w"]
        for lr in (1.0, 1, np.float64(1), np.int8(1), np.array(1.0))
    ]
    assert len({float(value) for value in found}) == 1
