"""A module as text: names, shapes, and the gradients as named equations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from graphc.codegen.arrays import ARRAYS
from graphc.codegen.printer import Printer
from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Rule
from graphc.lower.module import LoweredModule
from graphc.lower.naming import Names
from graphc.lower.program import Program


def inspect_text(module: LoweredModule) -> str:
    """Declarations, the forward pass, and each gradient as a named equation."""
    names, printers = reading(module)
    lines = [f"graph {printable(module.graph.name)}"]
    initial = {p.node: str(p.init) for p in module.parameters if not isinstance(p.init, np.ndarray)}
    sections: list[tuple[str, Sequence[Node]]] = [
        ("inputs", module.inputs),
        ("parameters", [p.node for p in module.parameters]),
        ("states", [node for node, _ in module.graph.states.values()]),
    ]
    for title, nodes in sections:
        if nodes:
            rows = [(names.of(n), str(n.types[0]), initial.get(n, "")) for n in nodes]
            lines += ["", title, *table(rows)]
    program = module.forward or module.predict or module.evaluate
    if program is not None:
        lines += ["", "forward", *equations(printers["forward"])]
        if "predict" in printers:
            lines += ["", "predict", *equations(printers["predict"])]
        lines += results(module, program, names)
    if module.backward is not None:
        kept = [names.of(node) for node in module.residuals]
        lines += ["", f"backward, from {', '.join(kept) or 'nothing'}"]
        lines += equations(printers["backward"])
        target = printable(module.loss or "outputs")
        lines += ["", f"gradients of {target}"]
        rows = [
            (f"∂{target}/∂{printable(name)} = {names.of(node)}", str(node.types[0]), "")
            for name, node in zip(module.gradients, module.backward.results, strict=True)
        ]
        lines += table(rows)
    return "\n".join(lines) + "\n"


def reading(module: LoweredModule) -> tuple[Names, dict[str, Printer]]:
    """The identifiers of all values in reading order, and what is printed of each program."""
    names = Names(module.graph, ["np"])
    for node in (*module.inputs, *(p.node for p in module.parameters)):
        names.of(node)
    for node, _ in module.graph.states.values():
        names.of(node)
    programs = {"forward": module.forward or module.predict or module.evaluate}
    if programs["forward"] is not None and module.predict is not None:
        known = {*programs["forward"].arguments, *programs["forward"].order}
        if not known.issuperset(module.predict.results):
            # An output that the loss does not depend on, or that differs in inference mode.
            programs["predict"] = module.predict
    programs["backward"] = module.backward
    printers = {
        name: Printer(program, names, ARRAYS, comments=True)
        for name, program in programs.items()
        if program is not None
    }
    for printer in printers.values():
        printer.statements()
    return names, printers


def results(module: LoweredModule, program: Program, names: Names) -> Iterator[str]:
    """Which values are outputs, and which is the loss."""
    roots = module.predict.results if module.predict else ()
    yield ""
    yield "results"
    rows = [(printable(name), "=", names.of(node), str(node.types[0]))
            for name, node in zip(module.outputs, roots, strict=False)]  # fmt: skip
    if module.loss == "loss":
        rows.append(("loss", "=", names.of(program.results[0]), str(program.results[0].types[0])))
    yield from table(rows)


def printable(name: str) -> str:
    """A name of the user's, without what would break a line or colour a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def equations(printer: Printer) -> list[str]:
    """One equation a value, with its shape."""
    pairs = [line.partition("  # ") for line in printer.lines]
    width = min(72, max((len(left) for left, _, _ in pairs), default=0))
    return [f"  {left:<{width}}  {shape}".rstrip() for left, _, shape in pairs]


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows with aligned columns."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def passes_text(fired: Sequence[tuple[Rule, Node]]) -> str:
    """Each rule that fired with the user's line, in order of the first time.

    It tells on how many nodes, and `derived` in place of a line where they belong to none; a
    cotangent belongs to that of its primal. What makes a formula stable comes first.
    """
    rows: dict[tuple[Rule, str], set[Node]] = {}
    for rule, node in fired:
        site = node.graph.place_of(node)
        rows.setdefault((rule, printable(str(site)) if site else "derived"), set()).add(node)
    listed = [
        (f"{len(nodes)}×", rule.name, rule.preserves, place)
        for (rule, place), nodes in rows.items()
    ]
    listed.sort(key=lambda row: row[2] != STABILIZE)
    return "\n".join(["rules", *table(listed)]) + "\n"
