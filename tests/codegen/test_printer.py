"""The printer: what becomes a statement, what is written inside another, and where lines end."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import ALL, built, net
from tests.hostile_text import formatted


def statements(declare: Callable[[gc.Graph], None], **options: Any) -> list[str]:
    """The statements of predict that compute, without comments and annotations."""
    source = built(declare, {"inference": True, **options}).compiled.source
    body = source[source.index("def predict(") :].split('"""', 2)[2].split("\n\n\n")[0]
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    lines = [line.split("  #")[0].replace(": Array", "") for line in lines]
    return [line for line in lines if "= checked(" not in line and ".shape[" not in line]


def depth(node: ast.AST) -> int:
    """How many operations an expression nests."""
    own = isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Call))
    below = [depth(child) for child in ast.iter_child_nodes(node)]
    return own + max(below, default=0)


def test_what_is_used_once_is_written_inside_its_user() -> None:
    def declare(g: gc.Graph) -> None:
        x, y = g.input("x", (3,)), g.input("y", (3,))
        g.output("z", np.exp(x * y) + x)

    assert statements(declare) == ["z = np.exp(x * y) + x", "return z"]


def test_what_is_used_twice_is_a_statement_computed_once() -> None:
    def declare(g: gc.Graph) -> None:
        x, y = g.input("x", (3,)), g.input("y", (3,))
        g.output("z", np.sin(x * y) / (np.sin(x * y) + 2))

    assert statements(declare) == [
        "sin = np.sin(x * y)",
        "z = sin / (sin + 2)",
        "return z",
    ]


def test_what_has_a_label_is_a_statement() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", (3,))
        inner = x * x
        g.output("z", np.exp(inner) + 1)
        g.output("w", np.exp((x - 1).named("moved")))

    lines = statements(declare)
    assert lines[:4] == [
        "inner = x * x",
        "z = np.exp(inner) + 1",
        "moved = x - 1",
        "w = np.exp(moved)",
    ]


@pytest.mark.parametrize("length", range(1, 14))
def test_at_most_three_operations_are_nested_in_another(length: int) -> None:
    def declare(g: gc.Graph) -> None:
        g.output("z", chain(g.input("x", (3,)), length))

    def chain(x: Any, length: int) -> Any:
        if length == 0:
            return x
        return (np.sin, np.cos, np.tanh)[length % 3](chain(x, length - 1))

    lines = statements(declare)
    depths = [depth(ast.parse(line)) for line in lines[:-1]]
    assert sum(depths) == length
    assert max(depths) <= 4
    assert len(depths) == -(-length // 4)


def test_lines_end_before_the_limit() -> None:
    def declare(g: gc.Graph) -> None:
        parts = [g.input(f"quantity_number_{i}_of_the_model", (3,)) for i in range(4)]
        a, b, c, d = parts
        g.output("z", (a + b) * (c - d) / (a - b) + (c + d) * (a - c))

    source = built(declare, {"inference": True}).compiled.source
    assert max(map(len, source.splitlines())) <= 100
    values = [np.array([3.0, 2.0, 5.0], np.float32) * k for k in (1, 2, 4, 8)]
    a, b, c, d = values
    result = built(declare, {"inference": True}).module.predict(*values)
    np.testing.assert_allclose(result, (a + b) * (c - d) / (a - b) + (c + d) * (a - c), rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_no_statement_is_without_use_and_none_nests_deeper(name: str) -> None:
    tree = ast.parse(net(name).compiled.source)
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef) or function.name not in COMPUTE:
            continue
        loaded = {n.id for n in ast.walk(function) if is_loaded(n)}
        for statement in function.body:
            if isinstance(statement, ast.Assign) and name not in UNREAD:
                for target in ast.walk(statement.targets[0]):
                    if isinstance(target, ast.Name) and target.id != "_" and not checked(statement):
                        assert target.id in loaded, f"{function.name}: {target.id}"
            if isinstance(statement, (ast.Assign, ast.AnnAssign)):
                assert depth(statement) <= 10


COMPUTE = {"predict", "evaluate", "forward", "backward"}
UNREAD = {"named_dimensions", "two_inputs", "wrt_inputs", "frozen"}  # see tests/test_generated.py


def is_loaded(node: ast.AST) -> bool:
    """Whether a node reads a name."""
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)


def checked(statement: ast.Assign) -> bool:
    """Whether a statement checks an argument."""
    call = statement.value
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "checked"
    )


# --- parentheses and literals ---------------------------------------------------------------------

EXPRESSIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a - (b - c)": lambda a, b, c: a - (b - c),
    "a - b - c": lambda a, b, c: a - b - c,
    "a / (b / c)": lambda a, b, c: a / (b / c),
    "a / b * c": lambda a, b, c: a / b * c,
    "a * (b + c)": lambda a, b, c: a * (b + c),
    "-(a + b)": lambda a, b, c: -(a + b),
    "c - a * b": lambda a, b, c: -(a * b) + c,
    "(a + b).sum()": lambda a, b, c: (a + b).sum(axis=0),
    "(a + b)[None] * c": lambda a, b, c: (a + b)[None] * c,
    "(a * b).max()": lambda a, b, c: (a * b).max(),
    "a[1:] - b[:3]": lambda a, b, c: a[1:] - b[:-1],
    "np.logical_or(a < b, b < c)": lambda a, b, c: gc.logical_or(a < b, b < c),
    "a + b < c": lambda a, b, c: a + b < c,
    "a * 2": lambda a, b, c: a * 2,
    "1 - a": lambda a, b, c: 1 - a,
    "b - a": lambda a, b, c: -a - -b,
    "a + 0.1": lambda a, b, c: a + 0.1,
    "a - 1e30": lambda a, b, c: a - 1e30,
}


