"""Generated code run on symbols: the derivative that comes out is the expression in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

import graphc as gc

SIGMA = sympy.Function("sigma")
SLOPE = sympy.Function("slope")  # of σ


def declared(build: Callable[..., gc.Node], names: str) -> gc.Graph:
    """A graph of scalar inputs, given to the function in the order of their names."""
    with gc.Graph("course", dtype="float64") as graph:
        y = build(*(graph.input(name) for name in names.split()))
        graph.output("y", y)
    return graph


def on_symbols(build: Callable[..., gc.Node], names: str, **options: Any) -> dict[str, sympy.Expr]:
    """The value and the gradients of a module of the scalar style, as expressions.

    σ and its slope stay what they are called, so that it shows where the code uses them.
    """
    net: Any = gc.compile(declared(build, names), style="scalar", **options).load()
    net.as_float = lambda name, value: value
    net.math, net.sigmoid, net.sigmoid_slope = sympy, SIGMA, SLOPE
    value, grads = net.value_and_grad(*sympy.symbols(names))
    return {"y": sympy.sympify(value)} | {name: sympy.sympify(g) for name, g in grads.items()}
