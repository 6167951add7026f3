"""The ModuleView of a lowered module."""

from __future__ import annotations

import hashlib
import inspect
import io
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from graphc.codegen import blocks, literals
from graphc.codegen import parameters as parameter_blocks
from graphc.codegen.functions import Context, escaped, field_names, type_text
from graphc.codegen.literals import bracketed, quoted
from graphc.codegen.memory import Scope, about
from graphc.codegen.self_test import self_test
from graphc.codegen.view import VIEW_VERSION, FunctionView, ModuleView, TypeView
from graphc.codegen.workspace import workspace
from graphc.ir.dims import pure_name
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.types import shape_text
from graphc.lower.layout import check_dtypes, layout
from graphc.lower.module import LoweredModule
from graphc.lower.naming import Names
from graphc.lower.program import Program, is_literal
from graphc.runtime import boundary
from graphc.runtime.files import load_arrays, load_constants

RESERVED = (
    *("np", "NDArray", "Any", "NamedTuple", "TypedDict", "Path", "Array", "annotations", "base64"),
    *("Params", "State", "Grads", "Outputs", "Residuals", "OptimizerState", "sys"),
    *("params", "state", "rng", "residuals", "grads", "outputs", "optimizer_state"),
    *("predict", "forward", "backward", "value_and_grad", "evaluate", "train_step", "self_test"),
    *("init_params", "init_state", "init_optimizer", "save_params", "load_params"),
    *("ravel_params", "unravel_params", "new_params", "new_optimizer_state", "load_arrays"),
    *("load_constants", "CONSTANTS", "hashlib", "io", "path", "file", "arrays", "named", "parts"),
    *("checked", "shape_text", "sample_values", "sample_slope", "agrees", "checks", "vector"),
    *("count", "index"),  # methods of named tuples
    *("self", "Workspace", "workspace", "slots", "sizes", "checked_size", "kept"),
)


def assemble(module: LoweredModule) -> tuple[ModuleView, bytes]:
    """All texts of a module, and the content of its companion .npz file if it needs one.

    Identifiers are given in the order in which they are read.
    """
    taken = tuple(reserved(module))
    names = Names(module.graph, taken)
    context = Context(module, names, taken, optimizer_names(module))
    declare(module, names)
    scope = None
    if module.options["style"] == "workspace":
        scope = Scope(context, layout(module))
        check_dtypes(scope.layout)
    views = computing(context) if scope is None else workspace(scope)
    parameters = tuple(parameter_blocks.parameters(context, training=bool(views["training"])))
    tests = tuple(self_test(context))
    constants, companion = constant_lines(context)
    loaders: list[Callable[..., Any]] = [load_arrays, load_constants] if companion else []
    helpers = [h for h in needed_helpers(module, bool(tests)) if h not in loaders]
    definitions = tuple(types(context))
    functions = (*parameters, *itertools.chain(*views.values()), *tests)
    view = ModuleView(
        view_version=VIEW_VERSION,
        name=escaped(module.graph.name),
        doc=tuple(docstring(context)),
        imports=tuple(imports(functions, definitions, constants, companion)),
        metadata=tuple(metadata(module)),
        types=definitions,
        loaders=tuple(map(inspect.getsource, loaders)),
        constants=tuple(constants),
        helpers=tuple(map(inspect.getsource, helpers)),
        parameters=parameters,
        self_test=tests,
        memory_doc=tuple(about(scope)) if scope else (),
        **views,
    )
    return view, companion


def computing(context: Context) -> dict[str, tuple[FunctionView, ...]]:
    """The functions that compute, by block; pure functions of arrays."""
    return {
        "inference": tuple(blocks.inference(context)),
        "training": tuple(blocks.training(context)),
        "optimizer": tuple(parameter_blocks.optimizer(context)),
    }


def reserved(module: LoweredModule) -> Iterable[str]:
    """Names that no value of the model may take."""
    yield from RESERVED
    yield from (helper.__name__ for helper in needed_helpers(module, True))
    if module.optimizer is not None:
        yield module.optimizer.kind
        yield from (h.name for h in module.optimizer.hyperparameters)


def optimizer_names(module: LoweredModule) -> Names:
    """The identifiers inside the update of one parameter."""
    graph = module.optimizer.program.graph if module.optimizer else module.graph
    return Names(graph, ["np"])


