"""Generated modules as their users have them: alone, beside linters, on old and new NumPy.

All models of the catalogue are written to one folder, and each tool runs once over all of them.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import ALL, Net, built, leaves, net
from tests.golden import run_standalone
from tests.styles import STYLES

PYTHON_39 = "GRAPHC_PYTHON39"
MODULES = [f"{name}__{style}" for style in STYLES for name in ALL]
over = pytest.mark.parametrize("name", MODULES)


def made(name: str) -> Net:
    """A model of the catalogue in a style."""
    model, _, style = name.rpartition("__")
    return net(model, style)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All modules, as `name.py`."""
    target = tmp_path_factory.mktemp("modules")
    for name in MODULES:
        made(name).compiled.save(target / f"{name}.py")
    return target


# --- linters ------------------------------------------------------------------------------------


def tool(folder: Path, *command: str) -> str:
    """What a tool of the environment of the tests says about the folder."""
    # All tests share what mypy knows of NumPy.
    environment = {**os.environ, "MYPY_CACHE_DIR": str(folder.parent / "mypy_cache")}
    done = subprocess.run(
        [sys.executable, "-m", *command, "."],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def complaints(folder: Path) -> dict[str, str]:
    """What each tool says."""
    ruff = ["--isolated", "--line-length", "100"]
    return {
        "check": tool(
            folder, "ruff", "check", *ruff, "--extend-select", "E,W", "--output-format=json"
        ),
        "format": tool(folder, "ruff", "format", *ruff, "--check"),
        "mypy": tool(folder, "mypy", "--strict", "--python-version", "3.11"),
    }


def lint(complaints: dict[str, str], name: str) -> list[tuple[str, int]]:
    """Rule and line of what ruff has to say about a module; E501 is what is over 100 columns."""
    return [
        (item["code"], item["location"]["row"])
        for item in json.loads(complaints["check"])
        if Path(item["filename"]).name == f"{name}.py"
    ]


@over
def test_ruff_finds_nothing(name: str, complaints: dict[str, str]) -> None:
    assert lint(complaints, name) == []


@over
def test_ruff_would_format_it_the_same(name: str, complaints: dict[str, str]) -> None:
    assert not re.search(rf"(^|\W){name}\.py", complaints["format"])


@over
def test_mypy_finds_nothing_in_strict_mode(name: str, complaints: dict[str, str]) -> None:
    said = [line for line in complaints["mypy"].splitlines() if line.startswith(f"{name}.py")]
    assert said == []


def test_the_linters_look_at_the_modules(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import os\nx: int = 'a'\n" + "# " + "-" * 99 + "\n")
    ruff = ["--isolated", "--line-length", "100"]
    said = tool(tmp_path, "ruff", "check", *ruff, "--extend-select", "E,W", "--output-format=json")
    assert {"F401", "E501"} <= {item["code"] for item in json.loads(said)}
    assert "bad.py" in tool(tmp_path, "ruff", "format", *ruff, "--check")
    assert "bad.py:2" in tool(tmp_path, "mypy", "--strict")


@over
def test_it_is_python_3_9(name: str, folder: Path) -> None:
    ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 9))


