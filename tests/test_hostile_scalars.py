"""Hostile numbers, keys and files where a module has no arrays: the scalar style."""

from __future__ import annotations

import decimal
import fractions
import json
import math
import random
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.hostile_text import EXAMPLES
from tests.test_hostile_constants import BITS, patterns

# --- constants ------------------------------------------------------------------------------------


def bits(value: float) -> bytes:
    """The bits of a float; NaN is one number in Python, whatever sign and payload it carries."""
    return b"NaN" if math.isnan(value) else struct.pack("<d", value)


@pytest.mark.parametrize("dtype", BITS)
def test_numbers_are_kept_bit_for_bit(dtype: str, tmp_path: Path) -> None:
    """As constants, as initial values of both kinds, and through a file."""
    values = patterns(dtype)
    with gc.Graph("m", dtype=dtype) as g:
        total = g.input("x")
        for place, value in enumerate(values):
            g.output(f"scalar {place}", g.constant(value))
            total = total * g.parameter(f"scalar {place}", init=value)
            g.output(f"state {place}", g.state(f"state {place}", init=value))
        g.loss(total)
    module: Any = gc.compile(g, style="scalar", allow_unused=True).load()
    params, state = module.init_params(random.Random(0)), module.init_state()
    module.save_params(tmp_path / "saved.json", params)
    loaded = module.load_params(tmp_path / "saved.json")
    outputs = module.predict(state)
    expected = [bits(value) for value in values.tolist()]
    for found in (params.values(), state.values(), loaded.values(), outputs[::2], outputs[1::2]):
        assert all(type(number) is float for number in found)
        assert [bits(number) for number in found] == expected


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "bool"])
def test_ints_at_the_edges_are_kept(dtype: str, tmp_path: Path) -> None:
    kind = bool if dtype == "bool" else int
    edges = [False, True] if kind is bool else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    with gc.Graph("m") as g:
        for place, edge in enumerate(edges):
            g.output(f"c{place}", g.constant(edge, dtype))
            p = g.parameter(f"p{place}", dtype=dtype, trainable=False, init=edge)
            g.output(f"p{place}", p)
        g.loss(g.parameter("trained") * 2)
    module: Any = gc.compile(g, style="scalar").load()
    module.save_params(tmp_path / "saved.json", module.init_params(random.Random(0)))
    found = module.predict(module.load_params(tmp_path / "saved.json"))
    assert list(found) == [edges[0], edges[0], edges[1], edges[1]]
    assert {type(number) for number in found} == {kind}


# --- arguments ------------------------------------------------------------------------------------


class Failing(float):
    """A float that cannot be read."""

    def __float__(self) -> float:
        raise ValueError("copy the tensor to the host first")


class Lying:
    """Says that it is a number."""

    def __float__(self) -> Any:
        return "1"

    def __index__(self) -> Any:
        raise TypeError("no int after all")


@cache
def net() -> Any:
    """An argument of each kind."""
    with gc.Graph("m", dtype="float64") as g:
        x, k, c = g.input("x"), g.input("k", dtype="int64"), g.input("c", dtype="bool")
        w, s = g.parameter("w"), g.state("s")
        g.update(s, s + 1)
        for name, node in (("x", x), ("k", k), ("c", c), ("w", w), ("s", s)):
            g.output(name, node)
        g.loss(gc.where(c, x * w, k * s))
    return gc.compile(g, style="scalar", optimizer="sgd").load()


FLOATS: list[Any] = [
    *(np.array(0.5, ">f8"), np.array(0.5, "f4")[()], np.longdouble(0.5), np.ma.masked_array(0.5)),
    *(np.array(0.5).view(np.recarray), decimal.Decimal("0.5"), fractions.Fraction(1, 2)),
]
MASKED = r"got a masked one; use .filled\(\)"
NEVER: list[tuple[Any, str]] = [  # for no argument
    (np.ma.masked, MASKED),
    (np.ma.masked_array(1.0, True), MASKED),
    (np.ma.masked_array(1, True), MASKED),
    (np.ma.masked_array(True, True), MASKED),
    (np.ones((1, 1)).view(np.matrix), r"an array of shape \(1, 1\)"),
    (np.array([1]), r"an array of shape \(1,\)"),
    (np.array(None), "got ndarray"),
    (np.array(1.0, object), "got ndarray"),
    (np.zeros((), [("a", "f8")]), "got ndarray"),
    (np.zeros((), [("a", "f8")])[()], "got void"),
    (np.str_("1"), "got str_"),
    (np.timedelta64(1), "got timedelta64"),
    (np.float32, "got type"),
    (np.ndarray, "got type"),
    (np.ma.MaskedArray, "got type"),
    ("1", "got str"),
    (b"1", "got bytes"),
    (None, "got NoneType"),
    (1j, "got complex"),
    (np.complex64(1), "got complex64"),
    ([1.0], "got list"),
    (Lying(), "what is none: Lying.__float__ returned non-float|got Lying"),
    (iter([1.0]), "got list_iterator"),
]
NO_FLOATS: list[tuple[Any, str]] = [
    (10**400, "what is none: int too large"),
    (fractions.Fraction(10**400), "what is none: .*too large"),
    (decimal.Decimal("sNaN"), "what is none: cannot convert signaling NaN"),
    (Failing(1.0), "what is none: copy the tensor to the host first"),
]


