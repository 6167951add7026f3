"""The registry of mappings: how an ONNX operator is said in graphc's ops.

A mapping is a function of the call and of the operator's inputs as nodes. Its keyword-only
arguments are the operator's attributes, with the defaults of the standard; whatever a node has
beyond them is refused. Versions of an operator that differ have mappings of their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

import numpy as np

from graphc.errors import UnsupportedError
from graphc.ir import dims
from graphc.ir.dims import Dim, Extent, Shape
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import INT

Results: TypeAlias = "Value | tuple[Value | None, ...]"
Value: TypeAlias = "Node | Tensors"
Made = TypeVar("Made", bound="Callable[..., Results]")
MOST_STEPS = 1 << 14  # of a recurrence; generated code has some lines for each
STANDARD = ""  # the domain of the standard's own operators; files may spell it `ai.onnx`


class Tensors(tuple[Node, ...]):
    """A sequence of tensors. How many there are is known while a model is imported."""


class Importing(Protocol):
    """What a call asks of the import that it is part of."""

    @property
    def graph(self) -> Graph:
        """The arena that nodes are made in."""

    def known(self, node: Node) -> np.ndarray[Any, Any] | None:
        """The value of a node that is known now: numbers, or an array of objects with sizes."""

    def branch(self, graph: Any) -> tuple[Value, ...]:
        """The outputs of a graph that is an attribute, with the values around it in scope."""


@dataclass(frozen=True, slots=True)
class Call:
    """One use of an operator: who it is, and what it may ask.

    opset    the version of the operator set that the model is written in
    outputs  how many outputs the node has; names left out at the end do not count
    """

    importing: Importing
    op_type: str
    opset: int
    outputs: int

    @property
    def graph(self) -> Graph:
        """The arena that nodes are made in."""
        return self.importing.graph

    def constant(self, value: object, dtype: object = None) -> Node:
        """A constant, of the dtype that the value has unless one is given."""
        return self.graph.constant(value, np.asarray(value).dtype if dtype is None else dtype)

    def branch(self, graph: Any) -> tuple[Value, ...]:
        """The outputs of a graph that is an attribute."""
        return self.importing.branch(graph)

    def refuse(self, message: str, hint: str | None = None) -> NoReturn:
        """Raise UnsupportedError. The import adds which node it is about."""
        raise UnsupportedError(message, hint=hint)

    def known(self, node: Node) -> np.ndarray[Any, Any] | None:
        """The numbers that a node has whatever the data is, or None.

        Initialisers count, and what follows from them and from sizes that are ints.
        """
        value = self.importing.known(node)
        return None if value is None or value.dtype == object else value

    def array(self, node: Node, what: str) -> np.ndarray[Any, Any]:
        """The numbers of an input that has to be known. Raises UnsupportedError."""
        value = self.known(node)
        return self._unknown(node, what) if value is None else value

    def sizes(self, node: Node, what: str) -> Shape:
        """A vector (or scalar) of ints and named sizes that has to be known."""
        value = self.importing.known(node)
        if value is None or node.dtype.kind != INT:
            self._unknown(node, what)
        return tuple(size if isinstance(size, Dim) else int(size) for size in value.reshape(-1))

    def ints(self, node: Node, what: str) -> tuple[int, ...]:
        """A vector (or scalar) of ints that has to be known."""
        sizes = self.sizes(node, what)
        named = [size for size in sizes if isinstance(size, Dim)]
        if named:
            self.refuse(
                f"{what}: {named[0]} has to be known when the model is compiled",
                hint=bound(named[0]),
            )
        return tuple(int(size) for size in sizes)

    def size(self, node: Node, what: str) -> Extent:
        """One int or named size that has to be known."""
        sizes = self.sizes(node, what)
        if len(sizes) != 1:
            self.refuse(f"{what} is one number, got {len(sizes)}")
        return sizes[0]

    def fixed(self, told: str, size: Extent) -> int:
        """A size that is an int. Raises UnsupportedError, with the way out, for a named one."""
        if not isinstance(size, int):
            self.refuse(f"{told}, got {size}", hint=bound(size))
        return size

    def steps(self, size: Extent) -> int:
        """The number of steps that an operator is unrolled over, each as nodes of its own."""
        size = self.fixed(f"{self.op_type} is unrolled over a fixed number of steps", size)
        if not 1 <= size <= MOST_STEPS:
            self.refuse(f"{self.op_type} is unrolled over 1 to {MOST_STEPS} steps, got {size}")
        return size

    def number(self, node: Node, what: str) -> Any:
        """One number that has to be known, as Python's bool, int or float."""
        value = self.array(node, what)
        if value.size != 1:
            self.refuse(f"{what} is one number, got shape {value.shape}")
        return value.reshape(())[()].item()

    def _unknown(self, node: Node, what: str) -> NoReturn:
        inputs = [n.params.name for n in _arguments(node)]
        told = f"depends on {', '.join(map(repr, inputs))}" if inputs else "is not known"
        hint = f"bind the input: --bind {inputs[0]}=VALUE" if inputs else None
        self.refuse(f"{what} {told}, and has to be known when the model is compiled", hint=hint)


def bound(size: Extent) -> str:
    """How the names in a size are given sizes."""
    return f"bind the dimension, as in --bind {next(dims.names(size))}=8"


def _arguments(node: Node) -> list[Node]:
    """The inputs that a value depends on, in the order of the graph's inputs."""
    seen, stack = {node}, [node]
    while stack:
        for arg in stack.pop().args:
            if arg not in seen:
                seen.add(arg)
                stack.append(arg)
    return [given for given in node.graph.inputs.values() if given in seen]


@dataclass(frozen=True, slots=True)
class Mapping:
    """The mapping of one operator in the operator sets `since` to `until`, both included."""

    domain: str
    op_type: str
    since: int
    until: int | None
    function: Callable[..., Results]
    signature: inspect.Signature

    @property
    def attributes(self) -> list[str]:
        """The attributes that it takes."""
        kinds = self.signature.parameters.items()
        return [name for name, p in kinds if p.kind is inspect.Parameter.KEYWORD_ONLY]

    def holds(self, opset: int) -> bool:
        """Whether the mapping is that of an operator set."""
        return self.since <= opset and (self.until is None or opset <= self.until)

    def overlaps(self, other: Mapping) -> bool:
        """Whether both are the mapping of some operator set."""
        return self.holds(other.since) or other.holds(self.since)


MAPPINGS: dict[tuple[str, str], list[Mapping]] = {}


def maps(
    op_type: str,
    function: Callable[..., Results] | None = None,
    *,
    since: int = 1,
    until: int | None = None,
    domain: str = STANDARD,
) -> Callable[[Made], Made]:
    """Register the mapping of an operator: the function given, or the one that is decorated."""

    def register(function: Any) -> Any:
        known = MAPPINGS.setdefault((domain, op_type), [])
        made = Mapping(domain, op_type, since, until, function, inspect.signature(function))
        if any(made.overlaps(other) for other in known):
            raise ValueError(f"two mappings of {op_type} hold for one version")
        known.append(made)
        return function

    if function is not None:
        register(function)
    return register


def mapping_of(domain: str, op_type: str, opset: int) -> Mapping | None:
    """The mapping of an operator in a version of its operator set."""
    found = MAPPINGS.get((domain, op_type), [])
    return next((mapping for mapping in found if mapping.holds(opset)), None)
