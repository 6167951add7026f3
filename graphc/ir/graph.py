"""The arena: an intern table of nodes, and side tables of what is known about them.

Construction checks types and interns; it rewrites nothing. Everything derived from a model -
gradients, rewritten values, the update of an optimiser - lives in the arena of that model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from operator import is_
from typing import Any

import numpy as np

from graphc.errors import DeclarationError, DTypeError, GraphcError, Site, UnsupportedError
from graphc.ir.constant import Constant as Constant
from graphc.ir.constant import plain_array as plain_array
from graphc.ir.dims import Shape
from graphc.ir.emission import Emission, Template
from graphc.ir.intervals import EVERYWHERE, NOT_NEGATIVE, Interval
from graphc.ir.node import Node
from graphc.ir.op import Op, inside
from graphc.ir.types import FLOAT, INT, DType, Guard, TensorType, Type, as_dtype, float32


@dataclass(eq=False, slots=True)
class Label:
    """The variable that a node was assigned to; `round` counts the rebindings in a loop."""

    name: str
    round: int
    group: list[Node]

    @property
    def text(self) -> str:
        return f"{self.name}_{self.round}" if len(self.group) > 1 else self.name


@dataclass(frozen=True, slots=True)
class Parameter:
    """What is known of a parameter beside its node."""

    node: Node
    init: object
    trainable: bool


@dataclass(eq=False)
class Graph:
    """An arena of interned nodes with the declarations made on it."""

    name: str = "model"
    dtype: DType = float32
    pretrained: bool = False
    nodes: list[Node] = field(default_factory=list, repr=False)
    inputs: dict[str, Node] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    states: dict[str, tuple[Node, object]] = field(default_factory=dict)
    updates: dict[str, Node] = field(default_factory=dict)
    outputs: dict[str, Node] = field(default_factory=dict)
    objective: Node | None = None
    draws: int = 0
    labels: dict[Node, Label] = field(default_factory=dict, repr=False)
    hints: dict[Node, str] = field(default_factory=dict, repr=False)
    counterparts: dict[Node, tuple[str, Node]] = field(default_factory=dict, repr=False)
    sites: dict[Node, list[Callable[[], Site]]] = field(default_factory=dict, repr=False)
    origins: dict[Node, str] = field(default_factory=dict, repr=False)
    guards: dict[Node, tuple[Guard, ...]] = field(default_factory=dict, repr=False)
    templates: dict[Node, Template] = field(default_factory=dict, repr=False)
    recording: bool = field(default=True, repr=False)
    _derived: list[tuple[dict[Node, Any], Node, Any]] = field(default_factory=list, repr=False)
    _adopted: set[Node] = field(default_factory=set, repr=False)  # whose sites are those of others
    _table: dict[tuple[Any, ...], Node] = field(default_factory=dict, repr=False)
    _plain: dict[tuple[type, object, object], Node] = field(default_factory=dict, repr=False)
    _groups: dict[str, list[Node]] = field(default_factory=dict, repr=False)

    # --- nodes ------------------------------------------------------------------------------

    def intern(
        self, op: Op, args: tuple[Node, ...], params: Any = (), like: Node | None = None
    ) -> Node:
        """The one node of this op on these operands; inferred and entered if it is new.

        like  a node of this op on operands of the same types: what was inferred for it holds
        """
        for arg in args:
            if arg.graph is not self:
                raise self._mixed(op, args)
        ids = tuple([arg.id for arg in args])
        if op.commutative and ids[0] > ids[1]:
            ids = ids[::-1]
        key = (op, params, *ids)
        node = self._table.get(key)
        if node is None:
            type, guards = self._infer(op, args, params) if like is None else _inferred(like)
            node = self._table[key] = Node(self, op, args, params, type, len(self.nodes))
            self.nodes.append(node)
            if guards:
                self.guards[node] = guards
        if self.recording:
            self.record(node)
        return node

    def rebuild(self, node: Node, args: tuple[Node, ...]) -> Node:
        """The node with other operands; the node itself if they are the same."""
        if all(map(is_, args, node.args)):
            return node
        same = [arg.type for arg in args] == [arg.type for arg in node.args]
        return self.intern(node.op, args, node.params, node if same else None)

    def constant(self, value: object, dtype: object = None) -> Node:
        """A constant: the value is copied, and kept bit for bit in the given dtype."""
        # Rules write the same few numbers again and again. Zeros of both signs would be one key.
        target = None if dtype is None else as_dtype(dtype)
        plain = (type(value), value, target) if type(value) in (int, float) and value else None
        if plain in self._plain:
            node = self._plain[plain]
            return self.intern(node.op, (), node.params)
        array = plain_array(value)
        target = target or as_dtype(array.dtype)
        if array.dtype.kind == "f" and target.kind != FLOAT:
            raise DTypeError(f"the constant {array} is no {target}", hint="round it first")
        with np.errstate(over="ignore"):
            kept = array.astype(target.numpy)
        if array.dtype.kind in "iu" and target.kind == INT and not np.array_equal(kept, array):
            raise DTypeError(f"the constant {array} does not fit into {target}")
        node = self.intern(CONSTANT, (), CONSTANT.record(Constant.of(kept)))
        if plain is not None:
            self._plain[plain] = node
        return node

    def argument(self, kind: str, name: str, shape: Shape, dtype: DType) -> Node:
        """An argument of a function: an input, parameter, state, cotangent or hyperparameter."""
        return self.intern(ARGUMENT, (), ARGUMENT.record(kind, name, shape, dtype))

    def _infer(self, op: Op, args: tuple[Node, ...], params: Any) -> tuple[Type, tuple[Guard, ...]]:
        guards: list[Guard | None] = []
        try:
            type = op.infer(guards.append, *[arg.type for arg in args], *params)
        except GraphcError as error:
            operands = ", ".join(self.describe(arg, site=True) for arg in args)
            message = f"{op.name}: {error.message}: {operands}"
            raise error.__class__(message, site=error.site, hint=error.hint) from None
        return type, tuple([guard for guard in guards if guard is not None])

    def _mixed(self, op: Op, args: tuple[Node, ...]) -> GraphcError:
        graphs = ", ".join(
            f"{arg.graph.describe(arg, site=True)} of graph {arg.graph.name!r}" for arg in args
        )
        return DeclarationError(f"{op.name} mixes nodes of two graphs: {graphs}")

    def declared(self) -> tuple[Node, ...]:
        """All parameters, states and inputs: the order of arguments in signatures."""
        parameters = [p.node for p in self.parameters.values()]
        states = [node for node, _ in self.states.values()]
        return (*parameters, *states, *self.inputs.values())

    # --- what is known about nodes ------------------------------------------------------------

    def record(self, node: Node) -> None:
        """Called for each node that the user's code makes; the builder notes its site."""

    def assigned(self, node: Node) -> None:
        """Called with what each call of the user's returns; the builder notes its label."""

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """In here, nodes are made by graphc and not by the user."""
        before, self.recording = self.recording, False
        try:
            with inside():
                yield
        finally:
            self.recording = before

    def label(self, node: Node, name: str, *, explicit: bool = False) -> None:
        """Call a node by a name. The first label stays unless a later one is explicit."""
        if node.op is ARGUMENT or (node in self.labels and not explicit):
            return
        if node in self.labels:
            before = self.labels[node].group
            before[:] = [other for other in before if other is not node]
        group = self._groups.setdefault(name, [])
        group.append(node)
        self.labels[node] = Label(name, len(group), group)
        if len(node.args) == 1:
            self.relate(node.args[0], "pre", node)

    def name_of(self, node: Node) -> tuple[str, str] | None:
        """The label of a node, or of what it belongs to, with a suffix: `h` and `_bar`, `_pre`."""
        suffix = ""
        while (name := self.label_of(node) or self.hints.get(node)) is None:
            if node not in self.counterparts or len(suffix) > 16:
                return None
            role, node = self.counterparts[node]
            suffix = f"_{role}{suffix}"
        return name, suffix + ("_bar" if is_cotangent(node) else "")

    def is_named(self, node: Node) -> bool:
        """Whether the user has a name for a value, or for what it is the cotangent of."""
        role, primal = self.counterparts.get(node, ("", node))
        return self._has_label(node) or (role != "pre" and self._has_label(primal))

    def hint(self, node: Node, name: str) -> Node:
        """Suggest a variable for a node that the user has no name for."""
        if node.op is not ARGUMENT:
            self._note(self.hints, node, name)
        return node

    def label_of(self, node: Node) -> str | None:
        """The user's name of a node: its label, or the declared name of an argument."""
        if node.op is ARGUMENT:
            name: str = node.params.name
            return name
        label = self.labels.get(node)
        return label.text if label else None

    def _has_label(self, node: Node) -> bool:
        return node.op is ARGUMENT or node in self.labels

    def inherit(self, old: Node, new: Node) -> None:
        """After a rewrite, what was known about the old node holds for the new one."""
        if old is new:
            return
        if old in self.labels and new.op is not ARGUMENT:
            self._note(self.labels, new, self.labels[old])
        if old in self.hints:
            self._note(self.hints, new, self.hints[old])
        if old in self.counterparts:
            self._note(self.counterparts, new, self.counterparts[old])
        if old in self.sites:
            known = self.sites.get(new)
            if known is None:
                self._adopted.add(new)
            merged = list(dict.fromkeys([*(known or ()), *self.sites[old]]))
            self._derived.append((self.sites, new, known))
            self.sites[new] = merged
        if old in self.origins and new not in self.origins:
            self.explain(new, self.origins[old])

    def explain(self, node: Node, origin: str) -> None:
        """Note where a value comes from that is computed otherwise than the user wrote it.

        Generated code says so at the statement: `logsumexp, from log(sum(exp(.)))`. The text is
        graphc's own: nothing in it is escaped. The last one stays, and survives later rewrites;
        arguments, and nodes that the user made as they are, have none.
        """
        if node.op is ARGUMENT or (node in self.sites and node not in self._adopted):
            return
        self._derived.append((self.origins, node, self.origins.get(node)))
        self.origins[node] = origin

    def relate(self, node: Node, role: str, primal: Node) -> None:
        """Note that a node is the `bar`, `dot` or `pre` of another; the first relation stays."""
        self._note(self.counterparts, node, (role, primal))

    def forget_derived(self) -> None:
        """Forget what passes noted, so that a second compilation starts as the first one did."""
        for table, node, before in reversed(self._derived):
            if before is None:
                table.pop(node, None)
            else:
                table[node] = before
        self._derived.clear()
        self._adopted.clear()

    def _note(self, table: dict[Node, Any], node: Node, value: Any) -> None:
        if node not in table:
            table[node] = value
            if not self.recording:
                self._derived.append((table, node, None))

    def site_of(self, node: Node) -> Site | None:
        """Where the user wrote a node, the first place if there are several."""
        sites = self.sites.get(node)
        return sites[0]() if sites else None

    def place_of(self, node: Node) -> Site | None:
        """Where the user wrote a node, or else what it is the cotangent or tangent of."""
        seen = set()
        while node not in self.sites and node in self.counterparts and node not in seen:
            seen.add(node)
            _, node = self.counterparts[node]
        return self.site_of(node)

    def describe(self, node: Node, *, site: bool = False) -> str:
        """Name, dtype and shape of a node for messages, with its declaration site if asked."""
        type = ", ".join(map(str, node.types))
        place = self.site_of(node) if site else None
        return f"{self.label_of(node) or node.op.name} {type}" + (f" [{place}]" if place else "")


