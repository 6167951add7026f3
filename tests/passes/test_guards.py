"""Automatic double-where: what a branch computes where it is not chosen spoils nothing.

What is expected is the formula evaluated one element at a time, each branch only where it is
chosen, with derivatives carried along (`tests.passes.chosen`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.verify import verify
from graphc.passes import pipeline
from graphc.passes.guards import GUARD, transposed
from tests.ops.cases import CASES as OPS_CASES
from tests.ops.cases import Case, declare, gives_floats
from tests.passes.chosen import evaluated
from tests.passes.guarded import CASES, GRID, PLAIN, Guarded
from tests.styles import functions, in_every_style

over = pytest.mark.parametrize("case", CASES, ids=str)


def declared(case: Guarded, dtype: str = "float64") -> gc.Graph:
    """The formula as output, its sum as loss; every input reaches that."""
    with gc.Graph("guarded", dtype=dtype) as graph:
        nodes = [graph.input(f"x{i}", a.shape) for i, a in enumerate(case.arrays())]
        y = case.build(gc, *nodes)
        graph.output("y", y)
        total = gc.sum(y)
        for node in nodes:
            total = total + 0 * gc.sum(node)
        graph.loss(total)
    return graph


def close(dtype: str) -> dict[str, float]:
    eps = float(np.finfo(dtype).eps)
    return {"rtol": 100 * eps, "atol": 50 * eps}


@in_every_style
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@over
def test_value_and_gradient_are_those_of_chosen_branches(
    case: Guarded, dtype: str, style: str
) -> None:
    arrays = case.arrays(dtype)
    value, slopes = evaluated(case.build, *arrays)
    module = gc.compile(declared(case, dtype), style=style, after_pass=lambda name, f: verify(f))
    assert (GUARD in [rule for rule, _ in module.report.fired]) == case.guards
    code = functions(module)
    with np.errstate(all="raise", under="ignore"):
        y = code.predict(*arrays)
        loss = code.evaluate(*arrays)
        forward, residuals = code.forward(*arrays)
        grads = {**code.backward(residuals)}
        _, again = code.value_and_grad(*arrays)
    np.testing.assert_allclose(y, value, **close(dtype))
    np.testing.assert_allclose([loss, forward], value.sum(), **close(dtype))
    for i, slope in enumerate(slopes):
        np.testing.assert_allclose(grads[f"x{i}"], slope, **close(dtype))
        np.testing.assert_array_equal(again[f"x{i}"], grads[f"x{i}"])


ELEMENTWISE = [case for case in CASES if all(np.shape(x) == np.shape(PLAIN) for x in case.x)
               and case.name not in ("reduced condition", "getitem", "concat")]  # fmt: skip


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_scalars(case: Guarded) -> None:
    arrays = case.arrays()
    with gc.Graph("guarded", dtype="float64") as graph:
        nodes = [graph.input(f"x{i}") for i in range(len(arrays))]
        y = case.build(gc, *nodes)
        graph.output("y", y)
        graph.loss(sum((0 * node for node in nodes), y))
    code = gc.compile(graph, style="scalar").load()
    for point in zip(*arrays, strict=True):
        value, slopes = evaluated(case.build, *([v] for v in point))
        numbers = [float(v) for v in point]
        np.testing.assert_allclose([code.predict(*numbers)], value, rtol=1e-13, atol=1e-14)
        _, grads = code.value_and_grad(*numbers)
        found = [grads[f"x{i}"] for i in range(len(numbers))]
        np.testing.assert_allclose(found, np.ravel(slopes), rtol=1e-12, atol=1e-13)


@over
def test_derivative_nodes(case: Guarded) -> None:
    arrays = case.arrays()
    with gc.Graph("guarded", dtype="float64") as graph:
        nodes = [graph.input(f"x{i}", a.shape) for i, a in enumerate(arrays)]
        y = case.build(gc, *nodes)
        for i, slope in enumerate(gc.vjp([y], nodes, allow_unused=True)):
            graph.output(f"vjp{i}", slope)
        graph.output("jvp", gc.sum(gc.jvp(y, nodes[0], gc.broadcast_to(1.0, nodes[0].shape))))
    code = gc.compile(graph, inference=True).load()
    with np.errstate(all="raise", under="ignore"):
        *slopes, forward = code.predict(*arrays)
    _, expected = evaluated(case.build, *arrays)
    for slope, other in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, other, **close("float64"))
    np.testing.assert_allclose(forward, expected[0].sum(), **close("float64"))


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_second_derivatives(case: Guarded) -> None:
    """Against differences of the first, away from kinks."""
    arrays = [a + 0.01 for a in case.arrays()]
    with gc.Graph("guarded", dtype="float64") as graph:
        nodes = [graph.input(f"x{i}", a.shape) for i, a in enumerate(arrays)]
        y = case.build(gc, *nodes)
        slope = gc.vjp(y, nodes[0])
        second = gc.vjp(slope, nodes[0], allow_unused=True)
        graph.output("second", second)
    code = gc.compile(graph, inference=True)
    names = [node.params.name for node in code.lowered.predict.arguments]  # type: ignore[union-attr]
    with np.errstate(all="raise", under="ignore"):
        found = code.load().predict(*(arrays[int(name[1:])] for name in names))
    first, *rest = arrays
    step = 1e-6 * np.maximum(np.abs(first), 1e-2)
    above = evaluated(case.build, first + step, *rest)[1][0]
    below = evaluated(case.build, first - step, *rest)[1][0]
    np.testing.assert_allclose(found, (above - below) / (2 * step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_nan_is_seen_where_a_chosen_branch_uses_it(case: Guarded) -> None:
    arrays = case.arrays()
    for i in range(len(arrays)):
        spoiled = [a.copy() for a in arrays]
        spoiled[i][::2] = np.nan
        code = gc.compile(declared(case)).load()
        value, slopes = evaluated(case.build, *spoiled)
        with np.errstate(invalid="ignore"):
            y, (_, grads) = code.predict(*spoiled), code.value_and_grad(*spoiled)
        np.testing.assert_allclose(y, value, rtol=1e-13, atol=1e-14)
        for j, slope in enumerate(slopes):
            clean = ~np.isnan(spoiled[i])  # beside NaN, a mask in place of a product may lose it
            np.testing.assert_allclose(grads[f"x{j}"][clean], slope[clean], rtol=1e-12, atol=1e-13)


# --- kinks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinks", ["torch", "jax", "textbook"])
@pytest.mark.parametrize(
    ("build", "x", "slope"),
    [
        (lambda x: gc.maximum(gc.sqrt(x), 1.0), [0.0, 1.0, 4.0],
         {"torch": 0.25, "jax": 0.25, "textbook": 0.5}),
        (lambda x: gc.minimum(gc.log(x), 0.0), [0.5, 1.0, 4.0],
         {"torch": 0.5, "jax": 0.5, "textbook": 1.0}),
        (lambda x: gc.clip(gc.log(x), -1.0, 0.0), [0.1, 1.0, 4.0],
         {"torch": 1.0, "jax": 0.5, "textbook": 1.0}),
        (lambda x: gc.relu(gc.log(x)), [0.5, 1.0, 4.0], {"torch": 0, "jax": 0, "textbook": 1}),
        (lambda x: gc.relu(1 - 1 / x), [0.5, 1.0, 4.0], {"torch": 0, "jax": 0, "textbook": 1}),
        (lambda x: gc.minimum(1 / x, 1.0), [0.5, 1.0, 4.0],
         {"torch": -0.5, "jax": -0.5, "textbook": -1.0}),
    ],
)  # fmt: skip
def test_kinks_stay_where_they_are(build: Any, x: Any, slope: Any, kinks: str) -> None:
    def gradient(stabilize: bool) -> Any:
        with gc.Graph("kink", dtype="float64") as graph:
            graph.loss(gc.sum(build(graph.input("x", (3,)))))
        code = gc.compile(graph, kinks=kinks, stabilize=stabilize).load()
        with np.errstate(all="ignore"):
            return code.value_and_grad(np.array(x))[1]["x"]

    guarded, plain = gradient(True), gradient(False)
    assert guarded[1] == slope[kinks]
    usable = np.isfinite(plain)
    np.testing.assert_allclose(guarded[usable], plain[usable], rtol=1e-14)
    assert np.isfinite(guarded).all()


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda x: gc.maximum(gc.sqrt(x), 0.5), [0, 0, 0.5]),
        (lambda x: gc.minimum(1 / x, 2.0), [0, 0, -1]),
        (lambda x: gc.clip(gc.log(x), -1.0, 1.0), [0, 0, 1]),
        (lambda x: gc.relu(gc.log(x) + 1.0), [0, 0, 1]),
        (lambda x: gc.log(gc.relu(x) + 1e-300), [0, 0, 1]),
        (lambda x: gc.maximum(gc.log(x), gc.maximum(gc.sqrt(x), 0.5)), [0, 0, 0.5]),
    ],
)
def test_what_loses_a_comparison_at_0_has_no_slope(build: Any, expected: Any) -> None:
    with gc.Graph("loses", dtype="float64") as graph:
        graph.loss(gc.sum(build(graph.input("x", (3,)))))
    with np.errstate(divide="ignore"):  # the logarithm of 0 takes part in the comparison
        _, grads = gc.compile(graph).load().value_and_grad(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(grads["x"], expected, rtol=1e-15)


def test_the_mask_of_relu_under_a_logarithm() -> None:
    with gc.Graph("relu", dtype="float64") as graph:
        graph.loss(gc.sum(gc.log(gc.relu(graph.input("x", (3,))))))
    with np.errstate(divide="ignore"):
        _, grads = gc.compile(graph).load().value_and_grad(np.array([-1.0, -2.0, 2.0]))
    np.testing.assert_array_equal(grads["x"], [0, 0, 0.5])


def test_what_is_used_outside_is_not_masked() -> None:
    with gc.Graph("outside", dtype="float64") as graph:
        x = graph.input("x", (3,))
        log = gc.log(x)
        graph.output("y", gc.where(x > 1, log, 0.0))
        graph.output("log", log)
    module = gc.compile(graph, inference=True)
    assert GUARD not in [rule for rule, _ in module.report.fired]
    assert module.source.count("np.log(") == 1


# --- models without hazards ---------------------------------------------------------------------


def plain_model(build: Any, shapes: Any) -> gc.Graph:
    with gc.Graph("plain") as graph:
        graph.loss(build(*(graph.input(f"x{i}", shape) for i, shape in enumerate(shapes))))
    return graph


def layer_norm(x: gc.Node) -> gc.Node:
    centred = x - gc.mean(x, axis=-1, keepdims=True)
    return centred / gc.sqrt(gc.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (lambda x, w, v: gc.sum(gc.relu(x @ w) @ v), [("n", 3), (3, 4), (4, 2)]),
        (lambda x, w: gc.sum(gc.leaky_relu(layer_norm(x @ w))), [("n", 3), (3, 4)]),
        (lambda x, w: gc.cross_entropy(x @ w, np.array([0, 1])), [(2, 3), (3, 4)]),
        (lambda x, y: gc.mse(gc.where(x > 0, x, 0.5 * x), gc.clip(y, -1, 1)), [(5,), (5,)]),
        (lambda x: gc.sum(gc.where(x > 0, gc.tanh(x), gc.sigmoid(x))), [(5,)]),
        (lambda x: gc.sum(gc.max(gc.maximum(x, 0) * gc.exp(-gc.abs(x)), axis=1)), [(3, 5)]),
    ],
)
def test_no_mask_where_there_is_no_hazard(
    build: Any, shapes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = gc.compile(plain_model(build, shapes))
    assert GUARD not in [rule for rule, _ in guarded.report.fired]
    monkeypatch.setattr(pipeline, "guard", lambda roots, report: list(roots))
    assert guarded.source == gc.compile(plain_model(build, shapes)).source


@pytest.mark.parametrize("case", CASES[::6], ids=str)
def test_the_text_is_the_same_each_time(case: Guarded) -> None:
    assert gc.compile(declared(case)).source == gc.compile(declared(case)).source


def test_the_condition_of_rows_masks_all_elements_of_a_row() -> None:
    x = np.array(GRID)
    case = next(case for case in CASES if case.name == "sum")
    assert (x[0] <= 0).any() and (x[1] > 0).all()
    code = gc.compile(declared(case)).load()
    with np.errstate(all="raise"):
        _, grads = code.value_and_grad(x)
    np.testing.assert_allclose(grads["x0"], [[0, 0, 0], 0.5 / np.sqrt(x[1])], rtol=1e-15)


LINEAR = [case for case in OPS_CASES if case.op.family == "linear" and gives_floats(case)]


@pytest.mark.parametrize("case", LINEAR, ids=str)
def test_what_is_needed_of_a_result_is_known_of_what_is_moved_and_added_up(case: Case) -> None:
    model = declare(case)
    (y,), x = model.results, model.results[0].args[0]
    with model.graph:
        need = transposed(y > 0, y, 0)
        assert need is not None
        assert (need.dtype.name, need.shape) == ("bool", x.shape)
        model.outputs("need", [need, gc.vjp(y, x, (y > 0).astype(y.dtype)) > 0])
    results = model.run()
    np.testing.assert_array_equal(results["need0"], results["need1"])
