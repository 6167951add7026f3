"""The class `Workspace` of a generated module: a model that owns its memory.

Each statement writes into a buffer that is planned in `graphc.lower.layout` and made by `resize`.
What a method returns is the caller's: it is computed into memory of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from graphc.codegen.arrays import ARRAYS
from graphc.codegen.bindings import (
    BODY,
    Scope,
    body,
    method,
    size_lines,
    spread,
    unpacked,
    unpacking,
    variables,
)
from graphc.codegen.blocks import cotangents, documented, objective, outputs_doc, outputs_type
from graphc.codegen.fitting import fitting_in_place
from graphc.codegen.functions import (
    Argument,
    checks,
    cotangent_lines,
    dict_text,
    inputs_of,
    outputs_text,
    plain,
    returned,
    returning,
)
from graphc.codegen.literals import quoted
from graphc.codegen.memory import copied, copying, forgotten, memory
from graphc.codegen.printer import Printer, Written
from graphc.codegen.training_step import (
    CLIP_SCALE,
    SCALE,
    SCHEDULED,
    STEP,
    keywords,
    meanings,
    step_numbers,
)
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.emission import ATOM, Template, parse
from graphc.ir.graph import ARGUMENT, is_cotangent
from graphc.ir.node import Node
from graphc.lower.buffers import Memory
from graphc.lower.module import LoweredOptimizer
from graphc.lower.naming import Names
from graphc.lower.program import Program


class BufferPrinter(Printer):
    """Prints statements that write into buffers."""

    indent = BODY

    def __init__(
        self,
        program: Program,
        plan: Memory,
        names: Names,
        buffers: dict[Node, Node],
        **options: Any,
    ) -> None:
        program = replace(program, inline=program.inline.intersection(plan.inline))
        super().__init__(program, names, ARRAYS, **options)
        self.plan = plan
        self.buffers = buffers  # for each value that is written into one, what that is called after

    def name(self, node: Node) -> str:
        return super().name(self.buffers.get(node, node))

    def before(self, node: Node) -> str:
        if node not in self.buffers:
            return super().before(node)
        return "" if node.op.emission.out is not None else f"{self.name(node)}[...] = "

    def overwrites(self, node: Node, operand: Node) -> bool:
        buffers = self.plan.buffers
        return node in buffers and buffers.get(operand) is buffers[node]

    def template(self, node: Node) -> Template:
        out = node.op.emission.out
        if node not in self.buffers or out is None:
            return super().template(node)
        return parse(out if isinstance(out, str) else out(node))

    def slot(self, node: Node, name: str) -> Written:
        if name == "out":
            return Written(self.name(node), ATOM, 0)
        return super().slot(node, name)


def workspace(scope: Scope) -> dict[str, tuple[FunctionView, ...]]:
    """The methods of the class, by block."""
    return {
        "memory": (*memory(scope), *copying(scope)),
        "inference": tuple(inference(scope)),
        "training": tuple(training(scope)),
        "optimizer": tuple(optimizer(scope)),
        "fit": tuple(fitting_in_place(scope)),
    }


# --- what methods compute ------------------------------------------------------------------------


def printed(scope: Scope, program: Program, plan: Memory, result: str = "") -> list[str]:
    """The statements of a program; see `blocks.statements` for `result`."""
    buffers, finite = variables(scope, program, plan), scope.context.finite(program)
    printer = BufferPrinter(program, plan, scope.names, buffers, annotated=result, finite=finite)
    return body(*printer.statements())


def computed(
    scope: Scope, name: str, program: Program, plan: Memory, result: str = ""
) -> list[str]:
    """Everything in a method before its results: sizes, checks, arrays, statements."""
    inputs = [n for n in program.arguments if n.op is ARGUMENT and n.params.kind == "input"]
    states = [n for n in program.arguments if n.op is ARGUMENT and n.params.kind == "state"]
    sizes = [*program.sizes, *dims.names_in_order(n.shape for n in (*states, *inputs))]
    return [
        *size_lines(scope, sizes),
        *body(*["state = self.state"] * bool(states)),
        *checks(program, scope.context, [*states, *inputs], scope.layout.sizes(), BODY),
        *unpacked(scope, name, program, plan),
        *printed(scope, program, plan, result),
    ]


def inference(scope: Scope) -> Iterator[FunctionView]:
    """predict and evaluate."""
    module, plans = scope.context.module, scope.layout
    if module.predict is not None:
        program = module.predict
        arrays = variables(scope, program, plans.predict)
        texts = returned(program, program.results, scope.context, arrays)
        alone = texts[0] if len(texts) == 1 else ""
        lines = computed(scope, "predict", program, plans.predict, alone)
        result = [lambda indent, before: outputs_text(texts, indent, before)]
        yield method(
            "predict",
            inputs_of(program, scope.context),
            outputs_type(scope.context),
            outputs_doc(program, scope.context, BODY),
            [*forgotten(scope), *lines, *returning(result, BODY)],
        )
    if module.evaluate is not None:
        program = module.evaluate
        arrays = variables(scope, program, plans.evaluate)
        (text,) = returned(program, program.results, scope.context, arrays)
        lines = computed(scope, "evaluate", program, plans.evaluate, text)
        yield method(
            "evaluate",
            inputs_of(program, scope.context),
            "Array",
            documented("Return the loss in inference mode.", program, scope.context),
            [*forgotten(scope), *lines, *returning([plain(text)], BODY)],
        )


def training(scope: Scope) -> Iterator[FunctionView]:
    """forward, backward and value_and_grad."""
    module = scope.context.module
    if module.forward is None or module.backward is None:
        return
    yield forward(scope, module.forward)
    yield backward(scope, module.backward)
    if module.loss:
        arguments = inputs_of(module.forward, scope.context)
        given = [argument.passed for argument in arguments]
        call = spread("loss = self.forward(", given, ")")
        yield method(
            "value_and_grad", arguments, "tuple[Array, Grads]",
            [f"Return {objective(module.loss)} and `grads`, its gradients."],
            body(call, "return loss, self.backward()"),
        )  # fmt: skip


def forward(scope: Scope, program: Program) -> FunctionView:
    """The forward pass; what backward reads of it stays in the buffers."""
    module, names = scope.context.module, scope.names
    arrays = variables(scope, program, scope.layout.training)
    results = returned(program, program.results, scope.context, arrays)
    count = 1 if module.loss else len(module.outputs)
    values = results[:count]
    alone = values[0] if count == 1 else ""
    lines = forgotten(scope)
    lines += computed(scope, "forward", program, scope.layout.training, alone)
    kept = [names.of(node) for node in scope.layout.kept_between()]
    if module.updates:
        fresh = dict(zip(module.updates, results[count:], strict=True))
        items = [
            (quoted(name), fresh.get(name, f"self.state[{quoted(name)}]"))
            for name in module.graph.states
        ]
        lines += body(dict_text(items, BODY, "self.state = "))
    comma = "," if len(kept) == 1 else ""
    lines += body(spread("self._residuals = (", kept, f"{comma})"))
    what = objective(module.loss) if module.loss else "the outputs"
    return method(
        "forward", inputs_of(program, scope.context), "Array" if count == 1 else "Outputs",
        documented(f"Return {what}, and keep what `backward` reads.", program, scope.context),
        [*lines, *returning([lambda indent, before: outputs_text(values, indent, before)], BODY)],
    )  # fmt: skip


def backward(scope: Scope, program: Program) -> FunctionView:
    """The backward pass, which writes into the arrays of `grads`."""
    module, names, plans = scope.context.module, scope.names, scope.layout
    kept = [names.of(node) for node in plans.kept_between()]
    told = "backward needs a forward pass of its own right before it"
    if kept:
        lines = body("residuals = self._residuals", "if residuals is None:")
        lines += [*body(f'    raise RuntimeError("{told}")'), *unpacking(kept, "residuals")]
    else:
        lines = body("if self._residuals is None:", f'    raise RuntimeError("{told}")')
    lines += size_lines(scope, program.sizes)
    lines += [*cotangent_lines(program, scope.context, BODY), *forgotten(scope)]
    lines += unpacked(scope, "backward", program, plans.training)
    lines += printed(scope, program, plans.training)
    arrays = variables(scope, program, plans.training)
    for name, node in zip(module.gradients, program.results, strict=True):
        if plans.gradients.get(node) != name:
            (text,) = returned(program, [node], scope.context, arrays)
            lines += copied(f"self.grads[{quoted(name)}]", text.removesuffix(".copy()"))
    if module.loss:
        bar = names.of(next(filter(is_cotangent, program.arguments)))
        doc = [f"Return `grads`: the gradients of {objective(module.loss)}, times `{bar}`."]
    else:
        doc = ["Return `grads`: the gradients for cotangents of the outputs."]
        doc += ["", "None stands for zeros."] * (len(module.outputs) > 1)
    return method(
        "backward", cotangents(program, scope.context), "Grads", doc,
        [*lines, *body("return self.grads")],
    )  # fmt: skip


# --- the training step ---------------------------------------------------------------------------


def optimizer(scope: Scope) -> Iterator[FunctionView]:
    """The update of the parameters, and step."""
    module = scope.context.module
    lowered = module.optimizer
    if lowered is None or module.forward is None:
        return
    hypers = keywords(lowered)
    given = [hyper.passed for hyper in hypers]
    yield update(scope, lowered, hypers)
    arguments = inputs_of(module.forward, scope.context)
    passed = [argument.passed for argument in arguments]
    indent = BODY + 4 * bool(module.updates)
    lines = [
        spread("loss, _ = self.value_and_grad(", passed, ")", indent),
        spread(f"self.{lowered.kind}(", given, ")", indent),
    ]
    if module.updates:
        lines = [
            "state = self.state",
            "try:",
            *(f"    {line}" for line in lines),
            "except BaseException:",
            "    self.state = state",
            "    raise",
        ]
    yield method(
        "step", [*arguments, *hypers], "Array",
        ["Change the parameters by one step, and return the loss before it.", "",
         f"After an exception, parameters{' and state' * bool(module.graph.states)} are what they "
         "were.", "", *meanings(lowered)],
        body(*lines, "return loss"),
    )  # fmt: skip


def update(scope: Scope, lowered: LoweredOptimizer, hypers: Sequence[Argument]) -> FunctionView:
    """One step of the optimiser on the vector of all parameters.

    New values come to stand in the parameters last, when nothing can fail any more.
    """
    names = scope.context.optimizer_names
    program = lowered.program
    arrays = [names.of(n) for n in program.arguments if n.params.kind == "array"]
    lines = [f"{name}: Array = self.{VECTORS.get(name, f'{name}_vector')}" for name in arrays]
    lines += [ARRAYS.number(h.name) for h in lowered.hyperparameters]
    if lowered.schedule is not None:
        lines.append(f"lr = {SCHEDULED}(lr, self.steps)")
    if lowered.counts:
        lines.append(f"{STEP} = self.steps + 1")
    if lowered.clips:
        lines.append(f"{SCALE} = {CLIP_SCALE}([gradient], clip_norm)")
    lines += step_numbers(scope.context, lowered, "parameter")
    plan = scope.layout.update
    buffers = variables(scope, program, plan)
    found = [names.of(node) for node in dict.fromkeys(buffers.values())]
    lines += [row.removeprefix(" " * BODY) for row in unpacking(found, "self._update")]
    finite = scope.context.finite(program, lowered.kind)
    lines += BufferPrinter(
        program, plan, names, buffers, comments=False, finite=finite
    ).statements()
    targets = [program.arguments[0], *program.arguments[2 : 2 + len(lowered.slots)]]
    changes = [
        f"{names.of(target)}[...] = {names.of(buffers[node])}"
        for target, node in zip(targets, program.results, strict=True)
    ]
    # The parameters last: what interrupts even these statements leaves them as they were.
    lines += ["self._residuals = None", *changes[1:], "self.steps += 1", changes[0]]
    return method(
        lowered.kind, hypers, "None",
        ["Change the parameters by one step along `grad_vector`."],
        body(*lines),
    )  # fmt: skip


VECTORS = {"parameter": "param_vector", "gradient": "grad_vector"}
