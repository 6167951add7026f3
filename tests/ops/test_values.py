"""Values against NumPy's function of the same name, or a formula where it has none.

An op that is called like a NumPy function computes what that computes; nothing has to be listed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc
from tests.ops import sliding
from tests.ops.cases import CASES, SEED, Array, Case, over, values
from tests.styles import in_every_style


def shifted_exp(x: Array, axes: Any) -> Array:
    """exp(x) over its sum, by float128: wide enough that no shift is needed."""
    exps = np.exp(x.astype(np.longdouble))
    return np.asarray(exps / exps.sum(axis=axes, keepdims=True))


def cross_entropy(logits: Array, labels: Array) -> Any:
    """The mean of -log p[label], by a loop over the examples."""
    rows = shifted_exp(logits, -1).reshape(-1, logits.shape[-1])
    return np.mean([-np.log(p[i]) for p, i in zip(rows, labels.ravel(), strict=True)])


def embed(x: Array, shape: tuple[int, ...], key: Any) -> Array:
    """Each element of x at the place that its index is read from."""
    axes = [range(*span) if isinstance(span, tuple) else [span] for span in key]
    result = np.zeros(shape)
    for value, place in zip(x.ravel(), itertools.product(*axes), strict=True):
        result[place] = value
    return result


def first_maximum(x: Array, axes: Any = None) -> Array:
    """True at the first index, in C order, of the maximum over the axes."""
    axes = range(x.ndim) if axes is None else axes
    result = np.zeros(x.shape, bool)
    seen = set()
    for place in np.ndindex(x.shape):
        kept = tuple(slice(None) if a in axes else place[a] for a in range(x.ndim))
        if x[place] == x[kept].max() and str(kept) not in seen:
            seen.add(str(kept))
            result[place] = True
    return result


def moments(x: Array, axes: Any, eps: float, *, centred: bool = True) -> tuple[Array, Array]:
    """x without its mean, and the root of its mean square, in one pass and wide enough for that."""
    wide = x.astype(np.longdouble)
    mean = wide.mean(axis=axes, keepdims=True) if centred else np.longdouble(0)
    return wide - mean, np.sqrt((wide**2).mean(axis=axes, keepdims=True) - mean**2 + eps)


def masked_softmax(x: Array, condition: Array, axis: int = -1, empty: bool = True) -> Array:
    """The share of exp(x) in the sum of those that the condition chooses, 0 of nothing."""
    exps = np.exp(x.astype(np.longdouble)) * condition
    sums = exps.sum(axis=axis, keepdims=True)
    return np.divide(exps, sums, out=np.zeros_like(exps), where=sums > 0)


def scatter_add(x: Array, ids: Array, rows: int) -> Array:
    """Each row of x added in its place, one after the other."""
    result = np.zeros((rows, x.shape[-1]))
    np.add.at(result, ids, x)
    return result


FORMULAS: dict[str, Callable[..., Any]] = {
    **sliding.FORMULAS,
    "arange": lambda size, dtype="int64": np.array(range(size), dtype),
    "cross_entropy": cross_entropy,
    "deviation": lambda x, axes=-1, eps=1e-5: moments(x, axes, eps)[1],
    "embed": embed,
    "first_maximum": first_maximum,
    "gather": lambda table, ids: table[ids],
    "getitem": lambda x, key: x[key],
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "log_softmax": lambda x, axis=-1: np.log(shifted_exp(x, axis)),
    "logsumexp": lambda x, **options: np.log(np.exp(x.astype(np.longdouble)).sum(**options)),
    "mask": lambda x, condition: np.where(condition, x, 0),
    "masked_softmax": masked_softmax,
    "mse": lambda x, y: np.linalg.norm(x - y) ** 2 / x.size,
    "one_hot": lambda index, classes: np.eye(classes)[index],
    "peak": lambda x, **options: x.max(initial=-np.inf, **options),
    "pick": lambda x, index: np.take_along_axis(x, np.asarray(index)[..., None], -1)[..., 0],
    "product_of_others": lambda x: np.prod(x, -1, keepdims=True) / x,
    "relu": lambda x: np.where(x > 0, x, 0),
    "rms_scaled": lambda x, axes=-1, eps=1e-5: np.divide(*moments(x, axes, eps, centred=False)),
    "root_mean_square": lambda x, axes=-1, eps=1e-5: moments(x, axes, eps, centred=False)[1],
    "safe_softmax": lambda x, axis=-1: shifted_exp(x, axis),
    "scatter_add": scatter_add,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x.astype(np.longdouble))),
    "softmax": lambda x, axis=-1: shifted_exp(x, axis),
    "standardized": lambda x, axes=-1, eps=1e-5: np.divide(*moments(x, axes, eps)),
    "standardized_by": lambda x, mean, variance, eps=1e-5: (x - mean) * (variance + eps) ** -0.5,
    "std": lambda x, axis=None, keepdims=False, correction=0: np.std(
        x, axis=axis, keepdims=keepdims, ddof=correction
    ),
    "standard_normal": lambda shape, dtype: (
        np.random.default_rng(SEED).standard_normal(shape).astype(dtype)
    ),
    "standard_uniform": lambda shape, dtype: (
        np.random.default_rng(SEED).random(shape).astype(dtype)
    ),
    "stop_gradient": lambda x: x,
    "unbiased": lambda variance, count: variance * count / (count - 1),
    "var": lambda x, axis=None, keepdims=False, correction=0: np.var(
        x, axis=axis, keepdims=keepdims, ddof=correction
    ),
}


def reference(case: Case) -> Callable[..., Any] | None:
    """What the op is to agree with."""
    return FORMULAS.get(case.op.name) or getattr(np, case.op.name, None)


@in_every_style
@over([case for case in CASES if reference(case) is not None])
def test_value_is_the_reference(case: Case, style: str) -> None:
    arguments, options = case.draw()
    formula = reference(case)
    assert formula is not None
    expected = formula(*arguments, **options)
    several = expected if isinstance(expected, list) else [expected]
    for value, other in zip(values(case).run(style=style).values(), several, strict=True):
        assert np.shape(value) == np.shape(other)
        np.testing.assert_allclose(value, np.asarray(other, value.dtype), rtol=1e-13, atol=1e-14)


def test_most_ops_have_a_reference() -> None:
    without = {case.op.name for case in CASES if reference(case) is None}
    assert len(without) < len({case.op.name for case in CASES}) / 4, sorted(without)


def test_the_cross_entropy_of_one_example() -> None:
    logits = np.array([0.5, -1.0, 2.0])
    with gc.Graph("one", dtype="float64") as g:
        g.loss(gc.cross_entropy(g.parameter("logits", (3,)), g.input("label", (), "int64")))
    loss, grads = gc.compile(g).load().value_and_grad({"logits": logits}, np.int64(1))
    exps = np.exp(logits)
    np.testing.assert_allclose(loss, -np.log(exps[1] / exps.sum()), rtol=1e-14)
    np.testing.assert_allclose(grads["logits"], exps / exps.sum() - [0, 1, 0], rtol=1e-14)
