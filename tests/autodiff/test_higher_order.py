"""Jacobians, Hessians and derivatives of derivatives, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DifferentiationError, ShapeError
from tests.autodiff.evaluation import Nodes, near, values
from tests.styles import in_every_style, load

rng = np.random.default_rng(5)


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (4, 2), (1, 3), (3, 1)])
def test_the_jacobian_of_a_linear_map_is_its_matrix(rows: int, columns: int) -> None:
    A = rng.normal(size=(rows, columns))
    near(values(lambda A, x: {"J": gc.jacobian(A @ x, x)}, A=A, x=rng.normal(size=columns))["J"], A)


@pytest.mark.parametrize("size", [2, 3])
def test_a_jacobian_has_the_axes_of_output_and_wrt(size: int) -> None:
    # Y = X B: dY_ij / dX_kl = delta_ik B_lj; by rows or by columns, whichever are fewer
    X, B = rng.normal(size=(2, 3)), rng.normal(size=(3, size))
    J = values(lambda X, B: {"J": gc.jacobian(X @ B, X)}, X=X, B=B)["J"]
    near(J, np.einsum("ik,lj->ijkl", np.eye(2), B))


def test_the_jacobian_of_softmax() -> None:
    x = rng.normal(size=4)
    p = np.exp(x) / np.exp(x).sum()
    J = values(lambda x: {"J": gc.jacobian(gc.softmax(x), x)}, x=x)["J"]
    near(J, np.diag(p) - np.outer(p, p))


def test_a_scalar_has_a_row_and_a_scalar_variable_a_column() -> None:
    x = rng.normal(size=3)
    near(values(lambda x: {"J": gc.jacobian(gc.sum(x * x * x), x)}, x=x)["J"], 3 * x**2)
    near(values(lambda t: {"J": gc.jacobian(gc.stack([t, t * t]), t)}, t=2.0)["J"], [1.0, 4.0])


@in_every_style
def test_one_side_of_a_jacobian_may_be_a_named_size(style: str) -> None:
    with gc.Graph("named", dtype="float64") as g:
        x = g.input("x", ("n",))
        g.output("rows", gc.jacobian(gc.stack([gc.sum(x), gc.sum(x * x)]), x))
        t = g.input("t", (2,))
        g.output("columns", gc.jacobian(gc.sin(x * t[0]) + t[1], t))
    found = load(g, inference=True, style=style).predict(np.arange(3.0), np.array([0.5, 2]))
    near(found.rows, [[1.0, 1, 1], [0, 2, 4]])
    near(found.columns, np.stack([np.arange(3) * np.cos(np.arange(3) / 2), np.ones(3)], 1))


def test_a_jacobian_of_two_named_sizes_is_refused() -> None:
    g = gc.Graph("named")
    x = g.input("x", ("n",))
    with pytest.raises(ShapeError, match="n rows and n columns"):
        gc.jacobian(gc.sin(x), x)
    with pytest.raises(DifferentiationError, match="does not reach"):
        gc.jacobian(gc.sin(x), g.input("u", (3,)))


def test_the_hessian_of_a_quadratic_form_is_its_symmetric_part() -> None:
    A, x = rng.normal(size=(3, 3)), rng.normal(size=3)
    H = values(lambda A, x: {"H": gc.hessian(x @ A @ x, x)}, A=A, x=x)["H"]
    near(H, A + A.T)


def test_the_hessian_of_logsumexp() -> None:
    x = rng.normal(size=(2, 2))
    p = np.exp(x) / np.exp(x).sum()
    H = values(lambda x: {"H": gc.hessian(gc.logsumexp(x), x)}, x=x)["H"]
    flat = p.ravel()
    near(H, (np.diag(flat) - np.outer(flat, flat)).reshape(2, 2, 2, 2))


def test_the_hessian_of_rosenbrock() -> None:
    def build(v: gc.Node) -> Nodes:
        x, y = v[0], v[1]
        return {"H": gc.hessian((1 - x) ** 2 + 100 * (y - x**2) ** 2, v)}

    x, y = -1.2, 1.0
    near(
        values(build, v=np.array([x, y]))["H"],
        [[2 - 400 * (y - 3 * x**2), -400 * x], [-400 * x, 200.0]],
    )


def test_the_hessian_of_what_is_linear_is_zero() -> None:
    x = rng.normal(size=3)
    near(values(lambda x: {"H": gc.hessian(gc.sum(x * 2), x)}, x=x)["H"], np.zeros((3, 3)))


def test_a_hessian_vector_product_is_the_hessian_times_the_vector() -> None:
    def build(x: gc.Node, v: gc.Node) -> Nodes:
        y = gc.sum(gc.exp(x) * x) + gc.prod(x)
        return {"product": gc.hvp(y, x, v), "hessian": gc.hessian(y, x)}

    x, v = np.array([0.5, -1.5, 2.0]), rng.normal(size=3)
    found = values(build, x=x, v=v)
    a, b, c = x
    expected = np.diag(np.exp(x) * (x + 2)) + np.array([[0, c, b], [c, 0, a], [b, a, 0]])
    near(found["hessian"], expected)
    near(found["product"], expected @ v)


def test_a_hessian_vector_product_for_several_variables_has_the_mixed_terms() -> None:
    # f = x² z: f_xx = 2z, f_xz = 2x, f_zz = 0
    def build(x: gc.Node, z: gc.Node) -> Nodes:
        dx, dz = gc.hvp(x * x * z, [x, z], [3.0, 5.0])
        return {"dx": dx, "dz": dz}

    found = values(build, x=0.7, z=-2.0)
    near(found["dx"], 2 * -2.0 * 3 + 2 * 0.7 * 5)
    near(found["dz"], 2 * 0.7 * 3)


def test_derivatives_nest() -> None:
    def build(x: gc.Node) -> Nodes:
        y = gc.sin(x) * x
        orders = {}
        for order in range(1, 5):
            y = gc.grad(y, x)
            orders[f"d{order}"] = y
        return orders

    x = 0.9
    s, c = np.sin(x), np.cos(x)
    found = values(build, x=x)
    expected = [s + x * c, 2 * c - x * s, -3 * s - x * c, -4 * c + x * s]
    near(np.array(list(found.values())), np.array(expected))


@in_every_style
def test_a_gradient_inside_a_loss_is_differentiated_as_a_whole(style: str) -> None:
    # loss = |d/dx sum(sin(w x))|² = sum (w cos(w x))²
    with gc.Graph("penalty", dtype="float64") as g:
        w, x = g.parameter("w", (4,)), g.input("x", (4,))
        slope = gc.grad(gc.sum(gc.sin(w * x)), x)
        g.loss(gc.sum(slope * slope))
    wv, xv = rng.normal(size=4), rng.normal(size=4)
    loss, grads = load(g, style=style).value_and_grad({"w": wv}, xv)
    near(loss, np.sum((wv * np.cos(wv * xv)) ** 2))
    c, s = np.cos(wv * xv), np.sin(wv * xv)
    near(grads["w"], 2 * wv * c * (c - wv * xv * s))


def test_the_jacobian_of_an_implicit_chain_is_the_product_of_jacobians() -> None:
    def build(x: gc.Node) -> Nodes:
        u = gc.tanh(x) * gc.sum(x)
        y = gc.exp(u)
        return {"yx": gc.jacobian(y, x), "yu": gc.jacobian(y, u), "ux": gc.jacobian(u, x)}

    found = values(build, x=rng.normal(size=3))
    near(found["yx"], found["yu"] @ found["ux"])
