"""Literals: every value and text comes back bit for bit, in the form that ruff leaves alone."""

from __future__ import annotations

import ast
import base64
import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphc.codegen import arrays
from graphc.codegen.functions import field_names
from graphc.codegen.literals import LINE, array, bracketed, escaped, is_large, laid, number, quoted

INTS = {"float16": np.uint16, "float32": np.uint32, "float64": np.uint64}
SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    1.0,
    -1.0,
    0.1,
    1 / 3,
    1e-7,
    1e22,
    6.5e4,
    1234567.0,
    2**24 + 1,
]
NAMESPACE = {"np": np, "base64": base64}


def bits(value: Any) -> bytes:
    """The bits of an array or scalar."""
    return bytes(np.asarray(value).tobytes())


def random_floats(dtype: str, count: int) -> Any:
    """Random bit patterns, all exponents alike, and values that are easily got wrong."""
    top = 2 ** (8 * np.dtype(dtype).itemsize)
    rng = np.random.default_rng(17)
    patterns = rng.integers(0, top, count, dtype=np.uint64, endpoint=False).astype(INTS[dtype])
    with np.errstate(over="ignore"):
        special = np.array(SPECIAL).astype(dtype)
    info = np.finfo(dtype)
    edges = np.array([info.max, info.tiny, info.smallest_subnormal, info.eps], dtype)
    found = np.concatenate([patterns.view(dtype), special, edges, -edges])
    return found[~np.isnan(found)]


@pytest.mark.parametrize("dtype", INTS)
def test_floats_come_back_bit_for_bit(dtype: str) -> None:
    values = random_floats(dtype, 2000)
    assert len(values) > 1900
    for value in values:
        text = number(value)
        again = np.dtype(dtype).type(eval(text, dict(NAMESPACE)))
        assert bits(again) == bits(value), (text, value)
        assert len(text) <= 25


@pytest.mark.parametrize("dtype", INTS)
def test_whole_numbers_beside_an_array_mean_the_same(dtype: str) -> None:
    values = np.concatenate([random_floats(dtype, 300), np.arange(-5.0, 1005.0).astype(dtype)])
    ones = np.ones(1, dtype)
    for value in values:
        text = number(value, whole=True)
        assert bits(ones * eval(text, dict(NAMESPACE))) == bits(ones * value), text
    assert number(np.float32(3), whole=True) == "3"
    assert number(np.float32(999), whole=True) == "999"
    assert number(np.float32(1000), whole=True) == "1000.0"
    assert number(np.float32(-0.0), whole=True) == "-0.0"
    assert number(np.float32(2.5), whole=True) == "2.5"


def test_numbers_are_short() -> None:
    shown: list[tuple[Any, str]] = [
        (np.float32(0.1), "0.1"),
        (np.float64(0.1), "0.1"),
        (np.float32(1 / 3), "0.33333334"),
        (np.float64(1 / 3), "0.3333333333333333"),
        (np.float32(1.0), "1.0"),
        (np.float32(1e-30), "1e-30"),
        (np.float32(1e30), "1e30"),
        (np.float32(-np.inf), "-np.inf"),
        (np.float32(np.nan), "np.nan"),
        (np.int64(-7), "-7"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.bool_(True), "True"),
    ]
    assert [number(value) for value, _ in shown] == [text for _, text in shown]


# --- arrays ---------------------------------------------------------------------------------------

