"""Products of tensors: values are NumPy's, and differences have no error but that of rounding.

Such products are linear in each operand, so that a difference is the slope whatever the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError, ShapeError
from graphc.ir.node import Node
from tests.styles import in_every_style, load

Array = Any
Sizes = tuple[Any, ...]
SIZES = {"n": 3, "m": 2}  # of named dimensions

# What is contracted, and the shapes of its operands.
EINSUMS: list[tuple[str, list[Sizes]]] = [
    ("ij,jk->ik", [("n", 4), (4, 5)]),
    ("ij,kj->ki", [("n", 4), (5, 4)]),
    ("ji,jk->ik", [(4, "n"), (4, 5)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ba,cb", [(2, 3), (4, 2)]),
    ("i,i->", [("n",), ("n",)]),
    ("i,i", [(0,), (0,)]),
    ("i,j->ji", [(2,), (3,)]),
    ("ij->", [("n", 2)]),
    ("ij->ji", [("n", 2)]),
    ("ijk->ki", [(2, "n", 4)]),
    ("i->", [(3,)]),
    (",i->i", [(), (3,)]),
    (",->", [(), ()]),
    ("->", [()]),
    ("ii->i", [("n", "n")]),
    ("ii", [(3, 3)]),
    ("iij->ji", [(3, 3, 2)]),
    ("iii->i", [(2, 2, 2)]),
    ("iji,ij->j", [(2, 3, 2), (2, 3)]),
    ("bij,bjk->bik", [("n", 2, 3), ("n", 3, 4)]),
    ("bij,bjk->ikb", [(2, 2, 3), (2, 3, 4)]),
    ("bi,bi->b", [("n", "m"), ("n", "m")]),
    ("bi,bij->bj", [(2, 3), (2, 3, 4)]),
    ("bij,bj->bi", [("n", 3, 4), ("n", 4)]),
    ("bi,bj->bij", [("n", 3), ("n", 4)]),
    ("bi,bi->bi", [("n", 3), ("n", 3)]),
    ("ij,ij->", [("n", 3), ("n", 3)]),
    ("bqhd,bkhd->bhqk", [(2, "n", 2, 3), (2, "m", 2, 3)]),
    ("ijkl,klm->ijm", [(2, 3, 2, 2), (2, 2, 3)]),
    ("ikjl,lk->ji", [("n", 2, 3, 2), (2, 2)]),
    ("ij,k->k", [(2, 3), (4,)]),
    ("ij,jk,kl->il", [("n", 3), (3, 4), (4, 2)]),
    ("bi,bij,bj->b", [("n", 3), ("n", 3, 3), ("n", 3)]),
    ("i,j,k->ijk", [(2,), (3,), (2,)]),
    ("ij,ij,ij->i", [(2, 3), (2, 3), (2, 3)]),
    ("ab,bc,cd,de->ae", [(2, 3), (3, 4), (4, 3), (3, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
    ("i...,i...->...", [(3, 2, 4), (3, 4)]),
    ("...i->...", [("n", 2, 3)]),
    ("...,...", [(2, 3), (3,)]),
    ("i...i->...i", [(2, 3, 2)]),
    ("...ij->ji...", [("n", 2, 3)]),
    ("ij,jk->ik", [(2, 1), (3, 4)]),
    ("ij,ij->ij", [(1, 3), (2, 1)]),
]  # fmt: skip

OTHERS: dict[str, tuple[Callable[..., Any], list[Sizes], dict[str, Any]]] = {
    "tensordot": (np.tensordot, [("n", 3, 4), (3, 4, 2)], {}),
    "tensordot over none": (np.tensordot, [(2, 3), (2,)], {"axes": 0}),
    "tensordot over one": (np.tensordot, [(2, 3), (3, 2)], {"axes": 1}),
    "tensordot over lists": (np.tensordot, [(2, 3, 4), (4, 5, 2)], {"axes": ([0, -1], [2, 0])}),
    "tensordot over two": (np.tensordot, [(2, 3), (4, 3)], {"axes": (1, -1)}),
    "vecdot": (np.vecdot, [("n", 3), ("n", 3)], {}),
    "vecdot of one row": (np.vecdot, [("n", 3), (3,)], {}),
    "vecdot over an axis": (np.vecdot, [(4, 3, 2), (3, 2)], {"axis": -2}),
    "inner": (np.inner, [("n", 3), (4, 3)], {}),
    "inner of vectors": (np.inner, [(3,), (3,)], {}),
    "inner of numbers": (np.inner, [(), (3,)], {}),
    "outer": (np.outer, [("n",), (4,)], {}),
    "outer of matrices": (np.outer, [(2, 3), (2, 2)], {}),
}


def drawn(shapes: list[Sizes]) -> list[Array]:
    rng = np.random.default_rng(7)
    return [rng.normal(size=[SIZES.get(size, size) for size in shape]) for shape in shapes]


def check(
    style: str, build: Callable[..., Node], expected: Callable[..., Array], shapes: list[Sizes]
) -> None:
    """Compare values with NumPy's, and gradients with differences."""
    values = drawn(shapes)
    names = [f"x{i}" for i in range(len(values))]
    with gc.Graph("products", dtype="float64") as g:
        nodes = [g.input(name, shape) for name, shape in zip(names, shapes, strict=True)]
        g.output("y", build(*nodes))
    module = load(g, style=style, wrt=names)
    result, residuals = module.forward(*values)
    np.testing.assert_allclose(result, expected(*values), rtol=1e-12, atol=1e-14)
    assert np.shape(result) == np.shape(expected(*values))
    rng = np.random.default_rng(8)
    cotangent = rng.normal(size=np.shape(result))
    grads = module.backward(residuals, cotangent)
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        step = rng.normal(size=value.shape)
        moved = [*values]
        moved[place] = value + step
        slope = np.sum(cotangent * (expected(*moved) - expected(*values)))
        assert np.shape(grads[name]) == value.shape
        np.testing.assert_allclose(np.sum(grads[name] * step), slope, rtol=1e-10, atol=1e-12)


