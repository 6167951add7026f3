"""Matrices that have no inverse, and what sums and products along an axis do at zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import in_every_style, load

# The gradient of a determinant is made of minors, which need no inverse.
SINGULAR = {
    "rank 2": ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]]),
    "rank 2, rows swapped": (
        [[4, 5, 6], [1, 2, 3], [7, 8, 9]], [[-6, 12, -6], [3, -6, 3], [3, -6, 3]]
    ),
    "rank 1": ([[1, 2, 3], [2, 4, 6], [3, 6, 9]], np.zeros((3, 3))),
    "zeros": (np.zeros((3, 3)), np.zeros((3, 3))),
    "one row of zeros": ([[0, 0], [3, 4]], [[4, -3], [0, 0]]),
    "one number": ([[0]], [[1]]),
}  # fmt: skip


@in_every_style
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SINGULAR)
def test_the_determinant_of_a_singular_matrix_has_its_gradient(
    name: str, dtype: str, style: str
) -> None:
    matrix, expected = (np.array(each, dtype) for each in SINGULAR[name])
    with gc.Graph("singular", dtype=dtype) as g:
        g.loss(gc.det(g.parameter("x", matrix.shape)))
    loss, grads = load(g, style=style).value_and_grad({"x": matrix})
    close = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(loss, 0, atol=100 * close)
    np.testing.assert_allclose(grads["x"], expected, atol=10 * close)


def test_what_needs_an_inverse_says_so() -> None:
    with gc.Graph("inverse", dtype="float64") as g:
        x = g.input("x", (2, 2))
        g.output("y", gc.inv(x))
        g.output("second", gc.grad(gc.grad(gc.det(x), x)[0, 0], x))
    predict = gc.compile(g, inference=True).load().predict
    y, second = predict(np.array([[2.0, 1.0], [0.0, 4.0]]))
    np.testing.assert_allclose(y, [[0.5, -0.125], [0, 0.25]], rtol=1e-15)
    np.testing.assert_allclose(second, [[0, 0], [0, 1]], atol=1e-15)
    with pytest.raises(np.linalg.LinAlgError):
        predict(np.zeros((2, 2)))


def test_half_precision_goes_through_a_type_that_lapack_knows() -> None:
    matrix = np.array([[2, 1], [1, 3]], "float16")
    with gc.Graph("half", dtype="float16") as g:
        x = g.input("x", (2, 2))
        g.output("det", gc.det(x))
        g.output("inv", gc.inv(x))
    det, inv = gc.compile(g, inference=True).load().predict(matrix)
    assert det.dtype == inv.dtype == "float16"
    np.testing.assert_allclose(det, 5, rtol=1e-3)
    np.testing.assert_allclose(inv, [[0.6, -0.2], [-0.2, 0.4]], rtol=1e-3)


@in_every_style
@pytest.mark.parametrize("zeros", [(), (0,), (3,), (1, 2), (0, 4), (0, 1, 2, 3, 4)], ids=str)
def test_a_cumulative_product_has_its_gradient_at_zeros(zeros: tuple[int, ...], style: str) -> None:
    x = np.array([1.5, -2.0, 0.5, 3.0, -1.0])
    x[[*zeros]] = 0
    bar = np.array([1.0, -2.0, 3.0, 0.5, 2.0])
    expected = [  # by the definition
        sum(bar[k] * np.prod(np.delete(x[: k + 1], i)) for k in range(i, len(x))) for i in range(5)
    ]
    with gc.Graph("products", dtype="float64") as g:
        g.output("y", gc.cumulative_prod(g.input("x", ("n",))))
    module = load(g, style=style, wrt=["x"])
    y, residuals = module.forward(x)
    np.testing.assert_allclose(y, np.cumprod(x))
    np.testing.assert_allclose(module.backward(residuals, bar)["x"], expected, rtol=1e-14)


def test_the_recurrence_of_many_steps_keeps_its_digits() -> None:
    """The rounds of joined runs are as exact as the loop, whatever the number of steps."""
    rng = np.random.default_rng(7)
    factor, term = rng.uniform(-1.1, 1.1, (2, 1000))
    with gc.Graph("steps", dtype="float64") as g:
        product = gc.cumulative_prod(g.input("x", ("n",)))
        g.output("slope", gc.jvp([product], [g.inputs["x"]], [g.input("v", ("n",))])[0])
    slope = gc.compile(g, inference=True).load().predict(factor, term)
    value, tangent = 1.0, 0.0
    expected: list[Any] = []
    for x, v in zip(factor, term, strict=True):
        value, tangent = value * x, tangent * x + value * v
        expected.append(tangent)
    np.testing.assert_allclose(slope, expected, rtol=1e-11, atol=1e-300)


MATRICES: dict[str, Any] = {
    "diagonal": lambda x: np.diagonal(x, 1) + np.diagonal(x, 0, 1, 2)[:, :3],
    "linalg.diagonal": lambda x: np.linalg.diagonal(x, offset=-1),
    "trace": lambda x: np.trace(x) + x.trace(axis1=1, axis2=2)[:3, None].sum(),
    "linalg.trace": lambda x: np.linalg.trace(x, offset=1),
    "det": lambda x: np.linalg.det(x @ x.swapaxes(1, 2)),
    "inv": lambda x: np.linalg.inv(x + 5 * np.eye(4)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_numpys_functions_of_matrices_are_over_its_own_axes(name: str) -> None:
    x = np.random.default_rng(7).normal(size=(4, 4, 4))
    graph = gc.trace(MATRICES[name], dtype="float64", x=x.shape)
    result = gc.compile(graph, inference=True).load().predict(x)
    np.testing.assert_allclose(result, MATRICES[name](x), rtol=1e-10)


def test_numpys_own_names_of_sums_are_known() -> None:
    graph = gc.trace(lambda x: np.cumsum(x, axis=0) + np.cumprod(x, 0) + np.trace(x), x=(2, 2))
    x = np.array([[1, 2], [3, 4]], "float32")
    np.testing.assert_allclose(
        gc.compile(graph, inference=True).load().predict(x), [[7, 9], [12, 19]]
    )
