"""Interpolation: arrays made larger or smaller, by products with a small matrix along each axis.

A row of a matrix belongs to an element of the result, and holds the share that each element of the
axis has in it. Options are named, and defined, as those of ONNX's Resize.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ir.op import function
from graphc.ops.averaging import spread_pool
from graphc.ops.elementwise import clip, where
from graphc.ops.operands import (
    axis_of,
    cast,
    flag,
    number,
    operand,
    require_float,
    require_number,
    require_one,
)
from graphc.ops.shape import as_count, expand_dims, matrix_transpose, reshape
from graphc.ops.shares import (
    COORDINATES,
    ROUNDINGS,
    Resized,
    interpolation_weights,
    nearest_weights,
    places_on,
)
from graphc.ops.windows import image, numbers, windows_of

__all__ = ["interpolate", "upsample"]

MODES = ("nearest", "linear", "cubic")


def _product(x: Node, axis: int, weights: Node) -> Node:
    """Each element along an axis replaced by the sum of all, times its row of weights."""
    if axis == x.ndim - 1:
        result: Node = x @ matrix_transpose(weights)
        return result
    before, behind = x.shape[:axis], x.shape[axis + 1 :]
    product = weights @ reshape(x, (*before, x.shape[axis], dims.product(behind)))
    return reshape(product, (*before, weights.shape[0], *behind))


# --- what users write ----------------------------------------------------------------------------


class Kernel(NamedTuple):
    """How elements are weighed by their distance; see `interpolate`."""

    mode: str
    rounding: str
    cubic: float
    exclude_outside: bool
    antialias: bool


def _resized(x: Node, axis: int, resized: Resized, kernel: Kernel, extrapolation: float) -> Node:
    """x with another length of an axis."""
    hint, size, scale = x.graph.hint, resized.size, resized.scale
    places = hint(places_on(x.graph, resized), "places")
    inside = (places >= 0.0) & (places <= size - 1) if resized.region else None
    if inside is not None:  # what lies outside has no neighbours to be weighed
        places = clip(places, 0.0, size - 1)
    if kernel.mode == "nearest":
        weights = cast(nearest_weights.node((places,), size, kernel.rounding), x.dtype)
    else:
        cubic = kernel.cubic if kernel.mode == "cubic" else None
        if scale is None:
            both = (resized.length, size)
            fixed = all(isinstance(n, int) for n in both)
            scale = resized.length / size if fixed else both  # type: ignore[operator, assignment]
        less = kernel.antialias and not (isinstance(scale, float) and scale >= 1)
        weights = interpolation_weights.node(
            (places,), size, x.dtype, cubic, scale if less else None, kernel.exclude_outside
        )
    result = _product(x, axis, hint(weights, "weights"))
    if inside is None:
        return result
    behind = tuple(range(1, x.ndim - axis))
    return where(expand_dims(inside, behind), result, extrapolation)


def _repeats(resized: Resized, kernel: Kernel) -> int | None:
    """How many times each element stands in a row, where that is all there is to do."""
    size, length, scale, coordinates, region = resized
    times = 1 if length == size else dims.exact_quotient(length, size) if size != 0 else None
    if not isinstance(times, int) or times < 1 or scale not in (None, times):
        return None
    middles = ("half_pixel", "half_pixel_symmetric")
    nearest = (coordinates in middles and kernel.rounding.startswith("round")) or (
        coordinates == "asymmetric" and kernel.rounding == "floor"
    )
    same = times == 1 and region in (None, (0.0, 1.0))
    return times if same or (kernel.mode == "nearest" and nearest) else None


@function
def interpolate(
    x: Any, size: Any = None, *, scale: Any = None, axes: Any = None, mode: str = "nearest",
    coordinates: str | None = None, rounding: str = "floor", cubic: float = -0.75,
    exclude_outside: bool = False, antialias: bool = False, region: Any = None,
    extrapolation: float = 0.0,
) -> Node:  # fmt: skip
    """x with other lengths of some axes, as PyTorch's `interpolate` and ONNX's Resize make it.

    size         the lengths: one, or one for each axis
    scale        or by how much axes get longer, of which the whole part is taken; beside a size,
                 what coordinates are computed by
    axes         which axes; those behind batch and channels unless given
    mode         "nearest"; "linear" in the distance, as PyTorch's bilinear and trilinear; "cubic"
    coordinates  where new elements lie, by the names in ONNX: "asymmetric" for nearest and
                 "half_pixel" for others unless given; "align_corners" and four more
    rounding     of the places of nearest elements: "floor", "ceil", "round_prefer_floor" or
                 "round_prefer_ceil" (which is PyTorch's "nearest-exact", with "half_pixel")
    cubic        the coefficient of the cubic: -0.75, or -0.5 for Keys' and for antialiased ones
    exclude_outside  what lies beyond the ends has no share; else the outermost elements stand there
    antialias    where axes get shorter, shares fall as slowly as new elements are apart; PyTorch's
                 has `exclude_outside` too
    region       for "tf_crop_and_resize" the pairs (start, end) of the part that is resized, where
                 0 is the first element and 1 the last
    extrapolation  the value of what lies outside then

    Elements that are infinite or NaN reach all of their axis, but where elements are repeated.
    Raises GraphcError for what is none of these, and ShapeError for axes that do not exist.
    """
    op = "interpolate"
    x = require_number(op, operand(x))
    if coordinates is None:
        coordinates = "asymmetric" if mode == "nearest" else "half_pixel"
    require_one(op, "mode", mode, MODES)
    require_one(op, "rounding", rounding, ROUNDINGS)
    require_one(op, "coordinates", coordinates, COORDINATES)
    if mode != "nearest":
        require_float(op, x)
    kernel = Kernel(
        mode, rounding, number(op, "cubic", cubic), flag(op, "exclude_outside", exclude_outside),
        flag(op, "antialias", antialias),
    )  # fmt: skip
    if antialias and mode == "nearest":
        raise GraphcError(f"{op}: antialias is for modes 'linear' and 'cubic', not 'nearest'")
    extrapolation = number(op, "extrapolation", extrapolation)
    listed = [*range(2, image(op, x, floating=False).ndim)] if axes is None else _several(axes)
    chosen = [axis_of(op, axis, x) for axis in listed]
    if len(set(chosen)) != len(chosen):
        raise ShapeError(f"{op}: an axis occurs twice in {axes!r}")
    scales = [None] * len(chosen) if scale is None else _scales(op, scale, len(chosen))
    lengths = _lengths(op, x, chosen, size, scales)
    regions = _regions(op, coordinates, region, len(chosen))
    settings = zip(chosen, lengths, scales, regions, strict=True)
    resized = {
        axis: Resized(x.shape[axis], length, factor, coordinates, part)
        for axis, length, factor, part in settings
    }
    times = {axis: _repeats(each, kernel) for axis, each in resized.items()}
    result = _repeated(x, {axis: n for axis, n in times.items() if n and n > 1 and axis > 1})
    for axis, each in sorted(resized.items(), key=lambda item: (_lengthening(item[1]), item[0])):
        if times[axis] is None or (times[axis] != 1 and axis < 2):
            result = _resized(result, axis, each, kernel, extrapolation)
    return result


def _repeated(x: Node, times: dict[int, int]) -> Node:
    """x with each element as many times in a row along some of the axes behind the channels."""
    if not times:
        return x
    kernel = tuple(times.get(axis, 1) for axis in range(2, x.ndim))
    size = tuple(n * k for n, k in zip(x.shape[2:], kernel, strict=True))
    windows = windows_of("interpolate", kernel, len(kernel), kernel, 0)
    return spread_pool.node((x,), size, windows)


def _lengthening(resized: Resized) -> float:
    """What axes are sorted by for as few multiplications as can be; named sizes tell nothing.

    One of n elements that become m before one of n' that become m': m n n' + m n' m' of them. That
    is less than the other way round if 1/n - 1/m is less than 1/n' - 1/m'.
    """
    n, m = resized.size, resized.length
    return 1 / n - 1 / m if isinstance(n, int) and isinstance(m, int) and n and m else 0.0


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _scales(op: str, scale: Any, count: int) -> list[float]:
    several = list(scale) if isinstance(scale, (tuple, list)) else [scale] * count
    values = [number(op, "scale", each) for each in several]
    if len(values) != count or any(value <= 0 for value in values):
        raise GraphcError(f"{op}: scale is one or {count} positive numbers, got {scale!r}")
    return values


def _lengths(op: str, x: Node, axes: list[int], size: Any, scales: list[Any]) -> list[Extent]:
    """The new length of each axis, by size or by scale."""
    if size is not None:
        several = list(size) if isinstance(size, (tuple, list)) else [size] * len(axes)
        if len(several) != len(axes):
            raise GraphcError(f"{op}: size is one or {len(axes)} sizes, got {size!r}")
        return [as_count(op, each) for each in several]
    if None in scales:
        raise GraphcError(f"{op} needs a size or a scale")
    return [scaled(x.shape[axis], scale) for axis, scale in zip(axes, scales, strict=True)]


def scaled(size: Extent, scale: float) -> Extent:
    """The whole part of a size times a scale."""
    if isinstance(size, int):
        return math.floor(size * scale)
    factor = Fraction(repr(scale))
    return dims.floor_divide(size * factor.numerator, factor.denominator)


def _regions(
    op: str, coordinates: str, region: Any, count: int
) -> list[tuple[float, float] | None]:
    """The part of each axis that is resized."""
    if (region is not None) != (coordinates == "tf_crop_and_resize"):
        raise GraphcError(f"{op}: a region goes with coordinates 'tf_crop_and_resize'")
    if region is None:
        return [None] * count
    pairs = [_several(pair) for pair in _several(region)]
    if len(pairs) != count or any(len(pair) != 2 for pair in pairs):
        raise GraphcError(f"{op}: region is {count} pairs (start, end), got {region!r}")
    return [(number(op, "region", start), number(op, "region", end)) for start, end in pairs]


UPSAMPLING = ("nearest", "linear", "bilinear")
RANKS = {"linear": 1, "bilinear": 2}  # of the modes that PyTorch names after them


@function
def upsample(x: Any, scale: Any, *, mode: str = "nearest") -> Node:
    """x (batch, channels, …) made larger by whole factors, as PyTorch's `interpolate` does it.

    The simple case of `gc.interpolate`.

    scale  by how much along each axis: an int, or one for each axis behind the channels
    mode   "nearest" repeats elements; "linear" (of a width) and "bilinear" (of height and width)
           weigh the two nearest ones by distance, with `align_corners=False`
    """
    require_one("upsample", "mode", mode, UPSAMPLING)
    x = image("upsample", x, RANKS.get(mode))
    factors = numbers("upsample", "scale", scale, x.ndim - 2, 1)
    return interpolate(x, scale=factors, mode="nearest" if mode == "nearest" else "linear")
