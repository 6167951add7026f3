"""Workspaces beside the functional module of the same graph, which says what is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import numpy as np

import graphc as gc
from tests.codegen.nets import leaves

Array: TypeAlias = np.ndarray[Any, Any]
TRAINED = gc.optim.sgd(0.05, momentum=0.9, nesterov=True, weight_decay=0.01)


def classifier() -> gc.Graph:
    """A bit of everything: labels, views, a scalar parameter, a state, sums that survive size 0."""
    with gc.Graph("classifier") as g:
        x = g.input("x", ("batch", 4))
        t = g.input("t", ("batch",), dtype="int64")
        W = g.parameter("W", (4, 5), init="normal")
        b = g.parameter("b", (5,), init="normal")
        V = g.parameter("V", (5, 3), init="normal")
        scale = g.parameter("scale", init=1.5)
        seen = g.state("seen", (3,))
        h = np.tanh(x @ W + b)
        logits = (h @ V) * scale + seen * 0.1
        g.update(seen, seen * 0.5 + logits.sum(axis=0))
        g.output("logits", logits)
        picked = gc.pick(gc.log_softmax(logits), t)
        g.loss((h[:, ::2] ** 2).sum() - picked.sum())  # elements in order, so sums have equal bits
    return g


@cache
def compiled(style: str, inference: bool = False) -> gc.Module:
    """The classifier in one style."""
    options: dict[str, Any] = {"inference": True} if inference else {"optimizer": TRAINED}
    return gc.compile(classifier(), style=style, **options)


@cache
def functional() -> Any:
    """The functional module, which is right."""
    return compiled("functional").load()


@cache
def generated() -> Any:
    """The module with the class `Workspace`."""
    return compiled("workspace").load()


def batch(seed: int, size: int = 6) -> tuple[Array, Array]:
    """Inputs and labels."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, 4)).astype(np.float32), rng.integers(0, 3, size)


def parameters(seed: int = 0) -> dict[str, Array]:
    """New parameters."""
    found: dict[str, Array] = functional().init_params(np.random.default_rng(seed))
    return found


@dataclass
class Reference:
    """What a workspace is to agree with: the functional module, and all that it is handed."""

    params: dict[str, Array] = field(default_factory=parameters)
    state: dict[str, Array] = field(default_factory=lambda: functional().init_state())
    optimizer: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = functional().init_optimizer(self.params)

    def step(self, x: Array, t: Array, **options: float) -> Any:
        """One step of training; the loss."""
        arguments = (self.params, self.state, self.optimizer, x, t)
        self.params, self.state, self.optimizer, loss = functional().train_step(
            *arguments, **options
        )
        return loss

    def value_and_grad(self, x: Array, t: Array) -> tuple[Any, dict[str, Array]]:
        """Loss and gradients; the state goes on."""
        loss, self.state, grads = functional().value_and_grad(self.params, self.state, x, t)
        return loss, grads

    def predict(self, x: Array) -> Any:
        """The logits."""
        return functional().predict(self.params, self.state, x)

    def evaluate(self, x: Array, t: Array) -> Any:
        """The loss in inference mode."""
        return functional().evaluate(self.params, self.state, x, t)

    def agrees(self, workspace: Any) -> None:
        """Parameters, state, slots and steps of a workspace are these."""
        same(workspace.params, self.params)
        same(workspace.state, self.state)
        flat = [np.ravel(value) for value in self.optimizer["velocity"].values()]
        same(workspace.velocity_vector, np.concatenate(flat))
        assert workspace.steps == self.optimizer["step"]


def same(actual: Any, expected: Any) -> None:
    """Equal in structure, dtypes, shapes and every bit."""
    left, right = dict(leaves(actual)), dict(leaves(expected))
    assert left.keys() == right.keys()
    for name, value in right.items():
        a, b = np.asarray(left[name]), np.asarray(value)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        np.testing.assert_array_equal(a, b, err_msg=name)


def held(workspace: Any) -> dict[str, Array]:
    """Copies of all that has to survive an exception."""
    arrays = {**workspace.params, "vector": workspace.param_vector, **workspace.state}
    arrays |= {"velocity": workspace.velocity_vector, "steps": np.array(workspace.steps)}
    return {name: np.array(value) for name, value in arrays.items()}


def owned(workspace: Any) -> Iterator[tuple[str, Array]]:
    """Every array that a workspace holds."""
    for name, value in vars(workspace).items():
        if isinstance(value, np.ndarray):
            yield name, value
        elif isinstance(value, Mapping | tuple):
            for inner, array in leaves(dict(value) if isinstance(value, Mapping) else value, name):
                if isinstance(array, np.ndarray):
                    yield inner, array
