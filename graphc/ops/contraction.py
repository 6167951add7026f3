"""Products of tensors: axes are labelled, and what is in no result is summed over.

Each is built of the products that NumPy is fast at: a matrix product where something is summed
over, a product of elements where nothing is. So derivatives are those of these ops, and what a
backward pass has in common with the forward one is computed once. Several operands are contracted
two at a time, in an order that is chosen when the graph is declared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.dims import Extent
from graphc.ir.node import Node
from graphc.ir.op import function
from graphc.ops.matrices import diagonal
from graphc.ops.operands import axis_of, cast, is_same, operands, require_rank
from graphc.ops.reduction import sum
from graphc.ops.shape import expand_dims, permute_dims, reshape, squeeze

__all__ = ["einsum", "inner", "outer", "tensordot", "vecdot"]

Label: TypeAlias = "str | int"  # a letter, or the place of an axis of `...`, -1 being its last
Labels: TypeAlias = "tuple[Label, ...]"

# What a named size counts as when an order of products is chosen.
USUAL_SIZE = 64

# --- what is written ---------------------------------------------------------------------------


@function
def einsum(subscripts: str, *arrays: Any, optimize: Any = True) -> Node:
    """Einstein's sums: products of operands, summed over the labels that are not in the result.

    As np.einsum: "ij,jk->ik" is x @ y, "ii" a trace, "i,i->i" a product of elements; `...` stands
    for axes that broadcast. Without "->" the result has the labels that occur once, in alphabetical
    order. The order of the products is chosen at declaration; `optimize` says nothing more.

    Raises GraphcError for subscripts that say nothing, ShapeError for operands that do not fit.
    """
    del optimize
    if not isinstance(subscripts, str):
        raise GraphcError(f"einsum expects subscripts like 'ij,jk->ik', got {subscripts!r}")
    nodes = operands(*arrays) if arrays else ()
    terms, result = _parsed(subscripts, nodes)
    return contracted("einsum", nodes, terms, result)


def _parsed(subscripts: str, nodes: Sequence[Node]) -> tuple[list[Labels], Labels]:
    """The labels of each operand and of the result."""
    told = f"einsum: {subscripts!r}"
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    for term in (*terms, right):
        if not re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", term):
            raise GraphcError(
                f"{told} has a part {term!r}", hint="parts are letters, with one ... at most"
            )
    if len(terms) != len(nodes):
        raise GraphcError(f"{told} is of {len(terms)} operands, got {len(nodes)}")
    broad = 0
    labelled: list[Labels] = []
    for term, node in zip(terms, nodes, strict=True):
        extra = node.ndim - len(term.replace("...", ""))
        if extra < 0 or (extra and "..." not in term):
            name = node.graph.describe(node, site=True)
            raise ShapeError(f"{told}: {term!r} does not label the {node.ndim} axes of {name}")
        broad = max(broad, extra)
        labelled.append(_labels(term, extra))
    if arrow:
        if "..." not in right and broad:
            raise GraphcError(f"{told}: the result has no ..., whose axes are never summed over")
        result = _labels(right, broad)
    else:
        once = Counter(label for labels in labelled for label in labels if isinstance(label, str))
        result = _labels("..." + "".join(sorted(k for k, n in once.items() if n == 1)), broad)
    known = {label for labels in labelled for label in labels}
    for label in result:
        if label not in known or result.count(label) > 1:
            problem = "is in no operand" if label not in known else "occurs twice in the result"
            raise GraphcError(f"{told}: {label!r} {problem}")
    return labelled, result


def _labels(term: str, broad: int) -> Labels:
    before, dots, after = term.partition("...")
    return (*before, *(range(-broad, 0) if dots else ()), *after)


# --- NumPy's other products --------------------------------------------------------------------


@function
def tensordot(x: Any, y: Any, axes: Any = 2) -> Node:
    """The sum of products over axes of x and as many of y; the others follow each other.

    axes  how many, of the last ones of x and the first ones of y, or a pair of lists of axes
    """
    x, y = operands(x, y)
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            names = ", ".join(node.graph.describe(node, site=True) for node in (x, y))
            raise ShapeError(f"tensordot over {axes} axes of {names}")
        axes = (range(x.ndim - axes, x.ndim), range(axes))
    try:
        pair = [[each] if isinstance(each, (int, np.integer)) else list(each) for each in axes]
    except TypeError:
        pair = []
    if len(pair) != 2:
        raise GraphcError(f"tensordot: axes is an int or a pair of lists of axes, got {axes!r}")
    of_x, of_y = (
        [axis_of("tensordot", axis, node) for axis in chosen]
        for chosen, node in zip(pair, (x, y), strict=True)
    )
    if len(of_x) != len(of_y) or any(len(set(own)) < len(own) for own in (of_x, of_y)):
        raise ShapeError(f"tensordot: axes pairs each axis with one other, got {axes!r}")
    left = tuple(range(x.ndim))
    paired = dict(zip(of_y, of_x, strict=True))
    right = tuple(paired.get(axis, x.ndim + axis) for axis in range(y.ndim))
    result = tuple(label for label in (*left, *right) if label not in of_x)
    return contracted("tensordot", (x, y), [left, right], result)


@function
def vecdot(x: Any, y: Any, axis: int = -1) -> Node:
    """The sum of x * y over an axis that both have; the others broadcast."""
    x, y = (require_rank("vecdot", node, 1) for node in operands(x, y))
    terms: list[Labels] = []
    for node in (x, y):
        labels: list[Label] = list(range(1 - node.ndim, 0))
        labels.insert(axis_of("vecdot", axis, node), "i")
        terms.append(tuple(labels))
    result = tuple(range(1 - max(x.ndim, y.ndim), 0))
    return contracted("vecdot", (x, y), terms, result)


@function
def inner(x: Any, y: Any) -> Node:
    """The sum of products over the last axes of x and y; x * y where one has no axes."""
    x, y = operands(x, y)
    return tensordot(x, y, ((-1,), (-1,))) if x.ndim and y.ndim else x * y


@function
def outer(x: Any, y: Any) -> Node:
    """The product of each element of x with each of y, (x.size, y.size)."""
    x, y = (_joined(node, [node.size]) for node in operands(x, y))
    return contracted("outer", (x, y), [("i",), ("j",)], ("i", "j"))


# --- contraction -------------------------------------------------------------------------------


def contracted(op: str, nodes: Sequence[Node], terms: Sequence[Labels], result: Labels) -> Node:
    """The product of nodes whose axes have labels, summed over those that are not in the result."""
    sizes = _sizes(op, nodes, terms)
    parts = [_narrowed(node, labels, sizes) for node, labels in zip(nodes, terms, strict=True)]
    for places in _order(parts, result):
        chosen = [parts[place] for place in places]
        parts = [part for place, part in enumerate(parts) if place not in places]
        # What the result has, in its order, before what only others still need.
        others = [label for _, labels in parts for label in labels if label not in result]
        wanted = (*result, *dict.fromkeys(others))
        first, *rest = (_reduced(*part, chosen, place, wanted) for place, part in enumerate(chosen))
        for other in rest:
            first = _product(first, other, wanted, sizes)
        parts.append(first)
    ((node, labels),) = parts
    node, labels = _summed(node, labels, result)
    return _permuted(node, labels, result)


def _sizes(op: str, nodes: Sequence[Node], terms: Sequence[Labels]) -> dict[Label, Extent]:
    """The size of each label; operands may have 1 in its place, which is broadcast."""
    sizes: dict[Label, Extent] = {}
    for node, labels in zip(nodes, terms, strict=True):
        for label, size in zip(labels, node.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known == 1:
                sizes[label] = size
            elif size != 1 and not is_same(known, size):
                names = ", ".join(node.graph.describe(node, site=True) for node in nodes)
                name = f"the label {label!r}" if isinstance(label, str) else "an axis"
                raise ShapeError(f"{op}: {name} has the sizes {known} and {size}: {names}")
    return sizes


def _narrowed(node: Node, labels: Labels, sizes: Mapping[Label, Extent]) -> tuple[Node, Labels]:
    """An operand without axes that are broadcast, and with each label once."""
    spread = tuple(
        axis
        for axis, (label, size) in enumerate(zip(labels, node.shape, strict=True))
        if size == 1 and sizes[label] != 1
    )
    if spread:
        node = squeeze(node, spread)
        labels = tuple(label for axis, label in enumerate(labels) if axis not in spread)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            node = diagonal(node, 0, first, second)
            rest = [own for axis, own in enumerate(labels) if axis not in (first, second)]
            labels = (*rest, label)
    return node, labels


def _order(parts: Sequence[tuple[Node, Labels]], result: Labels) -> list[tuple[int, ...]]:
    """Which operands are multiplied, round by round; the product comes to the end of the rest."""
    if len(parts) < 3:
        return [tuple(range(len(parts)))] if len(parts) == 2 else []
    numbers = dict(zip(dict.fromkeys(k for _, labels in parts for k in labels), count()))
    arguments: list[Any] = []
    for node, labels in parts:
        shape = [dims.evaluate(size, _Usual()) for size in node.shape]
        arguments += [np.broadcast_to(np.int8(0), shape), [numbers[label] for label in labels]]
    path = np.einsum_path(*arguments, [numbers[label] for label in result], optimize="greedy")
    return [tuple(step) for step in path[0][1:]]


class _Usual(dict[str, int]):
    def __missing__(self, name: str) -> int:
        return USUAL_SIZE


def _reduced(
    node: Node, labels: Labels, among: Sequence[tuple[Node, Labels]], place: int, wanted: Labels
) -> tuple[Node, Labels]:
    """An operand summed over the labels that nothing else has."""
    others = {label for other, (_, own) in enumerate(among) if other != place for label in own}
    return _summed(node, labels, (*wanted, *others))


def _summed(node: Node, labels: Labels, kept: Labels) -> tuple[Node, Labels]:
    axes = tuple(axis for axis, label in enumerate(labels) if label not in kept)
    if not axes:
        return node, labels
    # The sum of ints is an int64 elsewhere; here, as in a matrix product, they stay what they are.
    return cast(sum(node, axes), node.dtype), tuple(k for k in labels if k in kept)


def _product(
    left: tuple[Node, Labels], right: tuple[Node, Labels], wanted: Labels,
    sizes: Mapping[Label, Extent],
) -> tuple[Node, Labels]:  # fmt: skip
    """The product of two operands, each label of which the other has too or is wanted."""
    (x, own), (y, other) = left, right
    shared = [label for label in own if label in other]
    inside = [label for label in shared if label not in wanted]
    batch = [label for label in wanted if label in shared]
    rows = [label for label in wanted if label in own and label not in shared]
    columns = [label for label in wanted if label in other and label not in shared]
    if not inside or (batch and not rows and not columns):
        # Nothing to sum over, or rows of numbers: no product of matrices.
        labels = (*(label for label in wanted if label in own or label in other), *inside)
        return _summed(_aligned(x, own, labels) * _aligned(y, other, labels), labels, wanted)
    if columns and wanted.index(columns[0]) < (wanted.index(rows[0]) if rows else 0):
        x, own, rows, y, other, columns = y, other, columns, x, own, rows
    x = _permuted(x, own, (*batch, *rows, *inside))
    y = _permuted(y, other, (*batch, *inside, *columns))
    length = dims.product(tuple(sizes[label] for label in inside))
    front = [sizes[label] for label in batch]
    height, width = (
        dims.product(tuple(sizes[label] for label in labels)) for labels in (rows, columns)
    )
    x = _joined(x, [*front, height, length] if rows or batch else [length])
    y = _joined(y, [*front, length, width] if columns or batch else [length])
    labels = (*batch, *rows, *columns)
    return _joined(x @ y, [sizes[label] for label in labels]), labels


def _aligned(node: Node, own: Labels, labels: Labels) -> Node:
    """A node in a shape that broadcasts against axes with these labels."""
    node = _permuted(node, own, tuple(label for label in labels if label in own))
    first = next((axis for axis, label in enumerate(labels) if label in own), len(labels))
    missing = [axis - first for axis, k in enumerate(labels) if axis > first and k not in own]
    return expand_dims(node, tuple(missing))


def _permuted(node: Node, own: Labels, labels: Labels) -> Node:
    order = tuple(own.index(label) for label in labels)
    return node if order == tuple(range(node.ndim)) else permute_dims(node, order)


def _joined(node: Node, shape: Sequence[Extent]) -> Node:
    return node if node.shape == tuple(shape) else reshape(node, tuple(shape))
