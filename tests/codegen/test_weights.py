"""Weights that are given: beside a module, in it, in memory, and never those of another module."""

from __future__ import annotations

import copy
import gc as garbage
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from tests.command_line import run
from tests.styles import in_every_style

Array: TypeAlias = np.ndarray[Any, Any]
RNG = np.random.default_rng(3)
# Under names as they stand in ONNX files, in every dtype and layout that weights come in.
WEIGHTS: dict[str, Array] = {
    "layer.0.weight": RNG.normal(size=(3, 4)).astype("float32"),
    "/b/": np.asfortranarray(RNG.normal(size=(2, 4))),
    "onnx::MatMul_7.npy": RNG.normal(size=(4, 5000)).astype("float32"),  # too large for a literal
    "scale": np.array(-0.0, "float32"),
    "steps": np.array([2, -3], "int64"),
    "mask": np.array([True, False]),
    "nothing": np.zeros((0, 3), "float16"),
}
RUNNING = {"mean": np.array([0.5, np.nan, -1.0], "float32"), "n": np.array(7)}
EMBEDDED = pytest.mark.parametrize("embed", [False, True], ids=["beside", "embedded"])


def pretrained(weights: dict[str, Array] = WEIGHTS, *, drawn: bool = False) -> gc.Graph:
    """A model that reads all its weights, and updates a state; `drawn` adds a new layer."""
    with gc.Graph("pretrained", pretrained=True) as g:
        x = g.input("x", ("batch", 3))
        nodes = {
            name: g.parameter(
                name, value.shape, init=value, dtype=value.dtype, trainable=name[0] in "lo"
            )
            for name, value in weights.items()
        }
        mean, n = (
            g.state(name, value.shape, init=value, dtype=value.dtype)
            for name, value in RUNNING.items()
        )
        g.update(mean, x.mean(axis=0))
        g.update(n, n + 1)
        h = gc.tanh(x - gc.stop_gradient(mean) * 0.0) @ nodes["layer.0.weight"]
        h = h + gc.astype(nodes["/b/"].sum(axis=0), "float32") * nodes["scale"]
        y = h @ nodes["onnx::MatMul_7.npy"]
        if drawn:
            y = y * g.parameter("new", (5000,), init="ones") + g.parameter("bias", init="normal")
        unread = [nodes[name] for name in ("steps", "mask", "nothing")]
        g.output("y", y)
        g.output("rest", sum((gc.astype(node, "int64").sum() for node in unread), n))
    return g


def saved(folder: Path, graph: gc.Graph | None = None, **options: Any) -> Path:
    """The path of a module."""
    return gc.compile(graph or pretrained(), **options).save(folder / "net.py")


