"""The light models with drawn weights: outputs beside onnxruntime's, gradients beside slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.peers import peer

pytestmark = pytest.mark.conformance

STEPS = (1e-6, 1e-8)  # the kinks of thousands of units lie between one and the other
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
    differences = [slopes.at(direction, s) - slopes.at(direction, -s) for s in STEPS]
    errors = [abs(d / (2 * s) - predicted) for d, s in zip(differences, STEPS, strict=True)]
    assert abs(predicted) > 1e-3
    assert min(errors) < 1e-5 * abs(predicted)
