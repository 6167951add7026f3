"""SymPy expressions as nodes: the ops' own formulas, read from right to left."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from graphc.errors import ExpressionError, suggest
from graphc.ir.node import Node
from graphc.ir.op import OPS, Op, outermost
from graphc.ops.comparison import equal
from graphc.ops.elementwise import sign, sqrt, where
from graphc.ops.operands import operand


def from_sympy(expression: Any, **inputs: Any) -> Node:
    """The node of a SymPy expression, for a node or a number for each of its symbols by name.

    Functions become the ops that state to be them (`sympy.exp` is `gc.exp`), `Piecewise` becomes
    `gc.where`; equal subexpressions become one node. Operands broadcast as NumPy's do. Raises
    ExpressionError for a symbol that is not given, a name that is no symbol of the expression, a
    function that there is no op for, and a value that is not real.
    """
    formula = read(expression)
    names = sorted(symbol.name for symbol in formula.free_symbols)
    for name in (*names, *inputs):
        if name not in inputs or name not in names:
            problem = "is not given" if name in names else "is no symbol of the expression"
            known = inputs if name in names else names
            listed = f"the {'inputs' if name in names else 'symbols'} are {', '.join(known)}"
            raise ExpressionError(
                f"{name!r} {problem}; {listed if known else 'there are none'}",
                hint=suggest(name, known),
            )
    node: Node = outermost(build, formula, inputs)
    return node


def read(expression: Any) -> Any:
    """The expression as SymPy has it. Raises ExpressionError for text and for what is none."""
    import sympy

    if isinstance(expression, str):
        raise ExpressionError(
            f"from_sympy expects a SymPy expression, got the text {expression!r:.60}",
            hint="gc.from_expression reads text",
        )
    if isinstance(expression, (bool, int, float)):
        return sympy.sympify(expression)
    if not isinstance(expression, sympy.Expr):
        raise ExpressionError(f"from_sympy expects a SymPy expression, got {expression!r:.60}")
    return expression


def build(formula: Any, inputs: Mapping[str, Any]) -> Node:
    """The node of an expression; what it is made of is made first, and once."""
    known: dict[Any, Any] = {}
    pending = [formula]
    while pending:
        part = pending[-1]
        parts = list(parts_of(part))
        waiting = [p for p in parts if p not in known]
        if waiting:
            pending += reversed(waiting)
            continue
        pending.pop()
        if part not in known:
            known[part] = converted(part, known, inputs)
    return operand(known[formula], floating=True)


def parts_of(part: Any) -> Iterator[Any]:
    """The subexpressions that have to be there before a node can be made of an expression."""
    import sympy

    if part.is_Symbol or part.is_number or part in (sympy.true, sympy.false):
        return
    if isinstance(part, sympy.Piecewise):
        for value, condition in part.args:
            yield value
            if condition != sympy.true:
                yield condition
    elif part.is_Pow:
        base, exponent = part.args
        yield base
        if not is_root(exponent):
            yield -exponent if exponent.is_negative else exponent
    elif part.is_Mul:
        numerator, denominator = factors(part)
        yield from numerator
        yield from denominator
    elif part.is_Add:
        for term in part.as_ordered_terms():
            yield -term if is_negative(term) else term
    elif isinstance(part, sympy.Heaviside):
        yield part.args[0]
    else:
        op_of(part)  # first: what it has for arguments may be no expressions
        yield from part.args


def is_root(exponent: Any) -> bool:
    """Whether a power is a root or a reciprocal: the exponent is ±1 or ±1/2."""
    return bool(exponent.is_Rational and abs(exponent.p) == 1 and exponent.q in (1, 2))


def converted(part: Any, known: Mapping[Any, Any], inputs: Mapping[str, Any]) -> Any:
    """The node or number of an expression, for those of its parts."""
    import sympy

    if part.is_Symbol:
        return inputs[part.name]
    if part in (sympy.true, sympy.false):
        return bool(part)
    if part.is_number:
        return number(part)
    if part.is_Add:
        return total(part, known)
    if part.is_Mul:
        return quotient(part, known)
    if part.is_Pow:
        return power(part, known)
    if isinstance(part, sympy.Piecewise):
        return choice(part, known)
    values = [known[p] for p in part.args[:1] if isinstance(part, sympy.Heaviside)]
    if values:
        at_zero = float(part.args[1])
        step = 0.5 * (sign(values[0]) + 1.0)
        return step if at_zero == 0.5 else where(equal(values[0], 0.0), at_zero, step)
    return applied(part, [known[arg] for arg in part.args])


def applied(part: Any, values: list[Any]) -> Any:
    """A function of values: the op whose formula it is, or a relation."""
    call = op_of(part)
    if len(values) == len(call.operands):
        return call(*values)
    result, *rest = values  # Max, Min, And and Or take any number
    for value in rest:
        result = call(result, value)
    return result


def op_of(part: Any) -> Op:
    """The op that a function of SymPy's is. Raises ExpressionError where there is none."""
    found = functions(len(OPS)).get(part.func)
    if found is None:
        raise ExpressionError(
            f"there is no op for SymPy's {part.func.__name__}, in {part!s:.80}",
            hint=suggest(part.func.__name__, OPS) or "rewrite it in terms of functions with an op",
        )
    return found


