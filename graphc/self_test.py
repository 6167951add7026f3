"""The numbers that a generated module checks itself against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from graphc.ir import dims
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.lower.interpreter import interpret
from graphc.lower.module import LoweredModule, SelfTest
from graphc.runtime import boundary

MAX_ELEMENTS = 5_000_000  # above it, the self-test would take long and say nothing more
TOLERANCES = {2: 0.05, 4: 1e-3, 8: 1e-8}  # by the bytes of a float

Measured: TypeAlias = "tuple[tuple[str | None, float], ...]"  # a gradient, or None for the loss


def self_test(module: LoweredModule, declared: Sequence[Node]) -> SelfTest | None:
    """Loss and slopes at sample values of the declared arguments; None where nothing can be told.

    Labels run through 0 and 1, or are all 0 where a model knows one class only.
    """
    if module.forward is None or module.backward is None:
        return None
    names = sorted({name for node in declared for name in dims.all_names(node.shape)})
    sizes = {name: 2 + place % 4 for place, name in enumerate(names)}
    bars = [node for node in module.backward.arguments if is_cotangent(node)]
    phases = {node: phase for phase, node in enumerate([*declared, *bars])}
    tolerance = TOLERANCES[min(node.dtype.itemsize for node in bars)]
    nodes = {*module.forward.order, *module.backward.order, *phases}
    shapes = [type.shape for node in nodes for type in node.types]
    try:
        if sum(dims.evaluate(dims.product(s), sizes) for s in shapes) > MAX_ELEMENTS:
            return None
        for labels in (2, 1):
            test = SelfTest(phases, sizes, labels, (), tolerance)
            try:
                values = measure(module, test, bars)
            except IndexError:
                continue
            return replace(test, values=values) if values else None
    except (ValueError, ArithmeticError):
        pass  # the sizes do not suit the model
    return None


def measure(module: LoweredModule, test: SelfTest, bars: Sequence[Node]) -> Measured:
    """The loss, and the slope of each gradient, at the sample values.

    Computed in float64, so that the digits are the same on every machine; what the module's own
    dtype cannot reproduce (an overflow, say) is left out.
    """
    exact, own = (measured(module, test, bars, widened=widened) for widened in (True, False))
    pairs = zip(exact, own, strict=True)
    return tuple(
        row
        for row, (_, value) in pairs
        if np.isclose(value, row[1], rtol=test.tolerance, atol=test.tolerance, equal_nan=True)
    )


def measured(
    module: LoweredModule, test: SelfTest, bars: Sequence[Node], *, widened: bool
) -> Measured:
    """What the interpreter makes of the sample values, in float64 if `widened`."""
    assert module.forward is not None
    assert module.backward is not None
    values: dict[Node, Any] = {}
    for node, phase in test.phases.items():
        shape = [dims.evaluate(size, test.sizes) for size in node.shape]
        sample = boundary.sample_values(node.dtype.numpy, phase, *shape, labels=test.labels)
        values[node] = sample.astype(np.float64) if widened and sample.dtype.kind == "f" else sample
    if module.loss:
        values[bars[0]] = np.ones_like(values[bars[0]])
    with np.errstate(all="ignore"):
        known = interpret(module.forward, values, widened=widened)
        known |= {bar: values[bar] for bar in bars}
        sizes = {name: test.sizes[name] for name in module.sizes}
        derived = interpret(module.backward, known, sizes, widened=widened)
    slopes = [
        (name, boundary.sample_slope(np.asarray(derived[node])))
        for name, node in zip(module.gradients, module.backward.results, strict=True)
    ]
    loss = [(None, float(known[module.forward.results[0]]))] if module.loss else []
    return (*loss, *slopes)
