"""Everything that a generated module is made of, lowered and ready to be printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.graph import Graph, Parameter
from graphc.ir.node import Node
from graphc.lower.program import Program

MAX_STEPS = 1000  # from a size that does not suit a module to one that does


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A keyword argument of `train_step`."""

    name: str
    default: float
    meaning: str


@dataclass(frozen=True, slots=True)
class LoweredOptimizer:
    """An optimiser as programs.

    slots     what is kept for each parameter, and what it starts from
    rates     of scalars: (step, hyperparameters) -> the numbers of a step
    program   on one parameter: (p, g, slots, numbers of a step) -> (p, slots)
    trained   the parameters that it is applied to
    schedule  of scalars: (lr, step) -> lr; None where the learning rate stays
    doc       what the schedule is
    clips     whether the last argument of `program` scales gradients, to clip their norm
    """

    kind: str
    slots: Mapping[str, float]
    hyperparameters: tuple[Hyperparameter, ...]
    rates: Program
    program: Program
    trained: tuple[str, ...]
    schedule: Program | None = None
    doc: str = ""
    clips: bool = False

    @property
    def counts(self) -> bool:
        """Whether the numbers of a step depend on how many there were."""
        return any(node.params.kind == "step" for node in self.rates.arguments)


@dataclass(frozen=True, slots=True)
class Fit:
    """What `fit` goes through in batches.

    size   the named size that counts examples
    data   the inputs that have them along the first axis
    """

    size: str
    data: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the module checks itself against.

    phases  for each argument the phase of the pattern that it is filled with
    sizes   the named sizes
    labels  ints run through 0 … labels - 1
    offset  what is added to floats
    values  what graphc computed: the loss (under None) and the slope of each gradient, with the
            absolute tolerance of each
    slopes  in place of that, where the model draws, since NumPy may change what a seed gives: the
            gradients that are compared with differences
    """

    phases: Mapping[Node, int]
    sizes: Mapping[str, int]
    labels: int
    offset: float
    values: tuple[tuple[str | None, float, float], ...] = ()
    slopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoweredModule:
    """The programs of one module.

    predict, evaluate   None where there is nothing for them to compute
    forward, backward   None for inference; forward's first result is the loss where `loss` is set
    residuals, sizes    what backward reads of forward: values, and named sizes that none shows
    gradients           names of what backward returns, in order
    updates             names of the states that forward returns, in order
    initial             for parameters and states the template or array of the initial value
    embed               how many bytes of arrays may stand in the module, with nothing beside it;
                        None for a file beside it
    initializers        functions of `graphc.runtime` that those templates call
    """

    graph: Graph
    parameters: tuple[Parameter, ...]
    inputs: tuple[Node, ...]
    outputs: tuple[str, ...]
    predict: Program | None
    evaluate: Program | None
    initial: Mapping[str, str | np.ndarray[Any, Any]]
    options: Mapping[str, str]
    digest: str
    command: str
    version: str
    forward: Program | None = None
    backward: Program | None = None
    loss: str | None = None
    residuals: tuple[Node, ...] = ()
    sizes: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ()
    initializers: tuple[Callable[..., Any], ...] = ()
    updates: tuple[str, ...] = ()
    kinks: tuple[str, ...] = ()
    optimizer: LoweredOptimizer | None = None
    self_test: SelfTest | None = None
    fit: Fit | None = None
    embed: int | None = None

    @property
    def groups(self) -> dict[str, list[Node]]:
        """What is kept in files: `params` and `state`, those that there are."""
        states = [node for node, _ in self.graph.states.values()]
        found = {"params": [p.node for p in self.parameters], "state": states}
        return {group: nodes for group, nodes in found.items() if nodes}

    def is_given(self, group: str) -> bool:
        """Whether the graph is pretrained, and all parameters and states start from arrays."""
        nodes = [node for name in ("params", group) for node in self.groups.get(name, ())]
        whole = bool(self.parameters) and all(self.given(node) is not None for node in nodes)
        return self.graph.pretrained and whole

    def given(self, node: Node) -> np.ndarray[Any, Any] | None:
        """The array that a parameter or state starts from; None where it starts otherwise."""
        name = node.params.name
        states = self.graph.states
        init = states[name][1] if name in states else self.graph.parameters[name].init
        return init if isinstance(init, np.ndarray) else None

    @property
    def debug_nan(self) -> bool:
        """Whether each value is checked to be finite."""
        return "debug_nan" in self.options

    def sample_sizes(self) -> dict[str, int]:
        """A size for each name: 2 to 5, or the next ones above for which `forward` runs.

        Raises ShapeError where none are found.
        """
        names = sorted({n for node in self.graph.declared() for n in dims.all_names(node.shape)})
        sizes = {name: 2 + place % 4 for place, name in enumerate(names)}
        guards = self.forward.guards if self.forward is not None else ()
        for _ in range(MAX_STEPS):
            for guard in guards:
                left, right = (dims.evaluate(side, sizes) for side in (guard.left, guard.right))
                if left < right or (left > right and guard.relation == "=="):
                    break
            else:
                return sizes
            smaller, larger = guard.left, guard.right
            if left > right:
                smaller, larger = larger, smaller
            for name in dims.all_names((smaller,)) or dims.all_names((larger,)):
                sizes[name] += 1
        raise ShapeError(
            f"no small sizes were found at which {self.graph.name!r} runs", hint=guard.reason
        )
