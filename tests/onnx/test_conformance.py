"""The test suite of ONNX, through a backend: values, dtypes and shapes at its own tolerance."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from tests.onnx import suite
from tests.peers import peer
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module", autouse=True)
def suite_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The suite writes the inputs of its models to a folder, which is not to be the user's."""
    peer("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "ONNX_HOME", str(tmp_path_factory.mktemp("onnx")))
        yield


# All weights of this one are 0.02, so that its 1000 logits are one number, of about 1e10. How a
# BLAS rounds them depends on its threads, and a softmax tells apart what differs in the last place.
ROUNDED = "test_squeezenet_cpu"


@in_every_style
@pytest.mark.parametrize("name", [name for name in suite.names() if name != ROUNDED])
def test_the_case_passes(name: str, style: str) -> None:
    suite.run(name, style)


@in_every_style
def test_the_case_of_equal_logits_passes_but_for_their_rounding(style: str) -> None:
    """They are equal but for their last places; a softmax of equal ones is what is expected."""
    from tests.onnx import light_models
    from tests.onnx.backend import Prepared

    name = ROUNDED.removeprefix("test_").removesuffix("_cpu")
    model, expected = light_models.given(name)
    (info,) = [info for info in model.graph.input if info.name == "data_0"]
    image = np.random.default_rng(0).random(light_models.shape_of(info), np.float32)
    (logits,) = Prepared(light_models.scores(model), style).run([image])
    np.testing.assert_allclose(logits, np.full_like(logits, logits.mean()), rtol=1e-6)
    np.testing.assert_allclose(expected, np.full_like(expected, 1 / logits.size), rtol=1e-5)


def test_these_are_all_cases_that_are_asked_for() -> None:
    assert len(suite.names()) == len({*suite.names()}) == 1435
