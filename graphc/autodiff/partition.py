"""Partition: the joint function cut into a forward and a backward pass.

Residuals are the forward values that backward reads. Views and sizes are made again in backward
from what they are views of: they cost nothing, and keep no memory alive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir import dims
from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT, ITEM, is_cotangent
from graphc.ir.node import Node


@dataclass(frozen=True, slots=True)
class Partition:
    """The residuals in order of computation, and the names of sizes that none of them shows."""

    residuals: tuple[Node, ...]
    sizes: tuple[str, ...]


def partition(
    outputs: Sequence[Node], gradients: Sequence[Node], cotangents: Sequence[Node]
) -> Partition:
    """Which forward values the gradients are computed from, beside the cotangents."""
    order = topological(outputs)
    forward = set(order)
    backward: list[Node] = []
    seen: set[Node] = set()
    residuals: set[Node] = set()
    stack = list(gradients)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if is_cotangent(node) or node.op is CONSTANT:
            continue
        # What is drawn is drawn once, even where no result of the forward pass depends on it.
        if node.op is ARGUMENT or node.op.random or (node in forward and not is_free(node)):
            residuals.add(node)
            continue
        backward.append(node)
        stack.extend(node.args)
    needed = {name for bar in cotangents for name in dims.all_names(bar.shape)}
    needed.update(name for node in backward for name in node.op.emission.template(node).sizes)
    shown = {dims.pure_name(size) for node in residuals for size in node.shape}
    if not residuals <= forward:  # an argument that only backward reads
        order = topological([*outputs, *gradients])
    kept = [node for node in order if node in residuals]
    hidden = [name for name in sorted(needed) if name not in shown]
    return Partition(tuple(kept), tuple(hidden))


def is_free(node: Node) -> bool:
    """Whether making a value again costs nothing: a view, or a size.

    One of several results is as free as all of them: only arrays can be residuals. To reshape what
    was transposed takes a copy.
    """
    if node.op is ITEM:
        return is_free(node.args[0])
    if node.op.name == "reshape" and node.args[0].op.name == "permute_dims":
        return False
    return node.op.emission.view or not node.args
