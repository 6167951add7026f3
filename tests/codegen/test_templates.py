"""Templates of the user's: they lay out what graphc computed, and are told where they are wrong."""

from __future__ import annotations

import dataclasses
import difflib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import graphc as gc
from graphc.cli import main
from graphc.codegen import render
from graphc.codegen.assemble import assemble
from graphc.codegen.view import ModuleView
from graphc.errors import UsageError
from tests.codegen.nets import ALL, net

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
EXAMPLE = EXAMPLES / "custom_template"
HEADER = "# Copyright the Example Company. Generated: edit mlp and compile it again."


def compiled(folder: Path | str | None) -> str:
    """The MLP in the layout of a folder."""
    return gc.compile(net("mlp").graph, templates=folder).source


def template(folder: Path, text: str, name: str = "functional.py.jinja") -> Path:
    """A folder with one template."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_example_adds_a_header_and_changes_nothing_else() -> None:
    stock, own = compiled(None), compiled(EXAMPLE)
    changes = [line for line in difflib.ndiff(stock.split("\n"), own.split("\n")) if line[0] != " "]
    assert changes == [f"+ {HEADER}"]
    assert compiled(None) == stock  # the folder of one compilation is not that of the next


def test_the_example_is_formatted_and_works(tmp_path: Path) -> None:
    module = gc.compile(net("mlp").graph, templates=str(EXAMPLE))
    path = module.save(tmp_path / "module.py")
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "100", str(path)]
    for command in (["check", "--select", "E,F,W", *options], ["format", "--check", *options]):
        done = subprocess.run([*ruff, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    assert (module.load().__doc__ or "").startswith("mlp: ")


def test_the_command_line_takes_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, target = str(EXAMPLES / "digits_mlp.py"), tmp_path / "net.py"
    assert main(["compile", model, "-o", str(target), "--templates", str(EXAMPLE)]) == 0
    text = target.read_text(encoding="utf-8")
    assert text.startswith(HEADER.replace(" mlp ", " digits_mlp "))
    assert "graphc compile digits_mlp.py -o net.py --templates custom_template" in text
    assert capsys.readouterr().err == ""


def test_a_whole_layout_can_be_replaced(tmp_path: Path) -> None:
    text = "{% for f in module.inference %}\n{{ f.name }}: {{ f.doc[0] }}\n{% endfor %}\n"
    assert compiled(template(tmp_path / "own", text)) == (
        "predict: Return logits: float32 (batch, 10).\n"
        "evaluate: Return the loss in inference mode.\n"
    )


def test_a_template_that_changed_is_read_again(tmp_path: Path) -> None:
    assert compiled(template(tmp_path / "own", "one\n")) == "one\n"
    assert compiled(template(tmp_path / "own", "three\n")) == "three\n"


EXTENDS = '{% extends "graphc/functional.py.jinja" %}\n'
BROKEN = {
    "a tag that does not exist": ("\n{% blok docstring %}", 2, "unknown tag 'blok'"),
    "a block without an end": ("{% block types %}\n", 1, "Unexpected end of template"),
    "a field that does not exist": ("a\n\n{{ module.nodes }}", 3, "no attribute 'nodes'"),
    "a variable that does not exist": ("{{ modul.name }}", 1, "'modul' is undefined"),
    "an error of Python": ("\n{{ module.name + 1 }}", 2, "TypeError"),
    "a division": ("{{ 1 / 0 }}", 1, "ZeroDivisionError"),
    "a field in a block": (
        EXTENDS + "{% block types %}\n{{ module.tipes }}\n{% endblock %}",
        3,
        "no attribute 'tipes'",
    ),
    "a filter that does not exist": ("a\n{{ module.name | shout }}", 2, "No filter named 'shout'"),
    "a template that does not exist": ("{% include 'other.jinja' %}", 1, "other.jinja"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_template_is_told_with_its_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, line, what = BROKEN[case]
    folder = template(tmp_path / "own", text)
    with pytest.raises(UsageError) as caught:
        compiled(folder)
    message = str(caught.value)
    assert f"{folder / 'functional.py.jinja'}:{line}: " in message
    assert what in message
    assert "\n" not in message
    command = ["compile", str(EXAMPLES / "digits_mlp.py"), "-o", str(tmp_path / "net.py")]
    assert main([*command, "--templates", str(folder)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("graphc: ") and told.err.count("\n") == 1
    assert f"functional.py.jinja:{line}: " in told.err
    assert not (tmp_path / "net.py").exists()


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"template folder '.*nowhere' does not exist"):
        compiled(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"template folder '.*file' does not exist"):
        compiled(tmp_path / "file")


# --- what a template sees -----------------------------------------------------------------------


def parts(value: Any, path: str = "module") -> Iterator[tuple[str, Any]]:
    """Everything that can be reached from a view, with the path to it."""
    yield path, value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name), f"{path}.{field.name}")
    elif isinstance(value, (tuple, list)):
        for place, item in enumerate(value):
            yield from parts(item, f"{path}[{place}]")


@pytest.mark.parametrize("name", ALL)
def test_a_template_sees_strings_only(name: str) -> None:
    view, _ = assemble(net(name).compiled.lowered)
    assert isinstance(view, ModuleView)
    found = list(parts(view))
    assert len(found) > 40
    for path, value in found:
        if dataclasses.is_dataclass(value):
            assert type(value).__module__ == "graphc.codegen.view", path
            with pytest.raises(dataclasses.FrozenInstanceError):
                value.name = "other"  # type: ignore[attr-defined]
        else:
            assert type(value) in (str, int, bool, tuple), f"{path}: {type(value)}"


def test_no_name_of_the_users_can_leave_its_line() -> None:
    view, _ = assemble(net("awkward_names").compiled.lowered)
    for path, value in parts(view):
        if isinstance(value, str) and path.split("[")[0] in ("module.name", "module.doc"):
            assert value.isprintable(), path
            assert '"""' not in value, path


def test_missing_templates_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "MACROS", "nowhere.jinja")
    with pytest.raises(UsageError, match="templates are missing beside"):
        render.stock_templates()


def test_tags_of_templates_leave_no_lines_and_no_indentation() -> None:
    text = "a\n    {% if true %}\n    b\n    {% endif %}\nc\n"
    assert render.environment(None).from_string(text).render() == "a\n    b\nc\n"
