"""Initialisers of parameters, as expressions of a generator `rng` that stand in `init_params`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.errors import DeclarationError, suggest
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import size_text, tuple_text
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.ops.families import numpy_name


def fans(node: Node) -> tuple[Extent, Extent]:
    """How many inputs and outputs a unit has, for weights used as `x @ W`: (inputs, outputs)."""
    if node.ndim < 2:
        size = dims.product(node.shape)
        return size, size
    field = dims.product(node.shape[:-2])
    return node.shape[-2] * field, node.shape[-1] * field


def _scaled(gain: float, fan: Extent | float) -> str:
    if isinstance(fan, dims.Dim):
        return f"np.sqrt({gain:g} / ({size_text(fan)}))"
    return repr(math.sqrt(gain / fan)) if fan else "0.0"


def _mean(node: Node) -> Extent | float:
    fan_in, fan_out = fans(node)
    total = fan_in + fan_out
    return total / 2 if isinstance(total, int) else dims.floor_divide(total, 2)


def _normal(gain: float, fan: Callable[[Node], Extent | float]) -> Callable[[Node], str]:
    return lambda n: f"rng.normal(0.0, {_scaled(gain, fan(n))}, {tuple_text(n.shape)})"


def _uniform(gain: float, fan: Callable[[Node], Extent | float]) -> Callable[[Node], str]:
    def text(node: Node) -> str:
        bound = _scaled(3 * gain, fan(node))  # the variance of a uniform on ±b is b²/3
        return f"rng.uniform(-{bound}, {bound}, {tuple_text(node.shape)})"

    return text


# LeCun et al. 1998 (variance 1/n_in), Glorot & Bengio 2010 (2/(n_in + n_out)), He et al. 2015 (2/n_in).
INITIALIZERS: dict[str, Callable[[Node], str]] = {
    "zeros": lambda n: f"np.zeros({tuple_text(n.shape)})",
    "ones": lambda n: f"np.ones({tuple_text(n.shape)})",
    "normal": _normal(1.0, lambda n: 10_000),  # standard deviation 0.01
    "uniform": _uniform(1.0, lambda n: 30_000),  # on ±0.01
    "lecun_normal": _normal(1.0, lambda n: fans(n)[0]),
    "lecun_uniform": _uniform(1.0, lambda n: fans(n)[0]),
    "glorot_normal": _normal(1.0, _mean),
    "glorot_uniform": _uniform(1.0, _mean),
    "he_normal": _normal(2.0, lambda n: fans(n)[0]),
    "he_uniform": _uniform(2.0, lambda n: fans(n)[0]),
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
    try:
        array = np.asarray(init, dtype=node.dtype.numpy)
    except (TypeError, ValueError):
        raise DeclarationError(
            f"an initialiser is a name, a number or an array, got {init!r}"
        ) from None
    if array.ndim and array.shape != node.shape:
        raise DeclarationError(
            f"the initial value has shape {array.shape}, not that of {node.graph.describe(node)}"
        )


def initial_expression(init: object, node: Node) -> str | np.ndarray[Any, Any]:
    """The template of the initial value; an array where it is one."""
    dtype = f"np.{numpy_name(node.dtype)}"
    if isinstance(init, str):
        text = INITIALIZERS[init](node)
        if init in ("zeros", "ones"):
            return f"{text[:-1]}, {dtype})"
        return f"{text}.astype({dtype})"
    array = np.asarray(init, dtype=node.dtype.numpy)
    if array.ndim:
        return array
    return f"np.full({tuple_text(node.shape)}, {array.item()!r}, {dtype})"
