"""Checks at the boundary of a generated module, and the values of its self-test."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graphc.runtime.boundary import (
    agrees,
    checked,
    checked_size,
    sample_slope,
    sample_values,
    shape_text,
)


def test_an_argument_of_the_right_type_is_not_copied() -> None:
    x = np.ones((2, 3), "float32")
    assert checked("x", x, np.float32, 2, 3) is x or np.shares_memory(
        checked("x", x, np.float32, 2, 3), x
    )


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([[1, 2], [3, 4]], np.float32, np.array([[1, 2], [3, 4]], "float32")),
        (np.eye(2), np.float32, np.eye(2, dtype="float32")),
        (np.eye(2, dtype="float32"), np.float64, np.eye(2)),
        (np.eye(2, dtype=bool), np.float32, np.eye(2, dtype="float32")),
        (np.eye(2, dtype="int32"), np.int64, np.eye(2, dtype="int64")),
    ],
)
def test_arguments_are_converted(value: Any, dtype: Any, expected: Any) -> None:
    result = checked("x", value, dtype, "rows", 2)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("value", "dtype", "sizes", "error", "message"),
    [
        (np.zeros(3), np.float32, (4,), ValueError, "float32 of shape (4,), got shape (3,)"),
        (np.zeros((2, 3)), np.float32, (2,), ValueError, "of shape (2,), got shape (2, 3)"),
        (np.zeros(()), np.float32, ("n",), ValueError, "of shape (n,), got shape ()"),
        (np.zeros((1, 3)), np.float64, ("n", 4), ValueError, "of shape (n, 4), got shape (1, 3)"),
        (np.zeros(3), np.int64, (3,), TypeError, "int64 of shape (3,), got float64"),
        (np.zeros(3, complex), np.float64, (3,), TypeError, "of shape (3,), got complex128"),
        (np.zeros(3, int), np.bool_, (3,), TypeError, "expected bool of shape (3,), got int64"),
        (["a", "b"], np.float32, (2,), TypeError, "got str"),
    ],
)
def test_other_arguments_are_named(
    value: Any, dtype: Any, sizes: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        checked("x", value, dtype, *sizes)
    assert str(caught.value).startswith("x: expected ")
    assert message in str(caught.value)


@pytest.mark.parametrize("size", [0, 1, np.int8(3), np.uint64(5)])
def test_sizes_are_counts(size: Any) -> None:
    assert checked_size("n", size) == size
    assert type(checked_size("n", size)) is int


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (-1, ValueError, "n: expected a size >= 0, got -1"),
        (True, TypeError, "n: expected a size as an int, got True"),
        (2.0, TypeError, "n: expected a size as an int, got 2.0"),
        ("2", TypeError, "n: expected a size as an int, got '2'"),
    ],
)
def test_other_sizes_are_named(size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        checked_size("n", size)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("sizes", "text"), [((), "()"), ((3,), "(3,)"), (("n", 3), "(n, 3)")], ids=str
)
def test_shapes_are_shown_as_python_writes_them(sizes: tuple[Any, ...], text: str) -> None:
    assert shape_text(sizes) == text


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sample_values_follow_their_formula(dtype: str) -> None:
    values = sample_values(np.dtype(dtype), 2, 2, 3)
    assert values.shape == (2, 3)
    assert values.dtype == dtype
    # Scaled by the number of rows, so that products with a matrix do not grow.
    expected = [math.sin(1.7 * i + 2) / math.sqrt(2) for i in range(6)]
    np.testing.assert_allclose(values.ravel(), expected, rtol=2 * np.finfo(dtype).eps)
    positive = sample_values(np.dtype(dtype), 2, 2, 3, offset=1.5).ravel()
    moved = [1.5 + value for value in expected]
    np.testing.assert_allclose(positive, moved, rtol=2 * np.finfo(dtype).eps)


def test_sample_labels_take_turns() -> None:
    assert sample_values(np.int64, 1, 5).tolist() == [1, 0, 1, 0, 1]
    assert sample_values(np.int8, 0, 2, 2, labels=3).tolist() == [[0, 1], [2, 0]]
    assert sample_values(np.bool_, 0, 3).tolist() == [False, True, False]
    assert sample_values(np.int64, 3, 4, labels=1).tolist() == [0, 0, 0, 0]
    assert sample_values(np.float32, 0).shape == ()


def test_the_slope_is_a_sum_of_cosines() -> None:
    gradient = np.array([[1.0, -2.0], [0.5, 3.0]], "float32")
    expected = 1 - 2 * math.cos(1) + 0.5 * math.cos(4) + 3 * math.cos(9)
    assert sample_slope(gradient) == pytest.approx(expected, rel=1e-15)
    assert sample_slope(np.array(4.0)) == 4.0


@pytest.mark.parametrize(
    ("value", "stored", "same"),
    [(1.0, 1.0, True), (1.009, 1.0, True), (1.1, 1.0, False), (math.nan, math.nan, True),
     (math.nan, 1.0, False), (math.inf, math.inf, True), (0.0, 0.009, True)],
)  # fmt: skip
def test_agreement_is_told(
    value: float, stored: float, same: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agrees("loss", value, stored, 0.01) is same
    said = capsys.readouterr().out
    assert said.startswith("ok     loss: " if same else "FAILED loss: ")
    assert f"{value:.9g}" in said
