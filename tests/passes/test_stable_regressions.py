"""STABILIZE rules at what a review found them to get wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.function import topological
from graphc.passes import guards
from graphc.passes.sums import MAX_TERMS
from tests.styles import in_every_style, load

Build = Callable[[Any], Any]


def value_and_gradient(build: Build, point: Any, **options: Any) -> tuple[Any, Any]:
    """Value and gradient at a point, of which NumPy may not warn."""
    point = np.array(point, np.float64)
    with gc.Graph("review", dtype="float64") as graph:
        x = graph.input("x", point.shape)
        graph.loss(gc.sum(build(x)))
    code = load(graph, **options)
    with np.errstate(all="raise", under="ignore"):
        value, grads = code.value_and_grad(x=point)
    return value, grads["x"]


@in_every_style
@pytest.mark.parametrize("terms", [2, MAX_TERMS, MAX_TERMS + 1, MAX_TERMS + 2, 3 * MAX_TERMS])
def test_the_root_of_many_squares_leaves_none_out(terms: int, style: str) -> None:
    point = np.arange(1.0, terms + 1)
    value, slopes = value_and_gradient(
        lambda x: gc.sqrt(reduce(add, [x[i] * x[i] for i in range(terms)])), point, style=style
    )
    size = np.sqrt(np.sum(point**2))
    np.testing.assert_allclose(value, size, rtol=1e-14)
    np.testing.assert_allclose(slopes, point / size, rtol=1e-14)


@pytest.mark.parametrize("one", [[1.0], [[1.0]]], ids=str)
@pytest.mark.parametrize(("build", "expected", "slopes"), [
    (lambda x, one: gc.log(one - gc.sigmoid(x)), [-800, -np.log(2), 0], [-1, -0.5, 0]),
    (lambda x, one: gc.log(one + gc.exp(x)), [800, np.log(2), 0], [1, 0.5, 0]),
    (lambda x, one: x * (one / (one + gc.exp(-x))), [800, 0, 0], [1, 0.5, 0]),
])  # fmt: skip
def test_a_number_may_be_an_array_of_one_element(
    build: Any, expected: Any, slopes: Any, one: Any
) -> None:
    def total(x: Any) -> Any:
        return build(gc.expand_dims(x, 0), x.graph.constant(one, x.dtype))

    value, found = value_and_gradient(total, [800, 0, -800], style="functional")
    np.testing.assert_allclose(value, sum(expected), rtol=1e-14)
    np.testing.assert_allclose(found, slopes, rtol=1e-14, atol=1e-300)


@in_every_style
@pytest.mark.parametrize(("build", "left_out"), [
    (lambda x: x * x, 0.0),
    (lambda x: x**2.0, 0.0),
    (lambda x: 1 / x, 0.0),
    (lambda x: 1 + x, -1.0),
    (lambda x: 1 - x, 1.0),
    (lambda x: 1 - gc.exp(-x), 0.0),
    (lambda x: gc.exp(x) * x, 0.0),
    (lambda x: gc.expand_dims(x * x, 0)[0], 0.0),
    (lambda x: gc.stack([x, x]) * x, 0.0),
])  # fmt: skip
def test_no_logarithm_is_taken_of_what_is_left_out(
    build: Build, left_out: float, style: str
) -> None:
    def chosen(x: Any) -> Any:
        return gc.log(build(x)[..., 0])

    value, slopes = value_and_gradient(chosen, [0.5, left_out], style=style)
    wanted, (slope,) = value_and_gradient(chosen, [0.5], style=style)
    np.testing.assert_allclose(value, wanted, rtol=1e-14)
    np.testing.assert_allclose(slopes, [slope, 0], rtol=1e-14)


@in_every_style
def test_nor_of_what_is_not_picked(style: str) -> None:
    def picked(x: Any) -> Any:
        return gc.log(gc.pick(x * x, [1, 0]))

    value, slopes = value_and_gradient(picked, [[0.0, 0.5], [2.0, 0.0]], style=style)
    np.testing.assert_allclose(value, 0, atol=1e-14)
    np.testing.assert_allclose(slopes, [[0, 4], [1, 0]], rtol=1e-14)


@in_every_style
@pytest.mark.parametrize("build", [
    lambda x: gc.log((1 + gc.exp(x))[0]),
    lambda x: gc.log((gc.exp(x) + gc.exp(0 * x))[0]),
    lambda x: gc.log((1 / (1 / (1 + gc.exp(x))))[0]),
])  # fmt: skip
def test_what_is_chosen_is_stable_nevertheless(build: Build, style: str) -> None:
    value, slopes = value_and_gradient(build, [1000.0, 5000.0], style=style)
    assert value == 1000
    np.testing.assert_array_equal(slopes, [1, 0])


def test_conditions_are_swept_once_for_each_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    swept = []

    def counted(roots: Any) -> list[gc.Node]:
        nodes = topological(roots)
        swept.append(len(nodes))
        return nodes

    monkeypatch.setattr(guards, "topological", counted)
    depth = 20
    with gc.Graph("deep") as graph:
        x = graph.input("x", (4, 5))
        for _ in range(depth):
            x = gc.relu(x / gc.sqrt(gc.sum(x * x, axis=1, keepdims=True)))
        graph.loss(gc.sum(x))
    gc.compile(graph)
    assert len(swept) < 4 * depth


@pytest.mark.parametrize("build", [
    lambda x: gc.relu(gc.log(x)),
    lambda x: gc.maximum(1 / x, 1 / (x - 1)),
    lambda x: gc.clip(gc.log(x), -1, 1),
])  # fmt: skip
def test_what_loses_a_comparison_is_not_computed_twice(build: Build) -> None:
    with gc.Graph("once") as graph:
        graph.output("y", build(graph.input("x", ("n",))))
    assert "np.where(" not in gc.compile(graph, inference=True).source


def lines(graph: gc.Graph, **options: Any) -> int:
    return gc.compile(graph, **options).source.count("\n")


def rows_over_their_deviation(layers: int) -> gc.Graph:
    with gc.Graph("rows") as g:
        h = g.input("x", ("batch", 8))
        for i in range(layers):
            centred = h - gc.mean(h, axis=1, keepdims=True)
            h = gc.maximum(centred / gc.sqrt(gc.var(h, axis=1, keepdims=True)), 0.0)
            h = h @ g.parameter(f"W{i}", (8, 8), init="glorot_uniform")
        g.loss(gc.mean(h * h))
    return g


def most_likely_path(steps: int) -> gc.Graph:
    with gc.Graph("path") as g:
        p, q = g.input("p", (steps,)), g.input("q", (steps,))
        a = b = gc.sum(p) * 0
        for i in range(steps):
            kept = gc.maximum(a + gc.log(p[i]), b + gc.log(q[i]))
            a, b = kept, gc.maximum(a + gc.log(1 - p[i]), b + gc.log(1 - q[i]))
        g.loss(gc.maximum(a, b))
    return g


def test_no_layer_is_computed_twice_for_a_denominator_of_its_rows() -> None:
    graph = rows_over_their_deviation(12)
    assert lines(graph) <= 1.1 * lines(graph, stabilize=False)


def test_masks_of_maxima_of_maxima_grow_as_the_chain_does() -> None:
    short, long = lines(most_likely_path(12)), lines(most_likely_path(24))
    assert long <= 2.2 * short
    module = gc.compile(most_likely_path(3)).load()
    with np.errstate(divide="ignore"):  # of the comparison with the logarithm of 0
        loss, grads = module.value_and_grad(np.float32([0.5, 1, 0.25]), np.float32([0, 0.5, 0.5]))
    # Of the eight paths the best: not the second, whose logarithm of 0 loses.
    assert loss == pytest.approx(np.log(0.5 * 1 * 0.75), rel=1e-6)
    assert np.isfinite(grads["p"]).all() and np.isfinite(grads["q"]).all()


@in_every_style
@pytest.mark.parametrize(
    ("build", "x", "value", "slopes"),
    [
        (lambda x: (x > 0) * gc.log(x), [0, -1, 2], [0, 0, np.log(2)], [0, 0, 0.5]),
        (lambda x: gc.sqrt(x) * (x > 0), [0, 4, -1], [0, 2, 0], [0, 0.25, 0]),
        (lambda x: gc.log(gc.sum(gc.where(x > 0, gc.exp(x), 0), keepdims=True)),
         [1000, -5, 1000], [1000 + np.log(2)], [0.5, 0, 0.5]),
    ],
)  # fmt: skip
def test_a_product_with_a_condition_is_a_choice(
    build: Callable[..., gc.Node], x: Any, value: Any, slopes: Any, style: str
) -> None:
    with gc.Graph("chosen", dtype="float64") as g:
        y = build(g.input("x", (3,)))
        g.output("y", y)
        g.loss(gc.sum(y))
    module = load(g, style=style)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(module.predict(np.array(x, float)), value, rtol=1e-15)
        _, grads = module.value_and_grad(np.array(x, float))
    np.testing.assert_allclose(grads["x"], slopes, rtol=1e-15)
