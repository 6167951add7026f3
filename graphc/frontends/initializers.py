"""`gc.init`: how parameters start, as expressions of a generator `rng` in `init_params`.

A name stands for its function without arguments: `init="he_normal"` is `gc.init.he_normal()`.
"""

from __future__ import annotations

import contextlib
import math
import numbers
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.errors import DeclarationError, DTypeError, ShapeError, UnsupportedError, suggest
from graphc.ir import dims
from graphc.ir.constant import unchangeable
from graphc.ir.dims import Extent
from graphc.ir.emission import size_text, tuple_text
from graphc.ir.graph import plain_array
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, DType
from graphc.ops.shape import as_count
from graphc.runtime import initializers as runtime

__all__ = [
    "constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal",
    "lecun_uniform", "normal", "ones", "orthogonal", "uniform", "zeros",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Initializer:
    """How a parameter starts, as a function of `gc.init` returns it.

    kind     the name of that function
    numbers  its arguments, by name
    fans     how many inputs and outputs a unit has, where the shape does not tell
    """

    kind: str
    numbers: tuple[tuple[str, float], ...] = ()
    fans: tuple[Extent, Extent] | None = None

    def __str__(self) -> str:
        """As it is written: `he_normal`, `normal(std=0.02)`, `he_normal(fans=(27, 144))`."""
        usual = SHORTHANDS[self.kind].numbers if self.kind in SHORTHANDS else ()
        options = [f"{name}={v!r}" for name, v in self.numbers if (name, v) not in usual]
        options += [f"fans=({self.fans[0]}, {self.fans[1]})"] if self.fans else []
        return self.kind + (f"({', '.join(options)})" if options else "")


# --- what users call ---------------------------------------------------------------------------


def zeros() -> Initializer:
    """All elements 0."""
    return Initializer("zeros")


def ones() -> Initializer:
    """All elements 1."""
    return Initializer("ones")


def constant(value: float) -> Initializer:
    """All elements one number; the same as the number itself."""
    return Initializer("constant", (("value", value),))


def uniform(low: float = -0.01, high: float = 0.01) -> Initializer:
    """Draws between low and high (torch.nn.init.uniform_, whose default is 0 and 1)."""
    made = _made("uniform", low=low, high=high)
    if not 0 <= high - low < math.inf:
        raise DeclarationError(f"init.uniform: low is not above high, got {low!r} and {high!r}")
    return made


def normal(mean: float = 0.0, std: float = 0.01) -> Initializer:
    """Draws from a normal distribution (torch.nn.init.normal_, whose default std is 1)."""
    return _made("normal", positive=("std",), mean=mean, std=std)


def lecun_normal() -> Initializer:
    """Normal with the variance 1 / inputs (LeCun et al. 1998)."""
    return Initializer("lecun_normal")


def lecun_uniform() -> Initializer:
    """Uniform with the variance 1 / inputs (LeCun et al. 1998)."""
    return Initializer("lecun_uniform")


def glorot_normal(gain: float = 1.0) -> Initializer:
    """Normal with the variance gain² · 2 / (inputs + outputs) (Glorot & Bengio 2010).

    As torch.nn.init.xavier_normal_.
    """
    return _made("glorot_normal", positive=("gain",), gain=gain)


def glorot_uniform(gain: float = 1.0) -> Initializer:
    """Uniform with the variance gain² · 2 / (inputs + outputs) (Glorot & Bengio 2010).

    As torch.nn.init.xavier_uniform_.
    """
    return _made("glorot_uniform", positive=("gain",), gain=gain)


def he_normal(negative_slope: float = 0.0) -> Initializer:
    """Normal with the variance 2 / (1 + negative_slope²) / inputs (He et al. 2015).

    As torch.nn.init.kaiming_normal_; the slope is that of the leaky_relu that follows.
    """
    return _made("he_normal", negative_slope=negative_slope)


def he_uniform(negative_slope: float = 0.0) -> Initializer:
    """Uniform with the variance 2 / (1 + negative_slope²) / inputs (He et al. 2015).

    As torch.nn.init.kaiming_uniform_; the slope is that of the leaky_relu that follows.
    """
    return _made("he_uniform", negative_slope=negative_slope)


def orthogonal(gain: float = 1.0) -> Initializer:
    """Gain times a matrix with orthonormal rows or columns (Saxe et al. 2014).

    As torch.nn.init.orthogonal_: all axes but the first are taken together, and of rows and columns
    the fewer ones are orthonormal. It needs two axes.
    """
    return _made("orthogonal", positive=("gain",), gain=gain)


def _made(kind: str, positive: tuple[str, ...] = (), **given: float) -> Initializer:
    """An initialiser of finite numbers. Raises DeclarationError for any other."""
    for name, value in given.items():
        least = 0 if name in positive else -math.inf
        number = math.nan
        if isinstance(value, (numbers.Real, np.floating, np.integer)):
            with contextlib.suppress(OverflowError):  # an int of hundreds of digits
                number = float(value)
        if not math.isfinite(number) or number < least:
            expected = "a number >= 0" if name in positive else "a finite number"
            raise DeclarationError(f"init.{kind}: {name} is {expected}, got {shown(value)}")
    return Initializer(kind, tuple((name, float(value)) for name, value in given.items()))


SHORTHANDS = {
    make.__name__: make()
    for make in (zeros, ones, normal, uniform, lecun_normal, lecun_uniform, glorot_normal,
                 glorot_uniform, he_normal, he_uniform, orthogonal)
}  # fmt: skip


# --- what is declared --------------------------------------------------------------------------


def as_initializer(init: object, node: Node, fans: object = None) -> object:
    """How a node starts: an Initializer, a number, or an array of its shape and dtype.

    Nobody can change the array; a node that starts from one is *given*, like a trained weight.
    Raises DeclarationError for what cannot initialise the node.
    """
    counts = None if fans is None else as_fans(fans)
    if isinstance(init, str):
        if init not in SHORTHANDS:
            raise DeclarationError(
                f"there is no initialiser {init!r}",
                hint=suggest(init, SHORTHANDS) or f"use one of {', '.join(SHORTHANDS)}",
            )
        init = SHORTHANDS[init]
    if isinstance(init, Initializer) and init.kind != "constant":
        if node.dtype.kind != FLOAT and init.kind not in ("zeros", "ones"):
            raise DeclarationError(f"initialiser {str(init)!r} makes floats, not {node.dtype}")
        if init.kind == "orthogonal" and node.ndim < 2:
            described = node.graph.describe(node)
            raise DeclarationError(f"init.orthogonal needs two axes or more, got {described}")
        # Those that do not go by fans are the same whatever is said of them.
        return replace(init, fans=counts) if _family(init) in NUMERATORS else init
    if isinstance(init, Initializer):
        init = init.numbers[0][1]
    check_value(init, node)
    if isinstance(init, (bool, int, float, np.generic)):
        return init
    array = plain_array(init)
    return unchangeable(array, node.dtype.numpy) if array.ndim == node.ndim else array[()]


def check_value(init: object, node: Node) -> None:
    """Raise DeclarationError unless `init` is a number or an array that fits the node."""
    expected = f"an initialiser of {node.dtype} is a name, a number or an array of the shape"
    try:
        array = plain_array(init)
    except (DTypeError, UnsupportedError) as error:
        message = f"{expected}, got {shown(init)}: {error.message}"
        called = getattr(init, "__name__", None) in __all__
        raise DeclarationError(message, hint="call it" if called else error.hint) from None
    if not holds(node.dtype, array):
        raise DeclarationError(f"{expected}, got {shown(init)}")
    if array.ndim and array.shape != node.shape:
        raise DeclarationError(
            f"the initial value has shape {array.shape}, not that of {node.graph.describe(node)}"
        )


def is_drawn(init: object) -> bool:
    """Whether an initialiser draws numbers."""
    return isinstance(init, Initializer) and init.kind not in ("zeros", "ones")


def as_fans(fans: Any) -> tuple[Extent, Extent]:
    """The numbers of inputs and outputs. Raises DeclarationError unless they are two sizes.

    1 for 0, so that nothing is divided by zero: such a parameter has no elements.
    """
    try:
        inputs, outputs = [as_count("fans", size) for size in fans]
    except (TypeError, ValueError) as error:
        problem = f": {error.message}" if isinstance(error, ShapeError) else ""
        raise DeclarationError(
            f"fans are two sizes, the inputs and the outputs of a unit, got {fans!r}{problem}"
        ) from None
    return (1 if inputs == 0 else inputs), (1 if outputs == 0 else outputs)


def fans_of(node: Node) -> tuple[Extent, Extent]:
    """How many inputs and outputs a unit has, for weights used as `x @ W`: (inputs, outputs)."""
    field = dims.product(node.shape[:-2])
    both = node.shape[-2:] if node.ndim > 1 else (dims.product(node.shape),) * 2
    return as_fans([size * field for size in both])


def shown(init: object) -> str:
    """An initial value in a message."""
    if isinstance(init, np.ndarray):
        return f"an array of {init.dtype}"
    try:
        return textwrap.shorten(repr(init), 100, placeholder=" …")
    except ValueError:  # an int of more digits than Python writes
        return f"an {type(init).__name__} of very many digits"


def holds(dtype: DType, array: np.ndarray[Any, Any]) -> bool:
    """Whether a dtype can take the values: floats may lose precision, ints not a bit."""
    if dtype.kind == FLOAT:
        return np.can_cast(array.dtype, dtype.numpy, "same_kind")
    return array.dtype.kind in "biu" and np.array_equal(array.astype(dtype.numpy), array)


# --- how it is written -------------------------------------------------------------------------

# Variances by family: this number, over the inputs or over the sum of inputs and outputs.
NUMERATORS = {"lecun": 1, "glorot": 2, "he": 2}


def initial_expression(init: object, node: Node) -> str | np.ndarray[Any, Any]:
    """The template of the initial value; an array where it is one."""
    dtype = node.dtype.source
    if isinstance(init, Initializer):
        shape = shape_argument(node)
        if not is_drawn(init):
            return f"np.{init.kind}({shape}, {dtype})"
        return f"{_array_text(init, node, shape)}.astype({dtype})"
    array = np.asarray(init, dtype=node.dtype.numpy)
    if isinstance(init, np.ndarray):
        return array
    number = repr(array.item()).replace("inf", "np.inf").replace("nan", "np.nan")
    if np.isnan(array) and array.tobytes() != np.array(np.nan, array.dtype).tobytes():
        # This NaN has a sign or a payload.
        bits = array.view(f"u{array.itemsize}")
        number = f"np.{bits.dtype.name}({bits.item():#x}).view({dtype})"
    return f"np.full({shape_argument(node)}, {number}, {dtype})"


def initial_number(init: object, node: Node) -> str:
    """The template of the initial value of a scalar on Python's numbers.

    `rng` is a random.Random.
    """
    if not isinstance(init, Initializer):
        value = np.asarray(init, dtype=node.dtype.numpy).item()
        return repr(value).replace("inf", "math.inf").replace("nan", "math.nan")
    if not is_drawn(init):
        return repr(np.asarray(init.kind == "ones", node.dtype.numpy).item())
    if _family(init) not in NUMERATORS:
        first, second = [repr(number) for _, number in init.numbers]
        return f"rng.{'gauss' if init.kind == 'normal' else 'uniform'}({first}, {second})"
    scale = _scale(init, node, "math")
    return f"rng.gauss(0.0, {scale})" if _is_normal(init) else f"rng.uniform(-{scale}, {scale})"


def runtime_helpers(init: object) -> tuple[Callable[..., Any], ...]:
    """The functions of `graphc.runtime` that the template of an initial value calls."""
    drawn = isinstance(init, Initializer) and init.kind == "orthogonal"
    return (runtime.orthogonal,) if drawn else ()


def _array_text(init: Initializer, node: Node, shape: str) -> str:
    """Draws in float64, as an expression that `.astype` can follow."""
    numbers = [number for _, number in init.numbers]
    if init.kind in ("normal", "uniform"):
        return f"rng.{init.kind}({numbers[0]!r}, {numbers[1]!r}, {shape})"
    if init.kind == "orthogonal":
        drawn = f"orthogonal(rng, {shape})"
        return drawn if numbers[0] == 1 else f"({numbers[0]!r} * {drawn})"
    scale = _scale(init, node, "np")
    if _is_normal(init):
        return f"rng.normal(0.0, {scale}, {shape})"
    return f"(rng.uniform(-1.0, 1.0, {shape}) * {scale})"


def _scale(init: Initializer, node: Node, module: str) -> str:
    """The deviation of a normal distribution, or the bound of a uniform one, by fans."""
    inputs, outputs = init.fans or fans_of(node)
    family, options = _family(init), dict(init.numbers)
    # A uniform distribution on ±b has the variance b²/3.
    numerator = NUMERATORS[family] * (1 if _is_normal(init) else 3)
    fan = f"({size_text(inputs)} + {size_text(outputs)})" if family == "glorot" else _fan(inputs)
    slope = abs(options.get("negative_slope", 0.0))
    leak = f"(1 + {slope!r}**2) / " if slope else ""
    gain = f"{options['gain']!r} * " if options.get("gain", 1.0) != 1 else ""
    return f"{gain}{module}.sqrt({numerator} / {leak}{fan})"


def _fan(size: Extent) -> str:
    text = size_text(size)
    return f"({text})" if " " in text else text


def _family(init: Initializer) -> str:
    return init.kind.partition("_")[0]


def _is_normal(init: Initializer) -> bool:
    return init.kind.endswith("_normal")


def shape_argument(node: Node) -> str:
    """A shape as the argument of np.zeros and the like: `(64, 128)`, but `128`."""
    return size_text(node.shape[0]) if node.ndim == 1 else tuple_text(node.shape)


def __getattr__(name: str) -> Any:
    # Asked for by users of `gc.init`.
    if name.startswith("__"):
        raise AttributeError(name)
    advice = suggest(name, __all__)
    raise AttributeError(f"gc.init has no {name!r}; {advice or 'it has ' + ', '.join(__all__)}")
