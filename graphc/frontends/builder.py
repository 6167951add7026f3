"""The builder: `with gc.Graph("mlp") as g:` and what can be declared in it."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from types import CodeType, FrameType, TracebackType
from typing import Any

from graphc.errors import DeclarationError, DTypeError, Site, caller_frame
from graphc.frontends.initializers import as_initializer, is_drawn
from graphc.ir import dims
from graphc.ir import graph as arena
from graphc.ir.graph import ARGUMENT, Parameter
from graphc.ir.node import Node
from graphc.ir.op import outermost
from graphc.ir.types import FLOAT, DType, as_dtype, float32
from graphc.ops.operands import cast, operand
from graphc.ops.shape import as_shape

MAX_NAME = 60_000  # bytes: the directory of an .npz file keeps 65535 for `params/….npy`

_default_dtype: ContextVar[DType] = ContextVar("graphc_default_dtype", default=float32)
_path: ContextVar[tuple[str, ...]] = ContextVar("graphc_path", default=())


@contextmanager
def default_dtype(dtype: Any) -> Iterator[None]:
    """In here, graphs and inputs that name no dtype get this float dtype."""
    token = _default_dtype.set(_float_dtype(dtype))
    try:
        yield
    finally:
        _default_dtype.reset(token)


@contextmanager
def path(name: str) -> Iterator[None]:
    """In here, parameters and labels are called `name.…`, so that a helper can be used twice."""
    token = _path.set((*_path.get(), _checked("path", name)))
    try:
        yield
    finally:
        _path.reset(token)


def scoped(*name: str) -> str:
    """A name under the open paths, or that of the paths."""
    return ".".join((*_path.get(), *name))


class Graph(arena.Graph):
    """A model: declare inputs and parameters, compute with them, declare outputs and a loss.

    Nodes are called after the variables that they are assigned to.

    name        what the model is called in generated code
    dtype       the float dtype of whatever names none (float32)
    pretrained  parameters and states that start from arrays were trained before: they are kept in
                an .npz file beside the module, which `load_params` finds, and `init_params` is
                missing if all are
    """

    def __init__(self, name: str = "model", *, dtype: Any = None, pretrained: bool = False) -> None:
        chosen = _default_dtype.get() if dtype is None else _float_dtype(dtype)
        super().__init__(name=_checked("graph", name), dtype=chosen, pretrained=pretrained)
        self._open: list[tuple[AbstractContextManager[Any], FrameType | None]] = []

    def __enter__(self) -> Graph:
        opened = arena.entered(self)
        opened.__enter__()
        self._open.append((opened, caller_frame()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        opened, caller = self._open.pop()
        if caller is not None:
            for name, value in caller.f_locals.items():
                if isinstance(value, Node) and value.graph is self and value not in self.labels:
                    self.label(value, name)
        opened.__exit__(kind, error, traceback)

    # --- declarations -----------------------------------------------------------------------

    def input(self, name: str, shape: Any = (), dtype: Any = None) -> Node:
        """An argument of the generated functions.

        shape  ints, and names of dimensions that are known only when the module runs
        """
        return self._declare("input", _checked("input", name), shape, dtype)

    def parameter(
        self,
        name: str,
        shape: Any = (),
        *,
        init: object = "zeros",
        dtype: Any = None,
        trainable: bool = True,
        fans: tuple[Any, Any] | None = None,
    ) -> Node:
        """A parameter, with the initialiser that `init_params` uses, or with its value.

        init  one of `gc.init`, its name (`he_normal`, `glorot_uniform`, `zeros`, …), a number, or
              an array of the shape. Where all parameters are given as arrays, the module comes with
              a file of them, which `load_params()` reads: there is no `init_params`
        fans  how many inputs and outputs a unit has, where the shape is not that of a W that is
              used as `x @ W`
        """
        name = _checked("parameter", scoped(_checked("parameter", name)))
        node = self._declare("parameter", name, shape, dtype)
        initial = as_initializer(init, node, fans)
        if trainable and node.dtype.kind != FLOAT:
            raise DTypeError(
                f"parameter {name!r} of dtype {node.dtype} cannot be trained",
                hint="pass trainable=False",
            )
        self.parameters[name] = Parameter(node, initial, trainable)
        return node

    def state(
        self, name: str, shape: Any = (), *, init: object = "zeros", dtype: Any = None
    ) -> Node:
        """A value that is carried from one step to the next without a gradient (see `update`)."""
        name = _checked("state", scoped(_checked("state", name)))
        node = self._declare("state", name, shape, dtype)
        initial = as_initializer(init, node)
        if is_drawn(initial):
            described = self.describe(node)
            raise DeclarationError(f"a state starts without draws, got {initial!s} for {described}")
        self.states[name] = (node, initial)
        return node

    def update(self, state: Node, value: Any) -> None:
        """Declare what a state becomes in each training step."""
        name = next((name for name, (node, _) in self.states.items() if node is state), None)
        if name is None:
            raise DeclarationError(f"update expects a state of this graph, got {state!r}")
        if name in self.updates:
            before = self.describe(self.updates[name], site=True)
            raise DeclarationError(f"state {name!r} has an update already: {before}")
        value = self._own(value)
        if value.dtype.kind > state.dtype.kind:
            raise DTypeError(
                f"the update of {self.describe(state, site=True)} would lose more than precision: "
                f"{self.describe(value, site=True)}",
                hint="convert it with .astype",
            )
        value = cast(value, state.dtype)
        if value.shape != state.shape:
            raise DeclarationError(
                f"the update of {self.describe(state, site=True)} has another shape: "
                f"{self.describe(value, site=True)}"
            )
        self.updates[name] = value

    def output(self, name: str, value: Any) -> Node:
        """Declare a result of `predict`."""
        name = _checked("output", name)
        if name in self.outputs:
            before = self.describe(self.outputs[name], site=True)
            raise DeclarationError(f"there is an output {name!r} already: {before}")
        self.outputs[name] = node = self._own(value)
        return node

    def loss(self, value: Any) -> Node:
        """Declare the scalar that gradients are taken of."""
        node = self._own(value)
        described = self.describe(node, site=True)
        if self.objective is not None:
            before = self.describe(self.objective, site=True)
            raise DeclarationError(f"there is a loss already: {before}")
        if node.shape or node.dtype.kind != FLOAT:
            raise DeclarationError(
                f"the loss has to be a float scalar, got {described}",
                hint="reduce it with .mean() or .sum()" if node.shape else "convert with .astype",
            )
        self.objective = node
        return node

    def constant(self, value: object, dtype: object = None) -> Node:
        """A constant array; floats take the graph's dtype unless one is given."""
        if dtype is None and as_dtype(arena.plain_array(value).dtype).kind == FLOAT:
            dtype = self.dtype
        node: Node = outermost(super().constant, value, dtype)
        return node

    def dim(self, name: str) -> dims.Dim:
        """A named size, to be used in shapes: `(2 * g.dim("n"), 3)`."""
        return as_shape(name)[0]  # type: ignore[return-value]

    def _declare(self, kind: str, name: str, shape: Any, dtype: Any) -> Node:
        sizes = as_shape(shape)
        for size in sizes:
            if isinstance(size, int) and size < 0:
                raise DeclarationError(f"{kind} {name!r} has a negative size in {shape!r}")
        if any(name in table for table in (self.inputs, self.parameters, self.states)):
            before = next(n for n in self.nodes if n.op is ARGUMENT and n.params.name == name)
            raise DeclarationError(
                f"there is already {before.params.kind} {self.describe(before, site=True)}"
            )
        node = self.argument(kind, name, sizes, self.dtype if dtype is None else as_dtype(dtype))
        if kind == "input":
            self.inputs[name] = node
        return node

    def _own(self, value: Any) -> Node:
        with arena.entered(self):
            node = operand(value)
        if node.graph is not self:
            raise DeclarationError(
                f"{node.graph.describe(node, site=True)} belongs to graph {node.graph.name!r}, "
                f"not to {self.name!r}"
            )
        return node

    # --- labels and sites -------------------------------------------------------------------

    def record(self, node: Node) -> None:
        """Note the user's line for a node."""
        frame = caller_frame()
        if frame is not None:
            place = Place(frame.f_code, frame.f_lasti)
            if node in self.sites:
                self.sites[node].append(place)
            else:
                self.sites[node] = [place]

    def assigned(self, node: Node) -> None:
        """Label a node with the variable that the user's call is assigned to."""
        frame = caller_frame()
        while frame is not None:
            name = target_of(frame.f_code, frame.f_lasti)
            if name is None:
                break
            if name != RETURNED:
                self.label(node, scoped(name))
                break
            frame = frame.f_back


