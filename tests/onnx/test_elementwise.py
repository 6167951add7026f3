"""Operators that work element by element, in each of their versions, beside ONNX Runtime's."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError, UnsupportedError
from graphc.frontends.onnx.registry import Call, mapping_of
from graphc.frontends.onnx.static import Known
from graphc.ir.types import int64
from graphc.ops.operands import size_node
from tests.peers import peer

pytestmark = pytest.mark.conformance

Array = np.ndarray[Any, Any]

FLOATS = ("float16", "float32", "float64")
INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
# Attributes are numbers of 32 bits: graphc has 0.01 for what is stored as 0.009999999776, and ONNX
# Runtime computes some operators of float64 in float32.
TOLERANCE = {"float16": 3e-3, "float32": 3e-6, "float64": 2e-7}

# --- models of one node ---------------------------------------------------------------------------


def model_of(
    op_type: str, opset: int, inputs: dict[str, Array], outputs: int = 1, **attributes: Any
) -> Any:
    """A model of one node whose inputs are the model's, with some left out by an empty name."""
    peer("onnx")
    from onnx import helper

    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op_type, list(inputs), results, **attributes)
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in inputs.items()
        if name
    ]
    untyped = [helper.make_empty_tensor_value_info(name) for name in results]
    graph = helper.make_graph([node], op_type, declared, untyped)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def computed(model: Any, inputs: dict[str, Array], bind: tuple[str, ...] = ()) -> Any:
    """What the compiled model predicts; some inputs are bound."""
    graph = gc.from_onnx(model, bind={name: inputs[name] for name in bind})
    predict = gc.compile(graph, inference=True).load().predict
    with np.errstate(all="ignore"):
        return predict(*[inputs[name] for name in inspect.signature(predict).parameters])


# What ONNX Runtime says of versions that it does not know yet, and of floats that it does not take.
MISSING = ("official support", "fmod attribute must be true")


def runtimes(model: Any, inputs: dict[str, Array]) -> Array | None:
    """What ONNX Runtime computes, or None where it has no kernel for the dtypes or the version.

    Any other error of its own is one of the model.
    """
    onnx, runtime = peer("onnx"), peer("onnxruntime")
    runtime.set_default_logger_severity(4)
    typed = onnx.shape_inference.infer_shapes(model).SerializeToString()
    try:
        session = runtime.InferenceSession(typed, providers=["CPUExecutionProvider"])
        result: Array = session.run(None, inputs)[0]
    except Exception as error:
        known = type(error).__name__ in ("InvalidGraph", "NotImplemented")
        if known or any(told in str(error) for told in MISSING):
            return None
        raise
    return result


def versions(op_type: str) -> list[int]:
    """The operator sets in which an operator has changed, from 7 on."""
    schemas = peer("onnx").defs.get_all_schemas_with_history()
    since = {s.since_version for s in schemas if s.name == op_type and s.domain == ""}
    return sorted({max(version, 7) for version in since})


