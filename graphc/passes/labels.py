"""Checks of labels that were made already.

`pick` and `one_hot` refuse labels outside of their classes. Where a function picks with the labels
of a one_hot, as the loss does whose gradient that is, one check is enough.
"""

from __future__ import annotations

from graphc.ir.dims import Extent
from graphc.ir.function import Function, substitute
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ops.indexing import one_hot, pick


def trust_labels(function: Function) -> Function:
    """The function with the bodies of those one_hots whose labels are known to be right.

    Those of constants were checked where they were declared.
    """
    checked: dict[Node, list[Extent]] = {}
    for node in function.nodes:
        if node.op is pick:
            checked.setdefault(node.args[1], []).append(node.args[0].shape[-1])
    trusted: dict[Node, Node] = {}
    for node in function.nodes:
        if node.op is one_hot:
            (labels,) = node.args
            if labels.op is CONSTANT or node.params.classes in checked.get(labels, []):
                assert one_hot.body is not None
                trusted[node] = one_hot.body(labels, *node.params)
                function.graph.inherit(node, trusted[node])
    return function.with_roots(substitute(function.roots, trusted)) if trusted else function
