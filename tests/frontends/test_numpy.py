"""Nodes stand in for arrays: operators, methods, and NumPy's own functions build the graph.

Each expression is traced, compiled and run, and compared with NumPy on the arrays themselves.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError, ShapeError, UnsupportedError
from tests.styles import predicted

Array = Any
RNG = np.random.default_rng(7)
X = RNG.uniform(0.5, 2, (4, 3)).astype(np.float32)
Y = RNG.uniform(0.5, 2, (4, 3)).astype(np.float32)
W = RNG.normal(size=(3, 3)).astype(np.float32)

EXPRESSIONS: dict[str, Callable[[Array, Array], Array]] = {
    "x + y": lambda x, y: x + y,
    "x - y, from the right": lambda x, y: 1 - x + (y - 2) - (3 - y),
    "x * y / y": lambda x, y: 2 * x * y / (y / 3) * (1 / x),
    "powers": lambda x, y: x**2 + x**0.5 + x**-1 + x**3,
    "matmul": lambda x, y: x @ y.T,
    "array @ node": lambda x, y: W @ x.T,
    "node @ array": lambda x, y: x @ W,
    "array + node": lambda x, y: X + y,
    "list * node": lambda x, y: [1.0, 2.0, 3.0] * y,
    "scalars of NumPy": lambda x, y: np.float64(2) * x + np.float32(3) - np.int64(1),
    "signs": lambda x, y: -x + +y + abs(-y),
    "comparisons": lambda x, y: (x < y) | (x <= 1) ^ (x > y) & (y >= 1) | ~(x == y) & (x != y),
    "indices": lambda x, y: x[0] + y[-1, :] + x[1, None][0] * y[2:, 1:][0, 0],
    "slices": lambda x, y: x[::-1, ::2] * y[..., :2],
    "methods of reduction": lambda x, y: (
        x.sum() + y.mean(axis=0) + x.max(axis=1, keepdims=True) + y.min() + x.prod(axis=0)
        + x.var() + y.std(axis=0)
    ),
    "methods of shape": lambda x, y: (
        x.T.reshape(2, 6).transpose().reshape((3, 4)) + y.transpose(1, 0).ravel().reshape(3, -1)
    ),
    "more methods": lambda x, y: (
        x.clip(0.7, 1.5).dot(y.T).flatten() + x[None].squeeze(0).swapaxes(0, 1).sum()
    ),
    "np.tanh(x @ W + b)": lambda x, y: np.tanh(x @ W + y[0]),
    "np.sum": lambda x, y: np.sum(x, axis=1) + np.sum(y) + np.sum(x, (0, 1)),
    "np.mean": lambda x, y: np.mean(x, axis=1, keepdims=True) - np.mean(y, 0),
    "np.concatenate": lambda x, y: np.concatenate([x, y, X], axis=1),
    "np.stack": lambda x, y: np.stack([x, y], axis=1) * np.concatenate((x, y)).mean(),
    "np.where": lambda x, y: np.where(x > y, x, 0) + np.where(x > 1, 1.5, y),
    "np.maximum": lambda x, y: np.maximum(x, y) - np.minimum(x, 1) + np.maximum(0, -y),
    "np.reshape": lambda x, y: np.reshape(x, (6, 2)) + np.reshape(y, (-1, 2)),
    "np.transpose": lambda x, y: np.transpose(x) @ np.transpose(y, (0, 1)),
    "np.add.reduce": lambda x, y: np.add.reduce(x) + np.add.reduce(y, axis=0),
    "other reductions": lambda x, y: (
        np.multiply.reduce(x, axis=1) + np.maximum.reduce(y, axis=1) - np.minimum.reduce(x, axis=1)
    ),
    "np.amax": lambda x, y: np.amax(x, axis=0) + np.amin(y, axis=0) + np.max(x) - np.min(y),
    "spellings": lambda x, y: np.power(x, 2) + np.absolute(-y) + np.abs(x) + np.true_divide(x, y),
    "transcendental": lambda x, y: (
        np.exp(x) + np.log(y) + np.sin(x) * np.cos(y) + np.sqrt(x) + np.expm1(y) + np.log1p(x)
        + np.square(y) + np.reciprocal(x) + np.sign(y) + np.negative(x)
    ),
    "angles": lambda x, y: (
        np.arcsin(x / 3) + np.arccos(y / 3) + np.arctan(x) + np.arctan2(x, y) + np.tan(y / 2)
        + np.arcsinh(x) + np.arccosh(1 + y) + np.arctanh(x / 3) + np.sinc(x)
    ),
    "bases": lambda x, y: np.exp2(x) + np.log2(y) - np.log10(x) * np.cbrt(y),
    "rounding": lambda x, y: (
        np.floor(4 * x) + np.ceil(4 * y) - np.trunc(3 * x) + np.rint(x) - np.round(y) + np.fix(x)
        + np.around(y)
    ),
    "remainders": lambda x, y: x // 0.3 + 5 // y + y % 0.7 + 3 % x + np.fmod(-x, y) + np.mod(x, y),
    "numbers": lambda x, y: np.nan_to_num(np.where(x > 1, np.nan, y), nan=2.0) + np.isnan(x),
    "axes": lambda x, y: np.expand_dims(x, 1).swapaxes(0, 1) + np.squeeze(y[None], axis=0),
    "np.broadcast_to": lambda x, y: np.broadcast_to(x, (2, 4, 3)) * np.clip(y, 1, 1.5),
    "np.var": lambda x, y: np.var(x, axis=1) + np.std(y, axis=1, ddof=1),
    "np.dot": lambda x, y: np.dot(x, y[0]) + np.matmul(y, x[0]),
    "np.split": lambda x, y: np.split(x, 2)[1] + np.split(y, [1, 3])[1],
    "iterating over a fixed axis": lambda x, y: [row * 2 for row in x][3] + len(y),
    "python's sum": lambda x, y: sum(x) + y,
}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_means_what_it_means_for_arrays(name: str) -> None:
    function = EXPRESSIONS[name]
    expected = np.asarray(function(X, Y))
    graph = gc.trace(function, name="expression", x=(4, 3), y=(4, 3))
    result = np.asarray(predicted(graph, {"x": X, "y": Y}))
    if expected.dtype == bool:
        assert result.dtype == bool
        np.testing.assert_array_equal(result, expected)
    else:
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=1e-6)


@pytest.fixture
def graph() -> gc.Graph:
    with gc.Graph("m") as g:
        g.input("x", ("n", 3))
        g.input("square", (3, 3))
        g.input("scalar")
        g.input("i", (3,), dtype="int64")
        g.input("b", (3,), dtype="bool")
    return g


# What has no meaning on symbolic values: the error, and what it has to say.
REFUSED: dict[str, tuple[Callable[[dict[str, gc.Node]], object], type[Exception], str]] = {
    "if x > 0": (
        lambda n: bool(n["scalar"] > 0),
        UnsupportedError,
        "greater bool () is symbolic and has no truth value; use gc.where(condition, a, b)",
    ),
    "x and y": (lambda n: n["x"] and n["i"], UnsupportedError, "x float32 (n, 3) is symbolic"),
    "x in [y]": (lambda n: n["x"] in [n["i"] * 2], UnsupportedError, "has no truth value"),
    "a < x < b": (lambda n: 0 < n["scalar"] < 1, UnsupportedError, "has no truth value"),
    "float(x)": (
        lambda n: float(n["scalar"]),
        UnsupportedError,
        "scalar float32 () is symbolic and has no numeric value; values exist when the module runs",
    ),
    "int(x)": (lambda n: int(n["i"]), UnsupportedError, "has no numeric value"),
    "complex(x)": (lambda n: complex(n["scalar"]), UnsupportedError, "has no numeric value"),
    "math.exp(x)": (lambda n: math.exp(n["scalar"]), UnsupportedError, "has no numeric value"),
    "range(x)": (lambda n: range(n["i"]), UnsupportedError, "has no numeric value"),  # type: ignore[call-overload]
    "list[x]": (lambda n: [1, 2][n["i"]], UnsupportedError, "has no numeric value"),  # type: ignore[call-overload]
    "len(x)": (
        lambda n: len(n["x"]),
        UnsupportedError,
        "x float32 (n, 3) is symbolic and has no fixed length; use x.shape[0]",
    ),
    "for row in x": (
        lambda n: list(n["x"]),
        UnsupportedError,
        "x float32 (n, 3) is symbolic and cannot be iterated over; an axis must have a fixed size",
    ),
    "iterating over a scalar": (lambda n: list(n["scalar"]), UnsupportedError, "iterated over"),
    "x[0] = 1": (
        lambda n: operator.setitem(n["x"], 0, 1),  # type: ignore[call-overload]
        UnsupportedError,
        "cannot be assigned to; build a new one with gc.where or gc.concat",
    ),
    "np.asarray(x)": (lambda n: np.asarray(n["x"]), UnsupportedError, "is no NumPy array"),
    "np.array([x, x])": (lambda n: np.array([n["i"]] * 2), UnsupportedError, "is no NumPy array"),
    "array += x": (
        lambda n: operator.iadd(np.ones(3), n["i"]),
        UnsupportedError,
        "np.add: out= has no meaning on symbolic nodes",
    ),
    "out=": (
        lambda n: np.exp(n["x"], out=np.ones((2, 3))),
        UnsupportedError,
        "np.exp: out= has no meaning on symbolic nodes",
    ),
    "out= of a reduction": (
        lambda n: np.sum(n["x"], out=np.zeros(3)),
        UnsupportedError,
        "np.sum: out= has no meaning on symbolic nodes",
    ),
    "where=": (lambda n: np.exp(n["i"], where=np.ones(3, bool)), UnsupportedError, "where= has no"),
    "dtype=": (lambda n: np.add(n["i"], 1, dtype=np.float64), UnsupportedError, "dtype= has no"),
    "np.linalg.svd": (lambda n: np.linalg.svd(n["square"]), UnsupportedError, "svd has no op"),
    "np.partition": (
        lambda n: np.partition(n["x"], 1),
        UnsupportedError,
        "np.partition has no op in graphc",
    ),
    "np.nansum": (
        lambda n: np.nansum(n["x"]),
        UnsupportedError,
        "np.nansum has no op in graphc; did you mean 'sum'?",
    ),
    "np.add.accumulate": (
        lambda n: np.add.accumulate(n["x"]),
        UnsupportedError,
        "np.add.accumulate has no op in graphc",
    ),
    "np.add.at": (lambda n: np.add.at(n["x"], 0, 1), UnsupportedError, "np.add.at has no op"),
    "np.copysign": (lambda n: np.copysign(n["x"], 1), UnsupportedError, "np.copysign has no op"),
    "x.sun()": (
        lambda n: n["x"].sun(),
        AttributeError,
        "a graphc node has no attribute 'sun'; did you mean 'sum'?",
    ),
    "x[mask]": (
        lambda n: n["x"][n["x"] > 0],
        UnsupportedError,
        "an index is made of ints, slices, None and ..., got <greater bool (n, 3)>; gc.where",
    ),
    "x[[0, 1]]": (lambda n: n["x"][[0, 1]], UnsupportedError, "an index is made of ints"),
    "x[:, 3]": (lambda n: n["x"][:, 3], ShapeError, "index 3 does not exist in"),
    "x[0, 0, 0]": (lambda n: n["x"][0, 0, 0], ShapeError, "an index of 3 axes for x float32"),
    "x[::0]": (lambda n: n["x"][::0], ShapeError, "the step of a slice is an int other than 0"),
    "[x, x] + x": (lambda n: n["x"] + [n["x"]], UnsupportedError, "use gc.stack or gc.concat"),
    "x + None": (lambda n: n["x"] + None, DTypeError, "an operand is a node, a number or an array"),
    "x + object": (lambda n: n["x"] + object(), DTypeError, "dtype 'object' is not supported"),
    "x + huge": (lambda n: n["i"] + 2**70, DTypeError, "an int of more than 64 bits has no dtype"),
    "-bool": (lambda n: -n["b"], DTypeError, "negative: expects numbers, not bools: b bool (3,)"),
    "bool - bool": (lambda n: n["b"] - n["b"], DTypeError, "subtract: expects numbers, not bools"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_symbolic_value_cannot_do_explains_itself(graph: gc.Graph, what: str) -> None:
    attempt, error, text = REFUSED[what]
    with pytest.raises(error) as caught:
        attempt(graph.inputs)
    assert text in str(caught.value)
    if isinstance(caught.value, gc.GraphcError):
        assert isinstance(caught.value, (TypeError, ValueError))
        assert str(caught.value).startswith(("tests/", __file__))


def test_nodes_are_keys_by_identity(graph: gc.Graph) -> None:
    x, i = graph.inputs["x"], graph.inputs["i"]
    table = {x: "x", i: "i"}
    assert table[x] == "x" and table[i] == "i"
    assert (x == x).op.name == "equal"
    assert hash(x) != hash(i)


def test_a_node_shows_what_it_is(graph: gc.Graph) -> None:
    x = graph.inputs["x"]
    assert repr(x) == "<x float32 (n, 3)>"
    assert f"{x + 1}" == "<add float32 (n, 3)>"
    assert (x.ndim, str(x.size), str(x.shape)) == (2, "3 * n", "(n, 3)")


def test_equal_expressions_are_one_node(graph: gc.Graph) -> None:
    x, i = graph.inputs["x"], graph.inputs["i"]
    assert np.tanh(x + 1) is gc.tanh(x + 1.0)
    assert x + i is i + x
    assert x - i is not i - x
    assert x.sum(axis=-1) is np.add.reduce(x, axis=1)