def numbers(dtype: str, seed: int, low: float = -4.0, high: float = 4.0) -> Array:
    """Numbers of a dtype; halves among the floats, so that rounding meets ties."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, 12).astype(bool)
    if dtype.startswith("float"):
        halves = np.round(2 * rng.uniform(low, high, 6)) / 2
        return np.concatenate([halves, rng.uniform(low, high, 6)]).astype(dtype)
    least = 0 if dtype.startswith("u") else np.floor(low)
    return rng.integers(least, np.ceil(high) + 1, 12).astype(dtype)


# --- beside ONNX Runtime --------------------------------------------------------------------------

UNARY: list[tuple[str, dict[str, Any], tuple[float, float]]] = [
    *((name, {}, (-4.0, 4.0)) for name in (
        "Abs", "Atan", "Asinh", "BitwiseNot", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp",
        "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu",
        "Mish", "Neg", "Not", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh",
        "Softplus", "Softsign", "Swish", "Tan", "Tanh", "ThresholdedRelu",
    )),
    *((name, {}, (-0.9, 0.9)) for name in ("Acos", "Asin", "Atanh")),
    *((name, {}, (0.25, 4.0)) for name in ("Log", "Reciprocal", "Sqrt")),
    ("Acosh", {}, (1.0, 4.0)),
    ("Celu", {"alpha": 2.0}, (-4.0, 4.0)),
    ("Elu", {"alpha": 0.25}, (-4.0, 4.0)),
    ("Gelu", {"approximate": "tanh"}, (-4.0, 4.0)),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, (-4.0, 4.0)),
    ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, (-4.0, 4.0)),
    ("LeakyRelu", {"alpha": 2.0}, (-4.0, 4.0)),
    ("Selu", {"alpha": 2.0, "gamma": 3.0}, (-4.0, 4.0)),
    ("Shrink", {"bias": 1.5, "lambd": 1.5}, (-4.0, 4.0)),
    ("Swish", {"alpha": 0.5}, (-4.0, 4.0)),
    ("Swish", {"alpha": 0.0}, (-4.0, 4.0)),
    ("ThresholdedRelu", {"alpha": 0.25}, (-4.0, 4.0)),
]  # fmt: skip
SEVERAL: list[tuple[str, dict[str, Any], int]] = [
    *((name, {}, 2) for name in (
        "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater",
        "GreaterOrEqual", "Less", "LessOrEqual", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Xor",
    )),
    *((name, {}, count) for name in ("Max", "Mean", "Min", "Sum") for count in (1, 3)),
    ("BitShift", {"direction": "LEFT"}, 2),
    ("BitShift", {"direction": "RIGHT"}, 2),
    ("Mod", {"fmod": 1}, 2),
]  # fmt: skip


def agree(op_type: str, attributes: dict[str, Any], drawn: Any) -> None:
    """Assert that results are ONNX Runtime's in each version and dtype that it knows."""
    compared = 0
    for opset in versions(op_type):
        for dtype in (*FLOATS, *INTS, "bool"):
            inputs = {f"x{i}": array for i, array in enumerate(drawn(dtype))}
            model = model_of(op_type, opset, inputs, **attributes)
            expected = runtimes(model, inputs)
            if expected is not None:
                result = computed(model, inputs)
                told = f"{op_type} of {dtype} in opset {opset}"
                assert (result.dtype, result.shape) == (expected.dtype, expected.shape), told
                tolerance = TOLERANCE.get(result.dtype.name, 0.0)
                np.testing.assert_allclose(
                    result, expected, rtol=tolerance, atol=tolerance, err_msg=told
                )
                compared += 1
    assert compared


@pytest.mark.parametrize(("op_type", "attributes", "range"), UNARY)
def test_of_one_operand(
    op_type: str, attributes: dict[str, Any], range: tuple[float, float]
) -> None:
    agree(op_type, attributes, lambda dtype: [numbers(dtype, 1, *range)])


@pytest.mark.parametrize(("op_type", "attributes", "count"), SEVERAL)
def test_of_several_operands(op_type: str, attributes: dict[str, Any], count: int) -> None:
    def drawn(dtype: str) -> list[Array]:
        arrays = [numbers(dtype, seed) for seed in range(count)]
        if op_type in ("Div", "Mod"):
            arrays[1][arrays[1] == 0] = 3
        if op_type == "BitShift" or (op_type == "Pow" and not dtype.startswith("float")):
            arrays[1] = numbers(dtype, 1, 0.0)
        if op_type == "Pow" and dtype.startswith("float"):
            arrays[0] = numbers(dtype, 0, 0.25)
        return arrays

    agree(op_type, attributes, drawn)


