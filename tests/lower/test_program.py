"""Programs: what is computed, in which order, from which arguments."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import ARGUMENT, CONSTANT
from graphc.lower.interpreter import interpret
from graphc.lower.program import Program
from tests.codegen.nets import ALL, net


def programs(name: str) -> dict[str, Program]:
    """The programs of a model."""
    lowered = net(name).compiled.lowered
    found = {p: getattr(lowered, p) for p in ("predict", "evaluate", "forward", "backward")}
    return {key: program for key, program in found.items() if program is not None}


@pytest.mark.parametrize("name", ALL)
def test_operands_stand_before_their_users_and_every_value_has_one(name: str) -> None:
    for program in programs(name).values():
        known = set(program.arguments)
        used = {*program.results, *net(name).compiled.lowered.residuals}
        for node in program.order:
            assert all(arg in known or arg.op is CONSTANT for arg in node.args)
            assert node not in known
            known.add(node)
            used.update(node.args)
        assert used.issuperset(program.order)
        assert all(node in known or node.op is CONSTANT for node in program.results)
        assert program.inline <= set(program.order)
        assert program.inline.isdisjoint(program.results)


@pytest.mark.parametrize("name", ALL)
def test_what_is_inlined_is_used_once_and_has_no_label(name: str) -> None:
    for program in programs(name).values():
        uses = Counter(arg.id for node in program.order for arg in node.args)
        for node in program.inline:
            assert uses[node.id] == 1
            assert program.graph.label_of(node) is None


@pytest.mark.parametrize("name", ALL)
def test_residuals_are_what_backward_is_given(name: str) -> None:
    lowered = net(name).compiled.lowered
    if lowered.forward is None or lowered.backward is None:
        return
    given = lowered.backward.arguments[: len(lowered.residuals)]
    assert [node.id for node in given] == [node.id for node in lowered.residuals]
    computed = {*lowered.forward.arguments, *lowered.forward.order}
    assert computed.issuperset(lowered.residuals)
    assert lowered.forward.inline.isdisjoint(lowered.residuals)
    read = {arg for node in lowered.backward.order for arg in node.args}
    read |= set(lowered.backward.results)
    assert all(node in read or node.shape for node in lowered.residuals)


def test_the_interpreter_computes_what_the_module_computes() -> None:
    for name in ("mlp", "attention", "joined", "running_mean"):
        made = net(name)
        program = made.compiled.lowered.predict
        assert program is not None
        everything = {k: v for group in made.values.values() for k, v in group.items()}
        values: dict[Any, Any] = {n: everything[n.params.name] for n in program.arguments}
        results = [interpret(program, values)[node] for node in program.results]
        np.testing.assert_array_equal(results[0], made.call("predict"))


def test_a_value_is_computed_right_before_its_first_use() -> None:
    with gc.Graph("order") as g:
        x, y = g.input("x", (3,)), g.input("y", (3,))
        late = np.exp(y)
        early = np.sin(x)
        g.output("first", early * early)
        g.output("second", late * late)
    program = gc.compile(g, inference=True).lowered.predict
    assert program is not None
    names = [g.label_of(node) or node.op.name for node in program.order]
    assert names == ["early", "multiply", "late", "multiply"] or names == [
        "early", "square", "late", "square",
    ]  # fmt: skip
    assert all(node.op is ARGUMENT for node in program.arguments)


def test_masks_that_meet_only_each_other_are_numbers_first() -> None:
    # Beside an array NumPy takes a mask for numbers; of two masks it would make a mask.
    with gc.Graph("masks") as g:
        x, y = g.input("x", (4,)), g.input("y", (4,))
        g.output("both", (x > 0).astype("float32") + (y > 0).astype("float32"))
        g.output("one", (x >= 0).astype("float32") + y)
        g.output("chosen", gc.where(y >= 0, y, 2.5))
    module = gc.compile(g, inference=True)
    assert "(x >= 0) + y" in module.source and "np.where(y >= 0, y, 2.5)" in module.source
    values = np.array([1, 1, -1, -1], np.float32), np.array([1, -1, 1, -1], np.float32)
    found = module.load().predict(*values)
    assert found.both.dtype == found.one.dtype == found.chosen.dtype == np.float32
    assert found.both.tolist() == [2, 1, 1, 0]
    assert found.one.tolist() == [2, 0, 1, -1]
    assert found.chosen.tolist() == [1, 2.5, 1, 2.5]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_recurrence_computes_what_a_step_reads_in_that_step(swapped: bool) -> None:
    def unrolled(steps: int) -> gc.Module:
        with gc.Graph("recurrence") as g:
            xs = g.input("xs", ("batch", steps, 3))
            U, W = g.parameter("U", (3, 4)), g.parameter("W", (4, 4))
            h = gc.tanh(xs[:, 0] @ U)
            for step in range(1, steps):
                fresh, carried = xs[:, step] @ U, h @ W
                h = gc.tanh(carried + fresh if swapped else fresh + carried)
            g.output("h", h)
        return gc.compile(g, inference=True)

    assert unrolled(3).report.planned(batch=8) == unrolled(30).report.planned(batch=8)
