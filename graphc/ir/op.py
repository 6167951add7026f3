"""An op: one declaration of everything that graphc knows about it.

Families in `graphc.ops` fill in the mathematics (a diagonal Jacobian, a transpose, a body in other
ops); whatever reads ops asks the one record below and never their names.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np

from graphc.errors import UnsupportedError
from graphc.ir.emission import Emission
from graphc.ir.intervals import Domain, Interval
from graphc.ir.types import Type

if TYPE_CHECKING:
    from graphc.ir.node import Node

KINKS = ("torch", "jax", "textbook")

VJP: TypeAlias = "Callable[[int, Any, Node, str], Node | None]"  # a list of cotangents for a tuple
JVP: TypeAlias = "Callable[[Node, tuple[Node | None, ...], str], Node | None]"
Draw: TypeAlias = Callable[[np.random.Generator], tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """One operation.

    name        as in NumPy 2 / the Array API
    doc         what it computes, one line and a formula
    operands    names of the operands; a last one `*xs` stands for any number
    parameters  names of the static parameters, kept in `node.params`
    infer       (require, *operand types, *parameters) -> type; `require` takes guards
    emission    how it is written down
    call        (op, *arguments, **options) -> Node: checks and normalises what users pass
    vjp         (operand index, cotangent, node, kinks) -> contribution; None: no derivative there
    jvp         (node, tangents, kinks) -> tangent; None: zero
    body        for a composite, the same value in other ops
    differentiable  False where the derivative is zero, or not defined (integers, comparisons)
    commutative     f(x, y) and f(y, x) are the same bits
    random          draws from the generator `rng`, at the place that its `serial` has among all
                    draws: never merged, moved past another draw, or computed again
    symbolic    (sympy, *expressions) -> expression, where the op is a formula of scalars
    selects     for each operand (*operands) -> the condition under which the result is that
                operand, and no other has a part in it; None: always
    compares    what is not selected takes part in the selection, as in a maximum
    finite      node -> for each operand the domain in which value and slope are finite; None: all
    bounds      (node, *intervals of the operands) -> an interval that holds all of the result
    kink        the row of the table of conventions that its derivative follows
    family      which mathematics it shares: elementwise, linear, composite, or none
    noun        what a value of it is called where nothing better is known
    phrase      the same from the names of its operands: `{x}_times_{y}`
    samples     draws of arguments on which tests and registration checks run
    definition  of an op of the user's, what tells it from another of its name
    """

    name: str
    doc: str
    operands: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    infer: Callable[..., Type]
    emission: Emission
    call: Callable[..., Node]
    vjp: VJP | None = None
    jvp: JVP | None = None
    body: Callable[..., Node] | None = None
    differentiable: bool = True
    commutative: bool = False
    random: bool = False
    symbolic: Callable[..., Any] | None = None
    selects: tuple[Callable[..., Node] | None, ...] = ()
    compares: bool = False
    finite: Callable[[Node], Sequence[Domain | None]] | None = None
    bounds: Callable[..., Interval] | None = None
    kink: Mapping[str, str] | None = None
    family: str = ""
    noun: str = ""
    phrase: str = ""
    samples: tuple[Draw, ...] = ()
    definition: str = ""
    record: Callable[..., Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.name in OPS:
            raise ValueError(f"op {self.name!r} is declared twice")
        object.__setattr__(self, "record", namedtuple(self.name, self.parameters))  # noqa: PYI024
        object.__setattr__(self, "__doc__", self.doc)
        OPS[self.name] = FUNCTIONS[self.name] = self

    def __call__(self, *arguments: Any, **options: Any) -> Node:
        result: Node = told(self.name, self.call, self, *arguments, **options)
        return result

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def node(self, args: tuple[Node, ...], *params: Any) -> Node:
        """The interned node of this op, on operands that are nodes of the right dtype already."""
        return args[0].graph.intern(self, args, self.record(*params) if params else ())


OPS: dict[str, Op] = {}
FUNCTIONS: dict[str, Callable[..., Any]] = {}  # the ops, and functions composed of them
_F = TypeVar("_F", bound=Callable[..., Any])


def function(implementation: _F) -> _F:
    """Register a function composed of ops, so that NumPy's protocols and methods find it."""
    return registered(implementation.__name__, implementation)


def registered(name: str, implementation: _F) -> _F:
    """Register a function composed of ops under a name, which may begin with a namespace."""

    @functools.wraps(implementation)
    def called(*arguments: Any, **options: Any) -> Any:
        return told(name, implementation, *arguments, **options)

    FUNCTIONS[name] = called
    return cast("_F", called)


def told(name: str, call: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    """The result of a user's call; arguments that do not fit the signature are told by name."""
    try:
        return outermost(call, *arguments, **options)
    except TypeError as error:
        # Told like all others: such arguments never reached the call.
        if not refused_by(outermost, error):
            raise
        problem = str(error).partition("() ")[2] or str(error)
        raise UnsupportedError(f"{name} {problem}") from None


def refused_by(caller: Callable[..., Any], error: BaseException) -> bool:
    """Whether an error arose where a function called another, and not inside of that."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is caller.__code__


_inside: ContextVar[bool] = ContextVar("graphc_inside", default=False)


@contextmanager
def inside() -> Iterator[None]:
    """In here, no call is the user's."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def outermost(call: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    """The result of a call; only what the user's own call returns can be what a variable is.

    Constants, casts and whatever else is made on the way have no name of the user's.
    """
    if _inside.get():
        return call(*arguments, **options)
    token = _inside.set(True)
    try:
        result = call(*arguments, **options)
    finally:
        _inside.reset(token)
    graph = getattr(result, "graph", None)
    if graph is not None and graph.recording:
        graph.assigned(result)
    return result
