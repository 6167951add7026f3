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

from graphc.errors import DTypeError, GraphcError
from graphc.ir.dims import Shape
from graphc.ir.emission import Emission, Text
from graphc.ir.graph import Graph
from graphc.ir.intervals import Domain, Interval
from graphc.ir.node import Node
from graphc.ir.op import JVP, VJP, Draw, Op
from graphc.ir.types import BOOL, FLOAT, INT, TensorType, bool_, broadcast
from graphc.ops.operands import operand, require_bool
from graphc.ops.operands import operands as lift

Rule: TypeAlias = Callable[..., "Node | None"]  # (g, y, *operands) -> g times ∂y/∂operand


@dataclass(frozen=True, slots=True)
class Kinked:
    """A rule for each convention about the derivative at a kink (the table in the docstring)."""

    torch: Rule
    jax: Rule
    textbook: Rule


# --- elementwise -------------------------------------------------------------------------------

# By the rule for the dtype of the result: the kinds of operands, and what they are called.
_TAKEN = {
    "number": ((INT, FLOAT), "numbers"),
    "bits": ((BOOL, INT), "ints or bools"),
    "int": ((INT,), "ints"),
}


def elementwise(
    name: str,
    doc: str,
    *,
    operands: str = "x",
    ufunc: str = "",
    numpy: Text = "",
    out: str = "",
    math: Text = "",
    notation: Text | None = None,
    rules: Sequence[Rule | Kinked | None] = (),
    symbolic: Callable[..., Any] | None = None,
    domain: Sequence[tuple[float, float]] = (),
    result: str = "float",
    commutative: bool = False,
    kink: dict[str, str] | None = None,
    helpers: tuple[Callable[..., Any], ...] = (),
    plain: tuple[Callable[..., Any], ...] = (),
    noun: str = "",
    phrase: str = "",
    body: Callable[..., Node] | None = None,
    selects: Sequence[Callable[..., Node] | None] = (),
    compares: bool = False,
    finite: Sequence[Domain | None] | Callable[[Node], Sequence[Domain | None]] = (),
    bounds: Callable[..., Interval] | None = None,
    call: Callable[..., Any] | None = None,
    samples: tuple[Draw, ...] | None = None,
    layouts: slice = slice(None),
    definition: str = "",
) -> Op:
    """Declare an op that works on each element by itself, with NumPy's broadcasting.

    operands  their names; one called `condition` is a bool and takes no part in promotion
    rules     one an operand: g times the partial derivative, where g is a cotangent (VJP) or a
              tangent (JVP) - the Jacobian is diagonal, so both are the same product
    domain    for each operand the open interval from which tests draw
    result    `float`: ints become floats; `bool`; `same`: the operands' dtype; `number`, `bits`,
              `int`: the same, but bools, floats, or both are refused, as NumPy does
    body      the same value in other ops, for an op that is no single expression
    finite    for each operand the domain in which value and slope are finite; None: everywhere
    bounds    (*intervals of the operands) -> that of the result
    call      where operands have defaults, or come with options
    samples   draws of arguments; without them arrays in those of the `LAYOUTS` that are chosen
    """
    names = tuple(operands.split())
    condition_index = names.index("condition") if "condition" in names else None
    value_index = 1 if condition_index == 0 else 0
    listed = ", ".join(f"{{{n}}}" for n in names)
    emission = Emission(
        numpy or (f"{ufunc}({listed})" if ufunc else ""),
        out or (f"{ufunc}({listed}, out={{out}})" if ufunc else None),
        math or None,
        helpers=helpers,
        plain=plain,
        notation=notation,
    )

    def infer(require: Any, *types: TensorType) -> TensorType:
        like = types[value_index]
        if result in _TAKEN and like.dtype.kind not in _TAKEN[result][0]:
            problem = f"expects {_TAKEN[result][1]}, not {like.dtype.name}s"
            raise DTypeError(problem, hint="convert them with .astype")
        if result != "bool" and types.count(like) == len(types):
            return like
        shape, guards = broadcast([t.shape for t in types])
        for guard in guards:
            require(guard)
        return TensorType(shape, bool_ if result == "bool" else like.dtype)

    def default_call(op: Op, *values: Any) -> Node:
        if len(values) != len(names):
            raise GraphcError(f"{name} takes {len(names)} operands, got {len(values)}")
        if condition_index is None:
            return op.node(lift(*values, floating=result == "float"))
        condition = require_bool(name, values[condition_index], values)
        rest = [v for i, v in enumerate(values) if i != condition_index]
        nodes = (
            list(lift(*rest))
            if any(isinstance(v, Node) for v in rest)
            else [condition.graph.constant(v, condition.graph.dtype) for v in rest]
        )
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
        call=call or default_call,
        vjp=vjp if differentiable else None,
        jvp=jvp if differentiable else None,
        body=body,
        differentiable=differentiable,
        commutative=commutative,
        symbolic=symbolic,
        selects=tuple(selects),
        compares=compares,
        finite=(finite if callable(finite) else lambda node: finite) if finite else None,
        bounds=(lambda node, *intervals: bounds(*intervals)) if bounds else None,
        kink=kink,
        family="elementwise",
        noun=noun,
        phrase=phrase,
        samples=elementwise_samples(
            names, domain or [(-2.0, 2.0)] * len(names), result == "bool", LAYOUTS[layouts]
        )
        if samples is None
        else samples,
        definition=definition,
    )


