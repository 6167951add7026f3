"""Families of ops: the mathematics that many ops share, so that each declares only its own.

elementwise     a diagonal Jacobian: one rule an argument serves VJP and JVP alike
linear          the transpose; the JVP is the op itself
composite       a body in other ops, from which whatever is not declared is derived
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import DTypeError, GraphcError, ShapeError, UnsupportedError
from graphc.ir import dims
from graphc.ir.dims import Extent, Shape
from graphc.ir.emission import Emission, Text, size_text
from graphc.ir.graph import Graph, current_graph
from graphc.ir.node import Node
from graphc.ir.op import JVP, VJP, Draw, Op
from graphc.ir.types import (
    BOOL,
    FLOAT,
    INT,
    DType,
    TensorType,
    as_dtype,
    bool_,
    broadcast,
    int64,
    promote,
)

Rule: TypeAlias = Callable[..., "Node | None"]  # (g, y, *operands) -> g times ∂y/∂operand


@dataclass(frozen=True, slots=True)
class Kinked:
    """A rule for each convention about the derivative at a kink (the table in the docstring)."""

    torch: Rule
    jax: Rule
    textbook: Rule


# --- operands ---------------------------------------------------------------------------------


def operands(*values: Any, floating: bool = False) -> tuple[Node, ...]:
    """Nodes of one dtype: declared dtypes are promoted, plain numbers and arrays adopt theirs.

    With `floating`, ints and bools become the graph's float dtype. Raises DTypeError for values
    that are no numbers.
    """
    nodes = [value for value in values if isinstance(value, Node)]
    if len(nodes) == len(values):
        first = nodes[0].type
        if all(node.type[-1] is first[-1] for node in nodes) and (
            not floating or nodes[0].dtype.kind == FLOAT
        ):
            return tuple(nodes)
    graph = nodes[0].graph if nodes else current_graph()
    raw = [value if isinstance(value, (Node, dims.Dim)) else as_array(value) for value in values]
    kinds = [_kind(value) for value in raw] + [FLOAT] * floating
    declared = [node.dtype for node in nodes]
    if max(kinds) > max((d.kind for d in declared), default=BOOL):
        target = {BOOL: bool_, INT: int64, FLOAT: graph.dtype}[max(kinds)]
    else:
        target = promote(declared)
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
    array = np.asarray(value)
    as_dtype(array.dtype)
    return array


def _kind(value: Any) -> int:
    if isinstance(value, dims.Dim):
        return INT
    return value.dtype.kind if isinstance(value, Node) else as_dtype(value.dtype).kind


def _as_node(graph: Graph, value: Any, dtype: DType) -> Node:
    if isinstance(value, Node):
        return cast(value, dtype)
    if isinstance(value, dims.Dim):
        return size_node(graph, value, dtype)
    return graph.constant(value, dtype)


def cast(x: Node, dtype: DType) -> Node:
    """x converted to a dtype; x itself if it has it."""
    return x if x.dtype is dtype else astype.node((x,), dtype)


def size_node(graph: Graph, size: Extent, dtype: DType) -> Node:
    """A size as a scalar value."""
    if isinstance(size, int):
        return graph.constant(size, dtype)
    return graph.intern(dimension, (), dimension.record(size, dtype))


# --- elementwise ------------------------------------------------------------------------------


def elementwise(
    name: str,
    doc: str,
    *,
    operands: str = "x",
    ufunc: str = "",
    numpy: Text = "",
    out: str = "",
    math: str = "",
    rules: Sequence[Rule | Kinked | None] = (),
    symbolic: Callable[..., Any] | None = None,
    domain: Sequence[tuple[float, float]] = (),
    result: str = "float",
    commutative: bool = False,
    kink: dict[str, str] | None = None,
    helpers: tuple[Callable[..., Any], ...] = (),
) -> Op:
    """Declare an op that works on each element by itself, with NumPy's broadcasting.

    operands  their names; one called `condition` is a bool and takes no part in promotion
    rules     one an operand: g times the partial derivative, where g is a cotangent (VJP) or a
              tangent (JVP) - the Jacobian is diagonal, so both are the same product
    domain    for each operand the open interval from which tests draw
    result    `float`: ints become floats; `same`: the operands' dtype; `bool`
    """
    names = tuple(operands.split())
    condition_index = names.index("condition") if "condition" in names else None
    value_index = 1 if condition_index == 0 else 0
    listed = ", ".join(f"{{{n}}}" for n in names)
    emission = Emission(
        numpy or f"{ufunc}({listed})",
        out or (f"{ufunc}({listed}, out={{out}})" if ufunc else None),
        math or None,
        helpers=helpers,
    )

    def infer(require: Any, *types: TensorType) -> TensorType:
        shape, guards = broadcast([t.shape for t in types])
        for guard in guards:
            require(guard)
        return TensorType(shape, bool_ if result == "bool" else types[value_index].dtype)

    def call(op: Op, *values: Any) -> Node:
        if len(values) != len(names):
            raise GraphcError(f"{name} takes {len(names)} operands, got {len(values)}")
        if condition_index is None:
            return op.node(_operands(*values, floating=result == "float"))
        condition = require_bool(name, values[condition_index], values)
        rest = [v for i, v in enumerate(values) if i != condition_index]
        nodes = list(_operands(*rest)) if any(isinstance(v, Node) for v in rest) else [
            condition.graph.constant(v, condition.graph.dtype) for v in rest
        ]
        nodes.insert(condition_index, condition)
        return op.node(tuple(nodes))

    def vjp(index: int, bar: Node, node: Node, kinks: str) -> Node | None:
        rule = rules[index]
        if isinstance(rule, Kinked):
            rule = getattr(rule, kinks)
        return rule(bar, node, *node.args) if rule is not None else None

    def jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
        terms = [vjp(i, t, node, kinks) for i, t in enumerate(tangents) if t is not None]
        return add_up(terms)

    differentiable = any(rule is not None for rule in rules)
    return Op(
        name=name,
        doc=doc,
        operands=names,
        infer=infer,
        emission=emission,
        call=call,
        vjp=vjp if differentiable else None,
        jvp=jvp if differentiable else None,
        differentiable=differentiable,
        commutative=commutative,
        symbolic=symbolic,
        kink=kink,
        family="elementwise",
        samples=_elementwise_samples(domain or [(-2.0, 2.0)] * len(names)),
    )


_operands = operands  # the parameter of `elementwise` is called so too


def add_up(terms: Iterable[Node | None]) -> Node | None:
    """The sum of those terms that are not zero, or None."""
    total: Node | None = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _elementwise_samples(domain: Sequence[tuple[float, float]]) -> tuple[Draw, ...]:
    """Equal shapes, missing axes, axes of size 1, no axes, no elements."""
    layouts: list[list[tuple[int, ...]]] = [
        [(2, 3), (2, 3), (2, 3)],
        [(2, 3), (3,), (2, 1)],
        [(1, 3), (2, 1), ()],
        [(), (), ()],
        [(0, 3), (3,), (1, 3)],
    ]

    def sample(shapes: list[tuple[int, ...]]) -> Draw:
        def draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
            pairs = zip(domain, shapes, strict=False)
            return tuple(rng.uniform(low, high, shape) for (low, high), shape in pairs), {}

        return draw

    return tuple(sample(shapes) for shapes in layouts)


# --- linear -----------------------------------------------------------------------------------


def linear(
    name: str,
    doc: str,
    *,
    parameters: tuple[str, ...] = (),
    infer: Callable[..., TensorType],
    emission: Emission,
    transpose: Callable[[Node, Node], Node],
    call: Callable[..., Any],
    operands: tuple[str, ...] = ("x",),
    samples: tuple[Draw, ...] = (),
) -> Op:
    """Declare an op that is linear in its first operand; others (indices) have no derivative.

    transpose   (cotangent, node) -> cotangent of the first operand
    """

    def vjp(index: int, bar: Node, node: Node, kinks: str) -> Node | None:
        return transpose(bar, node) if index == 0 else None

    return Op(
        name=name,
        doc=doc,
        operands=operands,
        parameters=parameters,
        infer=infer,
        emission=emission,
        call=call,
        vjp=vjp,
        jvp=linear_jvp,
        family="linear",
        samples=samples,
    )


def linear_jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
    """The op itself, on the tangent of its first operand."""
    tangent = tangents[0]
    return None if tangent is None else node.graph.rebuild(node, (tangent, *node.args[1:]))


# --- composite --------------------------------------------------------------------------------


def composite(
    name: str,
    doc: str,
    *,
    body: Callable[..., Node],
    call: Callable[..., Any],
    operands: tuple[str, ...] = ("x",),
    parameters: tuple[str, ...] = (),
    vjp: VJP | None = None,
    jvp: JVP | None = None,
    emission: Emission | None = None,
    symbolic: Callable[..., Any] | None = None,
    differentiable: bool = True,
    samples: tuple[Draw, ...] = (),
) -> Op:
    """Declare an op by its body in other ops: (*operands, *parameters) -> Node.

    It is one node until the late expansion, so that rules can see it whole. Without a VJP or JVP of
    its own, the body is differentiated; with an emission of its own, it is never expanded.
    """

    def infer(require: Any, *rest: Any) -> TensorType:
        # The body on stand-ins of the same types, in an arena that is thrown away.
        types, params = rest[: len(rest) - len(parameters)], rest[len(rest) - len(parameters) :]
        scratch = Graph()
        stand_ins = [
            scratch.argument("input", f"operand {i}", t.shape, t.dtype) for i, t in enumerate(types)
        ]
        result = body(*stand_ins, *params)
        for guards in scratch.guards.values():
            for guard in guards:
                require(guard)
        return result.types[0]

    return Op(
        name=name,
        doc=doc,
        operands=operands,
        parameters=parameters,
        infer=infer,
        emission=emission or Emission(""),
        call=call,
        vjp=vjp,
        jvp=jvp,
        body=body,
        symbolic=symbolic,
        differentiable=differentiable,
        family="composite",
        samples=samples,
    )


def unary_call(op: Op, x: Any) -> Node:
    """The call of an op that takes one operand of any dtype and nothing else."""
    return op.node((operand(x),))


# --- shapes in rules --------------------------------------------------------------------------


def without_axes(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape after a reduction over axes."""
    if keepdims:
        return tuple(1 if i in axes else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)


