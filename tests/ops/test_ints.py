"""Ops on ints and bools: NumPy's dtypes and values, for every dtype that is no float."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError, GraphcError
from graphc.ir.op import OPS
from tests.styles import load, predicted

Array = np.ndarray[Any, Any]

INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
# Each op and NumPy's, on numbers a and b of one dtype, of which b is not 0.
NUMBERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "abs": (lambda a, b: gc.abs(a), lambda a, b: np.abs(a)),
    "add": (gc.add, np.add),
    "bitwise_and": (gc.bitwise_and, np.bitwise_and),
    "bitwise_invert": (lambda a, b: gc.bitwise_invert(a), lambda a, b: np.invert(a)),
    "bitwise_or": (gc.bitwise_or, np.bitwise_or),
    "bitwise_xor": (gc.bitwise_xor, np.bitwise_xor),
    "ceil": (lambda a, b: gc.ceil(a), lambda a, b: a),
    "clip": (lambda a, b: gc.clip(a, 1, b), lambda a, b: np.clip(a, np.ones_like(a), b)),
    "equal": (gc.equal, np.equal),
    "floor_divide": (gc.floor_divide, np.floor_divide),
    "fmod": (gc.fmod, np.fmod),
    "greater": (gc.greater, np.greater),
    "isinf": (lambda a, b: gc.isinf(a), lambda a, b: np.isinf(a)),
    "isnan": (lambda a, b: gc.isnan(a), lambda a, b: np.isnan(a)),
    "left_shift": (
        lambda a, b: gc.bitwise_left_shift(a, gc.remainder(b, 7)),
        lambda a, b: np.left_shift(a, np.remainder(b, np.full_like(b, 7))),
    ),
    "less_equal": (gc.less_equal, np.less_equal),
    "logical_and": (gc.logical_and, np.logical_and),
    "maximum": (gc.maximum, np.maximum),
    "minimum": (gc.minimum, np.minimum),
    "multiply": (gc.multiply, np.multiply),
    "negative": (lambda a, b: gc.negative(a), lambda a, b: np.negative(a)),
    "not_equal": (gc.not_equal, np.not_equal),
    "pow": (lambda a, b: gc.pow(a, 3), lambda a, b: a * a * a),
    "pow of ints": (
        lambda a, b: gc.pow(a, gc.abs(b)),
        lambda a, b: functools.reduce(
            np.multiply, [np.where(np.abs(b) > i, a, np.ones_like(a)) for i in range(9)]
        ),
    ),
    "relu": (lambda a, b: gc.relu(a), lambda a, b: np.where(a > 0, a, np.zeros_like(a))),
    "remainder": (gc.remainder, np.remainder),
    "right_shift": (
        lambda a, b: gc.bitwise_right_shift(a, gc.abs(b)),
        lambda a, b: np.right_shift(a, np.abs(b)),
    ),
    "round": (lambda a, b: gc.round(a), lambda a, b: a),
    "sign": (lambda a, b: gc.sign(a), lambda a, b: np.sign(a)),
    "square": (lambda a, b: gc.square(a), lambda a, b: np.square(a)),
    "subtract": (gc.subtract, np.subtract),
    "where": (lambda a, b: gc.where(a > b, a, b), lambda a, b: np.where(a > b, a, b)),
}
OF_BOOLS = (
    *("abs", "add", "bitwise_and", "bitwise_invert", "bitwise_or", "bitwise_xor", "equal"),
    *("greater", "isinf", "isnan", "less_equal", "logical_and", "maximum", "minimum", "multiply"),
    *("not_equal",),
)


def pair(dtype: str) -> dict[str, Array]:
    """Numbers of a dtype, small and at both of its ends, beside others."""
    if dtype == "bool":
        return {"a": np.array([True, True, False, False]), "b": np.array([True, False] * 2)}
    ends = np.iinfo(dtype)
    a = np.array([0, 1, 2, 7, 100, ends.max, ends.min, ends.max - 1], dtype)
    b = np.array([3, 1, 2, 5, 7, 4, 6, 8], dtype)
    return {"a": a, "b": b if ends.min == 0 else b * np.array([1, -1] * 4, dtype)}


@pytest.mark.parametrize("dtype", [*INTS, "bool"])
def test_ints_are_numpys(dtype: str) -> None:
    given, names = pair(dtype), OF_BOOLS if dtype == "bool" else tuple(NUMBERS)
    with gc.Graph("ints") as g:
        a, b = (g.input(name, ("n",), dtype) for name in given)
        for name in names:
            g.output(name.replace(" ", "_"), NUMBERS[name][0](a, b))
    results = predicted(g, given)
    for name, result in zip(names, results, strict=True):
        with np.errstate(all="ignore"):
            expected = NUMBERS[name][1](given["a"], given["b"])
        assert result.dtype == expected.dtype, name
        np.testing.assert_array_equal(result, expected, name)


@pytest.mark.parametrize("name", [name for name in NUMBERS if name in gc.__all__])
def test_bools_are_numbers_where_numpy_has_it_so(name: str) -> None:
    with gc.Graph("bools") as g:
        a, b = g.input("a", (2,), "bool"), g.input("b", (2,), "bool")
        if name in (*OF_BOOLS, "clip", "pow", "where"):
            return
        with pytest.raises(DTypeError, match=f"{name}: expects numbers, not bools"):
            NUMBERS[name][0](a, b)


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_invert", "bitwise_left_shift"])
def test_floats_have_no_bits(name: str) -> None:
    with gc.Graph("bits") as g:
        x = g.input("x", (2,))
        with pytest.raises(DTypeError, match=f"{name}: expects ints( or bools)?, not float32s: x"):
            getattr(gc, name)(*[x] * len(OPS[name].operands))


def test_no_int_is_a_negative_power() -> None:
    with gc.Graph("powers") as g:
        a, p = g.input("a", (2,), "int32"), g.input("p", (2,), "int32")
        with pytest.raises(GraphcError, match="pow: an int to a negative power is no int: a int32"):
            a ** np.array([1, -1])
        g.output("y", a**p)
        g.output("root", a**0.5)
    for style in ("functional", "workspace"):
        predict = load(g, style=style, inference=True).predict
        y, root = predict(np.array([3, 4], "int32"), np.array([3, 0], "int32"))
        np.testing.assert_array_equal(y, np.array([27, 1], "int32"), strict=True)
        assert root.dtype == np.float32
        with pytest.raises(ValueError, match="negative integer powers"):
            predict(np.array([2, 2], "int32"), np.array([1, -1], "int32"))


def test_ints_of_the_scalar_style() -> None:
    with gc.Graph("scalars", dtype="float64") as g:
        a, b = g.input("a", (), "int64"), g.input("b", (), "int64")
        g.output("power", a**b)
        g.output("quotient", a // b)
        g.output("rest", a % b)
        g.output("bits", gc.bitwise_xor(a, b))
    predict = gc.compile(g, style="scalar", inference=True).load().predict
    assert tuple(predict(-7, 3)) == (-343, -3, 2, -7 ^ 3)
    with pytest.raises(ValueError, match="2 to the power -1 is no int"):
        predict(2, -1)