def declare(module: LoweredModule, names: Names) -> None:
    """Give the identifiers of what is declared, before anything that is computed."""
    declared = [*(p.node for p in module.parameters), *module.inputs]
    for node in declared:
        names.of(node)
    for node in declared:
        for size in node.shape:
            if (name := pure_name(size)) is not None:
                names.of_size(name)


def programs(module: LoweredModule) -> list[Program]:
    """The programs of a module that exist."""
    return [
        program
        for program in (module.predict, module.evaluate, module.forward, module.backward)
        if program is not None
    ]


# --- docstring and metadata --------------------------------------------------------------------


def docstring(context: Context) -> Iterable[str]:
    """What stands at the top: the model, its conventions, whose it is and how to make it again."""
    module, names = context.module, context.names
    what = "forward and backward pass" if module.forward else "forward pass"
    yield f"{escaped(module.graph.name)}: {what} in NumPy."
    sections: list[tuple[str, Sequence[Node]]] = [
        ("Inputs", module.inputs),
        ("Parameters", [p.node for p in module.parameters]),
        ("States", [node for node, _ in module.graph.states.values()]),
    ]
    for title, nodes in sections:
        if nodes:
            yield ""
            yield title
            yield from (f"    {names.of(node)}: {described(node, names)}" for node in nodes)
    if module.gradients and module.forward:
        yield ""
        target = module.loss or "the outputs"
        yield f"Gradients of {escaped(target)}"
        declared = module.graph.inputs | {p.node.params.name: p.node for p in module.parameters}
        yield from wrapped([names.of(declared[name]) for name in module.gradients])
    if module.kinks:
        yield ""
        yield f"Conventions at kinks ({module.options['kinks']})"
        yield from (f"    {row}" for row in module.kinks)
    yield ""
    yield f"Generated by graphc {module.version}; make it again with"
    yield f"    {escaped(module.command)}"
    yield "This file is yours: use, change and pass it on under any terms you like."


def wrapped(items: Iterable[str]) -> Iterable[str]:
    """Items after commas, indented, in as many lines as they need."""
    line = "    "
    for item in items:
        if len(line) + len(item) > literals.LINE - 2 and line.strip():
            yield line.rstrip()
            line = "    "
        line += f"{item}, "
    yield line.removesuffix(", ")


def described(node: Node, names: Names) -> str:
    """Type of an argument, and its exact name where the identifier is another."""
    name = node.params.name
    exact = "" if names.of(node) == name else f", {escaped(quoted(name))}"
    return f"{type_text(node)}{exact}"


def metadata(module: LoweredModule) -> Iterable[str]:
    """The items of `__graphc__`."""
    yield f'"version": {quoted(module.version)}'
    yield f'"model": {quoted(module.graph.name)}'
    yield f'"hash": {quoted(module.digest)}'
    options = ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in module.options.items())
    line = f'"options": {{{options}}}'
    yield line if len(line) < literals.LINE - 8 else bracketed(
        '"options": {', [f"{quoted(k)}: {quoted(v)}" for k, v in module.options.items()], "}", 4
    )  # fmt: skip


def imports(
    functions: Sequence[FunctionView],
    definitions: Sequence[TypeView],
    constants: Sequence[str],
    companion: bytes,
) -> Iterable[str]:
    """What the module imports: the standard library, then NumPy."""
    defined = {function.name for function in functions}
    files = bool(companion) or "load_params" in defined
    needed = {
        "import base64": any("base64.b64decode" in line for line in constants),
        "import hashlib": bool(companion),
        "import io": bool(companion),
        "import sys": "self_test" in defined,
        "from pathlib import Path": files,
    }
    typing = ["Any"]
    typing += ["NamedTuple"] if any(type.is_class for type in definitions) else []
    typing += ["TypedDict"] if not all(type.is_class for type in definitions) else []
    standard = [line for line, condition in needed.items() if condition]
    standard.append(f"from typing import {', '.join(typing)}")
    return [*standard, "", "import numpy as np", "from numpy.typing import NDArray"]


# --- types and constants -----------------------------------------------------------------------


