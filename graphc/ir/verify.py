"""Checks that a function is what every pass may rely on. Run after each pass in tests."""

from __future__ import annotations

from graphc.ir.function import Function, topological
from graphc.ir.graph import ARGUMENT


def verify(function: Function) -> None:
    """Raise ValueError if a function breaks an invariant.

    Nodes belong to the arena, are interned, come after their operands, have the type that their op
    infers, and use declared arguments only.
    """
    graph = function.graph
    seen = set()
    declared = set(function.declared)
    for node in topological(function.roots):
        if node.graph is not graph or graph.nodes[node.id] is not node:
            raise ValueError(f"{function.name}: {node!r} is not of this arena")
        if graph.intern(node.op, node.args, node.params) is not node:
            raise ValueError(f"{function.name}: {node!r} is not interned")
        if any(arg not in seen for arg in node.args):
            raise ValueError(f"{function.name}: {node!r} comes before an operand")
        inferred = node.op.infer(lambda guard: None, *[a.type for a in node.args], *node.params)
        if inferred != node.type:
            raise ValueError(f"{function.name}: {node!r} should have the type {inferred}")
        if node.op is ARGUMENT and node not in declared:
            raise ValueError(f"{function.name}: the argument {node!r} is not declared")
        seen.add(node)
