"""What a workspace shows of its memory, what it is called, and what the report says of it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from tests.codegen.nets import built, net
from tests.codegen.workspaces import Reference, batch, compiled, generated, parameters, same
from tests.golden.models import MODELS

# --- the vectors --------------------------------------------------------------------------------


def test_the_vectors_hold_parameters_and_gradients_in_the_order_of_declaration() -> None:
    workspace = generated().Workspace(batch=6)
    workspace.value_and_grad(*batch(0))
    names = ["W", "b", "V", "scale"]
    assert list(workspace.params) == list(workspace.grads) == names
    for vector, arrays in (
        (workspace.param_vector, workspace.params),
        (workspace.grad_vector, workspace.grads),
    ):
        assert vector.flags.c_contiguous and vector.ndim == 1
        same(vector, np.concatenate([arrays[name].ravel() for name in names]))


@pytest.mark.parametrize("group", ["param", "grad"])
def test_what_is_written_on_one_side_is_seen_on_the_other(group: str) -> None:
    workspace = generated().Workspace(batch=6)
    vector, arrays = getattr(workspace, f"{group}_vector"), getattr(workspace, f"{group}s")
    vector[...] = np.arange(vector.size)
    np.testing.assert_array_equal(arrays["b"], np.arange(20, 25))
    np.testing.assert_array_equal(arrays["scale"], vector.size - 1)
    arrays["W"][1, 2] = -7.5
    arrays["scale"][...] = 0.5
    assert (vector[7], vector[-1]) == (-7.5, 0.5)


def test_parameters_that_are_written_are_those_of_the_next_call() -> None:
    workspace = generated().Workspace(batch=6)
    workspace.param_vector *= 0.5
    right = Reference({name: value * np.float32(0.5) for name, value in parameters().items()})
    same(workspace.predict(batch(0)[0]), right.predict(batch(0)[0]))
    same(workspace.step(*batch(0)), right.step(*batch(0)))


@pytest.mark.parametrize("wrt", [["W", "b"], ["b", "W"], ["b", "x", "W"], ["W", "x"]])
def test_any_order_of_wrt_trains_the_same(wrt: list[str]) -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("n", 3))
        W, b = g.parameter("W", (3, 2), init="normal"), g.parameter("b", (2,), init="normal")
        g.loss((np.tanh(x @ W + b) ** 2).sum())

    options = {"wrt": wrt, "optimizer": gc.optim.sgd(0.1, momentum=0.9)}
    right = built(declare, options)
    module = gc.compile(right.graph, **options, style="workspace").load()
    params, x = right.values["params"], right.values["inputs"]["x"]
    workspace = module.Workspace(params, n=len(x))
    state = right.module.init_optimizer(params)
    for _ in range(3):
        params, state, loss = right.module.train_step(params, state, x)
        same(workspace.step(x), loss)
        same(workspace.params, params)
    assert list(workspace.grads) == wrt


def test_frozen_parameters_lie_beside_the_vector() -> None:
    made = net("frozen", style="workspace")
    workspace = made.compiled.load().Workspace(made.values["params"], batch=3)
    assert workspace.param_vector.size == workspace.params["b"].size == 2
    assert not np.shares_memory(workspace.params["W"], workspace.param_vector)
    workspace.step(**made.values["inputs"])
    same(workspace.params["W"], made.values["params"]["W"])
    assert not np.array_equal(workspace.params["b"], made.values["params"]["b"])


def test_the_vectors_suit_an_optimizer_of_vectors() -> None:
    """As with SciPy's minimize: a function of one vector, with its gradient."""

    def declare(g: gc.Graph) -> None:
        A, y = g.input("A", ("n", 3)), g.input("y", ("n",))
        w, c = g.parameter("w", (3,)), g.parameter("c")
        g.loss(gc.mse(A @ w + c, y))

    workspace = (
        built(declare, {"style": "workspace"}, dtype="float64").compiled.load().Workspace(n=9)
    )
    rng = np.random.default_rng(0)
    A, y = rng.normal(size=(9, 3)), rng.normal(size=9)

    def fun(vector: Any) -> tuple[float, Any]:
        workspace.param_vector[...] = vector
        loss, _ = workspace.value_and_grad(A, y)
        return float(loss), workspace.grad_vector.copy()

    # Of a quadratic function, gradients at the unit vectors give the Hessian: one step of Newton's.
    _, at_zero = fun(np.zeros(4))
    hessian = np.stack([fun(unit)[1] - at_zero for unit in np.eye(4)])
    _, gradient = fun(np.linalg.solve(hessian, -at_zero))
    np.testing.assert_allclose(gradient, np.zeros(4), atol=1e-12)
    solution, *_ = np.linalg.lstsq(np.column_stack([A, np.ones(9)]), y, rcond=None)
    np.testing.assert_allclose(workspace.param_vector, solution, rtol=1e-10)


# --- names --------------------------------------------------------------------------------------

SIZES = [
    *("params", "grads", "state", "steps", "step", "resize", "predict", "evaluate", "forward"),
    *("backward", "value_and_grad", "set_params", "sgd", "param_vector", "grad_vector", "lr"),
    *("velocity_vector", "_predict", "_residuals", "__init__", "self", "slots", "sizes", "kept"),
    *("elements", "loss", "residuals", "parameter", "gradient", "updated", "momentum", "np"),
]


