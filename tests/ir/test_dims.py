"""Sizes against SymPy: arithmetic, exact division, floors, text and substitution."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import Dim, Extent

NAMES = ("batch", "n", "k")
SYMBOLS = {name: sympy.Symbol(name, integer=True, positive=True) for name in NAMES}

# An expression as a tree: an int, a name, or (operator, left, right).
Tree = Any
LEAVES = st.integers(-4, 6) | st.sampled_from(NAMES)
POLYNOMIALS = st.recursive(LEAVES, lambda t: st.tuples(st.sampled_from("+-*"), t, t), max_leaves=7)
DIVISORS = st.integers(1, 5) | st.sampled_from(NAMES)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda t: st.tuples(st.sampled_from("+-*"), t, t) | st.tuples(st.just("//"), t, DIVISORS),
    max_leaves=7,
)
SIZES = st.fixed_dictionaries({name: st.integers(1, 9) for name in NAMES})
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv}


def built(tree: Tree, leaf: Any) -> Any:
    """The value of a tree, for a function that makes values of names; ints stand for themselves."""
    if isinstance(tree, tuple):
        symbol, left, right = tree
        return OPERATORS[symbol](built(left, leaf), built(right, leaf))
    return leaf(tree) if isinstance(tree, str) else tree


def size(tree: Tree) -> Extent:
    """The tree as graphc's size."""
    result: Extent = built(tree, dims.named)
    return result


def polynomial(tree: Tree) -> Any:
    """The tree as SymPy's expression, expanded: zero is 0 in no other form."""
    return sympy.expand(built(tree, SYMBOLS.__getitem__))


def as_sympy(value: Extent) -> Any:
    """A polynomial without floors, read off its text."""
    return sympy.expand(eval(dims.text(value, str), {}, dict(SYMBOLS)))


@given(POLYNOMIALS)
def test_arithmetic_is_sympys(tree: Tree) -> None:
    value, expected = size(tree), polynomial(tree)
    assert as_sympy(value) == expected
    assert isinstance(value, int) == bool(expected.is_number)


@given(POLYNOMIALS, POLYNOMIALS)
def test_equal_polynomials_are_one_object(left: Tree, right: Tree) -> None:
    a, b = size(left), size(right)
    same = a is b if isinstance(a, Dim) else isinstance(b, int) and a == b
    assert same == (polynomial(left) - polynomial(right) == 0)


@given(POLYNOMIALS, POLYNOMIALS)
def test_an_exact_quotient_is_found(left: Tree, right: Tree) -> None:
    divisor = size(right)
    if isinstance(divisor, int) and divisor == 0:
        return
    quotient = dims.exact_quotient(size(("*", left, right)), divisor)
    assert quotient is size(left) or quotient == size(left)


@given(POLYNOMIALS, POLYNOMIALS)
@settings(max_examples=60)
def test_there_is_a_quotient_where_sympy_finds_one(left: Tree, right: Tree) -> None:
    divisor = polynomial(right)
    if divisor == 0:
        return
    names = tuple(SYMBOLS.values())
    quotient, rest = sympy.div(
        sympy.Poly(polynomial(left), names), sympy.Poly(divisor, names), domain="QQ"
    )
    exact = rest == 0 and all(c.is_integer for c in quotient.coeffs())
    found = dims.exact_quotient(size(left), size(right))
    assert (found is not None) == exact
    if found is not None:
        assert as_sympy(found) == sympy.expand(quotient.as_expr())


@given(EXPRESSIONS, st.integers(-5, 5), st.integers(1, 5))
def test_whole_numbers_leave_a_floor(tree: Tree, whole: int, divisor: int) -> None:
    value = dims.floor_divide(size(tree) + whole * divisor, divisor)
    expected = dims.floor_divide(size(tree), divisor) + whole
    assert value is expected or value == expected


@given(EXPRESSIONS, SIZES)
def test_evaluation_is_pythons(tree: Tree, sizes: dict[str, int]) -> None:
    assert dims.evaluate(size(tree), sizes) == built(tree, sizes.__getitem__)


@given(EXPRESSIONS, SIZES)
def test_text_evaluates_to_the_same(tree: Tree, sizes: dict[str, int]) -> None:
    text = dims.text(size(tree), lambda name: f"the_{name}")
    value = eval(text, {}, {f"the_{name}": n for name, n in sizes.items()})
    assert value == built(tree, sizes.__getitem__)


@given(EXPRESSIONS)
def test_text_reads_back_as_the_same_object(tree: Tree) -> None:
    value = size(tree)
    again = eval(dims.text(value, str), {}, {name: dims.named(name) for name in NAMES})
    assert again is value or again == value


