"""Arrays of all kinds, and numbers at the edges: right, or refused where they enter.

They enter twice: constants and initial values when a graph is declared, arguments when a generated
module is called.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.hostile_arrays import (
    KINDS,
    LABELS,
    Convertible,
    W,
    X,
    masked,
    structured,
)
from tests.styles import in_every_style, load

# NumPy advises against np.matrix, which is why it has to be tested.
pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")


@cache
def net(style: str) -> Any:
    """A model with a product by elements and one of matrices, which np.matrix would confuse."""
    with gc.Graph("m") as g:
        x = g.input("x", ("n", 3))
        t = g.input("t", ("n",), dtype="int64")
        weights = g.parameter("W", (3, 4), init="he_normal")
        s = g.state("s", (3,), init="ones")
        h = (x * x + x * s) @ weights
        g.update(s, s * 0.5)
        g.output("y", h * h)
        g.loss(gc.cross_entropy(h, t))
    return load(g, style=style, optimizer="sgd")


def state() -> dict[str, Any]:
    return {"s": np.ones(3, np.float32)}


def results(module: Any, x: Any, weights: Any, labels: Any = LABELS) -> list[Any]:
    """All that the functions return."""
    params = {"W": weights}
    loss, new_state, grads = module.value_and_grad(params, state(), x, labels)
    stepped, *_ = module.train_step(params, state(), module.init_optimizer(params), x, labels)
    return [module.predict(params, state(), x), loss, *new_state.values(), grads["W"], stepped["W"]]


def expected(x: Any, weights: Any) -> list[Any]:
    """Output and loss by hand, in float64."""
    x, weights = np.asarray(x, np.float64), np.asarray(weights, np.float64)
    h = (x * x + x) @ weights
    loss = (np.log(np.exp(h).sum(axis=1)) - h[[0, 1], LABELS]).mean()
    return [h * h, loss]


@in_every_style
@pytest.mark.parametrize("kind", KINDS)
def test_what_means_the_same_gives_the_same(kind: str, style: str, tmp_path: Path) -> None:
    module = net(style)
    make = KINDS[kind]
    plain = results(module, X, W)
    for value, wanted in zip(plain, expected(X, W), strict=False):
        np.testing.assert_allclose(value, wanted, rtol=2e-5)
    (tmp_path / "x").mkdir()
    (tmp_path / "W").mkdir()
    x, weights = make(X, tmp_path / "x"), make(W, tmp_path / "W")
    found = results(module, x, weights)
    for value, wanted in zip(found, plain, strict=True):
        assert type(value) in (np.ndarray, np.float32)
        assert value.dtype == np.float32 and value.dtype.isnative
        # BLAS may add up in another order for another layout.
        np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-7)
        assert not np.shares_memory(value, np.asarray(x))
    for own, value in ((X, x), (W, weights)):
        np.testing.assert_array_equal(np.asarray(value), own)  # as it was


def of_objects(value: Any) -> Any:
    return value.astype(object)


REFUSED: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (masked, TypeError, r"expected an array, got one with masked elements; use .filled\(\)"),
    (lambda value: np.ma.masked_all(value.shape, value.dtype), TypeError, "with masked elements"),
    (of_objects, TypeError, r"expected \w+ of shape .*, got object"),
    (structured, TypeError, r"expected \w+ of shape .*, got void"),
    (lambda value: np.ma.masked_array(structured(value), True), (TypeError, ValueError), ""),
    (lambda value: value.astype(str), TypeError, "got str"),
    (lambda value: value.astype(bytes), TypeError, "got bytes"),
    (lambda value: value.astype(complex), TypeError, "got complex128"),
    (lambda value: value.astype("M8[s]"), TypeError, "got datetime64"),
    (lambda value: np.matrix(value)[:, :-1], ValueError, "got shape"),
    (lambda value: [*value.tolist(), [1.0]], ValueError, "expected an array, got list: "),
    (lambda value: 10**400, TypeError, "got object"),
    (lambda value: None, TypeError, "got object"),
    (lambda value: {"a": 1}, TypeError, "got object"),
    (lambda value: iter([1.0]), TypeError, "got object"),
    (lambda value: np.float32, TypeError, "got object"),
]  # fmt: skip


@in_every_style
@pytest.mark.parametrize("place", ["x", "W", "s", "t"])
@pytest.mark.parametrize("case", range(len(REFUSED)))
@pytest.mark.filterwarnings("ignore::numpy.exceptions.VisibleDeprecationWarning")
def test_what_does_not_fit_is_named(case: int, place: str, style: str) -> None:
    make, error, message = REFUSED[case]
    values = {"x": X, "W": W, "s": state()["s"], "t": LABELS}
    values[place] = make(values[place])
    for function in (net(style).value_and_grad, net(style).forward):
        with pytest.raises(error, match=f"^{place}: .*{message}"):
            function({"W": values["W"]}, {"s": values["s"]}, values["x"], values["t"])


def test_an_array_like_that_cannot_become_an_array_is_named() -> None:
    class OnADevice:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise TypeError("copy the tensor to the host first")

    message = r"^x: expected an array, got OnADevice: copy the tensor to the host first$"
    with pytest.raises(ValueError, match=message):
        net("functional").predict({"W": W}, state(), OnADevice())
    np.testing.assert_array_equal(
        net("functional").predict({"W": W}, state(), Convertible()),
        net("functional").predict({"W": W}, state(), X),
    )


@in_every_style
def test_cotangents_are_checked_too(style: str) -> None:
    module = net(style)
    *_, residuals = module.forward({"W": W}, state(), X, LABELS)
    with pytest.raises(TypeError, match=r"loss_bar: .*masked"):
        module.backward(residuals, np.ma.masked_array(1.0, True))


def test_vectors_are_checked_too() -> None:
    module = net("functional")
    with pytest.raises(TypeError, match=r"vector: .*masked"):
        module.unravel_params(np.ma.masked_array(np.ones(12), [1] + [0] * 11))
    wide = module.unravel_params(np.matrix(np.ones(12)).A1)
    assert type(wide["W"]) is np.ndarray


INTS: list[tuple[str, Any, bool]] = [
    ("int8", [127, -128], True),
    ("int8", [128, 0], False),
    ("int8", np.array([-129, 0], np.int64), False),
    ("int16", np.array([40_000, 0], np.int32), False),
    ("int64", np.array([2**63 - 1, 0], np.uint64), True),
    ("int64", np.array([2**63, 0], np.uint64), False),
    ("int64", [2**63, 2**63], False),
    ("uint8", np.array([255, 0], np.uint16), True),
    ("uint8", np.array([256, 0], np.uint16), False),
    ("uint64", np.array([2**64 - 1, 0], np.uint64), True),
]


@in_every_style
@pytest.mark.parametrize(("dtype", "value", "fits"), INTS)
def test_ints_fit_or_are_refused(dtype: str, value: Any, fits: bool, style: str) -> None:
    """NumPy takes `same_kind` to include 300 as int8, which is 44."""
    with gc.Graph("m") as g:
        g.output("y", g.input("k", (2,), dtype=dtype))
    predict = load(g, style=style, inference=True).predict
    if fits:
        assert predict(value).tolist() == np.asarray(value).tolist()
    else:
        with pytest.raises(ValueError, match=rf"^k: expected {dtype} of shape \(2,\), got u?int"):
            predict(value)


def test_what_the_module_refuses_it_refuses_under_the_oldest_numpy(
    old_numpy_python: Path, tmp_path: Path
) -> None:
    with gc.Graph("m") as g:
        x, k = g.input("x", (2, 2)), g.input("k", (2,), dtype="int8")
        g.output("y", x * x + k)
    gc.compile(g, inference=True).save(tmp_path / "net.py")
    script = """
