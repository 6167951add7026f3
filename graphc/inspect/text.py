"""A module as text: names, shapes, and the gradients as equations of matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from graphc.codegen.arrays import ARRAYS
from graphc.codegen.assemble import declare, reserved
from graphc.codegen.printer import escaped_shape
from graphc.inspect.mathematics import Equation, Equations
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.ir.pattern import STABILIZE, Rule
from graphc.lower.module import LoweredModule
from graphc.lower.naming import Names
from graphc.lower.program import Program


def inspect_text(module: LoweredModule) -> str:
    """Declarations, the forward pass, and each gradient as an equation of matrices."""
    names, equations = reading(module)
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
        lines += ["", "forward", *laid(equations["forward"].found)]
        if "predict" in equations:
            lines += ["", "predict", *laid(equations["predict"].found)]
        lines += results(module, program, names)
    if module.backward is not None:
        derived = equations["backward"]
        lines += ["", f"gradients of {target(module)}"]
        lines += laid([*seeds(module, names), *derived.found, *untitled(module, derived)])
    return "\n".join(lines) + "\n"


def reading(module: LoweredModule) -> tuple[Names, dict[str, Equations]]:
    """The identifiers of all values in reading order, and the equations of each program.

    They are those of a module in the functional style, in which no value is called as a function.
    """
    names = Names(module.graph, reserved(module, ARRAYS))
    declare(module, names)
    for node, _ in module.graph.states.values():
        names.of(node)
    found: dict[str, Equations] = {}
    forward = module.forward or module.predict or module.evaluate
    if forward is not None:
        found["forward"] = Equations(forward, names)
        known = {*forward.arguments, *forward.order}
        if module.predict is not None and not known.issuperset(module.predict.results):
            # An output that the loss does not depend on, or that differs in inference mode.
            found["predict"] = Equations(module.predict, names)
    if module.backward is not None:
        declared = {*module.graph.declared()}
        reused = {node for node in module.residuals if node not in declared}
        found["backward"] = Equations(module.backward, names, titles(module), reused)
    return names, found


def target(module: LoweredModule) -> str:
    """What is differentiated: the loss by its name, or the outputs."""
    return printable(module.loss or "outputs")


def gradients(module: LoweredModule) -> list[tuple[str, Node]]:
    """Each gradient as it is written, `∂loss/∂W`, and its value."""
    assert module.backward is not None
    return [
        (f"∂{target(module)}/∂{printable(name)}", node)
        for name, node in zip(module.gradients, module.backward.results, strict=True)
    ]


def titles(module: LoweredModule) -> dict[Node, str]:
    """The gradients that nothing else reads: they need no variable."""
    assert module.backward is not None
    program = module.backward
    read = {arg for node in program.order for arg in node.args}
    count = Counter(program.results)
    computed = set(program.order) - read
    return {n: title for title, n in gradients(module) if n in computed and count[n] == 1}


def untitled(module: LoweredModule, equations: Equations) -> Iterator[Equation]:
    """The gradients that have a variable all the same, or are numbers."""
    for title, node in gradients(module):
        if node not in equations.titles:
            value = equations.operand(node, node).text
            yield Equation(f"{title} = {value}", escaped_shape(node.shape) if node.ndim else "")


def seeds(module: LoweredModule, names: Names) -> Iterator[Equation]:
    """What the chain rule starts from: the loss as 1, or the outputs as what is differentiated."""
    assert module.backward is not None and module.forward is not None
    bars = {n.params.name: n for n in module.backward.arguments if is_cotangent(n)}
    if module.loss:
        for bar in bars.values():
            yield Equation(f"{names.of(bar)} = 1")
        return
    products = []
    for name, node in zip(module.outputs, module.forward.results, strict=False):
        if name in bars:
            pair = names.of(node), names.of(bars[name])
            products.append(f"Σ({' ⊙ '.join(pair)})" if node.ndim else "·".join(pair))
    yield Equation(f"outputs = {' + '.join(products)}")


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


def laid(equations: Iterable[Equation]) -> list[str]:
    """One equation a line, with its shape and what else is told of it in columns."""
    cut = [(e.text.split("\n"), e.shape, "; ".join(e.notes)) for e in equations]
    width = min(88, max((len(rows[-1]) for rows, _, _ in cut), default=0))
    across = min(24, max((len(shape) for _, shape, _ in cut), default=0))
    lines = []
    for (*above, last), shape, told in cut:
        lines += [f"  {row}" for row in above]
        columns = (f"{last:<{width}}", f"{shape:<{across}}" if across else "", told)
        lines.append("  " + "  ".join(filter(None, columns)).rstrip())
    return lines


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
