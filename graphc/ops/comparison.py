"""Comparisons and logic: bools, without a derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.ir.node import Node
from graphc.ir.types import BOOL
from graphc.ops.families import FEW, elementwise

__all__ = [
    "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal",
    "logical_and", "logical_not", "logical_or", "logical_xor", "not_equal",
]  # fmt: skip


def _logic(template: str) -> Callable[[Node], str]:
    """A form on bools; numbers are converted first."""

    def text(node: Node) -> str:
        found = template
        for name, arg in zip(node.op.operands, node.args, strict=True):
            if arg.dtype.kind != BOOL:
                found = found.replace(f"{{{name}}}", f"bool({{{name}}})")
        return found

    return text


def _truth(sp: Any, x: Any) -> Any:
    """Whether something is true, for SymPy: of a number, whether it is not 0."""
    return sp.Ne(x, 0) if getattr(x, "is_real", False) else x


less = elementwise(
    "less", "x < y", operands="x y", result="bool",
    numpy="{x} < {y}", out="np.less({x}, {y}, out={out})", math="{x} < {y}",
    notation="{x} < {y}",
    symbolic=lambda sp, x, y: sp.Lt(x, y),
)  # fmt: skip
less_equal = elementwise(
    "less_equal", "x <= y", operands="x y", result="bool",
    numpy="{x} <= {y}", out="np.less_equal({x}, {y}, out={out})", math="{x} <= {y}",
    notation="{x} ≤ {y}",
    symbolic=lambda sp, x, y: sp.Le(x, y),
)  # fmt: skip
greater = elementwise(
    "greater", "x > y", operands="x y", result="bool",
    numpy="{x} > {y}", out="np.greater({x}, {y}, out={out})", math="{x} > {y}",
    notation="{x} > {y}",
    symbolic=lambda sp, x, y: sp.Gt(x, y),
)  # fmt: skip
greater_equal = elementwise(
    "greater_equal", "x >= y", operands="x y", result="bool",
    numpy="{x} >= {y}", out="np.greater_equal({x}, {y}, out={out})", math="{x} >= {y}",
    notation="{x} ≥ {y}",
    symbolic=lambda sp, x, y: sp.Ge(x, y),
)  # fmt: skip
equal = elementwise(
    "equal", "x = y", operands="x y", result="bool", commutative=True,
    numpy="{x} == {y}", out="np.equal({x}, {y}, out={out})", math="{x} == {y}",
    notation="{x} = {y}",
    symbolic=lambda sp, x, y: sp.Eq(x, y),
)  # fmt: skip
not_equal = elementwise(
    "not_equal", "x ≠ y", operands="x y", result="bool", commutative=True,
    numpy="{x} != {y}", out="np.not_equal({x}, {y}, out={out})", math="{x} != {y}",
    notation="{x} ≠ {y}",
    symbolic=lambda sp, x, y: sp.Ne(x, y),
)  # fmt: skip
isfinite = elementwise(
    "isfinite", "x is neither infinite nor NaN", result="bool",
    ufunc="np.isfinite", math="math.isfinite({x})",
)  # fmt: skip
isinf = elementwise(
    "isinf", "x is infinite", result="bool",
    ufunc="np.isinf", math="math.isinf({x})", layouts=FEW,
)  # fmt: skip
isnan = elementwise(
    "isnan", "x is NaN", result="bool",
    ufunc="np.isnan", math="math.isnan({x})", layouts=FEW,
)  # fmt: skip
logical_and = elementwise(
    "logical_and", "x and y", operands="x y", result="bool", commutative=True,
    ufunc="np.logical_and", math=_logic("{x} and {y}"), notation="{x} and {y}",
    symbolic=lambda sp, x, y: sp.And(_truth(sp, x), _truth(sp, y)),
)  # fmt: skip
logical_or = elementwise(
    "logical_or", "x or y", operands="x y", result="bool", commutative=True,
    ufunc="np.logical_or", math=_logic("{x} or {y}"), notation="{x} or {y}",
    symbolic=lambda sp, x, y: sp.Or(_truth(sp, x), _truth(sp, y)),
)  # fmt: skip
logical_xor = elementwise(
    "logical_xor", "either x or y", operands="x y", result="bool", commutative=True,
    ufunc="np.logical_xor", math=_logic("{x} != {y}"),
    symbolic=lambda sp, x, y: sp.Xor(_truth(sp, x), _truth(sp, y)),
)  # fmt: skip
logical_not = elementwise(
    "logical_not", "not x", result="bool",
    ufunc="np.logical_not", math="not {x}", notation="not {x}",
    symbolic=lambda sp, x: sp.Not(_truth(sp, x)),
)  # fmt: skip
