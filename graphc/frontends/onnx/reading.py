"""Reading ONNX files: from a path, bytes or a message to a model that is safe to walk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

import onnx
from graphc.errors import ModelError


def read_model(model: str | os.PathLike[str] | bytes | Any) -> tuple[Any, str]:
    """The model, and what messages call it."""
    if isinstance(model, onnx.ModelProto):
        return model, "the model"
    if isinstance(model, bytes):
        return parsed(model, "the model"), "the model"
    path = Path(model)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror}") from None
    return parsed(content, path.name), path.name


def parsed(content: bytes, place: str) -> Any:
    """The message that some bytes are."""
    try:
        return onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelError(f"{place} is no ONNX model: {error}") from None
