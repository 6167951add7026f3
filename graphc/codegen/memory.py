"""The memory of a generated `Workspace`: how it is made, resized, filled and copied."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from graphc.codegen.arrays import reshaped
from graphc.codegen.bindings import (
    BODY,
    Scope,
    body,
    bound,
    bound_values,
    declared,
    fixed_sizes,
    free_sizes,
    method,
    resized_gradients,
    size_lines,
    update_buffers,
)
from graphc.codegen.literals import LINE, bracketed, quoted, width
from graphc.codegen.printer import guard_lines
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.graph import ARGUMENT
from graphc.ir.node import Node

# --- memory --------------------------------------------------------------------------------------


def about(scope: Scope) -> Iterator[str]:
    """The docstring of the class: it mentions what this model has, and nothing else."""
    module, vector = scope.context.module, scope.layout.vector()
    trained = bool(module.gradients) and module.forward is not None
    own = [*["parameters"] * bool(module.parameters), *["gradients"] * trained]
    computed = f"{', '.join(own)} and what" if own else "what"
    yield f"The model with its memory: {computed} is computed on the way."
    yield ""
    if module.parameters:
        inside = ", views of `param_vector`" if vector else ""
        yield f"params  the parameters{inside}: write into them, do not replace them"
    if trained:
        inside = ", views of `grad_vector`" if vector else ""
        yield f"grads   the gradients{inside}: overwritten by the next backward pass"
    if module.graph.states:
        replaced = "each forward pass replaces it" if module.updates else "replace it as you like"
        yield f"state   what the model carries from step to step; {replaced}"
    if module.parameters or trained or module.graph.states:
        yield ""
    sentences = [
        f"What methods return is the caller's to keep{', except `grads`' * trained}.",
        "One workspace serves one thread at a time; two share nothing.",
        f"A copy has {'the same parameters and ' * bool(module.parameters)}its own memory.",
    ]
    if any(node.op is ARGUMENT for node in scope.layout.kept_between()):
        sentences.append(
            "Arguments have to stay as they are until `backward` has read them: "
            "pass no views of `grads`."
        )
    yield from textwrap.wrap(" ".join(sentences), LINE - 12)


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


def gradients(scope: Scope, before: str) -> list[str]:
    """The statement that makes the dict of gradients."""
    found = declared(scope)
    nodes = [found[name] for name in scope.context.module.gradients]
    return body(views(scope, before, "grad_vector", nodes))


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
        items.append(f"{key}: self.{vector}[{parts[node]}]{reshaped(sizes)}")
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
    shared = ["", "Arrays that are never needed at the same time lie in one slot."] * bool(slots)
    if free:
        lines += body(*(f"self.{name} = {name}" for name in free))
        stay = [*["parameters"] * bool(module.parameters), *["state"] * bool(module.graph.states)]
        kept = f"; {' and '.join(stay)} stay{'s' * (stay == ['state'])}" if stay else ""
        doc = [f"Make room for arguments of other sizes{kept}.", *shared]
        return method("resize", ["*", *(f"{name}: int" for name in free)], "None", doc, lines)
    doc = ["Make the buffers that statements write into.", *shared]
    return method("_allocate", [], "None", doc, lines)


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
