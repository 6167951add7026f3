"""Arguments are checked at the boundary: what is told names argument, expectation and what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import Net, built, net

X = np.full((3, 64), 0.5, np.float32)
REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    ("x", X[0], ValueError, "x: expected float32 of shape (batch, 64), got shape (64,)"),
    ("x", X[None], ValueError, "x: expected float32 of shape (batch, 64), got shape (1, 3, 64)"),
    ("x", X[:, 1:], ValueError, "x: expected float32 of shape (batch, 64), got shape (3, 63)"),
    ("x", 1.0, ValueError, "x: expected float32 of shape (batch, 64), got shape ()"),
    ("x", X + 0j, TypeError, "x: expected float32 of shape (batch, 64), got complex64"),
    ("x", "text", TypeError, "x: expected float32 of shape (batch, 64), got str128"),
    ("x", None, TypeError, "x: expected float32 of shape (batch, 64), got object"),
    ("t", np.zeros(4, int), ValueError, "t: expected int64 of shape (3,), got shape (4,)"),
    ("t", np.zeros(3), TypeError, "t: expected int64 of shape (3,), got float64"),
    ("t", np.zeros((3, 1), int), ValueError, "t: expected int64 of shape (3,), got shape (3, 1)"),
    ("t", [0, 10, 1], IndexError, "labels must be in 0..9, got 0..10"),
    ("t", [0, -1, 1], IndexError, "labels must be in 0..9, got -1..1"),
    ("b1", np.zeros(64), ValueError, "b1: expected float32 of shape (128,), got shape (64,)"),
    ("W2", np.zeros((10, 128)), ValueError,
     "W2: expected float32 of shape (128, 10), got shape (10, 128)"),
    ("W2", np.zeros((128, 10), object), TypeError,
     "W2: expected float32 of shape (128, 10), got object"),
]  # fmt: skip


def with_value(made: Net, name: str, value: Any) -> dict[str, dict[str, Any]]:
    """The arguments with one replaced."""
    values = {group: dict(entries) for group, entries in made.values.items()}
    values["params" if name in values["params"] else "inputs"][name] = value
    return values


@pytest.mark.parametrize("function", ["forward", "evaluate", "value_and_grad", "train_step"])
@pytest.mark.parametrize(("name", "value", "error", "message"), REFUSED)
def test_wrong_arguments_are_refused(
    function: str, name: str, value: Any, error: type[Exception], message: str
) -> None:
    made = net("mlp")
    with pytest.raises(error) as caught:
        made.call(function, with_value(made, name, value))
    assert str(caught.value) == message


def test_a_key_that_is_missing_is_named() -> None:
    made = net("mlp")
    values = with_value(made, "x", X)
    del values["params"]["b2"]
    with pytest.raises(KeyError, match="b2"):
        made.call("predict", values)


@pytest.mark.parametrize(
    "value",
    [
        X.astype(np.float64),
        X.astype(np.float16),
        X.astype(np.int8),
        X.astype(bool),
        X.tolist(),
        np.asfortranarray(X),
        np.ma.masked_array(X),
    ],
    ids=lambda v: type(v).__name__ + str(getattr(v, "dtype", "")),
)
def test_what_can_be_converted_safely_is_taken(value: Any) -> None:
    made = net("mlp")
    result = made.call("predict", with_value(made, "x", value))
    expected = made.call("predict", with_value(made, "x", np.asarray(value, np.float32)))
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32
    assert type(result) is np.ndarray


def test_an_empty_batch_is_a_batch() -> None:
    made = net("mlp")
    assert made.call("predict", with_value(made, "x", X[:0])).shape == (0, 10)


def test_a_ragged_list_is_told_with_its_name() -> None:
    made = net("mlp")
    with pytest.raises((TypeError, ValueError), match=r"^x: "):
        made.call("predict", with_value(made, "x", [[1.0, 2.0], [3.0]]))


def test_a_size_computed_from_another_is_checked() -> None:
    made = net("named_dimensions")  # x: (batch, 2 * units), W: (units, 3)
    forward = made.module.forward
    forward({"W": np.ones((2, 3))}, np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"^x: expected float32 of shape \(batch, 4\), got .*5\)$"):
        forward({"W": np.ones((2, 3))}, np.ones((5, 5)))
    with pytest.raises(ValueError, match=r"^W: expected float32 of shape \(units, 3\), got"):
        forward({"W": np.ones((2, 2))}, np.ones((5, 4)))


def test_a_name_that_an_argument_has_twice_is_one_size() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("batch", "n", "n"))
        g.output("diagonals", gc.diagonal(x, 0, 1, 2))

    predict = built(declare).module.predict
    assert predict(np.ones((2, 3, 3))).shape == (2, 3)
    with pytest.raises(ValueError, match=r"^x: expected .*\(batch, 3, 3\), got .*3, 4\)$"):
        predict(np.ones((2, 3, 4)))


def test_what_could_not_be_settled_at_declaration_is_checked() -> None:
    def declare(g: gc.Graph) -> None:
        n = g.dim("n")
        x, y = g.input("x", ("n",)), g.input("y", (n // 2,))
        g.output("z", x[::2] * y)

    predict = built(declare).module.predict
    np.testing.assert_array_equal(predict(np.ones(4), np.ones(2)), np.ones(2))
    with pytest.raises(ValueError, match=r"\(n \+ 1\) // 2 and n // 2 have to be equal"):
        predict(np.ones(5), np.ones(2))


COTANGENTS: list[tuple[str, Any, type[Exception], str]] = [
    ("mlp", np.ones(3), ValueError, "loss_bar: expected float32 of shape (), got shape (3,)"),
    ("mlp", 1j, TypeError, "loss_bar: expected float32 of shape (), got complex128"),
    ("vector_function", np.ones((3, 2)), ValueError,
     "polar_bar: expected float64 of shape (4, 2), got shape (3, 2)"),
    ("vector_function", np.ones(4), ValueError,
     "polar_bar: expected float64 of shape (4, 2), got shape (4,)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error", "message"), COTANGENTS)
def test_wrong_cotangents_are_refused(
    name: str, value: Any, error: type[Exception], message: str
) -> None:
    made = net(name)
    *_, residuals = made.call("forward")
    with pytest.raises(error) as caught:
        made.module.backward(residuals, value)
    assert str(caught.value) == message


def test_states_are_checked() -> None:
    made = net("running_mean")
    params, x = made.values["params"], made.values["inputs"]["x"]
    state = {"running": np.ones(3), "origin": np.ones(2)}
    with pytest.raises(
        ValueError, match=r"^origin: expected float32 of shape \(3,\), got .*\(2,\)"
    ):
        made.module.forward(params, state, x)
    with pytest.raises(KeyError, match="origin"):
        made.module.forward(params, {"running": np.ones(3)}, x)


def test_names_in_messages_are_the_exact_ones() -> None:
    made = net("awkward_names")
    for name in made.graph.parameters:
        with pytest.raises(ValueError, match=r": expected float32 of shape \(2,\)") as caught:
            made.call("predict", with_value(made, name, np.ones(5)))
        assert str(caught.value).startswith(f"{name}: ")


def test_sizes_computed_from_those_of_the_same_argument_are_checked() -> None:
    def declare(g: gc.Graph) -> None:
        n = g.dim("n")
        g.output("y", g.input("x", (2 * n, n)) * 3)

    predict = built(declare, {"inference": True}).module.predict
    assert predict(np.ones((4, 2))).tolist() == [[3, 3]] * 4
    with pytest.raises(ValueError, match=r"shape \(6, 3\), got shape \(4, 3\)"):
        predict(np.ones((4, 3)))


@pytest.mark.parametrize("count", [1, 2])
def test_none_is_told_of_where_it_may_stand_for_a_cotangent(count: int) -> None:
    def declare(g: gc.Graph) -> None:
        w = g.parameter("w", (2,))
        for power in range(1, count + 1):
            g.output(f"y{power}", w**power)

    assert ("None stands for zeros" in built(declare).compiled.source) is (count > 1)


@pytest.mark.parametrize("count", [2, 3])
def test_a_cotangent_of_none_means_zeros(count: int) -> None:
    def declare(g: gc.Graph) -> None:
        w = g.parameter("w", (2,))
        for power in range(1, count + 1):
            g.output(f"y{power}", w**power)

    made = built(declare, dtype="float64")
    w = np.array([3.0, -0.5])
    _, residuals = made.module.forward({"w": w})
    for chosen in range(1, count + 1):
        bars = [np.array([2.0, 7.0]) if i == chosen else None for i in range(1, count + 1)]
        grads = made.module.backward(residuals, *bars)
        expected = np.array([2.0, 7.0]) * chosen * w ** (chosen - 1)
        np.testing.assert_allclose(grads["w"], expected, rtol=1e-14)
