"""Convolution, pooling, padding and upsampling beside PyTorch's, with all of their options.

Ordinary numbers everywhere; for the basic forms also numbers of the size of 1e4 and of 1e-20. Max
pools see whole numbers, most of which are ties.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.against_torch.comparison import (
    Array,
    Case,
    Draw,
    agrees,
    graphc_results,
    is_accurate,
    over,
    torch_results,
)
from tests.peers import peer
from tests.styles import in_every_style, load

pytestmark = [
    pytest.mark.conformance,
    # PyTorch's, about a copy that it makes.
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning"),
]

Shape = tuple[int, ...]


def normal(*shapes: Shape, scale: float = 1.0) -> Draw:
    """Operands of some shapes; the first one is of the given scale."""

    def draw(rng: np.random.Generator) -> tuple[Array, ...]:
        first, *others = (rng.normal(size=shape) for shape in shapes)
        return (first * scale, *others)

    return draw


def tied(shape: Shape) -> Draw:
    """Whole numbers, so that windows have several maxima."""
    return lambda rng: (rng.integers(-1, 2, shape).astype(float),)


def functional(name: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
    """A function of torch.nn.functional with options."""
    return lambda torch, *xs: getattr(torch.nn.functional, name)(*xs, *arguments, **options)


# --- convolutions ------------------------------------------------------------------------------

CONVOLUTIONS: dict[str, list[tuple[list[Shape], dict[str, Any]]]] = {
    "conv1d": [
        ([(2, 3, 8), (4, 3, 3), (4,)], options)
        for options in (
            {},
            {"stride": 2, "padding": 1},
            {"padding": "same", "dilation": 2},
            {"padding": "valid", "dilation": 3},
            {"padding": (2,), "stride": (3,)},
        )
    ] + [
        ([(2, 3, 8), (6, 1, 4), (6,)], {"groups": 3, "padding": "same"}),
        ([(2, 4, 7), (3, 4, 1), (3,)], {}),
        ([(1, 1, 3), (1, 1, 3), (1,)], {}),
        ([(0, 3, 8), (4, 3, 3), (4,)], {"padding": 1}),
    ],
    "conv2d": [
        ([(2, 4, 7, 6), (6, 4 // groups, *kernel), (6,)],
         {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})
        for kernel, stride, padding, dilation, groups in [
            *itertools.product([(3, 3)], [1, 2, (2, 3)], [0, 1, (2, 1)], [1, (2, 1)], [1, 2]),
            *itertools.product([(2, 3), (4, 1)], [1], ["same", "valid"], [1, 2], [1, 2]),
            *itertools.product([(1, 1)], [1, (2, 3)], [0, 1], [1], [1, 2]),
            ((5, 2), (3, 1), (4, 3), 1, 2),  # windows that lie outside altogether
        ]
    ] + [
        ([(2, 4, 6, 5), (4, 1, 3, 3), (4,)], {"groups": 4, "padding": 1}),  # depthwise
        ([(2, 4, 6, 5), (8, 1, 3, 3), (8,)], {"groups": 4, "stride": 2}),
        ([(2, 2, 3, 3), (3, 2, 3, 3)], {}),
        ([(0, 4, 7, 6), (6, 4, 3, 3), (6,)], {}),
    ],
    "conv_transpose1d": [
        ([(2, 3, 5), (3, 4, 3), (4,)], options)
        for options in (
            {},
            {"stride": 3, "padding": 1, "output_padding": 2},
            {"dilation": 3, "output_padding": 2},
            {"stride": (2,), "padding": (2,), "output_padding": (1,), "dilation": (2,)},
        )
    ] + [([(2, 4, 5), (4, 3, 2), (6,)], {"groups": 2}), ([(0, 3, 5), (3, 4, 3), (4,)], {})],
    "conv_transpose2d": [
        ([(2, 4, 3, 4), (4, 3, *kernel), (3 * groups,)],
         {"stride": stride, "padding": padding, "output_padding": more, "dilation": dilation,
          "groups": groups})
        for kernel, stride, padding, more, dilation, groups in [
            *itertools.product([(3, 3), (2, 3)], [1, (2, 3)], [0, (1, 2)], [0], [1, 2], [1, 2]),
            ((3, 3), 2, 1, 1, 1, 1),
            ((3, 2), (3, 2), (0, 1), (2, 1), 1, 2),
            ((2, 2), 1, 0, (1, 2), 3, 1),
            ((1, 1), 1, 0, 0, 1, 1),
        ]
    ] + [([(2, 3, 3, 3), (3, 2, 3, 3)], {}), ([(2, 4, 3, 3), (4, 1, 3, 3), (4,)], {"groups": 4})],
    "conv3d": [
        ([(2, 4, 4, 5, 3), (2, 4 // groups, *kernel), (2,)],
         {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})
        for kernel, stride, padding, dilation, groups in [
            ((2, 3, 2), 1, 0, 1, 1),
            ((3, 2, 1), (2, 1, 3), (1, 0, 1), (1, 2, 1), 2),
            ((2, 2, 2), 1, "same", 1, 1),
        ]
    ],
    "conv_transpose3d": [
        ([(2, 4, 2, 3, 2), (4, 2, *kernel), (2 * groups,)],
         {"stride": stride, "padding": padding, "output_padding": more, "groups": groups})
        for kernel, stride, padding, more, groups in [
            ((2, 3, 1), 1, 0, 0, 1),
            ((3, 2, 2), (2, 1, 3), (1, 0, 1), (1, 0, 2), 2),
        ]
    ],
}  # fmt: skip


def convolutions() -> Iterator[Case]:
    for op, listed in CONVOLUTIONS.items():
        for number, (shapes, options) in enumerate(listed):
            scales = (1.0, 1e4, 1e-20) if number < 2 else (1.0,)
            for scale in scales:
                yield Case(
                    f"{op}-{number}-{scale:g}",
                    lambda *xs, op=op, options=options: getattr(gc, op)(*xs, **options),
                    functional(op, **options),
                    normal(*shapes, scale=scale),
                )


# --- pools -------------------------------------------------------------------------------------

IMAGE, LINE, VOLUME = (2, 3, 7, 6), (2, 3, 9), (2, 2, 4, 5, 3)
MAX_POOLS: list[tuple[str, Shape, Any, dict[str, Any]]] = [
    *(
        ("max_pool2d", IMAGE, kernel, {"stride": stride, "padding": padding, "dilation": dilation})
        for kernel, stride, padding, dilation in itertools.product(
            [2, (3, 2)], [None, 1, (2, 3)], [0, 1, (1, 0)], [1, (2, 1)]
        )
    ),
    *(
        ("max_pool2d", IMAGE, kernel, {"stride": stride, "padding": 1, "ceil_mode": True})
        for kernel, stride in itertools.product([2, (3, 2)], [None, 1, 3, (2, 4)])
    ),
    ("max_pool1d", LINE, 2, {"stride": 3, "dilation": 3, "ceil_mode": True}),
    ("max_pool3d", VOLUME, (2, 3, 1), {"stride": (1, 2, 2), "padding": (1, 0, 0)}),
    ("max_pool3d", VOLUME, 2, {"stride": 3, "padding": 1, "ceil_mode": True}),
    ("max_pool2d", (1, 1, 3, 3), 3, {}),
    ("max_pool2d", (0, 3, 7, 6), 2, {}),
    *(
        ("max_pool1d", LINE, kernel, {"stride": stride, "padding": padding, "dilation": dilation})
        for kernel, stride, padding, dilation in itertools.product(
            [2, (3,)], [None, 1], [0, 1], [1, 2]
        )
    ),
]
AVERAGES: list[tuple[str, Shape, Any, dict[str, Any]]] = [
    (f"avg_pool{len(shape) - 2}d", shape, kernel,
     {"stride": stride, "padding": padding, "count_include_pad": counted})
    for shape, kernel in [(IMAGE, 2), (IMAGE, (3, 2)), (LINE, 3)]
    for stride, padding, counted in itertools.product([None, 1, 3], [0, 1], [True, False])
] + [
    (f"avg_pool{len(shape) - 2}d", shape, kernel,
     {"stride": stride, "padding": padding, "count_include_pad": counted, "ceil_mode": True})
    for shape, kernel in [(IMAGE, 2), (LINE, 3), (VOLUME, 2)]
    for stride, padding, counted in itertools.product([None, 3], [0, 1], [True, False])
] + [("avg_pool3d", VOLUME, (2, 3, 1), {"stride": (1, 2, 2), "padding": (1, 0, 0)})]  # fmt: skip


def pools() -> Iterator[Case]:
    for number, (op, shape, kernel, options) in enumerate([*MAX_POOLS, *AVERAGES]):
        draws = {"normal": normal(shape)}
        if number % 9 == 0:
            draws |= {f"{s:g}": normal(shape, scale=s) for s in (1e4, 1e-20)}
        if op.startswith("max"):
            draws["tied"] = tied(shape)
        for told, draw in draws.items():
            yield Case(
                f"{op}-{number}-{told}",
                lambda x, op=op, kernel=kernel, options=options: getattr(gc, op)(
                    x, kernel, **options
                ),
                functional(op, kernel, **options),
                draw,
            )


def padded(name: str, cut: bool = False) -> Callable[..., Any]:
    """PyTorch's function on what is padded by hand, or of which the result is cut."""

    def call(torch: Any, x: Any, w: Any) -> Any:
        function = getattr(torch.nn.functional, name)
        if cut:
            return function(x, w, stride=2)[:, :, 1:, :-2]
        return function(torch.nn.functional.pad(x, (0, 2, 1, 0)), w, stride=2)

    return call


