"""The table of what the course contains is complete: it and the tests name each other."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.course.rows import ROWS

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parent.parent / "examples"
NOTES = {"000", "001", "002", "003", "004"}


def declared_tests() -> dict[str, str]:
    """The docstring of each test of this folder, by `module::name`."""
    found = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        if path != Path(__file__):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    found[f"{path.stem}::{node.name}"] = ast.get_docstring(node) or ""
    return found


def test_each_row_is_shown_by_tests_and_examples_that_exist() -> None:
    names = {*declared_tests(), *(f"examples/{path.name}" for path in EXAMPLES.glob("*.py"))}
    assert len({row.what for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.shown_by and set(row.notes.split()) <= NOTES, row
        assert set(row.shown_by) <= names, set(row.shown_by) - names
    assert {note for row in ROWS for note in row.notes.split()} == NOTES


def test_each_test_belongs_to_a_row_and_names_its_note() -> None:
    rows = {name: row for row in ROWS for name in row.shown_by}
    for name, doc in declared_tests().items():
        assert name in rows, f"{name} shows no row of tests/course/rows.py"
        assert NOTES & set(doc.replace(",", " ").replace(":", " ").split()), f"{name}: no note"
