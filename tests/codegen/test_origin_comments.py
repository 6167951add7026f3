"""Generated code says at the statement what a value was made from by a rule."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest

import graphc as gc
from graphc.codegen.literals import LINE
from graphc.codegen.statement import Statement
from graphc.ir.function import Function
from graphc.ir.node import Node
from tests.codegen.nets import built

LSE = "logsumexp, from log(sum(exp(.)))"


def naive(x: Node, axis: int | None = None) -> Node:
    return gc.log(gc.sum(gc.exp(x), axis=axis))


def commented(declare: Callable[[gc.Graph], Any], **options: Any) -> list[tuple[str, str]]:
    """Each statement with an origin: what it assigns to, and its comment or the one above it."""
    module = built(declare, options).compiled
    lines = module.source.splitlines()
    found = []
    for number, line in enumerate(lines):
        comment = line.partition("# ")[2]
        if "from log(" in comment:
            statement = lines[number + 1] if line.strip().startswith("#") else line
            found.append(
                (re.findall(r"(?:out=)?(\w+)(?:: Array)?(?=\)| =)", statement)[0], comment)
            )
    return found


@pytest.mark.parametrize("style", ["functional", "workspace"])
def test_it_stands_behind_the_shape_in_every_function(style: str) -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("batch", 5))
        y = naive(x, 1)
        g.output("y", y)
        g.loss(gc.sum(y * y))

    # In predict, evaluate and forward; and y is a view of a residual, which backward makes again.
    assert commented(declare, style=style) == [("y", f"(batch,), {LSE}")] * 4


def test_it_stands_at_a_scalar_too() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x")
        y = naive(x)
        g.output("y", y)
        g.loss(y * y)

    assert commented(declare, style="scalar") == [("y", LSE)] * 3


@pytest.mark.parametrize("style", ["functional", "workspace", "scalar"])
def test_any_pass_can_explain_any_value_also_in_backward(style: str) -> None:
    with gc.Graph("explained", dtype="float64") as g:
        shape = () if style == "scalar" else (3,)
        x = g.input("x", shape)
        w = g.parameter("w", shape)
        y = gc.sin(x * w) * w
        g.output("y", y)
        g.loss(gc.sum(y * y))

    def explain(name: str, function: Function) -> None:
        if name == "simplify":
            for node in function.nodes:
                g.explain(node, f"{node.op.name} explained")

    source = gc.compile(g, style=style, after_pass=explain).source
    parts = re.split(r"^ *def (\w+)\(", source, flags=re.MULTILINE)
    bodies = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert "cos explained" in bodies["backward"]
    # Of values that no line of the model is about, each text is told once in a function.
    assert bodies["backward"].count("multiply explained") == 1
    assert "sin explained" not in bodies["forward"]  # the user wrote it
    lines = bodies["backward"].splitlines()
    (place,) = [n for n, line in enumerate(lines) if re.search(r"w_bar = |out=w_bar", line)]
    if style == "workspace":
        assert lines[place].endswith("  # (3,), add explained")
    else:  # written inside the same statement, and too much to stand behind it
        assert lines[place - 1] == "    # cos explained; add explained"


def test_a_statement_says_what_is_written_inside_it() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        g.output("y", naive(x) + 1)

    assert commented(declare, inference=True) == [("y", LSE)]


def test_several_are_told_one_after_the_other_and_each_once() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        total = naive(x) + naive(x * 2)
        p = gc.sum(gc.log(gc.softmax(x)))
        g.output("y", total + p)

    found = commented(declare, inference=True)
    assert ("total", LSE) in found
    texts = [text for _, text in found]
    assert any("log_softmax, from log(softmax(.))" in text for text in texts)


def test_the_notes_of_a_statement_are_joined() -> None:
    statement = Statement("y = a + b", "(3,)", ("sin, from cos(.)", "f, from g(x, y)"))
    assert statement.laid(4) == ["y = a + b  # (3,), sin, from cos(.); f, from g(x, y)"]
    assert statement._replace(shape="").laid(4) == [
        "y = a + b  # sin, from cos(.); f, from g(x, y)"
    ]


@pytest.mark.parametrize("length", range(40, 97))
@pytest.mark.parametrize("indent", [4, 8])
def test_no_line_is_too_long(length: int, indent: int) -> None:
    code = f"y = {'a' * (length - 4 - indent)}"
    rows = Statement(code, "(batch, 10)", (LSE,)).laid(indent)
    assert all(indent + len(row) <= LINE for row in rows)
    assert " ".join(rows).count(LSE) == 1
    assert [row.split("  #")[0] for row in rows if not row.startswith("#")] == [code]
    together = f"{code}  # (batch, 10), {LSE}"
    if indent + len(together) <= LINE:
        assert rows == [together]
    else:
        assert rows[0] == f"# {LSE}"
        fits = indent + len(f"{code}  # (batch, 10)") <= LINE
        assert rows[1] == (f"{code}  # (batch, 10)" if fits else code)


def test_wide_characters_take_two_columns() -> None:
    code = "y = " + "a" * 68
    assert Statement(code, "日" * 10).laid(4) == [f"{code}  # {'日' * 10}"]
    assert Statement(code, "日" * 11).laid(4) == [code]


def test_a_statement_of_several_lines_has_its_comment_above() -> None:
    code = "y = (\n        a\n        + b\n    )"
    assert Statement(code, "(3,)", (LSE,)).laid(4) == [f"# {LSE}", code]
    many = tuple(f"{LSE} {number}" for number in range(9))
    rows = Statement(code, "", many).laid(4)
    assert rows[-1] == code
    assert all(row.startswith("# ") and len(row) <= LINE - 4 for row in rows[:-1])
    assert " ".join(row[2:] for row in rows[:-1]) == "; ".join(many)


def test_the_annotation_of_a_result_costs_no_comment() -> None:
    """`y: Array = …` may be too long for the comment that fits behind `y = …`."""
    for length in range(1, 30):

        def declare(g: gc.Graph, length: int = length) -> None:
            x = g.input("x" * length, ("batch", 5))
            g.output("y" * length, (naive(x, 1) * 3).named("y" * length))

        source = built(declare, {"inference": True}).compiled.source
        assert source.count(LSE) == 1
        assert max(map(len, source.splitlines())) <= LINE


def test_nothing_is_told_where_no_rule_fired() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("batch", 5))
        g.output("y", gc.logsumexp(x, 1) * naive(x, 1))
        g.output("z", gc.log_softmax(x))

    assert commented(declare, inference=True) == []  # the user wrote logsumexp(x) too
    off = built(lambda g: g.output("y", naive(g.input("x", (3,)))), {"stabilize": False})
    assert "from log" not in off.compiled.source


def test_comments_change_nothing_else() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("batch", 5))
        y = naive(x, 1)
        g.output("y", y)
        g.loss(gc.mean(y) + naive(gc.sum(x, 0)))

    def told(g: gc.Graph) -> None:
        x = g.input("x", ("batch", 5))
        y = gc.logsumexp(x, 1)
        g.output("y", y)
        g.loss(gc.mean(y) + gc.logsumexp(gc.sum(x, 0)))

    def tokens(source: str) -> list[str]:
        body = re.split(r"^(?=class Workspace|def predict)", source, flags=re.MULTILINE)[1]
        found = tokenize.generate_tokens(StringIO(body).readline)
        return [t.string for t in found if t.type not in (tokenize.COMMENT, tokenize.NL)]

    for style in ("functional", "workspace"):
        sources = [built(d, {"style": style}).compiled.source for d in (declare, told)]
        assert tokens(sources[0]) == tokens(sources[1])
        assert LSE in sources[0] and LSE not in sources[1]
