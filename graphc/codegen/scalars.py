"""The dialect of Python's numbers: `math` on floats, ints and bools, and no NumPy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from graphc.codegen.dialect import LOADERS, Dialect, Helper, Spell
from graphc.codegen.literals import bracketed, python_number, quoted
from graphc.codegen.view import FunctionView
from graphc.errors import UnsupportedError, UsageError
from graphc.ir.emission import Template
from graphc.ir.graph import ARGUMENT, CONSTANT
from graphc.ir.node import Node
from graphc.ir.types import BOOL, FLOAT, INT
from graphc.lower.module import LoweredModule, SelfTest
from graphc.lower.naming import Names
from graphc.lower.program import Program, is_literal
from graphc.runtime import scalars

TYPES = {BOOL: "bool", INT: "int", FLOAT: "float"}
CHECKS = {BOOL: scalars.as_bool, INT: scalars.as_int, FLOAT: scalars.as_float}
MODULES = ("json", "math", "operator", "random")


class Scalars(Dialect):
    """Python's numbers: floats have 64 bits, whatever dtype is declared."""

    what = "plain Python"
    notes = (
        "Numbers are Python's: floats have 64 bits, whatever the model declares, and ints have any",
        "size. Where NumPy would warn and go on with an infinity or NaN, Python raises ValueError",
        "(log(0)), OverflowError (exp(1000)) or ZeroDivisionError (1 / 0).",
    )
    reserved = (*MODULES, "Iterable", "numbers", "content", "as_float", "as_int", "as_bool",
                "as_floats", "load_numbers")  # fmt: skip
    typed = True
    names = tuple(TYPES.values())
    infinity = "math.inf"
    raises = True
    finite = staticmethod(scalars.check_finite)
    residuals = "What the backward pass reads of the forward pass."
    file = "a JSON file"
    companion = False
    checks = "their types are checked"
    generator = "random.Random"
    draws = "Any"
    check_rng = staticmethod(scalars.check_rng)
    checked_number = staticmethod(scalars.checked_number)
    vector = ("list[float]", "Iterable[float]")

    # --- values ---------------------------------------------------------------------------------

    def annotation(self, node: Node) -> str:
        return TYPES[node.dtype.kind]

    def described(self, node: Node) -> str:
        return TYPES[node.dtype.kind]

    def comment(self, node: Node) -> str:
        return ""

    def cotangent(self, node: Node) -> str:
        return "float"

    # --- expressions ----------------------------------------------------------------------------

    def template(self, node: Node) -> Template:
        template = node.op.emission.math_template(node)
        assert template is not None, node  # see `fit`
        return template

    def helpers(self, node: Node) -> Sequence[Helper]:
        called = self.template(node).text
        return [h for h in node.op.emission.plain if re.search(rf"\b{h.__name__}\(", called)]

    def literal(self, user: Node, node: Node, spell: Spell) -> str:
        return python_number(node.params.data.array.item())

    def constant(self, node: Node, spell: Spell) -> str:
        return python_number(node.params.data.array.item())

    def zeros(self, node: Node, shape: str) -> str:
        return "0.0"

    def slot(self, key: str, start: float) -> str:
        return f"{key}: {start!r}"

    def kept(self, group: str, node: Node) -> str:
        return f"{group}[{quoted(node.params.name)}]"

    def copied(self, text: str) -> str:
        return text  # numbers cannot change

    def readied(self, node: Node, name: str) -> str:
        return f'{name} = as_float("{name}", {name})'

    def converted(self, name: str, source: str, like: str) -> str:
        return "" if name == source else f"{name} = {source}"

    # --- the boundary ---------------------------------------------------------------------------

    def check(
        self, node: Node, key: str, source: str, sizes: Sequence[str]
    ) -> tuple[str, list[str]]:
        return CHECKS[node.dtype.kind].__name__, [key, source]

    def boundary(self, module: LoweredModule) -> Sequence[Helper]:
        nodes = [*module.graph.declared()]
        kinds = {node.dtype.kind for node in nodes} | ({FLOAT} if module.backward else set())
        found: list[Helper] = [check for kind, check in CHECKS.items() if kind in kinds]
        if found:
            found.insert(0, scalars.scalar_kind)
        if module.gradients and module.parameters:
            found.append(scalars.as_floats)
        kept = module.parameters or module.graph.states
        return [*found, scalars.load_numbers] if kept else found

    def clipping(self) -> Sequence[Helper]:
        return [scalars.clip_scale]

    def fitting(self) -> Sequence[Helper]:
        return []  # there is no batch: see `graphc.training.fit_over`

    def testing(self, test: SelfTest) -> Sequence[Helper]:
        return [scalars.agrees]

    def imports(self, functions: Sequence[FunctionView], code: str) -> list[str]:
        defined = {function.name for function in functions}
        standard = [name for name in MODULES if re.search(rf"\b{name}\.[A-Za-z]", code)]
        standard += ["sys"] if "self_test" in defined else []
        uses = {"Any": ": Any", "NamedTuple": "(NamedTuple)", "TypedDict": " = TypedDict("}
        typing = ", ".join(name for name, text in uses.items() if text in code)
        files = bool(LOADERS & defined)
        return [
            *(f"import {name}" for name in standard),
            *(
                ["from collections.abc import Iterable", "from pathlib import Path"]
                if files
                else []
            ),
            *([f"from typing import {typing}"] if typing else []),
        ]

    # --- parameters -----------------------------------------------------------------------------

    def saved(self, group: str) -> list[str]:
        return [
            f'    text = json.dumps({{"{group}": {group}}}, indent=1)',
            '    Path(path).write_text(text + "\\n", encoding="utf-8")',
        ]

    def stored(self, group: str, declared: Sequence[Node]) -> tuple[str, list[str]]:
        names = [quoted(node.params.name) for node in declared]
        listed = bracketed("[", names, "]", 8)
        call = bracketed("numbers = load_numbers(", ["path", quoted(group), listed], ")", 4)
        return f"    {call}", [f"numbers[{name}]" for name in names]

    def ravelled(self, trained: Sequence[Node]) -> list[str]:
        parts = [f"params[{quoted(node.params.name)}]" for node in trained]
        return f"    {bracketed('return [', parts, ']', 4)}".split("\n")

    def unravelled(
        self, declared: Sequence[Node], trained: Collection[Node], names: Names
    ) -> tuple[list[str], dict[Node, str]]:
        nodes = [node for node in declared if node in trained]
        values = {node: f"numbers[{place}]" for place, node in enumerate(nodes)}
        return [f'    numbers = as_floats("vector", vector, {len(nodes)})'], values

    # --- the self-test --------------------------------------------------------------------------

    def sample(self, node: Node, test: SelfTest) -> str:
        phase = test.phases[node]
        if node.dtype.kind == FLOAT:
            return f"{test.offset} + math.sin({phase})" if test.offset else f"math.sin({phase})"
        label = phase % test.labels
        return str(bool(label) if node.dtype.kind == BOOL else label)

    def slope(self, gradient: str) -> str:
        return gradient


