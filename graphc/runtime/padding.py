"""The transpose of np.pad."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def unpad(x: Array, pad_width: Any, mode: str) -> Array:
    """What np.pad repeated, added to where it came from; by the last axis first."""
    for axis, (before, behind) in reversed(list(enumerate(pad_width))):
        if not before and not behind:
            continue
        rows = x.swapaxes(0, axis)
        last = len(rows) - behind
        own = rows[before:last].copy()
        if mode == "reflect":
            own[1 : before + 1] += rows[:before][::-1]
            own[len(own) - 1 - behind : len(own) - 1] += rows[last:][::-1]
        elif mode == "wrap":
            own[len(own) - before :] += rows[:before]
            own[:behind] += rows[last:]
        else:
            own[0] += rows[:before].sum(axis=0)
            own[-1] += rows[last:].sum(axis=0)
        x = own.swapaxes(0, axis)
    return x
