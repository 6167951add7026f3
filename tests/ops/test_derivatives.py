"""VJP and JVP against differences, against each other, and both once more: the second order.

What is compared with differences here is compared in `test_emission.py` with what workspaces make.
Differences are central and in float64. Samples are drawn where ops are smooth; what ops do at
their kinks is in `test_kinks.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DifferentiationError, DTypeError
from tests.ops.cases import (
    CASES,
    DIFFERENTIABLE,
    Array,
    Case,
    Model,
    call,
    declare,
    directions_of,
    first_order,
    gives_floats,
    listed,
    over,
    same_bits,
    second_order,
    takes_floats,
    values,
)
from tests.styles import in_every_style, load

STEP = 1e-5


def near(actual: Array, expected: Array, case: Case) -> None:
    """Assert that a derivative is what differences say, up to their own error."""
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=2e-8, err_msg=str(case))


def slopes(model: Model, directions: dict[str, Array], prefix: str) -> list[Array]:
    """Central differences of the outputs `prefix0`, … along directions of some inputs."""

    def at(step: float) -> list[Array]:
        moved = {name: model.feeds[name] + step * d for name, d in directions.items()}
        return listed(model.run(model.feeds | moved), prefix)

    pairs = zip(at(STEP), at(-STEP), strict=True)
    floats = ((ahead, behind) for ahead, behind in pairs if np.asarray(ahead).dtype.kind == "f")
    return [np.asarray((ahead - behind) / (2 * STEP)) for ahead, behind in floats]


def names(model: Model) -> tuple[list[str], list[str], list[str]]:
    """The names in `feeds` of float inputs, of cotangents and of tangents."""
    own, results = len(model.inputs), len(model.targets)
    keys = list(model.feeds)
    floats = [node.params.name for node in model.floats]
    return floats, keys[own : own + results], keys[own + results :]


@over(DIFFERENTIABLE)
def test_every_element_of_the_vjp_is_a_difference(case: Case) -> None:
    model = first_order(case)
    floats, cotangents, _ = names(model)
    weights = [model.feeds[name] for name in cotangents]
    for name, bar in zip(floats, listed(model.run(), "bar"), strict=True):
        expected = np.zeros_like(bar)
        for place in np.ndindex(bar.shape):
            unit = np.zeros_like(model.feeds[name])
            unit[place] = 1.0
            dots = slopes(values(case), {name: unit}, "y")
            expected[place] = sum(np.sum(w * d) for w, d in zip(weights, dots, strict=True))
        near(bar, expected, case)


@over(DIFFERENTIABLE)
def test_the_jvp_is_the_difference_along_its_direction(case: Case) -> None:
    model = first_order(case)
    floats, _, tangents = names(model)
    directions = {x: model.feeds[v] for x, v in zip(floats, tangents, strict=True)}
    expected = slopes(values(case), directions, "y")
    for dot, difference in zip(listed(model.run(), "dot"), expected, strict=True):
        near(dot, difference, case)


@over(DIFFERENTIABLE)
def test_vjp_and_jvp_are_adjoint(case: Case) -> None:
    model = first_order(case)
    results = model.run()
    _, cotangents, tangents = names(model)
    left = [model.feeds[w] * d for w, d in zip(cotangents, listed(results, "dot"), strict=True)]
    right = [b * model.feeds[v] for b, v in zip(listed(results, "bar"), tangents, strict=True)]
    # <w, J v> = <Jᵀ w, v>
    forward, reverse = (sum(float(np.sum(terms)) for terms in side) for side in (left, right))
    scale = sum(float(np.abs(terms).sum()) for terms in left + right)
    assert abs(forward - reverse) <= 1e-10 * scale


@over([case for case in DIFFERENTIABLE if len(values(case).floats) > 1])
def test_each_operand_by_itself_adds_up(case: Case) -> None:
    """The JVP by all operands is the sum of those by one, in which the others do not move."""
    model = declare(case)
    with model.graph:
        w, v = directions_of(model, case)
        for i, (x, tangent) in enumerate(zip(model.floats, v, strict=True)):
            model.outputs(f"dot{i}_", gc.jvp(model.targets, [x], [tangent]))
            model.outputs(f"bar{i}_", gc.vjp(model.targets, [x], w, allow_unused=True))
    results, whole = model.run(), first_order(case).run()
    alone = [listed(results, f"dot{i}_") for i in range(len(v))]
    totals = listed(whole, "dot")
    for y, dots, total in zip(model.targets, zip(*alone, strict=True), totals, strict=True):
        assert all(np.shape(dot) == y.shape for dot in dots)
        np.testing.assert_allclose(np.add.reduce(dots), total, rtol=1e-12, atol=1e-13)
    for i, bar in enumerate(listed(whole, "bar")):
        np.testing.assert_allclose(results[f"bar{i}_0"], bar, rtol=1e-12, atol=1e-13)


@in_every_style
@over(DIFFERENTIABLE)
def test_the_backward_function_of_a_module_is_the_vjp(case: Case, style: str) -> None:
    model = declare(case)
    with model.graph:
        w, _ = directions_of(model, case)
    module = load(model.graph, style=style, wrt=[x.params.name for x in model.floats])
    own = {node.params.name: model.feeds[node.params.name] for node in model.inputs}
    _, residuals = call(module.forward, ["results", "residuals"], own).values()
    grads = module.backward(residuals, *(model.feeds[node.params.name] for node in w))
    bars = listed(first_order(case).run(style=style), "bar")
    assert list(grads) == [x.params.name for x in model.floats]
    for grad, bar in zip(grads.values(), bars, strict=True):
        np.testing.assert_allclose(grad, bar, rtol=1e-13, atol=1e-14)


# --- second order ---------------------------------------------------------------------------------


@over(DIFFERENTIABLE)
def test_second_order_against_differences_of_the_first(case: Case) -> None:
    model = second_order(case)
    floats, _, tangents = names(model)
    directions = {x: model.feeds[v] for x, v in zip(floats, tangents, strict=True)}
    expected = slopes(first_order(case), directions, "bar")
    for value, difference in zip(listed(model.run(), "rr"), expected, strict=True):
        near(value, difference, case)


@over(DIFFERENTIABLE)
def test_three_ways_to_the_second_order_agree(case: Case) -> None:
    results = second_order(case).run()
    for name, other in second_order(case).run(style="workspace").items():
        scale = np.abs(results[name]).max(initial=1.0)
        np.testing.assert_allclose(
            other, results[name], rtol=1e-13, atol=1e-13 * scale, err_msg=name
        )
    for one, other in (("rr", "fr"), ("rr", "rf"), ("dot", "back")):
        for left, right in zip(listed(results, one), listed(results, other), strict=True):
            scale = np.abs(left).max(initial=1.0)
            message = f"{one}, {other}"
            np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-12 * scale, err_msg=message)


# --- where there is no derivative -----------------------------------------------------------------

FLAT = [
    case
    for case in CASES
    if not case.op.differentiable and takes_floats(case) and gives_floats(case)
]


@over(FLAT)
def test_an_op_without_a_derivative_says_so(case: Case) -> None:
    model = declare(case)
    with pytest.raises(DifferentiationError) as caught:
        gc.vjp(model.targets, model.floats)
    x, *ys = (model.graph.describe(n, site=True) for n in (model.floats[0], *model.targets))
    assert f"wrt {x} does not reach {', '.join(ys)}" in str(caught.value)


@over(FLAT)
def test_an_op_without_a_derivative_gives_zeros_if_that_is_accepted(case: Case) -> None:
    model = declare(case)
    with model.graph:
        model.outputs("bar", gc.vjp(model.targets, model.floats, allow_unused=True))
    for x, bar in zip(model.floats, listed(model.run(), "bar"), strict=True):
        assert same_bits(bar, np.zeros(x.shape))


@over([case for case in CASES if takes_floats(case) and not gives_floats(case)])
def test_a_result_of_no_float_dtype_has_no_derivative(case: Case) -> None:
    model = declare(case)
    with pytest.raises(DTypeError, match=r"outputs has a float dtype, got .* (bool|int64) "):
        gc.vjp(model.results, model.floats)
