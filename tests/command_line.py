"""Running the command line on models that a test writes down as text."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import graphc
from graphc.cli import main

ROOT = Path(graphc.__file__).parent.parent
MARK = "# <-"  # stands in the line of a model that a message has to name

GOOD = """
import graphc as gc

with gc.Graph("good") as g:
    x = g.input("x", ("batch", 3))
    t = g.input("t", ("batch", 2))
    W = g.parameter("W", (3, 2), init="glorot_uniform")
    b = g.parameter("b", (2,))
    h = gc.tanh(x @ W + b)
    y = h * 2
    g.output("y", y)
    g.loss(gc.mse(y, t))
"""


class Result(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


def run(*arguments: str) -> Result:
    """A command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    return Result(status, out.getvalue(), err.getvalue())


def run_process(arguments: Sequence[str], folder: Path, **environment: str) -> Result:
    """A command line, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "graphc", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def marked(source: str) -> int | None:
    """The number of the marked line, or None."""
    lines = [number for number, line in enumerate(source.splitlines(), 1) if MARK in line]
    assert len(lines) < 2, "one line at most is marked"
    return lines[0] if lines else None
