"""Reading ONNX files: from a path, bytes or a message to a model that is safe to walk.

What is read is not trusted. A model that comes out of here can be parsed, is valid in itself, and
names no file but regular ones in its own folder.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from graphc.errors import ModelError, suggest
from graphc.frontends.onnx.external import locate
from graphc.frontends.onnx.names import NodeSite, located
from graphc.frontends.onnx.validity import require_valid

LARGEST = 2**31 - 1  # bytes: what a message of protobuf can hold
NO_MODEL = "an ONNX model is a protobuf that holds a graph"


def read_model(model: str | os.PathLike[str] | bytes | Any) -> tuple[Any, str]:
    """The model, and what messages call it.

    Tensors whose data are external say the absolute place of a file, an offset and a length that
    the file has. Raises ModelError for what is no model or no valid one, UnsupportedError for
    what graphc cannot be told by a model.
    """
    if isinstance(model, onnx.ModelProto):
        proto, place, folder = model, "the model", None
    elif isinstance(model, (bytes, bytearray, memoryview)):
        proto, place, folder = parsed(bytes(model), "the model"), "the model", None
    elif isinstance(model, (str, os.PathLike)):
        path = Path(os.fsdecode(model))
        proto, place, folder = parsed(content_of(path), path.name), path.name, path.parent
    else:
        raise ModelError(
            f"a model is a path, bytes or an onnx.ModelProto, got {type(model).__name__}"
        )
    with located(lambda: NodeSite(place, 0)):
        require_valid(proto, place)
        locate(proto, folder)
    return proto, place


def content_of(path: Path) -> bytes:
    """The bytes of a file. Raises ModelError for what is no regular one, or a too large one."""
    shown = str(path)
    try:
        about = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        told = error.strerror if isinstance(error, OSError) else str(error)
        raise ModelError(f"cannot read {shown!r}: {told}", hint=neighbour(path)) from None
    if stat.S_ISDIR(about.st_mode):
        models = sorted(found.name for found in path.glob("*.onnx"))[:3]
        hint = f"it holds {', '.join(map(repr, models))}" if models else None
        raise ModelError(f"{shown!r} is a folder, not a model", hint=hint)
    if not stat.S_ISREG(about.st_mode):
        raise ModelError(f"{shown!r} is no regular file")
    if about.st_size > LARGEST:
        raise ModelError(
            f"{shown!r} has {about.st_size} bytes; a model has at most {LARGEST}",
            hint="save it with its weights as external data",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {shown!r}: {error.strerror}") from None


def neighbour(path: Path) -> str | None:
    """The name in a folder that is most like one that is not there."""
    try:
        return suggest(path.name, sorted(os.listdir(path.parent)))
    except (OSError, ValueError):
        return None


def parsed(content: bytes, place: str) -> Any:
    """The message that some bytes are."""
    if not content:
        raise ModelError(f"{place} is empty", hint=NO_MODEL)
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        told = str(error).rpartition(": ")[2] or "it cannot be decoded"
        raise ModelError(f"{place} is no ONNX model: {told}", hint=hint_for(content)) from None
    if not model.HasField("graph"):
        raise ModelError(f"{place} is no ONNX model: it holds no graph", hint=hint_for(content))
    return model


def hint_for(content: bytes) -> str:
    """What bytes that are no model look like."""
    start = content[:64]
    if start.startswith(b"version https://git-lfs"):
        return "it is the pointer to a file in Git LFS: run `git lfs pull`"
    if start.startswith(b"PK\x03\x04"):
        return "it is a zip archive, as PyTorch saves: export it with torch.onnx.export"
    if start.isascii() and all(byte >= 32 or byte in b"\t\n\r" for byte in start):
        return f"it is a text that begins with {start[:20].decode()!r}"
    return f"{NO_MODEL}; it may be truncated"
