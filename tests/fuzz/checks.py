"""What has to hold for a case: each style computes what was declared, as PyTorch does."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis.errors import UnsatisfiedAssumption

import graphc as gc
from graphc.ir.types import as_dtype
from graphc.ir.verify import verify
from graphc.passes.precision import with_dtype
from tests.fuzz.cases import Case
from tests.random_recipes import Recipe, build, declare, fill
from tests.random_runs import (
    Results,
    assert_near,
    assert_same,
    by_program,
    by_reference,
    by_torch,
    call,
    cotangents,
    listed,
)
from tests.styles import functions

MAX_COLUMNS = 100
REFUSED = ("one vector of one dtype", "the scalar style")  # by a style, with good reason
LOOSE = 2e-3  # of float32 results against float64, relative to the largest element


class RejectedError(Exception):
    """The case says nothing: too close to a kink, badly scaled, or refused with good reason."""


def check(case: Case) -> None:
    """Raise AssertionError, or whatever breaks, unless everything agrees for a case."""
    recipe = case.recipe
    if recipe.loss is None and "optimizer" in case.options:
        raise RejectedError  # while shrinking
    arrays = recipe.arrays(case.seed)
    if case.drawing:
        check_drawing(case, {name: adopted(value, case.dtype) for name, value in arrays.items()})
        return
    try:
        expected = by_reference(build(recipe), recipe, arrays)
    except UnsatisfiedAssumption:
        raise RejectedError from None
    module = compiled(case)
    check_text(module, case)
    arrays = {name: adopted(value, case.dtype) for name, value in arrays.items()}
    if case.options.get("inference"):
        found = listed(call(functions(module).predict, recipe, arrays))
        compare(Results(found, {}), Results(expected.values[-len(found) :], {}), case, "predict")
        return
    wanted = {name: expected.gradients[name] for name in case.options["wrt"]}
    expected = Results(expected.values, wanted)
    if case.dtype == "float64":
        assert_same(by_program(module, recipe, arrays), expected, "programs")
        if importlib.util.find_spec("torch"):
            check_torch(recipe, arrays, expected)
    compare(run(module, recipe, arrays), expected, case, f"{case.style} module")
    if "optimizer" in case.options:
        check_step(module, recipe, arrays, case)


def compiled(case: Case) -> gc.Module:
    """The module. Rejects what the style refuses."""
    graph = drawing(case.recipe) if case.drawing else build(case.recipe)
    if case.dtype != "float64":
        graph = with_dtype(graph, as_dtype(case.dtype))
    try:
        return gc.compile(
            graph,
            style=case.style,
            after_pass=lambda name, function: verify(function),
            **case.options,
        )
    except gc.GraphcError as error:
        if any(reason in str(error) for reason in REFUSED):
            raise RejectedError from None
        raise


def drawing(recipe: Recipe) -> gc.Graph:
    """The recipe with dropout on its float arguments, and a state that follows their mean."""
    with gc.Graph("drawing", dtype="float64") as graph:
        values = {d.name: declare(graph, d) for d in recipe.declared}
        followed = graph.state("followed", (), dtype="float64")
        for name in recipe.variables:
            values[name] = gc.dropout(values[name], 0.3)
            mean = gc.sum(values[name]).astype("float64") / 10
            followed = gc.stop_gradient(0.9 * followed + 0.1 * mean)
        graph.update(graph.states["followed"][0], followed)
        fill(graph, recipe, values)
    return graph


def check_drawing(case: Case, arrays: dict[str, Any]) -> None:
    """Equal draws, values, gradients and states as in the functional style, for one seed."""
    found = []
    for style in (case.style, "functional"):
        module = compiled(replace(case, style=style))
        code = functions(module)
        rng = np.random.default_rng(case.seed)
        given = {**arrays, "state": {"followed": np.full((), 0.25, case.dtype)}, "rng": rng}
        params = {d.name: arrays[d.name] for d in case.recipe.declared if d.kind == "parameter"}
        names = inspect.signature(code.forward).parameters
        result, state, residuals = code.forward(
            **{name: params if name == "params" else given[name] for name in names}
        )
        gradients = code.backward(residuals, *cotangents(module.lowered.graph, case.recipe))
        drawn = rng.bit_generator.state if "rng" in names else None
        found.append(([*listed(result), state["followed"], *gradients.values()], drawn))
    (values, drawn), (expected, draws) = found
    assert drawn == draws
    loose = {"rtol": LOOSE, "atol": LOOSE} if narrow(case) else {"rtol": 1e-9, "atol": 1e-9}
    for value, other in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, other, **loose)


def narrow(case: Case) -> bool:
    """Whether something is computed in float32."""
    return "float32" in (case.dtype, *(d.dtype for d in case.recipe.declared))


def adopted(value: Any, dtype: str) -> Any:
    """An argument in the dtype of the graph."""
    return value.astype(dtype) if value.dtype.kind == "f" and dtype != "float64" else value


def check_text(module: gc.Module, case: Case) -> None:
    """The text is valid for old Pythons, as narrow as promised, and always the same."""
    ast.parse(module.source, feature_version=(3, 9))
    assert max(map(len, module.source.splitlines())) <= MAX_COLUMNS
    assert compiled(case).source == module.source


def run(module: gc.Module, recipe: Recipe, arrays: dict[str, Any]) -> Results:
    """Loss and outputs, and gradients, by the generated code."""
    code = functions(module)
    result, residuals = call(code.forward, recipe, arrays)
    bars = cotangents(module.lowered.graph, recipe)
    gradients = dict(code.backward(residuals, *bars))
    values = listed(result)
    predicted = listed(call(code.predict, recipe, arrays)) if recipe.outputs else []
    if recipe.loss is None:
        for again, value in zip(predicted, values, strict=True):
            assert_near(again, value, "predict beside forward")
    else:
        values += predicted
    return Results(values, gradients)


def compare(found: Results, expected: Results, case: Case, way: str) -> None:
    """Numbers and shapes; dtypes too where the graph has its declared ones."""
    if case.style != "scalar" and case.dtype == "float64":
        assert_same(found, expected, way)
        return
    pairs = [*zip(found.values, expected.values, strict=True)]
    pairs += [(found.gradients[name], value) for name, value in expected.gradients.items()]
    for actual, value in pairs:
        assert np.shape(actual) == np.shape(value), way
        allowed = LOOSE if narrow(case) else 1e-10
        scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
        worst = float(np.max(np.abs(np.asarray(actual, np.float64) - value), initial=0.0))
        assert worst <= allowed * scale, f"{way}: off by {worst}, scale {scale}"


def check_torch(recipe: Recipe, arrays: dict[str, Any], expected: Results) -> None:
    """The reference against PyTorch."""
    torch = importlib.import_module("torch")
    theirs = by_torch(torch, recipe, arrays, cotangents(build(recipe), recipe))
    wanted = {name: theirs.gradients[name] for name in expected.gradients}
    assert_same(Results(theirs.values, wanted), expected, "PyTorch")


def check_step(module: gc.Module, recipe: Recipe, arrays: dict[str, Any], case: Case) -> None:
    """A step of plain SGD is p - lr * g, and leaves what it was given."""
    code = functions(module)
    params = {d.name: arrays[d.name] for d in recipe.declared if d.kind == "parameter"}
    before = {name: np.copy(value) for name, value in params.items()}
    names = inspect.signature(code.train_step).parameters
    given = {"params": params, "optimizer_state": code.init_optimizer(params)}
    inputs = {name: arrays[name] for name in names if name in arrays}
    known = {name: given[name] for name in names if name in given}
    after = code.train_step(**known, **inputs, lr=0.125)[0]
    gradients = run(module, recipe, arrays).gradients
    for name, value in before.items():
        np.testing.assert_array_equal(params[name], value)
        expected = value - np.asarray(0.125, value.dtype) * gradients.get(name, 0 * value)
        np.testing.assert_allclose(after[name], expected, rtol=1e-5, atol=1e-6)
