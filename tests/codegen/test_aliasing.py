"""What a function returns belongs to its caller: no memory is shared, and all of it is writable.

Sharing shows only when somebody writes, so every result is compared with every argument and every
other result, for models that return what they were given, or views of it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import is_cotangent
from tests.codegen.nets import ALL, Net, built, leaves, net
from tests.styles import in_every_style

FUNCTIONS = ("predict", "evaluate", "value_and_grad", "train_step")
DECLARATIONS: list[Callable[[gc.Graph], None]] = []


def declaration(declare: Callable[[gc.Graph], None]) -> Callable[[gc.Graph], None]:
    """Add a model to those that are tested."""
    DECLARATIONS.append(declare)
    return declare


@declaration
def returns_an_input(g: gc.Graph) -> None:
    g.output("same", g.input("x", (2, 3)))


@declaration
def returns_a_parameter(g: gc.Graph) -> None:
    x, w = g.input("x", (3,)), g.parameter("w", (3,), init="ones")
    g.output("w", w)
    g.output("y", x * w)
    g.loss((x * w).sum())


@declaration
def returns_a_transpose(g: gc.Graph) -> None:
    x = g.input("x", (2, 3))
    g.output("turned", x.T)
    g.output("turned_twice", x.T.T)


@declaration
def returns_a_broadcast(g: gc.Graph) -> None:
    x = g.input("x", (3,))
    g.output("many", gc.broadcast_to(x, (4, 3)))
    g.output("computed", gc.broadcast_to(x * 2, (4, 3)))
    g.output("turned", gc.broadcast_to(x * 3, (4, 3)).T)


@declaration
def returns_the_same_node_twice(g: gc.Graph) -> None:
    y = g.input("x", (3,)) * 2
    g.output("first", y)
    g.output("second", y)
    g.output("third", y.reshape(3, 1))


@declaration
def returns_slices(g: gc.Graph) -> None:
    x = g.input("x", (4, 3))
    y = x * 2
    g.output("head", x[:2])
    g.output("row", y[0])
    g.output("reversed", y[::-1])
    g.output("corner", y[1:, 1:])


@declaration
def returns_a_constant(g: gc.Graph) -> None:
    x = g.input("x", (3,))
    table = g.constant(np.arange(3.0))
    g.output("table", table)
    g.output("view", table[1:])
    g.output("large", g.constant(np.arange(100.0)))
    g.output("y", x * table)


@declaration
def returns_parts(g: gc.Graph) -> None:
    x = g.input("x", (4,))
    left, right = gc.split(x, 2)
    g.output("left", left)
    g.output("right", right)
    third, fourth = gc.split(x * 2, 2)
    g.output("third", third)
    g.output("fourth", fourth)


@declaration
def returns_a_residual(g: gc.Graph) -> None:
    x, w = g.input("x", (2, 3)), g.parameter("w", (3, 3), init="ones")
    h = np.tanh(x @ w)
    g.output("h", h)
    g.output("h_turned", h.T)


@declaration
def gradients_are_each_other(g: gc.Graph) -> None:
    x, a, b = (g.input("x", (3,)), *(g.parameter(n, (3,), init="ones") for n in "ab"))
    g.loss(((a + b) * x).sum())


@declaration
def gradient_is_an_argument(g: gc.Graph) -> None:
    x, w = g.input("x", (3,)), g.parameter("w", (3,), init="ones")
    g.output("dot", x @ w)


@declaration
def gradient_is_the_cotangent(g: gc.Graph) -> None:
    a, b = g.input("a", (2, 3)), g.input("b", (2, 3))
    g.output("total", a + b)
    g.output("turned", a.T)


@declaration
def gradient_is_a_broadcast(g: gc.Graph) -> None:
    x, w = g.input("x", (3,)), g.parameter("w", (3,), init="ones")
    g.loss(w.sum() + x.sum())


@declaration
def updates_are_arguments(g: gc.Graph) -> None:
    x, w = g.input("x", (3,)), g.parameter("w", (3,), init="ones")
    last, before, kept = (g.state(n, (3,)) for n in ("last", "before", "kept"))
    g.update(last, x)
    g.update(before, last)
    g.output("y", x * w + last + before + kept)
    g.loss((x * w + last + before + kept).sum())


def model(declare: Callable[[gc.Graph], None], style: str = "functional") -> Net:
    """The model, with an optimiser where it can have one."""
    options = {"allow_unused": True, "style": style}
    made = built(declare, options)
    if made.graph.parameters and made.graph.objective is not None:
        return Net(made.graph, {**options, "optimizer": gc.optim.sgd(momentum=0.9)})
    return made


def check(results: Any, *arguments: Any) -> None:
    """No result shares memory with an argument or another result, and all can be written to."""
    found = [(f"result{n}", v) for n, v in leaves(results) if isinstance(v, np.ndarray)]
    given = [(f"argument{n}", v) for n, v in leaves(arguments) if isinstance(v, np.ndarray)]
    for (left, a), (right, b) in combinations(found, 2):
        assert not np.shares_memory(a, b), f"{left} and {right}"
    for left, a in found:
        assert a.flags.writeable, left
        assert a.size == len({*offsets(a)}), f"elements of {left} share memory"
        for right, b in given:
            assert not np.shares_memory(a, b), f"{left} and {right}"


def offsets(value: np.ndarray[Any, Any]) -> list[int]:
    """The place in memory of each element."""
    return [
        sum(i * stride for i, stride in zip(index, value.strides, strict=True))
        for index in np.ndindex(value.shape)
    ]


def check_functions(made: Net) -> None:
    """All functions of a module."""
    for function in FUNCTIONS:
        if hasattr(made.module, function):
            arguments = made.arguments(function)
            check(getattr(made.module, function)(**arguments), arguments)
    if not hasattr(made.module, "forward"):
        return
    arguments = made.arguments("forward")
    *results, residuals = made.module.forward(**arguments)
    check(tuple(results), arguments)
    program = made.compiled.lowered.backward
    assert program is not None
    rng = np.random.default_rng(0)
    bars = tuple(made.draw(node, rng) for node in filter(is_cotangent, program.arguments))
    check(made.module.backward(residuals, *bars), residuals, bars, arguments)


@in_every_style
@pytest.mark.parametrize("declare", DECLARATIONS, ids=lambda f: f.__name__)
def test_nothing_is_shared(declare: Callable[[gc.Graph], None], style: str) -> None:
    check_functions(model(declare, style))


@in_every_style
@pytest.mark.parametrize("name", [name for name in ALL if name != "constants"])
def test_nothing_is_shared_in_the_catalogue(name: str, style: str) -> None:
    check_functions(net(name, style))


@in_every_style
def test_writing_to_a_constant_that_was_returned_changes_nothing(style: str) -> None:
    made = model(returns_a_constant, style)
    first = made.call("predict")
    for value in first:
        value[...] = -1
    again = made.call("predict")
    np.testing.assert_array_equal(again.table, np.arange(3.0))
    np.testing.assert_array_equal(again.view, [1, 2])
    np.testing.assert_array_equal(again.large, np.arange(100.0))


def test_arguments_are_left_alone() -> None:
    for name in ALL:
        made = net(name)
        for function in FUNCTIONS:
            if hasattr(made.module, function):
                arguments = made.arguments(function)
                for _, value in leaves(arguments):
                    if isinstance(value, np.ndarray):
                        value.flags.writeable = False
                before = {key: value.copy() for key, value in leaves(arguments)}
                getattr(made.module, function)(**arguments)
                after = dict(leaves(arguments))
                assert after.keys() == before.keys()
                for key, value in before.items():
                    np.testing.assert_array_equal(after[key], value)


def test_the_checks_of_this_file_find_sharing() -> None:
    x = np.zeros((2, 3))
    for view in (x, x[0], x.T, x[:, ::2]):
        with pytest.raises(AssertionError, match="result"):
            check((view.view(),), {"x": x})
    with pytest.raises(AssertionError, match="result"):
        check((x, x[1:]), {})
    with pytest.raises(AssertionError, match="result"):
        check((np.broadcast_to(np.zeros(3), (2, 3)),), {})
