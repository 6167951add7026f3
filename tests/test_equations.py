"""The derivation as `graphc inspect` tells it: equations of matrices, read and evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.inspect.formulas import sampled
from graphc.inspect.text import inspect_text
from graphc.ir.notation import notation
from graphc.ir.op import OPS
from tests.golden.models import MODELS


def chain() -> gc.Graph:
    """The course's sigmoid chain: f = x1 - σ(w3 x3 + w4 x4)."""
    with gc.Graph("chain", dtype="float64") as g:
        x1, x3, x4 = (g.input(name) for name in ("x1", "x3", "x4"))
        w3, w4 = g.input("w3"), g.input("w4")
        z = w3 * x3 + w4 * x4
        s = gc.sigmoid(z)
        f = x1 - s
        g.output("f", f)
    return g


def softmax_regression() -> gc.Graph:
    """A softmax with its cross entropy, and nothing in front of it but one product."""
    with gc.Graph("softmax_regression", dtype="float64") as g:
        x = g.input("x", ("batch", 4))
        t = g.input("t", ("batch",), dtype="int64")
        W = g.parameter("W", (4, 3), init="normal")
        z = x @ W
        g.loss(gc.cross_entropy(z, t))
    return g


def two_layers() -> gc.Graph:
    """Two layers, a hyperbolic tangent and squared errors."""
    with gc.Graph("two_layers", dtype="float64") as g:
        x = g.input("x", ("batch", 784))
        t = g.input("t", ("batch", 10))
        W1 = g.parameter("W1", (784, 128), init="glorot_uniform")
        b1 = g.parameter("b1", (128,))
        W2 = g.parameter("W2", (128, 10), init="glorot_uniform")
        a = x @ W1 + b1
        h = gc.tanh(a)
        y = h @ W2
        g.loss(((y - t) ** 2).sum() / 2)
    return g


EXPECTED: dict[Callable[[], gc.Graph], str] = {
    chain: """
forward
  z = w3·x3 + w4·x4
  s = sigmoid(z)
  f = x1 - s

gradients of f
  f_bar = 1
  product = f_bar·sigmoid'(z)  reuses z; sigmoid_slope, from sigmoid(.) * (1 - sigmoid(.))
  ∂f/∂x4 = -(product·w4)
  ∂f/∂w4 = -(product·x4)
  ∂f/∂x3 = -(product·w3)
  ∂f/∂w3 = -(product·x3)
  ∂f/∂x1 = f_bar
""",
    softmax_regression: """
forward
  z = x · W                                        (batch, 3)
  shifted = z - max_axis1(z)                       (batch, 3)
  exps = exp(shifted)                              (batch, 3)
  sums = Σ_axis1(exps)                             (batch, 1)
  loss = mean(log(sums)[:, 0] - pick(shifted, t))

gradients of loss
  loss_bar = 1
  z_bar = (loss_bar / batch)·(exps / sums - 1[t[:, None] = arange(3)])  (batch, 3)  reuses exps, sums
  ∂loss/∂W = xᵀ · z_bar                                                 (4, 3)
""",  # noqa: E501
    two_layers: """
forward
  a = x · W1 + b1           (batch, 128)
  h = tanh(a)               (batch, 128)
  y = h · W2                (batch, 10)
  y_minus_t = y - t         (batch, 10)
  loss = Σ(y_minus_t²) / 2

gradients of loss
  loss_bar = 1
  difference_bar = 2·(loss_bar / 2)·y_minus_t  (batch, 10)   reuses y_minus_t
  ∂loss/∂W2 = hᵀ · difference_bar              (128, 10)     reuses h
  h_bar = difference_bar · W2ᵀ                 (batch, 128)
  a_bar = h_bar ⊙ tanh'(a)                     (batch, 128)  reuses a; tanh_slope, from 1 - tanh(.) ** 2
  ∂loss/∂b1 = Σ_batch(a_bar)                   (128,)
  ∂loss/∂W1 = xᵀ · a_bar                       (784, 128)
""",  # noqa: E501
}  # fmt: skip


