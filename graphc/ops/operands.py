"""Operands: how what users write becomes nodes of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, TypeGuard

import numpy as np

from graphc.errors import DTypeError, GraphcError, ShapeError, UnsupportedError, suggest
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.emission import Emission, size_text
from graphc.ir.graph import CONSTANT, Graph, current_graph, plain_array
from graphc.ir.intervals import Interval
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import (
    BOOL,
    FLOAT,
    INT,
    DType,
    TensorType,
    as_dtype,
    bool_,
    equal_sizes,
    int64,
    normalize_axes,
    normalize_axis,
    promote,
)

__all__ = ["astype"]


def operands(*values: Any, floating: bool = False) -> tuple[Node, ...]:
    """Nodes of one dtype: declared dtypes are promoted, plain numbers and arrays adopt theirs.

    With `floating`, ints and bools become the graph's float dtype. Raises DTypeError for values
    that are no numbers.
    """
    first = values[0]
    if isinstance(first, Node) and (not floating or first.dtype.kind == FLOAT):
        alike = [isinstance(value, Node) and value.dtype is first.dtype for value in values]
        if all(alike):
            return values
    nodes = [value for value in values if isinstance(value, Node)]
    graph = nodes[0].graph if nodes else current_graph()
    raw = [value if isinstance(value, _LIFTED) else as_array(value) for value in values]
    kinds = [_kind(value) for value in raw] + [FLOAT] * floating
    declared = [node.dtype for node in nodes]
    if max(kinds) > max((d.kind for d in declared), default=BOOL):
        target = {BOOL: bool_, INT: int64, FLOAT: graph.dtype}[max(kinds)]
    else:
        target = promote(declared) if declared else bool_
    return tuple(_as_node(graph, value, target) for value in raw)


def operand(value: Any, floating: bool = False) -> Node:
    """One operand as a node."""
    return operands(value, floating=floating)[0]


def as_array(value: object) -> np.ndarray[Any, Any]:
    """A plain value as an array. Raises DTypeError for what holds no numbers."""
    if isinstance(value, (list, tuple)) and any(isinstance(v, Node) for v in value):
        raise UnsupportedError("a list of nodes is no array", hint="use gc.stack or gc.concat")
    if value is None or isinstance(value, (str, bytes, dict, set)):
        raise DTypeError(f"an operand is a node, a number or an array, got {value!r}")
    if isinstance(value, np.matrix):
        # Its product is that of matrices, while `*` of nodes goes by elements.
        raise UnsupportedError("an operand is no np.matrix", hint="use np.asarray and @ or *")
    return plain_array(value)


_LIFTED = (Node, dims.Dim, bool, int, float)  # what needs no array around it


def _kind(value: Any) -> int:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, (int, dims.Dim)):
        return INT
    if isinstance(value, float):
        return FLOAT
    return value.dtype.kind if isinstance(value, Node) else as_dtype(value.dtype).kind


def _as_node(graph: Graph, value: Any, dtype: DType) -> Node:
    if isinstance(value, Node):
        return cast(value, dtype)
    if isinstance(value, dims.Dim):
        return size_node(graph, value, dtype)
    return graph.constant(value, dtype)


def own_node(op: str, name: str, value: Any, graph: Graph) -> Node:
    """An argument that keeps a dtype of its own, as labels and masks do, as a node.

    Raises an error that names it for what holds no numbers.
    """
    if isinstance(value, Node):
        return value
    try:
        return graph.constant(as_array(value))
    except GraphcError as error:
        raise type(error)(f"{op}: {name}: {error.message}", hint=error.hint) from None


def cast(x: Node, dtype: DType) -> Node:
    """x converted to a dtype; x itself if it has it."""
    return x if x.dtype is dtype else astype.node((x,), dtype)


def size_node(graph: Graph, size: Extent, dtype: DType) -> Node:
    """A size as a scalar value."""
    if isinstance(size, int):
        return graph.constant(size, dtype)
    return graph.intern(dimension, (), dimension.record(size, dtype))


def is_same(left: Extent, right: Extent) -> bool:
    """Whether two sizes may be equal, for all that is known."""
    try:
        equal_sizes(left, right)
    except ShapeError:
        return False
    return True


# --- requirements ------------------------------------------------------------------------------


def require_float(op: str, x: Node) -> Node:
    """x, or DTypeError if it holds no floats."""
    if x.dtype.kind != FLOAT:
        raise DTypeError(f"{op} expects a float operand, got {x.graph.describe(x, site=True)}")
    return x


def require_number(op: str, x: Node) -> Node:
    """x, or DTypeError if it holds bools."""
    if x.dtype.kind == BOOL:
        name = x.graph.describe(x, site=True)
        raise DTypeError(f"{op} expects numbers, got {name}", hint="convert them with .astype")
    return x


def require_bool(op: str, value: Any, beside: Sequence[Any]) -> Node:
    """A condition as a node, or DTypeError if it is no bool."""
    if not isinstance(value, Node):
        graphs = [v.graph for v in beside if isinstance(v, Node)]
        value = (graphs[0] if graphs else current_graph()).constant(value)
    if value.dtype is not bool_:
        name = value.graph.describe(value, site=True)
        raise DTypeError(f"{op} expects a bool condition, got {name}", hint="compare: x > 0")
    node: Node = value
    return node


def require_int(op: str, what: str, x: Node) -> Node:
    """x, or DTypeError if it holds no ints."""
    if x.dtype.kind != INT:
        name = x.graph.describe(x, site=True)
        raise DTypeError(f"{op} expects {what} of an int dtype, got {name}")
    return x


def require_labels(
    op: str, labels: Node, classes: Extent | None, ignored: int | None = None
) -> Node:
    """Labels of an int dtype; those of constants lie below the number of classes, or are ignored.

    Raises DTypeError and GraphcError. Others are checked when the module runs.
    """
    require_int(op, "labels", labels)
    if labels.op is CONSTANT and isinstance(classes, int):
        values = labels.params.data.array
        wrong = values[((values < 0) | (values >= classes)) & (values != ignored)]
        if wrong.size:
            raise GraphcError(f"{op}: labels must be in 0..{classes - 1}, got {wrong.flat[0]}")
    return labels


def require_rank(op: str, x: Node, rank: int) -> Node:
    """x, or ShapeError if it has fewer axes."""
    if x.ndim < rank:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"{op} expects at least {rank} axes, got {name}")
    return x


def axis_of(op: str, axis: object, x: Node, added: int = 0) -> int:
    """An axis of x counted from the front; `added` axes come to those that x has.

    Raises ShapeError, naming op and operand, if there is none such.
    """
    try:
        return normalize_axis(axis, x.ndim + added)
    except ShapeError as error:
        raise _of_operand(op, x, error) from None


def axes_of(op: str, axis: object, x: Node, added: int = 0) -> tuple[int, ...]:
    """Sorted axes of x counted from the front; None means all of them."""
    try:
        return normalize_axes(axis, x.ndim + added)
    except ShapeError as error:
        raise _of_operand(op, x, error) from None


def _of_operand(op: str, x: Node, error: ShapeError) -> ShapeError:
    name = x.graph.describe(x, site=True)
    return ShapeError(f"{op}: {error.message}: {name}")


def flag(op: str, name: str, value: object) -> bool:
    """An option that is True or False: NumPy's functions take others in some of its places."""
    if not isinstance(value, (bool, np.bool_)):
        raise GraphcError(f"{op}: {name} is True or False, got {value!r}")
    return bool(value)


