"""Indices that data holds: where they count from, those that do not exist, and those met twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError, ShapeError
from tests.styles import in_every_style, load, predicted

X = np.arange(24.0, dtype="float32").reshape(2, 3, 4)

# (graphc, NumPy, indices): values that NumPy's own indexing has.
READS: list[tuple[Callable[..., Any], Callable[..., Any], list[Any]]] = [
    (lambda x, i: gc.take(x, i, 1), lambda x, i: x[:, i], [[0, -1], [-3, 2]]),
    (lambda x, i: gc.take(x, i), lambda x, i: x.ravel()[i], [-24, 23, 0]),
    (lambda x, i: gc.take(x, i, -1), lambda x, i: x[..., i], -2),
    (lambda x, i: gc.take_along_axis(x, i, 2),
     lambda x, i: np.take_along_axis(x, np.broadcast_to(i, (2, 3, 2)), 2), [[[0, -1]]]),
    (gc.gather_nd, lambda x, i: x[i[:, 0], i[:, 1]], [[0, -1], [1, 0], [-2, -3]]),
    (gc.gather_nd, lambda x, i: x[i[0], i[1], i[2]], [1, 2, -4]),
    (lambda x, i: gc.gather_nd(x, i, 1), lambda x, i: x[np.arange(2), i[:, 0]], [[-1], [0]]),
]  # fmt: skip


def indexed(op: Callable[..., Any], indices: Any, constant: bool = False) -> gc.Graph:
    """An op on X, with indices that are an input, or constants."""
    with gc.Graph("indexed") as g:
        x = g.input("x", X.shape)
        given = np.asarray(indices)
        index = given if constant else g.input("i", given.shape, "int64")
        g.output("y", op(x, index))
    return g


@pytest.mark.parametrize("constant", [False, True], ids=["input", "constant"])
@pytest.mark.parametrize("case", READS, ids=range(len(READS)))
def test_negative_indices_count_from_the_end(case: Any, constant: bool) -> None:
    op, formula, indices = case
    i = np.asarray(indices)
    value = predicted(indexed(op, i, constant), {"x": X, "i": i})
    np.testing.assert_array_equal(value, formula(X, i))
    assert value.dtype == np.float32


WRONG = [
    (lambda x, i: gc.take(x, i, 1), [0, 3]),
    (lambda x, i: gc.take(x, i, 1), [-4]),
    (lambda x, i: gc.take_along_axis(x, i, 0), [[[2, 0, 0, 0]]]),
    (gc.gather_nd, [[0, 3]]),  # 0 * 3 + 3 is a place, but that of (1, 0)
    (gc.gather_nd, [[1, -4]]),
    (lambda x, i: gc.scatter_nd(x, i, np.zeros((1, 4))), [[0, 3]]),
    (lambda x, i: gc.scatter_along_axis(x, i, np.zeros((1, 1, 1))), [[[4]]]),
    (lambda x, i: gc.scatter_along_axis(x, i, np.zeros((1, 1, 1)), 0, "max"), [[[-3]]]),
]


@in_every_style
@pytest.mark.parametrize("case", WRONG, ids=range(len(WRONG)))
def test_an_index_that_does_not_exist_is_an_error_when_it_runs(case: Any, style: str) -> None:
    op, indices = case
    module = load(indexed(op, indices), style=style, inference=True)
    with pytest.raises(IndexError):
        module.predict(X, np.asarray(indices))


@pytest.mark.parametrize("case", [*WRONG[:2], *WRONG[3:]], ids=range(len(WRONG) - 1))
def test_a_constant_index_that_does_not_exist_is_an_error_at_once(case: Any) -> None:
    op, indices = case
    with pytest.raises(GraphcError, match=r"index -?\d does not exist in \d elements"):
        indexed(op, indices, constant=True)


def test_an_index_of_each_axis_is_checked_by_itself() -> None:
    message = r"indices must be in -3\.\.2, got 3\.\.3"
    module = gc.compile(indexed(gc.gather_nd, [[0, 3]]), inference=True).load()
    with pytest.raises(IndexError, match=message):
        module.predict(X, np.array([[0, 3]]))


@in_every_style
def test_the_last_update_of_an_index_stays_and_has_the_gradient(style: str) -> None:
    with gc.Graph("last") as g:
        x, u = g.input("x", (3,)), g.input("u", (4,))
        i = g.input("i", (4,), "int64")
        g.loss(gc.sum(gc.scatter_along_axis(x, i, u) * np.array([1.0, 10.0, 100.0])))
    module = load(g, style=style, wrt=["x", "u"])
    values = np.array([1, 2, 3], "float32"), np.array([4, 5, 6, 7], "float32")
    loss, grads = module.value_and_grad(*values, np.array([2, 0, 2, -1]))
    assert loss == 5 * 1 + 2 * 10 + 7 * 100
    np.testing.assert_array_equal(grads["x"], [0, 10, 0])
    np.testing.assert_array_equal(grads["u"], [0, 1, 0, 100])


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_reductions_of_ints_are_exact(reduction: str) -> None:
    """Sums in float64 would lose the last digits of such ints."""
    x = np.array([2**60 + 1, 3, -5, 7])
    indices, updates = np.array([1, 0, 1, -1]), np.array([4, 2, 2**53 + 1, -2])
    expected = x.copy()
    combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    for i, update in zip(indices, updates, strict=True):
        expected[i] = combine[reduction](expected[i], update) if reduction in combine else update
    with gc.Graph("ints") as g:
        nodes = [g.input(name, (4,), "int64") for name in ("x", "i", "u")]
        g.output("y", gc.scatter_along_axis(*nodes, 0, reduction))
    with np.errstate(over="ignore"):
        value = predicted(g, {"x": x, "i": indices, "u": updates})
    np.testing.assert_array_equal(value, expected)


@in_every_style
def test_sizes_may_have_names(style: str) -> None:
    with gc.Graph("named") as g:
        x = g.input("x", ("n", "m"))
        i = g.input("i", ("n", 2), "int64")
        read = gc.take_along_axis(x, i, 1)
        written = gc.scatter_along_axis(x, i, read * read, 1, "add")
        g.loss(gc.sum(gc.triu(written) * gc.eye(x.shape[0], x.shape[1], 1)))
    module = load(g, style=style, wrt=["x"])
    for n, m in ((2, 3), (4, 5)):
        values = np.arange(float(n * m), dtype="float32").reshape(n, m)
        index = np.stack([np.arange(n) % m, np.full(n, -1)], 1)
        loss, grads = module.value_and_grad(values, index)
        kept = np.eye(n, m, 1)
        rows = np.arange(n)[:, None]
        expected = values * kept
        np.add.at(expected, (rows, index), kept[rows, index] * values[rows, index] ** 2)
        slope = kept.copy()
        np.add.at(slope, (rows, index), kept[rows, index] * 2 * values[rows, index])
        np.testing.assert_allclose(loss, expected.sum())
        np.testing.assert_allclose(grads["x"], slope)


def test_numpys_functions_find_the_ops() -> None:
    with gc.Graph("numpy") as g:
        x = g.input("x", X.shape)
        g.output("y0", np.take(x, np.array([2, -3]), axis=1))
        g.output("y1", np.roll(np.tile(np.flip(x, 0), np.array([2, 1, 1])), 1))
        g.output("y2", np.moveaxis(np.repeat(np.triu(x), 2, axis=0), 0, -1))
    found = predicted(g, {"x": X})
    expected = [
        np.take(X, [2, -3], axis=1),
        np.roll(np.tile(np.flip(X, 0), (2, 1, 1)), 1),
        np.moveaxis(np.repeat(np.triu(X), 2, axis=0), 0, -1),
    ]
    for value, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("dtype", ["int8", "bool", "float16"])
def test_padding_keeps_the_dtype(dtype: str) -> None:
    with gc.Graph("pad") as g:
        g.output("y", gc.pad(g.input("x", (2,), dtype), (1, 2), constant_values=1))
    value = predicted(g, {"x": np.array([0, 1], dtype)})
    np.testing.assert_array_equal(value, np.array([1, 0, 1, 1, 1], dtype))
    assert value.dtype == dtype


def test_one_hot_may_lie_along_any_axis() -> None:
    labels = np.array([[0, 2, 1], [1, 1, 0]])
    with gc.Graph("hot") as g:
        g.output("y", gc.one_hot(g.input("i", (2, 3), "int64"), 3, axis=1))
    value = predicted(g, {"i": labels})
    np.testing.assert_array_equal(value, np.moveaxis(np.eye(3, dtype=bool)[labels], -1, 1))


def test_a_count_that_may_be_negative_is_checked_when_it_runs() -> None:
    with gc.Graph("count") as g:
        x = g.input("x", ("n",))
        g.output("y", gc.arange(x.shape[0] - 2))
    predict = gc.compile(g, inference=True).load().predict
    np.testing.assert_array_equal(predict(np.zeros(4, "float32")), [0, 1])
    with pytest.raises(ValueError, match="there are no n - 2 numbers"):
        predict(np.zeros(1, "float32"))


def test_an_update_has_the_shape_of_what_it_replaces() -> None:
    with gc.Graph("shapes") as g:
        x, i = g.input("x", (4, 3)), g.input("i", (2, 1), "int64")
        with pytest.raises(ShapeError, match=r"scatter_nd expects updates of shape \(2, 3\)"):
            gc.scatter_nd(x, i, g.input("u", (2, 4)))


@pytest.mark.parametrize("updates", [[2.0, 3.0, 4.0], [0.0, 3.0, 4.0], [0.0, 3.0, 0.0], []])
def test_second_derivatives_of_products_hold_where_factors_are_zero(updates: list[float]) -> None:
    ids = [1, 0, 1][: len(updates)]
    with gc.Graph("factors", dtype="float64") as g:
        x, u = g.input("x", (2,)), g.input("u", (len(updates),))
        y = gc.scatter_along_axis(x, np.array(ids, int), u, 0, "mul")
        first = gc.grad(gc.sum(y), u)
        g.output("first", first)
        for i in range(len(updates)):
            g.output(f"row{i}", gc.grad(first[i], u, allow_unused=True))
    found = predicted(g, {"x": np.array([5.0, 7.0]), "u": np.array(updates)})
    found = found if updates else [found]
    a, _, c = updates or (0.0, 0.0, 0.0)
    expected = [[7 * c, 5.0, 7 * a], [0, 0, 7.0], [0, 0, 0], [7.0, 0, 0]]
    for own, row in zip(found, expected if updates else [[]], strict=True):
        np.testing.assert_allclose(own, row, rtol=1e-15)
