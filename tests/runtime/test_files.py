"""Constants in a file of their own: read back bit for bit, and never from another file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from graphc.runtime.files import load_constants


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, str]:
    """A file with two constants, and its checksum."""
    path = tmp_path / "constants.npz"
    np.savez(path, a=np.array([1.5, -0.0, np.nan], "float32"), b=np.arange(3))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_constants_are_read_back_bit_for_bit(stored: tuple[Path, str]) -> None:
    constants = load_constants(*stored)
    assert list(constants) == ["a", "b"]
    assert constants["a"].tobytes() == np.array([1.5, -0.0, np.nan], "float32").tobytes()
    assert constants["b"].tolist() == [0, 1, 2]


def test_a_file_that_was_changed_is_refused(stored: tuple[Path, str]) -> None:
    path, checksum = stored
    np.savez(path, a=np.array([1.5, 0.0, np.nan], "float32"), b=np.arange(3))
    with pytest.raises(ValueError, match=r"constants\.npz is not the file"):
        load_constants(path, checksum)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "constants.npz"
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(ValueError, match="pickle"):
        load_constants(path, hashlib.sha256(path.read_bytes()).hexdigest())
