"""What reviews and reading found wrong once. Each case states the right result by itself."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.function import topological
from graphc.ir.types import float64
from graphc.passes.precision import with_dtype
from tests.styles import in_every_style, load, predicted


def predict(graph: gc.Graph, *inputs: Any) -> Any:
    """What the compiled graph returns."""
    return predicted(graph, dict(zip(graph.inputs, inputs, strict=True)))


def test_tangents_of_two_inner_values_of_one_op_are_kept_apart() -> None:
    with gc.Graph("g", dtype="float64") as g:
        x, z = g.input("x"), g.input("z")
        inner = [gc.sin(x), gc.sin(z)]
        y = inner[0] * inner[0] * inner[1]
        g.output("dy", gc.jvp(y, inner, [1.0, 0.0]))
    a, b = np.sin(1.1), np.sin(0.7)
    np.testing.assert_allclose(predict(g, 1.1, 0.7), 2 * a * b, rtol=1e-14)


def test_jvp_and_vjp_are_adjoint_where_one_wrt_depends_on_another() -> None:
    x0 = np.array([2.0, -1.0])
    with gc.Graph("g", dtype="float64") as g:
        x = g.input("x", (2,))
        h = x * x
        y = (x * h).sum()
        g.output("bars", gc.stack(gc.vjp(y, [x, h])))
        g.output("dots", gc.stack([
            gc.jvp(y, [x, h], [unit, zero] if first else [zero, unit])
            for first in (True, False)
            for unit, zero in ((np.eye(2)[0], np.zeros(2)), (np.eye(2)[1], np.zeros(2)))
        ]))  # fmt: skip
        g.output("twice", gc.jvp(y, [x, x], [np.ones(2), np.ones(2)]))
    bars, dots, twice = predict(g, x0)
    np.testing.assert_allclose(bars, [3 * x0**2, x0], rtol=1e-14)
    np.testing.assert_allclose(dots, bars.ravel(), rtol=1e-14)
    np.testing.assert_allclose(twice, 2 * (3 * x0**2).sum(), rtol=1e-14)


@in_every_style
def test_forward_mode_through_composites_ends(style: str) -> None:
    """The work doubled with every layer once, so that 60 of them never came to an end."""

    def declare(g: gc.Graph) -> tuple[Any, Any]:
        x = g.input("x", (3,))
        h = x
        for _ in range(60):
            h = h + 0.01 * gc.mse(h * x, x)
        return x, h

    with gc.Graph("g", dtype="float64") as g:
        x, h = declare(g)
        g.output("h", h)
        g.output("dh", gc.jvp(h, x, np.ones(3)))
    net = load(g, inference=True, style=style)
    x0, step = np.array([0.3, -0.2, 0.5]), 1e-6
    slope = (net.predict(x0 + step).h - net.predict(x0 - step).h) / (2 * step)
    np.testing.assert_allclose(net.predict(x0).dh, slope, rtol=1e-7)


def test_the_graph_is_not_walked_once_for_every_parameter() -> None:
    def walks(layers: int) -> int:
        with gc.Graph("g") as g:
            h = g.input("x", ("n", 2))
            for layer in range(layers):
                h = gc.tanh(h @ g.parameter(f"W{layer}", (2, 2), init="normal"))
            g.loss((h * h).mean())
        count = 0

        def profile(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += event == "call" and frame.f_code is topological.__code__

        sys.setprofile(profile)
        try:
            gc.compile(g)
        finally:
            sys.setprofile(None)
        return count

    assert 0 < walks(40) == walks(4)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([-np.inf, -np.inf], -np.inf), ([np.inf, 0.0], np.inf), ([-np.inf, 1.5], 1.5)],
)
def test_logsumexp_of_infinities_is_the_limit(values: list[float], expected: float) -> None:
    with gc.Graph("g", dtype="float64") as g:
        x = g.input("x", (2,))
        g.output("y", gc.log(gc.exp(x).sum()))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(predict(g, values), expected)


def test_a_label_of_a_loop_can_be_replaced() -> None:
    with gc.Graph("g") as g:
        h = g.input("x", (2,))
        for _ in range(3):
            h = gc.tanh(h)
        h.named("last")
        g.output("h", h)
    source = gc.compile(g, inference=True).source
    assert "h_2 = np.tanh(h_1)" in source
    assert "last: Array = np.tanh(h_2)" in source


def test_logic_on_floats_is_not_simplified_away() -> None:
    with gc.Graph("g", dtype="float64") as g:
        x = g.input("x", (3,))
        no = gc.logical_not(x)
        g.output("twice", gc.logical_not(no))
        g.output("chosen", gc.where(no, 1.0, x))
    twice, chosen = predict(g, [0.0, 2.0, -1.0])
    np.testing.assert_array_equal(twice, [False, True, True])
    np.testing.assert_array_equal(chosen, [1.0, 2.0, -1.0])


@pytest.mark.parametrize(
    ("formula", "value", "expected"),
    [
        (lambda x: x * 1e-30 * 1e-30, [1e30], [1e-30]),
        (lambda x: x * 1e30 * 1e30, [1e-30], [1e30]),
        (lambda x: gc.sum(x * 0.0001, keepdims=True), [3e38, 3e38], [6e34]),
    ],
)
def test_factors_change_places_only_within_the_range(
    formula: Any, value: list[float], expected: list[float]
) -> None:
    with gc.Graph("g") as g:
        g.output("y", formula(g.input("x", (len(value),))))
    np.testing.assert_allclose(predict(g, value), expected, rtol=1e-5)


@in_every_style
def test_the_hash_sees_every_initial_value(style: str) -> None:
    def digest(changed: float, state: float) -> str:
        init = np.zeros(3000)
        init[1500] = changed
        with gc.Graph("g") as g:
            W = g.parameter("W", (3000,), init=init)
            s = g.state("s", init=state)
            g.output("y", W.sum() * s)
        found: str = load(g, style=style).__graphc__["hash"]
        return found

    assert len({digest(0, 0), digest(1, 0), digest(0, 1)}) == 3


def test_widening_a_graph_restores_the_decimals_that_were_typed() -> None:
    with gc.Graph("g") as g:
        g.output("y", g.input("x") * 0.1)
    assert predict(with_dtype(g, float64), 3.0) == 3.0 * 0.1


@in_every_style
def test_a_condition_outlives_the_value_that_carried_it(style: str) -> None:
    with gc.Graph("g") as g:
        x = g.input("x", ("n",))
        g.output("y", x.reshape(-1, 2).reshape(x.shape) * 2)
    module = load(g, inference=True, style=style)
    np.testing.assert_array_equal(module.predict(np.ones(4)), np.full(4, 2.0))
    with pytest.raises(ValueError, match="divide by 2"):
        module.predict(np.ones(5))


def test_an_output_counts_as_a_user() -> None:
    with gc.Graph("g") as g:
        x, W, s = g.input("x", ("n", 8)), g.parameter("W", (8, 100)), g.input("s")
        p = x @ W
        g.output("p", p)
        g.output("q", (x @ W) * s)
    source = gc.compile(g, inference=True).source
    assert source.count(" @ ") == 1
    assert "q = p * s" in source


def test_sixty_doublings_are_sixty_lines() -> None:
    with gc.Graph("ladder", dtype="float64") as g:
        x = g.input("x")
        y = x
        for _ in range(60):
            y = y + y
        g.output("y", y)
    module = gc.compile(g)
    value, grads = module.load().value_and_grad(1.5)
    assert value == 1.5 * 2.0**60
    assert grads["x"] == 2.0**60
    forward = module.source.split("def forward")[1].split("def backward")[0]
    assert sum(" = 2 * " in line or "(2.0) * " in line for line in forward.splitlines()) == 60


@in_every_style
def test_the_slope_of_the_deviation_of_equal_values_is_zero(style: str) -> None:
    with gc.Graph("g", dtype="float64") as g:
        x = g.input("x", (3,))
        g.output("y", gc.std(x))
    _, grads = load(g, style=style).value_and_grad(np.full(3, 2.0))
    np.testing.assert_array_equal(grads["x"], np.zeros(3))


def test_an_empty_batch_is_reshaped() -> None:
    with gc.Graph("g") as g:
        x = g.input("x", ("batch", 3, 4))
        g.output("y", x.reshape(x.shape[0], -1))
    assert predict(g, np.zeros((0, 3, 4))).shape == (0, 12)


def test_large_unsigned_ints_are_summed_as_such() -> None:
    with gc.Graph("g") as g:
        g.output("y", gc.sum(g.input("x", (2,), dtype="uint64")))
    assert int(predict(g, np.array([2**63, 1], "uint64"))) == 2**63 + 1
