"""ModuleView: what a template sees of a module. Strings and lists only, in reading order.

Templates lay out, they decide nothing about ops or types. The fields are the interface to
`--templates DIR`: `VIEW_VERSION` counts changes that could break somebody's template.
"""

from __future__ import annotations

from dataclasses import dataclass

VIEW_VERSION = 1


@dataclass(frozen=True, slots=True)
class FunctionView:
    """A function: its `def` line(s), the lines of its docstring and of its body."""

    name: str
    signature: str
    doc: tuple[str, ...]
    body: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TypeView:
    """A dict or tuple type: its name, its definition as source, whether that is a class."""

    name: str
    source: str
    is_class: bool = False


@dataclass(frozen=True, slots=True)
class ModuleView:
    """One module.

    doc         the lines of its docstring
    imports     import statements, standard library first
    metadata    the items of `__graphc__`
    types       definitions of Params, Grads, Outputs, Residuals, …
    loaders     sources of runtime functions that constants are read with
    constants   assignments of constant arrays
    helpers     sources of runtime functions, in the order in which they are needed
    memory_doc  the lines of the docstring of the class, in the workspace style
    functions   by block: `parameters`, `schedule`, `inference`, `training`, `optimizer`, `fit`,
                `self_test`; in the workspace style `memory` and those from `inference` to `fit` are
                methods of a class
    """

    view_version: int
    name: str
    doc: tuple[str, ...]
    imports: tuple[str, ...]
    metadata: tuple[str, ...]
    types: tuple[TypeView, ...]
    loaders: tuple[str, ...]
    constants: tuple[str, ...]
    helpers: tuple[str, ...]
    parameters: tuple[FunctionView, ...]
    inference: tuple[FunctionView, ...]
    training: tuple[FunctionView, ...]
    optimizer: tuple[FunctionView, ...]
    self_test: tuple[FunctionView, ...]
    memory: tuple[FunctionView, ...] = ()
    memory_doc: tuple[str, ...] = ()
    schedule: tuple[FunctionView, ...] = ()
    fit: tuple[FunctionView, ...] = ()
