"""Recurrent layers. Weights keep the standard's order of gates; each direction is unrolled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.dims import Extent
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ops import cells
from graphc.ops.cells import Activation, Step
from graphc.ops.joining import concat

Numbers = tuple[float, ...]
Made = Callable[..., Activation]  # an activation from alpha and beta

# By the standard's names, in lower case as they may be: how many numbers each takes, with their
# defaults, and what it is.
ACTIVATIONS: dict[str, tuple[Numbers, Made]] = {
    "affine": ((1.0, 0.0), lambda a, b: lambda x: a * x + b),
    "elu": ((1.0,), lambda a: lambda x: ops.elu(x, a)),
    "hardsigmoid": ((0.2, 0.5), lambda a, b: lambda x: ops.clip(a * x + b, 0.0, 1.0)),
    "leakyrelu": ((0.01,), lambda a: lambda x: ops.leaky_relu(x, a)),
    "relu": ((), lambda: ops.relu),
    "scaledtanh": ((1.0, 1.0), lambda a, b: lambda x: a * ops.tanh(b * x)),
    "sigmoid": ((), lambda: ops.sigmoid),
    "softplus": ((), lambda: ops.softplus),
    "softsign": ((), lambda: ops.softsign),
    "tanh": ((), lambda: ops.tanh),
    "thresholdedrelu": ((1.0,), lambda a: lambda x: ops.where(x >= a, x, 0.0)),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """What the recurrent operators have in common: operands, directions, layout.

    The weights are W (directions, gates * units, inputs), R (directions, gates * units, units) and
    B (directions, 2 * gates * units), which is both biases.
    """

    call: Call
    gates: int
    X: Node
    W: Node
    R: Node
    B: Node | None
    lengths: Node | None
    direction: str
    layout: int

    def __post_init__(self) -> None:
        counts = {"X": (self.X, 3), "W": (self.W, 3), "R": (self.R, 3), "B": (self.B, 2)}
        for name, (node, count) in counts.items():
            if node is not None and node.ndim != count:
                self.call.refuse(f"{name} has {count} axes, got {node.shape}")
            if node is not None and name != "X" and node.shape[0] != len(self.reversals()):
                self.call.refuse(
                    f"{name} has weights for {node.shape[0]} directions, and the direction is "
                    f"{self.direction!r}"
                )

    @property
    def units(self) -> Extent:
        """The size of a state."""
        return self.R.shape[2]

    @property
    def steps(self) -> int:
        """The axis of the steps."""
        return 1 if self.layout else 0

    def reversals(self) -> list[bool]:
        """Each direction: whether it goes backward."""
        known = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
        if self.direction not in known:
            self.call.refuse(
                f"the direction is forward, reverse or bidirectional, got {self.direction!r}"
            )
        return known[self.direction]

    def biases(self, place: int) -> tuple[Node, Node] | None:
        """The biases of a direction: of what comes in, and of what is remembered."""
        if self.B is None or is_zero(self.B):
            return None
        size = self.gates * self.units
        return self.B[place, :size], self.B[place, size:]

    def initial(self, state: Node | None, place: int) -> Node | None:
        """The state that a direction starts with; None if it is zeros."""
        if state is None or is_zero(state):
            return None
        return state[:, place] if self.layout else state[place]

    def unrolled(
        self,
        step_of: Callable[[int], tuple[Step, Node | None]],
        *initial: Node | None,
    ) -> tuple[Node, ...]:
        """Y and the last states. A direction has a step, and a bias of what comes in."""
        axis = self.steps
        self.call.steps(self.X.shape[axis])
        lengths = self._lengths(axis)
        sequences, lasts = [], []
        for place, reverse in enumerate(self.reversals()):
            step, bias = step_of(place)
            mark = "_back" if place else ""
            incoming = self.X @ self.W[place].T
            if bias is not None:
                incoming = incoming + bias
            self.call.graph.hint(incoming, f"incoming{mark}")
            states, last = cells.unrolled(
                step, incoming, [self.initial(state, place) for state in initial],
                axis=axis, reverse=reverse, lengths=lengths, mark=mark,
            )  # fmt: skip
            sequences.append(states)
            lasts.append(last)
        Y = ops.stack(sequences, 2 if self.layout else 1)
        return Y, *(ops.stack(several, axis) for several in zip(*lasts, strict=True))

    def _lengths(self, axis: int) -> Node | None:
        """The lengths of the sequences; None if all have every step."""
        if self.lengths is None:
            return None
        known = self.call.known(self.lengths)
        whole = known is not None and bool((known >= self.X.shape[axis]).all())
        return None if whole else self.lengths


def is_zero(node: Node) -> bool:
    """Whether a value that cannot be trained is zeros: exporters spell out what is the default."""
    seen, stack = {node}, [node]
    while stack:
        value = stack.pop()
        moves = value.op is concat or (value.op.emission.view and bool(value.args))
        if not moves and (value.op is not CONSTANT or value.params.data.array.any()):
            return False
        stack += [arg for arg in value.args if arg not in seen]
        seen.update(value.args)
    return True


def activations_of(
    call: Call, layer: Layer, given: tuple[str, ...] | None, default: tuple[str, ...],
    alphas: Numbers, betas: Numbers, clip: float | None,
) -> list[list[Activation]]:  # fmt: skip
    """The activations of each direction. Those that take numbers use them up in their order."""
    directions = len(layer.reversals())
    names = given or default * directions
    if len(names) != len(default) * directions:
        call.refuse(f"{len(default) * directions} activations are expected, got {len(names)}")
    numbers = iter(alphas), iter(betas)
    made = [activation(call, name, numbers) for name in names]
    count = len(default)
    return [
        [clipped(made[i + k], clip if k < 2 else None) for k in range(count)]
        for i in range(0, len(made), count)
    ]


def clipped(function: Activation, clip: float | None) -> Activation:
    """An activation of what is limited. The cell of an LSTM is not, as in ONNX Runtime."""
    return function if clip is None else lambda x: function(ops.clip(x, -clip, clip))


def activation(call: Call, name: str, numbers: tuple[Iterator[float], ...]) -> Activation:
    """An activation by its name."""
    if name.lower() not in ACTIVATIONS:
        call.refuse(f"the activation {name!r} is not known", hint=", ".join(ACTIVATIONS))
    defaults, make = ACTIVATIONS[name.lower()]
    return make(*(next(n, default) for n, default in zip(numbers, defaults, strict=False)))


@maps("RNN")
def rnn(
    call: Call, X: Node, W: Node, R: Node, B: Node | None = None, lengths: Node | None = None,
    initial_h: Node | None = None, *, activations: tuple[str, ...] | None = None,
    activation_alpha: Numbers = (), activation_beta: Numbers = (), clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
    output_sequence: int = 0,
) -> tuple[Node, ...]:  # fmt: skip
    """h' = f(X Wᵀ + h Rᵀ + both biases)."""
    layer = Layer(call, 1, X, W, R, B, lengths, direction, layout)
    functions = activations_of(
        call, layer, activations, ("Tanh",), activation_alpha, activation_beta, clip
    )

    def step_of(place: int) -> tuple[Step, Node | None]:
        biases = layer.biases(place)
        step = cells.rnn_step(R[place].T, functions[place][0])
        return step, None if biases is None else biases[0] + biases[1]

    return layer.unrolled(step_of, initial_h)


