"""The self-test of a generated module: its own numbers against those stored at compile time."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.codegen.functions import Context, field_names, function, indented
from graphc.codegen.literals import bracketed, clipped, python_number, quoted
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.lower.module import SelfTest


def self_test(context: Context) -> Iterator[FunctionView]:
    """`self_test()`, which prints a line a check and returns whether all hold."""
    module, names, dialect = context.module, context.names, context.dialect
    test, program = module.self_test, module.forward
    if test is None or program is None or module.backward is None:
        return
    body: list[str] = []
    given: list[str] = []
    in_place = module.options["style"] == "workspace"  # whose parameters are there in any case
    for kind, group, annotation in (("parameter", "params", "Params"), ("state", "state", "State")):
        nodes = [node for node in test.phases if node.params.kind == kind]
        reads = bool(module.updates) if kind == "state" else in_place and bool(nodes)
        if reads or any(node.params.kind == kind for node in program.arguments):
            items = [f"{quoted(node.params.name)}: {dialect.sample(node, test)}" for node in nodes]
            body += indented(bracketed(f"{group}: {annotation} = {{", items, "}", 4))
            given.append(group)
    for node in program.arguments:
        if node.params.kind == "input":
            body.append(f"    {names.of(node)} = {dialect.sample(node, test)}")
            given.append(names.of(node))
    if program.draws:
        yield by_differences(context, test, [*body, ""], [*given, "rng=np.random.default_rng(0)"])
        return
    # A loss that is no finite number at the sample has no stored value.
    first = "loss" if any(name is None for name, _, _ in test.values) else "_"
    cotangents = [node for node in test.phases if node.params.kind == "cotangent"]
    arguments = [] if module.loss else [dialect.sample(node, test) for node in cotangents]
    if in_place:
        body += [*made_workspace(context, given)]
        inputs = [name for name in given if name not in ("params", "state")]
        body += indented(bracketed(f"{first} = workspace.forward(", inputs, ")", 4))
        body += indented(bracketed("grads = workspace.backward(", arguments, ")", 4))
    else:
        targets = ", ".join([first, *(["_"] if module.updates else []), "residuals"])
        body += indented(bracketed(f"{targets} = forward(", given, ")", 4))
        body += indented(bracketed("grads = backward(", ["residuals", *arguments], ")", 4))
    checks = []
    for name, value, tolerance in test.values:
        if name is None:
            measured, label = "loss", "loss"
        else:
            measured = dialect.slope(f"grads[{quoted(name)}]")
            label = f"gradient of {clipped(name, 60)}"  # it is printed: to a terminal, perhaps
        numbers = [python_number(value), python_number(tolerance)]
        checks.append(bracketed("agrees(", [quoted(label), measured, *numbers], ")", 8))
    yield function(
        "self_test",
        "def self_test() -> bool:",
        ["Compare loss and gradients at fixed arguments with what graphc computed."],
        [*body, *indented(bracketed("checks = [", checks, "]", 4)), "    return all(checks)"],
    )


def made_workspace(context: Context, given: list[str]) -> list[str]:
    """The statements that make a workspace of the sizes of the test."""
    module, names = context.module, context.names
    assert module.self_test is not None
    declared = module.graph.declared()
    sizes = dims.names_in_order(node.shape for node in declared)
    made = ["params"] if module.parameters else []
    made += [f"{names.of_size(name)}={module.self_test.sizes[name]}" for name in sizes]
    lines = [bracketed("workspace = Workspace(", made, ")", 4)]
    lines += ["workspace.state = state"] if "state" in given else []
    return [row for line in lines for row in indented(line)]


def by_differences(
    context: Context, test: SelfTest, body: list[str], given: list[str]
) -> FunctionView:
    """The self-test of a model that draws: no stored numbers, since streams may change."""
    module = context.module
    bars = [node for node in test.phases if node.params.kind == "cotangent"]
    weights = "[1.0]" if module.loss else "bars"
    if not module.loss:
        patterns = [context.dialect.sample(node, test) for node in bars]
        body = [*indented(bracketed("bars = [", patterns, "]", 4)), *body]
    cotangents = [] if module.loss else ["*bars"]
    if module.options["style"] == "workspace":
        call, first, group = "workspace.forward(", ")", "workspace.params"
        body += [*made_workspace(context, given), ""]
        before = ["        workspace.state = state"] if "state" in given else []
        given = [name for name in given if name not in ("params", "state")]
        derived = ["values()", f"grads = workspace.backward({', '.join(cotangents)})"]
    else:
        call, first, group = "forward(", ")[0]", "params"
        before = []
        skipped = ", ".join(["_", *(["_"] if module.updates else []), "residuals"])
        derived = [bracketed(f"{skipped} = forward(", given, ")", 4)]
        derived.append(f"grads = backward({', '.join(['residuals', *cotangents])})")
    body += ["    def values() -> list[Any]:", *before]
    if module.loss or len(module.outputs) == 1:
        text = bracketed(f"return [{call}", given, f"{first}]", 8, statement=True)
        body += indented(text, 8)
    else:
        body += indented(bracketed(f"outputs = {call}", given, first, 8, statement=True), 8)
        named = field_names(module.outputs, context.dialect)
        fields = dict(zip(module.outputs, named, strict=True))
        found = [f"outputs.{fields[node.params.name]}" for node in bars]
        body += indented(bracketed("return [", found, "]", 8, statement=True), 8)
    body += ["", *(row for line in derived for row in indented(line))]
    checks = []
    for name in test.slopes:
        node = next(n for n in test.phases if n.params.name == name)
        key = quoted(name)
        array = context.names.of(node) if node.params.kind == "input" else f"{group}[{key}]"
        label = quoted(f"gradient of {name}")
        checks.append(
            bracketed("is_slope(", [label, "values", weights, array, f"grads[{key}]"], ")", 8)
        )
    return function(
        "self_test",
        "def self_test() -> bool:",
        ["Compare gradients with differences; all draws come from one seed."],
        [*body, *indented(bracketed("checks = [", checks, "]", 4)), "    return all(checks)"],
    )
