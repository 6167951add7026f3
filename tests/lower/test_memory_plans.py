"""Plans of random models, against a simulation that keeps track of whose value lies where."""

from __future__ import annotations

import random
from typing import Any

import pytest

import graphc as gc
from graphc.ir import dims
from graphc.ir.graph import CONSTANT, ITEM
from graphc.ir.node import Node
from graphc.lower import buffers, liveness
from graphc.lower.buffers import Memory, Slot
from graphc.lower.layout import Layout, layout, shown, written_inside
from tests.golden.models import MODELS
from tests.random_graphs import random_recipe
from tests.random_recipes import build


def planned(seed: int) -> tuple[Layout, dict[str, int]]:
    """The layout of a random model, and its sizes."""
    recipe = random_recipe(random.Random(seed))
    module = gc.compile(build(recipe), wrt=recipe.variables, allow_unused=True)
    return layout(module.lowered), recipe.sizes


def sequences(plans: Layout) -> list[Memory]:
    """The plans that share slots."""
    return [plans.training, plans.predict, plans.evaluate]


def programs(plans: Layout) -> list[tuple[Memory, list[Any]]]:
    """Each plan with the programs that run one after the other in it."""
    module = plans.module
    found = [
        (plans.training, [module.forward, module.backward]),
        (plans.predict, [module.predict]),
        (plans.evaluate, [module.evaluate]),
    ]
    return [(memory, made) for memory, made in found if made[0] is not None]


def bases(node: Node, inline: set[Node]) -> set[Node]:
    """The values in whose memory a value lies, or of which it is computed where it is written."""
    if node.op is CONSTANT:
        return set()
    if node.op.emission.view or node.op is ITEM or node in inline:
        return {base for arg in node.args for base in bases(arg, inline)}
    return {node}


def simulate(memory: Memory, made: list[Any], sizes: dict[str, int]) -> int:
    """Run a plan with owners in place of numbers. The most bytes that were needed at one time.

    Each slot tells whose value lies in it. A statement that reads what is no longer there fails.
    """
    inline = set(written_inside(*made))
    order = [node for program in made for node in program.order]
    ends: dict[Node, int] = {}
    reads: list[set[Node]] = []
    for node in order:
        reads.append(set() if node in inline else
                     {base for arg in node.args for base in bases(arg, inline)})  # fmt: skip
    finals = [base for program in made for node in shown(program) for base in bases(node, set())]
    reads.append(set(finals))
    for place, found in enumerate(reads):
        for node in found:
            ends[node] = place
    owner: dict[Slot, Node] = {}
    most = 0
    for place, node in enumerate([*order, None]):
        for read in reads[place]:
            if read in memory.buffers:
                assert owner[memory.buffers[read].slot] is read, f"{read} is gone at {place}"
        if node is None or node not in memory.buffers:
            live = live_bytes(memory, order, ends, place, sizes)
        else:
            slot = memory.buffers[node].slot
            fits = dims.evaluate(slot.size, sizes) >= dims.evaluate(buffers.byte_size(node), sizes)
            assert fits, node
            before = owner.get(slot)
            if before is not None and before is not node and before in reads[place]:
                assert memory.buffers[before] is memory.buffers[node], "not in place on purpose"
                assert (before.shape, before.dtype) == (node.shape, node.dtype)
                assert node.op.family == "elementwise"
                direct = {arg for arg in node.args if arg is not before}
                assert before not in {b for arg in direct for b in bases(arg, inline)}
            owner[slot] = node
            live = live_bytes(memory, order, ends, place, sizes)
        most = max(most, live)
    return most


def live_bytes(
    memory: Memory, order: list[Node], ends: dict[Node, int], place: int, sizes: dict[str, int]
) -> int:
    """The bytes of all values that are made by then and read then or later."""
    found: dict[int, int] = {}
    for start, node in enumerate(order):
        if node in memory.buffers and start <= place <= max(ends.get(node, start), start):
            # A value that is computed in place of another one shares its bytes at that moment.
            size = dims.evaluate(buffers.byte_size(node), sizes)
            found[id(memory.buffers[node])] = size
    return sum(found.values())


SEEDS = range(60)


@pytest.mark.parametrize("first", range(0, len(SEEDS), 10))
def test_no_statement_overwrites_what_a_later_one_reads(first: int) -> None:
    for seed in SEEDS[first : first + 10]:
        plans, sizes = planned(seed)
        for memory, made in programs(plans):
            assert simulate(memory, made, sizes) == memory.largest_live_set(sizes), seed


@pytest.mark.parametrize("name", MODELS)
def test_golden_models_pass_the_simulation(name: str) -> None:
    make, options = MODELS[name]
    plans = layout(gc.compile(make(), **options).lowered)
    for memory, made in programs(plans):
        sizes = dict.fromkeys(plans.sizes(), 7)
        assert simulate(memory, made, sizes) == memory.largest_live_set(sizes)


def test_the_plan_is_never_below_the_bound() -> None:
    for seed in SEEDS:
        plans, sizes = planned(seed)
        total = dims.evaluate(plans.planned(), sizes)
        assert total >= max(memory.largest_live_set(sizes) for memory in sequences(plans)), seed


def test_the_slots_of_a_plan_hold_all_that_is_written_for_any_size() -> None:
    for seed in range(20):
        plans, sizes = planned(seed)
        for size in (0, 1, 1000):
            chosen = dict.fromkeys(sizes, size)
            for memory in sequences(plans):
                for node, buffer in memory.buffers.items():
                    room = dims.evaluate(buffer.slot.size, chosen)
                    assert room >= dims.evaluate(buffers.byte_size(node), chosen)


def too_early(real: Any) -> Any:
    """Liveness that is off by one statement."""

    def last_uses(order: Any, *arguments: Any) -> dict[Node, int]:
        places = {node: place for place, node in enumerate(order)}
        found = real(order, *arguments)
        return {n: max(place - 1, places.get(n, 0)) for n, place in found.items()}

    return last_uses


def blind_to_views(real: Any) -> Any:
    """Liveness that forgets whose memory a view shows."""

    def memory_read(order: Any, inline: Any) -> dict[Node, tuple[Node, ...]]:
        return {
            node: (node,) if node.op.emission.view else r for node, r in real(order, inline).items()
        }

    return memory_read


@pytest.mark.parametrize(
    ("name", "breakage"), [("last_uses", too_early), ("memory_read", blind_to_views)]
)
def test_the_simulation_finds_a_broken_liveness(
    name: str, breakage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = breakage(getattr(liveness, name))
    monkeypatch.setattr(liveness, name, broken)
    monkeypatch.setattr(buffers, name, broken)
    noticed = 0
    for seed in range(20):
        plans, sizes = planned(seed)
        try:
            for memory, made in programs(plans):
                simulate(memory, made, sizes)
        except AssertionError:
            noticed += 1
    assert noticed >= 3


def test_the_same_program_has_the_same_plan() -> None:
    for seed in range(10):
        found = []
        for _ in range(2):
            plans = planned(seed)[0]
            slots = plans.slots()
            found.append(
                [[slots.index(b.slot) for b in m.buffers.values()] for m in sequences(plans)]
            )
        assert found[0] == found[1]
