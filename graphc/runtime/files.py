"""Reading .npz files: of parameters, and of the large constants beside a generated module."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def load_arrays(file: Any) -> dict[str, Array]:
    """The arrays of an .npz file. Raises ValueError for a file that holds one array."""
    archive = np.load(file, allow_pickle=False)
    if not hasattr(archive, "files"):
        raise ValueError(f"{file} holds a single array, not the arrays of an .npz file")
    with archive:
        # By the full name: `W.npy` alone could mean the file of W, or an array of that name.
        return {name: archive[f"{name}.npy"] for name in archive.files}


def load_constants(path: Path, checksum: str) -> dict[str, Array]:
    """The arrays of an .npz file with a SHA-256; ValueError where it is another file."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ValueError(f"{path} is not the file that was written beside this module")
    return load_arrays(io.BytesIO(content))
