"""The memory of a generated `Workspace`: how it is made, resized, filled and copied."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from graphc.codegen.arrays import filled, reshaped
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
    spread,
    update_buffers,
)
from graphc.codegen.literals import LINE, bracketed, quoted
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
    own = module.is_given("params")
    drawn = bool(module.parameters) and module.forward is not None and not own
    given = "params: Params | None = None" if drawn or own else "params: Params"
    doc = ["Make room for arguments of the given sizes."]
    doc += ["", "Parameters are copied in; without them, they are drawn with seed 0."] * drawn
    doc += ["", "Parameters are copied in; without them, those that the model came with."] * own
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
        yield from body(checked_size(name), f"self.{name} = {name}")
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
        made = "load_state(" if module.is_given("state") else "init_state("
        yield from body(spread(f"self.state = {made}", sized(scope, states), ")"))
    if module.optimizer is not None:
        for slot, number in module.optimizer.slots.items():
            yield from body(f"self.{slot}_vector = {filled('self.param_vector', number)}")
        yield from body("self.steps = 0")
        yield from update_buffers(scope, module.optimizer.program)
    if module.parameters:
        if module.is_given("params"):
            yield from body("if params is None:", "    params = load_params()")
        elif drawn:
            given = ["np.random.default_rng(0)", *sized(scope, nodes)]
            yield from body("if params is None:")
            yield from body("    " + spread("params = init_params(", given, ")", BODY + 4))
        yield from body("self.set_params(params)")
    free = free_sizes(scope)
    chosen = [f"{name}={name}" for name in map(scope.names.of_size, free)]
    yield from body(f"self.{'resize' if free else '_allocate'}({', '.join(chosen)})")


def checked_size(name: str) -> str:
    """The statement that checks a size."""
    return spread(f"{name} = checked_size(", [quoted(name), name], ")")


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
            items.append(f"{key}: np.zeros({scope.shape(node.shape)}, {node.dtype.source})")
            continue
        items.append(f"{key}: self.{vector}[{parts[node]}]{reshaped(sizes)}")
    return spread(before, items, "}")


def copied(target: str, text: str) -> list[str]:
    """The statement that copies a value into an array of a dict.

    It is a call, as the formatter would break a long assignment in several ways, also at `[...]`.
    """
    return body(spread("np.copyto(", [target, text], ")"))


def set_params(scope: Scope) -> FunctionView:
    """Copying parameters in: all or none."""
    names = scope.names
    checked = []
    copies = []
    for parameter in scope.context.module.parameters:
        node = parameter.node
        key, name = quoted(node.params.name), names.of(node)
        arguments = [key, f"params[{key}]", node.dtype.source, *(map(scope.size, node.shape))]
        checked.append(spread(f"{name} = checked(", arguments, ").copy()"))
        copies += copied(f"self.params[{key}]", name)
    sizes = {name for p in scope.context.module.parameters for name in dims.all_names(p.node.shape)}
    return method(
        "set_params", ["params: Params"], "None",
        ["Copy parameters in, all or none; their shapes and dtypes are checked."],
        [*size_lines(scope, sizes), *body(*checked), *forgotten(scope), *copies],
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
    lines = body(*map(checked_size, free))
    lines += size_lines(scope, fixed_sizes(scope))
    for _, program, _ in methods:
        lines += [line for line in guard_lines(program, names, BODY) if line not in lines]
    slots = plans.slots()
    if slots:
        spelled = [scope.size(slot.size) for slot in slots]
        lines += body(spread("sizes = [", spelled, "]"))
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
    sizes = [f"{quoted(name)}: self.{name}" for name in names]
    vectors = [f"{slot}_vector" for slot in module.optimizer.slots] if module.optimizer else []
    vectors = ["grad_vector", *vectors] if plans.vector() else []
    items = [bracketed('"sizes": {', sizes, "}", BODY + 4)]
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
        lines.append(spread("self.state = {", texts, "}"))
    if module.optimizer is not None:
        items.append('"steps": self.steps')
        lines.append('self.steps = kept["steps"]')
    yield method(
        "__getstate__", [], "dict[str, Any]",
        ["What copies and pickles take along; they have buffers of their own."],
        body(spread("return {", items, "}")),
    )  # fmt: skip
    start = spread("Workspace.__init__(", ["self", *restored], ")")
    yield method(
        "__setstate__", ["kept: dict[str, Any]"], "None", ["Make a workspace of what was kept."],
        body(start, *lines),
    )  # fmt: skip
