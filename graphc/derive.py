"""One formula and its derivatives: in closed form, as shared steps, and in numbers at a point."""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.api import Module, compile
from graphc.codegen.assemble import reserved
from graphc.codegen.printer import Printer
from graphc.codegen.scalars import SCALARS
from graphc.errors import ExpressionError, UsageError, suggest
from graphc.frontends.builder import Graph
from graphc.frontends.expression import Expression, parse
from graphc.inspect.symbolic import to_sympy
from graphc.ir.function import topological
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.lower.naming import Names
from graphc.lower.program import Program, is_literal
from graphc.ops.derivatives import grad
from graphc.ops.shape import zeros_like

MAX_OPERATIONS = 2_000  # of a formula, equal ones counted once
MAX_DERIVATIVES = 1_000  # with respect to one variable, or two
MAX_PRINTED = 300  # operations of a closed form: as a tree, in which nothing is shared
OMITTED = f"omitted: more than {MAX_PRINTED} operations when nothing is shared"
MAX_SIMPLIFIED = 24  # operations; what SymPy tries on more can take minutes
MAX_EXPONENT = 12  # of what is simplified, since powers of sums are multiplied out


@dataclass(frozen=True, slots=True)
class Derivation:
    """A formula, what it is differentiated by, and the scalar module that computes all of it.

    target   what the value is called: `y`, unless that is a variable
    value    the node of the formula
    entries  for each derivative the variables that it is taken by
    """

    expression: Expression
    target: str
    value: Node
    entries: tuple[tuple[str, ...], ...]
    module: Module

    def text(self, point: Mapping[str, float] | None = None) -> str:
        """Closed forms, steps, and the numbers at a point if one is given."""
        numbers = [] if point is None else list(self.numbers(point))
        titles = [self.target, *(derivative(self.target, names) for names in self.entries)]
        lines = ["closed forms", *aligned(titles, self.closed_forms())]
        lines += ["", "steps", *(f"  {line}" for line in self.steps())]
        if point is not None:
            place = ", ".join(f"{name} = {value!r}" for name, value in point.items())
            lines += ["", f"at {place}" if place else "numbers", *aligned(titles, numbers)]
        return "\n".join(lines) + "\n"

    def closed_forms(self) -> Iterator[str]:
        """The formula and its derivatives by SymPy; in place of one that is too large, its size."""
        try:
            formula = to_sympy(self.value)
        except ExpressionError:
            yield from [OMITTED] * (1 + len(self.entries))
            return
        yield printed(formula, ())
        for names in self.entries:
            yield printed(formula, names)

    def steps(self) -> list[str]:
        """What the module computes, each value once, in reading order."""
        lowered = self.module.lowered
        names = Names(lowered.graph, reserved(lowered, SCALARS))
        known = {node.params.name: names.of(node) for node in lowered.inputs}
        lines = [f"{own} = {name}" for name, own in known.items() if own != name]

        def statements(program: Program | None) -> list[str]:
            if program is None:
                return []
            return Printer(program, names, SCALARS, comments=False).statements()

        def named(program: Program | None) -> Iterator[str]:
            for node in () if program is None else program.results:
                literal = is_literal(node)
                yield SCALARS.constant(node, names.of_size) if literal else names.of(node)

        if len(lowered.outputs) > 1:
            lines += statements(lowered.predict)
            ends = [*named(lowered.predict)]
        else:
            lines += statements(lowered.forward)
            ends = [next(named(lowered.forward))]
            seeds = () if lowered.backward is None else lowered.backward.arguments
            lines += [f"{names.of(node)} = 1.0" for node in seeds if is_cotangent(node)]
            lines += statements(lowered.backward)
            ends += named(lowered.backward)
        titles = [self.target, *(derivative(self.target, entry) for entry in self.entries)]
        return [*lines, *(f"{t} = {n}" for t, n in zip(titles, ends, strict=True) if t != n)]

    def numbers(self, point: Mapping[str, float]) -> Iterator[str]:
        """The value and the derivatives at a point, as the module computes them."""
        net, lowered = self.module.load(), self.module.lowered

        def arguments(program: Program | None) -> list[float]:
            return [] if program is None else [point[n.params.name] for n in program.arguments]

        try:
            if len(lowered.outputs) > 1:
                results = list(net.predict(*arguments(lowered.predict)))
            else:
                value, grads = net.value_and_grad(*arguments(lowered.forward))
                results = [value, *(grads[name] for (name,) in self.entries)]
        except (ValueError, ArithmeticError) as error:
            place = ", ".join(f"{name} = {value!r}" for name, value in point.items())
            raise UsageError(
                f"the formula or a derivative has no value at {place}: {error}"
            ) from None
        yield from map(repr, results)


