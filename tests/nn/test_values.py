"""What layers compute, number by number, by loops over units, steps, queries and keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import in_every_style, load

Array = np.ndarray[Any, Any]
BATCH, STEPS, INPUTS, UNITS = 2, 3, 2, 3


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dot(x: Array, W: Array, column: int) -> float:
    return math.fsum(float(a) * float(b) for a, b in zip(x, W[:, column], strict=True))


def rnn_unit(x: Array, h: Array, c: Array, p: dict[str, Array], u: int) -> tuple[float, float]:
    return math.tanh(dot(x, p["W"], u) + p["b"][u] + dot(h, p["U"], u)), 0.0


def gru_unit(x: Array, h: Array, c: Array, p: dict[str, Array], u: int) -> tuple[float, float]:
    columns = [u + gate * UNITS for gate in range(3)]
    incoming = [dot(x, p["W"], k) + p["b"][k] for k in columns]
    recalled = [dot(h, p["U"], k) for k in columns]
    r, z = (sigmoid(a + b) for a, b in zip(incoming[:2], recalled[:2], strict=True))
    n = math.tanh(incoming[2] + r * (recalled[2] + p["b_n"][u]))
    return (1 - z) * n + z * h[u], 0.0


def lstm_unit(x: Array, h: Array, c: Array, p: dict[str, Array], u: int) -> tuple[float, float]:
    i, f, g, o = (
        dot(x, p["W"], k) + p["b"][k] + dot(h, p["U"], k)
        for k in (u + gate * UNITS for gate in range(4))
    )
    after = sigmoid(f) * c[u] + sigmoid(i) * math.tanh(g)
    return sigmoid(o) * math.tanh(after), after


UNIT = {"rnn": rnn_unit, "gru": gru_unit, "lstm": lstm_unit}


def by_loops(kind: str, x: Array, params: dict[str, Array], reverse: bool) -> tuple[Array, ...]:
    """All h, the last h and the last c, of states that start with zeros."""
    states = np.zeros((BATCH, STEPS, UNITS))
    h, c = np.zeros((BATCH, UNITS)), np.zeros((BATCH, UNITS))
    for at in reversed(range(STEPS)) if reverse else range(STEPS):
        for row in range(BATCH):
            own = (x[row, at], h[row].copy(), c[row].copy(), params)
            found = [UNIT[kind](*own, u) for u in range(UNITS)]
            h[row], c[row] = zip(*found, strict=True)
        states[:, at] = h
    return states, h, c


@in_every_style
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", UNIT)
def test_a_recurrent_layer_is_its_cell_step_by_step(kind: str, reverse: bool, style: str) -> None:
    with gc.Graph(kind, dtype="float64") as g:
        x = g.input("x", ("batch", STEPS, INPUTS))
        states, last = getattr(gc.nn, kind)(x, UNITS, reverse=reverse)
        several = [states, *(last if kind == "lstm" else (last,))]
        for i, node in enumerate(several):
            g.output(f"y{i}", node)
    net: Any = load(g, style=style)
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=p.node.shape) for name, p in g.parameters.items()}
    value = rng.normal(size=(BATCH, STEPS, INPUTS))
    own = {name.removeprefix(f"{kind}."): array for name, array in params.items()}
    expected = by_loops(kind, value, own, reverse)
    for found, right in zip(net.predict(params, value), expected, strict=False):
        np.testing.assert_allclose(found, right, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", UNIT)
def test_a_layer_goes_on_from_a_state(kind: str) -> None:
    """Two halves of a sequence are the whole of it."""
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
    with gc.Graph("halves", dtype="float64") as g:
        x = g.input("x", (BATCH, 4, INPUTS))
        W = g.parameter("W", (INPUTS, gates * UNITS))
        U = g.parameter("U", (UNITS, gates * UNITS))
        unroll = getattr(gc, kind)
        whole, _ = unroll(x, W, U)
        first, last = unroll(x[:, :2], W, U)
        state = dict(zip("hc", last, strict=True)) if kind == "lstm" else {"h": last}
        second, _ = unroll(x[:, 2:], W, U, **state)
        g.output("whole", whole)
        g.output("halves", gc.concat([first, second], axis=1))
    rng = np.random.default_rng(1)
    params = {name: rng.normal(size=p.node.shape) for name, p in g.parameters.items()}
    whole, halves = gc.compile(g).load().predict(params, rng.normal(size=(BATCH, 4, INPUTS)))
    np.testing.assert_allclose(halves, whole, rtol=1e-13, atol=1e-15)


# --- attention ---------------------------------------------------------------------------------


def attended(q: Array, k: Array, v: Array, allowed: Array) -> Array:
    """The mean of the values that a query may attend to, by the exponentials of its scores."""
    result = np.zeros((len(q), v.shape[1]))
    for i, query in enumerate(q):
        keys = [j for j in range(len(k)) if allowed[i, j]]
        shares = [math.exp(float(query @ k[j]) / math.sqrt(len(query))) for j in keys]
        for j, share in zip(keys, shares, strict=True):
            result[i] += share / math.fsum(shares) * v[j]
    return result


MASK = np.array([[True, False, True], [False, False, False], [True, True, True]])
CAUSAL = np.tri(3, dtype=bool)


@in_every_style
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_a_mean_of_what_is_allowed(masked: bool, causal: bool, style: str) -> None:
    rng = np.random.default_rng(2)
    q, k, v = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(3, 2))
    with gc.Graph("attention", dtype="float64") as g:
        nodes = [g.input(name, a.shape) for name, a in (("q", q), ("k", k), ("v", v))]
        mask = g.input("mask", (3, 3), "bool") if masked else None
        g.output("y", gc.scaled_dot_product_attention(*nodes, mask, causal))
    allowed = (MASK if masked else ~(MASK & False)) & (CAUSAL if causal else True)
    net: Any = load(g, style=style, inference=True)
    found = net.predict(q, k, v, *([MASK] * masked))
    np.testing.assert_allclose(found, attended(q, k, v, allowed), rtol=1e-13, atol=1e-15)


def test_named_sizes_of_queries_keys_and_features() -> None:
    with gc.Graph("named", dtype="float64") as g:
        q, k, v = (g.input(n, (n.upper(), "d")) for n in "qkv")
        with pytest.raises(gc.GraphcError, match="number of keys and values differ: K and V"):
            gc.scaled_dot_product_attention(q, k, v)
        g.output("y", gc.scaled_dot_product_attention(q, k, k * 2))
    rng = np.random.default_rng(3)
    q, k = rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    found = gc.compile(g, inference=True).load().predict(q, k)
    everything = np.ones((2, 3), bool)
    np.testing.assert_allclose(found, attended(q, k, 2 * k, everything), rtol=1e-13)


# --- moments -----------------------------------------------------------------------------------


@in_every_style
def test_running_moments_move_by_a_tenth(style: str) -> None:
    with gc.Graph("moments", dtype="float64") as g:
        x = g.input("x", ("batch", 2))
        y = g.output("y", gc.nn.batch_norm(x))
        g.loss(gc.sum(y**2))
    net: Any = load(g, style=style)
    params, state = net.init_params(np.random.default_rng(0)), net.init_state()
    value = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0]])
    loss, state, _ = net.forward(params, state, value)
    # Of n values with the variance v all are divided by √(v + eps): n v / (v + eps) is left.
    variances = np.array([8 / 3, 800 / 3])
    np.testing.assert_allclose(loss, (3 * variances / (variances + 1e-5)).sum(), rtol=1e-13)
    np.testing.assert_allclose(state["batch_norm.mean"], [0.3, 3.0], rtol=1e-13)
    np.testing.assert_allclose(state["batch_norm.variance"], [0.9 + 0.4, 0.9 + 40], rtol=1e-13)
    by_running = (value - [0.3, 3.0]) / np.sqrt(np.array([1.3, 40.9]) + 1e-5)
    np.testing.assert_allclose(net.predict(params, state, value), by_running, rtol=1e-13)
