"""`graphc compile --style`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import GOOD, run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with two models, which commands run in."""
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(GOOD)
    Path("quiz.py").write_text(QUIZ)


QUIZ = """
import graphc as gc

with gc.Graph("quiz", dtype="float64") as g:
    x = g.input("x")
    z = g.input("z")
    y = gc.exp(x * z) + x * z / gc.log(x) + gc.sin(gc.log(x)) / (x * z)
    g.output("y", y)
"""


def test_the_scalar_style_is_written_without_numpy() -> None:
    result = run("compile", "quiz.py", "-o", "scalars.py", "--style", "scalar")
    assert (result.status, result.err) == (0, "")
    source = Path("scalars.py").read_text()
    assert "graphc compile quiz.py -o scalars.py --style scalar" in source
    assert "import numpy" not in source
    command = [sys.executable, "-I", "-S", "-W", "error", "scalars.py", "--self-test"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("ok ") == 3


def test_the_scalar_style_names_what_has_axes() -> None:
    result = run("compile", "model.py", "-o", "scalars.py", "--style", "scalar")
    assert (result.status, result.out) == (2, "")
    assert "model.py:7: the scalar style is for graphs in which every value is a scalar" in (
        result.err
    )
    assert "got W float32 (3, 2)" in result.err
    assert not Path("scalars.py").exists()