@pytest.mark.parametrize("size", SIZES)
def test_a_size_is_called_like_something_of_the_workspace(size: str) -> None:
    def declare(g: gc.Graph) -> None:
        x, W = g.input("x", (size, 3)), g.parameter("W", (3, 2), init="normal")
        s = g.state("s", (2,))
        g.update(s, (x @ W).sum(axis=0))
        g.output("y", x @ W + s)
        g.loss((np.tanh(x @ W + s) ** 2).sum())

    options = {"optimizer": gc.optim.sgd(momentum=0.9)}
    right = built(declare, options)
    module = gc.compile(right.graph, **options, style="workspace").load()
    (spelled,) = [
        name for name in inspect.signature(module.Workspace).parameters if name != "params"
    ]
    params = right.values["params"]
    workspace = module.Workspace(params, **{spelled: 5})
    state, optimizer = right.module.init_state(), right.module.init_optimizer(params)
    rng = np.random.default_rng(0)
    for rows in (5, 2):
        workspace.resize(**{spelled: rows})
        assert getattr(workspace, spelled) == rows
        x = rng.normal(size=(rows, 3)).astype(np.float32)
        same(workspace.predict(x), right.module.predict(params, state, x))
        same(workspace.evaluate(x), right.module.evaluate(params, state, x))
        params, state, optimizer, loss = right.module.train_step(params, state, optimizer, x)
        same(workspace.step(x), loss)
        same(workspace.params, params)
    assert workspace.steps == 2


INPUTS = [
    *("params", "grads", "state", "steps", "self", "lr", "momentum", "weight_decay", "loss", "_"),
    *("residuals", "slots", "velocity", "updated", "parameter", "sgd", "size", "loss_bar", "np"),
    *("step", "Workspace", "workspace", "kept", "s_2", "W_bar"),
]


@pytest.mark.parametrize("name", INPUTS)
def test_an_input_is_called_like_something_of_the_workspace(name: str) -> None:
    def declare(g: gc.Graph) -> None:
        x, W = g.input(name, ("size", 3)), g.parameter("W", (3, 2), init="normal")
        s = g.state("s", (2,))
        g.update(s, (x @ W).sum(axis=0))
        g.loss((np.tanh(x @ W + s) ** 2).sum())

    options = {"optimizer": gc.optim.sgd(momentum=0.9)}
    right = built(declare, options)
    module = gc.compile(right.graph, **options, style="workspace").load()
    params = right.values["params"]
    workspace = module.Workspace(params, **{
        n: 4 for n in inspect.signature(module.Workspace).parameters if n != "params"
    })  # fmt: skip
    state, optimizer = right.module.init_state(), right.module.init_optimizer(params)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    for _ in range(2):
        params, state, optimizer, loss = right.module.train_step(params, state, optimizer, x)
        same(workspace.step(x), loss)
        same(workspace.params, params)
        same(workspace.state, state)


# --- the report ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [32, 128])
def test_golden_models_need_little_more_than_the_bound(name: str, size: int) -> None:
    make, options = MODELS[name]
    report = gc.compile(make(), **options).report
    sizes = dict.fromkeys(report.layout.sizes(), size)
    planned, bound = report.planned(**sizes), report.bound(**sizes)
    assert bound <= planned <= 1.15 * bound


@pytest.mark.parametrize("size", [3, 50])
def test_a_workspace_takes_what_the_report_plans(size: int) -> None:
    module = compiled("workspace")
    workspace = module.load().Workspace(batch=size)
    bases: dict[int, int] = {}
    for name in ("_predict", "_evaluate", "_forward", "_backward"):
        for array in getattr(workspace, name):
            base = array.base if array.base is not None else array
            while isinstance(base.base, np.ndarray):
                base = base.base
            if base is not workspace.param_vector and base is not workspace.grad_vector:
                bases[id(base)] = base.nbytes
    assert sum(bases.values()) == module.report.planned(batch=size)


def test_the_report_does_not_depend_on_the_style() -> None:
    reports = [compiled(style).report for style in ("functional", "workspace")]
    assert reports[0].text() == reports[1].text()


def test_residuals_and_who_needs_them() -> None:
    make, options = MODELS["mlp"]
    found = {row.name: row for row in gc.compile(make(), **options).report.residuals}
    assert found.keys() == {"x", "h", "W2", "exps", "sums", "t"}
    assert (found["h"].type, str(found["h"].size)) == ("float32 (batch, 128)", "512 * batch")
    assert "∂loss/∂W2" in found["h"].readers
    assert "∂loss/∂W1" in found["x"].readers
    assert set(found["W2"].readers) == {"h_bar"}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({}, "the memory depends on 'batch'"), ({"batch": 2, "n": 3}, "the model has no size 'n'")],
)
def test_the_report_asks_for_the_sizes_of_the_model(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compiled("workspace").report.planned(**sizes)


def test_a_model_without_sizes_is_asked_for_one() -> None:
    with gc.Graph("m") as g:
        g.output("y", g.input("x", (3,)) * 2)
    with pytest.raises(UsageError, match="no size 'n'; it has none"):
        gc.compile(g).report.planned(n=2)
