"""What graphc has no form for: told at once, each with what it is, and nothing written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import graphc as gc
from graphc.errors import ModelError, UnsupportedError
from tests.command_line import run

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from tests.onnx.small_models import Case, graph, model, node, relu, value  # noqa: E402

INT64 = TensorProto.INT64


def body() -> Any:
    """The body of a loop."""
    keep = node("Identity", ["c"], ["d"])
    ends = [value("i", (), INT64), value("c", (), TensorProto.BOOL)]
    return graph([keep], ends, [value("d", (), TensorProto.BOOL)])


def mixed() -> Any:
    """A model of everything that does not work, and some that does."""
    return model(
        [
            node("Relu", ["x"], ["r"]),
            *(node("QuantizeLinear", ["r", "s"], [f"q{i}"], name=f"q{i}") for i in range(5)),
            node("Loop", ["", "t", "r"], ["l"], name="loop", body=body()),
            node("Optional", ["r"], ["maybe"]),
            node("StringNormalizer", ["words"], ["word"]),
            node("NonMaxSuppression", ["r", "r"], ["kept"]),
            node("Fused", ["r"], ["f"], name="fast", domain="com.microsoft"),
            node("Own", ["r"], ["o"], domain="my.company"),
            node("Gelu", ["r"], ["g"]),
            node("Rellu", ["r"], ["y"]),
        ],
        [value("x"), value("s", ()), value("t", (), 9), value("words", (1,), TensorProto.STRING)],
    )


MIXED = (
    "9 operators are not supported: ",
    "Gelu (the standard has it from opset 20, the model is 17; 1 node: that of 'g'); ",
    "Loop (control flow that depends on data; 1 node: 'loop'); ",
    "NonMaxSuppression (results whose shapes depend on data; 1 node: that of 'kept'); ",
    "QuantizeLinear (quantised numbers; 5 nodes: 'q0', 'q1', 'q2' and 2 more); ",
    "Rellu (the standard has no such operator, did you mean 'Relu'?; 1 node: that of 'y'); ",
    "Optional (optional values; 1 node: that of 'maybe'); ",
    "StringNormalizer (strings; 1 node: that of 'word'); ",
    "com.microsoft.Fused (of the domain 'com.microsoft', and the model does not define it; "
    "1 node: 'fast'); ",
    "my.company.Own (of the domain 'my.company', and the model does not define it; 1 node: that",
    "export by tracing, which unrolls loops; ",
    "export the model before it is quantised; ",
    "export without the optimisations of onnxruntime",
)


def test_all_operators_without_a_form_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(mixed().SerializeToString())
    result = run("compile", "net.onnx", "-o", "net.py")
    assert result.status == 2 and result.out == ""
    for told in MIXED:
        assert told in result.err
    assert "Relu (" not in result.err.replace("Rellu (", "")
    assert "Traceback" not in result.err and result.err.count("\n") == 1
    assert os.listdir(tmp_path) == ["net.onnx"]


def branches() -> Any:
    """An operator that is not supported, in a branch and in a function."""
    scan = node("Multinomial", ["x"], ["t"], name="inner")
    own = helper.make_function(
        "own", "f", ["a"], ["b"], [node("DynamicQuantizeLinear", ["a"], ["b", "s", "z"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    branch = graph([scan], [], [value("t", None)])
    choose = node("If", ["c"], ["h"], then_branch=branch, else_branch=branch)
    call = node("f", ["h"], ["y"], domain="own")
    ends = [value("x"), value("c", (), TensorProto.BOOL)]
    return model([choose, call], ends, functions=[own], domains=["own"])


def test_operators_in_branches_and_functions_are_told_too() -> None:
    with pytest.raises(UnsupportedError) as caught:
        gc.from_onnx(branches())
    assert "Multinomial (random draws of its own; 2 nodes: 'inner', 'inner')" in str(caught.value)
    assert "DynamicQuantizeLinear (quantised numbers; 1 node: that of 'b')" in str(caught.value)


def typed(kind: str) -> Any:
    """A model whose input holds elements of a type."""
    return model([node("Identity", ["x"], ["y"])], [value("x", (2,), getattr(TensorProto, kind))])


def of_type(kind: Any, name: str = "x") -> Any:
    """A model of which an input, or an output, is no tensor."""
    made = model([node("Identity", ["x"], ["y"])])
    end = made.graph.input[0] if name == "x" else made.graph.output[0]
    end.type.CopyFrom(kind)
    return made


TENSOR = helper.make_tensor_type_proto(1, (2,))
SEQUENCE = helper.make_sequence_type_proto(TENSOR)
OPTIONAL = helper.make_optional_type_proto(TENSOR)
MAP = helper.make_map_type_proto(INT64, TENSOR)
SPARSE = helper.make_sparse_tensor_type_proto(1, (2,))


def with_sparse() -> Any:
    made = relu()
    values = helper.make_tensor("few", 1, (1,), [1.0])
    indices = helper.make_tensor("", INT64, (1,), [0])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, (9,)))
    return made


def versioned(**fields: Any) -> Any:
    made = relu()
    for name, number in fields.items():
        setattr(made, name, number)
    return made


CASES = [
    *(
        Case(kind, lambda kind=kind: typed(kind), f"the input 'x' holds {kind.lower()}; graphc has")
        for kind in (
            *("BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT4", "UINT4", "FLOAT4E2M1"),
            *("COMPLEX64", "COMPLEX128", "STRING"),
        )
    ),
    Case(
        "a sequence", lambda: of_type(SEQUENCE), "the input 'x' is no tensor; its type is sequence"
    ),
    Case(
        "an optional", lambda: of_type(OPTIONAL), "the input 'x' is no tensor; its type is optional"
    ),
    Case("a map", lambda: of_type(MAP), "the input 'x' is no tensor; its type is map"),
    Case(
        "sparse", lambda: of_type(SPARSE), "the input 'x' is no tensor; its type is sparse tensor"
    ),
    Case(
        "no type", lambda: of_type(onnx.TypeProto()), "the input 'x' is no tensor; its type is none"
    ),
    Case(
        "an output",
        lambda: of_type(SEQUENCE, "y"),
        "the output 'y' is no tensor; its type is sequence",
    ),
    Case("sparse weights", with_sparse, "the graph has sparse initialisers: 'few'"),
    Case(
        "no rank",
        lambda: model([node("Relu", ["x"], ["y"])], [value("x", None)]),
        "the input 'x' does not say how many axes it has",
    ),
    Case("a newer format", lambda: versioned(ir_version=999), "(ir_version) 999 is newer than"),
    Case("an old format", lambda: versioned(ir_version=1), "(ir_version) is 1; the oldest that"),
    Case(
        "newer operators",
        lambda: model([node("Relu", ["x"], ["y"])], opset=10_000),
        "(opset) 10000 is newer than",
    ),
    Case(
        "an operator that was dropped",
        lambda: model([node("Upsample", ["x", "s"], ["y"])], [value("x"), value("s", (2,))]),
        "Upsample (the standard dropped it in opset 10, the model is 17",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_has_no_form_says_what_it_is(case: Case) -> None:
    with pytest.raises(UnsupportedError) as caught:
        gc.from_onnx(case.make())
    assert case.told in str(caught.value)


@pytest.mark.parametrize(
    ("opsets", "told"),
    [
        ([], "does not say which operator sets it uses"),
        ([("", 0)], "the operator set '' has version 0"),
        ([("", 17), ("ai.onnx", 18)], "the operator set '' has two versions"),
    ],
)
def test_operator_sets_have_one_version_each(opsets: Any, told: str) -> None:
    made = relu()
    del made.opset_import[:]
    made.opset_import.extend(helper.make_opsetid(*opset) for opset in opsets)
    with pytest.raises(ModelError, match=told):
        gc.from_onnx(made)


def test_what_no_value_depends_on_is_ignored() -> None:
    made = relu()
    made.doc_string = made.graph.doc_string = "'''; import os"
    made.metadata_props.add(key="k", value="v")
    made.graph.quantization_annotation.add(tensor_name="x")
    made.training_info.add().algorithm.name = "sgd"
    made.graph.value_info.append(value("x", (7,), INT64))
    assert gc.compile(gc.from_onnx(made)).source == gc.compile(gc.from_onnx(relu())).source