def imported(path: Path) -> Any:
    """A module, as `import` makes it."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module


def same(found: Any, expected: dict[str, Array]) -> None:
    """Assert equal names, in order, and equal dtypes, shapes and bits."""
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes()


# --- where weights are --------------------------------------------------------------------------


@EMBEDDED
@in_every_style
def test_weights_are_loaded_under_their_names(tmp_path: Path, style: str, embed: bool) -> None:
    path = saved(tmp_path, style=style, embed=embed)
    assert (tmp_path / "net.npz").exists() != embed
    net = imported(path)
    same(net.load_params(), WEIGHTS)
    same(net.load_state(), RUNNING)
    assert not hasattr(net, "init_params")
    assert not hasattr(net, "init_state")
    net.load_params()["scale"][...] = 1.0  # the caller's own
    same(net.load_params(), WEIGHTS)


@EMBEDDED
@in_every_style
def test_a_module_in_memory_has_its_weights(style: str, embed: bool) -> None:
    compiled = gc.compile(pretrained(), style=style, embed=embed)
    same(compiled.params, WEIGHTS)
    same(compiled.state, RUNNING)
    compiled.params["scale"][...] = 1.0
    same(compiled.params, WEIGHTS)
    load_params = compiled.load().load_params  # whose module is gone already
    garbage.collect()
    same(load_params(), WEIGHTS)


def test_the_folder_of_a_module_in_memory_goes_with_it() -> None:
    module = gc.compile(pretrained()).load()
    folder = Path(module.__file__ or "").parent
    assert folder.is_dir()
    del module
    garbage.collect()
    assert not folder.exists()


@EMBEDDED
def test_a_workspace_starts_from_the_weights(tmp_path: Path, embed: bool) -> None:
    net = imported(saved(tmp_path, style="workspace", embed=embed))
    workspace = net.Workspace(batch=2)
    same(workspace.params, WEIGHTS)
    same(workspace.state, RUNNING)
    other = {**WEIGHTS, "scale": np.array(2.0, "float32")}
    same(net.Workspace(other, batch=2).params, other)
    workspace.set_params(other)
    same(copy.deepcopy(workspace).params, other)


def test_an_inference_module_has_its_weights(tmp_path: Path) -> None:
    for style in ("functional", "workspace"):
        net = imported(saved(tmp_path, style=style, inference=True))
        same(net.load_params(), WEIGHTS)
        if style == "workspace":
            same(net.Workspace(batch=1).params, WEIGHTS)


def test_scalars_stand_in_the_module(tmp_path: Path) -> None:
    with gc.Graph("line", dtype="float64", pretrained=True) as g:
        a = g.parameter("a", init=np.array(0.1))
        n = g.parameter("n", init=np.array(3), dtype="int64", trainable=False)
        g.loss((a * g.input("x") + n) ** 2)
    compiled = gc.compile(g, style="scalar")
    assert not compiled.companion
    net: Any = compiled.load()
    assert net.load_params() == {"a": 0.1, "n": 3}
    net.save_params(tmp_path / "line.json", {"a": 2.5, "n": 4})
    assert net.load_params(tmp_path / "line.json") == {"a": 2.5, "n": 4}
    assert net.value_and_grad(net.load_params(), 2.0)[1]["a"] == pytest.approx(2 * 3.2 * 2)


@EMBEDDED
def test_what_is_drawn_beside_given_weights(tmp_path: Path, embed: bool) -> None:
    path = saved(tmp_path, pretrained(drawn=True), embed=embed)
    net = imported(path)
    params = net.init_params(np.random.default_rng(0))
    same({name: params[name] for name in WEIGHTS}, WEIGHTS)
    assert list(params) == [*WEIGHTS, "new", "bias"]
    same(net.init_state(), RUNNING)
    with pytest.raises(UsageError, match=r"'new' is not an array; .* init_params"):
        gc.compile(pretrained(drawn=True)).params
    if not embed:
        with np.load(tmp_path / "net.npz") as archive:
            own = [*(f"params/{name}" for name in WEIGHTS), *(f"state/{name}" for name in RUNNING)]
            assert archive.files == own


def test_weights_and_constants_share_a_file(tmp_path: Path) -> None:
    weights = {"W": np.ones((3, 9000), "float32")}
    with gc.Graph("m", pretrained=True) as g:
        W = g.parameter("W", (3, 9000), init=weights["W"])
        table = np.arange(9000.0 * 3).reshape(9000, 3)
        g.output("y", g.input("x", (3,)) @ W @ g.constant(table))
    path = saved(tmp_path, g)
    with np.load(tmp_path / "net.npz") as archive:
        assert archive.files == ["params/W", "constants/CONSTANT"]
    net = imported(path)
    assert list(net.CONSTANTS) == ["constants/CONSTANT"]  # no weights are in memory at import
    x = np.array([1.0, 2.0, 3.0], "float32")
    np.testing.assert_allclose(net.predict(net.load_params(), x), 6 * table.sum(axis=0), rtol=1e-5)


# --- other weights ------------------------------------------------------------------------------


def test_weights_of_a_path_are_checked_by_names_shapes_and_dtypes(tmp_path: Path) -> None:
    net = imported(saved(tmp_path))
    tuned = {name: value + value for name, value in WEIGHTS.items()}
    net.save_params(tmp_path / "tuned.npz", tuned)
    same(net.load_params(tmp_path / "tuned.npz"), tuned)
    same(net.load_params(tmp_path / "net.npz"), WEIGHTS)
    for name, wrong, error in [
        ("scale", np.zeros(1, "float32"), "scale: expected float32 of shape ()"),
        ("layer.0.weight", np.zeros((4, 3), "float32"), "layer.0.weight: expected float32"),
        ("steps", np.zeros(2), "steps: expected int64"),
    ]:
        net.save_params(tmp_path / "wrong.npz", {**tuned, name: wrong})
        with pytest.raises((TypeError, ValueError), match=re.escape(error)):
            net.load_params(tmp_path / "wrong.npz")
    net.save_params(tmp_path / "few.npz", {"scale": tuned["scale"]})
    with pytest.raises(ValueError, match=r"no 'params/layer\.0\.weight'; it holds 'params/scale'"):
        net.load_params(tmp_path / "few.npz")


def changed(path: Path) -> None:
    """Change one bit of the last weight."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other(path: Path) -> None:
    """Put the weights of another model there."""
    weights = {**WEIGHTS, "scale": np.array(1.0, "float32")}
    gc.compile(pretrained(weights)).save(path.with_name("other.py"))
    path.with_name("other.npz").replace(path)


