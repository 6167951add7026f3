"""Nodes are called after the variables that they are assigned to, and know their lines."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import graphc as gc
from tests.command_line import ROOT
from tests.frontends import label_models
from tests.frontends.label_models import EXPECTED, Model, labels

VERSIONS = ("3.11", "3.12", "3.13")
PYTHONS = "GRAPHC_PYTHONS"  # interpreters that can run graphc, separated as in PATH


@pytest.mark.parametrize("model", EXPECTED, ids=lambda model: model.__name__)
def test_labels(model: Model) -> None:
    assert labels(model) == EXPECTED[model]


def interpreters(version: str) -> list[str]:
    """Interpreters of a release that might be able to import graphc."""
    listed = [p for p in os.environ.get(PYTHONS, "").split(os.pathsep) if p]
    return [*listed, *filter(None, [shutil.which(f"python{version}")])]


@pytest.mark.parametrize("version", VERSIONS)
def test_labels_are_the_same_in_each_python(version: str) -> None:
    """Bytecode differs between releases; the interpreter that runs the tests is one of them."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        pytest.skip("this one runs the tests themselves")
    for python in interpreters(version):
        probe = f"import sys, graphc; sys.exit('{version}' != '%d.%d' % sys.version_info[:2])"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = [python, "-c", probe]
        if subprocess.run(run, env=environment, capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip(f"no Python {version} can import graphc; {PYTHONS} may name one")
    done = subprocess.run(
        [python, "-m", label_models.__name__],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {model.__name__: EXPECTED[model] for model in EXPECTED}


def test_the_first_label_stays_and_an_explicit_one_wins() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (3,))
        first = x * 2
        second = first  # the same node
        assert g.label_of(second) == "first"
        second.named("chosen")
        third = x * 2
    assert third is first
    assert g.label_of(first) == "chosen"


def test_a_label_counts_rounds_only_where_there_are_several() -> None:
    with gc.Graph("m") as g:
        h = g.input("h", (3,))
        h = gc.tanh(h)
        assert g.label_of(h) == "h"
        once = h
        h = gc.tanh(h)
    assert (g.label_of(once), g.label_of(h)) == ("h_1", "h_2")


def test_a_graph_may_be_opened_inside_itself() -> None:
    with gc.Graph("m") as g:
        with g:
            inner = gc.arange(3)
        outer = gc.arange(4)  # belongs to the graph that is still open
    assert inner.graph is outer.graph is g
    with pytest.raises(gc.errors.DeclarationError, match="no graph is open"):
        gc.arange(3)


def test_constants_belong_to_the_innermost_graph() -> None:
    with gc.Graph("outer") as outer:
        with gc.Graph("inner") as inner:
            assert gc.arange(3).graph is inner
        assert gc.arange(3).graph is outer


def test_labels_become_variables() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (3,))
        hidden_layer = x * 2
        twice = hidden_layer * hidden_layer
        g.output("y", twice + 1)
    source = gc.compile(g, inference=True).source
    assert "hidden_layer = x * 2" in source


def test_a_path_names_parameters_and_labels() -> None:
    def dense(x: gc.Node, size: int) -> gc.Node:
        W = g.parameter("W", (3, size))
        out = x @ W
        return out  # noqa: RET504 - its label is tested

    with gc.Graph("m") as g:
        x = g.input("x", (2, 3))
        for name in ("first", "second"):
            with gc.path(name):
                x = dense(x, 3)
        with gc.path("a"), gc.path("b"):
            g.state("s")
        g.output("y", x)
    assert list(g.parameters) == ["first.W", "second.W"]
    assert list(g.states) == ["a.b.s"]
    assert [g.label_of(n) for n in g.nodes if n in g.labels] == ["first.out", "second.out"]


# --- sites ----------------------------------------------------------------------------------------


def line_of(function: object, text: str) -> int:
    """The line of this file in which a function has a text."""
    lines, start = inspect.getsourcelines(function)  # type: ignore[arg-type]
    return start + next(i for i, line in enumerate(lines) if text in line)


def declared() -> tuple[gc.Graph, dict[str, gc.Node]]:
    with gc.Graph("m") as g:
        x = g.input("x", (3,))  # the input
        plain = x * 2  # the plain one
        long = gc.exp(
            x + 1,  # the sum
        )
        again = x * 2 + 5  # the plain one once more
        inside = helper(again)
    return g, {"x": x, "plain": plain, "long": long, "again": again, "inside": inside}


def helper(v: gc.Node) -> gc.Node:
    return gc.sin(v)  # the sine


def test_each_node_knows_the_line_that_made_it() -> None:
    g, nodes = declared()
    sites = {name: g.site_of(node) for name, node in nodes.items()}
    assert {site.file for site in sites.values() if site} == {__file__}
    lines = {name: site.line for name, site in sites.items() if site}
    assert lines["x"] == line_of(declared, "# the input")
    assert lines["plain"] == line_of(declared, "# the plain one")
    assert lines["long"] == line_of(declared, "gc.exp(")
    assert lines["again"] == line_of(declared, "once more")
    assert lines["inside"] == line_of(helper, "# the sine")
    (total,) = nodes["long"].args
    assert g.site_of(total).line == line_of(declared, "# the sum")  # type: ignore[union-attr]


def test_a_node_that_is_written_twice_knows_both_lines() -> None:
    g, nodes = declared()
    lines = [site().line for site in g.sites[nodes["plain"]]]
    assert lines == [line_of(declared, "# the plain one"), line_of(declared, "once more")]


def test_a_site_is_shown_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = gc.errors.Site(str(tmp_path / "below" / "model.py"), 3)
    monkeypatch.chdir(tmp_path)
    assert str(site) == f"below{os.sep}model.py:3"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert str(site) == f"{tmp_path / 'below' / 'model.py'}:3"
