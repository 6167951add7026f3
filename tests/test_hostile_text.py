"""The user's text is data: exact as keys, escaped elsewhere, and never a part of the code.

A model with hostile names has to be the model with harmless ones: their syntax trees are the same
but for variables, which are renamed one to one, and for strings, which hold the names.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import keyword
import os
import re
import subprocess
import sys
import tempfile
import tokenize
import unicodedata
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import graphc as gc
from graphc.cli import main
from graphc.codegen.assemble import RESERVED
from graphc.codegen.literals import LINE, quoted, width
from graphc.errors import DeclarationError, GraphcError, ShapeError
from graphc.lower.naming import MAX_LENGTH, MIN_LENGTH, identifier

STYLES = ("functional",)
OPTIMIZER = gc.sgd(momentum=0.9)


@dataclass(frozen=True)
class Texts:
    """All text that a model can hold. The harmless ones occur in nothing that graphc writes."""

    graph: str = "zzgraph"
    x: str = "zzx"
    t: str = "zzt"
    W: str = "zzweight"
    b: str = "zzbias"
    path: str = "zzpath"
    state: str = "zzstate"
    y: str = "zzfirst"
    z: str = "zzsecond"
    dim: str = "zzdim"
    label: str = "zzlabel"
    command: str = "zzcommand"

    def strings(self) -> dict[str, str]:
        """What stands for each text in string literals, dimensions as Python reads them."""
        names = {field.name: getattr(self, field.name) for field in fields(self)}
        return names | {"dim": unicodedata.normalize("NFKC", self.dim)}


HARMLESS = Texts()
PLACES = [field.name for field in fields(Texts)]


def build(texts: Texts) -> gc.Graph:
    """A model with each kind of name."""
    with gc.Graph(texts.graph) as g:
        x = g.input(texts.x, (texts.dim, 3))
        t = g.input(texts.t, (texts.dim, 2))
        with gc.path(texts.path):
            b = g.parameter(texts.b, (2,), init=[0.5, -0.0])
        W = g.parameter(texts.W, (3, 2), init="he_normal")
        s = g.state(texts.state, (2,))
        h = np.tanh(x @ W + b)
        h.named(texts.label)
        g.update(s, s + h.sum(axis=0))
        g.output(texts.y, h * 2)
        g.output(texts.z, h + s)
        g.loss((h * t).sum())
    return g


def compiled(texts: Texts, style: str, **options: Any) -> gc.Module:
    """The model with a training step."""
    return gc.compile(
        build(texts), style=style, optimizer=OPTIMIZER, command=texts.command, **options
    )


# --- what a module is -----------------------------------------------------------------------------


class Comparison:
    """Walks the trees of a hostile and of the harmless module side by side.

    What is bound by graphc itself, and all builtins, have to be called the same; other variables,
    which the model names, may differ, one to one in each function.
    """

    def __init__(self, texts: Texts, tree: ast.Module, harmless: Texts = HARMLESS) -> None:
        given, plain = texts.strings(), harmless.strings()
        self.texts = {plain[place]: given[place] for place in PLACES}
        self.pattern = re.compile("|".join(map(re.escape, self.texts)))
        self.fixed = {*dir(builtins), *keyword.kwlist, *RESERVED, "lr", "momentum", "velocity"}
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.fixed.add(node.name)
            elif isinstance(node, ast.alias):
                self.fixed.add(node.asname or node.name)
            elif isinstance(node, ast.Attribute) and not node.attr.startswith("zz"):
                self.fixed.add(node.attr)
        self.shared: dict[str, str] = {}  # the names of the module
        self.names = self.shared

    def same(self, left: Any, right: Any) -> None:
        """Raise AssertionError unless two trees, or parts of them, say the same."""
        assert type(left) is type(right), (left, right)
        if isinstance(left, list):
            assert len(left) == len(right)
            for a, b in zip(left, right, strict=True):
                self.same(a, b)
        elif isinstance(left, (ast.FunctionDef, ast.ClassDef)):
            assert left.name == right.name
            self.names = {}
            self.body(left, right)
            self.names = self.shared
        elif isinstance(left, (ast.Import, ast.ImportFrom)):
            assert ast.dump(left) == ast.dump(right)
        elif isinstance(left, ast.Constant):
            self.constant(left.value, right.value)
        elif isinstance(left, ast.AST):
            for name in left._fields:
                a, b = getattr(left, name), getattr(right, name)
                if isinstance(a, str):
                    self.identifier(a, b)
                else:
                    self.same(a, b)
        else:
            assert left == right

    def body(self, left: Any, right: Any) -> None:
        """All parts of a definition. A docstring is a string; what it says is for people."""
        assert (ast.get_docstring(left) is None) == (ast.get_docstring(right) is None)
        skipped = ast.get_docstring(left) is not None
        for name in left._fields:
            if name == "body":
                self.same(left.body[skipped:], right.body[skipped:])
            elif name != "name":
                self.same(getattr(left, name), getattr(right, name))

    def identifier(self, left: str, right: str) -> None:
        """Two identifiers, the second of which is harmless."""
        if right in self.fixed and not right.startswith("zz"):
            assert left == right
            return
        assert left not in dir(builtins) and not keyword.iskeyword(left)
        assert left.isascii() and left.isidentifier() and len(left) <= 50
        names = self.shared if right in self.shared else self.names
        assert names.setdefault(right, left) == left
        if right != "loss":  # what value_and_grad returns may replace an input of the name
            others = [other for name, other in names.items() if name not in (right, "loss")]
            assert left not in others

    def constant(self, left: Any, right: Any) -> None:
        """Two constants: the same, but for the user's texts."""
        if not isinstance(right, str):
            assert repr(left) == repr(right)
        elif right.startswith("gradient of "):  # on the terminal
            assert left.startswith("gradient of ") and left.isprintable()
        elif re.fullmatch("[0-9a-f]{16}", right):  # the hash
            assert re.fullmatch("[0-9a-f]{16}", left)
        elif left == self.names.get(right):  # messages call an input what its argument is called
            pass
        else:
            assert left == self.pattern.sub(lambda match: self.texts[match[0]], right)


