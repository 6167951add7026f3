"""The norm of all gradients together is clipped as torch.nn.utils.clip_grad_norm_ does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

import graphc as gc
from graphc.errors import UsageError
from graphc.runtime import scalars, training
from tests.optim.problems import regression
from tests.peers import peer
from tests.styles import in_every_style, load

inf, nan = float("inf"), float("nan")
SLOPES: dict[str, Sequence[float]] = {
    "below the norm": (0.3, -0.4),
    "at the norm": (0.6, 0.8),
    "above it": (3.0, -4.0, 12.0),
    "zero": (0.0, 0.0),
    "squares that underflow": (3e-30, 4e-30),
    "squares that overflow": (3e30, 4e30),
    "an infinity": (1.0, inf),
    "a nan": (1.0, nan),
    "an infinity and a nan": (inf, nan),
}
each_case = pytest.mark.parametrize("case", SLOPES)


def steps(
    slopes: Sequence[float], style: str, dtype: str, norm: float = 1.0
) -> np.ndarray[Any, Any]:
    """What a step of SGD with lr 1 takes off two parameters whose gradients are given."""
    first, rest = np.array(slopes[:1], dtype), np.array(slopes[1:], dtype)
    with gc.Graph("m", dtype=dtype) as g:
        a, b = g.parameter("a", (1,)), g.parameter("b", (len(rest),))
        g.loss((a * g.input("s", (1,))).sum() + (b * g.input("r", (len(rest),))).sum())
    net = load(g, style=style, optimizer="sgd", clip_norm=0.5)
    params = {"a": np.zeros(1, dtype), "b": np.zeros(len(rest), dtype)}
    with np.errstate(invalid="ignore"):
        new, _, _ = net.train_step(
            params, net.init_optimizer(params), first, rest, lr=1.0, clip_norm=norm
        )
    return -np.concatenate([new["a"], new["b"]])


def clipped(slopes: Sequence[float], norm: float = 1.0) -> list[float]:
    """The same with 50 digits."""
    with mpmath.workdps(50):
        size = mpmath.sqrt(sum(mpmath.mpf(s) ** 2 for s in slopes))
        scale = min(mpmath.mpf(1), norm / (size + mpmath.mpf("1e-6")))
        return [float(s * scale) for s in slopes]


@in_every_style
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", list(SLOPES)[:6])
def test_gradients_are_scaled_to_the_norm(case: str, dtype: str, style: str) -> None:
    found = steps(SLOPES[case], style, dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, clipped(SLOPES[case]), rtol=3e-7)


@in_every_style
@pytest.mark.parametrize(
    ("case", "expected"),
    [("an infinity", (0.0, nan)), ("a nan", (nan, nan)), ("an infinity and a nan", (nan, nan))],
)
def test_norms_that_are_not_finite(case: str, expected: tuple[float, ...], style: str) -> None:
    np.testing.assert_array_equal(steps(SLOPES[case], style, "float32"), expected)


@each_case
def test_python_numbers_are_clipped_alike(case: str) -> None:
    scale = scalars.clip_scale(SLOPES[case], 0.7)
    arrays = [np.array(s) for s in SLOPES[case]]
    np.testing.assert_allclose(scale, training.clip_scale(arrays, 0.7), rtol=1e-14)


def test_a_step_on_python_numbers_is_clipped() -> None:
    with gc.Graph("m") as g:
        g.loss(g.parameter("a") * g.input("s") + g.parameter("b") * g.input("r"))
    net = gc.compile(g, style="scalar", optimizer="sgd", clip_norm=1.0).load()
    params = {"a": 0.0, "b": 0.0}
    new, _, _ = net.train_step(params, net.init_optimizer(params), 3.0, 4.0, lr=1.0)
    assert new == pytest.approx({"a": -0.6, "b": -0.8}, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("power", [-150, -30, -20, -4, 0, 4, 18, 30, 150])
def test_the_norm_has_its_digits_at_any_size(power: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=shape) * 10.0**power for shape in [(3, 4), (), (0,), (50,)]]
    with np.errstate(over="ignore", under="ignore"):
        arrays = [part.astype(dtype) for part in parts]
    flat = [float(x) for array in arrays for x in array.ravel()]
    found = training.global_norm(arrays)
    if not np.isfinite(flat).all():
        assert found == inf
        return
    right = float(mpmath.sqrt(mpmath.fsum(mpmath.mpf(x) ** 2 for x in flat)))
    np.testing.assert_allclose(found, right, rtol=1e-6 if dtype == "float32" else 2e-3
                               if dtype == "float16" else 1e-14)  # fmt: skip


def test_nothing_has_no_norm() -> None:
    assert training.global_norm([]) == training.global_norm([np.zeros((0, 3))]) == 0.0


def test_one_norm_is_taken_of_all_parameters() -> None:
    # Clipped one by one, both would have the norm 1.
    np.testing.assert_allclose(steps((3.0, 4.0), "functional", "float64"), [0.6, 0.8], rtol=1e-6)
    source = gc.compile(regression(), style="workspace", optimizer="adam", clip_norm=1.0).source
    assert source.count("clip_scale(") == 2  # its definition, and one call
    assert "scale = clip_scale([gradient], clip_norm)" in source


@in_every_style
def test_gradients_by_inputs_have_no_part_in_the_norm(style: str) -> None:
    with gc.Graph("m", dtype="float64") as g:
        g.loss(g.input("x") * 100.0 + 0.5 * g.parameter("w"))
    net = load(g, style=style, optimizer="sgd", clip_norm=1.0, wrt="x,w")
    params = {"w": np.zeros(())}
    new, _, _ = net.train_step(params, net.init_optimizer(params), np.ones(()), lr=1.0)
    np.testing.assert_array_equal(new["w"], -0.5)


@pytest.mark.conformance
@in_every_style
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_case
def test_gradients_are_those_of_torch(case: str, dtype: str, style: str) -> None:
    torch = peer("torch")
    if case == "squares that overflow" and dtype == "float32":
        pytest.skip("PyTorch's norm overflows")
    a, b = (torch.zeros(n, requires_grad=True) for n in (1, len(SLOPES[case]) - 1))
    slopes = torch.tensor(SLOPES[case], dtype=getattr(torch, dtype))
    a, b = (p.to(slopes.dtype).detach().requires_grad_() for p in (a, b))
    a.grad, b.grad = slopes[:1].clone(), slopes[1:].clone()
    torch.nn.utils.clip_grad_norm_([a, b], 1.0)
    right = torch.cat([a.grad, b.grad]).numpy()
    np.testing.assert_allclose(steps(SLOPES[case], style, dtype), right, rtol=1e-6)


@pytest.mark.parametrize("norm", [0, -1.0, nan, inf, "1", True])
def test_a_norm_that_makes_no_sense_is_refused(norm: Any) -> None:
    with pytest.raises(UsageError, match="clip_norm has to be a number > 0, got"):
        gc.compile(regression(), optimizer="sgd", clip_norm=norm)