@cache
def functions(registered: int) -> dict[Any, Op]:
    """SymPy's functions with the ops that are nothing else, as the ops' formulas say.

    registered  the number of ops: with another op there may be another function
    """
    import sympy

    found: dict[Any, Op] = {}
    for op in OPS.values():
        if op.symbolic is not None and not op.definition:
            count = len(inspect.signature(op.symbolic).parameters) - 1
            symbols = sympy.symbols(f"x:{count}")  # numbers or bools
            formula = op.symbolic(sympy, *symbols)
            if formula.args == symbols:
                found.setdefault(formula.func, op)
    return found


def number(part: Any) -> float | int:
    """The value of an expression without symbols."""
    import sympy

    if part in (sympy.oo, -sympy.oo, sympy.nan):
        return float(part)
    if part.is_Integer and abs(part) < 2**53:
        return int(part)
    value = part.evalf()
    try:
        result = float(value)
    except (TypeError, OverflowError):
        result = math.inf
    if not math.isfinite(result):
        raise ExpressionError(f"{part!s:.80} has no finite real value")
    return result


def is_negative(term: Any) -> bool:
    """Whether a term is written with a minus."""
    return bool(term.could_extract_minus_sign())


def total(part: Any, known: Mapping[Any, Any]) -> Any:
    """A sum, what is negative subtracted."""
    terms = part.as_ordered_terms()
    terms.sort(key=is_negative)  # a difference begins with what it is taken from
    result: Any = None
    for term in terms:
        negative = is_negative(term)
        value = known[-term if negative else term]
        if result is None:
            result = -value if negative else value
        else:
            result = result - value if negative else result + value
    return result


def factors(part: Any) -> tuple[list[Any], list[Any]]:
    """What a product multiplies, and what it divides by; all of its numbers are one."""
    import sympy

    numbers, others = part.as_independent(*part.free_symbols, as_Add=False)
    numerator, denominator = [], []
    if not numbers.is_Rational:
        numerator.append(numbers)
    elif numbers != 1:
        numerator += [sympy.Integer(numbers.p)] * (numbers.p != 1)
        denominator += [sympy.Integer(numbers.q)] * (numbers.q != 1)
    for factor in others.as_ordered_factors():
        base, exponent = factor.as_base_exp()
        if factor.is_Pow and exponent.is_Rational and exponent.is_negative:
            denominator.append(base**-exponent)
        else:
            numerator.append(factor)
    return numerator, denominator


def quotient(part: Any, known: Mapping[Any, Any]) -> Any:
    """A product, over what it divides by."""
    numerator, denominator = ([known[f] for f in side] for side in factors(part))
    over = product(denominator)
    if over is None:
        return product(numerator)
    return (1.0 if not numerator else product(numerator)) / over


def product(values: list[Any]) -> Any:
    """Values multiplied, of which a first -1 is a sign; None for no values."""
    negative = len(values) > 1 and type(values[0]) is int and values[0] == -1
    result: Any = None
    for value in values[negative:]:
        result = value if result is None else result * value
    return -result if negative else result


def power(part: Any, known: Mapping[Any, Any]) -> Any:
    """A power: roots and reciprocals as what they are."""
    base, exponent = part.args
    value = known[base]
    if is_root(exponent):
        root = value if exponent.q == 1 else sqrt(value)
        return 1.0 / root if exponent.is_negative else root
    if exponent.is_Rational and exponent.is_negative:
        return 1.0 / value ** known[-exponent]
    raised: Callable[..., Any] = OPS["pow"]
    return raised(value, -known[-exponent] if exponent.is_negative else known[exponent])


def choice(part: Any, known: Mapping[Any, Any]) -> Any:
    """A piecewise expression; where no condition holds it is NaN, as SymPy has it."""
    import sympy

    *pieces, (last, otherwise) = part.args
    result = known[last]
    if otherwise != sympy.true:
        result = where(known[otherwise], result, math.nan)
    for value, condition in reversed(pieces):
        result = where(known[condition], known[value], result)
    return result
