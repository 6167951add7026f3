"""Upsampling: images made larger by whole factors."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphcError, suggest
from graphc.ir.node import Node
from graphc.ir.op import function
from graphc.ops.averaging import spread_pool
from graphc.ops.joining import stack
from graphc.ops.padding import pad
from graphc.ops.shape import reshape
from graphc.ops.windows import image, numbers, windows_of

__all__ = ["upsample"]

MODES = ("nearest", "linear", "bilinear")
RANKS = {"linear": 1, "bilinear": 2}  # of the modes that PyTorch names after them


@function
def upsample(x: Any, scale: Any, *, mode: str = "nearest") -> Node:
    """x (batch, channels, …) made larger by whole factors, as PyTorch's `interpolate` does it.

    scale  by how much along each axis: an int, or one for each axis behind the channels
    mode   "nearest" repeats elements; "linear" (of a width) and "bilinear" (of height and width)
           weigh the two nearest ones by distance, with `align_corners=False`
    """
    if mode not in MODES:
        known = ", ".join(map(repr, MODES))
        hint = suggest(str(mode), MODES)
        raise GraphcError(f"upsample: the mode is one of {known}, got {mode!r}", hint=hint)
    result = image("upsample", x, RANKS.get(mode))
    scale = numbers("upsample", "scale", scale, result.ndim - 2, 1)
    if mode == "nearest":
        size = tuple(n * k for n, k in zip(result.shape[2:], scale, strict=True))
        windows = windows_of("upsample", scale, len(scale), scale, 0)
        return spread_pool.node((result,), size, windows)
    for axis, factor in enumerate(scale, 2):
        result = _interpolated(result, axis, factor)
    return result


def _interpolated(x: Node, axis: int, factor: int) -> Node:
    """x with as many elements in place of each along an axis, between it and its neighbours."""
    if factor == 1:
        return x
    widths = [(1, 1) if i == axis else (0, 0) for i in range(x.ndim)]
    wide = x.graph.hint(pad(x, widths, "edge"), "wide")
    before, behind = (
        wide[(slice(None),) * axis + (part,)] for part in (slice(None, -2), slice(2, None))
    )
    between = []
    for place in range(factor):
        distance = (place + 0.5) / factor - 0.5  # from the middle of an element
        part = abs(distance)
        neighbour = before if distance < 0 else behind
        between.append((1 - part) * x + part * neighbour if part else x)
    shape = (*x.shape[:axis], x.shape[axis] * factor, *x.shape[axis + 1 :])
    result: Node = reshape(stack(between, axis + 1), shape)
    return result
