"""`gc.random`: draws from the generator `rng` that the generated functions take.

Each call is a node of its own: equal calls are different draws. They happen in the order in which
they were declared, always in float64, so one seed gives the same numbers in every style and dtype.
Two ops draw; everything else is made of those in ordinary ops, through which gradients flow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from graphc.errors import DTypeError, GraphcError, ShapeError, suggest
from graphc.ir import dims
from graphc.ir.dims import Shape
from graphc.ir.emission import Emission, size_text, tuple_text
from graphc.ir.graph import Graph, current_graph
from graphc.ir.node import Node
from graphc.ir.op import Op, registered
from graphc.ir.types import FLOAT, DType, TensorType, as_dtype, broadcast, float64, promote
from graphc.ops.operands import as_array
from graphc.ops.shape import as_count, as_shape, tuple_of

__all__ = ["bernoulli", "normal", "uniform"]

# --- the two ops that draw ---------------------------------------------------------------------


def _size_text(shape: Shape) -> str:
    return size_text(shape[0]) if len(shape) == 1 else tuple_text(shape)


def _normal_text(node: Node) -> str:
    if not node.shape:
        return f"{node.dtype.source}(rng.standard_normal())"
    drawn = f"rng.standard_normal({_size_text(node.shape)})"
    return drawn if node.dtype is float64 else f"{drawn}.astype({node.dtype.source})"


def _uniform_text(node: Node) -> str:
    # Rounding to a narrower dtype could give the 1.0 that is excluded.
    below = f"1 - 2**-{np.finfo(node.dtype.numpy).nmant + 1}"
    if not node.shape:
        drawn = "rng.random()" if node.dtype is float64 else f"min(rng.random(), {below})"
        return f"{node.dtype.source}({drawn})"
    drawn = f"rng.random({_size_text(node.shape)})"
    return (
        drawn
        if node.dtype is float64
        else f"np.minimum({drawn}, {below}).astype({node.dtype.source})"
    )


def _source(
    name: str, doc: str, numpy: Callable[[Node], str], math: str, notation: str, noun: str
) -> Op:
    """Declare an op that draws; a serial number makes each of its nodes another one."""
    return Op(
        name=name,
        doc=doc,
        operands=(),
        parameters=("shape", "dtype", "serial"),
        infer=lambda require, shape, dtype, serial: TensorType(shape, dtype),
        emission=Emission(numpy, math=math, notation=notation),
        call=lambda op, shape, dtype="float32": draw(
            op, current_graph(), sizes_of(name, shape), as_dtype(dtype)
        ),
        differentiable=False,
        random=True,
        noun=noun,
        samples=(
            lambda rng: (((2, 3), "float64"), {}),
            lambda rng: (((4,), "float32"), {}),
            lambda rng: (((), "float32"), {}),
            lambda rng: (((), "float64"), {}),
            lambda rng: (((0, 3), "float16"), {}),
        ),
    )


def draw(op: Op, graph: Graph, shape: Shape, dtype: DType) -> Node:
    """A new draw."""
    node = graph.intern(op, (), op.record(shape, dtype, graph.draws))
    graph.draws += 1
    return node


standard_normal = _source(
    "standard_normal", "draws from the standard normal distribution (gc.random.normal)",
    _normal_text, "float(rng.standard_normal())", "N(0, 1)", "noise",
)  # fmt: skip
standard_uniform = _source(
    "standard_uniform",
    "draws from [0, 1) (gc.random.uniform, gc.random.bernoulli, gc.dropout)",
    _uniform_text, "float(rng.random())", "U(0, 1)", "uniform",
)  # fmt: skip

# --- distributions -----------------------------------------------------------------------------

_F = TypeVar("_F", bound=Callable[..., Any])


def drawing(implementation: _F) -> _F:
    """Register a function of `gc.random`."""
    return registered(f"random.{implementation.__name__}", implementation)


@drawing
def normal(shape: Any = None, loc: Any = 0.0, scale: Any = 1.0) -> Node:
    """Draws from a normal distribution with a mean (loc) and a standard deviation (scale).

    Both may be nodes, and have gradients then. Without a shape they decide it.
    """
    place = "random.normal"
    require_constant(place, "scale is not negative", scale, lambda s: s >= 0)
    graph, sizes, dtype = drawn_type(place, shape, loc, scale)
    return moved(draw(standard_normal, graph, sizes, dtype), loc, scale)


@drawing
def uniform(shape: Any = None, low: Any = 0.0, high: Any = 1.0) -> Node:
    """Draws from the interval from low (included) to high (excluded).

    Both may be nodes, and have gradients then. Without a shape they decide it.
    """
    place = "random.uniform"
    graph, sizes, dtype = drawn_type(place, shape, low, high)
    if is_symbolic(low) or is_symbolic(high):
        span = high - low
    else:
        span = np.subtract(high, low, dtype=np.float64)
        require_constant(place, "high - low is not negative", span.tolist(), lambda s: s >= 0)
    return moved(draw(standard_uniform, graph, sizes, dtype), low, span)


@drawing
def bernoulli(p: Any = 0.5, shape: Any = None) -> Node:
    """A mask that is True with probability p, which may be a node; its gradient is zero.

    Without a shape that of p is taken.
    """
    place = "random.bernoulli"
    require_constant(place, "p lies in [0, 1]", p, lambda p: (p >= 0) & (p <= 1))
    graph, sizes, _ = drawn_type(place, shape, p)
    return coin(graph, p, sizes)


def coin(graph: Graph, p: Any, shape: Shape) -> Node:
    """A mask that is True with probability p; the same one whatever the dtype of the graph."""
    result: Node = draw(standard_uniform, graph, shape, float64) < p
    return result


def moved(drawn: Node, loc: Any, scale: Any) -> Node:
    """loc + scale * drawn, without what changes nothing."""
    if is_symbolic(scale) or np.any(as_array(scale) != 1):
        drawn = scale * drawn
    return loc + drawn if is_symbolic(loc) or np.any(as_array(loc) != 0) else drawn


# --- what is passed ----------------------------------------------------------------------------


def drawn_type(op: str, shape: Any, *parameters: Any) -> tuple[Graph, Shape, DType]:
    """Where to draw, how many and in which dtype: that of parameters which are nodes, if any is.

    Raises ShapeError where a parameter does not broadcast to the shape.
    """
    nodes = [value for value in parameters if isinstance(value, Node)]
    shapes: list[Shape] = [
        value.shape if isinstance(value, Node) else () if is_symbolic(value)
        else as_array(value).shape for value in parameters
    ]  # fmt: skip
    told = [n.graph.describe(n, site=True) for n in nodes]
    try:
        common, _ = broadcast(shapes)
        sizes = common if shape is None else sizes_of(op, shape)
        fitted, _ = broadcast([sizes, common])
    except ShapeError as error:
        if error.message.startswith(op):
            raise
        raise ShapeError(
            ": ".join([op, error.message, *([", ".join(told)] * bool(told))])
        ) from None
    if fitted != sizes:
        raise ShapeError(f"{op}: {tuple_of(common)} does not broadcast to {tuple_of(sizes)}")
    graph = nodes[0].graph if nodes else current_graph()
    floats = [node.dtype for node in nodes if node.dtype.kind == FLOAT]
    return graph, sizes, promote(floats) if floats else graph.dtype


def sizes_of(op: str, shape: Any) -> Shape:
    """A shape from ints, named sizes and sizes of nodes; ShapeError for anything else."""
    if isinstance(shape, Node):
        name = shape.graph.describe(shape, site=True)
        raise ShapeError(f"{op}: a shape is no node, got {name}", hint="pass its .shape")
    try:
        return tuple(as_count(op, size) for size in as_shape(shape))
    except ShapeError as error:
        if error.message.startswith(op):
            raise
        raise ShapeError(f"{op}: {error.message}") from None


def is_symbolic(value: Any) -> bool:
    """Whether a value is known only when the module runs."""
    return isinstance(value, (Node, dims.Dim))


def require_constant(op: str, rule: str, value: Any, holds: Callable[[Any], Any]) -> None:
    """Raise GraphcError for a constant that breaks a rule; a node may hold anything."""
    if is_symbolic(value):
        return
    try:
        array = as_array(value)
    except DTypeError as error:
        raise DTypeError(f"{op}: {error.message}") from None
    if not np.all(holds(array)):
        raise GraphcError(f"{op}: {rule}, got {value!r}")


def __getattr__(name: str) -> Any:
    # Asked for by users of `gc.random`.
    if name.startswith("__"):
        raise AttributeError(name)
    advice = suggest(name, __all__)
    raise AttributeError(f"gc.random has no {name!r}; {advice or 'it has ' + ', '.join(__all__)}")
