"""From a declared graph to a lowered module: two functions of one arena, cut and put in order."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.autodiff.derivative import expand_derivatives
from graphc.autodiff.partition import partition
from graphc.errors import DeclarationError, DifferentiationError, UsageError, suggest
from graphc.frontends.initializers import (
    Initializer,
    initial_expression,
    initial_number,
    runtime_helpers,
)
from graphc.ir import dims
from graphc.ir.function import Function, influences, topological
from graphc.ir.graph import Constant, Graph, Parameter
from graphc.ir.node import Node
from graphc.ir.op import KINKS
from graphc.ir.types import FLOAT
from graphc.lower.module import LoweredModule
from graphc.lower.program import Program, lower, sizes_in_code, sizes_in_guards
from graphc.lower.schedule import backward_order
from graphc.ops.derivatives import vjp
from graphc.passes.driver import Report
from graphc.passes.pipeline import Pipeline
from graphc.self_test import self_test
from graphc.training import SCALAR, Penalty, Training, with_step


@dataclass(frozen=True, slots=True)
class Options:
    """What a compilation can be told; the command line has an option for each.

    embed  how many bytes of arrays may stand in the module; None for a file beside it
    """

    style: str = "functional"
    training: Training | None = None
    penalty: Penalty = field(default_factory=Penalty)
    inference: bool = False
    wrt: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    kinks: str = "torch"
    stabilize: bool = True
    allow_unused: bool = False
    debug_nan: bool = False
    embed: int | None = None
    command: str = ""
    version: str = ""

    def described(self) -> dict[str, str]:
        """The options that shape the module, as text for its header."""
        chosen = {"style": self.style} | ({} if self.inference else {"kinks": self.kinks})
        chosen |= {} if self.training is None else self.training.described()
        chosen |= self.penalty.described()
        for name in ("wrt", "freeze"):
            if getattr(self, name):
                chosen[name] = ", ".join(getattr(self, name))
        chosen.update({"inference": "true"} if self.inference else {})
        chosen.update({} if self.stabilize else {"stabilize": "false"})
        chosen.update({"embed": "true"} if self.embed is not None else {})
        return chosen | ({"debug_nan": "true"} if self.debug_nan else {})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be computed.

    infer, train  the results of each function, by group
    wrt, bars     what is differentiated by, and the cotangents of what is differentiated
    loss          the name of the scalar that is differentiated; None for several outputs
    """

    infer: dict[str, list[Node]]
    train: dict[str, list[Node]]
    wrt: list[Node]
    bars: list[Node]
    loss: str | None


