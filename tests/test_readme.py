"""README is true: its code runs, and what it says about adding an op is done here to the letter."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.op import FUNCTIONS
from tests.command_line import run, run_process
from tests.peers import peer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code(heading: str) -> list[str]:
    """The Python blocks of a section."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


def test_the_model_compiles_to_the_lines_that_are_shown() -> None:
    """The statements of README's `forward` and `backward` are those of the generated file."""
    model, shown, _ = code("What you write, what you get")
    scope: dict[str, object] = {}
    exec(model.replace('module.save("digits_net.py")', ""), scope)
    module = scope["module"]
    assert isinstance(module, gc.Module)
    generated = [line.strip() for line in module.source.splitlines()]
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    assert len(lines) > 15
    assert [line for line in lines if line not in generated] == []


def test_the_loop_of_a_workspace_runs() -> None:
    """The statements about `Workspace`, after the model; each step makes the loss smaller."""
    model, _, loop = code("What you write, what you get")
    rng = np.random.default_rng(0)
    scope: dict[str, Any] = {}
    exec(model.split("\nmodule = ")[0], scope)
    scope |= {"x": rng.normal(size=(128, 64)), "t": rng.integers(0, 10, 128)}
    until_resized, after = loop.split("ws.resize")
    exec(until_resized, scope)
    given = scope["x"], scope["t"]
    assert scope["ws"].step(*given, lr=0.1) == scope["loss"] > scope["ws"].evaluate(*given)
    exec(f"ws.resize{after}", scope)
    assert scope["ws"].predict(scope["x"][:32]).shape == (32, 10)


def test_the_network_of_readme_trains() -> None:
    """From layers to a checkpoint; the last epochs are better than the first."""
    (block,) = code("Networks, losses and training")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 200)
    images = rng.normal(size=(200, 1, 8, 8)) + np.eye(64)[labels * 6].reshape(-1, 1, 8, 8) * 8
    scope: dict[str, Any] = {"gc": gc, "np": np, "images": images, "labels": labels}
    exec(block.split("net.save_checkpoint")[0], scope)
    assert len(scope["losses"]) == 20
    assert scope["losses"][-1] < scope["losses"][0] / 2
    predicted = scope["net"].predict(scope["params"], scope["state"], images).argmax(axis=1)
    assert (predicted == labels).mean() > 0.9


def test_the_checkpoint_of_readme_is_read_again(tmp_path: Path) -> None:
    (block,) = code("Networks, losses and training")
    block = block.replace("digits.npz", str(tmp_path / "digits.npz")).replace(
        "epochs=20", "epochs=1"
    )
    rng = np.random.default_rng(0)
    given = {"images": rng.normal(size=(9, 1, 8, 8)), "labels": rng.integers(0, 10, 9)}
    scope: dict[str, Any] = {"gc": gc, "np": np, **given}
    exec(block, scope)
    read = scope["net"].load_checkpoint(tmp_path / "digits.npz")
    assert read.epoch == 20
    for name, value in scope["params"].items():
        np.testing.assert_array_equal(read.params[name], value)


def test_the_equations_of_readme_are_printed() -> None:
    section = README.split("\n## See the derivation\n")[1]
    shown = section.split("```\n")[1]
    assert shown in run("inspect", str(ROOT / "examples" / "digits_mlp.py")).out
    (formula,) = re.findall(r"`graphc (derive .*?)` does", section)
    printed = run(*shlex.split(formula)).out
    assert "∂y/∂z = x*exp(x*z) + x/log(x)" in printed
    assert f"y     = {math.exp(6) + 6 / math.log(2)!r}" in printed


@pytest.mark.conformance
def test_the_network_of_pytorch_is_fine_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of README: a step by hand is PyTorch's, and `fit` makes the loss smaller."""
    torch = peer("torch")
    export, step, with_loss = code("ONNX in, NumPy with gradients out")
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(20, 64)).astype(np.float32), rng.integers(0, 10, 20)
    scope: dict[str, Any] = {"gc": gc, "torch": torch, "x": x, "t": t}
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        exec(export, scope)
    exec(step, scope)
    network = scope["network"]
    images, labels = torch.from_numpy(x), torch.from_numpy(t)
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    for name, parameter in network.named_parameters():
        stepped = (parameter - 0.1 * parameter.grad).detach().numpy()
        np.testing.assert_allclose(scope["params"][name], stepped, rtol=1e-4, atol=1e-6)

    exec(with_loss, {**scope, "t": None}, found := {"gc": gc})
    net = found["net"]
    _, _, losses = net.fit(
        net.load_params(), x, t, epochs=5, batch_size=20, rng=np.random.default_rng(0)
    )
    assert losses[-1] < losses[0]


