"""Residuals: what backward reads of forward, and nothing that is free to make again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import graphc as gc
from graphc.autodiff.partition import partition
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.ir.verify import verify


def compiled(build: Callable[[gc.Graph], Node], dtype: str = "float64") -> gc.Module:
    with gc.Graph("m", dtype=dtype) as g:
        g.loss(build(g))
    return gc.compile(g, after_pass=lambda name, f: verify(f))


def residuals(module: gc.Module) -> list[str]:
    """The fields of the NamedTuple that forward returns."""
    fields: tuple[str, ...] = getattr(module.load(), "Residuals")._fields  # noqa: B009
    return list(fields)


def mlp(g: gc.Graph) -> Node:
    x = g.input("x", ("batch", 5))
    t = g.input("t", ("batch",), dtype="int64")
    W1, b1 = g.parameter("W1", (5, 4)), g.parameter("b1", (4,))
    W2, b2 = g.parameter("W2", (4, 3)), g.parameter("b2", (3,))
    h = gc.relu(x @ W1 + b1)
    logits = h @ W2 + b2
    g.output("logits", logits)
    return gc.cross_entropy(logits, t)


def test_an_mlp_keeps_what_the_textbook_keeps() -> None:
    # x for W1, h for W2 and for relu's mask (not its operand), W2 for h; softmax's two values; t.
    # Neither biases nor W1, nor the logits, nor the transposes.
    assert residuals(compiled(mlp)) == ["x", "h", "W2", "exps", "sums", "t"]


def test_frozen_parameters_save_their_residuals() -> None:
    with gc.Graph("m", dtype="float64") as g:
        g.loss(mlp(g))
    module = gc.compile(g, freeze="W1,b1")
    assert residuals(module) == ["h", "exps", "sums", "t"]


def test_rules_in_terms_of_the_result_keep_the_result_alone() -> None:
    def build(g: gc.Graph) -> Node:
        w = g.parameter("w", (4,))
        a = gc.exp(w)
        b = gc.sqrt(a)
        c = gc.reciprocal(b)
        return gc.sum(c)

    assert residuals(compiled(build)) == ["a", "b", "c"]


def test_what_is_linear_keeps_nothing_but_sizes() -> None:
    def build(g: gc.Graph) -> Node:
        return gc.sum(g.parameter("w", (3,)) + g.input("x", ("batch", 3)) * 2)

    module = compiled(build)
    assert module.lowered.residuals == ()
    assert module.lowered.sizes == ("batch",)
    _, grads = module.load().value_and_grad({"w": np.ones(3)}, np.zeros((7, 3)))
    np.testing.assert_array_equal(grads["w"], np.full(3, 7.0))


def test_views_are_made_again_from_what_they_are_views_of() -> None:
    def build(g: gc.Graph) -> Node:
        x, w = g.input("x", (4, 6)), g.parameter("w", (6, 2))
        turned = x.reshape(2, 2, 6)[:, 1].T  # (6, 2)
        return gc.sum(turned * w)

    assert residuals(compiled(build)) == ["x"]


def test_parts_of_a_split_are_views_too() -> None:
    def build(g: gc.Graph) -> Node:
        w = g.parameter("w", (4,))
        first, second = gc.split(w, 2)
        return gc.sum(first * first * second)

    module = compiled(build)
    assert "w" in residuals(module)
    for node in module.lowered.residuals:
        assert len(node.types) == 1
    w = np.array([1.0, 2, 3, 4])
    _, grads = module.load().value_and_grad({"w": w})
    np.testing.assert_allclose(grads["w"], [6.0, 16, 1, 4])


def test_residuals_separate_backward_from_forward() -> None:
    # Backward reaches the arguments of forward through residuals alone; each of them is read.
    lowered = compiled(mlp).lowered
    assert lowered.forward is not None and lowered.backward is not None
    given = set(lowered.backward.arguments)
    read = {arg for node in lowered.backward.order for arg in node.args}
    assert {n for n in given if not is_cotangent(n)} == set(lowered.residuals)
    assert set(lowered.residuals) <= read
    assert set(lowered.residuals) <= {*lowered.forward.arguments, *lowered.forward.order}


def test_a_value_that_only_backward_needs_is_not_computed_in_forward() -> None:
    # d/dw log(w) = 1/w: the quotient is backward's, w is the residual
    def build(g: gc.Graph) -> Node:
        return gc.sum(gc.log(g.parameter("w", (3,))))

    module = compiled(build)
    assert residuals(module) == ["w"]
    assert module.lowered.forward is not None
    assert [n.op.name for n in module.lowered.forward.order] == ["log", "sum"]


def test_partition_lists_residuals_in_the_order_of_computation() -> None:
    g = gc.Graph("m", dtype="float64")
    w, bar = g.input("w", (3,)), g.argument("cotangent", "y", (3,), g.dtype)
    a = gc.exp(w)
    b = gc.sin(a)
    parts = partition([b], [bar * b + a, bar * w], [bar])
    assert [id(n) for n in parts.residuals] == [id(n) for n in (w, a, b)]
    assert parts.sizes == ()
