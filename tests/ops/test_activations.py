"""Activations at the ends of the floats, and the error function digit by digit.

Beside a bounded x, each activation is known in closed form: what it comes to is written down here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gc
from graphc.runtime import special
from tests.styles import in_every_style, load

POINTS = [-inf, -1e4, -1e-30, 1e-30, 1e4, inf, nan]
ZERO = [0, 0, -0.5e-30, 0.5e-30, 1e4, inf, nan]  # x times what is 1/2 at 0
HALF = [0, 0, 0.5, 0.5, 1, 1, nan]
RAMP = [-1, -1, -1e-30, 1e-30, 1e4, inf, nan]
STEP = [0, 0, 1, 1, 1, 1, nan]
SCALE, SCALED = 1.0507009873554805, 1.7580993408473766
WHOLE = {  # name: values and slopes at POINTS
    "elu": (gc.elu, RAMP, STEP),
    "celu": (lambda x: gc.celu(x, 2), [-2, -2, *RAMP[2:]], STEP),
    "selu": (
        gc.selu,
        [-SCALED, -SCALED, -SCALED * 1e-30, SCALE * 1e-30, SCALE * 1e4, inf, nan],
        [0, 0, SCALED, SCALE, SCALE, SCALE, nan],
    ),
    "silu": (gc.silu, ZERO, HALF),
    "gelu": (gc.gelu, ZERO, HALF),
    "gelu-tanh": (lambda x: gc.gelu(x, approximate="tanh"), ZERO, HALF),
    "mish": (gc.mish, [0, 0, -0.6e-30, 0.6e-30, 1e4, inf, nan], [0, 0, 0.6, 0.6, 1, 1, nan]),
    "hard_swish": (gc.hard_swish, ZERO, HALF),
    "hard_sigmoid": (gc.hard_sigmoid, HALF, [0, 0, 1 / 6, 1 / 6, 0, 0, 0]),
    "hardtanh": (gc.hardtanh, [-1, -1, -1e-30, 1e-30, 1, 1, nan], [0, 0, 1, 1, 0, 0, 0]),
    "relu6": (gc.relu6, [0, 0, 0, 1e-30, 6, 6, nan], [0, 0, 0, 1, 0, 0, 0]),
    "shifted_relu": (gc.shifted_relu, RAMP, [0, 0, 1, 1, 1, 1, 0]),
    "softsign": (
        gc.softsign,
        [-1, -1e4 / 10001, -1e-30, 1e-30, 1e4 / 10001, 1, nan],
        [0, 10001.0**-2, 1, 1, 10001.0**-2, 0, nan],
    ),
    "erf": (
        gc.erf,
        [-1, -1, -1.1283791670955126e-30, 1.1283791670955126e-30, 1, 1, nan],
        [0, 0, 1.1283791670955126, 1.1283791670955126, 0, 0, nan],
    ),
}


@in_every_style
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", WHOLE)
def test_values_and_slopes_at_the_ends(name: str, dtype: str, style: str) -> None:
    call, values, slopes = WHOLE[name]
    points = np.array(POINTS, dtype)
    with gc.Graph("ends", dtype=dtype) as g:
        x = g.input("x", (len(POINTS),))
        g.output("y", call(x))
    module = load(g, style=style)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y, residuals = module.forward(points)
        bar = module.backward(residuals, np.ones_like(points))["x"]
    close = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, np.array(values, dtype), rtol=close, atol=0)
    np.testing.assert_allclose(bar, np.array(slopes, dtype), rtol=close, atol=0)


# --- the error function ------------------------------------------------------------------------

WIDEST = {"float64": 26.0, "float32": 9.0, "float16": 2.5}  # beyond, erfc is subnormal


@pytest.mark.parametrize("dtype", WIDEST)
@pytest.mark.parametrize(("ours", "exact"), [(special.erf, mp.erf), (special.erfc, mp.erfc)])
def test_the_error_function_is_right_to_the_last_digits(
    ours: Callable[[Any], Any], exact: Callable[[Any], Any], dtype: str
) -> None:
    rng = np.random.default_rng(0)
    spans = [(-6, 2), (0, WIDEST[dtype]), (-1e-3, 1e-3)]
    x = np.concatenate([rng.uniform(*span, 200) for span in spans]).astype(dtype)
    found = ours(x)
    assert found.dtype == dtype
    with mp.workdps(30):
        right = [exact(mp.mpf(float(value))) for value in x]
        off = [abs(mp.mpf(float(y)) / r - 1) for y, r in zip(found, right, strict=True)]
    assert max(off) < 3.5 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", WIDEST)
def test_a_scalar_stays_one_of_its_dtype(dtype: str) -> None:
    for function, value in ((special.erf, 0.5204998778130465), (special.erfc, 0.4795001221869535)):
        result = function(np.dtype(dtype).type(0.5))
        assert result.dtype == dtype
        assert float(result) == pytest.approx(value, rel=2 * float(np.finfo(dtype).eps))


def test_blocks_of_a_large_array_are_put_together_again() -> None:
    x = np.linspace(-3, 3, 2 * 2**14 + 7).reshape(-1, 5)
    np.testing.assert_array_equal(special.erfc(x)[::3000], [special.erfc(row) for row in x[::3000]])
    assert special.erfc(x).shape == x.shape
