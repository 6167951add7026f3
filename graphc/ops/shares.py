"""The matrices of interpolation: a row of shares for each place in an axis.

Options are named, and defined, as those of ONNX's Resize.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import Emission, size_text
from graphc.ir.graph import current_graph
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op
from graphc.ir.types import DType, Guard, TensorType, as_dtype, bool_, float64
from graphc.ops.operands import operand
from graphc.runtime import interpolation as runtime

ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "tf_half_pixel_for_nn",
    "align_corners", "asymmetric", "tf_crop_and_resize",
)  # fmt: skip


class Resized(NamedTuple):
    """An axis and what it becomes.

    size         how many elements it has
    length       how many it gets
    scale        how many for each that it has; None: length / size
    coordinates  which places in it the new elements have
    region       the part of it that they lie in, of "tf_crop_and_resize": 0 is its first element,
                 and 1 its last
    """

    size: Extent
    length: Extent
    scale: float | None
    coordinates: str
    region: tuple[float, float] | None = None


# --- where the new elements lie ------------------------------------------------------------------


def _places_text(node: Node) -> str:
    """The places of new elements, counted in old ones.

    What divides does so last, and sizes are no quotients, so that a place which is a whole number
    comes out as one: rounding turns there.
    """
    resized: Resized = node.params.resized
    size, length, scale, coordinates, region = resized
    new = f"np.arange({size_text(length)})"
    steps = f"{_less_one(size)} / {_corners(resized)}"
    if coordinates == "align_corners":
        return f"{new} * {steps}"
    if region is not None:
        start, end = region
        spread = f"{start} * {_less_one(size)} + {new} * {end - start} * {steps}"
        middle = f"np.array([{(start + end) / 2} * {_less_one(size)}])"
        return _unless_single(length, spread, middle)
    old = f"/ {scale}" if scale else f"* {_factor(size)} / {_factor(length)}"
    if coordinates == "asymmetric":
        return f"{new} {old}"
    if coordinates == "tf_half_pixel_for_nn":
        return f"({new} + 0.5) {old}"
    if coordinates == "half_pixel_symmetric":
        return f"({new} - {_less_one(length)} / 2) {old} + {_less_one(size)} / 2"
    middles = f"({new} + 0.5) {old} - 0.5"
    single = coordinates == "pytorch_half_pixel"
    return _unless_single(length, middles, "np.zeros(1)") if single else middles


def _places_notation(node: Node) -> str:
    size, length, *_ = node.params.resized
    return f"{node.params.resized.coordinates}({size_text(size)}, {size_text(length)})"


def _factor(size: Extent) -> str:
    text = size_text(size)
    return text if isinstance(size, int) or dims.pure_name(size) else f"({text})"


def _less_one(size: Extent) -> str:
    return _factor(size - 1)


def _corners(resized: Resized) -> str:
    """How far the new corners are apart: by the scale, of which the length is the whole part."""
    size, length, scale, *_ = resized
    if not isinstance(size, int):
        whole = f"{scale} * {_factor(size)}" if scale else size_text(length)
        return f"max({whole} - 1, 1)"
    apart = scale * size - 1 if scale else length - 1
    return str(max(apart, 1)) if isinstance(apart, (int, float)) else f"max({size_text(apart)}, 1)"


def _unless_single(length: Extent, several: str, single: str) -> str:
    if isinstance(length, int):
        return single if length == 1 else several
    return f"{several} if {size_text(length)} > 1 else {single}"


def _places_infer(require: Any, resized: Resized, dtype: DType) -> TensorType:
    size = resized.size
    if not dims.at_least(size, 1, sizes_from=0):
        if isinstance(size, int):
            raise ShapeError("there is nothing to interpolate in an axis of size 0")
        require(Guard(size, ">=", 1, f"interpolation needs {size} >= 1"))
    return TensorType((resized.length,), dtype)


def _places_call(op: Op, *resized: Any) -> Node:
    return places_on(current_graph(), Resized(*resized))


def places_on(graph: Any, resized: Resized) -> Node:
    """The places in a given arena; always float64, of which the weights are rounded."""
    record = interpolation_places.record(resized, float64)
    node: Node = graph.intern(interpolation_places, (), record)
    return node


interpolation_places = Op(
    name="interpolation_places", doc="where in an axis the elements of a resized one lie",
    operands=(), parameters=("resized", "dtype"), noun="places",
    infer=_places_infer, emission=Emission(_places_text, notation=_places_notation),
    call=_places_call, differentiable=False,
    samples=(
        lambda rng: ((4, 6, None, "half_pixel"), {}),
        lambda rng: ((5, 2, 0.5, "half_pixel_symmetric"), {}),
        lambda rng: ((4, 2, 0.6, "align_corners"), {}),
        lambda rng: ((4, 3, None, "tf_crop_and_resize", (0.25, 1.5)), {}),
        lambda rng: ((4, 1, None, "pytorch_half_pixel"), {}),
    ),
)  # fmt: skip


# --- the matrices --------------------------------------------------------------------------------


def _nearest_text(node: Node) -> str:
    return f'nearest_weights({{places}}, {size_text(node.params.size)}, "{node.params.rounding}")'


def _weights_text(node: Node) -> str:
    size, dtype, cubic, scale, exclude_outside = node.params
    options = [f"cubic={cubic}"] if cubic is not None else []
    if scale is not None:
        told = scale if isinstance(scale, float) else " / ".join(map(_factor, scale))
        options.append(f"scale={told}")
    options += ["exclude_outside=True"] if exclude_outside else []
    listed = ["{places}", size_text(size), dtype.source, *options]
    return f"interpolation_weights({', '.join(listed)})"


def _places_sample(*options: Any) -> Draw:
    return lambda rng: ((rng.integers(-1, 9, 6) / 2.0, 4, *options), {})


def _weights_call(
    op: Op, places: Any, size: Any, dtype: Any = float64, cubic: float | None = None,
    scale: Any = None, exclude_outside: bool = False,
) -> Node:  # fmt: skip
    return op.node((operand(places),), size, as_dtype(dtype), cubic, scale, exclude_outside)


nearest_weights = Op(
    name="nearest_weights", doc="for each place a row that is true at the nearest of the elements",
    operands=("places",), parameters=("size", "rounding"), noun="weights",
    infer=lambda require, places, size, rounding: TensorType((*places.shape, size), bool_),
    emission=Emission(
        _nearest_text,
        helpers=(runtime.nearest_weights,), notation="nearest({places})",
    ),
    call=lambda op, places, size, rounding: op.node((operand(places),), size, rounding),
    differentiable=False,
    samples=tuple(_places_sample(rounding) for rounding in ROUNDINGS),
)  # fmt: skip
interpolation_weights = Op(
    name="interpolation_weights", doc="for each place a row with the share of each element in it",
    operands=("places",), noun="weights",
    parameters=("size", "dtype", "cubic", "scale", "exclude_outside"),
    infer=lambda require, places, size, dtype, *options: TensorType((*places.shape, size), dtype),
    emission=Emission(
        _weights_text, helpers=(runtime.interpolation_weights,), notation="shares({places})"
    ),
    call=_weights_call,
    differentiable=False,
    samples=(
        _places_sample(),
        _places_sample("float32", None, 0.5),
        _places_sample("float64", -0.75),
        _places_sample("float64", -0.5, 0.6, True),
    ),
)  # fmt: skip
