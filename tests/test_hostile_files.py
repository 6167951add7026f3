"""Hostile text on its way through files: keys, options, commands, templates and layout."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest

import graphc as gc
from graphc.cli import main
from graphc.codegen.literals import LINE, width
from graphc.errors import GraphcError
from tests.hostile_text import (
    EXAMPLES,
    HARMLESS,
    STYLES,
    Comparison,
    Texts,
    check,
    compiled,
    formatted,
    over_styles,
    syntax,
)
from tests.styles import load

# --- equal for somebody ---------------------------------------------------------------------------

ALIKE = [
    *("ﬁ", "fi", "Å", "A\u030a", "\u212b", "e\u0301", "é", "ⅷ", "viii", "a", "\u0430", "\uff41"),
    *("W", "w", "W ", " W", "W.npy", "params/W", "a/b", "a\\b", "a//b", "./a", "..", "a/../b"),
    *("a\u200bb", "ab", "a\u00adb", "a\ufe00b", "0", "0.", ".0", "file", "arr_0", "allow_pickle"),
]


@over_styles
def test_keys_that_somebody_might_take_for_the_same(style: str, tmp_path: Path) -> None:
    shape = () if style == "scalar" else (2,)
    with gc.Graph("m") as g:
        total = g.input("x")
        for place, name in enumerate(ALIKE):
            total = total + (place + 1) * g.parameter(name, shape, init=place)
        g.output("Å", total)
        g.output("A\u030a", total * 2)
        g.loss(total.sum())
    net = load(g, style=style)
    params = net.init_params(np.random.default_rng(0))
    net.save_params(tmp_path / "saved.npz", params)
    assert [path.name for path in tmp_path.iterdir()] == ["saved.npz"]
    loaded = net.load_params(tmp_path / "saved.npz")
    _, grads = net.value_and_grad(params, 1.0)
    assert list(params) == list(loaded) == list(grads) == ALIKE
    for place, name in enumerate(ALIKE):
        np.testing.assert_array_equal(loaded[name], np.full(shape, place))
        np.testing.assert_array_equal(grads[name], np.full(shape, place + 1))


def test_dimensions_that_python_takes_for_the_same_are_the_same() -> None:
    g = gc.Graph("m")
    assert g.dim("ﬁ") is g.dim("fi")
    assert g.dim("\u212b") is g.dim("Å") is g.dim("A\u030a")
    assert g.dim("\u0430") is not g.dim("a")  # Cyrillic and Latin


# --- options and files ----------------------------------------------------------------------------

HOSTILE_OPTIONS = ['x"); import os #', "a\nb", "{{ 7*7 }}", "\u202ex", "\ud800", "'", '"""', "\\"]


@over_styles
@pytest.mark.parametrize("name", HOSTILE_OPTIONS[:4])
def test_options_in_the_header(name: str, style: str) -> None:
    with gc.Graph("m") as g:
        g.loss(g.input("x") * g.parameter(name) * g.parameter("other"))
    for given_ in ({"wrt": [name]}, {"freeze": [name]}):
        module = gc.compile(g, style=style, **given_)  # type: ignore[arg-type]
        net = module.load()
        assert name in net.__graphc__["options"].values()
        assert all(c.isprintable() for c in module.source if c != "\n")


@pytest.mark.parametrize("command", [*HOSTILE_OPTIONS, "wordy " * 100, "l" * 300, "ends in space "])
def test_the_command(command: str) -> None:
    source = check(replace(HARMLESS, command=command), STYLES[0])
    source.encode()
    assert max(map(width, source.splitlines())) <= LINE or command == "l" * 300
    assert not re.search(r"[ \t]$", source, re.MULTILINE)
    if command == "wordy " * 100:
        assert source.count("wordy") == 100


FILES = [
    'x"); import os #.py',
    "a\nb.py",
    "{{ 7*7 }}.py",
    "\u202ex.py",
    "class.py",
    "'\\.py",
    "é.py",
]


@pytest.mark.parametrize("name", FILES)
def test_the_file_of_the_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = "import graphc as gc\nwith gc.Graph('m') as g:\n    g.loss(g.input('x') * 2)\n"
    Path(name).write_text(model, encoding="utf-8")
    assert main(["compile", name, "-o", f"net_{name}"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    source = Path(f"net_{name}").read_text(encoding="utf-8")
    assert all(c.isprintable() for c in source if c != "\n")
    assert "49" not in source
    Path("harmless.py").write_text(model, encoding="utf-8")
    assert main(["compile", "harmless.py", "-o", "-"]) == 0
    tree = ast.parse(capsys.readouterr().out)
    Comparison(HARMLESS, tree).body(ast.parse(source), tree)


# --- templates ------------------------------------------------------------------------------------

OWN = """{% extends "graphc/functional.py.jinja" %}
{% block docstring %}
# {{ module.name }}
{% for f in module.inference %}
# {{ f.name }}: {{ f.doc | join(" ") }}
{% endfor %}
{{ super() }}
{%- endblock %}
"""


@pytest.mark.parametrize(
    "text", ["{{ 7*7 }}", "{% include %}", "{% raw %}", "{#x", "{{ super() }}"]
)
def test_text_is_no_template(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = jinja2.Environment.compile

    def noted(self: Any, source: Any, *args: Any, **options: Any) -> Any:
        read.append(source)
        return real(self, source, *args, **options)

    monkeypatch.setattr(jinja2.Environment, "compile", noted)
    (tmp_path / "functional.py.jinja").write_text(OWN, encoding="utf-8")
    texts = Texts(*(text + str(place) for place in range(9)))
    texts = replace(texts, label=text, command=text)
    for folder in (None, tmp_path):
        source = compiled(texts, "functional", templates=folder).source
        net: dict[str, Any] = {"__name__": "net"}
        exec(source, net)
        assert net["__graphc__"]["model"] == text + "0"
        assert text in net["__doc__"]
        assert (f"# {text}0\n" in source) == (folder is not None)
    assert not any(text in template for template in read if text != "{{ super() }}")


def test_text_ends_no_comment_of_a_template(tmp_path: Path) -> None:
    (tmp_path / "functional.py.jinja").write_text(OWN, encoding="utf-8")
    for name in EXAMPLES.values():
        source = compiled(replace(HARMLESS, graph=name), "functional", templates=tmp_path).source
        tree = syntax(HARMLESS, "functional")
        Comparison(replace(HARMLESS, graph=name), tree).body(ast.parse(source), tree)


# --- layout ---------------------------------------------------------------------------------------


@over_styles
def test_the_formatter_leaves_hostile_modules_alone(style: str, tmp_path: Path) -> None:
    """Keys of every length, also in characters that take no column or two."""
    rng = np.random.default_rng(5)
    for place, unit in enumerate(["k", "k.", "字", "\\", "'\"", "(", "),", "\u05d0", "e\u0301"]):
        for length in rng.choice(110, 6, replace=False) + 1:
            own = [(f"{field}{unit * 120}")[: length + 1] for field in "gxtWbpsyz"]
            module = compiled(Texts(*own), style)
            module.save(tmp_path / f"net_{place}_{length}.py")
            if unit == "k" and length < 35:
                assert max(map(width, module.source.splitlines())) <= LINE, length
    formatted(tmp_path)


def test_errors_are_one_line_whatever_the_name() -> None:
    for text in EXAMPLES.values():
        with gc.Graph(text) as g:
            x = g.input(text, (2,))
            with pytest.raises(GraphcError) as caught:
                x + g.input(f"{text}2", (3,))
            assert str(caught.value).isprintable()
            assert x.named(text) is x
