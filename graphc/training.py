"""What a compilation does for training: penalties in the objective, the programs of a step, fit."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from graphc.errors import UsageError, suggest
from graphc.ir import dims
from graphc.ir.function import Function
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.lower.module import Fit, Hyperparameter, LoweredModule, LoweredOptimizer
from graphc.lower.program import Program, lower
from graphc.ops import astype, l1_penalty, l2_penalty
from graphc.optim.optimizer import Optimizer, checked_number
from graphc.optim.schedules import Schedule
from graphc.passes.pipeline import Pipeline

CLIP = "the norm of all gradients together above which they are scaled down to it"
SCALAR = "scalar"  # the style of Python's numbers


@dataclass(frozen=True, slots=True)
class Training:
    """The training step that is asked for.

    schedule   of the learning rate; None where it stays
    clip_norm  the norm that gradients are clipped to, if any
    fit        whether there is a loop around the step
    """

    optimizer: Optimizer
    schedule: Schedule | None = None
    clip_norm: float | None = None
    fit: bool = False

    def described(self) -> dict[str, str]:
        """As text for the header of the module."""
        optimizer = self.optimizer
        chosen = {"optimizer": optimizer.kind}
        chosen.update((name, repr(value)) for name, value, _ in optimizer.hyperparameters)
        chosen.update((f"{n} from", repr(value)) for n, value in optimizer.slots.items() if value)
        chosen.update(dict.fromkeys(optimizer.flags, "true"))
        chosen |= {} if self.schedule is None else {"schedule": self.schedule.kind}
        chosen |= {} if self.clip_norm is None else {"clip_norm": repr(self.clip_norm)}
        return chosen | ({"fit": "true"} if self.fit else {})


@dataclass(frozen=True, slots=True)
class Penalty:
    """λ Ω(θ), which is added to the objective: l1 · Σ|θ| + l2 · Σθ² of the trained parameters.

    penalize   patterns of the names of parameters
    """

    l1: float = 0.0
    l2: float = 0.0
    penalize: tuple[str, ...] = ("*",)

    def described(self) -> dict[str, str]:
        """As text for the header of the module."""
        chosen = {name: repr(value) for name, value in (("l1", self.l1), ("l2", self.l2)) if value}
        if chosen and self.penalize != ("*",):
            chosen["penalize"] = ", ".join(self.penalize)
        return chosen

    def added(self, objective: Node, trained: Sequence[Node]) -> Node:
        """The objective with the penalty. Raises UsageError for a pattern that fits nothing."""
        names = [node.params.name for node in trained]
        for pattern in self.penalize:
            if not fnmatch.filter(names, pattern):
                close = suggest(pattern, names)
                raise UsageError(f"--penalize {pattern!r} fits no trained parameter", hint=close)
        chosen = [n for n in trained if any(fits(n.params.name, p) for p in self.penalize)]
        graph = objective.graph
        with graph.quiet():
            terms = [
                factor * norm(*chosen)
                for factor, norm in ((self.l1, l1_penalty), (self.l2, l2_penalty))
                if factor
            ]
            penalty = terms[0] if len(terms) == 1 else terms[0] + terms[1]
            return objective + graph.hint(astype(penalty, objective.dtype), "penalty")


def fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern, in upper and lower case as they are."""
    return fnmatch.fnmatchcase(name, pattern)


def checked_penalty(l1: float, l2: float, penalize: tuple[str, ...]) -> Penalty:
    """A penalty. Raises UsageError for numbers that make no sense, and patterns without a use."""
    found = Penalty(checked_number("l1", l1), checked_number("l2", l2), penalize or ("*",))
    if penalize and not (found.l1 or found.l2):
        raise UsageError("penalize needs l1 or l2")
    return found


# --- the training step -------------------------------------------------------------------------


def with_step(
    module: LoweredModule, training: Training, style: str, pipeline: Pipeline
) -> LoweredModule:
    """The module with the programs of a training step, and what `fit` needs if it is asked for."""
    optimizer, graph = training.optimizer, module.graph
    trained = tuple(n for n in module.gradients if n in graph.parameters)
    if not trained or not module.loss:
        raise UsageError(
            f"--optimizer {optimizer.kind} needs a loss and a trained parameter",
            hint=None if module.loss else "declare it with g.loss(…), as of an imported model too",
        )
    clips = training.clip_norm is not None
    given = [()] if style == SCALAR else []
    hyperparameters = [Hyperparameter(*h) for h in optimizer.hyperparameters]
    if training.clip_norm is not None:
        hyperparameters.append(Hyperparameter("clip_norm", training.clip_norm, CLIP))
    arguments, rates = optimizer.rates_graph()
    schedule = training.schedule
    lowered = LoweredOptimizer(
        optimizer.kind,
        optimizer.slots,
        tuple(hyperparameters),
        program("rates", arguments, tuple(rates.values()), pipeline),
        program("update", *optimizer.graph(graph.dtype, *given, clipped=clips), pipeline),
        trained,
        None if schedule is None else program("schedule", *schedule.graph(), pipeline),
        "" if schedule is None else schedule.kind,
        clips,
    )
    batches = fit_over(module, style) if training.fit else None
    return replace(module, optimizer=lowered, fit=batches)


def program(
    name: str, arguments: tuple[Node, ...], results: tuple[Node, ...], pipeline: Pipeline
) -> Program:
    """A small graph as a program."""
    outputs = tuple((str(place), result) for place, result in enumerate(results))
    function = pipeline.run(Function(name, results[0].graph, outputs, arguments), "train")
    return lower(name, arguments, function.roots)


def fit_over(module: LoweredModule, style: str) -> Fit:
    """What `fit` goes through in batches: the inputs whose first axis counts examples.

    That is the first named size that an input begins with. Raises UsageError where there is none,
    or where it is a size of something else too.
    """
    assert module.forward is not None
    graph = module.graph
    if style == SCALAR:
        raise UsageError("fit needs a batch, and a model of scalars has none")
    inputs = [node for node in module.forward.arguments if node.params.kind == "input"]
    first = (dims.pure_name(node.shape[0]) for node in inputs if node.shape)
    size = next((name for name in first if name is not None), None)
    if size is None:
        raise UsageError(
            "fit needs an input whose first axis is a named size, of which it takes batches; got "
            + (described(inputs, graph) or "no input"),
            hint='declare it as in g.input("x", ("batch", 64))',
        )
    data = [node for node in inputs if node.shape and dims.pure_name(node.shape[0]) == size]
    states = [node for node, _ in graph.states.values()]
    others = [p.node for p in module.parameters] + states
    inside = [node for node in data if size in dims.all_names(node.shape[1:])]
    beside = {*inputs, *others}.difference(data)
    wrong = [n for n in graph.declared() if n in beside and size in dims.all_names(n.shape)]
    wrong = [*inside, *wrong]
    if wrong:
        raise UsageError(
            f"fit takes batches along {size!r}, which has to be the first axis of inputs and "
            f"nothing else; got {described(wrong[:1], graph)}",
            site=graph.site_of(wrong[0]),
        )
    return Fit(size, tuple(data))


def described(nodes: Iterable[Node], graph: Graph) -> str:
    """Nodes for a message."""
    return ", ".join(graph.describe(node, site=True) for node in nodes)
