"""ONNX models on the command line: as MODEL of every command, with `--bind` and `--trainable`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.command_line import run

onnx = pytest.importorskip("onnx")

W = np.arange(6, dtype=np.float32).reshape(3, 2) / 4 - 0.6
B = np.array([0.5, -0.25], "float32")
HEADER = '<ir_version: 8, opset_import: ["": 17]>'
# Weights stand in the text of the format; `axes` is an input that fixes what is reduced.
LAYER = f"""{HEADER} layer (float[batch, 3] x, int64[k] axes) => (float[n, m] y, float[r] total)
<float[3, 2] dense_weight = {{{", ".join(map(str, W.ravel()))}}},
 float[2] dense_bias = {{{", ".join(map(str, B))}}}>
{{
    product = MatMul(x, dense_weight)
    sum = Add(product, dense_bias)
    y = Tanh(sum)
    total = ReduceSum<keepdims = 0>(y, axes)
}}"""
UNSUPPORTED = f"{HEADER} m (float[2] x) => (float[2] y) {{ y = Quantum(x) }}"


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of models in the working directory."""
    monkeypatch.chdir(tmp_path)
    onnx.save(onnx.parser.parse_model(LAYER), "layer.onnx")
    Path("text.onnx").write_text("no model")
    Path("folder.onnx").mkdir()
    np.save("axes.npy", np.array([1]))
    Path("model.py").write_text("import graphc as gc\nwith gc.Graph() as g:\n"
                                "    g.output('y', g.input('x', (2,)))\n")  # fmt: skip


def listing() -> list[str]:
    """The files that there are."""
    return sorted(path.name for path in Path().iterdir())


BIND = ("--bind", "axes=1,")


def imported(name: str) -> Any:
    """The result of a program on the module, run where nothing else is: y, total and gradients."""
    program = f"""
import sys; sys.path.insert(0, ".")
import numpy as np, {name} as net
params = net.load_params()
x = np.array([[1, 2, 3], [-1, 0.5, 0]], "float32")
(y, total), residuals = net.forward(params, x)
grads = net.backward(residuals, np.zeros_like(y), np.ones(2, "float32"))
np.savez("results.npz", y=y, total=total, **grads)
assert "graphc" not in sys.modules and "onnx" not in sys.modules
"""
    subprocess.run([sys.executable, "-I", "-c", program], check=True)
    with np.load("results.npz") as archive:
        return {key: archive[key] for key in archive.files}


