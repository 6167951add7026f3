"""The self-test of a generated module: its own numbers against those stored at compile time."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.codegen.functions import Context, function, indented
from graphc.codegen.literals import bracketed, clipped, quoted
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, INT
from graphc.lower.module import SelfTest


def self_test(context: Context) -> Iterator[FunctionView]:
    """`self_test()`, which prints a line a check and returns whether all hold."""
    module, names = context.module, context.names
    test, program = module.self_test, module.forward
    if test is None or program is None or module.backward is None:
        return
    body: list[str] = []
    given: list[str] = []
    for kind, group, annotation in (("parameter", "params", "Params"), ("state", "state", "State")):
        nodes = [node for node in test.phases if node.params.kind == kind]
        reads = kind == "state" and bool(module.updates)
        if reads or any(node.params.kind == kind for node in program.arguments):
            items = [f"{quoted(node.params.name)}: {pattern(node, test)}" for node in nodes]
            body += indented(bracketed(f"{group}: {annotation} = {{", items, "}", 4))
            given.append(group)
    for node in program.arguments:
        if node.params.kind == "input":
            body.append(f"    {names.of(node)} = {pattern(node, test)}")
            given.append(names.of(node))
    first = "loss" if module.loss else "_"
    targets = ", ".join([first, *(["_"] if module.updates else []), "residuals"])
    body += indented(bracketed(f"{targets} = forward(", given, ")", 4))
    cotangents = [node for node in test.phases if node.params.kind == "cotangent"]
    arguments = [] if module.loss else [pattern(node, test) for node in cotangents]
    body += indented(bracketed("grads = backward(", ["residuals", *arguments], ")", 4))
    checks = []
    for name, value, tolerance in test.values:
        if name is None:
            measured, label = "loss", "loss"
        else:
            measured = f"sample_slope(grads[{quoted(name)}])"
            label = f"gradient of {clipped(name, 60)}"  # it is printed: to a terminal, perhaps
        numbers = [repr(value), repr(tolerance)]
        checks.append(bracketed("agrees(", [quoted(label), measured, *numbers], ")", 8))
    yield function(
        "self_test",
        "def self_test() -> bool:",
        ["Compare loss and gradients at fixed arguments with what graphc computed."],
        [*body, *indented(bracketed("checks = [", checks, "]", 4)), "    return all(checks)"],
    )


def pattern(node: Node, test: SelfTest) -> str:
    """The expression of the reproducible values of one argument."""
    sizes = [str(dims.evaluate(size, test.sizes)) for size in node.shape]
    labels = [f"labels={test.labels}"] if node.dtype.kind == INT else []
    offset = [f"offset={test.offset}"] if test.offset and node.dtype.kind == FLOAT else []
    options = [str(test.phases[node]), *sizes, *labels, *offset]
    return f"sample_values({', '.join([node.dtype.source, *options])})"
