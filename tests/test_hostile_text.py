"""The user's text is data: exact as keys, escaped elsewhere, and never a part of the code.

A model with hostile names has to be the model with harmless ones: their syntax trees are the same
but for variables, which are renamed one to one, and for strings, which hold the names.
"""

from __future__ import annotations

import copy
import inspect
import keyword
import pickle
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import graphc as gc
from graphc.codegen.literals import LINE, width
from graphc.errors import DeclarationError, ShapeError
from graphc.lower.naming import identifier
from tests.hostile_text import (
    EXAMPLES,
    FEW,
    HARMLESS,
    OPTIMIZER,
    OTHERS,
    OWN_NAMES,
    STYLES,
    WITH_DIMS,
    Texts,
    check,
    compiled,
    formatted,
    harmless,
    numbers,
    over_styles,
)
from tests.styles import functions, load


@pytest.mark.parametrize(("name", "place", "style"), FEW)
def test_examples(name: str, place: str, style: str) -> None:
    example(name, place, style)


@pytest.mark.conformance
@pytest.mark.parametrize(("name", "place", "style"), OTHERS)
def test_each_example_in_each_place(name: str, place: str, style: str) -> None:
    example(name, place, style)


def example(name: str, place: str, style: str) -> None:
    """One text in one place."""
    texts = replace(HARMLESS, **{place: EXAMPLES[name]})
    source = check(texts, style)
    for line in source.splitlines():
        literal = max(
            (width(m[0]) for m in re.finditer(r"\"(?:[^\"\\]|\\.)*\"|'.*'", line)), default=0
        )
        # A literal or command in one word cannot be broken.
        assert width(line) <= LINE or literal > LINE - 45 or place == "command", line[:200]


@over_styles
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_everywhere_at_once(name: str, style: str) -> None:
    text = EXAMPLES[name]
    texts = Texts(text, text, f"{text}.", f"{text}!", text, text, f"{text}?", text, f"{text}_2")
    module = compiled(replace(texts, label=text, command=text), style)
    assert numbers(module, texts) == harmless(style)


DIMS = [
    *(
        "class",
        "None",
        "np",
        "params",
        "__import__",
        "self",
        "n" * 10_000,
        "\u0440\u0430r\u0430ms",
        "print",
    ),
    *("\u05d0\u05d1", "\u0627\u0644", "e\u0301", "x\u0302", "\u0915\u093f", "a\u00b7b", "\u2118"),
    *("\ufb01", "\u00aa", "\u017f", "\u00b5", "\U0001d431", "\u01c5", "K\u212a", "zzx", "loss"),
]


@pytest.mark.parametrize("style", WITH_DIMS)
@pytest.mark.parametrize("dim", DIMS, ids=lambda dim: ascii(dim)[:30])
def test_names_of_dimensions(dim: str, style: str) -> None:
    source = check(replace(HARMLESS, dim=dim), style)
    assert max(map(width, source.splitlines())) <= LINE or len(dim) > 50
    with gc.Graph("m") as g:
        x = g.input("x", (dim, 3))
        g.output("y", x / x.shape[0])
    predict = load(g, style=style, inference=True).predict
    np.testing.assert_array_equal(predict(np.ones((4, 3))), np.full((4, 3), 0.25))


@pytest.mark.parametrize("style", STYLES[1:])
@pytest.mark.parametrize("name", OWN_NAMES)
def test_names_that_a_module_has_itself(name: str, style: str) -> None:
    """In one place, then in all that may share a name."""
    check(replace(HARMLESS, x=name), style)
    if style == "workspace":
        check(replace(HARMLESS, dim=name), style)
        everywhere = replace(HARMLESS, W=name, state=f"{name}_2", label=name, y=name, dim=name)
        assert numbers(compiled(everywhere, style), everywhere) == harmless(style)


@pytest.mark.parametrize("name", [*OWN_NAMES, *DIMS])
def test_sizes_that_a_workspace_keeps(name: str) -> None:
    """Sizes of parameters are arguments of more functions, and copies take them along."""
    with gc.Graph("m") as g:
        x, W = g.input("x", ("zz", name)), g.parameter("W", (name, f"{name}_2"), init="ones")
        s = g.state("s", (f"{name}_2",))
        y = x @ W + s
        g.update(s, s + 1)
        g.output("y", y)
        g.loss((y * y).sum())
    module: Any = gc.compile(g, style="workspace", optimizer=OPTIMIZER).load()
    first, second, batch = list(inspect.signature(module.Workspace).parameters)[1:]
    made = module.Workspace(**{first: 3, second: 2, batch: 4})
    assert made.step(np.ones((4, 3))) == 4 * 2 * 3**2
    made.resize(**{batch: 5})
    for own in (made, copy.deepcopy(made), pickle.loads(pickle.dumps(made.__getstate__()))):
        if isinstance(own, dict):
            state, own = own, module.Workspace.__new__(module.Workspace)
            own.__setstate__(state)
        assert [getattr(own, size) for size in (first, second, batch)] == [3, 2, 5]
        assert own.params["W"].shape == own.grads["W"].shape == (3, 2)
        np.testing.assert_array_equal(own.state["s"], [1, 1])
        assert own.predict(np.zeros((5, 3))).shape == (5, 2)
        assert own.steps == 1


