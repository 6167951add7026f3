"""Initialisers of parameters, as expressions of a generator `rng` that stand in `init_params`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DeclarationError, DTypeError, UnsupportedError, suggest
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import size_text, tuple_text
from graphc.ir.graph import plain_array
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, DType


def fans(node: Node) -> tuple[Extent, Extent]:
    """How many inputs and outputs a unit has, for weights used as `x @ W`: (inputs, outputs).

    1 where there are none, so that nothing is divided by zero: such a parameter has no elements.
    """
    field = dims.product(node.shape[:-2])
    both = node.shape[-2:] if node.ndim > 1 else (dims.product(node.shape),) * 2
    inputs, outputs = (size * field for size in both)
    return (1 if inputs == 0 else inputs), (1 if outputs == 0 else outputs)


def shape_argument(node: Node) -> str:
    """A shape as the argument of np.zeros and the like: `(64, 128)`, but `128`."""
    return size_text(node.shape[0]) if node.ndim == 1 else tuple_text(node.shape)


def _root(gain: int, fan: str) -> str:
    return f"np.sqrt({gain} / {fan})"


def _fan_in(node: Node) -> str:
    size = size_text(fans(node)[0])
    return f"({size})" if " " in size else size


def _both(node: Node) -> str:
    return f"({' + '.join(map(size_text, fans(node)))})"


def _normal(deviation: Callable[[Node], str]) -> Callable[[Node], str]:
    return lambda n: f"rng.normal(0.0, {deviation(n)}, {shape_argument(n)})"


def _uniform(bound: Callable[[Node], str]) -> Callable[[Node], str]:
    return lambda n: f"(rng.uniform(-1.0, 1.0, {shape_argument(n)}) * {bound(n)})"


# Variances: LeCun et al. 1998 1/n_in, Glorot & Bengio 2010 2/(n_in + n_out), He et al. 2015 2/n_in.
# A uniform distribution on ±b has the variance b²/3.
INITIALIZERS: dict[str, Callable[[Node], str]] = {
    "zeros": lambda n: f"np.zeros({shape_argument(n)})",
    "ones": lambda n: f"np.ones({shape_argument(n)})",
    "normal": _normal(lambda n: "0.01"),
    "uniform": _uniform(lambda n: "0.01"),
    "lecun_normal": _normal(lambda n: _root(1, _fan_in(n))),
    "lecun_uniform": _uniform(lambda n: _root(3, _fan_in(n))),
    "glorot_normal": _normal(lambda n: _root(2, _both(n))),
    "glorot_uniform": _uniform(lambda n: _root(6, _both(n))),
    "he_normal": _normal(lambda n: _root(2, _fan_in(n))),
    "he_uniform": _uniform(lambda n: _root(6, _fan_in(n))),
}
# The same for scalars: distribution, and its deviation or bound.
PLAIN = {
    "normal": ("normal", "0.01"),
    "uniform": ("uniform", "0.01"),
    "lecun_normal": ("normal", "1.0"),
    "lecun_uniform": ("uniform", "math.sqrt(3.0)"),
    "glorot_normal": ("normal", "1.0"),
    "glorot_uniform": ("uniform", "math.sqrt(3.0)"),
    "he_normal": ("normal", "math.sqrt(2.0)"),
    "he_uniform": ("uniform", "math.sqrt(6.0)"),
}


def check_initializer(init: object, node: Node) -> None:
    """Raise DeclarationError unless `init` can initialise the node."""
    if isinstance(init, str):
        if init not in INITIALIZERS:
            raise DeclarationError(
                f"there is no initialiser {init!r}",
                hint=suggest(init, INITIALIZERS) or f"use one of {', '.join(INITIALIZERS)}",
            )
        if node.dtype.kind != FLOAT and init not in ("zeros", "ones"):
            raise DeclarationError(f"initialiser {init!r} makes floats, not {node.dtype}")
        return
    expected = f"an initialiser of {node.dtype} is a name, a number or an array of the shape"
    try:
        array = plain_array(init)
    except (DTypeError, UnsupportedError) as error:
        message = f"{expected}, got {shown(init)}: {error.message}"
        raise DeclarationError(message, hint=error.hint) from None
    if not holds(node.dtype, array):
        raise DeclarationError(f"{expected}, got {shown(init)}")
    if array.ndim and array.shape != node.shape:
        raise DeclarationError(
            f"the initial value has shape {array.shape}, not that of {node.graph.describe(node)}"
        )


def shown(init: object) -> str:
    """An initial value in a message."""
    if isinstance(init, np.ndarray):
        return f"an array of {init.dtype}"
    try:
        return textwrap.shorten(repr(init), 100, placeholder=" …")
    except ValueError:  # an int of more digits than Python writes
        return f"an {type(init).__name__} of very many digits"


def holds(dtype: DType, array: np.ndarray[Any, Any]) -> bool:
    """Whether a dtype can take the values: floats may lose precision, ints not a bit."""
    if dtype.kind == FLOAT:
        return np.can_cast(array.dtype, dtype.numpy, "same_kind")
    return array.dtype.kind in "biu" and np.array_equal(array.astype(dtype.numpy), array)


def initial_number(init: object, node: Node) -> str:
    """The expression of the initial value of a scalar on Python's numbers.

    `rng` is a random.Random. A scalar has one input and one output.
    """
    if not isinstance(init, str):
        value = np.asarray(init, dtype=node.dtype.numpy).item()
        return repr(value).replace("inf", "math.inf").replace("nan", "math.nan")
    if init in ("zeros", "ones"):
        return repr(np.asarray(init == "ones", node.dtype.numpy).item())
    kind, bound = PLAIN[init]
    return f"rng.gauss(0.0, {bound})" if kind == "normal" else f"rng.uniform(-{bound}, {bound})"


def initial_expression(init: object, node: Node) -> str | np.ndarray[Any, Any]:
    """The template of the initial value; an array where it is one."""
    dtype = node.dtype.source
    if isinstance(init, str):
        text = INITIALIZERS[init](node)
        if init in ("zeros", "ones"):
            return f"{text[:-1]}, {dtype})"
        return f"{text}.astype({dtype})"
    array = np.asarray(init, dtype=node.dtype.numpy)
    if array.ndim:
        return array
    number = repr(array.item()).replace("inf", "np.inf").replace("nan", "np.nan")
    if np.isnan(array) and array.tobytes() != np.array(np.nan, array.dtype).tobytes():
        # This NaN has a sign or a payload.
        bits = array.view(f"u{array.itemsize}")
        number = f"np.{bits.dtype.name}({bits.item():#x}).view({dtype})"
    return f"np.full({shape_argument(node)}, {number}, {dtype})"
