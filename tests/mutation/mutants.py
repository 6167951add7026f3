"""Mutants of a source file: each one small change of meaning, made in the text.

Left alone is what no test should pin down: documentation, annotations, the texts of messages,
`__repr__`, and the arguments that ops are tried on. Left alone, too, is what only raises a
TypeError wherever it runs, such as a minus between strings: to catch it proves nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

BINARY: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "//"), ast.Pow: ("**", "*"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
}  # fmt: skip
COMPARED: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
}  # fmt: skip
RENAMED = {
    "min": "max", "max": "min", "any": "all", "all": "any", "reversed": "list", "sorted": "list",
    "setdefault": "get", "isdisjoint": "issubset", "difference": "union",
}  # fmt: skip
SKIPPED_FUNCTIONS = {"__repr__", "__str__", "describe", "shape_text", "_samples"}
SKIPPED_NAMES = {"__slots__", "__all__", "MAX_UNROLLED"}
SKIPPED_KEYWORDS = {
    "strict", "hint", "samples", "domain", "noun", "phrase", "doc", "kink", "name", "repr",
    "maxsize",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: the bytes from `start` to `end` of a file become `new`."""

    file: str
    start: int
    end: int
    new: str
    kind: str
    source: bytes

    @property
    def text(self) -> bytes:
        """The mutated file."""
        return self.source[: self.start] + self.new.encode() + self.source[self.end :]

    @property
    def lines(self) -> range:
        """The lines that are changed, counted from 1."""
        first = self.source.count(b"\n", 0, self.start) + 1
        return range(first, first + self.source.count(b"\n", self.start, self.end) + 1)

    def diff(self) -> tuple[str, str]:
        """The changed lines before and after, with as many before them as make them unique."""
        low = self.source.rfind(b"\n", 0, self.start) + 1
        high = self.source.find(b"\n", self.end)
        high = len(self.source) if high < 0 else high
        while low and self.source.count(self.source[low:high]) > 1:
            low = self.source.rfind(b"\n", 0, low - 1) + 1
        before = self.source[low:high].decode()
        start, end = self.source[low : self.start].decode(), self.source[self.end : high].decode()
        return flat(before), flat(start + self.new + end)

    @property
    def key(self) -> str:
        """What tells it from all others, as long as the file stays as it is."""
        return f"{self.file}:{self.lines[0]}:{self.start}:{self.kind}:{self.new}"


