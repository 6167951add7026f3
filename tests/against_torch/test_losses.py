"""Losses beside PyTorch's, with every option, at ordinary and at extreme numbers.

Classes are on the last axis here and on the second one there, so tables of two axes are compared,
and one of three with its axes moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import Array, Case, Draw, agrees, is_accurate, over
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance

REDUCTIONS = ("mean", "sum", "none")
ENDS = np.array([0.0, 1e-30, 1e-4, 1.0, 20.0, 90.0, 1e3, 1e4])


def functional(torch: Any) -> Any:
    return torch.nn.functional


# --- draws -------------------------------------------------------------------------------------


def pair(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(4, 3)) * 2, rng.normal(size=(4, 3))


def far_pair(rng: np.random.Generator) -> tuple[Array, ...]:
    return np.concatenate([-ENDS, ENDS]), rng.normal(size=16)


def probabilities(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.uniform(0.05, 0.95, (4, 3)), rng.uniform(size=(4, 3))


def certain(rng: np.random.Generator) -> tuple[Array, ...]:
    p = np.array([0.0, 0.0, 1.0, 1.0, 1e-30, 1e-30, 1e-3, 0.999])
    return p, np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0])


def logits_and_targets(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(4, 3)) * 3, rng.uniform(size=(4, 3))


def far_logits(rng: np.random.Generator) -> tuple[Array, ...]:
    z = np.concatenate([-ENDS, ENDS])
    return np.concatenate([z, z]), np.repeat([0.0, 1.0], 16)


def signs(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(4, 3)) * 2, rng.choice([-1.0, 1.0], (4, 3))


def far_signs(rng: np.random.Generator) -> tuple[Array, ...]:
    z = np.concatenate([-ENDS, ENDS])
    return np.concatenate([z, z]), np.repeat([-1.0, 1.0], 16)


def classes(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(6, 4)) * 3, np.array([0, 3, 1, 2, 3, 1])


def far_classes(rng: np.random.Generator) -> tuple[Array, ...]:
    z = rng.choice([-1e4, -90.0, -1e-30, 0.0, 20.0, 1e4], (6, 4))
    return z, np.array([0, 3, 1, 2, 3, 1])


def soft_classes(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(6, 4)) * 3, rng.dirichlet(np.ones(4), 6)


def moments(shape: tuple[int, ...]) -> Draw:
    return lambda rng: (*pair(rng), rng.uniform(0.1, 2, shape))


def counts(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.uniform(0.1, 2, (4, 3)), rng.integers(0, 5, (4, 3)).astype(float)


def divergent(rng: np.random.Generator) -> tuple[Array, ...]:
    return np.log(rng.dirichlet(np.ones(3), 4)), rng.dirichlet(np.ones(3), 4)


# --- cases -------------------------------------------------------------------------------------

WEIGHT = [0.5, 2.0, 1.0, 3.0]
OPTIONS: list[tuple[str, str, Any, list[dict[str, Any]], tuple[Draw, ...], tuple[int, ...]]] = [
    # ours, PyTorch's, its name of ours, options of both, draws, operands without gradient there
    ("mae", "l1_loss", {}, [{}], (pair, far_pair), ()),
    ("mse", "mse_loss", {}, [{}], (pair, far_pair), ()),
    ("huber", "huber_loss", {}, [{}, {"delta": 0.3}], (pair, far_pair), ()),
    ("smooth_l1", "smooth_l1_loss", {}, [{}, {"beta": 0.3}, {"beta": 0.0}], (pair, far_pair), ()),
    ("bce", "binary_cross_entropy", {}, [{}], (probabilities, certain), (1,)),
    (
        "bce_with_logits", "binary_cross_entropy_with_logits", {}, [{}],
        (logits_and_targets, far_logits), (1,),
    ),
    ("gaussian_nll", "gaussian_nll_loss", {}, [{}, {"full": True}, {"eps": 0.5}],
     (moments((4, 3)), moments((4, 1))), ()),
    (
        "poisson_nll", "poisson_nll_loss", {},
        [{}, {"log_input": False}, {"full": True}, {"log_input": False, "eps": 0.1}], (counts,),
        (1,),
    ),
    ("kl_div", "kl_div", {}, [{}], (divergent,), ()),
    ("nll", "nll_loss", {"class_weight": "weight"},
     [{}, {"class_weight": WEIGHT}, {"ignore_index": 3},
      {"ignore_index": 3, "class_weight": WEIGHT}], (classes,), ()),
    ("multi_margin", "multi_margin_loss", {}, [{}, {"margin": 0.4}], (classes, far_classes), ()),
    ("cross_entropy", "cross_entropy", {"class_weight": "weight"},
     [{}, {"class_weight": WEIGHT}, {"ignore_index": 3}, {"label_smoothing": 0.2},
      {"class_weight": WEIGHT, "ignore_index": 1, "label_smoothing": 0.2}],
     (classes, far_classes), ()),
    ("cross_entropy", "cross_entropy", {"class_weight": "weight"},
     [{}, {"class_weight": WEIGHT}, {"label_smoothing": 0.2},
      {"class_weight": WEIGHT, "label_smoothing": 1.0}], (soft_classes,), ()),
]  # fmt: skip


def compared(
    name: str, other: str, renamed: dict[str, str], options: dict[str, Any], draw: Draw,
    fixed: tuple[int, ...], label: str,
) -> Case:  # fmt: skip
    def theirs(torch: Any, *tensors: Any) -> Any:
        given = {renamed.get(key, key): value for key, value in options.items()}
        if "weight" in given:
            given["weight"] = torch.tensor(given["weight"], dtype=tensors[0].dtype)
        return getattr(torch.nn.functional, other)(*tensors, **given)

    return Case(label, lambda *nodes: getattr(gc, name)(*nodes, **options), theirs, draw, fixed)


CASES = [
    compared(name, other, renamed, {**options, "reduction": reduction}, draw, fixed,
             f"{name}-{reduction}-{options or ''}-{getattr(draw, '__name__', '')}{i}")
    for name, other, renamed, several, draws, fixed in OPTIONS
    for options in several
    for i, draw in enumerate(draws)
    for reduction in REDUCTIONS
    if (name, reduction) != ("kl_div", "mean")  # of which PyTorch warns: it may change
]  # fmt: skip


def masked_mean(losses: Any, weight: Any) -> Any:
    weight = weight.to(losses.dtype).expand_as(losses)
    return (losses * weight).sum() / weight.sum()


def with_weights(draw: Draw, size: int, *, mask: bool = False) -> Draw:
    def drawn(rng: np.random.Generator) -> tuple[Any, ...]:
        weight = rng.uniform(0.2, 2, size)
        return (*draw(rng), weight > 1 if mask else weight)

    return drawn


CASES += [
    Case("kl_div-batchmean", lambda x, t: gc.kl_div(x, t, reduction="batchmean"),
         lambda torch, x, t: functional(torch).kl_div(x, t, reduction="batchmean"), divergent),
    Case("kl_div-log_target", lambda x, t: gc.kl_div(x, t, log_target=True),
         lambda torch, x, t: functional(torch).kl_div(
             x, t, log_target=True, reduction="none").mean(), pair),
    Case("bce_with_logits-pos_weight",
         lambda z, t, w: gc.bce_with_logits(z, t, pos_weight=w, reduction="none"),
         lambda torch, z, t, w: functional(torch).binary_cross_entropy_with_logits(
             z, t, pos_weight=w, reduction="none"),
         lambda rng: (*logits_and_targets(rng), np.array([0.5, 2.0, 3.0])), (1, 2)),
    Case("bce_with_logits-pos_weight-far",
         lambda z, t: gc.bce_with_logits(z, t, pos_weight=2.5, reduction="none"),
         lambda torch, z, t: 2.5 * t * functional(torch).softplus(-z)
         + (1 - t) * functional(torch).softplus(z), far_logits, (1,)),
    Case("cross_entropy-3", gc.cross_entropy,
         lambda torch, z, t: functional(torch).cross_entropy(z.movedim(-1, 1), t),
         lambda rng: (rng.normal(size=(2, 5, 4)), rng.integers(0, 4, (2, 5)))),
    Case("nll-3", gc.nll, lambda torch, z, t: functional(torch).nll_loss(z.movedim(-1, 1), t),
         lambda rng: (rng.normal(size=(2, 5, 4)), rng.integers(0, 4, (2, 5)))),
    Case("cross_entropy-all-ignored", lambda z, t: gc.cross_entropy(z, t, ignore_index=-100),
         lambda torch, z, t: functional(torch).cross_entropy(z, t),
         lambda rng: (rng.normal(size=(3, 4)), np.full(3, -100))),
    Case("cross_entropy-ignored-outside", lambda z, t: gc.cross_entropy(z, t, ignore_index=-100),
         lambda torch, z, t: functional(torch).cross_entropy(z, t),
         lambda rng: (rng.normal(size=(3, 4)), np.array([-100, 2, 0]))),
    Case("hinge", lambda z, t: gc.hinge(z, t, reduction="none"),
         lambda torch, z, t: torch.relu(1 - z * t), signs, (1,)),
    Case("hinge-far", gc.hinge, lambda torch, z, t: torch.relu(1 - z * t).mean(), far_signs, (1,)),
    Case("squared_hinge", lambda z, t: gc.squared_hinge(z, t, reduction="sum"),
         lambda torch, z, t: torch.relu(1 - z * t).square().sum(), signs, (1,)),
    Case("logistic", gc.logistic,
         lambda torch, z, t: functional(torch).soft_margin_loss(z, t), signs, (1,)),
    # PyTorch's overflows there.
    Case("logistic-far", lambda z, t: gc.logistic(z, t, reduction="none"),
         lambda torch, z, t: functional(torch).softplus(-z * t), far_signs, (1,)),
]  # fmt: skip
CASES += [
    case
    for name, theirs, draw in [
        ("mse", lambda torch, *x: functional(torch).mse_loss(*x, reduction="none"), pair),
        ("huber", lambda torch, *x: functional(torch).huber_loss(*x, reduction="none"), pair),
        ("logistic", lambda torch, z, t: functional(torch).softplus(-z * t), signs),
        ("gaussian_nll", lambda torch, *x: functional(torch).gaussian_nll_loss(
            *x, reduction="none"), moments((4, 3))),
    ]
    for case in (
        Case(f"{name}-weighted",
             lambda *x, name=name: getattr(gc, name)(*x[:-1], sample_weight=x[-1]),
             lambda torch, *x, theirs=theirs: masked_mean(theirs(torch, *x[:-1]), x[-1][:, None]),
             with_weights(draw, 4)),
        Case(f"{name}-masked",
             lambda *x, name=name: getattr(gc, name)(*x[:-1], sample_weight=x[-1]),
             lambda torch, *x, theirs=theirs: masked_mean(theirs(torch, *x[:-1]), x[-1][:, None]),
             with_weights(draw, 4, mask=True)),
        Case(f"{name}-weighted-sum",
             lambda *x, name=name: getattr(gc, name)(
                 *x[:-1], sample_weight=x[-1], reduction="sum"),
             lambda torch, *x, theirs=theirs: (theirs(torch, *x[:-1]) * x[-1][:, None]).sum(),
             with_weights(draw, 4)),
    )
]  # fmt: skip
CASES += [
    Case("cross_entropy-weighted",
         lambda z, t, w: gc.cross_entropy(z, t, sample_weight=w, class_weight=WEIGHT),
         lambda torch, z, t, w: (
             functional(torch).cross_entropy(z, t, reduction="none")
             * (w * torch.tensor(WEIGHT, dtype=w.dtype)[t])).sum()
         / (w * torch.tensor(WEIGHT, dtype=w.dtype)[t]).sum(), with_weights(classes, 6)),
    Case("cross_entropy-masked-ignored",
         lambda z, t, w: gc.cross_entropy(z, t, sample_weight=w, ignore_index=3),
         lambda torch, z, t, w: masked_mean(
             functional(torch).cross_entropy(z, t, reduction="none"), w & (t != 3)),
         with_weights(classes, 6, mask=True)),
]  # fmt: skip


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@in_every_style
@over(CASES)
def test_float32_is_as_accurate(case: Case, style: str) -> None:
    is_accurate(case, style)
