"""Networks of layers (notes 001, 002, 003): the backward pass that is emitted is the recurrence."""

from __future__ import annotations

import ast
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import in_every_style, load

# Sizes of the layers, the input's first: of any depth and width.
NETWORKS = {
    "1 layer": (3, 2),
    "2 layers": (3, 4, 2),
    "3 layers": (2, 5, 3, 4),
    "7 layers": (3,) * 8,
}
networks = pytest.mark.parametrize("sizes", NETWORKS.values(), ids=NETWORKS)


def network(sizes: tuple[int, ...]) -> gc.Graph:
    """y = σ(W^L ⋯ σ(W¹ x + b¹) ⋯ + b^L) for one example, and J(y) = Σ (y - t)²."""
    with gc.Graph("network", dtype="float64") as graph:
        a = graph.input("x", (sizes[0],))
        t = graph.input("t", (sizes[-1],))
        for layer, (inputs, outputs) in enumerate(pairwise(sizes), 1):
            W = graph.parameter(f"W{layer}", (outputs, inputs))
            b = graph.parameter(f"b{layer}", (outputs,))
            z = (W @ a + b).named(f"z{layer}")
            a = gc.sigmoid(z).named(f"a{layer}")
        J = gc.sum((a - t) ** 2)
        graph.loss(J)
        graph.output("y", a)
    return graph


def recurrence(depth: int) -> list[str]:
    """The statements of δ^l = (W^{l+1})ᵀ δ^{l+1} ⊙ a'(z^l) and ∂J/∂W^l = δ^l (a^{l-1})ᵀ.

    δ^l, which is ∂J/∂z^l, is called z{l}_bar; δ^L = ∇J(y) ⊙ a'(z^L).
    """
    top = f"z{depth}_bar"
    lines = [f"{top} = a{depth}_minus_t * (np.float64(2.0) * loss_bar) * sigmoid_slope(z{depth})"]
    for layer in range(depth, 0, -1):
        before = f"a{layer - 1}" if layer > 1 else "x"
        lines.append(f"W{layer}_bar = z{layer}_bar[:, None] * {before}")
        if layer > 1:
            lines.append(f"{before}_bar = W{layer}.T @ z{layer}_bar")
            lines.append(f"z{layer - 1}_bar = {before}_bar * sigmoid_slope(z{layer - 1})")
    names = ", ".join(f"'W{i}': W{i}_bar, 'b{i}': z{i}_bar" for i in range(1, depth + 1))
    return [*lines, f"return {{{names}}}"]


@networks
def test_emitted_backward_is_the_recurrence(sizes: tuple[int, ...]) -> None:
    """001: δ from L down to 1, and the gradients from it: these statements and no others."""
    tree = ast.parse(gc.compile(network(sizes)).source)
    (backward,) = (f for f in tree.body if getattr(f, "name", "") == "backward")
    statements = [ast.unparse(step) for step in backward.body[1:]]  # after the docstring
    from_residuals = [step for step in statements if step.split(" = ")[-1].startswith("residuals")]
    rest = [step for step in statements if step not in from_residuals]
    assert rest[0] == "loss_bar = checked('loss_bar', loss_bar, np.float64)"
    assert rest[1:] == recurrence(len(sizes) - 1)


@in_every_style
@networks
def test_recurrence_has_the_numbers_of_the_textbook(sizes: tuple[int, ...], style: str) -> None:
    """001: value and gradients of the emitted code against the recurrence, written out by hand."""
    net: Any = load(network(sizes), style=style)
    rng = np.random.default_rng(0)
    params = {k: rng.normal(size=v.shape) for k, v in net.init_params(rng).items()}
    x, t = rng.normal(size=sizes[0]), rng.uniform(size=sizes[-1])
    activations = [x]
    depth = len(sizes) - 1
    for layer in range(1, depth + 1):
        z = params[f"W{layer}"] @ activations[-1] + params[f"b{layer}"]
        activations.append(1 / (1 + np.exp(-z)))
    y = activations[-1]
    loss, grads = net.value_and_grad(params, x, t)
    np.testing.assert_allclose(net.predict(params, x), y, rtol=1e-13)
    np.testing.assert_allclose(loss, np.sum((y - t) ** 2), rtol=1e-13)
    delta = 2 * (y - t) * y * (1 - y)
    for layer in range(depth, 0, -1):
        a = activations[layer - 1]
        np.testing.assert_allclose(grads[f"W{layer}"], np.outer(delta, a), rtol=1e-11, atol=1e-17)
        np.testing.assert_allclose(grads[f"b{layer}"], delta, rtol=1e-11, atol=1e-17)
        delta = (params[f"W{layer}"].T @ delta) * a * (1 - a)


