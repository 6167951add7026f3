"""Functions: named arguments and results over an arena; what a pass maps to another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import is_

from graphc.ir import dims
from graphc.ir.graph import ARGUMENT, Graph
from graphc.ir.node import Node
from graphc.ir.types import FLOAT


@dataclass(frozen=True)
class Function:
    """Named results computed from arguments.

    The arguments are the argument nodes that the results reach, so a function takes what it needs
    and no more; `declared` fixes their order.
    """

    name: str
    graph: Graph
    outputs: tuple[tuple[str, Node], ...]
    declared: tuple[Node, ...]

    @property
    def roots(self) -> tuple[Node, ...]:
        """The nodes of the results."""
        return tuple(node for _, node in self.outputs)

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes that the results need, operands before users."""
        return topological(self.roots)

    @property
    def arguments(self) -> tuple[Node, ...]:
        """The arguments that are needed, in declaration order."""
        needed = {node for node in self.nodes if node.op is ARGUMENT}
        return tuple(node for node in self.declared if node in needed)

    def with_roots(self, roots: Iterable[Node]) -> Function:
        """The same names for other nodes; the function itself if they are the same."""
        roots = tuple(roots)
        if all(map(is_, roots, self.roots)):
            return self
        names = (name for name, _ in self.outputs)
        return replace(self, outputs=tuple(zip(names, roots, strict=True)))


def topological(
    roots: Sequence[Node], stop: Iterable[Node] = (), rank: Mapping[Node, int] | None = None
) -> list[Node]:
    """All nodes that the roots need, operands before users: a depth-first postorder.

    Nodes in `stop` are listed, but not what they are made of. Operands come in their order, or
    those of the highest rank first.
    """
    order: dict[Node, None] = {}
    ends = frozenset(stop)
    stack: list[Node | None] = list(reversed(roots))
    while stack:
        node = stack.pop()
        if node is None:  # all operands of the one below are done
            order[stack.pop()] = None  # type: ignore[index]
        elif node not in order:
            if node.args and node not in ends:
                args = node.args[::-1]
                stack += (node, None, *(sorted(args, key=rank.__getitem__) if rank else args))
            else:
                order[node] = None
    return list(order)


def differentiable_path(
    outputs: Sequence[Node], wrt: Sequence[Node], stop: Iterable[Node] = ()
) -> list[Node]:
    """The nodes through which wrt reaches the outputs, wrt included, operands before users.

    Only floats carry derivatives, and ops without a derivative end the path. What nodes in `stop`
    are made of is not looked at.
    """
    order = topological(outputs, stop)
    ahead = set(wrt)  # what depends on wrt
    for node in order:
        passes_on = node.op.differentiable and node.dtype.kind == FLOAT
        if passes_on and not ahead.isdisjoint(node.args):
            ahead.add(node)
    return [node for node in order if node in ahead]


def influences(outputs: Sequence[Node]) -> set[Node]:
    """The nodes that a derivative of the outputs can be taken by: those that reach one of them."""
    reached = {node for node in outputs if node.dtype.kind == FLOAT}
    for node in reversed(topological(outputs)):
        if node in reached and node.op.differentiable:
            reached.update(arg for arg in node.args if arg.dtype.kind == FLOAT)
    return reached


def substitute(roots: Sequence[Node], replaced: dict[Node, Node]) -> list[Node]:
    """The roots with nodes exchanged for others of the same type."""
    done = dict(replaced)
    for node in topological(roots, stop=replaced):
        if node not in done:
            rebuilt = node.graph.rebuild(node, tuple(done[a] for a in node.args))
            node.graph.inherit(node, rebuilt)
            done[node] = rebuilt
    return [done[root] for root in roots]


def sizes_read(node: Node) -> list[dims.Extent]:
    """The sizes that the emission of a node may mention."""
    sizes = [size for type in node.types for size in type.shape]
    for value in node.params:
        values = value if isinstance(value, tuple) else (value,)
        for item in values:
            parts = item if isinstance(item, tuple) else (item,)
            sizes.extend(part for part in parts if isinstance(part, dims.Dim))
    return sizes
