"""Losses: means over all examples, as PyTorch's defaults are."""

from __future__ import annotations

from typing import Any

from graphc.ir import dims
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ops.elementwise import square
from graphc.ops.families import composite
from graphc.ops.functions import log
from graphc.ops.indexing import one_hot, pick
from graphc.ops.nn import shifted_exp, softmax
from graphc.ops.operands import operand, operands, require_int, require_rank, size_node
from graphc.ops.reduction import mean
from graphc.ops.shape import squeeze

__all__ = ["cross_entropy", "mse"]


def _cross_entropy_body(logits: Node, labels: Node) -> Node:
    # -log softmax(logits)[label] = log(sums) - shifted[label]
    shifted, _, sums = shifted_exp(logits, (logits.ndim - 1,))
    logs = logits.graph.hint(squeeze(log(sums), -1), "log_sums")
    return mean(logs - pick(shifted, labels))


def _cross_entropy_gradient(g: Node, node: Node) -> Node:
    logits, labels = node.args
    examples = size_node(node.graph, dims.product(labels.shape), logits.dtype)
    error = node.graph.hint(softmax(logits) - one_hot(labels, logits.shape[-1]), "error")
    return error * (g / examples)


def _cross_entropy_call(op: Op, logits: Any, labels: Any) -> Node:
    logits = require_rank("cross_entropy", operand(logits, floating=True), 1)
    labels = labels if isinstance(labels, Node) else logits.graph.constant(labels)
    return op.node((logits, require_int("cross_entropy", "labels", labels)))


cross_entropy = composite(
    "cross_entropy", "the mean of -log softmax(logits)[label] over all examples",
    operands=("logits", "labels"),
    body=_cross_entropy_body,
    vjp=lambda index, bar, node, kinks: _cross_entropy_gradient(bar, node) if index == 0 else None,
    call=_cross_entropy_call,
    samples=(
        lambda rng: ((rng.normal(size=(4, 3)), rng.integers(0, 3, 4)), {}),
        lambda rng: ((rng.normal(size=(2, 4, 3)), rng.integers(0, 3, (2, 4))), {}),
    ),
)  # fmt: skip
mse = composite(
    "mse", "the mean of (prediction - target)²",
    operands=("prediction", "target"),
    body=lambda prediction, target: mean(square(prediction - target)),
    call=lambda op, prediction, target: op.node(operands(prediction, target, floating=True)),
    samples=(lambda rng: ((rng.normal(size=(4, 3)), rng.normal(size=(4, 3))), {}),),
)  # fmt: skip