@pytest.mark.parametrize("base", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("exponent", ["float32", "float64", "int32", "int64"])
def test_a_power_has_the_dtype_of_its_base(base: str, exponent: str) -> None:
    inputs = {"x": numbers(base, 0, 1.0), "p": numbers(exponent, 1, 0.0)}
    model = model_of("Pow", 15, inputs)
    result, expected = computed(model, inputs), runtimes(model, inputs)
    assert expected is not None and result.dtype == expected.dtype == np.dtype(base)
    np.testing.assert_allclose(result, expected, rtol=3e-6)


@pytest.mark.parametrize("to", [*FLOATS, *INTS, "bool"])
@pytest.mark.parametrize("dtype", [*FLOATS, *INTS, "bool"])
def test_cast(dtype: str, to: str) -> None:
    from onnx import helper

    inputs = {"x": numbers(dtype, 3, 0.0 if to.startswith("u") else -4.0)}
    code = int(helper.np_dtype_to_tensor_dtype(np.dtype(to)))
    for opset in (9, 13, 19):
        model = model_of("Cast", opset, inputs, to=code)
        expected = runtimes(model, inputs)
        assert expected is not None
        np.testing.assert_array_equal(computed(model, inputs), expected, strict=True)
    like = {**inputs, "like": np.zeros(2, to)}
    result = computed(model_of("CastLike", 15, like), like)
    np.testing.assert_array_equal(result, expected, strict=True)


def test_where() -> None:
    for dtype in (*FLOATS, *INTS, "bool"):
        arrays = numbers("bool", 1), numbers(dtype, 2), numbers(dtype, 3)[:1]
        inputs = dict(zip(("condition", "x", "y"), arrays, strict=True))
        expected = np.where(*arrays)
        np.testing.assert_array_equal(
            computed(model_of("Where", 16, inputs), inputs), expected, strict=True
        )


# --- what versions have of their own --------------------------------------------------------------


@pytest.mark.parametrize("op_type", ["Add", "Div", "Equal", "And"])
def test_up_to_opset_6_an_attribute_says_where_the_second_operand_starts(op_type: str) -> None:
    dtype = {"And": "bool", "Equal": "int32"}.get(op_type, "float32")
    x, y = numbers(dtype, 1).reshape(2, 3, 2), numbers(dtype, 2, 1.0)[:3]
    function = {"Add": np.add, "Div": np.divide, "Equal": np.equal, "And": np.logical_and}[op_type]
    inputs = {"x": x, "y": y}
    for axis in (1, -2):
        model = model_of(op_type, 6, inputs, axis=axis, broadcast=1)
        np.testing.assert_array_equal(computed(model, inputs), function(x, y[:, None]))
    inputs = {"x": x, "y": x[1]}
    model = model_of(op_type, 6, inputs, broadcast=1)
    np.testing.assert_array_equal(computed(model, inputs), function(x, x[1]))
    inputs = {"x": x, "y": y}
    for axis in (3, -4):
        with pytest.raises(
            UnsupportedError, match=f"1 axes does not fit one of 3 from axis {axis}"
        ):
            computed(model_of(op_type, 6, inputs, axis=axis, broadcast=1), inputs)


@pytest.mark.parametrize("opset", [6, 10])
@pytest.mark.parametrize("limits", [{}, {"min": -1.5}, {"max": 2.0}, {"min": -1.0, "max": 1.0}])
def test_clip_with_attributes(opset: int, limits: dict[str, float]) -> None:
    inputs = {"x": numbers("float32", 1)}
    result = computed(model_of("Clip", opset, inputs, **limits), inputs)
    expected = np.clip(inputs["x"], limits.get("min", -np.inf), limits.get("max", np.inf))
    np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_clip_with_inputs(dtype: str) -> None:
    x, low, high = numbers(dtype, 1), np.array(1, dtype), np.array([3], dtype)
    for inputs, expected in (
        ({"x": x}, x),
        ({"x": x, "low": low}, np.maximum(x, low)),
        ({"x": x, "": x, "high": high}, np.minimum(x, high)),
        ({"x": x, "low": low, "high": high}, np.minimum(np.maximum(x, low), high)),
        ({"x": x[0].reshape(()), "low": low, "high": high}, np.clip(x[0], low, high[0])),
        ({"x": x, "low": high, "high": low}, np.full_like(x, low)),
    ):
        given = {name: array for name, array in inputs.items() if name}
        result = computed(model_of("Clip", 13, inputs), given)
        np.testing.assert_array_equal(result, expected)
        assert (result.dtype, result.shape) == (expected.dtype, np.shape(expected))


def test_slopes_of_prelu_are_those_of_channels_up_to_opset_6() -> None:
    inputs = {"x": numbers("float32", 1).reshape(2, 3, 2), "slope": np.float32([0.5, 2.0, -1.0])}
    x, slope = inputs.values()
    expected = np.where(x > 0, x, slope[:, None] * x)
    np.testing.assert_allclose(computed(model_of("PRelu", 6, inputs), inputs), expected)
    inputs = {"x": x, "slope": slope[:, None]}
    np.testing.assert_allclose(computed(model_of("PRelu", 9, inputs), inputs), expected)


INFINITE = np.array([1.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [0, 1, 1, 0]),
        ({"detect_negative": 0}, [0, 1, 0, 0]),
        ({"detect_positive": 0}, [0, 0, 1, 0]),
        ({"detect_negative": 0, "detect_positive": 0}, [0, 0, 0, 0]),
    ],
)
def test_isinf(attributes: dict[str, int], expected: list[int]) -> None:
    for dtype in FLOATS:
        inputs = {"x": INFINITE.astype(dtype)}
        result = computed(model_of("IsInf", 20, inputs, **attributes), inputs)
        np.testing.assert_array_equal(result, np.array(expected, bool), strict=True)


