"""What depends on the order of elements: the places of extrema, and sorting.

Places are int64 and have no derivative. Sorted values are the elements themselves in another order,
so their derivative is that order; equal elements stay in the order that they have.
"""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import Emission, size_text
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import Guard, TensorType, int64
from graphc.ops.coordinates import take_along_axis
from graphc.ops.families import composite, without_axes
from graphc.ops.operands import axis_of, flag, operand, require_rank, size_node
from graphc.ops.rearranging import flip
from graphc.ops.shape import as_count
from graphc.runtime import ordering as runtime

__all__ = ["argmax", "argmin", "argsort", "sort", "top_k"]


def mirrored(places: Node, size: Extent) -> Node:
    """The same places along an axis, counted from its other end."""
    from_end: Node = size_node(places.graph, size - 1, int64) - places
    return from_end


# --- the places of extrema ---------------------------------------------------------------------


def _extremum_infer(require: Any, x: TensorType, axis: int | None, keepdims: bool) -> TensorType:
    axes = tuple(range(len(x.shape))) if axis is None else (axis,)
    return TensorType(without_axes(x.shape, axes, keepdims), int64)


def _extremum_text(node: Node, *more: str) -> str:
    axis, keepdims = node.params
    options = [f"axis={axis}"] * (axis is not None) + ["keepdims=True"] * keepdims
    return f"{{x}}.{node.op.name}({', '.join((*options, *more))})"


def _extremum_notation(node: Node) -> str:
    axis = node.params.axis
    return f"{node.op.name}({{x}}{'' if axis is None else f', axis={axis}'})"


def _extremum_call(
    op: Op, x: Any, axis: int | None = None, keepdims: bool = False, *, last: bool = False
) -> Node:
    x = operand(x)
    chosen = None if axis is None else axis_of(op.name, axis, x)
    size = x.size if chosen is None else x.shape[chosen]
    if size == 0:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"{op.name}: of nothing there is no extremum: {name}")
    kept = flag(op.name, "keepdims", keepdims)
    if not flag(op.name, "last", last):
        return op.node((x,), chosen, kept)
    if chosen is None:
        from_end = op.node((flip(x.reshape(-1), 0),), None, False)
        place = mirrored(from_end, size)
        return place.reshape((1,) * x.ndim) if kept else place
    return mirrored(op.node((flip(x, chosen),), chosen, kept), size)


def _extremum(name: str, which: str) -> Op:
    samples: tuple[Draw, ...] = (
        lambda rng: ((rng.normal(size=(2, 3)),), {}),
        lambda rng: ((rng.normal(size=(2, 3, 2)), 1), {"keepdims": True}),
        lambda rng: ((rng.integers(0, 2, (2, 4)).astype(float), -1), {}),
    )
    return Op(
        name=name,
        doc=f"""the place of the {which} element of x along an axis, or in all of x

The first one, or with last=True the last one, of those that are equal; int64. Without an axis it is
the place in x as one row (C order). Raises ShapeError where there are no elements.""",
        operands=("x",), parameters=("axis", "keepdims"),
        infer=_extremum_infer,
        emission=Emission(
            _extremum_text, lambda node: _extremum_text(node, "out={out}"),
            notation=_extremum_notation,
        ),
        call=_extremum_call, differentiable=False, samples=samples,
    )  # fmt: skip


argmax = _extremum("argmax", "largest")
argmin = _extremum("argmin", "smallest")

# --- sorting -----------------------------------------------------------------------------------


def _argsort_call(op: Op, x: Any, axis: int = -1, *, descending: bool = False) -> Node:
    x = require_rank(op.name, operand(x), 1)
    chosen = axis_of(op.name, axis, x)
    if not flag(op.name, "descending", descending):
        return op.node((x,), chosen)
    # Of equal elements the first one is the last of the flipped ones, and so first again.
    order = op.node((flip(x, chosen),), chosen)
    return mirrored(flip(order, chosen), x.shape[chosen])


