"""Nodes as SymPy expressions: what each op's `symbolic` says, and the bodies of composites."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from graphc.errors import ExpressionError
from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import BOOL, FLOAT, INT

MAX_OPERATIONS = 4_000  # of an expression written out as a tree
EXACT = 1_000  # what is made of larger numbers becomes a float
LARGEST_INT = 2**53  # up to here each float of 64 bits has a neighbour at 1


def to_sympy(node: Node) -> Any:
    """The SymPy expression of a node of a scalar or elementwise graph.

    Inputs and parameters become real symbols of their names (ints integer ones), constants exact
    numbers where they are small fractions. In a graph of arrays the expression is that of one
    element. Raises ExpressionError for an op that is no function of scalars, as a sum or a matrix
    product, and where the expression has more than 4 000 operations: SymPy has no sharing, so that
    a graph of 25 nodes may be a tree of half a million operations.
    """
    import sympy

    if not isinstance(node, Node):
        raise ExpressionError(f"to_sympy expects a node, got {node!r:.60}")
    with node.graph.quiet():
        order = topological([spelled(node)])
        for step in order:
            check_scalar(step)
        operations = tree_sizes(order)[order[-1]]
        if operations > MAX_OPERATIONS:
            described = node.graph.describe(node, site=True)
            raise ExpressionError(
                f"{described} has {operations} operations when it is written out without sharing, "
                f"of at most {MAX_OPERATIONS}",
                hint="ask for the expression of a part of it",
            )
        known: dict[Node, Any] = {}
        try:
            for step in order:
                known[step] = converted(sympy, step, [known[arg] for arg in step.args])
        except RecursionError:
            described = node.graph.describe(node, site=True)
            raise ExpressionError(f"{described} is nested too deeply for SymPy") from None
    return known[order[-1]]


def spelled(root: Node) -> Node:
    """The value in ops that SymPy can be told of: composites without a formula by their bodies."""
    replaced: dict[Node, Node] = {}
    pending = [root]
    while pending:
        node = pending[-1]
        waiting = [arg for arg in node.args if arg not in replaced]
        if waiting:
            pending += waiting
            continue
        pending.pop()
        if node in replaced:
            continue
        made = node.graph.rebuild(node, tuple(replaced[arg] for arg in node.args))
        if made.op.symbolic is None and made.op.body is not None:
            made = spelled(made.op.body(*made.args, *made.params))
        replaced[node] = made
    return replaced[root]


def tree_sizes(order: Sequence[Node]) -> dict[Node, int]:
    """For values in topological order, their operations as a tree, in which nothing is shared."""
    sizes: dict[Node, int] = {}
    for node in order:
        own, uses = (1, (1,) * len(node.args)) if node.op.symbolic is None else weight(node.op)
        sizes[node] = own * bool(node.args) + sum(
            use * sizes[arg] for use, arg in zip(uses, node.args, strict=True)
        )
    return sizes


@cache
def weight(op: Op) -> tuple[int, tuple[int, ...]]:
    """How many operations the formula of an op has, and how often each operand stands in it."""
    import sympy

    assert op.symbolic is not None
    count = len(inspect.signature(op.symbolic).parameters) - 1
    symbols = sympy.symbols(f"x:{count}", real=True)
    formula = op.symbolic(sympy, *symbols)
    return max(1, int(formula.count_ops())), tuple(max(1, formula.count(x)) for x in symbols)


def check_scalar(node: Node) -> None:
    """Raise ExpressionError for a value that is no function of scalars."""
    if node.op.symbolic is not None or node.op in (ARGUMENT, CONSTANT) or node.op.name == "astype":
        return
    described = node.graph.describe(node, site=True)
    if node.op.name in ("vjp_node", "jvp_node"):
        raise ExpressionError(
            f"to_sympy expands no derivatives: {described}",
            hint="use sympy.diff on the expression of what is differentiated",
        )
    raise ExpressionError(
        f"{node.op.name} is no function of scalars, so it has no SymPy expression: {described}",
        hint="ask for that of an elementwise part, or declare the graph on scalars",
    )


def converted(sympy: Any, node: Node, operands: list[Any]) -> Any:
    """The expression of one node, for those of its operands."""
    if node.op is ARGUMENT:
        integer = {"integer": True} if node.dtype.kind == INT else {"real": True}
        return sympy.Symbol(node.params.name, **({} if node.dtype.kind == BOOL else integer))
    if node.op is CONSTANT:
        return constant(sympy, node)
    if node.op.name == "astype":
        return cast(sympy, node, operands[0])
    assert node.op.symbolic is not None
    if operands and all(x.is_number for x in operands):
        return folded(sympy, node.op.symbolic, operands)
    return node.op.symbolic(sympy, *operands)


def folded(sympy: Any, formula: Callable[..., Any], operands: list[Any]) -> Any:
    """What numbers alone come to: exact as long as they are small, else a float as graphc's are.

    9**9**9 has 370 million digits, exp(exp(exp(9))) an exponent of thousands.
    """
    if all(abs(as_float(x)) <= EXACT for x in operands):
        return formula(sympy, *operands)
    result = formula(sympy, *(number(sympy, as_float(x)) * sympy.Float(1) for x in operands))
    return number(sympy, as_float(result)) if result.is_number else result


def as_float(x: Any) -> float:
    """The float that an expression without symbols comes to: NaN where it is not real."""
    try:
        return float(x)
    except OverflowError:
        return math.copysign(math.inf, x)
    except TypeError:
        return math.nan


def constant(sympy: Any, node: Node) -> Any:
    """A constant, which has to be the same number in all of its elements."""
    array = node.params.data.array
    first = array.flat[0] if array.size else None
    if first is None or not ((array == first) | ((array != array) & (first != first))).all():
        described = node.graph.describe(node, site=True)
        raise ExpressionError(
            f"an array of different constants has no SymPy expression: {described}",
            hint="ask for that of a part without it",
        )
    if node.dtype.kind == BOOL:
        return sympy.true if array.flat[0] else sympy.false
    return number(sympy, array.flat[0])


def number(sympy: Any, value: Any) -> Any:
    """An int, a fraction of small numbers, π and e as what they are, else the shortest decimals."""
    exact = value.item() if isinstance(value, np.generic) else value
    if isinstance(exact, int):
        return sympy.Integer(exact)
    if not math.isfinite(exact):
        return sympy.nan if math.isnan(exact) else sympy.oo * (1 if exact > 0 else -1)
    named = {math.pi: sympy.pi, math.e: sympy.E}
    if abs(exact) in named:
        return named[abs(exact)] * (1 if exact > 0 else -1)
    numerator, denominator = exact.as_integer_ratio()
    if denominator > EXACT or abs(numerator) > LARGEST_INT:
        return sympy.Float(str(value))  # those that are this number in its dtype
    return sympy.Rational(numerator, denominator)


def cast(sympy: Any, node: Node, x: Any) -> Any:
    """A conversion to another dtype."""
    before, after = node.args[0].dtype.kind, node.dtype.kind
    if before == after or (before, after) == (INT, FLOAT):
        return x
    if before == BOOL:
        return sympy.Piecewise((1, x), (0, True))
    if after == BOOL:
        return sympy.Ne(x, 0)
    return sympy.sign(x) * sympy.floor(sympy.Abs(x))
