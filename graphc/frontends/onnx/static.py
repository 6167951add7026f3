"""What is known while a model is imported: numbers, and sizes that have names.

`Shape → Gather → Concat → Reshape` is arithmetic on sizes. It is built of nodes like everything
else, and the texts that those are printed as are evaluated here on arrays of objects, whose
elements are ints and named sizes: what a size is added to, or divided by, is a size again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from graphc.ir.dims import Dim
from graphc.ir.emission import evaluate
from graphc.ir.graph import ARGUMENT, CONSTANT, ITEM, Graph
from graphc.ir.node import Node
from graphc.ir.types import INT, DType
from graphc.ops.operands import dimension

Value: TypeAlias = np.ndarray[Any, Any]

# Larger values are left to the generated module: what fixes a shape or an axis is small.
MOST = 1 << 16

# Ops whose text says a dtype, or asks for more than a size can tell.
ON_SIZES: dict[str, Callable[..., Any]] = {
    "astype": lambda node, x: x if node.dtype.kind == INT else None,
}


class Known:
    """The values of nodes that do not depend on data.

    Nodes are evaluated in the order in which they were made, each once; a node of which an operand
    is unknown, too large, or more than arithmetic on sizes, is unknown.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[Node, Value] = {}
        self.results: dict[Node, tuple[Value, ...]] = {}  # of nodes that have several
        self.weights: set[Node] = set()  # initialisers, and what is computed from them
        self._next = 0

    def declare(self, node: Node, value: Value) -> None:
        """An initialiser: its value is known, but it may be trained."""
        self.values[node] = value
        self.weights.add(node)

    def of(self, node: Node) -> Value | None:
        """The value of a node, or None. Its dtype is `object` where it has named sizes."""
        for new in self.graph.nodes[self._next :]:
            found = self._evaluated(new)
            if found is not None:
                if isinstance(found, tuple):
                    self.results[new] = found
                else:
                    self.values[new] = found
                if any(arg in self.weights for arg in new.args):
                    self.weights.add(new)
        self._next = len(self.graph.nodes)
        return self.values.get(node)

    def constant(self, node: Node) -> Value | None:
        """The value of a node that does not even depend on a weight, and has no named size."""
        value = self.of(node)
        fixed = value is not None and value.dtype != object and node not in self.weights
        return value if fixed else None

    def _evaluated(self, node: Node) -> Value | tuple[Value, ...] | None:
        if node.op is CONSTANT:
            value: Value = node.params.data.array
            return value
        if node.op is dimension:
            return np.array(node.params.size, dtype=object)
        if node.op is ITEM:
            results = self.results.get(node.args[0])
            return None if results is None else results[node.params.index]
        if node.op is ARGUMENT or node.op.random:
            return None
        if not node.op.emission.numpy:  # a composite that is written out by its body only
            return None
        operands = tuple([self.values[arg] for arg in node.args if arg in self.values])
        if len(operands) < len(node.args) or _elements(node) > MOST:
            return None
        on_sizes = any(value.dtype == object for value in operands)
        try:
            if on_sizes and node.op.name in ON_SIZES:
                result = ON_SIZES[node.op.name](node, *operands)
            else:
                with np.errstate(all="ignore"):
                    result = evaluate(node, operands, {}, widened=True)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return None  # a size has no square root: the generated module computes it
        if result is None:
            return None
        if len(node.types) > 1:
            pairs = zip(result, node.types, strict=True)
            return tuple([_plain(value, type.dtype) for value, type in pairs])
        return _plain(result, node.dtype)


def _plain(result: Any, dtype: DType) -> Value:
    """A result as an array, of its dtype unless it has named sizes."""
    value = np.asarray(result)
    if value.dtype == object and not any(isinstance(size, Dim) for size in value.flat):
        value = value.astype(dtype.numpy)
    return value


def _elements(node: Node) -> int:
    total = 0
    for type in node.types:
        count = 1
        for size in type.shape:
            if not isinstance(size, int):
                return MOST + 1
            count *= size
        total += count
    return total
