"""From programs to FunctionViews: signatures, checks at the boundary, returns.

Arguments come in the groups `params, state, inputs…`; a group that is not needed drops out.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from graphc.codegen.dialect import Dialect
from graphc.codegen.finite import FiniteChecks
from graphc.codegen.literals import LINE, bracketed, laid, quoted, width
from graphc.codegen.printer import size_lines
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.graph import CONSTANT, is_cotangent
from graphc.ir.node import Node
from graphc.lower.module import LoweredModule
from graphc.lower.naming import Names, identifier
from graphc.lower.program import Program, is_literal

GROUPS = {"parameter": ("params", "Params"), "state": ("state", "State")}


@dataclass(slots=True)
class Context:
    """What the functions of one module share: identifiers, and arrays found on the way.

    constants  arrays that stand in the module, by identifier
    stored     arrays of the file beside it, by their names there
    """

    module: LoweredModule
    dialect: Dialect
    names: Names
    reserved: tuple[str, ...]
    optimizer_names: Names
    constants: list[tuple[str, Any]] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)

    def finite(self, program: Program, stage: str = "") -> FiniteChecks | None:
        """What checks the values of a program, in a module for debugging."""
        if not self.module.debug_nan:
            return None
        return FiniteChecks.of(program, self.dialect, stage or program.name)


class Argument(NamedTuple):
    """An argument in a signature."""

    name: str
    annotation: str
    keyword: bool = False  # passed by name only

    def __str__(self) -> str:
        return f"{self.name}: {self.annotation}"

    @property
    def passed(self) -> str:
        """The argument in a call by a function that has it itself."""
        return f"{self.name}={self.name}" if self.keyword else self.name


def function(name: str, signature: str, doc: Sequence[str], body: Iterable[str]) -> FunctionView:
    """A function view."""
    return FunctionView(name, signature, tuple(doc), tuple(body))


def signature(name: str, arguments: Iterable[object], result: str, indent: int = 0) -> str:
    """The `def` line, one argument a line where it would be too long."""
    listed: list[str] = []
    for argument in arguments:
        if isinstance(argument, Argument) and argument.keyword and "*" not in listed:
            listed.append("*")
        listed.append(str(argument))
    return bracketed(f"def {name}(", listed, f") -> {result}:", indent)


def indented(text: str, indent: int = 4) -> list[str]:
    """The lines of a statement; those after the first have their indentation already."""
    return (" " * indent + text).split("\n")


# --- arguments ---------------------------------------------------------------------------------


def arguments_of(program: Program, context: Context, *, state: bool = False) -> list[Argument]:
    """The arguments of a function: those groups that it reads, its inputs, what it draws from."""
    kinds = {node.params.kind for node in program.arguments} | ({"state"} if state else set())
    found = [Argument(*GROUPS[kind]) for kind in GROUPS if kind in kinds]
    return [*found, *inputs_of(program, context)]


def inputs_of(program: Program, context: Context) -> list[Argument]:
    """The inputs of a function, and what it draws from."""
    inputs = [node for node in program.arguments if node.params.kind == "input"]
    names, dialect = context.names, context.dialect
    found = [Argument(names.of(node), dialect.annotation(node)) for node in inputs]
    return [*found, Argument("rng", dialect.draws, keyword=True)] if program.draws else found


def checks(
    program: Program, context: Context, arguments: Sequence[Node], known: Iterable[str] = (),
    indent: int = 4,
) -> list[str]:  # fmt: skip
    """Statements that check arguments, and read the named sizes off them that are not known.

    A named size is bound where it first stands alone, and compared afterwards. Arguments with sizes
    that are computed from names come last. Those that bind a name which they have more than once,
    or compute with, are checked again.
    """
    names = context.names
    reads: dict[Node, list[str]] = {}
    for node, line in size_lines(program, names):
        reads.setdefault(node, []).append(line)
    plain = [n for n in arguments if all(map(is_plain, n.shape))]
    computed = [n for n in arguments if not all(map(is_plain, n.shape))]
    lines = ["check_rng(rng)"] if program.draws else []
    bound = set(known)
    for node in [*plain, *computed]:
        again = reads_itself(node, bound)
        lines.append(check(node, context, bound, indent))
        if not known:
            lines += reads.get(node, [])
            bound.update(n for n, source in program.sizes.items() if source and source[0] is node)
        if again:
            lines.append(check(node, context, bound, indent))
    return [row for line in lines for row in indented(line, indent)]


def reads_itself(node: Node, bound: set[str]) -> bool:
    """Whether sizes of an argument are compared with others of it, for want of known ones."""
    names = [name for size in node.shape for name in dims.names(size) if name not in bound]
    computed = any(not is_plain(s) and not bound.issuperset(dims.names(s)) for s in node.shape)
    return computed or len(set(names)) < len(names)


def is_plain(size: dims.Extent) -> bool:
    """Whether a size is a number or just a name."""
    return isinstance(size, int) or dims.pure_name(size) is not None


def check(node: Node, context: Context, bound: set[str], indent: int = 4) -> str:
    """The statement that checks one argument."""
    names = context.names
    sizes = [
        dims.text(size, names.of_size) if bound.issuperset(dims.names(size)) else quoted(str(size))
        for size in node.shape
    ]
    name, key = names.of(node), quoted(node.params.name)
    group = GROUPS.get(node.params.kind)
    source = f"{group[0]}[{key}]" if group else name
    told = key if group else quoted(name)
    function, arguments = context.dialect.check(node, told, source, sizes)
    return bracketed(f"{name} = {function}(", arguments, ")", indent, statement=True)


def cotangent_lines(program: Program, context: Context, indent: int = 4) -> list[str]:
    """Statements that check the cotangents that backward is given; None stands for zeros."""
    names, dialect = context.names, context.dialect
    lines = []
    cotangents = [node for node in program.arguments if is_cotangent(node)]
    for node in cotangents:
        name = names.of(node)
        sizes = [dims.text(size, names.of_size) for size in node.shape]
        shape = f"({sizes[0]},)" if node.ndim == 1 else f"({', '.join(sizes)})"
        if len(cotangents) > 1:
            zeros = laid(f"{name} = {dialect.zeros(node, shape)}", indent + 4, "")
            lines += [f"if {name} is None:", f"    {zeros}"]
        function, arguments = dialect.check(node, quoted(name), name, sizes)
        call = bracketed(f"{name} = {function}(", arguments, ")", indent, statement=True)
        lines.append(call)
    return [row for line in lines for row in indented(line, indent)]


# --- results -----------------------------------------------------------------------------------


def returned(
    program: Program,
    nodes: Sequence[Node],
    context: Context,
    buffers: Mapping[Node, Node] = MappingProxyType({}),
) -> list[str]:
    """Expressions for results that share no memory with arguments, buffers or each other.

    buffers  for each value in one, the value that it is called after
    """
    names, dialect = context.names, context.dialect
    texts = []
    seen = {*program.arguments, *buffers}
    for node in nodes:
        base, repeats = node, node.op.emission.repeats
        while base.op.emission.view and not any(base is a for a in program.arguments):
            base = base.args[0]
            repeats = repeats or base.op.emission.repeats
        if is_literal(node):
            text = dialect.constant(node, names.of_size)
        else:
            text = names.of(buffers.get(node, node))
        shared = base in seen or (base.op is CONSTANT and not is_literal(node)) or repeats
        texts.append(dialect.copied(text) if shared else text)
        seen.add(base)
    return texts


def outputs_text(texts: Sequence[str], indent: int, before: str = "") -> str:
    """What a function returns for the outputs: a bare array, or Outputs."""
    if len(texts) == 1:
        return before + texts[0]
    return bracketed(f"{before}Outputs(", texts, ")", indent, statement=bool(before))


def dict_text(items: Sequence[tuple[str, str]], indent: int, before: str = "") -> str:
    """A dict display, in the statement that `before` begins."""
    listed = [f"{key}: {value}" for key, value in items]
    return bracketed(f"{before}{{", listed, "}", indent, statement=bool(before))


def returning(items: Sequence[Callable[[int, str], str]], indent: int = 4) -> list[str]:
    """A return statement of several values, each written for an indentation and after a text."""
    flat = [item(indent, "") for item in items]
    line = f"return {', '.join(flat)}"
    if len(items) == 1:
        return indented(items[0](indent, "return "), indent)
    if width(line) + indent <= LINE and "\n" not in line:
        return indented(line, indent)
    listed = [item(indent + 4, "") for item in items]
    return indented(bracketed("return (", listed, ")", indent, statement=True), indent)


def plain(text: str) -> Callable[[int, str], str]:
    """A value that is written the same everywhere."""
    return lambda indent, before: before + text


def field_names(outputs: Sequence[str], dialect: Dialect) -> list[str]:
    """Identifiers for the outputs, as fields of a named tuple."""
    taken = {"count", "index", *keyword.kwlist, *dialect.names}
    fields: list[str] = []
    for output in outputs:
        wanted = name = identifier(output, "output")
        number = 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name)
        fields.append(name)
    return fields
