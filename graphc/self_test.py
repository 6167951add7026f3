"""The numbers that a generated module checks itself against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from graphc.ir import dims
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.lower.interpreter import interpret
from graphc.lower.module import LoweredModule, SelfTest
from graphc.runtime import boundary

# Above these, the numbers would take long to compute and say nothing more.
MAX_ELEMENTS = 5_000_000
MAX_STATEMENTS = 5_000
OFFSETS = (0.0, 1.5)  # around zero; else positive, for roots and logarithms
TOLERANCES = {2: 0.02, 4: 1e-4, 8: 1e-6}  # relative, by the bytes of a float

# For a gradient its name, for the loss None; the number, and the size of what it is a sum of.
Measured: TypeAlias = "list[tuple[str | None, float, float]]"


def self_test(module: LoweredModule) -> SelfTest | None:
    """Loss and slopes at sample values of the declared arguments; None where nothing can be told.

    Nothing is told of modules of many statements or elements either: interpreting them would take
    longer than compiling them, and what is wrong with one shows in a smaller model as well.
    Labels run through 0 and 1, or are all 0 where a model knows one class only.
    """
    if module.forward is None or module.backward is None:
        return None
    if len(module.forward.order) + len(module.backward.order) > MAX_STATEMENTS:
        return None
    declared = module.graph.declared()
    names = sorted({name for node in declared for name in dims.all_names(node.shape)})
    sizes = {name: 2 + place % 4 for place, name in enumerate(names)}
    bars = [node for node in module.backward.arguments if is_cotangent(node)]
    phases = {node: phase for phase, node in enumerate([*declared, *bars])}
    tolerance = TOLERANCES[min(node.dtype.itemsize for node in bars)]
    nodes = {*module.forward.order, *module.backward.order, *phases}
    shapes = Counter(type.shape for node in nodes for type in node.types)
    try:
        if sum(n * dims.evaluate(dims.product(s), sizes) for s, n in shapes.items()) > MAX_ELEMENTS:
            return None
        for offset in OFFSETS:
            test, values = labelled(module, SelfTest(phases, sizes, 2, offset, ()), bars, tolerance)
            if len(values) == len(module.gradients) + bool(module.loss) or offset == OFFSETS[-1]:
                return replace(test, values=values) if values else None
    except (ValueError, ArithmeticError, IndexError):
        pass  # the sizes do not suit the model
    return None


def labelled(
    module: LoweredModule, test: SelfTest, bars: Sequence[Node], tolerance: float
) -> tuple[SelfTest, tuple[tuple[str | None, float, float], ...]]:
    """What is measured with labels 0 and 1, or with 0 alone where a model knows one class."""
    try:
        return test, measure(module, test, bars, tolerance)
    except IndexError:
        test = replace(test, labels=1)
        return test, measure(module, test, bars, tolerance)


def measure(
    module: LoweredModule, test: SelfTest, bars: Sequence[Node], tolerance: float
) -> tuple[tuple[str | None, float, float], ...]:
    """The loss, and the slope of each gradient, at the sample values, with absolute tolerances.

    Computed in float64, so that the digits are the same on every machine; what is not finite, or
    the module's own dtype cannot reproduce, is left out.
    """
    samples = sampled(module, test, bars)
    exact, own = (measured(module, test, samples, widened=w) for w in (True, False))
    rows = []
    for (name, value, scale), (_, reproduced, _) in zip(exact, own, strict=True):
        allowed = float(f"{tolerance * scale:.0e}")
        if np.isfinite(value) and abs(value - reproduced) <= allowed / 2:
            decimals = 6 - int(np.floor(np.log10(scale))) if scale else 0
            rows.append((name, round(value, decimals), allowed))
    return tuple(rows)


def sampled(module: LoweredModule, test: SelfTest, bars: Sequence[Node]) -> dict[Node, Any]:
    """The sample values, in the dtypes that are declared."""
    values: dict[Node, Any] = {}
    for node, phase in test.phases.items():
        shape = [dims.evaluate(size, test.sizes) for size in node.shape]
        values[node] = boundary.sample_values(
            node.dtype.numpy, phase, *shape, labels=test.labels, offset=test.offset
        )
    if module.loss:
        values[bars[0]] = np.ones_like(values[bars[0]])
    return values


def measured(
    module: LoweredModule, test: SelfTest, samples: dict[Node, Any], *, widened: bool
) -> Measured:
    """What the interpreter makes of the sample values, in float64 if `widened`."""
    assert module.forward is not None
    assert module.backward is not None
    values = {
        node: value.astype(np.float64) if widened and value.dtype.kind == "f" else value
        for node, value in samples.items()
    }
    bars = [node for node in module.backward.arguments if is_cotangent(node)]
    with np.errstate(all="ignore"):
        known = interpret(module.forward, values, widened=widened)
        known |= {bar: values[bar] for bar in bars}
        sizes = {name: test.sizes[name] for name in module.sizes}
        derived = interpret(module.backward, known, sizes, widened=widened)
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
