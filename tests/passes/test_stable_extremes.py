"""STABILIZE rules over axes make nothing worse: the whole range of floats, no elements, one.

Operands hold subnormals, the largest floats, infinities, NaN, ties and zeros. What is finite is as
near to the result on paper as what the formula gives as written, or within 4 ulp of the larger of
the result and the largest finite operand. What is not follows PyTorch's own stable functions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import graphc as gc
from tests.passes.exact import DIGITS, Exact, exactly, value_and_slopes
from tests.passes.stable_reductions import SCALE, SHIFT, SPREAD, own_shift
from tests.styles import functions, in_every_style

pytestmark = pytest.mark.conformance  # hundreds of points for each rule
ULPS = 4
ROWS, SLOPE_ROWS, COLUMNS = 180, 12, 5
BESIDE_1 = "beside 1"  # what SHIFT is where exponentials are rounded that the logarithm makes small
inf, nan = np.inf, np.nan


@dataclass(frozen=True)
class Form:
    """A formula of rows.

    limit   of a row with infinities, the value where PyTorch's own function has one that the
            formula on paper has not; None: that of the formula
    """

    build: Callable[[Any, Any], Any]
    error: str = SHIFT
    limit: Callable[[Any], float | None] = lambda row: None


def shares(row: Any) -> float | None:
    """Of softmax: infinity over infinity, or 0 over 0."""
    return nan if row.max() == inf or row.max() == -inf else None


def decides(row: Any) -> float | None:
    """Of a logsumexp with its maximum subtracted by hand: an infinite maximum is all of it."""
    return float(row.max()) if np.isinf(row.max()) else None


def deviates(row: Any) -> float | None:
    """Of a variance: infinity less infinity."""
    return None if np.isfinite(row).all() else nan


FORMS = {
    "logsumexp": Form(lambda f, x: f.log(f.sum(f.exp(x), axis=1))),
    "kept": Form(lambda f, x: f.log(f.sum(f.exp(x), axis=1, keepdims=True))),
    "log mean exp": Form(lambda f, x: f.log(f.mean(f.exp(x), axis=1)), BESIDE_1),
    "log of half the sum": Form(lambda f, x: f.log(0.5 * f.sum(f.exp(x), axis=1)), BESIDE_1),
    "shifted by hand": Form(
        lambda f, x: f.max(x, axis=1) + f.log(f.sum(f.exp(own_shift(f, x)), axis=1)),
        limit=decides,
    ),
    "softmax": Form(lambda f, x: f.exp(x) / f.sum(f.exp(x), axis=1, keepdims=True), limit=shares),
    "log softmax": Form(
        lambda f, x: f.log(f.exp(x) / f.sum(f.exp(x), axis=1, keepdims=True)), limit=shares
    ),
    "less its logsumexp": Form(
        lambda f, x: x - f.log(f.sum(f.exp(x), axis=1, keepdims=True)), limit=shares
    ),
    "norm": Form(lambda f, x: f.sqrt(f.sum(x * x, axis=1)), SCALE),
    "root mean square": Form(lambda f, x: f.mean(x * x, axis=1, keepdims=True) ** 0.5, SCALE),
    "variance": Form(
        lambda f, x: f.mean(x * x, axis=1) - f.mean(x, axis=1) ** 2, SPREAD, deviates
    ),
    "deviation": Form(
        lambda f, x: f.sqrt(f.mean((x - f.mean(x, axis=1, keepdims=True)) ** 2, axis=1)),
        SPREAD, deviates,
    ),
}  # fmt: skip
EXPONENTS = [[inf, 0, 0, 0, 1], [-inf] * 5, [-inf, 0, -inf, -inf, -inf], [inf, -inf, 1, 2, inf]]
SPECIAL = {
    "logsumexp": EXPONENTS,
    "shifted by hand": EXPONENTS,
    "log mean exp": EXPONENTS,
    "softmax": EXPONENTS,
    "log softmax": EXPONENTS,
    "norm": [[inf, 0, 0, 0, 0], [-inf, 1, 2, inf, 3], [0] * 5, [nan, inf, 0, 0, 1]],
    "variance": [[inf, 0, 0, 0, 0], [-inf] * 5, [inf, -inf, 0, 1, 2], [nan, 1, 2, 3, 4]],
    "deviation": [[inf, 0, 0, 0, 0], [-inf] * 5, [inf, -inf, 0, 1, 2], [nan, 1, 2, 3, 4]],
}
EXPECTED = {
    "logsumexp": [inf, -inf, 0, inf],
    "shifted by hand": [inf, -inf, 0, inf],
    "log mean exp": [inf, -inf, -np.log(5), inf],
    "softmax": [[nan] * 5, [nan] * 5, [0, 1, 0, 0, 0], [nan] * 5],
    "log softmax": [[nan] * 5, [nan] * 5, [-inf, 0, -inf, -inf, -inf], [nan] * 5],
    "norm": [inf, inf, 0, nan],
    "variance": [nan, nan, nan, nan],
    "deviation": [nan, nan, nan, nan],
}


def pool(dtype: str) -> np.ndarray[Any, Any]:
    """Numbers of all sizes."""
    info = np.finfo(dtype)
    root = float(info.max) ** 0.5
    positive = [
        0.0, info.smallest_subnormal, 3 * info.smallest_subnormal, info.tiny, 1 / root, info.eps,
        0.1, 1.0, 1.0 + info.eps, 2.5, 17.0, np.log(info.max), 1.01 * np.log(info.max), 1e3, root,
        2 * root, info.max / 3, info.max,
    ]  # fmt: skip
    return np.array([*positive, *(-np.array(positive))], dtype)


def rows(dtype: str, count: int) -> np.ndarray[Any, Any]:
    """Rows of one kind each: of the whole range, equal, near each other, ordinary, not finite."""
    rng = np.random.default_rng(7)
    numbers = pool(dtype)
    found = []
    with np.errstate(over="ignore"):
        for i in range(count):
            kind = i % 6
            row = rng.choice(numbers, COLUMNS)
            if kind == 1:
                row = np.full(COLUMNS, rng.choice(numbers))
            elif kind == 2:
                row = float(row[0]) * (
                    1 + rng.integers(-3, 4, COLUMNS) * float(np.finfo(dtype).eps)
                )
            elif kind == 3:
                row = rng.normal(size=COLUMNS) * 10.0 ** rng.integers(-3, 4)
            elif kind == 4:
                row = rng.choice([*numbers, inf, -inf], COLUMNS)
            elif kind == 5:
                row = rng.choice([*numbers, inf, -inf, nan], COLUMNS)
            found.append(np.array(row, dtype))
    return np.array(found)


@cache
def loaded(name: str, dtype: str, style: str = "functional", stabilize: bool = True) -> Any:
    with gc.Graph("rows", dtype=dtype) as graph:
        x = graph.input("x", ("n", COLUMNS))
        y = FORMS[name].build(gc, x)
        graph.output("y", y)
        graph.loss(gc.sum(y * signs(y.shape[1:], dtype)))
    return functions(gc.compile(graph, style=style, stabilize=stabilize))


def signs(shape: Any, dtype: str) -> Any:
    return np.resize(np.array([1.0, -0.5, 2.0, 0.25], dtype), shape)


def predicted(name: str, x: Any, **options: Any) -> Any:
    with np.errstate(all="ignore"):
        return loaded(name, x.dtype.name, **options).predict(x)


def on_paper(form: Form, row: Any, shape: tuple[int, ...]) -> Any:
    """The value of one row; NaN where there is a NaN in it."""
    if np.isnan(row).any():
        return np.full(shape, mp.nan)
    limit = form.limit(row)
    if limit is not None:
        return np.full(shape, mp.mpf(limit))
    with mp.workdps(DIGITS):
        return np.reshape(form.build(Exact, exactly(row[None])), shape)


def far(found: Any, exact: Any) -> Any:
    """The error; infinite where only one of the two is finite, or they are not the same infinity.

    What is beyond the largest float is an infinity.
    """
    expected = float(np.asarray(found).dtype.type(float(exact)))
    if np.isnan(found) or np.isnan(expected):
        return mp.mpf(0) if np.isnan(found) and np.isnan(expected) else mp.inf
    if np.isinf(found) or np.isinf(expected):
        return mp.mpf(0) if found == expected else mp.inf
    return abs(mp.mpf(float(found)) - exact)


def rounding(form: Form, row: Any, result: float) -> float:
    """One ulp, as the module says."""
    info = np.finfo(row.dtype)
    finite = np.abs(row[np.isfinite(row)])
    largest = float(finite.max()) if finite.size else 0.0
    own = abs(result) * float(info.eps) if np.isfinite(result) else 0.0
    eps = float(info.eps)
    if form.error == SPREAD:
        own += (largest * eps) ** 2 if largest < 1e154 else inf
    elif form.error != SCALE:
        own = max(own, max(largest, float(form.error == BESIDE_1)) * eps)
    return max(own, float(info.smallest_subnormal))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FORMS)
@in_every_style
def test_no_value_is_worse(name: str, dtype: str, style: str) -> None:
    form, x = FORMS[name], rows(dtype, ROWS)
    values = predicted(name, x, style=style)
    written = predicted(name, x, stabilize=False)
    with np.errstate(over="ignore"):
        for row, value, naive in zip(x, values, written, strict=True):
            exact = paper(name, row.tobytes(), dtype, value.shape)
            if np.isnan(row).any():
                assert np.isnan(value).all()
            for v, u, e in zip(np.ravel(value), np.ravel(naive), np.ravel(exact), strict=True):
                allowed = max(far(u, e), mp.mpf(ULPS * rounding(form, row, float(e))))
                assert far(v, e) <= allowed, f"{row}: {v} and not {float(e)}, naive {u}"


@cache
def paper(name: str, row: bytes, dtype: str, shape: tuple[int, ...]) -> Any:
    return on_paper(FORMS[name], np.frombuffer(row, dtype), shape)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FORMS)
def test_no_gradient_is_worse(name: str, dtype: str) -> None:
    form, x = FORMS[name], rows(dtype, 2 * SLOPE_ROWS)
    x = x[np.isfinite(x).all(axis=1)]
    with np.errstate(all="ignore"):
        _, found = loaded(name, dtype).value_and_grad(x)
        _, written = loaded(name, dtype, stabilize=False).value_and_grad(x)
        shape = loaded(name, dtype).predict(x).shape[1:]
        for row, slopes, naive in zip(x, found["x"], written["x"], strict=True):
            _, exact = value_and_slopes(form.build, row[None], signs((1, *shape), dtype))
            unit = slope_rounding(form, row, exact)
            for s, u, e in zip(slopes, naive, exact.flat, strict=True):
                assert far(s, e) <= max(far(u, e), ULPS * unit), (
                    f"{row}: {slopes} and not {[float(v) for v in exact.flat]}, naive {naive}"
                )


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", SPECIAL)
def test_infinities_are_as_in_the_limit(name: str, dtype: str) -> None:
    values = predicted(name, np.array(SPECIAL[name], dtype))
    expected = np.array(EXPECTED[name], dtype)
    np.testing.assert_allclose(values, expected, rtol=2 * np.finfo(dtype).eps)


def test_the_gradient_of_nothing_is_nothing() -> None:
    x = np.array([[-inf] * 5, [-inf, 0, 0, -inf, -inf], [-inf, 3, -inf, -inf, -inf]])
    with np.errstate(all="ignore"):
        _, grads = loaded("logsumexp", "float64").value_and_grad(x)
    np.testing.assert_array_equal(grads["x"], [[0] * 5, [0, 0.5, 0.5, 0, 0], [0, 1, 0, 0, 0]])


def slope_rounding(form: Form, row: Any, slopes: Any) -> Any:
    """One ulp of a gradient; differences of cotangents, which are up to 2, have one too."""
    eps = float(np.finfo(row.dtype).eps)
    largest, steepest = float(np.abs(row).max()), max(map(abs, slopes.flat))
    unit = steepest * eps
    if form.error == SPREAD:
        spread = abs(np.std(exactly(row)))
        unit += eps * largest * (1 + (1 / spread if spread else 0))
    elif form.error != SCALE:
        unit = 2 * eps * max(1.0, largest)
    return max(unit, mp.mpf(float(np.finfo(row.dtype).smallest_subnormal)))


# --- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, None, (0, 1)])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (1, 1), (1, 4), (4, 1)])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("form", ["logsumexp", "log mean exp", "softmax", "norm", "variance"])
def test_few_elements_and_none(form: str, named: bool, shape: Any, axis: Any) -> None:
    formulas: dict[str, Callable[[gc.Node], gc.Node]] = {
        "logsumexp": lambda x: gc.log(gc.sum(gc.exp(x), axis=axis)),
        "log mean exp": lambda x: gc.log(gc.sum(gc.exp(x), axis=axis) * 0.5),
        "softmax": lambda x: gc.exp(x) / gc.sum(gc.exp(x), axis=axis, keepdims=True),
        "norm": lambda x: gc.sqrt(gc.sum(x * x, axis=axis)),
        "variance": lambda x: gc.mean(x * x, axis=axis) - gc.mean(x, axis=axis) ** 2,
    }
    x = np.linspace(-1, 2, shape[0] * shape[1]).reshape(shape)
    results = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the mean of nothing
        for stabilize in (True, False):
            with gc.Graph("small", dtype="float64") as graph:
                y = formulas[form](graph.input("x", ("m", "n") if named else shape))
                graph.output("y", y)
                graph.loss(gc.sum(y))
            code = gc.compile(graph, stabilize=stabilize).load()
            results.append((code.predict(x), code.value_and_grad(x)[1]["x"]))
    (value, gradient), (naive, slopes) = results
    np.testing.assert_allclose(value, naive, rtol=1e-12, atol=1e-12)
    assert gradient.shape == shape
    if np.isfinite(slopes).all():
        np.testing.assert_allclose(gradient, slopes, rtol=1e-9, atol=1e-12)
