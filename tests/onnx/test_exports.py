"""What PyTorch's two exporters write, beside PyTorch: outputs and gradients of all weights."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.peers import peer

pytestmark = pytest.mark.conformance

NETWORKS = (
    "mlp", "lenet", "resnet", "resnet-training", "mobilenet", "unet", "lstm", "lstm-initial",
    "gru", "encoder", "masked", "decoder", "gpt", "vit", "graph", "vae",
    "vae-drawing",
)  # fmt: skip
# exporter, dtype, folding, dynamic, opset
WAYS: list[dict[str, Any]] = [
    {"exporter": "trace", "dtype": "float32", "folding": True, "dynamic": False},
    {"exporter": "trace", "dtype": "float64", "folding": False, "dynamic": True},
    {"exporter": "dynamo", "dtype": "float32", "folding": True, "dynamic": True},
    {"exporter": "dynamo", "dtype": "float64", "folding": False, "dynamic": False},
]

# Every flag with every other, for what is quick; attention as an operator of its own.
FLAGS = [
    {"exporter": exporter, "dtype": dtype, "folding": folding, "dynamic": dynamic}
    for exporter, dtype, folding, dynamic in product(
        ("trace", "dynamo"), ("float32", "float64"), (True, False), (True, False)
    )
]
MORE = [("mlp", way) for way in FLAGS]
MORE += [(name, way) for name in ("lenet", "gpt", "vae") for way in FLAGS[:8]]
MORE += [
    (name, {"exporter": "dynamo", "dtype": dtype, "dynamic": True, "opset": 23})
    for name in ("gpt", "masked", "vit")
    for dtype in ("float32", "float64")
]
# What an exporter cannot do: training mode; floats of 64 bits as a mask.
LACKING = {("resnet-training", "dynamo", d) for d in ("float32", "float64")}
LACKING |= {("encoder", "trace", "float64")}


def exported() -> list[Any]:
    """Every network in every way."""
    found = {
        "-".join([name, *(f"{k}={v}" for k, v in way.items())]): (name, way)
        for name, way in [*product(NETWORKS, WAYS), *MORE]
        if (name, way["exporter"], way["dtype"]) not in LACKING
    }
    return [pytest.param(*case, id=told) for told, case in found.items()]


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
