"""Nodes: what is computed. Immutable and interned, so identity is structural equality."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.errors import DeclarationError, UnsupportedError, suggest
from graphc.ir import dims
from graphc.ir.op import FUNCTIONS, Op
from graphc.ir.types import BOOL, DType, TensorType, Type

if TYPE_CHECKING:
    from graphc.ir.dims import Extent, Shape
    from graphc.ir.graph import Graph


class Node:
    """A value in a graph: an op applied to other nodes.

    Nodes behave like NumPy arrays: operators, slicing, methods and NumPy's own functions build
    more nodes. `==` builds the comparison; graphc itself compares nodes with `is`.

    shape  the sizes of the axes: ints and named dimensions
    dtype  the element type
    """

    # Every pass reads shape and dtype of every node, so they are kept beside the type.
    __slots__ = ("args", "dtype", "graph", "id", "op", "params", "shape", "type")

    shape: Shape
    dtype: DType

    def __init__(
        self, graph: Graph, op: Op, args: tuple[Node, ...], params: Any, type: Type, id: int
    ) -> None:
        self.graph = graph
        self.op = op
        self.args = args
        self.params = params
        self.type = type
        self.id = id
        if isinstance(type, TensorType):
            self.shape, self.dtype = type
        elif type.items:  # a derivative by nothing has no result
            self.shape, self.dtype = type.items[0]

    # Equality builds a node, so dictionaries must go by identity alone.
    __hash__ = object.__hash__

    # --- what it is -------------------------------------------------------------------------

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The types of the results, one unless the op has several."""
        return (self.type,) if isinstance(self.type, TensorType) else self.type.items

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Extent:
        """The number of elements."""
        return dims.product(self.shape)

    def named(self, name: str) -> Node:
        """Label this node; the label becomes its variable in generated code."""
        if not isinstance(name, str) or not name:
            raise DeclarationError(f"a label is a text that is not empty, got {name!r}")
        self.graph.label(self, name, explicit=True)
        return self

    def __repr__(self) -> str:
        return f"<{self.graph.describe(self)}>"

    # --- operators --------------------------------------------------------------------------

    def __add__(self, other: Any) -> Node:
        return _apply("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return _apply("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return _apply("subtract", self, other)

    def __rsub__(self, other: Any) -> Node:
        return _apply("subtract", other, self)

    def __mul__(self, other: Any) -> Node:
        return _apply("multiply", self, other)

    def __rmul__(self, other: Any) -> Node:
        return _apply("multiply", other, self)

    def __truediv__(self, other: Any) -> Node:
        return _apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return _apply("divide", other, self)

    def __floordiv__(self, other: Any) -> Node:
        return _apply("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Node:
        return _apply("floor_divide", other, self)

    def __mod__(self, other: Any) -> Node:
        return _apply("remainder", self, other)

    def __rmod__(self, other: Any) -> Node:
        return _apply("remainder", other, self)

    def __pow__(self, other: Any) -> Node:
        return _apply("pow", self, other)

    def __rpow__(self, other: Any) -> Node:
        return _apply("pow", other, self)

    def __matmul__(self, other: Any) -> Node:
        return _apply("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return _apply("matmul", other, self)

    def __neg__(self) -> Node:
        return _apply("negative", self)

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Node:
        return _apply("abs", self)

    def __lt__(self, other: Any) -> Node:
        return _apply("less", self, other)

    def __le__(self, other: Any) -> Node:
        return _apply("less_equal", self, other)

    def __gt__(self, other: Any) -> Node:
        return _apply("greater", self, other)

    def __ge__(self, other: Any) -> Node:
        return _apply("greater_equal", self, other)

    def __eq__(self, other: Any) -> Node:  # type: ignore[override]
        return _apply("equal", self, other)

    def __ne__(self, other: Any) -> Node:  # type: ignore[override]
        return _apply("not_equal", self, other)

    def __and__(self, other: Any) -> Node:
        return _logical("logical_and", self, other)

    def __rand__(self, other: Any) -> Node:
        return _logical("logical_and", other, self)

    def __or__(self, other: Any) -> Node:
        return _logical("logical_or", self, other)

    def __ror__(self, other: Any) -> Node:
        return _logical("logical_or", other, self)

    def __xor__(self, other: Any) -> Node:
        return _logical("logical_xor", self, other)

    def __rxor__(self, other: Any) -> Node:
        return _logical("logical_xor", other, self)

    def __invert__(self) -> Node:
        return _logical("logical_not", self)

    def __getitem__(self, key: Any) -> Node:
        return _apply("getitem", self, key)

    # --- array methods ----------------------------------------------------------------------

    @property
    def T(self) -> Node:
        """All axes reversed."""
        return _apply("permute_dims", self, None)

    @property
    def mT(self) -> Node:
        """The last two axes swapped."""
        return _apply("matrix_transpose", self)

    def reshape(self, *shape: Any) -> Node:
        """The same elements in another shape; one size may be -1."""
        return _apply("reshape", self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Node:
        """Axes in another order; reversed if none is given."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return _apply("permute_dims", self, order)

    def flatten(self) -> Node:
        """All elements along one axis."""
        return _apply("reshape", self, (-1,))

    ravel = flatten

    def __getattr__(self, name: str) -> Any:
        # Methods that only forward their arguments, `x.sum(axis=1)`, are the functions themselves.
        if name in _METHODS:
            function = FUNCTIONS[name]
            return lambda *arguments, **options: function(self, *arguments, **options)
        known = [*_METHODS, *(n for n in dir(type(self)) if not n.startswith("_"))]
        advice = suggest(name, known)
        raise AttributeError(f"a graphc node has no attribute {name!r}; {advice or 'see gc.Node'}")

    # --- NumPy's protocols ------------------------------------------------------------------

    __array_priority__ = 1000

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        name = NUMPY_NAMES.get(ufunc.__name__, ufunc.__name__)
        if method == "reduce" and name in _REDUCTIONS:
            options.setdefault("axis", 0)
            name = _REDUCTIONS[name]
        elif method != "__call__":
            raise UnsupportedError(f"np.{ufunc.__name__}.{method} has no op in graphc")
        return _numpy_call(name, f"np.{ufunc.__name__}", inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = NUMPY_NAMES.get(function.__name__, function.__name__)
        spelling = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
        own = spelling.removeprefix("np.")  # np.linalg.trace is not np.trace
        return _numpy_call(own if own in FUNCTIONS else name, spelling, args, kwargs)

    # --- what a symbolic value cannot do ----------------------------------------------------

    def __bool__(self) -> bool:
        raise self._no_value("has no truth value", "use gc.where(condition, a, b) for a choice")

    def __float__(self) -> float:
        raise self._no_value("has no numeric value", "values exist when the module runs")

    def __int__(self) -> int:
        raise self._no_value("has no numeric value", "values exist when the module runs")

    __index__ = __complex__ = __int__

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise self._no_value("is no NumPy array", "use the gc. function of the same name")

    def __len__(self) -> int:
        if self.ndim and isinstance(self.shape[0], int):
            return self.shape[0]
        raise self._no_value("has no fixed length", "use x.shape[0], which may be a named size")

    def __iter__(self) -> Iterator[Node]:
        if self.ndim and isinstance(self.shape[0], int):
            return (self[i] for i in range(self.shape[0]))
        raise self._no_value("cannot be iterated over", "an axis must have a fixed size for that")

    def __setitem__(self, key: Any, value: Any) -> None:
        raise self._no_value("cannot be assigned to", "build a new one with gc.where or gc.concat")

    def _no_value(self, what: str, hint: str) -> UnsupportedError:
        name = self.graph.describe(self)
        return UnsupportedError(f"{name} is symbolic and {what}", hint=hint)


_METHODS = (
    *("sum", "mean", "max", "min", "prod", "var", "std", "clip"),
    *("squeeze", "swapaxes", "dot", "astype"),
    *("argmax", "argmin", "argsort", "diagonal", "trace"),
)
_REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}

# NumPy's older spellings of the Array API's names.
NUMPY_NAMES = {
    "absolute": "abs", "fabs": "abs", "power": "pow", "true_divide": "divide",
    "concatenate": "concat", "transpose": "permute_dims", "amax": "max", "amin": "min",
    "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh",
    "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh",
    "rint": "round", "around": "round", "fix": "trunc",
    "invert": "bitwise_invert", "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "cumsum": "cumulative_sum", "cumprod": "cumulative_prod",
}  # fmt: skip


def _apply(name: str, *operands: Any) -> Node:
    result: Node = FUNCTIONS[name](*operands)
    return result


_BITWISE = {
    "logical_and": "bitwise_and", "logical_or": "bitwise_or",
    "logical_xor": "bitwise_xor", "logical_not": "bitwise_invert",
}  # fmt: skip


def _logical(name: str, *operands: Any) -> Node:
    """`& | ^ ~` on conditions; on numbers they could mean truth or bits, which have names."""
    for operand in operands:
        if isinstance(operand, Node) and operand.dtype.kind != BOOL:
            described = operand.graph.describe(operand, site=True)
            raise UnsupportedError(
                f"& | ^ ~ combine conditions, got {described}",
                hint=f"gc.{name}, or gc.{_BITWISE[name]} for the bits of ints",
            )
    return _apply(name, *operands)


def _numpy_call(name: str, spelling: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    if name not in FUNCTIONS:
        raise UnsupportedError(f"{spelling} has no op in graphc", hint=suggest(name, FUNCTIONS))
    given = {key: value for key, value in options.items() if value is not None or key == "axis"}
    for option in ("out", "where", "dtype"):
        if option in given:
            raise UnsupportedError(f"{spelling}: {option}= has no meaning on symbolic nodes")
    return FUNCTIONS[name](*args, **given)
