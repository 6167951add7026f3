"""ONNX models as graphs: `gc.from_onnx`. The package `onnx` is imported when it is called."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from graphc.errors import ModelError
from graphc.frontends.builder import Graph

__all__ = ["from_onnx"]


def from_onnx(
    model: str | os.PathLike[str] | bytes | Any,
    *,
    bind: Mapping[str, Any] | None = None,
    trainable: str | Sequence[str] | bool = True,
) -> Graph:
    """The graph of an ONNX model: a path, the bytes of a file, or an `onnx.ModelProto`.

    Initialisers are parameters under their own names, with their values: those of floats can be
    trained; running statistics of batch normalisations are states, and integers, bools and float
    scalars are constants. Axes without a size are named dimensions. Outputs keep their names.

    bind       values for inputs that fix shapes, axes or the like, which then are inputs no more;
               and sizes for named dimensions: an int, or the name of another dimension
    trainable  patterns of the initialisers that can be trained (as in "*.weight"); True: all that
               hold floats, but for scalars; False: none

    Weights in files of their own are read from the folder of the model and nowhere else, when they
    are used; a model that is no file has no such folder.

    Raises ModelError for what is no model, or no valid one, UnsupportedError for operators that
    have no form in graphc (all of them in one message) and for what depends on data and must not,
    and UsageError for names in `bind` that the model does not have.
    """
    require_onnx("reading an ONNX model")
    from graphc.frontends.onnx.importer import import_model
    from graphc.frontends.onnx.reading import read_model

    proto, place = read_model(model)
    return import_model(proto, place, dict(bind or {}), trainable)


def known_operators() -> dict[ModuleType | None, list[Any]]:
    """The operators that have a form in graphc, by the file that maps them (see `catalogue`).

    Raises ModelError where the package onnx is missing.
    """
    require_onnx("the list of ONNX's operators")
    from graphc.frontends.onnx.catalogue import operators

    return {**operators()}


def require_onnx(what: str) -> None:
    """Raise ModelError, with the way out, where the package onnx is missing."""
    try:
        import onnx
    except ImportError:
        raise ModelError(
            f"{what} needs the package onnx", hint='run `pip install "graphc[onnx]"`'
        ) from None
