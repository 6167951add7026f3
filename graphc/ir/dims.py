"""Sizes of axes: ints, and integer polynomials over named dimensions and floor divisions.

A size that is known is a plain `int`. A `Dim` is anything else, and it is interned: two equal
polynomials are one object, so that comparing shapes is comparing identities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from graphc.errors import ShapeError

# A model has few sizes and does the same with them at every node; sizes live for ever anyway.
remembered = lru_cache(maxsize=4096)

# A size beyond these fixes no axis of any array. Arithmetic on sizes that squares and adds what it
# has made would reach them within a few steps, and all memory within a few more.
MOST_TERMS = 128
HIGHEST_DEGREE = 64
LARGEST = 1 << 63
LONGEST_FLOOR = 10_000  # characters of a floor division as text


class Floor:
    """The floor division `dividend // divisor`, an atom of polynomials."""

    __slots__ = ("dividend", "divisor", "key")

    def __init__(self, dividend: Extent, divisor: Extent) -> None:
        self.dividend = dividend
        self.divisor = divisor
        self.key = f"({dividend})//({divisor})"


Atom: TypeAlias = "str | Floor"
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]  # ((atom, exponent), …), sorted by atom
Terms: TypeAlias = dict[Monomial, int]

_polynomials: dict[tuple[tuple[Monomial, int], ...], Dim] = {}
_floors: dict[tuple[Extent, Extent], Floor] = {}


class Dim:
    """A size that depends on named dimensions. Supports `+ - * //` with sizes and ints."""

    __slots__ = ("terms",)
    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Extent) -> Extent:
        return _combine(self, other, 1)

    def __radd__(self, other: Extent) -> Extent:
        return _combine(self, other, 1)

    def __sub__(self, other: Extent) -> Extent:
        return _combine(self, other, -1)

    def __rsub__(self, other: Extent) -> Extent:
        return _combine(-self, other, 1)

    def __neg__(self) -> Extent:
        return _product(self, -1)

    def __mul__(self, other: Extent) -> Extent:
        return _product(self, other)

    def __rmul__(self, other: Extent) -> Extent:
        return _product(self, other)

    def __floordiv__(self, other: Extent) -> Extent:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: Extent) -> Extent:
        return floor_divide(other, self)

    def __bool__(self) -> bool:
        raise ShapeError(
            f"the size {self} is known only when the generated module runs",
            hint="compare sizes with `is`, or declare the axis with an int",
        )

    def __int__(self) -> int:
        raise ShapeError(f"the size {self} has no int value before the generated module runs")

    __index__ = __int__

    def __repr__(self) -> str:
        return text(self, str)


Extent: TypeAlias = int | Dim
Shape: TypeAlias = tuple[Extent, ...]


def named(name: str) -> Dim:
    """The size called `name`."""
    return _intern({((name, 1),): 1})  # type: ignore[return-value]


def floor_divide(dividend: Extent, divisor: Extent) -> Extent:
    """`dividend // divisor`; what divides exactly is taken out of the floor.

    Of a constant its whole part is, so that `(n - 1) // 2 + 1` and `(n + 1) // 2` are one size.
    """
    if isinstance(dividend, int) and isinstance(divisor, int):
        return dividend // divisor
    quotient = exact_quotient(dividend, divisor)
    if quotient is not None:
        return quotient
    whole: Extent = 0
    if isinstance(divisor, int):
        terms = _terms(dividend).items()
        whole = _intern({m: c // divisor for m, c in terms if c % divisor == 0 or not m})
        dividend = dividend - whole * divisor
        if isinstance(dividend, int):
            return whole
    floor = _floors.setdefault((dividend, divisor), Floor(dividend, divisor))
    if len(floor.key) > LONGEST_FLOOR:
        raise ShapeError(f"a size is too complicated: {floor.key[:80]}…")
    return whole + _intern({((floor, 1),): 1})


def exact_quotient(dividend: Extent, divisor: Extent) -> Extent | None:
    """The polynomial q with `dividend == q * divisor`, or None. Long division by leading terms."""
    lead, factor = _leading(_terms(divisor))
    quotient: Extent = 0
    while not isinstance(dividend, int) or dividend:
        monomial, coefficient = _leading(_terms(dividend))
        rest = _divide_monomial(monomial, lead)
        if rest is None or coefficient % factor:
            return None
        term = _intern({rest: coefficient // factor})
        quotient = quotient + term
        dividend = dividend - term * divisor
    return quotient


def product(sizes: Shape) -> Extent:
    """The number of elements of a shape."""
    result: Extent = 1
    for size in sizes:
        result = result * size
    return result


def at_least(larger: Extent, smaller: Extent, *, sizes_from: int = 1) -> bool:
    """Whether `larger >= smaller` can be shown for all named sizes >= `sizes_from`.

    Every name n is replaced by m + `sizes_from` with m >= 0; a polynomial with no negative
    coefficient is then never negative, nor is a floor of one. Sufficient, not necessary.
    """
    if isinstance(larger, int) and isinstance(smaller, int):
        return larger >= smaller
    return _never_negative(larger - smaller, sizes_from)


@remembered
def _never_negative(difference: Extent, sizes_from: int) -> bool:
    if isinstance(difference, int):
        return difference >= 0
    shifted = substitute(difference, lambda name: named(name) + sizes_from)
    return all(
        coefficient >= 0 and all(_counts(atom) for atom, _ in monomial)
        for monomial, coefficient in _terms(shifted).items()
    )


def _counts(atom: Atom) -> bool:
    """Whether an atom is never negative for names that are not."""
    if isinstance(atom, str):
        return True
    positive = isinstance(atom.divisor, int) and atom.divisor > 0
    return positive and _never_negative(atom.dividend, 0)


def substitute(size: Extent, value: Callable[[str], Extent]) -> Extent:
    """The size with each name replaced by its value."""
    if isinstance(size, int):
        return size
    total: Extent = 0
    for monomial, coefficient in size.terms:
        term: Extent = coefficient
        for atom, exponent in monomial:
            if isinstance(atom, str):
                factor = value(atom)
            else:
                factor = floor_divide(
                    substitute(atom.dividend, value), substitute(atom.divisor, value)
                )
            for _ in range(exponent):
                term = term * factor
        total = total + term
    return total


def evaluate(size: Extent, sizes: Mapping[str, int]) -> int:
    """The int that a size comes to when the named dimensions have the given sizes."""
    result = substitute(size, lambda name: sizes[name])
    assert isinstance(result, int)
    return result


def names(size: Extent) -> Iterator[str]:
    """The names that a size depends on, in order of appearance."""
    if isinstance(size, int):
        return
    for monomial, _ in size.terms:
        for atom, _ in monomial:
            if isinstance(atom, str):
                yield atom
            else:
                yield from names(atom.dividend)
                yield from names(atom.divisor)


def names_in_order(shapes: Iterable[Shape]) -> list[str]:
    """The names that the sizes of some shapes depend on, each once, in order of appearance."""
    return list(dict.fromkeys(n for shape in shapes for size in shape for n in names(size)))


def all_names(shape: Shape) -> set[str]:
    """The names that the sizes of a shape depend on."""
    return {name for size in shape for name in names(size)}


def pure_name(size: Extent) -> str | None:
    """The name if the size is just that name."""
    if isinstance(size, int) or len(size.terms) != 1:
        return None
    monomial, coefficient = size.terms[0]
    if coefficient != 1 or len(monomial) != 1:
        return None
    atom, exponent = monomial[0]
    return atom if exponent == 1 and isinstance(atom, str) else None


def has_floor(size: Extent) -> bool:
    """Whether a floor division occurs in the size."""
    return not isinstance(size, int) and any(
        isinstance(atom, Floor) for monomial, _ in size.terms for atom, _ in monomial
    )


def text(size: Extent, spell: Callable[[str], str]) -> str:
    """The size as a Python expression, each name as `spell` writes it."""
    if isinstance(size, int):
        return str(size)
    written = ""
    for monomial, coefficient in size.terms:
        factors = [
            piece for atom, exponent in monomial for piece in [_atom_text(atom, spell)] * exponent
        ]
        if abs(coefficient) != 1 or not factors:
            factors.insert(0, str(abs(coefficient)))
        # `2 * (n // 2)` is not `2 * n // 2`: only a leading floor may go bare.
        if len(size.terms) > 1 or len(factors) > 1 or coefficient < 0:
            factors = [f"({f})" if " // " in f else f for f in factors]
        sign = "-" if coefficient < 0 else "+"
        term = " * ".join(factors)
        if written:
            written += f" {sign} {term}"
        else:
            written = f"-{term}" if coefficient < 0 else term
    return written


def _atom_text(atom: Atom, spell: Callable[[str], str]) -> str:
    if isinstance(atom, str):
        return spell(atom)
    dividend, divisor = text(atom.dividend, spell), text(atom.divisor, spell)
    if " " in dividend:
        dividend = f"({dividend})"
    if " " in divisor:
        divisor = f"({divisor})"
    return f"{dividend} // {divisor}"


def _key(atom: Atom) -> str:
    return atom if isinstance(atom, str) else atom.key


def _terms(size: Extent) -> Terms:
    return {(): size} if isinstance(size, int) else dict(size.terms)


def _order(item: tuple[Monomial, int]) -> tuple[int, list[tuple[str, int]]]:
    monomial = item[0]
    return -sum(e for _, e in monomial), [(_key(a), -e) for a, e in monomial]


def _intern(terms: Terms) -> Extent:
    kept = tuple(sorted(((m, c) for m, c in terms.items() if c), key=_order))
    if not kept:
        return 0
    if kept[0][0] == ():
        return kept[0][1]
    dim = _polynomials.get(kept)
    if dim is None:
        _require_simple(kept)
        dim = Dim.__new__(Dim)
        dim.terms = kept
        _polynomials[kept] = dim
    return dim


def _require_simple(terms: tuple[tuple[Monomial, int], ...]) -> None:
    """Raise ShapeError for a polynomial that is no size of an axis."""
    highest = -_order(terms[0])[0]
    if len(terms) > MOST_TERMS or highest > HIGHEST_DEGREE:
        raise ShapeError(
            f"a size is too complicated: {len(terms)} terms, and a product of {highest} sizes"
        )
    if any(abs(coefficient) >= LARGEST for _, coefficient in terms):
        raise ShapeError("a size has a factor or summand of 2**63 or more")


@remembered
def _combine(left: Extent, right: Extent, sign: int) -> Extent:
    total = _terms(left)
    for monomial, coefficient in _terms(right).items():
        total[monomial] = total.get(monomial, 0) + sign * coefficient
    return _intern(total)


@remembered
def _product(left: Extent, right: Extent) -> Extent:
    total: Terms = {}
    for m1, c1 in _terms(left).items():
        for m2, c2 in _terms(right).items():
            exponents = dict(m1)
            for atom, exponent in m2:
                exponents[atom] = exponents.get(atom, 0) + exponent
            monomial = tuple(sorted(exponents.items(), key=lambda item: _key(item[0])))
            total[monomial] = total.get(monomial, 0) + c1 * c2
    return _intern(total)


def _leading(terms: Terms) -> tuple[Monomial, int]:
    return min(terms.items(), key=_order)


def _divide_monomial(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    exponents = dict(monomial)
    for atom, exponent in divisor:
        exponents[atom] = exponents.get(atom, 0) - exponent
        if exponents[atom] < 0:
            return None
    return tuple((a, e) for a, e in exponents.items() if e)
