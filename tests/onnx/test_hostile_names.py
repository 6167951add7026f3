"""Names of a model are text: whatever they say, generated code computes the same and runs nothing.

`tests/test_hostile_text.py` has the same for graphs that are declared in Python.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError, ModelError

onnx = pytest.importorskip("onnx")

from tests.onnx.small_models import model, node, value  # noqa: E402

TEXTS = {
    "Python": "__import__('os').system('false')",
    "quotes": "'''\"\"\"\\",
    "a line of code": "x\nraise SystemExit(1)\n#",
    "control characters": "a\x1b[31m\r\x08b",
    "NUL": "a\0b",
    "a keyword": "class",
    "a builtin": "print",
    "a name of the module": "np",
    "a dunder": "__graphc__",
    "a template": "{{ 7 * 7 }}{% raw %}{x}",
    "other scripts": "größe 变量 🜁 ﬁ",
    "right to left": "\u202etxet\u2066",
    "a path": "../../etc/passwd",
    "slashes": "/encoder/layer.0/attention/MatMul_output_0",
    "spaces": "   ",
    "digits": "0123",
    "100 kB": "n" * 100_000,
    "1 kB": "long_" * 200,
}
REFUSED = {"100 kB": "more than 60000 bytes", "NUL": "has a NUL or a lone surrogate"}
SUFFIXES = ("x", "w", "h", "y")


def named(text: str, dimension: str) -> Any:
    """tanh(x w) + x w, in which everything is called after one text."""
    x, w, h, y = (text + suffix for suffix in SUFFIXES)
    made = model(
        [
            node("MatMul", [x, w], [h], name=text + "1"),
            node("Tanh", [h], [text + "t"], name=text + "1", doc_string=text),
            node("Add", [text + "t", h], [y], name=""),
        ],
        [value(x, (dimension, 3))],
        [value(y, None)],
        {w: np.float32([[1, -1], [2, 0], [0.5, 3]])},
    )
    made.graph.name = made.doc_string = made.producer_name = made.graph.doc_string = text
    return made


X = np.float32([[1, 2, 3], [-1, 0.5, 2]])


def outputs(made: Any, style: str = "functional") -> Any:
    compiled = gc.compile(gc.from_onnx(made), style=style, inference=True)
    ast.parse(compiled.source)
    loaded = compiled.load()
    if style == "workspace":
        return loaded.Workspace(compiled.params, batch=len(X)).predict(X)
    return loaded.predict(compiled.params, X)


def product() -> np.ndarray[Any, Any]:
    h = X @ np.float32([[1, -1], [2, 0], [0.5, 3]])
    return np.tanh(h) + h


@pytest.mark.parametrize("name", TEXTS)
def test_names_are_never_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = TEXTS[name]
    made = named(text, "batch")
    if name in REFUSED:
        with pytest.raises(DeclarationError, match=REFUSED[name]) as caught:
            gc.from_onnx(made)
        assert len(str(caught.value)) < 1000
        return
    for style in ("functional", "workspace"):
        np.testing.assert_allclose(outputs(made, style), product(), rtol=1e-6)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["batch; import os", "class", "N", "1", "größe", "ﬁ", "a b", "-"])
def test_names_of_dimensions_become_identifiers(name: str) -> None:
    made = named("v", name)
    np.testing.assert_allclose(outputs(made), product(), rtol=1e-6)
    assert "; import os" not in gc.compile(gc.from_onnx(made)).source


def test_names_that_look_alike_stay_apart() -> None:
    made = model(
        [node("Sub", ["a.b", "a/b"], ["a b"]), node("Mul", ["a b", "a:b"], ["a-b"])],
        [value(name, ("n/1", "n.1")) for name in ("a.b", "a/b", "a:b")],
        [value("a-b", None), value("a b", None)],
    )
    graph = gc.from_onnx(made)
    assert [*graph.inputs] == ["a.b", "a/b", "a:b"] and [*graph.outputs] == ["a-b", "a b"]
    assert [str(size) for size in graph.inputs["a.b"].shape] == ["n_1", "n_1_"]
    first, second, third = (np.full((2, 3), number, np.float32) for number in (5, 2, 7))
    product, difference = gc.compile(graph, inference=True).load().predict(first, second, third)
    assert (product[0, 0], difference[0, 0]) == (21, 3)


@pytest.mark.parametrize("name", TEXTS)
def test_messages_show_names_on_one_line_and_not_in_full(name: str) -> None:
    made = named(TEXTS[name], "batch")
    made.graph.node[0].input[1] = TEXTS[name] + "nowhere"
    with pytest.raises(ModelError, match="which nothing computes") as caught:
        gc.from_onnx(made)
    told = str(caught.value)
    assert told.isprintable() and len(told) < 1500