def check_source(source: str, texts: Texts, style: str) -> None:
    """Raise AssertionError unless a source holds the user's texts as data alone."""
    plain = padded(texts)
    tree = syntax(plain, style)
    Comparison(texts, tree, plain).body(ast.parse(source), tree)
    # Nothing raw that could end or reorder a line, for Python, editors or terminals.
    for character in set(source) - {"\n"}:
        assert character.isprintable(), ascii(character)
        assert unicodedata.bidirectional(character) not in ("R", "AL", "AN"), ascii(character)
    # Comments tell shapes; nothing else of the user's gets into them.
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and " " in token.string:
            assert re.fullmatch(r"# (\(.*\)( float32)?|exp only .*|By the full .*)", token.string)


def numbers(module: gc.Module, texts: Texts) -> list[bytes]:
    """All that comes out of a module, bit for bit; keys are exact."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        net: Any = module.load()
        assert out.getvalue() == ""
        assert net.self_test()
    assert all(
        line.startswith("ok ") and line.isprintable() for line in out.getvalue().splitlines()
    )
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(5, 3)).astype("f4"), rng.normal(size=(5, 2)).astype("f4")
    keys = [f"{texts.path}.{texts.b}", texts.W]
    params, state = net.init_params(np.random.default_rng(0)), net.init_state()
    assert list(params) == keys and list(state) == [texts.state]
    outputs = net.predict(params, state, x)
    loss, new_state, grads = net.value_and_grad(params, state, x, t)
    assert list(grads) == keys and list(new_state) == [texts.state]
    stepped, _, optimizer, _ = net.train_step(params, state, net.init_optimizer(params), x, t)
    assert list(stepped) == list(optimizer["velocity"]) == keys
    assert net.__graphc__["model"] == texts.graph
    with tempfile.TemporaryDirectory() as folder:
        net.save_params(f"{folder}/saved.npz", params)
        assert os.listdir(folder) == ["saved.npz"]
        loaded = net.load_params(f"{folder}/saved.npz")
    assert list(loaded) == keys
    found = [*outputs, loss, *new_state.values(), *grads.values(), *loaded.values()]
    return [np.asarray(value).tobytes() for value in [*found, *stepped.values()]]


def check(texts: Texts, style: str, **options: Any) -> str:
    """Everything about a model with hostile texts; returns its source."""
    module = compiled(texts, style, **options)
    check_source(module.source, texts, style)
    assert numbers(module, texts) == harmless(style)
    return module.source


def padded(texts: Texts) -> Texts:
    """Harmless names that are as long, and have identifiers that are as long as far as possible.

    Their lengths decide what stands on one line, and so what gets a name of its own.
    """
    padded = {}
    for place, text in texts.strings().items():
        name = getattr(HARMLESS, place)
        length = MIN_LENGTH if len(ascii(text)) > 70 and place == "W" else MAX_LENGTH
        # With underscores in the same places: none stays at an end that is cut.
        name += re.sub("[^_]", "q", identifier(text, length=length))[len(name) :]
        is_key = place in ("W", "b", "path")
        padded[place] = name.ljust(width(quoted(text)) - 2, "?") if is_key else name
    return Texts(**padded)


@cache
def syntax(texts: Texts, style: str) -> ast.Module:
    """The syntax tree of the model with harmless texts."""
    return ast.parse(compiled(texts, style).source)


@cache
def harmless(style: str) -> list[bytes]:
    """The results of the harmless model."""
    return numbers(compiled(HARMLESS, style), HARMLESS)


# --- the examples of the issue, and others --------------------------------------------------------

EXAMPLES = {
    "call": 'x"); import os; os.system("echo pwned >&2") #',
    "call in quotes": "x'); import os; os.system('echo pwned >&2') #",
    "keyword": "class",
    "module": "np",
    "group": "params",
    "dunder": "__import__",
    "self": "self",
    "dotted": "0.weight",
    "expression of Jinja": "{{ 7*7 }}",
    "statement of Jinja": "{% include %}",
    "newline": "a\nimport os\nos.abort()\n",
    "long": "n" * 10_000,
    "long words": "layer of a network " * 500,
    "homoglyphs": "\u0440\u0430r\u0430ms",  # Cyrillic, in part
    "right to left": "\u05d0\u05d1 \u0627\u0644 \u202e evil \u2066 x",
    "combining": "\u0301e\u0302\u0323" + "\u0300" * 20,
    "other newlines": "a\rb\x0bc\x0cd\x1ce\x1df\x1eg\x85h\u2028i\u2029j",
    "include of Jinja": "{% include 'graphc/functional.py.jinja' %}",
    "Jinja's own": "{{ module|attr('__class__') }}{# #}{% raw %}",
    "placeholder": "{x} {*xs} {:n} {out} {0} %s %(x)s ${x}",
    "docstring": '"""\nimport os\nos.abort()\n"""',
    "other docstring": "'''\nimport os\n'''",
    "backslash": "\\",
    "backslashes": "\\\\\\",
    "backslash and quote": '\\"',
    "quotes": '"\'"\'"',
    "quote": '"',
    "escape": "\\N{BULLET} \\x41 \\u0041 \\",
    "terminal": "\x1b[31mred\x1b]0;title\x07",
    "emoji": "👩\u200d🔬 ⚡",
    "spaces": "   ",
    "path": "../../etc/passwd",
    "absolute": "/etc/passwd",
    "file of another": "zzweight.npy",
    "prefix": "params/zzweight",
    "loss": "loss",
    "residuals": "residuals",
    "noncharacters": "\ufffe\uffff\U0010ffff",
    "byte order": "\ufeff",
    "coding": "# -*- coding: utf-7 -*-",
    "type comment": "# type: ignore # noqa",
    "tag": "</script><!--",
}
# Those of the issue in each place; the others in some, and elsewhere only at length.
PAIRS = [(name, place) for name in EXAMPLES for place in PLACES if place != "dim"]
FEW = [pair for k, pair in enumerate(PAIRS) if k < 130 or k % 4 == 0]
OTHERS = [pair for pair in PAIRS if pair not in FEW]
over_styles = pytest.mark.parametrize("style", STYLES)


@over_styles
@pytest.mark.parametrize(("name", "place"), FEW)
def test_examples(name: str, place: str, style: str) -> None:
    example(name, place, style)


@pytest.mark.conformance
@over_styles
@pytest.mark.parametrize(("name", "place"), OTHERS)
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


@over_styles
@pytest.mark.parametrize("dim", DIMS, ids=lambda dim: ascii(dim)[:30])
def test_names_of_dimensions(dim: str, style: str) -> None:
    source = check(replace(HARMLESS, dim=dim), style)
    assert max(map(width, source.splitlines())) <= LINE or len(dim) > 50
    with gc.Graph("m") as g:
        x = g.input("x", (dim, 3))
        g.output("y", x / x.shape[0])
    predict = gc.compile(g, style=style, inference=True).load().predict
    np.testing.assert_array_equal(predict(np.ones((4, 3))), np.full((4, 3), 0.25))


@pytest.mark.parametrize(
    "dim", ['n"); import os #', "", "a b", "a\n", "{{ n }}", "0", "a\0", "\ud800"]
)
def test_a_dimension_is_an_identifier(dim: str) -> None:
    with pytest.raises(ShapeError, match="the name of a dimension is an identifier") as caught:
        gc.Graph("m").input("x", (dim,))
    assert str(caught.value).isprintable()


def test_a_dimension_in_a_condition() -> None:
    """Conditions that hold at run time only are told with the names in them."""
    for dim in ("\u05d0", "ﬁ", "n" * 200):
        with gc.Graph("m") as g:
            g.output("y", g.input("x", (dim,)).reshape(-1, 3) * 2)
        module = gc.compile(g, inference=True)
        assert not re.search("[\u0590-\u05ff]", module.source)
        with pytest.raises(ValueError, match="elements have to divide by 3") as caught:
            module.load().predict(np.zeros(4))
        assert str(caught.value).startswith(unicodedata.normalize("NFKC", dim))


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
    check(texts, style)


@over_styles
@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=texts_of_models)
def test_any_text(texts: Texts, style: str) -> None:
    any_text(texts, style)


@pytest.mark.conformance
@over_styles
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
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


# --- equal for somebody ---------------------------------------------------------------------------

ALIKE = [
    *("ﬁ", "fi", "Å", "A\u030a", "\u212b", "e\u0301", "é", "ⅷ", "viii", "a", "\u0430", "\uff41"),
    *("W", "w", "W ", " W", "W.npy", "params/W", "a/b", "a\\b", "a//b", "./a", "..", "a/../b"),
    *("a\u200bb", "ab", "a\u00adb", "a\ufe00b", "0", "0.", ".0", "file", "arr_0", "allow_pickle"),
]


@over_styles
def test_keys_that_somebody_might_take_for_the_same(style: str, tmp_path: Path) -> None:
    with gc.Graph("m") as g:
        total = g.input("x")
        for place, name in enumerate(ALIKE):
            total = total + (place + 1) * g.parameter(name, (2,), init=place)
        g.output("Å", total)
        g.output("A\u030a", total * 2)
        g.loss(total.sum())
    net = gc.compile(g, style=style).load()
    params = net.init_params(np.random.default_rng(0))
    net.save_params(tmp_path / "saved.npz", params)
    assert [path.name for path in tmp_path.iterdir()] == ["saved.npz"]
    loaded = net.load_params(tmp_path / "saved.npz")
    _, grads = net.value_and_grad(params, 1.0)
    assert list(params) == list(loaded) == list(grads) == ALIKE
    for place, name in enumerate(ALIKE):
        np.testing.assert_array_equal(loaded[name], [place, place])
        np.testing.assert_array_equal(grads[name], [place + 1, place + 1])


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
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(LINE)]
    done = subprocess.run(
        [*command, "--diff", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[:5000]


def test_errors_are_one_line_whatever_the_name() -> None:
    for text in EXAMPLES.values():
        with gc.Graph(text) as g:
            x = g.input(text, (2,))
            with pytest.raises(GraphcError) as caught:
                x + g.input(f"{text}2", (3,))
            assert str(caught.value).isprintable()
            assert x.named(text) is x
