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
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DeclarationError, DTypeError, GraphcError, UnsupportedError

# NumPy advises against np.matrix, which is why it has to be tested.
pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
STYLES = ("functional",)
over_styles = pytest.mark.parametrize("style", STYLES)
X = np.arange(6, dtype=np.float32).reshape(2, 3) / 4 - 0.5
W = np.arange(12, dtype=np.float32).reshape(3, 4) / 8 - 0.75
LABELS = np.array([3, 0], dtype=np.int64)


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
    return gc.compile(g, style=style, optimizer="sgd").load()


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


class Subclass(np.ndarray[Any, Any]):
    """Multiplies otherwise than arrays do."""

    def __mul__(self, other: Any) -> Any:
        raise AssertionError("the subclass got inside")


class Convertible:
    """Says itself what it is as an array."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return X.astype(dtype or X.dtype)


def memory_mapped(value: Any, folder: Path) -> Any:
    np.save(folder / "value.npy", value)
    return np.load(folder / "value.npy", mmap_mode="r")


def read_only(value: Any, folder: Path) -> Any:
    own = value.copy()
    own.flags.writeable = False
    return own


def unaligned(value: Any, folder: Path) -> Any:
    return np.frombuffer(b"\0" + value.tobytes(), value.dtype, offset=1).reshape(value.shape)


def with_strides(value: Any, folder: Path) -> Any:
    wide = np.full((2 * value.shape[0], 3 * value.shape[1]), np.nan, value.dtype)
    wide[::2, ::3] = value
    return wide[::2, ::3]


KINDS: dict[str, Callable[[Any, Path], Any]] = {
    "plain": lambda value, folder: value,
    "big-endian": lambda value, folder: value.astype(value.dtype.newbyteorder(">")),
    "little-endian": lambda value, folder: value.astype(value.dtype.newbyteorder("<")),
    "Fortran": lambda value, folder: np.asfortranarray(value),
    "transposed": lambda value, folder: value.T.copy().T,
    "reversed": lambda value, folder: value[::-1].copy()[::-1],
    "strided": with_strides,
    "read-only": read_only,
    "unaligned": unaligned,
    "memory-mapped": memory_mapped,
    "float64": lambda value, folder: value.astype(np.float64),
    "longdouble": lambda value, folder: value.astype(np.longdouble),
    "list": lambda value, folder: value.tolist(),
    "list of arrays": lambda value, folder: list(value),
    "memoryview": lambda value, folder: memoryview(np.ascontiguousarray(value)),
    "matrix": lambda value, folder: np.matrix(value),
    "subclass": lambda value, folder: value.view(Subclass),
    "recarray": lambda value, folder: value.view(np.recarray),
    "masked, nothing is": lambda value, folder: np.ma.masked_array(value),
    "masked by False": lambda value, folder: np.ma.masked_array(value, np.zeros(value.shape, bool)),
}


@over_styles
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


def masked(value: Any) -> Any:
    return np.ma.masked_array(value, np.arange(value.size).reshape(value.shape) == 1)


def of_objects(value: Any) -> Any:
    return value.astype(object)


def structured(value: Any) -> Any:
    return value.astype([("low", value.dtype), ("high", value.dtype)])


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


@over_styles
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


@over_styles
def test_cotangents_and_vectors_are_checked_too(style: str) -> None:
    module = net(style)
    *_, residuals = module.forward({"W": W}, state(), X, LABELS)
    with pytest.raises(TypeError, match=r"loss_bar: .*masked"):
        module.backward(residuals, np.ma.masked_array(1.0, True))
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


@over_styles
@pytest.mark.parametrize(("dtype", "value", "fits"), INTS)
def test_ints_fit_or_are_refused(dtype: str, value: Any, fits: bool, style: str) -> None:
    """NumPy takes `same_kind` to include 300 as int8, which is 44."""
    with gc.Graph("m") as g:
        g.output("y", g.input("k", (2,), dtype=dtype))
    predict = gc.compile(g, style=style, inference=True).load().predict
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


# --- at declaration -------------------------------------------------------------------------------

BITS = {
    "float16": [0x0001, 0x8001, 0x03FF, 0x8000, 0x7C00, 0xFC00, 0x7E00, 0x7E01, 0xFE00, 0x7BFF],
    "float32": [
        0x00000001, 0x80000001, 0x007FFFFF, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000,
        0x7FC00001, 0xFFC00000, 0x7F7FFFFF, 0x00800000, 0x3DCCCCCD, 0x4B800001,
    ],
    "float64": [
        1, 1 << 63 | 1, (1 << 52) - 1, 1 << 63, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48,
        0x7FF8 << 48 | 1, 0xFFF8 << 48, (0x7FF << 52) - 1, 1 << 52, 0x3FB999999999999A,
    ],
}  # fmt: skip


def patterns(dtype: str) -> Any:
    """Subnormals, zeros, infinities, NaNs, the largest and the smallest, as bits."""
    return np.array(BITS[dtype], f"u{np.dtype(dtype).itemsize}").view(dtype)


@over_styles
@pytest.mark.parametrize("dtype", BITS)
def test_numbers_are_kept_bit_for_bit(dtype: str, style: str) -> None:
    """As array and as scalar constants, as initial values of both kinds."""
    values = patterns(dtype)
    with gc.Graph("m", dtype=dtype) as g:
        g.output("array", g.constant(values))
        g.output("many", g.constant(np.tile(values, 9)))
        for place, value in enumerate(values):
            g.output(f"scalar {place}", g.constant(value))
            g.parameter(f"scalar {place}", (2,), init=value)
        everything = g.parameter("array", values.shape, init=values)
        g.loss(everything.sum() * g.input("x"))
    module: ModuleType = gc.compile(g, style=style, allow_unused=True).load()
    array, many, *scalars = module.predict()
    params = module.init_params(np.random.default_rng(0))
    assert array.tobytes() == params["array"].tobytes() == values.tobytes()
    assert many.tobytes() == np.tile(values, 9).tobytes()
    for place, (value, scalar) in enumerate(zip(values, scalars, strict=True)):
        assert scalar.tobytes() == value.tobytes(), hex(BITS[dtype][place])
        assert params[f"scalar {place}"].tobytes() == 2 * value.tobytes(), hex(BITS[dtype][place])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_ints_at_the_edges_are_kept(dtype: str) -> None:
    info = np.iinfo(dtype)
    edges = np.array([info.min, info.max], dtype)
    with gc.Graph("m") as g:
        g.output("array", g.constant(edges))
        g.output("least", g.constant(edges[0]))
        g.output("most", g.constant(int(info.max), dtype))
        W = g.parameter("W", (2,), dtype=dtype, trainable=False, init=int(info.max))
        g.output("W", W)
        g.loss(g.parameter("trained") * 2)
    module = gc.compile(g).load()
    params = module.init_params(np.random.default_rng(0))
    array, least, most, found = module.predict(params)
    assert array.tolist() == [info.min, info.max] == [int(least), int(most)]
    assert found.tolist() == [info.max] * 2
    assert {a.dtype.name for a in (array, least, most, found)} == {dtype}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_as_constants_and_initial_values(kind: str, tmp_path: Path) -> None:
    value = KINDS[kind](X, tmp_path)
    if kind == "longdouble" and np.longdouble(0).itemsize == 8:
        pytest.skip("longdouble is float64 here")
    with gc.Graph("m") as g:
        if kind == "longdouble":
            with pytest.raises(DTypeError, match="is not supported"):
                g.constant(value)
            return
        g.output("c", g.constant(value))
        p = g.parameter("p", (2, 3), init=value)
        s = g.state("s", (2, 3), init=value)
        g.output("sum", p + s)
        if kind != "matrix":  # which is refused: its product is another one
            g.output("product", p * value)
    module = gc.compile(g, allow_unused=True).load()
    params = module.init_params(np.random.default_rng(0))
    outputs = module.predict(params, module.init_state())
    assert {type(array) for array in (*outputs, params["p"])} == {np.ndarray}
    np.testing.assert_array_equal(outputs[0], X)
    np.testing.assert_array_equal(params["p"], X)
    np.testing.assert_array_equal(outputs[1], X + X)
    for product in outputs[2:]:
        np.testing.assert_array_equal(product, X * X)


def objects(*values: Any) -> Any:
    """An array of just these objects."""
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


NODES: list[tuple[Callable[[gc.Graph, Any], Any], str]] = [
    (lambda g, x: g.constant(masked(X)), "masked elements of an array have no value; use .filled"),
    (lambda g, x: x * masked(X), "masked elements"),
    (lambda g, x: g.parameter("p", (2, 3), init=masked(X)), "masked elements"),
    (lambda g, x: g.state("s", (2, 3), init=masked(X)), "masked elements"),
    (lambda g, x: gc.where(np.ma.masked_array([[True]], True), x, 0.0), "masked elements"),
    (lambda g, x: x * np.matrix(X), "an operand is no np.matrix; use np.asarray"),
    (lambda g, x: np.matrix(X) * x, "an operand is no np.matrix"),
    (lambda g, x: np.matrix(X) @ x.T, "an operand is no np.matrix"),
    (lambda g, x: g.constant(objects(x, 1.0)), "an array of nodes is no array; use gc.stack"),
    (lambda g, x: gc.tanh(objects(x, x)), "an array of nodes is no array"),
    (lambda g, x: g.constant([x, x]), "is symbolic and is no NumPy array"),
    (lambda g, x: gc.tanh([x, x]), "a list of nodes is no array; use gc.stack"),
    (lambda g, x: g.parameter("p", (2,), init=objects(x, x)), "an array of nodes is no array"),
    (lambda g, x: g.constant(objects(1.0, "a")), "dtype 'object' is not supported"),
    (lambda g, x: g.constant(structured(X)), "dtype 'void64' is not supported"),
    (lambda g, x: x + structured(X), "dtype 'void64' is not supported"),
    (lambda g, x: g.constant(X.astype("M8[s]")), r"dtype 'datetime64\[s\]' is not supported"),
    (lambda g, x: g.constant([[1.0], [1.0, 2.0]]), "list is no array: "),
    (lambda g, x: g.constant(10**400), "an int of more than 64 bits has no dtype; write a float"),
    (lambda g, x: x * 10**5000, "an int of more than 64 bits"),
    (lambda g, x: x ** (2**64), "an int of more than 64 bits"),
    (lambda g, x: g.parameter("p", init=10**5000), "got an int of very many digits: an int of"),
    (lambda g, x: g.parameter("p", init=2**70), f"got {2**70}: an int of more than 64 bits"),
    (lambda g, x: g.constant(300, "int8"), "the constant 300 does not fit into int8"),
]


@pytest.mark.parametrize("case", range(len(NODES)))
def test_what_cannot_be_declared_is_told(case: int) -> None:
    declare, message = NODES[case]
    with gc.Graph("m") as g:
        x = g.input("x", (2, 3))
        with pytest.raises(GraphcError, match=message) as caught:
            declare(g, x)
    assert isinstance(caught.value, (DTypeError, UnsupportedError, DeclarationError))
    assert "test_hostile_arrays.py:" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert not g.parameters and not g.states


MUTABLE: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "array": (lambda: X.copy(), lambda value: value.fill(9)),
    "view": (lambda: X.copy()[:], lambda value: value.base.fill(9)),
    "list": (lambda: X.tolist(), lambda value: value[0].__setitem__(0, 9.0)),
    "list of arrays": (lambda: list(X.copy()), lambda value: value[0].fill(9)),
    "matrix": (lambda: np.matrix(X.copy()), lambda value: value.fill(9)),
    "memoryview": (lambda: memoryview(X.copy()), lambda value: np.asarray(value).fill(9)),
}


@over_styles
@pytest.mark.parametrize("kind", MUTABLE)
def test_what_changes_after_the_declaration_changes_nothing(kind: str, style: str) -> None:
    make, change = MUTABLE[kind]
    values = [make() for _ in range(4)]
    with gc.Graph("m") as g:
        c = g.constant(values[0])
        p = g.parameter("p", (2, 3), init=values[1])
        s = g.state("s", (2, 3), init=values[2])
        y = c + p + s
        g.output("y", y if kind == "matrix" else y + gc.add(values[3], 0 * c))
    before = gc.compile(g, style=style, allow_unused=True).source
    for value in values:
        change(value)
    module = gc.compile(g, style=style, allow_unused=True)
    assert module.source == before
    loaded: Any = module.load()
    params = loaded.init_params(np.random.default_rng(0))
    found = loaded.predict(params, loaded.init_state())
    np.testing.assert_array_equal(found, X * (3 if kind == "matrix" else 4))


def test_a_constant_cannot_be_changed_through_what_the_module_returns() -> None:
    with gc.Graph("m") as g:
        g.output("y", g.constant(X))
        g.output("z", g.constant(X) + g.input("x"))
    predict = gc.compile(g).load().predict
    predict(1.0).y[:] = 7
    np.testing.assert_array_equal(predict(1.0).y, X)
    np.testing.assert_array_equal(predict(1.0).z, X + 1)
