"""The functions of a generated module that make, keep and change parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from graphc.codegen.blocks import forward_arguments, result_names
from graphc.codegen.dialect import Dialect
from graphc.codegen.finite import DERIVED, checked, place_of
from graphc.codegen.functions import (
    GROUPS,
    Argument,
    Context,
    dict_text,
    function,
    indented,
    signature,
)
from graphc.codegen.literals import bracketed, quoted
from graphc.codegen.printer import print_program
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.emission import parse
from graphc.ir.node import Node
from graphc.lower.naming import Names

NEW_STATE = ("new_params", "new_optimizer_state")


def parameters(context: Context, *, training: bool) -> Iterator[FunctionView]:
    """init, save and load parameters; flatten them; make states."""
    module, dialect = context.module, context.dialect
    declared = [parameter.node for parameter in module.parameters]
    if declared and training:
        yield init(
            context, "init_params", [f"rng: {dialect.generator}"], declared, "Params",
            "Return new parameters.",
        )  # fmt: skip
    states = [node for node, _ in module.graph.states.values()]
    if states:
        doc = "Return the state before the first step."
        yield init(context, "init_state", [], states, "State", doc)
    if declared and training:
        yield save_params(dialect)
    if declared:
        yield load_params(declared, dialect)
    fixed = all(isinstance(size, int) for node in declared for size in node.shape)
    derived = set(module.gradients)
    trained = [node for node in declared if node.params.name in derived]
    if training and trained and fixed and module.options["style"] != "workspace":
        yield ravel_params(trained, dialect)
        yield unravel_params(declared, set(trained), context)


def init(
    context: Context, name: str, arguments: list[str], nodes: list[Node], type: str, doc: str
) -> FunctionView:
    """A function that makes a dict of initial values."""
    names = context.names
    sizes = dict.fromkeys(dims.names_in_order(node.shape for node in nodes))
    items = []
    for node in nodes:
        initial = context.module.initial[node.params.name]
        if isinstance(initial, str):
            template = parse(initial)
            sizes.update(dict.fromkeys(template.sizes))  # fans may have more names than shapes
            text = template.fill(lambda n, _: n, lambda n: n, names.of_size)
        else:
            room = names.room(node.params.name) - len("_INITIAL")
            constant = names.free(f"{names.of(node).upper()[:room]}_INITIAL")
            context.constants.append((constant, initial))
            text = context.dialect.copied(constant)
        items.append(f"{quoted(node.params.name)}: {text}")
    keywords = ["*", *(f"{names.of_size(size)}: int" for size in sizes)] if sizes else []
    return function(
        name,
        signature(name, [*arguments, *keywords], type),
        [doc],
        indented(bracketed("return {", items, "}", 4)),
    )


def save_params(dialect: Dialect) -> FunctionView:
    """Writing parameters to a file."""
    return function(
        "save_params",
        "def save_params(path: str | Path, params: Params) -> None:",
        [f"Write parameters to {dialect.file}."],
        dialect.save_params(),
    )


def load_params(declared: Sequence[Node], dialect: Dialect) -> FunctionView:
    """Reading what save_params wrote, checked."""
    items = []
    reading, sources = dialect.stored(declared)
    for node, source in zip(declared, sources, strict=True):
        name = node.params.name
        sizes = [str(s) if isinstance(s, int) else quoted(str(s)) for s in node.shape]
        check, arguments = dialect.check(node, quoted(name), source, sizes)
        items.append(bracketed(f"{quoted(name)}: {check}(", arguments, ")", 8))
    return function(
        "load_params",
        "def load_params(path: str | Path) -> Params:",
        [f"Read parameters from {dialect.file}; {dialect.checks}."],
        [*reading.split("\n"), *indented(bracketed("return {", items, "}", 4))],
    )


def ravel_params(trained: Sequence[Node], dialect: Dialect) -> FunctionView:
    """Parameters or gradients as one vector, as SciPy's optimisers have them."""
    return function(
        "ravel_params",
        f"def ravel_params(params: Params | Grads) -> {dialect.vector[0]}:",
        ["Return the trained parameters, or their gradients, as one vector."],
        dialect.ravelled(trained),
    )


def unravel_params(
    declared: Sequence[Node], trained: Collection[Node], context: Context
) -> FunctionView:
    """The inverse of ravel_params; what is not trained is passed through."""
    dialect = context.dialect
    body, values = dialect.unravelled(declared, trained, context.names)
    items = []
    for node in declared:
        key = quoted(node.params.name)
        items.append(f"{key}: {values.get(node) or dialect.kept('params', node)}")
    frozen = len(trained) < len(declared)
    doc = ["Return the parameters that a vector holds; the inverse of `ravel_params`."]
    if frozen:
        doc += ["", "What is not trained is taken from `params`."]
    return function(
        "unravel_params",
        signature(
            "unravel_params",
            [f"vector: {dialect.vector[1]}", *(["params: Params"] if frozen else [])],
            "Params",
        ),
        doc,
        [*body, *indented(bracketed("return {", items, "}", 4))],
    )


# --- the training step -------------------------------------------------------------------------


