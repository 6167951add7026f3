"""Operators of `ai.onnx.ml` beside onnxruntime's, one by one; whole models: test_sklearn.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphc.errors import GraphcError, UnsupportedError
from tests.peers import peer

pytestmark = pytest.mark.conformance

nan = float("nan")
X = np.array([[1.0, -4.0, 2.0], [0.0, 0.0, 0.0], [-1.0, -2.0, 3.0]], np.float32)
HOLES = np.array([[1.0, nan, 2.0], [nan, 0.0, -1.0]], np.float32)
COUNTS = np.array([[3, 7, 3], [5, 0, 7]], np.int64)
ROWS = {"coefficients": [0.1, -0.2, 0.3, -0.1, 0.2, -0.3, 0.2, 0.0, 0.1]}
LABELS = {"classlabels_ints": [3, 7, 9]}

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *(("Normalizer", (X,), {"norm": norm}) for norm in ("MAX", "L1", "L2")),
    ("Normalizer", (X[0],), {"norm": "L1"}),
    ("Scaler", (X,), {"offset": [0.5, -1.0, 2.0], "scale": [2.0, 0.5, -1.0]}),
    ("Scaler", (X.astype(np.float64),), {"offset": [0.1], "scale": [0.3]}),
    ("Scaler", (COUNTS,), {"offset": [1.0, 2.0, 3.0], "scale": [0.5, 0.5, 2.0]}),
    ("Binarizer", (X,), {"threshold": 0.5}),
    ("Imputer", (HOLES,), {"imputed_value_floats": [7.0, 8.0, 9.0], "replaced_value_float": nan}),
    ("Imputer", (X,), {"imputed_value_floats": [7.0], "replaced_value_float": 0.0}),
    ("Imputer", (COUNTS,), {"imputed_value_int64s": [1, 2, 9], "replaced_value_int64": 7}),
    ("ArrayFeatureExtractor", (X, np.array([2, 0])), {}),
    ("ArrayFeatureExtractor", (COUNTS[0], np.array([[1, 1]])), {}),
    ("FeatureVectorizer", (X, X[:, :1]), {"inputdimensions": [3, 1]}),
    ("OneHotEncoder", (COUNTS,), {"cats_int64s": [7, 3, 5], "zeros": 1}),
    ("LabelEncoder", (COUNTS,), {"keys_int64s": [3, 7], "values_floats": [0.5, -1.5]}),
    ("LabelEncoder", (COUNTS,), {"keys_int64s": [3, 5], "values_int64s": [1, 2]}),
    ("LabelEncoder", (HOLES,), {
        "keys_floats": [nan, 2.0], "values_int64s": [6, 8], "default_int64": 42}),
    ("LinearRegressor", (X,), {**ROWS, "targets": 3, "intercepts": [1.0, 2.0, -1.0]}),
    ("LinearRegressor", (X,), {"coefficients": [0.1, -0.2, 0.3]}),
    *(
        ("LinearRegressor", (X,), {**ROWS, "targets": 3, "post_transform": transform})
        for transform in ("LOGISTIC", "SOFTMAX")
    ),
    *(
        ("LinearClassifier", (X,), {
            **ROWS, **LABELS, "intercepts": [0.01, -0.05, -0.1], "post_transform": transform})
        for transform in ("NONE", "LOGISTIC", "SOFTMAX")
    ),
    ("LinearClassifier", (X,), {
        "coefficients": [0.1, -0.2, 0.3], "intercepts": [0.05], "classlabels_ints": [2, 4],
        "post_transform": "LOGISTIC"}),
]  # fmt: skip


def name_of(case: Any) -> str:
    operator, inputs, options = case
    told = [v for v in options.values() if isinstance(v, (str, float))]
    return "-".join(map(str, [operator, inputs[0].dtype, inputs[0].ndim, *told]))


def node_of(case: Any) -> tuple[Any, list[Any], dict[str, int]]:
    """The node, its inputs, and the operator sets."""
    onnx = peer("onnx")
    operator, inputs, options = case
    outputs = ["label", "y"] if operator == "LinearClassifier" else ["y"]
    names = [f"x{i}" for i in range(len(inputs))]
    node = onnx.helper.make_node(operator, names, outputs, domain="ai.onnx.ml", **options)
    return node, list(inputs), {"ai.onnx.ml": 4, "": 21}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_operator_is_that_of_onnxruntime(case: Any) -> None:
    node, inputs, opsets = node_of(case)
    from onnx import helper

    from tests.onnx.backend import GraphcBackend

    found = GraphcBackend.run_node(node, inputs, opset_version=opsets["ai.onnx.ml"])
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in zip(node.input, inputs, strict=True)
    ]
    results = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(y.dtype), None)
        for name, y in zip(node.output, found, strict=True)
    ]
    model = helper.make_model(
        helper.make_graph([node], "one", given, results), ir_version=10,
        opset_imports=[helper.make_opsetid(*opset) for opset in opsets.items()],
    )  # fmt: skip
    session = peer("onnxruntime").InferenceSession(model.SerializeToString())
    expected = session.run(None, dict(zip(node.input, inputs, strict=True)))
    for own, other in zip(found, expected, strict=True):
        assert (own.dtype, own.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(own, other, rtol=2e-6, atol=1e-7)


SLOPED = [
    case for case in CASES
    if case[0] not in ("Binarizer", "LabelEncoder") and case[1][0].dtype.kind == "f"
]  # fmt: skip


@pytest.mark.parametrize("case", SLOPED, ids=name_of)
def test_gradients_are_slopes(case: Any) -> None:
    node, inputs, opsets = node_of(case)
    from tests.onnx.backend import model_of_node
    from tests.onnx.slopes import slopes_of

    finite = [np.nan_to_num(x, nan=5.0) for x in inputs]
    gradients = slopes_of(model_of_node(node, finite, opsets["ai.onnx.ml"]), finite).check()
    assert any(np.any(g) for g in gradients.values())


def test_of_equal_keys_the_last_one_holds() -> None:
    """As the standard has it; onnxruntime takes the first."""
    options = {"keys_int64s": [3, 5, 3], "values_int64s": [1, 2, 4]}
    node, inputs, opsets = node_of(("LabelEncoder", (COUNTS,), options))
    from tests.onnx.backend import GraphcBackend

    (found,) = GraphcBackend.run_node(node, inputs, opset_version=opsets["ai.onnx.ml"])
    np.testing.assert_array_equal(found, [[4, -1, 4], [2, -1, -1]])


REFUSED: list[tuple[tuple[str, tuple[Any, ...], dict[str, Any]], str]] = [
    (("LabelEncoder", (COUNTS,), {"keys_int64s": [1], "values_strings": ["a"]}), "strings"),
    (("OneHotEncoder", (COUNTS,), {"cats_strings": ["a"]}), "strings"),
    (("LinearRegressor", (X,), {**ROWS, "targets": 3, "post_transform": "PROBIT"}), "PROBIT"),
    (("LinearRegressor", (X,), {**ROWS, "targets": 2}), "9 coefficients do not fit"),
    (("LinearRegressor", (X[0],), {**ROWS, "targets": 3}), "batch, features"),
    (("LinearClassifier", (X,), {"coefficients": [0.1, 0.2, 0.3], "classlabels_ints": [0, 1],
      "intercepts": [0.0], "post_transform": "NONE"}), "ambiguous"),
    (("Scaler", (X,), {"offset": [0.5, 1.0], "scale": [1.0]}), "2 numbers"),
    (("Normalizer", (X,), {"norm": "L7"}), "L7"),
    (("Imputer", (X,), {"imputed_value_int64s": [1], "replaced_value_int64": 0}), "no values"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "told"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_has_no_form_is_refused(case: Any, told: str) -> None:
    node, inputs, opsets = node_of(case)
    from tests.onnx.backend import GraphcBackend

    with pytest.raises(GraphcError, match=told) as error:
        GraphcBackend.run_node(node, inputs, opset_version=opsets["ai.onnx.ml"])
    assert isinstance(error.value, UnsupportedError)