@over
def test_it_imports_numpy_and_the_standard_library(name: str, folder: Path) -> None:
    found = set()
    for node in ast.walk(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    assert found - set(sys.stdlib_module_names) == {"numpy"}


# --- alone --------------------------------------------------------------------------------------


def feeds(model: Net) -> dict[str, Any]:
    """The arguments of all functions, in the keys that `run_standalone` reads."""
    found: dict[str, Any] = {}
    for function in ("predict", "evaluate", "forward", "train_step"):
        if not hasattr(model.module, function):
            continue
        for name, value in model.arguments(function).items():
            if name in ("optimizer_state", "rng"):
                continue
            entries = value.items() if isinstance(value, dict) else [(None, value)]
            for key, array in entries:
                found["|".join([function, name, *([key] if key else [])])] = array
    found |= {
        key.replace("forward", "value_and_grad", 1): value
        for key, value in found.items()
        if key.startswith("forward|") and hasattr(model.module, "value_and_grad")
    }
    found |= {f"sizes|{name}": np.array(size) for name, size in sizes(model).items()}
    return found | {f"backward|{name}": value for name, value in model.bars().items()}


def sizes(model: Net) -> dict[str, int]:
    """The sizes for which a workspace is made."""
    workspace = getattr(model.module, "Workspace", None)
    if workspace is None:
        return {}
    model.call("predict" if hasattr(model.module, "predict") else "forward")
    found = inspect.signature(workspace).parameters
    return {name: getattr(model.module.workspace, name) for name in found if name != "params"}


def results(model: Net) -> dict[str, Any]:
    """What the functions return in this process, in the keys of `run_standalone`."""
    found: dict[str, Any] = {}
    if model.compiled.lowered.options["style"] == "workspace":
        return results_of_workspace(model)
    for name in ("predict", "evaluate", "forward", "value_and_grad", "train_step"):
        if hasattr(model.module, name):
            result = model.call(name)
            found |= dict(run_standalone.leaves(result, name))
            if name == "forward":
                gradients = model.module.backward(result[-1], **model.bars())
                found |= dict(run_standalone.leaves(gradients, "backward"))
    return found


def results_of_workspace(model: Net) -> dict[str, Any]:
    """The same for a workspace, which does not return what it keeps."""
    found: dict[str, Any] = {}
    for name in ("predict", "evaluate", "forward", "value_and_grad", "train_step"):
        if hasattr(model.module, name):
            result = model.call(name)
            if name == "forward":
                gradients = model.module.backward(result[-1], **model.bars())
                found |= dict(run_standalone.leaves(gradients, "backward"))
                result = result[0]
            elif name in ("value_and_grad", "train_step"):
                result = (result[0], result[-1])
            found |= dict(run_standalone.leaves(result, name))
    return found


def run_alone(python: Path, folder: Path, target: Path) -> str:
    """Run all modules of a folder in a copy; what went wrong."""
    for path in folder.iterdir():
        if path.suffix in (".py", ".npz"):
            shutil.copy(path, target)
    for name in MODULES:
        np.savez(target / f"{name}.feeds.npz", **feeds(made(name)))
    script = str(Path(run_standalone.__file__))
    command = [str(python), "-I", "-W", "error", script, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_results(target: Path, tolerance: float) -> None:
    """The results of another process are those of this one: same dtypes, same values."""
    for name in MODULES:
        with np.load(target / f"{name}.results.npz") as stored:
            theirs = {key: stored[key] for key in stored.files}
        ours = results(made(name))
        assert theirs.keys() == ours.keys()
        half = tolerance if not name.startswith("half_") else 1e-2
        for key, value in ours.items():
            assert theirs[key].dtype == np.asarray(value).dtype, (name, key)
            np.testing.assert_allclose(
                theirs[key], value, rtol=half, atol=half, err_msg=f"{name} {key}"
            )


def test_modules_run_with_nothing_but_numpy(folder: Path, tmp_path: Path) -> None:
    assert run_alone(Path(sys.executable), folder, tmp_path) == ""
    check_results(tmp_path, 0.0)


@pytest.mark.conformance
def test_modules_run_under_the_oldest_numpy(
    folder: Path, tmp_path: Path, old_numpy_python: Path
) -> None:
    assert run_alone(old_numpy_python, folder, tmp_path) == ""
    check_results(tmp_path, 2e-5)


@pytest.mark.conformance
def test_modules_run_under_python_3_9(folder: Path, tmp_path: Path) -> None:
    python = os.environ.get(PYTHON_39)
    if python is None:
        pytest.skip(f"{PYTHON_39} names no Python 3.9 that has NumPy")
    code = "import sys, numpy; assert sys.version_info[:2] == (3, 9)"
    subprocess.run([python, "-c", code], check=True)
    assert run_alone(Path(python), folder, tmp_path) == ""
    check_results(tmp_path, 2e-5)


@over
def test_outputs_and_gradients_have_the_declared_dtypes(name: str) -> None:
    model = made(name)
    graph, lowered = model.graph, model.compiled.lowered
    if lowered.predict is not None:
        predicted = model.call("predict")
        predicted = predicted if len(graph.outputs) > 1 else (predicted,)
        for node, value in zip(graph.outputs.values(), predicted, strict=True):
            assert (value.dtype, value.ndim) == (node.dtype.numpy, node.ndim)
    if lowered.forward is None:
        return
    *_, residuals = model.call("forward")
    gradients = model.module.backward(residuals, **model.bars())
    arguments = {**model.values["params"], **model.values["inputs"]}
    assert tuple(gradients) == lowered.gradients
    for key, value in gradients.items():
        assert (value.dtype, value.shape) == (arguments[key].dtype, arguments[key].shape), key
    if lowered.loss:
        objective = graph.objective if graph.objective is not None else graph.outputs[lowered.loss]
        assert model.call("value_and_grad")[0].dtype == objective.dtype.numpy


# --- the self-test notices what is wrong --------------------------------------------------------

# Terms of a sum of dozens that are smaller than its tolerance.
INSENSITIVE = {"long_expression__functional": 4, "long_expression__workspace": 8}


def sabotaged_workspace(source: str) -> dict[str, str]:
    """The source with what one line of backward wrote doubled, by that line."""
    lines = source.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("    def backward("))
    stop = next(i for i in range(start, len(lines)) if lines[i] == "        return self.grads")
    found = {}
    for i in range(start, stop):
        match = re.fullmatch(r"        [a-zA-Z].*out=(\w+_bar\w*)\)(  #.*)?", lines[i])
        match = match or re.fullmatch(r"        (\w+_bar\w*)\[\.\.\.\] = .*[^(]", lines[i])
        if match:
            doubled = f"        {match[1]} *= 2"
            found[lines[i].strip()] = "\n".join([*lines[: i + 1], doubled, *lines[i + 1 :], ""])
    return found


def sabotaged(source: str) -> dict[str, str]:
    """The source with one line of backward doubled, by the name that the line assigns."""
    lines = source.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("def backward("))
    stop = next(i for i in range(start, len(lines)) if lines[i].startswith("    return {"))
    found = {}
    for i in range(start, stop):
        match = re.fullmatch(
            r"    (\w+_bar(?:_\d+)?) = (?!checked|np\.zeros|as_float|0\.0$)(.*?)(  #.*)?", lines[i]
        )
        if match and not match[2].endswith("("):  # an expression over several lines
            changed = f"    {match[1]} = 2 * ({match[2]})"
            found[match[1]] = "\n".join([*lines[:i], changed, *lines[i + 1 :], ""])
    assert found
    return found


