"""Recurrent operators with every option they have, beside ONNX Runtime's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.peers import peer

pytestmark = pytest.mark.conformance

BATCH, STEPS, INPUTS, UNITS = 3, 4, 2, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DIRECTIONS = ("forward", "reverse", "bidirectional")
# What each case is called, the operator's attributes, and which optional inputs it has.
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("plain", {}, ""),
    ("bias", {}, "B"),
    ("initial", {}, "Bi"),
    ("lengths", {}, "Bil"),
    ("lengths-from-zeros", {}, "l"),
    ("batch-first", {"layout": 1}, "Bi"),
    ("clip", {"clip": 0.05}, "Bi"),
    ("late-reset", {"linear_before_reset": 1}, "Bil"),
    ("late-reset-from-zeros", {"linear_before_reset": 1}, "B"),
    ("late-reset-plain", {"linear_before_reset": 1}, "i"),
    ("peepholes", {}, "BiP"),
    ("peepholes-from-zeros", {}, "P"),
    ("coupled", {"input_forget": 1}, "Bi"),
    ("numbers", {"activation_alpha": [0.3, 0.4], "activation_beta": [0.1]}, "Bi"),
]
NUMBERS = {
    "Affine": (0.3, 0.2), "Elu": (0.5, 0), "HardSigmoid": (0.3, 0.4), "LeakyRelu": (0.2, 0),
    "Relu": (0, 0), "ScaledTanh": (0.6, 0.9), "Sigmoid": (0, 0), "Softplus": (0, 0),
    "Softsign": (0, 0), "Tanh": (0, 0), "ThresholdedRelu": (0.2, 0),
}  # fmt: skip
ONLY = {"linear_before_reset": "GRU", "input_forget": "LSTM", "activation_alpha": "RNN"}


def recurrent(kind: str, direction: str, attributes: dict[str, Any], given: str) -> Any:
    """A model of one operator with random weights, and its inputs."""
    onnx = peer("onnx")
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(7)
    directions, gates = 1 + (direction == "bidirectional"), GATES[kind]
    batch_first = attributes.get("layout", 0)

    def drawn(*shape: int) -> Any:
        return rng.normal(size=shape, scale=0.7).astype("float32")

    state = (BATCH, directions, UNITS) if batch_first else (directions, BATCH, UNITS)
    weights = {
        "W": drawn(directions, gates * UNITS, INPUTS),
        "R": drawn(directions, gates * UNITS, UNITS),
    }
    inputs = {"X": drawn(*((BATCH, STEPS) if batch_first else (STEPS, BATCH)), INPUTS)}
    if "B" in given:
        weights["B"] = drawn(directions, 2 * gates * UNITS)
    if "l" in given:
        inputs["lengths"] = np.array([4, 1, 3], dtype="int32")
    if "i" in given:
        inputs["h"] = drawn(*state)
        if kind == "LSTM":
            inputs["c"] = drawn(*state)
    if "P" in given:
        weights["P"] = drawn(directions, 3 * UNITS)
    order = ["X", "W", "R", "B", "lengths", "h", *(["c", "P"] if kind == "LSTM" else [])]
    present = [name if name in weights or name in inputs else "" for name in order]
    outputs = ["Y", "Y_h", "Y_c"] if kind == "LSTM" else ["Y", "Y_h"]
    node = helper.make_node(
        kind, present, outputs, direction=direction, hidden_size=UNITS, **attributes
    )
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "recurrent",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in inputs.items()
        ],
        [helper.make_tensor_value_info(name, float32, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model, inputs


def run(model: Any, inputs: dict[str, Any]) -> list[Any]:
    """What graphc makes of a model."""
    graph = gc.from_onnx(model)
    module = gc.compile(graph, inference=True).load()
    params = {name: parameter.init for name, parameter in graph.parameters.items()}
    return list(module.predict(params, *inputs.values()))


def cases() -> list[Any]:
    """Every operator in every direction with what it has."""
    return [
        pytest.param(kind, direction, attributes, given, id=f"{kind}-{direction}-{name}")
        for name, attributes, given in CASES
        for kind in GATES
        for direction in DIRECTIONS
        if all(ONLY.get(attribute, kind) == kind for attribute in attributes)
        if "P" not in given or kind == "LSTM"
    ]


def beside_runtime(kind: str, direction: str, attributes: dict[str, Any], given: str) -> None:
    """Compare all outputs. The runtime lacks layout 1: there it gets, and gives, the other."""
    turned = bool(attributes.get("layout"))
    model, inputs = recurrent(kind, direction, attributes, given)
    plain, _ = recurrent(kind, direction, {**attributes, "layout": 0}, given)
    session = peer("onnxruntime").InferenceSession(
        plain.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    lifted = {name: np.moveaxis(v, 0, -2) if turned else v for name, v in inputs.items()}
    expected = session.run(None, lifted)
    for own, theirs in zip(run(model, inputs), expected, strict=True):
        wanted = np.moveaxis(theirs, -2, 0) if turned else theirs
        np.testing.assert_allclose(own, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("kind", "direction", "attributes", "given"), cases())
def test_options(kind: str, direction: str, attributes: dict[str, Any], given: str) -> None:
    count = 1 + (direction == "bidirectional")
    if "activation_alpha" in attributes:
        numbers = attributes["activation_alpha"][:count]
        functions = ["ScaledTanh", "LeakyRelu"][:count]
        attributes = {**attributes, "activations": functions, "activation_alpha": numbers}
    beside_runtime(kind, direction, attributes, given)


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_activations(name: str) -> None:
    alpha, beta = NUMBERS[name]
    attributes: dict[str, Any] = {"activations": [name]}
    if alpha:
        attributes["activation_alpha"] = [alpha]
    if beta:
        attributes["activation_beta"] = [beta]
    beside_runtime("RNN", "forward", attributes, "Bi")
