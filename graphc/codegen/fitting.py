"""`fit` and checkpoints of a generated module: the loop around its training step.

Both styles run the same loop over the same checks; in one everything is passed on from step to
step, in the other a workspace changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from graphc.codegen.bindings import BODY, Scope, free_sizes, method, size_lines
from graphc.codegen.blocks import forward_arguments
from graphc.codegen.functions import (
    Context,
    check,
    function,
    indented,
    inputs_of,
    signature,
)
from graphc.codegen.literals import bracketed, quoted
from graphc.codegen.training_step import keywords, meanings
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.node import Node
from graphc.lower.module import Fit, LoweredOptimizer

# What fit calls its variables, beside those of a training step.
RESERVED = (
    *("fit", "epochs", "batch_size", "callback", "progress", "losses", "epoch", "order", "total"),
    *("start", "chosen", "done", "step_loss", "before", "copy", "groups", "step"),
    *("Callable", "Checkpoint", "save_checkpoint", "load_checkpoint"),
)
PATH = "path: str | Path"
RNG = "rng: np.random.Generator"
SAVED = "Write what training goes on from to an .npz file, whole or not at all."
LOADED = "Read what `save_checkpoint` wrote; names, shapes, dtypes and optimiser are checked."
EPOCHS = "epoch: how many epochs there were"


def fitting(context: Context) -> Iterator[FunctionView]:
    """fit, save_checkpoint and load_checkpoint as pure functions."""
    module = context.module
    if module.fit is None or module.optimizer is None:
        return
    yield fit(context, module.fit, module.optimizer)
    yield save_checkpoint(context, module.optimizer)
    yield load_checkpoint(context, module.optimizer)


def fitting_in_place(scope: Scope) -> Iterator[FunctionView]:
    """The same as methods of a workspace."""
    module = scope.context.module
    if module.fit is None or module.optimizer is None:
        return
    yield fit_in_place(scope, module.fit, module.optimizer)
    yield save_in_place(scope, module.optimizer)
    yield load_in_place(scope, module.optimizer)


# --- the loop ----------------------------------------------------------------------------------


def arguments_of_fit(callback: str, lowered: LoweredOptimizer, *more: str) -> list[object]:
    """The arguments of fit that are passed by name."""
    return [
        *("*", "epochs: int", "batch_size: int", RNG, *more),
        f"callback: Callable[[{callback}], object] | None = None",
        "progress: bool = False",
        *map(str, keywords(lowered)),
    ]


def documented(first: str, called: str, fit: Fit, lowered: LoweredOptimizer) -> list[str]:
    """The docstring of fit."""
    return [
        first,
        "",
        "Each epoch goes through all examples once, in batches that `rng` shuffles anew; the last",
        "batch may be smaller. Whatever else the model draws comes from `rng` too.",
        "",
        f"callback: called with the number of each epoch, its loss{called};",
        "    what is true ends the training",
        "progress: whether to print a line that tells how far it is",
        *meanings(lowered),
    ]


def checks(context: Context, fit: Fit, known: set[str], indent: int) -> list[str]:
    """Statements that check what is passed to fit, and read off how many examples there are."""
    program, lowered, names = context.module.forward, context.module.optimizer, context.names
    assert program is not None
    assert lowered is not None
    examples = names.of_size(fit.size)
    bound = known - {fit.size}
    lines = [
        'epochs = checked_count("epochs", epochs, 0)',
        'batch_size = checked_count("batch_size", batch_size, 1)',
        "check_rng(rng)",
        *(context.dialect.number(h.name) for h in lowered.hyperparameters),
    ]
    for node in program.arguments:
        if node.params.kind == "input":
            lines.append(check(node, context, bound, indent))
            if node is fit.data[0]:
                lines.append(f"{examples} = {names.of(node)}.shape[0]")
                bound = bound | {fit.size}
    told = quoted(f"{names.of(fit.data[0])}: expected at least one example, got none")
    lines += [f"if {examples} == 0:", f"    raise ValueError({told})"]
    return [row for line in lines for row in indented(line, indent)]


def batch(context: Context, fit: Fit) -> list[str]:
    """The inputs of one step, as arguments."""
    assert context.module.forward is not None
    names = context.names
    sliced = {names.of(node): f"{names.of(node)}[chosen]" for node in fit.data}
    return [sliced.get(a.name, a.passed) for a in inputs_of(context.module.forward, context)]


def loop(
    step: Callable[[int], list[str]], examples: str, passed: Sequence[str], indent: int
) -> list[str]:
    """The epochs, around the statements of a step, which makes `step_loss`.

    step  those statements, for an indentation
    """
    shown = ["epoch", "epochs", "done", examples, "total / done"]
    called = ["epoch", "losses[-1]", *passed]
    at = [indent + 4 * depth for depth in range(5)]
    progress = bracketed("show_progress(", shown, ")", at[3], statement=True)
    stopped = f"if callback is not None and callback({', '.join(called)}):"
    return [
        *indented("for epoch in range(epochs):", at[0]),
        *indented(f"order = rng.permutation({examples})", at[1]),
        *indented("total = 0.0", at[1]),
        *indented(f"for start in range(0, {examples}, batch_size):", at[1]),
        *indented("chosen = order[start : start + batch_size]", at[2]),
        *step(at[2]),
        *indented("done = start + len(chosen)", at[2]),
        *indented("total += float(step_loss) * len(chosen)", at[2]),
        *indented("if progress:", at[2]),
        *indented(progress, at[3]),
        *indented(f"losses.append(total / {examples})", at[1]),
        *indented(stopped, at[1]),
        *indented("break", at[2]),
    ]


def fit(context: Context, fit: Fit, lowered: LoweredOptimizer) -> FunctionView:
    """The loop, with all that changes passed on from step to step."""
    arguments = forward_arguments(context)
    inputs = inputs_of(context.module.forward, context) if context.module.forward else []
    state = ["state"] * any(a.annotation == "State" for a in arguments)
    moving = ["state"] * bool(context.module.updates)
    examples = context.names.of_size(fit.size)
    given = ["params", *state, "optimizer_state", *batch(context, fit)]
    given += [keyword.passed for keyword in keywords(lowered)]
    targets = ", ".join(["params", *moving, "optimizer_state", "step_loss"])

    def step(indent: int) -> list[str]:
        call = bracketed(f"{targets} = train_step(", given, ")", indent, statement=True)
        return indented(call, indent)

    kept = ["params", *moving]
    types = ["Params", *["State"] * bool(moving)]
    body = [
        *checks(context, fit, set(), 4),
        *(f"    {name} = copy.deepcopy({name})" for name in kept),
        "    if optimizer_state is None:",
        "        optimizer_state = init_optimizer(params)",
        *["    else:", "        optimizer_state = copy.deepcopy(optimizer_state)"],
        "    losses: list[float] = []",
        *loop(step, examples, [*kept, "optimizer_state"], 4),
        f"    return {', '.join([*kept, 'optimizer_state', 'losses'])}",
    ]
    passed = [a for a in inputs if not a.keyword]
    groups = ["params: Params", *["state: State"] * bool(state)]
    more = "optimizer_state: OptimizerState | None = None"
    callback = ", ".join(["int", "float", *types, "OptimizerState"])
    return function(
        "fit",
        signature(
            "fit",
            [*groups, *passed, *arguments_of_fit(callback, lowered, more)],
            f"tuple[{', '.join([*types, 'OptimizerState', 'list[float]'])}]",
        ),
        documented(
            "Train for some epochs; return everything after them, and the mean loss of each.",
            f", {', '.join(kept)} and optimizer_state", fit, lowered,
        ),
        body,
    )  # fmt: skip


def fit_in_place(scope: Scope, fit: Fit, lowered: LoweredOptimizer) -> FunctionView:
    """The loop, on a workspace that has the size of each batch while it is there."""
    context, module = scope.context, scope.context.module
    assert module.forward is not None
    inputs = inputs_of(module.forward, context)
    examples = context.names.of_size(fit.size)
    shapes = [n.shape for n in module.forward.arguments if n.params.kind == "input"]
    others = [n for n in dims.names_in_order(shapes) if n != fit.size]
    stay = {context.names.of_size(n) for n in free_sizes(scope)} - {examples}
    resized = [f"{n}=self.{n}" for n in map(context.names.of_size, free_sizes(scope)) if n in stay]
    given = [*batch(context, fit), *(keyword.passed for keyword in keywords(lowered))]

    def step(indent: int) -> list[str]:
        call = bracketed("step_loss = self.step(", given, ")", indent, statement=True)
        size = bracketed("self.resize(", [f"{examples}=len(chosen)", *resized], ")", indent + 4)
        return [
            *indented(f"if len(chosen) != self.{examples}:", indent),
            *indented(size, indent + 4),
            *indented(call, indent),
        ]

    body = [
        *size_lines(scope, others),
        *checks(context, fit, set(others), BODY),
        *(" " * BODY + line for line in ("losses: list[float] = []", f"before = self.{examples}")),
        " " * BODY + "try:",
        *loop(step, examples, [], BODY + 4),
        " " * BODY + "finally:",
        *indented(
            bracketed("self.resize(", [f"{examples}=before", *resized], ")", BODY + 4), BODY + 4
        ),
        " " * BODY + "return losses",
    ]
    return method(
        "fit",
        [*(a for a in inputs if not a.keyword), *arguments_of_fit("int, float", lowered)],
        "list[float]",
        documented(
            "Train for some epochs, and return the mean loss of each.", "", fit, lowered
        ),
        body,
    )  # fmt: skip


# --- checkpoints -------------------------------------------------------------------------------


def types_of(nodes: Sequence[Node], spell: dict[str, str]) -> list[str]:
    """For each of some arrays the item that tells its dtype and sizes.

    spell  the expressions of sizes that are known; others are free
    """
    items = []
    for node in nodes:
        sizes = [
            dims.text(size, spell.__getitem__) if spell.keys() >= set(dims.names(size))
            else quoted(str(size)) for size in node.shape
        ]  # fmt: skip
        comma = "," if not sizes else ""
        items.append(
            f"{quoted(node.params.name)}: ({', '.join([node.dtype.source, *sizes])}{comma})"
        )
    return items


def save_checkpoint(context: Context, lowered: LoweredOptimizer) -> FunctionView:
    """Writing what training goes on from."""
    state = ["state"] * bool(context.module.graph.states)
    groups = [f"{quoted(name)}: {name}" for name in ("params", *state)]
    groups += [f"{quoted(slot)}: optimizer_state[{quoted(slot)}]" for slot in lowered.slots]
    given = ["path", quoted(lowered.kind), "groups", 'optimizer_state["step"]', "rng", "epoch"]
    arguments = [PATH, "params: Params", *["state: State"] * bool(state)]
    arguments += ["optimizer_state: OptimizerState", RNG, "*", "epoch: int = 0"]
    return function(
        "save_checkpoint",
        signature("save_checkpoint", arguments, "None"),
        [SAVED, "", EPOCHS],
        [
            *indented(bracketed("groups: dict[str, Any] = {", groups, "}", 4)),
            *indented(bracketed("write_checkpoint(", given, ")", 4)),
        ],
    )


def load_checkpoint(context: Context, lowered: LoweredOptimizer) -> FunctionView:
    """Reading it."""
    module = context.module
    parameters = [p.node for p in module.parameters]
    states = [node for node, _ in module.graph.states.values()]
    trained = [module.graph.parameters[name].node for name in lowered.trained]
    tables = [("params", parameters), *[("state", states)] * bool(states)]
    whole = len(trained) == len(parameters)
    lines = []
    if lowered.slots and not whole:
        tables.append(("trained", trained))
    for name, nodes in tables:
        lines.append(bracketed(f"{name}: dict[str, Any] = {{", types_of(nodes, {}), "}", 4))
    groups = [f"{quoted(name)}: {name}" for name in ("params", *["state"] * bool(states))]
    groups += [f"{quoted(slot)}: {'params' if whole else 'trained'}" for slot in lowered.slots]
    lines.append(bracketed("groups: dict[str, Any] = {", groups, "}", 4))
    given = ["path", quoted(lowered.kind), "groups"]
    lines.append(bracketed("arrays, step, rng, epoch = read_checkpoint(", given, ")", 4))
    items = ['"step": step', *(f"{quoted(s)}: arrays[{quoted(s)}]" for s in lowered.slots)]
    lines.append(bracketed("optimizer_state: OptimizerState = {", items, "}", 4))
    found = ['arrays["params"]', *['arrays["state"]'] * bool(states)]
    returned = [*found, "optimizer_state", "rng", "epoch"]
    lines.append(bracketed("return Checkpoint(", returned, ")", 4))
    return function(
        "load_checkpoint",
        f"def load_checkpoint({PATH}) -> Checkpoint:",
        [LOADED],
        [row for line in lines for row in indented(line)],
    )


def save_in_place(scope: Scope, lowered: LoweredOptimizer) -> FunctionView:
    """Writing what training goes on from: the workspace and the generator."""
    state = ["state"] * bool(scope.context.module.graph.states)
    groups = [f"{quoted(name)}: self.{name}" for name in ("params", *state)]
    vectors = [f"{quoted(slot)}: self.{slot}_vector" for slot in lowered.slots]
    if vectors:
        groups.append(bracketed('"optimizer": {', vectors, "}", BODY + 4))
    given = ["path", quoted(lowered.kind), "groups", "self.steps", "rng", "epoch"]
    return method(
        "save_checkpoint", [PATH, RNG, "*", "epoch: int = 0"], "None", [SAVED, "", EPOCHS],
        [
            *indented(bracketed("groups: dict[str, Any] = {", groups, "}", BODY), BODY),
            *indented(bracketed("write_checkpoint(", given, ")", BODY), BODY),
        ],
    )  # fmt: skip


def load_in_place(scope: Scope, lowered: LoweredOptimizer) -> FunctionView:
    """Reading it: into the workspace, all or nothing."""
    module, plans = scope.context.module, scope.layout
    known = {name: f"self.{scope.names.of_size(name)}" for name in plans.fixed_sizes()}
    states = [node for node, _ in module.graph.states.values()]
    tables = [("params", [p.node for p in module.parameters])]
    tables += [("state", states)] * bool(states)
    groups = [
        bracketed(f"{quoted(name)}: {{", types_of(nodes, known), "}", BODY + 4)
        for name, nodes in tables
    ]
    vector = "(self.param_vector.dtype, self.param_vector.size)"
    slots = [f"{quoted(slot)}: {vector}" for slot in lowered.slots]
    if slots:
        groups.append(bracketed('"optimizer": {', slots, "}", BODY + 4))
    given = ["path", quoted(lowered.kind), "groups"]
    lines = [
        bracketed("groups: dict[str, Any] = {", groups, "}", BODY),
        bracketed("arrays, step, rng, epoch = read_checkpoint(", given, ")", BODY),
        'self.set_params(arrays["params"])',
        *['self.state = arrays["state"]'] * bool(states),
        *(f'self.{s}_vector[...] = arrays["optimizer"][{quoted(s)}]' for s in lowered.slots),
        "self.steps = step",
        "return rng, epoch",
    ]
    return method(
        "load_checkpoint", [PATH], "tuple[np.random.Generator, int]",
        [LOADED, "", "Returns the generator, and how many epochs there were."],
        [row for line in lines for row in indented(line, BODY)],
    )  # fmt: skip
