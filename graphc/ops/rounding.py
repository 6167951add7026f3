"""Rounding to whole numbers, and division with a remainder.

Results of ints are ints. What is rounded has derivative 0; a remainder moves with what is divided.
"""

from __future__ import annotations

from typing import Any

from graphc.ir.intervals import NOT_ZERO
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import FLOAT, INT
from graphc.ops.families import FEW, elementwise
from graphc.ops.operands import operand

__all__ = ["ceil", "floor", "floor_divide", "fmod", "remainder", "round", "trunc"]


def _rounding_call(op: Op, x: Any) -> Node:
    """Ints are whole already, and NumPy of before 2.1 would make floats of them."""
    value: Node = operand(x)
    return value if value.dtype.kind == INT else op.node((value,))


floor = elementwise(
    "floor", "the largest whole number ≤ x",
    ufunc="np.floor", math="math.copysign(math.floor({x}), {x})", notation="⌊{x}⌋",
    result="number", call=_rounding_call,
    symbolic=lambda sp, x: sp.floor(x), layouts=FEW,
)  # fmt: skip
ceil = elementwise(
    "ceil", "the smallest whole number ≥ x",
    ufunc="np.ceil", math="math.copysign(math.ceil({x}), {x})", notation="⌈{x}⌉",
    result="number", call=_rounding_call,
    symbolic=lambda sp, x: sp.ceiling(x), layouts=FEW,
)  # fmt: skip
trunc = elementwise(
    "trunc", "x without its digits behind the point",
    ufunc="np.trunc", math="math.copysign(math.trunc({x}), {x})",
    result="number", call=_rounding_call,
    symbolic=lambda sp, x: sp.sign(x) * sp.floor(sp.Abs(x)), layouts=FEW,
)  # fmt: skip
round = elementwise(
    "round", "the whole number nearest to x; of two, the even one",
    ufunc="np.rint", math="math.copysign(round({x}), {x})",
    result="number", call=_rounding_call, layouts=FEW,
)  # fmt: skip

# Ratios of samples stay away from whole numbers, where the quotient jumps.
_UNEVEN = ((6.2, 6.8), (2.4, 2.8))

floor_divide = elementwise(
    "floor_divide", "⌊x / y⌋", operands="x y", result="number",
    numpy="{x} // {y}", out="np.floor_divide({x}, {y}, out={out})", math="{x} // {y}",
    notation="⌊{x} / {y}⌋",
    symbolic=lambda sp, x, y: sp.floor(x / y), domain=_UNEVEN, layouts=FEW,
)  # fmt: skip
remainder = elementwise(
    "remainder", "x - y ⌊x / y⌋, which has the sign of y", operands="x y", result="number",
    numpy="{x} % {y}", out="np.remainder({x}, {y}, out={out})", math="{x} % {y}",
    notation="{x} mod {y}",
    rules=(lambda g, out, x, y: g, lambda g, out, x, y: -(g * floor_divide(x, y))),
    domain=_UNEVEN, finite=(None, NOT_ZERO), layouts=FEW,
)  # fmt: skip
fmod = elementwise(
    "fmod", "x - y trunc(x / y), which has the sign of x", operands="x y", result="number",
    ufunc="np.fmod",
    math=lambda node: "math.fmod({x}, {y})" if node.dtype.kind == FLOAT else "",
    rules=(lambda g, out, x, y: g, lambda g, out, x, y: -(g * trunc(x / y))),
    domain=_UNEVEN, finite=(None, NOT_ZERO), layouts=FEW,
)  # fmt: skip
