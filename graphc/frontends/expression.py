"""Formulas as text: a parser of our own, which knows arithmetic and the functions of the registry.

Nothing is ever executed. The grammar and the precedence are Python's, of which there are numbers,
names, `+ - * / **`, parentheses and calls. It is read by operator precedence with a stack and not
by recursion, so that no nesting is too deep (Dijkstra, "Making a Translator for ALGOL 60", 1961).
"""

from __future__ import annotations

import keyword
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, NoReturn

from graphc import ops
from graphc.errors import ExpressionError, GraphcError, suggest
from graphc.ir.node import Node
from graphc.ir.op import FUNCTIONS, OPS, Op, outermost
from graphc.ir.types import TensorType, float64
from graphc.ops.operands import operand

MAX_LENGTH = 100_000  # characters
MAX_DIGITS = 60  # characters of a number or a name
CONSTANTS = {"pi": math.pi, "e": math.e}

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|//|<<|>>|[<>=!]=|[-+*/(),])"
)
_EXPLAINED = {
    "^": "a power is written **",
    "//": "write x / y, or floor_divide(x, y)",
    "%": "write remainder(x, y), or fmod(x, y)",
    "@": "all values are scalars: write x * y",
    ".": "there are no attributes",
    "[": "there are no subscripts",
    "]": "there are no subscripts",
    "{": "group with ( and )",
    "}": "group with ( and )",
    "'": "there is no text in a formula",
    '"': "there is no text in a formula",
    **dict.fromkeys(("=", "<", ">", "==", "<=", ">=", "!="), "a formula has no comparisons"),
}


class Operator(NamedTuple):
    """An operator on the stack: the op it stands for, how strongly it binds, its operands."""

    name: str
    binding: int
    arity: int
    place: int


_BINARY = {
    "+": ("add", 1),
    "-": ("subtract", 1),
    "*": ("multiply", 2),
    "/": ("divide", 2),
    "**": ("pow", 4),
}
_UNARY = {"+": ("positive", 3), "-": ("negative", 3)}
_GROUP = "("
_OPEN = 0  # the binding of an opening parenthesis: nothing pops it but its partner