@dataclass(slots=True)
class Compilation:
    """One compilation of one graph."""

    graph: Graph
    options: Options
    report: Report = field(default_factory=Report)
    after: Callable[[str, Function], None] = lambda name, function: None
    objective: Node | None = None  # the loss, with a penalty if one is asked for

    def lowered(self) -> LoweredModule:
        """The programs of the module. Raises GraphcError for a graph that makes none."""
        graph, options = self.graph, self.options
        if options.kinks not in KINKS:
            raise UsageError(f"kinks is one of {', '.join(KINKS)}, got {options.kinks!r}")
        if not graph.outputs and graph.objective is None:
            raise DeclarationError(
                f"graph {graph.name!r} has no outputs and no loss",
                hint='declare one with g.output("y", y) or g.loss(…)',
            )
        if options.inference and not graph.outputs:
            raise UsageError("--inference needs an output; the graph declares a loss only")
        graph.forget_derived()
        self.objective = self.penalized()
        self.name_results()
        plan = self.plan()
        results = self.optimized(plan)
        module = self.training_part(plan, results, self.inference_part(plan, results))
        if options.training is not None:
            pipeline = Pipeline(expand_derivatives, after=self.after)
            module = with_step(module, options.training, options.style, pipeline)
        return replace(module, self_test=self_test(module, plain=options.style == SCALAR))

    def name_results(self) -> None:
        """Results are called by their declared names where the user has no other for them."""
        for name, node in self.graph.outputs.items():
            self.graph.hint(node, name)
        if self.objective is not None:
            self.graph.hint(self.objective, "loss")

    def penalized(self) -> Node | None:
        """The loss, with the penalty on trained parameters if one is asked for."""
        graph, penalty = self.graph, self.options.penalty
        if not penalty.described():
            return graph.objective
        if graph.objective is None:
            raise UsageError("l1 and l2 are added to a loss", hint="declare it with g.loss(…)")
        graph.hint(graph.objective, "data_loss")
        trained = [p.node for n, p in graph.parameters.items() if self.is_trained(n, p)]
        return penalty.added(graph.objective, trained)

    # --- what is computed ---------------------------------------------------------------------

    def plan(self) -> Plan:
        """The results of each function, before any pass."""
        graph, options = self.graph, self.options
        loss = [] if self.objective is None else [self.objective]
        infer = {"predict": list(graph.outputs.values()), "evaluate": loss}
        if options.inference:
            return Plan({"predict": infer["predict"]}, {}, [], [], None)
        name, targets = self.targets()
        wrt = self.variables()
        if not targets or not wrt:
            if options.training is not None or options.wrt:
                raise DifferentiationError("there is nothing to differentiate")
            return Plan(infer, {}, [], [], None)
        nodes = list(targets.values())
        self.check_reachable(nodes, wrt)
        with graph.quiet():
            bars = [graph.argument("cotangent", n, y.shape, y.dtype) for n, y in targets.items()]
            gradients = vjp(nodes, wrt, bars, allow_unused=True)
        train = {
            "results": nodes if name else list(graph.outputs.values()),
            "updates": list(graph.updates.values()),
            "gradients": gradients,
        }
        return Plan(infer, train, wrt, bars, name)

    def targets(self) -> tuple[str | None, dict[str, Node]]:
        """What is differentiated: the loss under its name, or (None, the outputs)."""
        graph = self.graph
        if self.objective is not None:
            return "loss", {"loss": self.objective}
        outputs = {name: y for name, y in graph.outputs.items() if y.dtype.kind == FLOAT}
        (first, *_) = graph.outputs
        if len(graph.outputs) == 1 and outputs and not outputs[first].shape:
            return first, outputs
        return None, outputs

    def variables(self) -> list[Node]:
        """What gradients are taken for: trainable parameters, else float inputs, or `wrt`."""
        graph, options = self.graph, self.options
        for pattern in options.freeze:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in graph.parameters):
                close = suggest(pattern, graph.parameters)
                raise UsageError(f"--freeze {pattern!r} fits no parameter", hint=close)
        if not options.wrt:
            trained = [p.node for n, p in graph.parameters.items() if self.is_trained(n, p)]
            return trained or [n for n in graph.inputs.values() if n.dtype.kind == FLOAT]
        known = {name: p.node for name, p in graph.parameters.items()} | graph.inputs
        for name in options.wrt:
            if name not in known:
                close = suggest(name, known)
                raise UsageError(f"wrt {name!r} is no parameter and no input", hint=close)
            if known[name].dtype.kind != FLOAT:
                described = graph.describe(known[name], site=True)
                raise DifferentiationError(f"wrt has to be a float, got {described}")
        return [known[name] for name in dict.fromkeys(options.wrt)]

    def is_trained(self, name: str, parameter: Parameter) -> bool:
        """Whether a parameter is trainable and not frozen."""
        frozen = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.options.freeze)
        return parameter.trainable and not frozen

    def check_reachable(self, targets: Sequence[Node], wrt: Sequence[Node]) -> None:
        """Raise DifferentiationError for a wrt whose gradient would be zero everywhere."""
        reached = influences(targets)
        for node in wrt:
            if node not in reached and not self.options.allow_unused:
                described = self.graph.describe(node, site=True)
                names = ", ".join(self.graph.describe(y, site=True) for y in targets)
                raise DifferentiationError(
                    f"the gradient of {described} is zero everywhere: it does not reach {names}",
                    site=self.graph.site_of(node),
                    hint="leave it out with --wrt or --freeze, or pass --allow-unused",
                )

    def optimized(self, plan: Plan) -> dict[str, list[Node]]:
        """The results of each function after all passes.

        Training and inference go through them together unless a value depends on the mode.
        """
        listed = [*plan.infer.values(), *plan.train.values()]
        everything = topological([node for nodes in listed for node in nodes])
        if any(node.op.name == "by_mode" for node in everything):
            return self.passed(plan, plan.infer, "infer") | self.passed(plan, plan.train, "train")
        return self.passed(plan, plan.infer | plan.train, "train")

    def passed(self, plan: Plan, groups: dict[str, list[Node]], mode: str) -> dict[str, list[Node]]:
        """Groups of results after all passes."""
        outputs = tuple((group, node) for group, nodes in groups.items() for node in nodes)
        function = Function(mode, self.graph, outputs, (*self.graph.declared(), *plan.bars))
        pipeline = Pipeline(
            expand_derivatives, self.options.kinks, self.options.stabilize, self.report, self.after
        )
        result: dict[str, list[Node]] = {group: [] for group in groups}
        for group, node in pipeline.run(function, mode).outputs:
            result[group].append(node)
        return result

    # --- programs -------------------------------------------------------------------------------

    def checked(
        self, name: str, results: Sequence[Node], guarded: Sequence[Node] = (), **options: Any
    ) -> Program:
        """The program of a function that takes what it needs of the arguments, and checks it.

        guarded  more values whose conditions on sizes are checked with those of the results: what
                 was declared, since a rewrite may have removed a value with its condition
        """
        kept = (*results, *options.get("kept", ()))
        steps = topological(kept)
        guarded = topological([*kept, *guarded]) if self.graph.guards else ()
        read = [*sizes_in_code(steps), *sizes_in_guards(guarded)]
        names = [*options.get("kept_sizes", ()), *(n for size in read for n in dims.names(size))]
        arguments = self.arguments(set(steps), names)
        return lower(name, arguments, results, checked=arguments, guarded=guarded, **options)

    def arguments(self, needed: set[Node], names: Sequence[str]) -> list[Node]:
        """The declared arguments that are needed, or that alone show a named size, in order."""
        declared = self.graph.declared()
        chosen = {node for node in declared if node in needed}
        shown = {dims.pure_name(size) for node in chosen for size in node.shape}
        for name in dict.fromkeys(names):
            if name not in shown:
                size = dims.named(name)
                chosen.update(itertools.islice((n for n in declared if size in n.shape), 1))
        return [node for node in declared if node in chosen]

    def inference_part(self, plan: Plan, results: dict[str, list[Node]]) -> LoweredModule:
        """The module as far as inference needs it: predict and evaluate."""
        graph, options = self.graph, self.options
        programs = {
            name: self.checked(name, results[name], plan.infer[name])
            for name in ("predict", "evaluate")
            if results.get(name)
        }
        used = {node for program in programs.values() for node in program.arguments}
        every = not options.inference
        parameters = [p for p in graph.parameters.values() if every or p.node in used]
        states = list(graph.states.values())
        initial = [(p.node, p.init) for p in parameters] + states
        plain = options.style == SCALAR and not any(node.shape for node, _ in initial)
        expression = initial_number if plain else initial_expression
        return LoweredModule(
            graph=graph,
            parameters=tuple(parameters),
            inputs=tuple(n for n in graph.inputs.values() if every or n in used),
            outputs=tuple(graph.outputs),
            predict=programs.get("predict"),
            evaluate=programs.get("evaluate"),
            initial={n.params.name: expression(init, n) for n, init in initial},
            initializers=tuple(h for _, init in initial for h in runtime_helpers(init)),
            options=options.described(),
            digest=digest(graph, options),
            command=options.command,
            version=options.version,
            embed=options.embed,
        )

    def training_part(
        self, plan: Plan, results: dict[str, list[Node]], module: LoweredModule
    ) -> LoweredModule:
        """forward and backward, by partition of the joint function."""
        if not plan.train:
            return module
        outputs = results["results"] + results["updates"]
        gradients = results["gradients"]
        parts = partition(outputs, gradients, plan.bars)
        declared = plan.train["results"] + plan.train["updates"]
        forward = self.checked(
            "forward",
            outputs,
            [*declared, *gradients],
            kept=parts.residuals,
            kept_sizes=parts.sizes,
        )
        backward = lower(
            "backward",
            [*parts.residuals, *plan.bars],
            gradients,
            checked=plan.bars,
            order=backward_order(gradients, plan.wrt, forward.order),
            given_sizes=parts.sizes,
        )
        met = [*topological(plan.train["results"]), *self.graph.origins]
        kinked = [node.op.kink for node in met]
        rows = [kink[self.options.kinks] for kink in kinked if kink is not None]
        return replace(
            module,
            forward=forward,
            backward=backward,
            loss=plan.loss,
            residuals=parts.residuals,
            sizes=parts.sizes,
            gradients=tuple(w.params.name for w in plan.wrt),
            updates=tuple(self.graph.updates),
            kinks=tuple(dict.fromkeys(rows)),
        )


