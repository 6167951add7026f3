"""The numbers that a generated module checks itself against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from graphc.ir import dims
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.lower.interpreter import interpret
from graphc.lower.module import LoweredModule, SelfTest
from graphc.runtime import boundary

MAX_ELEMENTS = 5_000_000  # above it, the self-test would take long and say nothing more
OFFSETS = (0.0, 1.5)  # around zero; else positive, for roots and logarithms
TOLERANCES = {2: 0.02, 4: 1e-4, 8: 1e-6}  # relative, by the bytes of a float

# For a gradient its name, for the loss None; the number, and the size of what it is a sum of.
Measured: TypeAlias = "list[tuple[str | None, float, float]]"


def self_test(module: LoweredModule, *, plain: bool = False) -> SelfTest | None:
    """Loss and slopes at sample values of the declared arguments; None where nothing can be told.

    Labels run through 0 and 1, or are all 0 where a model knows one class only. With `plain`, for
    Python's numbers: floats have 64 bits, and nothing on the way may be undefined or overflow.
    """
    if module.forward is None or module.backward is None:
        return None
    declared = module.graph.declared()
    names = sorted({name for node in declared for name in dims.all_names(node.shape)})
    sizes = {name: 2 + place % 4 for place, name in enumerate(names)}
    bars = [node for node in module.backward.arguments if is_cotangent(node)]
    # Python's numbers would all be 0 in phase 0, and hide what is multiplied by them.
    phases = {node: phase for phase, node in enumerate([*declared, *bars], start=int(plain))}
    tolerance = TOLERANCES[min(node.dtype.itemsize for node in bars)]
    nodes = {*module.forward.order, *module.backward.order, *phases}
    shapes = [type.shape for node in nodes for type in node.types]
    try:
        if sum(dims.evaluate(dims.product(s), sizes) for s in shapes) > MAX_ELEMENTS:
            return None
        for offset in OFFSETS:
            start = SelfTest(phases, sizes, 2, offset, ())
            try:
                with np.errstate(all="raise" if plain else "ignore", under="ignore"):
                    test, values = labelled(module, start, bars, tolerance, plain)
            except FloatingPointError:
                continue
            if len(values) == len(module.gradients) + bool(module.loss) or offset == OFFSETS[-1]:
                return replace(test, values=values) if values else None
    except (ValueError, ArithmeticError, IndexError):
        pass  # the sizes do not suit the model
    return None


def labelled(
    module: LoweredModule, test: SelfTest, bars: Sequence[Node], tolerance: float, plain: bool
) -> tuple[SelfTest, tuple[tuple[str | None, float, float], ...]]:
    """What is measured with labels 0 and 1, or with 0 alone where a model knows one class."""
    try:
        return test, measure(module, test, bars, tolerance, plain)
    except IndexError:
        test = replace(test, labels=1)
        return test, measure(module, test, bars, tolerance, plain)


def measure(
    module: LoweredModule, test: SelfTest, bars: Sequence[Node], tolerance: float, plain: bool
) -> tuple[tuple[str | None, float, float], ...]:
    """The loss, and the slope of each gradient, at the sample values, with absolute tolerances.

    Computed in float64, so that the digits are the same on every machine; what is not finite, or
    the module's own dtype cannot reproduce, is left out.
    """
    exact = measured(module, test, bars, widened=True, plain=plain)
    own = exact if plain else measured(module, test, bars, widened=False)
    rows = []
    for (name, value, scale), (_, reproduced, _) in zip(exact, own, strict=True):
        allowed = float(f"{tolerance * scale:.0e}")
        if np.isfinite(value) and abs(value - reproduced) <= allowed / 2:
            decimals = 6 - int(np.floor(np.log10(scale))) if scale else 0
            rows.append((name, round(value, decimals), allowed))
    return tuple(rows)


def measured(
    module: LoweredModule,
    test: SelfTest,
    bars: Sequence[Node],
    *,
    widened: bool,
    plain: bool = False,
) -> Measured:
    """What the interpreter makes of the sample values, in float64 if `widened`.

    The values are those of the declared dtype, or for Python's numbers (`plain`) of float64.
    """
    assert module.forward is not None
    assert module.backward is not None
    values: dict[Node, Any] = {}
    for node, phase in test.phases.items():
        shape = [dims.evaluate(size, test.sizes) for size in node.shape]
        dtype = np.dtype(np.float64) if plain and node.dtype.kind == FLOAT else node.dtype.numpy
        sample = boundary.sample_values(
            dtype, phase, *shape, labels=test.labels, offset=test.offset
        )
        values[node] = sample.astype(np.float64) if widened and sample.dtype.kind == "f" else sample
    if module.loss:
        values[bars[0]] = np.ones_like(values[bars[0]])
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
        terms = np.abs(gradient.ravel().astype(np.float64) * np.cos(np.arange(gradient.size) ** 2))
        rows.append((name, boundary.sample_slope(gradient), float(terms.sum())))
    return rows
