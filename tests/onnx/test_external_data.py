"""Weights in files beside a model: read where they may be, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ModelError, UsageError
from tests.command_line import ROOT, run

onnx = pytest.importorskip("onnx")

from onnx import TensorProto  # noqa: E402

from tests.onnx.small_models import weighted  # noqa: E402

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)


def external(**entries: object) -> Any:
    """A model whose weight is elsewhere."""
    tensor = TensorProto(name="w", data_type=1, dims=(2, 3), data_location=TensorProto.EXTERNAL)
    for key, told in entries.items():
        tensor.external_data.add(key=key, value=str(told))
    return weighted(tensor)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for the model, in one with what the model must not read."""
    folder = tmp_path / "home"
    (folder / "below").mkdir(parents=True)
    for path in (tmp_path / "secret", folder / "w.bin", folder / "below" / "w.bin"):
        path.write_bytes(bytes(8) + WEIGHTS.tobytes())
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (folder / "in").symlink_to(folder / "w.bin")
    (folder / "circle").symlink_to(folder / "circle")
    os.link(tmp_path / "secret", folder / "hard")
    os.mkfifo(folder / "pipe")
    return folder


def saved(folder: Path, made: Any) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path


class Case(NamedTuple):
    entries: dict[str, object]
    told: str


AT = {"offset": 8, "length": 24}
CASES = {
    "absolute": Case({"location": "/etc/passwd"}, "outside of the model's folder"),
    "upward": Case({"location": "../secret"}, "outside of the model's folder"),
    "down and up": Case({"location": "below/../../secret"}, "outside of the model's folder"),
    "of Windows": Case({"location": "C:\\w.bin"}, "outside of the model's folder"),
    "of a server": Case({"location": "\\\\host\\w.bin"}, "outside of the model's folder"),
    "upward, of Windows": Case({"location": "..\\secret"}, "outside of the model's folder"),
    "a link out": Case({"location": "out", **AT}, "a link out of the model's folder"),
    "a folder that is a link": Case({"location": "up/secret", **AT}, "a link out of the model's"),
    "a circle": Case({"location": "circle"}, "cannot be read"),
    "a hard link": Case({"location": "hard", **AT}, "a file with other names (hard links)"),
    "a folder": Case({"location": "below"}, "which is no regular file"),
    "a pipe": Case({"location": "pipe"}, "which is no regular file"),
    "missing": Case({"location": "v.bin"}, "cannot be read: No such file"),
    "no location": Case({}, "which is no name of a file"),
    "control characters": Case({"location": "w\n.bin"}, "which is no name of a file"),
    "NUL": Case({"location": "w\0.bin"}, "which is no name of a file"),
    "behind the end": Case({"location": "w.bin", "offset": 16, "length": 24}, "16 to 40 of 'w.bi"),
    "far behind": Case({"location": "w.bin", "offset": 10**18}, "of 'w.bin', which has 32"),
    "too long": Case({"location": "w.bin", "offset": 8, "length": 10**18}, "which has 32"),
    "too short": Case({"location": "w.bin", "offset": 8, "length": 20}, "24 bytes, got 20"),
    "the rest is too long": Case({"location": "w.bin"}, "24 bytes, got 32"),
    "negative": Case({"location": "w.bin", "offset": -8}, "a number of bytes, got '-8'"),
    "negative length": Case({"location": "w.bin", "length": -1}, "a number of bytes, got '-1'"),
    "no number": Case({"location": "w.bin", "offset": "8.0"}, "a number of bytes, got '8.0'"),
    "a million digits": Case({"location": "w.bin", "length": "9" * 10**6}, "a number of bytes"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_place_that_weights_must_not_be_read_from_is_refused(name: str, home: Path) -> None:
    case = CASES[name]
    with pytest.raises(ModelError) as caught:
        gc.from_onnx(saved(home, external(**case.entries)))
    assert case.told in str(caught.value) and "the tensor 'w'" in str(caught.value)
    assert str(caught.value).startswith("net.onnx: ") and len(str(caught.value)) < 300


@pytest.mark.parametrize("location", ["w.bin", "below/w.bin", "in"])
@pytest.mark.parametrize("entries", [AT, {"offset": 8}, {**AT, "checksum": "0", "other": "1"}])
def test_weights_in_the_folder_of_the_model_are_read(
    location: str, entries: dict[str, object], home: Path
) -> None:
    path = saved(home, external(location=location, **entries))
    compiled = gc.compile(gc.from_onnx(path), inference=True)
    assert compiled.params["w"].tolist() == WEIGHTS.tolist()
    x = np.ones((2, 3), np.float32)
    assert compiled.load().predict(compiled.params, x).tolist() == (WEIGHTS + 1).tolist()


def test_the_folder_may_be_reached_by_a_link(home: Path, tmp_path: Path) -> None:
    saved(home, external(location="w.bin", **AT))
    (tmp_path / "linked").symlink_to(home)
    assert [*gc.from_onnx(tmp_path / "linked" / "net.onnx").parameters] == ["w"]


def test_a_constant_may_be_in_a_file_too(home: Path) -> None:
    from tests.onnx.small_models import model, node

    (tensor,) = external(location="w.bin", **AT).graph.initializer
    made = model([node("Constant", [], ["c"], value=tensor), node("Add", ["x", "c"], ["y"])])
    graph = gc.from_onnx(saved(home, made))
    x = np.ones((2, 3), np.float32)
    assert gc.compile(graph, inference=True).load().predict(x).tolist() == (WEIGHTS + 1).tolist()
    tensor.external_data[0].value = "../secret"
    made.graph.node[0].attribute[0].t.CopyFrom(tensor)
    with pytest.raises(ModelError, match="outside of the model's folder"):
        gc.from_onnx(saved(home, made))


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_model_without_a_folder_has_no_files(
    as_bytes: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    made = external(location="w.bin", **AT)
    with pytest.raises(UsageError, match="pass the path of the model"):
        gc.from_onnx(made.SerializeToString() if as_bytes else made)


def test_the_command_line_writes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    saved(home, external(location="../secret"))
    before = sorted(os.listdir(home))
    result = run("compile", "net.onnx", "-o", "net.py")
    assert result.status == 2 and "outside of the model's folder" in result.err
    assert sorted(os.listdir(home)) == before


MEASURED = """
import resource, sys
import graphc as gc
import graphc.frontends.onnx.importer
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
graph = gc.from_onnx(sys.argv[1])
read = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
gc.compile(graph, inference=True).save("net.py")
print(read - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.conformance
@pytest.mark.parametrize("within", [False, True])
def test_weights_are_not_copied_again_and_again(within: bool, tmp_path: Path) -> None:
    from tests.onnx.small_models import model, node, value

    weights = np.random.default_rng(0).random((4096, 8192), np.float32)  # 128 MB
    made = model([node("MatMul", ["x", "w"], ["y"])], [value("x", ("n", 4096))])
    tensor = made.graph.initializer.add(name="w", data_type=1, dims=weights.shape)
    if within:
        tensor.raw_data = weights.tobytes()
    else:
        weights.tofile(tmp_path / "w.bin")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
    path = saved(tmp_path, made)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    read, compiled = (int(kilobytes) * 1024 / weights.nbytes for kilobytes in done.stdout.split())
    assert read < (3 if within else 1.2) and compiled < 3, done.stdout
