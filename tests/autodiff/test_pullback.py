"""Reverse and forward mode on the cases of the textbook, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.autodiff.pullback import pullback
from graphc.autodiff.pushforward import pushforward
from graphc.errors import DifferentiationError
from graphc.ir.op import FUNCTIONS, OPS
from graphc.ops.families import composite
from tests.autodiff.evaluation import Nodes, near, values
from tests.styles import in_every_style, load

rng = np.random.default_rng(3)
X, Z = 0.8, -0.3


# --- where paths meet ---------------------------------------------------------------------------


def test_contributions_of_several_paths_add() -> None:
    # y = exp(xz) + xz / log(x+2) + sin(log(x+2)) / xz: x takes part six times
    def build(x: gc.Node, z: gc.Node) -> Nodes:
        p, q = x * z, gc.log(x + 2)
        dx, dz = gc.grad(gc.exp(p) + p / q + gc.sin(q) / p, [x, z])
        return {"dx": dx, "dz": dz}

    p, q = X * Z, np.log(X + 2)
    dp = np.exp(p) + 1 / q - np.sin(q) / p**2
    dq = -p / q**2 + np.cos(q) / p
    found = values(build, x=X, z=Z)
    near(found["dx"], dp * Z + dq / (X + 2))
    near(found["dz"], dp * X)


def test_both_operands_may_be_the_same_node() -> None:
    near(values(lambda x: {"d": gc.grad(x * x, x)}, x=X)["d"], 2 * X)
    near(values(lambda x: {"d": gc.grad(x / x + x - x, x)}, x=X)["d"], 0.0)
    near(values(lambda x: {"d": gc.grad(x @ x, x)}, x=np.array([1.0, 2, 3]))["d"], [2.0, 4, 6])


def test_one_node_feeds_three_branches() -> None:
    def build(x: gc.Node) -> Nodes:
        z = gc.tanh(x)
        return {"d": gc.grad(gc.sin(z) + z * z + gc.exp(-z), x)}

    z = np.tanh(X)
    near(values(build, x=X)["d"], (np.cos(z) + 2 * z - np.exp(-z)) * (1 - z**2))


def test_a_variable_reaches_the_result_through_two_functions() -> None:
    # y = f(u(t), v(t)): dy/dt = f_u u' + f_v v'
    def build(t: gc.Node) -> Nodes:
        u, v = gc.square(t), gc.sin(t)
        return {"d": gc.grad(u * gc.exp(v), t)}

    near(values(build, t=X)["d"], np.exp(np.sin(X)) * (2 * X + X**2 * np.cos(X)))


def test_a_variable_that_all_others_depend_on_gets_the_sum() -> None:
    # y = f(x, s, t) with s = s(x), t = t(s): the total derivative has three terms
    def build(x: gc.Node) -> Nodes:
        s = x * 3
        t = s * s
        return {"d": gc.grad(x * s * t, x)}

    near(values(build, x=X)["d"], 4 * 27 * X**3)


def test_a_diamond_of_diamonds_is_linear_in_its_depth() -> None:
    def build(x: gc.Node) -> Nodes:
        y = x
        for _ in range(50):
            y = y + y * 0.5
        return {"d": gc.grad(y, x)}

    near(values(build, x=X)["d"], 1.5**50)


# --- with respect to what -------------------------------------------------------------------------


def test_wrt_an_inner_node_is_the_partial_derivative_there() -> None:
    def build(x: gc.Node) -> Nodes:
        h = gc.sin(x)
        return {"dh": gc.grad(h * h + x, h)}

    near(values(build, x=X)["dh"], 2 * np.sin(X))


def test_wrt_a_node_and_its_ancestor_are_total_derivatives() -> None:
    def build(x: gc.Node) -> Nodes:
        u = gc.square(x)
        y = gc.exp(u) * x
        du, dx = gc.grad(y, [u, x])
        return {"du": du, "dx": dx}

    found = values(build, x=X)
    near(found["du"], np.exp(X**2) * X)
    near(found["dx"], np.exp(X**2) * (1 + 2 * X**2))


def test_an_inner_wrt_stays_visible_to_rules_that_would_swallow_it() -> None:
    # log(softmax(x)) becomes log_softmax(x), in which softmax(x) does not occur
    def build(x: gc.Node) -> Nodes:
        p = gc.softmax(x)
        return {"dp": gc.vjp(gc.log(p), p)}

    x = np.array([0.1, 0.7, -0.4])
    near(values(build, x=x)["dp"], np.exp(x).sum() / np.exp(x))


def test_the_result_itself_as_wrt() -> None:
    def build(x: gc.Node) -> Nodes:
        y = gc.exp(x)
        return {"dy": gc.grad(y, y), "dx": gc.grad(x, x)}

    found = values(build, x=X)
    near(found["dy"], 1.0)
    near(found["dx"], 1.0)


def test_several_outputs_add_up_with_their_cotangents() -> None:
    def build(x: gc.Node, a: gc.Node, b: gc.Node) -> Nodes:
        return {"d": gc.vjp([gc.sin(x), x[:2] * 3], x, [a, b])}

    x, a, b = rng.normal(size=3), rng.normal(size=3), rng.normal(size=2)
    near(values(build, x=x, a=a, b=b)["d"], a * np.cos(x) + 3 * np.array([*b, 0]))


def test_parts_of_a_split_pass_their_cotangents_to_the_whole() -> None:
    def build(x: gc.Node) -> Nodes:
        first, second, _ = gc.split(x, [2, 3])
        return {"used": gc.grad(gc.sum(first * first) + 5 * second[0], x),
                "composite": gc.grad(gc.var(first), x)}  # fmt: skip

    x = np.array([1.0, 4, 7, 9, 11])
    found = values(build, x=x)
    near(found["used"], [2.0, 8, 5, 0, 0])
    near(found["composite"], [-1.5, 1.5, 0, 0, 0])


# --- no derivative --------------------------------------------------------------------------------


def nothing_arrives(x: gc.Node, u: gc.Node) -> list[gc.Node]:
    """Scalars that u does not reach, for one reason or another."""
    return [
        gc.sum(x),
        gc.sum(x * gc.stop_gradient(u)),
        gc.sum(gc.where(u > 0, x, 2 * x)),
        gc.sum(x * u.astype("int64")),
    ]


@pytest.mark.parametrize("which", range(4))
def test_an_unreachable_wrt_is_an_error_that_names_it(which: int) -> None:
    with gc.Graph("unreachable") as g:
        x, u = g.input("x", (3,)), g.input("u", (3,))
        y = nothing_arrives(x, u)[which]
        with pytest.raises(DifferentiationError, match=r"wrt u float32 \(3,\).*does not reach"):
            gc.grad(y, u)
        with pytest.raises(DifferentiationError, match="does not reach"):
            gc.grad(y, [x, u])
        with pytest.raises(DifferentiationError, match="does not reach"):
            gc.jvp(y, u, np.ones(3))


@pytest.mark.parametrize("which", range(4))
def test_allow_unused_makes_it_zeros(which: int) -> None:
    def build(x: gc.Node, u: gc.Node) -> Nodes:
        dx, du = gc.grad(nothing_arrives(x, u)[which], [x, u], allow_unused=True)
        return {"dx": dx, "du": du}

    found = values(build, x=np.array([1.0, 2, 3]), u=np.array([1.0, -1, 2]))
    near(found["du"], np.zeros(3))
    assert (found["dx"] != 0).any()


@in_every_style
def test_the_loss_of_a_graph_has_to_reach_every_parameter(style: str) -> None:
    with gc.Graph("m") as g:
        g.parameter("unused", (2,))
        g.loss(gc.sum(g.parameter("w", (2,))))
    with pytest.raises(DifferentiationError, match="unused"):
        gc.compile(g)
    grads = load(g, allow_unused=True, style=style).value_and_grad(
        {"w": np.ones(2, np.float32), "unused": np.ones(2, np.float32)})[1]  # fmt: skip
    np.testing.assert_array_equal(grads["unused"], np.zeros(2, np.float32))


def test_pullback_itself_tells_nothing_from_zeros() -> None:
    g = gc.Graph("m", dtype="float64")
    x, u, bar = (g.input(name, (3,)) for name in "xub")
    dx, du = pullback([gc.sin(x)], [bar], [x, u])
    assert dx is bar * gc.cos(x)
    assert du is None


def test_the_body_of_a_composite_may_leave_an_operand_alone() -> None:
    op = composite(
        "half_of_first",
        "x / 2, whatever y is",
        operands=("x", "y"),
        body=lambda x, y: x * 0.5 + gc.stop_gradient(y) * 0.0,
        call=lambda op, x, y: op.node((x, y)),
    )
    try:
        g = gc.Graph("m", dtype="float64")
        x, y, bar = (g.input(name, (3,)) for name in "xyb")
        dx, dy = pullback([op(x, y)], [bar], [x, y])
        assert dx is not None and dx.type == x.type
        assert dy is None
    finally:
        del OPS[op.name], FUNCTIONS[op.name]


@pytest.mark.parametrize("mode", [pullback, pushforward])
def test_a_derivative_node_has_to_be_expanded_first(mode: Any) -> None:
    g = gc.Graph("m", dtype="float64")
    x, given = g.input("x", (3,)), g.input("given", (3,))
    slope = gc.vjp(gc.sin(x), x, given)
    before = [[slope], [given], [x]] if mode is pullback else [[slope], [x], [given]]
    with pytest.raises(DifferentiationError, match="vjp_node has no derivative"):
        mode(*before)


# --- shapes and dtypes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(), (1,), (3,), (1, 1), (2, 1), (1, 3), (2, 3), (1, 2, 3), (4, 1, 1)]
)
def test_what_was_broadcast_is_summed(shape: tuple[int, ...]) -> None:
    a, b, w = (rng.normal(size=s) for s in (shape, (4, 2, 3), (4, 2, 3)))

    def build(a: gc.Node, b: gc.Node, w: gc.Node) -> Nodes:
        return {"product": gc.grad(gc.sum(w * (a * b)), a),
                "quotient": gc.grad(gc.sum(w * (b / a)), a),
                "spread": gc.vjp(gc.broadcast_to(a, b.shape), a, w)}  # fmt: skip

    extra = tuple(range(3 - len(shape)))
    ones = tuple(i for i, n in enumerate(shape) if n == 1 and (4, 2, 3)[len(extra) + i] != 1)

    def unbroadcast(full: np.ndarray[Any, Any]) -> Any:
        return full.sum(axis=extra).sum(axis=ones, keepdims=True).reshape(shape)

    found = values(build, a=a, b=b, w=w)
    near(found["product"], unbroadcast(w * b))
    near(found["quotient"], unbroadcast(-w * b / a**2))
    near(found["spread"], unbroadcast(w))


@pytest.mark.parametrize(
    ("shape", "full"),
    [((3,), (4, 3)), ((), (2, 3)), ((1, 3), (2, 3)), ((1, 1), (2, 3)), ((4, 1, 3), (4, 2, 3))],
)
def test_one_sum_is_enough_where_axes_are_only_added_or_only_stretched(
    shape: tuple[int, ...], full: tuple[int, ...]
) -> None:
    g = gc.Graph("m", dtype="float64")
    a, bar = g.input("a", shape), g.input("bar", full)
    (found,) = pullback([gc.broadcast_to(a, full)], [bar], [a])
    assert found is not None and (found.op.name, found.args) == ("sum", (bar,))


def test_nothing_is_derived_by_what_was_not_asked_for() -> None:
    g = gc.Graph("m", dtype="float64")
    x, u, bar = (g.input(name, (3,)) for name in "xub")
    y = x * gc.sin(u)
    before = len(g.nodes)
    assert pullback([y], [bar], [x]) == [g.nodes[before]]
    assert len(g.nodes) == before + 1


def test_nothing_is_derived_inside_a_composite_by_what_was_not_asked_for() -> None:
    g = gc.Graph("m", dtype="float64")
    x, u, bar = g.input("x", (3,)), g.input("u", (3,)), g.input("bar")
    (found,) = pullback([gc.mse(x, u)], [bar], [x])
    assert found is not None and found.type == x.type
    assert not any(node.op is gc.negative for node in g.nodes)  # the way to u


def test_a_cotangent_returns_in_the_dtype_of_its_node() -> None:
    # s: float32 -> float64 and back. The sum of 1 + 2**-30 in float32 would lose the small part.
    def build(x: gc.Node, w: gc.Node) -> Nodes:
        wide = x.astype("float64") * w
        dx, dw = gc.grad(gc.sum(wide), [x, w])
        return {"dx": dx, "dw": dw}

    x, w = np.array([1.5, -2.0], np.float32), np.array([[1 + 2**-30, 3.0], [2.0, 5.0]])
    found = values(build, x=x, w=w)
    assert (found["dx"].dtype, found["dw"].dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(found["dx"], np.float32(w.sum(axis=0)))
    np.testing.assert_array_equal(found["dw"], np.broadcast_to(x, (2, 2)))


def test_a_cotangent_of_another_dtype_is_cast_to_that_of_its_node() -> None:
    g = gc.Graph("m", dtype="float32")
    x, bar = g.input("x", (3,)), g.input("bar", (2, 3), "float64")
    (dx,) = pullback([gc.sin(x)], [bar], [x])
    assert dx is not None
    assert dx.type == x.type


def test_mixed_operands_accumulate_each_in_its_own_dtype() -> None:
    # The float64 path into x is cast to float32 before it meets the float32 path, as in PyTorch.
    def build(x: gc.Node, y: gc.Node) -> Nodes:
        return {"dx": gc.grad(gc.sum(x * y) + gc.sum(x * 3).astype("float64"), x)}

    found = values(build, x=np.array([1, 2], np.float32), y=np.array([0.1, 0.2]))["dx"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([0.1, 0.2], np.float32) + np.float32(3))


def test_ints_end_the_path_and_do_not_disturb_it() -> None:
    def build(x: gc.Node, k: gc.Node) -> Nodes:
        return {"dx": gc.grad(gc.sum(x * k), x)}

    near(values(build, x=np.array([1.0, 2]), k=np.array([3, -4]))["dx"], [3.0, -4.0])


# --- forward mode ---------------------------------------------------------------------------------


def test_forward_mode_is_the_same_jacobian_from_the_other_side() -> None:
    def build(x: gc.Node, z: gc.Node, dx: gc.Node, dz: gc.Node, bar: gc.Node) -> Nodes:
        y = gc.tanh(x @ z) * z + gc.sum(x * x)
        forward = gc.jvp(y, [x, z], [dx, dz])
        back_x, back_z = gc.vjp(y, [x, z], bar)
        return {"forward": gc.sum(bar * forward),
                "reverse": gc.sum(back_x * dx) + gc.sum(back_z * dz)}  # fmt: skip

    arrays = {
        n: rng.normal(size=(3, 3) if n.endswith("x") else (3,))
        for n in ("x", "z", "dx", "dz", "bar")
    }
    found = values(build, **arrays)
    near(found["forward"], found["reverse"])
    x, z, dx, dz = (arrays[n] for n in ("x", "z", "dx", "dz"))
    t = np.tanh(x @ z)
    dy = (1 - t**2) * (dx @ z + x @ dz) * z + t * dz + 2 * np.sum(x * dx)
    near(found["forward"], arrays["bar"] @ dy)


def test_forward_mode_wrt_an_inner_node() -> None:
    def build(x: gc.Node) -> Nodes:
        h = gc.exp(x)
        return {"d": gc.jvp(h * h * x, h, 2.0)}

    near(values(build, x=X)["d"], 2 * 2 * np.exp(X) * X)


@pytest.mark.parametrize("shape", [(), (2,), (1, 2), (3, 1)])
def test_a_tangent_is_broadcast_as_its_value_is(shape: tuple[int, ...]) -> None:
    def build(x: gc.Node, y: gc.Node, dx: gc.Node) -> Nodes:
        return {"d": gc.jvp(x + y, x, dx)}

    x, y, dx = rng.normal(size=shape), rng.normal(size=(3, 2)), rng.normal(size=shape)
    near(values(build, x=x, y=y, dx=dx)["d"], np.broadcast_to(dx, (3, 2)))