def add_up(terms: Iterable[Node | None]) -> Node | None:
    """The sum of those terms that are not zero, or None."""
    total: Node | None = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


# Equal shapes, missing axes, axes of size 1, no axes, no elements.
LAYOUTS: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((2, 3), (2, 3), (2, 3)),
    ((2, 3), (3,), (2, 1)),
    ((1, 3), (2, 1), ()),
    ((), (), ()),
    ((0, 3), (3,), (1, 3)),
)
FEW = slice(1, 4, 2)  # of these: missing axes, and no axes


def elementwise_samples(
    names: Sequence[str],
    domain: Sequence[tuple[float, float]],
    coarse: bool,
    layouts: Sequence[tuple[tuple[int, ...], ...]] = LAYOUTS,
) -> tuple[Draw, ...]:
    """Coarse draws are whole numbers, so that comparisons meet ties and logic meets zeros."""

    def sample(shapes: tuple[tuple[int, ...], ...]) -> Draw:
        def draw(rng: np.random.Generator) -> tuple[tuple[Any, ...], dict[str, Any]]:
            values = []
            for name, (low, high), shape in zip(names, domain, shapes, strict=False):
                drawn = rng.uniform(low, high, shape)
                drawn = np.asarray(np.rint(drawn) + 0.0) if coarse else drawn
                values.append(np.asarray(drawn > 0) if name == "condition" else drawn)
            return tuple(values), {}

        return draw

    return tuple(sample(shapes) for shapes in layouts)


# --- linear ------------------------------------------------------------------------------------


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
    noun: str = "",
    phrase: str = "",
    bounds: Callable[..., Interval] | None = None,
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
        bounds=bounds,
        family="linear",
        noun=noun,
        phrase=phrase,
        samples=samples,
    )


def given(tangents: Sequence[Node | None]) -> Node:
    """The tangent of an op's only operand: it is asked for only where there is one."""
    (tangent,) = tangents
    assert tangent is not None
    return tangent


def linear_jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
    """The op itself, on the tangent of its first operand."""
    tangent = tangents[0]
    return None if tangent is None else node.graph.rebuild(node, (tangent, *node.args[1:]))


# --- composite ---------------------------------------------------------------------------------


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
    bounds: Callable[..., Interval] | None = None,
    finite: Callable[[Node], Sequence[Domain | None]] | None = None,
    kink: dict[str, str] | None = None,
    samples: tuple[Draw, ...] = (),
    definition: str = "",
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
            scratch.argument("input", name, t.shape, t.dtype)
            for name, t in zip(operands, types, strict=True)
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
        bounds=bounds,
        finite=finite,
        kink=kink,
        family="composite",
        samples=samples,
        definition=definition,
    )


def unary_call(op: Op, x: Any) -> Node:
    """The call of an op that takes one operand of any dtype and nothing else."""
    return op.node((operand(x),))


def without_axes(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape after a reduction over axes."""
    if keepdims:
        return tuple(1 if i in axes else size for i, size in enumerate(shape))
    return tuple(size for i, size in enumerate(shape) if i not in axes)
