"""Compiled models with arguments for their functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

import graphc as gc
from graphc.frontends.builder import default_dtype
from graphc.ir import dims
from graphc.ir.graph import is_cotangent
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, INT
from tests.golden.models import MODELS
from tests.golden.varied import VARIED
from tests.styles import functions

Array: TypeAlias = np.ndarray[Any, Any]
ALL = MODELS | VARIED
DEFAULTS = {"batch": 3, "n": 4}


@dataclass
class Net:
    """One model: its graph, its generated module, and an argument of every name."""

    graph: gc.Graph
    options: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    @cached_property
    def compiled(self) -> gc.Module:
        """The compiled module."""
        return gc.compile(self.graph, **self.options)

    @cached_property
    def module(self) -> Any:
        """The generated module, executed, as functions whatever its style is."""
        return functions(self.compiled)

    @cached_property
    def values(self) -> dict[str, dict[str, Array]]:
        """Random parameters, states and inputs, by group and exact name."""
        rng = np.random.default_rng(self.seed)
        groups: dict[str, Mapping[str, Node]] = {
            "params": {name: p.node for name, p in self.graph.parameters.items()},
            "state": {name: node for name, (node, _) in self.graph.states.items()},
            "inputs": self.graph.inputs,
        }
        return {
            group: {name: self.draw(node, rng) for name, node in nodes.items()}
            for group, nodes in groups.items()
        }

    def draw(self, node: Node, rng: np.random.Generator) -> Array:
        """A random value: floats up to 0.9, those of inputs positive; labels 0 and 1."""
        names = {name for size in node.shape for name in dims.names(size)}
        sizes = {name: self.sizes.get(name, DEFAULTS.get(name, 2)) for name in names}
        shape = [dims.evaluate(size, sizes) for size in node.shape]
        if node.dtype.kind == FLOAT:
            low = 0.2 if node.params.kind == "input" else -0.7
            return np.asarray(rng.uniform(low, 0.9, shape)).astype(node.dtype.numpy)
        top = 2 if node.dtype.kind == INT else 1
        return np.asarray(rng.integers(0, top, shape, endpoint=top == 1)).astype(node.dtype.numpy)

    def arguments(self, function: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The arguments that a function asks for, by identifier; new containers, same arrays."""
        given = self.values if values is None else values
        found: dict[str, Any] = {}
        inputs = iter(self.read_inputs(function))
        for name, parameter in inspect.signature(getattr(self.module, function)).parameters.items():
            if name in ("params", "state"):
                found[name] = dict(given[name])
            elif name == "optimizer_state":
                found[name] = self.module.init_optimizer(given["params"])
            elif name == "rng":
                found[name] = np.random.default_rng(self.seed)
            elif parameter.kind is not parameter.KEYWORD_ONLY:
                found[name] = given["inputs"][next(inputs)]
        return found

    def read_inputs(self, function: str) -> Iterator[str]:
        """The exact names of the inputs that a function takes, in order."""
        lowered = self.compiled.lowered
        programs = {"predict": lowered.predict, "evaluate": lowered.evaluate}
        program = programs.get(function, lowered.forward)
        assert program is not None
        for node in program.arguments:
            if node.params.kind == "input":
                yield node.params.name

    def bars(self) -> dict[str, Array]:
        """A cotangent for each argument of backward that has no default."""
        program = self.compiled.lowered.backward
        if program is None:
            return {}
        rng = np.random.default_rng(3)
        names = [name for name in backward_arguments(self.module) if name != "residuals"]
        nodes = filter(is_cotangent, program.arguments)
        return {name: self.draw(node, rng) for name, node in zip(names, nodes, strict=True)}

    def call(self, function: str, values: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """The result of a function."""
        return getattr(self.module, function)(**self.arguments(function, values), **more)


def backward_arguments(module: Any) -> list[str]:
    """The names of the arguments of backward."""
    return list(inspect.signature(module.backward).parameters)


def net(model: str, style: str = "functional", **options: Any) -> Net:
    """A model of the catalogue in a style, with its own options unless others are given."""
    make, own = ALL[model]
    return Net(make(), {**(options or own), "style": style})


def net64(model: str, style: str = "functional") -> Net:
    """A model in float64, unless it asks for another dtype."""
    with default_dtype("float64"):
        return net(model, style)


def built(
    declare: Callable[[gc.Graph], None],
    options: Mapping[str, Any] | None = None,
    *,
    dtype: str = "float32",
    sizes: Mapping[str, int] | None = None,
) -> Net:
    """A model that a test declares in place."""
    with gc.Graph(declare.__name__.strip("<>"), dtype=dtype) as graph:
        declare(graph)
    return Net(graph, options or {}, sizes or {})


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All arrays in nested dicts and tuples, with the path to each; Python ints are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}[{key!r}]")
    elif isinstance(value, tuple):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{name}[{place}]")
    elif not isinstance(value, (int, np.random.Generator)):
        yield name, value
