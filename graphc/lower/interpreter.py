"""The reference interpreter: evaluates the emission texts of a Program, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir.emission import evaluate
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.types import FLOAT
from graphc.lower.program import Program


def interpret(
    program: Program,
    values: Mapping[Node, Any],
    sizes: Mapping[str, int] | None = None,
    *,
    widened: bool = False,
    plain: bool = False,
    rng: np.random.Generator | None = None,
) -> dict[Node, Any]:
    """All values of a program, for arrays of the declared types as its arguments.

    `sizes` gives the named sizes that are arguments of their own. With `widened`, float arguments
    are float64 whatever is declared, and so is all that follows from them; with `plain` also what a
    cast makes, as there is one type of floats among Python's numbers. A program that draws needs
    `rng`.
    """
    if program.draws and rng is None:
        raise TypeError(f"the program of {program.name} draws: pass rng")
    known = dict(values)
    bound = dict(sizes or {})
    for name, source in program.sizes.items():
        if source is not None:
            node, axis = source
            bound[name] = known[node].shape[axis]
    for node in program.order:
        operands = tuple(operand_value(arg, known) for arg in node.args)
        if plain and node.op.name == "astype" and node.dtype.kind == FLOAT:
            known[node] = operands[0].astype(np.float64)
        else:
            known[node] = evaluate(node, operands, bound, widened=widened, rng=rng)
    for node in program.results:
        known[node] = operand_value(node, known)
    return known


def operand_value(node: Node, known: Mapping[Node, Any]) -> Any:
    """The value of an operand; constants carry theirs."""
    return node.params.data.array if node.op is CONSTANT else known[node]
