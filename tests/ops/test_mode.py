"""`by_mode`: training and inference compute different values."""

from __future__ import annotations

import numpy as np

import graphc as gc
from tests.styles import in_every_style, load


@in_every_style
def test_each_function_takes_its_own_value(style: str) -> None:
    with gc.Graph("modes", dtype="float64") as g:
        x = g.input("x", (3,))
        y = gc.by_mode(2.0 * x, gc.exp(x))
        g.output("y", y)
        g.loss(gc.square(y).sum())
    module = load(g, style=style)
    at = np.array([0.0, 1.0, -1.0])
    np.testing.assert_allclose(module.predict(at), np.exp(at), rtol=1e-15)
    np.testing.assert_allclose(module.evaluate(at), np.exp(2 * at).sum(), rtol=1e-15)
    loss, grads = module.value_and_grad(at)
    assert loss == 8.0
    np.testing.assert_array_equal(grads["x"], 8 * at)


@in_every_style
def test_a_derivative_that_is_an_output_follows_the_mode(style: str) -> None:
    with gc.Graph("modes", dtype="float64") as g:
        x = g.input("x", (2,))
        g.output("slope", gc.vjp(gc.by_mode(x * x, x * x * x), x))
    predict = load(g, inference=True, style=style).predict
    np.testing.assert_allclose(predict(np.array([1.0, 2.0])), [3.0, 12.0], rtol=1e-15)
