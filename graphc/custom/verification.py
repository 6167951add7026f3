"""What a custom op is held to when it is declared, on its samples.

Everything that a module will rely on: shape and dtype as inferred, operands that stay as they are
and share no memory with the result, the same result twice and from a form on Python's numbers, and
derivatives that differences agree with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NoReturn

import numpy as np

from graphc.api import compile
from graphc.custom.source import refuse
from graphc.frontends.builder import Graph
from graphc.ir.emission import evaluate
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import shape_text
from graphc.ops.derivatives import jvp, vjp

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)  # of differences: one that crosses a kink is wrong at some
TOLERANCE = 1e-6  # of a slope, relative to the sizes of what it is made of
MAX_POINTS = 24  # of a sample, at which the form on Python's numbers is run

Values = tuple[Any, ...]


def verify(op: Op) -> None:
    """Raise DeclarationError, with the input that shows it, unless the op keeps its promises."""
    samples = [draw(np.random.default_rng(0))[0] for draw in op.samples]
    for sample in samples:
        for dtype in ("float64", "float32"):
            values = tuple(np.asarray(value).astype(dtype) for value in sample)
            check_value(op, values, dtype)
            if not any(np.ndim(value) for value in values):
                # Where there are no axes, NumPy's functions return scalars in place of arrays.
                check_value(op, tuple(value[()] for value in values), dtype)
        if op.emission.math:
            check_numbers(op, tuple(np.asarray(value, np.float64) for value in sample))
    for sample in samples:
        if op.differentiable and all(np.size(value) for value in sample):
            check_slopes(op, tuple(np.asarray(value, np.float64) for value in sample))


def declare(op: Op, values: Sequence[Any], dtype: str) -> tuple[Graph, list[Node], Node]:
    """A graph of the op on inputs like the values."""
    graph = Graph(op.name, dtype=dtype)
    with graph, graph.quiet():
        inputs = [graph.input(n, np.shape(v)) for n, v in zip(op.operands, values, strict=True)]
        return graph, inputs, op(*inputs)


def check_value(op: Op, values: Values, dtype: str) -> None:
    """The result of one call: what it is, and what it leaves alone."""
    _, _, node = declare(op, values, dtype)
    before = [np.array(value) for value in values]
    first = result_of(op, node, values)
    if not isinstance(first, (np.ndarray, np.generic)):
        fail(op, f"returns {type(first).__name__} and no array", before)
    if first.dtype != node.dtype.numpy:
        fail(op, f"returns {first.dtype} for operands of {dtype}", before)
    if first.shape != node.shape:
        fail(op, f"returns shape {first.shape}, and {shape_text(node.shape)} is declared", before)
    if any(np.asarray(v).tobytes() != old.tobytes() for v, old in zip(values, before, strict=True)):
        fail(op, "changes an operand", before)
    if any(np.shares_memory(first, value) for value in values):
        fail(op, "returns an operand, or a view of one, and no new array", before)
    again = result_of(op, node, values)
    if np.asarray(first).tobytes() != np.asarray(again).tobytes():
        fail(op, "does not return the same twice", before)


def check_numbers(op: Op, values: Values) -> None:
    """The form on Python's numbers, against that on arrays."""
    graph, _, node = declare(op, [0.0] * len(values), "float64")
    graph.output("result", node)
    predict = compile(graph, style="scalar", inference=True).load().predict
    points = zip(*(np.ravel(value) for value in np.broadcast_arrays(*values)), strict=True)
    for point in islice(points, MAX_POINTS):
        expected = float(result_of(op, node, point))
        try:
            found = predict(*map(float, point))
        except Exception as error:
            fail(op, f"raises {type(error).__name__} in its math form: {error}", point)
        if math.isfinite(expected) and not math.isclose(
            found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE
        ):
            fail(op, f"is {expected:.6g}, and {found:.6g} in its math form", point)


def result_of(op: Op, node: Node, values: Values) -> Any:
    """What the code comes to; an error in it is told with the input."""
    try:
        with np.errstate(all="ignore"):
            return evaluate(node, values, {}, widened=True)
    except Exception as error:
        fail(op, f"raises {type(error).__name__}: {error}", values)


def check_slopes(op: Op, values: Values) -> None:
    """Cotangents and tangents, against central differences in random directions."""
    rng = np.random.default_rng(1)
    graph, inputs, node = declare(op, values, "float64")

    def value(*given: Any) -> Any:
        return np.asarray(result_of(op, node, given))

    if not np.isfinite(value(*values)).all():
        fail(op, "is not finite, so that its derivative cannot be checked", values,
             "give a domain, or samples, where it is")  # fmt: skip
    weights = rng.standard_normal(node.shape)
    directions = [rng.standard_normal(np.shape(v)) for v in values]
    for place, (name, operand) in enumerate(zip(op.operands, inputs, strict=True)):
        direction = directions[place]
        along = [np.zeros(np.shape(v)) for v in values]
        along[place] = direction

        def at(distance: float, along: Sequence[Any] = along) -> Any:
            moved = [v + distance * d for v, d in zip(values, along, strict=True)]
            return value(*moved)

        differences = [central(at, step) for step in STEPS]
        slopes = [float(np.vdot(weights, difference)) for difference in differences]
        size = float(np.linalg.norm(weights)) * float(np.linalg.norm(differences[2])) + 1e-3
        with graph, graph.quiet():
            bar = vjp(node, operand, weights, allow_unused=True)
            dot = jvp(node, operand, direction)
        for kind, derived, other in (("VJP", bar, direction), ("JVP", dot, weights)):
            slope = float(np.vdot(run(graph, derived, op.operands, values), other))
            nearest = min(slopes, key=lambda expected: abs(expected - slope))
            if not abs(nearest - slope) <= TOLERANCE * size:
                fail(
                    op,
                    f"has a {kind} for {name} of {slope:.6g} along a random direction, where "
                    f"central differences give {nearest:.6g}",
                    values,
                )


def central(at: Callable[[float], Any], step: float) -> Any:
    """The central difference of fourth order."""
    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


def run(graph: Graph, node: Node, names: Sequence[str], values: Values) -> Any:
    """The value of a node of a graph, by the module that is generated for it."""
    graph.outputs.clear()
    graph.output("result", node)
    module = compile(graph, inference=True)
    program = module.lowered.predict
    assert program is not None
    known = dict(zip(names, values, strict=True))
    given = [known[argument.params.name] for argument in program.arguments]
    with np.errstate(all="ignore"):
        return module.load().predict(*given)


def fail(op: Op, problem: str, values: Iterable[Any], hint: str | None = None) -> NoReturn:
    """Refuse the op, with the operands that show why."""
    shown = []
    for name, value in zip(op.operands, values, strict=True):
        text = np.array2string(np.asarray(value), separator=", ", threshold=24, precision=6)
        shown.append(f"{name} = {' '.join(text.split())}")
    refuse(op.name, f"it {problem}, at {', '.join(shown)}", hint)
