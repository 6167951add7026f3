"""The memory of a generated `Workspace`: how it is made, resized, filled and copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from graphc.codegen.functions import Context, indented, signature
from graphc.codegen.literals import LINE, bracketed, quoted, width
from graphc.codegen.printer import guard_lines
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
    """

    context: Context
    layout: Layout
    arrays: dict[str, dict[Node, Node]] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        """Identifiers of values and sizes."""
        return self.context.names

    def size(self, size: dims.Extent) -> str:
        """A size as an expression of named ones."""
        return dims.text(size, self.names.of_size)


def method(
    name: str, arguments: Iterable[object], result: str, doc: Sequence[str], body: Iterable[str]
) -> FunctionView:
    """A method; its lines are indented already."""
    before = " " * DEF + signature(name, ["self", *arguments], result, DEF)
    return FunctionView(name, before, tuple(doc), tuple(body))


def body(*lines: str) -> list[str]:
    """Statements of a method; those after the first line have their indentation already."""
    return [row for line in lines for row in indented(line, BODY)]


# --- memory --------------------------------------------------------------------------------------


def about(scope: Scope) -> Iterator[str]:
    """The docstring of the class."""
    module, vector = scope.context.module, scope.layout.vector()
    yield "The model with its memory: parameters, gradients and all that is computed on the way."
    yield ""
    if module.parameters:
        inside = ", views of `param_vector`" if vector else ""
        yield f"params  the parameters{inside}: write into them, do not replace them"
    if module.gradients and module.forward is not None:
        inside = ", views of `grad_vector`" if vector else ""
        yield f"grads   the gradients{inside}: overwritten by the next backward pass"
    if module.graph.states:
        yield "state   what the model carries from step to step; each forward pass replaces it"
    yield ""
    yield "What methods return is the caller's to keep, except `grads`. One workspace serves one"
    yield "thread at a time; two share nothing. A copy has the same parameters and its own memory."
    if any(node.op is ARGUMENT for node in scope.layout.kept_between()):
        yield "Arguments of `forward` have to stay as they are until `backward` has read them."


def memory(scope: Scope) -> Iterator[FunctionView]:
    """__init__, set_params and resize."""
    module, plans = scope.context.module, scope.layout
    sizes = [f"{scope.names.of_size(name)}: int" for name in plans.sizes()]
    keywords = ["*", *sizes] if sizes else []
    drawn = bool(module.parameters) and module.forward is not None
    given = "params: Params | None = None" if drawn else "params: Params"
    doc = ["Make room for arguments of the given sizes."]
    doc += ["", "Parameters are copied in; without them, they are drawn with seed 0."] * drawn
    yield method(
        "__init__",
        [*[given] * bool(module.parameters), *keywords],
        "None",
        doc,
        start(scope, drawn),
    )
    if module.parameters:
        yield set_params(scope)
    yield resize(scope)


def start(scope: Scope, drawn: bool) -> Iterator[str]:
    """The body of __init__."""
    module, plans = scope.context.module, scope.layout
    for name in map(scope.names.of_size, fixed_sizes(scope)):
        yield from body(f"self.{name} = {name} = checked_size({quoted(name)}, {name})")
    vector = plans.vector()
    if vector:
        total = scope.size(sum((dims.product(node.shape) for node in vector), 0))
        dtype = vector[0].dtype.source
        yield from body(f"self.param_vector = np.zeros({total}, {dtype})")
        yield from body(f"self.grad_vector = np.zeros({total}, {dtype})")
    if module.parameters:
        nodes = [p.node for p in module.parameters]
        yield from body(views(scope, "self.params: Params = {", "param_vector", nodes))
    if module.gradients and module.forward is not None and not resized_gradients(scope):
        yield from gradients(scope, "self.grads: Grads = {")
    if module.forward is not None:
        yield from body("self._residuals: tuple[Any, ...] | None = None")
    if module.graph.states:
        states = [node for node, _ in module.graph.states.values()]
        yield from body(bracketed("self.state = init_state(", sized(scope, states), ")", BODY))
    if module.optimizer is not None:
        for slot in module.optimizer.slots:
            yield from body(f"self.{slot}_vector = np.zeros_like(self.param_vector)")
        yield from body("self.steps = 0")
        yield from update_buffers(scope, module.optimizer.program)
    if module.parameters:
        given = sized(scope, [p.node for p in module.parameters])
        first = ", ".join(["np.random.default_rng(0)", *given])
        source = f"init_params({first}) if params is None else params" if drawn else "params"
        yield from body(bracketed("self.set_params(", [source], ")", BODY))
    free = free_sizes(scope)
    chosen = [f"{name}={name}" for name in map(scope.names.of_size, free)]
    yield from body(f"self.{'resize' if free else '_allocate'}({', '.join(chosen)})")


