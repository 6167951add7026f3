"""Regularisers: J = l + λ Ω(θ), with Ω = Σ|θ|, Σθ² or both, in the loss and in its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError, UsageError
from tests.optim.problems import T, X, gradients, regression
from tests.peers import peer
from tests.styles import in_every_style, load

W = np.array([[0.5, -1.0], [0.0, 2.0], [-0.25, 0.75]])
B = np.array([1.5, -3.0])
PARAMS = {"W": W, "b": B, "unused": np.full(2, 7.0)}
# Options, and what they add to the loss and to the gradients of W and b, by hand.
PENALTIES: dict[str, tuple[dict[str, Any], float, Any, Any]] = {
    "L1": ({"l1": 0.1}, 0.1 * (4.5 + 4.5), 0.1 * np.sign(W), 0.1 * np.sign(B)),
    "L2": ({"l2": 0.1}, 0.1 * (5.875 + 11.25), 0.2 * W, 0.2 * B),
    "both": (
        {"l1": 0.1, "l2": 0.01}, 0.9 + 0.17125,
        0.1 * np.sign(W) + 0.02 * W, 0.1 * np.sign(B) + 0.02 * B,
    ),
    "weights": ({"l2": 0.1, "penalize": "W*"}, 0.5875, 0.2 * W, 0.0 * B),
    "biases": ({"l1": 0.1, "penalize": ["b", "nothing*"][:1]}, 0.45, 0.0 * W, 0.1 * np.sign(B)),
}  # fmt: skip
each_penalty = pytest.mark.parametrize("name", PENALTIES)


@in_every_style
@each_penalty
def test_loss_and_gradients_have_the_penalty(name: str, style: str) -> None:
    options, added, W_added, b_added = PENALTIES[name]
    net = load(regression(), style=style, **options)
    loss, slopes = net.value_and_grad(PARAMS, X[0], T[0])
    plain, by_hand = gradients(PARAMS, 0)
    np.testing.assert_allclose(loss, plain + added, rtol=1e-13)
    np.testing.assert_allclose(slopes["W"], by_hand["W"] + W_added, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(slopes["b"], by_hand["b"] + b_added, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(net.evaluate(PARAMS, X[0], T[0]), plain + added, rtol=1e-13)


def test_the_penalty_is_a_line_of_the_generated_module() -> None:
    source = gc.compile(regression(), l1=0.1, l2=0.2, penalize="W").source
    l1, l2 = "np.float64(0.1) * np.abs(W).sum()", "np.float64(0.2) * np.square(W).sum()"
    assert (
        f"    penalty = {l1} + {l2}\n    loss = np.square(difference).mean() + penalty\n" in source
    )
    assert '"l1": "0.1", "l2": "0.2", "penalize": "W"' in source


def test_frozen_parameters_are_not_penalised() -> None:
    graph = regression()
    net = gc.compile(graph, l1=0.5, freeze="b").load()
    plain, _ = gradients(PARAMS, 0)
    loss, _ = net.value_and_grad(PARAMS, X[0], T[0])
    np.testing.assert_allclose(loss, plain + 0.5 * 4.5, rtol=1e-13)
    again, _ = gc.compile(graph).load().value_and_grad(PARAMS, X[0], T[0])
    np.testing.assert_allclose(again, plain, rtol=1e-13)  # nothing of it stays in the graph


def test_the_loss_keeps_its_dtype() -> None:
    with gc.Graph("m", dtype="float32") as g:
        w = g.parameter("w", (2,), dtype="float64", init="ones")
        v = g.parameter("v", (2,), dtype="float16", init="ones")
        g.loss((w * v).sum().astype("float32"))
    net = gc.compile(g, l1=0.5, l2=0.25).load()
    loss, slopes = net.value_and_grad(net.init_params(np.random.default_rng(0)))
    assert (loss.dtype, float(loss)) == (np.float32, 2 + 2 + 1)
    assert {k: (v.dtype.name, v.tolist()) for k, v in slopes.items()} == {
        "w": ("float64", [2.0, 2.0]),
        "v": ("float16", [2.0, 2.0]),
    }


def test_penalties_are_functions_too() -> None:
    def declare(g: gc.Graph) -> dict[str, Any]:
        a, b = g.parameter("a", (3, 2)), g.parameter("b", (2,))
        return {"l1": gc.l1_penalty(a, b), "l2": gc.l2_penalty(a, b), "one": gc.l2_penalty(b)}

    with gc.Graph("m", dtype="float64") as g:
        for name, node in declare(g).items():
            g.output(name, node)
    found = gc.compile(g).load().predict({"a": W, "b": B})
    np.testing.assert_allclose(found, (9.0, 17.125, 11.25), rtol=1e-15)


def test_the_gradient_of_half_the_decay_is_weight_decay() -> None:
    added = gc.compile(regression(), optimizer="sgd", l2=0.05).load()
    decayed = gc.compile(regression(), optimizer=gc.optim.sgd(weight_decay=0.1)).load()
    one, _, _ = added.train_step(PARAMS, {"step": 0}, X[0], T[0])
    other, _, _ = decayed.train_step(PARAMS, {"step": 0}, X[0], T[0])
    np.testing.assert_allclose(one["W"], other["W"], rtol=1e-13)
    np.testing.assert_allclose(one["b"], other["b"], rtol=1e-13)


@pytest.mark.conformance
@each_penalty
def test_gradients_are_those_of_torch(name: str) -> None:
    torch = peer("torch")
    options, _, _, _ = PENALTIES[name]
    _, slopes = gc.compile(regression(), **options).load().value_and_grad(PARAMS, X[0], T[0])
    w, b = (torch.tensor(PARAMS[n], requires_grad=True) for n in ("W", "b"))
    chosen = {"weights": [w], "biases": [b]}.get(name, [w, b])
    loss = ((torch.tanh(torch.tensor(X[0]) @ w + b) - torch.tensor(T[0])) ** 2).mean()
    for p in chosen:
        loss = loss + options.get("l1", 0) * p.abs().sum() + options.get("l2", 0) * (p**2).sum()
    loss.backward()
    for own, right in ((slopes["W"], w.grad), (slopes["b"], b.grad)):
        np.testing.assert_allclose(own, right.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1": -1}, "l1 has to be a number >= 0, got -1"),
        ({"l2": "x"}, "l2 has to be a number >= 0, got 'x'"),
        ({"penalize": "W"}, "penalize needs l1 or l2"),
        ({"l1": 1, "penalize": "w"}, "--penalize 'w' fits no trained parameter"),
        ({"l1": 1, "penalize": "unuse"}, "--penalize 'unuse' fits no trained parameter"),
        ({"l1": 1, "penalize": "b", "freeze": "b"}, "--penalize 'b' fits no trained parameter"),
        ({"l1": 1, "inference": True}, "inference and a penalty exclude each other"),
    ],
)
def test_penalties_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        gc.compile(regression(), **options)
    assert message in str(caught.value)


def test_a_penalty_needs_a_loss() -> None:
    with gc.Graph("m") as g:
        g.output("y", g.parameter("w") * 2.0)
    with pytest.raises(UsageError, match=r"l1 and l2 are added to a loss; declare it with g\.loss"):
        gc.compile(g, l1=0.1)


def test_a_penalty_of_nothing_is_refused() -> None:
    with pytest.raises(GraphcError, match="l1_penalty expects at least one node"):
        gc.l1_penalty()