_SAMPLES: tuple[Draw, ...] = (
    lambda rng: ((rng.normal(size=(2, 4)),), {}),
    lambda rng: ((rng.permutation(12).reshape(3, 2, 2) / 2.0, 0), {}),
    lambda rng: ((rng.normal(size=(0, 3)), 0), {}),
)

argsort = Op(
    name="argsort",
    doc="""the places of the elements of x along an axis, in the order that sorts them

Stable: equal elements keep their order, with descending=True too. int64.""",
    operands=("x",), parameters=("axis",), noun="order",
    infer=lambda require, x, axis: TensorType(x.shape, int64),
    emission=Emission(
        lambda node: f'{{x}}.argsort(axis={node.params.axis}, kind="stable")',
        notation=lambda node: f"argsort({{x}}, axis={node.params.axis})",
    ),
    call=_argsort_call, differentiable=False,
    samples=(*_SAMPLES, lambda rng: ((rng.integers(0, 3, (2, 6)).astype(float),), {})),
)  # fmt: skip


def _sort_call(op: Op, x: Any, axis: int = -1, *, descending: bool = False) -> Node:
    x = require_rank(op.name, operand(x), 1)
    node = op.node((x,), axis_of(op.name, axis, x))
    return flip(node, node.params.axis) if flag(op.name, "descending", descending) else node


sort = composite(
    "sort", "the elements of x along an axis from the smallest to the largest, or back",
    parameters=("axis",),
    body=lambda x, axis: take_along_axis(x, argsort(x, axis), axis),
    emission=Emission(
        lambda node: f"np.sort({{x}}, axis={node.params.axis})",
        notation=lambda node: f"sort({{x}}, axis={node.params.axis})",
    ),
    call=_sort_call, samples=_SAMPLES,
)  # fmt: skip


def _top_infer(require: Any, x: TensorType, count: Extent, axis: int, largest: bool) -> TensorType:
    size = x.shape[axis]
    if not dims.at_least(size, count, sizes_from=0):
        require(Guard(size, ">=", count, f"top_k needs {size} >= {count}"))
    return TensorType((*x.shape[:axis], count, *x.shape[axis + 1 :]), int64)


def _top_text(node: Node) -> str:
    count, axis, largest = node.params
    return f"top_places({{x}}, {size_text(count)}, axis={axis}, largest={largest})"


top_places = Op(
    name="top_places", doc="the places of so many of the largest or smallest elements (gc.top_k)",
    operands=("x",), parameters=("count", "axis", "largest"), noun="places",
    infer=_top_infer,
    emission=Emission(
        _top_text, helpers=(runtime.stable_order, runtime.top_places), notation=_top_text
    ),
    call=lambda op, x, count, axis, largest: op.node((operand(x),), count, axis, largest),
    differentiable=False,
    samples=(
        lambda rng: ((rng.normal(size=(2, 5)), 3, 1, True), {}),
        lambda rng: ((rng.integers(0, 3, (6, 2)).astype(float), 3, 0, False), {}),
        lambda rng: ((rng.integers(0, 3, 4).astype(float), 4, 0, True), {}),
        lambda rng: ((rng.normal(size=(0, 3)), 0, 0, True), {}),
    ),
)  # fmt: skip


@function
def top_k(x: Any, k: Extent, axis: int = -1, *, largest: bool = True) -> tuple[Node, Node]:
    """The k largest elements along an axis, or smallest ones, sorted, and their places (int64).

    Of equal elements the first comes first. The values are differentiable. Raises ShapeError where
    there are fewer than k elements; the module does, where their number is a named size.
    """
    x = require_rank("top_k", operand(x), 1)
    chosen = axis_of("top_k", axis, x)
    count, size = as_count("top_k", k), x.shape[chosen]
    if isinstance(size, int) and isinstance(count, int) and count > size:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"top_k: {count} elements of axis {chosen} of {name}")
    places = top_places.node((x,), count, chosen, flag("top_k", "largest", largest))
    return take_along_axis(x, places, chosen), places
