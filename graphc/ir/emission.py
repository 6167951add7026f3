"""How an op is written down: the text that is printed, and that the interpreter evaluates.

A template is Python source with placeholders: `{x}` for an operand, `{*xs}` for a list of them,
`{:batch}` for a named size, `{out}` for the buffer of the `out=` form. Parentheses are never part
of a template: the grammar of Python says where an operand needs them.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphc.ir import dims
from graphc.ir.dims import Extent, Shape
from graphc.ir.types import TupleType

if TYPE_CHECKING:
    from graphc.ir.node import Node

Text: TypeAlias = "str | Callable[[Node], str]"


@dataclass(frozen=True, eq=False, slots=True)
class Emission:
    """The forms of one op.

    numpy    an expression of the operands; the one truth about what the op computes
    out      a statement that writes the result into `{out}`
    math     an expression on Python's numbers, with the `math` module
    view     the result may share memory with the first operand
    repeats  the elements of the result share memory with each other
    helpers  functions of `graphc.runtime` that the texts on arrays call
    plain    functions of `graphc.runtime` that the texts on Python's numbers call
    notation an expression in the signs of mathematics (see `graphc.ir.notation`); None: name(x, y)
    """

    numpy: Text
    out: Text | None = None
    math: Text | None = None
    view: bool = False
    repeats: bool = False
    helpers: tuple[Callable[..., Any], ...] = ()
    plain: tuple[Callable[..., Any], ...] = ()
    notation: Text | None = None

    def template(self, node: Node) -> Template:
        """The parsed NumPy form for one node."""
        if isinstance(self.numpy, str):
            return parse(self.numpy)
        known = node.graph.templates  # lowering asks several times, printing as often
        if node not in known:
            known[node] = parse(self.numpy(node))
        return known[node]

    def math_template(self, node: Node) -> Template | None:
        """The parsed form on Python's numbers for one node; None where the op has none."""
        text = self.math(node) if callable(self.math) else self.math
        return parse(text) if text else None


# Binding strength of Python's expressions, weakest first.
ANY, TEST, OR, AND, NOT, COMPARE, BIT_OR, BIT_XOR, BIT_AND, SHIFT, SUM, PRODUCT, UNARY = range(13)
POWER, PRIMARY, ATOM = 13, 14, 15

