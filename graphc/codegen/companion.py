"""The file beside a module: its weights, where they are given, and its large constants.

Names in it are `params/…` and `state/…`, as in what `save_params` and `save_state` write, so that
`load_params` reads this file like any other; large constants are `constants/…`.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np

Array = np.ndarray[Any, Any]


def companion(group: str) -> str:
    """The expression that reads a group of arrays from the file beside a module."""
    return f'load_companion(Path(__file__).with_suffix(".npz"), CHECKSUM, "{group}/")'


@dataclass(frozen=True)
class Companion:
    """An .npz file that is not written yet; without arrays, there is no file.

    arrays  in C layout, by their names in the file
    """

    arrays: Mapping[str, Array]

    def __bool__(self) -> bool:
        return bool(self.arrays)

    def __bytes__(self) -> bytes:
        file = io.BytesIO()
        self.write(file)
        return file.getvalue()

    @cached_property
    def checksum(self) -> str:
        """The SHA-256 of the file."""
        digest = hashlib.sha256()
        self.write_to(digest.update)
        return digest.hexdigest()

    def write(self, file: BinaryIO) -> None:
        """Write the content of the file; weights are not copied on the way."""
        self.write_to(file.write)

    def write_to(self, take: Callable[[Any], object]) -> None:
        """Hand the content over piece by piece: the same bytes at any time, on any system."""
        with zipfile.ZipFile(Stream(take), "w") as archive:
            for name, array in self.arrays.items():
                member = zipfile.ZipInfo(f"{name}.npy")
                member.create_system = 3  # on Windows too
                with archive.open(member, "w", force_zip64=True) as file:
                    header = np.lib.format.header_data_from_array_1_0(array)
                    np.lib.format.write_array_header_1_0(file, header)
                    # In place, since arrays are in C layout; NumPy would copy 16 MB at a time.
                    file.write(array.reshape(-1).view(np.uint8).data)


class Stream(io.RawIOBase):
    """A file that goes forward only, so that an archive is written in one go."""

    def __init__(self, take: Callable[[Any], object]) -> None:
        self.take = take

    def write(self, piece: Any) -> int:
        """Hand a piece on."""
        self.take(piece)
        return len(piece)
