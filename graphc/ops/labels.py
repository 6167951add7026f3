"""Losses of labels: two classes by a probability, a logit or a score, and many by logits.

All take `reduction` and `sample_weight` (`graphc.ops.reducing`). Classes lie on the last axis, and
nothing is ignored unless `ignore_index` says so: PyTorch has them on the second, and ignores -100.
A label that is no class is an IndexError of the generated module. The likelihood of a Bernoulli
variable is `bce`, that of multinomial counts `cross_entropy` with the counts as targets.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DTypeError, GraphcError, ShapeError
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ir.op import Draw, Op, function
from graphc.ir.types import INT, broadcast
from graphc.ops.elementwise import abs, mask, maximum, relu, square, where
from graphc.ops.families import FEW, composite, elementwise
from graphc.ops.functions import exp, log, log1p, sigmoid
from graphc.ops.indexing import one_hot, pick
from graphc.ops.nn import log_softmax, shifted_exp, softmax
from graphc.ops.operands import (
    is_same,
    number,
    operand,
    operands,
    own_node,
    require_int,
    require_labels,
    require_rank,
    size_node,
    whole,
)
from graphc.ops.reducing import OPTIONS, PAIR, paired, reduced, require_signs, require_values
from graphc.ops.reduction import mean, sum
from graphc.ops.shape import broadcast_to, expand_dims, squeeze
from graphc.ops.stable import sigmoid_cross_entropy, softplus

__all__ = [
    "bce", "bce_with_logits", "cross_entropy", "hinge", "logistic", "multi_margin", "nll",
    "squared_hinge",
]  # fmt: skip

# --- two classes -------------------------------------------------------------------------------

_LEAST = -100.0  # PyTorch's
_LIMITS = """ They lie in [0, 1].
As in PyTorch no logarithm is below -100, and no p (1 - p) in the derivative below 1e-12;
that of a sigmoid is computed from its logit, without either."""


def _tiny(x: Node) -> float:
    return float(np.finfo(x.dtype.numpy).smallest_subnormal)


def _log_own(p: Node) -> Node:
    return maximum(log(where(p == 0, _tiny(p), p)), _LEAST)


def _log_other(p: Node) -> Node:
    """log(1 - p), of which only that of p = 1 is below the limit."""
    certain = p == 1
    return where(certain, _LEAST, log1p(-where(certain, 0.5, p)))


def _bce_slope(g: Node, y: Node, p: Node, t: Node) -> Node:
    # PyTorch's limit is that of float32 in float64 too; in float16 its inverse would overflow.
    least = max(float(np.float32(1e-12)), 2.0 / float(np.finfo(p.dtype.numpy).max))
    return g * ((p - t) / maximum(p * (1.0 - p), least))


def _bce_call(
    op: Op, prediction: Any, target: Any, reduction: str = "mean", sample_weight: Any = None
) -> Node:
    pair = paired("bce", "prediction and target", prediction, target)
    for node, name in zip(pair, ("predictions", "targets"), strict=True):
        require_values("bce", f"{name} lie in [0, 1]", node, lambda p: (p >= 0) & (p <= 1))
    return reduced("bce", op.node(pair), reduction, sample_weight)


bce = elementwise(
    "bce",
    f"-(t log p + (1 - t) log(1 - p)) of probabilities p and targets t{PAIR}{_LIMITS}{OPTIONS}",
    operands="p t",
    body=lambda p, t: -(t * _log_own(p) + (1.0 - t) * _log_other(p)),
    rules=(_bce_slope, lambda g, y, p, t: g * (_log_other(p) - _log_own(p))),
    call=_bce_call,
    samples=(
        lambda rng: ((rng.uniform(0.1, 0.9, (4, 3)), rng.uniform(0, 1, (4, 3))), {}),
        lambda rng: ((rng.uniform(0.1, 0.9, 4), rng.uniform(0, 1, 4)), {"reduction": "none"}),
    ),
)  # fmt: skip


def _logit_body(z: Node, own: Node, other: Node) -> Node:
    size = abs(z)
    return where(z > 0, other, own) * size + (own + other) * log1p(exp(-size))


# Of targets t and 1 - t it is the sigmoid_cross_entropy that formulas are rewritten to.
logit_cross_entropy = elementwise(
    "logit_cross_entropy", "-(own log p + other log(1 - p)) where p = sigmoid(z)",
    operands="z own other", body=_logit_body,
    rules=(
        lambda g, y, z, own, other: g * ((own + other) * sigmoid(z) - own),
        lambda g, y, z, own, other: g * softplus(-z),
        lambda g, y, z, own, other: g * softplus(z),
    ),
    symbolic=lambda sp, z, own, other: (
        own * sp.log(1 + sp.exp(-z)) + other * sp.log(1 + sp.exp(z))
    ),
    layouts=FEW,
)  # fmt: skip


@function
def bce_with_logits(
    logits: Any, target: Any, pos_weight: Any = None, reduction: str = "mean",
    sample_weight: Any = None,
) -> Node:  # fmt: skip
    """-(w t log p + (1 - t) log(1 - p)) where p = sigmoid(logits), for logits of any size.

    Both are floats of one shape, or one is a scalar; targets lie in [0, 1]. The weight w of the
    positive class (pos_weight) is 1 by default, and broadcasts to the logits.

    reduction      "mean" (by the number of losses, or by the sum of their weights), "sum" or "none"
    sample_weight  numbers, or a bool mask of what counts; its axes are the first of the losses
    """
    z, t = paired("bce_with_logits", "logits and target", logits, target)
    require_values("bce_with_logits", "targets lie in [0, 1]", t, lambda t: (t >= 0) & (t <= 1))
    if pos_weight is None:
        losses = sigmoid_cross_entropy(z, t)
    else:
        z, t, weight = operands(z, t, pos_weight, floating=True)
        whole = z if z.ndim else t
        try:
            fits = broadcast([whole.shape, weight.shape])[0] == whole.shape
        except ShapeError:
            fits = False
        if not fits:
            told = ", ".join(node.graph.describe(node, site=True) for node in (weight, whole))
            raise ShapeError(f"bce_with_logits: pos_weight does not broadcast to logits: {told}")
        losses = logit_cross_entropy(z, weight * t, 1.0 - t)
    return reduced("bce_with_logits", losses, reduction, sample_weight)


def _score_call(
    op: Op, scores: Any, labels: Any, reduction: str = "mean", sample_weight: Any = None
) -> Node:
    if isinstance(labels, Node):
        require_signs(op.name, labels)
    pair = paired(op.name, "scores and labels", scores, labels)
    require_signs(op.name, pair[1])
    return reduced(op.name, op.node(pair), reduction, sample_weight)


def _score_loss(name: str, doc: str, body: Any) -> Op:
    """Declare a loss of scores z and labels t of -1 and 1."""
    return composite(
        name, f"{doc} of scores z and labels t of -1 and 1{PAIR}{OPTIONS}", operands=("z", "t"),
        body=body, call=_score_call,
        samples=(
            lambda rng: ((rng.normal(size=4), rng.choice([-1.0, 1.0], 4)), {}),
            lambda rng: ((rng.normal(size=(2, 3)), np.array([[-1, 1, 1], [1, 1, -1]])),
                         {"reduction": "none"}),
        ),
    )  # fmt: skip


hinge = _score_loss("hinge", "max(0, 1 - t z)", lambda z, t: relu(1.0 - t * z))
squared_hinge = _score_loss(
    "squared_hinge", "max(0, 1 - t z)²", lambda z, t: square(relu(1.0 - t * z))
)
logistic = _score_loss("logistic", "log(1 + exp(-t z))", lambda z, t: softplus(-(t * z)))

# --- many classes ------------------------------------------------------------------------------

_CLASSES = """

