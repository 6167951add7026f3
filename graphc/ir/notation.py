"""How an op is written in mathematics: templates like those of emissions, in other signs.

`x · W` with spaces is a product of matrices, `2·x` without them one with a number, `x ⊙ y` one of
elements; `xᵀ` is a transpose, `x²` and `x^p` are powers, and `1[c]` is 1 where c holds and 0
elsewhere. An op that says nothing is written `name(x, y)`.
"""

from __future__ import annotations

import ast
from functools import lru_cache

from graphc.ir.emission import ANY, ATOM, PRIMARY, Template, cut, spelled
from graphc.ir.node import Node

# Each sign and the Python that is parsed in its place, so that the grammar finds its operands.
SIGNS = {
    " · ": " @ ", "·": "//", "⊙": "*", "ᵀ": ".T", "²": "**2", "^": "**", " = ": " == ", "≠": "!=",
    "≤": "<=", "≥": ">=", "√": "sqrt", "'": "_", "∞": "inf",
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
    """Cut a template at its placeholders and find the binding strength that each slot asks for."""
    bindings: dict[str, int] = {}
    root = ast.parse(_python(spelled(text)), mode="eval").body
    _collect(root, ANY, bindings)
    return cut(text, bindings, _strength(root))


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


def _collect(node: ast.AST, need: int, bindings: dict[str, int]) -> None:
    """Record for every placeholder the strongest binding that one of its places asks for."""
    if isinstance(node, ast.Name):
        bindings[node.id] = max(need, bindings.get(node.id, ANY))
        return
    needs: dict[str, int] = {}
    if isinstance(node, ast.BinOp):
        _, left, right = _BINARY[type(node.op)]
        needs = {"left": left, "right": right}
    elif isinstance(node, ast.UnaryOp):
        needs = {"operand": POWER}
    elif isinstance(node, ast.Compare):
        needs = {"left": SUM, "comparators": SUM}
    elif isinstance(node, ast.BoolOp):
        needs = {"values": NOT}
    elif isinstance(node, (ast.Attribute, ast.Subscript)):
        needs = {"value": PRIMARY}
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                _collect(child, needs.get(field, ANY), bindings)
