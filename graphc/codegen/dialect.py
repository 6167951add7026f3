"""A dialect: how the values of a module are written down, as NumPy arrays or as Python's numbers.

The functions of a module, their order and their statements are the same in every dialect. Where
the text depends on what a value is - its annotation, the form of an op, the check of an argument,
how parameters are kept - the code generator asks the dialect, which the `Context` carries.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any

from graphc.codegen.view import FunctionView
from graphc.ir.emission import Template
from graphc.ir.node import Node
from graphc.lower.module import LoweredModule, SelfTest
from graphc.lower.naming import Names

Helper = Callable[..., Any]
LOADERS = {"load_params", "load_state"}  # functions that take a path
Spell = Callable[[str], str]  # the identifier of a named size


class Dialect(ABC):
    """What depends on the kind of values.

    what       what the module's docstring says that it is written in
    notes      what else that docstring says
    reserved   names that a module in this dialect uses
    typed      whether annotations tell all about a value, and a type checker the type of each
               expression
    names      what annotations of values are made of
    infinity   an infinite number
    raises     whether a statement raises an error where NumPy would go on with an infinity or NaN
    finite     the runtime function that checks a value, in a module for debugging
    residuals  the docstring of `Residuals`
    file       what parameters and states are kept in
    companion  whether a module may have a file beside it
    checks     what `load_params` and `load_state` say about their checks
    generator  the annotation of the argument of `init_params`
    draws      the annotation of `rng`, from which a model draws
    check_rng  the runtime function that checks it
    checked_number  the one that checks a keyword argument of a training step
    vector     the annotations of what `ravel_params` returns and `unravel_params` takes
    """

    what: str
    notes: tuple[str, ...] = ()
    reserved: tuple[str, ...]
    typed: bool
    names: tuple[str, ...]
    infinity: str
    raises: bool
    finite: Helper
    residuals: str
    file: str
    companion: bool
    checks: str
    generator: str
    draws: str
    check_rng: Helper
    checked_number: Helper
    vector: tuple[str, str]

    # --- values ---------------------------------------------------------------------------------

    @abstractmethod
    def annotation(self, node: Node) -> str:
        """The annotation of a value."""

    @abstractmethod
    def described(self, node: Node) -> str:
        """The type of an argument or result in docstrings."""

    @abstractmethod
    def comment(self, node: Node) -> str:
        """What stands behind a field that holds a value."""

    @abstractmethod
    def cotangent(self, node: Node) -> str:
        """The annotation of a cotangent in the signature of `backward`."""

    # --- expressions ----------------------------------------------------------------------------

    @abstractmethod
    def template(self, node: Node) -> Template:
        """The form of the op of a node."""

    @abstractmethod
    def helpers(self, node: Node) -> Sequence[Helper]:
        """The runtime functions that the form of a node calls."""

    @abstractmethod
    def literal(self, user: Node, node: Node, spell: Spell) -> str:
        """A scalar constant or size as an operand."""

    @abstractmethod
    def constant(self, node: Node, spell: Spell) -> str:
        """A scalar constant or size as a result."""

    @abstractmethod
    def zeros(self, node: Node, shape: str) -> str:
        """Zeros in place of a cotangent that is None."""

    @abstractmethod
    def slot(self, key: str, start: float) -> str:
        """The item of a parameter in a new slot of an optimiser, filled with a number."""

    @abstractmethod
    def copied(self, text: str) -> str:
        """A value that shares no memory with the one that the text stands for."""

    @abstractmethod
    def kept(self, group: str, node: Node) -> str:
        """A parameter or state as it was given, sharing no memory with that."""

    def number(self, name: str) -> str:
        """The statement that checks a keyword argument of a training step."""
        return f'{name} = checked_number("{name}", {name})'

    @abstractmethod
    def readied(self, node: Node, name: str) -> str:
        """The statement that readies an array in an optimiser's update; empty for none."""

    @abstractmethod
    def converted(self, name: str, source: str, like: str) -> str:
        """The statement that makes a number like an array; empty where it is so already."""

    # --- the boundary ---------------------------------------------------------------------------

    @abstractmethod
    def check(
        self, node: Node, key: str, source: str, sizes: Sequence[str]
    ) -> tuple[str, list[str]]:
        """The function that checks an argument, and what it is given.

        key, source  the name in messages, and the expression that is checked
        """

    @abstractmethod
    def boundary(self, module: LoweredModule) -> Sequence[Helper]:
        """The runtime functions that checks call, and those that read parameters."""

    @abstractmethod
    def clipping(self) -> Sequence[Helper]:
        """The runtime functions that clip the norm of gradients."""

    @abstractmethod
    def fitting(self) -> Sequence[Helper]:
        """The runtime functions of `fit` and of checkpoints."""

    @abstractmethod
    def testing(self, test: SelfTest) -> Sequence[Helper]:
        """The runtime functions that the self-test calls."""

    @abstractmethod
    def imports(self, functions: Sequence[FunctionView], code: str) -> list[str]:
        """The import statements of a module: its functions, and all of its code."""

    # --- parameters -----------------------------------------------------------------------------

    @abstractmethod
    def saved(self, group: str) -> list[str]:
        """The body of `save_params`, and of `save_state`."""

    @abstractmethod
    def stored(self, group: str, declared: Sequence[Node]) -> tuple[str, list[str]]:
        """The statement that reads a file of parameters or states, and the expression of each."""

    @abstractmethod
    def ravelled(self, trained: Sequence[Node]) -> list[str]:
        """The body of `ravel_params`."""

    @abstractmethod
    def unravelled(
        self, declared: Sequence[Node], trained: Collection[Node], names: Names
    ) -> tuple[list[str], dict[Node, str]]:
        """The first statements of `unravel_params`, and the expression of what is trained."""

    # --- the self-test --------------------------------------------------------------------------

    @abstractmethod
    def sample(self, node: Node, test: SelfTest) -> str:
        """The expression of the reproducible value of an argument."""

    @abstractmethod
    def slope(self, gradient: str) -> str:
        """One number that depends on every element of a gradient."""
