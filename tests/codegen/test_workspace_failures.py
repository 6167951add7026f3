"""A workspace after something went wrong: as it was, and never with a wrong gradient."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from tests.codegen.nets import built
from tests.codegen.workspaces import (
    Reference,
    batch,
    compiled,
    generated,
    held,
    parameters,
    same,
)

FILES = ("<graphc 'classifier'>",)
METHODS = ("step", "value_and_grad", "forward", "backward", "sgd")


@pytest.fixture
def trained() -> tuple[Any, Reference]:
    """A workspace after two steps, and the reference after the same two."""
    right = Reference()
    workspace = generated().Workspace(right.params, batch=6)
    for seed in range(2):
        workspace.step(*batch(seed))
        right.step(*batch(seed))
    return workspace, right


def goes_on(workspace: Any, right: Reference) -> None:
    """The next steps are right."""
    for seed in (7, 8):
        same(workspace.step(*batch(seed)), right.step(*batch(seed)))
    right.agrees(workspace)


# --- exceptions in the middle of a step ---------------------------------------------------------

x, t = batch(2)
BAD_CALLS: dict[str, tuple[Any, dict[str, Any], type[Exception]]] = {
    "a label that is no class": ((x, np.full(6, 3)), {}, IndexError),
    "a negative label": ((x, np.full(6, -1)), {}, IndexError),
    "inputs of another size": ((x[:5], t[:5]), {}, ValueError),
    "labels of another size": ((x, t[:5]), {}, ValueError),
    "labels that are floats": ((x, t + 0.5), {}, TypeError),
    "no labels": ((x,), {}, TypeError),
    "an update that overflows": ((x, t), {"lr": 3e38, "weight_decay": 3e38}, FloatingPointError),
    "a learning rate that is text": ((x, t), {"lr": "fast"}, TypeError),
    "a learning rate that overflows": ((x, t), {"lr": 1e300}, FloatingPointError),
    "a keyword that does not exist": ((x, t), {"beta": 0.9}, TypeError),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_step_that_fails_changes_nothing(name: str, trained: tuple[Any, Reference]) -> None:
    workspace, right = trained
    arguments, options, error = BAD_CALLS[name]
    before = held(workspace)
    with np.errstate(all="raise", under="ignore"), pytest.raises(error):
        workspace.step(*arguments, **options)
    same(held(workspace), before)
    goes_on(workspace, right)


@contextmanager
def interrupted(
    at: int, error: type[BaseException], methods: Collection[str] = METHODS
) -> Iterator[list[str]]:
    """Raise an error in front of the line number `at` that methods of a step run.

    The list holds the lines that were run. From the first parameter on, statements call nothing:
    an interrupt comes before them or after them.
    """
    lines: list[str] = []
    source = compiled("workspace").source.splitlines()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_name not in methods or frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            lines.append(source[frame.f_lineno - 1].strip())
            if len(lines) - 1 == at:
                raise error("interrupted")
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(None)


def statements() -> list[str]:
    """The lines that a step runs, up to where new values come to stand where the old ones were."""
    workspace = generated().Workspace(batch=6)
    with interrupted(-1, RuntimeError) as lines:
        workspace.step(x, t)
    end = lines.index("velocity[...] = new_velocity")
    assert lines[end:] == [
        "velocity[...] = new_velocity",
        "self.steps += 1",
        "parameter[...] = updated",
        "return loss",
    ]
    return lines[: end + 1]


def test_there_are_enough_statements_to_interrupt() -> None:
    lines = statements()
    assert len(lines) > 50
    assert sum("out=" in line for line in lines) > 25


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_step_is_interrupted_in_front_of_any_statement(error: type[BaseException]) -> None:
    count = len(statements())
    for at in range(count):
        right = Reference()
        workspace = generated().Workspace(right.params, batch=6)
        workspace.step(*batch(0))
        right.step(*batch(0))
        before = held(workspace)
        with pytest.raises(error, match="interrupted"), interrupted(at, error) as lines:
            workspace.step(x, t)
        assert len(lines) >= at
        try:
            same(held(workspace), before)
            same(workspace.step(*batch(1)), right.step(*batch(1)))
            right.agrees(workspace)
        except AssertionError as wrong:
            raise AssertionError(f"interrupted in front of {lines[at]!r}") from wrong


def test_an_interrupt_between_the_new_values_leaves_the_parameters() -> None:
    for at in (len(statements()), len(statements()) + 1):
        workspace = generated().Workspace(batch=6)
        before = workspace.param_vector.copy()
        with pytest.raises(KeyboardInterrupt), interrupted(at, KeyboardInterrupt):
            workspace.step(x, t)
        np.testing.assert_array_equal(workspace.param_vector, before)


# --- backward without its forward pass ----------------------------------------------------------

DISTURBANCES: dict[str, Callable[[Any], Any]] = {
    "predict": lambda workspace: workspace.predict(x),
    "evaluate": lambda workspace: workspace.evaluate(x, t),
    "backward": lambda workspace: workspace.backward(),
    "resize": lambda workspace: workspace.resize(batch=6),
    "set_params": lambda workspace: workspace.set_params(parameters(1)),
    "sgd": lambda workspace: workspace.sgd(),
    "step": lambda workspace: workspace.step(x, t),
}


@pytest.mark.parametrize("name", DISTURBANCES)
def test_backward_refuses_what_came_in_between(name: str, trained: tuple[Any, Reference]) -> None:
    workspace, _ = trained
    workspace.forward(x, t)
    DISTURBANCES[name](workspace)
    with pytest.raises(RuntimeError, match="backward needs a forward pass"):
        workspace.backward()


@pytest.mark.parametrize("name", ["predict", "evaluate"])
def test_a_bad_call_in_between_counts_too(name: str, trained: tuple[Any, Reference]) -> None:
    workspace, _ = trained
    workspace.forward(x, t)
    with pytest.raises(ValueError, match="x: expected"):
        getattr(workspace, name)(x[:, :1], *[t] * (name == "evaluate"))
    with pytest.raises(RuntimeError, match="backward needs a forward pass"):
        workspace.backward()


def test_backward_refuses_a_new_workspace() -> None:
    with pytest.raises(RuntimeError, match="backward needs a forward pass"):
        generated().Workspace(batch=6).backward()


def test_a_forward_pass_that_fails_leaves_none_behind(trained: tuple[Any, Reference]) -> None:
    workspace, _ = trained
    workspace.forward(x, t)
    with pytest.raises(IndexError):
        workspace.forward(x, np.full(6, 9))
    with pytest.raises(RuntimeError, match="backward needs a forward pass"):
        workspace.backward()


def test_a_bad_cotangent_can_be_followed_by_a_good_one(trained: tuple[Any, Reference]) -> None:
    workspace, right = trained
    workspace.forward(x, t)
    with pytest.raises(ValueError, match="loss_bar"):
        workspace.backward(np.ones(2))
    same(workspace.backward(), right.value_and_grad(x, t)[1])


def test_forward_and_backward_by_themselves_are_value_and_grad(
    trained: tuple[Any, Reference],
) -> None:
    workspace, right = trained
    loss = workspace.forward(x, t)
    same((loss, workspace.backward()), right.value_and_grad(x, t))


# --- parameters ---------------------------------------------------------------------------------


def changed(**replaced: Any) -> dict[str, Any]:
    """Parameters, with some of them replaced; None leaves one out."""
    found = {**parameters(3), **replaced}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (changed(V=np.ones((5, 4), np.float32)), ValueError),
        (changed(scale=np.ones(1)), ValueError),
        (changed(b=np.ones(5, complex)), TypeError),
        (changed(V=None), KeyError),
        (changed(V=[[1], [1, 2]]), ValueError),
    ],
)
def test_parameters_are_set_all_or_none(
    params: Any, error: type[Exception], trained: tuple[Any, Reference]
) -> None:
    workspace, right = trained
    before = held(workspace)
    with pytest.raises(error):
        workspace.set_params(params)
    same(held(workspace), before)
    goes_on(workspace, right)


def test_parameters_are_copied_in() -> None:
    given = parameters(3)
    workspace = generated().Workspace(given, batch=6)
    for value in given.values():
        value[...] = 0
    same(workspace.params, parameters(3))
    vector = workspace.param_vector
    workspace.set_params(parameters(4))
    same(workspace.params, parameters(4))
    assert workspace.param_vector is vector


def test_parameters_may_change_places() -> None:
    def declare(g: gc.Graph) -> None:
        a, b = g.parameter("a", (2,), init="ones"), g.parameter("b", (2,))
        g.loss((a * b).sum())

    workspace = built(declare, {"style": "workspace"}).compiled.load().Workspace()
    workspace.set_params({"a": workspace.params["b"], "b": workspace.params["a"]})
    same(workspace.params, {"a": np.zeros(2, np.float32), "b": np.ones(2, np.float32)})


def test_without_parameters_they_are_drawn_with_seed_0() -> None:
    same(generated().Workspace(batch=6).params, parameters(0))
    same(generated().Workspace(None, batch=6).params, parameters(0))


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (-1, ValueError, "batch: expected a size >= 0, got -1"),
        (2.0, TypeError, "batch: expected a size as an int, got 2.0"),
        (True, TypeError, "batch: expected a size as an int, got True"),
        ("6", TypeError, "batch: expected a size as an int, got '6'"),
        (None, TypeError, "batch: expected a size as an int, got None"),
    ],
)
def test_a_size_that_is_none_is_refused(
    size: Any, error: type[Exception], message: str, trained: tuple[Any, Reference]
) -> None:
    workspace, right = trained
    with pytest.raises(error, match=message):
        generated().Workspace(batch=size)
    with pytest.raises(error, match=message):
        workspace.resize(batch=size)
    goes_on(workspace, right)


def test_a_size_may_be_an_integer_of_numpy() -> None:
    workspace = generated().Workspace(batch=np.int32(6))
    assert type(workspace.batch) is int


def test_a_size_that_the_model_refuses_leaves_the_workspace_as_it_was() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("n",))
        g.loss(((x[1:] - x[:-1]) * g.parameter("w", init=2.0)).sum())

    workspace = built(declare, {"style": "workspace"}).compiled.load().Workspace(n=3)
    values = np.array([1, 2, 4], np.float32)
    with pytest.raises(ValueError, match="an index needs n >= 1"):
        workspace.resize(n=0)
    assert workspace.n == 3
    same(workspace.value_and_grad(values), (np.float32(6), {"w": np.float32(3)}))


def test_resize_is_all_or_none() -> None:
    with interrupted(-1, MemoryError, ["resize"]) as lines:
        generated().Workspace(batch=6)
    first = next(i for i, line in enumerate(lines) if line.startswith("self._"))
    assert first > 10
    assert all(line.startswith("self.") and "(" not in line for line in lines[first:])
    for at in range(first + 1):
        right = Reference()
        workspace = generated().Workspace(right.params, batch=6)
        with pytest.raises(MemoryError), interrupted(at, MemoryError, ["resize"]):
            workspace.resize(batch=2)
        same(workspace.step(*batch(0)), right.step(*batch(0)))


# --- at compile time ----------------------------------------------------------------------------


def mixed(g: gc.Graph) -> None:
    single = g.parameter("single", (2,), dtype="float32")
    double = g.parameter("double", (2,), dtype="float64")
    g.loss((gc.astype(single, "float64") * double).sum())


def test_trained_parameters_of_two_dtypes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"one vector of one dtype, got .*single.* and .*double"):
        gc.compile(built(mixed).graph, style="workspace")


@pytest.mark.parametrize("options", [{"freeze": "double"}, {"wrt": "single"}])
def test_the_hints_of_that_refusal_help(options: dict[str, str]) -> None:
    made = built(mixed, {**options, "style": "workspace"})
    workspace = made.compiled.load().Workspace(made.values["params"])
    assert workspace.param_vector.dtype == np.float32
    assert workspace.params["double"].dtype == np.float64
    _, grads = workspace.value_and_grad()
    same(grads, {"single": made.values["params"]["double"].astype(np.float32)})


def test_no_signature_says_more_than_it_takes() -> None:
    workspace: Any = generated().Workspace
    assert list(inspect.signature(workspace.step).parameters) == [
        *("self", "x", "t", "lr", "momentum", "weight_decay"),
    ]
    assert list(inspect.signature(workspace).parameters) == ["params", "batch"]
    assert list(inspect.signature(workspace.resize).parameters) == ["self", "batch"]
