"""Labels that are no class, and what is ignored, in every program of a module."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import in_every_style, load

CLASSES = 3
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": gc.cross_entropy,
    "smoothed": lambda z, t: gc.cross_entropy(z, t, label_smoothing=0.1),
    "weighted": lambda z, t: gc.cross_entropy(z, t, class_weight=[1.0, 2.0, 3.0]),
    "ignoring": lambda z, t: gc.cross_entropy(z, t, ignore_index=-100),
    "masked": lambda z, t: gc.cross_entropy(z, t, sample_weight=[True, False]),
    "nll": gc.nll,
    "multi_margin": gc.multi_margin,
    "one_hot": lambda z, t: gc.bce_with_logits(z, gc.one_hot(t, CLASSES)),
}
LOGITS = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -2.0]], "float32")


def model(name: str, *, gradient: bool = False) -> gc.Graph:
    """The loss of logits and labels, or its gradient alone."""
    with gc.Graph("labels") as g:
        z = g.input("z", (2, CLASSES))
        t = g.input("t", (2,), dtype="int64")
        loss = LOSSES[name](z, t)
        if gradient:
            g.output("slope", gc.grad(loss, z))
        else:
            g.loss(loss)
    return g


@in_every_style
@pytest.mark.parametrize("label", [CLASSES, -1, 10**12])
@pytest.mark.parametrize("name", LOSSES)
def test_a_label_that_is_no_class_is_told(name: str, label: int, style: str) -> None:
    module = load(model(name), style=style)
    labels = np.array([0, label])
    for program in (module.forward, module.evaluate, module.value_and_grad):
        with pytest.raises(IndexError, match=r"labels must be in 0\.\.2, got"):
            program(LOGITS, labels)
        program(LOGITS, np.array([0, 2]))  # and works after it


@in_every_style
@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_alone_checks_its_labels(name: str, style: str) -> None:
    predict = load(model(name, gradient=True), style=style, inference=True).predict
    given = {"z": LOGITS} if "z" in inspect.signature(predict).parameters else {}  # but for nll
    assert predict(**given, t=np.array([0, 2])).shape == LOGITS.shape
    with pytest.raises(IndexError, match=r"labels must be in 0\.\.2, got"):
        predict(**given, t=np.array([0, 3]))


@in_every_style
@pytest.mark.parametrize("classes", [300, "classes"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_there_may_be_more_classes_than_a_label_can_count(
    dtype: str, classes: int | str, style: str
) -> None:
    """Class 259 is no class 3, though bytes count both as 3."""
    with gc.Graph("labels") as g:
        z = g.input("z", (2, classes))
        g.loss(gc.cross_entropy(z, g.input("t", (2,), dtype=dtype)))
    _, grads = load(g, style=style).value_and_grad(
        np.zeros((2, 300), "float32"), np.array([3, 100], dtype)
    )
    expected = np.full((2, 300), 1 / 600, "float32")
    expected[[0, 1], [3, 100]] -= 0.5
    np.testing.assert_allclose(grads["z"], expected, rtol=1e-6)


def test_labels_are_checked_once_in_training() -> None:
    source = gc.compile(model("cross_entropy")).source
    assert "one_hot(" not in source
    assert "t[:, None] == np.arange(3)" in source


def test_a_mask_of_labels_needs_no_guard() -> None:
    assert "np.where" not in gc.compile(model("ignoring")).source


@in_every_style
def test_what_is_ignored_has_no_part(style: str) -> None:
    module = load(model("ignoring"), style=style)
    loss, grads = module.value_and_grad(LOGITS, np.array([2, -100]))
    shares = np.exp(LOGITS[0]) / np.exp(LOGITS[0]).sum()
    np.testing.assert_allclose(loss, -np.log(shares[2]), rtol=1e-6)
    np.testing.assert_allclose(grads["z"][0], shares - [0, 0, 1], rtol=1e-5)
    np.testing.assert_array_equal(grads["z"][1], np.zeros(3))


@in_every_style
def test_the_mean_of_nothing_is_nan_and_has_no_gradient(style: str) -> None:
    module = load(model("ignoring"), style=style)
    with np.errstate(invalid="ignore"):
        loss, grads = module.value_and_grad(LOGITS, np.array([-100, -100]))
    assert np.isnan(loss)
    np.testing.assert_array_equal(grads["z"], np.zeros((2, 3)))


def test_constant_labels_that_are_ignored_are_no_error() -> None:
    with gc.Graph("constant") as g:
        z = g.input("z", (2, CLASSES))
        g.loss(gc.cross_entropy(z, np.array([1, -100]), ignore_index=-100))
    loss = gc.compile(g).load().evaluate(LOGITS)
    np.testing.assert_allclose(loss, np.log(np.exp(LOGITS[0]).sum()) + 1, rtol=1e-6)
