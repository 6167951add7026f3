"""Random DAGs: reference interpreter, compiled programs, generated code and PyTorch agree.

The reference is the declared graph with its derivatives spelled out and no other rewriting:
compiled programs disagree with it where a pass is wrong, PyTorch where an op or a derivative is.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gc
from graphc.ir.verify import verify
from graphc.passes.simplify import EXACT_RULES
from tests.peers import peer
from tests.random_graphs import random_recipe
from tests.random_ops import RANDOM_OPS
from tests.random_recipes import Recipe, build
from tests.random_runs import (
    FAST,
    LONG,
    assert_same,
    by_module,
    by_program,
    by_reference,
    by_torch,
    cotangents,
    recipes,
    rows_in_order,
    seeds,
)
from tests.styles import STYLES

ROOT = Path(__file__).parents[1]


def compiled(graph: gc.Graph, recipe: Recipe, **options: Any) -> gc.Module:
    """The module, with every pass verified and gradients by all float arguments."""
    return gc.compile(
        graph,
        wrt=recipe.variables,
        allow_unused=True,
        after_pass=lambda name, function: verify(function),
        **options,
    )


# --- values and gradients -------------------------------------------------------------------------


def check_within_graphc(recipe: Recipe, seed: int) -> None:
    """Reference, programs and generated code, with and without stabilisation."""
    arrays = recipe.arrays(seed)
    expected = by_reference(build(recipe), recipe, arrays)
    for stabilize in (True, False):
        module = compiled(build(recipe), recipe, stabilize=stabilize)
        assert_same(by_program(module, recipe, arrays), expected, f"programs, {stabilize=}")
        assert_same(by_module(module, recipe, arrays), expected, f"module, {stabilize=}")


def check_style(recipe: Recipe, seed: int, style: str) -> None:
    """Reference and generated code of a style; parameters of one dtype, as a workspace has them."""
    declared = [replace(d, kind="input" if d.dtype != "float64" else d.kind)
                for d in recipe.declared]  # fmt: skip
    recipe = replace(recipe, declared=declared)
    arrays = recipe.arrays(seed)
    expected = by_reference(build(recipe), recipe, arrays)
    for stabilize in (True, False):
        module = compiled(build(recipe), recipe, stabilize=stabilize, style=style)
        assert_same(by_module(module, recipe, arrays), expected, f"{style}, {stabilize=}")


def check_against_torch(recipe: Recipe, seed: int) -> None:
    """The reference, which the other ways agree with, against PyTorch."""
    arrays = recipe.arrays(seed)
    graph = build(recipe)
    actual = by_reference(graph, recipe, arrays)
    expected = by_torch(peer("torch"), recipe, arrays, cotangents(graph, recipe))
    assert_same(actual, expected, "PyTorch")


def check_exact_rules(recipe: Recipe, seed: int) -> None:
    """EXACT rules keep the bits of whole graphs, not only of their own cases.

    In one memory order: products and sums add the elements of a view in another order than those
    of a copy of it, and a rule may leave a view where there was an array.
    """
    arrays = recipe.arrays(seed)
    with rows_in_order():
        expected = by_reference(build(recipe), recipe, arrays)
        actual = by_reference(build(recipe), recipe, arrays, EXACT_RULES)
    for a, b in zip(actual.values, expected.values, strict=True):
        np.testing.assert_array_equal(a, b)
    for name, gradient in expected.gradients.items():
        np.testing.assert_array_equal(actual.gradients[name], gradient)


@FAST
@given(recipes(), seeds)
def test_programs_and_generated_code_compute_what_was_declared(recipe: Recipe, seed: int) -> None:
    check_within_graphc(recipe, seed)


@pytest.mark.parametrize("style", STYLES[1:])
@settings(FAST, max_examples=60)
@given(recipes(), seeds)
def test_other_styles_compute_what_was_declared(style: str, recipe: Recipe, seed: int) -> None:
    check_style(recipe, seed, style)


@pytest.mark.parametrize("style", STYLES[1:])
@settings(FAST, max_examples=25)
@given(recipes(empty=st.just(True)), seeds)
def test_other_styles_take_arrays_without_elements(style: str, recipe: Recipe, seed: int) -> None:
    check_style(recipe, seed, style)


@FAST
@given(recipes(), seeds)
def test_values_and_gradients_are_those_of_pytorch(recipe: Recipe, seed: int) -> None:
    check_against_torch(recipe, seed)


@FAST
@given(recipes(), seeds)
def test_exact_rules_keep_all_bits(recipe: Recipe, seed: int) -> None:
    check_exact_rules(recipe, seed)


@pytest.mark.conformance
@LONG
@given(recipes(steps=st.just(25)), seeds)
def test_larger_graphs_agree_in_every_way(recipe: Recipe, seed: int) -> None:
    check_within_graphc(recipe, seed)
    for style in STYLES[1:]:
        check_style(recipe, seed, style)
    check_against_torch(recipe, seed)
    check_exact_rules(recipe, seed)


@FAST
@given(recipes(empty=st.just(True)), seeds)
def test_programs_and_generated_code_take_arrays_without_elements(
    recipe: Recipe, seed: int
) -> None:
    check_within_graphc(recipe, seed)


@FAST
@given(recipes(empty=st.just(True)), seeds)
def test_arrays_without_elements_are_those_of_pytorch(recipe: Recipe, seed: int) -> None:
    check_against_torch(recipe, seed)


# --- what is drawn --------------------------------------------------------------------------------


def test_the_generator_reaches_all_that_it_is_meant_to_reach() -> None:
    drawn = [random_recipe(random.Random(seed)) for seed in range(300)]
    assert {step.op for recipe in drawn for step in recipe.steps} == set(RANDOM_OPS)
    nodes = [node for recipe in drawn for node in build(recipe).nodes]
    ranks = {tuple(arg.ndim for arg in node.args) for node in nodes if node.op.name == "matmul"}
    assert ranks >= {(a, b) for a in (1, 2, 3) for b in (1, 2, 3)} | {(4, 2), (2, 4)}
    shapes = [node.shape for node in nodes if node.op.name not in ("argument", "constant")]
    assert {len(shape) for shape in shapes} >= {0, 1, 2, 3, 4}
    assert any(0 in shape for shape in map(sizes_of, shapes))
    assert any(1 in shape for shape in map(sizes_of, shapes))
    assert any("batch" in str(shape) and "//" in str(shape) for shape in shapes)
    assert {len(recipe.outputs) for recipe in drawn} >= {0, 1, 2, 3, 4}
    assert {recipe.loss is None for recipe in drawn} == {True, False}
    assert {d.dtype for recipe in drawn for d in recipe.declared} == {"float64", "float32", "int64"}


def sizes_of(shape: Any) -> list[int]:
    return [size for size in shape if isinstance(size, int)]


def test_a_recipe_is_data_that_can_be_rebuilt() -> None:
    for seed in range(30):
        recipe = random_recipe(random.Random(seed))
        names = {"Recipe": type(recipe), "Step": type(recipe.steps[0]),
                 "Declared": type(recipe.declared[0])}  # fmt: skip
        assert eval(repr(recipe), names) == recipe


# --- the text -------------------------------------------------------------------------------------


@settings(FAST, max_examples=50)
@given(recipes())
def test_the_same_graph_makes_the_same_text(recipe: Recipe) -> None:
    graph = build(recipe)
    first = compiled(graph, recipe).source
    assert compiled(graph, recipe).source == first
    assert compiled(build(recipe), recipe).source == first


def digest(seeds: range) -> str:
    """A hash of the generated modules of some random graphs."""
    texts = []
    for seed in seeds:
        recipe = random_recipe(random.Random(seed))
        texts.append(compiled(build(recipe), recipe).source)
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def test_the_text_does_not_depend_on_the_hash_seed() -> None:
    code = "from tests.test_random_graphs import digest; print(digest(range(40)))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4242")
    }
    assert found == {digest(range(40)) + "\n"}
