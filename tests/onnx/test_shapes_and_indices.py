"""Operators of shapes and indices: named sizes, old operator sets, and what is refused.

What the conformance suite has no case for, beside onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError
from tests.peers import peer
from tests.styles import load, predictor

pytestmark = pytest.mark.conformance

Array: TypeAlias = np.ndarray[Any, Any]
Shape: TypeAlias = tuple[Any, ...]
FAR = 2**63 - 1
RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 5, 4)).astype("float32")


@dataclass(frozen=True)
class Case:
    """One node of a model.

    opset       the version of the operator set
    inputs      arrays that are inputs of the model
    known       arrays that are initialisers of it, behind the inputs; None is left out
    attributes  of the node
    """

    op_type: str
    opset: int
    inputs: tuple[Array, ...]
    known: tuple[Any, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1

    def __str__(self) -> str:
        told = [f"{name}={value}" for name, value in self.attributes.items()]
        return " ".join([f"{self.op_type}-{self.opset}", *map(str, self.known), *told])


def model(case: Case, shapes: Mapping[str, Shape] | None = None) -> Any:
    """The model of a case; inputs have the shapes of its arrays unless others are given."""
    onnx = peer("onnx")
    helper, tensors = peer("onnx.helper"), peer("onnx.numpy_helper")
    arrays = {f"x{i}": value for i, value in enumerate(case.inputs)}
    known = [(f"c{i}" if c is not None else "", c) for i, c in enumerate(case.known)]
    names = [f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(
        case.op_type, [*arrays, *(name for name, _ in known)], names, **case.attributes
    )
    graph = helper.make_graph(
        [node], "case",
        [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype),
                                       (shapes or {}).get(name, value.shape))
         for name, value in arrays.items()],
        [onnx.ValueInfoProto(name=name) for name in names],
        [tensors.from_array(np.asarray(value), name) for name, value in known if name],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", case.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def expected(proto: Any, feeds: Mapping[str, Array]) -> list[Array]:
    """What onnxruntime computes."""
    runtime = peer("onnxruntime")
    session = runtime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    results: list[Array] = session.run(None, dict(feeds))
    return results


def feeds_of(case: Case) -> dict[str, Array]:
    return {f"x{i}": value for i, value in enumerate(case.inputs)}


def assert_right(
    proto: Any, feeds: Mapping[str, Array], predict: Callable[[Mapping[str, Any]], Any]
) -> None:
    """Assert that modules of every style (see `predictor`) compute what onnxruntime does."""
    wanted = expected(proto, feeds)
    found = predict(feeds)
    found = found if isinstance(found, tuple) else (found,)
    for value, other in zip(found, wanted, strict=True):
        value = np.asarray(value)
        assert (value.dtype, value.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(value, other)


CASES = [
    # bounds and axes as attributes, as inputs, beyond the ends, and downwards
    Case("Slice", 9, (X,), (), {"starts": [1, -3], "ends": [FAR, -1], "axes": [0, 2]}),
    Case("Slice", 9, (X,), (), {"starts": [1], "ends": [1000]}),
    Case("Slice", 13, (X,), ([-1, -1], [-FAR, 0], [1, 2], [-2, -1])),
    Case("Slice", 13, (X,), ([2], [1], [1])),
    Case("Slice", 13, (X,), ([-100], [100], None, [2])),
    Case("Squeeze", 11, (X[:, :1],), (), {"axes": [-2]}),
    Case("Squeeze", 13, (X[:1, :1],)),
    Case("Unsqueeze", 11, (X,), (), {"axes": [3, 0]}),
    Case("Split", 11, (X,), (), {"axis": 1, "split": [1, 4]}, 2),
    Case("Split", 11, (X,), (), {"axis": 2}, 2),
    Case("Split", 13, (X,), ([2, 0, 3],), {"axis": -2}, 3),
    Case("Split", 18, (X,), (), {"axis": 1, "num_outputs": 3}, 3),
    # ends that get smaller, larger, and one of each; values of every kind
    Case("Pad", 10, (X,), (), {"pads": [0, 1, 0, 0, 0, 2], "value": 0.5}),
    Case("Pad", 11, (X,), ([0, -1, 2, 1, 0, -2], np.float32(3))),
    Case("Pad", 13, (X,), ([0, -2, 1, 0, 2, 3],), {"mode": "reflect"}),
    Case("Pad", 13, (X,), ([1, 0, 0, 0, 0, 7],), {"mode": "edge"}),
    Case("Pad", 19, (X,), ([0, 3, 0, 0, 1, 4],), {"mode": "wrap"}),
    Case("Pad", 18, (X,), ([2, 1], np.float32(-1), [-1])),
    Case("Pad", 18, (np.arange(6).reshape(2, 3),), ([0, 1, 1, 0], np.int64(2**53 + 1))),
    Case("Pad", 13, (X > 0,), ([0, 1, 0, 0, 0, 0], True)),
    Case("Expand", 13, (X[:, :1],), ([2, 1, 5, 1],)),
    Case("Expand", 13, (X,), ([1],)),
    Case("Tile", 13, (X,), ([2, 1, 3],)),
    Case("Gather", 13, (X,), (np.int64(-2),), {"axis": 1}),
    Case("Gather", 13, (X, np.array([[0, -1], [2, -4]], "int32")), (), {"axis": -1}),
    Case("GatherElements", 13, (X, np.array([[[0, -1]], [[2, 1]]])), (), {"axis": 1}),
    Case("GatherND", 13, (X, np.array([[[1, -1]], [[0, 3]], [[4, 0]]])), (), {"batch_dims": 1}),
    Case("ScatterElements", 13, (X, np.array([[[0, -1]]]), X[:1, :1, :2]), (), {"axis": 2}),
    Case("ScatterElements", 18, (X, np.array([[[3, -1, 3]]]), X[:1, :1, :3]), (),
         {"axis": 2, "reduction": "max"}),
    Case("ScatterND", 16, (X, np.array([[0, -1], [2, 3]]), X[0, :2]), (), {"reduction": "mul"}),
    Case("OneHot", 11, (np.array([[0, 4], [-3, 9]]),), (np.int64(4), [-1, 2]), {"axis": 0}),
    Case("ReverseSequence", 10, (X, np.array([1, 0, 5])), (), {"batch_axis": 0, "time_axis": 1}),
    Case("Range", 11, (), (np.float32(3), np.float32(-1), np.float32(-0.75))),
    Case("Range", 11, (), (np.int64(3), np.int64(3), np.int64(1))),
    Case("Trilu", 14, (X,), (np.int64(-2),), {"upper": 1}),
    Case("EyeLike", 9, (np.ones((3, 4), "int32"),), (), {"k": -1, "dtype": 1}),
    Case("Compress", 11, (X,), ([True, False, True],), {"axis": 1}),
    Case("Compress", 11, (X,), ([False, True, True],)),
    Case("DepthToSpace", 13, (RNG.normal(size=(2, 12, 2, 3)).astype("f"),), (),
         {"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", 13, (RNG.normal(size=(2, 3, 4, 6)).astype("f"),), (), {"blocksize": 2}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_are_those_of_onnxruntime(case: Case) -> None:
    proto = model(case)
    assert_right(proto, feeds_of(case), predictor(gc.from_onnx(proto)))


# --- named sizes ---------------------------------------------------------------------------------

# Axis 1 of x is n; the same module for some n.
NAMED = [
    Case("Slice", 13, (X,), ([1], [FAR], [1])),
    Case("Slice", 13, (X,), ([0], [-1], [1])),
    Case("Slice", 13, (X,), ([-1], [-FAR], [1], [-1])),
    Case("Slice", 13, (X,), ([-2], [FAR], [1])),
    Case("Slice", 13, (X,), ([0], [2**31 - 1], [1], [2])),
    Case("Slice", 13, (X,), ([3], [0], [1], [-1])),
    Case("Flatten", 13, (X,), (), {"axis": 2}),
    Case("Reshape", 13, (X,), ([0, -1],)),
    Case("Expand", 13, (X,), ([2, 1, 1, 4],)),
    Case("Tile", 13, (X,), ([1, 2, 1],)),
    Case("Gather", 13, (X,), ([0, -1],), {"axis": 1}),
    Case("Pad", 13, (X,), ([0, 2, 0, 0, 1, 0],), {"mode": "reflect"}),
    Case("Split", 18, (X,), (), {"axis": 1, "num_outputs": 2}, 2),
    Case("GatherElements", 13, (X, np.array([[[0, 1, -1, 3]]])), (), {"axis": 1}),
    Case("ScatterND", 16, (X, np.array([[0, -1], [2, 3]]), X[0, :2]), (), {"reduction": "add"}),
    Case("ReverseSequence", 10, (X, np.array([1, 0, 4])), (), {"batch_axis": 0, "time_axis": 1}),
]


@pytest.mark.parametrize("case", NAMED, ids=str)
def test_one_module_is_right_for_every_size(case: Case) -> None:
    proto = model(case, {"x0": (3, "n", 4)})
    predict = predictor(gc.from_onnx(proto))
    for size in (4, 7):
        x = RNG.normal(size=(3, size, 4)).astype("float32")
        assert_right(proto, {**feeds_of(case), "x0": x}, predict)


def chained(nodes: list[tuple[Any, ...]], known: Mapping[str, Any]) -> Any:
    """A model of x (batch, time, 6) whose result is y."""
    onnx, helper, tensors = peer("onnx"), peer("onnx.helper"), peer("onnx.numpy_helper")
    graph = helper.make_graph(
        [helper.make_node(op, inputs.split(), outputs.split(), **attributes)
         for op, inputs, outputs, attributes in nodes],
        "chain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ("batch", "time", 6))],
        [onnx.ValueInfoProto(name="y")],
        [tensors.from_array(np.asarray(value), name) for name, value in known.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_sizes_that_travel_through_a_chain_keep_their_names() -> None:
    """Heads are split off and joined again, as in exported transformers."""
    proto = chained(
        [
            ("Shape", "x", "shape", {}),
            ("Slice", "shape zero two", "front", {}),
            ("Concat", "front heads", "apart", {"axis": 0}),
            ("Reshape", "x apart", "split", {}),
            ("Transpose", "split", "headed", {"perm": [0, 2, 1, 3]}),
            ("Gather", "shape one", "length", {}),
            ("Range", "begin length one", "numbers", {}),
            ("Gather", "headed numbers", "picked", {"axis": 2}),
            ("Transpose", "picked", "back", {"perm": [0, 2, 1, 3]}),
            ("Concat", "front rest", "joined", {"axis": 0}),
            ("Reshape", "back joined", "flat", {}),
            ("Concat", "flat x", "y", {"axis": 2}),
        ],
        {
            "zero": np.array([0]), "two": np.array([2]), "heads": np.array([2, -1]),
            "rest": np.array([6]), "begin": np.int64(0), "one": np.int64(1),
        },
    )  # fmt: skip
    graph = gc.from_onnx(proto)
    assert [str(size) for size in graph.outputs["y"].shape] == ["batch", "time", "12"]
    module = load(graph, style="functional", wrt=["x"])
    predict = predictor(graph)
    for batch, time in ((1, 4), (3, 2)):
        x = RNG.normal(size=(batch, time, 6)).astype("float32")
        assert_right(proto, {"x": x}, predict)
        _, residuals = module.forward(x)
        bar = RNG.normal(size=(batch, time, 12)).astype("float32")
        grads = module.backward(residuals, bar)
        np.testing.assert_allclose(grads["x"], bar[..., :6] + bar[..., 6:])


def test_what_is_cut_out_of_a_constant_has_a_named_size() -> None:
    proto = chained(
        [
            ("Shape", "x", "time", {"start": 1, "end": 2}),
            ("Concat", "time time", "square", {"axis": 0}),
            ("Slice", "causal both square", "y", {}),
        ],
        {"both": np.array([0, 0]), "causal": np.tril(np.ones((9, 9), "f"))},
    )
    predict = gc.compile(gc.from_onnx(proto), inference=True).load().predict
    params = {"causal": np.tril(np.ones((9, 9), "float32"))}
    x = np.zeros((1, 4, 6), "float32")
    np.testing.assert_array_equal(predict(params, x), np.tril(np.ones((4, 4))))
    with pytest.raises(ValueError, match="9 >= time"):
        predict(params, np.zeros((1, 10, 6), "float32"))


def test_a_size_that_nothing_tells_follows_from_the_others() -> None:
    """As `torch.export` writes the shape behind a mask that was cut to the length: min(8, time)."""
    proto = chained(
        [
            ("Shape", "x", "front", {"end": 2}),
            ("Shape", "x", "time", {"start": 1, "end": 2}),
            ("Min", "eight time", "shorter", {}),
            ("Mul", "shorter six", "elements", {}),
            ("Div", "elements time", "width", {}),
            ("Concat", "front width", "shape", {"axis": 0}),
            ("Transpose", "x", "turned", {"perm": [1, 0, 2]}),
            ("Reshape", "turned shape", "y", {}),
        ],
        {"eight": np.array([8]), "six": np.array([6])},
    )
    graph = gc.from_onnx(proto)
    assert [str(size) for size in graph.outputs["y"].shape] == ["batch", "time", "6"]
    x = RNG.normal(size=(2, 5, 6)).astype("float32")
    assert_right(proto, {"x": x}, predictor(graph))


def test_the_name_in_a_size_is_what_is_to_be_bound() -> None:
    proto = chained(
        [
            ("Shape", "x", "time", {"start": 1, "end": 2}),
            ("Mod", "time two", "odd", {}),
            ("Concat", "zeros odd zero", "widths", {"axis": 0}),
            ("Pad", "x widths", "y", {}),
        ],
        {"two": np.array([2]), "zeros": np.zeros(4, "int64"), "zero": np.array([0])},
    )
    with pytest.raises(GraphcError, match=r"time // 2.* has to be known.*--bind time=8$"):
        gc.from_onnx(proto)
    assert str(gc.from_onnx(proto, bind={"time": 7}).outputs["y"].shape[1]) == "8"


def test_a_size_that_an_exporter_fixed_is_told() -> None:
    proto = chained(
        [("Transpose", "x", "turned", {"perm": [1, 0, 2]}), ("Shape", "x", "rows", {"end": 1}),
         ("Mul", "rows two", "heads", {}), ("Concat", "five heads three", "shape", {"axis": 0}),
         ("Reshape", "turned shape", "y", {})],
        {"two": np.array([2]), "five": np.array([5]), "three": np.array([3])},
    )  # fmt: skip
    with pytest.raises(GraphcError, match=r"do not fill .* fixed a size: --bind time=5$"):
        gc.from_onnx(proto)
    assert str(gc.from_onnx(proto, bind={"time": 5}).outputs["y"].shape[1]) == "2 * batch"


def test_a_bound_that_must_not_be_negative_is_checked_when_it_runs() -> None:
    """The rest of a sequence is as long as the batch leaves of it: time - batch."""
    proto = chained(
        [
            ("Shape", "x", "batch", {"end": 1}),
            ("Slice", "x batch far axis", "rest", {}),
            ("Shape", "rest", "bound", {"start": 1, "end": 2}),
            ("Slice", "x zero bound axis", "y", {}),
        ],
        {"zero": np.array([0]), "far": np.array([FAR]), "axis": np.array([1])},
    )
    graph = gc.from_onnx(proto)
    assert str(graph.outputs["y"].shape[1]) == "-batch + time"
    predict = predictor(graph)
    for batch, time in ((1, 3), (2, 2), (2, 7)):
        assert_right(proto, {"x": RNG.normal(size=(batch, time, 6)).astype("float32")}, predict)
    predict = gc.compile(graph, inference=True).load().predict
    with pytest.raises(ValueError, match="an index needs -batch \\+ time >= 0"):
        predict(np.zeros((3, 2, 6), "float32"))


# --- what is refused -----------------------------------------------------------------------------

REFUSED = [
    (Case("NonZero", 13, (X,)), ["NonZero", "depends on data", "--bind"]),
    (Case("Unique", 11, (X,)), ["Unique", "depend on data"]),
    (Case("Compress", 11, (X, X[0, 0] > 0)), ["Compress", "the condition chooses"]),
    (Case("Reshape", 13, (X, np.array([-1]))), ["Reshape", "the shape depends on 'x1'"]),
    (Case("Slice", 13, (X,), ([0], [1], [1], [0])), ["Slice", "step of a slice is not 0"]),
    (Case("Gather", 13, (X,), ([0, 5],), {"axis": 1}), ["Gather", "index 5 does not exist"]),
    (Case("Split", 13, (X,), ([1, 1],), {"axis": 1}, 2), ["Split", "do not make up 5"]),
    (Case("Split", 13, (X,), (), {"axis": 1}, 2), ["Split", "does not divide into 2"]),
    (Case("Pad", 13, (X,), ([0, 1],)), ["Pad", "3 axes have 6 widths, got 2"]),
    (Case("Pad", 13, (X,), ([0, 0, 4, 0, 0, 0],), {"mode": "reflect"}), ["Pad", "needs 5"]),
    (Case("Pad", 13, (X,), ([0, -3, 0, 0, -3, 0],)), ["Pad", "leave nothing of 5 elements"]),
    (Case("Range", 11, (), (np.float32(0), np.float32(1), np.float32(0))), ["steps of 0.0"]),
    (Case("OneHot", 11, (np.array([1]),), (np.float32(np.nan), [0, 1])), ["a depth of nan"]),
    (Case("DepthToSpace", 13, (X,), (), {"blocksize": 2}), ["DepthToSpace", "expects images"]),
    (Case("ScatterND", 18, (X, np.array([[0]]), X[:1]), (), {"reduction": "mean"}),
     ["ScatterND", "'mean'", "'none'"]),
    (Case("EyeLike", 9, (X,)), ["EyeLike", "expects a matrix, got 3 axes"]),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: str(case[0]))
def test_what_has_no_form_is_refused_by_name(case: tuple[Case, list[str]]) -> None:
    wrong, words = case
    with pytest.raises(GraphcError) as caught:
        gc.from_onnx(model(wrong))
    for word in (*words, "y0"):
        assert word in str(caught.value)


def test_a_value_that_pads_may_be_data() -> None:
    case = Case("Pad", 13, (X, np.array([0, 1, 0, 0, 0, 2]), np.float32(0.5)))
    graph = gc.from_onnx(model(case), bind={"x1": case.inputs[1]})
    module = load(graph, style="functional", wrt=["x0", "x2"])
    y, residuals = module.forward(X, np.float32(0.5))
    np.testing.assert_array_equal(y, np.pad(X, ((0, 0), (1, 0), (0, 2)), constant_values=0.5))
    grads = module.backward(residuals, np.ones(y.shape, "float32"))
    np.testing.assert_array_equal(grads["x0"], np.ones(X.shape))
    assert grads["x2"] == y.size - X.size
