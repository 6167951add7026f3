"""Ops, layers and losses beside PyTorch's of the same name: values and gradients, in both dtypes.

A case says how both are called on the same operands. In float64 graphc has to agree to 1e-9. In
float32 each is compared with PyTorch's float64 result on the same (rounded) operands, and graphc's
largest error may be 4 times PyTorch's own, or 1e-6 of the largest number in the result.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pytest

import graphc as gc
from tests.peers import peer
from tests.styles import load

Array: TypeAlias = np.ndarray[Any, Any]
Draw: TypeAlias = Callable[[np.random.Generator], tuple[Any, ...]]

AGREEMENT = 1e-9  # in float64, of the largest number in a result
OWN_ERRORS = 4.0  # how many of PyTorch's errors in float32 are graphc's to make
SCALE = 1e-6  # and how much of the largest number in a result


@dataclass(frozen=True)
class Case:
    """One call of both.

    name    as tests are called
    ours    (nodes) -> a node, or a tuple of them
    theirs  (torch, tensors) -> a tensor, or a tuple of them
    draw    operands in float64, which are differentiated by, and in ints or bools, which are not
    fixed   places of float operands that have no gradient, such as masks and targets
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draw: Draw
    fixed: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.name

    def operands(self, dtype: str) -> list[Array]:
        """The operands, the same ones in every run, rounded to the dtype."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        drawn = [np.asarray(value) for value in self.draw(rng)]
        return [value.astype(dtype) if value.dtype.kind == "f" else value for value in drawn]

    def differentiated(self, operands: list[Array]) -> list[int]:
        """The places of the operands that have a gradient."""
        floats = [i for i, value in enumerate(operands) if value.dtype.kind == "f"]
        return [i for i in floats if i not in self.fixed]


def over(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Parametrise a test over cases, by name."""
    return pytest.mark.parametrize("case", list(cases), ids=str)


def graphc_results(case: Case, dtype: str, style: str) -> list[Array]:
    """Values, then gradients of the sum of the values times the weights of `weights`."""
    operands = case.operands(dtype)
    with gc.Graph("case", dtype=dtype) as g:
        nodes = [g.input(f"x{i}", v.shape, str(v.dtype)) for i, v in enumerate(operands)]
        found = case.ours(*nodes)
        for i, node in enumerate(listed(found)):
            g.output(f"y{i}", node)
        wrt = [f"x{i}" for i in case.differentiated(operands)]
    module = load(g, style=style, wrt=wrt)
    with np.errstate(all="ignore"):
        *values, residuals = flat(module.forward(*operands))
        bars = [w.astype(dtype) for w in weights([np.shape(v) for v in values])]
        grads = module.backward(residuals, *bars)
    return [*map(np.asarray, values), *(np.asarray(grads[name]) for name in wrt)]


def torch_results(case: Case, dtype: str, rounded: str) -> list[Array]:
    """The same of PyTorch, computed in a dtype on operands that are rounded to another."""
    torch = peer("torch")
    operands = [v.astype(dtype) if v.dtype.kind == "f" else v for v in case.operands(rounded)]
    tensors = [torch.tensor(value) for value in operands]
    wrt = [tensors[i].requires_grad_() for i in case.differentiated(operands)]
    values = listed(case.theirs(torch, *tensors))
    bars = [torch.tensor(w.astype(rounded).astype(dtype)) for w in
            weights([tuple(v.shape) for v in values])]  # fmt: skip
    total = sum((value * bar).sum() for value, bar in zip(values, bars, strict=True))
    grads = torch.autograd.grad(total, wrt) if wrt else ()
    return [tensor.detach().numpy() for tensor in (*values, *grads)]


def weights(shapes: list[tuple[int, ...]]) -> list[Array]:
    """What each result is weighed with, so that no gradient vanishes by symmetry."""
    rng = np.random.default_rng(1)
    return [np.asarray(rng.uniform(0.5, 1.5, shape)) for shape in shapes]


def listed(value: Any) -> list[Any]:
    """One value or several, as a list."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def flat(results: Any) -> list[Any]:
    """What forward returned: the outputs side by side, then the residuals."""
    first, residuals = results
    return [*(first if isinstance(first, tuple) else (first,)), residuals]


def agrees(case: Case, style: str) -> None:
    """Assert that values and gradients are PyTorch's in float64."""
    assert_same(graphc_results(case, "float64", style), torch_results(case, "float64", "float64"))


def is_accurate(case: Case, style: str) -> None:
    """Assert that the errors in float32 are those of PyTorch, or small."""
    exact = torch_results(case, "float64", "float32")
    theirs = torch_results(case, "float32", "float32")
    assert_accurate(graphc_results(case, "float32", style), theirs, exact)


def assert_same(ours: list[Array], theirs: list[Array], *, together: bool = False) -> None:
    """Assert that results in float64 are PyTorch's.

    together  differences are measured by the largest number in all results: some are 0, and there
              is no other measure for what is rounded off on the way to them
    """
    scales = [np.abs(other[np.isfinite(other)]).max(initial=0.0) for other in theirs]
    for own, other, scale in zip(ours, theirs, scales, strict=True):
        assert (own.shape, own.dtype) == (other.shape, np.float64)
        least = AGREEMENT * min(max(scales) if together else scale, 1.0)
        np.testing.assert_allclose(own, other, rtol=AGREEMENT, atol=least)


def assert_accurate(
    ours: list[Array], theirs: list[Array], exact: list[Array], *, together: bool = False
) -> None:
    """Assert that the errors of results in float32 are those of PyTorch, or small."""
    limits = [np.isfinite(r) & (np.abs(r) <= np.finfo(np.float32).max) for r in exact]
    scales = [np.abs(r[f]).max(initial=0.0) for r, f in zip(exact, limits, strict=True)]
    for own, other, right, finite, scale in zip(ours, theirs, exact, limits, scales, strict=True):
        assert (own.shape, own.dtype) == (right.shape, np.float32)
        least = SCALE * (max(scales) if together else scale)
        assert error(own, right, finite) <= max(OWN_ERRORS * error(other, right, finite), least)
        beyond = right[~finite].astype(np.float32)
        np.testing.assert_array_equal(own[~finite], beyond)


def error(value: Array, right: Array, finite: Any) -> float:
    """The largest difference among the elements that are finite numbers."""
    return float(np.abs(value[finite].astype(np.float64) - right[finite]).max(initial=0.0))
