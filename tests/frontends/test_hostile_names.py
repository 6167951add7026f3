"""Names are the user's own: exact as keys, harmless everywhere else.

Whatever a graph, an input, a parameter, an output or a label is called, the generated module is
valid, does what it should, and holds nothing of the name but string literals and identifiers.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError
from tests.styles import in_every_style, load

NAMES = [
    *("it's", 'say "hi"', "'\"", '"""', "'''", '"""; raise SystemExit', "\\", "\\n", "ends in \\"),
    *("a\nb", "a\rb", "\t", "\x1b[31m", "x\u2028y", "\x85", "\u202ereversed", "\ufeff"),
    *("{{ 7*7 }}", "{% raw %}", "{# #}", "{x}", "{", "}", "{0}", "{:n}", "%s", "$x", "`x`"),
    *("größe", "日本", "ℵ", "ﬁ", "é", "😀", "a b", "a-b", "a.b", "a/b", "../x", "#", "</script>"),
    *(" ", "...", "__init__", "__class__", "_x", "0", "1x", "x" * 10_000),
    *("class", "None", "True", "lambda", "match", "print", "len", "self", "annotations"),
    *("np", "params", "state", "grads", "rng", "residuals", "loss", "outputs", "x", "batch"),
    *("forward", "backward", "predict", "checked", "value_and_grad", "train_step", "self_test"),
    *("Params", "Array", "Any", "Outputs", "Residuals", "Path", "TypedDict", "sys", "__graphc__"),
    *("loss_bar", "x_bar", "h_pre_bar", "sgd", "lr", "momentum", "velocity", "step", "parameter"),
    *("path", "file", "arrays", "archive", "parts", "vector", "new_params", "optimizer_state"),
    *("count", "index", "keys", "items", "_replace", "_fields", "_asdict", "CONSTANT", "base64"),
]  # fmt: skip


def build(graph: str = "m", x: str = "in", W: str = "weight", y: str = "out", **more: str) -> Any:
    """A model with a state, and with given names in some places."""
    with gc.Graph(graph) as g:
        node = g.input(x, ("n", 3))
        with gc.path(more.get("path", "scope")):
            b = g.parameter("b", (2,), init="ones")
        h = np.tanh(node @ g.parameter(W, (3, 2), init="normal") + b)
        h.named(more.get("label", "hidden"))
        s = g.state(more.get("state", "total"), (2,))
        g.update(s, s + h.sum(axis=0))
        result = h * 2
        g.output(y, result)
        g.output("another", result + s)
        g.loss((result * result).mean())
    return g


@pytest.fixture(scope="module")
def reference() -> Any:
    """What the model does under ordinary names."""
    return behaviour(gc.compile(build(), optimizer=gc.optim.sgd(momentum=0.9)), "in", "weight")


def behaviour(module: gc.Module, x: str, W: str) -> list[Any]:
    """The numbers that come out of each function of the module."""
    net = module.load()
    rng = np.random.default_rng(0)
    params, state = net.init_params(rng), net.init_state()
    assert W in params
    data = np.random.default_rng(1).normal(size=(4, 3)).astype("f4")
    loss, new_state, grads = net.value_and_grad(params, state, data)
    optimizer = net.init_optimizer(params)
    new, _, optimizer, _ = net.train_step(params, state, optimizer, data)
    assert net.self_test()
    flat = net.ravel_params(params)
    return [
        *net.predict(params, state, data), net.evaluate(params, data), loss,
        *new_state.values(), *grads.values(), *new.values(), flat,
        *net.unravel_params(flat).values(),
    ]  # fmt: skip


# Several places at once: the name also collides with itself.
PLACES: dict[str, Callable[[str], Any]] = {
    "input": lambda name: build(x=name, y=name, label=name),
    "parameter": lambda name: build(W=name, path=name),
    "state": lambda name: build(state=name, graph=name, label=name),
}


@pytest.mark.parametrize("place", PLACES)
def test_any_name_in_any_place(
    place: str, reference: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        module = gc.compile(PLACES[place](name), optimizer=gc.optim.sgd(momentum=0.9))
        tree = ast.parse(module.source)
        check_identifiers(tree)
        found = behaviour(
            module, name if place == "input" else "in", name if place == "parameter" else "weight"
        )
        assert len(found) == len(reference)
        for value, wanted in zip(found, reference, strict=True):
            np.testing.assert_array_equal(value, wanted, err_msg=name[:30])
        # Nothing raw that could end a line or reorder it.
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u202e]", module.source), name
        if place == "parameter" and len(name) > 1:
            literals = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
            assert name in literals
    capsys.readouterr()


