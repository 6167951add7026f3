"""Liveness: the last statement that reads each value, for programs that fit on a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import graphc as gc
from graphc.ir.node import Node
from graphc.lower.liveness import last_uses, memory_read

Program: TypeAlias = tuple[list[Node], list[Node], list[Node]]  # statements, inlined, kept


def chain(x: Any) -> Program:
    a = gc.exp(x)
    b = gc.sin(a)
    c = gc.cos(b)
    return [a, b, c], [], []


def late(x: Any) -> Program:
    a = gc.exp(x)
    b = gc.sin(a)
    c = gc.cos(b)
    d = c + a
    return [a, b, c, d], [], []


def view(x: Any) -> Program:
    a = gc.exp(x)
    b = a.T
    c = gc.sin(x)
    d = gc.cos(b)
    return [a, b, c, d], [], []


def view_of_view(x: Any) -> Program:
    a = gc.exp(x)
    b = a.T
    c = b[0]
    d = gc.sin(x)
    e = gc.cos(c)
    return [a, b, c, d, e], [], []


def parts(x: Any) -> Program:
    a = gc.exp(x)
    b, c = gc.split(a, 2)
    d = gc.sin(b)
    e = gc.cos(c)
    return [a, b.args[0], b, c, d, e], [], []


def inlined(x: Any) -> Program:
    a = gc.exp(x)
    b = gc.sin(a)
    c = gc.cos(x)
    d = b + c
    return [a, b, c, d], [b], []


def kept(x: Any) -> Program:
    a = gc.exp(x)
    b = gc.sin(a)
    return [a, b], [], [a]


def kept_view(x: Any) -> Program:
    a = gc.exp(x)
    b = a.T
    c = gc.sin(x)
    return [a, b, c], [], [b]


def again(x: Any) -> Program:
    a = gc.exp(x)
    b = gc.sin(a)
    c = gc.cos(x)
    d = gc.tanh(a)
    return [a, b, c, a, d], [], []


def unread(x: Any) -> Program:
    a = gc.exp(x)
    b = gc.sin(x)
    return [a, b], [], []


# For each program the last uses of the statements, by place; a place beyond the last one is
# for what is kept; views and inlined values have no memory, and no place here.
PROGRAMS: list[tuple[Callable[[Any], Program], dict[int, int]]] = [
    (chain, {0: 1, 1: 2, 2: 2}),
    (late, {0: 3, 1: 2, 2: 3, 3: 3}),
    (view, {0: 3, 2: 2, 3: 3}),
    (view_of_view, {0: 4, 3: 3, 4: 4}),
    (parts, {0: 5, 4: 4, 5: 5}),
    (inlined, {0: 3, 2: 3, 3: 3}),
    (kept, {0: 2, 1: 1}),
    (kept_view, {0: 3, 2: 2}),
    (unread, {0: 0, 1: 1}),
    (again, {0: 4, 1: 1, 2: 2, 3: 4, 4: 4}),
]


@pytest.mark.parametrize(("make", "expected"), PROGRAMS, ids=lambda v: getattr(v, "__name__", ""))
def test_the_last_use_is_the_last_statement_that_reads(
    make: Callable[[Any], Program], expected: dict[int, int]
) -> None:
    with gc.Graph("m") as g:
        order, inline, kept = make(g.input("x", (4, 4)))
    last = last_uses(order, memory_read(order, set(inline)), kept)
    assert {i: last[node] for i, node in enumerate(order) if node in last} == expected


def test_arguments_are_read_too() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (4, 4))
        order = [gc.exp(x), gc.sin(x), gc.cos(x).T]
        order = [*order[:2], order[2].args[0], order[2]]
    assert last_uses(order, memory_read(order))[x] == 2


def test_a_view_reads_what_it_shows_and_an_inlined_value_what_it_is_made_of() -> None:
    with gc.Graph("m") as g:
        x, y = g.input("x", (4, 4)), g.input("y", (4, 4))
        a = gc.exp(x)
        shown = a.T
        total = shown + y
        b = gc.sin(total)
    read = memory_read([a, shown, total, b], {total})
    assert (read[a], read[shown], read[total], read[b]) == ((a,), (a,), (a, y), (b,))