ENDS = ((1, 0), (0, 2))  # of the height, and of the width
OTHERS = [
    Case("conv2d-ends", lambda x, w: gc.conv2d(x, w, stride=2, padding=ENDS), padded("conv2d"),
         normal((2, 4, 7, 6), (3, 4, 3, 2))),
    Case("conv_transpose2d-ends",
         lambda x, w: gc.conv_transpose2d(x, w, stride=2, padding=ENDS),
         padded("conv_transpose2d", cut=True), normal((2, 4, 3, 4), (4, 3, 3, 2))),
    *(Case(f"lp_pool2d-{p}", lambda x, p=p: gc.lp_pool2d(gc.exp(x), p, (2, 3), stride=2),
           lambda torch, x, p=p: torch.nn.functional.lp_pool2d(torch.exp(x), p, (2, 3), stride=2),
           normal(IMAGE)) for p in (1, 2, 3)),
    Case("global_avg_pool", gc.global_avg_pool, lambda torch, x: x.mean((2, 3)), normal(IMAGE)),
    Case("global_max_pool", gc.global_max_pool,
         lambda torch, x: torch.nn.functional.adaptive_max_pool2d(x, 1)[:, :, 0, 0], tied(IMAGE)),
    Case("upsample", lambda x: gc.upsample(x, (2, 3)),
         functional("interpolate", scale_factor=(2, 3)), normal(IMAGE)),
    Case("upsample1d", lambda x: gc.upsample(x, 2),
         functional("interpolate", scale_factor=2), normal(LINE)),
    Case("upsample-bilinear", lambda x: gc.upsample(x, (2, 3), mode="bilinear"),
         functional("interpolate", scale_factor=(2, 3), mode="bilinear"), normal(IMAGE)),
    Case("upsample-linear", lambda x: gc.upsample(x, 4, mode="linear"),
         functional("interpolate", scale_factor=4, mode="linear"), normal((2, 3, 1))),
    Case("unfold", lambda x: gc.unfold(x, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
         functional("unfold", (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
         normal(IMAGE)),
    Case("fold", lambda x: gc.fold(x, (7, 6), (3, 2), stride=2, padding=1),
         functional("fold", (7, 6), (3, 2), stride=2, padding=1), normal((2, 12, 16))),
    Case("pad", lambda x: gc.pad(x, ((0, 0), (0, 0), (1, 2), (0, 3)), constant_values=-2.5),
         functional("pad", (0, 3, 1, 2), value=-2.5), normal(IMAGE)),
    *(Case(f"pad-{ours}",
           lambda x, ours=ours: gc.pad(x, ((0, 0), (0, 0), (6, 2), (0, 5)), mode=ours),
           functional("pad", (0, 5, 6, 2), mode=theirs), normal(IMAGE))
      for ours, theirs in (("reflect", "reflect"), ("edge", "replicate"))),
]  # fmt: skip
CASES = [*convolutions(), *pools(), *OTHERS]


@in_every_style
@over(CASES)
def test_float64_agrees(case: Case, style: str) -> None:
    agrees(case, style)


@over(CASES)
def test_float32_is_as_accurate(case: Case) -> None:
    is_accurate(case, "functional")


@over([case for case in CASES if case.name.endswith("tied")])
def test_max_pools_send_the_same_elements_their_gradients(case: Case) -> None:
    ours = graphc_results(case, "float64", "functional")
    for own, other in zip(ours, torch_results(case, "float64", "float64"), strict=True):
        np.testing.assert_array_equal(own != 0, other != 0)


# --- a network ---------------------------------------------------------------------------------


def lenet() -> gc.Graph:
    with gc.Graph("lenet", dtype="float64") as g:
        x = g.input("x", ("batch", 1, 28, 28))
        t = g.input("t", ("batch",), dtype="int64")
        c1 = gc.relu(gc.nn.conv2d(x, 6, 5, padding="same", name="c1"))
        p1 = gc.max_pool2d(c1, 2)
        c2 = gc.relu(gc.nn.conv2d(p1, 16, 5, name="c2"))
        p2 = gc.max_pool2d(c2, 2)
        W1 = g.parameter("fc1.W", (400, 120), init="he_normal")
        b1 = g.parameter("fc1.b", (120,))
        W2 = g.parameter("fc2.W", (120, 10), init="he_normal")
        b2 = g.parameter("fc2.b", (10,))
        h = gc.relu(p2.reshape(x.shape[0], 400) @ W1 + b1)
        g.loss(gc.cross_entropy(h @ W2 + b2, t))
    return g


def torch_lenet(torch: Any, params: dict[str, Any], x: Any, t: Any) -> Any:
    F = torch.nn.functional
    p1 = F.max_pool2d(F.relu(F.conv2d(x, params["c1.W"], params["c1.b"], padding="same")), 2)
    p2 = F.max_pool2d(F.relu(F.conv2d(p1, params["c2.W"], params["c2.b"])), 2)
    h = F.relu(p2.flatten(1) @ params["fc1.W"] + params["fc1.b"])
    return F.cross_entropy(h @ params["fc2.W"] + params["fc2.b"], t)


@in_every_style
@pytest.mark.parametrize("batch", [1, 5])
def test_a_lenet_has_the_loss_and_all_gradients_of_pytorch(style: str, batch: int) -> None:
    torch, rng = peer("torch"), np.random.default_rng(3)
    module = load(lenet(), style=style)
    params = module.init_params(np.random.default_rng(0))
    params = {name: value + 0.1 * rng.normal(size=value.shape) for name, value in params.items()}
    x, t = rng.normal(size=(batch, 1, 28, 28)), rng.integers(0, 10, batch)
    loss, grads = module.value_and_grad(params, x, t)
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in params.items()}
    expected = torch_lenet(torch, tensors, torch.tensor(x), torch.tensor(t))
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-12)
    assert list(grads) == list(tensors)
    for name, tensor in tensors.items():
        scale = np.abs(tensor.grad.numpy()).max()
        np.testing.assert_allclose(grads[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-12 * scale)