@given(EXPRESSIONS, EXPRESSIONS, SIZES)
def test_substitution_composes(tree: Tree, inner: Tree, sizes: dict[str, int]) -> None:
    value, replacement = size(tree), size(inner)
    if dims.evaluate(replacement, sizes) == 0:
        return  # it may stand below a division
    try:
        substituted = dims.substitute(value, lambda n: replacement if n == "n" else dims.named(n))
    except ZeroDivisionError:
        return
    inside = sizes | {"n": dims.evaluate(replacement, sizes)}
    assert dims.evaluate(substituted, sizes) == dims.evaluate(value, inside)


@given(POLYNOMIALS, POLYNOMIALS, st.sampled_from([0, 1]), SIZES)
def test_at_least_never_claims_too_much(
    left: Tree, right: Tree, smallest: int, sizes: dict[str, int]
) -> None:
    sizes = {name: n - 1 + smallest for name, n in sizes.items()}
    if dims.at_least(size(left), size(right), sizes_from=smallest):
        assert dims.evaluate(size(left), sizes) >= dims.evaluate(size(right), sizes)


@given(EXPRESSIONS)
def test_names_and_floors_are_those_of_the_text(tree: Tree) -> None:
    value = size(tree)
    text = dims.text(value, lambda name: f"<{name}>")
    assert {*dims.names(value)} == {name for name in NAMES if f"<{name}>" in text}
    assert dims.has_floor(value) == ("//" in text)
    pure = dims.pure_name(value)
    assert (pure is not None) == (text in {f"<{name}>" for name in NAMES})


# --- examples: what a reader sees -----------------------------------------------------------------

n, k = dims.named("n"), dims.named("k")


@pytest.mark.parametrize(
    ("larger", "smaller", "sizes_from", "shown"),
    [
        (n // 2, 0, 0, True),
        ((n + 1) // 2, 1, 1, True),
        (n // 2, 1, 1, False),
        (2 * (n // 2) + k, k, 0, True),
        (-(n // 2), -n, 0, False),  # true, but not shown
        ((n - 2) // 2, 0, 0, False),
        (((n + 3) // 2) // 2, 1, 1, True),
    ],
)
def test_a_floor_of_what_is_not_negative_is_not(
    larger: dims.Extent, smaller: dims.Extent, sizes_from: int, shown: bool
) -> None:
    assert dims.at_least(larger, smaller, sizes_from=sizes_from) is shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (n, "n"),
        (2 * n + 1, "2 * n + 1"),
        (1 - n, "-n + 1"),
        (n * n - 3, "n * n - 3"),
        (k * n, "k * n"),
        ((n + 1) * (n - 1), "n * n - 1"),
        (n - n, "0"),
        ((n + 1) // 2, "(n + 1) // 2"),
        (2 * (n // 2), "2 * (n // 2)"),
        (n // 2 + 1, "(n // 2) + 1"),
        (-(n // 2), "-(n // 2)"),
        ((4 * n + 3) // 2, "2 * n + 1"),
        ((n + 3) // 2, "((n + 1) // 2) + 1"),
        ((n - 1) // 2 + 1, "(n + 1) // 2"),
        ((2 * n) // 2, "n"),
        ((n * k) // k, "n"),
        (n // k, "n // k"),
        ((n // 2) // 3, "(n // 2) // 3"),
        (7 // n, "7 // n"),
    ],
)
def test_text_of(value: Extent, text: str) -> None:
    assert dims.text(value, str) == text


def test_a_size_has_no_value_yet() -> None:
    for use in (bool, int, range, operator.index):
        with pytest.raises(ShapeError, match="size n"):
            use(n)


def test_a_division_by_zero_is_one() -> None:
    for dividend in (n, 4, n // 2):
        with pytest.raises(ZeroDivisionError):
            dims.floor_divide(dividend, 0)


def test_the_product_of_no_sizes_is_one() -> None:
    assert dims.product(()) == 1
    assert dims.product((2, n, 3)) is 6 * n


def test_a_size_divided_by_its_factor_is_the_other_factor() -> None:
    n, m = dims.named("n"), dims.named("m")
    assert (6 * n * m) // (2 * n) is 3 * m
    assert (n * m + n) // (m + 1) is n
    assert dims.has_floor((n * m + 1) // n)


@pytest.mark.parametrize(
    ("grow", "told"),
    [
        (lambda size: size * size, "a product of 128 sizes"),
        (lambda size: size * (size + dims.named("m") + dims.named("k") + 1), "terms"),
        (lambda size: size * 10**18, "2\\*\\*63"),
        (lambda size: dims.floor_divide(size, 2) + dims.floor_divide(size, 3), "too complicated"),
    ],
)
def test_sizes_that_grow_without_end_are_refused(
    grow: Callable[[Extent], Extent], told: str
) -> None:
    with pytest.raises(ShapeError, match=told):
        functools.reduce(lambda size, _: grow(size), range(100), dims.named("n"))
