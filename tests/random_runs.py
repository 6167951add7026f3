"""Four ways to compute a recipe and its gradients, and how their results are compared.

Also how many recipes are drawn: always the same few in the fast set, new ones each time beyond it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, TypeAlias
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

import graphc as gc
from graphc.autodiff.derivative import expand_derivatives
from graphc.ir import dims
from graphc.ir.emission import evaluate
from graphc.ir.function import Function, topological
from graphc.ir.graph import ARGUMENT, Graph
from graphc.ir.node import Node
from graphc.ir.op import OPS
from graphc.ir.pattern import Rule
from graphc.ir.verify import verify
from graphc.lower import interpreter
from graphc.lower.interpreter import interpret
from graphc.lower.program import lower
from graphc.ops.derivatives import vjp
from graphc.passes.driver import Report, rewrite
from graphc.passes.expand import EXPAND_RULES, MODE_RULES
from graphc.passes.pipeline import table
from tests.random_graphs import random_recipe
from tests.random_ops import MARGINS
from tests.random_recipes import Recipe, run_torch
from tests.styles import functions

Arrays: TypeAlias = Mapping[str, Any]
CLOSEST = 1e-7  # to a kink; nearer, rounding decides on which side a value is
WIDEST = 1e6  # the largest intermediate value; beyond it, cancellation says nothing about graphc
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}

unhurried = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
FAST = settings(unhurried, derandomize=True, max_examples=100)
LONG = settings(unhurried, derandomize=True, max_examples=500)
settings.register_profile("random-graphs", FAST)
settings.register_profile("random-graphs-conformance", LONG)

recipes = partial(st.builds, random_recipe, st.randoms(use_true_random=False))
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Results:
    """Loss (if there is one) and outputs, in this order, and gradients by name."""

    values: list[Any]
    gradients: dict[str, Any]


def arguments(graph: Graph) -> dict[str, Node]:
    """All arguments by their names."""
    return {p.node.params.name: p.node for p in graph.parameters.values()} | graph.inputs


def results_of(graph: Graph) -> list[Node]:
    """The loss, if there is one, and the outputs."""
    loss = [] if graph.objective is None else [graph.objective]
    return [*loss, *graph.outputs.values()]


def cotangents(graph: Graph, recipe: Recipe) -> list[Any]:
    """1 for a loss, else an array for each output."""
    if graph.objective is not None:
        return [np.ones(())]
    rng = np.random.default_rng(11)
    shapes = [[dims.evaluate(s, recipe.sizes) for s in y.shape] for y in graph.outputs.values()]
    return [np.array(rng.uniform(-1, 1, shape)) for shape in shapes]


def by_reference(
    graph: Graph, recipe: Recipe, arrays: Arrays, rules: tuple[Rule, ...] = ()
) -> Results:
    """The interpreter on the declared graph: derivatives and composites are spelled out, no more.

    With `rules`, these are applied at the end. Rejects the example where values come too near to a
    kink, or are scaled too badly, to be compared.
    """
    results, declared = results_of(graph), arguments(graph)
    targets = results[:1] if graph.objective is not None else results
    watched = [node for node in topological(results) if node.op.name in MARGINS]
    with graph.quiet():
        bars = [
            graph.argument("cotangent", f"bar {i}", y.shape, y.dtype) for i, y in enumerate(targets)
        ]
        wrt = [declared[name] for name in recipe.variables]
        gradients = vjp(targets, wrt, bars, allow_unused=True)
        roots = [*results, *gradients, *(arg for node in watched for arg in node.args)]
        named = tuple((str(i), root) for i, root in enumerate(roots))
        function = Function("reference", graph, named, (*declared.values(), *bars))
        function = rewrite(function, table(MODE_RULES["train"], len(OPS)), Report())
        function = expand_derivatives(function, "torch", list)
        for more in (EXPAND_RULES, rules):
            function = rewrite(function, table(more, len(OPS)), Report())
        verify(function)
        program = lower("reference", function.declared, function.roots)
    given = {node: arrays[name] for name, node in declared.items()}
    known = interpret(program, given | dict(zip(bars, cotangents(graph, recipe), strict=True)))
    found = iter([known[root] for root in function.roots])
    values = [next(found) for _ in results]
    derived = {name: next(found) for name in recipe.variables}
    for node in watched:
        assume(MARGINS[node.op.name](node, *(next(found) for _ in node.args)) > CLOSEST)
    floats = [np.asarray(v) for v in known.values() if not isinstance(v, list)]
    assume(max(np.max(np.abs(v), initial=0.0) for v in floats if v.dtype.kind == "f") < WIDEST)
    return Results(values, derived)


@contextmanager
def rows_in_order() -> Iterator[None]:
    """The interpreter keeps no views: all values are arrays in C order."""

    def evaluate_in_order(*args: Any, **options: Any) -> Any:
        value = evaluate(*args, **options)
        return value if isinstance(value, list) else np.array(value, order="C")

    with mock.patch.object(interpreter, "evaluate", evaluate_in_order):
        yield


def by_program(module: gc.Module, recipe: Recipe, arrays: Arrays) -> Results:
    """The interpreter on the programs that the module is printed from."""
    lowered = module.lowered
    assert lowered.forward is not None and lowered.backward is not None
    graph = lowered.graph
    bars = [n for n in lowered.backward.arguments
            if n.op is ARGUMENT and n.params.kind == "cotangent"]  # fmt: skip
    given = {node: arrays[name] for name, node in arguments(graph).items()}
    known = interpret(lowered.forward, given)
    known |= dict(zip(bars, cotangents(graph, recipe), strict=True))
    sizes = {name: recipe.sizes[name] for name in lowered.sizes}
    derived = interpret(lowered.backward, known, sizes)
    values = [known[node] for node in lowered.forward.results]
    if recipe.loss is not None and lowered.predict is not None:
        predicted = interpret(lowered.predict, given)
        values += [predicted[node] for node in lowered.predict.results]
    gradients = [derived[node] for node in lowered.backward.results]
    return Results(values, dict(zip(lowered.gradients, gradients, strict=True)))


def by_module(module: gc.Module, recipe: Recipe, arrays: Arrays) -> Results:
    """The generated code, called as a user calls it."""
    code = functions(module)
    bars = cotangents(module.lowered.graph, recipe)
    result, residuals = call(code.forward, recipe, arrays)
    gradients = code.backward(residuals, *bars)
    values = listed(result)
    if recipe.loss is not None and recipe.outputs:
        values += listed(call(code.predict, recipe, arrays))
    elif recipe.loss is None:
        for predicted, value in zip(
            listed(call(code.predict, recipe, arrays)), values, strict=True
        ):
            np.testing.assert_array_equal(predicted, value)
    return Results(values, dict(gradients))


def call(function: Callable[..., Any], recipe: Recipe, arrays: Arrays) -> Any:
    """Call a generated function with those arguments that it takes."""
    kinds = {d.name: d.kind for d in recipe.declared}
    params = {name: arrays[name] for name, kind in kinds.items() if kind == "parameter"}
    return function(
        **{
            n: params if n == "params" else arrays[n]
            for n in inspect.signature(function).parameters
        }
    )


def listed(result: Any) -> list[Any]:
    """Several outputs, or a single one, as a list."""
    return list(result) if isinstance(result, tuple) else [result]


def by_torch(T: ModuleType, recipe: Recipe, arrays: Arrays, bars: list[Any]) -> Results:
    """PyTorch, eager."""
    leaves = torch_leaves(T, recipe, arrays)
    values = run_torch(T, recipe, leaves)
    targets = [values[name] for name in recipe.targets]
    gradients = torch_gradients(T, targets, [leaves[n] for n in recipe.variables], bars)
    shown = recipe.outputs if recipe.loss is None else [recipe.loss, *recipe.outputs]
    return Results(
        [values[name].detach().numpy() for name in shown],
        {name: g.detach().numpy() for name, g in zip(recipe.variables, gradients, strict=True)},
    )


def torch_leaves(T: Any, recipe: Recipe, arrays: Arrays) -> dict[str, Any]:
    """The arguments as tensors; those by which gradients are taken require them."""
    leaves = {name: T.from_numpy(array.copy()) for name, array in arrays.items()}
    for name in recipe.variables:
        leaves[name].requires_grad_()
    return leaves


def torch_gradients(T: Any, targets: list[Any], wrt: list[Any], bars: list[Any]) -> list[Any]:
    """The cotangents of wrt, zeros where nothing arrives; they can be derived again."""
    pairs = [(y, T.as_tensor(b)) for y, b in zip(targets, bars, strict=True) if y.requires_grad]
    if not pairs:
        return [T.zeros_like(x) for x in wrt]
    outputs, given = zip(*pairs, strict=True)
    found = T.autograd.grad(outputs, wrt, given, allow_unused=True, create_graph=True)
    return [T.zeros_like(x) if g is None else g for x, g in zip(wrt, found, strict=True)]


# --- comparison -----------------------------------------------------------------------------------


def assert_same(actual: Results, expected: Results, way: str) -> None:
    """Shapes and dtypes are equal, numbers agree relative to the largest one of an array."""
    assert list(actual.gradients) == list(expected.gradients), way
    for i, (a, b) in enumerate(zip(actual.values, expected.values, strict=True)):
        assert_near(a, b, f"{way}: result {i}")
    for name, expected_gradient in expected.gradients.items():
        assert_near(actual.gradients[name], expected_gradient, f"{way}: gradient of {name}")


def assert_near(actual: Any, expected: Any, what: str) -> None:
    """One array against another."""
    a, b = np.asarray(actual), np.asarray(expected)
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    assert np.isfinite(b).all(), f"{what}: the expectation is not finite"
    scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
    worst = float(np.max(np.abs(a - b), initial=0.0))
    assert worst <= TOLERANCE[a.dtype.name] * scale, f"{what}: off by {worst}, scale {scale}"