class Step(NamedTuple):
    """One step in postfix order: a number, a name, or an op on the last `arity` values."""

    what: float | str
    arity: int | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula that was read.

    steps   in postfix order
    names   of its variables, as they appear
    number  what it comes to, where it is arithmetic on numbers alone
    """

    text: str
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    number: float | None

    def build(self, operands: Mapping[str, Any]) -> Node:
        """The formula of operands by name; of numbers alone, a constant of the current graph."""
        values: list[Any] = []
        for what, arity in self.steps:
            if arity is not None:
                taken = values[len(values) - arity :]
                del values[len(values) - arity :]
                values.append(FUNCTIONS[str(what)](*taken))
            elif isinstance(what, str):
                values.append(operands[what])
            else:
                values.append(what)
        (value,) = values
        return operand(value, floating=True)


def from_expression(text: str, **inputs: Any) -> Node:
    """The node of a formula such as `"exp(x*z) + sin(log(x))/z"`, for its variables by name.

    The text is Python's arithmetic with `pi`, `e` and the elementwise functions of graphc
    (`graphc ops` lists them); a power is `**`. It is parsed and never executed. Raises
    ExpressionError, with the column, for whatever else it holds and for variables that are not
    given.
    """
    expression = parse(text)
    for name in expression.names:
        if name not in inputs:
            given = f"given are {', '.join(inputs)}" if inputs else "none are given"
            raise ExpressionError(
                f"the variable {name!r} of {shown(text)} is not given; {given}",
                hint=suggest(name, inputs),
            )
    node: Node = outermost(expression.build, inputs)
    return node


def parse(text: object) -> Expression:
    """Read a formula. Raises ExpressionError, with the column, for what is none."""
    if not isinstance(text, str):
        raise ExpressionError(f"a formula is a text such as 'x * sin(x)', got {text!r:.60}")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"the formula has {len(text)} characters, of at most {MAX_LENGTH}",
            hint="declare larger graphs in Python, where values can have names",
        )
    return Parser(text).parsed()


def scalar_functions() -> tuple[str, ...]:
    """The names of the functions that a formula may call: what makes a number of each number."""
    return _scalar_functions(len(OPS))


@cache
def _scalar_functions(registered: int) -> tuple[str, ...]:
    return tuple(name for name, op in OPS.items() if _is_scalar_function(op))


def _is_scalar_function(op: Op) -> bool:
    public = op.name in ops.__all__ or bool(op.definition)
    if not public or "condition" in op.operands:
        return False
    if op.family != "elementwise":
        return bool(op.symbolic and op.operands)
    numbers = [TensorType((), float64)] * len(op.operands)
    try:
        return op.infer(lambda guard: None, *numbers) == numbers[0]
    except GraphcError:  # some operand is no float
        return False


@dataclass(slots=True)
class Parser:
    """Reads one text.

    values   for each value so far what it comes to, where it is made of numbers alone
    pending  the operators whose operands are not complete
    """

    text: str
    steps: list[Step] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    pending: list[Operator] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    called: str = ""  # the function whose parenthesis comes next
    place: int = 0

    def parsed(self) -> Expression:
        """The formula, from the first token to the last."""
        expecting = True  # an operand, not an operator
        for (kind, token, place), (_, following, _) in pairwise(self.tokens()):
            self.place = place
            if kind == "sign":
                expecting = self.prefix(token) if expecting else self.infix(token)
            elif not expecting:
                self.fail(
                    f"expected an operator before {token!r:.40}", "a product is written with *"
                )
            elif kind == "number":
                self.push(self.number(token))
                expecting = False
            else:
                expecting = self.name(token, calls=following == _GROUP)
        self.place = len(self.text)
        if expecting:
            self.fail("expected a number, a name or a parenthesis at the end")
        self.reduce(_OPEN + 1)
        if self.pending:
            self.place = self.pending[-1].place
            self.fail("this parenthesis is never closed")
        return Expression(self.text, tuple(self.steps), tuple(self.names), self.values[-1])

    def tokens(self) -> Iterator[tuple[str, str, int]]:
        """Kind, text and place of each token that is no space, and of the end."""
        place = 0
        while place < len(self.text):
            match = _TOKEN.match(self.text, place)
            self.place = place
            if match is None:
                self.unreadable(self.text[place])
            kind, token = str(match.lastgroup), match[0]
            if token in _EXPLAINED:
                self.fail(f"unexpected {token!r}", _EXPLAINED[token])
            if kind != "space":
                yield kind, token, place
            place = match.end()
        yield "end", "", place

    def unreadable(self, character: str) -> NoReturn:
        """Refuse a character, and say what it is where it could be taken for another."""
        if character.isascii() and character.isprintable():
            self.fail(f"unexpected {character!r}", _EXPLAINED.get(character))
        name = unicodedata.name(character, "a control character")
        self.fail(
            f"unexpected {character!r} (U+{ord(character):04X}, {name})",
            "names have the letters a-z, A-Z, digits and _",
        )

    # --- operands -------------------------------------------------------------------------------

    def number(self, token: str) -> float:
        """The value of a literal."""
        value = float(token) if len(token) <= MAX_DIGITS else math.inf
        if len(token) > MAX_DIGITS:
            self.fail(f"a number of {len(token)} characters, of at most {MAX_DIGITS}")
        if math.isinf(value):
            self.fail(f"{token} is larger than the largest float")
        return value

    def name(self, token: str, *, calls: bool) -> bool:
        """Take a constant, a variable or the name of a function; whether an operand is expected."""
        known = scalar_functions()
        if calls:
            if token not in known:
                listed = "write log" if token == "ln" else f"there are {', '.join(sorted(known))}"
                hint = suggest(token, known) or listed
                if token in CONSTANTS or token in self.names:
                    hint = f"a product is written {token}*(…)"
                self.fail(f"there is no function {token!r:.40}", hint)
            self.called = token
            return True
        if token in known:
            self.fail(f"{token} is a function", f"write {token}(…)")
        if keyword.iskeyword(token):
            self.fail(f"{token!r} is a keyword of Python, not a name")
        if len(token) > MAX_DIGITS:
            self.fail(f"a name of {len(token)} characters, of at most {MAX_DIGITS}")
        if token in CONSTANTS:
            self.push(CONSTANTS[token])
        else:
            self.names.setdefault(token)
            self.steps.append(Step(token))
            self.values.append(None)
        return False

    def push(self, number: float) -> None:
        """Take a number."""
        self.steps.append(Step(number))
        self.values.append(number)

    # --- operators ------------------------------------------------------------------------------

    def prefix(self, token: str) -> bool:
        """Take a sign where an operand is expected, which it still is then."""
        if token in _UNARY:
            name, binding = _UNARY[token]
            self.pending.append(Operator(name, binding, 1, self.place))
        elif token == _GROUP:
            self.pending.append(Operator(self.called or _GROUP, _OPEN, 1, self.place))
            self.called = ""
        else:
            self.fail(f"expected a number, a name or a parenthesis before {token!r}")
        return True

    def infix(self, token: str) -> bool:
        """Take a sign after an operand; whether another operand is expected."""
        if token in _BINARY:
            name, binding = _BINARY[token]
            self.reduce(binding + (token == "**"))  # from the right only powers are
            self.pending.append(Operator(name, binding, 2, self.place))
            return True
        if token == _GROUP:
            self.fail("expected an operator before '('", "a product is written with *")
        self.reduce(_OPEN + 1)
        if not self.pending:
            self.fail(f"unexpected {token!r}", "there is no parenthesis that it could belong to")
        opened = self.pending.pop()
        if token == ",":
            if opened.name == _GROUP:
                self.fail("unexpected ','", "only the arguments of a function are listed")
            self.pending.append(opened._replace(arity=opened.arity + 1))
            return True
        if opened.name != _GROUP:
            expected = len(OPS[opened.name].operands)
            if opened.arity != expected:
                plural = "s" * (expected != 1)
                self.fail(f"{opened.name} takes {expected} argument{plural}, got {opened.arity}")
            self.apply(opened)
        return False

    def reduce(self, binding: int) -> None:
        """Apply the operators on the stack that bind at least so strongly."""
        while self.pending and self.pending[-1].binding >= binding:
            self.apply(self.pending.pop())

    def apply(self, operator: Operator) -> None:
        """Take an op whose operands are complete."""
        name, _, arity, place = operator
        numbers = [value for value in self.values[-arity:] if value is not None]
        del self.values[-arity:]
        value = None
        if len(numbers) == arity and name in _ARITHMETIC:
            self.place = place
            value = self.computed(name, numbers)
        self.values.append(value)
        if name == "negative" and self.steps[-1].arity is None and value is not None:
            self.steps[-1] = Step(value)  # a literal with its sign
        elif name == "negative" and self.steps[-1] == Step("negative", 1):
            self.steps.pop()
        elif name != "positive":
            self.steps.append(Step(name, arity))

    def computed(self, name: str, numbers: list[float]) -> float:
        """What numbers alone come to: a float, or an error here and not in what is generated."""
        value: Any
        try:
            value = _ARITHMETIC[name](*numbers)
        except ZeroDivisionError:
            self.fail("this divides by 0")
        except (OverflowError, ValueError):
            value = math.inf
        if isinstance(value, complex) or not math.isfinite(value):
            self.fail("this has no finite real value")
        if name == "pow" and value == 0.0 and numbers[0] != 0.0:
            self.fail("this is smaller than the smallest float")
        return float(value)

    def fail(self, problem: str, hint: str | None = None) -> NoReturn:
        """Raise the error about what stands at this place."""
        raise ExpressionError(
            f"{shown(self.text, self.place)}: column {self.place + 1}: {problem}", hint=hint
        )


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "negative": lambda x: -x,
    "positive": lambda x: x,
}


def shown(text: str, place: int = 0) -> str:
    """A formula as a message quotes it: of a long one what is around a place."""
    start, end = max(0, place - 30), place + 30
    part = text[start:end]
    return f"{'…' * (start > 0)}{part!r}{'…' * (end < len(text))}"
