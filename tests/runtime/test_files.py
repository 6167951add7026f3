"""The file beside a module: read back bit for bit, by group, and never from another module's."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from graphc.codegen.companion import Companion
from graphc.runtime.files import load_arrays, load_companion

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


# NumPy leaves a file open that is no archive.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damage_anywhere_is_told_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez_compressed(path, W=W)
    content = path.read_bytes()
    told = 0
    for place, byte in itertools.product(range(len(content)), (1, 8, 0xFF)):
        path.write_bytes(content[:place] + bytes([content[place] ^ byte]) + content[place + 1 :])
        try:
            np.testing.assert_array_equal(load_arrays(path).get("W", W), W)
        except ValueError as error:
            told += "w.npz is no .npz file of arrays, or a damaged one" in str(error)
        except OSError:  # of a place outside of the file
            told += 1
    assert told > len(content)
