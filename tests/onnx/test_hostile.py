"""Models that are none, or that contradict themselves: one clear error each, and soon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ModelError, UnsupportedError
from tests.command_line import run

onnx = pytest.importorskip("onnx")

from onnx import TensorProto  # noqa: E402

from tests.onnx.small_models import Case, function, graph, model, node, relu, value, weighted  # noqa: E402

INT64 = TensorProto.INT64


# --- no models ---------------------------------------------------------------------------------

CONTENTS = [
    Case("empty", lambda: b"", "is empty"),
    Case("text", lambda: b"import torch\nmodel = 1\n", "a text that begins with 'import torch"),
    Case("random bytes", lambda: np.random.default_rng(0).bytes(999), "is no ONNX model"),
    Case("truncated", lambda: relu().SerializeToString()[:-9], "is no ONNX model"),
    Case("a zip archive", lambda: b"PK\x03\x04" + b"\0" * 50, "torch.onnx.export"),
    Case(
        "a pointer of Git LFS",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "git lfs pull",
    ),
    Case("another message", lambda: onnx.TensorProto(dims=[7]).SerializeToString(), "no graph"),
    Case("only a version", lambda: b"\x08\x0a", "it holds no graph"),
]


@pytest.mark.parametrize("case", CONTENTS, ids=lambda case: case.name)
def test_a_file_that_is_no_model_ends_the_command(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(case.make())
    result = run("compile", "net.onnx", "-o", "net.py")
    assert result.status == 2
    assert case.told in result.err and "net.onnx" in result.err
    assert "Traceback" not in result.err and result.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["net.onnx"]


def test_a_place_without_a_model_is_told_with_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "resnet.onnx").write_bytes(relu().SerializeToString())
    os.mkfifo(tmp_path / "pipe.onnx")
    with open(tmp_path / "large.onnx", "wb") as file:
        file.truncate(2**31)
    for name, told in {
        "resnt.onnx": "No such file or directory; did you mean 'resnet.onnx'?",
        "": "is a folder, not a model; it holds 'large.onnx', 'pipe.onnx', 'resnet.onnx'",
        "pipe.onnx": "is no regular file",
        "large.onnx": "2147483648 bytes; a model has at most 2147483647",
        "nul\0.onnx": "null byte",
    }.items():
        with pytest.raises(ModelError) as caught:
            gc.from_onnx(tmp_path / name)
        assert told in str(caught.value)


@pytest.mark.parametrize("given", [None, 3, ["net.onnx"]])
def test_what_is_neither_path_nor_bytes_nor_model_is_refused(given: Any) -> None:
    with pytest.raises(ModelError, match="a model is a path, bytes or an"):
        gc.from_onnx(given)


# --- models that are not valid -------------------------------------------------------------------


def tensor(name: str = "w", kind: int = 1, dims: Any = (2, 3), **data: Any) -> Any:
    return TensorProto(name=name, data_type=kind, dims=dims, **data)


def changed(make: Any, change: Callable[[Any], Any]) -> Any:
    change(make)
    return make


def attribute(**fields: Any) -> Any:
    """LeakyRelu with an attribute that has these fields."""
    made = node("LeakyRelu", ["x"], ["y"])
    made.attribute.append(onnx.AttributeProto(**fields))
    return model([made])


def nested(depth: int) -> bytes:
    """A branch in a branch in a branch …, as bytes: protobuf itself makes no such message."""

    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            size, length = size >> 7, length + bytes([size & 127 | 128])
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    inner = b""
    for _ in range(depth):
        inner = field(1, field(5, field(6, inner)))  # node: attribute: graph
    return b"\x08\x0a" + field(7, inner)


ZERO = tensor(raw_data=bytes(24))
STRUCTURE = [
    Case("nothing computes it", lambda: model([node("Relu", ["z"], ["y"])]), "reads 'z', which"),
    Case(
        "one letter off",
        lambda: model([node("Relu", ["wieght"], ["y"])], weights={"weight": np.ones(2, "f4")}),
        "did you mean 'weight'?",
    ),
    Case(
        "unsorted",
        lambda: model([node("Relu", ["h"], ["y"], name="b"), node("Tanh", ["x"], ["h"], name="a")]),
        "node 'b' (Relu): reads 'h', which node 'a' (Tanh) computes only later",
    ),
    Case(
        "a cycle",
        lambda: model(
            [
                node("Add", ["x", "k"], ["y"], name="a"),
                node("Tanh", ["y"], ["h"], name="b"),
                node("Relu", ["h"], ["k"], name="c"),
            ]
        ),
        "node 'a' (Add) reads from node 'c' (Relu) reads from node 'b' (Tanh) reads from node 'a'",
    ),
    Case("reads itself", lambda: model([node("Relu", ["y"], ["y"])]), "the graph has a cycle"),
    Case(
        "computed twice",
        lambda: model([node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["y"])]),
        "the Tanh node of 'y': 'y' is computed, or declared, twice",
    ),
    Case("an input computed", lambda: model([node("Relu", ["x"], ["x"])]), "'x' is computed, or"),
    Case(
        "two inputs of a name",
        lambda: model([node("Relu", ["x"], ["y"])], [value("x"), value("x")]),
        "'x' is the name of an input of the graph twice",
    ),
    Case(
        "two weights of a name",
        lambda: changed(weighted(ZERO), lambda m: m.graph.initializer.append(ZERO)),
        "'w' is the name of an initialiser of the graph twice",
    ),
    *(
        Case(
            f"an initialiser that is another input, {shape}",
            lambda shape=shape, kind=kind: changed(
                weighted(ZERO), lambda m: m.graph.input.append(value("w", shape, kind))
            ),
            "'w' is an initialiser of shape (2, 3), and an input of another",
        )
        for shape, kind in ((("batch", 2, 3), 1), ((2, 4), 1), ((2, 3), 11))
    ),
    Case(
        "two outputs of a name",
        lambda: model([node("Relu", ["x"], ["y"])], outputs=[value("y"), value("y")]),
        "'y' is the name of an output of the graph twice",
    ),
    Case("no outputs", lambda: model([node("Relu", ["x"], ["y"])], outputs=[]), "has no outputs"),
    Case("an input without a name", lambda: model([], [value("")]), "an input of the graph has no"),
    Case(
        "an output of nothing",
        lambda: model([node("Relu", ["x"], ["h"])]),
        "the output 'y' of the graph is computed by no node",
    ),
    Case(
        "an output of another type",
        lambda: model([node("Relu", ["x"], ["y"])], outputs=[value("y", None, INT64)]),
        "the output 'y' is declared as int64, and is computed as float32",
    ),
    Case(
        "a branch that reads nothing",
        lambda: model(
            [
                node(
                    "If", ["c"], ["y"],
                    then_branch=graph([node("Relu", ["q"], ["t"])], [], [value("t", None)]),
                    else_branch=graph([node("Relu", ["x"], ["t"])], [], [value("t", None)]),
                )
            ],
            weights={"c": np.array(True)},
        ),
        "the Relu node of 't': reads 'q', which nothing computes",
    ),
    Case("not UTF-8", lambda: relu().SerializeToString().replace(b"Relu", b"Re\xff\xfe"), "UTF-8"),
    Case("nested 1000 times", lambda: nested(1000), "is no ONNX model"),
    Case("no operator", lambda: model([node("", ["x"], ["y"])]), "the node has no operator"),
]  # fmt: skip
CALLS = [
    Case("too few inputs", lambda: model([node("Add", ["x"], ["y"])]), "has 1 inputs, and the op"),
    Case("too many", lambda: model([node("Relu", ["x", "x"], ["y"])]), "has 2 inputs, and the op"),
    Case("left out", lambda: model([node("Add", ["", "x"], ["y"])]), "the input A is left out"),
    Case("outputs", lambda: model([node("Relu", ["x"], ["y", "z"])]), "has 2 outputs, and the op"),
    Case(
        "an attribute that is not there",
        lambda: model([node("LeakyRelu", ["x"], ["y"], alhpa=1.0)]),
        "LeakyRelu has no attribute 'alhpa'; did you mean 'alpha'?",
    ),
    Case(
        "an int for a float",
        lambda: model([node("LeakyRelu", ["x"], ["y"], alpha=1)]),
        "the attribute 'alpha' is FLOAT, got INT",
    ),
    Case(
        "an int for a string",
        lambda: model([node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=1)]),
        "the attribute 'mode' is STRING, got INT",
    ),
    Case(
        "a list for an int",
        lambda: model([node("Flatten", ["x"], ["y"], axis=[1])]),
        "the attribute 'axis' is INT, got INTS",
    ),
    Case(
        "a missing attribute",
        lambda: model([node("Concat", ["x", "x"], ["y"])]),
        "the attribute 'axis' is missing",
    ),
    Case("no type", lambda: attribute(name="alpha", f=1.0), "does not say its type"),
    Case("two values", lambda: attribute(name="alpha", type=1, f=1.0, i=1), "type FLOAT, and hol"),
    Case("no value", lambda: attribute(name="alpha", type=4), "of type TENSOR, and holds nothing"),
    Case("no name", lambda: attribute(type=1, f=1.0), "an attribute has no name"),
    Case(
        "outside of functions",
        lambda: attribute(name="alpha", type=1, ref_attr_name="beta"),
        "stands for one of a function, outside of functions",
    ),
    Case(
        "twice",
        lambda: changed(
            attribute(name="alpha", type=1, f=1.0),
            lambda m: m.graph.node[0].attribute.append(m.graph.node[0].attribute[0]),
        ),
        "the attribute 'alpha' is given twice",
    ),
    Case(
        "two types",
        lambda: model([node("Add", ["x", "i"], ["y"])], weights={"i": np.arange(3)}),
        "the inputs A and B hold float32 and int64, and have to hold the same",
    ),
    Case(
        "a type that it does not take",
        lambda: model([node("Not", ["x"], ["y"])]),
        "the input X holds float32, not bool",
    ),
    Case(
        "floats for indices",
        lambda: model([node("Gather", ["x", "x"], ["y"])]),
        "the input indices holds float32, not int32 or int64",
    ),
]
TENSORS = [
    Case("negative size", lambda: tensor(dims=(-1, 3), raw_data=b""), "a negative size: (-1, 3)"),
    Case("too few bytes", lambda: tensor(raw_data=bytes(20)), "6 elements of float32, 24 bytes, "),
    Case("too many bytes", lambda: tensor(raw_data=bytes(28)), "24 bytes, got 28"),
    Case("no data", tensor, "has 6 elements, and no data"),
    Case(
        "data twice",
        lambda: tensor(raw_data=bytes(24), float_data=[0.0] * 6),
        "has its data twice: raw_data and float_data",
    ),
    Case("too few", lambda: tensor(float_data=[1.0]), "has 6 elements, and data for 1"),
    Case("another field", lambda: tensor(double_data=[1.0] * 6), "which are in float_data; its d"),
    Case("terabytes", lambda: tensor(dims=(10**6, 10**6), raw_data=bytes(24)), "4000000000000 b"),
    Case("no such memory", lambda: tensor(dims=(2**62, 2**62), raw_data=b"12"), "memory has addr"),
    Case("overflow to 0", lambda: tensor(dims=(2**32, 2**32), raw_data=b""), "memory has addre"),
    Case("large and empty", lambda: tensor(dims=(0, 2**62, 2**62)), "memory has addresses"),
    Case("no type", lambda: tensor(kind=0, raw_data=bytes(24)), "does not say which type"),
    Case("unknown type", lambda: tensor(kind=99, raw_data=bytes(24)), "unknown element type 99"),
    Case(
        "no int8",
        lambda: tensor(kind=TensorProto.INT8, dims=(1,), int32_data=[300]),
        "holds int8, and numbers that are none",
    ),
    Case(
        "no bool",
        lambda: tensor(kind=TensorProto.BOOL, dims=(2,), raw_data=b"\x01\x02"),
        "bytes that are neither 0 nor 1",
    ),
    Case(
        "too many axes",
        lambda: tensor(dims=(1,) * 40, raw_data=bytes(4)),
        "40 axes; NumPy has at most 32",
        UnsupportedError,
    ),
    Case(
        "a segment",
        lambda: changed(tensor(raw_data=bytes(24)), lambda t: setattr(t.segment, "end", 3)),
        "is a segment of a larger one",
        UnsupportedError,
    ),
]


def calling(*names: str) -> list[Any]:
    """Nodes from a to b, each of which calls a function of the model."""
    steps = ["a", *(f"v{i}" for i in range(len(names) - 1)), "b"]
    pairs = zip(names, steps, steps[1:], strict=False)
    return [node(name, [x], [y], domain="own") for name, x, y in pairs]


def functional(*functions: Any, calls: str = "f") -> Any:
    nodes = [node(calls, ["x"], ["y"], domain="own")]
    return model(nodes, functions=functions, domains=["own"])


def doubling(depth: int) -> list[Any]:
    """Functions of which each calls the next one twice."""
    inner = [function(f"f{i}", calling(f"f{i + 1}", f"f{i + 1}")) for i in range(depth)]
    return [*inner, function(f"f{depth}", [node("Relu", ["a"], ["b"])])]


FUNCTIONS = [
    Case("itself", lambda: functional(function("f", calling("f"))), "'f' calls 'f'"),
    Case(
        "each other",
        lambda: functional(
            function("f", calling("g")), function("g", calling("h")), function("h", calling("f"))
        ),
        "functions call themselves: 'f' calls 'g' calls 'h' calls 'f'",
    ),
    Case(
        "two to the forty",
        lambda: functional(*doubling(40), calls="f0"),
        "there are 3298534883327 nodes, with those of functions",
    ),
    Case(
        "a long chain",
        lambda: functional(
            *(function(f"f{i}", calling(f"f{i + 1}")) for i in range(500)),
            function("f500", [node("Relu", ["a"], ["b"])]),
            calls="f0",
        ),
        "functions are nested more than 64 deep",
    ),
    Case(
        "defined twice",
        lambda: functional(*[function("f", [node("Relu", ["a"], ["b"])])] * 2),
        "the function 'f' is defined twice",
    ),
    Case(
        "computes no output",
        lambda: functional(function("f", [node("Relu", ["a"], ["c"])])),
        "the output 'b' of the function 'f' is computed by no node",
    ),
    Case(
        "too many inputs",
        lambda: model(
            [node("f", ["x", "x"], ["y"], domain="own")],
            functions=[function("f", [node("Relu", ["a"], ["b"])])],
            domains=["own"],
        ),
        "has 2 inputs, and the operator 0 to 1",
    ),
    Case(
        "an attribute that it does not have",
        lambda: functional(
            function(
                "f",
                [
                    changed(
                        node("LeakyRelu", ["a"], ["b"]),
                        lambda n: n.attribute.append(
                            onnx.AttributeProto(name="alpha", type=1, ref_attr_name="slope")
                        ),
                    )
                ],
            )
        ),
        "stands for 'slope', which the function does not have",
    ),
]
MADE = [
    *STRUCTURE,
    *CALLS,
    *FUNCTIONS,
    *(case._replace(make=lambda case=case: weighted(case.make())) for case in TENSORS),
]


@pytest.mark.parametrize("case", MADE, ids=lambda case: case.name)
def test_a_model_that_is_not_valid_is_told_what_is_wrong(case: Case) -> None:
    start = time.process_time()
    made = case.make()
    with pytest.raises(case.kind) as caught:
        gc.from_onnx(made)
    assert case.told in str(caught.value)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("case", TENSORS, ids=lambda case: case.name)
def test_the_same_is_said_of_tensors_that_are_attributes(case: Case) -> None:
    made = model([node("Constant", [], ["c"], value=case.make()), node("Add", ["x", "c"], ["y"])])
    with pytest.raises(case.kind) as caught:
        gc.from_onnx(made)
    assert case.told in str(caught.value) and "the Constant node of 'c'" in str(caught.value)
