"""What tests of several packages share."""

from __future__ import annotations

import gc
import os
import subprocess
from pathlib import Path

import pytest

# Arrays are small, and there is a worker for each core: threads of BLAS would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

OLD_NUMPY = "1.23.5"
OLD_NUMPY_VARIABLE = "GRAPHC_OLD_NUMPY_PYTHON"


@pytest.fixture(scope="session")
def old_numpy_python() -> Path:
    """An interpreter with the oldest NumPy that generated modules promise to run under.

    It lives in an environment of its own, so the environment says where; without it the test is
    skipped, and with a wrong one it fails.
    """
    if OLD_NUMPY_VARIABLE not in os.environ:
        pytest.skip(f"{OLD_NUMPY_VARIABLE} names no interpreter that has NumPy {OLD_NUMPY}")
    path = Path(os.environ[OLD_NUMPY_VARIABLE])
    command = [str(path), "-c", "import numpy; print(numpy.__version__)"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert version == OLD_NUMPY, f"{path} has NumPy {version}"
    return path


def pytest_collection_finish() -> None:
    """Graphs are large, and so is what pytest knows: look for garbage among them less often."""
    gc.freeze()
    gc.set_threshold(5_000, 10, 20)


# --- golden files (tests/test_golden.py) ----------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update` writes the golden files, and README's table, instead of comparing them."""
    parser.addoption("--update", action="store_true", help="write what is compared anew")
