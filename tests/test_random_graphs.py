"""Random DAGs: reference interpreter, compiled programs, generated code and PyTorch agree.

The reference is the declared graph with its derivatives spelled out and no other rewriting: compiled
programs disagree with it where a pass is wrong, PyTorch where an op or its derivative is.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphc as gc
from graphc.ir.verify import verify
from graphc.passes.simplify import EXACT_RULES
from tests.peers import peer
from tests.random_graphs import random_recipe
from tests.random_recipes import Recipe, build
from tests.random_runs import (
    assert_same,
    by_module,
    by_program,
    by_reference,
    by_torch,
    cotangents,
)

ROOT = Path(__file__).parents[1]
unhurried = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
FAST = settings(unhurried, derandomize=True, max_examples=100)
LONG = settings(unhurried, max_examples=600)

recipes = partial(st.builds, random_recipe, st.randoms(use_true_random=False))
seeds = st.integers(0, 2**32 - 1)


def compiled(graph: gc.Graph, recipe: Recipe, **options: Any) -> gc.Module:
    """The module, with every pass verified and gradients by all float arguments."""
    return gc.compile(
        graph,
        wrt=recipe.variables,
        allow_unused=True,
        after_pass=lambda name, function: verify(function),
        **options,
    )


def check_within_graphc(recipe: Recipe, seed: int) -> None:
    """Reference, programs and generated code, with and without stabilisation."""
    arrays = recipe.arrays(seed)
    expected = by_reference(build(recipe), recipe, arrays)
    for stabilize in (True, False):
        module = compiled(build(recipe), recipe, stabilize=stabilize)
        assert_same(by_program(module, recipe, arrays), expected, f"programs, {stabilize=}")
        assert_same(by_module(module, recipe, arrays), expected, f"module, {stabilize=}")


def check_against_torch(recipe: Recipe, seed: int) -> None:
    """The reference, which the other ways agree with, against PyTorch."""
    arrays = recipe.arrays(seed)
    graph = build(recipe)
    actual = by_reference(graph, recipe, arrays)
    expected = by_torch(peer("torch"), recipe, arrays, cotangents(graph, recipe))
    assert_same(actual, expected, "PyTorch")


@FAST
@given(recipes(), seeds)
def test_programs_and_generated_code_compute_what_was_declared(recipe: Recipe, seed: int) -> None:
    check_within_graphc(recipe, seed)


@FAST
@given(recipes(), seeds)
def test_values_and_gradients_are_those_of_pytorch(recipe: Recipe, seed: int) -> None:
    check_against_torch(recipe, seed)


@pytest.mark.conformance
@LONG
@given(recipes(steps=st.just(25)), seeds)
def test_larger_graphs_agree_in_every_way(recipe: Recipe, seed: int) -> None:
    check_within_graphc(recipe, seed)
    check_against_torch(recipe, seed)