def sized(scope: Scope, nodes: Sequence[Node]) -> list[str]:
    """The named sizes of some values, as keyword arguments."""
    found = {name for node in nodes for name in dims.all_names(node.shape)}
    chosen = [scope.names.of_size(name) for name in scope.layout.sizes() if name in found]
    return [f"{name}={name}" for name in chosen]


def resized_gradients(scope: Scope) -> bool:
    """Whether an array of `grads` changes its shape with the sizes of inputs."""
    free, found = set(free_sizes(scope)), declared(scope)
    shapes = [found[name].shape for name in scope.context.module.gradients]
    return any(free & dims.all_names(shape) for shape in shapes)


def gradients(scope: Scope, before: str) -> list[str]:
    """The statement that makes the dict of gradients."""
    found = declared(scope)
    nodes = [found[name] for name in scope.context.module.gradients]
    return body(views(scope, before, "grad_vector", nodes))


def fixed_sizes(scope: Scope) -> list[str]:
    """The named sizes of parameters and states, which a workspace keeps."""
    return [name for name in scope.layout.sizes() if name in scope.layout.fixed_sizes()]


def free_sizes(scope: Scope) -> list[str]:
    """The named sizes of inputs alone, which can change."""
    return [name for name in scope.layout.sizes() if name not in scope.layout.fixed_sizes()]


def views(scope: Scope, before: str, vector: str, nodes: Sequence[Node]) -> str:
    """A dict of views of a vector; what does not lie in it has memory of its own."""
    parts = {}
    start: dims.Extent = 0
    for node in scope.layout.vector():
        end = start + dims.product(node.shape)
        bounds = [scope.size(start) if start != 0 else "", scope.size(end)]
        parts[node] = (" : " if " " in "".join(bounds) else ":").join(bounds).lstrip()
        start = end
    items = []
    for node in nodes:
        key, sizes = quoted(node.params.name), list(map(scope.size, node.shape))
        if node not in parts:
            shape = f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"
            items.append(f"{key}: np.zeros({shape}, {node.dtype.source})")
            continue
        shape = ", ".join(sizes) or "()"
        items.append(f"{key}: self.{vector}[{parts[node]}].reshape({shape})")
    return bracketed(before, items, "}", BODY)


def assigned(target: str, text: str) -> list[str]:
    """The statement that copies a value into an array."""
    line = f"{target}[...] = {text}"
    if width(line) + BODY <= LINE:
        return body(line)
    return body(f"{target}[...] = (", f"    {text}", ")")


def set_params(scope: Scope) -> FunctionView:
    """Copying parameters in: all or none."""
    names = scope.names
    checked = []
    copied = []
    for parameter in scope.context.module.parameters:
        node = parameter.node
        key, name = quoted(node.params.name), names.of(node)
        arguments = [key, f"params[{key}]", node.dtype.source, *(map(scope.size, node.shape))]
        checked.append(bracketed(f"{name} = checked(", arguments, ").copy()", BODY))
        copied += assigned(f"self.params[{key}]", name)
    sizes = {name for p in scope.context.module.parameters for name in dims.all_names(p.node.shape)}
    return method(
        "set_params", ["params: Params"], "None",
        ["Copy parameters in, all or none; their shapes and dtypes are checked."],
        [*size_lines(scope, sizes), *body(*checked), *forgotten(scope), *copied],
    )  # fmt: skip


def size_lines(scope: Scope, names: Iterable[str]) -> list[str]:
    """Statements that read the named sizes of the workspace into variables."""
    known = dict.fromkeys(names)
    spelled = [scope.names.of_size(name) for name in scope.layout.sizes() if name in known]
    return body(*(f"{name} = self.{name}" for name in spelled))


def forgotten(scope: Scope) -> list[str]:
    """The statement after which backward has nothing to go back from."""
    return body("self._residuals = None") if scope.context.module.forward is not None else []