def check_identifiers(tree: ast.AST) -> None:
    """Each variable is plain ASCII, not too long, and hides nothing that the module uses.

    The variable of a slot is longer by the name of the slot; fields of tuples hide nothing.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    nodes = [node for function in functions for node in ast.walk(function)]
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    stored |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    for name in stored - {"_"}:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}(_velocity)?", name), name
        assert not keyword.iskeyword(name), name
    called = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert stored.isdisjoint({*called, "np", "Any", "Array", "Path", "print"})


@in_every_style
def test_names_that_become_one_identifier(style: str) -> None:
    """`a b`, `a-b` and `a_b` are three inputs and three keys."""
    names = ["a b", "a-b", "a_b", "a.b", "a_b_2", " a b ", "á b"]
    with gc.Graph("m") as g:
        total = 0.0
        for k, name in enumerate(names, 1):
            total = total + k * g.input(name) * g.parameter(f"{name}!", init=k)
        g.output("y y", total)
        g.output("y-y", total * 2)
        g.output("y_y", total * 3)
    net = load(g, style=style)
    params = net.init_params(np.random.default_rng(0))
    assert list(params) == [f"{name}!" for name in names]
    given = [np.float32(10**k) for k in range(7)]
    outputs = net.predict(params, *given)
    expected = sum(k * k * 10.0 ** (k - 1) for k in range(1, 8))
    assert outputs == (expected, 2 * expected, 3 * expected)
    assert outputs._fields == ("y_y", "y_y_2", "y_y_3")


@in_every_style
def test_parameters_survive_saving_under_any_name(tmp_path: Path, style: str) -> None:
    with gc.Graph("m") as g:
        total = g.input("x")
        for k, name in enumerate(NAMES):
            total = total + g.parameter(name if name != "x" else "X", (2,), init=k).sum()
        g.loss(total)
    net = load(g, style=style)
    params = net.init_params(np.random.default_rng(0))
    net.save_params(tmp_path / "saved.npz", params)
    loaded = net.load_params(tmp_path / "saved.npz")
    assert list(loaded) == list(params)
    for k, value in enumerate(loaded.values()):
        np.testing.assert_array_equal(value, [k, k])


@in_every_style
def test_a_parameter_called_like_the_slot_of_another(style: str) -> None:
    with gc.Graph("m") as g:
        W, other = g.parameter("W", init=2), g.parameter("W_velocity", init=3)
        g.loss(W * W + 5 * other)
    net = load(g, optimizer=gc.optim.sgd(0.1, momentum=0.9), style=style)
    params = net.init_params(np.random.default_rng(0))
    params, state, _ = net.train_step(params, net.init_optimizer(params))
    assert state["velocity"] == {"W": 4, "W_velocity": 5}


@in_every_style
def test_a_parameter_called_like_the_file_of_another(tmp_path: Path, style: str) -> None:
    with gc.Graph("m") as g:
        W, other = g.parameter("W", init=1), g.parameter("W.npy", init=2)
        g.loss(g.input("x") * W * other)
    net = load(g, style=style)
    net.save_params(tmp_path / "saved.npz", net.init_params(np.random.default_rng(0)))
    assert net.load_params(tmp_path / "saved.npz") == {"W": 1, "W.npy": 2}


@pytest.mark.parametrize("name", ["", 3, None, b"x", "a\0b", "\ud800"], ids=ascii)
def test_names_that_nothing_can_keep_are_refused(name: Any) -> None:
    g = gc.Graph("m")
    x = g.input("x", (3,))
    attempts: list[tuple[str, Callable[[], object]]] = [
        ("input", lambda: g.input(name)),
        ("parameter", lambda: g.parameter(name)),
        ("state", lambda: g.state(name)),
        ("output", lambda: g.output(name, x)),
        ("graph", lambda: gc.Graph(name)),
        ("path", lambda: gc.path(name).__enter__()),
    ]
    for kind, attempt in attempts:
        with pytest.raises(DeclarationError, match=f"the name of the {kind} ") as caught:
            attempt()
        assert str(caught.value).isprintable()
    assert (list(g.inputs), list(g.parameters), list(g.states), list(g.outputs)) == (
        ["x"], [], [], []
    )  # fmt: skip