def test_swiglu() -> None:
    inputs = {"gate": numbers("float64", 1), "x": numbers("float64", 2)}
    gate, x = inputs.values()
    for alpha in (1.0, 0.5):
        result = computed(model_of("SwiGLU", 28, inputs, alpha=alpha), inputs)
        np.testing.assert_allclose(result, gate / (1 + np.exp(-alpha * gate)) * x, rtol=1e-14)


@pytest.mark.parametrize(
    ("code", "name"), [(8, "string"), (16, "bfloat16"), (17, "float8e4m3fn"), (22, "int4")]
)
def test_types_that_graphc_does_not_have_are_named(code: int, name: str) -> None:
    inputs = {"x": numbers("float32", 1)}
    with pytest.raises(UnsupportedError, match=f"the Cast node .* the result holds {name}"):
        gc.from_onnx(model_of("Cast", 21, inputs, to=code))


ON_SIZES: dict[str, Callable[[Any], Any]] = {
    "Add": lambda n: n + 5,
    "Sub": lambda n: n + 1,
    "Mul": lambda n: 2 * n + 6,
    "Div": lambda n: (n + 3) // 2,
    "Mod": lambda n: n + 3 - 2 * ((n + 3) // 2),
}


@dataclass
class Importing:
    """An import that knows what its nodes alone tell."""

    graph: gc.Graph

    def known(self, node: gc.Node) -> Array | None:
        return Known(self.graph).of(node)

    def branch(self, graph: Any) -> tuple[gc.Node, ...]:
        raise NotImplementedError


@pytest.mark.parametrize("op_type", ON_SIZES)
def test_arithmetic_on_named_sizes_gives_sizes(op_type: str) -> None:
    peer("onnx")
    importlib.import_module("graphc.frontends.onnx.mapping")
    found = mapping_of("", op_type, 18)
    assert found is not None
    with gc.Graph("sizes") as g:
        n = g.input("x", ("n",)).shape[0]
        call = Call(Importing(g), op_type, 18, 1)
        result = found.function(call, size_node(g, n + 3, int64), g.constant(2, int64))
        assert isinstance(result, gc.Node)
        assert call.size(result, "the size") == ON_SIZES[op_type](n)


# --- constants ------------------------------------------------------------------------------------


def test_constants() -> None:
    from onnx import numpy_helper

    for opset, given, expected in (
        (9, {"value": numpy_helper.from_array(np.int8([[1, 2]]))}, np.int8([[1, 2]])),
        (13, {"value_float": 0.5}, np.array(0.5, np.float32)),
        (13, {"value_floats": [0.5, 0.1]}, np.float32([0.5, 0.1])),
        (13, {"value_int": 3}, np.array(3)),
        (13, {"value_ints": [3, -4]}, np.array([3, -4])),
    ):
        result = computed(model_of("Constant", opset, {}, **given), {})
        np.testing.assert_array_equal(result, expected)
        assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    with pytest.raises(UnsupportedError, match="the attribute 'value_string' is not supported"):
        gc.from_onnx(model_of("Constant", 13, {}, value_string="text"))


def test_arrays_filled_with_a_value() -> None:
    from onnx import numpy_helper

    inputs = {"shape": np.array([2, 3])}
    model = model_of("ConstantOfShape", 9, inputs)
    np.testing.assert_array_equal(
        computed(model, inputs, ("shape",)), np.zeros((2, 3), "float32"), strict=True
    )
    with pytest.raises(UnsupportedError, match="the shape depends on 'shape'"):
        gc.from_onnx(model)
    filled = numpy_helper.from_array(np.int32([7]))
    for size in ([2, 0], [], [3]):
        inputs = {"shape": np.array(size, np.int64)}
        result = computed(model_of("ConstantOfShape", 20, inputs, value=filled), inputs, ("shape",))
        np.testing.assert_array_equal(result, np.full(size, 7, "int32"))
        assert (result.dtype, result.shape) == (np.int32, tuple(size))
    two = numpy_helper.from_array(np.int32([7, 8]))
    with pytest.raises(UnsupportedError, match="the value is one number, got shape"):
        computed(model_of("ConstantOfShape", 20, inputs, value=two), inputs, ("shape",))


# --- chance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [6, 7, 10, 12, 13, 22])
def test_dropout_is_the_identity_of_inference(opset: int) -> None:
    inputs = {"x": numbers("float32", 1)}
    own = {"is_test": 1} if opset == 6 else {}
    y, mask = computed(model_of("Dropout", opset, inputs, 2, **own), inputs)
    np.testing.assert_array_equal(y, inputs["x"], strict=True)
    kind = "float32" if opset < 10 else "bool"
    np.testing.assert_array_equal(mask, np.ones(12, kind), strict=True)


def test_dropout_that_trains() -> None:
    inputs = {
        "x": np.ones(10_000, "float32"),
        "ratio": np.array(0.25, "float32"),
        "training": np.array(True),
    }
    bind = {name: inputs[name] for name in ("ratio", "training")}
    graph = gc.from_onnx(model_of("Dropout", 13, inputs), bind=bind)
    module = gc.compile(graph, wrt=["x"]).load()
    np.testing.assert_array_equal(module.predict(inputs["x"]), inputs["x"])
    y, residuals = module.forward(inputs["x"], rng=np.random.default_rng(0))
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(4 / 3)}
    assert 0.23 < (y == 0).mean() < 0.27
    np.testing.assert_array_equal(module.backward(residuals, inputs["x"])["x"], y)
    with pytest.raises(UnsupportedError, match="the mask of a dropout that drops"):
        gc.from_onnx(model_of("Dropout", 13, inputs, 2), bind=bind)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("like", [False, True])
