"""The layout of a workspace: which memory each of its methods writes into."""

from __future__ import annotations

from dataclasses import dataclass, field

from graphc.errors import UsageError
from graphc.ir import dims
from graphc.ir.graph import ARGUMENT
from graphc.ir.node import Node
from graphc.lower.buffers import Memory, Slot, is_array, plan
from graphc.lower.liveness import memory_read
from graphc.lower.module import LoweredModule
from graphc.lower.program import MAX_DEPTH, Program, promotes_itself

FIXED = ("parameter", "state")


@dataclass(slots=True)
class Layout:
    """The plans of all methods. They never run at the same time, so they share their slots.

    training   of forward and backward, one after the other
    update     of the optimiser, on the vector of all trained parameters
    gradients  of each array that backward returns, what computes it: written where it belongs
    """

    module: LoweredModule
    predict: Memory = field(default_factory=Memory)
    evaluate: Memory = field(default_factory=Memory)
    training: Memory = field(default_factory=Memory)
    update: Memory = field(default_factory=Memory)
    gradients: dict[Node, str] = field(default_factory=dict)

    def vector(self) -> list[Node]:
        """The trained parameters, in the order in which they lie in the flat vector."""
        derived = set(self.module.gradients)
        return [p.node for p in self.module.parameters if p.node.params.name in derived]

    def sizes(self) -> list[str]:
        """The named sizes that a workspace is made for."""
        return dims.names_in_order(node.shape for node in self.declared())

    def sequences(self) -> tuple[Memory, ...]:
        """The plans that share slots: each is of statements that run one after the other."""
        return self.training, self.predict, self.evaluate

    def slots(self) -> list[Slot]:
        """The memory that all methods but the update share."""
        return list(dict.fromkeys(slot for memory in self.sequences() for slot in memory.slots))

    def planned(self) -> dims.Extent:
        """The bytes of that memory."""
        total: dims.Extent = 0
        for slot in self.slots():
            total = total + slot.size
        return total

    def fixed_sizes(self) -> set[str]:
        """The named sizes that stay as they are when the others change: those of parameters."""
        return {
            name
            for node in self.declared()
            if node.params.kind in FIXED
            for name in dims.all_names(node.shape)
        }

    def declared(self) -> list[Node]:
        """Parameters, states and inputs."""
        states = [node for node, _ in self.module.graph.states.values()]
        return [*(p.node for p in self.module.parameters), *states, *self.module.inputs]

    def kept_between(self) -> list[Node]:
        """What backward reads of forward and finds in no buffer: arguments, scalars, outputs."""
        return [
            node
            for node in self.module.residuals
            if node not in self.training.buffers
            and not (node.op is ARGUMENT and node.params.kind == "parameter")
        ]


def layout(module: LoweredModule) -> Layout:
    """The layout of a workspace for a module."""
    result = Layout(module)
    if module.forward is not None and module.backward is not None:
        programs = (module.forward, module.backward)
        results = module.forward.results[1 if module.loss else 0 :]
        kept = set(module.residuals)
        fresh = [node for node in results if node not in kept]
        result.gradients = gradients_in_place(module, module.backward)
        result.training = plan(
            [node for program in programs for node in program.order],
            inline=written_inside(*programs),
            kept=[*shown(module.forward), *shown(module.backward)],
            elsewhere=[*fresh, *result.gradients],
        )
    slots = result.training.slots
    for program in (module.predict, module.evaluate):
        if program is not None:
            memory = plan(
                program.order,
                inline=written_inside(program),
                kept=shown(program),
                elsewhere=program.results,
                slots=slots,
            )
            setattr(result, program.name, memory)
            slots = memory.slots
    if module.optimizer is not None:
        update = module.optimizer.program
        inline = written_inside(update)
        result.update = plan(update.order, inline=inline, kept=update.results)
    return result


def check_dtypes(plans: Layout) -> None:
    """Raise UsageError unless the trained parameters can lie in one vector."""
    vector = plans.vector()
    for node in vector[1:]:
        if node.dtype is not vector[0].dtype:
            described = (n.graph.describe(n, site=True) for n in (vector[0], node))
            raise UsageError(
                f"the workspace style keeps trained parameters in one vector of one dtype, got "
                f"{' and '.join(described)}",
                hint="declare them with one dtype, or leave some out with --freeze or --wrt",
            )


def written_inside(*programs: Program) -> set[Node]:
    """The values that need no statement: scalars, views, and masks that count as numbers.

    An op that cannot write into a buffer makes an array of its own; its only user may as well read
    that one, instead of a copy.
    """
    depths: dict[Node, int] = {}
    for program in programs:
        for user in program.order:
            for node in user.args:
                free = not is_array(node) or node.op.emission.out is None
                if node in program.inline and (free or promotes_itself(node, user)):
                    depth = 1 + max((depths.get(arg, 0) for arg in node.args), default=0)
                    if depth <= MAX_DEPTH:
                        depths[node] = depth
    return set(depths)


def gradients_in_place(module: LoweredModule, backward: Program) -> dict[Node, str]:
    """The gradients whose last statement can write them where they belong.

    What forward computes too, such as zeros, has memory of its own.
    """
    found: dict[Node, str] = {}
    computed = set(backward.order).difference(module.forward.order if module.forward else ())
    for name, node in zip(module.gradients, backward.results, strict=True):
        if is_array(node) and node in computed:
            found.setdefault(node, name)
    return found


def shown(program: Program) -> list[Node]:
    """What results show that have no memory of their own; it is copied when they are returned."""
    read = memory_read(program.order, ())
    return [value for node in program.results for value in read.get(node, ()) if value is not node]
