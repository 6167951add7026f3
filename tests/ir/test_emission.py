"""Parentheses: a printed expression means what its tree means.

Trees of templates are printed and parsed as Python, and the syntax trees compared: values could
agree by chance, as those of `a + (b + c)` and `(a + b) + c` do.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gc
from graphc.ir import dims
from graphc.ir.emission import ATOM, Template, parse, size_text, strength, tuple_text
from graphc.lower.interpreter import interpret

UNARY = ("-{x}", "not {x}", "~{x}", "{x}.T", "{x}[:, 0]", "np.exp({x})", "{x}.sum(axis=0)")
BINARY = (
    *(f"{{x}} {sign} {{y}}" for sign in ("+", "-", "*", "/", "//", "%", "@", "**", "&", "|", "^")),
    *(f"{{x}} {sign} {{y}}" for sign in ("<", "<=", "==", "!=", "and", "or")),
    "np.maximum({x}, {y})",
    "{x} * {x} + {y}",
    "{x} if {x} > {y} else {y}",
    "({x}, {y})[0]",
)
TERNARY = ("{x} if {y} else {z}", "np.where({x}, {y}, {z})", "np.concatenate([{x}, {y}, {z}])")
LEAVES = ("a", "b", "2.0", "-1.0", "0.5", "np.float32(3)", "a.shape[0]", "2 * n + 1")

# A leaf is its source; anything else (template, operand, …).
TREES = st.recursive(
    st.sampled_from(LEAVES),
    lambda t: (
        st.tuples(st.sampled_from(UNARY), t)
        | st.tuples(st.sampled_from(BINARY), t, t)
        | st.tuples(st.sampled_from(TERNARY), t, t, t)
    ),
    max_leaves=9,
)


def written(tree: Any) -> tuple[str, int]:
    """The source of a tree and how strongly it binds, as the printer fills templates."""
    if isinstance(tree, str):
        return tree, strength(tree)
    template, *operands = tree
    parsed = parse(template)
    texts = dict(zip("xyz", map(written, operands), strict=False))

    def operand(name: str, least: int) -> str:
        text, binding = texts[name]
        return text if binding >= least else f"({text})"

    return parsed.fill(operand, lambda name: "", lambda name: ""), parsed.binding


def meant(tree: Any) -> str:
    """The dump of the syntax tree that a tree stands for, each operand put in as a tree."""

    class Insert(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return operands.get(node.id, node)

    if isinstance(tree, str):
        return ast.dump(ast.parse(tree, mode="eval").body)
    template, *given_operands = tree
    names = [f"operand_{name}" for name in "xyz"]
    operands = {
        name: ast.Name(f"<{meant(operand)}>")
        for name, operand in zip(names, given_operands, strict=False)
    }
    plain = template.replace("{", "operand_").replace("}", "")
    dumped = ast.dump(Insert().visit(ast.parse(plain, mode="eval").body))
    for name in operands.values():
        dumped = dumped.replace(ast.dump(name), name.id[1:-1])
    return dumped


@given(TREES)
@settings(max_examples=300)
def test_the_text_parses_to_the_tree_that_was_meant(tree: Any) -> None:
    text, binding = written(tree)
    parsed = ast.parse(text, mode="eval").body
    assert ast.dump(parsed).replace(", ctx=Load()", "") == meant(tree).replace(", ctx=Load()", "")
    assert binding == strength(text)


@pytest.mark.parametrize(
    ("template", "x", "expected"),
    [
        ("-{x}", "a + b", "-(a + b)"),
        ("-{x}", "a ** b", "-a ** b"),
        ("-{x}", "a * b", "-(a * b)"),
        ("{x} - c", "a - b", "a - b - c"),
        ("c - {x}", "a - b", "c - (a - b)"),
        ("c - {x}", "a * b", "c - a * b"),
        ("c / {x}", "a * b", "c / (a * b)"),
        ("{x} * c", "a / b", "a / b * c"),
        ("{x} ** c", "a ** b", "(a ** b) ** c"),
        ("c ** {x}", "a ** b", "c ** a ** b"),
        ("{x} ** 2", "-a", "(-a) ** 2"),
        ("c ** {x}", "-a", "c ** -a"),
        ("{x}.T", "a + b", "(a + b).T"),
        ("{x}.T", "-1.0", "(-1.0).T"),
        ("{x}.T", "f(a)[0]", "f(a)[0].T"),
        ("f({x}, 1)", "a + b", "f(a + b, 1)"),
        ("f([{x}])", "a if b else c", "f([a if b else c])"),
        ("c[{x}]", "a + b", "c[a + b]"),
        ("{x} < c", "a < b", "(a < b) < c"),
        ("{x} < c", "a + b", "a + b < c"),
        ("{x} & c", "a > b", "(a > b) & c"),
        ("{x} and c", "not a", "not a and c"),
        ("{x} + c", "a if b else c", "(a if b else c) + c"),
        ("c if {x} else c", "a or b", "c if a or b else c"),
    ],
)
def test_parentheses_stand_where_the_grammar_asks_for_them(
    template: str, x: str, expected: str
) -> None:
    least = next(p[2] for p in parse(template).pieces if not isinstance(p, str))
    text = x if strength(x) >= least else f"({x})"
    assert template.replace("{x}", text) == expected
    # Without the parentheses it would mean something else; with them, it says what was meant.
    bare = ast.dump(ast.parse(template.replace("{x}", x), mode="eval"))
    full = ast.dump(ast.parse(template.replace("{x}", f"({x})"), mode="eval"))
    assert (f"({x})" in expected and f"({x})" not in template.replace("{x}", x)) == (bare != full)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("{x}", [("operand", "x")]),
        ("np.stack([{*xs}], axis=1)", ["np.stack([", ("operands", "xs"), "], axis=1)"]),
        ("{x}.reshape({:n}, 2)", [("operand", "x"), ".reshape(", ("size", "n"), ", 2)"]),
        ("{x} + {x}", [("operand", "x"), " + ", ("operand", "x")]),
        ("np.pi", ["np.pi"]),
    ],
)
def test_templates_are_cut_at_their_placeholders(text: str, pieces: list[Any]) -> None:
    parsed = parse(text)
    assert isinstance(parsed, Template)
    assert [p if isinstance(p, str) else p[:2] for p in parsed.pieces] == pieces


def test_templates_run_as_they_are() -> None:
    function = parse("max([{x}, {*xs}]) * {:n}").function(("x", "*xs"))
    assert function(3, 1, 2, size_n=5) == 15


def test_templates_see_their_helpers_and_nothing_else() -> None:
    def helper(value: int) -> int:
        return value + 1

    assert parse("helper({x})").function(("x",), (helper,))(1) == 2
    with pytest.raises(NameError, match="helper"):
        parse("helper({x})").function(("x",))(1)


def test_sizes_are_spelled_as_placeholders() -> None:
    n = dims.named("n")
    assert size_text(2 * n + 1) == "2 * {:n} + 1"
    assert [tuple_text(s) for s in ((n,), (n, 3), ())] == ["({:n},)", "({:n}, 3)", "()"]
    assert strength("a") == ATOM


# --- through the printer itself ----------------------------------------------------------------

OPERATIONS = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (b * b + 1), "neg": lambda a, b: -a, "pow": lambda a, b: (a * a) ** b,
    "exp": lambda a, b: gc.exp(-(a * a)), "T": lambda a, b: a.T, "matmul": lambda a, b: a @ b,
    "where": lambda a, b: gc.where((a < b) & ~(b < 0.0), a, b - a), "sum": lambda a, b: a.sum() * b,
    "slice": lambda a, b: a[::-1] - b[:, ::-1], "max": lambda a, b: gc.maximum(a, b) - a,
    "half": lambda a, b: 0.5 * a - 2.0, "square": lambda a, b: (a - b) ** 2,
}  # fmt: skip
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 30), st.integers(0, 30)),
    min_size=1,
    max_size=12,
)


@given(PROGRAMS)
@settings(max_examples=150, deadline=None)
def test_printed_programs_compute_the_interpreters_bits(steps: list[tuple[str, int, int]]) -> None:
    rng = np.random.default_rng(len(steps))
    feeds = {"x": rng.normal(size=(3, 3)), "y": rng.normal(size=(3, 3))}
    with gc.Graph("random", dtype="float64") as g:
        values = [g.input(name, (3, 3)) for name in feeds]
        for name, i, j in steps:
            values.append(OPERATIONS[name](values[i % len(values)], values[j % len(values)]))
        g.output("y", values[-1])
    compiled = gc.compile(g, inference=True)
    program = compiled.lowered.predict
    assert program is not None
    wanted = {node: feeds[node.params.name] for node in program.arguments}
    with np.errstate(all="ignore"):
        result = compiled.load().predict(*wanted.values())
        expected = interpret(program, wanted)[program.results[0]]
    assert np.asarray(result).tobytes() == np.asarray(expected).tobytes()
