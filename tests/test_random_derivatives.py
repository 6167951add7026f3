"""Derivative nodes on random DAGs against PyTorch: second order, forward mode, Hessian products."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import graphc as gc
from graphc.errors import DifferentiationError
from graphc.ir.verify import verify
from tests.peers import peer
from tests.random_recipes import Recipe, build, fill, run_torch
from tests.random_runs import (
    FAST,
    LONG,
    by_reference,
    call,
    listed,
    recipes,
    seeds,
    torch_gradients,
    torch_leaves,
)
from tests.styles import STYLES, load

# torch.func compiles its decompositions with torch.jit, which torch itself deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
STEEPEST = 1e6  # second derivatives of steeper functions drown in cancellation


def reached(T: Any, recipe: Recipe, leaves: dict[str, Any]) -> list[str]:
    """The float64 arguments that the loss depends on, by PyTorch's account."""
    wide = [d.name for d in recipe.declared if d.dtype == "float64"]
    loss = run_torch(T, recipe, leaves)[recipe.objective]
    if not loss.requires_grad or not wide:
        return []
    found = T.autograd.grad(loss, [leaves[n] for n in wide], allow_unused=True)
    return [name for name, g in zip(wide, found, strict=True) if g is not None]


def declared(recipe: Recipe) -> tuple[gc.Graph, dict[str, gc.Node]]:
    """The graph of a recipe without its results, open to more nodes."""
    graph = gc.Graph("derived", dtype="float64")
    return graph, fill(graph, replace(recipe, loss=None, outputs=[]))


def near(actual: Any, expected: Any, scale: float, what: str) -> None:
    a, b = np.asarray(actual), expected.numpy(force=True)
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    assert np.max(np.abs(a - b), initial=0.0) <= 1e-9 * max(1.0, scale), what


def largest(*tensors: Any) -> float:
    """The largest absolute value in some tensors."""
    return max((float(t.detach().abs().max()) for t in tensors if t.numel()), default=0.0)


def check_second_order(recipe: Recipe, seed: int, style: str = "functional") -> None:
    """The gradient of loss + |gradient of the loss|², which only double backward has."""
    T = peer("torch")
    arrays = recipe.arrays(seed)
    by_reference(build(recipe), recipe, arrays)  # rejects what is too near to a kink
    leaves = torch_leaves(T, recipe, arrays)
    names = reached(T, recipe, leaves)
    assume(names)
    wrt = [leaves[name] for name in names]
    loss = run_torch(T, recipe, leaves)[recipe.objective]
    slopes = T.autograd.grad(loss, wrt, create_graph=True)
    penalty = loss + sum(T.square(s).sum() for s in slopes)
    expected = T.autograd.grad(penalty, wrt)
    assume(largest(penalty, *expected) < STEEPEST)

    graph, values = declared(recipe)
    gradients = gc.grad(values[recipe.objective], [values[name] for name in names])
    terms = [gc.sum(gc.square(g)) for g in gradients]
    with graph:
        graph.loss(sum(terms, start=values[recipe.objective]))
    code = load(graph, style=style, wrt=names, after_pass=lambda name, f: verify(f))
    actual, grads = call(code.value_and_grad, recipe, arrays)
    scale = largest(penalty, *expected)
    near(actual, penalty, scale, "penalty")
    for name, expected_gradient in zip(names, expected, strict=True):
        near(grads[name], expected_gradient, scale, f"gradient of {name}")


