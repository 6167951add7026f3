"""What a user meets beside the builder: compile a graph, look at the source, save it, load it."""

from __future__ import annotations

import builtins
import contextlib
import gc
import hashlib
import os
import shutil
import stat
import tempfile
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from graphc.codegen.assemble import DIALECTS, assemble
from graphc.codegen.companion import Companion
from graphc.codegen.render import render
from graphc.compiler import Compilation, Options
from graphc.errors import UsageError
from graphc.inspect.report import Report
from graphc.ir.function import Function
from graphc.ir.graph import Graph
from graphc.lower.module import LoweredModule
from graphc.optim.methods import as_optimizer
from graphc.optim.optimizer import Optimizer, checked_number
from graphc.optim.schedules import Schedule, as_schedule
from graphc.training import Training, checked_penalty

VERSION = "0.1.0"
STYLES = tuple(DIALECTS)
EMBEDDED = 1_000_000  # bytes of arrays that a module may carry in itself
Writer: TypeAlias = "Callable[[BinaryIO], object]"


@dataclass(frozen=True, slots=True)
class Module:
    """A compiled module: its source, and how it came about.

    source    the text of the .py file
    companion the .npz file beside it: weights that are given, and large constants, if any
    lowered   the programs that it was printed from
    report    the rewrite rules that fired, the memory, what backward reads
    """

    source: str
    companion: Companion
    lowered: LoweredModule
    report: Report

    @property
    def params(self) -> dict[str, np.ndarray[Any, Any]]:
        """The parameters that the model came with, by their exact names; new arrays each time.

        Raises UsageError where `init_params` draws one.
        """
        return self._given("params")

    @property
    def state(self) -> dict[str, np.ndarray[Any, Any]]:
        """The state that the model came with, by exact names; new arrays each time.

        Raises UsageError where `init_state` makes one.
        """
        return self._given("state")

    def _given(self, group: str) -> dict[str, np.ndarray[Any, Any]]:
        found = {}
        for node in self.lowered.groups.get(group, ()):
            given = self.lowered.given(node)
            if given is None:
                raise UsageError(
                    f"the initial value of {node.params.name!r} is not an array",
                    hint=f"the generated module has init_{group}, which makes it",
                )
            found[node.params.name] = given.copy()
        return found

    def __repr__(self) -> str:
        lowered, lines = self.lowered, self.source.count("\n")
        return f"<module of {lowered.graph.name!r}, {lowered.options['style']}, {lines} lines>"

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write the file and its companion, whole or not at all.

        Older ones stay until both of the new ones are complete. If nothing but the companion comes
        to stand there, the older module refuses to load it.

        Raises UsageError where the folder is missing or cannot be written to, and where the
        companion would replace an .npz file that is no module's, unless by `force`.
        """
        target = Path(path)
        check_writable(target)
        if self.companion and not force:
            check_companion(target)
        files: dict[Path, Writer] = {}
        if self.companion:  # first, since a module without it may not even be imported
            files[target.with_suffix(".npz")] = self.companion.write
        files[target] = lambda file: file.write(self.source.encode())
        write_atomically(files)
        return target

    def load(self) -> types.ModuleType:
        """The module, executed. Its companion lies in a temporary folder as long as it exists."""
        name = self.lowered.graph.name
        module = types.ModuleType("generated")
        code = builtins.compile(self.source, f"<graphc {name!r}>", "exec")
        if self.companion:
            folder = Folder()
            with open(folder.path / "generated.npz", "wb") as file:
                self.companion.write(file)
            module.__file__ = str(folder.path / "generated.py")
            module.__dict__["__folder__"] = folder  # what its functions refer to keeps the folder
        exec(code, module.__dict__)
        return module


class Folder:
    """A temporary folder that is removed when nothing refers to it any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="graphc."))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def compile(
    graph: Graph,
    *,
    optimizer: Optimizer | str | None = None,
    schedule: Schedule | str | Sequence[str] | None = None,
    clip_norm: float | None = None,
    fit: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    penalize: str | Sequence[str] = (),
    inference: bool = False,
    wrt: str | Sequence[str] = (),
    freeze: str | Sequence[str] = (),
    kinks: str = "torch",
    stabilize: bool = True,
    allow_unused: bool = False,
    debug_nan: bool = False,
    embed: bool | int = False,
    style: str = "functional",
    templates: str | os.PathLike[str] | None = None,
    command: str | None = None,
    after_pass: Callable[[str, Function], None] | None = None,
) -> Module:
    """Compile a graph into a module.

    optimizer     "sgd" or `gc.optim.sgd(...)`: emit the training step
    schedule      of its learning rate: `gc.optim.cosine(1000)` or "cosine:steps=1000"; of a list of
                  such texts, all but the last are warm-ups
    clip_norm     scale gradients down where the norm of all of them together is above this
    fit           emit `fit`, which trains on mini-batches, and what saves and loads checkpoints
    l1, l2        add l1 · Σ|θ| + l2 · Σθ² of the trained parameters to the loss
    penalize      patterns of the parameters that this is done for; all, by default
    inference     emit `predict` alone, without anything that only training needs
    wrt           names of parameters and inputs to differentiate by, in place of the default:
                  the trainable parameters, or the float inputs of a graph without parameters
    freeze        patterns of parameters that are not trained
    kinks         the convention about derivatives at kinks: "torch", "jax" or "textbook"
    stabilize     rewrite naive formulas to stable ones
    allow_unused  accept gradients that are zero everywhere
    debug_nan     check after each statement that the value is finite; the module then raises
                  FloatingPointError, which names the variable, the line of the model and the first
                  bad element
    embed         keep weights that are given, and large constants, in the file itself rather than
                  in an .npz file beside it: up to EMBEDDED bytes, or as many as a number says
    style         "functional": pure functions of NumPy arrays; "workspace": a class that owns its
                  memory, for training loops; "scalar": functions of Python's numbers, with `math`
                  and without NumPy, for graphs in which every value is a scalar. Floats have 64
                  bits there, whatever dtype the graph declares
    templates     a folder whose templates replace the stock ones
    command       how to make the module again, for its docstring
    after_pass    called with the name of each pass and the function that it made

    Raises UsageError for options that do not exist or do not suit the graph, DeclarationError for a
    graph without outputs, DifferentiationError where a gradient does not exist.
    """
    if style not in STYLES:
        raise UsageError(f"there is no style {style!r}", hint=f"use one of {', '.join(STYLES)}")
    options = Options(
        style=style,
        training=as_training(optimizer, schedule, clip_norm, fit),
        penalty=checked_penalty(l1, l2, as_names(penalize)),
        inference=inference,
        wrt=as_names(wrt),
        freeze=as_names(freeze),
        kinks=kinks,
        stabilize=stabilize,
        allow_unused=allow_unused,
        debug_nan=debug_nan,
        embed=as_limit(embed),
        command=command or f"graphc.compile(…) of {told(graph.name)}",
        version=VERSION,
    )
    if inference and options.training is not None:
        raise UsageError("inference and an optimizer exclude each other")
    if inference and options.penalty.described():
        raise UsageError("inference and a penalty exclude each other")
    compilation = Compilation(graph, options)
    if after_pass is not None:
        compilation.after = after_pass
    folder = None if templates is None else os.fspath(templates)
    with uncollected():
        lowered = compilation.lowered()
        view, companion = assemble(lowered)
        source = render(view, style, folder)
    return Module(source, companion, lowered, Report(lowered, compilation.report.fired))


