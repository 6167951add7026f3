"""Buffers: which value lives where, for programs that fit on a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import graphc as gc
from graphc.ir import dims
from graphc.ir.node import Node
from graphc.lower import buffers
from graphc.lower.buffers import Memory, Slot, plan

# --- in place -----------------------------------------------------------------------------------


def over_its_operand(node: Node, memory: Memory) -> bool:
    """Whether a value is computed in place of an operand."""
    return any(memory.buffers.get(arg) is memory.buffers[node] for arg in node.args)


def exp_then_sin(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, gc.sin(a)]


def product_with_an_input(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, x * a]


def square_by_itself(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, a * a]


def last_of_two_reads(x: Any) -> list[Any]:
    a = gc.exp(x)
    b = a @ x
    return [a, b, gc.cos(a)]


def broadcast_operand(x: Any) -> list[Any]:
    a = gc.exp(x)
    row = a.sum(axis=0)
    return [a, row, a - row]


def first_of_two_reads(x: Any) -> list[Any]:
    a = gc.exp(x)
    b = gc.sin(a)
    c = b + a
    return [a, b, c, c * a]


def an_input(x: Any) -> list[Any]:
    return [gc.exp(x)]


def shown_by_a_view(x: Any) -> list[Any]:
    a = gc.exp(x)
    b = a.T
    c = gc.sin(a)
    return [a, b, c, c @ b]


def beside_its_own_transpose(x: Any) -> list[Any]:
    a = gc.exp(x)
    b = a.T
    return [a, b, a + b]


def another_dtype(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, gc.astype(a, "float64")]


def a_mask(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, a > 1.0]


def another_shape(x: Any) -> list[Any]:
    a = gc.exp(x[0])
    return [a.args[0], a, a + x]


def a_product_of_matrices(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, a @ x]


def a_sum(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, gc.sum(a, axis=0)]


def without_an_out_form(x: Any) -> list[Any]:
    a = gc.exp(x)
    return [a, gc.sigmoid(a)]


@pytest.mark.parametrize(
    "make",
    [
        exp_then_sin, product_with_an_input, square_by_itself, last_of_two_reads, broadcast_operand,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_an_elementwise_op_takes_over_what_nobody_else_reads(
    make: Callable[[Any], list[Any]],
) -> None:
    with gc.Graph("m") as g:
        order = make(g.input("x", (4, 4)))
    assert over_its_operand(order[-1], plan(order))


@pytest.mark.parametrize(
    "make",
    [
        an_input, beside_its_own_transpose, another_dtype, a_mask, another_shape,
        a_product_of_matrices, a_sum, without_an_out_form,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_it_takes_over_nothing_else(make: Callable[[Any], list[Any]]) -> None:
    with gc.Graph("m") as g:
        order = make(g.input("x", (4, 4)))
    memory = plan(order)
    assert not over_its_operand(order[-1], memory)
    operands = [memory.buffers[a].slot for a in order[-1].args if a in memory.buffers]
    assert memory.buffers[order[-1]].slot not in operands


@pytest.mark.parametrize(("place", "make"), [(1, first_of_two_reads), (2, shown_by_a_view)])
def test_a_value_that_is_read_later_is_left_alone(
    place: int, make: Callable[[Any], list[Any]]
) -> None:
    with gc.Graph("m") as g:
        order = make(g.input("x", (4, 4)))
    memory = plan(order)
    assert memory.buffers[order[place]].slot is not memory.buffers[order[0]].slot


def test_kept_values_are_left_alone() -> None:
    with gc.Graph("m") as g:
        order = exp_then_sin(g.input("x", (4, 4)))
    memory = plan(order, kept=[order[0]])
    assert memory.buffers[order[0]].slot is not memory.buffers[order[1]].slot
    turned = order[0].T
    memory = plan([*order, turned], kept=[turned])
    assert memory.buffers[order[0]].slot is not memory.buffers[order[1]].slot


def test_an_operand_that_an_inlined_value_shows_in_another_order_is_left_alone() -> None:
    with gc.Graph("m") as g:
        a = gc.exp(g.input("x", (4, 4)))
        turned = a.T
        total = a + turned
    assert not over_its_operand(total, plan([a, turned, total], inline={turned}))


def test_what_has_memory_elsewhere_has_no_buffer() -> None:
    with gc.Graph("m") as g:
        a, b = exp_then_sin(g.input("x", (4, 4)))
        c = gc.cos(b)
    memory = plan([a, b, c], elsewhere=[b])
    assert memory.buffers.keys() == {a, c}
    assert len(memory.slots) == 1


def test_scalars_and_views_have_no_buffer() -> None:
    with gc.Graph("m") as g:
        x = g.input("x", (4, 4))
        total = gc.exp(x).sum()
        left, right = gc.split(x, 2)
        order = [total.args[0], total, left.args[0], left, right, x.T, gc.exp(total)]
    assert plan(order).buffers.keys() == {total.args[0]}


# --- slots --------------------------------------------------------------------------------------


def row_of(*shapes: tuple[Any, ...]) -> tuple[list[Any], Memory]:
    """Values of these shapes that are all dead right after they were made, one after the other."""
    with gc.Graph("m") as g:
        inputs = [g.input(f"x{i}", shape) for i, shape in enumerate(shapes)]
        order = [gc.exp(x) for x in inputs]
    return order, plan(order)


@pytest.mark.parametrize(
    ("shapes", "slots"),
    [
        ([("n", 4), ("n", 4)], ["16*n"]),
        ([("n", 4), (2, "n", 2)], ["16*n"]),
        ([("n", 4), ("n", 2)], ["16*n"]),
        ([("n", 2), ("n", 4)], ["16*n"]),  # which grows
        ([("n",), ("n", "n")], ["4*n", "4*n*n"]),  # n > n² where n < 1
        ([("n", "m"), ("n",)], ["4*m*n", "4*n"]),
        ([("n",), ("m",)], ["4*n", "4*m"]),
        ([("n",), (8,)], ["4*n", "32"]),
        ([("n",), (8,), ("n",), (8,), (2,)], ["4*n", "32"]),
        ([(8,), (2,), (16,)], ["64"]),
        ([("n",), ("n", 3), ("n", 2)], ["12*n"]),
    ],
    ids=str,
)
def test_slots_are_shared_where_one_size_is_never_smaller(
    shapes: list[Any], slots: list[str]
) -> None:
    _, memory = row_of(*shapes)
    assert [dims.text(slot.size, str).replace(" ", "") for slot in memory.slots] == slots


def test_the_slot_of_the_same_size_comes_first_then_the_smallest_that_is_large_enough() -> None:
    with gc.Graph("m") as g:
        xs = [g.input(f"x{i}", (size,)) for i, size in enumerate((100, 10, 50, 10, 40, 60))]
        big, small, middle = (gc.exp(x) for x in xs[:3])
        end = gc.concat([big, small, middle])
        same, fits, wide = (gc.exp(x) for x in xs[3:])
        order = [big, small, middle, end, same, fits, wide, gc.concat([same, fits, wide])]
    memory = plan(order, elsewhere=[end, order[-1]])
    slot = {node: memory.buffers[node].slot for node in (big, small, middle, same, fits, wide)}
    assert slot[same] is slot[small]
    assert slot[fits] is slot[middle]
    assert slot[wide] is slot[big]
    assert [s.size for s in memory.slots] == [400, 40, 200]


def test_if_none_is_large_enough_the_largest_grows() -> None:
    with gc.Graph("m") as g:
        xs = [g.input(f"x{i}", (size,)) for i, size in enumerate((10, 50, 60))]
        small, middle, wide = (gc.exp(x) for x in xs)
        end = gc.concat([small, middle])
        order = [small, middle, end, wide]
    memory = plan(order, elsewhere=[end])
    assert memory.buffers[wide].slot is memory.buffers[middle].slot
    assert [s.size for s in memory.slots] == [40, 240]


def test_slots_that_are_there_already_are_used_first_and_grow() -> None:
    with gc.Graph("m") as g:
        order = [gc.exp(g.input("x", ("n", 8)))]
    there = Slot(dims.product((dims.named("n"), 4)))
    memory = plan(order, slots=[there])
    assert memory.slots == [there]
    assert str(there.size) == str(dims.product((dims.named("n"), 32)))


def test_a_size_that_may_be_zero_dominates_nothing() -> None:
    n = dims.named("n")
    assert buffers.never_smaller(2 * n, n)
    assert not buffers.never_smaller(n * n, n)
    assert not buffers.never_smaller(n, 4)