def check_forward_mode(recipe: Recipe, seed: int, style: str = "functional") -> None:
    """jvp against torch.func; hvp against double backward, as a Hessian is symmetric."""
    T = peer("torch")
    arrays = recipe.arrays(seed)
    by_reference(build(recipe), recipe, arrays)
    leaves = torch_leaves(T, recipe, arrays)
    names = reached(T, recipe, leaves)
    assume(names)
    rng = np.random.default_rng(seed)
    tangents = {f"d_{name}": np.array(rng.uniform(-1, 1, arrays[name].shape)) for name in names}

    dots = list(map(T.from_numpy, tangents.values()))
    shown = [recipe.objective, *recipe.outputs]

    def run(*wrt: Any) -> tuple[Any, ...]:
        values = run_torch(T, recipe, leaves | dict(zip(names, wrt, strict=True)))
        return tuple(values[name] for name in shown)

    wrt = [leaves[name] for name in names]
    _, expected = T.func.jvp(run, tuple(x.detach() for x in wrt), tuple(dots))
    slopes = T.autograd.grad(run(*wrt)[0], wrt, create_graph=True)
    along = sum((s * dot).sum() for s, dot in zip(slopes, dots, strict=True))
    products = torch_gradients(T, [along], wrt, [np.ones(())])
    scale = largest(*expected, *products)
    assume(scale < STEEPEST)

    graph, values = declared(recipe)
    targets, nodes = [values[name] for name in shown], [values[name] for name in names]
    given_dots = [graph.input(f"d_{n}", values[n].shape) for n in names]
    for name, dot in zip(shown, gc.jvp(targets, nodes, given_dots), strict=True):
        graph.output(f"jvp_{name}", dot)
    for name, product in zip(names, gc.hvp(targets[0], nodes, given_dots), strict=True):
        graph.output(f"hvp_{name}", product)
    code = load(graph, style=style, inference=True, after_pass=lambda name, f: verify(f))
    found = listed(call(code.predict, recipe, arrays | tangents))
    names_found = [*(f"jvp of {name}" for name in shown), *(f"hvp of {name}" for name in names)]
    for what, actual, value in zip(names_found, found, [*expected, *products], strict=True):
        near(actual, value, scale, what)


def check_reachability(recipe: Recipe, seed: int) -> None:
    """What PyTorch finds no path to is an error that allow_unused turns into zeros."""
    T = peer("torch")
    names = reached(T, recipe, torch_leaves(T, recipe, recipe.arrays(seed)))
    _, values = declared(recipe)
    loss = values[recipe.objective]
    for d in recipe.declared:
        if d.dtype != "float64":
            continue
        if d.name in names:
            gc.grad(loss, values[d.name])
        else:
            with pytest.raises(DifferentiationError, match=d.name):
                gc.grad(loss, values[d.name])


losses = recipes(steps=st.just(9), loss=st.just(True), empty=st.just(False))


@settings(FAST, max_examples=60)
@given(losses, seeds)
def test_gradients_of_gradients(recipe: Recipe, seed: int) -> None:
    check_second_order(recipe, seed)


@settings(FAST, max_examples=60)
@given(losses, seeds)
def test_forward_mode_and_hessian_products(recipe: Recipe, seed: int) -> None:
    check_forward_mode(recipe, seed)


@pytest.mark.parametrize("style", STYLES[1:])
@settings(FAST, max_examples=15)
@given(losses, seeds)
def test_gradients_of_gradients_in_other_styles(style: str, recipe: Recipe, seed: int) -> None:
    check_second_order(recipe, seed, style)


@pytest.mark.parametrize("style", STYLES[1:])
@settings(FAST, max_examples=15)
@given(losses, seeds)
def test_forward_mode_in_other_styles(style: str, recipe: Recipe, seed: int) -> None:
    check_forward_mode(recipe, seed, style)


@FAST
@given(losses, seeds)
def test_reachability_is_what_pytorch_takes_it_for(recipe: Recipe, seed: int) -> None:
    check_reachability(recipe, seed)


@pytest.mark.conformance
@settings(LONG, max_examples=300)
@given(losses, seeds)
def test_more_gradients_of_gradients(recipe: Recipe, seed: int) -> None:
    for style in STYLES:
        check_second_order(recipe, seed, style)
        check_forward_mode(recipe, seed, style)
    check_reachability(recipe, seed)
