"""The backend itself, and what of the import only shows in it: what is known, and definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.errors import UnsupportedError
from tests.peers import peer

pytestmark = pytest.mark.conformance


@pytest.fixture
def backend() -> Any:
    """The class; the package may be missing."""
    peer("onnx")
    from tests.onnx.backend import GraphcBackend

    return GraphcBackend


def make_node(*args: Any, **attributes: Any) -> Any:
    return peer("onnx").helper.make_node(*args, **attributes)


def model_of(text: str) -> Any:
    """A model in ONNX's textual form, of opset 21."""
    return peer("onnx").parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]>\n{text}')


def test_a_node_runs_by_itself(backend: Any) -> None:
    x = np.arange(6.0).reshape(2, 3)
    (y,) = backend.run_node(make_node("Transpose", ["x"], ["y"]), [x])
    np.testing.assert_array_equal(y, x.T)


def test_a_node_runs_in_the_opset_that_is_asked_for(backend: Any) -> None:
    """Up to opset 12 a softmax went over all axes from the given one on."""
    x = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
    node = make_node("Softmax", ["x"], ["y"], axis=1)
    for version, axes in ((12, (1, 2)), (13, (1,))):
        (y,) = backend.run_node(node, [x], opset_version=version)
        np.testing.assert_allclose(y.sum(axis=axes), 1, rtol=1e-6)


def test_inputs_that_fix_shapes_are_bound_again_when_they_change(backend: Any) -> None:
    model = model_of("g (float[6] x, int64[2] shape) => (float[a, b] y) { y = Reshape(x, shape) }")
    prepared = backend.prepare(model)
    assert prepared.module is None  # until it gets the shape
    x = np.arange(6, dtype=np.float32)
    for shape in ([2, 3], [3, 2], [1, 6]):
        (y,) = prepared.run([x, np.array(shape)])
        np.testing.assert_array_equal(y, x.reshape(shape))


def test_devices_and_inputs_that_there_are_not_are_refused(backend: Any) -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA:1")
    with pytest.raises(ValueError, match="no device 'CUDA'"):
        backend.prepare(model, "CUDA")
    with pytest.raises(ValueError, match="has 1 inputs, got 2"):
        backend.prepare(model).run([np.zeros(2, np.float32)] * 2)


def test_what_no_input_decides_is_refused_when_it_is_prepared(backend: Any) -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = BitCast <to: int = 6> (x) }")
    with pytest.raises(UnsupportedError, match="BitCast"):
        backend.prepare(model)


def test_parts_of_a_shape_are_known(backend: Any) -> None:
    """`Split` has several results; a named size passes through it."""
    model = model_of("""g (float[batch, 4] x) => (float[b, c] y) {
        shape = Shape(x)
        rows, columns = Split <num_outputs: int = 2> (shape)
        swapped = Concat <axis: int = 0> (columns, rows)
        y = Reshape(x, swapped)
    }""")
    prepared = backend.prepare(model)
    for rows in (3, 5):
        x = np.arange(4.0 * rows, dtype=np.float32).reshape(rows, 4)
        (y,) = prepared.run([x])
        np.testing.assert_array_equal(y, x.reshape(4, rows))


def test_definitions_of_the_standard_have_their_defaults(backend: Any) -> None:
    """A window is periodic, and of 32 bits, unless its attributes say otherwise."""
    (window,) = backend.run_node(make_node("HannWindow", ["n"], ["y"]), [np.array(8)])
    assert window.dtype == np.float32
    np.testing.assert_allclose(window, np.sin(np.pi * np.arange(8) / 8) ** 2, atol=1e-6)
