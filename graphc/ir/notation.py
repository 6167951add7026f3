"""How an op is written in mathematics: templates like those of emissions, in other signs.

`x · W` with spaces is a product of matrices, `2·x` without them one with a number, `x ⊙ y` one of
elements; `xᵀ` is a transpose, `x²` and `x^p` are powers, `⌊x⌋` and `⌈x⌉` are rounded, and
`1[c]` is 1 where c holds and 0 elsewhere. An op that says nothing is written `name(x, y)`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache

from graphc.ir.emission import ATOM, PRIMARY, Template, cut, spelled
from graphc.ir.node import Node

# Each sign and the Python that is parsed in its place, so that the grammar finds its operands.
SIGNS = {
    " · ": " @ ", "·": "//", "⊙": "*", "ᵀ": ".T", "²": "**2", "^": "**", " = ": " == ", "≠": "!=",
    "≤": "<=", "≥": ">=", "√": "sqrt", "'": "_", "∞": "inf", " mod ": " % ",
    "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")",
}  # fmt: skip

# Binding strength, weakest first. Products and quotients are apart: mixed, they are parenthesised
# where a reader could take one for the other.
LOGIC, NOT, COMPARE, SUM, MATRIX, QUOTIENT, PRODUCT, SCALAR, NEGATIVE, POWER = range(1, 11)

# By operator: its strength, and the least ones that need no parentheses to its left and right.
_BINARY: dict[type[ast.operator], tuple[int, int, int]] = {
    ast.Add: (SUM, SUM, MATRIX),
    ast.Sub: (SUM, SUM, MATRIX),
    ast.MatMult: (MATRIX, NEGATIVE, POWER),
    ast.Mult: (PRODUCT, PRODUCT, SCALAR),
    ast.Div: (QUOTIENT, PRODUCT, POWER),
    ast.Mod: (QUOTIENT, PRODUCT, POWER),
    ast.FloorDiv: (SCALAR, SCALAR, POWER),
    ast.Pow: (POWER, PRIMARY, PRIMARY),
}


def notation(node: Node) -> Template:
    """The template of the mathematics of one node."""
    text = node.op.emission.notation
    if callable(text):
        text = text(node)
    return parse(text or f"{node.op.name}({', '.join(f'{{{x}}}' for x in node.op.operands)})")


@lru_cache(maxsize=65536)
def parse(text: str) -> Template:
    """A template in the grammar of these signs."""
    root = ast.parse(_python(spelled(text)), mode="eval").body
    return cut(text, root, _needs, _strength(root))


@lru_cache(maxsize=65536)
def strength(text: str) -> int:
    """How strongly a literal or the text of a size binds."""
    return _strength(ast.parse(_python(text), mode="eval").body)


def _python(text: str) -> str:
    for sign, python in SIGNS.items():
        text = text.replace(sign, python)
    return text


def _strength(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)][0]
    if isinstance(node, ast.UnaryOp):
        return NOT if isinstance(node.op, ast.Not) else NEGATIVE
    for kind, binding in ((ast.BoolOp, LOGIC), (ast.Compare, COMPARE)):
        if isinstance(node, kind):
            return binding
    return PRIMARY if isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)) else ATOM


def _needs(node: ast.AST) -> Mapping[str, int]:
    if isinstance(node, ast.BinOp):
        _, left, right = _BINARY[type(node.op)]
        return {"left": left, "right": right}
    if isinstance(node, ast.UnaryOp):
        return {"operand": POWER}
    if isinstance(node, ast.Compare):
        return {"left": SUM, "comparators": SUM}
    if isinstance(node, ast.BoolOp):
        return {"values": NOT}
    return {"value": PRIMARY} if isinstance(node, (ast.Attribute, ast.Subscript)) else {}