def optimizer(context: Context) -> Iterator[FunctionView]:
    """init_optimizer, the update of one parameter, and train_step."""
    if context.module.optimizer is None:
        return
    yield init_optimizer(context)
    yield update(context)
    yield train_step(context)


def init_optimizer(context: Context) -> FunctionView:
    """The state of the optimiser before the first step."""
    lowered = context.module.optimizer
    assert lowered is not None
    zeros = []
    for name in lowered.trained:
        key = quoted(name)
        zeros.append(context.dialect.slot(key))
    return function(
        "init_optimizer",
        "def init_optimizer(params: Params) -> OptimizerState:",
        ["Return the state of the optimiser before the first step."],
        indented(optimizer_state("return ", "0", dict.fromkeys(lowered.slots, zeros))),
    )


def optimizer_state(before: str, step: str, slots: Mapping[str, Sequence[str]]) -> str:
    """A statement with the state of an optimiser: the step, and the items of each slot."""
    items = [f'"step": {step}']
    items += [bracketed(f"{quoted(slot)}: {{", listed, "}", 8) for slot, listed in slots.items()]
    return bracketed(f"{before}{{", items, "}", 4)


def update(context: Context) -> FunctionView:
    """One step of the optimiser on one parameter, printed from its graph."""
    lowered = context.module.optimizer
    assert lowered is not None
    program, names, dialect = lowered.program, context.optimizer_names, context.dialect
    arguments = []
    body = []
    for node in program.arguments:
        name = names.of(node)
        scalar = node.params.kind == "hyperparameter"
        arguments.append(f"{name}: {'float' if scalar else dialect.annotation(node)}")
        if statement := dialect.readied(node, name):
            body.append(f"    {statement}")
    results = [names.of(node) for node in program.results]
    types = [dialect.annotation(node) for node in program.results]
    return function(
        lowered.kind,
        signature(
            lowered.kind, arguments, f"tuple[{', '.join(types)}]" if results[1:] else types[0]
        ),
        ["Return one parameter after a step" + (", and its slots." if results[1:] else ".")],
        [
            *body,
            *print_program(program, names, dialect, comments=False),
            f"    return {', '.join(results)}",
        ],
    )


def train_step(context: Context) -> FunctionView:
    """Loss, gradients and update in one pure function."""
    module, lowered, kept = context.module, context.module.optimizer, context.dialect.kept
    assert lowered is not None
    arguments = forward_arguments(context)
    state = [a for a in arguments if a.annotation == "State"]
    groups = [Argument(*GROUPS["parameter"]), *state]
    inputs = [a for a in arguments if a not in groups]
    hypers = [Argument(h.name, f"float = {h.default!r}", True) for h in lowered.hyperparameters]
    variables, types = result_names(context)
    received = ", ".join([*variables, "grads"])
    call = bracketed(f"{received} = value_and_grad(", [a.passed for a in arguments], ")", 4)
    checks = [f"    {context.dialect.number(h.name)}" for h in lowered.hyperparameters]
    body = [*checks, *indented(call)]
    taken = [*(a.name for a in arguments), *variables, "grads", "optimizer_state", *NEW_STATE]
    local = Names(module.graph, [*taken, *context.reserved])
    variable: dict[str, str] = {}
    slots: dict[str, list[str]] = {slot: [] for slot in lowered.slots}
    for name in lowered.trained:
        key = quoted(name)
        variable[name] = local.of(module.graph.parameters[name].node)
        targets = [variable[name]]
        for slot, items in slots.items():
            length = local.room(name)
            stem = variable[name][: max(1, length - len(slot) - 1)].strip("_")
            targets.append(local.free(f"{stem}_{slot}", length))
            items.append(f"{key}: {targets[-1]}")
        given = [f"params[{key}]", f"grads[{key}]"]
        given += [f"optimizer_state[{quoted(slot)}][{key}]" for slot in lowered.slots]
        given += [h.name for h in lowered.hyperparameters]
        body += indented(bracketed(f"{', '.join(targets)} = {lowered.kind}(", given, ")", 4))
        if module.debug_nan:  # here, and not in the update, which knows no names
            place = place_of(module.graph.parameters[name].node) or DERIVED
            for target in targets:
                body += indented(checked("train_step", target, target, place))
    new_params = [
        (quoted(p.node.params.name), variable.get(p.node.params.name) or kept("params", p.node))
        for p in module.parameters
    ]
    body += indented(dict_text(new_params, 4, "new_params: Params = "))
    before = "new_optimizer_state: OptimizerState = "
    body += indented(optimizer_state(before, 'optimizer_state["step"] + 1', slots))
    results = ["new_params", *variables[1:], "new_optimizer_state", "loss"]
    result_types = ["Params", *types[1:], "OptimizerState", types[0]]
    meanings = [f"{h.name}: {h.meaning}" for h in lowered.hyperparameters]
    return function(
        "train_step",
        signature(
            "train_step",
            [*groups, "optimizer_state: OptimizerState", *inputs, *hypers],
            f"tuple[{', '.join(result_types)}]",
        ),
        ["Return everything after one step, and the loss before it.", "", *meanings],
        [*body, f"    return {', '.join(results)}"],
    )
