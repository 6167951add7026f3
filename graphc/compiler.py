"""From a declared graph to a lowered module: two functions of one arena, cut and put in order."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.autodiff.derivative import expand_derivatives
from graphc.autodiff.partition import Partition, partition
from graphc.errors import DeclarationError, DifferentiationError, UsageError, suggest
from graphc.frontends.initializers import initial_expression
from graphc.frontends.optimizers import Optimizer
from graphc.ir import dims
from graphc.ir.function import Function, differentiable_path, topological
from graphc.ir.graph import Graph, Parameter, is_cotangent
from graphc.ir.node import Node
from graphc.ir.op import KINKS
from graphc.ir.types import FLOAT
from graphc.lower.interpreter import interpret
from graphc.lower.module import Hyperparameter, LoweredModule, LoweredOptimizer, SelfTest
from graphc.lower.program import Program, lower
from graphc.lower.schedule import backward_order
from graphc.ops.derivatives import vjp
from graphc.passes.driver import Report
from graphc.passes.pipeline import Pipeline
from graphc.runtime import boundary

SELF_TEST_ELEMENTS = 5_000_000  # above it, the self-test would take long and says nothing more


@dataclass(frozen=True, slots=True)
class Options:
    """What a compilation can be told; the command line has an option for each."""

    optimizer: Optimizer | None = None
    inference: bool = False
    wrt: tuple[str, ...] = ()
    freeze: tuple[str, ...] = ()
    kinks: str = "torch"
    stabilize: bool = True
    allow_unused: bool = False
    command: str = ""
    version: str = ""

    def described(self) -> dict[str, str]:
        """The options that shape the module, as text for its header."""
        chosen = {"style": "functional", "kinks": self.kinks}
        if self.optimizer is not None:
            chosen["optimizer"] = self.optimizer.kind
            chosen.update((name, repr(v)) for name, v, _ in self.optimizer.hyperparameters)
        for name in ("wrt", "freeze"):
            if getattr(self, name):
                chosen[name] = ", ".join(getattr(self, name))
        chosen.update({"inference": "true"} if self.inference else {})
        return chosen | ({} if self.stabilize else {"stabilize": "false"})


@dataclass(slots=True)
class Compilation:
    """One compilation of one graph."""

    graph: Graph
    options: Options
    report: Report = field(default_factory=Report)
    after: Callable[[str, Function], None] = lambda name, function: None

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
        self.name_results()
        module = self.inference_part()
        if options.inference:
            if module.predict is None:
                raise UsageError("--inference needs an output; the graph declares a loss only")
            return module
        module = self.training_part(module)
        if options.optimizer is not None:
            module = replace(module, optimizer=self.optimizer_part(module, options.optimizer))
        return replace(module, self_test=self.self_test(module))

    def name_results(self) -> None:
        """Results are called by their declared names where the user has no other for them."""
        for name, node in self.graph.outputs.items():
            self.graph.hint(node, name)
        if self.graph.objective is not None:
            self.graph.hint(self.graph.objective, "loss")

    # --- functions ----------------------------------------------------------------------------

    def declared(self) -> tuple[Node, ...]:
        """All arguments, in the order of signatures."""
        graph = self.graph
        parameters = [p.node for p in graph.parameters.values()]
        states = [node for node, _ in graph.states.values()]
        return (*parameters, *states, *graph.inputs.values())

    def optimized(
        self, name: str, outputs: Iterable[tuple[str, Node]], mode: str, more: Iterable[Node] = ()
    ) -> Function:
        """A function after all passes."""
        declared = (*self.declared(), *more)
        function = Function(name, self.graph, tuple(outputs), declared)
        pipeline = Pipeline(
            expand_derivatives, self.options.kinks, self.options.stabilize, self.report, self.after
        )
        return pipeline.run(function, mode)

    def inference_part(self) -> LoweredModule:
        """predict and evaluate."""
        graph = self.graph
        predict = evaluate = None
        if graph.outputs:
            function = self.optimized("predict", graph.outputs.items(), "infer")
            predict = lower("predict", function.arguments, function.roots)
        if graph.objective is not None and not self.options.inference:
            function = self.optimized("evaluate", [("loss", graph.objective)], "infer")
            evaluate = lower("evaluate", function.arguments, function.roots)
        used = {node for p in (predict, evaluate) if p is not None for node in p.arguments}
        return self.described(predict, evaluate, used)

    def described(
        self, predict: Program | None, evaluate: Program | None, used: set[Node]
    ) -> LoweredModule:
        """The module as far as inference needs it."""
        graph, options = self.graph, self.options
        every = not options.inference
        parameters = [p for p in graph.parameters.values() if every or p.node in used]
        initial = {
            node.params.name: initial_expression(init, node)
            for node, init in [(p.node, p.init) for p in parameters] + list(graph.states.values())
        }
        return LoweredModule(
            graph=graph,
            parameters=tuple(parameters),
            inputs=tuple(n for n in graph.inputs.values() if every or n in used),
            outputs=tuple(graph.outputs),
            predict=predict,
            evaluate=evaluate,
            forward=None,
            backward=None,
            loss=None,
            residuals=(),
            sizes=(),
            gradients=(),
            updates=(),
            initial=initial,
            optimizer=None,
            kinks=(),
            options=options.described(),
            digest=digest(graph, options),
            command=options.command,
            version=options.version,
        )

    # --- training -------------------------------------------------------------------------------

    def targets(self) -> tuple[str | None, list[tuple[str, Node]]]:
        """What is differentiated: the loss under its name, or (None, the outputs)."""
        graph = self.graph
        if graph.objective is not None:
            return "loss", [("loss", graph.objective)]
        outputs = [(n, y) for n, y in graph.outputs.items() if y.dtype.kind == FLOAT]
        if len(graph.outputs) == 1 and len(outputs) == 1 and not outputs[0][1].shape:
            return outputs[0][0], outputs
        return None, outputs

    def variables(self) -> list[Node]:
        """What gradients are taken for: trainable parameters, else float inputs, or `wrt`."""
        graph, options = self.graph, self.options
        for pattern in options.freeze:
            if not fnmatch.filter(graph.parameters, pattern):
                known = suggest(pattern, graph.parameters)
                raise UsageError(f"--freeze {pattern!r} fits no parameter", hint=known)
        if options.wrt:
            known_nodes = {n: p.node for n, p in graph.parameters.items()} | graph.inputs
            for name in options.wrt:
                if name not in known_nodes:
                    raise UsageError(
                        f"wrt {name!r} is no parameter and no input",
                        hint=suggest(name, known_nodes),
                    )
                if known_nodes[name].dtype.kind != FLOAT:
                    described = graph.describe(known_nodes[name], site=True)
                    raise DifferentiationError(f"wrt has to be a float, got {described}")
            return [known_nodes[name] for name in dict.fromkeys(options.wrt)]
        trainable = [p.node for name, p in graph.parameters.items() if self.is_trained(name, p)]
        if trainable or graph.parameters:
            return trainable
        return [node for node in graph.inputs.values() if node.dtype.kind == FLOAT]

    def is_trained(self, name: str, parameter: Parameter) -> bool:
        """Whether a parameter is trainable and not frozen."""
        frozen = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.options.freeze)
        return parameter.trainable and not frozen

    def training_part(self, module: LoweredModule) -> LoweredModule:
        """forward and backward, by partition of the joint function."""
        graph = self.graph
        loss, targets = self.targets()
        wrt = self.variables()
        if not targets or not wrt:
            if self.options.optimizer is not None or self.options.wrt:
                raise DifferentiationError("there is nothing to differentiate")
            return module
        self.check_reachable([y for _, y in targets], wrt)
        with graph.quiet():
            bars = [graph.argument("cotangent", n, y.shape, y.dtype) for n, y in targets]
            gradients = vjp([y for _, y in targets], wrt, bars, allow_unused=True)
        results = targets if loss else list(graph.outputs.items())
        joint = self.optimized(
            "joint",
            [*results, *graph.updates.items(), *(("gradient", g) for g in gradients)],
            "train",
            bars,
        )
        cut = len(results) + len(graph.updates)
        outputs, derived = joint.roots[:cut], joint.roots[cut:]
        parts = partition(outputs, derived, bars)
        return replace(module, **self.cut(joint, parts, outputs, derived, wrt, bars), loss=loss)

    def cut(
        self,
        joint: Function,
        parts: Partition,
        outputs: Sequence[Node],
        derived: Sequence[Node],
        wrt: Sequence[Node],
        bars: Sequence[Node],
    ) -> dict[str, Any]:
        """The fields of a module that come from the joint function."""
        graph = self.graph
        sources = set(topological([*outputs, *parts.residuals])) - set(bars)
        arguments = [node for node in self.declared() if node in sources]
        sized = [node for node in self.declared() if node not in sources]
        arguments += [n for n in sized if any(s in size_names(n) for s in parts.sizes)]
        forward = lower(
            "forward",
            in_order(arguments, self.declared()),
            outputs,
            kept=parts.residuals,
            kept_sizes=parts.sizes,
        )  # fmt: skip
        backward = lower(
            "backward",
            [*parts.residuals, *bars],
            derived,
            order=backward_order(derived, wrt, forward.order),
            given_sizes=parts.sizes,
        )
        rows = [
            node.op.kink[self.options.kinks]
            for node in topological([y for _, y in self.targets()[1]])
            if node.op.kink is not None
        ]
        return {
            "forward": forward,
            "backward": backward,
            "residuals": parts.residuals,
            "sizes": parts.sizes,
            "gradients": tuple(w.params.name for w in wrt),
            "updates": tuple(graph.updates),
            "kinks": tuple(dict.fromkeys(rows)),
        }

    def check_reachable(self, targets: Sequence[Node], wrt: Sequence[Node]) -> None:
        """Raise DifferentiationError for a wrt whose gradient would be zero everywhere."""
        if self.options.allow_unused:
            return
        for node in wrt:
            if set(targets).isdisjoint(differentiable_path(targets, [node])):
                described = self.graph.describe(node, site=True)
                names = ", ".join(self.graph.describe(y, site=True) for y in targets)
                raise DifferentiationError(
                    f"the gradient of {described} is zero everywhere: it does not reach {names}",
                    site=self.graph.site_of(node),
                    hint="leave it out with --wrt or --freeze, or pass --allow-unused",
                )

    def optimizer_part(self, module: LoweredModule, optimizer: Optimizer) -> LoweredOptimizer:
        """The update of one parameter, and which parameters it is applied to."""
        trained = tuple(n for n in module.gradients if n in self.graph.parameters)
        if not trained or not module.loss:
            raise UsageError(f"--optimizer {optimizer.kind} needs a loss and a trained parameter")
        arguments, results = optimizer.graph(self.graph.dtype)
        function = Function("update", results[0].graph, tuple(("", r) for r in results), arguments)
        pipeline = Pipeline(expand_derivatives, after=self.after)
        function = pipeline.run(function, "train")
        hyperparameters = tuple(Hyperparameter(*h) for h in optimizer.hyperparameters)
        program = lower("update", arguments, function.roots)
        return LoweredOptimizer(
            optimizer.kind, optimizer.slots, hyperparameters, program, trained
        )  # fmt: skip

    # --- self-test --------------------------------------------------------------------------------

    def self_test(self, module: LoweredModule) -> SelfTest | None:
        """Loss and slopes at fixed arguments, computed by the interpreter; None where it is costly.

        Labels run through 0 and 1, or are all 0 where a model knows one class only.
        """
        if module.forward is None or module.backward is None:
            return None
        names = sorted({name for node in self.declared() for name in size_names(node)})
        sizes = {name: 2 + place % 4 for place, name in enumerate(names)}
        bars = [n for n in module.backward.arguments if is_cotangent(n)]
        phases = {node: phase for phase, node in enumerate([*self.declared(), *bars])}
        nodes = {*module.forward.order, *module.backward.order, *phases}
        try:
            shapes = [type.shape for node in nodes for type in node.types]
            if sum(dims.evaluate(dims.product(s), sizes) for s in shapes) > SELF_TEST_ELEMENTS:
                return None
            tolerance = {2: 0.05, 4: 1e-3, 8: 1e-8}[min(n.dtype.itemsize for n in bars)]
            for labels in (2, 1):
                test = SelfTest(phases, sizes, labels, (), tolerance)
                try:
                    return replace(test, values=measure(module, test, bars))
                except IndexError:
                    continue
        except (ValueError, ArithmeticError):
            pass
        return None


def measure(
    module: LoweredModule, test: SelfTest, bars: Sequence[Node]
) -> tuple[tuple[str | None, float], ...]:
    """What the interpreter makes of the patterns: the loss, and the slope of each gradient."""
    assert module.forward is not None
    assert module.backward is not None
    values: dict[Node, Any] = {}
    for node, phase in test.phases.items():
        shape = [dims.evaluate(size, test.sizes) for size in node.shape]
        values[node] = boundary.sample_values(node.dtype.numpy, phase, *shape, labels=test.labels)
    if module.loss:
        values[bars[0]] = np.ones((), bars[0].dtype.numpy)
    with np.errstate(all="ignore"):
        known = interpret(module.forward, values)
        known |= {bar: values[bar] for bar in bars}
        sizes = {name: test.sizes[name] for name in module.sizes}
        derived = interpret(module.backward, known, sizes)
    slopes = [
        (name, boundary.sample_slope(np.asarray(derived[node])))
        for name, node in zip(module.gradients, module.backward.results, strict=True)
    ]
    loss = [(None, float(known[module.forward.results[0]]))] if module.loss else []
    return (*loss, *slopes)


def in_order(nodes: Iterable[Node], declared: Sequence[Node]) -> list[Node]:
    """The nodes in the order in which they are declared."""
    chosen = set(nodes)
    return [node for node in declared if node in chosen]


def size_names(node: Node) -> set[str]:
    """The named sizes in the shape of a node."""
    return {name for size in node.shape for name in dims.names(size)}


def digest(graph: Graph, options: Options) -> str:
    """A hash of the declared graph and the options: no line numbers, no paths."""
    roots = {**graph.outputs, **graph.updates}
    listed = [*roots.values(), *([graph.objective] if graph.objective is not None else [])]
    order = topological(listed)
    place = {node: i for i, node in enumerate(order)}
    lines = [f"{n.op.name} {[place[a] for a in n.args]} {tuple(n.params)!r}" for n in order]
    lines += [f"{name!r} {place[node]}" for name, node in roots.items()]
    lines += [f"loss {place[graph.objective]}"] if graph.objective is not None else []
    lines += [f"{n!r} {p.init!r} {p.trainable}" for n, p in graph.parameters.items()]
    lines.append(repr(sorted(options.described().items())))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
