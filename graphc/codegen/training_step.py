"""The training step of a generated module: its optimiser, printed from graphs, and `train_step`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphc.codegen.blocks import forward_arguments, result_names
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
from graphc.codegen.literals import LINE, bracketed, quoted, width
from graphc.codegen.printer import Printer, print_program
from graphc.codegen.scalars import SCALARS
from graphc.codegen.view import FunctionView
from graphc.ir.node import Node
from graphc.lower.module import LoweredOptimizer
from graphc.lower.naming import Names
from graphc.lower.program import Program

NEW_STATE = ("new_params", "new_optimizer_state")
SCHEDULED, CLIP_SCALE = "scheduled", "clip_scale"
SCALE, TRAINED = "scale", "trained"
STEP = "step"  # the number of a step, counted from 1


class NumberPrinter(Printer):
    """Prints statements on Python's numbers, which fit into a method too."""

    indent = 8


def optimizer(context: Context) -> Iterator[FunctionView]:
    """init_optimizer, the update of one parameter, and train_step."""
    lowered = context.module.optimizer
    if lowered is None:
        return
    yield init_optimizer(context, lowered)
    yield update(context, lowered)
    yield train_step(context, lowered)


def init_optimizer(context: Context, lowered: LoweredOptimizer) -> FunctionView:
    """The state of the optimiser before the first step."""
    slots = {
        slot: [context.dialect.slot(quoted(name), start) for name in lowered.trained]
        for slot, start in lowered.slots.items()
    }
    return function(
        "init_optimizer",
        "def init_optimizer(params: Params) -> OptimizerState:",
        ["Return the state of the optimiser before the first step."],
        indented(optimizer_state("return ", "0", slots)),
    )


def optimizer_state(before: str, step: str, slots: Mapping[str, Sequence[str]]) -> str:
    """A statement with the state of an optimiser: the step, and the items of each slot."""
    items = [f'"step": {step}']
    items += [bracketed(f"{quoted(slot)}: {{", listed, "}", 8) for slot, listed in slots.items()]
    return bracketed(f"{before}{{", items, "}", 4)


def keywords(lowered: LoweredOptimizer) -> list[Argument]:
    """The hyperparameters as arguments that are passed by name."""
    return [Argument(h.name, f"float = {h.default!r}", True) for h in lowered.hyperparameters]


def meanings(lowered: LoweredOptimizer) -> list[str]:
    """What a docstring says of the hyperparameters."""
    scheduled = {"lr": " that the schedule starts from"} if lowered.schedule else {}
    return [f"{h.name}: {h.meaning}{scheduled.get(h.name, '')}" for h in lowered.hyperparameters]


# --- the numbers of a step ---------------------------------------------------------------------


def schedule(lowered: LoweredOptimizer | None) -> Iterator[FunctionView]:
    """The function that tells the learning rate of a step, if it changes."""
    if lowered is None or lowered.schedule is None:
        return
    program = lowered.schedule
    names = Names(program.graph, ["math"])
    arguments = [names.of(node) for node in program.arguments]
    lines = numbers(program, names)
    yield function(
        SCHEDULED,
        f"def {SCHEDULED}({arguments[0]}: float, {arguments[1]}: int) -> float:",
        ["Return the learning rate of a step, counted from 0.", "", lowered.doc],
        [f"    {line}" for line in (*lines, f"return {names.of(program.results[0])}")],
    )


def numbers(program: Program, names: Names) -> list[str]:
    """The statements of a program on Python's numbers, whatever the values of the module are."""
    return NumberPrinter(program, names, SCALARS, comments=False).statements()


def step_numbers(context: Context, lowered: LoweredOptimizer, like: str) -> list[str]:
    """The statements that make of the hyperparameters what the update of parameters reads.

    like  an array whose dtype those numbers are to have
    """
    own = Names(lowered.rates.graph, ["math", "parameter", "gradient", *lowered.slots])
    lines = numbers(lowered.rates, own)
    sources = [*map(own.of, lowered.rates.results), *[SCALE] * lowered.clips]
    for node, source in zip(update_numbers(lowered), sources, strict=True):
        if line := context.dialect.converted(context.optimizer_names.of(node), source, like):
            lines.append(line)
    return lines


def update_numbers(lowered: LoweredOptimizer) -> list[Node]:
    """The arguments of an update that are numbers."""
    return [n for n in lowered.program.arguments if n.params.kind == "hyperparameter"]


