"""Parts of an array side by side: what a loop over steps leaves of a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.styles import in_every_style, load

Parts = Callable[[gc.Node], list[gc.Node]]

READS: dict[str, tuple[Parts, str]] = {
    "steps": (lambda x: [x[:, i] for i in range(4)], "np.stack"),
    "backwards": (lambda x: [x[:, 3 - i] for i in range(4)], "np.stack"),
    "spans": (lambda x: [x[:, :1], x[:, 3:], x[:, 1:3]], "np.concatenate"),
    "gap": (lambda x: [x[:, 0], x[:, 1], x[:, 3]], "embed"),
    "overlap": (lambda x: [x[:, :2], x[:, 1:], x[:, :1]], "embed"),
    "twice": (lambda x: [x[:, i] * 2 + gc.exp(x[:, i]) for i in range(4)], "np.stack"),
}


@in_every_style
@pytest.mark.parametrize("name", READS)
def test_what_was_read_in_parts_has_one_gradient(name: str, style: str) -> None:
    read, written = READS[name]
    with gc.Graph("parts", dtype="float64") as g:
        x = g.input("x", ("batch", 4, 3))
        parts = [gc.tanh(part) * (i + 1) for i, part in enumerate(read(x))]
        g.loss(sum((gc.sum(part) for part in parts[1:]), gc.sum(parts[0])))
    compiled = gc.compile(g, style=style)
    assert ("embed(" in compiled.source) == (written == "embed")
    assert written in compiled.source
    net: Any = load(g, style=style)
    value = np.random.default_rng(0).normal(size=(2, 4, 3))
    _, grads = net.value_and_grad(value)
    direction = np.random.default_rng(1).normal(size=value.shape)
    step = 1e-6
    ends = [net.forward(value + s * step * direction)[0] for s in (1, -1)]
    slope = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose((grads["x"] * direction).sum(), slope, rtol=1e-7)
