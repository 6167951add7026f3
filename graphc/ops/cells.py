"""One step of a recurrent cell, and its unrolling over the steps of a sequence.

A step takes what comes in, x @ W + bias of (batch, gates * units), and the state before it. Cells
differ between frameworks in the order of their gates, in their activations, and in details that the
literature has both ways; here each is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphc.errors import ShapeError
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ops.elementwise import where
from graphc.ops.functions import sigmoid, tanh
from graphc.ops.joining import stack

Activation: TypeAlias = "Callable[[Node], Node]"
State: TypeAlias = "Sequence[Node | None]"  # the first is h; None stands for zeros before all steps

# (x @ W + bias, state, what names end with) -> the next state
Step: TypeAlias = "Callable[[Node, State, str], tuple[Node, ...]]"


def rnn_step(U: Node, activation: Activation = tanh) -> Step:
    """activation(incoming + h @ U)."""

    def step(incoming: Node, state: State, at: str) -> tuple[Node, ...]:
        (h,) = state
        return (_gate(activation, _plus(incoming, h, U), f"h{at}"),)

    return step


def lstm_step(
    U: Node,
    units: Extent,
    order: str = "ifgo",
    activations: Sequence[Activation] = (sigmoid, tanh, tanh),
    peepholes: tuple[Node, Node, Node] | None = None,
    coupled: bool = False,
) -> Step:
    """(o tanh(c'), c') with c' = f c + i g.

    activations  of the gates, of g, and of c'
    peepholes    what the gates i, o, f see of the cells: factors (units,) of c, or of c' for o.
                 Gers, Schmidhuber 2000
    coupled      f is 1 - i
    """
    gate, candidate, output = activations
    p_i, p_o, p_f = peepholes or (None, None, None)

    def step(incoming: Node, state: State, at: str) -> tuple[Node, ...]:
        h, c = state
        gates = incoming.graph.hint(_plus(incoming, h, U), f"gates{at}")
        parts = dict(zip(order, _parts(gates, units, 4), strict=True))
        i = _gate(gate, _seeing(parts["i"], p_i, c), f"i{at}")
        g = _gate(candidate, parts["g"], f"g{at}")
        if c is None:
            kept = i * g
        elif coupled:
            kept = c + i * (g - c)
        else:
            kept = _gate(gate, _seeing(parts["f"], p_f, c), f"f{at}") * c + i * g
        return _gate(gate, _seeing(parts["o"], p_o, kept), f"o{at}") * output(kept), kept

    return step


def gru_step(
    U: Node,
    units: Extent,
    candidate_bias: Node | None,
    order: str = "rzn",
    activations: Sequence[Activation] = (sigmoid, tanh),
) -> Step:
    """(1 - z) n + z h; n recalls r * (h @ U + candidate_bias), as PyTorch and cuDNN have it."""
    gate, candidate = activations

    def step(incoming: Node, state: State, at: str) -> tuple[Node, ...]:
        (h,) = state
        parts = dict(zip(order, _parts(incoming, units, 3), strict=True))
        r_pre, z_pre, n_pre = (parts[name] for name in "rzn")
        recalled = candidate_bias
        if h is not None:
            product = h.graph.hint(h @ U, f"recalled{at}")
            own = dict(zip(order, _parts(product, units, 3), strict=True))
            r_pre, z_pre, recalled = r_pre + own["r"], z_pre + own["z"], own["n"]
            if candidate_bias is not None:
                recalled = h.graph.hint(recalled + candidate_bias, f"recalled_n{at}")
        z = _gate(gate, z_pre, f"z{at}")
        if recalled is not None:
            n_pre = n_pre + _gate(gate, r_pre, f"r{at}") * recalled
        return (_blended(z, _gate(candidate, n_pre, f"n{at}"), h),)

    return step


def early_reset_gru_step(
    U: Node,
    units: Extent,
    order: str = "rzn",
    activations: Sequence[Activation] = (sigmoid, tanh),
) -> Step:
    """(1 - z) n + z h; n recalls (r * h) @ U, as Cho et al. 2014 have it. n is the last gate."""
    gate, candidate = activations
    U_gates, U_n = U[:, : 2 * units], U[:, 2 * units :]

    def step(incoming: Node, state: State, at: str) -> tuple[Node, ...]:
        (h,) = state
        gates, n_pre = incoming[:, : 2 * units], incoming[:, 2 * units :]
        pre = dict(zip(order, _parts(_plus(gates, h, U_gates), units, 2), strict=False))
        z = _gate(gate, pre["z"], f"z{at}")
        if h is not None:
            n_pre = n_pre + (_gate(gate, pre["r"], f"r{at}") * h) @ U_n
        return (_blended(z, _gate(candidate, n_pre, f"n{at}"), h),)

    return step


def _plus(incoming: Node, h: Node | None, U: Node) -> Node:
    return incoming if h is None else incoming + h @ U


def _seeing(before: Node, peephole: Node | None, c: Node | None) -> Node:
    return before if peephole is None or c is None else before + peephole * c


def _blended(z: Node, n: Node, h: Node | None) -> Node:
    return n - z * n if h is None else n + z * (h - n)  # (1 - z) n + z h


def _parts(gates: Node, units: Extent, count: int) -> list[Node]:
    return [gates[:, i * units : (i + 1) * units] for i in range(count)]


def _gate(activation: Activation, before: Node, name: str) -> Node:
    hint = before.graph.hint
    return hint(activation(hint(before, f"{name}_pre")), name)


def require_steps(op: str, x: Node, axis: int) -> None:
    """Raise ShapeError where a sequence has no fixed number of steps."""
    steps = x.shape[axis]
    if not isinstance(steps, int) or steps < 1:
        raise ShapeError(
            f"{op} is unrolled over a fixed number of steps, at least 1, got {steps}: "
            f"{x.graph.describe(x, site=True)}",
            hint="x is (batch, steps, inputs); declare it with an int for the steps",
        )


def unrolled(
    step: Step,
    incoming: Node,
    state: State,
    *,
    axis: int = 1,
    reverse: bool = False,
    lengths: Node | None = None,
    mark: str = "",
) -> tuple[Node, tuple[Node, ...]]:
    """All h, along the axis of the steps, and the last state.

    incoming  x @ W + bias of all steps, with the steps along an axis: (batch, steps, gates * units)
              if it is 1, (steps, batch, gates * units) if it is 0
    lengths   how many steps each sequence of the batch has: later ones keep its state, and yield
              zeros
    mark      what tells the names of these steps from those of the other direction
    """
    steps, graph = incoming.shape[axis], incoming.graph
    assert isinstance(steps, int)
    names = "hc"[: len(state)]
    sequence: dict[int, Node] = {}
    for i in range(steps - 1, -1, -1) if reverse else range(steps):
        at = f"{mark}_{i + 1}"
        own = graph.hint(incoming[i] if axis == 0 else incoming[:, i], f"step{at}")
        after = step(own, state, at)
        going = None if lengths is None else graph.hint(lengths[:, None] > i, f"going{at}")
        if going is not None:
            after = tuple(
                where(going, new, 0 if old is None else old)
                for new, old in zip(after, state, strict=True)
            )
        for name, node in zip(names, after, strict=True):
            graph.hint(node, f"{name}{at}")
        sequence[i] = after[0] if going is None else where(going, after[0], 0)
        state = after
    states = graph.hint(stack([sequence[i] for i in range(steps)], axis), f"states{mark}")
    return states, after
