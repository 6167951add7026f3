"""Derivatives as nodes: typed where they are declared, expanded by the pipeline.

A derivative node holds its target, so that the pipeline can stabilise the target before it is
differentiated, and so that one compile option about kinks holds for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import DifferentiationError, DTypeError, GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.emission import Emission
from graphc.ir.function import influences
from graphc.ir.graph import ITEM
from graphc.ir.node import Node
from graphc.ir.op import Op, function
from graphc.ir.types import FLOAT, TupleType, broadcast
from graphc.ops.joining import stack
from graphc.ops.operands import as_array, cast
from graphc.ops.shape import broadcast_to, reshape, zeros_like

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "vjp"]

MAX_UNROLLED = 1024  # rows of a Jacobian: each is a pass of its own in the generated code


def _no_call(op: Op, *arguments: Any, **options: Any) -> Node:
    raise GraphcError(f"{op.name} is made by gc.grad, gc.vjp and gc.jvp")


# Operands of both: targets, then cotangents or tangents, then wrt.
VJP_NODE = Op(
    name="vjp_node", doc="the cotangents of wrt for cotangents of the targets",
    operands=("*xs",), parameters=("targets",),
    infer=lambda require, *rest: TupleType(tuple(rest[2 * rest[-1] : -1])),
    emission=Emission(""), call=_no_call,
)  # fmt: skip
JVP_NODE = Op(
    name="jvp_node", doc="the tangents of the targets for tangents of wrt",
    operands=("*xs",), parameters=("targets",),
    infer=lambda require, *rest: TupleType(tuple(rest[: rest[-1]])),
    emission=Emission(""), call=_no_call,
)  # fmt: skip


def _several(nodes: Any, what: str) -> tuple[Node, ...]:
    listed = tuple(nodes) if isinstance(nodes, (tuple, list)) else (nodes,)
    for node in listed:
        if not isinstance(node, Node):
            raise GraphcError(f"{what} is a node or a list of nodes, got {node!r}")
        if node.dtype.kind != FLOAT:
            described = node.graph.describe(node, site=True)
            raise DTypeError(f"{what} has a float dtype, got {described}")
    return listed


def _like(value: Any, node: Node, what: str) -> Node:
    """A cotangent or tangent as a node of the shape and dtype of the node it belongs to."""
    if not isinstance(value, Node):
        value = node.graph.constant(as_array(value), node.dtype)
    try:
        shape, _ = broadcast([value.shape, node.shape])
        if shape != node.shape:
            raise ShapeError("shapes differ")
    except ShapeError:
        described = node.graph.describe(node, site=True)
        raise ShapeError(f"{what} of shape {value.shape} does not fit {described}") from None
    spread = value if value.shape == node.shape else broadcast_to(value, node.shape)
    return cast(spread, node.dtype)


def _items(node: Node) -> list[Node]:
    return [node.graph.intern(ITEM, (node,), ITEM.record(i)) for i in range(len(node.types))]


def _check_reachable(targets: Sequence[Node], wrt: Sequence[Node]) -> None:
    reached = influences(targets)
    for node in wrt:
        if node not in reached:
            names = ", ".join(t.graph.describe(t, site=True) for t in targets)
            raise DifferentiationError(
                f"wrt {node.graph.describe(node, site=True)} does not reach {names}",
                hint="its derivative would be 0 everywhere; pass allow_unused=True to accept that",
            )


@function
def vjp(outputs: Any, wrt: Any, cotangents: Any = None, *, allow_unused: bool = False) -> Any:
    """Vector-Jacobian product: for each wrt the sum over outputs of cotangentᵀ · ∂output/∂wrt.

    Cotangents have the shapes of the outputs, and default to ones. Returns a node of the shape of
    wrt, or a list where wrt is a list. Raises DifferentiationError where wrt reaches no output.
    """
    targets, variables = _several(outputs, "outputs"), _several(wrt, "wrt")
    if not allow_unused:
        _check_reachable(targets, variables)
    given = [1.0] * len(targets) if cotangents is None else cotangents
    listed = given if isinstance(given, (tuple, list)) else [given]
    if len(listed) != len(targets):
        raise GraphcError(f"{len(targets)} outputs need as many cotangents, got {len(listed)}")
    bars = [_like(bar, y, "a cotangent") for bar, y in zip(listed, targets, strict=True)]
    node = VJP_NODE.node((*targets, *bars, *variables), len(targets))
    return _items(node) if isinstance(wrt, (tuple, list)) else _items(node)[0]


@function
def grad(output: Node, wrt: Any, *, allow_unused: bool = False) -> Any:
    """The gradient of a scalar output: a node of the shape of wrt, or a list of them.

    Raises ShapeError if the output is no scalar, DifferentiationError if wrt does not reach it.
    """
    if _several(output, "the output of grad")[0].ndim:
        raise ShapeError(
            f"grad needs a scalar, got {output.graph.describe(output, site=True)}",
            hint="sum it, or use gc.vjp or gc.jacobian",
        )
    return vjp(output, wrt, allow_unused=allow_unused)


@function
def jvp(outputs: Any, wrt: Any, tangents: Any) -> Any:
    """Jacobian-vector product: for each output the sum over wrt of ∂output/∂wrt · tangent.

    Tangents have the shapes of wrt. Returns a node of the shape of the output, or a list where
    outputs is a list. Raises DifferentiationError where a wrt reaches no output.
    """
    targets, variables = _several(outputs, "outputs"), _several(wrt, "wrt")
    _check_reachable(targets, variables)
    listed = tangents if isinstance(tangents, (tuple, list)) else [tangents]
    if len(listed) != len(variables):
        raise GraphcError(f"{len(variables)} wrt need as many tangents, got {len(listed)}")
    dots = [_like(dot, x, "a tangent") for dot, x in zip(listed, variables, strict=True)]
    node = JVP_NODE.node((*targets, *dots, *variables), len(targets))
    return _items(node) if isinstance(outputs, (tuple, list)) else _items(node)[0]


@function
def hvp(output: Node, wrt: Any, vectors: Any) -> Any:
    """Hessian-vector product of a scalar output, forward over reverse: no Hessian is formed."""
    gradients = grad(output, wrt)
    if not isinstance(wrt, (tuple, list)):
        return jvp(gradients, wrt, vectors)
    return jvp(list(gradients), wrt, vectors)


@function
def jacobian(output: Node, wrt: Node) -> Node:
    """All ∂output_i/∂wrt_j, of shape `output.shape + wrt.shape`.

    By rows (VJPs) or by columns (JVPs), whichever are fewer. That side needs a fixed size of at
    most 1024: the passes are unrolled. Raises ShapeError otherwise.
    """
    (y,), (x,) = _several(output, "the output of jacobian"), _several(wrt, "wrt")
    _check_reachable([y], [x])
    if not y.shape or not x.shape:
        return vjp(y, x) if not y.shape else jvp(y, x, 1.0)  # type: ignore[no-any-return]
    rows, columns = dims.product(y.shape), dims.product(x.shape)
    by_rows = isinstance(rows, int) and (not isinstance(columns, int) or rows <= columns)
    count = rows if by_rows else columns
    if not isinstance(count, int) or not 0 < count <= MAX_UNROLLED:
        raise ShapeError(
            f"the Jacobian of {y.graph.describe(y, site=True)} has {rows} rows and {columns} "
            f"columns; one of them has to be a fixed number of at most {MAX_UNROLLED}",
            hint="use gc.vjp, gc.jvp or gc.hvp",
        )
    side = y if by_rows else x
    basis = np.eye(count).reshape(count, *side.shape)
    if by_rows:
        passes = [vjp(y, x, unit) for unit in basis]
        return reshape(stack(passes), y.shape + x.shape)
    passes = [jvp(y, x, unit) for unit in basis]
    return reshape(stack(passes, -1), y.shape + x.shape)


@function
def hessian(output: Node, wrt: Node) -> Node:
    """All ∂²output/∂wrt_i∂wrt_j of a scalar output, of shape `wrt.shape + wrt.shape`."""
    gradient = grad(output, wrt)
    if wrt not in influences([gradient]):
        return zeros_like(reshape(gradient, gradient.shape + (1,) * wrt.ndim) + wrt)
    return jacobian(gradient, wrt)