_BINARY: dict[type[ast.operator], int] = {
    **dict.fromkeys((ast.Add, ast.Sub), SUM),
    **dict.fromkeys((ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.MatMult), PRODUCT),
    ast.BitAnd: BIT_AND,
    ast.BitOr: BIT_OR,
    ast.BitXor: BIT_XOR,
    ast.Pow: POWER,
}


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: its text cut at the placeholders, and how strongly all of it binds.

    `pieces` alternates text with slots; a slot is (kind, name, binding) where kind is `operand`,
    `operands` or `size`, and `binding` the least strength that needs no parentheses there. `sizes`
    are the names of sizes that the text mentions, `repeated` the operands that stand in more than
    one place; `bare` texts are one operand as it stands.
    """

    text: str
    pieces: tuple[str | tuple[str, str, int], ...]
    binding: int
    sizes: tuple[str, ...]
    repeated: tuple[str, ...]
    bare: bool

    def fill(
        self,
        operand: Callable[[str, int], str],
        operands: Callable[[str], str],
        size: Callable[[str], str],
    ) -> str:
        """The source text, with each placeholder written by one of the three functions."""
        written = []
        for piece in self.pieces:
            if isinstance(piece, str):
                written.append(piece)
            elif piece[0] == "operand":
                written.append(operand(piece[1], piece[2]))
            elif piece[0] == "operands":
                written.append(operands(piece[1]))
            else:
                written.append(size(piece[1]))
        return "".join(written)

    def function(
        self, operands: tuple[str, ...], helpers: tuple[Callable[..., Any], ...] = ()
    ) -> Callable[..., Any]:
        """The text as a function of operands in order, of sizes by `size_n=`, and of `rng`."""
        return _function(self.text, operands, self.sizes, helpers)


_PLACEHOLDER = re.compile(r"\{(\*|:|)([^\s{}]+)\}")  # identifiers have more than \w
_KINDS = {"": "operand", "*": "operands", ":": "size"}


def spelled(text: str) -> str:
    """A template with identifiers for its placeholders, as it is parsed."""

    def spell(match: re.Match[str]) -> str:
        star, name = match.groups()
        return f"{'*' if star == '*' else ''}{_KINDS[star]}_{name}"

    return _PLACEHOLDER.sub(spell, text)


@lru_cache(maxsize=65536)
def _function(
    text: str,
    operands: tuple[str, ...],
    sizes: tuple[str, ...],
    helpers: tuple[Callable[..., Any], ...],
) -> Callable[..., Any]:
    arguments = [
        f"*operands_{name[1:]}" if name.startswith("*") else f"operand_{name}" for name in operands
    ]
    arguments += [f"size_{name}" for name in dict.fromkeys(sizes)] + ["rng=None"]
    source = f"lambda {', '.join(arguments)}: {spelled(text)}"
    scope = {"np": np, **{helper.__name__: helper for helper in helpers}}
    function: Callable[..., Any] = eval(source, scope)
    return function


@lru_cache(maxsize=65536)
def parse(text: str) -> Template:
    """A template in the grammar of Python."""
    root = ast.parse(spelled(text), mode="eval").body
    return cut(text, root, _needs, _strength(root))


def cut(
    text: str, root: ast.expr, needs: Callable[[ast.AST], Mapping[str, int]], strength: int
) -> Template:
    """Cut a template at its placeholders and find the binding strength that each slot asks for.

    root      the text as parsed, with `spelled` placeholders
    needs     a part of it -> the least strength that needs no parentheses there, by field
    strength  how strongly all of it binds
    """
    bindings: dict[str, int] = {}
    _collect_bindings(root, ANY, needs, bindings)
    pieces: list[str | tuple[str, str, int]] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        kind = _KINDS[match[1]]
        pieces += [text[end : match.start()], (kind, match[2], bindings[f"{kind}_{match[2]}"])]
        end = match.end()
    pieces = [piece for piece in (*pieces, text[end:]) if piece]
    slots = [piece for piece in pieces if not isinstance(piece, str)]
    sizes = tuple(name for kind, name, _ in slots if kind == "size")
    operands = Counter(name for kind, name, _ in slots if kind == "operand")
    repeated = tuple(name for name, count in operands.items() if count > 1)
    bare = len(pieces) == 1 and bool(operands)
    return Template(text, tuple(pieces), strength, sizes, repeated, bare)


@lru_cache(maxsize=65536)
def strength(source: str) -> int:
    """How strongly a literal or the text of a size binds; `2.T` would be no attribute of 2."""
    root = ast.parse(source, mode="eval").body
    return POWER if isinstance(root, ast.Constant) else _strength(root)


def _strength(node: ast.expr) -> int:
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)]
    if isinstance(node, ast.UnaryOp):
        return NOT if isinstance(node.op, ast.Not) else UNARY
    if isinstance(node, ast.BoolOp):
        return AND if isinstance(node.op, ast.And) else OR
    for kind, binding in ((ast.Compare, COMPARE), (ast.IfExp, TEST)):
        if isinstance(node, kind):
            return binding
    return PRIMARY if isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)) else ATOM


def _needs(node: ast.AST) -> Mapping[str, int]:
    if isinstance(node, ast.BinOp):
        own = _BINARY[type(node.op)]
        power = own == POWER
        return {"left": own + power, "right": UNARY if power else own + 1}
    if isinstance(node, ast.UnaryOp):
        return {"operand": POWER}
    if isinstance(node, ast.Compare):
        return {"left": BIT_OR, "comparators": BIT_OR}
    if isinstance(node, ast.BoolOp):
        return {"values": NOT}
    if isinstance(node, ast.IfExp):
        return {"body": OR, "test": OR, "orelse": TEST}
    if isinstance(node, (ast.Attribute, ast.Subscript)):
        return {"value": PRIMARY}
    return {"func": PRIMARY} if isinstance(node, ast.Call) else {}


def _collect_bindings(
    node: ast.AST,
    need: int,
    needs: Callable[[ast.AST], Mapping[str, int]],
    bindings: dict[str, int],
) -> None:
    """Record for every placeholder the strongest binding that one of its places asks for."""
    if isinstance(node, ast.Name):
        bindings[node.id] = max(need, bindings.get(node.id, ANY))
        return
    asked = needs(node)
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                _collect_bindings(child, asked.get(field, ANY), needs, bindings)


def evaluate(
    node: Node,
    values: tuple[Any, ...],
    sizes: Mapping[str, int],
    *,
    widened: bool = False,
    rng: np.random.Generator | None = None,
) -> Any:
    """What the emission text of a node comes to for values of its operands.

    An array of the dtype that the node declares (a tuple of them for several results); anything
    else is a fault of the op's declaration and raises TypeError, unless the values are `widened`
    to float64. Random ops draw from `rng`.
    """
    emission = node.op.emission
    template = emission.template(node)
    read = {f"size_{name}": sizes[name] for name in template.sizes}
    result = template.function(node.op.operands, emission.helpers)(*values, **read, rng=rng)
    if not widened:
        parts = result if isinstance(node.type, TupleType) else (result,)
        for part, declared in zip(parts, node.types, strict=True):
            computed = np.asarray(part).dtype
            if computed != declared.dtype.numpy:
                raise TypeError(f"{node.op.name}: declared {declared}, computed {computed}")
    return result


def size_text(size: Extent) -> str:
    """A size as it stands in a template."""
    return dims.text(size, lambda name: f"{{:{name}}}")


def tuple_text(shape: Shape) -> str:
    """A shape as it stands in a template."""
    inside = ", ".join(map(size_text, shape))
    return f"({inside},)" if len(shape) == 1 else f"({inside})"
