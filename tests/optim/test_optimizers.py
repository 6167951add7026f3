"""Optimisers, step for step: as their papers write them down, and as torch.optim has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from tests.codegen.nets import built
from tests.optim.problems import STEPS, Array, T, X, gradients, regression, trained
from tests.peers import peer
from tests.styles import in_every_style, load

# Optimiser, its options, and the name of torch.optim's with the options that differ there.
KINDS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "sgd": ("sgd", {"lr": 0.1}, "SGD", {}),
    "sgd, decay": ("sgd", {"lr": 0.1, "weight_decay": 0.01}, "SGD", {}),
    "momentum": ("momentum", {"lr": 0.05}, "SGD", {"momentum": 0.9}),
    "dampening": (
        "momentum",
        {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.05}, "SGD", {},
    ),
    "nesterov": ("nesterov", {"lr": 0.05}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "nesterov, decay": (
        "sgd", {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}, "SGD", {},
    ),
    "adagrad": ("adagrad", {}, "Adagrad", {}),
    "adagrad, all": (
        "adagrad",
        {"lr": 0.1, "lr_decay": 0.05, "eps": 1e-3, "weight_decay": 0.1, "initial_accumulator": 0.2},
        "Adagrad", {"initial_accumulator_value": 0.2, "initial_accumulator": None},
    ),
    "rmsprop": ("rmsprop", {}, "RMSprop", {}),
    "rmsprop, all": (
        "rmsprop",
        {"alpha": 0.9, "eps": 1e-3, "momentum": 0.7, "centered": True, "weight_decay": 0.1},
        "RMSprop", {},
    ),
    "adam": ("adam", {}, "Adam", {}),
    "adam, all": (
        "adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}, "Adam", {},
    ),
    "adamw": ("adamw", {}, "AdamW", {}),
    "adamw, all": (
        "adamw", {"lr": 0.02, "betas": (0.0, 0.9), "eps": 1e-3, "weight_decay": 0.5}, "AdamW", {},
    ),
}  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind: str) -> Any:
    """The optimiser of a row."""
    name, options, _, _ = KINDS[kind]
    return getattr(gc.optim, name)(**options)


# --- by hand -----------------------------------------------------------------------------------


def by_sgd(p: Array, g: Array, t: int, slots: dict[str, Array], o: dict[str, Any]) -> Array:
    """One step, from parameter, gradient and the number of the step, which counts from 1."""
    g = g + o.get("weight_decay", 0) * p
    mu = o.get("momentum", 0)
    v = slots["v"] = mu * slots["v"] + (1 if t == 1 else 1 - o.get("dampening", 0)) * g
    return p - o.get("lr", 0.01) * (g + mu * v if o.get("nesterov") else v)


def by_adagrad(p: Array, g: Array, t: int, slots: dict[str, Array], o: dict[str, Any]) -> Array:
    g = g + o.get("weight_decay", 0) * p
    slots["v"] = slots["v"] + g**2
    rate = o.get("lr", 0.01) / (1 + (t - 1) * o.get("lr_decay", 0))
    return p - rate * g / (
        np.sqrt(slots["v"] + o.get("initial_accumulator", 0)) + o.get("eps", 1e-10)
    )


def by_rmsprop(p: Array, g: Array, t: int, slots: dict[str, Array], o: dict[str, Any]) -> Array:
    g = g + o.get("weight_decay", 0) * p
    alpha = o.get("alpha", 0.99)
    slots["v"] += (1 - alpha) * (g**2 - slots["v"])
    slots["m"] += (1 - alpha) * (g - slots["m"])
    variance = slots["v"] - (slots["m"] ** 2 if o.get("centered") else 0)
    slots["b"] = o.get("momentum", 0) * slots["b"] + g / (np.sqrt(variance) + o.get("eps", 1e-8))
    return p - o.get("lr", 0.01) * slots["b"]


def by_adam(p: Array, g: Array, t: int, slots: dict[str, Array], o: dict[str, Any]) -> Array:
    """Algorithm 1 of Kingma and Ba."""
    beta1, beta2 = o.get("betas", (0.9, 0.999))
    g = g + o.get("weight_decay", 0) * p
    slots["m"] = beta1 * slots["m"] + (1 - beta1) * g
    slots["v"] = beta2 * slots["v"] + (1 - beta2) * g**2
    mean, square = slots["m"] / (1 - beta1**t), slots["v"] / (1 - beta2**t)
    return p - o.get("lr", 0.001) * mean / (np.sqrt(square) + o.get("eps", 1e-8))


def by_adamw(p: Array, g: Array, t: int, slots: dict[str, Array], o: dict[str, Any]) -> Array:
    decayed = p * (1 - o.get("lr", 0.001) * o.get("weight_decay", 0.01))
    return by_adam(p, g, t, slots, {**o, "weight_decay": 0}) - p + decayed


BY_HAND: dict[str, Callable[..., Array]] = {
    "sgd": by_sgd,
    "momentum": lambda p, g, t, s, o: by_sgd(p, g, t, s, {"momentum": 0.9, **o}),
    "nesterov": lambda p, g, t, s, o: by_sgd(p, g, t, s, {"momentum": 0.9, "nesterov": True, **o}),
    "adagrad": by_adagrad,
    "rmsprop": by_rmsprop,
    "adam": by_adam,
    "adamw": by_adamw,
}


@in_every_style
@each_kind
def test_fifty_steps_are_those_written_by_hand(kind: str, style: str) -> None:
    name, options, _, _ = KINDS[kind]
    history, losses, _ = trained(style, optimizer=made(kind))
    p = {key: value.copy() for key, value in history[0].items()}
    slots = {key: {slot: np.zeros_like(p[key]) for slot in "mvb"} for key in ("W", "b")}
    for step in range(STEPS):
        loss, slopes = gradients(p, step)
        np.testing.assert_allclose(losses[step], loss, rtol=1e-11)
        for key, slope in slopes.items():
            p[key] = BY_HAND[name](p[key], slope, step + 1, slots[key], options)
            np.testing.assert_allclose(history[step + 1][key], p[key], rtol=1e-10, atol=1e-13)


@each_kind
def test_python_numbers_take_the_same_steps(kind: str) -> None:
    name, options, _, _ = KINDS[kind]

    def declare(g: gc.Graph) -> None:
        w = g.parameter("w", init=0.5)
        g.loss((gc.exp(w) - g.input("x") * w) ** 2)

    module = built(declare, {"optimizer": made(kind), "style": "scalar"}).compiled.load()
    params: dict[str, float] = {"w": 0.5}
    state = module.init_optimizer(params)
    w, slots = np.float64(0.5), dict.fromkeys("mvb", np.float64(0))
    for step in range(12):
        x = 0.3 * step - 1
        params, state, _ = module.train_step(params, state, x)
        slope = 2 * (np.exp(w) - x * w) * (np.exp(w) - x)
        w = BY_HAND[name](w, slope, step + 1, slots, options)
        np.testing.assert_allclose(params["w"], w, rtol=1e-10)
        assert type(params["w"]) is float


# --- as torch.optim has it ---------------------------------------------------------------------


@pytest.mark.conformance
@in_every_style
@each_kind
@pytest.mark.parametrize(("dtype", "close"), [("float64", 1e-11), ("float32", 2e-4)])
def test_fifty_steps_are_those_of_torch(dtype: str, close: float, kind: str, style: str) -> None:
    torch = peer("torch")
    _, options, theirs, other = KINDS[kind]
    history, losses, _ = trained(style, dtype, optimizer=made(kind))
    names = ("W", "b")
    tensors = {name: torch.tensor(history[0][name], requires_grad=True) for name in names}
    numbers = {k: v for k, v in {**options, **other}.items() if v is not None}
    optimizer = getattr(torch.optim, theirs)(tensors.values(), **numbers)
    for step in range(STEPS):
        optimizer.zero_grad()
        x, t = torch.tensor(X[step].astype(dtype)), torch.tensor(T[step].astype(dtype))
        loss = torch.nn.functional.mse_loss(torch.tanh(x @ tensors["W"] + tensors["b"]), t)
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(losses[step], loss.item(), rtol=close)
        for name in names:
            found, right = history[step + 1][name], tensors[name].detach().numpy()
            assert found.dtype == dtype
            np.testing.assert_allclose(found, right, rtol=close, atol=close / 10)


# --- numbers of the call -----------------------------------------------------------------------


@in_every_style
@pytest.mark.parametrize(
    ("compiled", "called"),
    [
        ({"lr": 0.02}, {"lr": 0.02}),
        ({"betas": (0.5, 0.7)}, {"beta1": 0.5, "beta2": 0.7}),
        ({"eps": 0.1, "weight_decay": 0.2}, {"eps": 0.1, "weight_decay": 0.2}),
    ],
)
def test_numbers_may_change_from_step_to_step(
    compiled: dict[str, Any], called: dict[str, float], style: str
) -> None:
    fixed, _, _ = trained(style, optimizer=gc.optim.adam(**{"weight_decay": 0.1, **compiled}))
    given, _, _ = trained(style, numbers=called, optimizer=gc.optim.adam(weight_decay=0.1))
    np.testing.assert_array_equal(given[-1]["W"], fixed[-1]["W"])
    other, _, _ = trained(style, optimizer=gc.optim.adam(weight_decay=0.1))
    assert not np.allclose(other[-1]["W"], fixed[-1]["W"])


@in_every_style
@pytest.mark.parametrize("kind", ["nesterov, decay", "adagrad, all", "rmsprop, all", "adamw"])
def test_float32_stays_float32(kind: str, style: str) -> None:
    with gc.Graph("m") as g:
        W = g.parameter("W", (3,), init="ones")
        s = g.parameter("s", init=2)
        g.loss((W * W).sum() * s)
    net = load(g, optimizer=made(kind), clip_norm=0.1, schedule="cosine:steps=9", style=style)
    params = net.init_params(np.random.default_rng(0))
    state = net.init_optimizer(params)
    for lr in (0.1, np.float64(0.1), 1):
        params, state, loss = net.train_step(params, state, lr=lr)
        slots = [value for slot in state if slot != "step" for value in state[slot].values()]
        assert {np.asarray(v).dtype.name for v in (*params.values(), *slots)} == {"float32"}
        assert loss.dtype == np.float32
        assert params["s"].shape == ()


def test_the_corrections_of_adam_are_not_rounded_to_float32() -> None:
    # In float32, 1 - 0.999 has an error of 1e-5; the first step of Adam is lr, whatever the slope.
    history, _, _ = trained("functional", "float32", optimizer=gc.optim.adam(lr=1.0, eps=0.0))
    moved = np.abs(history[1]["W"].astype(float) - history[0]["W"].astype(float))
    np.testing.assert_allclose(moved, 1.0, rtol=3e-7)


def test_a_variance_that_rounds_below_zero_is_zero() -> None:
    with gc.Graph("m") as g:
        g.loss((g.parameter("w", (4,)) * np.array([0.1, 0.3, 0.7, 1.1])).sum())
    net = load(g, optimizer=gc.optim.rmsprop(alpha=0.5, centered=True), style="functional")
    params = {"w": np.zeros(4, np.float32)}
    state = net.init_optimizer(params)
    for _ in range(60):  # the slope never changes, so that its variance tends to 0
        params, state, _ = net.train_step(params, state)
    assert np.isfinite(params["w"]).all()


@pytest.mark.parametrize("kind", ["adam, all", "rmsprop, all", "adagrad, all"])
@pytest.mark.parametrize("lr", [1e300, "fast"])
def test_a_step_of_a_workspace_that_fails_changes_nothing(lr: Any, kind: str) -> None:
    options = {"optimizer": made(kind), "clip_norm": 0.1, "schedule": "step:every=5"}
    ws = gc.compile(regression("float32"), style="workspace", **options).load().Workspace(n=6)
    inputs = X[0].astype(np.float32), T[0].astype(np.float32)
    ws.step(*inputs)
    vectors = {name: value for name, value in vars(ws).items() if name.endswith("_vector")}
    before = {name: value.copy() for name, value in vectors.items() if name != "grad_vector"}
    assert len(before) >= 2
    with np.errstate(over="raise"), pytest.raises((FloatingPointError, TypeError)):
        ws.step(*inputs, lr=lr)
    assert ws.steps == 1
    for name, value in before.items():
        np.testing.assert_array_equal(vectors[name], value)


# --- what is kept for each parameter -----------------------------------------------------------


@in_every_style
def test_frozen_parameters_have_no_slot(style: str) -> None:
    net = load(regression(), optimizer="adam", freeze=["b"], style=style)
    params = net.init_params(np.random.default_rng(1))
    state = net.init_optimizer(params)
    assert {slot: list(state[slot]) for slot in ("mean", "mean_square")} == {
        "mean": ["W"],
        "mean_square": ["W"],
    }
    new, _, _ = net.train_step(params, state, X[0], T[0])
    np.testing.assert_array_equal(new["b"], params["b"])
    assert not np.shares_memory(new["b"], params["b"])
    assert not np.array_equal(new["W"], params["W"])


@pytest.mark.parametrize(
    ("name", "options", "slots"),
    [
        ("sgd", {}, {}),
        ("nesterov", {}, {"velocity": 0.0}),
        ("adagrad", {"initial_accumulator": 0.25}, {"sum_square": 0.25}),
        ("rmsprop", {}, {"mean_square": 0.0}),
        ("rmsprop", {"centered": True, "momentum": 0.1},
         {"mean_square": 0.0, "mean": 0.0, "velocity": 0.0}),
        ("adam", {}, {"mean": 0.0, "mean_square": 0.0}),
    ],
)  # fmt: skip
def test_slots_start_as_they_should(
    name: str, options: dict[str, Any], slots: dict[str, float]
) -> None:
    module = gc.compile(regression(), optimizer=getattr(gc.optim, name)(**options)).load()
    state = module.init_optimizer(module.init_params(np.random.default_rng(0)))
    assert state.pop("step") == 0
    assert {slot: {float(v.flat[0]) for v in state[slot].values()} for slot in state} == {
        slot: {start} for slot, start in slots.items()
    }


# --- bad numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sgd", {"lr": -0.1}, "lr has to be a number >= 0, got -0.1"),
        ("sgd", {"lr": float("nan")}, "lr has to be a number >= 0, got nan"),
        ("adam", {"lr": float("inf")}, "lr has to be a number >= 0, got inf"),
        ("sgd", {"lr": "0.1"}, "lr has to be a number >= 0, got '0.1'"),
        ("sgd", {"lr": None}, "lr has to be a number >= 0, got None"),
        ("adam", {"lr": True}, "lr has to be a number >= 0, got True"),
        ("sgd", {"momentum": -1}, "momentum has to be a number >= 0, got -1"),
        ("adamw", {"weight_decay": -1}, "weight_decay has to be a number >= 0, got -1"),
        ("sgd", {"nesterov": True}, "nesterov needs a momentum > 0"),
        ("sgd", {"dampening": 0.1}, "dampening needs a momentum > 0"),
        ("sgd", {"nesterov": True, "momentum": 0.1, "dampening": 0.1},
         "nesterov needs a momentum > 0 and no dampening"),
        ("adam", {"betas": (0.9, 1)}, "betas[1] has to be a number >= 0 and < 1, got 1"),
        ("adam", {"betas": (-0.1, 0.9)}, "betas[0] has to be a number >= 0 and < 1, got -0.1"),
        ("adam", {"betas": 0.9}, "betas has to be two numbers, got 0.9"),
        ("adam", {"betas": "ab"}, "betas has to be two numbers, got 'ab'"),
        ("rmsprop", {"alpha": 1.0}, "alpha has to be a number >= 0 and < 1, got 1.0"),
        ("sgd", {"lr": 10**400}, f"lr has to be a number >= 0, got {10**400}"),
        ("adagrad", {"lr_decay": -1}, "lr_decay has to be a number >= 0, got -1"),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense_are_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        getattr(gc.optim, name)(**options)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("sdg", r"there is no optimizer 'sdg'; did you mean 'sgd'\?"),
        ("lion", r"there is no optimizer 'lion'; use one of sgd, momentum, "),
        (0.1, r"there is no optimizer 0.1; use one of sgd, "),
        (gc.optim.adam, r"there is no optimizer <function adam at .*>; call it"),
        (["adam"], r"there is no optimizer \['adam'\]"),
    ],
)
def test_an_optimizer_that_does_not_exist_is_refused(optimizer: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gc.compile(regression(), optimizer=optimizer)


def test_the_namespace_answers_for_itself() -> None:
    assert gc.optim.__all__ == sorted(gc.optim.__all__)
    for name in gc.optim.__all__:
        assert getattr(gc.optim, name).__doc__
    with pytest.raises(AttributeError, match=r"gc\.optim has no 'adan'; did you mean 'adam"):
        _ = gc.optim.adan
