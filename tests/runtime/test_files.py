"""The file beside a module: read back bit for bit, by group, and never from another module's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from graphc.codegen.companion import Companion
from graphc.runtime.files import load_companion

W = np.array([1.5, -0.0, np.nan], "float32")
STORED = {
    "params/W": W,
    "params/W.npy": np.arange(6.0).reshape(2, 3),
    "params/é/ W": np.zeros((0, 2), "float16"),
    "state/W": np.array(True),
    "constants/params": np.arange(3),
}


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, str]:
    """A file with arrays of all groups, and its checksum."""
    path = tmp_path / "net.npz"
    companion = Companion(STORED)
    with open(path, "wb") as file:
        companion.write(file)
    return path, companion.checksum


@pytest.mark.parametrize("group", ["params/", "state/", "constants/"])
def test_a_group_is_read_back_bit_for_bit(stored: tuple[Path, str], group: str) -> None:
    found = load_companion(*stored, group)
    assert list(found) == [name for name in STORED if name.startswith(group)]
    for name, array in found.items():
        expected = STORED[name]
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        assert array.tobytes() == expected.tobytes()


def test_the_checksum_is_that_of_the_file(stored: tuple[Path, str]) -> None:
    path, checksum = stored
    assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    assert bytes(Companion(STORED)) == path.read_bytes()


def test_numpy_reads_the_file_as_any_other(stored: tuple[Path, str]) -> None:
    with np.load(stored[0]) as archive:
        np.testing.assert_array_equal(archive["params/W"], W)


def test_another_file_is_refused(stored: tuple[Path, str]) -> None:
    path, checksum = stored
    np.savez(path, **{**STORED, "params/W": np.abs(W)})
    with pytest.raises(ValueError, match=r"net\.npz is not the file .* pass their path"):
        load_companion(path, checksum, "params/")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(ValueError, match="pickle"):
        load_companion(path, hashlib.sha256(path.read_bytes()).hexdigest(), "a")
