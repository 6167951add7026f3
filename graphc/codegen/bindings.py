"""The arrays of the methods of a `Workspace`: made by `resize` as tuples that methods unpack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from graphc.codegen.functions import Context, indented, signature
from graphc.codegen.literals import LINE, bracketed, quoted
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.graph import ARGUMENT
from graphc.ir.node import Node
from graphc.lower.buffers import Buffer, Memory, Slot
from graphc.lower.layout import Layout
from graphc.lower.naming import Names
from graphc.lower.program import Program

DEF, BODY = 4, 8  # the indentation of methods, and of what they are made of


@dataclass(slots=True)
class Scope:
    """What the methods of one workspace share.

    arrays  by the name of a program, what its arrays are called after; see `variables`
    shapes  what has been written of shapes: a model has few
    """

    context: Context
    layout: Layout
    arrays: dict[str, dict[Node, Node]] = field(default_factory=dict)
    shapes: dict[dims.Shape, str] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        """Identifiers of values and sizes."""
        return self.context.names

    def size(self, size: dims.Extent) -> str:
        """A size as an expression of named ones."""
        return dims.text(size, self.names.of_size)

    def shape(self, shape: dims.Shape) -> str:
        """A shape as a tuple of such expressions."""
        if shape not in self.shapes:
            sizes = ", ".join(map(self.size, shape))
            self.shapes[shape] = f"({sizes},)" if len(shape) == 1 else f"({sizes})"
        return self.shapes[shape]


def method(
    name: str, arguments: Iterable[object], result: str, doc: Sequence[str], body: Iterable[str]
) -> FunctionView:
    """A method; its lines are indented already."""
    before = " " * DEF + signature(name, ["self", *arguments], result, DEF)
    return FunctionView(name, before, tuple(doc), tuple(body))


def body(*lines: str) -> list[str]:
    """Statements of a method; those after the first line have their indentation already."""
    return [row for line in lines for row in indented(line, BODY)]


def fixed_sizes(scope: Scope) -> list[str]:
    """The named sizes of parameters and states, which a workspace keeps."""
    fixed = scope.layout.fixed_sizes()
    return [name for name in scope.layout.sizes() if name in fixed]


def free_sizes(scope: Scope) -> list[str]:
    """The named sizes of inputs alone, which can change."""
    fixed = scope.layout.fixed_sizes()
    return [name for name in scope.layout.sizes() if name not in fixed]


def declared(scope: Scope) -> dict[str, Node]:
    """Parameters and inputs by name."""
    module = scope.context.module
    return module.graph.inputs | {p.node.params.name: p.node for p in module.parameters}


def spread(before: str, items: Sequence[str], after: str, indent: int = BODY) -> str:
    """A statement of a method in as few lines as the formatter leaves alone."""
    return bracketed(before, items, after, indent, statement=True)


def size_lines(scope: Scope, names: Iterable[str]) -> list[str]:
    """Statements that read the named sizes of the workspace into variables."""
    known = dict.fromkeys(names)
    spelled = [scope.names.of_size(name) for name in scope.layout.sizes() if name in known]
    return body(*(f"{name} = self.{name}" for name in spelled))


def resized_gradients(scope: Scope) -> bool:
    """Whether an array of `grads` changes its shape with the sizes of inputs."""
    free, found = set(free_sizes(scope)), declared(scope)
    shapes = [found[name].shape for name in scope.context.module.gradients]
    return any(free & dims.all_names(shape) for shape in shapes)


def bound(
    scope: Scope, name: str, program: Program, plan: Memory, slots: Sequence[Slot]
) -> list[str]:
    """The statements that make the arrays of one method, as a tuple that it unpacks."""
    names = scope.names
    grads = "grads" if resized_gradients(scope) else "self.grads"
    items = []
    lines: list[str] = []
    places = {slot: place for place, slot in enumerate(slots)}
    for node in bound_values(scope, program, plan):
        if node.op is ARGUMENT:
            items.append(f"self.params[{quoted(node.params.name)}]")
        elif node in scope.layout.gradients:
            items.append(f"{grads}[{quoted(scope.layout.gradients[node])}]")
        else:
            buffer = plan.buffers[node]
            items.append(names.of(node))
            shape = scope.shape(node.shape)
            slot = f"slots[{places[buffer.slot]}]"
            before = f"{names.of(node)} = np.ndarray("
            lines += body(spread(before, [shape, node.dtype.source, slot], ")"))
    return [*lines, *body(packing(name, items))]


def variables(scope: Scope, program: Program, plan: Memory) -> dict[Node, Node]:
    """For each value that a method finds or makes in an array, what the array is called after.

    That is the next value in it that has a name, or the last one; what another method computed
    keeps its own name. So one array may have several.
    """
    if program.name in scope.arrays:
        return scope.arrays[program.name]
    chains: dict[Buffer, list[Node]] = {}
    for node in program.order:
        if node in plan.buffers:
            chains.setdefault(plan.buffers[node], []).append(node)
    found = {node: node for node in program.arguments if node in plan.buffers}
    for values in chains.values():
        last = values[-1]
        for node in reversed(values):
            last = node if node.graph.is_named(node) else last
            found[node] = last
    found.update({node: node for node in program.order if node in scope.layout.gradients})
    return scope.arrays.setdefault(program.name, found)


def bound_values(scope: Scope, program: Program, plan: Memory) -> list[Node]:
    """What a method finds ready: parameters that it reads, and the names of its buffers."""
    parameters = [
        node
        for node in program.arguments
        if node.op is ARGUMENT and node.params.kind == "parameter"
    ]
    return list(dict.fromkeys([*parameters, *variables(scope, program, plan).values()]))


def unpacked(scope: Scope, name: str, program: Program, plan: Memory) -> list[str]:
    """The statement with which a method takes its arrays."""
    found = [scope.names.of(node) for node in bound_values(scope, program, plan)]
    return unpacking(found, f"self._{name}") if found else []


def packing(target: str, items: Sequence[str]) -> str:
    """A statement that assigns a tuple."""
    if len(items) == 1 and len(f"{target} = ({items[0]},)") + BODY <= LINE:
        return f"{target} = ({items[0]},)"
    return spread(f"{target} = (", items, ")")


def unpacking(names: Sequence[str], source: str) -> list[str]:
    """A statement that unpacks a tuple."""
    line = f"({names[0]},) = {source}" if len(names) == 1 else f"{', '.join(names)} = {source}"
    if len(line) + BODY <= LINE:
        return body(line)
    return body(spread("(", names, f") = {source}"))


def update_buffers(scope: Scope, program: Program) -> list[str]:
    """The memory of the update of the parameters: all its arrays are like their vector."""
    plan = scope.layout.update
    found = dict.fromkeys(variables(scope, program, plan).values())
    assert all(node.type == program.arguments[0].type for node in found)
    vector = "np.empty_like(self.param_vector)"
    if len(found) == len(plan.slots):
        return body(packing("self._update", [vector] * len(found)))
    items = [f"slots[{plan.slots.index(plan.buffers[node].slot)}]" for node in found]
    lines = [spread("slots = [", [vector] * len(plan.slots), "]")]
    return body(*lines, packing("self._update", items))
