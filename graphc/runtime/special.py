"""Special functions, which NumPy has not. What erf calls is pasted with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def erfc(x: Array) -> Array:
    """1 - erf(x), without cancellation: exp(-z²) p(t) / (z + 3.5) of z = |x|, or 2 less that.

    p is a Chebyshev fit in t = (z - 3.5) / (z + 3.5), to 2e-17 for float64 and 1e-9 for float32.
    The square is split, since what it rounds off is large in an exponent.
    """
    if x.size > 2**14:  # blocks stay in the cache, with all that is computed on the way
        joined: Array = np.empty(x.size, x.dtype)
        flat = x.ravel()
        for start in range(0, x.size, 2**14):
            block = slice(start, start + 2**14)
            joined[block] = erfc(flat[block])
        return joined.reshape(x.shape)
    kind: Any
    if x.dtype == np.float64:
        kind, steps = np.float64, 2.0**20
        fit = [
            3.2664270392504547e-09, 8.9365983005265635e-09, -2.1812992670748466e-08,
            -8.3285918747847178e-08, 1.1643306813077672e-07, 5.503649300535544e-07,
            -7.9676720438433059e-07, -3.3920025236007914e-06, 7.2444081420109849e-06,
            1.8647220723986922e-05, -7.4777174268120068e-05, -4.2062183887205828e-05,
            0.00071453170206525524, -0.0013053546868773359, -0.0031770503444196519,
            0.026518619881024573, -0.092318706638390632, 0.22573862164745054, -0.43525602671689079,
            0.69411364663464348, -0.93779972456711203, 1.08705558926226,
        ]  # fmt: skip
    else:
        kind, steps = np.float32, 2.0**6
        fit = [
            -6.88239332e-05, -1.4842805e-05, 0.000716851447, -0.00132193886, -0.00318100457,
            0.026523276, -0.0923172826, 0.22573806, -0.435256211, 0.694113668, -0.937799718,
            1.08705559,
        ]  # fmt: skip
    z = np.minimum(np.abs(x), kind(30))  # of which nothing is left
    t = (z - kind(3.5)) / (z + kind(3.5))
    p = t * kind(fit[0])
    for coefficient in fit[1:-1]:
        p += kind(coefficient)
        p *= t
    p += kind(fit[-1])
    p /= z + kind(3.5)
    high = np.rint(z * kind(steps)) / kind(steps)  # whose square is no longer than a float
    p *= np.exp((high - z) * (high + z))
    p *= np.exp(-high * high)
    sign = np.copysign(kind(1), x)
    p *= sign
    result: Array = (p + (kind(1) - sign)).astype(x.dtype, copy=False)
    return result


def erf(x: Array) -> Array:
    """The error function: x p(x²) below 1, where p is a Chebyshev fit, and 1 - erfc(|x|) above."""
    kind: Any
    if x.dtype == np.float64:
        kind = np.float64
        fit = [
            5.9571761477489113e-11, -1.1372848856791674e-09, 1.4659775274047436e-08,
            -1.6350312701054695e-07, 1.6461000484121368e-06, -1.4925595266831182e-05,
            0.0001205533111164271, -0.000854832698083379, 0.0052239776248180145,
            -0.026866170645076792, 0.11283791670954879, -0.37612638903183748, 1.1283791670955126,
        ]  # fmt: skip
    else:
        kind = np.float32
        fit = [
            7.87587506e-05, -0.000801686429, 0.00518908742, -0.026854212, 0.112835947, -0.376126267,
            1.12837917,
        ]  # fmt: skip
    z = np.abs(x).astype(kind)
    near = np.minimum(z, kind(1))
    square = np.square(near)
    p = square * kind(fit[0])
    for coefficient in fit[1:-1]:
        p += kind(coefficient)
        p *= square
    p += kind(fit[-1])
    small = z < 1
    size = small * (near * p) + ~small * (kind(1) - erfc(z))
    result: Array = np.copysign(size, x).astype(x.dtype, copy=False)
    return result
