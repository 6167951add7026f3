"""Convolutions and a LeNet, forward and backward: graphc, PyTorch eager and NumPy as often written.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 taskset -c 1 python -m tests.benchmarks.convolution

Microseconds of the processor's time for value and all gradients in float32, medians of interleaved
rounds: what else runs on that core does not count. Results are compared before anything is timed.
The naive form takes windows by `sliding_window_view` and products by `tensordot`. PyTorch is left
out where it is not installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import graphc as gc

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Array = np.ndarray[Any, Any]
Run = Callable[[], list[Array]]


@dataclass(frozen=True)
class Workload:
    """A convolution: x (batch, channels, size, size), and kernels of it."""

    name: str
    batch: int
    channels: int
    size: int
    outputs: int
    kernel: int
    padding: int = 0
    stride: int = 1
    groups: int = 1

    def options(self) -> dict[str, int]:
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}

    def operands(self) -> list[Array]:
        """x, w, b, and the cotangent of the result."""
        rng = np.random.default_rng(0)
        places = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        share = self.channels // self.groups
        shapes = [
            (self.batch, self.channels, self.size, self.size),
            (self.outputs, share, self.kernel, self.kernel),
            (self.outputs,),
            (self.batch, self.outputs, places, places),
        ]
        return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


WORKLOADS = [
    Workload("LeNet's first, batch 64", 64, 1, 28, 6, 5),
    Workload("LeNet's second, batch 64", 64, 6, 12, 16, 5),
    Workload("3×3, 16 to 16, 32×32, batch 8", 8, 16, 32, 16, 3, padding=1),
    Workload("the same, batch 1", 1, 16, 32, 16, 3, padding=1),
    Workload("the same, stride 2, batch 8", 8, 16, 32, 16, 3, padding=1, stride=2),
    Workload("depthwise 3×3, 16, 32×32, batch 8", 8, 16, 32, 16, 3, padding=1, groups=16),
    Workload("1×1, 16 to 64, 32×32, batch 8", 8, 16, 32, 64, 1),
    Workload("3×3, 64 to 64, 8×8, batch 16", 16, 64, 8, 64, 3, padding=1),
]


# --- graphc --------------------------------------------------------------------------------------


def graphc_convolution(work: Workload, style: str) -> Run:
    """The gradients of a convolution by its generated module."""
    x, w, b, bar = work.operands()
    with gc.Graph("convolution") as g:
        image = g.input("x", ("batch", *x.shape[1:]))
        kernels, bias = g.parameter("w", w.shape), g.parameter("b", b.shape)
        g.output("y", gc.conv2d(image, kernels, bias, **work.options()))
    module = gc.compile(g, style=style, wrt=["x", "w", "b"]).load()
    params = {"w": w, "b": b}
    if style == "functional":

        def run() -> list[Array]:
            y, residuals = module.forward(params, x)
            grads = module.backward(residuals, bar)
            return [y, grads["x"], grads["w"], grads["b"]]

        return run
    ws = module.Workspace(params, batch=work.batch)

    def run_in_place() -> list[Array]:
        y = ws.forward(x)
        grads = ws.backward(bar)
        return [y, grads["x"], grads["w"], grads["b"]]

    return run_in_place


def lenet() -> gc.Graph:
    """LeNet on 28×28 images, with a loss."""
    with gc.Graph("lenet") as g:
        x = g.input("x", ("batch", 1, 28, 28))
        t = g.input("t", ("batch",), dtype="int64")
        c1 = gc.relu(gc.nn.conv2d(x, 6, 5, name="c1"))
        p1 = gc.max_pool2d(c1, 2)
        c2 = gc.relu(gc.nn.conv2d(p1, 16, 5, name="c2"))
        p2 = gc.max_pool2d(c2, 2)
        h = p2.reshape(x.shape[0], 256)
        for number, (inputs, outputs) in enumerate([(256, 120), (120, 84), (84, 10)], 1):
            W = g.parameter(f"W{number}", (inputs, outputs), init="he_normal")
            b = g.parameter(f"b{number}", (outputs,))
            h = h @ W + b
            h = gc.relu(h) if number < 3 else h
        g.loss(gc.cross_entropy(h, t))
    return g


def graphc_lenet(style: str, params: dict[str, Array], x: Array, t: Array) -> Run:
    """The loss and the gradients of a LeNet by its generated module."""
    module = gc.compile(lenet(), style=style).load()
    if style == "functional":

        def run() -> list[Array]:
            loss, grads = module.value_and_grad(params, x, t)
            return [loss, *grads.values()]

        return run
    ws = module.Workspace(params, batch=len(x))

    def run_in_place() -> list[Array]:
        loss, grads = ws.value_and_grad(x, t)
        return [loss, *grads.values()]

    return run_in_place


# --- peers ---------------------------------------------------------------------------------------


def torch_convolution(work: Workload) -> Run:
    x, w, b, bar = (torch.from_numpy(value) for value in work.operands())
    tensors = [value.requires_grad_() for value in (x, w, b)]

    def run() -> list[Array]:
        y = torch.nn.functional.conv2d(x, w, b, **work.options())
        grads = torch.autograd.grad(y, tensors, bar)
        return [value.detach().numpy() for value in (y, *grads)]

    return run


def torch_lenet(params: dict[str, Array], x: Array, t: Array) -> Run:
    functional = torch.nn.functional
    p = {name: torch.from_numpy(value).requires_grad_() for name, value in params.items()}
    images, labels = torch.from_numpy(x), torch.from_numpy(t)

    def run() -> list[Array]:
        c1 = functional.relu(functional.conv2d(images, p["c1.W"], p["c1.b"]))
        p1 = functional.max_pool2d(c1, 2)
        c2 = functional.relu(functional.conv2d(p1, p["c2.W"], p["c2.b"]))
        h = functional.max_pool2d(c2, 2).flatten(1)
        h = functional.relu(h @ p["W1"] + p["b1"])
        h = functional.relu(h @ p["W2"] + p["b2"])
        loss = functional.cross_entropy(h @ p["W3"] + p["b3"], labels)
        grads = torch.autograd.grad(loss, list(p.values()))
        return [value.detach().numpy() for value in (loss, *grads)]

    return run


def naive_convolution(work: Workload) -> Run:
    x, w, b, bar = work.operands()
    p, s = work.padding, work.stride
    inputs, outputs = work.channels // work.groups, work.outputs // work.groups
    axes = (work.kernel, work.kernel)

    def windows(image: Array) -> Array:
        return sliding_window_view(image, axes, axis=(2, 3))

    def run() -> list[Array]:
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        y, w_bar = np.empty_like(bar), np.empty_like(w)
        x_bar = np.zeros_like(padded)
        dilated = np.zeros((*bar.shape[:2], *(s * (n - 1) + 1 for n in bar.shape[2:])), np.float32)
        dilated[:, :, ::s, ::s] = bar
        edge = work.kernel - 1
        wide = np.pad(dilated, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
        for group in range(work.groups):
            own = slice(group * inputs, (group + 1) * inputs)
            out = slice(group * outputs, (group + 1) * outputs)
            view = windows(padded[:, own])[:, :, ::s, ::s]
            product = np.tensordot(view, w[out], axes=((1, 4, 5), (1, 2, 3)))
            y[:, out] = product.transpose(0, 3, 1, 2) + b[out, None, None]
            w_bar[out] = np.tensordot(bar[:, out], view, axes=((0, 2, 3), (0, 2, 3)))
            turned = np.tensordot(
                windows(wide[:, out]), w[out, :, ::-1, ::-1], axes=((1, 4, 5), (0, 2, 3))
            )
            height, width = turned.shape[1:3]
            x_bar[:, own, :height, :width] = turned.transpose(0, 3, 1, 2)
        size = slice(p, p + work.size)
        return [y, x_bar[:, :, size, size], w_bar, bar.sum(axis=(0, 2, 3))]

    return run


# --- timing --------------------------------------------------------------------------------------


def agree(runs: dict[str, Run]) -> None:
    """Raise AssertionError unless all results are the same but for rounding."""
    first, *others = (run() for run in runs.values())
    for other in others:
        for one, two in zip(first, other, strict=True):
            scale = float(np.abs(one).max())
            np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-4 * scale)


def medians(runs: dict[str, Run], rounds: int, calls: int) -> dict[str, float]:
    """Microseconds a call: the median of rounds, in which each has its turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            for _ in range(calls):
                run()
            times[name].append((time.process_time() - start) / calls)
    return {name: 1e6 * statistics.median(own) for name, own in times.items()}


