"""From naive formulas to composites with stable bodies, before differentiation and after it.

Value and derivative stay what they are on paper; what changes is that they survive floating point.
"""

from __future__ import annotations

from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Rule, call, wilds
from graphc.ops.nn import log_softmax, logsumexp

(x,) = wilds("x")


def log_of_softmax(node: Node, x: Node) -> Node:
    """exp(x) / sum(exp(x)) underflows to 0 for the unlikely classes, whose log is finite."""
    return log_softmax(x, node.args[0].params.axis)


def log_of_sum_of_exp(node: Node, x: Node) -> Node | None:
    """exp(x) overflows long before log(sum(exp(x))) does. An empty sum has no maximum."""
    axes, keepdims = node.args[0].params
    if any(x.shape[axis] == 0 for axis in axes):
        return None
    return logsumexp(x, axes, keepdims)


STABILIZE_RULES = (
    Rule("log(softmax(x)) = log_softmax(x)", call("log", call("softmax", x)), log_of_softmax,
         STABILIZE),
    Rule("log(sum(exp(x))) = logsumexp(x)", call("log", call("sum", call("exp", x))),
         log_of_sum_of_exp, STABILIZE),
)  # fmt: skip
