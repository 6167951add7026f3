"""The functions of a generated module that make and keep parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from graphc.codegen.companion import companion
from graphc.codegen.dialect import Dialect
from graphc.codegen.functions import Context, function, indented, signature
from graphc.codegen.literals import bracketed, is_large, quoted
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.emission import parse
from graphc.ir.node import Node


class Kept(NamedTuple):
    """What is kept in files: its type, and what docstrings say of it.

    what  what it is
    own   what it is before any training, where the model gives all of it
    made  what the function does that makes it otherwise
    """

    type: str
    what: str
    own: str
    made: str


KEPT = {
    "params": Kept(
        "Params", "parameters", "those that the model came with", "Return new parameters."
    ),
    "state": Kept(
        "State",
        "the state",
        "that which the model came with",
        "Return the state before the first step.",
    ),
}


def parameters(context: Context, *, training: bool) -> Iterator[FunctionView]:
    """init, save and load parameters and states; flatten parameters."""
    module, dialect = context.module, context.dialect
    for group, nodes in module.groups.items():
        if not module.is_given(group) and (training or group == "state"):
            yield init(context, group, nodes)
    for group, nodes in module.groups.items():
        if training:
            yield save(group, dialect)
        yield load(context, group, nodes)
    declared = [parameter.node for parameter in module.parameters]
    fixed = all(isinstance(size, int) for node in declared for size in node.shape)
    derived = set(module.gradients)
    trained = [node for node in declared if node.params.name in derived]
    if training and trained and fixed and module.options["style"] != "workspace":
        yield ravel_params(trained, dialect)
        yield unravel_params(declared, set(trained), context)


def init(context: Context, group: str, nodes: Sequence[Node]) -> FunctionView:
    """A function that makes a dict of initial values."""
    names, kept, module = context.names, KEPT[group], context.module
    # As where all weights are given: many small ones would make a large module.
    beside = module.graph.pretrained and context.dialect.companion
    sizes = dict.fromkeys(dims.names_in_order(node.shape for node in nodes))
    items = []
    body = []
    for node in nodes:
        initial = module.initial[node.params.name]
        if isinstance(initial, str):  # fans may have more names than shapes
            sizes.update(dict.fromkeys(parse(initial).sizes))
        elif (beside or is_large(initial)) and module.embed is None:
            body = [f"    arrays = {companion(group)}"]
            items.append(f"{quoted(node.params.name)}: {stored(context, group, node)}")
            continue
        items.append(f"{quoted(node.params.name)}: {initial_text(context, node)}")
    arguments = [f"rng: {context.dialect.generator}"] if group == "params" else []
    keywords = ["*", *(f"{names.of_size(size)}: int" for size in sizes)] if sizes else []
    return function(
        f"init_{group}",
        signature(f"init_{group}", [*arguments, *keywords], kept.type),
        [kept.made],
        [*body, *indented(bracketed("return {", items, "}", 4))],
    )


def initial_text(context: Context, node: Node) -> str:
    """The initial value of a parameter or state; an array is a constant of the module."""
    names, initial = context.names, context.module.initial[node.params.name]
    if isinstance(initial, str):
        return parse(initial).fill(lambda n, _: n, lambda n: n, names.of_size)
    room = names.room(node.params.name) - len("_INITIAL")
    constant = names.free(f"{names.of(node).upper()[:room]}_INITIAL")
    context.constants.append((constant, initial))
    return context.dialect.copied(constant)


def stored(context: Context, group: str, node: Node) -> str:
    """The initial value of a parameter or state that lies in the file beside the module."""
    name = f"{group}/{node.params.name}"
    context.stored[name] = context.module.initial[node.params.name]
    return f"arrays[{quoted(name)}]"


def save(group: str, dialect: Dialect) -> FunctionView:
    """Writing parameters, or a state, to a file."""
    kept = KEPT[group]
    return function(
        f"save_{group}",
        f"def save_{group}(path: str | Path, {group}: {kept.type}) -> None:",
        [f"Write {kept.what} to {dialect.file}."],
        dialect.saved(group),
    )


def load(context: Context, group: str, declared: Sequence[Node]) -> FunctionView:
    """Reading what `save` wrote, checked; or the values of the model, if all are given."""
    module, dialect, kept = context.module, context.dialect, KEPT[group]
    given = module.is_given(group)
    beside = given and dialect.companion and module.embed is None
    reading, sources = dialect.stored(group, declared)
    body = reading.split("\n")
    if beside:
        sources = [stored(context, group, node) for node in declared]
        own = f"        arrays = {companion(group)}"
        body = ["    if path is None:", own, "    else:", *indented(reading)]
    elif given:
        texts = [f"{quoted(node.params.name)}: {initial_text(context, node)}" for node in declared]
        own = bracketed("return {", texts, "}", 8, statement=True)
        body = ["    if path is None:", *indented(own, 8), *body]
    items = []
    for node, source in zip(declared, sources, strict=True):
        name = node.params.name
        sizes = [str(s) if isinstance(s, int) else quoted(str(s)) for s in node.shape]
        check, arguments = dialect.check(node, quoted(name), source, sizes)
        items.append(bracketed(f"{quoted(name)}: {check}(", arguments, ")", 8))
    where = ", from the file beside this one" if beside else ""
    return function(
        f"load_{group}",
        f"def load_{group}(path: str | Path{' | None = None' if given else ''}) -> {kept.type}:",
        [
            f"Read {kept.what} from {dialect.file}; {dialect.checks}.",
            *(["", f"Without a path, {kept.own}{where}."] if given else []),
        ],
        [*body, *indented(bracketed("return {", items, "}", 4))],
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
