"""A model with everything that training goes on from: dropout, a running mean, frozen weights."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

import graphc as gc

Array: TypeAlias = np.ndarray[Any, Any]
OPTIONS: dict[str, Any] = {
    "optimizer": gc.optim.adam(0.02, weight_decay=0.01),
    "schedule": gc.optim.warmup(3, then=gc.optim.cosine(40)),
    "clip_norm": 0.5,
    "freeze": "fixed",
    "fit": True,
}
RNG = np.random.default_rng(3)
X = RNG.normal(size=(23, 4)).astype(np.float32)
T = RNG.integers(0, 3, 23)
BIAS = RNG.normal(size=3).astype(np.float32)


def network() -> gc.Graph:
    """Two layers with dropout between them, centred by a running mean."""
    with gc.Graph("network") as g:
        x = g.input("x", ("batch", 4))
        t = g.input("t", ("batch",), dtype="int64")
        bias = g.input("bias", (3,))  # the same for all examples
        W = g.parameter("W", (4, 5), init="normal")
        V = g.parameter("V", (5, 3), init="normal")
        fixed = g.parameter("fixed", (5,), init="ones")
        mean = g.state("mean", (4,))
        g.update(mean, mean * 0.9 + x.mean(axis=0) * 0.1)
        h = gc.dropout(gc.tanh((x - mean) @ W + fixed), 0.3)
        logits = h @ V + bias
        g.output("logits", logits)
        g.loss(gc.cross_entropy(logits, t))
    return g


class Training:
    """The training of a model in either style, as functions of nothing: what there is, is here."""

    def __init__(self, module: Any, seed: int = 0) -> None:
        self.module = module
        self.style = module.__graphc__["options"]["style"]
        self.rng = np.random.default_rng(seed)
        self.epoch = 0
        if self.style == "workspace":
            self.workspace = module.Workspace(module.init_params(self.rng), batch=2)
        else:
            self.params = module.init_params(self.rng)
            self.state = module.init_state()
            self.optimizer_state = module.init_optimizer(self.params)

    def fit(self, epochs: int, **options: Any) -> list[float]:
        """Train, in batches of 5 unless told otherwise; the losses."""
        options = {"epochs": epochs, "batch_size": 5, "rng": self.rng, **options}
        data = [options.pop(name, value) for name, value in (("x", X), ("t", T), ("bias", BIAS))]
        self.epoch += epochs
        if self.style == "workspace":
            losses: list[float] = self.workspace.fit(*data, **options)
            return losses
        self.params, self.state, self.optimizer_state, losses = self.module.fit(
            self.params, self.state, *data, optimizer_state=self.optimizer_state, **options
        )
        return losses

    def save(self, path: Any) -> None:
        """Write a checkpoint."""
        if self.style == "workspace":
            self.workspace.save_checkpoint(path, self.rng, epoch=self.epoch)
            return
        everything = (self.params, self.state, self.optimizer_state, self.rng)
        self.module.save_checkpoint(path, *everything, epoch=self.epoch)

    def load(self, path: Any) -> None:
        """Read one."""
        if self.style == "workspace":
            self.rng, self.epoch = self.workspace.load_checkpoint(path)
            return
        found = self.module.load_checkpoint(path)
        self.params, self.state, self.optimizer_state, self.rng, self.epoch = found

    def arrays(self) -> dict[str, Any]:
        """All arrays, and the state of the generator as text."""
        found: dict[str, Any] = {"rng": np.array(repr(self.rng.bit_generator.state))}
        found["epoch"] = np.array(self.epoch)
        if self.style == "workspace":
            ws = self.workspace
            found |= {**ws.params, **ws.state, "m": ws.mean_vector, "v": ws.mean_square_vector}
            return {**found, "step": np.array(ws.steps)}
        found |= {**self.params, **self.state, "step": np.array(self.optimizer_state["step"])}
        slots = [self.optimizer_state[slot] for slot in ("mean", "mean_square")]
        m, v = ([np.ravel(value) for value in slot.values()] for slot in slots)
        return {**found, "m": np.concatenate(m), "v": np.concatenate(v)}


def same(one: Training, other: Training) -> None:
    """Equal in every bit."""
    left, right = one.arrays(), other.arrays()
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert (value.dtype, value.shape) == (right[name].dtype, right[name].shape), name
        assert value.tobytes() == right[name].tobytes(), name
