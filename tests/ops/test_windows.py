"""Convolution, pooling and padding: what is refused, named sizes, and the text that is written.

Values and derivatives are compared in `test_values.py`, `test_derivatives.py` and, with PyTorch's,
in `tests/against_torch/test_convolution.py`.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError
from graphc.ops.windows import Windows
from tests.ops import resized as definitions
from tests.ops import sliding
from tests.styles import in_every_style, load

# One declaration a line, as they are told: [user_model.py:1].
DECLARATIONS = """\
x = g.input("x", ("batch", 4, 6, 5))
w = g.parameter("w", (8, 4, 3, 3))
wide = g.parameter("wide", (8, 4, 9, 3))
thin = g.parameter("thin", (8, 3, 3, 3))
back = g.parameter("back", (4, 8, 3, 3))
cols = g.input("cols", (2, 8, 7))
labels = g.input("labels", (2, 4, 6, 5), "int64")
named = g.input("named", (2, "channels", 6, 5))
"""
CALL_LINE = 20
REFUSED = [
    ("gc.conv2d(x, w, stride=0)", "conv2d: stride is an int or 2 ints of at least 1, got 0"),
    ("gc.conv2d(x, w, stride=(1, 1, 1))", "is an int or 2 ints of at least 1, got (1, 1, 1)"),
    ("gc.conv2d(x, w, stride=True)", "stride is an int or 2 ints of at least 1, got True"),
    ("gc.conv2d(x, w, dilation=1.5)", "dilation is an int or 2 ints of at least 1, got 1.5"),
    ("gc.conv2d(x, w, padding=-1)", "is an int, or 2 ints or pairs of ints, of at least 0, got -1"),
    ("gc.conv2d(x, w, padding=((1, 2), (0, -1)))", "of at least 0, got ((1, 2), (0, -1))"),
    ("gc.conv2d(x, w, padding=((1, 2, 3), 0))", "or pairs of ints, of at least 0, got ((1, 2, 3)"),
    ("gc.conv1d(x[:, :, 0], w[:, :, 0], padding=(1, 2))",
     "padding is an int or a pair ((before, behind),) of at least 0, got (1, 2)"),
    ("gc.conv2d(x, w, padding='sam')", "got 'sam'; did you mean 'same'?"),
    ("gc.conv2d(x, w, padding='same', stride=2)", "padding 'same' needs a stride of 1, got (2, 2)"),
    ("gc.conv2d(x, w, groups=0)", "groups is an int of at least 1, got 0"),
    ("gc.conv2d(x, w, groups=3)", "conv2d: 3 groups do not divide the 4 channels of x"),
    ("gc.conv2d(x, thin)", "kernels of 3 channels do not fit x of 4: x float32 (batch, 4, 6, 5) "
                           "[user_model.py:1], thin float32 (8, 3, 3, 3) [user_model.py:4]"),
    ("gc.conv2d(x, w, groups=2)", "kernels of 4 × 2 channels do not fit x of 4"),
    ("gc.conv2d(x, wide)", "conv2d: the window 9 is larger than axis 2 of size 6: x float32 "),
    ("gc.conv2d(x, wide, padding=1)", "larger than axis 2 of size 6 + padding 2: x"),
    ("gc.conv2d(x, w, dilation=3)", "window 7 (3 dilated by 3) is larger than axis 2 of size 6"),
    ("gc.conv2d(x[0], w)", "conv2d expects axes (batch, channels, height, width), got getitem"),
    ("gc.conv1d(x, w)", "conv1d expects axes (batch, channels, width), got x"),
    ("gc.conv2d(x, w[0])", "conv2d expects kernels of 4 axes, the last 2 of known sizes, got"),
    ("gc.conv2d(x, w, np.zeros(3))", "conv2d expects a bias of shape (8,), got"),
    ("gc.conv_transpose2d(x, w)", "conv_transpose2d: kernels of 8 channels do not fit x of 4"),
    ("gc.conv_transpose2d(x, back, groups=3)", "3 groups do not divide the 4 channels of x"),
    ("gc.conv_transpose2d(x, back, output_padding=1)", "output_padding is less than stride or"),
    ("gc.conv_transpose2d(x, back, padding=9)", "padding 9 leaves nothing of x float32"),
    ("gc.conv_transpose2d(x, back, padding='same')", "padding is an int, or 2 ints or pairs, got"),
    ("gc.max_pool2d(x, 7)", "max_pool2d: the window 7 is larger than axis 2 of size 6: x float32"),
    ("gc.max_pool2d(x, 0)", "max_pool2d: kernel is an int or 2 ints of at least 1, got 0"),
    ("gc.max_pool2d(x, 2, padding=2)", "max_pool2d: padding is less than the window 2, got 2"),
    ("gc.max_pool2d(x > 0, 2)", "max_pool2d expects numbers, got"),
    ("gc.max_pool2d(x, 2, ceil_mode=1)", "max_pool2d: ceil_mode is True or False, got 1"),
    ("gc.lp_pool2d(x, 0, 2)", "lp_pool2d: p is an int of at least 1, got 0"),
    ("gc.avg_pool2d(labels, 2)", "avg_pool2d expects a float operand, got labels int64"),
    ("gc.avg_pool1d(x, 2)", "avg_pool1d expects axes (batch, channels, width), got x"),
    ("gc.avg_pool2d(x, 2, count_include_pad=1)", "count_include_pad is True or False, got 1"),
    ("gc.global_avg_pool(x[0, 0])", "global_avg_pool expects axes (batch, channels, …), got"),
    ("gc.upsample(x, (2,))", "upsample: scale is an int or 2 ints of at least 1, got (2,)"),
    ("gc.upsample(x, 2, mode='bilinar')", "got 'bilinar'; did you mean 'bilinear'?"),
    ("gc.upsample(x, 2, mode='linear')", "upsample expects axes (batch, channels, width), got x"),
    ("gc.interpolate(x)", "interpolate needs a size or a scale"),
    ("gc.interpolate(x, 3, mode='cubik')", "mode is one of 'nearest', 'linear', 'cubic', got "),
    ("gc.interpolate(x, 3, coordinates='corners')", "got 'corners'"),
    ("gc.interpolate(x, 3, rounding='flor')", "got 'flor'; did you mean 'floor'?"),
    ("gc.interpolate(x, (3, 3, 3))", "interpolate: size is one or 2 sizes, got (3, 3, 3)"),
    ("gc.interpolate(x, scale=(1, 0))", "scale is one or 2 positive numbers, got (1, 0)"),
    ("gc.interpolate(x, scale='2')", "interpolate: scale is a number, got '2'"),
    ("gc.interpolate(x, -1)", "interpolate: a size is not negative, got -1"),
    ("gc.interpolate(x, 3, axes=(4, 1))", "axis 4 does not exist in an array of 4 axes: x float32"),
    ("gc.interpolate(x, 3, axes=(1, -3))", "an axis occurs twice in (1, -3)"),
    ("gc.interpolate(x, 3, antialias=True)", "antialias is for modes 'linear' and 'cubic', not"),
    ("gc.interpolate(x, 3, region=(0, 1))", "a region goes with coordinates 'tf_crop_and_resize'"),
    ("gc.interpolate(x, 3, coordinates='tf_crop_and_resize', region=(0, 1))",
     "region is 2 pairs (start, end), got (0, 1)"),
    ("gc.interpolate(labels, 3, mode='linear')", "interpolate expects a float operand, got labels"),
    ("gc.interpolate(x[:, :, :0], 3, mode='linear')", "nothing to interpolate in an axis of size"),
    ("gc.max_pool_indices(x, 2, order='A')", "max_pool_indices: order is 'C' or 'F', got 'A'"),
    ("gc.fold(cols, (5, 5), 2)", "arrays of size (5, 5) have 4 × 4 windows, not 7: cols float32"),
    ("gc.fold(cols, (2, 9), (2, 3))", "8 rows are no multiple of the 6 of a window"),
    ("gc.fold(x, 3, 3)", "fold expects axes (batch, channels * elements, windows), got x"),
    ("gc.pad(x, 1, 'reflct')", "got 'reflct'; did you mean 'reflect'?"),
    ("gc.pad(x, ((0, 0), (0, 0), (6, 0), (0, 0)), 'reflect')",
     "mode 'reflect' by 6 needs 7 elements in axis 2: x float32"),
    ("gc.pad(x, -1)", "pad: widths are an int, a pair, or a pair for each of the 4 axes, none "
                      "negative, got -1 for x"),
    ("gc.pad(x, 'wide')", "none negative, got 'wide' for x"),
    ("gc.pad(x, 1, constant_values='a')", "pad: constant_values is a number, got 'a'"),
    ("gc.nn.conv2d(x, 5, 3, groups=2)", "2 groups do not divide 5 channels of the result"),
    ("gc.nn.conv2d(x, 4, 3, groups=3)", "3 groups do not divide the 4 channels of x"),
    ("gc.nn.conv2d(x, 0, 3)", "nn.conv2d: channels is an int of at least 1, got 0"),
    ("gc.nn.conv2d(named, 4, 3)", "nn.conv2d expects a known number of channels, got named"),
    ("gc.nn.conv2d(x, 4, 9)", "the window 9 is larger than axis 2 of size 6"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "told"), REFUSED, ids=[call for call, _ in REFUSED])
def test_what_makes_no_sense_is_told_where_it_stands(call: str, told: str) -> None:
    padding = "\n" * (CALL_LINE - 1 - DECLARATIONS.count("\n"))
    code = compile(DECLARATIONS + padding + call, "user_model.py", "exec")
    with gc.Graph("refused") as g, pytest.raises(GraphcError) as caught:
        exec(code, {"g": g, "gc": gc, "np": np})
    assert str(caught.value).startswith(f"user_model.py:{CALL_LINE}: "), str(caught.value)
    assert told in str(caught.value)


# --- named sizes ---------------------------------------------------------------------------------


def pyramid() -> gc.Graph:
    """Each op on sizes that are known only when the module runs."""
    with gc.Graph("pyramid", dtype="float64") as g:
        x = g.input("x", ("batch", 2, "height", "width"))
        w = g.parameter("w", (2, 2, 3, 2), init="he_normal")
        v = g.parameter("v", (2, 1, 3, 3), init="he_normal")
        h = gc.conv2d(x, w, stride=(2, 1), padding=1)
        p = gc.max_pool2d(h, 2)
        u = gc.conv_transpose2d(p, v, stride=2, groups=2, output_padding=1)
        g.output("u", u)
        g.loss(gc.sum(gc.global_avg_pool(u)) + gc.sum(gc.avg_pool2d(h, 2, stride=1)))
    return g


@in_every_style
@pytest.mark.parametrize("shape", [(2, 2, 6, 5), (1, 2, 7, 4), (0, 2, 6, 5)], ids=str)
def test_sizes_may_be_known_when_the_module_runs(shape: tuple[int, ...], style: str) -> None:
    module, rng = load(pyramid(), style=style), np.random.default_rng(0)
    params = module.init_params(rng)
    x = rng.normal(size=shape)
    h = sliding.convolution(x, params["w"], (2, 1), 1)
    u = sliding.transposed_convolution(sliding.max_pool(h, 2), params["v"], 2, 0, 1, 1, 2)
    np.testing.assert_allclose(module.predict(params, x), u, rtol=1e-13, atol=1e-13)
    loss, grads = module.value_and_grad(params, x)
    expected = u.mean(axis=(2, 3)).sum() + sliding.sum_pool(h, 2, 1).sum() / 4
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    step = rng.normal(size=params["w"].shape) * 1e-6
    ends = [module.evaluate({**params, "w": params["w"] + s * step}, x) for s in (1, -1)]
    np.testing.assert_allclose(2 * np.sum(grads["w"] * step), ends[0] - ends[1], atol=1e-13)


@in_every_style
def test_a_window_that_does_not_fit_is_told_by_the_module(style: str) -> None:
    module = load(pyramid(), style=style)
    params = module.init_params(np.random.default_rng(0))
    told = re.escape("a window needs (height + 1) // 2 >= 2")
    with pytest.raises(ValueError, match=told):
        module.predict(params, np.zeros((1, 2, 2, 5)))


@in_every_style
def test_padding_that_leaves_less_than_nothing_is_told_by_the_module(style: str) -> None:
    with gc.Graph("cropped") as g:
        x = g.input("x", ("batch", 1, "width"))
        g.output("y", gc.conv_transpose1d(x, np.ones((1, 1, 1)), padding=1))
    module = load(g, style=style)
    assert module.predict(np.ones((1, 1, 3), "float32")).shape == (1, 1, 1)
    with pytest.raises(ValueError, match="width - 2 >= 0"):
        module.predict(np.ones((1, 1, 1), "float32"))


@in_every_style
def test_a_long_reason_is_one_string(style: str) -> None:
    with gc.Graph("deep", dtype="float64") as g:
        x = g.input("x", ("batch", 1, "a_rather_long_name"))
        for _ in range(3):
            x = gc.interpolate(gc.max_pool1d(x, 3, stride=2, ceil_mode=True), scale=1.5)
        g.output("y", gc.conv_transpose1d(x, np.ones((1, 1, 1)), padding=2))
    module = load(g, style=style)
    assert module.predict(np.ones((1, 1, 60))).shape == (1, 1, 20)
    with pytest.raises(ValueError, match=r"^the size \(\(3 \* .* // 2\) - 4 >= 0$"):
        module.predict(np.ones((1, 1, 9)))


# --- sizes of results ----------------------------------------------------------------------------


def resized(x: Any, axis: int, length: int, factor: float, coordinates: str, **options: Any) -> Any:
    """x along an axis by the definitions, one place after the other."""
    places = definitions.places(x.shape[axis], length, factor, coordinates)
    shares = definitions.shares(places, x.shape[axis], **options)
    return np.moveaxis(np.moveaxis(x, axis, -1) @ shares.T, -1, axis)


@in_every_style
@pytest.mark.parametrize("shape", [(2, 1, 6, 5), (1, 1, 7, 4)], ids=str)
def test_what_is_interpolated_may_have_named_sizes(shape: tuple[int, ...], style: str) -> None:
    with gc.Graph("named", dtype="float64") as g:
        x = g.input("x", ("batch", 1, "height", "width"))
        h = gc.interpolate(x, scale=(1.5, 0.6), mode="linear", coordinates="align_corners")
        k = gc.interpolate(x, (5, 3), mode="cubic", antialias=True)
        near = gc.interpolate(x, scale=(0.5, 3), coordinates="half_pixel", rounding="ceil")
        g.output("h", h)
        g.output("k", k)
        g.output("near", near)
        g.loss(gc.sum(h * h) + gc.sum(k * k))
    module = load(g, style=style, wrt=["x"])
    rng = np.random.default_rng(0)
    value, (height, width) = rng.normal(size=shape), shape[2:]
    h = resized(value, 2, height * 3 // 2, 1.5, "align_corners")
    h = resized(h, 3, int(width * 0.6), 0.6, "align_corners")
    k = resized(value, 2, 5, 5 / height, "half_pixel", cubic=-0.75, scale=5 / height)
    k = resized(k, 3, 3, 3 / width, "half_pixel", cubic=-0.75, scale=3 / width)
    rows = definitions.nearest(definitions.places(height, height // 2, 0.5, "half_pixel"),
                               height, "ceil")  # fmt: skip
    columns = definitions.nearest(definitions.places(width, 3 * width, 3.0, "half_pixel"),
                                  width, "ceil")  # fmt: skip
    outputs = module.predict(value)
    np.testing.assert_allclose(outputs.h, h, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(outputs.k, k, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(outputs.near, rows @ value @ columns.T)
    _, grads = module.value_and_grad(value)
    step = rng.normal(size=shape) * 1e-5
    ends = [module.value_and_grad(value + s * step)[0] for s in (1, -1)]
    np.testing.assert_allclose(2 * np.sum(grads["x"] * step), ends[0] - ends[1], rtol=1e-7)


def _firsts(x: Any, y: Any, geometry: tuple[Any, ...]) -> Any:
    """The image and channel, with the window, of each first largest element, and its place."""
    for window, place in sliding.firsts(x, y, Windows(*geometry)):
        yield window, place[2:]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("size", [(5,), (4, 3), (3, 2, 4)], ids=str)
def test_indices_find_the_largest_elements(size: tuple[int, ...], order: Any) -> None:
    options: dict[str, Any] = {"stride": 1, "padding": 1, "ceil_mode": True}
    with gc.Graph("indices") as g:
        x = g.input("x", ("batch", 2, *size))
        g.output("y", getattr(gc, f"max_pool{len(size)}d")(x, 2, **options))
        g.output("indices", gc.max_pool_indices(x, 2, order=order, **options))
    value = np.random.default_rng(0).integers(0, 5, (2, 2, *size)).astype("float32")  # with ties
    outputs = load(g, style="functional", inference=True).predict(value)
    assert outputs.indices.dtype == np.int64
    for plane, y, indices in zip(
        value.reshape(-1, *size), outputs.y.reshape(4, -1), outputs.indices.reshape(4, -1),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(plane.ravel(order=order)[indices], y)
    geometry = sliding.options(2, len(size), 1, 1, 1)
    first = {(*window, *place) for window, place in _firsts(value, outputs.y, geometry)}
    found = {
        (*index, *np.unravel_index(number, size, order=order))
        for index, number in np.ndenumerate(outputs.indices)
    }
    assert found == {tuple(map(int, each)) for each in first}


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("ceil_mode", [True, False])
def test_means_are_of_what_counts(ceil_mode: bool, padded: bool) -> None:
    kernel, stride, padding, dilation = (2, 3), (3, 2), ((1, 0), (0, 2)), (2, 1)
    with gc.Graph("means", dtype="float64") as g:
        x = g.input("x", (1, 1, "height", "width"))
        g.output("y", gc.avg_pool2d(
            x, kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
            count_include_pad=padded,
        ))  # fmt: skip
    for size in [(6, 5), (7, 7), (5, 4)]:
        value = np.random.default_rng(0).normal(size=(1, 1, *size))
        geometry: tuple[Any, ...] = (kernel, stride, list(padding), dilation)
        wider = sliding.with_a_last_one(size, geometry) if ceil_mode else geometry
        expected = np.zeros(sliding.counts(size, *wider))
        for window in np.ndindex(*expected.shape):
            starts = [w * s - p[0] for w, s, p in zip(window, stride, padding, strict=True)]
            places = [
                tuple(a + d * e for a, d, e in zip(starts, dilation, element, strict=True))
                for element in np.ndindex(*kernel)
            ]
            inside = [p for p in places if all(0 <= i < n for i, n in zip(p, size, strict=True))]
            ends = [n + pad[1] for n, pad in zip(size, padding, strict=True)]
            known = [p for p in places if all(i < end for i, end in zip(p, ends, strict=True))]
            total = sum(value[0, 0][place] for place in inside)
            expected[window] = total / len(known if padded else inside)
        y = load(g, style="functional", inference=True).predict(value)
        np.testing.assert_allclose(y, expected[None, None], rtol=1e-13)


@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "align_corners"])
def test_the_nearest_of_a_whole_factor_is_that_of_its_place(
    coordinates: str, rounding: str
) -> None:
    with gc.Graph("nearest") as g:
        x = g.input("x", (1, 1, 4))
        y = gc.interpolate(x, scale=3, coordinates=coordinates, rounding=rounding)
        g.output("y", y)
    value = np.arange(4, dtype="float32")[None, None]
    rows = definitions.nearest(definitions.places(4, 12, 3.0, coordinates), 4, rounding)
    predicted = load(g, style="functional", inference=True).predict(value)
    np.testing.assert_array_equal(predicted, value @ rows.T)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_whole_numbers_have_pools_and_neighbours(dtype: Any) -> None:
    with gc.Graph("whole") as g:
        x = g.input("x", (1, 1, 5), dtype)
        g.output("largest", gc.max_pool1d(x, 3, stride=2, padding=1))
        g.output("near", gc.interpolate(x, 4))
    outputs = load(g, style="functional", inference=True).predict(
        np.array([[[3, 200, 7, 0, 255]]], dtype)
    )
    assert outputs.largest.dtype == outputs.near.dtype == dtype
    assert outputs.largest.tolist() == [[[200, 200, 255]]]
    assert outputs.near.tolist() == [[[3, 200, 7, 0]]]


def test_elements_that_are_repeated_need_no_product() -> None:
    with gc.Graph("repeated") as g:
        x = g.input("x", ("batch", 3, "height", "width"))
        upsampled = gc.upsample(x, (2, 3))
        middles = {"coordinates": "half_pixel", "rounding": "round_prefer_floor"}
        assert gc.interpolate(x, scale=(2, 3)) is upsampled
        assert gc.interpolate(x, scale=(1, 1, 2, 3), axes=(0, 1, 2, 3), **middles) is upsampled
        assert gc.interpolate(x, x.shape[2:], mode="linear") is x


# --- the text ------------------------------------------------------------------------------------

NEVER = ("sliding_window_view", "as_strided", "tensordot", "einsum", "np.add.at", "take_along_axis")


@pytest.mark.parametrize("style", ["functional", "workspace"])
def test_a_convolution_is_one_product_with_columns(style: str) -> None:
    source = gc.compile(pyramid(), style=style).source
    body = source[source.index("def predict" if style == "functional" else "class Workspace") :]
    body = body[: body.index("def checked")]
    assert "unfold(x, (3, 2), stride=(2, 1), padding=((1, 1), (1, 1))" in body
    assert "w.reshape(2, 12)" in body
    assert "max_pool(h, (2, 2)" in body
    assert not [name for name in NEVER if name in source]
    assert not re.search(r"^ +for ", body, re.MULTILINE)


def test_a_convolution_of_single_elements_makes_no_columns() -> None:
    with gc.Graph("pointwise") as g:
        x = g.input("x", ("batch", 3, 4, 4))
        g.loss(gc.sum(gc.conv2d(x, g.parameter("w", (5, 3, 1, 1)), stride=2)))
    source = gc.compile(g, wrt=["x", "w"]).source
    assert "unfold" not in source
    assert "w.reshape(5, 3) @ x[:, :, ::2, ::2].reshape(batch, 3, 4)" in source


def test_numpys_function_is_the_op() -> None:
    with gc.Graph("padded", dtype="float64") as g:
        x = g.input("x", (2, 3))
        g.output("y", np.pad(x, ((1, 0), (0, 2)), mode="constant", constant_values=-1.0))
    module = load(g, style="functional", inference=True)
    value: Any = np.arange(6.0).reshape(2, 3)
    expected = np.pad(value, ((1, 0), (0, 2)), constant_values=-1.0)
    np.testing.assert_array_equal(module.predict(value), expected)