def cut_short(path: Path) -> None:
    """Leave the first half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("spoil", [changed, other, cut_short])
@in_every_style
def test_a_companion_that_is_another_one_is_refused(tmp_path: Path, spoil: Any, style: str) -> None:
    path = saved(tmp_path, style=style)
    spoil(tmp_path / "net.npz")
    net = imported(path)  # which needs no weights
    for load in [net.load_params, net.load_state]:
        with pytest.raises(ValueError, match=r"net\.npz is not the file .* pass their path"):
            load()


def test_a_companion_that_is_missing_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "net.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"net\.npz is missing.* pass their path"):
        imported(path).load_params()


def test_a_file_that_is_no_companion_is_kept(tmp_path: Path) -> None:
    """`net.npz` may be what somebody has trained, or data."""
    kept = tmp_path / "net.npz"
    kept.write_bytes(b"trained for weeks")
    module = gc.compile(pretrained())
    with pytest.raises(UsageError, match="there is such a file"):
        module.save(tmp_path / "net.py")
    assert [p.name for p in tmp_path.iterdir()] == ["net.npz"]
    assert kept.read_bytes() == b"trained for weeks"
    module.save(tmp_path / "net.py", force=True)
    assert kept.read_bytes() == bytes(module.companion)


def test_the_hash_goes_by_the_values(tmp_path: Path) -> None:
    def digest(**replaced: Array) -> str:
        return gc.compile(pretrained({**WEIGHTS, **replaced})).lowered.digest

    assert digest() == digest(mask=WEIGHTS["mask"].copy())
    assert digest() != digest(mask=~WEIGHTS["mask"])
    assert digest() != digest(scale=np.array(0.0, "float32"))


def test_bytes_are_the_same_each_time() -> None:
    first, second = (gc.compile(pretrained()) for _ in range(2))
    assert first.source == second.source
    assert bytes(first.companion) == bytes(second.companion)


# --- both files or none -------------------------------------------------------------------------


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function after which the n-th call of one of `os` fails."""

    def fails(step: str, call: int) -> None:
        calls = iter(range(100))
        real = getattr(os, step)

        def fail(*arguments: Any) -> Any:
            if next(calls) == call:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        monkeypatch.setattr(os, step, fail)

    return fails


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("call", [0, 1])
def test_a_module_and_its_weights_are_written_together(
    tmp_path: Path, full_disk: Any, step: str, call: int
) -> None:
    path = saved(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    newer = {**WEIGHTS, "scale": np.array(1.0, "float32")}
    full_disk(step, call)
    with pytest.raises(UsageError, match="No space left"):
        saved(tmp_path, pretrained(newer))
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert after.keys() == before.keys()
    assert after["net.py"] == before["net.py"]
    if (step, call) != ("replace", 1):
        assert after == before
        return
    # Between two renames no file system helps; the older module refuses the newer weights.
    with pytest.raises(ValueError, match="not the file"):
        imported(path).load_params()


# --- how many may be embedded -------------------------------------------------------------------

LARGE = """
import numpy as np
import graphc as gc

with gc.Graph("large", pretrained=True) as g:
    W = g.parameter("W", (600, 500), init=np.full((600, 500), 0.5))
    g.output("y", g.input("x", ("batch", 600)) @ W)
"""


def test_what_may_be_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(LARGE)
    refused = run("compile", "model.py", "-o", "net.py", "--embed")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        "graphc: 1200000 bytes of weights and constants are too many to embed, the limit is "
        "1000000; leave them in a file beside the module, or pass embed=BYTES, or --force\n"
    )
    assert [p.name for p in Path().iterdir()] == ["model.py"]
    assert run("compile", "model.py", "-o", "net.py", "--embed", "--force").status == 0
    assert not Path("net.npz").exists()
    assert imported(tmp_path / "net.py").load_params()["W"].sum() == 150_000
    assert run("compile", "model.py", "-o", "net.py").status == 0
    assert imported(tmp_path / "net.py").load_params()["W"].sum() == 150_000
    assert Path("net.npz").stat().st_size < 1_201_000


