"""Numbers at the edges and arrays of all kinds, as constants and initial values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError, DTypeError, GraphcError, UnsupportedError
from tests.hostile_arrays import (
    KINDS,
    X,
    masked,
    objects,
    structured,
)
from tests.styles import functions, in_every_style, load

# NumPy advises against np.matrix, which is why it has to be tested.
pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
BITS = {
    "float16": [0x0001, 0x8001, 0x03FF, 0x8000, 0x7C00, 0xFC00, 0x7E00, 0x7E01, 0xFE00, 0x7BFF],
    "float32": [
        0x00000001, 0x80000001, 0x007FFFFF, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000,
        0x7FC00001, 0xFFC00000, 0x7F7FFFFF, 0x00800000, 0x3DCCCCCD, 0x4B800001,
    ],
    "float64": [
        1, 1 << 63 | 1, (1 << 52) - 1, 1 << 63, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48,
        0x7FF8 << 48 | 1, 0xFFF8 << 48, (0x7FF << 52) - 1, 1 << 52, 0x3FB999999999999A,
    ],
}  # fmt: skip


def patterns(dtype: str) -> Any:
    """Subnormals, zeros, infinities, NaNs, the largest and the smallest, as bits."""
    return np.array(BITS[dtype], f"u{np.dtype(dtype).itemsize}").view(dtype)


@in_every_style
@pytest.mark.parametrize("dtype", BITS)
def test_numbers_are_kept_bit_for_bit(dtype: str, style: str) -> None:
    """As array and as scalar constants, as initial values of both kinds."""
    values = patterns(dtype)
    with gc.Graph("m", dtype=dtype) as g:
        g.output("array", g.constant(values))
        g.output("many", g.constant(np.tile(values, 9)))
        for place, value in enumerate(values):
            g.output(f"scalar {place}", g.constant(value))
            g.parameter(f"scalar {place}", (2,), init=value)
        everything = g.parameter("array", values.shape, init=values)
        g.loss(everything.sum() * g.input("x"))
    module = load(g, style=style, allow_unused=True)
    array, many, *scalars = module.predict()
    params = module.init_params(np.random.default_rng(0))
    assert array.tobytes() == params["array"].tobytes() == values.tobytes()
    assert many.tobytes() == np.tile(values, 9).tobytes()
    for place, (value, scalar) in enumerate(zip(values, scalars, strict=True)):
        assert scalar.tobytes() == value.tobytes(), hex(BITS[dtype][place])
        assert params[f"scalar {place}"].tobytes() == 2 * value.tobytes(), hex(BITS[dtype][place])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_ints_at_the_edges_are_kept(dtype: str) -> None:
    info = np.iinfo(dtype)
    edges = np.array([info.min, info.max], dtype)
    with gc.Graph("m") as g:
        g.output("array", g.constant(edges))
        g.output("least", g.constant(edges[0]))
        g.output("most", g.constant(int(info.max), dtype))
        W = g.parameter("W", (2,), dtype=dtype, trainable=False, init=int(info.max))
        g.output("W", W)
        g.loss(g.parameter("trained") * 2)
    module = gc.compile(g).load()
    params = module.init_params(np.random.default_rng(0))
    array, least, most, found = module.predict(params)
    assert array.tolist() == [info.min, info.max] == [int(least), int(most)]
    assert found.tolist() == [info.max] * 2
    assert {a.dtype.name for a in (array, least, most, found)} == {dtype}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_as_constants_and_initial_values(kind: str, tmp_path: Path) -> None:
    value = KINDS[kind](X, tmp_path)
    if kind == "longdouble" and np.longdouble(0).itemsize == 8:
        pytest.skip("longdouble is float64 here")
    with gc.Graph("m") as g:
        if kind == "longdouble":
            with pytest.raises(DTypeError, match="is not supported"):
                g.constant(value)
            return
        g.output("c", g.constant(value))
        p = g.parameter("p", (2, 3), init=value)
        s = g.state("s", (2, 3), init=value)
        g.output("sum", p + s)
        if kind != "matrix":  # which is refused: its product is another one
            g.output("product", p * value)
    module = gc.compile(g, allow_unused=True).load()
    params = module.init_params(np.random.default_rng(0))
    outputs = module.predict(params, module.init_state())
    assert {type(array) for array in (*outputs, params["p"])} == {np.ndarray}
    np.testing.assert_array_equal(outputs[0], X)
    np.testing.assert_array_equal(params["p"], X)
    np.testing.assert_array_equal(outputs[1], X + X)
    for product in outputs[2:]:
        np.testing.assert_array_equal(product, X * X)


NODES: list[tuple[Callable[[gc.Graph, Any], Any], str]] = [
    (lambda g, x: g.constant(masked(X)), "masked elements of an array have no value; use .filled"),
    (lambda g, x: x * masked(X), "masked elements"),
    (lambda g, x: g.parameter("p", (2, 3), init=masked(X)), "masked elements"),
    (lambda g, x: g.state("s", (2, 3), init=masked(X)), "masked elements"),
    (lambda g, x: gc.where(np.ma.masked_array([[True]], True), x, 0.0), "masked elements"),
    (lambda g, x: x * np.matrix(X), "an operand is no np.matrix; use np.asarray"),
    (lambda g, x: np.matrix(X) * x, "an operand is no np.matrix"),
    (lambda g, x: np.matrix(X) @ x.T, "an operand is no np.matrix"),
    (lambda g, x: g.constant(objects(x, 1.0)), "an array of nodes is no array; use gc.stack"),
    (lambda g, x: gc.tanh(objects(x, x)), "an array of nodes is no array"),
    (lambda g, x: g.constant([x, x]), "is symbolic and is no NumPy array"),
    (lambda g, x: gc.tanh([x, x]), "a list of nodes is no array; use gc.stack"),
    (lambda g, x: g.parameter("p", (2,), init=objects(x, x)), "an array of nodes is no array"),
    (lambda g, x: g.constant(objects(1.0, "a")), "dtype 'object' is not supported"),
    (lambda g, x: g.constant(structured(X)), "dtype 'void64' is not supported"),
    (lambda g, x: x + structured(X), "dtype 'void64' is not supported"),
    (lambda g, x: g.constant(X.astype("M8[s]")), r"dtype 'datetime64\[s\]' is not supported"),
    (lambda g, x: g.constant([[1.0], [1.0, 2.0]]), "list is no array: "),
    (lambda g, x: g.constant(10**400), "an int of more than 64 bits has no dtype; write a float"),
    (lambda g, x: x * 10**5000, "an int of more than 64 bits"),
    (lambda g, x: x ** (2**64), "an int of more than 64 bits"),
    (lambda g, x: g.parameter("p", init=10**5000), "got an int of very many digits: an int of"),
    (lambda g, x: g.parameter("p", init=2**70), f"got {2**70}: an int of more than 64 bits"),
    (lambda g, x: g.constant(300, "int8"), "the constant 300 does not fit into int8"),
]


@pytest.mark.parametrize("case", range(len(NODES)))
def test_what_cannot_be_declared_is_told(case: int) -> None:
    declare, message = NODES[case]
    with gc.Graph("m") as g:
        x = g.input("x", (2, 3))
        with pytest.raises(GraphcError, match=message) as caught:
            declare(g, x)
    assert isinstance(caught.value, (DTypeError, UnsupportedError, DeclarationError))
    assert "test_hostile_constants.py:" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not g.parameters and not g.states


MUTABLE: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "array": (lambda: X.copy(), lambda value: value.fill(9)),
    "view": (lambda: X.copy()[:], lambda value: value.base.fill(9)),
    "list": (lambda: X.tolist(), lambda value: value[0].__setitem__(0, 9.0)),
    "list of arrays": (lambda: list(X.copy()), lambda value: value[0].fill(9)),
    "matrix": (lambda: np.matrix(X.copy()), lambda value: value.fill(9)),
    "memoryview": (lambda: memoryview(X.copy()), lambda value: np.asarray(value).fill(9)),
}


@in_every_style
@pytest.mark.parametrize("kind", MUTABLE)
def test_what_changes_after_the_declaration_changes_nothing(kind: str, style: str) -> None:
    make, change = MUTABLE[kind]
    values = [make() for _ in range(4)]
    with gc.Graph("m") as g:
        c = g.constant(values[0])
        p = g.parameter("p", (2, 3), init=values[1])
        s = g.state("s", (2, 3), init=values[2])
        y = c + p + s
        g.output("y", y if kind == "matrix" else y + gc.add(values[3], 0 * c))
    before = gc.compile(g, style=style, allow_unused=True).source
    for value in values:
        change(value)
    module = gc.compile(g, style=style, allow_unused=True)
    assert module.source == before
    loaded = functions(module)
    params = loaded.init_params(np.random.default_rng(0))
    found = loaded.predict(params, loaded.init_state())
    np.testing.assert_array_equal(found, X * (3 if kind == "matrix" else 4))


def test_a_constant_cannot_be_changed_through_what_the_module_returns() -> None:
    with gc.Graph("m") as g:
        g.output("y", g.constant(X))
        g.output("z", g.constant(X) + g.input("x"))
    predict = gc.compile(g).load().predict
    predict(1.0).y[:] = 7
    np.testing.assert_array_equal(predict(1.0).y, X)
    np.testing.assert_array_equal(predict(1.0).z, X + 1)