@pytest.mark.parametrize("expected", EXPRESSIONS)
def test_parentheses_stand_where_they_are_needed(expected: str) -> None:
    def declare(g: gc.Graph) -> None:
        a, b, c = (g.input(name, (4,)) for name in "abc")
        g.output("z", EXPRESSIONS[expected](a, b, c))

    first = statements(declare)[0]
    assert ast.dump(ast.parse(first)) == ast.dump(ast.parse(f"z = {expected}"))
    assert first == f"z = {expected}"


def test_a_number_beside_a_scalar_has_its_dtype() -> None:
    def declare(g: gc.Graph) -> None:
        x, v = g.input("x", ()), g.input("v", (3,))
        g.output("y", x * 2.5)
        g.output("w", v * 2.5)

    lines = statements(declare)
    assert lines[0] in ("y = x * np.float32(2.5)", "y = np.float32(2.5) * x")
    assert lines[1] == "w = v * 2.5"


@pytest.mark.parametrize(
    ("dtype", "number", "text"),
    [
        ("float32", 3.4e38, "x + np.float32(3.4e38)"),
        ("float32", -np.finfo("float32").max, "x + np.float32(-3.4028235e38)"),
        ("float32", 3.39e38, "x + 3.39e38"),
        ("float32", np.inf, "x + np.inf"),
        ("float16", 65504.0, "x + np.float16(65500.0)"),
        ("float16", 64960.0, "x + 64960.0"),
        ("float64", 1.7e308, "x + 1.7e308"),
    ],
)
def test_a_large_number_beside_an_array_has_its_dtype(dtype: str, number: float, text: str) -> None:
    """NumPy 1.23 takes it for one of a wider dtype otherwise."""
    with gc.Graph("m", dtype=dtype) as g:
        g.output("y", g.input("x", (2,)) + number)
    assert text in gc.compile(g).source


def test_shapes_stand_behind_two_spaces() -> None:
    source = net("mlp").compiled.source
    assert "    h = np.maximum(x @ W1 + b1, 0)  # (batch, 128)\n" in source
    assert re.search(r"    batch = x\.shape\[0\]\n", source)
    comments = re.findall(r"= .*?( +)# (\(.*\))$", source, re.MULTILINE)
    assert comments and all(spaces == "  " for spaces, _ in comments)


def test_several_results_are_unpacked() -> None:
    def declare(g: gc.Graph) -> None:
        first, _, third = gc.split(g.input("x", (6,)) * 2, 3)
        g.output("z", first.named("first") - third.named("third"))

    lines = statements(declare)
    assert re.fullmatch(r"first, _, third = np\.split\(.*\)", lines[-3]), lines
    assert lines[-2] == "z = first - third"


def parts(g: gc.Graph, name: str) -> None:
    """An array cut apart: a statement with several names."""
    x = g.input(f"activations_{name}", ("batch", 12))
    for i, part in enumerate(gc.split(x, [1, 2, 5, 7, 9], axis=1)[: 2 + len(name) % 3]):
        g.output(f"y{i}", gc.sum(gc.exp(part.named(f"part_{name}{i}")) + part))


def new_axes(g: gc.Graph, name: str) -> None:
    """A view of an array with a long name, under a long name."""
    x = np.exp(g.input("x", ("batch", 12))).named(f"activations_{name}"[:40])
    wide = x[:, None, :, None].named(f"wide_activations_{name}"[:40])
    g.output("y", wide * np.exp(wide))
    g.output("z", x * x)


def long_sizes(g: gc.Graph, name: str) -> None:
    """Outputs whose cotangents may be left out, of sizes that are long."""
    x, y = (g.input(x, (f"{x}_{name[:12]}", 3)) for x in "xy")
    g.output("second", gc.sum(x))
    g.output(f"joined_{name}"[:40], gc.concat([np.exp(x), np.exp(y)]))


@pytest.mark.parametrize("declare", [parts, new_axes, long_sizes])
@pytest.mark.parametrize("style", ["functional", "workspace"])
def test_long_names_are_laid_out_as_the_formatter_does(
    declare: Callable[[gc.Graph, str], None], style: str, tmp_path: pathlib.Path
) -> None:
    for length in range(12, 40):
        with gc.Graph("long") as g:
            declare(g, "n" * length)
        wrt = [name for name, x in g.inputs.items() if declare is not parts]
        made = gc.compile(g, style=style, wrt=wrt, inference=not wrt)
        made.save(tmp_path / f"net{length}.py")
    formatted(tmp_path)


def test_two_hundred_and_fifty_nested_operations_can_be_compiled() -> None:
    def declare(g: gc.Graph) -> None:
        y: Any = g.input("x", (2,))
        for i in range(300):
            y = np.sin(y) if i % 2 else (y - 0.5) * 1.5
        g.output("z", y)

    x = np.array([0.3, 0.7], np.float32)
    expected: Any = x
    for i in range(300):
        expected = np.sin(expected) if i % 2 else (expected - np.float32(0.5)) * np.float32(1.5)
    np.testing.assert_allclose(built(declare).module.predict(x), expected, rtol=1e-4)