def types(context: Context) -> Iterable[TypeView]:
    """Params, State, Grads, Outputs, Residuals, OptimizerState: those that the module needs."""
    module, names = context.module, context.names
    if module.parameters:
        yield typed_dict("Params", [p.node.params.name for p in module.parameters])
    if module.graph.states:
        yield typed_dict("State", list(module.graph.states))
    if module.forward is not None:
        yield typed_dict("Grads", module.gradients)
    if len(module.outputs) > 1 and (module.predict or not module.loss):
        program = module.predict or module.forward
        assert program is not None
        fields = [(name, "Array") for name in field_names(module.outputs)]
        comments = [comment(node) for node in program.results]
        yield named_tuple("Outputs", "What the model computes.", fields, comments)
    if module.options["style"] == "workspace":
        return
    if module.forward is not None:
        fields = [(names.of(node), "Array") for node in module.residuals]
        comments = [comment(node) for node in module.residuals]
        sizes = [(names.of_size(size), "int") for size in module.sizes]
        doc = "What the backward pass reads of the forward pass; it shares memory with that."
        yield named_tuple("Residuals", doc, [*fields, *sizes], [*comments, *("" for _ in sizes)])
    if module.optimizer is not None:
        if module.optimizer.slots:
            yield typed_dict("Slots", module.optimizer.trained)
        items = ['"step": int', *(f"{quoted(slot)}: Slots" for slot in module.optimizer.slots)]
        line = bracketed('OptimizerState = TypedDict("OptimizerState", {', items, "})", 0)
        yield TypeView("OptimizerState", line)


def comment(node: Node) -> str:
    """Shape and dtype of a field."""
    return f"{shape_text(node.shape)} {node.dtype.name}"


def typed_dict(name: str, keys: Iterable[str]) -> TypeView:
    """A dict type with exact keys."""
    items = [f"{quoted(key)}: Array" for key in keys]
    line = f'{name} = TypedDict("{name}", {{{", ".join(items)}}})'
    if len(line) < literals.LINE:
        return TypeView(name, line)
    rows = "".join(f"        {item},\n" for item in items)
    return TypeView(name, f'{name} = TypedDict(\n    "{name}",\n    {{\n{rows}    }},\n)')


def named_tuple(
    name: str, doc: str, fields: Sequence[tuple[str, str]], comments: Sequence[str]
) -> TypeView:
    """A tuple type with one field a line."""
    lines = [f"class {name}(NamedTuple):", f'    """{doc}"""']
    if fields:
        lines.append("")
    for (field, annotation), text in zip(fields, comments, strict=True):
        lines.append(f"    {field}: {annotation}" + (f"  # {text}" if text else ""))
    return TypeView(name, "\n".join(lines), is_class=True)


def constant_lines(context: Context) -> tuple[list[str], bytes]:
    """Assignments of the constant arrays in order of use, and the file with the large ones."""
    found = dict.fromkeys(
        arg
        for program in programs(context.module)
        for node in (*program.order, *program.results)
        for arg in (*node.args, node)
        if arg.op is CONSTANT and not is_literal(arg)
    )
    listed = [(context.names.of(node), node.params.data.array) for node in found]
    lines = []
    large: dict[str, Any] = {}
    for name, value in [*listed, *context.constants]:
        text = literals.array(value)
        if text is None:
            large[name] = value
            text = f'CONSTANTS["{name}"]'
        lines.append(f"{name}: Array = {text}")
    if not large:
        return lines, b""
    file = io.BytesIO()
    np.savez(file, **large)
    content = file.getvalue()
    checksum = hashlib.sha256(content).hexdigest()
    call = ['Path(__file__).with_suffix(".npz")', quoted(checksum)]
    return [bracketed("CONSTANTS = load_constants(", call, ")"), *lines], content


def needed_helpers(module: LoweredModule, tests: bool) -> list[Callable[..., Any]]:
    """The runtime functions that the programs call, and those at the boundary."""
    found: dict[Callable[..., Any], None] = {}
    if any(program.arguments for program in programs(module)) or module.parameters:
        found.update(dict.fromkeys([boundary.checked, boundary.shape_text]))
    if module.options["style"] == "workspace":
        found[boundary.checked_size] = None
    if module.parameters:
        found[load_arrays] = None
    for program in programs(module):
        for node in program.order:
            found.update(dict.fromkeys(node.op.emission.helpers))
    if tests and module.self_test is not None:
        found.update(
            dict.fromkeys([boundary.sample_values, boundary.sample_slope, boundary.agrees])
        )
    return list(found)
