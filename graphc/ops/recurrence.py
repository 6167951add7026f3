"""Recurrent cells, and their unrolling over the steps of a sequence.

A cell takes an input x (batch, inputs) and a state h (batch, units). What comes in is one product
with W (inputs, gates * units) plus a bias (gates * units,), what is remembered one product with
U (units, gates * units). Gates stand in PyTorch's order; PyTorch's weights are the transposes of W
and U, and its two biases, of which one would do, are summed up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphc.errors import GraphcError, ShapeError, suggest
from graphc.ir.dims import Extent, Shape
from graphc.ir.node import Node
from graphc.ir.op import function
from graphc.ir.types import equal_sizes, shape_text
from graphc.ops.elementwise import relu
from graphc.ops.functions import sigmoid, tanh
from graphc.ops.joining import stack
from graphc.ops.operands import flag, operands

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn", "rnn_cell"]

ACTIVATIONS: dict[str, Callable[[Node], Node]] = {"tanh": tanh, "relu": relu}
State = Sequence["Node | None"]  # the first is h; None stands for zeros before the first step


class Operands(NamedTuple):
    """What a cell is called with, in one dtype."""

    x: Node
    W: Node
    U: Node
    state: list[Node | None]
    bias: Node | None
    more: Node | None
    units: Extent


# --- one step ----------------------------------------------------------------------------------

# (x @ W + bias, state, what names end with) -> the next state
Step = Callable[[Node, State, str], "tuple[Node, ...]"]


def _rnn_step(U: Node, activation: str) -> Step:
    def step(incoming: Node, state: State, at: str) -> tuple[Node, ...]:
        (h,) = state
        return (_gate(ACTIVATIONS[activation], _plus(incoming, h, U), f"h{at}"),)

    return step


def _lstm_step(U: Node, units: Extent) -> Step:
    def step(incoming: Node, state: State, at: str) -> tuple[Node, ...]:
        h, c = state
        gates = incoming.graph.hint(_plus(incoming, h, U), f"gates{at}")
        i_pre, f_pre, g_pre, o_pre = _parts(gates, units, 4)
        i, g = _gate(sigmoid, i_pre, f"i{at}"), _gate(tanh, g_pre, f"g{at}")
        kept = i * g if c is None else _gate(sigmoid, f_pre, f"f{at}") * c + i * g
        return _gate(sigmoid, o_pre, f"o{at}") * tanh(kept), kept

    return step


def _gru_step(U: Node, units: Extent, candidate_bias: Node | None) -> Step:
    def step(incoming: Node, state: State, at: str) -> tuple[Node, ...]:
        (h,) = state
        r_pre, z_pre, n_pre = _parts(incoming, units, 3)
        recalled = candidate_bias
        if h is not None:
            r_part, z_part, recalled = _parts(h.graph.hint(h @ U, f"recalled{at}"), units, 3)
            r_pre, z_pre = r_pre + r_part, z_pre + z_part
            if candidate_bias is not None:
                recalled = h.graph.hint(recalled + candidate_bias, f"recalled_n{at}")
        z = _gate(sigmoid, z_pre, f"z{at}")
        if recalled is not None:
            n_pre = n_pre + _gate(sigmoid, r_pre, f"r{at}") * recalled
        n = _gate(tanh, n_pre, f"n{at}")
        return (n - z * n if h is None else n + z * (h - n),)  # (1 - z) n + z h

    return step


def _plus(incoming: Node, h: Node | None, U: Node) -> Node:
    return incoming if h is None else incoming + h @ U


def _parts(gates: Node, units: Extent, count: int) -> list[Node]:
    return [gates[:, i * units : (i + 1) * units] for i in range(count)]


def _gate(activation: Callable[[Node], Node], before: Node, name: str) -> Node:
    hint = before.graph.hint
    return hint(activation(hint(before, f"{name}_pre")), name)


# --- all steps ---------------------------------------------------------------------------------


def _incoming(given: Operands) -> Node:
    """What comes in, of all steps in one product."""
    product = given.x @ given.W
    return product if given.bias is None else product + given.bias


def _unrolled(
    op: str, step: Step, given: Operands, names: Sequence[str], reverse: bool
) -> tuple[Node, State]:
    steps = given.x.shape[1]
    if not isinstance(steps, int) or steps < 1:
        name = given.x.graph.describe(given.x, site=True)
        raise ShapeError(
            f"{op} is unrolled over a fixed number of steps, at least 1, got {steps}: {name}",
            hint="x is (batch, steps, inputs); declare it with an int for the steps",
        )
    hint = given.x.graph.hint
    incoming = hint(_incoming(given), "incoming")
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    state: State = given.state
    sequence: dict[int, Node] = {}
    for at in order:
        state = step(hint(incoming[:, at], f"step_{at + 1}"), state, f"_{at + 1}")
        for name, node in zip(names, state, strict=True):
            assert node is not None
            hint(node, f"{name}_{at + 1}")
        first = state[0]
        assert first is not None
        sequence[at] = first
    return hint(stack([sequence[at] for at in range(steps)], 1), "states"), state


@function
def rnn_cell(x: Any, h: Any, W: Any, U: Any, bias: Any = None, activation: str = "tanh") -> Node:
    """activation(x @ W + bias + h @ U), the next state; the activation is `tanh` or `relu`.

    x (batch, inputs), h (batch, units), W (inputs, units), U (units, units), bias (units,). Elman
    1990; as PyTorch's RNNCell with transposed weights. Raises ShapeError for others, by name.
    """
    given = _checked("rnn_cell", 2, 1, x, W, U, {"h": h}, bias)
    step = _rnn_step(given.U, _activation("rnn_cell", activation))
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
    step = _gru_step(given.U, given.units, given.more)
    return step(_incoming(given), given.state, "")[0]


@function
def lstm_cell(x: Any, h: Any, c: Any, W: Any, U: Any, bias: Any = None) -> tuple[Node, Node]:
    """(o tanh(c'), c') with c' = f c + i g, and gates i, f, g, o of x @ W + bias + h @ U.

    x (batch, inputs), h and c (batch, units), W (inputs, 4 units), U (units, 4 units), bias
    (4 units,). Hochreiter, Schmidhuber 1997; as PyTorch's LSTMCell with transposed weights. Raises
    ShapeError for others, by name.
    """
    given = _checked("lstm_cell", 2, 4, x, W, U, {"h": h, "c": c}, bias)
    h, c = _lstm_step(given.U, given.units)(_incoming(given), given.state, "")
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
    step = _rnn_step(given.U, _activation("rnn", activation))
    states, (last,) = _unrolled("rnn", step, given, ("h",), flag("rnn", "reverse", reverse))
    assert last is not None
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
    step = _gru_step(given.U, given.units, given.more)
    states, (last,) = _unrolled("gru", step, given, ("h",), flag("gru", "reverse", reverse))
    assert last is not None
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
    step = _lstm_step(given.U, given.units)
    states, (h, c) = _unrolled("lstm", step, given, ("h", "c"), flag("lstm", "reverse", reverse))
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


def _activation(op: str, name: object) -> str:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        known = " or ".join(map(repr, ACTIVATIONS))
        advice = suggest(name, ACTIVATIONS) if isinstance(name, str) else None
        raise GraphcError(f"{op}: the activation is {known}, got {name!r}", hint=advice)
    return name
