"""The arena: what means the same is one node."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError
from graphc.ir.graph import Graph

COMMUTATIVE = ("add", "multiply", "equal", "not_equal")
ORDERED = ("subtract", "divide", "pow", "less", "less_equal", "greater", "greater_equal")
ORDERED += ("maximum", "minimum")  # of 0.0 and -0.0 the value, of a tie the derivative differ


@pytest.mark.parametrize("name", COMMUTATIVE + ORDERED)
def test_operands_that_commute_have_one_order(name: str) -> None:
    g = gc.Graph("m")
    x, y = g.input("x", (3,)), g.input("y", (3,))
    call = getattr(gc, name)
    assert call(x, y) is call(x, y)
    assert (call(x, y) is call(y, x)) is (name in COMMUTATIVE)


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_conditions_commute(name: str) -> None:
    g = gc.Graph("m")
    x, y = g.input("x", (3,), "bool"), g.input("y", (3,), "bool")
    assert getattr(gc, name)(x, y) is getattr(gc, name)(y, x)


def test_constants_of_other_floats_are_converted_where_a_dtype_is_given() -> None:
    g = gc.Graph("m")
    constant = g.constant(np.longdouble("0.1"), "float64")
    assert constant.dtype.name == "float64"
    assert constant.params.data.array == 0.1
    for value, dtype in ((1j, "float64"), (np.longdouble(1), None), (2**40, "int32")):
        with pytest.raises(DTypeError):
            Graph().constant(value, dtype)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_a_float_is_not_cut_to_an_int(dtype: str) -> None:
    for value in (1.5, np.array([2.0, np.nan]), np.float32(1)):
        with pytest.raises(DTypeError, match=rf"is no {dtype}; round it first"):
            Graph().constant(value, dtype)
