"""Schedules: the learning rate of each step, in closed form and as PyTorch's schedulers have it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from tests.optim.problems import STEPS, regression
from tests.peers import peer
from tests.styles import in_every_style, load

LR = 0.5
Rate = Callable[[int], float]


def warm(steps: int, start: float, then: Rate) -> Rate:
    """From a share of LR up to it, then something else."""
    return lambda t: LR * (start + (1 - start) * t / steps) if t < steps else then(t - steps)


def cosine(steps: int, least: float) -> Rate:
    """Half a cosine."""
    return lambda t: least + (LR - least) * (1 + math.cos(math.pi * min(t / steps, 1))) / 2


o = gc.optim
# The schedule, its text, the rate of each step, and PyTorch's scheduler of an optimiser.
SCHEDULES: dict[str, tuple[Any, list[str], Rate, Callable[[Any, Any], Any]]] = {
    "constant": (
        o.constant(), ["constant"], lambda t: LR, lambda s, a: s.ConstantLR(a, factor=1.0),
    ),
    "step": (
        o.step(7, gamma=0.5), ["step:every=7,gamma=0.5"], lambda t: LR * 0.5 ** (t // 7),
        lambda s, a: s.StepLR(a, 7, gamma=0.5),
    ),
    "step of 1": (
        o.step(1), ["step:every=1"], lambda t: LR * 0.1**t, lambda s, a: s.StepLR(a, 1),
    ),
    "exponential": (
        o.exponential(0.93), ["exponential:gamma=0.93"], lambda t: LR * 0.93**t,
        lambda s, a: s.ExponentialLR(a, 0.93),
    ),
    "cosine": (
        o.cosine(STEPS), [f"cosine:steps={STEPS}"], cosine(STEPS, 0.0),
        lambda s, a: s.CosineAnnealingLR(a, STEPS),
    ),
    "cosine to a minimum": (
        o.cosine(STEPS, minimum=0.1), [f"cosine:steps={STEPS},minimum=0.1"], cosine(STEPS, 0.1),
        lambda s, a: s.CosineAnnealingLR(a, STEPS, eta_min=0.1),
    ),
    "warm-up": (
        o.warmup(20), ["warmup:steps=20"], warm(20, 1 / 3, lambda t: LR),
        lambda s, a: s.LinearLR(a, total_iters=20),
    ),
    "warm-up, then cosine": (
        o.warmup(9, start=0.1, then=o.cosine(41)), ["warmup:steps=9,start=0.1", "cosine:steps=41"],
        warm(9, 0.1, cosine(41, 0.0)),
        lambda s, a: s.SequentialLR(
            a, [s.LinearLR(a, 0.1, total_iters=9), s.CosineAnnealingLR(a, 41)], [9]
        ),
    ),
    "warm-up, then steps": (
        o.warmup(5, start=0.2, then=o.step(6)), ["warmup:steps=5,start=0.2", "step:every=6"],
        warm(5, 0.2, lambda t: LR * 0.1 ** (t // 6)),
        lambda s, a: s.SequentialLR(a, [s.LinearLR(a, 0.2, total_iters=5), s.StepLR(a, 6)], [5]),
    ),
}  # fmt: skip
each_schedule = pytest.mark.parametrize("name", SCHEDULES)


def slope_one(dtype: str = "float64") -> gc.Graph:
    """A model whose gradient is 1: each step of SGD goes as far as the learning rate."""
    with gc.Graph("m", dtype=dtype) as g:
        g.loss(g.parameter("w"))
    return g


def rates(style: str, steps: int, schedule: Any, lr: float = LR) -> list[float]:
    """The learning rates that steps of SGD show."""
    net = load(slope_one(), style=style, optimizer="sgd", schedule=schedule)
    found = []
    state = net.init_optimizer({"w": np.zeros(())})
    for _ in range(steps):
        new, state, _ = net.train_step({"w": np.zeros(())}, state, lr=lr)
        found.append(-float(new["w"]))
    return found


@in_every_style
@each_schedule
def test_the_rate_of_each_step(name: str, style: str) -> None:
    schedule, _, right, _ = SCHEDULES[name]
    found = rates(style, STEPS + 5, schedule)
    np.testing.assert_allclose(found, [right(t) for t in range(STEPS + 5)], rtol=1e-13, atol=1e-17)


@each_schedule
def test_a_schedule_is_told_as_text(name: str) -> None:
    schedule, texts, _, _ = SCHEDULES[name]
    given = gc.compile(slope_one(), optimizer="sgd", schedule=schedule).source
    told = gc.compile(slope_one(), optimizer="sgd", schedule=texts).source
    assert given == told
    assert ("def scheduled(" in told) is (name != "constant")
    if name != "constant":
        assert "math." in told or "since" in told or "rising" in told


def test_python_numbers_follow_a_schedule_too() -> None:
    schedule, _, right, _ = SCHEDULES["warm-up, then steps"]
    net = gc.compile(slope_one(), style="scalar", optimizer="sgd", schedule=schedule).load()
    params, state = {"w": 0.0}, {"step": 16}
    new, _, _ = net.train_step(params, state, lr=LR)
    assert new["w"] == pytest.approx(-right(16), rel=1e-13)


def test_the_number_of_the_step_is_in_the_state_of_the_optimiser() -> None:
    net = gc.compile(regression(), optimizer="adam", schedule=gc.optim.exponential(0.5)).load()
    assert net.scheduled(8.0, 3) == 1.0
    assert "adam(" in net.__graphc__["options"]["optimizer"] + "("
    assert net.__graphc__["options"]["schedule"] == "exponential:gamma=0.5"


@pytest.mark.conformance
@each_schedule
def test_rates_are_those_of_torch(name: str) -> None:
    torch = peer("torch")
    schedule, _, _, theirs = SCHEDULES[name]
    w = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=LR)
    scheduler = theirs(torch.optim.lr_scheduler, optimizer)
    right = []
    for _ in range(STEPS):
        right.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates("functional", STEPS, schedule), right, rtol=1e-11, atol=1e-15)


# --- bad schedules -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: o.cosine(0), "steps has to be an int >= 1, got 0"),
        (lambda: o.cosine(2.5), "steps has to be an int >= 1, got 2.5"),
        (lambda: o.step(True), "every has to be an int >= 1, got True"),
        (lambda: o.step(3, gamma=0), "gamma has to be a number > 0, got 0"),
        (lambda: o.exponential(-1), "gamma has to be a number > 0, got -1"),
        (lambda: o.warmup(3, start=0), "start has to be a number > 0, got 0"),
        (lambda: o.cosine(3, minimum=-1), "minimum has to be a number >= 0, got -1"),
        (lambda: o.warmup(3, then=0.1), "then has to be a schedule, got 0.1; as in gc.optim."),
    ],
)
def test_numbers_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("cosin", "there is no schedule 'cosin'; did you mean 'cosine'?"),
        ("poly:power=2", "there is no schedule 'poly:power=2'; use one of constant, step,"),
        ("cosine", "the schedule cosine needs steps; as in 'cosine:steps=1000'"),
        ("cosine:step=9", "the schedule cosine has no 'step'; did you mean 'steps'?"),
        ("cosine:steps=9,steps=8", "the schedule 'cosine:steps=9,steps=8' gives steps twice"),
        ("cosine:steps=many", "cosine: steps has to be a number, got 'many'"),
        ("cosine:steps=1.5", "steps has to be an int >= 1, got 1.5"),
        ("constant:lr=3", "the schedule constant has no 'lr'; it has no numbers"),
        (
            ["cosine:steps=9", "constant"],
            "a schedule can follow a warmup only, not 'cosine:steps=9'",
        ),
        (0.5, "schedule has to be a schedule, got 0.5; use one of gc.optim"),
        ([gc.optim.cosine(3)], "there is no schedule Schedule(kind='cosine:steps=3'"),
    ],
)
def test_a_schedule_that_does_not_exist_is_refused(schedule: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        gc.compile(slope_one(), optimizer="sgd", schedule=schedule)
    assert message in str(caught.value)