def number(op: str, name: str, value: object) -> float:
    """An option that is a finite number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise GraphcError(f"{op}: {name} is a number, got {value!r}")
    if not np.isfinite(float(value)):
        raise GraphcError(f"{op}: {name} is a finite number, got {value!r}")
    return float(value)


def require_one(op: str, name: str, value: object, known: Sequence[str]) -> None:
    """Raise GraphcError, with the closest one, for an option that is none of those known."""
    if value not in known:
        told = ", ".join(map(repr, known))
        hint = suggest(str(value), known)
        raise GraphcError(f"{op}: {name} is one of {told}, got {value!r}", hint=hint)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether an option is an int, of Python's or NumPy's; bools are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def whole(op: str, name: str, value: object) -> int:
    """An option that is an int."""
    if not is_whole(value):
        raise GraphcError(f"{op}: {name} is an int, got {value!r}")
    return int(value)


# --- the two ops that operands are lifted with -------------------------------------------------


def _plain_astype(node: Node) -> str:
    if node.dtype.kind == node.args[0].dtype.kind:
        return "{x}"  # Python has one type of floats and one of ints
    return f"{ ({BOOL: 'bool', INT: 'int', FLOAT: 'float'}[node.dtype.kind]) }({{x}})"


astype = Op(
    name="astype",
    doc="x converted to another dtype",
    operands=("x",),
    parameters=("dtype",),
    infer=lambda require, x, dtype: TensorType(x.shape, dtype),
    # A NumPy scalar has .astype as well, so this holds without axes too.
    emission=Emission(
        lambda n: f"{{x}}.astype({n.dtype.source})",
        'np.copyto({out}, {x}, casting="unsafe")',
        math=_plain_astype,
        notation=lambda n: "1[{x}]" if n.args[0].dtype.kind == BOOL else "{x}",
    ),
    call=lambda op, x, dtype: cast(operand(x), as_dtype(dtype)),
    vjp=lambda index, bar, node, kinks: cast(bar, node.args[0].dtype),
    bounds=lambda node, x: Interval(0.0, 1.0) if node.args[0].dtype is bool_ else x,
    jvp=lambda node, tangents, kinks: node.graph.rebuild(node, tangents),  # type: ignore[arg-type]
    samples=(lambda rng: ((rng.normal(size=(2, 3)), "float64"), {}),),
)
dimension = Op(
    name="dimension",
    doc="A size as a scalar.",
    operands=(),
    parameters=("size", "dtype"),
    infer=lambda require, size, dtype: TensorType((), dtype),
    emission=Emission(lambda node: f"np.{node.dtype.name}({size_text(node.params.size)})"),
    call=lambda op, size, dtype="float32": size_node(current_graph(), size, as_dtype(dtype)),
    differentiable=False,
    bounds=lambda node: Interval(1.0, 2.0**63),  # of nothing there is nothing to divide
)
