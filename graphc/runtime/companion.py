"""Reading the file in which a generated module keeps its large constants."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def load_constants(path: Path, checksum: str) -> dict[str, Array]:
    """The arrays of an .npz file with a SHA-256; ValueError where it is another file."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ValueError(f"{path} is not the file that was written beside this module")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