def require_float(op: str, x: Node) -> Node:
    """x, or DTypeError if it holds no floats."""
    if x.dtype.kind != FLOAT:
        raise DTypeError(f"{op} expects a float operand, got {x.graph.describe(x, site=True)}")
    return x


def require_bool(op: str, value: Any, beside: Sequence[Any]) -> Node:
    """A condition as a node, or DTypeError if it is no bool."""
    if not isinstance(value, Node):
        graphs = [v.graph for v in beside if isinstance(v, Node)]
        value = (graphs[0] if graphs else current_graph()).constant(value)
    if value.dtype is not bool_:
        name = value.graph.describe(value, site=True)
        raise DTypeError(f"{op} expects a bool condition, got {name}", hint="compare: x > 0, x != 0")
    node: Node = value
    return node


def require_int(op: str, what: str, x: Node) -> Node:
    """x, or DTypeError if it holds no ints."""
    if x.dtype.kind != INT:
        name = x.graph.describe(x, site=True)
        raise DTypeError(f"{op} expects {what} of an int dtype, got {name}")
    return x


def require_rank(op: str, x: Node, rank: int) -> Node:
    """x, or ShapeError if it has fewer axes."""
    if x.ndim < rank:
        name = x.graph.describe(x, site=True)
        raise ShapeError(f"{op} expects at least {rank} axes, got {name}")
    return x


# --- the two ops that operands are lifted with --------------------------------------------------


def _astype_call(op: Op, x: Any, dtype: Any) -> Node:
    return cast(operand(x), as_dtype(dtype))


def _astype_emission(node: Node) -> str:
    # A NumPy scalar has .astype as well, so this holds without axes too.
    return f"{{x}}.astype(np.{numpy_name(node.dtype)})"


def numpy_name(dtype: DType) -> str:
    """The attribute of `np` that is this dtype, in every version of NumPy."""
    return "bool_" if dtype is bool_ else dtype.name


astype = linear(
    "astype",
    "x converted to another dtype.",
    parameters=("dtype",),
    infer=lambda require, x, dtype: TensorType(x.shape, dtype),
    emission=Emission(_astype_emission, math="float({x})"),
    transpose=lambda bar, y: cast(bar, y.args[0].dtype),
    call=_astype_call,
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
)
