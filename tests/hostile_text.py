"""A model that is all hostile text, and what it is compared with: itself under harmless names."""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import keyword
import os
import random
import re
import subprocess
import sys
import tempfile
import tokenize
import unicodedata
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pytest

import graphc as gc
from graphc.codegen.assemble import RESERVED
from graphc.codegen.literals import LINE, quoted, width
from graphc.lower.naming import MAX_LENGTH, MIN_LENGTH, identifier
from tests.styles import functions

STYLES = ("functional", "workspace", "scalar")
WITH_DIMS = STYLES[:2]
BUILTINS = frozenset(dir(builtins))
OPTIMIZER = gc.optim.sgd(momentum=0.9)


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


def build(texts: Texts, style: str) -> gc.Graph:
    """A model with each kind of name; for the scalar style the like of it without dimensions."""
    if style == "scalar":
        return build_of_scalars(texts)
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


def build_of_scalars(texts: Texts) -> gc.Graph:
    """A model of scalars: a file of JSON has no arrays whose names could be paths."""
    with gc.Graph(texts.graph) as g:
        x, t = g.input(texts.x), g.input(texts.t)
        with gc.path(texts.path):
            b = g.parameter(texts.b, init=-0.5)
        W = g.parameter(texts.W, init="he_normal")
        s = g.state(texts.state)
        h = np.tanh(x * W + b)
        h.named(texts.label)
        g.update(s, s + h)
        g.output(texts.y, h * 2)
        g.output(texts.z, h + s)
        g.loss(h * t)
    return g


def compiled(texts: Texts, style: str, **options: Any) -> gc.Module:
    """The model with a training step."""
    return gc.compile(
        build(texts, style), style=style, optimizer=OPTIMIZER, command=texts.command, **options
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
        self.fixed = {*BUILTINS, *keyword.kwlist, *RESERVED, "lr", "momentum", "velocity"}
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.fixed.add(node.name)
            elif isinstance(node, ast.alias):
                self.fixed.add(node.asname or node.name)
            elif isinstance(node, ast.Attribute) and not node.attr.startswith("zz"):
                self.fixed.add(node.attr)
        self.own = {  # what a workspace has
            *(node.attr for node in nodes if is_own(node) and node.attr[:2] != "zz"),
            *(node.name for node in nodes if isinstance(node, ast.FunctionDef)),
        }
        self.shared: dict[str, str] = {}  # the names of the module
        self.attributes: dict[str, str] = {}  # the sizes that a workspace keeps, in all its methods
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
        elif isinstance(left, ast.Attribute):
            self.same(left.value, right.value)
            self.identifier(left.attr, right.attr, member=True)
            assert self.attributes.setdefault(right.attr, left.attr) == left.attr
            assert left.attr == right.attr or left.attr not in self.own
        elif isinstance(left, ast.AST):
            for name in left._fields:
                a, b = getattr(left, name), getattr(right, name)
                if isinstance(a, str):
                    self.identifier(a, b)
                else:
                    self.same(a, b)
        else:
            assert left == right

    def member(self, left: ast.AnnAssign, right: ast.AnnAssign) -> None:
        """A field of a class, which may be called as a builtin is: it is no variable."""
        assert isinstance(left.target, ast.Name) and isinstance(right.target, ast.Name)
        self.identifier(left.target.id, right.target.id, member=True)
        self.same([left.annotation, left.value], [right.annotation, right.value])

    def body(self, left: Any, right: Any) -> None:
        """All parts of a definition. A docstring is a string; what it says is for people."""
        assert (ast.get_docstring(left) is None) == (ast.get_docstring(right) is None)
        skipped = ast.get_docstring(left) is not None
        for name in left._fields:
            if name == "body":
                assert len(left.body) == len(right.body)
                for a, b in zip(left.body[skipped:], right.body[skipped:], strict=True):
                    fields = isinstance(left, ast.ClassDef) and isinstance(a, ast.AnnAssign)
                    (self.member if fields else self.same)(a, b)
            elif name != "name":
                self.same(getattr(left, name), getattr(right, name))

    def identifier(self, left: str, right: str, *, member: bool = False) -> None:
        """Two identifiers, the second of which is harmless; of a variable unless of a member."""
        if right in self.fixed and not right.startswith("zz"):
            assert left == right
            return
        assert (member or left not in BUILTINS) and not keyword.iskeyword(left)
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
        # Messages call an input or a size what its argument is called.
        elif left in (self.names.get(right), self.attributes.get(right)):
            pass
        else:
            assert left == self.pattern.sub(lambda match: self.texts[match[0]], right)


def is_own(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """Whether a node is an attribute of `self`."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


ORIGIN = r"\w+, from [\w .*()/+-]+"  # tanh_slope, from 1 - tanh(.) ** 2
COMMENT = re.compile(
    rf"# (\(.*\)( float32)?(, {ORIGIN})?|{ORIGIN}|exp only .*|By the full .*|Large rests .*)"
)


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
            assert COMMENT.fullmatch(token.string)


def formatted(folder: Path) -> None:
    """Raise AssertionError unless the formatter leaves all files of a folder alone."""
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(LINE)]
    done = subprocess.run(
        [*command, "--diff", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[:5000]


def numbers(module: gc.Module, texts: Texts) -> list[bytes]:
    """All that comes out of a module, bit for bit; keys are exact."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        net: Any = functions(module)
        assert out.getvalue() == ""
        assert net.self_test()
    assert all(
        line.startswith("ok ") and line.isprintable() for line in out.getvalue().splitlines()
    )
    rng = np.random.default_rng(3)
    x, t = rng.normal(size=(5, 3)).astype("f4"), rng.normal(size=(5, 2)).astype("f4")
    drawn: Any = np.random.default_rng(0)
    if module.lowered.options["style"] == "scalar":
        x, t, drawn = float(x[0, 0]), float(t[0, 0]), random.Random(0)
    keys = [f"{texts.path}.{texts.b}", texts.W]
    params, state = net.init_params(drawn), net.init_state()
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


@lru_cache(8)  # trees are large, and few names are as long as those of another model
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
    "dotted": "0.w",
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
    "terminal": "\x1b[mred\x1b]0;title\x07",
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
# What a workspace has as attributes, methods and variables, and what its methods are given.
OWN_NAMES = [
    *("params", "grads", "state", "steps", "resize", "step", "predict", "evaluate", "forward"),
    *("backward", "value_and_grad", "set_params", "param_vector", "grad_vector", "sgd", "slots"),
    *("velocity_vector", "velocity", "sizes", "self", "kept", "lr", "momentum", "rng", "updated"),
    *("residuals", "_residuals", "_predict", "_update", "_allocate", "__init__", "__getstate__"),
    *("Workspace", "workspace", "checked_size", "checked", "parameter", "gradient", "loss_bar"),
    # And the scalar style.
    *("json", "math", "operator", "numbers", "content", "as_float", "scalar_kind", "Iterable"),
]
# Those of the issue in each place; the others in some, and elsewhere only at length.
PAIRS = [(name, place) for name in EXAMPLES for place in PLACES if place != "dim"]
ALL = [(name, place, style) for style in STYLES for name, place in PAIRS]
# The templates differ between styles, but most of what is written is written by the same code.
FEW = [case for k, case in enumerate(ALL) if k % 12 == 0 or k < 130]
OTHERS = [case for case in ALL if case not in FEW]
over_styles = pytest.mark.parametrize("style", STYLES)
