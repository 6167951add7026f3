"""Formulas as users write them: values and gradients are right, in every style and both dtypes.

What is right comes from `tests/data/stability.json`, which mpmath made. Each gradient is computed
twice, by the backward pass and by `gc.grad` inside the model, and where NumPy has no reason to warn
nothing may: neither that an exponential overflowed nor that an unused branch came to NaN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.benchmarks.stability import RIGHT, cells, verdict
from tests.benchmarks.stability_peers import PEERS, spelled
from tests.data import make_stability
from tests.peers import peer
from tests.stability_cases import PATH, Case, cases, close, evaluated, table
from tests.styles import STYLES, functions

FUNCTIONS = spelled(gc)
RAISED = (ValueError, OverflowError, ZeroDivisionError)  # by Python, where NumPy has infinities
ARRAYS = [
    pytest.param(case, dtype, style, id=f"{case.name}-{dtype}-{style}")
    for case in cases()
    for dtype in case.dtypes
    for style in STYLES
]
SCALARS = [pytest.param(case, id=case.name) for case in cases() if case.scalar]


def shapes(case: Case) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Those of the inputs."""
    return tuple((name, np.shape(value)) for name, value in case.inputs.items())


@cache
def compiled(expression: str, inputs: Any, wrt: tuple[str, ...], dtype: str, style: str) -> Any:
    """The functions of a model whose outputs are the value and, as nodes, its gradient."""
    with gc.Graph("stability", dtype=dtype) as graph:
        nodes = {name: graph.input(name, shape) for name, shape in inputs}
        value = evaluated(expression, FUNCTIONS, nodes)
        loss = gc.sum(value) if value.ndim else value
        graph.output("value", value)
        for name, slope in zip(wrt, gc.grad(loss, [nodes[n] for n in wrt]), strict=True):
            graph.output(f"d_{name}", slope)
        graph.loss(loss)
    return functions(gc.compile(graph, wrt=wrt, style=style, allow_unused=True))


def check(case: Case, found: Any, grads: Mapping[str, Any], dtype: str) -> None:
    """Compare what the functions returned with what is right."""
    value, *slopes = found
    nodes = dict(zip(case.gradient, slopes, strict=True))
    pairs = [("value", value, case.value)]
    for name, wanted in case.gradient.items():
        pairs.append((f"gradient by {name}", grads[name], wanted))
        pairs.append((f"gc.grad by {name}", nodes[name], wanted))
    for what, result, wanted in pairs:
        assert np.shape(result) == np.shape(wanted), what
        right = close(result, wanted, dtype, case.rtol_ulp, case.atol_ulp)
        assert right.all(), f"{what} is {result}, should be {wanted}"


@pytest.mark.parametrize(("case", "dtype", "style"), ARRAYS)
def test_value_and_gradients_are_right(case: Case, dtype: str, style: str) -> None:
    code = compiled(case.expression, shapes(case), tuple(case.gradient), dtype, style)
    arrays = [np.array(value, dtype) for value in case.inputs.values()]
    with np.errstate(all="raise" if case.in_domain else "ignore", under="ignore"):
        found = [np.copy(result) for result in code.predict(*arrays)]  # as a call overwrites them
        _, grads = code.value_and_grad(*arrays)
    check(case, found, grads, dtype)


@pytest.mark.parametrize("case", SCALARS)
def test_so_are_they_on_numbers_of_python(case: Case) -> None:
    code = compiled(case.expression, shapes(case), tuple(case.gradient), "float64", "scalar")
    try:
        found = code.predict(**case.inputs)
        _, grads = code.value_and_grad(**case.inputs)
    except RAISED:
        if case.in_domain:
            raise
        return
    check(case, found, grads, "float64")


def test_every_row_of_the_table_is_right() -> None:
    assert cells(PEERS["graphc"]()) == [RIGHT] * len(table())


