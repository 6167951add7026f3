"""The Program: which values are computed in which order, consumed by interpreter and printer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from graphc.errors import DeclarationError
from graphc.ir import dims
from graphc.ir.graph import CONSTANT, Graph, is_cotangent
from graphc.ir.node import Node
from graphc.ir.types import BOOL, Guard, TensorType
from graphc.lower.schedule import schedule

MAX_DEPTH = 3  # of operations in one expression


@dataclass(frozen=True, slots=True)
class Program:
    """One function of the generated module.

    arguments   argument nodes, or forward values that arrive as residuals
    order       every other value, operands before users
    results     what is returned
    inline      values that may be written inside their only user
    sizes       each named size that is read: the argument and axis that show it, or None where it
                is an argument of its own
    guards      conditions on sizes that the types could not settle
    """

    name: str
    graph: Graph
    arguments: tuple[Node, ...]
    order: tuple[Node, ...]
    results: tuple[Node, ...]
    inline: frozenset[Node]
    sizes: dict[str, tuple[Node, int] | None]
    guards: tuple[Guard, ...]

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return any(node.op.random for node in self.order)


def lower(
    name: str,
    arguments: Sequence[Node],
    results: Sequence[Node],
    *,
    order: Sequence[Node] | None = None,
    kept: Sequence[Node] = (),
    checked: Sequence[Node] = (),
    guarded: Sequence[Node] = (),
    kept_sizes: Sequence[str] = (),
    given_sizes: Sequence[str] = (),
) -> Program:
    """The program of a function.

    order        the results in the order in which they should be completed
    kept         values that something outside reads: residuals
    checked      arguments whose sizes are compared when they come in
    guarded      values whose conditions on sizes are checked then
    kept_sizes   names of sizes that something outside reads
    given_sizes  names of sizes that are arguments of their own
    """
    graph = (*results, *arguments)[0].graph
    steps = schedule((*(order or results), *kept), arguments, longest_first=not order)
    uses = Counter(chain.from_iterable([node.args for node in steps]))
    named = {*results, *kept}
    inline = frozenset(
        node for node in steps if uses[node] == 1 and node not in named and is_anonymous(node)
    )
    inline -= set(held_by_draws(steps, inline))
    guards = tuple(dict.fromkeys(g for node in guarded for g in graph.guards.get(node, ())))
    read = [*sizes_in_code(steps), *sizes_in_checks(checked), *sizes_in_guards(guarded)]
    sizes = {
        name: None if name in given_sizes else shown(name, arguments)
        for name in dict.fromkeys([*(n for size in read for n in dims.names(size)), *kept_sizes])
    }
    return Program(name, graph, tuple(arguments), steps, tuple(results), inline, sizes, guards)


def held_by_draws(steps: Sequence[Node], inline: Collection[Node]) -> Iterator[Node]:
    """The values that need statements of their own, so that no draw moves past another one.

    A draw may stand inside the value that follows it at once: then that is a statement.
    """
    for node, following in zip_longest(steps, steps[1:]):
        if node.op.random and node in inline:
            adjacent = following is not None and any(arg is node for arg in following.args)
            yield following if adjacent else node


def is_anonymous(node: Node) -> bool:
    """Whether the reader would miss nothing without a name."""
    return isinstance(node.type, TensorType) and not node.graph.is_named(node)


def sizes_in_code(steps: Sequence[Node]) -> list[dims.Extent]:
    """The sizes that statements mention."""
    found: list[dims.Extent] = []
    for node in steps:
        if names := node.op.emission.template(node).sizes:
            found += map(dims.named, names)
    return found


def sizes_in_guards(nodes: Sequence[Node]) -> list[dims.Extent]:
    """The sizes that conditions compare."""
    guards = [guard for node in nodes for guard in node.graph.guards.get(node, ())]
    return [size for guard in guards for size in (guard.left, guard.right)]


def sizes_in_checks(arguments: Sequence[Node]) -> list[dims.Extent]:
    """The sizes that checks compare: those of cotangents, and what occurs more than once."""
    shapes = [size for node in arguments for size in node.shape if not isinstance(size, int)]
    often = Counter(name for size in shapes for name in set(dims.names(size)))
    given = {size for node in filter(is_cotangent, arguments) for size in node.shape}
    return [
        size
        for size in shapes
        if size in given or dims.pure_name(size) is None or often[str(size)] > 1
    ]


def shown(name: str, arguments: Sequence[Node]) -> tuple[Node, int]:
    """The first argument and axis whose size is just this name; cotangents may be None."""
    for node in arguments:
        for axis, size in enumerate(node.shape):
            if dims.pure_name(size) == name and not is_cotangent(node):
                return node, axis
    raise DeclarationError(
        f"the size {name!r} cannot be read off any argument",
        hint=f"declare an input or parameter with an axis of size {name!r} itself",
    )


def is_literal(node: Node) -> bool:
    """Whether a value is written in place, however often it is used: a scalar constant or size."""
    return (node.op is CONSTANT or node.op.name == "dimension") and not node.shape


def promotes_itself(node: Node, user: Node) -> bool:
    """Whether a value is a mask made into numbers, where NumPy would do the same with the mask."""
    if not is_bool_cast(node):
        return False
    return beside_array(user, node, [arg for arg in user.args if not is_bool_cast(arg)])


def is_bool_cast(node: Node) -> bool:
    """Whether a value is a mask made into numbers."""
    return node.op.name == "astype" and node.args[0].dtype.kind == BOOL


def beside_array(user: Node, node: Node, operands: Sequence[Node]) -> bool:
    """Whether one of the operands of an elementwise op has axes, and the dtype of the node."""
    return user.op.family == "elementwise" and any(
        arg.shape and arg.dtype is node.dtype for arg in operands if arg is not node
    )
