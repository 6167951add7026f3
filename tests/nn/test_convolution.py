"""Layers of convolution: their parameters, where these start, and that they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.ops import sliding
from tests.styles import load

LAYERS: list[tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = [
    (gc.nn.conv1d, sliding.convolution, (2, 4, 9), (6, 2, 3)),
    (gc.nn.conv2d, sliding.convolution, (2, 4, 5, 6), (6, 2, 3, 3)),
    (gc.nn.conv_transpose1d, sliding.transposed_convolution, (2, 4, 9), (4, 3, 3)),
    (gc.nn.conv_transpose2d, sliding.transposed_convolution, (2, 4, 5, 6), (4, 3, 3, 3)),
]


@pytest.mark.parametrize(
    ("layer", "formula", "x", "W"), LAYERS, ids=[layer.__name__ for layer, *_ in LAYERS]
)
def test_a_layer_convolves_with_parameters_of_its_own(
    layer: Callable[..., Any], formula: Callable[..., Any], x: tuple[int, ...], W: tuple[int, ...]
) -> None:
    options = {"stride": 2, "padding": 1, "groups": 2}
    with gc.Graph("layer", dtype="float64") as g:
        g.output("y", layer(g.input("x", x), 6, 3, name="c", **options))
    module, rng = load(g, style="functional", inference=False), np.random.default_rng(0)
    drawn = module.init_params(rng)
    assert {name: value.shape for name, value in drawn.items()} == {"c.W": W, "c.b": (6,)}
    assert not drawn["c.b"].any()
    field = int(np.prod(W[2:]))
    bound = np.sqrt(6 / ((2 + 3) * field))  # of a group: 2 channels come in, 3 go out
    assert 0.8 * bound < np.abs(drawn["c.W"]).max() <= bound
    params = {"c.W": rng.normal(size=W), "c.b": rng.normal(size=6)}
    image = rng.normal(size=x)
    expected = formula(image, params["c.W"], **options)
    expected += params["c.b"].reshape(6, *[1] * (len(x) - 2))
    np.testing.assert_allclose(module.predict(params, image), expected, rtol=1e-13, atol=1e-13)


def test_layers_of_one_name_are_numbered() -> None:
    with gc.Graph("stack") as g:
        x = g.input("x", ("batch", 1, 8, 8))
        for _ in range(2):
            x = gc.nn.conv2d(x, 2, 3)
        with gc.path("block"):
            x = gc.nn.conv2d(x, 2, (1, 3), bias=False)
        g.output("y", x)
    shapes = {name: p.node.shape for name, p in g.parameters.items()}
    assert shapes == {
        "conv2d.W": (2, 1, 3, 3),
        "conv2d.b": (2,),
        "conv2d_2.W": (2, 2, 3, 3),
        "conv2d_2.b": (2,),
        "block.conv2d.W": (2, 2, 1, 3),
    }