def derive(
    text: str, *, wrt: Sequence[str] = (), order: int = 1, command: str | None = None
) -> Derivation:
    """Differentiate a formula, given as text, by some of its variables.

    wrt      names of variables; all of them where none is named
    order    1, or 2 for the entries of the Hessian as well
    command  how to make the module again, for its docstring

    Raises ExpressionError for a text that is no formula, UsageError for a variable that is not in
    it.
    """
    expression = parse(text)
    if not expression.names:
        raise UsageError("the formula has no variable to differentiate by")
    for name in wrt:
        if name not in expression.names:
            raise UsageError(
                f"wrt {name!r} is no variable of the formula; those are "
                f"{', '.join(expression.names)}",
                hint=suggest(name, expression.names),
            )
    by = tuple(dict.fromkeys(wrt)) or expression.names
    asked = sum(math.comb(len(by) + n - 1, n) for n in range(1, order + 1))
    if asked > MAX_DERIVATIVES:
        raise UsageError(
            f"the formula has {asked} derivatives by {len(by)} variables, of at most "
            f"{MAX_DERIVATIVES}",
            hint="name fewer of them with --wrt",
        )
    entries = [
        names
        for n in range(1, order + 1)
        for names in itertools.combinations_with_replacement(by, n)
    ]
    target = free(("y", "f", "value", "result"), expression.names)
    graph = Graph("derivation", dtype="float64")
    with graph, graph.quiet():  # no line of a file is worth noting
        variables = {name: graph.input(name) for name in expression.names}
        value = expression.build(variables)
        graph.output(target, value)
        operations = sum(bool(node.args) for node in topological([value]))
        if operations > MAX_OPERATIONS:
            raise UsageError(
                f"the formula has {operations} operations, each counted once, of at most "
                f"{MAX_OPERATIONS}",
                hint="declare it as a graph",
            )
        if order == 2:
            known: dict[tuple[str, ...], Node] = {(): value}
            for names in entries:
                before = known[names[:-1]]
                slope = grad(before, variables[names[-1]], allow_unused=True)
                known[names] = slope if isinstance(slope, Node) else zeros_like(value)
                graph.output(free(["_".join((target, *names))], graph.outputs), known[names])
            graph.loss(value)
    module = compile(graph, style="scalar", wrt=by, allow_unused=True, command=command)
    return Derivation(expression, target, value, tuple(entries), module)


def free(names: Sequence[str], taken: Collection[str]) -> str:
    """The first of some names that is not taken; if all are, the first of them with a number."""
    numbered = (f"{names[0]}_{n}" for n in itertools.count(2))
    return next(name for name in itertools.chain(names, numbered) if name not in taken)


def point_of(text: str, names: Sequence[str]) -> dict[str, float]:
    """The numbers in `x=2,z=3`, one for each of the names; a number may be arithmetic, as `pi/2`.

    Raises UsageError for a name that is missing, doubled or none of these.
    """
    point: dict[str, float] = {}
    for item in text.split(","):
        name, equals, number = (part.strip() for part in item.partition("="))
        if not equals:
            raise UsageError(f"--at expects NAME=NUMBER, got {item.strip()!r:.60}")
        if name not in names:
            listed = ", ".join(names)
            raise UsageError(
                f"--at names {name!r:.60}, but the variables are {listed}",
                hint=suggest(name, names),
            )
        if name in point:
            raise UsageError(f"--at gives {name!r} twice")
        value = parse(number).number
        if value is None:
            raise UsageError(f"--at expects a number for {name!r}, got {number!r:.60}")
        point[name] = value
    missing = [name for name in names if name not in point]
    if missing:
        raise UsageError(f"--at gives no number for {', '.join(missing)}")
    return {name: point[name] for name in names}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What the subcommand `derive` takes."""
    command.add_argument(
        "formula", metavar="EXPR", help="as in 'exp(x*z) + sin(x)/z'; after -- if it begins with -"
    )
    command.add_argument(
        "--wrt", default="", metavar="NAMES", help="differentiate by these variables, not by all"
    )
    command.add_argument("--at", metavar="NAME=X,…", help="the numbers there, as in x=2,z=pi/3")
    command.add_argument(
        "--order", type=int, choices=[1, 2], default=1, help="2 for the Hessian as well"
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write a module in the scalar style; - for the module alone, on standard output",
    )
    command.add_argument(
        "--force", action="store_true", help="replace a file that graphc did not write"
    )


# --- closed forms ------------------------------------------------------------------------------


def printed(formula: Any, names: Sequence[str]) -> str:
    """A derivative as text, or a note in place of one that is too large."""
    try:
        result = differentiated(formula, names)
        return str(result) if result.count_ops() <= MAX_PRINTED else OMITTED
    except RecursionError:
        return "omitted: nested too deeply to be written out"


def differentiated(formula: Any, names: Sequence[str]) -> Any:
    """The derivative by SymPy, in the shorter of a few forms."""
    import sympy

    symbols = {symbol.name: symbol for symbol in formula.free_symbols}
    if not symbols.keys() >= set(names):
        return sympy.Integer(0)
    result = formula
    for name in names:
        if result.count_ops() > MAX_PRINTED:
            break  # told as it is: the next derivative is larger still
        result = sympy.diff(result, symbols[name])
    if not names or result.count_ops() > MAX_PRINTED:
        return result
    forms = [result, sympy.factor_terms(result)]
    if result.count_ops() <= MAX_SIMPLIFIED and all(
        abs(power.exp) <= MAX_EXPONENT for power in result.atoms(sympy.Pow) if power.exp.is_number
    ):
        simple = sympy.simplify(result)
        # Only for much: sqrt(2)*cos(x + pi/4) is no plainer than cos(x) - sin(x), and it may divide
        # into cases, of which some are no real number.
        same_cases = simple.has(sympy.Piecewise) == result.has(sympy.Piecewise)
        forms += [simple] if same_cases and 2 * simple.count_ops() <= result.count_ops() else []
    return min(forms, key=lambda form: int(form.count_ops()))


def derivative(target: str, names: Sequence[str]) -> str:
    """What a derivative is called: `∂y/∂x`, `∂²y/∂x²`, `∂²y/∂x∂z`."""
    if len(names) == 1:
        return f"∂{target}/∂{names[0]}"
    first, second = names
    return f"∂²{target}/∂{first}²" if first == second else f"∂²{target}/∂{first}∂{second}"


def aligned(titles: Sequence[str], texts: Iterator[str] | Sequence[str]) -> list[str]:
    """Lines `title = text`, with the equals signs in a column."""
    width = max(map(len, titles))
    return [f"  {title:<{width}} = {text}" for title, text in zip(titles, texts, strict=True)]