import json, numpy as np, net, warnings
warnings.simplefilter("ignore")
x, k, said = np.array([[1, 2], [3, 4]], "f4"), np.array([1, 2], "i1"), []
rec = x.astype([("a", "f4"), ("b", "f4")])
for a, b in [(np.matrix(x), k), (x.astype(">f8"), [1, 2]), (np.ma.array(x), k), (rec, k),
             (np.ma.array(x, mask=x > 2), k), (x.astype(object), k),
             (np.ma.array(rec, mask=True), k), (x, [1, 300]),
             ([[1, 2], [3]], k), (x, np.ma.array(k, mask=[0, 1]))]:
    try:
        y = net.predict(a, b)
        said.append([type(y).__name__, y.dtype.name, y.tolist()])
    except (TypeError, ValueError) as error:
        said.append(type(error).__name__ + " " + str(error)[:2])
print(json.dumps(said))
"""
    done = subprocess.run(
        [str(old_numpy_python), "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    right = ["ndarray", "float32", [[2.0, 6.0], [10.0, 18.0]]]
    assert json.loads(done.stdout) == [
        right, right, right, "TypeError x:", "TypeError x:", "TypeError x:", "ValueError x:",
        "ValueError k:", "TypeError x:", "TypeError k:",
    ]  # fmt: skip
