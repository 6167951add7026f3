"""Identifiers: like the user's names as far as Python allows, and never two values under one."""

from __future__ import annotations

import builtins
import keyword
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphc as gc
from graphc.codegen.assemble import RESERVED
from graphc.lower.naming import MAX_LENGTH, Names, identifier

SPELLED = {
    "0.weight": "weight_0",
    "0.1.weight": "weight_0_1",
    "18": "value_18",
    "h": "h",
    "layer1.weight": "layer1_weight",
    "a b--c": "a_b_c",
    "Größe": "Groe",
    "naïve": "naive",
    "_private_": "private",
    "__init__": "init",
    "1st": "value_1st",
    "": "value",
    "字": "value",
    "-": "value",
    "x" * 50: "x" * 40,
    "9" * 50: "value_" + "9" * 34,
}


@pytest.mark.parametrize("text", SPELLED)
def test_spelling(text: str) -> None:
    assert identifier(text) == SPELLED[text]


@given(st.text())
def test_every_text_has_an_identifier(text: str) -> None:
    name = identifier(text)
    assert name.isidentifier() and name.isascii()
    assert len(name) <= MAX_LENGTH
    assert not name.startswith("_") and not name.endswith("_")


@given(st.lists(st.text(st.sampled_from("ab_1 ")) | st.sampled_from(keyword.kwlist), max_size=30))
def test_no_two_are_alike(texts: list[str]) -> None:
    names = Names(gc.Graph("names"), RESERVED)
    given_names = [names.free(identifier(text)) for text in texts]
    assert len(set(given_names)) == len(given_names)
    for name in given_names:
        assert name.isidentifier() and len(name) <= MAX_LENGTH
        assert not keyword.iskeyword(name) and not hasattr(builtins, name)
        assert name not in RESERVED


def test_suffixes_keep_the_length() -> None:
    names = Names(gc.Graph("names"), ())
    made = [names.free("n" * 40) for _ in range(120)]
    assert made[:2] == ["n" * 40, "n" * 38 + "_2"]
    assert made[-1] == "n" * 36 + "_120"
    assert max(map(len, made)) == 40


def test_suffixes_follow_the_order_of_declaration() -> None:
    with gc.Graph("ordered") as g:
        x = g.input("x y", (2,))
        first, second = g.parameter("x_y", (2,)), g.parameter("x.y", (2,))
        g.output("z", x * first + second)
    module = gc.compile(g).load()
    source = gc.compile(g).source
    assert 'x_y = checked("x_y", params["x_y"]' in source
    assert 'x_y_2 = checked("x.y", params["x.y"]' in source
    values = {"x_y": np.full(2, 3.0), "x.y": np.full(2, 5.0)}
    np.testing.assert_array_equal(module.predict(values, np.full(2, 2.0)), np.full(2, 11.0))


def source(declare: Any, **options: Any) -> str:
    """The module of a graph that is declared in place."""
    with gc.Graph("named") as g:
        declare(g)
    return gc.compile(g, **options).source


def test_a_value_is_called_as_its_variable_and_its_cotangent_after_it() -> None:
    def declare(g: gc.Graph) -> None:
        x, W = g.input("x", (2, 3)), g.parameter("W", (3, 3))
        b = g.parameter("b", (3,))
        hidden = np.tanh(x @ W + b)
        g.loss((hidden * hidden).sum())

    text = source(declare)
    for line in (
        "hidden = np.tanh(x @ W + b)",
        "hidden_bar = ",
        "hidden_pre_bar = ",
        "W_bar = x.T @ ",
    ):
        assert line in text


def test_a_name_that_is_bound_again_counts_its_rounds() -> None:
    def declare(g: gc.Graph) -> None:
        h = g.input("x", (3,))
        for _ in range(3):
            h = np.tanh(h)
        g.output("y", h)

    text = source(declare, inference=True)
    assert [f"h_{i}" in text for i in range(5)] == [False, True, True, True, False]


def test_a_value_without_a_label_is_called_what_it_is() -> None:
    def declare(g: gc.Graph) -> None:
        x, z = g.input("x", (3,)), g.input("z", (3,))
        g.output("y", (x * z) / (1 + x * z))
        g.output("w", np.log(x) * np.log(x))

    text = source(declare, inference=True)
    assert "    x_times_z = x * z" in text
    assert "    log_x = np.log(x)" in text


def test_constants_are_written_in_capitals() -> None:
    with gc.Graph("named") as g:
        table = g.constant(np.arange(3.0))
        g.output("y", g.input("x", (3,)) * table + np.array([1.0, 2.0, 4.0]))
    text = gc.compile(g, inference=True).source
    assert "\nTABLE: Array = np.array([0.0, 1.0, 2.0]" in text
    assert "\nCONSTANT: Array = np.array([1.0, 2.0, 4.0]" in text


def test_the_cotangent_of_a_long_name_ends_in_bar() -> None:
    def declare(g: gc.Graph) -> None:
        g.output("o" * 60, g.input("x", (3,)) * 2)

    assert f"    {'o' * 36}_bar = checked(" in source(declare)


def test_a_tangent_is_called_after_its_value() -> None:
    def declare(g: gc.Graph) -> None:
        x, dx = g.input("x", (3,)), g.input("dx", (3,))
        hidden = np.tanh(x)
        g.output("slope", gc.jvp(hidden * np.exp(hidden), x, dx))

    assert "    hidden_dot = " in source(declare, inference=True)


def test_a_cotangent_on_the_way_to_an_inner_value_is_called_after_its_value() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        h = np.sin(x)
        s = np.exp(h) * x
        g.output("slope", gc.grad(gc.sum(np.tanh(s) * s), h))

    assert "    s_bar = " in source(declare, inference=True)


@pytest.mark.parametrize(("name", "phrase"), [("n" * 7, True), ("n" * 8, False)])
def test_a_phrase_has_20_characters_at_most(name: str, phrase: bool) -> None:
    def declare(g: gc.Graph) -> None:
        x, z = g.input(name, (3,)), g.input("m" * 6, (3,))
        g.output("y", np.sin(x * z) + x * z)

    text = source(declare, inference=True)
    assert (f"    {name}_times_mmmmmm = " in text) is phrase
    assert ("    product = " in text) is not phrase


def test_what_runs_graphc_does_not_change_the_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        g.output("y", np.tanh((x * 2).named("display")) + 1)

    plain = source(declare)
    monkeypatch.setattr(builtins, "display", print, raising=False)
    assert source(declare) == plain