def test_draws(dtype: str, like: bool) -> None:
    from onnx import helper

    code = int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    inputs = {"x": np.zeros((200, 100), "int32")} if like else {}
    own = {} if like else {"shape": [200, 100]}
    kind = "Like" if like else ""
    for op_type, attributes, mean, std in (
        (f"RandomNormal{kind}", {"mean": 2.0, "scale": 3.0}, 2.0, 3.0),
        (f"RandomUniform{kind}", {"low": -1.0, "high": 5.0}, 2.0, 3**0.5),
    ):
        model = model_of(op_type, 22, inputs, dtype=code, seed=1.0, **own, **attributes)
        predict = gc.compile(gc.from_onnx(model), inference=True).load().predict
        values = predict(rng=np.random.default_rng(0))
        assert (values.dtype, values.shape) == (np.dtype(dtype), (200, 100))
        wide = values.astype("float64")
        assert abs(wide.mean() - mean) < 0.1
        assert abs(wide.std() - std) < 0.1
    with pytest.raises(UnsupportedError, match="draws are floats, got int32"):
        gc.from_onnx(model_of(f"RandomNormal{kind}", 22, inputs, dtype=6, **own))


def test_bernoulli() -> None:
    inputs = {"p": np.tile(np.float32([0.0, 0.25, 1.0]), (4000, 1))}
    for attributes, dtype in (({}, "float32"), ({"dtype": 6}, "int32"), ({"dtype": 9}, "bool")):
        graph = gc.from_onnx(model_of("Bernoulli", 22, inputs, **attributes))
        predict = gc.compile(graph, inference=True).load().predict
        values = predict(inputs["p"], rng=np.random.default_rng(0))
        assert values.dtype == np.dtype(dtype)
        np.testing.assert_allclose(values.mean(0), [0.0, 0.25, 1.0], atol=0.03)


def test_a_direction_of_shifting_is_left_or_right() -> None:
    inputs = {"x": np.uint8([1]), "count": np.uint8([1])}
    with pytest.raises(GraphcError, match="direction is LEFT or RIGHT, got 'UP'"):
        gc.from_onnx(model_of("BitShift", 11, inputs, direction="UP"))