def derivation(graph: gc.Graph, **options: Any) -> str:
    """The equations of the forward pass and of the gradients."""
    text = inspect_text(gc.compile(graph, **options).lowered)
    blocks = text.split("\n\n")
    wanted = [b.rstrip("\n") for b in blocks if b.startswith(("forward", "gradients"))]
    return "\n\n".join(wanted)


@pytest.mark.parametrize("make", EXPECTED, ids=lambda make: make.__name__)
def test_a_derivation_reads_like_the_textbook(make: Callable[[], gc.Graph]) -> None:
    assert derivation(make()) == EXPECTED[make].strip("\n")


# --- evaluated --------------------------------------------------------------------------------

SIGNS = {
    "·": "*", " · ": " @ ", "⊙": "*", "ᵀ": ".mT", "²": "**2", "^": "**", "√": "sqrt", "∞": "inf",
    "≤": "<=", "≥": ">=", "≠": "!=", "'": "_prime",
}  # fmt: skip
REDUCTIONS = {"Σ": np.sum, "mean": np.mean, "max": np.max, "Π": np.prod}


class Indicator:
    """`1[c]`."""

    def __getitem__(self, condition: Any) -> Any:
        return np.asarray(condition, float)


def reduction(name: str) -> Callable[..., Any]:
    """`Σ_batch`, `mean`, `max_axis1`; a name stands for the first axis."""
    kind, *axes = name.split("_")
    places = tuple(int(a[4:]) if a.startswith("axis") else 0 for a in axes)

    def reduce(x: Any, other: Any = None) -> Any:
        if other is not None:
            return np.maximum(x, other)
        return REDUCTIONS[kind](x, axis=places, keepdims=True) if places else REDUCTIONS[kind](x)

    return reduce


def evaluated(text: str, values: dict[str, Any]) -> dict[str, Any]:
    """The left sides of all equations of a report, by arithmetic on arrays."""
    scope: dict[str, Any] = {
        **{name: getattr(np, name) for name in ("exp", "log", "sin", "cos", "tanh", "sqrt")},
        "where": np.where, "arange": np.arange, "inf": np.inf, "ind": Indicator(),
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh_prime": lambda x: 1 - np.tanh(x) ** 2,
        "sigmoid_prime": lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2,
        "pick": lambda x, t: x[np.arange(len(t)), t], "repeat": np.broadcast_to,
    }  # fmt: skip
    known = dict(values)
    for line in text.splitlines():
        if " = " not in line or not line.startswith("  "):
            continue
        left, right = re.split(r" {2,}", line.strip())[0].split(" = ", 1)
        found = re.search(r" {2,}(\([^()]*\))(  |$)", line.rstrip())
        right = re.sub(r"(?<!\w)1\[", "ind[", right).replace(" = ", " == ")
        for sign in sorted(SIGNS, key=len, reverse=True):
            right = right.replace(sign, SIGNS[sign])
        called = {m[1]: reduction(m[1]) for m in re.finditer(r"\b((?:Σ|Π|mean|max)\w*)\(", right)}
        value = eval(right, {}, {**known, **scope, **called})
        if found:
            value = np.reshape(value, eval(found[1], {}, known))
        known[left] = value
    return known


def test_the_translation_means_what_is_written() -> None:
    A, B, v = np.arange(4.0).reshape(2, 2) + 1, np.ones((2, 2)) * 2, np.array([5.0, -6.0])
    text = """
      p = A · B + v  (2, 2)
      q = (A ⊙ Bᵀ) · v  (2,)
      r = 2·(A - 1) / n  (2, 2)
      s = Σ_axis1(A ⊙ 1[A = 2])  (2,)
      m = max(v, 0)  (2,)
    """
    found = evaluated(text, {"A": A, "B": B, "v": v, "n": 4})
    np.testing.assert_array_equal(found["p"], [[11, 0], [19, 8]])
    np.testing.assert_array_equal(found["q"], [-14, -18])
    np.testing.assert_array_equal(found["r"], [[0, 0.5], [1, 1.5]])
    np.testing.assert_array_equal(found["s"], [2, 0])
    np.testing.assert_array_equal(found["m"], [5, 0])


