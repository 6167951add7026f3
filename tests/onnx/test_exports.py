"""What PyTorch's two exporters write, beside PyTorch: outputs and gradients of all weights."""

from __future__ import annotations

from typing import Any

import pytest

from tests.peers import peer

pytestmark = pytest.mark.conformance

NETWORKS = (
    "mlp", "lenet", "resnet", "resnet-training", "mobilenet", "unet", "lstm", "lstm-initial",
    "gru", "encoder", "masked", "decoder", "gpt", "vit", "graph", "vae",
)  # fmt: skip
# exporter, dtype, folding, dynamic, opset
WAYS: list[dict[str, Any]] = [
    {"exporter": "trace", "dtype": "float32"},
    {"exporter": "trace", "dtype": "float64", "folding": False, "dynamic": True},
    {"exporter": "dynamo", "dtype": "float32", "dynamic": True},
    {"exporter": "dynamo", "dtype": "float64", "folding": False},
]


# What an exporter cannot do: training mode; floats of 64 bits as a mask.
LACKING = {("resnet-training", "dynamo", d) for d in ("float32", "float64")}
LACKING |= {("encoder", "trace", "float64")}


def exported() -> list[Any]:
    """Every network in every way."""
    return [
        pytest.param(name, way, id="-".join(map(str, (name, *way.values()))))
        for name in NETWORKS
        for way in WAYS
        if (name, way["exporter"], way["dtype"]) not in LACKING
    ]


@pytest.fixture(scope="module")
def exports() -> Any:
    """The harness, which needs all of its peers."""
    for name in ("torch", "onnx", "onnxscript"):
        peer(name)
    from tests.onnx import exports as harness

    return harness


@pytest.mark.parametrize(("name", "way"), exported())
def test_export(exports: Any, name: str, way: dict[str, Any]) -> None:
    exports.Export(name, **way).agrees()


def test_all_networks(exports: Any) -> None:
    assert set(NETWORKS) == set(exports.EXAMPLES)
