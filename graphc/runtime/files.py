"""The .npz files of a generated module: parameters, checkpoints, and the one beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def load_arrays(file: Any, names: Iterable[str] = ()) -> dict[str, Array]:
    """The arrays of an .npz file. Raises ValueError for a damaged one, or without all `names`."""
    try:
        archive = np.load(file, allow_pickle=False)
        if not hasattr(archive, "files"):
            raise ValueError("it holds a single array")
        with archive:
            # By the full name: `W.npy` alone could mean the file of W, or an array so called.
            arrays = {name: archive[f"{name}.npy"] for name in archive.files}
    except (EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{file} is no .npz file of arrays, or a damaged one: {error}") from None
    for name in names:
        if name not in arrays:
            held = ", ".join(map(repr, list(arrays)[:5])) or "nothing"
            raise ValueError(f"{file} holds no {name!r}; it holds {held}")
    return arrays


def save_arrays(path: str | Path, arrays: Mapping[str, Any]) -> None:
    """Write an .npz file, whole or not at all. Raises TypeError for what would be pickled."""
    plain: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name}: expected an array of numbers, got one of objects")
    target = Path(path)
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    handle, temporary = tempfile.mkstemp(prefix=".npz.", dir=target.parent)
    try:
        with open(handle, "wb") as file:
            np.savez(file, **plain)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def load_companion(path: Path, checksum: str, group: str) -> dict[str, Array]:
    """The arrays whose names begin with a group, of the .npz file that a module was written with.

    Raises FileNotFoundError without the file, ValueError for another one, which its SHA-256 tells.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, which was written beside this module; "
            "to load other weights, pass their path"
        )
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
        if digest.hexdigest() != checksum:
            raise ValueError(
                f"{path} is not the file that was written beside this module; "
                "to load other weights, pass their path"
            )
        file.seek(0)
        with np.load(file, allow_pickle=False) as archive:
            # By full names, as in load_arrays.
            names = [name for name in archive.files if name.startswith(group)]
            return {name: archive[f"{name}.npy"] for name in names}