RNG = np.random.default_rng(2)
ARRAYS: dict[str, Any] = {
    "scalar": np.array(1.5, np.float32),
    "vector": np.array([1, -0.0, np.inf, np.nan, 1e-30, 1e30], np.float32),
    "matrix": RNG.normal(size=(4, 8)).astype(np.float32),
    "column": RNG.normal(size=(32, 1)),
    "cube": RNG.normal(size=(2, 4, 4)).astype(np.float16),
    "bools": np.array([[True], [False]]),
    "bytes": np.arange(-3, 3, dtype=np.int8),
    "unsigned": np.array([2**64 - 1], np.uint64),
    "empty": np.zeros((0, 3), np.float32),
    "more": RNG.normal(size=33),
    "many": RNG.normal(size=(64, 128)),
    "bool_grid": RNG.random((6, 7)) > 0.5,
    "payload": np.array([0x7FC00001, 0xFFC00000], np.uint32).view(np.float32),
    "turned": RNG.normal(size=(5, 9)).T,
    "swapped": np.arange(50, dtype=">i4"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_bit_for_bit(name: str) -> None:
    value = ARRAYS[name]
    again = eval(array(value), dict(NAMESPACE))
    assert (again.dtype.newbyteorder("="), again.shape) == (
        value.dtype.newbyteorder("="),
        value.shape,
    )
    if name == "vector":  # a NaN has more patterns than one
        np.testing.assert_array_equal(np.signbit(again[:4]), np.signbit(value[:4]))
        np.testing.assert_array_equal(again, value)
    else:
        assert bits(again) == bits(value.astype(value.dtype.newbyteorder("=")))


def test_the_size_decides_the_form() -> None:
    assert array(np.zeros(32)).startswith("np.array(")
    assert array(np.zeros(33)).startswith("np.frombuffer(")
    assert array(np.zeros(2**13)).startswith("np.frombuffer(")  # 64 kB
    assert not is_large(np.zeros(2**13))
    assert is_large(np.zeros(2**13 + 1))


# --- texts ----------------------------------------------------------------------------------------

TRICKY = "'\"\\\n\r\t\0\x7f\x85\xa0 {}%#ä字😀\u202e\u05d0\u0627\u2028\ufeff\u200b\u0301ab"
texts = st.text(st.sampled_from(TRICKY)) | st.text(st.characters(exclude_categories=[]))


@given(texts)
@example('"""')
@example("\\")
@example("\ud800")
def test_texts_come_back(text: str) -> None:
    literal = quoted(text)
    assert ast.literal_eval(literal) == text
    assert literal.isprintable()
    assert "\u202e" not in literal and "\u05d0" not in literal
    literal.encode()


@given(texts)
@example('x"""')
@example("\\")
def test_texts_in_docstrings_end_no_docstring(text: str) -> None:
    source = f'"""a {escaped(text)} b\n"""'
    (statement,) = ast.parse(source).body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    assert source.count("\n") == 1


def formatted(tmp_path: Path, source: str) -> str:
    """What `ruff format` makes of a source."""
    path = tmp_path / "source.py"
    path.write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(LINE)]
    subprocess.run([*command, str(path)], check=True, capture_output=True)
    return path.read_text(encoding="utf-8")


def test_the_formatter_leaves_texts_alone(tmp_path: Path) -> None:
    rng = random.Random(3)
    alphabets = [TRICKY.replace("\ufeff", ""), "'\"", "'\"\\ab"]
    lines = [
        f"x = {quoted(''.join(rng.choices(rng.choice(alphabets), k=rng.randrange(8))))}\n"
        for _ in range(1500)
    ]
    again = formatted(tmp_path, "".join(lines)).splitlines(keepends=True)
    changed = [(a, b) for a, b in zip(lines, again, strict=True) if a != b]
    assert changed == []


def test_the_formatter_leaves_numbers_and_arrays_alone(tmp_path: Path) -> None:
    values = np.concatenate([random_floats("float32", 300), random_floats("float16", 50)])
    source = "import base64\n\nimport numpy as np\n\n"
    source += "".join(f"x = {number(value)}\n" for value in values)
    source += "".join(f"{array(value, f'{name}: Array = ')}\n" for name, value in ARRAYS.items())
    lines = [array(np.array([*[1.5] * count, 10**more]), f"{'n' * length}: Array = ")
             for count in (3, 15, 17) for more in range(10) for length in (1, 8, 30)]  # fmt: skip
    source += "".join(f"{line}\n" for line in lines)
    assert max(map(len, source.splitlines())) == LINE
    # Of any width around that of a line.
    source += "".join(f"{array(np.zeros(n), f'zeros_{n}: Array = ')}\n" for n in range(1, 30))
    source += "".join(f"{array(np.eye(2, n), f'eye_{n}: Array = ')}\n" for n in range(1, 16))
    assert formatted(tmp_path, source) == source


def test_the_formatter_leaves_brackets_alone(tmp_path: Path) -> None:
    rng = random.Random(5)

    def word(length: int) -> str:
        return "".join(rng.choices(string.ascii_lowercase, k=length))

    def statement() -> str:
        opening, after = rng.choice(
            [("f(", ")"), ("[", "]"), ("{", "}"), ("return_(", ")"), ("x.y(", ")")]
        )
        items = ["a" + word(rng.randint(0, 29)) + "1" for _ in range(rng.randint(1, 9))]
        if opening == "{":
            items = [f"{quoted(item)}: {item}" for item in items]
        return bracketed(f"a{word(rng.randint(0, 29))}1 = {opening}", items, after)

    source = "".join(f"{statement()}\n" for _ in range(600))
    assert max(map(len, source.splitlines())) == LINE  # the edge is met
    assert formatted(tmp_path, source) == source


def test_the_arguments_of_a_call_stay_on_one_line_if_they_fit() -> None:
    items = ["a" * 30, "b" * 30, "c" * 31]
    together = "x = f(\n    " + ", ".join(items) + "\n)"
    apart = "\n" + "".join(f"    {item},\n" for item in items)
    assert bracketed("x = f(", items, ")") == together
    assert bracketed("x = [", items, "]") == f"x = [{apart}]"
    # A bare star asks for a comma after the last argument.
    starred = ["*", *items]
    assert bracketed("def f(", starred, ")") == f"def f(\n    *,{apart})"


def test_the_formatter_leaves_nested_brackets_alone(tmp_path: Path) -> None:
    rng = random.Random(7)

    def statement() -> str:
        inner = []
        for _ in range(rng.randint(1, 4)):
            names = ["a" * rng.randint(1, 25) for _ in range(rng.randint(1, 5))]
            inner.append(bracketed("np.stack(", names, ")", 8))
        return "    " + bracketed("checks = [", inner, "]", 4)

    source = "def f():\n" + "".join(f"{statement()}\n" for _ in range(300))
    assert formatted(tmp_path, source) == source


def test_the_formatter_leaves_entries_alone(tmp_path: Path) -> None:
    calls = [
        "np.zeros((3, 4), np.float32)",
        "W_INITIAL.copy()",
        "sample_values(np.float32, 0, 3, 4)",
        "rng.normal(0.0, np.sqrt(2 / 3), (3, 4)).astype(np.float32)",
        "rng.normal(0.0, np.sqrt(2 / (a * b)), (a, b, 3, 3)).astype(np.float16)",
        "(rng.uniform(-1.0, 1.0, (3, 4)) * np.sqrt(6 / (3 + 4))).astype(np.float32)",
    ]
    source = "x = {\n"
    for call in calls:
        keys = [quoted("k" * length) for length in range(1, 86)]
        source += "".join(f"    {laid(key + ': ' + call, 4)},\n" for key in keys)
    source += "}\n"
    assert formatted(tmp_path, source) == source


def test_fields_of_outputs_are_identifiers() -> None:
    names = ["a b", "a_b", "count", "index", "class", "1", "", "_x", "é", "a b"]
    fields = field_names(names, arrays.ARRAYS)
    assert len(set(fields)) == len(names)
    assert all(f.isidentifier() and not f.startswith("_") for f in fields)
    assert fields[:3] == ["a_b", "a_b_2", "count_2"]