_current: ContextVar[tuple[Graph, ...]] = ContextVar("graphc_graphs", default=())


@contextmanager
def entered(graph: Graph) -> Iterator[Graph]:
    """In here, constants without a node beside them belong to this graph."""
    token = _current.set((*_current.get(), graph))
    try:
        yield graph
    finally:
        _current.reset(token)


def current_graph() -> Graph:
    """The graph of the innermost `with gc.Graph(...)`. Raises DeclarationError outside of one."""
    graphs = _current.get()
    if not graphs:
        raise DeclarationError(
            "no operand is a graphc node, and no graph is open", hint='use `with gc.Graph("name")`'
        )
    return graphs[-1]


# The two leaves of every graph, and the one consumer of tuples. They are no operations on arrays.


def _not_callable(op: Op, *arguments: Any, **options: Any) -> Node:
    raise UnsupportedError(f"{op.name} is not called; use the methods of gc.Graph")


ARGUMENT = Op(
    name="argument",
    doc="An argument of the generated function.",
    operands=(),
    parameters=("kind", "name", "shape", "dtype"),
    infer=lambda require, kind, name, shape, dtype: TensorType(shape, dtype),
    emission=Emission("None"),
    call=_not_callable,
    bounds=lambda node: NOT_NEGATIVE if node.params.kind == "step" else EVERYWHERE,
)


