"""Values against NumPy's function of the same name, or a formula where it has none.

An op that is called like a NumPy function computes what that computes; nothing has to be listed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc
from tests.ops import resized, sliding
from tests.ops.cases import CASES, SEED, Array, Case, over, values
from tests.styles import in_every_style, load


def shifted_exp(x: Array, axes: Any) -> Array:
    """exp(x) over its sum, by float128: wide enough that no shift is needed."""
    exps = np.exp(x.astype(np.longdouble))
    return np.asarray(exps / exps.sum(axis=axes, keepdims=True))


def reduced(losses: Array, reduction: str = "mean", sample_weight: Any = 1.0) -> Any:
    """The sum, or the mean by weights of the first axes."""
    weight = np.asarray(sample_weight, float)
    weight = np.broadcast_to(
        weight.reshape(*weight.shape, *[1] * (losses.ndim - weight.ndim)), losses.shape
    )
    if reduction == "none":
        return losses * weight
    total = np.tensordot(losses, weight, losses.ndim)
    divisors = {"sum": 1, "mean": weight.sum(), "batchmean": len(losses)}
    return total / divisors[reduction]


def chosen(losses: Array, labels: Array, class_weight: Any = None, **options: Any) -> Any:
    """The loss of each label, by a loop over the examples."""
    rows = losses.reshape(-1, losses.shape[-1])
    weights = np.ones(rows.shape[-1]) if class_weight is None else np.asarray(class_weight)
    each = np.array([weights[i] * row[i] for row, i in zip(rows, labels.ravel(), strict=True)])
    return reduced(each.reshape(labels.shape), **options)


def cross_entropy(
    logits: Array,
    labels: Array,
    label_smoothing: float = 0.0,
    ignore_index: int = -1,
    class_weight: Any = None,
    **options: Any,
) -> Any:
    """As the divergence from smoothed rows of a unit matrix."""
    losses = -np.log(shifted_exp(logits, -1))
    if labels.dtype.kind == "f":
        return reduced((losses * labels).sum(-1), **options)
    classes = logits.shape[-1]
    weights = np.ones(classes) if class_weight is None else np.asarray(class_weight)
    even, own = np.full(classes, label_smoothing / classes), (1 - label_smoothing) * np.eye(classes)
    each = (losses * weights * (own[labels] + even)).sum(-1)
    counted = labels != ignore_index
    return each[counted].sum() / weights[labels[counted]].sum()


def huber(difference: Array, delta: float) -> Array:
    """A parabola near 0, its tangents beyond."""
    size = np.abs(difference)
    return np.where(size < delta, size**2 / 2, delta * size - delta**2 / 2)


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


def normal_share(x: Array) -> Any:
    """The probability that a normal variable is below x."""
    return 0.5 + 0.5 * np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))


def channels(slope: Array, x: Array) -> Array:
    """One number for each index of axis 1, or one for all."""
    return slope.reshape(-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else slope


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
    return scatter(np.zeros((rows, *x.shape[ids.ndim :])), ids, x, "add")


def scatter(x: Array, ids: Array, updates: Array, reduction: str = "none") -> Array:
    """The updates of each id combined with its row, one after the other."""
    ufuncs = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
    result = x.copy()
    for place in np.ndindex(ids.shape):
        own, update = result[ids[place]], updates[place]
        result[ids[place]] = ufuncs[reduction](own, update) if reduction in ufuncs else update
    return result


def leibniz(matrix: Array) -> float:
    """The determinant as the signed sum over permutations."""
    places = range(len(matrix))
    total = 0.0
    for order in itertools.permutations(places):
        inversions = sum(order[i] > order[j] for i, j in itertools.combinations(places, 2))
        total += (-1) ** inversions * math.prod(matrix[place, order[place]] for place in places)
    return total


def cofactors(x: Array) -> Array:
    """The signed determinants of what is left without a row and a column."""
    result = np.empty_like(x)
    for i, j in itertools.product(range(x.shape[-1]), repeat=2):
        minor = np.delete(np.delete(x, i, -2), j, -1)
        result[..., i, j] = (-1) ** (i + j) * np.vectorize(leibniz, signature="(n,n)->()")(minor)
    return result


def linear_recurrence(factor: Array, term: Array, axis: int) -> Array:
    """y[i] = factor[i] y[i-1] + term[i], one after the other."""
    factors, result = np.moveaxis(factor, axis, 0), np.moveaxis(term.copy(), axis, 0)
    for i in range(1, len(result)):
        result[i] += factors[i] * result[i - 1]
    return np.moveaxis(result, 0, axis)


def embed_diagonal(x: Array, shape: tuple[int, ...], offset: int, first: int, second: int) -> Array:
    """Each element of x where the places along the two axes differ by the offset."""
    result = np.zeros(shape)
    for place in np.ndindex(shape):
        rest = tuple(p for axis, p in enumerate(place) if axis not in (first, second))
        if place[second] - place[first] == offset:
            result[place] = x[(*rest, min(place[first], place[second]))]
    return result


FORMULAS: dict[str, Callable[..., Any]] = {
    **resized.FORMULAS,
    **sliding.FORMULAS,
    "arange": lambda size, dtype="int64": np.array(range(size), dtype),
    "bce": lambda p, t, **options: reduced(-np.log(p**t * (1 - p) ** (1 - t)), **options),
    "celu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(x / alpha) - 1)),
    "cofactors": cofactors,
    "cross_entropy": cross_entropy,
    "det": np.vectorize(leibniz, signature="(n,n)->()"),
    "cumulative_prod": lambda x, axis=0: np.cumprod(x, axis),
    "cumulative_sum": lambda x, axis=0: np.cumsum(x, axis),
    "deviation": lambda x, axes=-1, eps=1e-5: moments(x, axes, eps)[1],
    "elu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
    "embed": embed,
    "entr": lambda x: x * np.log(1 / x),
    "embed_diagonal": embed_diagonal,
    "erf": np.vectorize(math.erf, otypes=[float]),
    "erfc": np.vectorize(math.erfc, otypes=[float]),
    "first_maximum": first_maximum,
    "gather": lambda table, ids, axis=0: np.take(table, ids, axis),
    "gaussian_nll": lambda m, t, v, full=False, **options: reduced(
        np.square(m - t) / (2 * v) + np.log(2 * np.pi * v if full else v) / 2, **options
    ),
    "gelu": lambda x: x * normal_share(x),
    "gelu_tanh": lambda x: x / (1 + np.exp(-np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))),
    "getitem": lambda x, key: x[key],
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hardtanh": np.clip,
    "hinge": lambda z, t, **options: reduced(np.clip(1 - t * z, 0, None), **options),
    "huber": lambda x, y, delta=1.0, **options: reduced(huber(x - y, delta), **options),
    "inv": lambda x: np.linalg.solve(x, np.broadcast_to(np.eye(x.shape[-1]), x.shape)),
    "kl_div": lambda x, t, log_target=False, **options: reduced(
        t * np.log(t / np.exp(x)) if not log_target else np.exp(t) * (t - x), **options
    ),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "linear_recurrence": linear_recurrence,
    "log_softmax": lambda x, axis=-1: np.log(shifted_exp(x, axis)),
    "logistic": lambda z, t, **options: reduced(np.log(1 + np.exp(-t * z)), **options),
    "logit": lambda x: np.log(x) - np.log(1 - x),
    "logsumexp": lambda x, **options: np.log(np.exp(x.astype(np.longdouble)).sum(**options)),
    "mae": lambda x, y, **options: reduced(np.sqrt(np.square(x - y)), **options),
    "mask": lambda x, condition: np.where(condition, x, 0),
    "masked_softmax": masked_softmax,
    "maxout": lambda x, pieces, axis=-1: np.stack(
        [np.take(x, range(i, x.shape[axis], pieces), axis) for i in range(pieces)]
    ).max(0),
    "mish": lambda x: x - 2 * x / (1 + np.square(1 + np.exp(x))),
    "mse": lambda x, y, **options: reduced((x - y) ** 2, **options),
    "multi_margin": lambda z, t, margin=1.0, **options: reduced(
        np.array(
            [
                sum(max(0, margin + other - row[i]) for other in row) - max(0, margin)
                for row, i in zip(z, t, strict=True)
            ]
        )
        / z.shape[-1],
        **options,
    ),
    "nll": lambda x, t, **options: chosen(-x, t, **options),
    "one_hot": lambda index, classes: np.eye(classes)[index],
    "peak": lambda x, **options: x.max(initial=-np.inf, **options),
    "pick": lambda x, index: np.take_along_axis(x, np.asarray(index)[..., None], -1)[..., 0],
    "places": lambda coordinates, shape: np.arange(np.prod(shape)).reshape(shape)[
        tuple(coordinates)
    ],
    "poisson_nll": lambda x, t, log_input=True, full=False, **options: reduced(
        np.exp(x) - t * x
        if log_input
        else x - t * np.log(x + 1e-8) + full * (t * np.log(t) - t + np.log(2 * np.pi * t) / 2),
        **options,
    ),
    "prelu": lambda x, slope: np.where(x > 0, x, channels(slope, x) * x),
    "product_of_others": lambda x: np.prod(x, -1, keepdims=True) / x,
    "relu": lambda x: np.where(x > 0, x, 0),
    "remainder": lambda x, y: x - y * np.floor(x / y),
    "rms_scaled": lambda x, axes=-1, eps=1e-5: np.divide(*moments(x, axes, eps, centred=False)),
    "root_mean_square": lambda x, axes=-1, eps=1e-5: moments(x, axes, eps, centred=False)[1],
    "safe_softmax": lambda x, axis=-1: shifted_exp(x, axis),
    "scatter": scatter,
    "scatter_add": scatter_add,
    "selu": lambda x: 1.05070098735548 * np.where(x > 0, x, 1.67326324235438 * (np.exp(x) - 1)),
    "shifted_relu": np.maximum,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x.astype(np.longdouble))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "smooth_l1": lambda x, y, beta=1.0, **options: reduced(huber(x - y, beta) / beta, **options),
    "softmax": lambda x, axis=-1: shifted_exp(x, axis),
    "softsign": lambda x: np.sign(x) - np.sign(x) / (1 + np.abs(x)),
    "squared_hinge": lambda z, t, **options: reduced(np.clip(1 - t * z, 0, None) ** 2, **options),
    "standardized": lambda x, axes=-1, eps=1e-5: np.divide(*moments(x, axes, eps)),
    "standardized_by": lambda x, mean, variance, eps=1e-5: (x - mean) * (variance + eps) ** -0.5,
    "standard_normal": lambda shape, dtype: (
        np.random.default_rng(SEED).standard_normal(shape).astype(dtype)
    ),
    "standard_uniform": lambda shape, dtype: (
        np.random.default_rng(SEED).random(shape).astype(dtype)
    ),
    "std": lambda x, axis=None, keepdims=False, correction=0: np.std(
        x, axis=axis, keepdims=keepdims, ddof=correction
    ),
    "stop_gradient": lambda x: x,
    "threshold": lambda x, limit, value: np.where(x > limit, x, value),
    "top_places": lambda x, count, axis, largest: np.argsort(
        -x if largest else x, axis, kind="stable"
    ).take(range(count), axis),
    "unbiased": lambda variance, count: variance * count / (count - 1),
    "var": lambda x, axis=None, keepdims=False, correction=0: np.var(
        x, axis=axis, keepdims=keepdims, ddof=correction
    ),
    "xlogy": lambda x, y: np.log(y**x),
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


@in_every_style
def test_a_mean_in_float16_may_be_of_more_than_it_has_numbers(style: str) -> None:
    """Float16 ends at 65504: neither the sum on the way nor the number of terms is one of it."""
    with gc.Graph("half", dtype="float16") as g:
        x = g.input("x", ("n", 80_000))
        g.output("rows", gc.mean(x, 1, keepdims=True) + 1.0)
        g.output("all", gc.mean(x))
    module = load(g, style=style, wrt=["x"])
    x = np.full((2, 80_000), 3.0, "float16")
    (rows, all_), residuals = module.forward(x)
    np.testing.assert_array_equal(rows, np.full((2, 1), 4.0))
    assert all_ == 3.0
    grads = module.backward(residuals, np.zeros((2, 1), "float16"), np.float16(800))
    np.testing.assert_allclose(grads["x"], np.full((2, 80_000), 0.005), rtol=1e-3)