@pytest.mark.parametrize("binding", ["axes=1,", "axes=axes.npy"])
def test_a_model_is_compiled(binding: str) -> None:
    result = run("compile", "layer.onnx", "-o", "net.py", "--bind", binding)
    assert result.status == 0, result.err
    assert {"net.py", "net.npz"} < {*listing()}
    found = imported("net")
    x = np.array([[1, 2, 3], [-1, 0.5, 0]])
    y = np.tanh(x @ W + B)
    np.testing.assert_allclose(found["y"], y, rtol=1e-6)
    np.testing.assert_allclose(found["total"], y.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found["dense_weight"], x.T @ (1 - y**2), rtol=1e-5)
    np.testing.assert_allclose(found["dense_bias"], (1 - y**2).sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize(("options", "gradients"), [
    ((), ["dense_weight", "dense_bias"]),
    (("--trainable", "*_bias"), ["dense_bias"]),
    (("--trainable", "*_bias", "--trainable", "*_weight"), ["dense_weight", "dense_bias"]),
    (("--freeze", "*_bias"), ["dense_weight"]),
    (("--wrt", "x"), ["x"]),
    (("--wrt", "x,dense_bias", "--embed"), ["x", "dense_bias"]),
])  # fmt: skip
def test_what_gradients_are_taken_for(options: tuple[str, ...], gradients: list[str]) -> None:
    result = run("compile", "layer.onnx", "-o", "net.py", *BIND, *options)
    assert result.status == 0, result.err
    assert ("net.npz" in listing()) != ("--embed" in options)
    assert list(imported("net"))[2:] == gradients


def test_the_other_commands_take_models_too() -> None:
    result = run("inspect", "layer.onnx", *BIND)
    assert result.status == 0, result.err
    assert "tanh" in result.out
    result = run("check", "layer.onnx", *BIND)
    assert result == (0, result.out, "")
    assert result.out.endswith("2 of 2 gradients agree with central differences\n")
    result = run("compile", "layer.onnx", "-o", "-", *BIND, "--style", "workspace")
    assert (result.status, "class Workspace:" in result.out) == (0, True)
    assert "the weights were not written" in result.err
    assert run("compile", "layer.onnx", "-o", "-", *BIND, "--embed").err == ""


def test_a_bound_input_does_not_keep_its_default() -> None:
    model = onnx.parser.parse_model(
        f"{HEADER} m (float[2] x, float[2] s = {{3, 4}}) => (float[2] y) {{ y = Mul(x, s) }}"
    )
    net = gc.compile(gc.from_onnx(model, bind={"s": np.array([5.0, 6.0])})).load()
    np.testing.assert_array_equal(net.predict(np.ones(2, "float32")), [5, 6])


def test_the_command_that_makes_it_again_tells_no_folders(tmp_path: Path) -> None:
    bind = f"axes={tmp_path / 'axes.npy'}"
    result = run("compile", str(tmp_path / "layer.onnx"), "-o", "net.py", "--bind", bind)
    assert result.status == 0, result.err
    source = Path("net.py").read_text()
    assert "graphc compile layer.onnx -o net.py --bind axes=axes.npy\n" in source
    assert str(tmp_path) not in source


@pytest.mark.parametrize(("arguments", "told"), [
    (("layer.onnx",), "axes"),  # which axes are reduced has to be known
    (("layer.onnx", *BIND, "--bind", "axis=1"), "'axis'; did you mean 'axes'?"),
    (("layer.onnx", *BIND, "--bind", "x_1=3"), "no dimension 'x_1'"),  # it has a size
    (("layer.onnx", *BIND, "--bind", "axes=2,"), "axes"),
    (("layer.onnx", *BIND, "--dtype", "float64"), "an ONNX model says its dtypes"),
    (("layer.onnx", "--bind", "axes=0.5,"), "'axes' holds int64"),
    (("layer.onnx", "--bind", "axes=no.npy"), "'no.npy' cannot be read"),
    (("layer.onnx", *BIND, "--trainable", "dence_*"), "no initialiser"),
    (("layer.onnx", *BIND, "--optimizer", "sgd"), "declare it with g.loss(…), as of an imported"),
    (("text.onnx",), "text.onnx"),
    (("MISSING.ONNX",), "cannot read 'MISSING.ONNX'"),
    (("folder.onnx",), "folder.onnx"),
    (("missing.onnx",), "missing.onnx"),
    (("model.py", "--bind", "n=3"), "--bind is for ONNX models; 'model.py' is no .onnx file"),
    (("model.py", "--trainable", "*"), "--trainable is for ONNX models"),
    (("unsupported.onnx",), "Quantum"),
])  # fmt: skip
def test_errors_leave_nothing_behind(arguments: tuple[str, ...], told: str) -> None:
    onnx.save(onnx.parser.parse_model(UNSUPPORTED), "unsupported.onnx")
    before = listing()
    result = run("compile", *arguments, "-o", "net.py")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("graphc: ")
    assert told in result.err
    assert "Traceback" not in result.err
    assert listing() == before


def test_the_model_is_not_replaced() -> None:
    before = Path("layer.onnx").read_bytes()
    result = run("compile", "layer.onnx", "-o", "layer.onnx", "--force", *BIND)
    assert (result.status, result.err) == (2, "graphc: 'layer.onnx' is the model itself\n")
    assert Path("layer.onnx").read_bytes() == before
