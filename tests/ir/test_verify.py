"""The verifier: each invariant that a pass could break is noticed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import graphc as gc
from graphc.ir.function import Function
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.verify import verify


@pytest.fixture
def sound() -> Function:
    g = gc.Graph("sound")
    x, y = g.input("x", (3,)), g.input("y", (3,))
    return Function("sound", g, (("z", x * 2 + np.sin(y)),), (x, y))


def test_a_sound_function_passes(sound: Function) -> None:
    verify(sound)


def test_arguments_have_to_be_declared(sound: Function) -> None:
    x, _ = sound.declared
    with pytest.raises(ValueError, match=r"sound: the argument .*y.* is not declared"):
        verify(dataclasses.replace(sound, declared=(x,)))


def test_nodes_have_to_be_of_the_arena(sound: Function) -> None:
    stranger = gc.Graph("other").input("x", (3,))
    with pytest.raises(ValueError, match="is not of this arena"):
        verify(dataclasses.replace(sound, outputs=(("z", stranger),)))


def test_nodes_have_to_be_at_their_place(sound: Function) -> None:
    (z,) = sound.roots
    twin = Node(sound.graph, z.op, z.args, z.params, z.type, 0)
    with pytest.raises(ValueError, match="is not of this arena"):
        verify(sound.with_roots([twin]))


def test_nodes_have_to_be_interned(sound: Function) -> None:
    g = sound.graph
    (z,) = sound.roots
    twin = Node(g, z.op, z.args, z.params, z.type, len(g.nodes))
    g.nodes.append(twin)
    with pytest.raises(ValueError, match="is not interned"):
        verify(sound.with_roots([twin]))


def test_types_have_to_be_the_inferred_ones(sound: Function) -> None:
    g = sound.graph
    constant = next(node for node in g.nodes if node.op is CONSTANT)
    wrong = g.input("matrix", (2, 2))
    constant.type = wrong.type
    with pytest.raises(ValueError, match="should have the type"):
        verify(sound)