def _range(array: np.ndarray[Any, Any]) -> Interval:
    return Interval(float(array.min()), float(array.max())) if array.size else EVERYWHERE


CONSTANT = Op(
    name="constant",
    doc="A constant array.",
    operands=(),
    parameters=("data",),
    infer=lambda require, data: TensorType(data.array.shape, as_dtype(data.array.dtype)),
    emission=Emission("None"),
    call=_not_callable,
    differentiable=False,
    bounds=lambda node: _range(node.params.data.array),
)
ITEM = Op(
    name="item",
    doc="One result of an op that has several.",
    operands=("x",),
    parameters=("index",),
    infer=lambda require, x, index: x.items[index],
    emission=Emission(lambda node: f"{{x}}[{node.params.index}]", view=True),
    call=_not_callable,
    jvp=lambda node, tangents, kinks: node.graph.rebuild(node, tangents),  # type: ignore[arg-type]
)


def scalar_value(node: Node) -> Any:
    """The number that a scalar constant is, else None."""
    if node.op is not CONSTANT or node.shape:
        return None
    return node.params.data.array.item()


def _inferred(node: Node) -> tuple[Type, tuple[Guard, ...]]:
    return node.type, node.graph.guards.get(node, ())


def is_cotangent(node: Node) -> bool:
    """Whether a node is the argument by which a cotangent enters backward."""
    return node.op is ARGUMENT and node.params.kind == "cotangent"
