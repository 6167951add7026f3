"""Recurrent layers and cells beside PyTorch's: states and all gradients, by mapping weights."""

from __future__ import annotations

from typing import Any

import pytest

import graphc as gc
from tests.against_torch.layers import Layer, over, part, transposed, whole
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance

BATCH, STEPS, INPUTS, UNITS = 3, 4, 5, 6
X, H = (BATCH, STEPS, INPUTS), (BATCH, UNITS)
KINDS = {"rnn": ("RNN", 1), "gru": ("GRU", 3), "lstm": ("LSTM", 4)}


def parameters(kind: str, name: str, suffix: str) -> dict[str, Any]:
    """Our parameters by PyTorch's; of its second bias only what a candidate recalls has one."""
    found = {
        f"{name}.W": (f"weight_ih{suffix}", transposed),
        f"{name}.U": (f"weight_hh{suffix}", transposed),
        f"{name}.b": (f"bias_ih{suffix}", whole),
    }
    if kind == "gru":
        found[f"{name}.b_n"] = (f"bias_hh{suffix}", part(2 * UNITS, 3 * UNITS))
    return found


def silent(kind: str, suffix: str) -> dict[str, Any]:
    return {f"bias_hh{suffix}": part(0, 2 * UNITS) if kind == "gru" else whole}


def layer(kind: str, scale: float, *, initial: bool = False) -> Layer:
    """A layer of its own, with states before the first step or without."""
    name, _ = KINDS[kind]
    several = 2 if kind == "lstm" else 1

    def ours(x: Any, *states: Any) -> Any:
        options: dict[str, Any] = {}
        if states:
            options = {"state": states} if kind == "lstm" else {"h": states[0]}
        return getattr(gc.nn, kind)(x, UNITS, **options)

    def theirs(module: Any, x: Any, *states: Any) -> Any:
        lifted = tuple(state[None] for state in states)
        sequence, last = module(x, *([lifted if several == 2 else lifted[0]] if lifted else []))
        return sequence, [s[0] for s in (last if several == 2 else (last,))]

    return Layer(
        f"{kind}-{scale}{'-initial' * initial}", ours,
        lambda torch: getattr(torch.nn, name)(INPUTS, UNITS, batch_first=True), theirs,
        (X, *[H] * (several * initial)),
        parameters(kind, kind, "_l0"), silent(kind, "_l0"), scale,
    )  # fmt: skip


def cell(kind: str) -> Layer:
    """One step."""
    pair = kind == "lstm"
    return Layer(
        f"{kind}_cell",
        lambda x, *state: getattr(gc.nn, f"{kind}_cell")(x, state if pair else state[0]),
        lambda torch: getattr(torch.nn, f"{KINDS[kind][0]}Cell")(INPUTS, UNITS),
        lambda module, x, *state: module(x, state if pair else state[0]),
        ((BATCH, INPUTS), *[H] * (2 if pair else 1)),
        parameters(kind, f"{kind}_cell", ""), silent(kind, ""),
    )  # fmt: skip


def both_directions() -> Layer:
    """Two layers in two directions each: PyTorch's `num_layers` and `bidirectional`."""

    def ours(x: Any) -> Any:
        for _ in range(2):
            forth, _ = gc.nn.lstm(x, UNITS)
            back, _ = gc.nn.lstm(x, UNITS, reverse=True)
            x = gc.concat([forth, back], axis=-1)
        return x

    ours_by_theirs = {
        "_l0": "lstm", "_l0_reverse": "lstm_2", "_l1": "lstm_3", "_l1_reverse": "lstm_4"
    }  # fmt: skip
    return Layer(
        "two-layers-both-directions", ours,
        lambda torch: torch.nn.LSTM(
            INPUTS, UNITS, num_layers=2, bidirectional=True, batch_first=True
        ),
        lambda module, x: module(x)[0], (X,),
        {k: v for suffix, name in ours_by_theirs.items()
         for k, v in parameters("lstm", name, suffix).items()},
        {k: v for suffix in ours_by_theirs for k, v in silent("lstm", suffix).items()}, 0.5,
    )  # fmt: skip


def relu_layer() -> Layer:
    return Layer(
        "rnn-relu", lambda x: gc.nn.rnn(x, UNITS, activation="relu"),
        lambda torch: torch.nn.RNN(INPUTS, UNITS, nonlinearity="relu", batch_first=True),
        lambda module, x: (lambda states, last: (states, last[0]))(*module(x)), (X,),
        parameters("rnn", "rnn", "_l0"), silent("rnn", "_l0"), 0.7,
    )  # fmt: skip


LAYERS = [
    *(layer(kind, scale) for kind in KINDS for scale in (0.5, 30.0)),
    *(layer(kind, 0.5, initial=True) for kind in KINDS),
    *map(cell, KINDS),
    both_directions(),
    relu_layer(),
]


@in_every_style
@over(LAYERS)
def test_float64_agrees(layer: Layer, style: str) -> None:
    layer.agrees(style)


@in_every_style
@over([layer for layer in LAYERS if layer.scale < 10])
def test_float32_is_as_accurate(layer: Layer, style: str) -> None:
    layer.is_accurate(style)
