"""Model definitions: `file.py`, `file.py:name`, `package.module:name`, `file.onnx`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from graphc import errors
from graphc.errors import GraphcError, ModelError, Site, UsageError, suggest
from graphc.frontends.builder import Graph
from graphc.frontends.onnx import from_onnx

MODULE_NAME = "__graphc_model__"
FORMS = "use file.py, file.py:name, package.module:name or file.onnx"

# Files with these beginnings are not the user's: a line of theirs says nothing about the model.
_OTHERS = (
    *(os.path.dirname(inspect.getfile(m)) + os.sep for m in (errors, np, importlib)),
    "<frozen importlib",
)


def load_model(
    spec: str, *, bind: Mapping[str, Any] | None = None, trainable: Sequence[str] = ()
) -> Graph:
    """The graph that a model definition names.

    A name may be a graph, or a function without arguments that returns one; without a name there
    has to be exactly one graph. `bind` and `trainable` are for ONNX models, as in `from_onnx`.
    Raises ModelError, and whatever GraphcError the model raises.
    """
    if is_onnx(spec):
        return from_onnx(spec, bind=bind, trainable=trainable or True)
    for option, given in (("--bind", bind), ("--trainable", trainable)):
        if given:
            raise UsageError(f"{option} is for ONNX models", hint=f"{spec!r} is no .onnx file")
    place, name = split(spec)
    with in_folder_of(place):
        module = load_file(Path(place)) if is_file(place) else load_module(place)
        if name is None:
            return only_graph(module, place)
        if not hasattr(module, name):
            known = [key for key, value in vars(module).items() if may_be_model(value)]
            raise ModelError(f"{place} has no {name!r}", hint=suggest(name, known))
        found = getattr(module, name)
        if inspect.isfunction(found):
            found = made(name, found)
    if not isinstance(found, Graph):
        raise ModelError(f"{name!r} of {place} is no graph, but {type(found).__name__}")
    return found


def is_onnx(spec: str) -> bool:
    """Whether a model definition is an ONNX file."""
    return spec.lower().endswith(".onnx")


def may_be_model(value: object) -> bool:
    """Whether a value of a module is a graph, or a function that may return one."""
    return isinstance(value, Graph) or inspect.isfunction(value)


def split(spec: str) -> tuple[str, str | None]:
    """Place and name; a colon inside a path is not taken for the separator."""
    place, colon, name = spec.rpartition(":")
    if colon and name.isidentifier() and not Path(spec).exists():
        return place, name
    return spec, None


def is_file(place: str) -> bool:
    """Whether a place is meant to be a file: it looks like a path, or there is one."""
    return place.endswith(".py") or "/" in place or "\\" in place or Path(place).exists()


@contextlib.contextmanager
def in_folder_of(place: str) -> Iterator[None]:
    """In here, the model's folder is on the import path, as Python has it for a script.

    The working directory is afterwards what it was, and no bytecode is left beside the model.
    """
    folder = os.path.dirname(os.path.realpath(place)) if is_file(place) else ""
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, folder)
    try:
        with contextlib.chdir(os.curdir):
            yield
    finally:
        sys.dont_write_bytecode = writes_bytecode
        with contextlib.suppress(ValueError):  # the model may have changed the path as well
            sys.path.remove(folder)


def load_file(path: Path) -> ModuleType:
    """The module of a file."""
    if not path.exists():
        close = suggest(path.name, [p.name for p in path.parent.glob("*.py")])
        raise ModelError(f"the model file {str(path)!r} does not exist", hint=close)
    if not path.is_file():
        raise ModelError(f"{str(path)!r} is no file", hint=FORMS)
    loader = SourceFileLoader(MODULE_NAME, str(path))
    spec = importlib.util.spec_from_loader(MODULE_NAME, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE_NAME] = module
    try:
        guarded(str(path), lambda: loader.exec_module(module))
    finally:
        sys.modules.pop(MODULE_NAME, None)
    return module


def load_module(name: str) -> ModuleType:
    """An importable module; the working directory is on the import path."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ModelError(f"{name!r} is neither a file nor a module", hint=FORMS)
    top = name.partition(".")[0]
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        raise ModelError(f"there is no file and no module {name!r}", hint=FORMS)
    module: ModuleType = guarded(name, lambda: importlib.import_module(name))
    return module


def made(name: str, maker: Callable[..., Any]) -> Any:
    """What a function of the model returns when it is called without arguments."""
    code = maker.__code__
    try:
        inspect.signature(maker).bind()
    except TypeError as error:
        site = Site(code.co_filename, code.co_firstlineno)
        raise ModelError(f"{name!r} is called without arguments: {error}", site=site) from None
    return guarded(code.co_filename, maker)


def guarded(place: str, run: Callable[[], Any]) -> Any:
    """The result of running code of the user's; its errors are told with its file and line."""
    try:
        return run()
    except (GraphcError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        exits = f"the model calls sys.exit({error.code!r})"
        raise ModelError(exits, site=traced(error, place)) from error
    except SyntaxError as error:
        if error.lineno and os.path.isfile(error.filename or ""):
            site = Site(str(error.filename), error.lineno)
            raise ModelError(f"not valid Python: {error.msg}", site=site) from error
        raise told(error, place) from error
    except BaseException as error:
        raise told(error, place) from error


def told(error: BaseException, place: str) -> ModelError:
    """An error of the user's code in one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(its text cannot be made)"
    site = traced(error, place)
    if site is not None:
        raised = f"raised {type(error).__name__}"
        return ModelError(f"{raised}: {text}" if text else raised, site=site)
    # No line of the model's has run, so it is about the file itself.
    if isinstance(error, OSError):
        return ModelError(f"{place} cannot be read: {error.strerror or text}")
    if isinstance(error, ImportError):
        return ModelError(f"{place} cannot be imported: {text}")
    return ModelError(f"{place} is not a Python file: {text}")


def traced(error: BaseException, place: str) -> Site | None:
    """The innermost line of the model on the way to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    known = [f for f in frames if f.filename == place] or [
        f for f in frames if not f.filename.startswith(_OTHERS)
    ]
    return Site(known[-1].filename, known[-1].lineno or 0) if known else None


def only_graph(module: ModuleType, place: str) -> Graph:
    """The one graph that a module defines."""
    graphs: dict[int, tuple[str, Graph]] = {}
    for name, value in vars(module).items():
        if isinstance(value, Graph):
            graphs.setdefault(id(value), (name, value))
    if not graphs:
        functions = {n: v for n, v in vars(module).items() if inspect.isfunction(v)}
        makers = [n for n, v in functions.items() if v.__module__ == module.__name__]
        hint = 'define one: `with gc.Graph("name") as g:`'
        if makers:
            hint += f", or name a function that returns one: {place}:{makers[0]}"
        raise ModelError(f"{place} defines no graph", hint=hint)
    if len(graphs) > 1:
        names = [name for name, _ in graphs.values()]
        raise ModelError(
            f"{place} defines several graphs: {', '.join(names)}",
            hint=f"choose: {place}:{names[0]}",
        )
    ((_, graph),) = graphs.values()
    return graph
