"""Sequences of tensors. They are taken apart while the model is imported: none is in the module."""

from __future__ import annotations

from graphc import ops
from graphc.frontends.onnx.mapping.shape import MOST_PARTS, parts
from graphc.frontends.onnx.registry import Call, Tensors, bound, maps
from graphc.ir.node import Node
from graphc.ir.types import normalize_axis

maps("SequenceConstruct", lambda call, *inputs: Tensors(inputs))
maps("SequenceEmpty", lambda call, *, dtype=1: Tensors())
maps("SequenceLength", lambda call, sequence: call.constant(len(sequence), "int64"))


@maps("SequenceAt")
def sequence_at(call: Call, sequence: Tensors, position: Node) -> Node:
    """One of the tensors; a position below 0 counts from the end."""
    return sequence[place_of(call, sequence, position, 0)]


@maps("SequenceErase")
def sequence_erase(call: Call, sequence: Tensors, position: Node | None = None) -> Tensors:
    """The sequence without one of its tensors, the last by default."""
    place = -1 if position is None else place_of(call, sequence, position, 0)
    rest = list(sequence)
    if not rest:
        call.refuse("the sequence is empty")
    del rest[place]
    return Tensors(rest)


@maps("SequenceInsert")
def sequence_insert(
    call: Call, sequence: Tensors, tensor: Node, position: Node | None = None
) -> Tensors:
    """The sequence with another tensor before one of its own, at the end by default."""
    own = len(sequence)
    place = own if position is None else place_of(call, sequence, position, 1)
    return Tensors((*sequence[:place], tensor, *sequence[place:]))


@maps("SplitToSequence")
def split_to_sequence(
    call: Call, x: Node, split: Node | None = None, *, axis: int = 0, keepdims: int = 1
) -> Tensors:
    """x cut along an axis: into parts of one size, the last of which may be smaller, or of several.

    Without sizes each part is one wide, and has no such axis if `keepdims` is 0.
    """
    if split is not None and split.ndim == 1:
        return Tensors(parts(x, axis, call.sizes(split, "the sizes of the parts")))
    size = x.shape[normalize_axis(axis, x.ndim)]
    if not isinstance(size, int):
        call.refuse(
            f"{size} is split, and has to be known when the model is compiled",
            hint=bound(size),
        )
    each = 1 if split is None else call.number(split, "the size of the parts")
    if each < 1:
        call.refuse(f"parts have a size of at least 1, got {each}")
    if size > each * MOST_PARTS:
        call.refuse(f"an array is split into at most {MOST_PARTS} parts, got {size} by {each}")
    sizes = [min(each, size - start) for start in range(0, size, each)]
    found = parts(x, axis, sizes) if sizes else ()
    if split is None and not keepdims:
        return Tensors(ops.squeeze(part, axis) for part in found)
    return Tensors(found)


@maps("ConcatFromSequence")
def concat_from_sequence(call: Call, sequence: Tensors, *, axis: int, new_axis: int = 0) -> Node:
    """All tensors along an axis that they have, or along a new one."""
    if not sequence:
        call.refuse("the sequence is empty")
    return (ops.stack if new_axis else ops.concat)(list(sequence), axis)


def place_of(call: Call, sequence: Tensors, position: Node, more: int) -> int:
    """A position in a sequence, from its start; `more` is how far beyond the last it may be."""
    place, size = int(call.number(position, "the position")), len(sequence)
    if not -size <= place < size + more:
        call.refuse(f"the sequence has {size} tensors, none at {place}")
    return place + size if place < 0 else place
