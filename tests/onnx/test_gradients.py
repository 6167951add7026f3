"""Backward beside central differences, in 64 bits, on the models of ONNX's own test suite."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from tests.onnx import suite
from tests.onnx.test_light_models import NAMES
from tests.peers import peer

pytestmark = pytest.mark.conformance

LIGHT = {f"test_{name}_cpu" for name in NAMES}  # test_light_models.py has these
FLOATS = [name for name in suite.names() if name not in LIGHT and name not in suite.WITHOUT_FLOATS]
# Steps, and arrays without elements: the gradient is 0, as the slope is.
FLAT = re.compile(
    r"^test_(ceil|floor|round|sign|hardmax)_|empty_set|zero_size|allowzero_reordered|start_out_of"
)


@pytest.fixture(autouse=True)
def quiet() -> None:
    """The package, which may be missing; what the suite divides by zero is its own affair."""
    peer("onnx")
    warnings.simplefilter("ignore", RuntimeWarning)


@pytest.mark.parametrize("name", FLOATS)
def test_gradients_are_slopes(name: str) -> None:
    from tests.onnx.slopes import slopes_of

    gradients = slopes_of(*suite.example(name)).check()
    assert any(np.any(g) for g in gradients.values()) == (FLAT.search(name) is None)


def test_what_is_left_out_has_no_floats() -> None:
    from tests.onnx.slopes import slopes_of

    assert len(FLOATS) == 1237
    for name in suite.WITHOUT_FLOATS:
        slopes = slopes_of(*suite.example(name))
        assert not slopes.start or not slopes.floats, name