The classes are the last axis; labels have an int dtype and the other axes. One that is no class is
an IndexError when the module runs, and a GraphcError where it is a constant."""
_LABELLED = f"""

class_weight   a number for each class; the mean divides by those of the labels
ignore_index   the label of what does not count, none by default; a mean of nothing is NaN
{OPTIONS.lstrip()}"""
_SOFT = """

Labels that are floats of the shape of the logits are targets: -Σ target log softmax(logits). They
need not add up to 1, have no ignore_index, and their mean is not divided by class weights. With
label_smoothing, from 0 to 1, that share of each label is split evenly among all classes."""


def _cross_entropy_body(logits: Node, labels: Node, smoothing: float) -> Node:
    # -log softmax(logits)[label] = log(sums) - shifted[label]
    shifted, _, sums = shifted_exp(logits, (logits.ndim - 1,))
    logs = logits.graph.hint(squeeze(log(sums), -1), "log_sums")
    own = pick(shifted, labels)
    if not smoothing:
        return logs - own
    return logs - ((1.0 - smoothing) * own + smoothing * mean(shifted, -1))


def _cross_entropy_gradient(g: Node, node: Node) -> Node:
    logits, labels = node.args
    target = one_hot(labels, logits.shape[-1])
    if smoothing := node.params.label_smoothing:
        target = (1.0 - smoothing) * target + smoothing / _count(logits)
    error = node.graph.hint(softmax(logits) - target, "error")
    return error * expand_dims(g, -1)


def _soft_body(logits: Node, targets: Node) -> Node:
    return sum(targets * -log_softmax(logits), -1)


def _soft_vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
    logits, targets = node.args
    whole = expand_dims(bar, -1)
    if index:
        return whole * -log_softmax(logits)
    return (softmax(logits) * sum(targets, -1, True) - targets) * whole


soft_cross_entropy = composite(
    "soft_cross_entropy", "-Σ target log softmax(logits) over the last axis (gc.cross_entropy)",
    operands=("logits", "targets"), body=_soft_body, vjp=_soft_vjp,
    call=lambda op, logits, targets: op.node(operands(logits, targets, floating=True)),
    samples=(lambda rng: ((rng.normal(size=(4, 3)), rng.uniform(size=(4, 3))), {}),),
)  # fmt: skip


def _cross_entropy_call(
    op: Op, logits: Any, labels: Any, *, class_weight: Any = None, ignore_index: Any = None,
    label_smoothing: float = 0.0, reduction: str = "mean", sample_weight: Any = None,
) -> Node:  # fmt: skip
    name = op.name
    logits = require_rank(name, operand(logits, floating=True), 1)
    labels = own_node(name, "labels", labels, logits.graph)
    classes = logits.shape[-1]
    smoothing = number(name, "label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise GraphcError(f"{name}: label_smoothing lies in [0, 1], got {label_smoothing!r}")
    weight = _class_weight(name, class_weight, logits)
    if _is_like(labels, logits):
        if labels.dtype.kind == INT:
            told = ", ".join(node.graph.describe(node, site=True) for node in (logits, labels))
            raise DTypeError(f"{name} expects labels with no axis of classes, or floats: {told}")
        if ignore_index is not None:
            raise GraphcError(
                f"{name}: ignore_index is for labels of an int dtype, got "
                f"{labels.graph.describe(labels, site=True)}",
                hint="leave examples out by sample_weight",
            )
        losses = _soft_cross_entropy(logits, labels, weight, smoothing)
        return reduced(name, losses, reduction, sample_weight)
    labels, kept = _kept(name, labels, classes, ignore_index)
    if weight is None:
        losses = op.node((logits, labels), smoothing)
        return reduced(name, losses, reduction, sample_weight, kept=kept)
    share = _of_labels(weight, labels)
    losses = op.node((logits, labels), 0.0) * share
    if smoothing:
        every = soft_cross_entropy(logits, broadcast_to(weight, logits.shape))
        losses = (1.0 - smoothing) * losses + (smoothing / _count(logits)) * every
    return reduced(name, losses, reduction, sample_weight, kept=kept, share=share)


def _is_like(labels: Node, logits: Node) -> bool:
    return labels.ndim == logits.ndim and all(map(is_same, labels.shape, logits.shape))


def _soft_cross_entropy(logits: Node, targets: Node, weight: Node | None, smoothing: float) -> Node:
    """-Σ w t log softmax(logits) over the classes, where the targets are smoothed."""
    logits, targets = operands(logits, targets, floating=True)
    if smoothing:
        targets = (1.0 - smoothing) * targets + smoothing / _count(logits)
    targets = targets if weight is None else targets * weight
    return soft_cross_entropy(logits, targets)


def _count(logits: Node) -> Node:
    """The number of classes."""
    return size_node(logits.graph, logits.shape[-1], logits.dtype)


def _class_weight(op: str, class_weight: Any, logits: Node) -> Node | None:
    """The weight of each class, or ShapeError if there are not as many."""
    if class_weight is None:
        return None
    _, weight = operands(logits, class_weight, floating=True)
    if weight.ndim != 1 or not is_same(weight.shape[0], logits.shape[-1]):
        told = ", ".join(node.graph.describe(node, site=True) for node in (weight, logits))
        raise ShapeError(f"{op}: class_weight has one number for each class: {told}")
    return weight.graph.hint(weight, "class_weight")


def _of_labels(weight: Node, labels: Node) -> Node:
    """The weight of the class of each label."""
    rows = broadcast_to(weight, (*labels.shape, weight.shape[0]))
    return weight.graph.hint(pick(rows, labels), "weights")


def _kept(op: str, labels: Node, classes: Extent, ignore_index: Any) -> tuple[Node, Node | None]:
    """Labels with 0 in place of what is ignored, and the mask of what is not."""
    if ignore_index is None:
        return require_labels(op, labels, classes), None
    ignore_index = whole(op, "ignore_index", ignore_index)
    bounds = np.iinfo(require_int(op, "labels", labels).dtype.numpy)
    if not bounds.min <= ignore_index <= bounds.max:
        told = labels.graph.describe(labels, site=True)
        raise GraphcError(f"{op}: no label is the ignore_index {ignore_index}: {told}")
    require_labels(op, labels, classes, ignore_index)
    kept = labels.graph.hint(labels != int(ignore_index), "valid")
    return labels.graph.hint(mask(labels, kept), "labels"), kept


def _label_samples(*options: dict[str, Any]) -> tuple[Draw, ...]:
    def sample(chosen: dict[str, Any]) -> Draw:
        return lambda rng: ((rng.normal(size=(4, 3)), rng.integers(0, 3, 4)), chosen)

    return tuple(sample(chosen) for chosen in options)


cross_entropy = composite(
    "cross_entropy",
    f"-log softmax(logits)[label], its mean by default{_CLASSES}{_SOFT}{_LABELLED}",
    operands=("logits", "labels"), parameters=("label_smoothing",),
    body=_cross_entropy_body,
    vjp=lambda index, bar, node, kinks: _cross_entropy_gradient(bar, node) if index == 0 else None,
    call=_cross_entropy_call,
    samples=(
        *_label_samples({}),
        lambda rng: ((rng.normal(size=(2, 4, 3)), rng.integers(0, 3, (2, 4))), {}),
        *_label_samples({"label_smoothing": 0.1, "ignore_index": 1, "class_weight": [1.0, 2, 3]}),
        lambda rng: ((rng.normal(size=(4, 3)), rng.uniform(size=(4, 3))), {"reduction": "none"}),
    ),
)  # fmt: skip


def _nll_call(
    op: Op, log_probs: Any, labels: Any, *, class_weight: Any = None, ignore_index: Any = None,
    reduction: str = "mean", sample_weight: Any = None,
) -> Node:  # fmt: skip
    log_probs = require_rank("nll", operand(log_probs, floating=True), 1)
    labels = own_node("nll", "labels", labels, log_probs.graph)
    weight = _class_weight("nll", class_weight, log_probs)
    labels, kept = _kept("nll", labels, log_probs.shape[-1], ignore_index)
    losses = op.node((log_probs, labels))
    share = None if weight is None else _of_labels(weight, labels)
    losses = losses if share is None else losses * share
    return reduced("nll", losses, reduction, sample_weight, kept=kept, share=share)


nll = composite(
    "nll", f"-log_probs[label], its mean by default{_CLASSES}{_LABELLED}",
    operands=("log_probs", "labels"), body=lambda log_probs, labels: -pick(log_probs, labels),
    call=_nll_call, samples=_label_samples({}, {"reduction": "sum", "class_weight": [1.0, 2, 3]}),
)  # fmt: skip


def _margins(scores: Node, labels: Node, margin: float) -> Node:
    others = ~one_hot(labels, scores.shape[-1])
    reached = relu(scores - expand_dims(pick(scores, labels), -1) + margin)
    return sum(mask(reached, others), -1) / _count(scores)


def _margin_call(
    op: Op, scores: Any, labels: Any, margin: float = 1.0, reduction: str = "mean",
    sample_weight: Any = None,
) -> Node:  # fmt: skip
    scores = require_rank("multi_margin", operand(scores, floating=True), 1)
    labels = own_node("multi_margin", "labels", labels, scores.graph)
    require_labels("multi_margin", labels, scores.shape[-1])
    losses = op.node((scores, labels), number("multi_margin", "margin", margin))
    return reduced("multi_margin", losses, reduction, sample_weight)


multi_margin = composite(
    "multi_margin", "Σ max(0, margin + z[other] - z[label]) / classes: the hinge of many classes"
    f"{_CLASSES}{OPTIONS}",
    operands=("scores", "labels"), parameters=("margin",), body=_margins, call=_margin_call,
    samples=_label_samples({}, {"margin": 0.5, "reduction": "none"}),
)  # fmt: skip
