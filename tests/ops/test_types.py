"""The inferred shape and dtype are those of what generated code computes."""

from __future__ import annotations

import numpy as np

import graphc as gc
from graphc.errors import ShapeError
from graphc.ir.dims import evaluate
from graphc.ir.types import FLOAT
from tests.ops.cases import (
    CASES,
    DIFFERENTIABLE,
    FLOATS,
    Array,
    Case,
    Model,
    declare,
    first_order,
    is_differentiable,
    listed,
    over,
    values,
)
from tests.ops.kinds import KINDS, of_kinds


def assert_types(model: Model, results: dict[str, Array]) -> None:
    """Assert for each output that it is what the graph says it is."""
    for name, node in model.graph.outputs.items():
        result = np.asarray(results[name])
        assert (result.shape, result.dtype) == (node.shape, node.dtype.numpy), name


@over(CASES)
def test_shape_and_dtype_are_the_inferred_ones(case: Case) -> None:
    for dtype in FLOATS:
        model = values(case, dtype)
        assert_types(model, model.run())


@over([case for case in CASES if "dtype" not in case.op.parameters])
def test_float32_stays_float32(case: Case) -> None:
    for node in values(case, "float32").results:
        assert node.dtype.kind != FLOAT or node.dtype.name == "float32"


@over(DIFFERENTIABLE)
def test_derivatives_have_the_types_of_what_they_belong_to(case: Case) -> None:
    for dtype in FLOATS:
        model = first_order(case, dtype)
        results = model.run()
        assert_types(model, results)
        for x, bar in zip(model.floats, listed(results, "bar"), strict=True):
            assert (bar.shape, bar.dtype) == (x.shape, x.dtype.numpy)
        for y, dot in zip(model.targets, listed(results, "dot"), strict=True):
            assert (dot.shape, dot.dtype) == (y.shape, y.dtype.numpy)


@over(DIFFERENTIABLE)
def test_float32_and_float64_agree(case: Case) -> None:
    wide = first_order(case, "float64")
    narrow = first_order(case, "float32").run()
    # The same rounded arguments for both, so that the results differ by rounding alone.
    exact = wide.run({k: v.astype("float32").astype(v.dtype) if v.dtype.kind == "f" else v
                      for k, v in wide.feeds.items()})  # fmt: skip
    for name, value in exact.items():
        scale = np.abs(value).max(initial=1.0)
        np.testing.assert_allclose(narrow[name], value, rtol=1e-5, atol=5e-6 * scale, err_msg=name)


@over(CASES)
def test_every_dtype_is_computed_as_inferred_or_refused(case: Case) -> None:
    for dtype in KINDS:
        model, refused = of_kinds(case, dtype)
        assert "float16" not in refused
        assert all(case.op.name in str(error) for error in refused.values()), refused
        if model.graph.outputs:
            with np.errstate(all="ignore"):
                assert_types(model, model.run())


# --- named sizes ----------------------------------------------------------------------------------


def by_size(shape: tuple[int, ...]) -> tuple[int | str, ...]:
    """Each size above 1 under a name of its own, so that equal sizes are provably equal."""
    return tuple(f"n{size}" if size > 1 else size for size in shape)


def leading(shape: tuple[int, ...]) -> tuple[int | str, ...]:
    """Only the first size under a name: the batch axis of most models."""
    return tuple(f"n{size}" if axis == 0 and size > 1 else size for axis, size in enumerate(shape))


@over(CASES)
def test_named_sizes_change_no_result(case: Case) -> None:
    fixed = with_gradients(declare(case), case)
    expected = fixed.run()
    sizes = {f"n{n}": n for value in fixed.feeds.values() for n in value.shape}
    for shaped in (by_size, leading):
        try:
            named = declare(case, shaped=shaped)
        except ShapeError:
            # A size in the call itself, or one that differs in one axis alone, does not fit names;
            # but the shapes of elementwise samples broadcast under names as under numbers.
            assert case.op.family != "elementwise" or shaped is leading
            continue
        results = with_gradients(named, case).run()
        for name, node in named.graph.outputs.items():
            shape = tuple(evaluate(n, sizes) for n in node.shape)
            told = f"{name}, {shaped.__name__}"
            assert shape == fixed.graph.outputs[name].shape, told
            np.testing.assert_allclose(
                results[name], expected[name], rtol=1e-12, atol=1e-13, err_msg=told
            )


def with_gradients(model: Model, case: Case) -> Model:
    """The model with gradients, if it has any, as further outputs."""
    if is_differentiable(case):
        with model.graph:
            # A scalar of uneven slope, which needs no cotangent of a shape without a name.
            losses = [gc.sum(gc.square(y) + y) for y in model.targets]
            model.outputs("bar", gc.vjp(losses, model.floats, allow_unused=True))
    return model
