"""The functions of a generated module that make and keep parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from graphc.codegen.dialect import Dialect
from graphc.codegen.functions import Context, function, indented, signature
from graphc.codegen.literals import bracketed, quoted
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.emission import parse
from graphc.ir.node import Node

# What is kept in files: its type, and what docstrings call it.
KEPT = {"params": ("Params", "parameters"), "state": ("State", "the state")}


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
    for group, nodes in (("params", declared), ("state", states)):
        if nodes and training:
            yield save(group, dialect)
        if nodes:
            yield load(group, nodes, dialect)
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


def save(group: str, dialect: Dialect) -> FunctionView:
    """Writing parameters, or a state, to a file."""
    type, what = KEPT[group]
    return function(
        f"save_{group}",
        f"def save_{group}(path: str | Path, {group}: {type}) -> None:",
        [f"Write {what} to {dialect.file}."],
        dialect.saved(group),
    )


def load(group: str, declared: Sequence[Node], dialect: Dialect) -> FunctionView:
    """Reading what `save` wrote, checked."""
    items = []
    type, what = KEPT[group]
    reading, sources = dialect.stored(group, declared)
    for node, source in zip(declared, sources, strict=True):
        name = node.params.name
        sizes = [str(s) if isinstance(s, int) else quoted(str(s)) for s in node.shape]
        check, arguments = dialect.check(node, quoted(name), source, sizes)
        items.append(bracketed(f"{quoted(name)}: {check}(", arguments, ")", 8))
    return function(
        f"load_{group}",
        f"def load_{group}(path: str | Path) -> {type}:",
        [f"Read {what} from {dialect.file}; {dialect.checks}."],
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
