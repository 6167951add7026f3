"""Reductions, products, normalisations and losses, each as one node beside ONNX Runtime.

The versions and options are those that the suite of the standard leaves out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError, UnsupportedError
from tests.peers import peer
from tests.styles import load, predicted

pytestmark = pytest.mark.conformance

Array = Any
RNG = np.random.default_rng(7)
X = RNG.normal(size=(2, 4, 3)).astype("float32")
IMAGE = RNG.normal(size=(2, 4, 3, 3)).astype("float32")
CHANNELS = [RNG.uniform(0.5, 2, 4).astype("float32") for _ in range(4)]
TIES = RNG.integers(0, 3, (3, 6)).astype("float32")
LABELS = np.array([[0, 3, 1], [2, 2, 3]])


TOLERANCE = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-12}


class Case(NamedTuple):
    """One node: an operator, the operator set, inputs (those named in `fixed` are initialisers)."""

    op_type: str
    opset: int
    inputs: list[Array | None]
    attributes: dict[str, Any] = {}  # noqa: RUF012 - never changed
    outputs: int = 1
    fixed: tuple[int, ...] = ()

    def __str__(self) -> str:
        told = [f"{k}={v}" for k, v in self.attributes.items()]
        dtype = next(x.dtype for x in self.inputs if x is not None)
        return f"{self.op_type}-{self.opset}-{dtype}-{'-'.join(told)}"


def ints(*values: int) -> Array:
    return np.array(values, "int64")


def half(x: Array) -> Array:
    return x.astype("float16")


REDUCTIONS = [
    *(f"Reduce{name}" for name in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2")),
    *(f"Reduce{name}" for name in ("LogSum", "LogSumExp", "SumSquare")),
]
CASES = [
    *(Case(op, 11, [np.abs(X)], {"axes": [0, -1], "keepdims": 0}) for op in REDUCTIONS),
    *(Case(op, 11, [np.abs(X)]) for op in REDUCTIONS),
    *(Case(op, 18, [np.abs(X), ints(1)], fixed=(1,)) for op in REDUCTIONS),
    *(Case(op, 18, [np.abs(X)], {"noop_with_empty_axes": 1}) for op in REDUCTIONS),
    *(
        Case(op, 18, [(X * 9).astype("int32"), ints(-1)], {"keepdims": 0}, fixed=(1,))
        for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceProd", "ReduceL1")
    ),
    Case("ReduceMax", 20, [X > 0, ints(1)], fixed=(1,)),
    Case("ReduceMin", 18, [(X * 9).astype("int8"), ints(2)], fixed=(1,)),
    Case("ArgMax", 7, [TIES], {"axis": 1, "keepdims": 0}),
    Case("ArgMin", 13, [TIES], {"axis": -2, "select_last_index": 1}),
    Case("CumSum", 14, [X, np.array(-1)], {"exclusive": 1, "reverse": 1}, fixed=(1,)),
    Case("CumSum", 14, [(X * 9).astype("int32"), np.array(0)], {"exclusive": 1}, fixed=(1,)),
    Case("TopK", 8, [X], {"k": 2, "axis": 1}, 2),
    Case("TopK", 10, [X, ints(2)], {"axis": -1}, 2, fixed=(1,)),
    Case("TopK", 11, [TIES, ints(4)], {"largest": 0}, 2, fixed=(1,)),
    Case("TopK", 11, [TIES.astype("int64"), ints(4)], {}, 2, fixed=(1,)),
    Case("Einsum", 12, [X, X], {"equation": "bij,bkj->bik"}),
    Case("Einsum", 12, [X, X[0, 0]], {"equation": "...j,j"}),
    Case("Einsum", 12, [X[0, :3], X[0, :3]], {"equation": "ii,ij->j"}),
    Case("MatMul", 13, [X[0, 0], X.swapaxes(1, 2)]),
    Case("MatMul", 13, [(X * 9).astype("int32"), (X[0].T * 9).astype("int32")]),
    Case("Gemm", 13, [X[0], X[1].T, CHANNELS[0]], {"alpha": 0.5, "beta": 2.0}),
    Case("Gemm", 13, [X[0], X[1]], {"transA": 1}),
    Case("Gemm", 7, [X[0], X[1], CHANNELS[0][:, None]], {"transB": 1, "beta": 0.25}),
    *(
        Case(op, 11, [x], {"axis": axis})
        for op in ("Softmax", "LogSoftmax", "Hardmax")
        for x, axis in ((X, 0), (X, 1), (IMAGE, 2), (X, -1), (TIES, 1))
    ),
    *(Case(op, 13, [TIES], {"axis": 0}) for op in ("Softmax", "LogSoftmax", "Hardmax")),
    Case("BatchNormalization", 7, [IMAGE, *CHANNELS], {"epsilon": 0.1}),
    Case("BatchNormalization", 9, [X, *CHANNELS]),
    Case("BatchNormalization", 15, [X[..., 0], *CHANNELS]),
    Case("BatchNormalization", 15, [IMAGE, *CHANNELS], {"training_mode": 1, "momentum": 0.7}, 3),
    Case("InstanceNormalization", 6, [X, *CHANNELS[:2]], {"epsilon": 0.1}),
    Case("LayerNormalization", 17, [X, X[0]], {"axis": 1}, 3),
    Case("LayerNormalization", 17, [X, CHANNELS[0][:3], CHANNELS[1][:1]], {"epsilon": 0.1}),
    Case("LayerNormalization", 17, [half(X), half(X[0]), half(X[1])], {"axis": -2}),
    Case("LayerNormalization", 17, [X.astype("float64"), X[0].astype("float64")], {"axis": 1}),
    Case("RMSNormalization", 23, [X, X[0]], {"axis": 1}),
    Case("GroupNormalization", 21, [IMAGE, *CHANNELS[:2]], {"num_groups": 2}),
    Case("LpNormalization", 7, [X], {"p": 1, "axis": 1}),
    Case("LpNormalization", 22, [X], {"axis": 0}),
    Case("MeanVarianceNormalization", 13, [IMAGE], {"axes": [0, 2]}),
    Case("LRN", 13, [IMAGE], {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 2.0}),
    *(
        Case(
            op, 13, [X, LABELS.astype(dtype), weight],
            {"reduction": reduction} | ({"ignore_index": 3} if ignored else {}),
        )
        for op in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
        for dtype, weight, reduction, ignored in (
            ("int32", None, "mean", True),
            ("int64", CHANNELS[0], "mean", True),
            ("int64", CHANNELS[0], "sum", False),
            ("int64", None, "none", True),
        )
    ),
    Case("SoftmaxCrossEntropyLoss", 12, [X, LABELS, CHANNELS[0]], {}, 2),
]  # fmt: skip


def model_of(case: Case) -> tuple[Any, dict[str, Array]]:
    """A model of one node, and its inputs."""
    onnx = peer("onnx")
    from onnx import helper, numpy_helper

    given = {f"x{i}": x for i, x in enumerate(case.inputs) if x is not None}
    fixed = {f"x{i}" for i in case.fixed}
    names = ["" if x is None else f"x{i}" for i, x in enumerate(case.inputs)]
    outputs = [f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(case.op_type, names, outputs, **case.attributes)
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(x.dtype), list(x.shape)
            )
            for name, x in given.items()
            if name not in fixed
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(x, name) for name, x in given.items() if name in fixed],
    )
    opsets = [helper.make_opsetid("", case.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    return inferred, {name: x for name, x in given.items() if name not in fixed}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_node_computes_what_onnx_runtime_computes(case: Case) -> None:
    runtime = peer("onnxruntime")
    model, feeds = model_of(case)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = session.run(None, feeds)
    results = predicted(gc.from_onnx(model), feeds)
    several = results if isinstance(results, tuple) else (results,)
    for result, other in zip(several, expected, strict=True):
        assert (result.dtype, np.shape(result)) == (other.dtype, other.shape)
        scale = TOLERANCE.get(other.dtype.name, 0.0)
        np.testing.assert_allclose(result, other, rtol=scale, atol=scale / 10)


def test_running_moments_of_a_model_that_trains_are_states() -> None:
    """The statistics of the batch in `forward`, those that are kept in `predict`."""
    case = Case(
        "BatchNormalization", 15, [IMAGE, *CHANNELS], {"training_mode": 1, "momentum": 0.75}, 3,
        fixed=(1, 2, 3, 4),
    )  # fmt: skip
    model, feeds = model_of(case)
    graph = gc.from_onnx(model)
    assert [*graph.states] == ["x3", "x4"]
    assert [*graph.parameters] == ["x1", "x2"]
    gain, bias, mean, variance = (value.reshape(4, 1, 1) for value in CHANNELS)
    own_mean, own_variance = (
        moment(IMAGE, axis=(0, 2, 3), keepdims=True)[0] for moment in (np.mean, np.var)
    )
    module = load(graph, style="functional", wrt=["x1", "x2"])
    params, state = {"x1": CHANNELS[0], "x2": CHANNELS[1]}, {"x3": CHANNELS[2], "x4": CHANNELS[3]}
    running = (IMAGE - mean) / np.sqrt(variance + 1e-5) * gain + bias
    by_batch = (IMAGE - own_mean) / np.sqrt(own_variance + 1e-5) * gain + bias
    predicted_y, *_ = module.predict(params, state, **feeds)
    np.testing.assert_allclose(predicted_y, running, rtol=1e-4, atol=1e-5)
    (y, *moments), after, _ = module.forward(params, state, **feeds)
    np.testing.assert_allclose(y, by_batch, rtol=1e-4, atol=1e-5)
    expected = [
        (0.75 * before + 0.25 * now).ravel()
        for before, now in ((mean, own_mean), (variance, own_variance))
    ]
    np.testing.assert_allclose([*after.values()], expected, rtol=1e-5)
    np.testing.assert_allclose(moments, expected, rtol=1e-5)


WRONG: list[tuple[Case, str]] = [
    (Case("Gemm", 13, [LABELS, LABELS], {"transB": 1, "alpha": 0.5}), "alpha of 0.5 for int64"),
    (Case("BatchNormalization", 7, [X, *[X[0]] * 4], {"spatial": 0}, 5), "spatial=0"),
    (Case("GroupNormalization", 18, [X, *CHANNELS[:2]], {"num_groups": 3}), "3 groups do not"),
    (Case("LRN", 13, [IMAGE], {"size": 0}), "size is at least 1, got 0"),
    (Case("LpNormalization", 7, [X], {"p": 3}), "p is 1 or 2, got 3"),
    (Case("LayerNormalization", 17, [X, X[0, 0]], {"stash_type": 16}), "stash_type 16"),
    (Case("TopK", 11, [X, ints(2)], {}, 2), "K depends on 'x1'"),
    (Case("ReduceSum", 13, [X, ints(1)]), "axes depends on 'x1'"),
    (Case("TopK", 11, [X, ints(9)], {}, 2, fixed=(1,)), "top_k: 9 elements of axis 2"),
    (Case("Einsum", 12, [X], {"equation": "ij->i"}), "does not label the 3 axes"),
]


@pytest.mark.parametrize(("case", "words"), WRONG, ids=str)
def test_what_cannot_be_said_is_refused_with_the_node(case: Case, words: str) -> None:
    onnx = peer("onnx")
    with pytest.MonkeyPatch.context() as patch:
        # Shape inference refuses some of these as well.
        patch.setattr(onnx.shape_inference, "infer_shapes", lambda model, **options: model)
        model, _ = model_of(case)
    with pytest.raises(GraphcError) as caught:
        gc.from_onnx(model)
    assert words in str(caught.value)
    assert f"the {case.op_type} node of 'y0'" in str(caught.value)
    if "depends" in words:
        assert isinstance(caught.value, UnsupportedError)
