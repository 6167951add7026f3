"""The light models with drawn weights: outputs beside onnxruntime's, gradients beside slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.peers import peer

pytestmark = pytest.mark.conformance

STEPS = (1e-7, 1e-8, 1e-6)  # with thousands of units, one of them is at a kink now and then
NAMES = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet",
    "squeezenet", "vgg19", "zfnet512",
)  # fmt: skip


def run(model: Any, name: str, image: Any) -> Any:
    """The one output, by onnxruntime."""
    runtime = peer("onnxruntime")
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (output,) = session.run(None, {name: image})
    return output


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_of_onnxruntime_and_the_gradient_is_the_slope(name: str) -> None:
    peer("onnx")
    from tests.onnx import light_models
    from tests.onnx.backend import GraphcBackend
    from tests.onnx.slopes import Slopes

    model, info = light_models.read(name)
    rng, given = np.random.default_rng(1), info.name
    image = rng.normal(size=light_models.shape_of(info)).astype(np.float32)
    spread = run(light_models.scores(model), given, image).std()
    light_models.scale_last_layer(model, light_models.SPREAD / spread)

    expected = run(model, given, image)
    (output,) = GraphcBackend.prepare(model).run([image])
    assert expected.std() > 0.1 * np.abs(expected).mean() > 0
    assert output.dtype == expected.dtype
    np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())

    slopes = Slopes(gc.from_onnx(model), {given: image})
    direction = {
        name: rng.normal(size=value.shape) * value.std() for name, value in slopes.start.items()
    }
    gradients = slopes.gradients()
    assert len(gradients) == len(slopes.start) > 15
    predicted = sum(float(np.vdot(gradients[name], d)) for name, d in direction.items())
    assert abs(predicted) > 1e-3

    def error(step: float) -> float:
        slope = (slopes.at(direction, step) - slopes.at(direction, -step)) / (2 * step)
        return abs(slope - predicted)

    assert any(error(step) < 1e-5 * abs(predicted) for step in STEPS)
