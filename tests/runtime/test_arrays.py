"""The helpers that are pasted into modules, against closed forms and loops."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from graphc.runtime.arrays import embed, first_maximum, pick, product_of_others, sigmoid

FLOATS = ("float32", "float64")
SMALL = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])


def matrices(least: int = 1) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    """Arrays of few values, so that there are ties and zeros."""
    shapes = array_shapes(min_dims=1, max_dims=3, min_side=least, max_side=4)
    return arrays(np.float64, shapes, elements=SMALL)


# --- sigmoid --------------------------------------------------------------------------------------


def whole_range(dtype: str) -> np.ndarray[Any, Any]:
    """Both signs, from the smallest number to the largest, and everything in between."""
    info = np.finfo(dtype)
    exponents = np.linspace(np.log10(float(info.tiny)), np.log10(float(info.max)) - 1e-6, 400)
    magnitudes = np.concatenate([10.0**exponents, np.linspace(0, 800, 801), [info.max]])
    return np.concatenate([-magnitudes, magnitudes]).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sigmoid_is_accurate_over_the_whole_range(dtype: str) -> None:
    x = whole_range(dtype)
    with mpmath.workdps(50), np.errstate(over="raise", invalid="raise", divide="raise"):
        result = sigmoid(x)
        exact = [1 / (1 + mpmath.exp(-mpmath.mpf(float(v)))) for v in x]
        errors = [abs(mpmath.mpf(float(r)) - e) for r, e in zip(result, exact, strict=True)]
    assert result.dtype == dtype
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    for value, error, e in zip(x, errors, exact, strict=True):
        assert error <= 3 * eps * e + tiny, value


@pytest.mark.parametrize("dtype", ["float16", *FLOATS])
def test_sigmoid_at_special_values(dtype: str) -> None:
    x = np.array([-np.inf, -0.0, 0.0, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(sigmoid(x), np.array([0, 0.5, 0.5, 1, np.nan], dtype))
    assert sigmoid(x).dtype == dtype
    assert sigmoid(x[1]).dtype == sigmoid(np.array(0, dtype)).dtype == dtype  # no axes


@given(st.floats(-30, 30))
def test_sigmoid_is_symmetric(x: float) -> None:
    both = sigmoid(np.array([x, -x]))
    assert abs(both.sum() - 1) <= 2.3e-16


# --- reading and writing by index --------------------------------------------------------------


@given(matrices(), st.data())
def test_pick_is_a_loop(x: np.ndarray[Any, Any], data: st.DataObject) -> None:
    labels = data.draw(arrays(np.int64, x.shape[:-1], elements=st.integers(0, x.shape[-1] - 1)))
    result = pick(x, labels)
    assert result.shape == labels.shape
    for place in np.ndindex(labels.shape):
        assert result[place] == x[(*place, labels[place])]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64"])
def test_pick_takes_labels_of_any_int_dtype(dtype: str) -> None:
    assert pick(np.eye(3, dtype="float32"), np.array([2, 1, 0], dtype)).tolist() == [0, 1, 0]


@pytest.mark.parametrize(("labels", "told"), [([0, 3], "0..3"), ([-1, 2], "-1..2")])
def test_pick_names_labels_out_of_range(labels: list[int], told: str) -> None:
    with pytest.raises(IndexError, match=f"labels must be in 0..2, got {told}$"):
        pick(np.zeros((2, 3)), np.array(labels))


def test_pick_of_no_examples_is_empty() -> None:
    assert pick(np.zeros((0, 3)), np.zeros(0, np.int64)).shape == (0,)


KEYS = [
    np.s_[1],
    np.s_[1:3],
    np.s_[::-1],
    np.s_[:, ::2],
    np.s_[..., 0],
    np.s_[2:0:-1, 1:],
    np.s_[3:1],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_embed_is_the_transpose_of_reading(key: Any, dtype: str) -> None:
    shape = (4, 3)
    numbers = np.arange(12.0, dtype=dtype).reshape(shape)
    read = np.asarray(numbers[key])
    weights = np.arange(1.0, read.size + 1, dtype=dtype).reshape(read.shape)
    result = embed(weights, shape, key)
    assert (result.shape, result.dtype) == (shape, dtype)
    # <w, x[key]> = <embed(w), x> for every x, so for the units.
    for place in np.ndindex(shape):
        unit = np.zeros(shape, dtype)
        unit[place] = 1
        assert result[place] == np.sum(weights * unit[key])


# --- maxima and products -----------------------------------------------------------------------


@given(matrices(), st.data())
def test_first_maximum_is_a_loop(x: np.ndarray[Any, Any], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))
    axes = tuple(sorted(chosen))
    mask = first_maximum(x, axes)
    assert (mask.shape, mask.dtype) == (x.shape, bool)
    seen: set[tuple[int, ...]] = set()
    for place in np.ndindex(x.shape):
        group = tuple(place[a] for a in range(x.ndim) if a not in axes)
        row = x[tuple(slice(None) if a in axes else place[a] for a in range(x.ndim))]
        first = x[place] == row.max() and group not in seen
        assert mask[place] == first
        if first:
            seen.add(group)


@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3)])
def test_first_maximum_over_no_axes_is_everything(shape: tuple[int, ...]) -> None:
    mask = first_maximum(np.zeros(shape), ())
    assert mask.shape == shape
    assert mask.all()


@given(matrices())
def test_product_of_others_is_a_loop(x: np.ndarray[Any, Any]) -> None:
    result = product_of_others(x)
    assert result.shape == x.shape
    for place in np.ndindex(x.shape):
        others = np.delete(x[place[:-1]], place[-1])
        assert result[place] == pytest.approx(np.prod(others), rel=1e-14, abs=0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_product_of_others_with_zeros(dtype: str) -> None:
    x = np.array([[2, 3, 4], [0, 3, 4], [0, 3, 0]], dtype)
    result = product_of_others(x)
    assert result.tolist() == [[12, 8, 6], [12, 0, 0], [0, 0, 0]]
    assert result.dtype == dtype


def test_product_of_others_does_not_overflow_where_the_product_would() -> None:
    assert product_of_others(np.array([1e200, 1e200])).tolist() == [1e200, 1e200]


def test_product_of_others_of_one_and_of_none() -> None:
    assert product_of_others(np.array([7.0])).tolist() == [1.0]
    assert product_of_others(np.zeros((2, 0))).shape == (2, 0)
