"""The printer: a Program as Python statements.

It owns everything inside an expression. Parentheses stand where the grammar asks for them. A line
never wraps: a subexpression that would make it too long gets a name and a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from graphc.codegen.literals import LINE, number
from graphc.ir import dims
from graphc.ir.emission import ATOM, PRIMARY, strength
from graphc.ir.graph import CONSTANT, ITEM
from graphc.ir.node import Node
from graphc.ir.types import BOOL, TensorType, TupleType, shape_text
from graphc.lower.naming import Names
from graphc.lower.program import Program, is_literal

MAX_DEPTH = 3
INDENT = 4


class Written(NamedTuple):
    """An expression: its text, how strongly it binds, how many operations it nests."""

    text: str
    strength: int
    depth: int


class Printer:
    """Prints the statements of one program."""

    def __init__(self, program: Program, names: Names, *, comments: bool) -> None:
        self.program = program
        self.comments = comments
        self.names = names
        self.inlined: dict[Node, Written] = {}
        self.lines: list[str] = []
        self.named: dict[Node, Written] = {}
        self.arguments = set(program.arguments)
        self.items: dict[Node, dict[int, Node]] = {}  # the results that are used, of several
        for node in program.order:
            if node.op is ITEM:
                self.items.setdefault(node.args[0], {})[node.params.index] = node

    def statements(self) -> list[str]:
        """One line a value, in order, with the shape as a comment."""
        for node in self.program.order:
            if is_literal(node) or node.op is ITEM:
                continue
            written = self.expression(node)
            fits = len(written.text) <= LINE - INDENT - 20
            if node in self.program.inline and written.depth <= MAX_DEPTH and fits:
                self.inlined[node] = written
            else:
                self.assign(node, written)
        return self.lines

    def assign(self, node: Node, written: Written) -> None:
        """Append the statement for a value, after naming as much of it as keeps the line short."""
        target = self.target(node)
        text = written.text
        while len(text) + len(target) + 3 + INDENT > LINE:
            operands = [arg for arg in node.args if arg in self.inlined]
            if not operands:
                break
            longest = max(operands, key=lambda arg: len(self.inlined[arg].text))
            self.assign(longest, self.inlined[longest])
            text = self.expression(node).text
        self.inlined.pop(node, None)
        if len(text) + len(target) + 3 + INDENT > LINE:
            self.lines.append(f"{target} = {spread(text, node)}")
            return
        line = f"{target} = {text}"
        commented = self.comments and isinstance(node.type, TensorType) and node.ndim > 0
        comment = f"  # {shape_text(node.shape)}" if commented else ""
        self.lines.append(line + comment if len(line + comment) + INDENT <= LINE else line)

    def target(self, node: Node) -> str:
        """What a value is assigned to: a name, or as many names as the op has results."""
        if not isinstance(node.type, TupleType):
            return self.names.of(node)
        items = self.items.get(node, {})
        names = [self.names.of(items[i]) if i in items else "_" for i in range(len(node.types))]
        return ", ".join(names) + ("," if len(names) == 1 else "")

    def expression(self, node: Node) -> Written:
        """A value written in terms of its operands."""
        template = node.op.emission.template(node)
        depth = 0

        def operand(name: str, strength: int) -> str:
            nonlocal depth
            written = self.operand(node, node.args[node.op.operands.index(name)])
            depth = max(depth, written.depth)
            return f"({written.text})" if written.strength < strength else written.text

        def operands(name: str) -> str:
            nonlocal depth
            listed = [self.operand(node, arg) for arg in node.args]
            depth = max([depth, *(written.depth for written in listed)])
            return ", ".join(written.text for written in listed)

        text = template.fill(operand, operands, self.names.of_size)
        return Written(text, template.binding, depth + 1)

    def operand(self, user: Node, node: Node) -> Written:
        """An operand: a literal, an inlined expression or a name."""
        if node in self.named:
            return self.named[node]
        if node in self.inlined:
            if is_bool_cast(node):
                numbers = [arg for arg in user.args if not is_bool_cast(arg)]
                if beside_array(user, node, numbers):
                    return self.operand(node, node.args[0])  # NumPy promotes bools so itself
            return self.inlined[node]
        if is_literal(node) and node not in self.arguments:
            return self.literal(user, node)
        written = self.named[node] = Written(self.names.of(node), ATOM, 0)
        return written

    def literal(self, user: Node, node: Node) -> Written:
        """A scalar constant or size: bare beside an array of its dtype, else with its dtype.

        NumPy 1.x makes a float64 of a float32 scalar and a bare number.
        """
        bare = beside_array(user, node, user.args)
        text = scalar_text(node, self.names.of_size, whole=bare)
        if bare:
            return Written(text, strength(text), 0)
        return Written(f"{node.dtype.source}({text})", PRIMARY, 0)


def scalar_text(node: Node, spell: Callable[[str], str], *, whole: bool = False) -> str:
    """A scalar constant or a size as source; `whole` writes small whole floats as ints."""
    if node.op is CONSTANT:
        return number(node.params.data.array[()], whole=whole)
    return dims.text(node.params.size, spell)


def spread(text: str, node: Node) -> str:
    """An expression of long names over three lines, split where the formatter splits it."""
    before, after, inner = "(", ")", text
    if node.op.emission.template(node).binding == PRIMARY and text.endswith(")"):
        head, _, arguments = text.partition("(")
        before, inner = f"{head}(", arguments[:-1]
    return f"{before}\n{' ' * 2 * INDENT}{inner}\n{' ' * INDENT}{after}"


def beside_array(user: Node, node: Node, operands: Sequence[Node]) -> bool:
    """Whether one of the operands of an elementwise op has axes, and the dtype of the node."""
    return user.op.family == "elementwise" and any(
        arg.shape and arg.dtype is node.dtype for arg in operands if arg is not node
    )


def is_bool_cast(node: Node) -> bool:
    """Whether a value is a mask made into numbers."""
    return node.op.name == "astype" and node.args[0].dtype.kind == BOOL


def size_lines(program: Program, names: Names) -> Iterator[tuple[Node, str]]:
    """For each argument that shows a named size, the statement that reads it."""
    for size, source in program.sizes.items():
        if source is not None:
            node, axis = source
            yield node, f"{names.of_size(size)} = {names.of(node)}.shape[{axis}]"


def guard_lines(program: Program, names: Names) -> list[str]:
    """Statements that check what could not be settled when the graph was declared."""
    lines: list[str] = []
    for guard in program.guards:
        left, right = (dims.text(size, names.of_size) for size in (guard.left, guard.right))
        opposite = {"==": "!=", ">=": "<"}[guard.relation]
        lines += [f"if {left} {opposite} {right}:", f'    raise ValueError("{guard.reason}")']
    return lines


def print_program(program: Program, names: Names, *, comments: bool = True) -> Sequence[str]:
    """The statements of a program, without its arguments and its return."""
    printer = Printer(program, names, comments=comments)
    return [" " * INDENT + line for line in printer.statements()]
