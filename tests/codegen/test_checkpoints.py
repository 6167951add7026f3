"""Checkpoints: training goes on in another process as if it had never stopped, in every bit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.runtime import checkpoints, files
from tests.codegen.fitted import OPTIONS, Training, network, same
from tests.styles import in_every_style

ROOT = Path(gc.__file__).parent.parent
GOING_ON = """
import importlib.util, sys
from tests.codegen.fitted import Training

spec = importlib.util.spec_from_file_location("generated", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
training = Training(module, seed=99)
training.load(sys.argv[2])
training.fit(3)
training.save(sys.argv[3])
"""


@cache
def compiled(style: str, optimizer: str = "") -> gc.Module:
    """The network, with its own optimiser unless another is named."""
    options = {**OPTIONS, "optimizer": optimizer or OPTIONS["optimizer"]}
    return gc.compile(network(), style=style, **options)


def load(style: str, optimizer: str = "") -> Any:
    """A new module."""
    return compiled(style, optimizer).load()


@in_every_style
def test_going_on_in_another_process_is_going_on(style: str, tmp_path: Path) -> None:
    whole = Training(load(style))
    whole.fit(6)
    half = Training(load(style))
    half.fit(3)
    half.save(tmp_path / "half.npz")
    module = compiled(style).save(tmp_path / "network.py")
    paths = [str(module), str(tmp_path / "half.npz"), str(tmp_path / "whole.npz")]
    subprocess.run([sys.executable, "-c", GOING_ON, *paths], cwd=ROOT, check=True)
    found = Training(load(style), seed=7)
    found.load(tmp_path / "whole.npz")
    same(found, whole)
    assert found.epoch == 6
    assert found.rng.random() == whole.rng.random()


@in_every_style
@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"])
def test_each_generator_goes_on(kind: str, style: str, tmp_path: Path) -> None:
    training = Training(load(style))
    training.rng = np.random.Generator(getattr(np.random, kind)(12))
    training.rng.random(dtype=np.float32)  # half of a draw is kept for the next one
    training.save(tmp_path / "c.npz")
    other = Training(load(style))
    other.load(tmp_path / "c.npz")
    assert type(other.rng.bit_generator).__name__ == kind
    for draw in ("random", "standard_normal"):
        np.testing.assert_array_equal(getattr(other.rng, draw)(9), getattr(training.rng, draw)(9))
    assert other.rng.random(dtype=np.float32) == training.rng.random(dtype=np.float32)


@in_every_style
def test_nothing_is_pickled(style: str, tmp_path: Path) -> None:
    training = Training(load(style))
    training.save(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as archive:
        kinds = {name: archive[name].dtype.kind for name in archive.files}
        told = json.loads(str(archive["training"]))
    assert set(kinds.values()) == {"f", "U"}
    assert (told["optimizer"], told["step"], told["epoch"]) == ("adam", 0, 0)


@in_every_style
def test_objects_are_refused_and_the_old_file_stays(style: str, tmp_path: Path) -> None:
    training = Training(load(style))
    training.save(tmp_path / "c.npz")
    before = (tmp_path / "c.npz").read_bytes()
    arrays = training.workspace.params if style == "workspace" else training.params
    arrays["W"] = np.array([object()])
    with pytest.raises(TypeError, match="params/W: expected an array of numbers, got one of obj"):
        training.save(tmp_path / "c.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]
    assert (tmp_path / "c.npz").read_bytes() == before


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npz"
    files.save_arrays(path, {"x": np.ones(3)})

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fails)
        with pytest.raises(OSError, match="no space left"):
            files.save_arrays(path, {"x": np.zeros(3)})
    assert [found.name for found in tmp_path.iterdir()] == ["a.npz"]
    np.testing.assert_array_equal(files.load_arrays(path)["x"], np.ones(3))


# --- files that do not fit -----------------------------------------------------------------------


def changed(path: Path, **replaced: Any) -> None:
    """Write an .npz file anew with some arrays replaced; None leaves one out."""
    arrays = {**files.load_arrays(path), **{k.replace("__", "/"): v for k, v in replaced.items()}}
    files.save_arrays(path, {name: value for name, value in arrays.items() if value is not None})


def told(**replaced: Any) -> dict[str, Any]:
    """What a checkpoint says beside its arrays, some of it replaced."""
    rng = np.random.default_rng(0).bit_generator.state
    training = {"optimizer": "adam", "step": 0, "epoch": 0, "rng": rng}
    return {"training": np.array(json.dumps({**training, **replaced}))}


W = np.zeros((4, 5), np.float32)
MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "a parameter too few": ({"params__W": None}, "of another model: it holds no 'params/W'"),
    "one too many": ({"params__Z": W}, "of another model: it holds 'params/Z'"),
    "a state too few": ({"state__mean": None}, "of another model: it holds no 'state/mean'"),
    "another shape": ({"params__W": W.T}, "'params/W': expected float32 of shape (4, 5), got"),
    "another rank": ({"params__W": W[0]}, "(4, 5), got float32 of shape (5,)"),
    "another dtype": ({"params__W": W.astype(float)}, "(4, 5), got float64 of shape (4, 5)"),
    "no training": ({"training": None}, "is no checkpoint: it holds no 'training'"),
    "another order of bytes": ({"params__W": W.astype(">f4")}, "expected float32 of shape (4, 5), "
                               "got >f4 of shape (4, 5)"),
    "a generator of tomorrow": (told(rng={"bit_generator": "PCG128"}),
                                "NumPy has no generator 'PCG128'"),
    "a generator without numbers": (told(rng={"bit_generator": "PCG64"}), "KeyError('state')"),
    "no generator": (told(rng=None), "'training' cannot be read: TypeError("),
    "no step": (told(step=None), "step: expected an int, got None"),
    "a step that is none": (told(step="3"), "step: expected an int, got '3'"),
    "a step before the first": (told(step=-1), "step: expected an int >= 0, got -1"),
    "an epoch that is none": (told(epoch=1.5), "epoch: expected an int, got 1.5"),
    "no JSON": ({"training": np.array("{")}, "'training' cannot be read: JSONDecodeError("),
    "a list": ({"training": np.array("[]")}, "'training' cannot be read: TypeError("),
}  # fmt: skip


@in_every_style
@pytest.mark.parametrize("case", MISFITS)
def test_a_file_that_does_not_fit_is_refused(case: str, style: str, tmp_path: Path) -> None:
    replaced, message = MISFITS[case]
    path = tmp_path / "c.npz"
    trained = Training(load(style))
    trained.fit(1)
    trained.save(path)
    changed(path, **replaced)
    training = Training(load(style), seed=1)
    before = {name: value.copy() for name, value in training.arrays().items()}
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        training.load(path)
    assert str(path) in str(caught.value)
    np.testing.assert_equal(training.arrays(), before)


# np.load does not close a file that is no archive.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "one array", "pickled"])
def test_a_file_that_is_damaged_is_named(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    Training(load("functional")).save(path)
    content = path.read_bytes()
    if damage == "pickled":
        np.savez(path, training=np.array([{}], object))
    elif damage == "one array":
        with path.open("wb") as file:
            np.save(file, W)
    else:
        made = {"empty": b"", "cut": content[: len(content) // 2], "text": b"no checkpoint " * 9}
        path.write_bytes(made[damage])
    with pytest.raises(ValueError, match=r"c\.npz (is no \.npz file|holds a single array)"):
        Training(load("functional")).load(path)


def test_nothing_is_saved_that_could_not_be_loaded(tmp_path: Path) -> None:
    path, training = tmp_path / "c.npz", Training(load("functional"))
    for rng, epoch, message in [
        (np.random.RandomState(0), 0, "rng: expected a numpy.random.Generator, got RandomState"),
        (training.rng, "3", "epoch: expected an int, got '3'"),
        (training.rng, -1, "epoch: expected an int >= 0, got -1"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            checkpoints.write_checkpoint(path, "adam", {}, 0, rng, epoch)
    assert not path.exists()


@in_every_style
def test_a_checkpoint_of_another_optimizer_is_refused(style: str, tmp_path: Path) -> None:
    Training(load(style)).save(tmp_path / "c.npz")
    module = load(style, "adamw")
    with pytest.raises(ValueError, match="of the optimizer 'adam', not 'adamw'"):
        Training(module).load(tmp_path / "c.npz")
    files.save_arrays(tmp_path / "a.npz", {"params/W": W})
    with pytest.raises(ValueError, match=r"a\.npz is no checkpoint"):
        Training(module).load(tmp_path / "a.npz")


def test_a_checkpoint_of_the_other_style_is_refused(tmp_path: Path) -> None:
    Training(load("functional")).save(tmp_path / "c.npz")
    with pytest.raises(ValueError, match="it holds no 'optimizer/mean'"):
        Training(load("workspace")).load(tmp_path / "c.npz")


def test_free_sizes_are_the_same_everywhere(tmp_path: Path) -> None:
    path, rng = tmp_path / "c.npz", np.random.default_rng(0)
    types = {"a": (np.dtype(float), "n", 2), "b": (np.dtype(float), "n")}
    groups = {"params": {"a": np.ones((3, 2)), "b": np.ones(3)}}
    checkpoints.write_checkpoint(path, "sgd", groups, 4, rng, 5)
    arrays, step, _, epoch = checkpoints.read_checkpoint(path, "sgd", {"params": types})
    assert (step, epoch) == (4, 5)
    np.testing.assert_equal(arrays, groups)
    groups["params"]["b"] = np.ones(4)
    checkpoints.write_checkpoint(path, "sgd", groups, 4, rng, 5)
    with pytest.raises(ValueError, match=r"expected float64 of shape \(3,\), got .* \(4,\)"):
        checkpoints.read_checkpoint(path, "sgd", {"params": types})


def test_a_checkpoint_that_a_callback_saves_goes_on(tmp_path: Path) -> None:
    module = load("functional")
    whole, broken = Training(module), Training(module)
    whole.fit(4)

    def save(epoch: int, _: float, *rest: Any) -> bool:
        module.save_checkpoint(tmp_path / "c.npz", *rest, broken.rng, epoch=epoch + 1)
        return epoch == 1

    broken.fit(4, callback=save)
    other = Training(module, seed=5)
    other.load(tmp_path / "c.npz")
    assert other.epoch == 2
    other.fit(2)
    same(other, whole)