def call(**changed: Any) -> Any:
    """All outputs, of arguments of which some are changed."""
    given = {"x": 1.0, "k": 1, "c": True, "w": 1.0, "s": 1.0, **changed}
    params, state = {"w": given.pop("w")}, {"s": given.pop("s")}
    return net().predict(params, state, **given)


@pytest.mark.parametrize("place", "xws")
@pytest.mark.parametrize("value", FLOATS, ids=repr)
def test_what_means_the_same_gives_the_same(value: Any, place: str) -> None:
    found = getattr(call(**{place: value}), place)
    assert type(found) is float
    assert found == 0.5


@pytest.mark.parametrize("place", "xwskc")
@pytest.mark.parametrize("case", range(len(NEVER)))
@pytest.mark.filterwarnings("error")
def test_what_is_no_scalar_is_named(case: int, place: str) -> None:
    value, message = NEVER[case]
    with pytest.raises((TypeError, ValueError), match=f"^{place}: expected an? .*({message})"):
        call(**{place: value})


@pytest.mark.parametrize("place", "xws")
@pytest.mark.parametrize("case", range(len(NO_FLOATS)))
def test_what_no_float_stands_for_is_named(case: int, place: str) -> None:
    value, message = NO_FLOATS[case]
    with pytest.raises(ValueError, match=f"^{place}: expected a float, got {message}"):
        call(**{place: value})


def test_cotangents_and_options_are_checked_too() -> None:
    params, state = {"w": 1.0}, {"s": 1.0}
    *_, residuals = net().forward(params, state, 1.0, 1, True)
    with pytest.raises(TypeError, match=f"^loss_bar: .*{MASKED}"):
        net().backward(residuals, np.ma.masked)
    with pytest.raises(TypeError, match=r"^lr: expected a float, got NoneType"):
        net().train_step(params, state, net().init_optimizer(params), 1.0, 1, True, lr=None)
    with pytest.raises(ValueError, match=r"^lr: expected a number >= 0, got -0.1"):
        net().train_step(params, state, net().init_optimizer(params), 1.0, 1, True, lr=-0.1)
    with pytest.raises(TypeError, match=rf"^vector\[0\]: .*{MASKED}"):
        net().unravel_params(np.ma.masked_array([1.0], True))


# --- files ----------------------------------------------------------------------------------------


def test_all_keys_at_once_through_a_file(tmp_path: Path) -> None:
    """Most have the same identifier, and some the same form for somebody."""
    names = list(dict.fromkeys([*EXAMPLES.values(), "ﬁ", "fi", "Å", "A\u030a", "params", "\x7f"]))
    with gc.Graph("m") as g:
        total = g.input("in")
        for place, name in enumerate(names):
            total = total + (place + 1) * g.parameter(name, init=place)
        g.loss(total)
    module: Any = gc.compile(g, style="scalar").load()
    params = module.init_params(random.Random(0))
    module.save_params(tmp_path / "saved.json", params)
    assert (tmp_path / "saved.json").read_bytes().isascii()
    loaded = module.load_params(tmp_path / "saved.json")
    _, grads = module.value_and_grad(params, 1.0)
    assert list(params) == list(loaded) == list(grads) == names
    assert list(loaded.values()) == list(range(len(names)))
    assert list(grads.values()) == list(range(1, len(names) + 1))


OTHER_KEYS = ["\ud800", "\0", "a\0b", "n" * 10_000, "__class__", "W ", "\ufeffW"]


def test_a_file_with_keys_of_others(tmp_path: Path) -> None:
    with gc.Graph("m") as g:
        g.loss(g.input("x") * g.parameter("W"))
    module: Any = gc.compile(g, style="scalar").load()
    path = tmp_path / "saved.json"
    path.write_text(json.dumps({"params": dict.fromkeys(OTHER_KEYS, "no") | {"W": 2}, "\ud800": 0}))
    assert module.load_params(path) == {"W": 2.0}
    for text, message in [
        ('{"params": {"W": "1"}}', "W: expected a float, got str"),
        ('{"params": {"W": [[1]]}}', "W: expected a float, got list"),
        ('{"params": {"W": 1' + "0" * 400 + "}}", "W: expected a float, got what is none"),
        ('{"params": {"W ": 1}}', "holds no 'W' among its params"),
        ("[" * 200_000, "is no JSON file"),
        ('{"params": {"W": ' + "1" * 5000 + "}}", "is no JSON file"),
        ('{"params": {"W": __import__("os")}}', "is no JSON file"),
    ]:
        path.write_text(text)
        with pytest.raises((TypeError, ValueError), match=message):
            module.load_params(path)
