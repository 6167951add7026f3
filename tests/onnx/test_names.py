"""What values and weights of exported models are called, and which weights are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.peers import peer

# The name of a value, its operator, and what it is called in generated code.
HINTS = [
    ("/block/mlp/mlp.0/MatMul_output_0", "MatMul", "block_mlp_0_mat_mul"),
    ("/layers/layers.1/self_attn/Transpose_3_output_0", "Transpose",
     "layers_1_self_attn_transpose_3"),
    ("/0/Conv_output_0", "Conv", "conv_0"),
    ("/Relu_2_output_0", "Relu", "relu_2"),
    ("model/dense/BiasAdd", "Add", "model_dense_bias_add"),
    ("relu_1", "Relu", "relu_1"),
    ("linear_1", "Gemm", "linear_1"),
    ("layer_norm_2", "LayerNormalization", "layer_norm_2"),
    ("val_17", "MatMul", "mat_mul"),
    ("135", "Gemm", "gemm"),
    ("onnx::Add_136", "Add", "add"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "op_type", "hint"), HINTS)
def test_hints(name: str, op_type: str, hint: str) -> None:
    peer("onnx")
    from graphc.frontends.onnx.names import hint_of

    assert hint_of(name, op_type) == hint


def model(producer: str) -> Any:
    """y = tanh(x h) + 1 of x (batch, 3), with values that have names."""
    peer("onnx")
    from onnx import parser

    return parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17], producer_name: "{producer}">
        named (float[batch, 3] x) => (float[batch, 2] y)
        <float[3, 2] W = {{1, 2, 3, 4, 5, 6}}, float[1] val_3 = {{1}}, float[1] b1 = {{0.5}}> {{
            hidden = MatMul (x, W)
            squashed = Tanh (hidden)
            shifted = Add (squashed, val_3)
            y = Mul (shifted, b1)
        }}""")


@pytest.mark.parametrize(("producer", "statements"), [("", True), ("pytorch", False)])
def test_names_of_authors_are_kept_and_names_of_exporters_are_not(
    producer: str, statements: bool
) -> None:
    source = gc.compile(gc.from_onnx(model(producer)), inference=True).source
    assert ("hidden = x @ W" in source) == statements
    assert ("squashed = np.tanh(" in source) == statements


def test_a_number_that_an_exporter_counts_is_no_weight() -> None:
    graph = gc.from_onnx(model("pytorch"))
    assert list(graph.parameters) == ["W", "b1"]
    assert "+ 1" in gc.compile(graph, inference=True).source
    asked = gc.from_onnx(model("pytorch"), trainable=["W", "val_3"])
    assert [name for name, p in asked.parameters.items() if p.trainable] == ["W", "val_3"]
    x = np.eye(3, dtype=np.float32)
    values = [gc.compile(g, inference=True) for g in (graph, asked)]
    first, second = (m.load().predict(m.params, x) for m in values)
    np.testing.assert_allclose(first, second)
    np.testing.assert_allclose(first, 0.5 * (np.tanh([[1, 2], [3, 4], [5, 6]]) + 1), rtol=1e-6)
