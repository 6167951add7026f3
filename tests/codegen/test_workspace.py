"""The workspace style: whatever happened to a workspace before, it computes what is right."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import ALL, Net, built, net
from tests.codegen.test_aliasing import check
from tests.codegen.workspaces import (
    Array,
    Reference,
    batch,
    compiled,
    functional,
    generated,
    owned,
    parameters,
    same,
)

CALLS = ("predict", "evaluate", "forward", "value_and_grad", "train_step")


# --- values and gradients -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_function_has_the_bits_of_the_functional_style(name: str) -> None:
    right, tested = net(name), net(name, style="workspace")
    for call in CALLS:
        assert hasattr(tested.module, call) == hasattr(right.module, call)
        if call == "forward" and hasattr(right.module, call):
            *expected, residuals = right.call(call)
            *actual, ours = tested.call(call)
            same(tuple(actual), tuple(expected))
            bar = right.bars()
            same(tested.module.backward(ours, **bar), right.module.backward(residuals, **bar))
        elif hasattr(right.module, call):
            same(tested.call(call), right.call(call))


def test_a_workspace_is_reused_with_other_data() -> None:
    right = Reference()
    workspace = generated().Workspace(right.params, batch=6)
    for seed in range(5):
        x, t = batch(seed)
        same(workspace.predict(x), right.predict(x))
        same(workspace.evaluate(x, t), right.evaluate(x, t))
        same(workspace.value_and_grad(x, t), right.value_and_grad(x, t))
        same(workspace.step(x, t), right.step(x, t))
    right.agrees(workspace)


@pytest.mark.parametrize("sizes", [(6, 9, 2, 6), (3, 0, 3), (0, 1, 0), (1, 30, 1)])
def test_a_workspace_is_resized(sizes: tuple[int, ...]) -> None:
    right = Reference()
    workspace = generated().Workspace(right.params, batch=sizes[0])
    for seed, size in enumerate(sizes):
        workspace.resize(batch=size)
        assert workspace.batch == size
        x, t = batch(seed, size)
        same(workspace.step(x, t), right.step(x, t))
        same(workspace.predict(x), right.predict(x))
        right.agrees(workspace)


def test_the_size_that_it_has_already_is_a_size_too() -> None:
    right = Reference()
    workspace = generated().Workspace(right.params, batch=6)
    for seed in range(3):
        workspace.resize(batch=6)
        same(workspace.step(*batch(seed)), right.step(*batch(seed)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.2},
        {"momentum": 0.9},
        {"momentum": 0.8, "nesterov": True},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05},
        {"weight_decay": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["mlp", "joined", "double"])
def test_twenty_steps_are_those_of_the_functional_style(name: str, options: Any) -> None:
    right = net(name, optimizer=gc.optim.sgd(**options))
    module = gc.compile(right.graph, optimizer=gc.optim.sgd(**options), style="workspace").load()
    given = right.arguments("train_step")
    params, optimizer = given.pop("params"), given.pop("optimizer_state")
    rows = next(iter(given.values())).shape[0]
    workspace = module.Workspace(params, batch=rows)
    for _ in range(20):
        params, optimizer, loss = right.module.train_step(params, optimizer, **given)
        same(workspace.step(**given), loss)
        same(workspace.params, params)
    assert workspace.steps == 20


def test_numbers_of_the_optimizer_may_change_from_step_to_step() -> None:
    right = Reference()
    workspace = generated().Workspace(right.params, batch=6)
    for seed, numbers in enumerate([{"lr": 0.1}, {"momentum": 0.5}, {"weight_decay": 0.0}, {}]):
        x, t = batch(seed)
        same(workspace.step(x, t, **numbers), right.step(x, t, **numbers))
    right.agrees(workspace)


# --- whose memory is whose ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ALL if name != "constants"])
def test_results_share_no_memory_with_the_workspace(name: str) -> None:
    made = net(name, style="workspace")
    for call in ("predict", "evaluate", "forward"):
        if hasattr(made.module, call):
            result = made.call(call)
            workspace = made.module.workspace
            results = result if call != "forward" else result[:-1]
            check(results, {n: a for n, a in owned(workspace) if not n.startswith("state")})


def test_earlier_results_stay_as_they_were() -> None:
    workspace = generated().Workspace(batch=6)
    results, copies = [], []
    for seed in range(4):
        x, t = batch(seed)
        for result in (
            workspace.predict(x),
            workspace.evaluate(x, t),
            workspace.forward(x, t),
            workspace.state,
            workspace.step(x, t),
        ):
            results.append(result)
            copies.append(copy.deepcopy(result))
    same(tuple(results), tuple(copies))


@pytest.mark.parametrize("name", ALL)
def test_arguments_are_never_written_to(name: str) -> None:
    made = net(name, style="workspace")
    for group in made.values.values():
        for value in group.values():
            value.flags.writeable = False
    before = copy.deepcopy(made.values)
    for call in CALLS:
        if hasattr(made.module, call):
            result = made.call(call)
            if call == "forward":
                made.module.backward(result[-1], **made.bars())
    same(made.values, before)


def test_the_caller_may_write_into_outputs_before_backward() -> None:
    def declare(g: gc.Graph) -> None:
        x, W = g.input("x", ("n", 3)), g.parameter("W", (3, 2), init="normal")
        h = np.tanh(x @ W)
        g.output("h", h)
        g.output("turned", h.T)

    right = built(declare)
    x, W = (right.values[g][n] for g, n in (("inputs", "x"), ("params", "W")))
    bar = np.ones((4, 2)), np.ones((2, 4))
    expected = right.module.backward(right.call("forward")[1], *bar)
    workspace = Net(right.graph, {"style": "workspace"}).compiled.load().Workspace({"W": W}, n=4)
    for output in workspace.forward(x):
        output[...] = 77
    same(workspace.backward(*bar), expected)


def test_gradients_are_one_dict_that_the_next_pass_overwrites() -> None:
    workspace = generated().Workspace(batch=6)
    _, first = workspace.value_and_grad(*batch(0))
    _, second = workspace.value_and_grad(*batch(1))
    assert first is second is workspace.grads


# --- other shapes of models ---------------------------------------------------------------------


def test_inference_needs_parameters_and_has_no_training() -> None:
    module = compiled("workspace", inference=True).load()
    workspace = module.Workspace(parameters(), batch=6)
    assert not {"forward", "backward", "step", "evaluate"} & set(dir(workspace))
    x, _ = batch(0)
    same(workspace.predict(x), Reference().predict(x))
    with pytest.raises(TypeError, match="params"):
        module.Workspace(batch=6)


def test_docstrings_mention_nothing_that_a_workspace_does_not_have() -> None:
    with gc.Graph("running") as g:
        x = g.input("x", ("batch", 3))
        seen = g.state("seen", (3,))
        g.update(seen, seen + x.sum(axis=0))
        g.output("y", x - seen)
    inference = gc.compile(g, style="workspace", inference=True).load().Workspace
    assert not re.search("param|grad|forward|backward", inference.__doc__)
    assert "replace it as you like" in inference.__doc__
    assert inference.resize.__doc__.splitlines()[0].endswith("of other sizes; state stays.")
    training = gc.compile(g, style="workspace").load().Workspace
    assert "gradients" in training.__doc__ and "each forward pass replaces it" in training.__doc__
    stateless = net("mlp", "workspace").module.Workspace
    assert "state" not in stateless.__doc__ + stateless.resize.__doc__ + stateless.step.__doc__


def test_a_model_without_parameters_or_named_sizes() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        g.output("y", np.tanh(x) * x)

    made = built(declare, {"style": "workspace"})
    workspace = made.compiled.load().Workspace()
    x = made.values["inputs"]["x"]
    same(workspace.forward(x), np.tanh(x) * x)
    np.testing.assert_allclose(
        workspace.backward(np.ones(3))["x"], np.tanh(x) + x / np.cosh(x) ** 2, rtol=1e-5
    )
    assert not hasattr(workspace, "resize")


def test_sizes_that_are_computed_from_names() -> None:
    def declare(g: gc.Graph) -> None:
        n = g.dim("n")
        x = g.input("x", ("n",))
        y = g.input("y", (2 * n,))
        w = g.parameter("w", init=0.5)
        g.loss((np.tanh(x[1:] - x[:-1]) * w).sum() + (y.reshape(2, n) * x).sum())

    right = built(declare, {"wrt": "w,x"}, dtype="float64")
    workspace = (
        Net(right.graph, {"wrt": "w,x", "style": "workspace"}).compiled.load().Workspace(n=3)
    )
    rng = np.random.default_rng(0)
    for n in (5, 1, 2):
        workspace.resize(n=n)
        x, y = rng.normal(size=n), rng.normal(size=2 * n)
        expected = right.module.value_and_grad(workspace.params, x, y)
        same(workspace.value_and_grad(x, y), expected)


def test_states_may_have_named_sizes() -> None:
    def declare(g: gc.Graph) -> None:
        x, s = g.input("x", ("n", 2)), g.state("s", ("n", 2))
        g.update(s, s * 0.5 + x)
        g.output("y", (x + s) * g.parameter("w", (2,), init="ones"))

    workspace = built(declare, {"style": "workspace"}).compiled.load().Workspace(n=3)
    x = np.ones((3, 2), np.float32)
    for expected in (1.0, 2.0, 2.5):
        same(workspace.forward(x), np.full((3, 2), expected, np.float32))


def test_a_gradient_by_an_input_changes_its_shape_with_it() -> None:
    made = net("wrt_inputs", style="workspace")
    workspace = made.compiled.load().Workspace(made.values["params"], batch=3)
    workspace.resize(batch=5)
    assert workspace.grads["y"].shape == (5, 2)
    assert np.shares_memory(workspace.grads["W"], workspace.grad_vector)


def test_what_forward_makes_too_is_no_gradient_of_the_caller() -> None:
    def declare(g: gc.Graph) -> None:
        x, w, v = g.input("x", (2, 2)), g.parameter("w", (2, 2)), g.parameter("v", (2, 2))
        g.output("zeros", gc.vjp(gc.sum(x * w), v, allow_unused=True))
        g.output("y", x * w)

    made = built(declare, {"style": "workspace", "allow_unused": True})
    workspace = made.compiled.load().Workspace()
    outputs = workspace.forward(made.values["inputs"]["x"])
    assert not any(np.shares_memory(output, workspace.grad_vector) for output in outputs)


def test_the_state_is_replaced_by_each_forward_pass_only() -> None:
    right = Reference()
    workspace = generated().Workspace(right.params, batch=6)
    same(workspace.state, functional().init_state())
    x, t = batch(0)
    before = workspace.state
    workspace.predict(x)
    workspace.evaluate(x, t)
    assert workspace.state is before
    workspace.forward(x, t)
    right.value_and_grad(x, t)
    same(workspace.state, right.state)
    assert workspace.state is not before
    same(before, functional().init_state())


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros(4, np.float32), ValueError, "seen: expected float32 of shape"),
        (np.zeros(3, complex), TypeError, "seen: expected float32"),
    ],
)
def test_a_state_that_is_put_in_is_checked(value: Array, error: Any, message: str) -> None:
    workspace = generated().Workspace(batch=6)
    workspace.state = {"seen": value}
    with pytest.raises(error, match=message):
        workspace.predict(batch(0)[0])


def test_a_state_of_more_precision_does_not_change_dtypes() -> None:
    workspace = generated().Workspace(batch=6)
    workspace.state = {"seen": np.zeros(3)}
    same(workspace.predict(batch(0)[0]), Reference().predict(batch(0)[0]))
