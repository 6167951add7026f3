"""Ties, directions and errors of what depends on order, beside what the table of ops tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError, ShapeError
from tests.styles import in_every_style, load, predicted

X = np.array([[2, 7, 2, 7], [1, 1, 0, 0], [3, 2, 1, 0]])
# By the definition: the places of the extrema, and those that sort, of these rows.
PLACES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "first maximum": (lambda x: gc.argmax(x, 1), [1, 0, 0]),
    "last maximum": (lambda x: gc.argmax(x, -1, last=True), [3, 1, 0]),
    "first minimum": (lambda x: gc.argmin(x, 1, True), [[0], [2], [3]]),
    "last minimum": (lambda x: gc.argmin(x, 1, True, last=True), [[2], [3], [3]]),
    "of all": (lambda x: gc.argmax(x), 1),
    "last of all": (lambda x: gc.argmax(x, last=True), 3),
    "last of all, axes kept": (lambda x: gc.argmin(x, keepdims=True, last=True), [[11]]),
    "method": (lambda x: x.argmax(axis=0), [2, 0, 0, 0]),
    "NumPy's": (lambda x: np.argmin(x, axis=0), [1, 1, 1, 1]),
    "order": (lambda x: gc.argsort(x), [[0, 2, 1, 3], [2, 3, 0, 1], [3, 2, 1, 0]]),
    "order back": (
        lambda x: gc.argsort(x, descending=True), [[1, 3, 0, 2], [0, 1, 2, 3], [0, 1, 2, 3]]
    ),
    "sorted": (lambda x: gc.sort(x), [[2, 2, 7, 7], [0, 0, 1, 1], [0, 1, 2, 3]]),
    "sorted back": (
        lambda x: gc.sort(x, 0, descending=True), [[3, 7, 2, 7], [2, 2, 1, 0], [1, 1, 0, 0]]
    ),
    "most": (lambda x: gc.top_k(x, 3)[1], [[1, 3, 0], [0, 1, 2], [0, 1, 2]]),
    "least": (lambda x: gc.top_k(x, 3, largest=False)[1], [[0, 2, 1], [2, 3, 0], [3, 2, 1]]),
    "values of the most": (lambda x: gc.top_k(x, 2, 0)[0], [[3, 7, 2, 7], [2, 2, 1, 0]]),
}  # fmt: skip
VALUES = ("sorted", "sorted back", "values of the most")  # which are no places


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "float16"])
@pytest.mark.parametrize("name", PLACES)
def test_of_equal_elements_the_first_or_the_last_is_taken(name: str, dtype: str) -> None:
    build, expected = PLACES[name]
    with gc.Graph("order") as g:
        node = g.output("y", build(g.input("x", X.shape, dtype)))
    result = predicted(g, {"x": X.astype(dtype)})
    np.testing.assert_array_equal(result, expected)
    assert node.dtype.name == (dtype if name in VALUES else "int64")


@in_every_style
@pytest.mark.parametrize("axis", [0, 1])
def test_cotangents_of_sorted_values_return_to_their_places(axis: int, style: str) -> None:
    x = np.random.default_rng(7).normal(size=(4, 5))
    with gc.Graph("sorted", dtype="float64") as g:
        node = g.input("x", ("n", "m"))
        g.output("up", gc.sort(node, axis))
        g.output("down", gc.sort(node, axis, descending=True))
        g.output("top", gc.top_k(node, 2, axis)[0])
    module = load(g, style=style, wrt=["x"])
    results, residuals = module.forward(x)
    bars = [np.random.default_rng(i).normal(size=y.shape) for i, y in enumerate(results)]
    expected = np.zeros_like(x)
    for y, bar in zip(results, bars, strict=True):
        for place in np.ndindex(*y.shape):
            own = [place[0], slice(None)] if axis else [slice(None), place[1]]
            target = [*place]
            target[axis] = int(np.flatnonzero(x[tuple(own)] == y[place])[0])
            expected[tuple(target)] += bar[place]
    np.testing.assert_allclose(module.backward(residuals, *bars)["x"], expected, rtol=1e-14)


@pytest.mark.parametrize("most", [3.0, np.nan])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("count", [0, 1, 3, 17, 19, 20])
def test_the_top_of_crowded_rows_is_that_of_a_stable_sort(
    count: int, largest: bool, most: float
) -> None:
    """Where more elements than are taken equal the last one, a partition alone takes any."""
    keys = np.random.default_rng(7).integers(0, 4, (30, 20)).astype("float32")
    x = np.where(keys == 3, np.float32(most), keys)
    with gc.Graph("crowded") as g:
        g.output("places", gc.top_k(g.input("x", ("n", 20)), count, largest=largest)[1])
    order = np.argsort(-keys if largest else keys, axis=1, kind="stable")
    np.testing.assert_array_equal(predicted(g, {"x": x}), order[:, :count])


def test_too_few_elements_are_told_when_it_runs() -> None:
    with gc.Graph("few") as g:
        g.output("y", gc.top_k(g.input("x", ("n",)), 3)[0])
    predict = gc.compile(g, inference=True).load().predict
    assert predict(np.float32([1, 4, 2, 3])).tolist() == [4, 3, 2]
    with pytest.raises(ValueError, match="top_k needs n >= 3"):
        predict(np.float32([1, 2]))


WRONG: list[tuple[str, type[GraphcError], str]] = [
    ("gc.argmax(x, 2)", ShapeError, "argmax: axis 2 does not exist"),
    ("gc.argmax(e, 0)", ShapeError, "argmax: of nothing there is no extremum: e float32 (0, 3)"),
    ("gc.argmin(e)", ShapeError, "argmin: of nothing there is no extremum"),
    ("gc.argmax(x, 1, 1)", GraphcError, "keepdims is True or False, got 1"),
    ("gc.argmax(x, 1, last='no')", GraphcError, "last is True or False, got 'no'"),
    ("gc.sort(s)", ShapeError, "sort expects at least 1 axes"),
    ("gc.argsort(x, 3)", ShapeError, "argsort: axis 3 does not exist"),
    ("gc.top_k(x, 4)", ShapeError, "top_k: 4 elements of axis 1 of x float32 (2, 3)"),
    ("gc.top_k(x, -1)", ShapeError, "top_k: a size is not negative, got -1"),
    ("gc.top_k(x, 1.5)", ShapeError, "a size is an int"),
    ("gc.cumulative_sum(x)", GraphcError, "cumulative_sum needs an axis, got x float32 (2, 3)"),
    ("gc.cumulative_prod(s)", ShapeError, "cumulative_prod expects at least 1 axes"),
    ("gc.det(x)", ShapeError, "sizes 2 and 3 differ"),
    ("gc.inv(s)", ShapeError, "expects the two axes of a matrix"),
    ("gc.diagonal(s)", ShapeError, "diagonal expects at least 2 axes"),
    ("gc.diagonal(x, 0, 1, 1)", ShapeError, "diagonal is over two axes, got 1 twice"),
    ("x.trace(0.5)", GraphcError, "the offset is an int, got 0.5"),
    ("gc.diagonal(n, 1)", ShapeError, "beside the main one, the axes need fixed sizes"),
    ("gc.diagonal(n[:, :2])", ShapeError, "sizes n and 2 differ"),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG, ids=lambda v: str(v)[:40])
def test_what_does_not_fit_is_told(call: str, error: type[GraphcError], words: str) -> None:
    with gc.Graph("wrong") as g:
        scope = {
            "gc": gc, "x": g.input("x", (2, 3)), "e": g.input("e", (0, 3)), "s": g.input("s"),
            "n": g.input("n", ("n", "n")),
        }  # fmt: skip
        with pytest.raises(error) as caught:
            eval(call, scope)
    assert words in str(caught.value)