def test_two_hidden_layers_of_the_quiz() -> None:
    """003: y = σ(βᵀ σ(α₂ᵀ σ(α₁ᵀ x))), without biases: ∂y/∂β and each ∂y/∂α, in matrix form."""
    with gc.Graph("quiz2", dtype="float64") as graph:
        x = graph.input("x", (4,))
        alpha1 = graph.parameter("alpha1", (4, 3))
        alpha2 = graph.parameter("alpha2", (3, 2))
        beta = graph.parameter("beta", (2,))
        z1 = alpha1.T @ x
        h1 = gc.sigmoid(z1)
        z2 = alpha2.T @ h1
        h2 = gc.sigmoid(z2)
        z3 = beta @ h2
        y = gc.sigmoid(z3)
        graph.output("y", y)
    module = gc.compile(graph)
    net = module.load()
    rng = np.random.default_rng(2)
    params = {k: rng.normal(size=v.shape) for k, v in net.init_params(rng).items()}
    point = rng.normal(size=4)

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + np.exp(-z))

    first = sigmoid(params["alpha1"].T @ point)
    second = sigmoid(params["alpha2"].T @ first)
    result = sigmoid(params["beta"] @ second)
    inner = result * (1 - result)
    delta2 = inner * params["beta"] * second * (1 - second)
    delta1 = (params["alpha2"] @ delta2) * first * (1 - first)
    value, grads = net.value_and_grad(params, point)
    np.testing.assert_allclose(value, result, rtol=1e-14)
    np.testing.assert_allclose(grads["beta"], inner * second, rtol=1e-13)
    np.testing.assert_allclose(grads["alpha2"], np.outer(first, delta2), rtol=1e-13)
    np.testing.assert_allclose(grads["alpha1"], np.outer(point, delta1), rtol=1e-13)

    lines = [line.strip().split("  #")[0] for line in module.source.splitlines()]
    start = lines.index("z3_bar = y_bar * sigmoid_slope(z3)")
    assert lines[start + 1 : start + 8] == [
        "beta_bar = z3_bar * h2",
        "h2_bar = z3_bar * beta",
        "z2_bar = h2_bar * sigmoid_slope(z2)",
        "alpha2_bar = (z2_bar[:, None] * h1).T",
        "h1_bar = alpha2 @ z2_bar",
        "z1_bar = h1_bar * sigmoid_slope(z1)",
        "alpha1_bar = (z1_bar[:, None] * x).T",
    ]


def test_linear_layers_are_one_layer() -> None:
    """001: two linear layers are one: W₂ (W₁ x) = (W₂ W₁) x."""
    with gc.Graph("linear", dtype="float64") as graph:
        x = graph.input("x", (3,))
        W1 = graph.parameter("W1", (4, 3))
        W2 = graph.parameter("W2", (2, 4))
        graph.output("nested", W2 @ (W1 @ x))
        graph.output("product", (W2 @ W1) @ x)
    rng = np.random.default_rng(3)
    params = {"W1": rng.normal(size=(4, 3)), "W2": rng.normal(size=(2, 4))}
    found = gc.compile(graph, inference=True).load().predict(params, rng.normal(size=3))
    np.testing.assert_allclose(found.nested, found.product, rtol=1e-13)