def resize(scope: Scope) -> FunctionView:
    """The buffers of all methods, in slots that they share. They come into use all or none."""
    module, plans, names = scope.context.module, scope.layout, scope.names
    free = [names.of_size(name) for name in free_sizes(scope)]
    methods = [
        (name, program, plan)
        for name, program, plan in (
            ("predict", module.predict, plans.predict),
            ("evaluate", module.evaluate, plans.evaluate),
            ("forward", module.forward, plans.training),
            ("backward", module.backward, plans.training),
        )
        if program is not None
    ]
    lines = body(*(f"{name} = checked_size({quoted(name)}, {name})" for name in free))
    lines += size_lines(scope, fixed_sizes(scope))
    guards = dict.fromkeys(line for _, program, _ in methods for line in [
        "\n".join(pair) for pair in zip(*[iter(guard_lines(program, names))] * 2, strict=True)
    ])  # fmt: skip
    lines += [" " * BODY + line for guard in guards for line in guard.split("\n")]
    slots = plans.slots()
    if slots:
        spelled = [scope.size(slot.size) for slot in slots]
        lines += body(bracketed("sizes = [", spelled, "]", BODY))
        lines += body("slots = [np.empty(size, np.uint8) for size in sizes]")
    used = []
    if module.forward is not None and resized_gradients(scope):
        lines += gradients(scope, "grads: Grads = {")
        used.append("self.grads = grads")
    for name, program, plan in methods:
        if bound_values(scope, program, plan):
            lines += bound(scope, name, program, plan, slots)
            used.append(f"self._{name} = {name}")
    lines += [*body(*used), *forgotten(scope)]
    if free:
        lines += body(*(f"self.{name} = {name}" for name in free))
        doc = ["Make room for arguments of other sizes; parameters and state stay."]
        return method("resize", ["*", *(f"{name}: int" for name in free)], "None", doc, lines)
    return method("_allocate", [], "None", ["Make the buffers that statements write into."], lines)


def declared(scope: Scope) -> dict[str, Node]:
    """Parameters and inputs by name."""
    module = scope.context.module
    return module.graph.inputs | {p.node.params.name: p.node for p in module.parameters}


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
            shape = f"({', '.join(map(scope.size, node.shape))}{',' * (node.ndim == 1)})"
            slot = f"slots[{places[buffer.slot]}]"
            before = f"{names.of(node)} = np.ndarray("
            lines += body(bracketed(before, [shape, node.dtype.source, slot], ")", BODY))
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
    return bracketed(f"{target} = (", items, ")", BODY)


def unpacking(names: Sequence[str], source: str) -> list[str]:
    """A statement that unpacks a tuple."""
    line = f"({names[0]},) = {source}" if len(names) == 1 else f"{', '.join(names)} = {source}"
    if len(line) + BODY <= LINE:
        return body(line)
    return body(bracketed("(", names, f") = {source}", BODY))


def update_buffers(scope: Scope, program: Program) -> list[str]:
    """The memory of the update of the parameters: all its arrays are like their vector."""
    plan = scope.layout.update
    found = dict.fromkeys(variables(scope, program, plan).values())
    assert all(node.type == program.arguments[0].type for node in found)
    vector = "np.empty_like(self.param_vector)"
    if len(found) == len(plan.slots):
        return body(packing("self._update", [vector] * len(found)))
    items = [f"slots[{plan.slots.index(plan.buffers[node].slot)}]" for node in found]
    lines = [bracketed("slots = [", [vector] * len(plan.slots), "]", BODY)]
    return body(*lines, packing("self._update", items))


# --- copies --------------------------------------------------------------------------------------


def copying(scope: Scope) -> Iterator[FunctionView]:
    """What copy and pickle take along: views of one vector have to stay views of one vector."""
    module, plans = scope.context.module, scope.layout
    names = [scope.names.of_size(name) for name in plans.sizes()]
    sizes = ", ".join(f"{quoted(name)}: self.{name}" for name in names)
    vectors = [f"{slot}_vector" for slot in module.optimizer.slots] if module.optimizer else []
    vectors = ["grad_vector", *vectors] if plans.vector() else []
    items = [f'"sizes": {{{sizes}}}']
    restored = ['**kept["sizes"]'] if names else []
    lines = []
    if module.parameters:
        items.append('"params": self.params')
        restored.insert(0, 'kept["params"]')
    for vector in vectors:
        items.append(f"{quoted(vector)}: self.{vector}")
        lines.append(f"np.copyto(self.{vector}, kept[{quoted(vector)}])")
    if module.graph.states:
        items.append('"state": self.state')
        texts = [f"{quoted(name)}: kept[\"state\"][{quoted(name)}].copy()"
                 for name in module.graph.states]  # fmt: skip
        lines.append(bracketed("self.state = {", texts, "}", BODY))
    if module.optimizer is not None:
        items.append('"steps": self.steps')
        lines.append('self.steps = kept["steps"]')
    yield method(
        "__getstate__", [], "dict[str, Any]",
        ["What copies and pickles take along; they have buffers of their own."],
        body(bracketed("return {", items, "}", BODY)),
    )  # fmt: skip
    start = bracketed("Workspace.__init__(", ["self", *restored], ")", BODY)
    yield method(
        "__setstate__", ["kept: dict[str, Any]"], "None", ["Make a workspace of what was kept."],
        body(start, *lines),
    )  # fmt: skip
