"""Logarithms of probabilities: defined where a probability is 0.

In a rule, g is a cotangent or a tangent, out the result, the rest the operands; the rule is
g times ∂out/∂operand.
"""

from __future__ import annotations

from math import inf
from typing import Any

from graphc.ir.intervals import POSITIVE, Domain
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ops.comparison import isnan
from graphc.ops.elementwise import abs, clip, where
from graphc.ops.families import FEW, elementwise
from graphc.ops.functions import log, log1p
from graphc.ops.operands import number, operand

__all__ = ["entr", "logit", "xlogy"]


def _log_but_of_0(x: Node) -> Node:
    return log(where(x == 0, 1.0, x))


entr = elementwise(
    "entr", "-x log(x): 0 where x is 0, and -∞ where it is negative",
    body=lambda x: where(x < 0, -inf, -(x * _log_but_of_0(x))),
    rules=(lambda g, out, x: g * where(x == 0, inf, -(_log_but_of_0(x) + 1.0)),),
    symbolic=lambda sp, x: -x * sp.log(x), domain=((0.5, 2),), finite=(POSITIVE,), layouts=FEW,
)  # fmt: skip
xlogy = elementwise(
    "xlogy", "x log(y), and 0 where x is 0, unless y is NaN", operands="x y",
    body=lambda x, y: x * log(where((x == 0) & ~isnan(y), 1.0, y)),
    rules=(
        # By x as in PyTorch; by y it is 0 where both are 0, and not NaN.
        lambda g, out, x, y: g * log(where((x == 0) & (y <= 0), 1.0, y)),
        lambda g, out, x, y: g * (x / where((x == 0) & (y == 0), 1.0, y)),
    ),
    symbolic=lambda sp, x, y: x * sp.log(y), domain=((-2, 2), (0.5, 2)),
    finite=(None, POSITIVE), layouts=FEW,
)  # fmt: skip


def _logit_body(x: Node) -> Node:
    # Around 1/2 the quotient is near 1, of whose logarithm rounding leaves nothing.
    close = abs(x - 0.5) < 0.25
    near, far = where(close, x, 0.5), where(close, 0.5, x)
    return where(close, log1p((2.0 * near - 1.0) / (1.0 - near)), log(far / (1.0 - far)))


def _logit_call(op: Op, x: Any, eps: Any = None) -> Node:
    x = operand(x, floating=True)
    if eps is not None:
        margin = number("logit", "eps", eps)
        x = clip(x, margin, 1.0 - margin)
    return op.node((x,))


logit = elementwise(
    "logit", "log(x / (1 - x)), the inverse of sigmoid; with eps, of x limited to eps..1 - eps",
    body=_logit_body, rules=(lambda g, out, x: g / (x * (1.0 - x)),), call=_logit_call,
    symbolic=lambda sp, x: sp.log(x / (1 - x)), domain=((0.1, 0.9),),
    finite=(Domain(0.0, 1.0, 0.5),), layouts=FEW,
)  # fmt: skip