def test_the_ops_of_readme_are_right(tmp_path: Path) -> None:
    (block,) = code("Your own ops")
    file = tmp_path / "ops.py"
    file.write_text(f"import numpy as np\n\nimport graphc as gc\n{block}\n{OWN_OPS}")
    command = [sys.executable, str(file)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    swish, softsign = (1 / (1 + math.exp(-1000)) * 1000, 1000 / 1001)
    np.testing.assert_allclose(json.loads(run.stdout), [swish, softsign, 1.0, 1 / 1001**2])


OWN_OPS = """
import json

with gc.Graph("own") as g:
    x = g.input("x", ())
    for name, y in (("swish", swish(x)), ("softsign", softsign_op(x))):
        g.output(name, y)
    g.output("dswish", gc.grad(g.outputs["swish"], x))
    g.output("dsoftsign", gc.grad(g.outputs["softsign"], x))
print(json.dumps([float(value) for value in gc.compile(g).load().predict(1000.0)]))
"""


def test_the_traced_function_of_readme_runs() -> None:
    """The one-line example of `gc.trace`, against NumPy."""
    (example,) = re.findall(r"`(gc\.trace\(.*\))`", README)
    graph = eval(example, {"gc": gc, "np": np})
    net = SimpleNamespace(**vars(gc.compile(graph).load()))
    rng = np.random.default_rng(0)
    x, W = rng.normal(size=(5, 64)), rng.normal(size=(64, 10))
    np.testing.assert_allclose(net.predict({"W": W}, x), np.tanh(x @ W), rtol=1e-4, atol=1e-5)


def test_adding_an_op_touches_one_file_and_no_test(tmp_path: Path) -> None:
    """README's declaration, put into a copy of the tree, is tested by the tests that are there.

    The same with the sign of a derivative turned round fails.
    """
    (declaration,) = code("Adding an op")
    assert len(declaration.splitlines()) <= 10
    for folder in ("graphc", "templates", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, tmp_path / file)
    ops = tmp_path / "graphc" / "ops" / "elementwise.py"
    source = ops.read_text(encoding="utf-8")
    source = source.replace("__all__ = [\n", '__all__ = [\n    "logaddexp2",\n')
    source = f"{source}\n\n{declaration}"
    ops.write_text(source, encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "-q", "tests/ops", "-k", "logaddexp2", "-p",
               "no:cacheprovider"]  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
    (passed,) = re.findall(r"(\d+) passed", run.stdout)
    assert int(passed) >= 20

    command = [sys.executable, "-m", "graphc", "ops"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "y_bar = out_bar * np.power(2, y - out)" in run.stdout

    wrong = source.replace("out, x, y: g * 2.0", "out, x, y: -g * 2.0")
    assert wrong != source
    ops.write_text(wrong, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "tests/ops/test_derivatives.py", "-k",
               "logaddexp2", "-p", "no:cacheprovider"]  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "FAILED tests/ops/test_derivatives.py::" in run.stdout


# --- the table of what is supported --------------------------------------------------------------

MARKED = re.compile(r"(?<=<!-- supported -->\n).*?(?=<!-- /supported -->)", re.DOTALL)
OPERATORS = re.compile(r"(?<=<!-- operators -->\n).*?(?=<!-- /operators -->)", re.DOTALL)
UPDATE = "if this is what it should be: pytest tests/test_readme.py --update"


def test_the_table_is_what_is_supported(request: pytest.FixtureRequest) -> None:
    # In a process of its own: other tests register ops, as users do.
    compare_table(request, MARKED, "ops", "--format", "markdown")


def test_the_operators_of_onnx_are_those_that_are_known(request: pytest.FixtureRequest) -> None:
    onnx = peer("onnx")
    (newest,) = re.findall(r"from opset 7 to (\d+), which is onnx", README)
    if onnx.defs.onnx_opset_version() != int(newest):
        pytest.skip(f"README's table is that of opset {newest}")
    compare_table(request, OPERATORS, "ops", "--onnx")


def compare_table(request: pytest.FixtureRequest, place: re.Pattern[str], *command: str) -> None:
    """What a command prints, beside what stands in README; or put there with --update."""
    printed = run_process(command, ROOT, PYTHONIOENCODING="utf-8").out
    table = f"\n{printed}\n"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if request.config.getoption("--update"):
        (ROOT / "README.md").write_text(place.sub(lambda _: table, readme), encoding="utf-8")
    else:
        assert place.findall(readme) == [table], UPDATE


def test_the_table_has_every_public_name_once() -> None:
    _, _, *rows = run("ops", "--format", "markdown").out.splitlines()
    subjects, columns = zip(*(row.strip("| ").split(" | ") for row in rows), strict=True)
    assert all(subject[0].isupper() for subject in subjects)
    listed = re.findall(r"`([\w.]+)`", " ".join(columns))
    assert len(listed) == len(set(listed))
    assert all(callable(attrgetter(name)(gc)) for name in listed)
    registered = {name for name in FUNCTIONS if is_public(name)}
    assert {"relu", "random.normal"} <= registered <= set(listed)
    assert {f"init.{name}" for name in gc.init.__all__} <= set(listed)


def is_public(name: str) -> bool:
    """Whether a name of the registry, `relu` or `random.normal`, is one that users have.

    `linalg.det` and `trace` are NumPy's names alone: `gc.trace` is another function.
    """
    *namespace, last = name.split(".")
    home = getattr(gc, namespace[0], None) if namespace else gc
    return last in getattr(home, "__all__", ()) and name != "trace"