def digest(graph: Graph, options: Options) -> str:
    """A hash of the declared graph and the options: no line numbers, no paths."""
    roots = {**graph.outputs, **graph.updates}
    listed = [*roots.values(), *([graph.objective] if graph.objective is not None else [])]
    order = topological(listed)
    place = {node: i for i, node in enumerate(order)}
    draws = sorted(n.params.serial for n in order if n.op.random)  # counted without unused ones
    lines = []
    for n in order:
        params = n.params._replace(serial=draws.index(n.params.serial)) if n.op.random else n.params
        lines.append(f"{n.op.name} {[place[a] for a in n.args]} {tuple(params)!r}")
    lines += [f"{name!r} {place[node]}" for name, node in roots.items()]
    lines += [op.definition for op in dict.fromkeys(n.op for n in order) if op.definition]
    lines += [f"loss {place[graph.objective]}"] if graph.objective is not None else []
    for name, p in graph.parameters.items():
        lines.append(f"{name!r} {p.node.types[0]} {value_text(p.init)} {p.trainable}")
    for name, (node, init) in graph.states.items():
        lines.append(f"{name!r} {node.types[0]} {value_text(init)}")
    lines += [f"{name!r} {node.types[0]}" for name, node in graph.inputs.items()]
    lines += ["pretrained"] if graph.pretrained else []
    lines.append(repr(sorted(options.described().items())))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def value_text(init: object) -> str:
    """An initial value, bit for bit."""
    return repr(str(init)) if isinstance(init, Initializer) else repr(Constant.of(np.asarray(init)))
