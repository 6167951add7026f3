"""Bits of ints: logic on each bit, and shifts. Of bools, bits are the bools themselves."""

from __future__ import annotations

import numpy as np

from graphc.ir.op import Draw
from graphc.ops.families import elementwise

__all__ = [
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor",
]  # fmt: skip


def _ints(*highs: int) -> tuple[Draw, ...]:
    """Samples of ints from 0 up to a bound for each operand, of two layouts."""

    def sample(*shapes: tuple[int, ...]) -> Draw:
        return lambda rng: (
            tuple(
                np.asarray(rng.integers(0, high, shape))
                for high, shape in zip(highs, shapes, strict=False)
            ),
            {},
        )

    return sample((2, 3), (3,)), sample((), ())


bitwise_and = elementwise(
    "bitwise_and", "the bits that x and y both have", operands="x y", commutative=True,
    result="bits", numpy="{x} & {y}", out="np.bitwise_and({x}, {y}, out={out})", math="{x} & {y}",
    samples=_ints(99, 99),
)  # fmt: skip
bitwise_or = elementwise(
    "bitwise_or", "the bits that x or y has", operands="x y", commutative=True,
    result="bits", numpy="{x} | {y}", out="np.bitwise_or({x}, {y}, out={out})", math="{x} | {y}",
    samples=_ints(99, 99),
)  # fmt: skip
bitwise_xor = elementwise(
    "bitwise_xor", "the bits that one of x and y has", operands="x y", commutative=True,
    result="bits", numpy="{x} ^ {y}", out="np.bitwise_xor({x}, {y}, out={out})", math="{x} ^ {y}",
    samples=_ints(99, 99),
)  # fmt: skip
# Python's ints have no width: the three that depend on it have no form on plain numbers.
bitwise_invert = elementwise(
    "bitwise_invert", "the bits that x does not have", result="bits",
    numpy="~{x}", out="np.invert({x}, out={out})", samples=_ints(99),
)  # fmt: skip
bitwise_left_shift = elementwise(
    "bitwise_left_shift", "the bits of x, each so many places higher", operands="x count",
    result="int", ufunc="np.left_shift", samples=_ints(99, 5),
)  # fmt: skip
bitwise_right_shift = elementwise(
    "bitwise_right_shift", "the bits of x, each so many places lower", operands="x count",
    result="int", ufunc="np.right_shift", samples=_ints(99, 5),
)  # fmt: skip
