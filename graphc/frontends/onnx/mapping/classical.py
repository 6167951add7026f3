"""Operators of `ai.onnx.ml`: linear models and preprocessing, as scikit-learn's are exported.

The standard computes them with 32 bits and keeps a model's numbers as attributes: they are
constants here, not parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, DType, float32, int64
from graphc.ops.lookup import gather
from graphc.ops.operands import cast

LEARNING = "ai.onnx.ml"
NUMBERS_ONLY = "encode the labels as ints before training: graphc has no strings"


def floating(x: Node) -> Node:
    """The input in which a model of floats computes: ints become 32 bits wide."""
    return x if x.dtype.kind == FLOAT else cast(x, float32)


def rows(call: Call, x: Node) -> Node:
    """The input of a linear model, (batch, features), as floats."""
    if x.ndim != 2:
        call.refuse(f"the input is (batch, features), got shape {x.shape}")
    return floating(x)


# --- linear models -------------------------------------------------------------------------------

TRANSFORMS: dict[str, Callable[[Node], Node]] = {
    "NONE": lambda z: z,
    "LOGISTIC": lambda z: ops.sigmoid(z),
    "SOFTMAX": lambda z: ops.softmax(z, axis=-1),
}


def transformed(call: Call, scores: Node, post_transform: str) -> Node:
    """What becomes of the scores of a linear model."""
    if post_transform not in TRANSFORMS:
        known = ", ".join(TRANSFORMS)
        call.refuse(f"post_transform {post_transform!r} is not supported", hint=f"it has {known}")
    return TRANSFORMS[post_transform](scores)


def linear(
    call: Call, x: Node, coefficients: Sequence[float], intercepts: Sequence[float], count: int
) -> Node:
    """x @ W + b for coefficients that are listed target by target: (batch, count)."""
    features = x.shape[1]
    if count < 1 or len(coefficients) % count or features != len(coefficients) // count:
        call.refuse(f"{len(coefficients)} coefficients do not fit {count} rows of {features!s}")
    weights = np.asarray(coefficients).reshape(count, -1).T
    scores: Node = x @ named(call, weights, "coefficients", x.dtype)
    return scores + named(call, intercepts, "intercepts", x.dtype) if intercepts else scores


def named(call: Call, numbers: Any, name: str, dtype: DType) -> Node:
    """A constant that generated code calls by what it is."""
    node = call.constant(np.asarray(numbers), dtype)
    call.graph.label(node, name)
    return node


@maps("LinearRegressor", domain=LEARNING)
def linear_regressor(
    call: Call, x: Node, *, coefficients: tuple[float, ...], intercepts: tuple[float, ...] = (),
    targets: int = 1, post_transform: str = "NONE",
) -> Node:  # fmt: skip
    x = rows(call, x)
    scores = linear(call, x, coefficients, intercepts, targets)
    return cast(transformed(call, scores, post_transform), float32)


@maps("LinearClassifier", domain=LEARNING)
def linear_classifier(
    call: Call, x: Node, *, coefficients: tuple[float, ...], intercepts: tuple[float, ...] = (),
    classlabels_ints: tuple[int, ...] = (), classlabels_strings: tuple[str, ...] = (),
    multi_class: int = 0, post_transform: str = "NONE",
) -> tuple[Node, Node]:  # fmt: skip
    """Labels and scores. What `multi_class` says is said by `post_transform` too."""
    if classlabels_strings:
        call.refuse("labels that are strings are not supported", hint=NUMBERS_ONLY)
    x, classes = rows(call, x), len(classlabels_ints)
    single = classes == 2 and len(coefficients) == x.shape[1]
    if single and post_transform != "LOGISTIC":
        call.refuse(f"one row of coefficients with post_transform {post_transform!r} is ambiguous")
    scores = linear(call, x, coefficients, intercepts, 1 if single else classes)
    if single:
        scores = ops.concat([-scores, scores], axis=1)
    label = chosen_label(call, ops.argmax(scores, axis=1), classlabels_ints)
    return label, cast(transformed(call, scores, post_transform), float32)


def chosen_label(call: Call, place: Node, labels: Sequence[int]) -> Node:
    """The label of the class that has a place; places are labels where they count from 0."""
    if tuple(labels) == tuple(range(len(labels))):
        return place
    return gather.node((named(call, labels, "labels", int64), place), 0)


# --- scaling -------------------------------------------------------------------------------------


@maps("Scaler", domain=LEARNING)
def scaler(
    call: Call, x: Node, *, offset: tuple[float, ...] = (), scale: tuple[float, ...] = ()
) -> Node:
    """(x - offset) * scale, by feature."""
    x = floating(x)
    moved = x - feature_row(call, x, offset, "offset") if any(offset) else x
    scaled = moved * feature_row(call, x, scale, "scale") if scale else moved
    return cast(scaled, float32)


def feature_row(call: Call, x: Node, numbers: Sequence[float], what: str) -> Node:
    """One number, or one for each feature, as a constant beside x."""
    if len(numbers) not in (1, x.shape[-1] if x.ndim else 1):
        call.refuse(f"{len(numbers)} numbers in {what!r} do not fit the shape {x.shape}")
    return named(call, numbers if len(numbers) > 1 else numbers[0], what, x.dtype)


NORMS: dict[str, Callable[[Node], Node]] = {
    "MAX": lambda x: ops.max(x, axis=-1, keepdims=True),
    "L1": lambda x: ops.sum(ops.abs(x), axis=-1, keepdims=True),
    "L2": lambda x: ops.norm(x, axis=-1, keepdims=True),
}


@maps("Normalizer", domain=LEARNING)
def normalizer(call: Call, x: Node, *, norm: str = "MAX") -> Node:
    """Each row over its norm; a row whose norm is 0 stays as it is."""
    if norm not in NORMS:
        call.refuse(f"the norm {norm!r} is not supported", hint=f"it is {', '.join(NORMS)}")
    x = floating(x)
    size = NORMS[norm](x)
    return cast(x / ops.where(size == 0, 1, size), float32)


@maps("Binarizer", domain=LEARNING)
def binarizer(call: Call, x: Node, *, threshold: float = 0.0) -> Node:
    return cast(floating(x) > threshold, x.dtype)


@maps("Imputer", domain=LEARNING)
def imputer(
    call: Call, x: Node, *, imputed_value_floats: tuple[float, ...] = (),
    imputed_value_int64s: tuple[int, ...] = (), replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Node:  # fmt: skip
    """One number stands for what is missing, often NaN; another takes its place."""
    whole = x.dtype.kind != FLOAT
    numbers: tuple[Any, ...] = imputed_value_int64s if whole else imputed_value_floats
    missing = replaced_value_int64 if whole else replaced_value_float
    if not numbers:
        call.refuse(f"there are no values to put into an input of {x.dtype}")
    absent = x != x if np.isnan(missing) else x == missing
    present: Node = ops.where(absent, feature_row(call, x, numbers, "imputed_value"), x)
    return present


# --- features and categories ---------------------------------------------------------------------


@maps("ArrayFeatureExtractor", domain=LEARNING)
def array_feature_extractor(call: Call, x: Node, indices: Node) -> Node:
    """The features that are listed, of the last axis; an array of one axis is one row."""
    listed = ops.reshape(indices, (-1,))
    return ops.take(x if x.ndim > 1 else ops.expand_dims(x, 0), listed, axis=-1)


@maps("FeatureVectorizer", domain=LEARNING)
def feature_vectorizer(call: Call, *inputs: Node, inputdimensions: tuple[int, ...] = ()) -> Node:
    """The features side by side. The dimensions are those that the inputs have."""
    batches = [x if x.ndim > 1 else ops.expand_dims(x, 0) for x in inputs]
    side_by_side: Node = ops.concat([cast(x, float32) for x in batches], axis=1)
    return side_by_side


@maps("OneHotEncoder", domain=LEARNING)
def one_hot_encoder(
    call: Call, x: Node, *, cats_int64s: tuple[int, ...] = (), cats_strings: tuple[str, ...] = (),
    zeros: int = 1,
) -> Node:  # fmt: skip
    """1 in the place of the category; an unknown one is all zeros, whatever `zeros` is."""
    if cats_strings:
        call.refuse("categories that are strings are not supported", hint=NUMBERS_ONLY)
    return cast(equals_each(call, cast(x, int64), cats_int64s), float32)


def equals_each(call: Call, x: Node, values: Sequence[Any]) -> Node:
    """Which of some values each element is: of shape (*x.shape, values)."""
    listed = call.constant(np.asarray(values), x.dtype)
    same: Node = ops.equal(ops.expand_dims(x, -1), listed)
    if x.dtype.kind != FLOAT or not np.isnan(values).any():
        return same
    missing = ops.expand_dims(x != x, -1)
    return ops.logical_or(same, ops.logical_and(missing, call.constant(np.isnan(values))))


@maps("LabelEncoder", since=2, domain=LEARNING)
def label_encoder(
    call: Call, x: Node, *, keys_floats: tuple[float, ...] = (), keys_int64s: tuple[int, ...] = (),
    keys_strings: tuple[str, ...] = (), keys_tensor: Any = (),
    values_floats: tuple[float, ...] = (), values_int64s: tuple[int, ...] = (),
    values_strings: tuple[str, ...] = (), values_tensor: Any = (), default_float: float = -0.0,
    default_int64: int = -1, default_string: str = "_Unused", default_tensor: Any = None,
) -> Node:  # fmt: skip
    """The value beside the key that an element is, or the default; of equal keys the last."""
    if keys_strings or values_strings:
        call.refuse("keys and values that are strings are not supported", hint=NUMBERS_ONLY)
    keys: Sequence[Any] = keys_floats or keys_int64s or [*keys_tensor]
    values, default = encoded_values(
        (values_floats, default_float, np.float32),
        (values_int64s, default_int64, np.int64),
        (values_tensor, default_tensor, None),
    )
    if not len(keys) or len(keys) != len(values):
        call.refuse(f"{len(keys)} keys do not fit {len(values)} values")
    last = {str(key): place for place, key in enumerate(keys)}  # NaN is a key like others
    places = sorted(last.values())
    found = equals_each(call, x, [keys[place] for place in places])
    chosen = ops.where(found, call.constant(values[places]), 0).sum(axis=-1)
    return ops.where(found.sum(axis=-1) > 0, chosen, call.constant(default))


def encoded_values(*choices: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """The values that are given, and their default, as arrays of one dtype."""
    for values, default, dtype in choices:
        if len(values):
            array = np.asarray(values, dtype)
            fallback = -1 if array.dtype.kind in "iu" else -0.0
            return array, np.asarray(fallback if default is None else default, array.dtype)[()]
    return np.zeros(0), np.zeros(())
