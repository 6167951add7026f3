"""Products of matrices."""

from __future__ import annotations

from typing import Any

from graphc.errors import ShapeError, UnsupportedError
from graphc.ir import dims
from graphc.ir.emission import Emission
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import TensorType, broadcast, equal_sizes
from graphc.ops.families import add_up
from graphc.ops.operands import operands
from graphc.ops.shape import expand_dims, matrix_transpose, reshape, squeeze

__all__ = ["dot", "matmul"]


def _infer(require: Any, a: TensorType, b: TensorType) -> TensorType:
    if not a.shape or not b.shape:
        raise ShapeError("both operands need an axis")
    require(equal_sizes(a.shape[-1], b.shape[-2] if len(b.shape) > 1 else b.shape[0]))
    batch, guards = broadcast([a.shape[:-2], b.shape[:-2]])
    for guard in guards:
        require(guard)
    rows = a.shape[-2:-1] if len(a.shape) > 1 else ()
    columns = b.shape[-1:] if len(b.shape) > 1 else ()
    return TensorType((*batch, *rows, *columns), a.dtype)


def _product(a: Node, b: Node) -> Node:
    """a @ b; NumPy makes batches of outer products with one call each, but multiplies at once."""
    return a * b if a.shape[-1] == 1 and a.ndim > 2 else a @ b


def _left(g: Node, a: Node, b: Node) -> Node:
    """The cotangent of a in a @ b."""
    if b.ndim == 1:
        return g * b if a.ndim == 1 else expand_dims(g, -1) * b
    if a.ndim == 1:
        return b @ g if b.ndim == 2 else squeeze(b @ expand_dims(g, -1), -1)
    return _product(g, matrix_transpose(b))


def _right(g: Node, a: Node, b: Node) -> Node:
    """The cotangent of b in a @ b."""
    if a.ndim == 1:
        return g * a if b.ndim == 1 else expand_dims(a, -1) * expand_dims(g, -2)
    if b.ndim == 1:
        if a.ndim == 2:
            return matrix_transpose(a) @ g
        return squeeze(matrix_transpose(a) @ expand_dims(g, -1), -1)
    if b.ndim == 2 and a.ndim > 2:
        # One product over all batch axes, in place of one each and a sum.
        a, g = (reshape(m, (dims.product(m.shape[:-1]), m.shape[-1])) for m in (a, g))
    return _product(matrix_transpose(a), g)


def _vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
    return (_left, _right)[index](bar, *node.args)


def _jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
    (a, b), (da, db) = node.args, tangents
    return add_up([None if da is None else da @ b, None if db is None else a @ db])


def _sample(a: tuple[int, ...], b: tuple[int, ...]) -> Draw:
    return lambda rng: ((rng.normal(size=a), rng.normal(size=b)), {})


matmul = Op(
    name="matmul", doc="the matrix product x @ y, with NumPy's rules for vectors and batches",
    operands=("x", "y"), noun="product", phrase="{x}_{y}",
    infer=_infer,
    emission=Emission(
        "{x} @ {y}", "np.matmul({x}, {y}, out={out})", "{x} * {y}", notation="{x} · {y}"
    ),
    call=lambda op, a, b: op.node(operands(a, b)),
    vjp=_vjp, jvp=_jvp,
    samples=(
        _sample((2, 3), (3, 4)),
        _sample((3,), (3,)),
        _sample((3,), (3, 2)),
        _sample((2, 3), (3,)),
        _sample((5, 2, 3), (3, 4)),
        _sample((5, 2, 3), (5, 3, 4)),
        _sample((2, 1, 2, 3), (5, 3, 4)),
        _sample((3,), (5, 3, 2)),
        _sample((5, 2, 3), (3,)),
        _sample((0, 3), (3, 2)),
        _sample((2, 0), (0, 3)),
    ),
)  # fmt: skip


@function
def dot(a: Any, b: Any) -> Node:
    """np.dot for operands of at most two axes: x @ y, or x * y where one has none."""
    x, y = operands(a, b)
    if x.ndim > 2 or y.ndim > 2:
        names = ", ".join(node.graph.describe(node, site=True) for node in (x, y))
        raise UnsupportedError(f"dot takes at most two axes, got {names}", hint="use gc.matmul")
    return x @ y if x.ndim and y.ndim else x * y
