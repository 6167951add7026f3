"""Every sample of every registered op as a compiled graph.

The tests of this folder are parametrised over `CASES`, so an op that is added later is tested
without an edit here: its declaration says how to draw arguments, and the rest follows.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc as gc
from graphc.ir.node import Node
from graphc.ir.op import FUNCTIONS, OPS, Op
from graphc.ir.types import FLOAT
from tests.styles import functions

Array: TypeAlias = np.ndarray[Any, Any]
Convert: TypeAlias = Callable[[Array], Array]
Shaped: TypeAlias = Callable[[tuple[int, ...]], tuple[Any, ...]]

FLOATS = ("float32", "float64")
SEED = 7  # of what modules draw


@dataclass(frozen=True)
class Case:
    """One sample of one op."""

    op: Op
    sample: int

    def __str__(self) -> str:
        return f"{self.op.name}-{self.sample}"

    def draw(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments and options: the same ones in every run, others for every case."""
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        return self.op.samples[self.sample](rng)

    def rng(self) -> np.random.Generator:
        """A generator for what a test draws beside the arguments, such as directions."""
        return np.random.default_rng(zlib.crc32(f"directions of {self}".encode()))


CASES = [Case(op, sample) for op in list(OPS.values()) for sample in range(len(op.samples))]