@in_every_style
@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS, ids=lambda v: str(v))
def test_einsum_is_that_of_numpy(subscripts: str, shapes: list[Sizes], style: str) -> None:
    check(
        style,
        lambda *nodes: gc.einsum(subscripts, *nodes),
        lambda *arrays: np.einsum(subscripts, *arrays),
        shapes,
    )


@in_every_style
@pytest.mark.parametrize("name", OTHERS)
def test_other_products_are_those_of_numpy(name: str, style: str) -> None:
    function, shapes, options = OTHERS[name]
    build = getattr(gc, function.__name__)
    check(
        style,
        lambda *nodes: build(*nodes, **options),
        lambda *arrays: function(*arrays, **options),
        shapes,
    )


def written(subscripts: str, *shapes: Sizes) -> str:
    """The line of `predict` that computes the result."""
    with gc.Graph("written") as g:
        nodes = [g.input(name, shape) for name, shape in zip("abc", shapes, strict=False)]
        g.output("y", gc.einsum(subscripts, *nodes))
    source = gc.compile(g, inference=True).source
    return next(line for line in source.splitlines() if line.startswith("    y")).split("  #")[0]


@pytest.mark.parametrize(
    ("subscripts", "shapes", "line"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)], "a @ b"),
        ("ij,kj->ik", [(2, 3), (4, 3)], "a @ b.T"),
        ("ij,jk->ki", [(2, 3), (3, 4)], "b.T @ a.T"),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 3, 4)], "a @ b.swapaxes(-2, -1)"),
        ("ij,ij->i", [(2, 3), (2, 3)], "(a * b).sum(axis=1)"),
        ("ij,jk,kl->il", [(2, 9), (9, 9), (9, 9)], "a @ b @ c"),
        ("ij,jk,kl->il", [(9, 9), (9, 9), (9, 2)], "a @ (b @ c)"),
    ],
)
def test_the_text_is_that_of_a_hand(subscripts: str, shapes: list[Sizes], line: str) -> None:
    assert written(subscripts, *shapes) == f"    y: Array = {line}"


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool", "float16"])
def test_dtypes_stay_what_they_are(dtype: str) -> None:
    with gc.Graph("kinds") as g:
        x, y = g.input("x", (2, 3), dtype), g.input("y", (3, 2), dtype)
        for name, subscripts in (("a", "ij,jk->ik"), ("b", "ij,ji->i"), ("c", "ij,jk->")):
            g.output(name, gc.einsum(subscripts, x, y))
    rng = np.random.default_rng(7)
    left, right = (rng.integers(0, 3, size).astype(dtype) for size in ((2, 3), (3, 2)))
    results = gc.compile(g, inference=True).load().predict(left, right)
    for result, subscripts in zip(results, ("ij,jk->ik", "ij,ji->i", "ij,jk->"), strict=True):
        expected = np.einsum(subscripts, left, right)
        assert result.dtype == expected.dtype == dtype
        np.testing.assert_array_equal(result, expected)


