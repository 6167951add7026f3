"""Resize, and Upsample that came before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc import ops
from graphc.errors import ShapeError
from graphc.frontends.onnx.registry import Call, maps
from graphc.frontends.onnx.tensors import shortest
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ops.interpolation import scaled
from graphc.ops.operands import axis_of


@maps("Resize", since=11)
def resize(
    call: Call, x: Node, roi: Node | None = None, scales: Node | None = None,
    sizes: Node | None = None, *, mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel", nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
    antialias: int = 0, axes: tuple[int, ...] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Node:  # fmt: skip
    """Interpolation along axes, by scales or to sizes."""
    chosen = [axis_of("Resize", axis, x) for axis in (range(x.ndim) if axes is None else axes)]
    options: dict[str, Any] = {
        "mode": mode,
        "coordinates": coordinate_transformation_mode,
        "rounding": nearest_mode,
        "cubic": cubic_coeff_a,
        "exclude_outside": bool(exclude_outside),
        "antialias": bool(antialias),
    }
    if coordinate_transformation_mode == "tf_crop_and_resize":
        ends = call.array(roi, "roi").tolist() if roi is not None else []
        if len(ends) != 2 * len(chosen):
            call.refuse(f"roi is {2 * len(chosen)} numbers, got {len(ends)}")
        region = list(zip(ends[: len(chosen)], ends[len(chosen) :], strict=True))
        options |= {"region": region, "extrapolation": extrapolation_value}
    if sizes is not None and given(sizes):
        listed = call.sizes(sizes, "sizes")
        if keep_aspect_ratio_policy == "stretch":
            return ops.interpolate(x, listed, axes=chosen, **options)
        lengths, factor = in_proportion(call, x, chosen, listed, keep_aspect_ratio_policy)
        return ops.interpolate(x, lengths, scale=factor, axes=chosen, **options)
    if scales is None or not given(scales):
        call.refuse("Resize needs scales or sizes")
    return by_scales(x, chosen, decimals(call, scales, len(chosen)), options)


@maps("Upsample", since=9, until=9)
@maps("Resize", since=10, until=10)
def resize_simply(call: Call, x: Node, scales: Node, *, mode: str = "nearest") -> Node:
    """Interpolation by scales, from the first element on."""
    return by_simple_scales(x, decimals(call, scales, x.ndim), mode)


@maps("Upsample", since=7, until=8)
def upsample(call: Call, x: Node, *, scales: tuple[float, ...], mode: str = "nearest") -> Node:
    """The same, with scales that are an attribute."""
    return by_simple_scales(x, list(scales), mode)


def by_simple_scales(x: Node, scales: list[float], mode: str) -> Node:
    """Of nearest elements the standard tells no rounding: as onnxruntime's, up for shorter axes."""
    mode = "nearest" if mode == "nearest" else "linear"  # and "bilinear"
    if len(scales) != x.ndim:
        raise ShapeError(f"{x.ndim} axes have as many scales, got {len(scales)}")
    for rounding, shorter in (("floor", False), ("ceil", True)):
        axes = [axis for axis, scale in enumerate(scales) if (scale < 1) == shorter]
        options = {"mode": mode, "coordinates": "asymmetric", "rounding": rounding}
        x = by_scales(x, axes, [scales[axis] for axis in axes], options)
    return x


def by_scales(x: Node, axes: list[int], scales: list[float], options: dict[str, Any]) -> Node:
    """Lengths are products of 32 bits, as onnxruntime's: 0.7 of 10 elements are 7."""
    if len(scales) != len(axes) or not all(0 < scale < np.inf for scale in scales):
        raise ShapeError(f"{len(axes)} axes have as many scales, all above 0, got {scales}")
    lengths = [length_of(x.shape[axis], scale) for axis, scale in zip(axes, scales, strict=True)]
    return ops.interpolate(x, lengths, scale=scales, axes=axes, **options)


def length_of(size: Extent, scale: float) -> Extent:
    """The length of an axis that is scaled."""
    return (
        int(np.float32(size) * np.float32(scale)) if isinstance(size, int) else scaled(size, scale)
    )


def in_proportion(
    call: Call, x: Node, axes: list[int], sizes: tuple[Extent, ...], policy: str
) -> tuple[list[int], float]:
    """The lengths with which all axes have one scale: of the smallest, or of the largest."""
    if len(sizes) != len(axes):
        call.refuse(f"{len(axes)} axes have as many sizes, got {len(sizes)}")
    both = [(x.shape[axis], size) for axis, size in zip(axes, sizes, strict=True)]
    known = [(n, size) for n, size in both if isinstance(n, int) and isinstance(size, int)]
    if len(known) < len(both) or policy not in ("not_larger", "not_smaller"):
        call.refuse(f"keep_aspect_ratio_policy {policy!r} needs sizes that are known: {both}")
    factors = [size / n for n, size in known]
    factor = min(factors) if policy == "not_larger" else max(factors)
    return [int(factor * n + 0.5) for n, _ in known], factor


def given(value: Node) -> bool:
    """An input that is left out may also be an empty tensor."""
    return value.shape != (0,)


def decimals(call: Call, scales: Node, count: int) -> list[float]:
    """Numbers of 32 bits as the shortest decimals that are stored as they are."""
    values = call.array(scales, "scales")
    if values.shape != (count,):
        call.refuse(f"scales are {count} numbers, got {values.size}")
    return [shortest(value) for value in values]
