"""Ops from NumPy code, with a derivative in graphc's own ops."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.autodiff.pullback import pullback
from graphc.custom.naming import (
    check_domain,
    check_drawn,
    check_name,
    check_operands,
    check_pasted_name,
    declared,
    ordered,
)
from graphc.custom.source import formula_names, formula_template, pasted, refuse
from graphc.custom.verification import verify
from graphc.errors import GraphcError
from graphc.ir.emission import Emission
from graphc.ir.function import topological
from graphc.ir.node import Node
from graphc.ir.op import FUNCTIONS, JVP, OPS, Draw, Op
from graphc.ir.types import TensorType, shape_text
from graphc.ops.families import elementwise
from graphc.ops.operands import operands as lift
from graphc.ops.shape import as_shape

Rule: TypeAlias = Callable[[Node, Node], "list[Node | None]"]  # (cotangent, node) -> by operand


def custom_op(
    name: str,
    forward: Callable[..., Any] | str,
    *,
    vjp: Callable[..., Any] | None,
    operands: Sequence[str] = (),
    shape: Callable[..., Any] | None = None,
    math: str = "",
    domain: Sequence[tuple[float, float]] = (),
    samples: Sequence[Sequence[Any]] = (),
    doc: str = "",
) -> Op:
    """Declare an op by NumPy code, which generated modules will hold, and its derivative in nodes.

    forward   a function of arrays, of which the source is pasted: it may use `np`, its arguments
              and builtins. Or a formula as text, as `"np.where(x > 0, x, 0.1 * x)"`. It returns a
              new array of the dtype of its operands, which are of one float dtype
    vjp       (bar, out, *operands) -> for each operand the cotangent as a node, or None where there
              is none; a bare node for one operand. None for an op without a derivative
    operands  the order of the variables of a text; without it, as they appear
    shape     (*shapes of the operands) -> the shape of the result. Without it the op works on each
              element by itself, and operands broadcast
    math      for such an op a formula with the `math` module, for the scalar style
    domain    for each operand the interval from which samples are drawn, (-2, 2) without it
    samples   in place of that, operands to check it on: a tuple of arrays for each sample. An op
              with a `shape` is checked on arrays of shape (3, 4) without it
    doc       what it is, in a line

    The op is run on its samples: shape, dtype, that it changes no operand and returns none, that it
    gives the same twice, and its derivatives against central differences. Raises DeclarationError,
    with the input that shows it, where one of these fails, and for code that needs more than is
    pasted. Declaring the same op again returns the first one.
    """
    check_name(name)
    helpers: tuple[Callable[..., Any], ...] = ()
    check_pasted_name(name)
    if isinstance(forward, str):
        names = ordered(name, formula_names(name, forward), operands)
        text, emission = forward, formula_template(name, forward, names)
    else:
        function, text = pasted(name, forward)
        names = tuple(inspect.signature(function).parameters)
        emission = f"{name}({', '.join(f'{{{n}}}' for n in names)})"
        helpers = (function,)
    check_operands(name, names)
    check_domain(name, domain, names)
    draws = tuple(drawn(name, sample, names) for sample in samples)
    plain = formula_template(name, math, names, "math") if math else ""
    definition = f"custom {names} = {text} {plain} {source_of(vjp)} {source_of(shape)}"
    known = declared(name, definition)
    if known is not None:
        return known
    rule = None if vjp is None else contributions(name, vjp, len(names), shape is None)
    doc = doc or (text if isinstance(forward, str) else inspect.getdoc(forward) or name)
    doc = doc.strip().partition("\n")[0]
    if shape is None:
        op = elementwise(
            name, doc, operands=" ".join(names), numpy=emission, math=plain, helpers=helpers,
            rules=[] if rule is None else [rule_of(rule, i) for i in range(len(names))],
            domain=domain, samples=draws or None, definition=definition,
        )  # fmt: skip
    else:
        op = Op(
            name=name,
            doc=doc,
            operands=names,
            infer=inference(name, shape),
            emission=Emission(emission, helpers=helpers),
            call=call_of(name, len(names)),
            vjp=None if rule is None else lambda i, bar, node, kinks: rule(bar, node)[i],
            jvp=None if rule is None else transposed(name, rule),
            differentiable=rule is not None,
            samples=draws or (drawn_from(domain or [(-2.0, 2.0)] * len(names)),),
            definition=definition,
        )
    try:
        verify(op)
    except BaseException:
        del OPS[name], FUNCTIONS[name]
        raise
    return op


def source_of(function: Callable[..., Any] | None) -> str:
    """What tells a function from another: its source, or its code where there is none."""
    if function is None:
        return ""
    try:
        return textwrap.dedent(inspect.getsource(function)).strip()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(function) if code is None else f"{code.co_code.hex()} {code.co_names}"


def contributions(name: str, vjp: Callable[..., Any], count: int, broadcasts: bool) -> Rule:
    """The user's VJP as (cotangent, node) -> one contribution an operand.

    It has the shape of the operand, unless operands are broadcast: then it is summed later.
    """

    def rule(bar: Node, node: Node) -> list[Node | None]:
        try:
            found = vjp(bar, node, *node.args)
        except GraphcError:
            raise
        except Exception as error:
            refuse(name, f"vjp raises {type(error).__name__}: {error}",
                   "it is called with the cotangent, the result and each operand")  # fmt: skip
        listed = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(listed) != count:
            refuse(name, f"vjp returns {len(listed)} cotangents for {count} operands")
        for operand, each in zip(node.args, listed, strict=True):
            if each is not None and not isinstance(each, Node):
                refuse(name, f"vjp returns {each!r:.60}", "it returns nodes, or None for zero")
            if each is not None and each.shape != operand.shape and not broadcasts:
                refuse(
                    name,
                    f"vjp returns a cotangent of shape {shape_text(each.shape)} for an operand of "
                    f"shape {shape_text(operand.shape)}",
                )
        return listed

    return rule


def rule_of(rule: Rule, index: int) -> Callable[..., Node | None]:
    """The rule of one operand, as an elementwise op declares it."""
    return lambda g, out, *operands: rule(g, out)[index]


def transposed(name: str, rule: Rule) -> JVP:
    """The JVP that belongs to a VJP: linear in the cotangent, it is transposed by a pullback."""

    def jvp(node: Node, tangents: tuple[Node | None, ...], kinks: str) -> Node | None:
        graph = node.graph
        seed = graph.argument("cotangent", f"{name}_bar", node.shape, node.dtype)
        pairs = [
            (contribution, tangent)
            for contribution, tangent in zip(rule(seed, node), tangents, strict=True)
            if contribution is not None and tangent is not None
        ]
        if not pairs:
            return None
        targets, given = zip(*pairs, strict=True)
        (result,) = pullback(targets, given, [seed], kinks)
        if result is not None and seed in set(topological([result])):
            refuse(name, "vjp is not linear in the cotangent")
        return result

    return jvp


def inference(name: str, shape: Callable[..., Any]) -> Callable[..., TensorType]:
    """The type of the result: the shape as the rule says, the dtype that of the operands."""

    def infer(require: Any, *types: TensorType) -> TensorType:
        try:
            found = shape(*(t.shape for t in types))
        except GraphcError:
            raise
        except Exception as error:
            shapes = ", ".join(shape_text(t.shape) for t in types)
            refuse(name, f"shape raises {type(error).__name__} for {shapes}: {error}")
        return TensorType(as_shape(found), types[0].dtype)

    return infer


def call_of(name: str, count: int) -> Callable[..., Node]:
    """The call of an op of so many operands, which get one float dtype."""

    def call(op: Op, *values: Any) -> Node:
        if len(values) != count:
            raise GraphcError(f"{name} takes {count} operands, got {len(values)}")
        return op.node(lift(*values, floating=True))

    return call


def drawn(name: str, sample: Any, operands: Sequence[str]) -> Draw:
    """A sample of the user's as a draw. Raises DeclarationError unless it is one."""
    try:
        values = tuple(np.asarray(value, float) for value in sample)
    except (TypeError, ValueError) as error:
        refuse(name, f"a sample is a tuple of arrays, got {sample!r:.60}: {error}")
    check_drawn(name, "a sample", values, operands)
    return lambda rng: (values, {})


def drawn_from(domain: Sequence[tuple[float, float]]) -> Draw:
    """A draw of an array of shape (3, 4) for each operand."""
    return lambda rng: (tuple(rng.uniform(low, high, (3, 4)) for low, high in domain), {})
