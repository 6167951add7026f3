"""`fit`: the loop over shuffled mini-batches, its callback, its progress, and what it refuses."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from tests.codegen.fitted import BIAS, OPTIONS, T, Training, X, network
from tests.codegen.nets import built
from tests.styles import in_every_style


@cache
def generated(style: str) -> Any:
    """The module of the network."""
    return gc.compile(network(), style=style, **OPTIONS).load()


@cache
def functional() -> Any:
    """The functional module without `fit`."""
    return gc.compile(network(), **{**OPTIONS, "fit": False}).load()


def by_hand(epochs: int, batch_size: int) -> tuple[dict[str, Any], list[float]]:
    """The loop as one would write it, around the functional training step."""
    net, rng = functional(), np.random.default_rng(0)
    params, state = net.init_params(rng), net.init_state()
    optimizer_state = net.init_optimizer(params)
    losses = []
    for _ in range(epochs):
        order, told = rng.permutation(len(X)), []
        for rows in np.split(order, range(batch_size, len(X), batch_size)):
            params, state, optimizer_state, loss = net.train_step(
                params, state, optimizer_state, X[rows], T[rows], BIAS, rng=rng
            )
            told += [float(loss)] * len(rows)
        losses.append(float(np.mean(told)))
    return {**params, **state}, losses


@in_every_style
@pytest.mark.parametrize("batch_size", [5, 23, 100, np.int64(1)])
def test_it_is_the_loop_around_the_training_step(batch_size: int, style: str) -> None:
    training = Training(generated(style))
    losses = training.fit(2, batch_size=batch_size)
    expected, told = by_hand(2, batch_size)
    np.testing.assert_allclose(losses, told, rtol=1e-6)
    found = training.arrays()
    assert found["step"] == 2 * -(-23 // batch_size)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-6)


@in_every_style
def test_a_model_learns(style: str) -> None:
    def declare(g: gc.Graph) -> None:
        x, t = g.input("x", ("n", 2)), g.input("t", ("n",))
        w, b = g.parameter("w", (2,)), g.parameter("b")
        g.loss(gc.mse(x @ w + b, t))

    options = {"optimizer": "nesterov", "fit": True, "style": style}
    module = built(declare, options, dtype="float64").compiled.load()
    x = np.random.default_rng(0).normal(size=(64, 2))
    t = x @ [2.0, -1.0] + 0.5
    rng = np.random.default_rng(1)
    if style == "workspace":
        workspace = module.Workspace(n=1)
        losses = workspace.fit(x, t, epochs=40, batch_size=16, rng=rng, lr=0.05)
        params = workspace.params
    else:
        params = module.init_params(rng)
        params, state, losses = module.fit(params, x, t, epochs=40, batch_size=16, rng=rng, lr=0.05)
        assert state["step"] == 160
    assert losses[0] > 1
    assert losses[-1] < 1e-8
    np.testing.assert_allclose(params["w"], [2.0, -1.0], atol=1e-4)
    np.testing.assert_allclose(params["b"], 0.5, atol=1e-4)


@in_every_style
def test_numbers_are_passed_on_to_the_step(style: str) -> None:
    still = Training(generated(style))
    before = {name: value.copy() for name, value in still.arrays().items()}
    still.fit(1, lr=0.0)
    after = still.arrays()
    for name in ("W", "V", "fixed"):
        np.testing.assert_array_equal(after[name], before[name])
    assert not np.array_equal(after["mean"], before["mean"])


# --- the callback and the progress line --------------------------------------------------------


@in_every_style
def test_the_callback_is_told_of_each_epoch_and_can_stop(style: str) -> None:
    told: list[tuple[Any, ...]] = []

    def callback(*given: Any) -> bool:
        told.append(given)
        return len(told) == 3

    training = Training(generated(style))
    losses = training.fit(9, callback=callback)
    assert [epoch for epoch, *_ in told] == [0, 1, 2]
    assert [loss for _, loss, *_ in told] == losses
    rest = 0 if style == "workspace" else 3
    assert [len(given) for given in told] == [2 + rest] * 3
    if rest:
        assert told[-1][2:] == (training.params, training.state, training.optimizer_state)


@in_every_style
def test_the_progress_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    losses = Training(generated(style)).fit(2, batch_size=10, progress=True)
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 3 and lines[2] == ""
    for epoch, (line, loss) in enumerate(zip(lines, losses, strict=False), 1):
        shown = line.split("\r")[1:]
        assert [text.split("  ")[:2] for text in shown] == [
            [f"epoch {epoch}/2", f"{done}/23"] for done in (10, 20, 23)
        ]
        assert float(shown[-1].split()[-1]) == pytest.approx(loss, rel=1e-5)
    Training(generated(style)).fit(1)
    assert capsys.readouterr().out == ""


# --- what is passed ----------------------------------------------------------------------------


@in_every_style
def test_arguments_stay_as_they_are(style: str) -> None:
    training = Training(generated(style))
    x, t = X.copy(), T.copy()
    if style == "functional":
        given = (training.params, training.state)
        values = [value.copy() for group in given for value in group.values()]
        optimizer_state = training.optimizer_state
    training.fit(1)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(t, T)
    if style == "functional":
        after = [value for group in given for value in group.values()]
        np.testing.assert_equal(after, values)
        assert optimizer_state["step"] == 0


def test_no_epoch_gives_copies() -> None:
    training = Training(generated("functional"))
    before = training.params
    assert training.fit(0) == []
    for name, value in training.params.items():
        np.testing.assert_array_equal(value, before[name])
        assert not np.shares_memory(value, before[name])


def test_a_workspace_has_the_size_again_that_it_had() -> None:
    training = Training(generated("workspace"))
    training.fit(1)
    assert training.workspace.batch == 2
    with pytest.raises(ZeroDivisionError):
        training.fit(1, callback=lambda *_: 1 / 0)
    assert training.workspace.batch == 2


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no batch": ({"batch_size": 0}, ValueError, "batch_size: expected an int >= 1, got 0"),
    "a share": ({"batch_size": 2.0}, TypeError, "batch_size: expected an int, got 2.0"),
    "truth": ({"batch_size": True}, TypeError, "batch_size: expected an int, got True"),
    "fewer than none": ({"epochs": -1}, ValueError, "epochs: expected an int >= 0, got -1"),
    "a seed": ({"rng": 0}, TypeError, "rng: expected a numpy.random.Generator, got int"),
    "unequal": ({"t": T[:-1]}, ValueError, "t: expected int64 of shape (23,), got shape (22,)"),
    "nothing": ({"x": X[:0], "t": T[:0]}, ValueError, "x: expected at least one example, got none"),
    "columns": ({"x": X[:, :3]}, ValueError, "got shape (23, 3)"),
    "a dtype": ({"t": T + 0.5}, TypeError, "t: expected int64 of shape (23,), got float64"),
    "a bias": ({"bias": X}, ValueError, "bias: expected float32 of shape (3,), got shape (23, 4)"),
    "text": ({"lr": "fast"}, TypeError, "lr: expected float64 of shape ()"),
    "uphill": ({"clip_norm": -1.0}, ValueError, "clip_norm: expected a number >= 0, got -1.0"),
    "no number": ({"lr": np.nan}, ValueError, "lr: expected a number >= 0, got nan"),
}


@in_every_style
@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_change_nothing(case: str, style: str) -> None:
    given, error, message = BAD[case]
    training = Training(generated(style))
    before = {name: value.copy() for name, value in training.arrays().items()}
    with pytest.raises(error, match=re.escape(message)):
        training.fit(**{"epochs": 1, **given})
    training.epoch = 0
    np.testing.assert_equal(training.arrays(), before)


@in_every_style
def test_a_label_that_is_no_class_stops_in_the_middle_of_an_epoch(style: str) -> None:
    training = Training(generated(style))
    labels = np.where(np.arange(23) == 7, 3, T)
    with pytest.raises(IndexError, match=r"labels must be in 0\.\.2"):
        training.fit(1, t=labels)
    if style == "workspace":
        assert training.workspace.batch == 2
        assert 0 <= training.workspace.steps < 5


# --- models --------------------------------------------------------------------------------------


def sequences(g: gc.Graph) -> None:
    """A second named size, that only data has."""
    x = g.input("x", ("batch", "time", 2))
    w = g.parameter("w", (2,), init="ones")
    g.loss(gc.mean((x @ w) ** 2))


@in_every_style
def test_other_named_sizes_are_those_of_the_data(style: str) -> None:
    options = {"optimizer": "sgd", "fit": True, "style": style}
    module = built(sequences, options, dtype="float64").compiled.load()
    x = np.random.default_rng(0).normal(size=(7, 3, 2))
    rng = np.random.default_rng(0)
    if style == "workspace":
        workspace = module.Workspace(batch=2, time=3)
        first = workspace.fit(x, epochs=1, batch_size=4, rng=rng)
        assert (workspace.batch, workspace.time) == (2, 3)
        with pytest.raises(ValueError, match=r"x: expected float64 of shape \(batch, 4, 2\)"):
            module.Workspace(batch=2, time=4).fit(x, epochs=1, batch_size=4, rng=rng)
    else:
        params = module.init_params(rng)
        _, _, first = module.fit(params, x, epochs=1, batch_size=4, rng=np.random.default_rng(0))
    assert first[0] == pytest.approx(((x @ np.ones(2)) ** 2).mean(), rel=0.2)


def test_fit_takes_what_a_step_takes() -> None:
    for style in ("functional", "workspace"):
        module = generated(style)
        function = module.fit if style == "functional" else module.Workspace.fit
        step = module.train_step if style == "functional" else module.Workspace.step
        names = list(inspect.signature(function).parameters)
        wanted = [n for n in inspect.signature(step).parameters if n != "optimizer_state"]
        assert set(wanted) <= set(names)
        assert names[: names.index("epochs")] == wanted[: names.index("epochs")]


@pytest.mark.parametrize("style", ["functional", "workspace"])
def test_names_that_fit_uses_are_free(style: str) -> None:
    def declare(g: gc.Graph) -> None:
        names = ("epochs", "order", "total", "losses", "callback", "copy", "start", "json", "done")
        inputs = [g.input(name, ("chosen",)) for name in names]
        w = g.parameter("batch_size", init=1.0)
        g.loss(sum(inputs[1:], inputs[0]).mean() * w)

    options = {"optimizer": "adam", "fit": True, "style": style}
    module = built(declare, options).compiled.load()
    data = [np.ones(4, np.float32)] * 9
    given = {"epochs": 1, "batch_size": 2, "rng": np.random.default_rng(0)}
    if style == "workspace":
        losses = (
            module.Workspace(1) if False else module.Workspace(**sized(module)).fit(*data, **given)
        )
    else:
        params = module.init_params(np.random.default_rng(0))
        *_, losses = module.fit(params, *data, **given)
    assert losses[0] == pytest.approx(9, rel=0.01)


def sized(module: Any) -> dict[str, int]:
    """The only size of a workspace."""
    _, _, (name, _) = inspect.signature(module.Workspace.__init__).parameters.items()
    return {name: 1}


# --- what has no fit ---------------------------------------------------------------------------


def no_batch(g: gc.Graph) -> None:
    g.loss((g.input("x", (4, 2)) * g.parameter("w", (2,))).sum())


def batch_inside(g: gc.Graph) -> None:
    x = g.input("x", ("n", "n"))
    g.loss((x * g.parameter("w")).sum())


def batch_elsewhere(g: gc.Graph) -> None:
    x, y = g.input("x", ("n", 2)), g.input("y", (2, "n"))
    g.loss((x @ y * g.parameter("w")).sum())


def batch_of_parameters(g: gc.Graph) -> None:
    g.loss((g.input("x", ("n", 2)) * g.parameter("w", ("n", 1), init="ones")).sum())


def scalar(g: gc.Graph) -> None:
    g.loss(g.input("x") * g.parameter("w"))


@pytest.mark.parametrize(
    ("declare", "style", "message"),
    [
        (no_batch, "functional",
         "fit needs an input whose first axis is a named size, of which it takes batches; got "
         "x float32 (4, 2)"),
        (batch_inside, "functional", "got x float32 (n, n)"),
        (batch_elsewhere, "workspace", "got y float32 (2, n)"),
        (batch_of_parameters, "functional",
         "fit takes batches along 'n', which has to be the first axis of inputs and nothing else; "
         "got w float32 (n, 1)"),
        (scalar, "scalar", "fit needs a batch, and a model of scalars has none"),
        (scalar, "functional", "fit needs an input whose first axis is a named size"),
    ],
)  # fmt: skip
def test_models_without_a_batch_are_refused(
    declare: Callable[[gc.Graph], None], style: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        gc.compile(built(declare).graph, style=style, optimizer="sgd", fit=True)
    assert message in str(caught.value)