@pytest.mark.parametrize(("embed", "allowed"), [(1_200_000, True), (1_199_999, False)])
def test_a_number_says_how_many(embed: int, allowed: bool) -> None:
    scope: dict[str, Any] = {}
    exec(LARGE, scope)
    if allowed:
        assert not gc.compile(scope["g"], embed=embed).companion
        return
    with pytest.raises(UsageError, match="limit is 1199999"):
        gc.compile(scope["g"], embed=embed)
    for wrong in (-1, 0.5, "all", None):
        with pytest.raises(UsageError, match="embed is True, False or a number of bytes"):
            gc.compile(scope["g"], embed=wrong)  # type: ignore[arg-type]


# --- as a file of its own -----------------------------------------------------------------------

PROGRAM = """
import sys
import net

params, state = net.load_params(), net.load_state()
assert "graphc" not in sys.modules
print([(name, value.dtype.name, value.shape) for name, value in (params | state).items()])
if hasattr(net, "Workspace"):
    print(list(net.Workspace(batch=1).params))
"""


def tried(python: str, folder: Path) -> None:
    """Run a module from another folder: by itself, then by a program that imports it."""
    (folder / "program.py").write_text(PROGRAM)
    for arguments in (["net.py", "--self-test"], ["program.py"]):
        command = [python, "-I", str(folder / arguments[0]), *arguments[1:]]
        if arguments[0] == "program.py":
            told = f"import sys; sys.path.insert(0, {str(folder)!r}); import program"
            command = [python, "-I", "-c", told]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "('layer.0.weight', 'float32', (3, 4))" in done.stdout


@EMBEDDED
@in_every_style
def test_the_self_test_and_the_weights_need_no_graphc(
    tmp_path: Path, style: str, embed: bool
) -> None:
    saved(tmp_path, style=style, embed=embed)
    tried(sys.executable, tmp_path)


@pytest.mark.conformance
@EMBEDDED
@in_every_style
def test_an_old_numpy_reads_the_weights(
    tmp_path: Path, style: str, embed: bool, old_numpy_python: Path
) -> None:
    saved(tmp_path, style=style, embed=embed)
    tried(str(old_numpy_python), tmp_path)


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["functional", "workspace"])
def test_weights_are_held_once_while_compiling(tmp_path: Path, style: str) -> None:
    """What exists beside them stays under a tenth of 32 MB, saving included."""
    content = np.full(8_000_000, 0.5, "float32").tobytes()  # as an ONNX file has them in memory
    with gc.Graph("large", pretrained=True) as g:
        weights = np.frombuffer(content, "float32").reshape(2000, 4000)
        g.output("y", g.input("x", ("batch", 2000)) @ g.parameter("W", (2000, 4000), init=weights))
    tracemalloc.start()
    try:
        saved(tmp_path, g, style=style)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_200_000
    assert (tmp_path / "net.npz").stat().st_size > 32_000_000


def test_an_array_that_may_change_is_copied_once() -> None:
    weights = np.zeros((1000, 1000), "float32")
    tracemalloc.start()
    try:
        with gc.Graph("m", pretrained=True) as g:
            W = g.parameter("W", (1000, 1000), init=weights)
            g.output("y", W.sum())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * weights.nbytes
    weights[...] = 1.0
    assert not gc.compile(g).params["W"].any()