RETURNED = "<returned>"
STORES = ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF")
_targets: dict[CodeType, dict[int, str]] = {}


def target_of(code: CodeType, place: int) -> str | None:
    """The variable that the instruction's result is stored in next, RETURNED, or None.

    Only a plain `name = …` counts: the store follows the call at once.
    """
    if code not in _targets:
        steps = [s for s in dis.get_instructions(code) if s.opname != "EXTENDED_ARG"]
        found = {}
        for step, following in pairwise(steps):
            if following.opname.startswith(STORES):
                stored = following.argval
                target = stored[0] if isinstance(stored, tuple) else str(stored)
            elif following.opname == "RETURN_VALUE":
                target = RETURNED
            else:
                continue
            # A frame that waits for a call stands at the call, or in the caches that follow it.
            found.update(dict.fromkeys(range(step.offset, following.offset, 2), target))
        _targets[code] = found
    return _targets[code].get(place)


@dataclass(eq=False, slots=True)
class Place:
    """An instruction of the user's code; which line that is, is worked out when it is asked."""

    code: CodeType
    instruction: int

    def __call__(self) -> Site:
        return Site(self.code.co_filename, line_of(self.code, self.instruction))


def line_of(code: CodeType, place: int) -> int:
    """The line of an instruction."""
    for index, position in enumerate(code.co_positions()):
        if index * 2 == place:
            return position[0] or code.co_firstlineno
    return code.co_firstlineno


def _checked(kind: str, name: object) -> str:
    """The name. Raises DeclarationError unless it can be a key of a dict and of an .npz file."""
    if not isinstance(name, str) or not name:
        raise DeclarationError(f"the name of the {kind} is a non-empty string, got {name!r}")
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in name):
        raise DeclarationError(f"the name of the {kind} has a NUL or a lone surrogate: {name!r}")
    if len(name.encode()) > MAX_NAME:
        shown = f"{name[:40]}…"
        raise DeclarationError(f"the name of the {kind} has more than {MAX_NAME} bytes: {shown!r}")
    return name


def _float_dtype(dtype: Any) -> DType:
    chosen = as_dtype(dtype)
    if chosen.kind != FLOAT:
        raise DTypeError(f"the dtype of a graph is a float dtype, got {chosen}")
    return chosen
