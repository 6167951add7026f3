"""A program as equations in the signs of mathematics: `∂loss/∂W = xᵀ · h_bar`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from graphc.codegen.arrays import ARRAYS, scalar_text
from graphc.codegen.printer import Printer, Written, escaped_shape
from graphc.ir.emission import Template
from graphc.ir.node import Node
from graphc.ir.notation import notation, strength
from graphc.ir.types import TensorType
from graphc.lower.naming import Names
from graphc.lower.program import Program, is_bool_cast


class Equation(NamedTuple):
    """One equation.

    text   left and right side; more lines where one would be too long
    shape  that of the value, where it is an array
    notes  what else is told of it: what it reads of another program, what it was made from
    """

    text: str
    shape: str = ""
    notes: tuple[str, ...] = ()


class Equations(Printer):
    """The equations of a program, one for each statement of the generated code.

    titles   left sides that are no variables
    reused   the values that another program has computed
    """

    def __init__(
        self,
        program: Program,
        names: Names,
        titles: Mapping[Node, str] | None = None,
        reused: Collection[Node] = (),
    ) -> None:
        code = Printer(program, names, ARRAYS)
        code.statements()
        super().__init__(replace(program, inline=frozenset(code.inlined)), names, ARRAYS)
        self.titles = titles or {}
        self.reused = reused
        self.found: list[Equation] = []
        self.statements()

    def called(self, node: Node) -> str:
        """The left side of the equation of a value."""
        return self.titles.get(node) or self.target(node)

    def before(self, node: Node) -> str:
        return f"{self.called(node)} = "

    def template(self, node: Node) -> Template:
        return notation(node)

    def literal(self, user: Node, node: Node) -> Written:
        text = scalar_text(node, self.names.of_size, whole=True)
        text = text.replace("np.inf", "∞").replace("np.nan", "nan").replace(" * ", "·")
        text = text.removesuffix(".0")
        return Written(text, strength(text), 0)

    def expression(self, node: Node) -> Written:
        written = super().expression(node)
        # The bracket of a mask nests nothing: in code there is none.
        return written._replace(depth=written.depth - 1) if is_bool_cast(node) else written

    def operand(self, user: Node, node: Node) -> Written:
        # A mask keeps its bracket: `1[x > 0]`.
        if node in self.inlined and node not in self.named:
            return self.inlined[node]
        return super().operand(user, node)

    def write(self, node: Node, code: str) -> None:
        shape = escaped_shape(node.shape) if isinstance(node.type, TensorType) and node.ndim else ""
        parts = list(self.parts(node))
        read = dict.fromkeys(a for part in parts for a in part.args if a in self.reused)
        origins = node.graph.origins
        notes = [f"reuses {', '.join(map(self.name, read))}"] if read else []
        notes += dict.fromkeys(origins[part] for part in parts if part in origins)
        self.found.append(Equation(code, shape, tuple(notes)))
