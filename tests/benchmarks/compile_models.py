"""Models of any size, written once for graphc and its peers.

A library `lib` brings `sin`, `tanh`, `sigmoid`, `mean`, and `row`, which makes a vector fit for
adding to a matrix. Everything else is the operators of its arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gc

BATCH, WIDTH = 4, 8


@dataclass(frozen=True)
class Model:
    """A network of about `nodes` forward nodes.

    kind   chain  y = sin(y) * y + x, scalars: y is used twice a round, x in every round
           mlp    h = tanh(h @ W + b), each layer with parameters of its own, 8 wide
           lstm   one cell of 8 units, unrolled
    """

    kind: str
    nodes: int

    @property
    def rounds(self) -> int:
        """How often the formula is repeated."""
        return max(1, self.nodes // {"chain": 3, "mlp": 5, "lstm": 18}[self.kind])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter."""
        if self.kind == "chain":
            return {}
        if self.kind == "lstm":
            return {"Wx": (WIDTH, 4 * WIDTH), "Wh": (WIDTH, 4 * WIDTH), "b": (4 * WIDTH,)}
        layers = range(self.rounds)
        weights = {f"W{i}": (WIDTH, WIDTH) for i in layers}
        return weights | {f"b{i}": (WIDTH,) for i in layers}

    def input_shape(self) -> tuple[int, ...]:
        """The shape of x."""
        columns = self.rounds * WIDTH if self.kind == "lstm" else WIDTH
        return () if self.kind == "chain" else (BATCH, columns)

    def loss(self, lib: Any, x: Any, params: dict[str, Any]) -> Any:
        """What is differentiated, in terms of a library."""
        return {"chain": self._chain, "mlp": self._mlp, "lstm": self._lstm}[self.kind](
            lib, x, params
        )

    def _chain(self, lib: Any, x: Any, params: dict[str, Any]) -> Any:
        y = x
        for _ in range(self.rounds):
            y = lib.sin(y) * y + x
        return y

    def _mlp(self, lib: Any, x: Any, params: dict[str, Any]) -> Any:
        h = x
        for i in range(self.rounds):
            h = lib.tanh(h @ params[f"W{i}"] + lib.row(params[f"b{i}"]))
        return lib.mean(h * h)

    def _lstm(self, lib: Any, x: Any, params: dict[str, Any]) -> Any:
        h = c = x[:, :WIDTH] * 0.1
        for step in range(self.rounds):
            now = x[:, step * WIDTH : (step + 1) * WIDTH]
            z = now @ params["Wx"] + h @ params["Wh"] + lib.row(params["b"])
            i, f, o = (lib.sigmoid(z[:, k * WIDTH : (k + 1) * WIDTH]) for k in range(3))
            c = f * c + i * lib.tanh(z[:, 3 * WIDTH :])
            h = o * lib.tanh(c)
        return lib.mean(h * h)

    def graph(self, dtype: str = "float32") -> gc.Graph:
        """The model as a graph; the batch is a named size."""
        with gc.Graph(self.kind, dtype=dtype) as g:
            shape = self.input_shape()
            x = g.input("x", ("batch", *shape[1:]) if shape else ())
            shapes = self.shapes().items()
            params = {
                name: g.parameter(name, shape, init="glorot_uniform" if len(shape) > 1 else "zeros")
                for name, shape in shapes
            }
            g.loss(self.loss(Graphc, x, params))
        return g

    def values(self) -> tuple[Any, dict[str, Any]]:
        """x and parameters at which results are compared."""
        rng = np.random.default_rng(0)
        shape = self.input_shape()
        if not shape:  # from 0.1 the chain converges; elsewhere it need not
            return np.float64(0.1), {}
        return rng.normal(size=shape), {
            name: rng.normal(size=shape) / WIDTH**0.5 for name, shape in self.shapes().items()
        }


class Graphc:
    """graphc as a library of the models."""

    sin, tanh, sigmoid, mean = gc.sin, gc.tanh, gc.sigmoid, gc.mean

    @staticmethod
    def row(vector: Any) -> Any:
        """Broadcasting adds the axis."""
        return vector