SCALARS = Scalars()


# --- whether a module can be written in this dialect -------------------------------------------


def fit(module: LoweredModule) -> None:
    """Raise an error that names the first value that is no scalar, or has no form in `math`.

    What the user wrote comes before what was derived from it.
    """
    graph = module.graph
    found = list(misfits(module))
    written = [node for node in found if graph.site_of(node) is not None]
    for node in (written or found)[:1]:
        described, site = graph.describe(node, site=True), graph.site_of(node)
        if has_axes(node):
            raise UsageError(
                f"the scalar style is for graphs in which every value is a scalar, got {described}",
                site=site, hint='use style="functional"',
            )  # fmt: skip
        raise UnsupportedError(
            f"{node.op.name} has no form on Python's numbers, which the scalar style needs: "
            f"{described}",
            site=site, hint='use style="functional"',
        )  # fmt: skip


def misfits(module: LoweredModule) -> Iterator[Node]:
    """The values that do not fit, in the order of the module."""
    graph = module.graph
    programs: list[Program | None] = [module.predict, module.forward, module.evaluate]
    nodes = [*graph.declared(), *module.residuals]
    for program in [*programs, module.backward]:
        nodes += [*program.order, *program.results] if program is not None else []
    for node in dict.fromkeys(nodes):
        if has_axes(node) or not is_plain(node):
            yield node


def has_axes(node: Node) -> bool:
    """Whether a value, or one of several, is no scalar."""
    return any(type.shape for type in node.types)


def is_plain(node: Node) -> bool:
    """Whether a scalar can be written on Python's numbers."""
    if node.op in (ARGUMENT, CONSTANT):
        return True
    return not is_literal(node) and node.op.emission.math_template(node) is not None
