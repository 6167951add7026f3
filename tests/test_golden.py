"""Generated modules as they were when somebody last read them, byte for byte.

A golden file is meant to be read: its diff in a review shows what a change does to the code that
users get. `pytest tests/test_golden.py --update` writes all of them anew.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import ALL
from tests.golden.models import GOLDEN

FOLDER = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent
SUFFIX = ".py.golden"
UPDATE = "if this is what it should be: pytest tests/test_golden.py --update, and read the diff"

# Print a digest of the source of each model; the argument `reversed` compiles them back to front.
DIGESTS = """
import hashlib, json, sys
import graphc as gc
from tests.codegen.nets import ALL
from tests.golden.models import GOLDEN
models = ALL | GOLDEN
names = list(models) if sys.argv[1:] == [] else list(models)[::-1]
sources = {name: gc.compile(models[name][0](), **models[name][1]) for name in names}
print(json.dumps({name: hashlib.sha256(module.source.encode() + bytes(module.companion)).hexdigest()
                  for name, module in sources.items()}))
"""


def source_of(name: str) -> str:
    """The generated module of a golden model."""
    make, options = GOLDEN[name]
    return gc.compile(make(), **options).source


def digests(folder: Path = ROOT, *arguments: str, **variables: str) -> dict[str, str]:
    """The digests that another process finds, run in a folder with environment variables."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", DIGESTS, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    """The digests that this process finds."""
    models = ALL | GOLDEN
    modules = {name: gc.compile(make(), **options) for name, (make, options) in models.items()}
    return {
        name: hashlib.sha256(module.source.encode() + bytes(module.companion)).hexdigest()
        for name, module in modules.items()
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_the_generated_module_is_the_golden_one(name: str, request: pytest.FixtureRequest) -> None:
    source = source_of(name)
    path = FOLDER / f"{name}{SUFFIX}"
    if request.config.getoption("--update"):
        path.write_text(source, encoding="utf-8", newline="\n")
    golden = path.read_bytes().decode() if path.exists() else ""
    if source != golden:
        diff = difflib.unified_diff(
            golden.splitlines(), source.splitlines(), path.name, "generated", lineterm=""
        )
        pytest.fail("\n".join([*diff, UPDATE]), pytrace=False)


def test_there_is_no_golden_file_without_a_model() -> None:
    assert {path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")} == set(GOLDEN)


def test_nothing_of_this_machine_is_in_a_golden_file() -> None:
    for path in FOLDER.glob(f"*{SUFFIX}"):
        text = path.read_text(encoding="utf-8")
        for own in (str(ROOT), str(Path.home()), "models.py", "\r"):
            assert own not in text, f"{path.name} contains {own!r}"


def test_hash_seed_folder_and_order_change_nothing(
    expected: dict[str, str], tmp_path: Path
) -> None:
    assert digests(tmp_path, PYTHONHASHSEED="1") == expected
    assert digests(ROOT, "reversed", PYTHONHASHSEED="4242") == expected


def test_line_numbers_change_nothing(tmp_path: Path) -> None:
    text = (FOLDER / "models.py").read_text(encoding="utf-8")
    moved = tmp_path / "elsewhere.py"
    moved.write_text("# moved\n" * 100 + text, encoding="utf-8")
    scope: dict[str, object] = {"__name__": "elsewhere"}
    exec(compile(moved.read_text(encoding="utf-8"), str(moved), "exec"), scope)
    models = scope["GOLDEN"]
    assert isinstance(models, dict)
    for name, (make, options) in models.items():
        assert gc.compile(make(), **options).source == source_of(name)


def test_the_processor_changes_nothing(expected: dict[str, str]) -> None:
    # OpenBLAS and NumPy choose their kernels by processor; these choose those of an old one.
    newer = " ".join(np._core._multiarray_umath.__cpu_dispatch__)
    older = digests(OPENBLAS_CORETYPE="Prescott", NPY_DISABLE_CPU_FEATURES=newer)
    differing = [name for name in expected if older[name] != expected[name]]
    assert differing == []
