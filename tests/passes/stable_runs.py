"""Running the cases of stable_cases: compiled and as written, and how far from exact that is."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import mpmath as mp
import numpy as np

import graphc as gc
from graphc.ir.verify import verify
from tests.passes import dual
from tests.passes.stable_cases import Case
from tests.styles import functions

NAMES = "abcd"
BEYOND = {"float64": mp.ldexp(1, 1024), "float32": mp.ldexp(1, 128)}  # where infinity begins


def compiled(case: Case, dtype: str, **options: Any) -> gc.Module:
    """The formula as output, its sum as loss."""
    with gc.Graph("stable", dtype=dtype) as graph:
        shape = () if options.get("style") == "scalar" else ("n",)
        nodes = [graph.input(name, shape) for name in NAMES[: case.operands]]
        result = case.build(*nodes)
        graph.output("y", result)
        graph.loss(gc.sum(result) if shape else result)
    return gc.compile(graph, after_pass=lambda name, f: verify(f), **options)


def fired(module: gc.Module) -> set[str]:
    return {rule.name for rule, _ in module.report.fired}


def run(module: gc.Module, operands: Sequence[Any]) -> list[Any]:
    """The value, and the derivative by each operand."""
    code = functions(module)
    named = dict(zip(NAMES, operands, strict=False))

    def call(function: Any) -> Any:
        return function(**{name: named[name] for name in inspect.signature(function).parameters})

    with np.errstate(all="ignore"):
        value = call(code.predict)
        _, grads = call(code.value_and_grad)
    return [value, *(grads[name] for name in named)]


def run_all(
    module: gc.Module, points: Sequence[tuple[float, ...]], dtype: str
) -> np.ndarray[Any, Any]:
    """For each point the value and the derivatives, as float64."""
    if module.lowered.options["style"] == "scalar":
        return np.array([run(module, point) for point in points])
    operands = [np.array(column, dtype) for column in zip(*points, strict=True)]
    results = run(module, operands)
    return np.stack([np.asarray(r, np.float64) for r in results], axis=1)


def exactly(case: Case, point: Sequence[float], dtype: str) -> list[Any]:
    """The value on paper, and the derivatives."""
    bits = max(dual.BITS[dtype], dual.BITS[case.result or dtype])
    result = dual.at(case.exact, point, bits)
    return [result.value, *result.slopes]


def ulps(actual: float, expected: Any, dtype: str) -> float:
    """The distance of a result from an exact number, in units in the last place of that.

    What is beyond the largest float is as good as infinity, which begins there.
    """
    beyond = BEYOND[dtype]
    if mp.isnan(expected):
        return 0.0 if np.isnan(actual) else np.inf
    if np.isnan(actual):
        return np.inf
    limited = max(-beyond, min(beyond, expected))
    given = mp.mpf(float(actual)) if np.isfinite(actual) else mp.sign(float(actual)) * beyond
    info = np.finfo(dtype)
    man, exponent = limited.man_exp
    place = min(exponent + abs(man).bit_length(), info.maxexp) - 1 if man else info.minexp
    spacing = mp.ldexp(1, max(place, info.minexp) - info.nmant)
    with mp.workprec(dual.BITS[dtype]):
        return float(abs(given - limited) / spacing)


def precision(case: Case, dtype: str, index: int) -> str:
    """The dtype in which a result is computed: the value, or at some index a derivative."""
    if index == 0 or case.result is None:
        return case.result or dtype
    return "float32"  # what passes a cast has no more digits than the narrow side