@pytest.mark.parametrize(
    "dim", ['n"); import os #', "", "a b", "a\n", "{{ n }}", "0", "a\0", "\ud800"]
)
def test_a_dimension_is_an_identifier(dim: str) -> None:
    with pytest.raises(ShapeError, match="the name of a dimension is an identifier") as caught:
        gc.Graph("m").input("x", (dim,))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("style", WITH_DIMS)
def test_a_dimension_in_a_condition(style: str) -> None:
    """Conditions that hold at run time only are told with the names in them."""
    for dim in ("\u05d0", "ﬁ", "n" * 200):
        with gc.Graph("m") as g:
            g.output("y", g.input("x", (dim,)).reshape(-1, 3) * 2)
        module = gc.compile(g, style=style, inference=True)
        assert not re.search("[\u0590-\u05ff]", module.source)
        with pytest.raises(ValueError, match="elements have to divide by 3") as caught:
            functions(module).predict(np.zeros(4))
        assert str(caught.value).startswith(unicodedata.normalize("NFKC", dim))


def test_names_of_dimensions_of_all_lengths(tmp_path: Path) -> None:
    """Wherever a line has to be broken, it is broken as the formatter breaks it."""
    for length in range(1, 35, 3):
        n, m = "n" * length, "m" * length
        with gc.Graph("m") as g:
            x = g.input("x", (n,)).reshape(-1, 3) * 2
            W = g.parameter("W", (3, m), init="he_normal")
            g.output("y", x @ W + g.state("s", (m,)))
        for style in WITH_DIMS:
            module = gc.compile(g, style=style)
            module.save(tmp_path / f"{style}_{length}.py")
            assert max(map(width, module.source.splitlines())) <= LINE
    formatted(tmp_path)


# --- any text -------------------------------------------------------------------------------------

TRICKY = "\"'\\{}%#\n\r\t\x0b\x0c\x1e\x85\u2028\u2029 ._-/0123aAéß字😀ﬁ"
TRICKY += "\u05d0\u0627\u202e\u0301\u200b\ufeff"
words = (
    st.text(st.sampled_from(TRICKY), min_size=1, max_size=12)
    | st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12
    )
    | st.sampled_from([text for text in EXAMPLES.values() if len(text) <= 12])
    | st.sampled_from(
        [*keyword.kwlist, "np", "Array", "Any", "rng", "x", "loss", "checked", "x_bar"]
    )
)
dims = (
    st.text(st.characters(categories=["L", "Nl", "Mn", "Nd", "Pc"]), min_size=1, max_size=8)
    | st.text(st.sampled_from("aﬁ\u0301\u05d0\u0915\u093f_\u00b7µ"), min_size=1, max_size=8)
    | st.sampled_from(keyword.kwlist)
).filter(str.isidentifier)
texts_of_models = st.builds(
    lambda names, dim: Texts(*names[:9], dim, *names[9:]),
    st.lists(words, min_size=11, max_size=11),
    dims,
)


def any_text(texts: Texts, style: str) -> None:
    """The property: as the harmless model, or refused at declaration for a name that is taken."""
    keys = [texts.x, texts.t, texts.W, f"{texts.path}.{texts.b}", texts.state]
    assume(len(set(keys)) == len(keys) and texts.y != texts.z)
    # What begins with no letter is called after its op: how long that is, the harmless model cannot
    # say, and beside a long key a line is broken elsewhere.
    nameless = [key for key in keys if identifier(key) != identifier(key, "other")]
    assume(not nameless or max(len(ascii(key)) for key in keys) < 30)
    check(texts, style)


few = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@settings(few, max_examples=60)
@given(texts=texts_of_models)
def test_any_text(texts: Texts) -> None:
    any_text(texts, STYLES[0])


@pytest.mark.parametrize("style", STYLES[1:])
@settings(few, max_examples=15)
@given(texts=texts_of_models)
def test_any_text_in_other_styles(texts: Texts, style: str) -> None:
    any_text(texts, style)


@pytest.mark.conformance
@over_styles
@settings(few, max_examples=300)  # the same ones each time: lengths decide what fits on a line
@given(texts=texts_of_models)
def test_any_text_at_length(texts: Texts, style: str) -> None:
    any_text(texts, style)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800"), max_size=5))
def test_a_name_is_kept_or_refused(name: str) -> None:
    g = gc.Graph("m")
    kept = bool(name) and "\0" not in name and not re.search("[\ud800-\udfff]", name)
    if kept:
        g.parameter(name)
    else:
        with pytest.raises(DeclarationError, match="the name of the parameter ") as caught:
            g.parameter(name)
        assert str(caught.value).isprintable()
    assert list(g.parameters) == [name] * kept


def test_a_name_of_more_bytes_than_a_file_can_keep_is_refused(tmp_path: Path) -> None:
    longest = "字" * 20_000
    with gc.Graph("m") as g:
        g.loss(g.input("x") * g.parameter(longest, init=3))
        with pytest.raises(DeclarationError, match=r"has more than 60000 bytes: '字{40}…'$"):
            g.parameter(longest + "x")
        with gc.path("path"), pytest.raises(DeclarationError, match="has more than 60000 bytes"):
            g.state(longest)
    net = gc.compile(g).load()
    net.save_params(tmp_path / "saved.npz", net.init_params(np.random.default_rng(0)))
    assert net.load_params(tmp_path / "saved.npz") == {longest: 3}