def over(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Parametrise a test over cases, so that its id tells op and sample."""
    return pytest.mark.parametrize("case", list(cases), ids=str)


@dataclass
class Model:
    """A graph with a value for each input; results are called by name.

    `inputs` are the op's own, `results` its values; tests may add inputs (directions) to `feeds`
    and outputs (derivatives) to the graph until `module` is asked for.
    """

    graph: gc.Graph
    feeds: dict[str, Array] = field(default_factory=dict)
    inputs: list[Node] = field(default_factory=list)
    results: list[Node] = field(default_factory=list)

    @property
    def floats(self) -> list[Node]:
        """The inputs that have derivatives."""
        return [node for node in self.inputs if node.dtype.kind == FLOAT]

    @property
    def targets(self) -> list[Node]:
        """The results that have derivatives."""
        return [node for node in self.results if node.dtype.kind == FLOAT]

    def input(self, value: Array, shape: tuple[Any, ...] | None = None) -> Node:
        """Declare an input for a value, of its dtype and of its shape unless another is given."""
        name = f"x{len(self.feeds)}"
        self.feeds[name] = value
        return self.graph.input(name, value.shape if shape is None else shape, value.dtype)

    def directions(self, nodes: Sequence[Node], rng: np.random.Generator) -> list[Node]:
        """Further inputs with random values, one for each node and of its type."""
        return [
            self.input(np.asarray(rng.normal(size=node.shape)).astype(node.dtype.numpy))
            for node in nodes
        ]

    def outputs(self, prefix: str, nodes: Iterable[Node]) -> None:
        """Declare nodes as outputs `prefix0`, `prefix1`, …"""
        for i, node in enumerate(nodes):
            self.graph.output(f"{prefix}{i}", node)

    @cached_property
    def module(self) -> gc.Module:
        """The compiled module, forward pass only: derivatives here are outputs like others."""
        return self.modules["functional"]

    @cached_property
    def modules(self) -> Mapping[str, gc.Module]:
        """The compiled module in each style, made when it is asked for."""
        return Made(lambda style: gc.compile(self.graph, inference=True, style=style))

    @cached_property
    def predicts(self) -> Mapping[str, Callable[..., Any]]:
        """The generated function in each style."""
        return Made(lambda style: functions(self.modules[style]).predict)

    def run(
        self, feeds: Mapping[str, Array] | None = None, style: str = "functional"
    ) -> dict[str, Array]:
        """The outputs by name, for the values that the model holds or others."""
        outputs = tuple(self.graph.outputs)
        return call(self.predicts[style], outputs, self.feeds if feeds is None else feeds)


class Made(dict[str, Any]):
    """A dict that makes what it is asked for."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        self.make = make

    def __missing__(self, key: str) -> Any:
        return self.setdefault(key, self.make(key))


def call(
    function: Callable[..., Any], outputs: Sequence[str], feeds: Mapping[str, Array]
) -> dict[str, Array]:
    """The results of a generated function by name; it is given the inputs that it asks for.

    Whatever draws does so from the same seed in each call.
    """
    wanted = inspect.signature(function).parameters
    given: dict[str, Any] = {name: value for name, value in feeds.items() if name in wanted}
    if "rng" in wanted:
        given["rng"] = np.random.default_rng(SEED)
    result = function(**given)
    several = result if len(outputs) > 1 else (result,)
    return dict(zip(outputs, several, strict=True))


def declare(
    case: Case,
    dtype: str = "float64",
    *,
    convert: Convert | None = None,
    shaped: Shaped | None = None,
) -> Model:
    """The graph of one case: arrays become inputs, everything else is passed to the op as it is.

    convert  changes the float arrays (by default to the dtype of the graph)
    shaped   the declared shape for a shape, where sizes are to have names
    """
    model = Model(gc.Graph(case.op.name, dtype=dtype))
    model.results = applied(case, model, convert or (lambda v: v.astype(dtype)), shaped)
    model.outputs("y", model.results)
    return model


def applied(case: Case, model: Model, convert: Convert, shaped: Shaped | None = None) -> list[Node]:
    """The results of the op on arguments that are entered into a model."""

    def argument(value: Any) -> Any:
        if isinstance(value, list):
            return [argument(item) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        if value.dtype.kind == "f":
            value = convert(value)
        node = model.input(value, None if shaped is None else shaped(value.shape))
        model.inputs.append(node)
        return node

    arguments, options = case.draw()
    with model.graph:
        result = FUNCTIONS[case.op.name](*map(argument, arguments), **options)
    return list(result) if isinstance(result, (list, tuple)) else [result]


@cache
def values(case: Case, dtype: str = "float64") -> Model:
    """The model of a case with the values of the op as its outputs `y0`, …"""
    return declare(case, dtype)


@cache
def first_order(case: Case, dtype: str = "float64") -> Model:
    """The model of a case with values `y0`, …, cotangents of inputs `bar0`, … and tangents `dot0`.

    Cotangents of the results and tangents of the inputs are inputs in turn: `w` and `v` of
    `directions_of`.
    """
    model = declare(case, dtype)
    with model.graph:
        w, v = directions_of(model, case)
        model.outputs("bar", gc.vjp(model.targets, model.floats, w, allow_unused=True))
        model.outputs("dot", gc.jvp(model.targets, model.floats, v))
    return model


@cache
def second_order(case: Case) -> Model:
    """The second derivative of <w, op> times v, made in three ways, and first derivatives.

    With w and v held fixed: `rr` reverse over reverse, `fr` forward over reverse, `rf` reverse over
    forward; `bar` is Jᵀ w, `dot` J v, and `back` is J v again, as the transpose of v ↦ Jᵀ w.
    """
    model = declare(case)
    with model.graph:
        w, v = directions_of(model, case)
        bars = gc.vjp(model.targets, model.floats, w, allow_unused=True)
        dots = gc.jvp(model.targets, model.floats, v)
        model.outputs("bar", bars)
        model.outputs("dot", dots)
        model.outputs("rr", gc.vjp(bars, model.floats, v, allow_unused=True))
        model.outputs("fr", gc.jvp(bars, model.floats, v))
        model.outputs("rf", gc.vjp(dots, model.floats, w, allow_unused=True))
        model.outputs("back", gc.vjp(bars, w, v, allow_unused=True))
    return model


def directions_of(model: Model, case: Case) -> tuple[list[Node], list[Node]]:
    """Random cotangents of the results and random tangents of the inputs."""
    rng = case.rng()
    return model.directions(model.targets, rng), model.directions(model.floats, rng)


def arrays(case: Case) -> list[Array]:
    """The arrays among the drawn arguments, those in lists too."""
    arguments, _ = case.draw()
    items = [i for a in arguments for i in (a if isinstance(a, list) else [a])]
    return [item for item in items if isinstance(item, np.ndarray)]


def takes_floats(case: Case) -> bool:
    """Whether there is something to differentiate by."""
    return any(array.dtype.kind == "f" for array in arrays(case))


def gives_floats(case: Case) -> bool:
    """Whether there is something to differentiate; an op that fails tells so in its own tests."""
    try:
        return bool(values(case).targets)
    except Exception:
        return False


def is_differentiable(case: Case) -> bool:
    """Whether the op declares a derivative, and the case has floats at both ends."""
    return case.op.differentiable and takes_floats(case) and gives_floats(case)


DIFFERENTIABLE = [case for case in CASES if is_differentiable(case)]
WITH_DERIVATIVES = frozenset(DIFFERENTIABLE)


def largest(case: Case, dtype: str = "float64") -> Model:
    """The model with the most nodes that the case has: with derivatives, if it has any."""
    return first_order(case, dtype) if case in WITH_DERIVATIVES else values(case, dtype)


def listed(results: Mapping[str, Array], prefix: str) -> list[Array]:
    """The outputs `prefix0`, `prefix1`, … in order."""
    count = sum(name.startswith(prefix) for name in results)
    return [results[f"{prefix}{i}"] for i in range(count)]


def same_bits(left: Array, right: Array) -> bool:
    """Whether two arrays are equal in dtype, shape and every bit: -0.0 is not 0.0, NaN is NaN."""
    a, b = np.asarray(left), np.asarray(right)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
