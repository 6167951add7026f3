"""The table of ops, each with the formula of its derivative as the VJP rule itself gives it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphc.codegen.arrays import scalar_text
from graphc.ir.emission import ATOM, PRIMARY
from graphc.ir.emission import strength as strength_of
from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT, Graph
from graphc.ir.node import Node
from graphc.ir.op import FUNCTIONS, OPS, Op
from graphc.ir.types import FLOAT, TensorType, as_dtype
from graphc.lower.program import is_literal

Simplify = Callable[[Sequence[Node]], list[Node]]


def ops_text(simplify: Simplify) -> str:
    """All ops that can be called, with signature, meaning and derivatives; then what is made of
    them.
    """
    lines = []
    for op in OPS.values():
        if op.samples and not op.random:
            lines.append(f"{op.name}({', '.join(op.operands + op.parameters)})")
            lines.append(f"    {op.doc.splitlines()[0]}")
            lines += [f"    {line}" for line in derivatives(op, simplify)]
    for name, function in FUNCTIONS.items():
        if name not in OPS:
            lines.append(f"{name}{short(inspect.signature(function))}")
            lines.append(f"    {(function.__doc__ or '').strip().splitlines()[0]}")
    return "\n".join(lines) + "\n"


def short(signature: inspect.Signature) -> str:
    """A signature without annotations."""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def derivatives(op: Op, simplify: Simplify) -> Iterator[str]:
    """A line for each operand that has a derivative; `out` is the result of the op."""
    if not op.differentiable:
        yield "no derivative"
        return
    if op.vjp is None:
        yield "derivative of its body"
        return
    node = sampled(op)
    graph = node.graph
    single = isinstance(node.type, TensorType)
    bars = tuple(
        graph.argument("cotangent", "out" if single else f"out{i}", type.shape, type.dtype)
        for i, type in enumerate(node.types, 1)
    )
    bar: Any = bars[0] if single else bars  # as the pullback passes them
    for index, operand in enumerate(node.args):
        if operand.dtype.kind == FLOAT:
            contribution = op.vjp(index, bar, node, "torch")
            if contribution is not None:
                (simple,) = simplify([contribution])
                name = graph.label_of(operand)
                yield f"{name}_bar = {formula(simple, node)[0]}"


def sampled(op: Op) -> Node:
    """A node of an op on arguments of the types that its first sample has."""
    graph = Graph()
    arguments, options = op.samples[0](np.random.default_rng(0))
    names = iter(name.lstrip("*") for name in op.operands)

    def declared(value: object, name: str) -> object:
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            return [declared(v, f"{name}{i}") for i, v in enumerate(value, 1)]
        if isinstance(value, (np.ndarray, np.generic, float)):
            array = np.asarray(value)
            # Draws are float64; in float32 a conversion to float64 is one.
            dtype = graph.dtype if array.dtype.kind == "f" else as_dtype(array.dtype)
            return graph.argument("input", name, array.shape, dtype)
        return value

    result = op(*(declared(v, next(names, "x")) for v in arguments), **options)
    if isinstance(result, list):
        result = result[0].args[0]
    assert isinstance(result, Node)
    # Losses are reduced by their calls.
    return next(node for node in topological([result]) if node.op is op)


def formula(node: Node, whole: Node) -> tuple[str, int]:
    """A node as one expression, and how strongly it binds; `whole` is called out."""
    if node is whole:
        return "out", ATOM
    if node.op is ARGUMENT:
        return "".join(node.graph.name_of(node) or "x"), ATOM
    if is_literal(node):
        text = scalar_text(node, str, whole=True)
        return text, strength_of(text)
    if node.op is CONSTANT:
        return "constant", ATOM
    if not node.op.emission.numpy:
        return f"{node.op.name}({', '.join(formula(a, whole)[0] for a in node.args)})", PRIMARY
    template = node.op.emission.template(node)

    def operand(name: str, strength: int) -> str:
        text, own = formula(node.args[node.op.operands.index(name)], whole)
        return f"({text})" if own < strength else text

    def operands(name: str) -> str:
        return ", ".join(formula(arg, whole)[0] for arg in node.args)

    return template.fill(operand, operands, str), template.binding
