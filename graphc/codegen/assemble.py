"""The ModuleView of a lowered module."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from graphc.codegen import blocks, fitting, literals, training_step
from graphc.codegen import parameters as parameter_blocks
from graphc.codegen.arrays import ARRAYS
from graphc.codegen.bindings import Scope
from graphc.codegen.companion import Companion, companion
from graphc.codegen.dialect import Dialect, Helper
from graphc.codegen.finite import OVERWRITTEN
from graphc.codegen.functions import Context, field_names
from graphc.codegen.literals import LINE, bracketed, clipped, escaped, quoted, width
from graphc.codegen.memory import about
from graphc.codegen.scalars import SCALARS, fit
from graphc.codegen.self_test import self_test
from graphc.codegen.view import VIEW_VERSION, FunctionView, ModuleView, TypeView
from graphc.codegen.workspace import workspace
from graphc.errors import UsageError
from graphc.ir.dims import pure_name
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.lower.layout import check_dtypes, layout
from graphc.lower.module import LoweredModule
from graphc.lower.naming import Names
from graphc.lower.program import Program, is_literal
from graphc.runtime.boundary import checked_size
from graphc.runtime.files import load_companion

DIALECTS: dict[str, Dialect] = {  # by style
    "functional": ARRAYS,
    "workspace": ARRAYS,
    "scalar": SCALARS,
}
RESERVED = (
    *("Any", "NamedTuple", "TypedDict", "Path", "annotations"),
    *("Params", "State", "Grads", "Outputs", "Residuals", "OptimizerState", "sys"),
    *("params", "state", "rng", "residuals", "grads", "outputs", "optimizer_state"),
    *("predict", "forward", "backward", "value_and_grad", "evaluate", "train_step", "self_test"),
    *("init_params", "init_state", "init_optimizer"),
    *("save_params", "load_params", "save_state", "load_state"),
    *("ravel_params", "unravel_params", "new_params", "new_optimizer_state"),
    *("path", "file", "named", "parts", "agrees", "checks", "vector"),
    *("count", "index"),  # methods of named tuples
)
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'')
# What a workspace has beside its named sizes.
ATTRIBUTES = ("steps", "step", "resize", "set_params", "param_vector", "grad_vector")
WORKSPACE_RESERVED = ("self", "Workspace", "workspace", "slots", "sizes", "checked_size", "kept")


def assemble(module: LoweredModule) -> tuple[ModuleView, Companion]:
    """All texts of a module, and the .npz file beside it, which is empty if it needs none.

    Identifiers are given in the order in which they are read.
    """
    dialect = DIALECTS[module.options["style"]]
    if dialect is SCALARS:
        fit(module)
    taken = tuple(reserved(module, dialect))
    names = Names(module.graph, taken, of_one_mode(module))
    context = Context(module, dialect, names, taken, optimizer_names(module))
    declare(module, names)
    scope = None
    if module.options["style"] == "workspace":
        scope = Scope(context, layout(module))
        check_dtypes(scope.layout)
    views = computing(context) if scope is None else workspace(scope)
    views["schedule"] = tuple(training_step.schedule(module.optimizer))
    parameters = tuple(parameter_blocks.parameters(context, training=bool(views["training"])))
    tests = tuple(self_test(context))
    constants = constant_lines(context)
    beside = Companion(context.stored)
    loaders: list[Helper] = []
    helpers = needed_helpers(module, dialect, bool(tests))
    if beside:
        at_import = any(line.startswith("CONSTANTS = ") for line in constants)
        (loaders if at_import else helpers).append(load_companion)
        constants.insert(0, f"CHECKSUM = {quoted(beside.checksum)}  # of the .npz file")
    functions = (*parameters, *itertools.chain(*views.values()), *tests)
    definitions = tuple(types(context))
    sources = tuple(map(source, loaders)), tuple(map(source, helpers))
    code = [*constants, *(t.source for t in definitions), *sources[0], *sources[1]]
    code += [line for function in functions for line in (function.signature, *function.body)]
    view = ModuleView(
        view_version=VIEW_VERSION,
        name=escaped(module.graph.name),
        doc=tuple(docstring(context)),
        imports=tuple(dialect.imports(functions, without_strings(code))),
        metadata=tuple(metadata(module)),
        types=definitions,
        loaders=sources[0],
        constants=tuple(constants),
        helpers=sources[1],
        parameters=parameters,
        self_test=tests,
        memory_doc=tuple(about(scope)) if scope else (),
        **views,
    )
    return view, beside


def of_one_mode(module: LoweredModule) -> list[list[Node]]:
    """What only functions of inference compute, and what only those of training do."""
    infer, train = (
        dict.fromkeys(n for p in found if p is not None for n in p.order if n.op is not CONSTANT)
        for found in ((module.predict, module.evaluate), (module.forward, module.backward))
    )
    return [[n for n in infer if n not in train], [n for n in train if n not in infer]]


@cache
def source(helper: Helper) -> str:
    """The text of a function that modules carry along; to look for it takes long."""
    return inspect.getsource(helper)


def computing(context: Context) -> dict[str, tuple[FunctionView, ...]]:
    """The functions that compute, by block; pure functions of values."""
    return {
        "inference": tuple(blocks.inference(context)),
        "training": tuple(blocks.training(context)),
        "optimizer": tuple(training_step.optimizer(context)),
        "fit": tuple(fitting.fitting(context)),
    }


def reserved(module: LoweredModule, dialect: Dialect) -> Iterable[str]:
    """Names that no value of the model may take."""
    yield from (*RESERVED, *dialect.reserved)
    if module.options["style"] == "workspace":
        yield from (*WORKSPACE_RESERVED, *ATTRIBUTES)
    yield from [OVERWRITTEN] * module.debug_nan
    yield from (helper.__name__ for helper in needed_helpers(module, dialect, True))
    if module.optimizer is not None:
        yield from (f"{slot}_vector" for slot in module.optimizer.slots)
        yield module.optimizer.kind
        yield from (h.name for h in module.optimizer.hyperparameters)
        yield from [training_step.STEP] * module.optimizer.counts
        yield from [training_step.SCHEDULED] * (module.optimizer.schedule is not None)
        if module.optimizer.clips:
            yield from (training_step.SCALE, training_step.TRAINED)
    yield from fitting.RESERVED if module.fit is not None else ()


def optimizer_names(module: LoweredModule) -> Names:
    """The identifiers inside the update of one parameter."""
    graph = module.optimizer.program.graph if module.optimizer else module.graph
    return Names(graph, ["np", "math"])


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
    module, dialect = context.module, context.dialect
    names = context.names
    what = "forward and backward pass" if module.forward else "forward pass"
    rest = f": {what} in {dialect.what}."
    yield clipped(module.graph.name, min(60, LINE - 3 - len(rest))) + rest
    if dialect.notes:
        yield from ("", *dialect.notes)
    sections: list[tuple[str, Sequence[Node]]] = [
        ("Inputs", module.inputs),
        ("Parameters", [p.node for p in module.parameters]),
        ("States", [node for node, _ in module.graph.states.values()]),
    ]
    for title, nodes in sections:
        if nodes:
            yield ""
            yield title
            yield from (described(node, context) for node in nodes)
    if module.gradients and module.forward:
        yield ""
        target = module.loss or "the outputs"
        yield f"Gradients of {clipped(target, 80)}".rstrip()
        declared = module.graph.inputs | {p.node.params.name: p.node for p in module.parameters}
        yield from wrapped([names.of(declared[name]) for name in module.gradients])
    if module.kinks:
        yield ""
        yield f"Conventions at kinks ({module.options['kinks']})"
        yield from (f"    {row}" for row in module.kinks)
    if module.debug_nan:
        yield ""
        yield "Every value is checked: FloatingPointError names what is not finite, and the line of"
        yield "the model that it is from."
    yield ""
    yield f"Generated by graphc {module.version}; make it again with"
    yield from wrapped(escaped(module.command).split(" "), " ")
    yield "This file is yours: use, change and pass it on under any terms you like."


def wrapped(items: Iterable[str], separator: str = ", ") -> Iterable[str]:
    """Items with separators, indented, in as many lines as they need."""
    line = "    "
    for item in items:
        if width(line + item) > LINE - 2 and line.strip():
            yield line.rstrip()
            line = "    "
        line += item + separator
    yield line.removesuffix(separator).rstrip()


def described(node: Node, context: Context) -> str:
    """Identifier and type of an argument, and its exact name where that is another."""
    own, name = context.names.of(node), node.params.name
    exact = "" if own == name else f", {quoted(name)}"
    return clipped(f"    {own}: {context.dialect.described(node)}{exact}", LINE)


def metadata(module: LoweredModule) -> Iterable[str]:
    """The items of `__graphc__`."""
    yield f'"version": {quoted(module.version)}'
    yield f'"model": {quoted(module.graph.name)}'
    yield f'"hash": {quoted(module.digest)}'
    options = [f"{quoted(k)}: {quoted(v)}" for k, v in module.options.items()]
    yield bracketed('"options": {', options, "},", 4).removesuffix(",")


# --- types and constants -----------------------------------------------------------------------


def types(context: Context) -> Iterable[TypeView]:
    """Params, State, Grads, Outputs, Residuals, OptimizerState: those that the module needs."""
    module, names, dialect = context.module, context.names, context.dialect
    parameters = {p.node.params.name: p.node for p in module.parameters}
    if parameters:
        yield typed_dict("Params", parameters, dialect)
    if module.graph.states:
        states = {name: node for name, (node, _) in module.graph.states.items()}
        yield typed_dict("State", states, dialect)
    if module.forward is not None:
        known = parameters | module.graph.inputs
        yield typed_dict("Grads", {name: known[name] for name in module.gradients}, dialect)
    if len(module.outputs) > 1 and (module.predict or not module.loss):
        program = module.predict or module.forward
        assert program is not None
        annotations = map(dialect.annotation, program.results)
        fields = list(zip(field_names(module.outputs, dialect), annotations, strict=False))
        comments = [dialect.comment(node) for node in program.results[: len(fields)]]
        yield named_tuple("Outputs", "What the model computes.", fields, comments)
    if module.options["style"] == "workspace":
        return
    if module.forward is not None:
        fields = [(names.of(node), dialect.annotation(node)) for node in module.residuals]
        comments = [dialect.comment(node) for node in module.residuals]
        sizes = [(names.of_size(size), "int") for size in module.sizes]
        comments += [""] * len(sizes)
        yield named_tuple("Residuals", dialect.residuals, [*fields, *sizes], comments)
    if module.optimizer is not None:
        if module.optimizer.slots:
            trained = {name: parameters[name] for name in module.optimizer.trained}
            yield typed_dict("Slots", trained, dialect)
        items = ['"step": int', *(f"{quoted(slot)}: Slots" for slot in module.optimizer.slots)]
        yield dict_type("OptimizerState", items)
    if module.fit is not None:
        fields = [("params", "Params"), *[("state", "State")] * bool(module.graph.states)]
        fields += [("optimizer_state", "OptimizerState"), ("rng", "np.random.Generator")]
        fields.append(("epoch", "int"))
        yield named_tuple("Checkpoint", "What training goes on from.", fields, [""] * len(fields))


def typed_dict(name: str, values: Mapping[str, Node], dialect: Dialect) -> TypeView:
    """A dict type with exact keys."""
    return dict_type(name, [f"{quoted(k)}: {dialect.annotation(n)}" for k, n in values.items()])


def dict_type(name: str, items: Sequence[str]) -> TypeView:
    """A dict type with such items."""
    line = f'{name} = TypedDict("{name}", {{{", ".join(items)}}})'
    if width(line) < LINE:
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
        line = f"    {field}: {annotation}"
        fits = text and width(f"{line}  # {text}") <= LINE
        lines.append(f"{line}  # {text}" if fits else line)
    return TypeView(name, "\n".join(lines), is_class=True)


def constant_lines(context: Context) -> list[str]:
    """Assignments of the constant arrays in order of use; large ones go into `stored`."""
    found = dict.fromkeys(
        arg
        for program in programs(context.module)
        for node in (*program.order, *program.results)
        for arg in (*node.args, node)
        if arg.op is CONSTANT and not is_literal(arg)
    )
    listed = [(context.names.of(node), node.params.data.array) for node in found]
    listed += context.constants
    embed = context.module.embed
    if embed is not None and (total := sum(value.nbytes for _, value in listed)) > embed:
        raise UsageError(
            f"{total} bytes of weights and constants are too many to embed, the limit is {embed}",
            hint="leave them in a file beside the module, or pass embed=BYTES, or --force",
        )
    lines = []
    large = {}
    for name, value in listed:
        if literals.is_large(value) and embed is None:
            large[f"constants/{name}"] = value
            lines.append(f'{name}: Array = CONSTANTS["constants/{name}"]')
        else:
            lines.append(literals.array(value, f"{name}: Array = "))
    context.stored.update(large)
    return [f"CONSTANTS = {companion('constants')}"] * bool(large) + lines


def needed_helpers(module: LoweredModule, dialect: Dialect, tests: bool) -> list[Helper]:
    """The runtime functions that the programs call, and those at the boundary."""
    found: dict[Helper, None] = {}
    kept = module.parameters or module.graph.states
    if kept or any(program.arguments for program in programs(module)):
        found.update(dict.fromkeys(dialect.boundary(module)))
    if module.options["style"] == "workspace":
        found[checked_size] = None
    if module.debug_nan:
        found[dialect.finite] = None
    if any(program.draws for program in programs(module)):
        found[dialect.check_rng] = None
    if module.forward is not None:  # else there is no init_params
        found.update(dict.fromkeys(module.initializers))
    for program in programs(module):
        for node in program.order:
            for helper in dialect.helpers(node):
                found[helper] = None
    if module.optimizer is not None:
        found[dialect.checked_number] = None
        found.update(dict.fromkeys(dialect.clipping() if module.optimizer.clips else ()))
    if module.fit is not None:
        found.update(dict.fromkeys([dialect.check_rng, *dialect.fitting()]))
    if tests and module.self_test is not None:
        found.update(dict.fromkeys(dialect.testing(module.self_test)))
    return list(found)


def without_strings(lines: Iterable[str]) -> str:
    """Source without what stands in quotes: the user's words, that could look like code."""
    return "\n".join(STRING.sub("", line) if '"' in line or "'" in line else line for line in lines)