@maps("GRU")
def gru(
    call: Call, X: Node, W: Node, R: Node, B: Node | None = None, lengths: Node | None = None,
    initial_h: Node | None = None, *, activations: tuple[str, ...] | None = None,
    activation_alpha: Numbers = (), activation_beta: Numbers = (), clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
    linear_before_reset: int = 0, output_sequence: int = 0,
) -> tuple[Node, ...]:  # fmt: skip
    """The gates are z, r, and the candidate, which recalls the state before or after its reset."""
    layer = Layer(call, 3, X, W, R, B, lengths, direction, layout)
    functions = activations_of(
        call, layer, activations, ("Sigmoid", "Tanh"), activation_alpha, activation_beta, clip
    )
    gates = 2 * layer.units

    def step_of(place: int) -> tuple[Step, Node | None]:
        U, biases = R[place].T, layer.biases(place)
        bias = candidate_bias = None
        if biases is not None and linear_before_reset:
            incoming, recalled = biases
            bias = ops.concat([incoming[:gates] + recalled[:gates], incoming[gates:]])
            candidate_bias = recalled[gates:]
        elif biases is not None:
            bias = biases[0] + biases[1]
        if linear_before_reset:
            step = cells.gru_step(U, layer.units, candidate_bias, "zrn", functions[place])
        else:
            step = cells.early_reset_gru_step(U, layer.units, "zrn", functions[place])
        return step, bias

    return layer.unrolled(step_of, initial_h)


@maps("LSTM")
def lstm(
    call: Call, X: Node, W: Node, R: Node, B: Node | None = None, lengths: Node | None = None,
    initial_h: Node | None = None, initial_c: Node | None = None, P: Node | None = None, *,
    activations: tuple[str, ...] | None = None, activation_alpha: Numbers = (),
    activation_beta: Numbers = (), clip: float | None = None, direction: str = "forward",
    hidden_size: int | None = None, input_forget: int = 0, layout: int = 0,
    output_sequence: int = 0,
) -> tuple[Node, ...]:  # fmt: skip
    """The gates are i, o, f, and the candidate; P (directions, 3 * units) are peepholes i, o, f."""
    layer = Layer(call, 4, X, W, R, B, lengths, direction, layout)
    functions = activations_of(
        call, layer, activations, ("Sigmoid", "Tanh", "Tanh"), activation_alpha,
        activation_beta, clip,
    )  # fmt: skip

    def step_of(place: int) -> tuple[Step, Node | None]:
        biases, peepholes = layer.biases(place), None
        if P is not None and not is_zero(P):
            i, o, f = ops.split(P[place], 3)
            peepholes = (i, o, f)
        step = cells.lstm_step(
            R[place].T, layer.units, "iofg", functions[place], peepholes, bool(input_forget)
        )
        return step, None if biases is None else biases[0] + biases[1]

    return layer.unrolled(step_of, initial_h, initial_c)