EVALUATED: dict[str, Callable[[], gc.Graph]] = {
    **{make.__name__: make for make in EXPECTED},
    **{name: MODELS[name][0] for name in ("mlp", "tied_autoencoder", "gradient_penalty", "quiz")},
}


@pytest.mark.parametrize("name", EVALUATED)
def test_every_equation_holds(name: str) -> None:
    """Loss and gradients by the equations are those that the generated module computes."""
    graph = EVALUATED[name]()
    module = gc.compile(graph)
    net = module.load()
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {"batch": 5}
    for key, node in graph.inputs.items():
        shape = (
            [5 if size == graph.dim("batch") else size for size in node.shape] if node.ndim else ()
        )
        drawn = (
            rng.integers(0, 3, shape) if node.dtype.name == "int64" else rng.uniform(1, 2, shape)
        )
        values[key] = drawn.astype(node.dtype.numpy)
    params = {n: rng.normal(size=p.node.shape) for n, p in graph.parameters.items()}
    found = evaluated(derivation(graph), {**values, **params})
    typed = {n: np.asarray(p, graph.dtype.numpy) for n, p in params.items()}
    given = [values[n.params.name] for n in module.lowered.inputs]
    arguments = [typed, *given] if typed else given
    loss, gradients = net.value_and_grad(*arguments)
    target = module.lowered.loss
    tolerance = 1e-10 if graph.dtype.name == "float64" else 2e-4
    np.testing.assert_allclose(found[target], loss, rtol=tolerance)
    assert gradients.keys() == {key.rpartition("∂")[2] for key in found if key.startswith("∂")}
    for key, gradient in gradients.items():
        equation = found[f"∂{target}/∂{key}"]
        np.testing.assert_allclose(equation, gradient, rtol=tolerance, atol=tolerance)


# --- the signs --------------------------------------------------------------------------------

WRITTEN: dict[str, Callable[..., Any]] = {
    "(A / B) ⊙ v": lambda A, B, v, s: A / B * v,
    "A ⊙ B / v": lambda A, B, v, s: A * B / v,
    "A²": lambda A, B, v, s: A * A,
    "A · B + A": lambda A, B, v, s: A @ B + A,
    "A · (B + A)": lambda A, B, v, s: A @ (B + A),
    "(A · B) ⊙ A": lambda A, B, v, s: (A @ B) * A,
    "(A ⊙ B) · A": lambda A, B, v, s: (A * B) @ A,
    "A · (B · v)": lambda A, B, v, s: A @ (B @ v),
    "(A ⊙ B)ᵀ": lambda A, B, v, s: (A * B).T,
    "Aᵀ · v": lambda A, B, v, s: A.T @ v,
    "s·A": lambda A, B, v, s: A * s,
    "s·(A + B)": lambda A, B, v, s: (A + B) * s,
    "(s·A) · B": lambda A, B, v, s: (A * s) @ B,
    "A / (s·B)": lambda A, B, v, s: A / (B * s),
    "s·(A / B)": lambda A, B, v, s: A / B * s,
    "(A + B) / v": lambda A, B, v, s: (A + B) / v,
    "-(A ⊙ B)": lambda A, B, v, s: (-A) * B,
    "(A - B)²": lambda A, B, v, s: gc.square(A - B),
    "-A²": lambda A, B, v, s: -gc.square(A),
    "(A + 1)^2.5": lambda A, B, v, s: (A + 1) ** 2.5,
    "Σ_axis1(A ⊙ B)": lambda A, B, v, s: (A * B).sum(axis=1),
    "A ⊙ 1[A > 0]": lambda A, B, v, s: gc.mask(A, A > 0),
    "where(A ≤ s and B ≠ 1, A, v)": lambda A, B, v, s: gc.where((A <= s) & (B != 1), A, v),
    "max(A, 0)": lambda A, B, v, s: gc.relu(A),
    "√(A + s)": lambda A, B, v, s: gc.sqrt(A + s),
    "A[0, :1] - ∞": lambda A, B, v, s: A[0, :1] - np.inf,
}


