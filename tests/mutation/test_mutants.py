"""The mutants themselves: which changes are made, and that each is the change it says it is."""

from __future__ import annotations

import ast

import pytest

from tests.mutation.mutants import compiles, mutants
from tests.mutation.recording import FastTest, Map, digest
from tests.mutation.selection import stages


def changes(text: str, file: str = "graphc/ir/example.py") -> set[str]:
    """Every mutated text, up to layout."""
    found = [m.text.decode() for m in mutants(file, text.encode()) if compiles(m)]
    return {ast.unparse(ast.parse(changed)) for changed in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = a + b", {"x = a - b"}),
        ("x = (a) * (b)", {"x = a / b"}),
        ("x = a @ b", {"x = b @ a"}),
        ("x = 'a' + b + (c,)", set()),
        ("x = a < b", {"x = a <= b"}),
        ("x = a is not b", {"x = a is b"}),
        ("x = a and b and c", {"x = a or b and c", "x = a and b or c"}),
        ("x = not a", {"x = a"}),
        ("x = -a", {"x = a"}),
        ("x = [0, True]", {"x = [1, True]", "x = [0, False]"}),
        ("x = 4", {"x = 3", "x = 5"}),
        ("x = f(a, b)", {"x = f(b, a)"}),
        ("x = f(a, 'b')", set()),
        ("x = max(a, b)", {"x = min(a, b)"}),
        ("x = a if b else c", {"x = c if b else a"}),
        ("x = [a for a in b if c]", {"x = [a for a in b if True]"}),
        ("x = a[i:]", {"x = a[i + 1:]", "x = a[i - 1:]"}),
        ("x = [1.5, f(a), *b]", {"x = [2.5, f(a), *b]", "x = [1.5, *b]", "x = [1.5, f(a)]"}),
        ("x += y", {"x -= y"}),
        ("f(a)", {"pass"}),
        ("raise E('α' + b)", {"pass"}),
        ("x = f(lambda g, y: g)", {"x = f(lambda g, y: -g)"}),
        ("if a:\n    b", {"if True:\n    b", "if False:\n    b"}),
    ],
)
def test_what_is_changed(text: str, expected: set[str]) -> None:
    assert changes(text) == {ast.unparse(ast.parse(changed)) for changed in expected}


def test_loops_are_left_early_or_not_at_all() -> None:
    assert changes("for a in b:\n    break") == {"for a in b:\n    continue"}


def test_what_ops_emit_is_changed_too() -> None:
    text = "f('{x} - {y}')"
    assert changes(text) == {"pass"}
    assert changes(text, "graphc/ops/example.py") == {"pass", "f('{x} + {y}')", "f('{y} - {x}')"}


@pytest.mark.parametrize(
    "text",
    [
        '"""Not 1."""',
        "def f(x: Literal[1]) -> Literal[2]:\n    return x",
        "assert x > 1",
        "@cache(1)\ndef f(x):\n    return x",
        "if TYPE_CHECKING:\n    x = 1",
        "def __repr__(self):\n    return 1",
        "zip(x, y, strict=True)[z]",
    ],
)
def test_what_is_no_behaviour_is_left_alone(text: str) -> None:
    assert changes(text) == set()


def test_a_mutant_tells_its_lines() -> None:
    source = "α = 'α'\nx = f(\n    a <\n    b)\n".encode()
    (mutant,) = mutants("graphc/ir/example.py", source)
    assert mutant.text.decode() == "α = 'α'\nx = f(\n    a <=\n    b)\n"
    assert (list(mutant.lines), mutant.diff()) == ([3], ("a <", "a <="))


def test_lines_that_occur_twice_are_told_apart() -> None:
    source = b"a = b\nf(c)\nx = y\nf(c)\n"
    first, second = mutants("graphc/ir/example.py", source)
    assert first.diff() == ("a = b f(c)", "a = b pass")
    assert second.diff() == ("x = y f(c)", "x = y pass")


def test_near_tests_come_first_and_each_once() -> None:
    (mutant,) = mutants("graphc/ir/example.py", b"x = 1\ny = a < b\n")[2:]
    tests = [
        FastTest("tests/ops/test_x.py::test_far", 0.1),
        FastTest("tests/ir/test_x.py::test_near", 0.2),
        FastTest("tests/ir/test_example.py::test_it", 0.3),
        FastTest("tests/ir/test_example.py::test_else", 0.1),
        FastTest("tests/test_x.py::test_failing", passed=False),
        FastTest("tests/test_x.py::test_slow", 9.0, spawns=True),
    ]
    known = Map(tests, {mutant.file: {2: 0b010111}}, {mutant.file: digest(mutant.source)})
    groups = [[test.id.partition("::")[2] for test in group] for group in stages(mutant, known)]
    assert groups == [["test_it"], ["test_near"], ["test_far"], ["test_else", "test_slow"]]
