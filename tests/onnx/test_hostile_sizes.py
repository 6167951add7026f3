"""Models that mean more than any memory holds, and models that are odd and nevertheless valid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ShapeError, UnsupportedError
from tests.command_line import ROOT

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from tests.onnx.small_models import Case, model, node, value, weighted  # noqa: E402

INT64 = TensorProto.INT64
HUGE = np.array([10**6, 10**6])
ONE = np.float32([[1.5]])
LARGE = {
    "ConstantOfShape": model(
        [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])],
        weights={"s": HUGE}, inputs=[value("x", ())],
    ),
    "Expand": model(
        [node("Expand", ["w", "s"], ["c"]), node("Add", ["x", "c"], ["y"])],
        weights={"s": HUGE, "w": ONE}, inputs=[value("x", ())],
    ),
    "Tile": model(
        [node("Tile", ["w", "s"], ["c"]), node("Add", ["x", "c"], ["y"])],
        weights={"s": HUGE, "w": ONE}, inputs=[value("x", ())],
    ),
    "Range": model(
        [node("Range", ["a", "b", "d"], ["c"]), node("Add", ["x", "c"], ["y"])],
        weights={"a": np.int64(0), "b": np.int64(10**12), "d": np.int64(1)},
        inputs=[value("x", (), INT64)],
        outputs=[value("y", None, INT64)],
    ),
    "Pad": model([node("Pad", ["x", "p"], ["y"])], weights={"p": np.array([10**12, 0, 0, 0])}),
    "an input": model([node("Relu", ["x"], ["y"])], [value("x", (10**6, 10**6))]),
}  # fmt: skip


def test_arrays_of_a_trillion_elements_are_not_made_when_compiling(tmp_path: Path) -> None:
    for name, made in LARGE.items():
        (tmp_path / f"{name}.onnx").write_bytes(made.SerializeToString())
    limited = (
        "import graphc as gc, resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 31,) * 2)"
        "\nfor name in sys.argv[1:]:"
        "\n    print(len(gc.compile(gc.from_onnx(f'{name}.onnx'), inference=True).source) < 20_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *LARGE],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout == "True\n" * len(LARGE), done.stderr


TOO_LARGE = [
    Case(
        "an input",
        lambda: model([node("Relu", ["x"], ["y"])], [value("x", (2**62, 2**62))]),
        "the input 'x' has more elements than memory has",
    ),
    Case(
        "concatenated again and again",
        lambda: model(
            [
                *(node("Concat", [f"v{i}"] * 2, [f"v{i + 1}"], axis=0) for i in range(70)),
                node("Relu", ["v70"], ["y"]),
            ],
            [value("v0")],
        ),
        "more elements than memory has addresses",
        ShapeError,
    ),
    Case(
        "sizes that are squared again and again",
        lambda: model(
            [
                node("Shape", ["x"], ["v0"]),
                *(node("Mul", [f"v{i}"] * 2, [f"v{i + 1}"]) for i in range(30)),
                node("Expand", ["x", "v30"], ["y"]),
            ],
            [value("x", ("n", "m"))],
        ),
        "the shape is not known",
        UnsupportedError,
    ),
    Case(
        "a recurrence of a trillion steps",
        lambda: model(
            [node("RNN", ["x", "W", "R"], ["y"], hidden_size=2)],
            [value("x", (10**12, 1, 3))],
            weights={"W": np.ones((1, 2, 3), "f4"), "R": np.ones((1, 2, 2), "f4")},
        ),
        "RNN is unrolled over 1 to 16384 steps",
        UnsupportedError,
    ),
    Case(
        "a window of a trillion elements",
        lambda: model(
            [node("MaxPool", ["x"], ["y"], kernel_shape=[10**6, 10**6], auto_pad="SAME_UPPER")],
            [value("x", (1, 1, 4, 4))],
        ),
        "windows have at most",
        UnsupportedError,
    ),
    Case(
        "a quarter of a million nodes",
        lambda: model([node("Relu", ["x"], ["y"])] * 300_000),
        "there are 300000 nodes",
    ),
]


@pytest.mark.parametrize("case", TOO_LARGE, ids=lambda case: case.name)
def test_what_grows_beyond_all_bounds_is_refused(case: Case) -> None:
    with pytest.raises(case.kind) as caught:
        gc.from_onnx(case.make())
    assert case.told in str(caught.value)


# --- what is odd, and valid ----------------------------------------------------------------------


def predicted(made: Any, *arguments: Any) -> Any:
    compiled = gc.compile(gc.from_onnx(made), inference=True)
    given = [compiled.params] if compiled.params else []
    return compiled.load().predict(*given, *arguments)


def test_weights_may_be_no_numbers() -> None:
    weights = np.float32([[np.nan, np.inf, -np.inf], [-0.0, 1e-45, 1.0]])
    made = weighted(onnx.numpy_helper.from_array(weights, "w"))
    assert predicted(made, np.ones((2, 3), np.float32)).tobytes() == (weights + 1).tobytes()


def test_old_files_list_their_initialisers_as_inputs_too() -> None:
    made = weighted(onnx.numpy_helper.from_array(np.ones((2, 3), np.float32), "w"))
    made.graph.input.append(value("w"))
    made.ir_version = 3
    assert predicted(made, np.ones((2, 3), np.float32)).tolist() == [[2.0] * 3] * 2


def test_the_inputs_of_a_message_are_not_changed() -> None:
    made = weighted(onnx.numpy_helper.from_array(np.ones((2, 3), np.float32), "w"))
    before = made.SerializeToString(deterministic=True)
    gc.from_onnx(made)
    assert made.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("FLOAT", [1.5, -2.0]), ("DOUBLE", [1.5, -2.0]), ("FLOAT16", [1.5, -2.0]),
        ("INT8", [-128, 127]), ("UINT8", [0, 255]), ("INT16", [-5, 5]), ("UINT16", [0, 65535]),
        ("INT32", [-5, 5]), ("UINT32", [0, 2**32 - 1]), ("INT64", [-(2**63), 2**63 - 1]),
        ("UINT64", [0, 2**64 - 1]), ("BOOL", [True, False]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("raw", [False, True])
def test_tensors_are_read_as_the_package_onnx_reads_them(
    kind: str, numbers: Any, raw: bool
) -> None:
    from graphc.frontends.onnx.tensors import tensor_array

    element = getattr(TensorProto, kind)
    array = np.array(numbers, helper.tensor_dtype_to_np_dtype(element))
    told = array.tobytes() if raw else array
    made = helper.make_tensor("w", element, (2, 1), told, raw=raw)
    read, expected = tensor_array(made), onnx.numpy_helper.to_array(made)
    assert read.dtype == expected.dtype and read.shape == expected.shape
    assert read.tobytes() == expected.tobytes() == array.tobytes()
