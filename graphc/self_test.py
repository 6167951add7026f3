"""The numbers that a generated module checks itself against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from graphc.ir import dims
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.lower.interpreter import interpret
from graphc.lower.module import LoweredModule, SelfTest
from graphc.runtime import boundary

# Above these, the numbers would take long to compute and say nothing more.
MAX_ELEMENTS = 5_000_000
MAX_STATEMENTS = 5_000
OFFSETS = (0.0, 1.5)  # around zero; else positive, for roots and logarithms
TOLERANCES = {2: 0.02, 4: 1e-4, 8: 1e-6}  # relative, by the bytes of a float
NOISE = 1e-12  # of the largest slope: below this, the digits differ from machine to machine

NUDGE = 2.0**-40  # relative: what it changes by more than a tolerance is ill-conditioned

# For a gradient its name, for the loss None; the number, and the size of what it is a sum of.
Measured: TypeAlias = "list[tuple[str | None, float, float]]"


def self_test(module: LoweredModule, *, plain: bool = False) -> SelfTest | None:
    """Loss and slopes at sample values of the declared arguments; None where nothing can be told.

    Nothing is told of modules of many statements or elements either: interpreting them would take
    longer than compiling them, and what is wrong with one shows in a smaller model as well.
    Labels run through 0 and 1, or are all 0 where a model knows one class only. Of a model that
    draws, the gradients that agree with differences; without NumPy it has nothing to draw from.
    With `plain`, for Python's numbers: floats have 64 bits, and nothing on the way may be undefined
    or overflow.
    """
    if module.forward is None or module.backward is None:
        return None
    if len(module.forward.order) + len(module.backward.order) > MAX_STATEMENTS:
        return None
    declared = module.graph.declared()
    bars = [node for node in module.backward.arguments if is_cotangent(node)]
    # Python's numbers would all be 0 in phase 0, and hide what is multiplied by them.
    phases = {node: phase for phase, node in enumerate([*declared, *bars], start=int(plain))}
    tolerance = TOLERANCES[min(node.dtype.itemsize for node in bars)]
    draws = module.forward.draws
    if draws and plain:
        return None
    complete = (
        partial(differing, module, bars)
        if draws
        else partial(stored, module, bars, tolerance, plain)
    )
    wanted = len(module.gradients) + bool(module.loss and not draws)
    nodes = {*module.forward.order, *module.backward.order, *phases}
    shapes = Counter(type.shape for node in nodes for type in node.types)
    try:
        sizes = module.sample_sizes()
        if sum(n * dims.evaluate(dims.product(s), sizes) for s, n in shapes.items()) > MAX_ELEMENTS:
            return None
        for offset in OFFSETS:
            try:
                with np.errstate(all="raise" if plain else "ignore", under="ignore"):
                    test = labelled(SelfTest(phases, sizes, 2, offset), complete)
            except FloatingPointError:
                continue
            found = len(test.values) + len(test.slopes)
            if found == wanted or offset == OFFSETS[-1]:
                return test if found else None
    except (ValueError, ArithmeticError, IndexError):
        pass  # the sizes do not suit the model
    return None


def labelled(test: SelfTest, complete: Callable[[SelfTest], SelfTest]) -> SelfTest:
    """The test completed with labels 0 and 1, or with 0 alone where a model knows one class."""
    try:
        return complete(test)
    except IndexError:
        return complete(replace(test, labels=1))


def stored(
    module: LoweredModule, bars: Sequence[Node], tolerance: float, plain: bool, test: SelfTest
) -> SelfTest:
    """The loss, and the slope of each gradient, at the sample values, with absolute tolerances.

    Computed in float64, so that the digits are the same on every machine; what is not finite, or
    neither the module's own dtype nor a machine that rounds otherwise can reproduce, is left out:
    the inverse of a singular matrix.
    """
    samples = sampled(module, test, bars, plain=plain)
    exact = measured(module, test, samples, widened=True, plain=plain)
    nudged = {node: nudge(value) for node, value in samples.items()}
    own = measured(module, test, nudged, widened=plain, plain=plain)
    rows = []
    steady = [
        scale
        for (_, value, scale), (_, reproduced, _) in zip(exact, own, strict=True)
        if np.isfinite(value) and abs(value - reproduced) <= tolerance * scale / 2
    ]
    largest = max(steady, default=0.0)
    for (name, value, scale), (_, reproduced, _) in zip(exact, own, strict=True):
        if 0 < scale <= NOISE * largest:  # of what cancels, only the rounding errors are left
            value, scale = 0.0, largest
        allowed = float(f"{tolerance * scale:.0e}")
        if np.isfinite(value) and abs(value - reproduced) <= allowed / 2:
            decimals = 6 - int(np.floor(np.log10(scale))) if scale else 0
            rows.append((name, round(value, decimals), allowed))
    return replace(test, values=tuple(rows))


def nudge(value: Any) -> Any:
    """Floats of 64 bits with other last digits, as other roundings on the way would make them.

    Shorter ones stay: what is computed with them is rounded otherwise than in float64 as it is.
    """
    if value.dtype.kind != "f":
        return value
    moved = value * (1 + NUDGE * direction(value.size).reshape(value.shape))
    return moved.astype(value.dtype)


def differing(module: LoweredModule, bars: Sequence[Node], test: SelfTest) -> SelfTest:
    """The gradients that agree with differences; those at jumps and of stop_gradient do not."""
    forward, backward = module.forward, module.backward
    assert forward is not None
    assert backward is not None
    given = sampled(module, test, bars)
    count = 1 if module.loss else len(module.outputs)
    targets = [node for node in forward.results[:count] if node.dtype.kind == FLOAT]

    def run() -> dict[Node, Any]:
        return interpret(forward, given, rng=np.random.default_rng(0))

    def values() -> list[Any]:
        known = run()
        return [known[node] for node in targets]

    named = {node.params.name: node for node in forward.arguments}
    slopes = []
    with np.errstate(all="ignore"):
        known = run() | {bar: given[bar] for bar in bars}
        derived = interpret(backward, known, {name: test.sizes[name] for name in module.sizes})
        for name, node in zip(module.gradients, backward.results, strict=True):
            if name in named:
                gradient, weights = np.asarray(derived[node]), [given[bar] for bar in bars]
                difference, tolerance = boundary.nearest_difference(
                    values, weights, given[named[name]], gradient
                )
                if abs(difference - boundary.sample_slope(gradient)) <= tolerance:
                    slopes.append(name)
    return replace(test, slopes=tuple(slopes))


def sampled(
    module: LoweredModule, test: SelfTest, bars: Sequence[Node], *, plain: bool = False
) -> dict[Node, Any]:
    """The sample values of all arguments; the cotangent of a loss is 1.

    The values are those of the declared dtype, or for Python's numbers (`plain`) of float64.
    """
    values: dict[Node, Any] = {}
    for node, phase in test.phases.items():
        shape = [dims.evaluate(size, test.sizes) for size in node.shape]
        dtype = np.dtype(np.float64) if plain and node.dtype.kind == FLOAT else node.dtype.numpy
        values[node] = boundary.sample_values(
            dtype, phase, *shape, labels=test.labels, offset=test.offset
        )
    if module.loss:
        values[bars[0]] = np.ones_like(values[bars[0]])
    return values


def measured(
    module: LoweredModule,
    test: SelfTest,
    samples: dict[Node, Any],
    *,
    widened: bool,
    plain: bool = False,
) -> Measured:
    """What the interpreter makes of the sample values, in float64 if `widened`."""
    assert module.forward is not None
    assert module.backward is not None
    values = {
        node: value.astype(np.float64) if widened and value.dtype.kind == "f" else value
        for node, value in samples.items()
    }
    bars = [node for node in module.backward.arguments if is_cotangent(node)]
    known = interpret(module.forward, values, widened=widened, plain=plain)
    known |= {bar: values[bar] for bar in bars}
    sizes = {name: test.sizes[name] for name in module.sizes}
    derived = interpret(module.backward, known, sizes, widened=widened, plain=plain)
    rows: Measured = []
    if module.loss:
        loss = float(known[module.forward.results[0]])
        rows.append((None, loss, abs(loss)))
    for name, node in zip(module.gradients, module.backward.results, strict=True):
        gradient = np.asarray(derived[node])
        terms = np.abs(gradient.ravel().astype(np.float64) * direction(gradient.size))
        rows.append((name, boundary.sample_slope(gradient), float(terms.sum())))
    return rows


@lru_cache(maxsize=8)
def direction(size: int) -> np.ndarray[Any, Any]:
    """The direction along which `sample_slope` takes a derivative."""
    return np.cos(np.arange(size) ** 2)
