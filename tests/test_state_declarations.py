"""What a state is declared as: dtype, initial value, named sizes, its part in the hash; errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError, DTypeError, GraphcError
from tests.test_state import PARAMS, batch_norm, data, stateful

# --- dtypes and initial values -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_a_counter_stays_an_int(dtype: str) -> None:
    def declare(g: gc.Graph, w: Any) -> Any:
        count = g.state("count", dtype=dtype, init=5)
        g.update(count, count + 1)
        return w / count

    module = stateful(declare)
    state = module.init_state()
    for step in range(3):
        loss, state, _ = module.forward(PARAMS, state)
        np.testing.assert_allclose(loss, 5 / (5 + step), rtol=1e-6)
        assert (state["count"].dtype, state["count"].shape) == (np.dtype(dtype), ())
        assert state["count"] == 6 + step


def test_a_bool_state_remembers() -> None:
    with gc.Graph("remembers") as g:
        x = g.input("x", (3,))
        seen = g.state("seen", (3,), dtype="bool")
        armed = g.state("armed", dtype="bool", init=True)
        g.update(seen, seen | (x > 1))
        g.update(armed, armed & (x.sum() < 4))
        g.output("y", gc.where(seen, x, 0.0))
    module = gc.compile(g).load()
    state = module.init_state()
    assert (state["seen"].tolist(), bool(state["armed"])) == ([False] * 3, True)
    for x_, seen_, armed_ in [
        ([0, 2, 0], [False, True, False], True),
        ([3, 0, 0], [True, True, False], True),
        ([0, 0, 9], [True, True, True], False),
        ([0, 0, 0], [True, True, True], False),
    ]:
        _, state, _ = module.forward(state, np.array(x_, np.float32))
        assert {v.dtype for v in state.values()} == {np.dtype(bool)}
        assert (state["seen"].tolist(), bool(state["armed"])) == (seen_, armed_)
    np.testing.assert_array_equal(module.predict(state, np.ones(3, np.float32)), [1, 1, 1])


def test_initial_values_are_those_declared() -> None:
    array = np.array([[1.5, -0.0], [np.inf, np.nan]])
    with gc.Graph("initial") as g:
        x = g.input("x", (2,))
        g.state("zeros", (2,))
        g.state("number", (2, 1), init=0.5)
        g.state("lowest", (), init=-np.inf)
        g.state("array", (2, 2), init=array, dtype="float64")
        g.state("label", (), init=-1, dtype="int64")
        g.state("flags", (2,), init="ones", dtype="bool")
        g.state("half", (1,), init=0.1, dtype="float16")
        g.output("y", x * 2)
    array[...] = 7  # the graph has a copy
    module = gc.compile(g).load()
    first, second = module.init_state(), module.init_state()
    expected = {
        "zeros": np.zeros(2, np.float32),
        "number": np.full((2, 1), 0.5, np.float32),
        "lowest": np.asarray(-np.inf, np.float32),
        "array": np.array([[1.5, -0.0], [np.inf, np.nan]]),
        "label": np.asarray(-1),
        "flags": np.ones(2, bool),
        "half": np.full(1, 0.1, np.float16),
    }
    assert list(first) == list(expected)
    for name, value in expected.items():
        assert (first[name].dtype, first[name].shape) == (value.dtype, value.shape), name
        assert first[name].tobytes() == value.tobytes(), name
        first[name][...] = 1
        assert second[name].tobytes() == module.init_state()[name].tobytes() == value.tobytes()


def test_a_state_of_a_named_size_is_made_for_one() -> None:
    with gc.Graph("hidden", dtype="float64") as g:
        x = g.input("x", ("batch", 2))
        h = g.state("h", ("batch", 2))
        g.update(h, np.tanh(x + 0.5 * h))
        g.output("y", x + h)
    module = gc.compile(g).load()
    assert str(inspect.signature(module.init_state)) == "(*, batch: 'int') -> 'State'"
    state, h_ = module.init_state(batch=3), np.zeros((3, 2))
    x_ = np.arange(6.0).reshape(3, 2)
    for _ in range(3):
        np.testing.assert_allclose(module.predict(state, x_), x_ + h_)
        _, state, _ = module.forward(state, x_)
        h_ = np.tanh(x_ + 0.5 * h_)
        np.testing.assert_allclose(state["h"], h_)
    with pytest.raises(ValueError, match=r"x: expected float64 of shape \(4, 2\)"):
        module.forward(module.init_state(batch=4), x_)


def test_the_state_is_checked_at_the_boundary() -> None:
    module = gc.compile(batch_norm()).load()
    params, (x, t) = module.init_params(np.random.default_rng(1)), data()
    good = module.init_state()
    for wrong, error in [
        ({"norm.mean": np.zeros(3)}, ValueError),
        ({"steps": np.float64(1.5)}, TypeError),
        ({"norm.variance": None}, TypeError),
    ]:
        (name,) = wrong
        with pytest.raises(error, match=name):
            module.forward(params, {**good, **wrong}, x, t)
    with pytest.raises(KeyError, match="steps"):
        module.forward(params, {k: v for k, v in good.items() if k != "steps"}, x, t)


# --- the hash ------------------------------------------------------------------------------------


def test_the_hash_depends_on_all_that_is_declared_of_a_state() -> None:
    def digest(
        name: str = "s", init: Any = 0, dtype: str = "float32", factor: float = 0.5,
        *, updated: bool = True, extra: bool = False,
    ) -> str:  # fmt: skip
        with gc.Graph("hash") as g:
            x = g.input("x", ())
            s = g.state(name, (), init=init, dtype=dtype)
            if extra:
                g.state("idle")
            if updated:
                g.update(s, s * (1 if dtype == "int64" else factor))
            g.output("y", x + s)
        return gc.compile(g).lowered.digest

    changed = [
        digest(), digest("other"), digest(init=1), digest(dtype="float64"), digest(dtype="int64"),
        digest(factor=0.25), digest(updated=False), digest(extra=True), digest(init="ones"),
    ]  # fmt: skip
    assert len(set(changed)) == len(changed)
    assert digest() == changed[0]


# --- wrong declarations --------------------------------------------------------------------------

WRONG: list[tuple[Callable[[gc.Graph, Any, Any], Any], type[GraphcError], str]] = [
    (lambda g, s, x: g.update(x, s), DeclarationError, "expects a state of this graph, got .*x"),
    (lambda g, s, x: g.update(s + 1, s), DeclarationError, "expects a state of this graph"),
    (lambda g, s, x: g.update("s", x), DeclarationError, "expects a state of this graph, got 's'"),
    (lambda g, s, x: g.update(s, x[:1]), DeclarationError, "the update of s .* another shape"),
    (lambda g, s, x: g.update(g.state("n", (2,), dtype="int64"), x), DTypeError, "more than preci"),
    (lambda g, s, x: g.update(g.state("b", (2,), dtype="bool"), x), DTypeError, "more than precis"),
    (lambda g, s, x: [g.update(s, x), g.update(s, x)], DeclarationError, "has an update already"),
    (lambda g, s, x: g.state("s", (2,)), DeclarationError, "already state s"),
    (lambda g, s, x: g.state("n", (2,), init=np.zeros(3)), DeclarationError, r"shape \(3,\)"),
    (lambda g, s, x: g.state("n", dtype="int64", init=0.5), DeclarationError, "got 0.5"),
    (lambda g, s, x: g.state("n", dtype="bool", init="normal"), DeclarationError, "makes floats"),
    (lambda g, s, x: g.state("n", (-1,)), DeclarationError, "negative size"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "told"), WRONG, ids=[w[2] for w in WRONG])
def test_a_wrong_declaration_is_told(call: Any, error: type[GraphcError], told: str) -> None:
    with gc.Graph("wrong") as g:
        s, x = g.state("s", (2,)), g.input("x", (2,))
        with pytest.raises(error, match=told):
            call(g, s, x)
