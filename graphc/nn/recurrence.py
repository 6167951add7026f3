"""Recurrent layers, unrolled over the steps of a sequence, and their cells.

Weights are W (inputs, gates * units) and U (units, gates * units), and a bias b (gates * units,)
that starts with zeros; each gate has the fans of a layer of its own. Two directions are two layers,
one of them with `reverse=True`; more layers are more calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from graphc.errors import GraphcError
from graphc.ir.node import Node
from graphc.nn.declaration import as_units, declaring, layer
from graphc.ops import recurrence as ops
from graphc.ops.operands import flag, operand, require_rank


class Weights(NamedTuple):
    """The parameters of a recurrent layer."""

    W: Node
    U: Node
    b: Node | None
    b_n: Node | None


def _weights(
    kind: str, gates: int, x: Node, units: Any, name: str, init: object, bias: bool
) -> Weights:
    units = as_units(f"nn.{kind}", "units", units)
    with_bias = flag(f"nn.{kind}", "bias", bias)
    inputs, dtype = x.shape[-1], x.dtype
    b = b_n = None
    with declaring(x, name, kind) as (graph, _):
        W, U = (
            graph.parameter(
                letter, (size, gates * units), init=init, dtype=dtype, fans=(size, units)
            )
            for letter, size in (("W", inputs), ("U", units))
        )
        if with_bias:
            b = graph.parameter("b", (gates * units,), dtype=dtype)
        if with_bias and kind.startswith("gru"):
            b_n = graph.parameter("b_n", (units,), dtype=dtype)
    return Weights(W, U, b, b_n)


def _sequence(place: str, x: Any) -> Node:
    return require_rank(place, operand(x, floating=True), 3)


def _of_cell(place: str, x: Any, h: Any) -> tuple[Node, Any]:
    """The input of a cell, and the units that its state has."""
    if h is None:
        raise GraphcError(f"{place}: h is a state (batch, units), got None")
    h = require_rank(place, operand(h, floating=True), 2)
    return require_rank(place, operand(x, floating=True), 2), h.shape[-1]


@layer
def rnn(
    x: Any,
    units: Any,
    *,
    h: Any = None,
    activation: str = "tanh",
    reverse: bool = False,
    name: str = "rnn",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> tuple[Node, Node]:
    """`gc.rnn` of x (batch, steps, inputs): (all states, the last one); h is the state before."""
    x = _sequence("nn.rnn", x)
    own = _weights("rnn", 1, x, units, name, init, bias)
    return ops.rnn(x, own.W, own.U, own.b, h, activation, reverse)


@layer
def gru(
    x: Any,
    units: Any,
    *,
    h: Any = None,
    reverse: bool = False,
    name: str = "gru",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> tuple[Node, Node]:
    """`gc.gru` of x (batch, steps, inputs): (all states, the last one); h is the state before.

    A further bias b_n (units,) belongs to what a candidate recalls.
    """
    x = _sequence("nn.gru", x)
    own = _weights("gru", 3, x, units, name, init, bias)
    return ops.gru(x, own.W, own.U, own.b, own.b_n, h, reverse)


@layer
def lstm(
    x: Any,
    units: Any,
    *,
    state: tuple[Any, Any] | None = None,
    reverse: bool = False,
    name: str = "lstm",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> tuple[Node, tuple[Node, Node]]:
    """`gc.lstm` of x (batch, steps, inputs): (all h, (the last h, the last c)).

    `state` is (h, c) before the first step.
    """
    x = _sequence("nn.lstm", x)
    h, c = (None, None) if state is None else _pair("nn.lstm", state)
    own = _weights("lstm", 4, x, units, name, init, bias)
    return ops.lstm(x, own.W, own.U, own.b, h, c, reverse)


@layer
def rnn_cell(
    x: Any,
    h: Any,
    *,
    activation: str = "tanh",
    name: str = "rnn_cell",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """`gc.rnn_cell` of x (batch, inputs) and a state h (batch, units): the next state."""
    x, units = _of_cell("nn.rnn_cell", x, h)
    own = _weights("rnn_cell", 1, x, units, name, init, bias)
    return ops.rnn_cell(x, h, own.W, own.U, own.b, activation)


@layer
def gru_cell(
    x: Any,
    h: Any,
    *,
    name: str = "gru_cell",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> Node:
    """`gc.gru_cell` of x (batch, inputs) and a state h (batch, units): the next state."""
    x, units = _of_cell("nn.gru_cell", x, h)
    own = _weights("gru_cell", 3, x, units, name, init, bias)
    return ops.gru_cell(x, h, own.W, own.U, own.b, own.b_n)


@layer
def lstm_cell(
    x: Any,
    state: tuple[Any, Any],
    *,
    name: str = "lstm_cell",
    init: object = "glorot_uniform",
    bias: bool = True,
) -> tuple[Node, Node]:
    """`gc.lstm_cell` of x (batch, inputs) and a state (h, c) of (batch, units): the next (h, c)."""
    h, c = _pair("nn.lstm_cell", state)
    x, units = _of_cell("nn.lstm_cell", x, h)
    own = _weights("lstm_cell", 4, x, units, name, init, bias)
    return ops.lstm_cell(x, h, c, own.W, own.U, own.b)


def _pair(place: str, state: Any) -> tuple[Any, Any]:
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise GraphcError(f"{place}: state is a pair (h, c), got {state!r}")
    h, c = state
    return h, c
