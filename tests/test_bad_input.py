"""What users get wrong, and the one line that they are told."""

from __future__ import annotations

import errno
import os
import re
import stat
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

import graphc as gc
from tests.bad_models import CASES, CODE, COMPILE, DECLARATIONS, DERIVATIVES, Case
from tests.command_line import GOOD, marked, run, run_process


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check_told(err: str, line: int | None, expected: tuple[str, ...]) -> None:
    """One line on stderr, which names the marked line of the model or none."""
    assert err.endswith("\n") and err.count("\n") == 1, err
    place = "graphc: " if line is None else f"graphc: model.py:{line}: "
    assert err.startswith(place), err
    assert line is not None or not err.startswith("graphc: model.py:"), err
    for fragment in expected:
        assert fragment in err
    assert "Traceback" not in err and "internal error" not in err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_told_in_one_line(case: Case) -> None:
    Path("model.py").write_text(case.source)
    result = run(*case.command.split())
    check_told(result.err, marked(case.source), case.expected)
    assert (result.status, result.out) == (2, "")
    assert not Path("net.py").exists()


@pytest.mark.parametrize("case", [DECLARATIONS[0], DERIVATIVES[0], CODE[0], CODE[5], CODE[6]],
                         ids=lambda case: case.name)  # fmt: skip
def test_a_process_says_the_same(case: Case, tmp_path: Path) -> None:
    Path("model.py").write_text(case.source)
    result = run_process(case.command.split(), tmp_path)
    assert result == run(*case.command.split())
    check_told(result.err, marked(case.source), case.expected)


@pytest.mark.parametrize("case", [DECLARATIONS[0], DERIVATIVES[0]], ids=lambda case: case.name)
def test_debug_shows_where(case: Case, tmp_path: Path) -> None:
    Path("model.py").write_text(case.source)
    with pytest.raises(gc.GraphcError, match=re.escape(case.expected[0][:40])):
        run(*case.command.split(), "--debug")
    result = run_process([*case.command.split(), "--debug"], tmp_path)
    assert result.status == 1
    assert "Traceback (most recent call last)" in result.err
    assert case.expected[0] in result.err


def test_an_unused_parameter_can_be_allowed() -> None:
    Path("model.py").write_text(DERIVATIVES[0].source)
    assert run(*COMPILE.split(), "--allow-unused").status == 0
    assert 'return {"W": np.array(0.0, dtype=np.float32)}' in Path("net.py").read_text()


def test_a_model_elsewhere_is_named_by_its_whole_path(tmp_path: Path) -> None:
    """A path relative to the working directory would be a row of `..`."""
    folder = tmp_path / "below"
    folder.mkdir()
    Path("model.py").write_text(DECLARATIONS[0].source)
    result = run_process(["check", str(tmp_path / "model.py")], folder)
    line = marked(DECLARATIONS[0].source)
    assert result.err.startswith(f"graphc: {tmp_path}/model.py:{line}: matmul: sizes 64")


def test_a_folder_called_graphc_hides_no_line(tmp_path: Path) -> None:
    """Frames are told apart by graphc's own folder, not by its name."""
    folder = tmp_path / "graphc" / "numpy"
    folder.mkdir(parents=True)
    (folder / "helper.py").write_text("def fail():\n    raise ValueError('deep')\n")
    (folder / "model.py").write_text("from helper import fail\n\nfail()\n")
    result = run("check", "graphc/numpy/model.py")
    assert result.err == "graphc: graphc/numpy/model.py:3: raised ValueError: deep\n"


def test_an_internal_error_asks_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model.py").write_text(GOOD)

    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("graphc.cli.compile", fail)
    result = run(*COMPILE.split())
    assert result.err == (
        "graphc: internal error, please report it: RuntimeError: two lines; --debug shows where\n"
    )
    assert result.status == 2


# --- files that are no models ---------------------------------------------------------------------

