"""External data: tensors of a model that are in files beside it.

The place of a file is text of the model, and so whoever made the model would choose what is read.
It has to be a regular file in the model's folder, or below it, that has no other name anywhere.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx

from graphc.errors import ModelError, UsageError
from graphc.frontends.onnx.contents import tensors_of
from graphc.frontends.onnx.names import quoted

LONGEST = 19  # digits of an offset or a length: 2**63 has as many


def locate(model: Any, folder: Path | None) -> None:
    """Find the files that tensors of a model are in; their places become absolute.

    Raises ModelError for a place, offset or length that a tensor must not have, UsageError if
    there are tensors in files and no folder to look in.
    """
    for tensor in tensors_of(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            what = f"the tensor {quoted(tensor.name)}"
            entries = {entry.key: entry.value for entry in tensor.external_data}
            location = entries.get("location", "")
            if folder is None:
                raise UsageError(
                    f"{what} is in another file ({quoted(location)}), and a model that is no "
                    "file has no folder",
                    hint="pass the path of the model",
                )
            path, size = file_of(location, folder, what)
            offset = whole(entries.get("offset", "0"), "offset", what)
            length = whole(entries.get("length", str(max(0, size - offset))), "length", what)
            if offset + length > size:
                raise ModelError(
                    f"{what} is bytes {offset} to {offset + length} of {quoted(location)}, "
                    f"which has {size}"
                )
            place(tensor, {"location": path, "offset": str(offset), "length": str(length)})


def place(tensor: Any, entries: dict[str, str]) -> None:
    """Say where the data of a tensor is."""
    del tensor.external_data[:]
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def file_of(location: str, folder: Path, what: str) -> tuple[str, int]:
    """The file that a location means, and its size. Raises ModelError for one out of reach."""

    def refuse(reason: str, hint: str | None = None) -> ModelError:
        return ModelError(f"{what} is in {quoted(location)}, {reason}", hint=hint)

    if not isinstance(location, str) or not location or not location.isprintable():
        raise refuse("which is no name of a file")
    windows = PureWindowsPath(location)  # what is absolute there is refused everywhere
    if PurePosixPath(location).is_absolute() or windows.anchor or ".." in windows.parts:
        raise refuse("which is outside of the model's folder")
    try:
        home = folder.resolve(strict=True)
        path = (folder / location).resolve(strict=True)
        about = path.stat()
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refuse(f"which cannot be read: {reason}") from None
    if not path.is_relative_to(home):
        raise refuse("a link out of the model's folder", "copy the file into the folder")
    if not stat.S_ISREG(about.st_mode):
        raise refuse("which is no regular file")
    if about.st_nlink > 1:  # a hard link looks like a file of the folder, wherever it is from
        raise refuse("a file with other names (hard links)", "copy the file")
    if not os.access(path, os.R_OK):
        raise refuse("which cannot be read: Permission denied")
    return str(path), about.st_size


def whole(text: str, key: str, what: str) -> int:
    """A number of bytes. Raises ModelError for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST):
        raise ModelError(f"the {key} of {what} is a number of bytes, got {quoted(text)}")
    return int(text)
