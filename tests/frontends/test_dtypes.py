"""Dtypes: bool < int < float; a higher kind keeps its own, plain numbers adopt, nothing widens.

What the graph says is what the generated module computes in, under every NumPy.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError
from graphc.frontends.builder import default_dtype
from tests.styles import in_every_style, load

DTYPES = ("bool", "int8", "uint8", "int32", "int64", "float16", "float32", "float64")
KIND = {"b": 0, "i": 1, "u": 1, "f": 2}


def expected(left: str, right: str) -> str:
    """The dtype of a product: that of the higher kind, else the wider as NumPy has it."""
    kinds = KIND[np.dtype(left).kind], KIND[np.dtype(right).kind]
    if kinds[0] != kinds[1]:
        return left if kinds[0] > kinds[1] else right
    return np.promote_types(left, right).name


@pytest.mark.parametrize(("left", "right"), list(itertools.product(DTYPES, DTYPES)))
@in_every_style
def test_two_declared_dtypes(left: str, right: str, style: str) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (3,), dtype=left)
        y = g.input("y", (3,), dtype=right)
        z = x * y
        g.output("z", z)
    assert z.dtype.name == expected(left, right)
    result = load(g, inference=True, style=style).predict(np.ones(3, left), np.ones(3, right))
    assert result.dtype.name == expected(left, right)


@pytest.mark.parametrize(
    ("dtype", "value", "result"),
    [
        ("float32", 2, "float32"),
        ("float32", 2.5, "float32"),
        ("float32", True, "float32"),
        ("float32", np.float64(2.5), "float32"),
        ("float16", np.float64(2.5), "float16"),
        ("float16", np.float32(2.5), "float16"),
        ("float64", np.float32(2.5), "float64"),
        ("float32", np.ones(3), "float32"),
        ("float16", np.ones(3), "float16"),
        ("float32", np.arange(3), "float32"),
        ("float32", np.array(2.5), "float32"),
        ("float32", [1.5, 2.5, 3.5], "float32"),
        ("int64", 2, "int64"),
        ("int32", 2, "int32"),
        ("int8", np.int64(2), "int8"),
        ("int64", True, "int64"),
        ("int64", 2.5, "float32"),
        ("int64", np.ones(3), "float32"),
        ("bool", True, "bool"),
        ("bool", 2, "int64"),
        ("bool", 2.5, "float32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("swap", [False, True])
@in_every_style
def test_a_plain_value_beside_a_node(
    dtype: str, value: Any, result: str, swap: bool, style: str
) -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (3,), dtype=dtype)
        z = value * x if swap else x * value
        g.output("z", z)
    assert z.dtype.name == result
    found = load(g, inference=True, style=style).predict(np.ones(3, dtype))
    assert found.dtype.name == result
    np.testing.assert_array_equal(found, np.ones(3, result) * np.asarray(value, dtype=result))


@pytest.mark.parametrize(
    ("function", "ints", "bools"),
    [
        (operator.truediv, "float32", "float32"),
        (lambda x, y: np.exp(x), "float32", "float32"),
        (lambda x, y: x.mean(), "float32", "float32"),
        (lambda x, y: x.sum(), "int64", "int64"),
        (lambda x, y: x.max(), "int64", "bool"),
        (operator.lt, "bool", "bool"),
        (operator.add, "int64", "bool"),
    ],
)
def test_ints_and_bools_in_functions(
    function: Callable[[gc.Node, gc.Node], gc.Node], ints: str, bools: str
) -> None:
    for dtype, wanted in (("int64", ints), ("bool", bools)):
        with gc.Graph("m") as g:
            z = function(g.input("x", (3,), dtype=dtype), g.input("y", (3,), dtype=dtype))
        assert z.dtype.name == wanted


def test_the_dtype_of_the_graph_is_that_of_what_names_none() -> None:
    with gc.Graph("m", dtype="float64") as g:
        assert g.input("x").dtype.name == "float64"
        assert g.parameter("W").dtype.name == "float64"
        assert g.constant(1.5).dtype.name == "float64"
        assert g.input("i", dtype=int).dtype.name == "int64"
        assert (g.input("b", dtype=bool) * 1.5).dtype.name == "float64"
    with default_dtype("float16"):
        assert gc.Graph("m").input("x").dtype.name == "float16"
        assert gc.Graph("m", dtype="float64").input("x").dtype.name == "float64"
    assert gc.Graph("m").input("x").dtype.name == "float32"
    with pytest.raises(DTypeError, match="the dtype of a graph is a float dtype, got int64"):
        gc.Graph("m", dtype="int64")


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "datetime64[s]", "float128", "x"])
def test_dtypes_that_are_not_supported(dtype: str) -> None:
    with pytest.raises(DTypeError, match=r"dtype '.*' is not supported; use one of \['bool'"):
        gc.Graph("m").input("x", dtype=dtype)


# --- constants, bit for bit -----------------------------------------------------------------------

PAYLOAD = np.array([0x7FC12345, 0xFFC00001, 0x7F800001], np.uint32).view(np.float32)
CONSTANTS = {
    "negative zero": np.array([-0.0, 0.0], np.float32),
    "payloads of NaN": PAYLOAD,
    "infinities": np.array([np.inf, -np.inf, np.nan], np.float32),
    "subnormals": np.array([1e-45, -1e-40], np.float32),
    "extremes": np.array([np.finfo("f4").max, np.finfo("f4").tiny], np.float32),
    "float64": np.array([0.1, 1 / 3, -0.0, 5e-324]),
    "float16": np.array([0.1, 6e-8, 65504], np.float16),
    "ints": np.array([-(2**63), 2**63 - 1]),
    "unsigned": np.array([2**64 - 1], np.uint64),
    "bools": np.array([[True], [False]]),
    "empty": np.zeros((0, 3), np.float32),
    "scalar": np.array(-0.0, np.float32),
    "scalar NaN": PAYLOAD[0],
    "large": np.arange(40, dtype=np.float32) - 0.1,
    "columns first": np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3)),
    "strided": np.arange(12.0, dtype=np.float32)[::-3],
    "big-endian": np.arange(3, dtype=">f4"),
}


@pytest.mark.parametrize("name", CONSTANTS)
@in_every_style
def test_a_constant_keeps_its_bits(name: str, style: str) -> None:
    value = np.asarray(CONSTANTS[name])
    with gc.Graph("m") as g:
        g.input("x")
        g.output("y", g.constant(value, value.dtype.newbyteorder("=")))
    module = load(g, inference=True, style=style)
    result = np.asarray(module.predict())
    native = value.astype(value.dtype.newbyteorder("="))
    assert (result.dtype, result.shape) == (native.dtype, native.shape)
    assert result.tobytes() == native.tobytes()


def test_constants_are_told_apart_by_their_bits() -> None:
    with gc.Graph("m") as g:
        zero, negative = g.constant(0.0), g.constant(-0.0)
        assert zero is g.constant(0.0) and zero is not negative
        assert g.constant(PAYLOAD[0], "float32") is not g.constant(np.nan)
        assert g.constant(1.0) is not g.constant(1.0, "float64")
        assert g.constant([1.0]) is not g.constant(1.0)


@in_every_style
def test_a_constant_is_a_copy(style: str) -> None:
    value = np.ones(3, np.float32)
    with gc.Graph("m") as g:
        node = g.constant(value)
        value[0] = 7
        g.output("y", node + g.input("x", (3,)))
    result = load(g, inference=True, style=style).predict(np.zeros(3, np.float32))
    np.testing.assert_array_equal(result, np.ones(3))


def test_bools_alone_stay_bools() -> None:
    with gc.Graph("m"):
        node = gc.logical_not(np.array([True, False]))
    assert str(node.dtype) == "bool"
