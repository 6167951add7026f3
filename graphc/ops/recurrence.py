"""Recurrent cells, and their unrolling over the steps of a sequence.

A cell takes an input x (batch, inputs) and a state h (batch, units). What comes in is one product
with W (inputs, gates * units) plus a bias (gates * units,), what is remembered one product with
U (units, gates * units). Gates stand in PyTorch's order; PyTorch's weights are the transposes of W
and U, and its two biases, of which one would do, are summed up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import GraphcError, ShapeError, suggest
from graphc.ir.dims import Extent, Shape
from graphc.ir.node import Node
from graphc.ir.op import function
from graphc.ir.types import equal_sizes, shape_text
from graphc.ops.cells import (
    Activation,
    Step,
    gru_step,
    lstm_step,
    require_steps,
    rnn_step,
    unrolled,
)
from graphc.ops.elementwise import relu
from graphc.ops.functions import tanh
from graphc.ops.operands import flag, operands

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn", "rnn_cell"]

ACTIVATIONS: dict[str, Activation] = {"tanh": tanh, "relu": relu}


class Operands(NamedTuple):
    """What a cell is called with, in one dtype."""

    x: Node
    W: Node
    U: Node
    state: list[Node | None]
    bias: Node | None
    more: Node | None
    units: Extent


def _incoming(given: Operands) -> Node:
    """What comes in, of all steps in one product."""
    product = given.x @ given.W
    return product if given.bias is None else product + given.bias


def _all_steps(op: str, step: Step, given: Operands, reverse: bool) -> tuple[Node, Any]:
    require_steps(op, given.x, 1)
    incoming = given.x.graph.hint(_incoming(given), "incoming")
    return unrolled(step, incoming, given.state, reverse=flag(op, "reverse", reverse))


@function
def rnn_cell(x: Any, h: Any, W: Any, U: Any, bias: Any = None, activation: str = "tanh") -> Node:
    """activation(x @ W + bias + h @ U), the next state; the activation is `tanh` or `relu`.

    x (batch, inputs), h (batch, units), W (inputs, units), U (units, units), bias (units,). Elman
    1990; as PyTorch's RNNCell with transposed weights. Raises ShapeError for others, by name.
    """
    given = _checked("rnn_cell", 2, 1, x, W, U, {"h": h}, bias)
    step = rnn_step(given.U, _activation("rnn_cell", activation))
    return step(_incoming(given), given.state, "")[0]


@function
def gru_cell(x: Any, h: Any, W: Any, U: Any, bias: Any = None, candidate_bias: Any = None) -> Node:
    """(1 - z) n + z h, the next state, with gates r, z of x @ W + bias + h @ U and a candidate n.

    n = tanh(x @ W + bias + r * (h @ U + candidate_bias)), each by its columns of W and U.
    x (batch, inputs), h (batch, units), W (inputs, 3 units), U (units, 3 units), bias (3 units,),
    candidate_bias (units,). Cho et al. 2014; as PyTorch's GRUCell, of whose recurrent bias the part
    for n is the candidate_bias and the rest is added to the bias. Raises ShapeError for others.
    """
    given = _checked("gru_cell", 2, 3, x, W, U, {"h": h}, bias, candidate_bias)
    step = gru_step(given.U, given.units, given.more)
    return step(_incoming(given), given.state, "")[0]


@function
def lstm_cell(x: Any, h: Any, c: Any, W: Any, U: Any, bias: Any = None) -> tuple[Node, Node]:
    """(o tanh(c'), c') with c' = f c + i g, and gates i, f, g, o of x @ W + bias + h @ U.

    x (batch, inputs), h and c (batch, units), W (inputs, 4 units), U (units, 4 units), bias
    (4 units,). Hochreiter, Schmidhuber 1997; as PyTorch's LSTMCell with transposed weights. Raises
    ShapeError for others, by name.
    """
    given = _checked("lstm_cell", 2, 4, x, W, U, {"h": h, "c": c}, bias)
    h, c = lstm_step(given.U, given.units)(_incoming(given), given.state, "")
    return h, c


@function
def rnn(
    x: Any,
    W: Any,
    U: Any,
    bias: Any = None,
    h: Any = None,
    activation: str = "tanh",
    reverse: bool = False,
) -> tuple[Node, Node]:
    """`rnn_cell` over the steps of x (batch, steps, inputs): (all states, the last one).

    The states are (batch, steps, units), and the first one follows h, or zeros. In reverse the last
    step comes first; states stand where their inputs do. Raises ShapeError where the steps are no
    fixed number.
    """
    given = _checked("rnn", 3, 1, x, W, U, {"h": h}, bias)
    step = rnn_step(given.U, _activation("rnn", activation))
    states, (last,) = _all_steps("rnn", step, given, reverse)
    return states, last


@function
def gru(
    x: Any,
    W: Any,
    U: Any,
    bias: Any = None,
    candidate_bias: Any = None,
    h: Any = None,
    reverse: bool = False,
) -> tuple[Node, Node]:
    """`gru_cell` over the steps of x (batch, steps, inputs): (all states, the last one).

    As `rnn`.
    """
    given = _checked("gru", 3, 3, x, W, U, {"h": h}, bias, candidate_bias)
    step = gru_step(given.U, given.units, given.more)
    states, (last,) = _all_steps("gru", step, given, reverse)
    return states, last


@function
def lstm(
    x: Any, W: Any, U: Any, bias: Any = None, h: Any = None, c: Any = None, reverse: bool = False
) -> tuple[Node, tuple[Node, Node]]:
    """`lstm_cell` over the steps of x (batch, steps, inputs): (all h, (the last h, the last c)).

    As `rnn`; h and c are given both, or neither.
    """
    if (h is None) != (c is None):
        raise GraphcError("lstm: h and c are given both, or neither")
    given = _checked("lstm", 3, 4, x, W, U, {"h": h, "c": c}, bias)
    step = lstm_step(given.U, given.units)
    states, (h, c) = _all_steps("lstm", step, given, reverse)
    return states, (h, c)


# --- what is passed ----------------------------------------------------------------------------


def _checked(
    op: str, rank: int, gates: int, x: Any, W: Any, U: Any, state: dict[str, Any], bias: Any,
    more: Any = None,
) -> Operands:  # fmt: skip
    """The operands of a cell in one dtype. Raises ShapeError, naming the one that does not fit.

    Only a sequence may do without a state, which then is zeros.
    """
    for name, value in state.items():
        if rank == 2 and value is None:
            raise GraphcError(f"{op}: {name} is a state (batch, units), got None")
    named = {"x": x, "W": W, "U": U, **state, "bias": bias, "candidate_bias": more}
    present = {name: value for name, value in named.items() if value is not None}
    nodes = dict(zip(present, operands(*present.values(), floating=True), strict=True))
    x, U = nodes["x"], nodes["U"]
    if x.ndim != rank:
        axes = ("(batch, inputs)", "(batch, steps, inputs)")[rank - 2]
        raise ShapeError(f"{op}: x has to be {axes}, got {x.graph.describe(x, site=True)}")
    if U.ndim != 2:
        name = U.graph.describe(U, site=True)
        raise ShapeError(f"{op}: U has to be (units, {gates} * units), got {name}")
    units = U.shape[0]
    expected: dict[str, Shape] = {
        "W": (x.shape[-1], gates * units),
        "U": (units, gates * units),
        "bias": (gates * units,),
        "candidate_bias": (units,),
        **dict.fromkeys(state, (x.shape[0], units)),
    }
    for name, node in nodes.items():
        if name != "x" and not _is_of_shape(node, expected[name]):
            raise ShapeError(
                f"{op}: {name} has to be of shape {shape_text(expected[name])}, got "
                f"{node.graph.describe(node, site=True)}, beside "
                f"{x.graph.describe(x, site=True)}, {U.graph.describe(U, site=True)}"
            )
    return Operands(
        x, nodes["W"], U, [nodes.get(n) for n in state], nodes.get("bias"),
        nodes.get("candidate_bias"), units,
    )  # fmt: skip


def _is_of_shape(node: Node, shape: Shape) -> bool:
    try:
        return node.ndim == len(shape) and all(
            equal_sizes(own, size) is None for own, size in zip(node.shape, shape, strict=True)
        )
    except ShapeError:
        return False


def _activation(op: str, name: object) -> Activation:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        known = " or ".join(map(repr, ACTIVATIONS))
        advice = suggest(name, ACTIVATIONS) if isinstance(name, str) else None
        raise GraphcError(f"{op}: the activation is {known}, got {name!r}", hint=advice)
    return ACTIVATIONS[name]