def flat(text: str) -> str:
    """Lines as one."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def mutants(file: str, source: bytes) -> list[Mutant]:
    """All mutants of a file, in the order of their places; a few of them do not compile."""
    found = dict.fromkeys(Sites(file, source).all())
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end))


def compiles(mutant: Mutant) -> bool:
    """Whether a mutant is another program at all."""
    try:
        tree = ast.parse(mutant.text)
    except (SyntaxError, ValueError):
        return False
    return ast.dump(tree) != ast.dump(ast.parse(mutant.source))


class Sites:
    """The places of a file that can be mutated."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file = file
        self.source = source
        self.tree = ast.parse(source)
        self.rows = [0]
        for line in source.splitlines(keepends=True):
            self.rows.append(self.rows[-1] + len(line))

    def all(self) -> Iterator[Mutant]:
        for node in walk(self.tree):
            for make in MAKERS.get(type(node), ()):
                yield from make(self, node)
        for lambda_or_rule in ast.walk(self.tree):
            yield from signs(self, lambda_or_rule)

    def span(self, node: ast.AST) -> tuple[int, int]:
        """From where to where a node goes."""
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self.rows[node.lineno - 1] + node.col_offset,
            self.rows[node.end_lineno - 1] + node.end_col_offset,
        )

    def code(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def replaced(self, node: ast.AST, new: str, kind: str) -> Mutant:
        return Mutant(self.file, *self.span(node), new, kind, self.source)

    def between(self, left: ast.AST, right: ast.AST, old: str, new: str, kind: str) -> Mutant:
        """The operator between two operands exchanged."""
        low, high = self.span(left)[1], self.span(right)[0]
        words = r"\s+".join(map(re.escape, old.split()))
        match = re.search(words.encode(), self.source[low:high])
        assert match is not None, self.source[low:high]
        start, end = low + match.start(), low + match.end()
        return Mutant(self.file, start, end, new, kind, self.source)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those whose meaning no test should pin down."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Raise):
                yield child
            elif isinstance(child, ast.AST) and not is_skipped(child):
                yield from walk(child)


def is_skipped(node: ast.AST) -> bool:
    """Whether a node is no behaviour."""
    match node:
        case ast.Assert() | ast.Import() | ast.ImportFrom() | ast.arg():
            return True
        case ast.FunctionDef(name=name):
            return name in SKIPPED_FUNCTIONS
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            alias = isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.dump(node.annotation)
            return name in SKIPPED_NAMES or alias or is_aliased(node.value)
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.keyword(arg=name):
            return name in SKIPPED_KEYWORDS
        case ast.Call(func=ast.Name(id="TypeVar" | "ContextVar")):
            return True
        case ast.JoinedStr():
            return not any(isinstance(part, ast.FormattedValue) for part in node.values)
    return False


def is_aliased(value: ast.expr | None) -> bool:
    """Whether what is assigned is a type, such as `NDArray[Any]`."""
    return isinstance(value, ast.Subscript) and "Any" in ast.dump(value)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def binary(sites: Sites, node: ast.BinOp) -> Iterator[Mutant]:
    if isinstance(node.op, ast.MatMult):
        swapped = f"{sites.code(node.right)} @ {sites.code(node.left)}"
        yield sites.replaced(node, swapped, "operands")
    old, new = BINARY.get(type(node.op), ("", ""))
    joined = any(isinstance(n, ast.Tuple | ast.List) or is_text(n) for n in (node.left, node.right))
    if old and not joined:
        yield sites.between(node.left, node.right, old, new, "operator")


def compared(sites: Sites, node: ast.Compare) -> Iterator[Mutant]:
    for (left, right), op in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
        old, new = COMPARED[type(op)]
        yield sites.between(left, right, old, new, "comparison")


def logical(sites: Sites, node: ast.BoolOp) -> Iterator[Mutant]:
    old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    for left, right in pairwise(node.values):
        yield sites.between(left, right, old, new, "and/or")


def unary(sites: Sites, node: ast.UnaryOp) -> Iterator[Mutant]:
    if isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        kind = {"Not": "not", "USub": "minus", "Invert": "not"}[type(node.op).__name__]
        yield sites.replaced(node, sites.code(node.operand), kind)


def constant(sites: Sites, node: ast.Constant) -> Iterator[Mutant]:
    value = node.value
    if isinstance(value, bool):
        yield sites.replaced(node, str(not value), "constant")
    elif isinstance(value, int):
        for new in (1,) if value == 0 else (value - 1, value + 1):
            yield sites.replaced(node, str(new), "constant")
    elif isinstance(value, float):
        yield sites.replaced(node, repr(value + 1), "constant")
    elif isinstance(value, str) and sites.file.startswith("graphc/ops/"):
        yield from template(sites, node)


def template(sites: Sites, node: ast.Constant) -> Iterator[Mutant]:
    """What is emitted, with an operator exchanged or two operands swapped."""
    text = sites.code(node)
    names = re.findall(r"\{\*?(\w+)\}", text)
    if not names:
        return
    for old, new in (" + ", " - "), (" - ", " + "), (" * ", " / "), (" / ", " * "), (" ** ", " * "):
        if old in text:
            yield sites.replaced(node, text.replace(old, new, 1), "template")
    inner = [name for name in dict.fromkeys(names) if name != "out"]
    if len(inner) > 1:
        first, second = f"{{{inner[0]}}}", f"{{{inner[1]}}}"
        parts = text.split(first)
        swapped = second.join(part.replace(second, first) for part in parts)
        yield sites.replaced(node, swapped, "template")


def called(sites: Sites, node: ast.Call) -> Iterator[Mutant]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    spelled = node.func.attr if isinstance(node.func, ast.Attribute) else name
    if spelled in RENAMED and node.args:
        end = sites.span(node.func)[1]
        start = end - len(spelled)
        yield Mutant(sites.file, start, end, RENAMED[spelled], "call", sites.source)
    if name in ("isinstance", "getattr", "hasattr", "zip", "min", "max") or len(node.args) != 2:
        return
    left, right = node.args
    if type(left) is type(right) and not isinstance(left, ast.Starred | ast.Constant):
        start, end = sites.span(left)[0], sites.span(right)[1]
        middle = sites.source[sites.span(left)[1] : sites.span(right)[0]].decode()
        new = f"{sites.code(right)}{middle}{sites.code(left)}"
        yield Mutant(sites.file, start, end, new, "arguments", sites.source)


def condition(sites: Sites, node: ast.If) -> Iterator[Mutant]:
    for value in ("True", "False"):
        yield sites.replaced(node.test, value, "condition")


def conditional(sites: Sites, node: ast.IfExp) -> Iterator[Mutant]:
    body, test, other = map(sites.code, (node.body, node.test, node.orelse))
    yield sites.replaced(node, f"{other} if {test} else {body}", "branches")


def filters(sites: Sites, node: ast.comprehension) -> Iterator[Mutant]:
    for test in node.ifs:
        yield sites.replaced(test, "True", "condition")


def sliced(sites: Sites, node: ast.Slice) -> Iterator[Mutant]:
    for bound in (node.lower, node.upper):
        if bound is not None and not isinstance(bound, ast.Constant):
            for step in ("+ 1", "- 1"):
                yield sites.replaced(bound, f"({sites.code(bound)}) {step}", "bound")


def statement(sites: Sites, node: ast.stmt) -> Iterator[Mutant]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield sites.replaced(node, "pass", "dropped")
        case ast.Break():
            yield sites.replaced(node, "continue", "loop")
        case ast.Continue():
            yield sites.replaced(node, "break", "loop")
        case ast.AugAssign(op=ast.Add() | ast.Sub() | ast.Mult() as op):
            old, new = BINARY[type(op)]
            if not isinstance(node.value, ast.List | ast.Tuple) and not is_text(node.value):
                yield sites.between(node.target, node.value, old, new, "operator")


def entries(sites: Sites, node: ast.Tuple | ast.List) -> Iterator[Mutant]:
    """A list of calls, such as rules, without one of them."""
    for before, element in zip([None, *node.elts], node.elts, strict=False):
        if isinstance(element, ast.Call | ast.Starred) and len(node.elts) > 2:
            start, end = sites.span(element)
            if before is not None:
                start = sites.span(before)[1]
            else:
                end = sites.span(node.elts[1])[0]
            yield Mutant(sites.file, start, end, "", "entry", sites.source)


def signs(sites: Sites, node: ast.AST) -> Iterator[Mutant]:
    """A rule of differentiation with its sign turned."""
    if isinstance(node, ast.Lambda | ast.FunctionDef) and node.args.args:
        if node.args.args[0].arg not in ("g", "bar"):
            return
        results = [node.body] if isinstance(node, ast.Lambda) else [
            inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return)
        ]  # fmt: skip
        for result in results:
            if result is not None and not isinstance(result, ast.Constant | ast.Tuple | ast.List):
                yield sites.replaced(result, f"-({sites.code(result)})", "sign")


MAKERS: dict[type[ast.AST], tuple[Callable[..., Iterator[Mutant]], ...]] = {
    ast.BinOp: (binary,),
    ast.Compare: (compared,),
    ast.BoolOp: (logical,),
    ast.UnaryOp: (unary,),
    ast.Constant: (constant,),
    ast.Call: (called,),
    ast.If: (condition,),
    ast.IfExp: (conditional,),
    ast.comprehension: (filters,),
    ast.Slice: (sliced,),
    ast.Tuple: (entries,),
    ast.List: (entries,),
    **dict.fromkeys((ast.Expr, ast.Raise, ast.Break, ast.Continue, ast.AugAssign), (statement,)),
}