FILES = {
    "binary": (bytes(range(256)), "model.py is not a Python file: "),
    "a NUL": (b"x = 1\n\0", "model.py is not a Python file: "),
    "UTF-16": ("x = 1\n".encode("utf-16"), "model.py is not a Python file: "),
    "an unknown encoding": (b"# coding: nonsense\n", "model.py is not a Python file: "),
    "Latin-1": (b"x = 1\n\ny = '\xe9'\n", "model.py:"),
    "a byte order mark": (b"\xef\xbb\xbfx = 1\r\n", "model.py defines no graph"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_model(name: str) -> None:
    content, expected = FILES[name]
    Path("model.py").write_bytes(content)
    result = run("check", "model.py")
    assert result.err.startswith(f"graphc: {expected}")
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert ":0:" not in result.err


PLACES = {
    "modle.py": "the model file 'modle.py' does not exist; did you mean 'model.py'?",
    "missing/model.py": "the model file 'missing/model.py' does not exist",
    "loop.py": "the model file 'loop.py' does not exist",
    "folder": "'folder' is no file; use file.py, file.py:name, package.module:name or file.onnx",
    "pipe.py": "'pipe.py' is no file; use",
    "no-model": "'no-model' is neither a file nor a module; use",
    "model.py:": "'model.py:' is neither a file nor a module; use",
    "model.py:12": "'model.py:12' is neither a file nor a module; use",
    "model.py:a.b": "'model.py:a.b' is neither a file nor a module; use",
    "modle.py:g": "the model file 'modle.py' does not exist; did you mean 'model.py'?",
    "missing_package.models:g": "there is no file and no module 'missing_package.models'",
    "package.missing:g": "package.missing cannot be imported: No module named 'package.missing'",
    "a\0b": "'a\\x00b' is neither a file nor a module",
    "line\nbreak.py": "the model file 'line\\nbreak.py' does not exist",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_place_without_a_model(place: str) -> None:
    Path("model.py").write_text(GOOD)
    Path("folder").mkdir()
    Path("package").mkdir()
    Path("package/__init__.py").touch()
    Path("loop.py").symlink_to("loop.py")
    os.mkfifo("pipe.py")
    result = run("check", place)
    check_told(result.err, None, (PLACES[place],))
    assert result.err.startswith(f"graphc: {PLACES[place]}")
    assert (result.status, result.out) == (2, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_model_that_may_not_be_read() -> None:
    Path("model.py").write_text(GOOD)
    Path("model.py").chmod(0)
    assert run("check", "model.py").err == "graphc: model.py cannot be read: Permission denied\n"


def test_a_model_whose_reading_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What permissions cannot bring about for root: listing a file fails, as reading it would."""
    Path("model.py").write_text(GOOD)
    monkeypatch.setattr(SourceFileLoader, "get_data", staticmethod(os.listdir))
    result = run("check", "model.py")
    assert result.err == "graphc: model.py cannot be read: Not a directory\n"
    assert result.status == 2


# --- where nothing can be written -----------------------------------------------------------------

TARGETS = {
    "missing/net.py": "cannot write 'missing/net.py': there is no folder 'missing'",
    "model.py/net.py": "cannot write 'model.py/net.py': there is no folder 'model.py'",
    "folder": "cannot write 'folder': it is a folder",
    "pipe": "cannot write 'pipe': it is a device or a pipe, which a file would replace",
    "/dev/null": "cannot write '/dev/null': it is a device or a pipe, which a file would replace",
    "net.npz": "cannot write 'net.npz': a module is a .py file",
    "loop.py": "cannot write 'loop.py': Too many levels of symbolic links",
    "a\0b": "cannot write 'a\\x00b': ",
    "x" * 300: f"cannot write '{'x' * 300}': File name too long",
    "model.py": "'model.py' is the model itself",
    "./folder/../model.py": "'./folder/../model.py' is the model itself",
    "link.py": "'link.py' is the model itself",
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:30].replace("\0", "NUL"))
def test_a_target_is_refused_before_the_model_runs(target: str, force: bool) -> None:
    Path("model.py").write_text(f"{GOOD}\nopen('ran', 'w').close()\n")
    before = Path("model.py").read_bytes()
    Path("folder").mkdir()
    Path("link.py").symlink_to("model.py")
    Path("loop.py").symlink_to("loop.py")
    os.mkfifo("pipe")
    result = run("compile", "model.py", "-o", target, *(["--force"] if force else []))
    check_told(result.err, None, (TARGETS[target],))
    assert (result.status, result.out) == (2, "")
    assert not Path("ran").exists()
    assert Path("model.py").read_bytes() == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_an_unwritable_folder_is_told_before_the_model_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("model.py").write_text("open('ran', 'w').close()\n")
    Path("locked").mkdir(mode=0o500)
    if os.geteuid() == 0:  # who may write everywhere
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("locked"))
    result = run("compile", "model.py", "-o", "locked/net.py")
    assert result.err == "graphc: cannot write 'locked/net.py': the folder is not writable\n"
    assert not Path("ran").exists()


def test_a_foreign_file_is_replaced_only_by_force() -> None:
    Path("model.py").write_text(GOOD)
    Path("net.py").write_text('import net\nprint(net.__graphc__["hash"])\n')
    result = run("compile", "model.py", "-o", "net.py")
    assert result.err == "graphc: 'net.py' was not written by graphc; pass --force\n"
    assert Path("net.py").read_text().startswith("import net")
    assert run("compile", "model.py", "-o", "net.py", "--force").status == 0
    assert run("compile", "model.py", "-o", "net.py").status == 0


def test_a_failed_compile_leaves_the_old_file() -> None:
    Path("model.py").write_text(GOOD)
    assert run("compile", "model.py", "-o", "net.py").status == 0
    before = Path("net.py").read_bytes()
    Path("model.py").write_text(GOOD.replace("gc.tanh", "gc.tahn"))
    assert run("compile", "model.py", "-o", "net.py").status == 2
    assert Path("net.py").read_bytes() == before
    assert sorted(p.name for p in Path().iterdir()) == ["model.py", "net.py"]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_full_disk_leaves_the_old_file(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model.py").write_text(GOOD)
    Path("net.py").write_text("__graphc__ = {}\n")

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        result = run("compile", "model.py", "-o", "net.py")
    assert result == (2, "", "graphc: cannot write 'net.py': No space left on device\n")
    assert Path("net.py").read_text() == "__graphc__ = {}\n"
    assert sorted(p.name for p in Path().iterdir()) == ["model.py", "net.py"]


LARGE = GOOD.replace("y = h * 2", "y = h * 2 + (x @ np.arange(3 * 6000.0).reshape(3, 6000)).mean()")


def test_a_foreign_companion_is_replaced_only_by_force() -> None:
    """`net.npz` beside `net.py` is where users keep what they have trained."""
    Path("model.py").write_text(f"import numpy as np\n{LARGE}")
    Path("net.npz").write_bytes(b"trained for weeks")
    result = run("compile", "model.py", "-o", "net.py")
    assert result.status == 2
    assert result.err == (
        "graphc: 'net.npz' is needed for weights or constants, and there is such a file; "
        "pass --force (force=True) to replace it, or choose another name\n"
    )
    assert Path("net.npz").read_bytes() == b"trained for weeks"
    assert not Path("net.py").exists()
    assert run("compile", "model.py", "-o", "net.py", "--force").status == 0
    assert Path("net.npz").read_bytes()[:2] == b"PK"
    Path("model.py").write_text(f"import numpy as np\n{LARGE.replace('3 * 6000.0', '1, 18001.0')}")
    assert run("compile", "model.py", "-o", "net.py").status == 0  # the pair belongs together
