"""Sequences of tensors. They are taken apart while the model is imported: none is in the module."""

from __future__ import annotations

from graphc import ops
from graphc.frontends.onnx.mapping.shape import parts
from graphc.frontends.onnx.registry import Call, Tensors, maps
from graphc.ir.node import Node

maps("SequenceConstruct", lambda call, *inputs: Tensors(inputs))
maps("SequenceEmpty", lambda call, *, dtype=1: Tensors())
maps("SequenceLength", lambda call, sequence: call.constant(len(sequence), "int64"))


@maps("SequenceAt")
def sequence_at(call: Call, sequence: Tensors, position: Node) -> Node:
    """One of the tensors; a position below 0 counts from the end."""
    return sequence[place_of(call, sequence, position, 0)]


@maps("SequenceErase")
def sequence_erase(call: Call, sequence: Tensors, position: Node | None = None) -> Tensors:
    """The sequence without one of its tensors, the last by default."""
    place = -1 if position is None else place_of(call, sequence, position, 0)
    rest = list(sequence)
    if not rest:
        call.refuse("the sequence is empty")
    del rest[place]
    return Tensors(rest)


@maps("SequenceInsert")
def sequence_insert(
    call: Call, sequence: Tensors, tensor: Node, position: Node | None = None
) -> Tensors:
    """The sequence with another tensor before one of its own, at the end by default."""
    own = len(sequence)
    place = own if position is None else place_of(call, sequence, position, 1)
    return Tensors((*sequence[:place], tensor, *sequence[place:]))


@maps("SplitToSequence")
def split_to_sequence(
    call: Call, x: Node, split: Node | None = None, *, axis: int = 0, keepdims: int = 1
) -> Tensors:
    """x cut along an axis: into parts of one size, the last of which may be smaller, or of several.

    Without sizes each part is one wide, and has no such axis if `keepdims` is 0.
    """
    if split is not None and split.ndim == 1:
        return Tensors(parts(x, axis, call.sizes(split, "the sizes of the parts")))
    size = x.shape[axis]
    if not isinstance(size, int):
        call.refuse(
            f"{size} is split, and has to be known when the model is compiled",
            hint=f"bind the dimension, as in --bind {size}=8",

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
    while node.op is broadcast_to:
        node = node.args[0]
    return node.op is CONSTANT and not node.params.data.array.any()


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
    each = 1 if split is None else call.number(split, "the size of the parts")
    if each < 1:
        call.refuse(f"parts have a size of at least 1, got {each}")
    sizes = [min(each, size - start) for start in range(0, size, each)]
    found = parts(x, axis, sizes) if sizes else ()
    if split is None and not keepdims:
        return Tensors(ops.squeeze(part, axis) for part in found)
    return Tensors(found)


@maps("ConcatFromSequence")
def concat_from_sequence(call: Call, sequence: Tensors, *, axis: int, new_axis: int = 0) -> Node:
    """All tensors along an axis that they have, or along a new one."""
    if not sequence:
        call.refuse("the sequence is empty")
    return (ops.stack if new_axis else ops.concat)(list(sequence), axis)


def place_of(call: Call, sequence: Tensors, position: Node, more: int) -> int:
    """A position in a sequence, from its start; `more` is how far beyond the last it may be."""
    place, size = int(call.number(position, "the position")), len(sequence)
    if not -size <= place < size + more:
        call.refuse(f"the sequence has {size} tensors, none at {place}")
    return place + size if place < 0 else place
