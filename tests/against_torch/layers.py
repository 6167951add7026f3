"""Layers with parameters beside PyTorch's modules: values, gradients of inputs and of parameters.

A layer says which parameter of PyTorch's module each of its own corresponds to, and how that is to
be read: transposed, or a part of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import (
    Array,
    assert_accurate,
    assert_same,
    flat,
    listed,
    weights,
)
from tests.peers import peer
from tests.styles import load

Read = Callable[[Any], Any]  # what of a parameter of PyTorch's is one of graphc's


def whole(value: Any) -> Any:
    """All of it, as it is."""
    return value


def transposed(value: Any) -> Any:
    """All of it, as graphc multiplies from the right."""
    return value.T


def part(start: int, stop: int, then: Read = whole) -> Read:
    """Some of its rows."""
    return lambda value: then(value[start:stop])


@dataclass(frozen=True)
class Layer:
    """One layer in both.

    name        as tests are called
    ours        (nodes) -> a node, or nested tuples of them
    module      (torch) -> PyTorch's module
    theirs      (module, tensors) -> a tensor, or nested tuples of them
    inputs      shapes of the inputs
    parameters  for each parameter of ours the name of PyTorch's, and how it is read
    silent      parameters of PyTorch's that ours has no other of, and which are zeros
    scale       by which inputs and parameters are multiplied
    """

    name: str
    ours: Callable[..., Any]
    module: Callable[[Any], Any]
    theirs: Callable[..., Any]
    inputs: tuple[tuple[int, ...], ...]
    parameters: dict[str, tuple[str, Read]]
    silent: dict[str, Read] = field(default_factory=dict)
    scale: float = 1.0

    def __str__(self) -> str:
        return self.name

    def agrees(self, style: str) -> None:
        """Assert that values and gradients are PyTorch's in float64."""
        theirs = self.their_results("float64", "float64")
        assert_same(self.our_results("float64", style), theirs, together=True)

    def is_accurate(self, style: str) -> None:
        """Assert that the errors in float32 are those of PyTorch, or small."""
        exact = self.their_results("float64", "float32")
        theirs = self.their_results("float32", "float32")
        assert_accurate(self.our_results("float32", style), theirs, exact, together=True)

    def drawn(self, shape: Iterable[int], name: str) -> Array:
        """The same numbers for a name in every run, rounded to float32."""
        rng = np.random.default_rng(zlib.crc32(f"{self.name} {name}".encode()))
        return np.asarray(rng.normal(size=tuple(shape)) * self.scale).astype(np.float32)

    def tensors(self, torch: Any, dtype: str) -> tuple[Any, list[Any]]:
        """PyTorch's module and inputs, with numbers of float32 in a dtype."""
        module = self.module(torch).to(getattr(torch, dtype))
        with torch.no_grad():
            for name, value in module.named_parameters():
                value.copy_(torch.tensor(self.drawn(value.shape, name)))
                if name in self.silent:
                    self.silent[name](value).zero_()
        inputs = [
            torch.tensor(self.drawn(shape, str(i)).astype(dtype), requires_grad=True)
            for i, shape in enumerate(self.inputs)
        ]
        return module, inputs

    def their_results(self, dtype: str, rounded: str) -> list[Array]:
        """Values, then gradients of inputs and parameters, of the weighed sum of the values."""
        torch = peer("torch")
        module, inputs = self.tensors(torch, dtype)
        values = leaves(self.theirs(module, *inputs))
        bars = weights([tuple(v.shape) for v in values])
        total = sum(
            (v * torch.tensor(w.astype(rounded).astype(dtype))).sum()
            for v, w in zip(values, bars, strict=True)
        )
        total.backward()
        known = dict(module.named_parameters())
        slopes = [read(known[name].grad) for name, read in self.parameters.values()]
        return [t.detach().numpy() for t in (*values, *(x.grad for x in inputs), *slopes)]

    def our_results(self, dtype: str, style: str) -> list[Array]:
        """The same of graphc."""
        torch = peer("torch")
        module, inputs = self.tensors(torch, dtype)
        with gc.Graph("layer", dtype=dtype) as g:
            nodes = [g.input(f"x{i}", shape) for i, shape in enumerate(self.inputs)]
            for i, node in enumerate(leaves(self.ours(*nodes))):
                g.output(f"y{i}", node)
        assert set(g.parameters) == set(self.parameters)
        known = dict(module.named_parameters())
        params = {
            name: read(known[other]).detach().numpy().copy()
            for name, (other, read) in self.parameters.items()
        }
        wrt = [*(f"x{i}" for i in range(len(nodes))), *self.parameters]
        net = load(g, style=style, wrt=wrt)
        *values, residuals = flat(net.forward(params, *(x.detach().numpy() for x in inputs)))
        bars = [w.astype(dtype) for w in weights([np.shape(v) for v in values])]
        grads = net.backward(residuals, *bars)
        return [*map(np.asarray, values), *(np.asarray(grads[name]) for name in wrt)]


def leaves(value: Any) -> list[Any]:
    """The values in nested tuples, in order."""
    if not isinstance(value, (tuple, list)):
        return listed(value)
    return [leaf for item in value for leaf in leaves(item)]


def over(layers: Iterable[Layer]) -> pytest.MarkDecorator:
    """Parametrise a test over layers, by name."""
    return pytest.mark.parametrize("layer", list(layers), ids=str)
