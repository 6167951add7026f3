"""Reductions over axes. The cotangent is put back on the axes that were reduced away."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from graphc.errors import GraphcError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import Emission
from graphc.ir.intervals import NOT_NEGATIVE, Interval
from graphc.ir.node import Node
from graphc.ir.op import JVP, VJP, Draw, Op
from graphc.ir.types import FLOAT, TensorType, bool_, float32, int64
from graphc.ops.elementwise import mask, sqrt, square, stop_gradient, where
from graphc.ops.families import Kinked, composite, given, linear, without_axes
from graphc.ops.operands import axes_of, cast, flag, operand, size_node
from graphc.ops.shape import arange_on, broadcast_to, expand_dims, permute_dims, reshape
from graphc.runtime import arrays

__all__ = ["max", "mean", "min", "prod", "std", "sum", "var"]


def restored(reduced: Node, y: Node) -> Node:
    """A value of the shape of y, with the axes that y lost put back as axes of size 1."""
    if y.params.keepdims or not y.params.axes:
        return reduced
    return expand_dims(reduced, y.params.axes)


def spread(reduced: Node, y: Node) -> Node:
    """A value of the shape of y, repeated along the axes that y reduced."""
    return broadcast_to(restored(reduced, y), y.args[0].shape)


def reduced_size(x: Node, axes: tuple[int, ...]) -> Extent:
    """How many elements go into one result."""
    return dims.product(tuple(x.shape[axis] for axis in axes))


def _infer(require: Any, x: TensorType, axes: tuple[int, ...], keepdims: bool) -> TensorType:
    return TensorType(without_axes(x.shape, axes, keepdims), x.dtype)


def _call(op: Op, x: Any, axis: Any = None, keepdims: bool = False) -> Node:
    x = operand(x)
    return op.node((x,), axes_of(op.name, axis, x), flag(op.name, "keepdims", keepdims))


def _float_call(op: Op, x: Any, axis: Any = None, keepdims: bool = False) -> Node:
    return _call(op, operand(x, floating=True), axis, keepdims)


def _count_call(op: Op, x: Any, axis: Any = None, keepdims: bool = False) -> Node:
    x = operand(x)
    kept = x.dtype.kind == FLOAT or x.dtype.name == "uint64"
    return _call(op, x if kept else x.astype(int64), axis, keepdims)


def options_text(node: Node) -> str:
    """The arguments of a reduction as a method: `axis=1, keepdims=True`."""
    axes = node.params.axes
    options = []
    if len(axes) != node.args[0].ndim:
        options.append(f"axis={axes[0] if len(axes) == 1 else axes}")
    if node.params.keepdims:
        options.append("keepdims=True")
    return ", ".join(options)


def _method(name: str, *more: str, sign: str = "") -> Emission:
    def text(node: Node, *last: str) -> str:
        options = options_text(node) or ("axis=None" if last else "")
        return f"{{x}}.{name}({', '.join(filter(None, (options, *more, *last)))})"

    def into(node: Node) -> str:
        if name == "mean" and node.dtype.itemsize == 2:
            # NumPy would write the sum there first, and float16 has no numbers above 65504.
            return f"np.copyto({{out}}, {text(node)})"
        return text(node, "out={out}")

    def notation(node: Node) -> str:
        return f"{sign or name}{_axes_told(node)}({{x}})"

    return Emission(text, into, "{x}", notation=notation)


def _axes_told(node: Node) -> str:
    """The axes of a reduction in mathematics, as in `Σ_batch`: by name, or else by place."""
    axes, shape = node.params.axes, node.args[0].shape
    if len(axes) == len(shape):
        return ""
    names = [dims.pure_name(size) for size in shape]
    told = [n if n and names.count(n) == 1 else f"axis{i}" for i, n in enumerate(names)]
    return "".join(f"_{told[axis]}" for axis in axes)


def _samples(*, of_nothing: bool = False) -> tuple[Draw, ...]:
    """No axes, one, several, none to reduce; `of_nothing` where that has a value."""
    cases: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((2, 3), {}),
        ((2, 3), {"axis": 0}),
        ((2, 3, 2), {"axis": (0, -1), "keepdims": True}),
        ((), {}),
        ((0, 3), {"axis": 1}),
    ]
    if of_nothing:
        cases.append(((0, 3), {"axis": 0}))

    def sample(shape: tuple[int, ...], options: dict[str, Any]) -> Draw:
        return lambda rng: ((rng.uniform(-2, 2, shape),), options)

    return tuple(sample(*case) for case in cases)


def _sum_bounds(node: Node, x: Interval) -> Interval:
    """A sum may have no terms, or any number of them."""
    return Interval(0.0 if x.low >= 0 else -inf, 0.0 if x.high <= 0 else inf)


sum = linear(
    "sum", "the sum of x over axes", noun="total",
    parameters=("axes", "keepdims"), infer=_infer, emission=_method("sum", sign="Σ"),
    transpose=spread, call=_count_call, samples=_samples(of_nothing=True), bounds=_sum_bounds,
)  # fmt: skip


def _mean_share(bar: Node, size: Extent) -> Node:
    """A number over a size, which may be above all numbers of float16."""
    kind = bar.dtype if bar.dtype.itemsize > 2 else float32
    return cast(cast(bar, kind) / size_node(bar.graph, size, kind), bar.dtype)


mean = linear(
    "mean", "the sum of x over axes, divided by the number of its terms",
    parameters=("axes", "keepdims"), infer=_infer, emission=_method("mean"),
    transpose=lambda bar, y: spread(
        _mean_share(bar, reduced_size(y.args[0], y.params.axes)), y
    ),
    call=_float_call, samples=_samples(), bounds=lambda node, x: x,
)  # fmt: skip


def fitted(contribution: Node, node: Node) -> Node:
    """A contribution in the shape and dtype of its node: the transpose of broadcasting and casting.

    What was repeated is summed over.
    """
    if contribution.type == node.type:
        return contribution
    extra = contribution.ndim - node.ndim
    stretched = tuple(
        extra + axis
        for axis, size in enumerate(node.shape)
        if size == 1 and contribution.shape[extra + axis] != 1
    )
    if extra and stretched:
        contribution = reshape(sum(contribution, (*range(extra), *stretched)), node.shape)
    elif extra:
        contribution = sum(contribution, tuple(range(extra)))
    elif stretched:
        contribution = sum(contribution, stretched, keepdims=True)
    return cast(contribution, node.dtype)


# --- extrema -----------------------------------------------------------------------------------


def _extremum(name: str, doc: str, sign: int) -> Op:
    def shared(g: Node, y: Node, x: Node) -> Node:
        """The slope at each element: 1 over the number of ties at the extremum, 0 elsewhere."""
        ties = x == restored(y, y)
        counts = sum(ties.astype(y.dtype), *y.params)
        return mask(g, ties) / restored(counts, y)

    def first(g: Node, y: Node, x: Node) -> Node:
        own = x if sign > 0 else -x
        return mask(g, first_maximum.node((own,), y.params.axes))

    rule = Kinked(torch=shared, jax=shared, textbook=first)

    def vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
        if not node.params.axes:
            return bar
        chosen: Callable[..., Node] = getattr(rule, kinks)
        return chosen(restored(bar, node), node, node.args[0])

    def jvp(node: Node, tangents: tuple[Any, ...], kinks: str) -> Node:
        if not node.params.axes:
            return given(tangents)
        weighted = getattr(rule, kinks)(tangents[0], node, node.args[0])
        return sum(weighted, node.params.axes, node.params.keepdims)

    even = f"{name} over axes, ties: shared evenly"
    return Op(
        name=name, doc=doc, operands=("x",), parameters=("axes", "keepdims"), noun=f"{name}imum",
        infer=_infer, emission=_method(name), call=_call, vjp=vjp, jvp=jvp,
        bounds=lambda node, x: x,
        kink={"torch": even, "jax": even, "textbook": f"{name} over axes, ties: the first"},
        samples=_samples(),
    )  # fmt: skip


max = _extremum("max", "the largest element of x over axes", 1)
min = _extremum("min", "the smallest element of x over axes", -1)
peak = Op(
    name="peak", doc="the largest element of x over axes, and -inf where there is none",
    operands=("x",), parameters=("axes", "keepdims"), noun="maximum",
    infer=_infer, emission=_method("max", "initial=-np.inf"), call=_float_call,
    differentiable=False, bounds=lambda node, x: Interval(-inf, x.high),
    samples=_samples(of_nothing=True),
)  # fmt: skip


def largest(x: Node, axes: tuple[int, ...]) -> Node:
    """What to shift or to scale by: the maximum on axes of size 1, -inf if it is of nothing."""
    several = all(isinstance(x.shape[axis], int) and x.shape[axis] != 0 for axis in axes)
    return stop_gradient((max if several else peak).node((x,), axes, True))


first_maximum = Op(
    name="first_maximum", doc="true at the first of the largest elements over axes",
    operands=("x",), parameters=("axes",),
    infer=lambda require, x, axes: TensorType(x.shape, bool_),
    emission=Emission(
        lambda node: f"first_maximum({{x}}, {node.params.axes})", helpers=(arrays.first_maximum,)
    ),
    call=lambda op, x, axis=None: op.node((operand(x),), axes_of(op.name, axis, operand(x))),
    differentiable=False,
    samples=(
        lambda rng: ((rng.integers(0, 3, (3, 4)).astype(float),), {}),
        lambda rng: ((rng.integers(0, 3, (3, 4, 2)).astype(float), (0, 2)), {}),
    ),
)  # fmt: skip

# --- products ----------------------------------------------------------------------------------


def _rows(x: Node, axes: tuple[int, ...]) -> Node:
    """The reduced axes moved to the end and joined."""
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    moved = permute_dims(x, kept + axes)
    size = reduced_size(x, axes)
    return reshape(moved, (*(x.shape[axis] for axis in kept), size))


def _from_rows(rows: Node, like: Node, axes: tuple[int, ...]) -> Node:
    kept = tuple(axis for axis in range(like.ndim) if axis not in axes)
    order = kept + axes
    moved = reshape(rows, tuple(like.shape[axis] for axis in order))
    back = tuple(order.index(axis) for axis in range(like.ndim))
    return permute_dims(moved, back)


def _others(y: Node) -> Node:
    x, axes = y.args[0], y.params.axes
    if not axes:
        return x.graph.constant(1, x.dtype)
    return _from_rows(product_of_others.node((_rows(x, axes),)), x, axes)


def _prod_jvp(node: Node, tangents: tuple[Any, ...], kinks: str) -> Node:
    axes, keepdims = node.params
    return sum(tangents[0] * _others(node), axes, keepdims)


prod = Op(
    name="prod", doc="the product of x over axes; its derivative never divides by an element",
    operands=("x",), parameters=("axes", "keepdims"),
    infer=_infer, emission=_method("prod", sign="Π"), call=_count_call,
    vjp=lambda index, bar, node, kinks: restored(bar, node) * _others(node),
    jvp=_prod_jvp, samples=_samples(of_nothing=True),
)  # fmt: skip


def _others_body(x: Node) -> Node:
    numbers = arange_on(x.graph, x.shape[-1])
    own = expand_dims(numbers, -1) == numbers
    return prod(where(own, 1.0, expand_dims(x, -2)), -1)


product_of_others = composite(
    "product_of_others", "along the last axis, for each element the product of the others",
    body=_others_body,
    emission=Emission("product_of_others({x})", helpers=(arrays.product_of_others,)),
    call=lambda op, x: op.node((operand(x, floating=True),)),
    samples=(lambda rng: ((rng.normal(size=(2, 3)),), {}), lambda rng: ((rng.normal(size=4),), {})),
)  # fmt: skip

# --- moments -----------------------------------------------------------------------------------


def _var_body(x: Node, axes: tuple[int, ...], keepdims: bool, correction: float) -> Node:
    centred = x - mean(x, axes, True)
    x.graph.hint(centred, "centred")
    if not correction:
        return mean(square(centred), axes, keepdims)
    freedom = size_node(x.graph, reduced_size(x, axes), x.dtype) - correction
    return sum(square(centred), axes, keepdims) / freedom


def _moment_call(
    op: Op, x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0.0,
    ddof: float | None = None,
) -> Node:  # fmt: skip
    x = operand(x, floating=True)
    taken = correction if ddof is None else ddof
    if not isinstance(taken, (int, float)):
        raise GraphcError(f"{op.name}: the correction is a number, got {taken!r}")
    kept = flag(op.name, "keepdims", keepdims)
    return op.node((x,), axes_of(op.name, axis, x), kept, float(taken))


def _std_slope(node: Node) -> Node:
    """∂std/∂x = (x - mean) / (n std), and 0 where all elements are equal."""
    x, axes = node.args[0], node.params.axes
    freedom = size_node(x.graph, reduced_size(x, axes), x.dtype) - node.params.correction
    deviation = restored(node, node)
    # The mean of equal elements may be off by its last bit; the mean of what is left then is not.
    centred = x - mean(x, axes, True)
    centred = centred - mean(centred, axes, True)
    slope: Node = centred / (freedom * where(deviation == 0, 1.0, deviation))
    return slope


def _std_jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node:
    return sum(_std_slope(node) * given(tangents), node.params.axes, node.params.keepdims)


def _moment(
    name: str, doc: str, body: Callable[..., Node], vjp: VJP | None = None, jvp: JVP | None = None
) -> Op:
    return composite(
        name, doc, parameters=("axes", "keepdims", "correction"), body=body, call=_moment_call,
        vjp=vjp, jvp=jvp, bounds=lambda node, x: NOT_NEGATIVE,
        samples=(
            lambda rng: ((rng.normal(size=(3, 4)),), {}),
            lambda rng: ((rng.normal(size=(3, 4)), 0, True), {"correction": 1}),
        ),
    )  # fmt: skip


var = _moment("var", "the mean of (x - mean(x))², in two passes; correction as NumPy's", _var_body)
std = _moment(
    "std", "the square root of var; its derivative is 0 where all elements are equal",
    lambda *args: sqrt(_var_body(*args)),
    lambda index, bar, node, kinks: restored(bar, node) * _std_slope(node), _std_jvp,
)  # fmt: skip