def passes(source: str) -> bool:
    """Whether the self-test of a module passes."""
    scope: dict[str, Any] = {"__name__": "sabotaged"}
    exec(compile(source, "<sabotaged>", "exec"), scope)
    with np.errstate(all="ignore"):
        return bool(scope["self_test"]())


@over
def test_the_self_test_notices_a_wrong_gradient_line(
    name: str,
) -> None:
    source = made(name).compiled.source
    if "def backward" not in source or "load_companion" in source:
        pytest.skip("no backward pass, or one that needs its companion file")
    assert passes(source)
    change = sabotaged_workspace if "class Workspace" in source else sabotaged
    wrong = list(change(source).items())
    wrong = wrong[:: 1 + len(wrong) // 60]  # of a long backward pass, some lines
    unnoticed = [line for line, changed in wrong if passes(changed)]
    assert len(unnoticed) == INSENSITIVE.get(name, 0), unnoticed


@pytest.mark.parametrize("style", [*STYLES, "scalar"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_of_every_dtype_are_stored(dtype: str, style: str) -> None:
    source = built(lambda g: g.loss(np.sin(g.input("x", ()))), {"style": style}, dtype=dtype)
    assert passes(source.compiled.source)


@pytest.mark.parametrize(("shift", "told"), [(0.0, False), (2.0, True)])
@pytest.mark.parametrize("op", [gc.inv, gc.det])
def test_numbers_that_are_all_rounding_are_not_stored(op: Any, shift: float, told: bool) -> None:
    """The samples are sines in a row: matrices of rank 2, or 3 around 1.5."""

    def declare(g: gc.Graph) -> None:
        g.loss(op(g.input("x", (2, 5, 5)) + shift * np.eye(5)).sum())

    assert ('"loss", loss' in built(declare, dtype="float64").compiled.source) is told


def test_workspaces_have_lines_to_sabotage() -> None:
    counts = {name: len(sabotaged_workspace(made(f"{name}__workspace").compiled.source))
              for name in ("mlp", "deep_mlp", "attention", "double")}  # fmt: skip
    assert all(count >= 5 for count in counts.values()), counts


def test_the_exit_status_tells_of_a_wrong_gradient(tmp_path: Path) -> None:
    source = net("two_heads").compiled.source
    replacements: list[Callable[[str], str]] = [
        lambda text: text.replace("probabilities_bar - (", "probabilities_bar + ("),
        lambda text: text.replace("V_bar = features.T @ score_bar", "V_bar = features[0]"),
        lambda text: text,
    ]
    statuses = []
    for i, replace in enumerate(replacements):
        path = tmp_path / f"module_{i}.py"
        path.write_text(replace(source), encoding="utf-8")
        assert (replace(source) == source) == (i == 2)
        command = [sys.executable, "-W", "error", str(path), "--self-test"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        statuses.append(done.returncode)
        assert done.stderr == ""
        assert ("FAILED" in done.stdout) == (i < 2)
    assert statuses == [1, 1, 0]


def test_another_argument_than_self_test_is_told(tmp_path: Path) -> None:
    path = net("two_heads").compiled.save(tmp_path / "module.py")
    for arguments in ([], ["--selftest"], ["--self-test", "more"]):
        command = [sys.executable, str(path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.strip() == f"usage: {path} --self-test"


def test_leaves_finds_every_array() -> None:
    found = dict(leaves(({"a": np.ones(1), "step": 3}, np.zeros(2))))
    assert list(found) == ["[0]['a']", "[1]"]