# --- the update and the step -------------------------------------------------------------------


def update(context: Context, lowered: LoweredOptimizer) -> FunctionView:
    """One step of the optimiser on one parameter, printed from its graphs."""
    program, names, dialect = lowered.program, context.optimizer_names, context.dialect
    arrays = [node for node in program.arguments if node.params.kind == "array"]
    arguments = [f"{names.of(node)}: {dialect.annotation(node)}" for node in arrays]
    arguments += [f"{STEP}: int"] * lowered.counts
    arguments += [f"{n.params.name}: float" for n in lowered.rates.arguments if not is_step(n)]
    arguments += [f"{SCALE}: float"] * lowered.clips
    readied = [dialect.readied(node, names.of(node)) for node in arrays]
    results = [names.of(node) for node in program.results]
    types = [dialect.annotation(node) for node in program.results]
    return function(
        lowered.kind,
        signature(
            lowered.kind, arguments, f"tuple[{', '.join(types)}]" if results[1:] else types[0]
        ),
        ["Return one parameter after a step" + (", and its slots." if results[1:] else ".")],
        [
            *(f"    {line}" for line in readied if line),
            *(f"    {line}" for line in step_numbers(context, lowered, "gradient")),
            *print_program(program, names, dialect, comments=False),
            f"    return {', '.join(results)}",
        ],
    )


def is_step(node: Node) -> bool:
    """Whether an argument is the number of a step."""
    kind: str = node.params.kind
    return kind == "step"


def train_step(context: Context, lowered: LoweredOptimizer) -> FunctionView:
    """Loss, gradients and update in one pure function."""
    module, kept = context.module, context.dialect.kept
    arguments = forward_arguments(context)
    state = [a for a in arguments if a.annotation == "State"]
    groups = [Argument(*GROUPS["parameter"]), *state]
    inputs = [a for a in arguments if a not in groups]
    variables, types = result_names(context)
    received = ", ".join([*variables, "grads"])
    call = bracketed(f"{received} = value_and_grad(", [a.passed for a in arguments], ")", 4)
    checks = [f"    {context.dialect.number(h.name)}" for h in lowered.hyperparameters]
    body = [*checks, *indented(call), *prepared(context, lowered)]
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
        given += [STEP] * lowered.counts
        given += [n.params.name for n in lowered.rates.arguments if not is_step(n)]
        given += [SCALE] * lowered.clips
        body += indented(assigned(targets, f"{lowered.kind}(", given))
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
    count = STEP if lowered.counts else 'optimizer_state["step"] + 1'
    body += indented(optimizer_state(before, count, slots))
    results = ["new_params", *variables[1:], "new_optimizer_state", "loss"]
    result_types = ["Params", *types[1:], "OptimizerState", types[0]]
    return function(
        "train_step",
        signature(
            "train_step",
            [*groups, "optimizer_state: OptimizerState", *inputs, *keywords(lowered)],
            f"tuple[{', '.join(result_types)}]",
        ),
        ["Return everything after one step, and the loss before it.", "", *meanings(lowered)],
        [*body, f"    return {', '.join(results)}"],
    )


def assigned(targets: Sequence[str], call: str, given: Sequence[str]) -> str:
    """A call that is unpacked; where its targets are too long for a line, each has one."""
    before = f"{', '.join(targets)} = {call}"
    if width(before) + 4 <= LINE:
        return bracketed(before, given, ")", 4)
    rows = "".join(f"        {target},\n" for target in targets)
    return f"(\n{rows}    {bracketed(f') = {call}', given, ')', 4)}"


def prepared(context: Context, lowered: LoweredOptimizer) -> list[str]:
    """The statements that all updates of one step share: its number, learning rate and scale."""
    lines = []
    if lowered.schedule is not None:
        lines.append(f'lr = {SCHEDULED}(lr, optimizer_state["step"])')
    if lowered.counts:
        lines.append(f'{STEP} = optimizer_state["step"] + 1')
    if lowered.clips:
        gradients = "grads.values()"
        if len(lowered.trained) < len(context.module.gradients):  # others are of inputs
            trained = [f"grads[{quoted(name)}]" for name in lowered.trained]
            lines.append(bracketed(f"{TRAINED} = [", trained, "]", 4))
            gradients = TRAINED
        lines.append(f"{SCALE} = {CLIP_SCALE}({gradients}, clip_norm)")
    return [row for line in lines for row in indented(line)]