@pytest.mark.parametrize(("name", "slopes", "told"), [
    ("abs(x) at x=0", 1.0, ""),
    ("abs(x) at x=0", np.nan, "nan"),
    ("abs(x) at x=0", -1.5, "wrong"),
    ("max(x) at x=[1, 1, 0]", [1.0, 0.0, 0.0], ""),
    ("max(x) at x=[1, 1, 0]", [0.5, 0.0, 0.5], "wrong"),
    ("max(x) at x=[1, 1, 0]", [1.0, 1.0, 0.0], "wrong"),
    ("sqrt(sum(x * x)) at x=[0, 0]", [0.0, np.nan], "nan"),
    ("x ** 0.5 at x=0", np.inf, ""),
    ("x ** 0.5 at x=0", 0.0, "wrong"),
    ("sum(x / x) at x=[0, 2]", [np.inf, 0.0], "inf"),
    ("sum(x / x) at x=[0, 2]", 0.0, "error"),
])  # fmt: skip
def test_any_convention_at_a_kink_is_right_and_nothing_else(
    name: str, slopes: Any, told: str
) -> None:
    (case,) = (case for case in cases() if case.name == name)
    assert verdict(case, case.value, {"x": slopes}) == told


@pytest.mark.parametrize(("found", "wanted", "right"), [
    (0.0, 0.0, True), (1e-320, 0.0, False), (0.0, 1e-320, True), (0.0, 1e-300, False),
    (1 + 63 * 2.0**-52, 1.0, True), (1 + 66 * 2.0**-52, 1.0, False),
    (np.inf, np.inf, True), (-np.inf, np.inf, False), (1e308, np.inf, False),
    (np.nan, np.nan, True), (np.nan, 1.0, False), (1.0, np.nan, False), (np.inf, 1.7e308, False),
])  # fmt: skip
def test_what_is_close(found: float, wanted: float, right: bool) -> None:
    assert bool(close(found, wanted, "float64", 64, 0)) is right


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.conformance
def test_the_script_writes_the_file_as_it_is() -> None:
    made = make_stability.with_peers(make_stability.all_cases(), {})
    assert make_stability.text(made) == PATH.read_text(encoding="utf-8")


@pytest.mark.conformance
@pytest.mark.parametrize("name", make_stability.RECORDED)
def test_what_it_says_of_peers_is_still_so(name: str) -> None:
    if name == "torch":
        peer(name)
    pytest.importorskip(name)  # JAX is no peer of the other tests
    run = PEERS[name]()
    wrong = {case.name for case in cases() if make_stability.missed(vars(case), run)}
    assert wrong == {case.name for case in cases() if name in case.peers}


def test_points_are_the_same_in_both_dtypes() -> None:
    for case in cases():
        if "float32" in case.dtypes:
            for value in case.inputs.values():
                np.testing.assert_array_equal(np.float32(value), np.float64(value))


def test_there_are_cases_for_each_row_and_each_style() -> None:
    assert {case.table for case in cases()} - {0} == set(range(1, len(table()) + 1))
    # All groups have scalars but those about arrays; logaddexp is what logsumexp is for scalars.
    arrays = {"logsumexp", "variance", "where: reduced", "where: broadcast"}
    groups, scalar = {c.group for c in cases()}, {c.group for c in cases() if c.scalar}
    assert groups - scalar == arrays


def test_no_formula_names_a_composite() -> None:
    named = {name for case in cases() for name in re.findall(r"\b[a-z]\w+", case.expression)}
    assert named <= {*FUNCTIONS, "axis", "keepdims"}


def test_the_readme_shows_this_table() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) +\| (\S+) +\|", readme[readme.index("| formula") :], re.M)
    shown = [row for row in rows if not row[0].startswith("--")][: len(table()) + 2]
    right = [(formula, RIGHT) for formula in table()]
    assert shown == [("formula", "graphc"), *right, ("right", f"{len(right)}/{len(right)}")]
