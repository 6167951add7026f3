"""How long graphc takes from the builder to the text, stage by stage, and how much memory.

    python -m tests.benchmarks.compile_time --sizes 1000,10000,100000 --models chain,mlp,lstm

Every case runs in a process of its own, pinned to one core; rounds of all cases are interleaved and
the medians shown. Times are those of the processor. Forward nodes are all that the loss needs,
inputs and parameters included and constants left out; operations are those without the former.
Joint nodes are the values of forward and backward together. Memory is the peak that tracemalloc
sees, in a run that is not timed. The models are those of `compile_models`.

With --peers the same models in SymPy, JAX, PyTensor and CasADi, as far as they can be imported and
up to the sizes in `compile_peers`; values and gradients are compared with graphc's before a time is
shown.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import graphc as gc
from graphc import api, compiler
from graphc.ir.function import topological
from graphc.ir.graph import ARGUMENT, CONSTANT
from tests.benchmarks.compile_models import Model
from tests.benchmarks.compile_peers import LIMITS, PEERS, compared

STAGES = ("build", "differentiate", "passes", "lower", "self-test", "print", "render", "rest")
ROUNDS = 3
PEER_SECONDS = 120
CASE_SECONDS = 900


class Clock:
    """Processor time by stage: what passes between two laps belongs to the stage of the second."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.last = time.process_time()

    def lap(self, stage: str) -> None:
        """The end of a stage."""
        now = time.process_time()
        self.spent[stage] += now - self.last  # type: ignore[assignment]
        self.last = now

    def after_pass(self, name: str, function: object) -> None:
        """The end of a pass."""
        self.lap("differentiate" if name == "differentiate" else "passes")

    @contextlib.contextmanager
    def watching(self, module: Any, name: str, before: str, stage: str) -> Iterator[None]:
        """In here, calls of a function are a stage; what came before each belongs to `before`."""
        original: Callable[..., Any] = getattr(module, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            self.lap(before)
            result = original(*arguments, **options)
            self.lap(stage)
            return result

        with mock.patch.object(module, name, watched):
            yield


def measured(model: Model, style: str) -> dict[str, float]:
    """Seconds by stage for one model."""
    clock = Clock()
    with (
        clock.watching(compiler, "self_test", "lower", "self-test"),
        clock.watching(api, "assemble", "lower", "print"),
        clock.watching(api, "render", "rest", "render"),
    ):
        graph = model.graph()
        clock.lap("build")
        module = gc.compile(graph, style=style, after_pass=clock.after_pass)
        clock.lap("rest")
    return {**clock.spent, **counted(graph, module)}


def counted(graph: gc.Graph, module: gc.Module) -> dict[str, float]:
    """How many nodes there are."""
    assert graph.objective is not None
    forward = [node for node in topological([graph.objective]) if node.op is not CONSTANT]
    lowered = module.lowered
    assert lowered.forward is not None
    assert lowered.backward is not None
    joint = topological([*lowered.forward.results, *lowered.backward.results])
    return {
        "forward": len(forward),
        "operations": sum(node.op is not ARGUMENT for node in forward),
        "joint": len(joint),
        "characters": len(module.source),
    }


def peak(model: Model, style: str) -> dict[str, float]:
    """The most memory that building and compiling took, in bytes."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    graph = model.graph()
    module = gc.compile(graph, style=style)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"peak": most - before, **counted(graph, module)}


def child(work: str, model: Model, style: str) -> dict[str, float]:
    """One case, in this process: `time`, `memory`, or the name of a peer."""
    if work in PEERS:
        return compared(work, model)
    gc.compile(Model(model.kind, 100).graph(), style=style)  # imports, templates, tables of rules
    return measured(model, style) if work == "time" else peak(model, style)


def spawned(work: str, model: Model, style: str, seconds: float) -> dict[str, float] | str:
    """One case in a process of its own; a text says why there is no result."""
    arguments = ["--child", work, model.kind, str(model.nodes), style]
    command = [sys.executable, "-m", "tests.benchmarks.compile_time", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"more than {seconds:.0f} s"
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:60]
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Key by key."""
    return {key: statistics.median(r.get(key, 0.0) for r in rounds) for key in rounds[0]}


def run_graphc(models: list[Model], style: str) -> None:
    """The tables of graphc."""
    found: dict[Model, list[dict[str, float]]] = {model: [] for model in models}
    for number in range(ROUNDS):
        for model in models:
            if number == 0 or model.nodes < 100_000:
                result = spawned("time", model, style, CASE_SECONDS)
                if isinstance(result, str):
                    print(f"{model}: {result}")
                else:
                    found[model].append(result)
    print(f"graphc, style {style}: microseconds per forward node")
    print("model    nodes  " + "".join(f"{stage[:9]:>10}" for stage in (*STAGES, "total")), end="")
    print("   per op.   joint  kB/joint  total s")
    totals: dict[Model, float] = {}
    for model, rounds in found.items():
        if not rounds:
            continue
        row = medians(rounds)
        totals[model] = total = sum(row.get(stage, 0.0) for stage in STAGES)
        scale = 1e6 / row["forward"]
        print(f"{model.kind:6}{row['forward']:8.0f}  ", end="")
        print("".join(f"{row.get(stage, 0.0) * scale:10.1f}" for stage in STAGES), end="")
        print(f"{total * scale:10.1f}{total * 1e6 / row['operations']:10.1f}", end="")
        memory = spawned("memory", model, style, CASE_SECONDS)
        told = memory if isinstance(memory, str) else f"{memory['peak'] / row['joint'] / 1000:.2f}"
        print(f"{row['joint']:8.0f}{told:>10}{total:9.2f}", flush=True)
    for model, total in totals.items():
        tenth = Model(model.kind, model.nodes // 10)
        if model.nodes >= 100_000 and tenth in totals:
            ratio = total / totals[tenth]
            print(f"{model.kind}: {model.nodes} nodes take {ratio:.1f} × the time of {tenth.nodes}")


def run_peers(kinds: list[str], sizes: list[int], style: str) -> None:
    """The table of the peers, each at the largest of the sizes that it can do and at its limit."""
    print("\npeers: seconds by stage, after the same loss and gradients (rtol 1e-6)")
    for name in PEERS:
        if importlib.util.find_spec(name) is None:
            print(f"{name:9} is not installed")
            continue
        for kind in kinds:
            limit = LIMITS[name].get(kind)
            if limit is None:
                continue
            for nodes in sorted({min(size, limit) for size in sizes}):
                result = spawned(name, Model(kind, nodes), style, PEER_SECONDS)
                if isinstance(result, str):
                    print(f"{name:9}{kind:6}{nodes:8}  {result}", flush=True)
                    continue
                stages = "  ".join(f"{stage} {seconds:.3f}" for stage, seconds in result.items())
                each = sum(result.values()) / nodes * 1e6
                print(f"{name:9}{kind:6}{nodes:8}{each:12.1f} µs/node  {stages}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--models", default="chain,mlp,lstm")
    parser.add_argument("--style", default="functional")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--child", nargs=4, metavar=("WORK", "KIND", "NODES", "STYLE"))
    options = parser.parse_args()
    if not options.child and hasattr(os, "sched_setaffinity"):  # children inherit it
        os.sched_setaffinity(0, {options.core})
    if options.child:
        work, kind, nodes, style = options.child
        print(json.dumps(child(work, Model(kind, int(nodes)), style)))
        return
    sizes = [int(size) for size in options.sizes.split(",")]
    kinds = options.models.split(",")
    run_graphc([Model(kind, nodes) for nodes in sizes for kind in kinds], options.style)
    if options.peers:
        run_peers(kinds, sizes, options.style)


if __name__ == "__main__":
    main()
