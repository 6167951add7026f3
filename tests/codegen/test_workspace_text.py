"""What a workspace says of itself, and how its statements read."""

from __future__ import annotations

import inspect
from typing import Any

import graphc as gc


def workspace(declare: Any, **options: Any) -> tuple[str, Any]:
    """Source and class of a model that a test declares in place."""
    with gc.Graph("model") as g:
        declare(g)
    module = gc.compile(g, style="workspace", **options)
    return module.source, module.load().Workspace


def test_three_operations_on_scalars_are_one_expression() -> None:
    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("n",))
        g.loss(gc.exp(gc.sin(gc.sum(x))))

    source, _ = workspace(declare)
    assert "np.exp(np.sin(x.sum()))" in source


def test_many_outputs_are_listed_one_a_line() -> None:
    names = [f"output_number_{i}_of_several" for i in range(4)]

    def declare(g: gc.Graph) -> None:
        x = g.input("x", ("n", 3))
        for i, name in enumerate(names):
            g.output(name, x + i)

    _, generated = workspace(declare, inference=True)
    lines = inspect.getdoc(generated.predict).splitlines()
    assert lines[:6] == [
        "Return the outputs.",
        "",
        *(f"{name}: float32 (n, 3)" for name in names),
    ]


def test_the_class_tells_of_what_the_model_has() -> None:
    def bare(g: gc.Graph) -> None:
        g.output("y", gc.exp(g.input("x", (3,))))

    def trained(g: gc.Graph) -> None:
        W = g.parameter("W", (3,))
        s = g.state("s", (3,))
        g.update(s, s + 1)
        g.loss(gc.sum(W * g.input("x", (3,)) + s))

    _, without = workspace(bare, inference=True)
    _, with_all = workspace(trained)
    for word in ("params", "param_vector", "grads", "grad_vector", "state"):
        assert word not in inspect.getdoc(without)
        assert word in inspect.getdoc(with_all)


def test_what_predict_computes_on_the_way_goes_into_buffers() -> None:
    def declare(g: gc.Graph) -> None:
        x, W = g.input("x", ("n", 3)), g.parameter("W", (3, 4))
        h = gc.tanh(x @ W)
        g.output("y", h * h.sum(axis=1, keepdims=True))

    source, _ = workspace(declare, inference=True)
    assert "np.matmul(x, W, out=h)" in source and "np.tanh(h, out=h)" in source