def comparisons() -> list[tuple[str, dict[str, Run]]]:
    """Each workload, with what computes it."""
    found = []
    for work in WORKLOADS:
        runs = {style: graphc_convolution(work, style) for style in ("workspace", "functional")}
        runs["naive"] = naive_convolution(work)
        if torch is not None:
            runs["torch"] = torch_convolution(work)
        found.append((work.name, runs))
    rng = np.random.default_rng(0)
    params = gc.compile(lenet()).load().init_params(rng)
    x, t = rng.normal(size=(64, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 64)
    runs = {style: graphc_lenet(style, params, x, t) for style in ("workspace", "functional")}
    if torch is not None:
        runs["torch"] = torch_lenet(params, x, t)
    found.append(("LeNet, batch 64", runs))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Times of convolutions, in microseconds.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=5, help="in each round")
    given = parser.parse_args()
    columns = ("workspace", "functional", "torch", "naive")
    head = "  ".join(f"{name:>10}" for name in columns)
    print(f"{'':34}  {head}  workspace/torch  workspace/naive")
    for name, runs in comparisons():
        agree(runs)
        found = medians(runs, given.rounds, given.calls)
        row = [f"{found[c]:10.0f}" if c in found else " " * 10 for c in columns]
        ratios = [f"{found['workspace'] / found[c]:15.2f}" if c in found else ""
                  for c in ("torch", "naive")]  # fmt: skip
        print(f"{name:34}  {'  '.join(row)}  {'  '.join(ratios)}")


if __name__ == "__main__":
    main()
