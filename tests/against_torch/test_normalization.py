"""Normalisation beside PyTorch's: values and all gradients, at ordinary and at extreme numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import Array, Case, Draw, agrees, is_accurate, over
from tests.peers import peer
from tests.styles import in_every_style, load

pytestmark = pytest.mark.conformance

IMAGE = (3, 6, 4, 2)  # (batch, channels, height, width)


def ordinary(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return rng.normal(size=shape) * 3 + 1


def far_from_zero(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """The variance is 1e-8 of the square of the mean: nothing of it is left in one pass."""
    return rng.normal(size=shape) + 1e4


def of_many_sizes(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return np.asarray(rng.normal(size=shape) * 10.0 ** rng.integers(-6, 7, shape))


def nothing(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """A variance of 0, so that eps alone is left."""
    return np.zeros(shape)


DRAWS = (ordinary, far_from_zero, of_many_sizes, nothing)


def drawn(draw: Callable[..., Array], shape: tuple[int, ...], *others: tuple[int, ...]) -> Draw:
    """x, and gains and biases of ordinary numbers."""
    return lambda rng: (draw(shape, rng), *(rng.normal(size=other) for other in others))


def functional(torch: Any) -> Any:
    return torch.nn.functional


LAYERS: dict[str, tuple[Any, Any, tuple[int, ...], tuple[tuple[int, ...], ...]]] = {
    "layer_norm": (
        lambda x, gain, bias: gc.layer_norm(x, gain, bias),
        lambda torch, x, gain, bias: functional(torch).layer_norm(x, (7,), gain, bias),
        (4, 3, 7), ((7,), (7,)),
    ),
    "layer_norm-two-axes": (
        lambda x, gain, bias: gc.layer_norm(x, gain, bias, axes=(-2, -1), eps=0.1),
        lambda torch, x, gain, bias: functional(torch).layer_norm(x, (3, 7), gain, bias, 0.1),
        (4, 3, 7), ((3, 7), (3, 7)),
    ),
    "layer_norm-plain": (
        lambda x: gc.layer_norm(x),
        lambda torch, x: functional(torch).layer_norm(x, (7,)),
        (4, 7), (),
    ),
    "rms_norm": (
        lambda x, gain: gc.rms_norm(x, gain),
        lambda torch, x, gain: functional(torch).rms_norm(x, (7,), gain),
        (4, 3, 7), ((7,),),
    ),
    "group_norm": (
        lambda x, gain, bias: gc.group_norm(x, 3, gain, bias),
        lambda torch, x, gain, bias: functional(torch).group_norm(x, 3, gain, bias),
        IMAGE, ((6,), (6,)),
    ),
    "instance_norm": (
        lambda x, gain, bias: gc.instance_norm(x, gain, bias),
        lambda torch, x, gain, bias: functional(torch).instance_norm(x, weight=gain, bias=bias),
        IMAGE, ((6,), (6,)),
    ),
    "batch_norm": (
        lambda x, gain, bias: gc.batch_norm(x, np.zeros(6), np.ones(6), gain, bias),
        lambda torch, x, gain, bias: functional(torch).batch_norm(
            x, None, None, gain, bias, training=True
        ),
        IMAGE, ((6,), (6,)),
    ),
}  # fmt: skip

CASES = [
    Case(f"{name}-{draw.__name__}", ours, theirs, drawn(draw, shape, *others))
    for name, (ours, theirs, shape, others) in LAYERS.items()
    for draw in DRAWS
]


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@in_every_style
@over(CASES)
def test_float32_is_as_accurate(case: Case, style: str) -> None:
    is_accurate(case, style)


# --- running statistics ------------------------------------------------------------------------


def batch_net() -> gc.Graph:
    """A batch norm between two products, and a loss."""
    with gc.Graph("batch_net", dtype="float64") as g:
        x = g.input("x", ("batch", 5))
        h = gc.nn.dense(x, 6, bias=False)
        h = gc.relu(gc.nn.batch_norm(h, momentum=0.3))
        y = g.output("y", gc.nn.dense(h, 2))
        g.loss(gc.mean(y * y))
    return g


@in_every_style
def test_running_statistics_are_pytorchs_over_several_steps(style: str) -> None:
    torch = peer("torch")
    net = load(batch_net(), style=style, optimizer="sgd")
    params = net.init_params(np.random.default_rng(0))
    state, optimizer = net.init_state(), net.init_optimizer(params)
    first, norm, last = (
        torch.nn.Linear(5, 6, bias=False, dtype=torch.float64),
        torch.nn.BatchNorm1d(6, momentum=0.3, dtype=torch.float64),
        torch.nn.Linear(6, 2, dtype=torch.float64),
    )
    with torch.no_grad():
        first.weight.copy_(torch.tensor(params["dense.W"].T))
        last.weight.copy_(torch.tensor(params["dense_2.W"].T))
        last.bias.zero_()
    theirs = torch.nn.Sequential(first, norm, torch.nn.ReLU(), last)
    descent = torch.optim.SGD(theirs.parameters(), lr=0.1)
    rng = np.random.default_rng(1)
    for batch in (8, 3, 2, 8, 5):
        x = rng.normal(size=(batch, 5)) * 2 + 1
        params, state, optimizer, loss = net.train_step(params, state, optimizer, x, lr=0.1)
        descent.zero_grad()
        expected = theirs.train()(torch.tensor(x)).square().mean()
        expected.backward()
        descent.step()
        np.testing.assert_allclose(loss, expected.item(), rtol=1e-10)
        np.testing.assert_allclose(state["batch_norm.mean"], norm.running_mean, rtol=1e-10)
        np.testing.assert_allclose(state["batch_norm.variance"], norm.running_var, rtol=1e-10)
        with torch.no_grad():
            predicted = theirs.eval()(torch.tensor(x)).numpy()
        np.testing.assert_allclose(net.predict(params, state, x), predicted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(params["batch_norm.gain"], norm.weight.detach(), rtol=1e-9)
    np.testing.assert_allclose(params["dense.W"].T, first.weight.detach(), rtol=1e-9)


@in_every_style
def test_images_have_moments_of_all_but_the_channels(style: str) -> None:
    torch = peer("torch")
    with gc.Graph("images", dtype="float64") as g:
        x = g.input("x", ("batch", 3, 4, 2))
        y = g.output("y", gc.nn.batch_norm(x))
        g.loss(gc.mean(y**3))
    net = load(g, style=style)
    images = np.random.default_rng(2).normal(size=(2, 3, 4, 2)) + 1e3
    norm = torch.nn.BatchNorm2d(3, dtype=torch.float64)
    expected = (norm(torch.tensor(images)) ** 3).mean()
    params, state = net.init_params(np.random.default_rng(0)), net.init_state()
    loss, state, _ = net.forward(params, state, images)
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-9)
    np.testing.assert_allclose(state["batch_norm.mean"], norm.running_mean, rtol=1e-12)
    np.testing.assert_allclose(state["batch_norm.variance"], norm.running_var, rtol=1e-9)