A, B = "float32 (2, 3)", "float32 (3, 4)"
WRONG: list[tuple[str, type[GraphcError], str]] = [
    ("gc.einsum('ij,jk->il', a, b)", GraphcError, "'l' is in no operand"),
    ("gc.einsum('ij,jk->ii', a, b)", GraphcError, "'i' occurs twice in the result"),
    ("gc.einsum('ij,jk', a)", GraphcError, "is of 2 operands, got 1"),
    ("gc.einsum('ij', a, b)", GraphcError, "is of 1 operands, got 2"),
    ("gc.einsum('i?,jk', a, b)", GraphcError, "has a part 'i?'"),
    ("gc.einsum('i..,jk', a, b)", GraphcError, "has a part 'i..'"),
    ("gc.einsum('ij->i->j', a)", GraphcError, "has a part 'i->j'"),
    ("gc.einsum('...->', a)", GraphcError, "the result has no ..."),
    ("gc.einsum(a, [0, 1], b, [1, 2])", GraphcError, "expects subscripts like 'ij,jk->ik'"),
    ("gc.einsum('i,jk', a, b)", ShapeError, f"'i' does not label the 2 axes of a {A}"),
    ("gc.einsum('ijk', a)", ShapeError, f"'ijk' does not label the 2 axes of a {A}"),
    ("gc.einsum('ij,ik', a, b)", ShapeError, f"the label 'i' has the sizes 2 and 3: a {A}"),
    ("gc.einsum('ii', a)", ShapeError, "the label 'i' has the sizes 2 and 3"),
    ("gc.tensordot(a, b)", ShapeError, "sizes 2 and 3"),
    ("gc.tensordot(a, b, 3)", ShapeError, "tensordot over 3 axes of"),
    ("gc.tensordot(a, b, ((1, 1), (0, 0)))", ShapeError, "pairs each axis with one other"),
    ("gc.tensordot(a, b, ((1, 0), (0,)))", ShapeError, "pairs each axis with one other"),
    ("gc.tensordot(a, b, 1.5)", GraphcError, "an int or a pair of lists of axes, got 1.5"),
    ("gc.tensordot(a, b, ((2,), (0,)))", ShapeError, "tensordot: axis 2 does not exist"),
    ("gc.vecdot(a, b)", ShapeError, "vecdot: "),
    ("gc.vecdot(a, 1.0)", ShapeError, "vecdot expects at least 1 axes"),
    ("gc.inner(a, b)", ShapeError, "has the sizes 3 and 4"),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG, ids=lambda v: str(v)[:40])
def test_what_does_not_fit_is_told(call: str, error: type[GraphcError], words: str) -> None:
    with gc.Graph("wrong") as g, pytest.raises(error) as caught:
        eval(call, {"gc": gc, "a": g.input("a", (2, 3)), "b": g.input("b", (3, 4))})
    assert type(caught.value) is error
    assert words in str(caught.value).replace(" [<string>:1]", "")


def test_numpys_own_functions_build_the_same_graph() -> None:
    def model(x: Any, y: Any) -> Any:
        return (
            np.einsum("ij,jk->ik", x, y, optimize=True) + np.tensordot(x, y, 1) + np.inner(x, y.T)
        )

    graph = gc.trace(model, x=(2, 3), y=(3, 4))
    x, y = np.ones((2, 3), "float32"), np.ones((3, 4), "float32")
    np.testing.assert_allclose(
        gc.compile(graph, inference=True).load().predict(x, y), np.full((2, 4), 9.0)
    )
