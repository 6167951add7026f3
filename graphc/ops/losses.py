"""Losses of numbers: distances of predictions from targets, and likelihoods of measured values.

All take `reduction` and `sample_weight` (`graphc.ops.reducing`) and have PyTorch's defaults.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphc.errors import GraphcError, ShapeError, suggest
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ops.elementwise import abs, clip, maximum, minimum, square, where
from graphc.ops.families import add_up, composite, elementwise
from graphc.ops.functions import exp, log
from graphc.ops.operands import flag, is_same, number, operands, size_node
from graphc.ops.reducing import OPTIONS, PAIR, REDUCTIONS, paired, reduced, require_values
from graphc.ops.reduction import sum
from graphc.ops.stable import xlogx

__all__ = ["gaussian_nll", "huber", "kl_div", "mae", "mse", "poisson_nll", "smooth_l1"]


def _pair(rng: Any) -> tuple[Any, Any]:
    return rng.normal(size=(4, 3)), rng.normal(size=(4, 3))


# --- distances ---------------------------------------------------------------------------------


def _distance_call(
    op: Op, prediction: Any, target: Any, reduction: str = "mean", sample_weight: Any = None
) -> Node:
    pair = paired(op.name, "prediction and target", prediction, target)
    return reduced(op.name, op.node(pair), reduction, sample_weight)


mae = composite(
    "mae", f"|prediction - target|, its mean by default (PyTorch's l1_loss){PAIR}{OPTIONS}",
    operands=("prediction", "target"),
    body=lambda prediction, target: abs(prediction - target), call=_distance_call,
    samples=(
        lambda rng: (_pair(rng), {}),
        lambda rng: (_pair(rng), {"reduction": "none", "sample_weight": rng.uniform(size=4)}),
    ),
)  # fmt: skip
mse = composite(
    "mse", f"(prediction - target)², its mean by default{PAIR}{OPTIONS}",
    operands=("prediction", "target"),
    body=lambda prediction, target: square(prediction - target), call=_distance_call,
    samples=(
        lambda rng: (_pair(rng), {}),
        lambda rng: (_pair(rng), {"sample_weight": rng.uniform(size=4) > 0.3}),
    ),
)  # fmt: skip


def _huber_call(
    op: Op, prediction: Any, target: Any, delta: float = 1.0, reduction: str = "mean",
    sample_weight: Any = None,
) -> Node:  # fmt: skip
    if (bound := number("huber", "delta", delta)) <= 0:
        raise GraphcError(f"huber: delta is positive, got {delta!r}")
    pair = paired("huber", "prediction and target", prediction, target)
    return reduced("huber", op.node(pair, bound), reduction, sample_weight)


def _smooth_l1_call(
    op: Op, prediction: Any, target: Any, beta: float = 1.0, reduction: str = "mean",
    sample_weight: Any = None,
) -> Node:  # fmt: skip
    if (bound := number("smooth_l1", "beta", beta)) < 0:
        raise GraphcError(f"smooth_l1: beta is not negative, got {beta!r}")
    pair = paired("smooth_l1", "prediction and target", prediction, target)
    losses = op.node(pair, bound) if bound else mae.node(pair)
    return reduced("smooth_l1", losses, reduction, sample_weight)


def _bounded(
    name: str, doc: str, parameter: str, term: Callable[..., Node], slope: Callable[..., Node],
    call: Callable[..., Node],
) -> Op:  # fmt: skip
    """Declare a loss of the difference whose slope is bounded, by a parameter that is positive."""

    def vjp(index: int, bar: Node, node: Node, kinks: str) -> Node:
        share = bar * slope(node.args[0] - node.args[1], *node.params)
        return -share if index else share

    def jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
        terms = [vjp(i, t, node, kinks) for i, t in enumerate(tangents) if t is not None]
        return add_up(terms)

    return composite(
        name, f"{doc}{PAIR}{OPTIONS}", operands=("prediction", "target"), parameters=(parameter,),
        body=lambda prediction, target, bound: term(prediction - target, bound),
        vjp=vjp, jvp=jvp, call=call,
        samples=(
            lambda rng: (_pair(rng), {}),
            lambda rng: ((*_pair(rng), 0.5), {"reduction": "sum"}),
        ),
    )  # fmt: skip


def _huber_term(difference: Node, delta: float) -> Node:
    size = abs(difference)
    near = minimum(size, delta)
    return near * (size - 0.5 * near)


huber = _bounded(
    "huber", "d²/2 of d = prediction - target where |d| < delta, else delta (|d| - delta/2)",
    "delta", _huber_term, lambda d, delta: clip(d, -delta, delta), _huber_call,
)  # fmt: skip
smooth_l1 = _bounded(
    "smooth_l1", "huber with delta = beta, over beta; that is mae where beta is 0",
    "beta", lambda d, beta: _huber_term(d, beta) / beta,
    lambda d, beta: clip(d / beta, -1.0, 1.0), _smooth_l1_call,
)  # fmt: skip

# --- likelihoods -------------------------------------------------------------------------------

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


_SPREAD = """ The
variance has their shape, or sizes 1; below eps it has the derivative that it has at eps, as in
PyTorch. Where it is full, log(2π) / 2 is added."""


def _gaussian_body(prediction: Node, target: Node, variance: Node, eps: Node) -> Node:
    spread = maximum(variance, eps)
    return 0.5 * (log(spread) + square(prediction - target) / spread)


def _gaussian_slope(g: Node, y: Node, prediction: Node, target: Node, v: Node, eps: Node) -> Node:
    return g * ((prediction - target) / maximum(v, eps))


def _variance_slope(g: Node, y: Node, prediction: Node, target: Node, v: Node, eps: Node) -> Node:
    # PyTorch's: below eps too, or a variance that is there would never come back.
    spread = maximum(v, eps)
    return g * (0.5 * (1.0 - square(prediction - target) / spread) / spread)


def _gaussian_call(
    op: Op, prediction: Any, target: Any, variance: Any, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean", sample_weight: Any = None,
) -> Node:  # fmt: skip
    pair = paired("gaussian_nll", "prediction and target", prediction, target)
    mean, target, spread = operands(*pair, variance, floating=True)
    least = number("gaussian_nll", "eps", eps)
    if least <= 0:
        raise GraphcError(f"gaussian_nll: eps is positive, got {eps!r}")
    whole = mean if mean.ndim >= target.ndim else target
    if spread.ndim and not (
        spread.ndim == whole.ndim
        and all(is_same(a, b) or a == 1 for a, b in zip(spread.shape, whole.shape, strict=True))
    ):
        told = ", ".join(node.graph.describe(node, site=True) for node in (spread, whole))
        raise ShapeError(f"gaussian_nll: variance has the shape of prediction, or sizes 1: {told}")
    require_values("gaussian_nll", "variance is not negative", spread, lambda v: ~(v < 0))
    losses = op.node((mean, target, spread, spread.graph.constant(least, spread.dtype)))
    if flag("gaussian_nll", "full", full):
        losses = losses + _HALF_LOG_2PI
    return reduced("gaussian_nll", losses, reduction, sample_weight)


gaussian_nll = elementwise(
    "gaussian_nll",
    f"(log v + (prediction - target)² / v) / 2 of v = max(variance, eps){PAIR}{_SPREAD}{OPTIONS}",
    operands="prediction target variance eps", body=_gaussian_body,
    rules=(
        _gaussian_slope,
        lambda g, *rest: -_gaussian_slope(g, *rest),
        _variance_slope,
        None,
    ),
    call=_gaussian_call,
    samples=(
        lambda rng: ((*_pair(rng), rng.uniform(0.5, 2, (4, 3))), {}),
        lambda rng: ((*_pair(rng), rng.uniform(0.5, 2, (4, 1)), True), {"reduction": "sum"}),
    ),
)  # fmt: skip


_RATE = """
Without log_input it is prediction - target * log(prediction + eps). Where it is full, Stirling's
log(target!) is added for targets above 1."""


def _poisson_body(prediction: Node, target: Node, log_input: bool, full: bool, eps: float) -> Node:
    rate, logs = (exp(prediction), prediction) if log_input else (
        prediction, log(prediction + eps)
    )  # fmt: skip
    losses = rate - target * logs
    if full:  # Stirling's formula for log(target!)
        above = maximum(target, 1.0)
        rest = above * log(above) - above + 0.5 * log(2.0 * math.pi * above)
        losses = losses + where(target > 1, rest, 0.0)
    return losses


def _poisson_call(
    op: Op, prediction: Any, target: Any, log_input: bool = True, full: bool = False,
    eps: float = 1e-8, reduction: str = "mean", sample_weight: Any = None,
) -> Node:  # fmt: skip
    pair = paired("poisson_nll", "prediction and target", prediction, target)
    require_values("poisson_nll", "target is not negative", pair[1], lambda t: ~(t < 0))
    options = [
        flag("poisson_nll", "log_input", log_input), flag("poisson_nll", "full", full),
        number("poisson_nll", "eps", eps),
    ]  # fmt: skip
    return reduced("poisson_nll", op.node(pair, *options), reduction, sample_weight)


def _counted(rng: Any) -> tuple[Any, Any]:
    return rng.uniform(0.5, 2, (4, 3)), rng.uniform(1.5, 4, (4, 3))


poisson_nll = composite(
    "poisson_nll", f"exp(prediction) - target * prediction{PAIR}{_RATE}{OPTIONS}",
    operands=("prediction", "target"), parameters=("log_input", "full", "eps"),
    body=_poisson_body, call=_poisson_call,
    samples=(
        lambda rng: (_counted(rng), {}),
        lambda rng: (_counted(rng), {"log_input": False, "full": True}),
    ),
)  # fmt: skip

# --- divergences -------------------------------------------------------------------------------


_LOGS = """
With log_target the target is a logarithm too. The reduction may also be "batchmean", the sum over
the first size."""


def _kl_body(prediction: Node, target: Node, log_target: bool) -> Node:
    if log_target:
        return exp(target) * (target - prediction)
    return xlogx(target, prediction, 1.0)


def _kl_call(
    op: Op, prediction: Any, target: Any, log_target: bool = False, reduction: str = "mean",
    sample_weight: Any = None,
) -> Node:  # fmt: skip
    pair = paired("kl_div", "prediction and target", prediction, target)
    losses = op.node(pair, flag("kl_div", "log_target", log_target))
    if reduction != "batchmean":
        if reduction not in REDUCTIONS:
            raise GraphcError(
                f"kl_div: reduction is 'mean', 'batchmean', 'sum' or 'none', got {reduction!r}",
                hint=suggest(str(reduction), (*REDUCTIONS, "batchmean")),
            )
        return reduced("kl_div", losses, reduction, sample_weight)
    if sample_weight is not None or not losses.ndim:
        raise GraphcError(
            "kl_div: reduction='batchmean' needs an axis of examples, and takes no sample_weight",
            hint="use 'sum', and divide by the sum of your weights",
        )
    return sum(losses) / size_node(losses.graph, losses.shape[0], losses.dtype)


kl_div = composite(
    "kl_div",
    f"target (log(target) - prediction), where prediction is a logarithm{PAIR}{_LOGS}{OPTIONS}",
    operands=("prediction", "target"), parameters=("log_target",), body=_kl_body, call=_kl_call,
    samples=(
        lambda rng: ((rng.normal(size=(4, 3)), rng.uniform(0.1, 1, (4, 3))), {}),
        lambda rng: (_pair(rng), {"log_target": True, "reduction": "batchmean"}),
    ),
)  # fmt: skip
