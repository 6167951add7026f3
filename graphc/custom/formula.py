"""Ops from a formula: SymPy's or a text. Derivatives follow from the formula."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.custom.naming import check_domain, check_name, check_operands, declared, ordered
from graphc.errors import DeclarationError, DTypeError, ExpressionError, UnsupportedError
from graphc.frontends.builder import Graph
from graphc.frontends.expression import parse
from graphc.frontends.symbolic import build
from graphc.inspect.symbolic import to_sympy
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ops.families import composite, elementwise_samples
from graphc.ops.operands import operands as lift

MAX_DERIVED = 60  # operations of a formula whose derivative its docstring tells


def elementwise_op(
    name: str,
    formula: Any,
    *,
    operands: Sequence[str] = (),
    domain: Sequence[tuple[float, float]] = (),
    doc: str = "",
) -> Op:
    """Declare an op that works on each element by itself, from its formula alone.

    formula   a function of SymPy symbols, as `lambda x: x / (1 + sympy.exp(-x))`, whose arguments
              with a default are static numbers; a SymPy expression; or a text that
              `gc.from_expression` reads
    operands  the order of the symbols of an expression or of the variables of a text; without it,
              by name, or as they appear
    domain    for each operand the interval from which samples are drawn, (0.5, 2) without it
    doc       what it is, in a line; without it, the formula and its derivatives by SymPy

    Operands have float dtypes and broadcast as NumPy's do. What a call returns is the formula in
    graphc's own ops, so that it is made stable as if it were written out, and then differentiated,
    to any order; equal parts of value and derivatives are computed once.

    Declaring the same op again returns the first one. Raises DeclarationError for a name that is
    taken and for operands that are not those of the formula, ExpressionError for a formula that is
    none.
    """
    check_name(name)
    names, defaults, body, text = formula_body(name, formula, operands)
    check_operands(name, (*names, *defaults))
    check_domain(name, domain, names)
    definition = f"elementwise {name} {names} {defaults} = {text}"
    known = declared(name, definition)
    if known is not None:
        return known
    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    parameters += [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=value)
        for n, value in defaults.items()
    ]
    signature = inspect.Signature(parameters)

    def call(op: Op, *values: Any, **numbers: Any) -> Node:
        try:
            bound = signature.bind(*values, **numbers)
        except TypeError as error:
            raise UnsupportedError(f"{name}: {error}") from None
        given = [bound.arguments[n] for n in names]
        static = [number(name, n, bound.arguments.get(n, value)) for n, value in defaults.items()]
        # Not a node that is expanded late: the rules that make formulas stable come before the
        # derivative is taken, and have to see what it is taken of. What SymPy derives from
        # x / (1 + exp(-x)) as it stands is NaN at -1000.
        result = body(*lift(*given, floating=True), *static)
        return result.graph.hint(result, name)

    expression = trial(body, names, defaults)
    return composite(
        name,
        doc or text + derivatives_text(expression, names),
        body=body,
        call=call,
        operands=names,
        parameters=tuple(defaults),
        symbolic=None if expression is None else lambda sp, *values: expression.xreplace(
            {sp.Symbol(n, real=True): value for n, value in zip(names, values, strict=True)}
        ),
        samples=elementwise_samples(names, domain or [(0.5, 2.0)] * len(names), False),
        definition=definition,
    )  # fmt: skip


def formula_body(
    name: str, formula: Any, operands: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, float], Callable[..., Node], str]:
    """The operands of a formula, its static numbers, the nodes that it makes, and its text."""
    import sympy

    if isinstance(formula, str):
        expression = parse(formula)
        names = ordered(name, expression.names, operands)
        return (
            names, {}, lambda *values: expression.build(dict(zip(names, values, strict=True))),
            " ".join(formula.split()),
        )  # fmt: skip
    defaults: dict[str, float] = {}
    if isinstance(formula, sympy.Expr):
        names = ordered(name, sorted(symbol.name for symbol in formula.free_symbols), operands)
    elif callable(formula):
        formula, names, defaults = called(name, formula)
    else:
        raise ExpressionError(
            f"op {name!r}: a formula is a function of SymPy symbols, a SymPy expression or a text, "
            f"got {formula!r:.60}"
        )
    every = (*names, *defaults)
    return (
        names, defaults, lambda *values: build(formula, dict(zip(every, values, strict=True))),
        str(formula),
    )  # fmt: skip


def called(name: str, function: Callable[..., Any]) -> tuple[Any, tuple[str, ...], dict[str, Any]]:
    """What a function makes of SymPy symbols, with its operands and its static numbers."""
    import sympy

    names, defaults = [], {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise DeclarationError(f"op {name!r}: the arguments of the formula are plain, as in x")
        if parameter.default is inspect.Parameter.empty:
            names.append(parameter.name)
        else:
            defaults[parameter.name] = number(name, parameter.name, parameter.default)
    symbols = [sympy.Symbol(n, real=True) for n in (*names, *defaults)]
    try:
        formula = sympy.sympify(function(*symbols), strict=True)
    except Exception as error:
        raise ExpressionError(
            f"op {name!r}: the formula fails on SymPy symbols: {type(error).__name__}: {error}",
            hint="use SymPy's functions, sympy.exp and not np.exp or math.exp",
        ) from None
    if not isinstance(formula, sympy.Expr):
        raise ExpressionError(f"op {name!r}: the formula is no number: {formula!s:.60}")
    return formula, tuple(names), defaults


def trial(body: Callable[..., Node], names: Sequence[str], defaults: Mapping[str, float]) -> Any:
    """The formula of an op as SymPy has it; None where it is too large for that.

    What has no op is told here, and not when the op is first used.
    """
    scratch = Graph("trial", dtype="float64")
    stand_ins = [scratch.argument("input", n, (), scratch.dtype) for n in names]
    with scratch, scratch.quiet():
        node = body(*stand_ins, *defaults.values())
    try:
        return to_sympy(node)
    except ExpressionError:
        return None


def derivatives_text(formula: Any, names: Sequence[str]) -> str:
    """The derivatives of a formula in a line of prose, where it is small."""
    import sympy

    if formula is None or formula.count_ops() > MAX_DERIVED:
        return ""
    rows = [f"∂/∂{n} = {sympy.diff(formula, sympy.Symbol(n, real=True))}" for n in names]
    return f"; {', '.join(rows)}"


def number(name: str, parameter: str, value: Any) -> float:
    """A static number of an op."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DTypeError(f"{name}: {parameter} is a finite number, got {value!r:.60}")
    return float(value)
