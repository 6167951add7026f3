"""The functions of a generated module that compute: inference and training."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.codegen.functions import (
    Argument,
    Context,
    arguments_of,
    checks,
    cotangent_lines,
    dict_text,
    field_names,
    function,
    indented,
    outputs_text,
    plain,
    returned,
    returning,
    signature,
)
from graphc.codegen.literals import LINE, bracketed, clipped, quoted, width
from graphc.codegen.printer import guard_lines, print_program
from graphc.codegen.view import FunctionView
from graphc.ir.graph import is_cotangent
from graphc.lower.program import Program


def documented(first: str, program: Program, context: Context) -> list[str]:
    """The docstring of a function: what it returns, and its inputs."""
    if context.dialect.typed:
        return [first]
    inputs = [node for node in program.arguments if node.params.kind == "input"]
    described = context.dialect.described
    listed = [f"{context.names.of(node)}: {described(node)}" for node in inputs]
    return [first, "", *listed] if listed else [first]


def outputs_doc(program: Program, context: Context, indent: int) -> list[str]:
    """The docstring of predict: the outputs in one line, or one a line, and the inputs."""
    dialect = context.dialect
    names = field_names(context.module.outputs, dialect)
    results = [
        name if dialect.typed else f"{name}: {dialect.described(node)}"
        for name, node in zip(names, program.results, strict=True)
    ]
    doc = documented(f"Return {', '.join(results)}.", program, context)
    if width(doc[0]) > LINE - 10 - indent:
        doc[:1] = ["Return the outputs.", "", *results]
    return doc


def statements(program: Program, context: Context, result: str = "") -> list[str]:
    """Checks of the arguments, then one line a value.

    result  the variable that is returned bare, which a type checker has to be told about
    """
    return [
        *checks(program, context, program.arguments),
        *guard_lines(program, context.names),
        *print_program(
            program, context.names, context.dialect,
            annotated="" if context.dialect.typed else result, finite=context.finite(program),
        ),
    ]  # fmt: skip


def objective(name: str) -> str:
    """What docstrings call the scalar that is differentiated."""
    return "the loss" if name == "loss" else clipped(name, 40)


def outputs_type(context: Context) -> str:
    """The annotation of the outputs."""
    outputs = list(context.module.graph.outputs.values())
    return context.dialect.annotation(outputs[0]) if len(outputs) == 1 else "Outputs"


def inference(context: Context) -> Iterator[FunctionView]:
    """predict and evaluate."""
    module, dialect = context.module, context.dialect
    if module.predict is not None:
        program = module.predict
        texts = returned(program, program.results, context)
        body = statements(program, context, texts[0] if len(texts) == 1 else "")
        yield function(
            "predict",
            signature("predict", arguments_of(program, context), outputs_type(context)),
            outputs_doc(program, context, 4),
            [*body, *returning([lambda indent, before: outputs_text(texts, indent, before)])],
        )
    if module.evaluate is not None:
        program = module.evaluate
        (text,) = returned(program, program.results, context)
        loss = dialect.annotation(program.results[0])
        yield function(
            "evaluate",
            signature("evaluate", arguments_of(program, context), loss),
            documented("Return the loss in inference mode.", program, context),
            [*statements(program, context, text), *returning([plain(text)])],
        )


def training(context: Context) -> Iterator[FunctionView]:
    """forward, backward and value_and_grad."""
    if context.module.forward is None:
        return
    yield forward(context)
    yield backward(context)
    if context.module.loss:
        yield value_and_grad(context)


def result_names(context: Context) -> tuple[list[str], list[str]]:
    """Of forward: variables and annotations for what stands before the residuals."""
    module = context.module
    assert module.forward is not None
    loss = context.dialect.annotation(module.forward.results[0])
    first = [("loss", loss)] if module.loss else [("outputs", outputs_type(context))]
    if module.updates:
        first.append(("state", "State"))
    return [name for name, _ in first], [type for _, type in first]


def forward_arguments(context: Context) -> list[Argument]:
    """The arguments of forward, which takes the state also where it only updates it."""
    program = context.module.forward
    assert program is not None
    return arguments_of(program, context, state=bool(context.module.updates))


def forward(context: Context) -> FunctionView:
    """The forward pass, which also returns what backward reads."""
    module, program = context.module, context.module.forward
    assert program is not None
    results = returned(program, program.results, context)
    count = 1 if module.loss else len(module.outputs)
    values = [lambda indent, before: outputs_text(results[:count], indent, before)]
    if module.updates:
        fresh = dict(zip(module.updates, results[count:], strict=True))
        items = [
            (quoted(name), fresh.get(name) or context.dialect.kept("state", node))
            for name, (node, _) in module.graph.states.items()
        ]
        values.append(lambda indent, before: dict_text(items, indent, before))
    fields = residual_names(context)
    values.append(lambda indent, before: bracketed(f"{before}Residuals(", fields, ")", indent))
    what = objective(module.loss) if module.loss else "the outputs"
    _, types = result_names(context)
    return function(
        "forward",
        signature(
            "forward", forward_arguments(context), f"tuple[{', '.join([*types, 'Residuals'])}]"
        ),
        documented(f"Return {what}, and the residuals that `backward` reads.", program, context),
        [*statements(program, context), *returning(values)],
    )


def residual_names(context: Context) -> list[str]:
    """The fields of Residuals: values, then sizes that no value shows."""
    module, names = context.module, context.names
    return [
        *(names.of(node) for node in module.residuals),
        *(names.of_size(size) for size in module.sizes),
    ]


def backward(context: Context) -> FunctionView:
    """The backward pass: gradients for the residuals and the cotangents of the results."""
    module, names = context.module, context.names
    program = module.backward
    assert program is not None
    sizes = [
        f"    {names.of_size(size)} = {names.of(source[0])}.shape[{source[1]}]"
        for size, source in program.sizes.items()
        if source is not None
    ]
    texts = returned(program, program.results, context)
    keys = [quoted(name) for name in module.gradients]
    items = list(zip(keys, texts, strict=True))
    if module.loss:
        bar = names.of(next(filter(is_cotangent, program.arguments)))
        doc = f"Return the gradients of {objective(module.loss)}, times `{bar}`."
    else:
        many = "; None stands for zeros." if len(module.outputs) > 1 else "."
        doc = f"Return the gradients for cotangents of the outputs{many}"
    return function(
        "backward",
        signature("backward", ["residuals: Residuals", *cotangents(program, context)], "Grads"),
        [doc],
        [
            *unpacked(residual_names(context)),
            *sizes,
            *cotangent_lines(program, context),
            *print_program(program, names, context.dialect, finite=context.finite(program)),
            *returning([lambda indent, before: dict_text(items, indent, before)]),
        ],
    )


def unpacked(fields: list[str]) -> list[str]:
    """Statements that read the residuals into variables."""
    if not fields:
        return []
    names = f"({fields[0]},)" if len(fields) == 1 else ", ".join(fields)
    if len(names) + 16 < LINE:
        return [f"    {names} = residuals"]
    return [f"    {name} = residuals.{name}" for name in fields]


def cotangents(program: Program, context: Context) -> list[Argument]:
    """The cotangents in the signature of backward: scalars default to 1.0."""
    arguments = []
    optional = False
    nodes = [node for node in program.arguments if is_cotangent(node)]
    for node in nodes:
        optional = optional or not node.shape
        kind = context.dialect.cotangent(node)
        kind += " | None" if len(nodes) > 1 else ""
        default = " = None" if node.shape else " = 1.0"
        name = context.names.of(node)
        arguments.append(Argument(name, kind + (default if optional else "")))
    return arguments


def value_and_grad(context: Context) -> FunctionView:
    """Loss and gradients in one call."""
    variables, types = result_names(context)
    arguments = forward_arguments(context)
    targets = ", ".join([*variables, "residuals"])
    call = bracketed(f"{targets} = forward(", [a.passed for a in arguments], ")", 4)
    return function(
        "value_and_grad",
        signature("value_and_grad", arguments, f"tuple[{', '.join([*types, 'Grads'])}]"),
        [f"Return {objective(context.module.loss or '')} and its gradients."],
        [*indented(call), *returning([plain(v) for v in [*variables, "backward(residuals)"]])],
    )
