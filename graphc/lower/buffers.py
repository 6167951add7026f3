"""Buffers: where values live, planned before anything runs.

A linear scan over the statements. A value takes over the buffer of an operand that nothing else
needs; else it takes a slot that is free, by the sizes' symbolic expressions: one of the same size,
the smallest that is never smaller, or the largest that never needs to be bigger, which grows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.types import TensorType
from graphc.lower.liveness import last_uses, memory_read

TYPICAL = 64  # the size that stands for a named one where slots are put in order


@dataclass(eq=False, slots=True)
class Slot:
    """A piece of memory, as large as the largest value that lives in it at some time."""

    size: Extent


class FreeSlots:
    """The slots that hold nothing at some moment, by size."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        self.by_size: dict[Extent, list[Slot]] = {}
        for slot in slots:
            self.add(slot)

    def add(self, slot: Slot) -> None:
        """The slot is free from now on."""
        self.by_size.setdefault(slot.size, []).append(slot)

    def take(self, size: Extent) -> Slot | None:
        """The slot that suits a value best, grown if need be; None if there is none.

        The one that was freed last is the likeliest to be in the processor's cache.
        """
        found = size if self.by_size.get(size) else None
        if found is None:
            sizes = [own for own, slots in self.by_size.items() if slots]
            larger = [own for own in sizes if never_smaller(own, size)]
            smaller = [own for own in sizes if never_smaller(size, own)]
            if larger:
                found = min(larger, key=typical)
            elif smaller:
                found = max(smaller, key=typical)
            else:
                return None
        slot = self.by_size[found].pop()
        if not never_smaller(slot.size, size):
            slot.size = size
        return slot


@dataclass(eq=False, slots=True)
class Buffer:
    """An array in a slot: several values of one type, each computed in place of the one before."""

    slot: Slot
    values: list[Node]


@dataclass(slots=True)
class Memory:
    """The plan of one sequence of statements.

    buffers  of each value that is written into one
    slots    of all buffers; planned together with other sequences, these share them
    live     the places from which on, and up to which, each buffer is needed
    inline   values that are written inside their users
    """

    buffers: dict[Node, Buffer] = field(default_factory=dict)
    slots: list[Slot] = field(default_factory=list)
    live: dict[Buffer, tuple[int, int]] = field(default_factory=dict)
    inline: Collection[Node] = ()

    def largest_live_set(self, sizes: Mapping[str, int]) -> int:
        """The bytes that no plan could do without: the most that are needed at one time."""
        changes: dict[int, int] = {}
        for buffer, (first, last) in self.live.items():
            size = dims.evaluate(byte_size(buffer.values[0]), sizes)
            changes[first] = changes.get(first, 0) + size
            changes[last + 1] = changes.get(last + 1, 0) - size
        live = largest = 0
        for place in sorted(changes):
            live += changes[place]
            largest = max(largest, live)
        return largest


def plan(
    order: Sequence[Node],
    *,
    inline: Collection[Node] = (),
    kept: Iterable[Node] = (),
    elsewhere: Iterable[Node] = (),
    slots: Iterable[Slot] = (),
) -> Memory:
    """The memory of statements that run one after the other.

    inline     values that are written inside their users
    kept       values that are read after the end
    elsewhere  values that get memory from somewhere else: results, gradients
    slots      memory that is there already and free at the start
    """
    memory = Memory(slots=list(slots), inline=inline)
    free = FreeSlots(memory.slots)
    read = memory_read(order, inline)
    last = last_uses(order, read, kept)
    others = {*elsewhere, *inline}
    ending: dict[int, list[Node]] = {}
    for node, place in last.items():
        ending.setdefault(place, []).append(node)
    for place, node in enumerate(order):
        if is_array(node) and node not in others:
            # What forward and backward both compute has its buffer already.
            buffer = memory.buffers.get(node) or inherited(node, place, last, read, memory)
            if buffer is None:
                slot = free.take(byte_size(node))
                if slot is None:
                    slot = Slot(byte_size(node))
                    memory.slots.append(slot)
                buffer = Buffer(slot, [])
                memory.live[buffer] = (place, place)
            buffer.values.append(node)
            memory.buffers[node] = buffer
            memory.live[buffer] = (memory.live[buffer][0], last[node])
        for ended in ending.get(place, ()):
            buffer = memory.buffers.get(ended)
            if buffer is not None and buffer.values[-1] is ended:
                free.add(buffer.slot)
    return memory


def is_array(node: Node) -> bool:
    """Whether a value needs memory: a view has that of another, a scalar is a Python object."""
    return (
        isinstance(node.type, TensorType)
        and bool(node.shape)
        and not node.op.emission.view
        and node.op is not CONSTANT
    )


def inherited(
    node: Node,
    place: int,
    last: Mapping[Node, int],
    read: Mapping[Node, tuple[Node, ...]],
    memory: Memory,
) -> Buffer | None:
    """The buffer of an operand of the same type that this statement is the last to read.

    An elementwise op reads each element before it writes it, unless another operand shows the
    memory in another order.
    """
    if node.op.family != "elementwise" or node.op.emission.out is None:
        return None
    for arg in node.args:
        buffer = memory.buffers.get(arg)
        if (
            buffer is not None
            and buffer.values[-1] is arg
            and last[arg] == place
            and arg.type == node.type
        ):
            others = (read.get(other, ()) for other in node.args if other is not arg)
            if not any(value is arg for values in others for value in values):
                return buffer
    return None


def byte_size(node: Node) -> Extent:
    """The bytes of a value."""
    return dims.product(node.shape) * node.dtype.itemsize


@cache
def never_smaller(one: Extent, other: Extent) -> bool:
    """Whether one size is at least the other, whatever the named sizes are."""
    return dims.at_least(one, other, sizes_from=0)


def typical(size: Extent) -> int:
    """A number by which sizes are put in order."""
    return dims.evaluate(size, dict.fromkeys(dims.names(size), TYPICAL))
