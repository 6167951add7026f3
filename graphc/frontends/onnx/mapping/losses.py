"""Losses of labels. Classes lie on axis 1, and on the last one in graphc."""

from __future__ import annotations

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.node import Node


def with_classes_last(x: Node) -> Node:
    """x with its axis 1 behind all others."""
    return ops.moveaxis(x, 1, -1) if x.ndim > 2 else x


def with_classes_second(x: Node) -> Node:
    """x with its last axis behind the first one."""
    return ops.moveaxis(x, -1, 1)


@maps("NegativeLogLikelihoodLoss")
def nll(
    call: Call, log_probs: Node, labels: Node, weight: Node | None = None, *,
    ignore_index: int | None = None, reduction: str = "mean",
) -> Node:  # fmt: skip
    """Minus the logarithm of the probability of each label."""
    return ops.nll(
        with_classes_last(log_probs), labels, class_weight=weight, ignore_index=ignore_index,
        reduction=reduction,
    )  # fmt: skip


@maps("SoftmaxCrossEntropyLoss")
def cross_entropy(
    call: Call, scores: Node, labels: Node, weights: Node | None = None, *,
    ignore_index: int | None = None, reduction: str = "mean",
) -> tuple[Node, ...]:  # fmt: skip
    """The same of softmax(scores), and the logarithms of that."""
    options = {"class_weight": weights, "ignore_index": ignore_index, "reduction": reduction}
    scores = with_classes_last(scores)
    if call.outputs == 1:
        return (ops.cross_entropy(scores, labels, **options),)
    logs = ops.log_softmax(scores)
    return ops.nll(logs, labels, **options), with_classes_second(logs)