@pytest.mark.parametrize("expected", WRITTEN)
def test_parentheses_stand_where_products_mix(expected: str) -> None:
    with gc.Graph("g") as g:
        A, B, v, s = g.input("A", (2, 2)), g.input("B", (2, 2)), g.input("v", (2,)), g.input("s")
        result = WRITTEN[expected](A, B, v, s)
        g.output("y", result)
    text = inspect_text(gc.compile(g, inference=True, stabilize=False).lowered)
    assert re.findall(r"^  result = (.*?)(?:  .*)?$", text, re.MULTILINE) == [expected]


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.samples and op.operands])
def test_every_op_is_written_with_all_its_operands(name: str) -> None:
    node = sampled(OPS[name])
    template = notation(node)
    slots = {p[1] for p in template.pieces if not isinstance(p, str) and p[0] != "size"}
    assert slots == {x.lstrip("*") for x in node.op.operands}
    assert not template.repeated


# --- what is told of them ------------------------------------------------------------------------


def test_wrt_leaves_only_the_terms_that_are_needed() -> None:
    text = derivation(two_layers(), wrt=["W2"])
    gradients = text.split("gradients of loss\n")[1]
    assert "∂loss/∂W2 = hᵀ · " in gradients
    assert "W1" not in gradients and "h_bar" not in gradients


def test_what_forward_has_computed_is_marked_and_arguments_are_not() -> None:
    rows = derivation(two_layers()).split("gradients of loss\n")[1].splitlines()
    marked = {row.split(" = ")[0].strip(): row.partition("reuses ")[2] for row in rows}
    assert marked["∂loss/∂W2"] == "h"
    assert marked["∂loss/∂W1"] == ""


def test_a_gradient_that_others_read_has_a_variable() -> None:
    with gc.Graph("g") as g:
        x = g.input("x", (3,))
        w = g.parameter("w", (3,))
        shifted = (w + x).named("shifted")
        g.loss(gc.sum(gc.exp(shifted)) * 1.0)
    text = derivation(g, wrt=["x", "w"])
    assert re.search(r"∂loss/∂x = (\w+) .*\n  ∂loss/∂w = \1 ", text)


def test_windows_are_told() -> None:
    with gc.Graph("g") as g:
        h = gc.nn.conv1d(g.input("x", ("batch", 2, 9)), 2, 3, padding=1, dilation=2)
        g.loss(gc.sum(gc.max_pool1d(gc.nn.conv1d(h, 2, 2), 3, stride=2)))
    text = derivation(g)
    assert "cols = unfold(x, (3,), padding=((1, 1),), dilation=(2,)) " in text
    assert re.search(r"max_unpool\(pool_bar, \w+, \w+, \(3,\), stride=\(2,\)\) ", text)
    assert re.search(r"h_bar = fold\(.* · \w+_bar, \(2,\)\) ", text)


def test_several_outputs_are_differentiated_as_their_weighted_sum() -> None:
    with gc.Graph("g") as g:
        x = g.input("x", (3,))
        g.output("y", gc.exp(x))
        g.output("n", gc.sum(x))
    text = derivation(g)
    assert "gradients of outputs\n  outputs = Σ(y ⊙ y_bar) + n·n_bar\n" in text
    assert re.search(r"∂outputs/∂x = n_bar \+ y_bar ⊙ y +\(3,\)  reuses y$", text)


def test_a_long_chain_and_a_wide_sum_keep_lines_short() -> None:
    with gc.Graph("g") as g:
        x, w = g.input("x", ("batch", 4)), g.parameter("w", (4,))
        y = x
        for _ in range(1500):
            y = gc.sin(y) * w
        wide = gc.concat([x * i for i in range(2, 200)], axis=1)
        g.loss(y.sum() + gc.sin(wide).sum())
    text = derivation(g)
    assert max(map(len, text.splitlines())) < 140
