"""`--bind NAME=VALUE`: numbers, lists, names of dimensions, and .npy files that nobody trusts."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphc.errors import UsageError
from graphc.frontends.bindings import as_bindings

VALUES: list[tuple[str, Any]] = [
    ("3", 3),
    ("-3", -3),
    ("0.5", 0.5),
    ("1e-3", 1e-3),
    ("-inf", -np.inf),
    ("nan", np.nan),
    ("true", True),
    ("False", False),
    ("2,3", np.array([2, 3])),
    ("2, 3,", np.array([2, 3])),
    ("7,", np.array([7])),
    ("1,0.5", np.array([1.0, 0.5])),
    ("true,false", np.array([True, False])),
    ("batch", "batch"),
]


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_a_value_is_what_is_written(text: str, value: Any) -> None:
    (found,) = as_bindings([f"axes={text}"]).values()
    assert type(found) is type(value)
    np.testing.assert_array_equal(found, value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype


def test_names_are_those_of_the_model() -> None:
    assert as_bindings(["/a/b:0=1", "é c=2"]) == {"/a/b:0": 1, "é c": 2}


@pytest.mark.parametrize("array", [
    np.array([[1, 2]], "int64"), np.array(2.5), np.zeros((0, 3), "float32"), np.array([True]),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
], ids=["ints", "scalar", "empty", "bools", "fortran"])  # fmt: skip
def test_a_file_is_read(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "a=b.npy", array)
    (found,) = as_bindings([f"x={tmp_path / 'a=b.npy'}"]).values()
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(("text", "told"), [
    ("axes", "expects NAME=VALUE, got 'axes'"),
    ("=3", "expects NAME=VALUE"),
    ("axes=", "expects NAME=VALUE"),
    ("axes=2;3", "'2;3' is no value for 'axes'"),
    ("axes=2,,3", "'' is no value for 'axes'"),
    ("axes=" + "9" * 5000, "is no value for 'axes'"),
    ("axes=missing.npy", "'missing.npy' cannot be read: No such file"),
])  # fmt: skip
def test_what_is_no_value_is_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        as_bindings([text])


def test_a_name_has_one_value() -> None:
    with pytest.raises(UsageError, match="'n' two values"):
        as_bindings(["n=1", "n=2"])


def oversized(path: Path) -> None:
    """A header that promises far more than there is."""
    with open(path, "wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 1000)}
        np.lib.format.write_array_header_1_0(file, header)


SEVERAL = io.BytesIO()
np.savez(SEVERAL, a=np.ones(2), b=np.ones(2))
FILES: dict[str, Any] = {
    "objects": lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    "a pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "oversized": oversized,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("1 2 3"),
    "cut short": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x76"),
    "several": lambda path: path.write_bytes(SEVERAL.getvalue()),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_array_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npy"
    FILES[kind](path)
    with pytest.raises(UsageError, match=r"--bind: 'x\.npy' .*(\.npy file|several|cannot be read)"):
        as_bindings([f"x={path}"])
