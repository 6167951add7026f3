"""The printer: a Program as Python statements.

It owns everything inside an expression. Parentheses stand where the grammar asks for them. A line
never wraps: a subexpression that would make it too long gets a name and a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from graphc.codegen.dialect import Dialect
from graphc.codegen.finite import OVERWRITTEN, FiniteChecks
from graphc.codegen.literals import (
    LINE,
    bracketed,
    brackets,
    cut,
    escaped,
    quoted,
    split,
    terms,
    width,
)
from graphc.codegen.statement import Statement
from graphc.ir import dims
from graphc.ir.dims import Shape
from graphc.ir.emission import ATOM, PRIMARY, Template, strength
from graphc.ir.graph import CONSTANT, ITEM
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, TensorType, TupleType, shape_text
from graphc.lower.naming import Names
from graphc.lower.program import MAX_DEPTH, Program, is_literal, promotes_itself

INDENT = 4


class Written(NamedTuple):
    """An expression: its text, how strongly it binds, how many operations it nests."""

    text: str
    strength: int
    depth: int


class Printer:
    """Prints the statements of one program.

    comments   whether shapes are told
    annotated  the variable whose type is told, if any
    finite     what checks values, in a module for debugging
    """

    indent = INDENT

    def __init__(
        self,
        program: Program,
        names: Names,
        dialect: Dialect,
        *,
        comments: bool = True,
        annotated: str = "",
        finite: FiniteChecks | None = None,
    ) -> None:
        self.program = program
        self.dialect = dialect
        self.comments = comments
        self.annotated = annotated
        self.finite = finite
        self.names = names
        self.inlined: dict[Node, Written] = {}
        self.told: set[str] = set()  # of values that no line of the model is about
        self.lines: list[str] = []
        self.named: dict[Node, Written] = {}
        self.arguments = set(program.arguments)
        self.items: dict[Node, dict[int, Node]] = {}  # the results that are used, of several
        for node in program.order:
            if node.op is ITEM:
                self.items.setdefault(node.args[0], {})[node.params.index] = node

    def statements(self) -> list[str]:
        """One line a value, in order, with the shape and other remarks as a comment."""
        if self.finite is not None:
            for node, kind in self.finite.arguments():
                self.check(node, f"{kind} {self.name(node)}", [])
        for node in self.program.order:
            if is_literal(node) or node.op is ITEM:
                continue
            written = self.expression(node)
            fits = len(written.text) <= LINE - self.indent - 20
            if node in self.program.inline and written.depth <= MAX_DEPTH and fits:
                self.inlined[node] = written
            else:
                self.assign(node, written)
        return self.lines

    def assign(self, node: Node, written: Written) -> None:
        """Append the statement for a value, after naming as much of it as keeps the line short."""
        before = self.before(node)
        text = written.text
        beside = f"  # {self.place(node)}" if self.place(node) else ""
        while len(before) + len(text) + len(beside) + self.indent > LINE:
            operands = {arg: self.inlined[arg] for arg in node.args if arg in self.inlined}
            if not operands:  # sizes can be long: those that have no name yet
                sizes = [arg for arg in node.args if arg.op.name == "dimension"]
                operands = {a: self.expression(a) for a in sizes if a not in self.named}
            if not operands:
                break
            longest = max(operands, key=lambda arg: len(operands[arg].text))
            self.named[longest] = Written(self.name(longest), ATOM, 0)
            self.assign(longest, operands[longest])
            text = self.expression(node).text
        self.inlined.pop(node, None)
        if len(before) + len(text) + self.indent > LINE:
            self.write(node, broken(before, text, self.template(node).binding, self.indent))
        else:
            self.write(node, before + text)

    def write(self, node: Node, code: str) -> None:
        """Append the statement for a value, with what is told of it, and what checks it."""
        commented = self.comments and isinstance(node.type, TensorType) and node.ndim > 0
        shape = escaped_shape(node.shape) if commented else self.place(node)
        results = list(self.items.get(node, {}).values())
        origins = node.graph.origins
        parts = list(self.parts(node)) if origins or self.finite else []
        told = [self.origin(part) for part in (*parts, *results) if part in origins]
        statement = Statement(code, shape, tuple(dict.fromkeys(filter(None, told))))
        kept, read = ([], []) if self.finite is None else self.may_be_infinite(node, parts)
        self.lines += kept
        for each in statement.annotated(self.annotated, self.indent):
            self.lines += each.laid(self.indent)
        for result in results or [node]:
            self.check(result, self.name(result), read)

    def origin(self, node: Node) -> str:
        """What a value was before it was made stable; of a slope only the first time."""
        text = node.graph.origins[node]
        if node not in node.graph.sites:
            if text in self.told:
                return ""
            self.told.add(text)
        return text

    def check(self, node: Node, told: str, read: Sequence[str]) -> None:
        """Append the statement that checks a value, where floats are; see `FiniteChecks.check`."""
        if self.finite is not None and node.dtype.kind == FLOAT:
            self.lines.append(self.finite.check(node, self.name(node), told, read, self.indent))

    def may_be_infinite(self, node: Node, parts: Sequence[Node]) -> tuple[list[str], list[str]]:
        """What the statement for a value reads that may be infinite, and what keeps a copy of it.

        parts  the values that are computed in the statement
        """
        assert self.finite is not None
        own, found = set(parts), self.finite.infinite
        read = dict.fromkeys(a for p in parts for a in p.args if a in found and a not in own)
        if any(arg.op is CONSTANT for arg in read):
            return [], [self.dialect.infinity]
        kept, names = [], []
        for arg in read:
            name = self.operand(node, arg).text
            if self.overwrites(node, arg):
                kept = [f"{OVERWRITTEN} = {name}.copy()"]
                name = OVERWRITTEN
            names.append(name)
        return kept, names

    def overwrites(self, node: Node, operand: Node) -> bool:
        """Whether a value is written over an operand of its."""
        return False

    def place(self, node: Node) -> str:
        """The line of the model, where it stands beside the statement for a value."""
        return "" if self.finite is None else self.finite.beside(node)

    def parts(self, node: Node) -> Iterator[Node]:
        """The values that are computed in the statement for one, operands first."""
        for arg in node.args:
            if arg in self.inlined:
                yield from self.parts(arg)
        yield node

    def before(self, node: Node) -> str:
        """What stands before the expression in the statement for a value."""
        return f"{self.target(node)} = "

    def name(self, node: Node) -> str:
        """The variable that holds a value."""
        return self.names.of(node)

    def template(self, node: Node) -> Template:
        """The form in which a value is computed."""
        return self.dialect.template(node)

    def target(self, node: Node) -> str:
        """What a value is assigned to: a name, or as many names as the op has results."""
        if not isinstance(node.type, TupleType):
            return self.name(node)
        items = self.items.get(node, {})
        names = [self.name(items[i]) if i in items else "_" for i in range(len(node.types))]
        return ", ".join(names) + ("," if len(names) == 1 else "")

    def expression(self, node: Node) -> Written:
        """A value written in terms of its operands."""
        template = self.template(node)
        for name in template.repeated:  # computed once: under a name
            arg = node.args[node.op.operands.index(name)]
            if arg in self.inlined:
                self.assign(arg, self.inlined[arg])
        if template.bare:
            return self.operand(node, node.args[0])
        texts: list[str] = []
        depth = 0
        for piece in template.pieces:
            if isinstance(piece, str):
                texts.append(piece)
                continue
            kind, name, binding = piece
            if kind == "size":
                texts.append(self.names.of_size(name))
            elif kind == "operand":
                written = self.slot(node, name)
                depth = max(depth, written.depth)
                closed = f"({written.text})" if written.strength < binding else written.text
                texts.append(closed)
            else:
                listed = [self.operand(node, arg) for arg in node.args]
                depth = max(depth, *(written.depth for written in listed))
                texts.append(", ".join([written.text for written in listed]))
        return Written("".join(texts), template.binding, depth + 1)

    def slot(self, node: Node, name: str) -> Written:
        """What stands in a placeholder of the form of a value."""
        return self.operand(node, node.args[node.op.operands.index(name)])

    def operand(self, user: Node, node: Node) -> Written:
        """An operand: a literal, an inlined expression or a name."""
        if node in self.named:
            return self.named[node]
        if node in self.inlined:
            if promotes_itself(node, user):
                return self.operand(node, node.args[0])
            return self.inlined[node]
        if is_literal(node) and node not in self.arguments:
            return self.literal(user, node)
        written = self.named[node] = Written(self.name(node), ATOM, 0)
        return written

    def literal(self, user: Node, node: Node) -> Written:
        """A scalar constant or size."""
        text = self.dialect.literal(user, node, self.names.of_size)
        return Written(text, strength(text), 0)


@cache
def escaped_shape(shape: Shape) -> str:
    """What is told of an array at its statement; a model has few shapes."""
    return escaped(shape_text(shape))


def broken(before: str, text: str, binding: int, indent: int) -> str:
    """An assignment over several lines, split where the formatter splits it."""
    code = before + spread(text, binding, indent)
    if len(code.partition("\n")[0]) + indent <= LINE:
        return code
    # Many names, of the parts of an array: they are split before the call, if they have to be.
    if len(before) + len("(") + indent > LINE:
        names = before.removesuffix(" = ").split(", ")
        whole = bracketed("(", names, ") = ", indent, statement=True)
        fits = len(") = ") + len(text) + indent <= LINE
        return whole + (text if fits else spread(text, binding, indent))
    inner = indent + 4
    text = text if len(text) + inner <= LINE else spread(text, binding, inner)
    return f"{before}(\n{' ' * inner}{text}\n{' ' * indent})"


def spread(text: str, binding: int, indent: int) -> str:
    """An expression of long names over several lines, split where the formatter splits it."""
    before, after, inner = "(", ")", text
    margin = "\n" + " " * (indent + 4)
    if binding == PRIMARY and text.endswith((")", "]")):
        start = [opened for opened, _ in brackets(text)][-1]
        before, inner, after = text[: start + 1], text[start + 1 : -1], text[-1]
        if after == ")" and len(inner) + indent + 4 > LINE:
            arguments = split(inner)
            rows = [listed(argument, indent + 4) for argument in arguments]
            several = len(arguments) > 1
            inner = f",{margin}".join(rows) + "," if several else margin.join(terms(inner))
    return f"{before}{margin}{inner}\n{' ' * indent}{after}"


def listed(argument: str, indent: int) -> str:
    """An argument of a call on lines of its own; a list that is longer than one, by elements."""
    if not argument.startswith("[") or len(argument) + indent + 1 <= LINE:
        return cut(argument, indent)
    margin = "\n" + " " * (indent + 4)
    elements = f",{margin}".join(split(argument[1:-1]))
    return f"[{margin}{elements},\n{' ' * indent}]"


def size_lines(program: Program, names: Names) -> Iterator[tuple[Node, str]]:
    """For each argument that shows a named size, the statement that reads it."""
    for size, source in program.sizes.items():
        if source is not None:
            node, axis = source
            yield node, f"{names.of_size(size)} = {names.of(node)}.shape[{axis}]"


def guard_lines(program: Program, names: Names, indent: int = 4) -> list[str]:
    """Statements that check what could not be settled when the graph was declared."""
    margin = " " * indent
    lines: list[str] = []
    for guard in program.guards:
        left, right = (dims.text(size, names.of_size) for size in (guard.left, guard.right))
        opposite = {"==": "!=", ">=": "<"}[guard.relation]
        reason = [quoted(guard.reason)]
        told = bracketed("raise ValueError(", reason, ")", indent + 4, statement=True)
        condition = f"if {left} {opposite} {right}:"
        if indent + width(condition) > LINE:
            inner = f"\n{margin}    "
            rows = terms(left) if indent + 4 + width(left) > LINE else [left]
            condition = f"if ({inner}{inner.join([*rows, f'{opposite} {right}'])}\n{margin}):"
        lines.append(f"{margin}{condition}\n{margin}    {told}")
    return lines


def print_program(
    program: Program,
    names: Names,
    dialect: Dialect,
    *,
    comments: bool = True,
    annotated: str = "",
    finite: FiniteChecks | None = None,
) -> Sequence[str]:
    """The statements of a program, without its arguments and its return; see `Printer`."""
    printer = Printer(
        program, names, dialect, comments=comments, annotated=annotated, finite=finite
    )
    return [" " * INDENT + line for line in printer.statements()]