def as_training(
    optimizer: Optimizer | str | None,
    schedule: Schedule | str | Sequence[str] | None,
    clip_norm: float | None,
    fit: bool,
) -> Training | None:
    """The training step that is asked for. Raises UsageError for options without an optimizer."""
    chosen, found = as_optimizer(optimizer), as_schedule(schedule)
    norm = None if clip_norm is None else checked_number("clip_norm", clip_norm, positive=True)
    if chosen is not None:
        return Training(chosen, found, norm, fit)
    given = {"schedule": schedule is not None, "clip_norm": norm is not None, "fit": fit}
    for name, is_given in given.items():
        if is_given:
            raise UsageError(f"{name} needs an optimizer")
    return None


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """In here, no garbage is looked for: what a compilation makes is one cycle, and all of it live.

    Looking through it again and again took a tenth to a quarter of the time, the more the larger
    the graph is.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def as_limit(embed: bool | int) -> int | None:
    """How many bytes of arrays may stand in a module; None where they go into a file beside it."""
    if not isinstance(embed, int) or embed < 0:
        raise UsageError(f"embed is True, False or a number of bytes, got {embed!r}")
    return {False: None, True: EMBEDDED}[embed] if isinstance(embed, bool) else embed


def told(name: str) -> str:
    """A graph in a line of prose."""
    return f"graph {name!r}" if len(ascii(name)) < 60 else "this graph"


def as_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several, comma-separated or listed."""
    if isinstance(names, str):
        return tuple(name.strip() for name in names.split(",") if name.strip())
    return tuple(names)


def check_writable(path: Path) -> None:
    """Raise UsageError unless a file can be written there."""
    reason = obstacle(path)
    if reason is not None:
        raise UsageError(f"cannot write {str(path)!r}: {reason}")


def check_companion(target: Path) -> None:
    """Raise UsageError for an .npz file that does not belong to the module about to be replaced."""
    companion = target.with_suffix(".npz")
    if not companion.exists():
        return
    with open(companion, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    if not target.exists() or checksum.encode() not in target.read_bytes():
        raise UsageError(
            f"{companion.name!r} is needed for weights or constants, and there is such a file",
            hint="pass --force (force=True) to replace it, or choose another name",
        )


def obstacle(path: Path) -> str | None:
    """What keeps a file from being written there, as far as can be told beforehand."""
    folder = path.parent
    try:
        if not folder.is_dir():
            return f"there is no folder {str(folder)!r}"
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except (OSError, ValueError) as error:  # a name that is too long, or has a NUL
        return reason_of(error)
    if stat.S_ISDIR(mode):
        return "it is a folder"
    if not stat.S_ISREG(mode):
        return "it is a device or a pipe, which a file would replace"
    if path.suffix == ".npz":
        return "a module is a .py file, with large constants in an .npz file beside it"
    return None if os.access(folder, os.W_OK) else "the folder is not writable"


def reason_of(error: Exception) -> str:
    """What the operating system says, without the file name that stands in the message already."""
    return getattr(error, "strerror", None) or str(error)


def write_atomically(files: Mapping[Path, Writer]) -> None:
    """Write files under other names beside them and rename them when all are complete."""
    written: dict[str, Path] = {}
    try:
        for path, write in files.items():
            try:
                handle, temporary = tempfile.mkstemp(prefix=".graphc.", dir=path.parent)
                written[temporary] = path
                with open(handle, "wb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
            except OSError as error:
                raise unwritten(path, error) from error
        for temporary, path in written.items():
            try:
                os.replace(temporary, path)
            except OSError as error:
                raise unwritten(path, error) from error
    finally:
        for temporary in written:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def unwritten(path: Path, error: OSError) -> UsageError:
    """The error that tells which file could not be written, and why."""
    return UsageError(f"cannot write {str(path)!r}: {reason_of(error)}")
