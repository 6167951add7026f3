"""Wrong calls: the class of the error, the line of the call, the operands and their lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gc
from graphc.errors import (
    DeclarationError,
    DifferentiationError,
    DTypeError,
    GraphcError,
    ShapeError,
    UnsupportedError,
)

# One declaration a line: what is declared in line 3 is expected to be told as [user_model.py:3].
DECLARATIONS = """\
a = g.input("a", (2, 3))
b = g.input("b", (4,))
s = g.input("s")
labels = g.input("labels", (2,), dtype="int64")
mask = g.input("mask", (2, 3), dtype="bool")
n = g.input("n", ("batch", 3))
m = g.input("m", ("rows", 3))
t = g.input("t", (2, 3, 4))
wide = g.input("wide", (2,), dtype="float64")
empty = g.input("empty", (0, 3))
bytes = g.input("bytes", (2,), dtype="uint8")
foreign = other.input("foreign", (2, 3))
"""
CALL_LINE = 40


class Wrong(NamedTuple):
    """A call, its error, the operands that the message names, and words that it contains."""

    call: str
    error: type[GraphcError]
    operands: str
    words: str

    def __str__(self) -> str:
        return self.call


CALLS = [
    # axes
    Wrong("a.sum(axis=2)", ShapeError, "a", "sum: axis 2 does not exist in an array of 2 axes"),
    Wrong("a.sum(axis=-3)", ShapeError, "a", "axis -3 does not exist"),
    Wrong("a.sum(axis='rows')", ShapeError, "a", "an axis is an int, got 'rows'"),
    Wrong("a.mean(axis=(0, 0))", ShapeError, "a", "an axis occurs twice in (0, 0)"),
    Wrong("gc.max(a, axis=5)", ShapeError, "a", "max: axis 5"),
    Wrong("gc.var(a, axis=2)", ShapeError, "a", "var: axis 2"),
    Wrong("gc.logsumexp(a, axis=(0, 2))", ShapeError, "a", "logsumexp: axis 2"),
    Wrong("gc.softmax(a, axis=2)", ShapeError, "a", "softmax: axis 2"),
    Wrong("gc.softmax(s)", ShapeError, "s", "softmax needs an axis"),
    Wrong("gc.concat([a, a], axis=2)", ShapeError, "a", "concat: axis 2"),
    Wrong("gc.stack([a, a], axis=3)", ShapeError, "a", "stack: axis 3"),
    Wrong("gc.split(a, 2, axis=2)", ShapeError, "a", "split: axis 2"),
    Wrong("gc.expand_dims(a, 4)", ShapeError, "a", "expand_dims: axis 4"),
    Wrong("gc.squeeze(a, 3)", ShapeError, "a", "squeeze: axis 3"),
    Wrong("gc.swapaxes(a, 0, 2)", ShapeError, "a", "swapaxes: axis 2"),
    Wrong("gc.permute_dims(a, (0, 2))", ShapeError, "a", "permute_dims: axis 2"),
    Wrong("gc.permute_dims(a, (0, 0))", ShapeError, "a", "each axis of", ),
    Wrong("gc.matrix_transpose(b)", ShapeError, "b", "at least 2 axes"),
    # shapes
    Wrong("a + b", ShapeError, "a b", "add: sizes 3 and 4 differ"),
    Wrong("a * n", ShapeError, "a n", "multiply: sizes 2 and batch differ"),
    Wrong("n + m", ShapeError, "n m", "add: sizes batch and rows differ"),
    Wrong("np.add(a, b)", ShapeError, "a b", "add: sizes 3 and 4 differ"),
    Wrong("gc.where(mask, a, b)", ShapeError, "mask a b", "where: sizes 3 and 4 differ"),
    Wrong("a @ b", ShapeError, "a b", "matmul: sizes 3 and 4 differ"),
    Wrong("a @ a", ShapeError, "a", "matmul: sizes 3 and 2 differ"),
    Wrong("s @ a", ShapeError, "s a", "both operands need an axis"),
    Wrong("gc.mse(a, b)", ShapeError, "a b", "mse: prediction and target need one shape"),
    Wrong("gc.concat([a, t])", ShapeError, "a t", "concat: all need the same number of axes"),
    Wrong("gc.concat([a, n], axis=1)", ShapeError, "a n", "concat: sizes batch and 2 differ"),
    Wrong("gc.concat([s, s])", ShapeError, "s", "at least 1 axes"),
    Wrong("gc.stack([a, b])", ShapeError, "a b", "stack: all need the same shape"),
    Wrong("gc.cross_entropy(a, gc.one_hot(labels, 3).astype(int))", DTypeError, "a",
          "labels with no axis of classes, or floats"),
    Wrong("gc.cross_entropy(t, labels)", ShapeError, "t labels", "labels need one axis less"),
    Wrong("gc.pick(a, 0)", ShapeError, "a", "labels need one axis less"),
    Wrong("gc.broadcast_to(a, (3,))", ShapeError, "a", "(2, 3) does not broadcast to (3)"),
    Wrong("gc.broadcast_to(a, (3, 3))", ShapeError, "a", "sizes 2 and 3 differ"),
    Wrong("gc.squeeze(n, 0)", ShapeError, "n", "squeeze: axis 0"),
    # sizes
    Wrong("a.reshape(-1, -1)", ShapeError, "a", "-1 in (-1, -1) is not determined"),
    Wrong("empty.reshape(0, -1)", ShapeError, "empty", "-1 in (0, -1) is not determined"),
    Wrong("a.reshape(4, -1)", ShapeError, "a", "6 elements do not divide by 4"),
    Wrong("a.reshape(5)", ShapeError, "a", "6 elements do not fill (5)"),
    Wrong("n.reshape(7)", ShapeError, "n", "3 * batch elements do not fill (7)"),
    Wrong("a.reshape(-2, 3)", ShapeError, "", "reshape: a size is not negative, got -2"),
    Wrong("a.reshape(2.5, 3)", ShapeError, "", "got 2.5"),
    Wrong("a.reshape('2n', 3)", ShapeError, "", "identifier, got '2n'"),
    Wrong("gc.broadcast_to(s, (-3,))", ShapeError, "", "broadcast_to: a size is not negative"),
    Wrong("gc.arange(-1)", ShapeError, "", "arange: a size is not negative, got -1"),
    Wrong("gc.one_hot(labels, -1)", ShapeError, "", "one_hot: a size is not negative, got -1"),
    Wrong("gc.split(a, 2, axis=1)", ShapeError, "", "3 does not divide into 2 equal parts"),
    Wrong("gc.split(a, 0)", ShapeError, "", "2 does not divide into 0"),
    Wrong("gc.split(a, 1.5)", ShapeError, "", "got 1.5"),
    Wrong("gc.split(a, 'x')", ShapeError, "", "the number of parts is an int"),
    Wrong("gc.split(a, [2, 1], axis=1)", ShapeError, "", "[2, 1] do not ascend within 3"),
    # indices
    Wrong("a[2]", ShapeError, "a", "index 2 does not exist in axis 0"),
    Wrong("a[0, -4]", ShapeError, "a", "index -4 does not exist in axis 1"),
    Wrong("a[0, 0, 0]", ShapeError, "a", "an index of 3 axes"),
    Wrong("n[5:2]", ShapeError, "n", "5 lies beyond 2"),
    Wrong("a[..., ...]", ShapeError, "", "one ..."),
    Wrong("a[::0]", ShapeError, "", "step of a slice"),
    Wrong("a[[0, 1]]", UnsupportedError, "", "got [0, 1]"),
    Wrong("a[mask]", UnsupportedError, "", "gc.where chooses by a mask"),
    Wrong("gc.take(a, 2, 0)", ShapeError, "a", "index 2 does not exist in axis 0"),
    Wrong("gc.take(a, [0, 3], 1)", GraphcError, "", "take: index 3 does not exist in 3 elements"),
    Wrong("gc.take(a, b, 1)", DTypeError, "b", "take expects indices of an int dtype"),
    Wrong("gc.take(a, labels, 2)", ShapeError, "a", "take: axis 2 does not exist"),
    Wrong("gc.take_along_axis(a, labels)", ShapeError, "a labels", "indices of as many axes as x"),
    Wrong("gc.take_along_axis(t, gc.zeros_like(t[:, :2]).astype(int))", ShapeError, "t",
          "take_along_axis: sizes 2 and 3 differ"),
    Wrong("gc.gather_nd(n, labels, 1.0)", GraphcError, "", "gather_nd: batch_dims is an int, got"),
    Wrong("gc.gather_nd(s, labels)", ShapeError, "s labels", "expects 1 to 0 indices"),
    Wrong("gc.gather_nd(b, labels)", ShapeError, "b labels", "expects 1 to 1 indices an element"),
    Wrong("gc.scatter_along_axis(b, labels, b[:2], 0, 'ad')", GraphcError, "", "mean 'add'?"),
    Wrong("gc.scatter_along_axis(mask, [[0]], [[True]], 0, 'max')", DTypeError, "", "numbers"),
    Wrong("gc.moveaxis(a, (0, 1), 0)", ShapeError, "", "as many places as axes"),
    Wrong("gc.moveaxis(a, 2, 0)", ShapeError, "a", "moveaxis: axis 2 does not exist"),
    Wrong("gc.roll(a, 0.5, 0)", GraphcError, "", "roll: the shift is an int, got 0.5"),
    Wrong("gc.repeat(a, [1, -1], 0)", GraphcError, "a", "none negative, got [1, -1]"),
    Wrong("gc.tile(a, np.ones((1, 2), int))", ShapeError, "", "a size is an int or the name of"),
    Wrong("gc.tile(a, -1)", ShapeError, "", "tile: a size is not negative, got -1"),
    Wrong("gc.tril(b)", ShapeError, "b", "tril expects at least 2 axes"),
    Wrong("gc.eye(2, k='x')", GraphcError, "", "eye: k is an int, got 'x'"),
    Wrong("gc.pad(bytes, 1, constant_values=256)", DTypeError, "bytes", "256 is no value of"),
    Wrong("gc.pad(bytes, 1, constant_values=-1)", DTypeError, "bytes", "-1 is no value of"),
    Wrong("gc.pad(mask, 1, constant_values=2)", DTypeError, "mask", "2 is no value of"),
    Wrong("gc.pad(labels, 1, constant_values=0.5)", DTypeError, "labels", "0.5 is no value of"),
    # operands
    Wrong("a + '1'", DTypeError, "", "got '1'"),
    Wrong("'1' * a", DTypeError, "", "got '1'"),
    Wrong("a ** None", DTypeError, "", "got None"),
    Wrong("gc.exp('x')", DTypeError, "", "got 'x'"),
    Wrong("a + 1j", DTypeError, "", "'complex128' is not supported"),
    Wrong("a + [a, a]", UnsupportedError, "", "use gc.stack or gc.concat"),
    Wrong("a.astype('float8')", DTypeError, "", "'float8' is not supported"),
    Wrong("gc.where(a, 1.0, 2.0)", DTypeError, "a", "where expects a bool condition"),
    Wrong("-mask", DTypeError, "mask", "negative: expects numbers, not bools"),
    Wrong("mask - mask", DTypeError, "mask", "subtract: expects numbers, not bools"),
    Wrong("gc.cross_entropy(a, wide)", DTypeError, "wide", "labels of an int dtype"),
    Wrong("gc.cross_entropy(a, [0.5, 1.0])", DTypeError, "", "labels of an int dtype"),
    Wrong("gc.one_hot(wide, 3)", DTypeError, "wide", "labels of an int dtype"),
    Wrong("gc.pick(labels, labels)", DTypeError, "labels", "expects a float operand"),
    Wrong("gc.add(a)", GraphcError, "", "add takes 2 operands, got 1"),
    Wrong("t & 1", UnsupportedError, "t", "gc.logical_and, or gc.bitwise_and for the bits"),
    Wrong("~a", UnsupportedError, "a", "combine conditions"),
    Wrong("gc.sum(a, axes=1)", UnsupportedError, "", "sum got an unexpected keyword argument"),
    Wrong("np.where(mask)", GraphcError, "", "where takes 3 operands, got 1"),
    Wrong("gc.clip(a)", GraphcError, "", "low, high or both"),
    Wrong("gc.concat([])", GraphcError, "", "at least one array, got []"),
    Wrong("gc.leaky_relu(a, 2)", GraphcError, "", "slope <= 1, got 2"),
    Wrong("gc.leaky_relu(a, 'steep')", GraphcError, "", "got 'steep'"),
    Wrong("np.sum(a, 0, np.float64)", GraphcError, "", "keepdims is True or False"),
    Wrong("gc.std(a, correction='x')", GraphcError, "", "correction is a number, got 'x'"),
    Wrong("gc.dot(t, a)", UnsupportedError, "t a", "dot takes at most two axes"),
    Wrong("gc.by_mode(a, b)", ShapeError, "a b", "by_mode: needs two values of one type"),
    Wrong("a + foreign", DeclarationError, "a foreign", "add mixes nodes of two graphs"),
    # activations
    Wrong("gc.prelu(a, b)", ShapeError, "a b", "one slope, or one for each channel"),
    Wrong("gc.prelu(t, a)", ShapeError, "t a", "one slope, or one for each channel"),
    Wrong("gc.elu(a, alpha='x')", DTypeError, "", "got 'x'"),
    Wrong("gc.gelu(a, 'tahn')", GraphcError, "", "got 'tahn'; did you mean 'tanh'"),
    Wrong("gc.maxout(a, 2)", ShapeError, "a", "2 pieces do not divide axis -1"),
    Wrong("gc.maxout(a, 0)", GraphcError, "", "pieces is an int of at least 1, got 0"),
    Wrong("gc.maxout(a, 3, axis=2)", ShapeError, "a", "maxout: axis 2"),
    Wrong("gc.threshold(a, 'x', 0)", GraphcError, "", "threshold: limit is a number, got 'x'"),
    # losses
    Wrong("gc.mae(a, a, reduction='maen')", GraphcError, "", "got 'maen'; did you mean 'mean'"),
    Wrong("gc.mse(a, a, 'batchmean')", GraphcError, "", "'mean', 'sum' or 'none', got 'batchmean'"),
    Wrong("gc.mse(a, a[:, 0])", ShapeError, "a", "mse: prediction and target need one shape"),
    Wrong("gc.mse(a, a[:, :1])", ShapeError, "a", "mse: prediction and target need one shape"),
    Wrong("gc.mse(a, a, sample_weight=b)", ShapeError, "b", "axes of sample_weight are the first"),
    Wrong("gc.mse(a, a, sample_weight='b')", DTypeError, "", "mse: sample_weight: an operand is"),
    Wrong("gc.nll(a, None)", DTypeError, "", "nll: labels: an operand is a node"),
    Wrong("gc.nll(a, gc.astype(t, 'uint8'), ignore_index=-100)", GraphcError, "",
          "nll: no label is the ignore_index -100"),
    Wrong("gc.mse(n, n, sample_weight=m[:, 0])", ShapeError, "", "axes of sample_weight"),
    Wrong("gc.mse(a, a, sample_weight=t)", ShapeError, "t", "axes of sample_weight are the first"),
    Wrong("gc.huber(a, a, delta=0)", GraphcError, "", "huber: delta is positive, got 0"),
    Wrong("gc.huber(a, a, delta='x')", GraphcError, "", "huber: delta is a number, got 'x'"),
    Wrong("gc.smooth_l1(a, a, beta=-1)", GraphcError, "", "beta is not negative, got -1"),
    Wrong("gc.gaussian_nll(a, a, b)", ShapeError, "b a", "variance has the shape of prediction"),
    Wrong("gc.gaussian_nll(a, a, -1.0)", GraphcError, "", "variance is not negative, got -1.0"),
    Wrong("gc.poisson_nll(a, a, full=1)", GraphcError, "", "full is True or False, got 1"),
    Wrong("gc.kl_div(a, a, reduction='batchmaen')", GraphcError, "", "did you mean 'batchmean'"),
    Wrong("gc.kl_div(a, a, False, 'batchmean', b)", GraphcError, "", "takes no sample_weight"),
    Wrong("gc.bce(a, 2.0)", GraphcError, "", "bce: targets lie in [0, 1], got 2.0"),
    Wrong("gc.bce_with_logits(a, -1.0)", GraphcError, "", "targets lie in [0, 1], got -1.0"),
    Wrong("gc.bce_with_logits(s, 1.0, b)", ShapeError, "b", "pos_weight does not broadcast"),
    Wrong("gc.bce_with_logits(a, a, b)", ShapeError, "b a", "pos_weight does not broadcast"),
    Wrong("gc.hinge(a, mask)", DTypeError, "mask", "expects labels -1 and 1, got bools"),
    Wrong("gc.logistic(b, [0, 1, 1, 0])", GraphcError, "", "labels are -1 or 1, got 0"),
    Wrong("gc.nll(a, [0, 3])", GraphcError, "", "nll: labels must be in 0..2, got 3"),
    Wrong("gc.one_hot([-1, 0], 3)", GraphcError, "", "one_hot: labels must be in 0..2, got -1"),
    Wrong("gc.pick(a, [0, 3])", GraphcError, "", "pick: labels must be in 0..2, got 3"),
    Wrong("gc.multi_margin(a, wide)", DTypeError, "wide", "labels of an int dtype"),
    Wrong("gc.cross_entropy(s, 0)", ShapeError, "s", "at least 1 axes"),
    Wrong("gc.cross_entropy(a, labels, class_weight=b)", ShapeError, "b a", "for each class"),
    Wrong("gc.cross_entropy(a, a, ignore_index=0)", GraphcError, "a", "labels of an int dtype"),
    Wrong("gc.cross_entropy(a, labels, ignore_index=0.5)", GraphcError, "", "is an int, got 0.5"),
    Wrong("gc.cross_entropy(a, labels, label_smoothing=1.5)", GraphcError, "", "lies in [0, 1]"),
    Wrong("gc.cross_entropy(a, [0, -100])", GraphcError, "", "labels must be in 0..2, got -100"),
    Wrong("gc.cross_entropy(a, labels, sample_weight=b)", ShapeError, "b", "axes of sample_weight"),
    # derivatives
    Wrong("gc.grad(a, a)", ShapeError, "a", "grad needs a scalar"),
    Wrong("gc.grad(b.sum(), a)", DifferentiationError, "a", "does not reach sum float32 ()"),
    Wrong("gc.grad(gc.sign(a).sum(), a)", DifferentiationError, "a", "does not reach"),
    Wrong("gc.vjp(a.sum(), labels)", DTypeError, "labels", "wrt has a float dtype"),
    Wrong("gc.vjp(a, a, b)", ShapeError, "a", "a cotangent of shape (4,) does not fit"),
    Wrong("gc.jvp(a, a, b)", ShapeError, "a", "a tangent of shape (4,) does not fit"),
    Wrong("gc.vjp(a, a, [1.0, 2.0])", GraphcError, "", "1 outputs need as many cotangents, got 2"),
]  # fmt: skip


def declared() -> dict[str, Any]:
    """A namespace in which the operands stand."""
    g = gc.Graph("wrong")
    scope = {"g": g, "other": gc.Graph("other"), "gc": gc, "np": np}
    exec(compile(DECLARATIONS, "user_model.py", "exec"), scope)
    return scope


@pytest.mark.parametrize("wrong", CALLS, ids=str)
def test_a_wrong_call_is_told(wrong: Wrong) -> None:
    scope = declared()
    source = "\n" * (CALL_LINE - 1) + wrong.call
    with scope["g"], pytest.raises(GraphcError) as caught:
        eval(compile(source, "user_model.py", "eval"), scope)
    assert type(caught.value) is wrong.error
    message = str(caught.value)
    assert message.startswith(f"user_model.py:{CALL_LINE}: ")
    assert wrong.words in message
    assert "\n" not in message
    lines = {line.split(" = ")[0]: i for i, line in enumerate(DECLARATIONS.splitlines(), 1)}
    for name in wrong.operands.split():
        assert f"{name} {scope[name].types[0]} [user_model.py:{lines[name]}]" in message


def test_errors_are_what_python_code_expects_them_to_be() -> None:
    """Code that knows nothing of graphc catches ValueError and TypeError."""
    assert issubclass(ShapeError, ValueError)
    assert issubclass(DTypeError, TypeError)
    assert issubclass(UnsupportedError, TypeError)
    assert issubclass(DifferentiationError, ValueError)


@pytest.mark.parametrize("call", [c.call for c in CALLS if c.error is ShapeError][:20])
def test_a_refused_call_leaves_no_node(call: str) -> None:
    scope = declared()
    g = scope["g"]
    before = [*g.nodes]
    with g, pytest.raises(ShapeError):
        eval(call, scope)
    assert len(g.nodes) == len(before)


# --- what only a run can tell --------------------------------------------------------------------


def loaded(*outputs: Any) -> Any:
    """`predict` of the open graph's outputs."""
    graph = outputs[0].graph
    for i, node in enumerate(outputs):
        graph.output(f"y{i}", node)
    return gc.compile(graph, inference=True).load().predict


def test_a_reshape_that_may_not_divide_is_checked_when_it_runs() -> None:
    with gc.Graph("guard") as g:
        predict = loaded(g.input("x", ("n",)).reshape(-1, 2))
    assert predict(np.zeros(4)).shape == (2, 2)
    with pytest.raises(ValueError, match="n elements have to divide by 2"):
        predict(np.zeros(5))


def test_a_split_that_may_not_fit_is_checked_when_it_runs() -> None:
    with gc.Graph("guard") as g:
        predict = loaded(*gc.split(g.input("x", ("n",)), [2]))
    assert [part.shape for part in predict(np.zeros(5))] == [(2,), (3,)]
    with pytest.raises(ValueError, match=r"a part of n - 2 elements cannot be cut off"):
        predict(np.zeros(1))


def test_equal_parts_are_checked_when_it_runs() -> None:
    with gc.Graph("guard") as g:
        predict = loaded(*gc.split(g.input("x", ("n",)), 2))
    assert [part.shape for part in predict(np.zeros(6))] == [(3,), (3,)]
    with pytest.raises(ValueError, match="have to be equal"):
        predict(np.zeros(5))


def test_an_index_that_may_not_exist_is_checked_when_it_runs() -> None:
    with gc.Graph("guard") as g:
        predict = loaded(g.input("x", ("n",))[3])
    assert predict(np.arange(4)) == 3
    with pytest.raises(ValueError, match="an index needs n >= 4"):
        predict(np.zeros(3))


def test_labels_out_of_range_are_told_when_it_runs() -> None:
    with gc.Graph("labels") as g:
        predict = loaded(gc.pick(g.input("x", ("n", 3)), g.input("t", ("n",), "int64")))
    assert predict(np.eye(3), np.arange(3)).tolist() == [1, 1, 1]
    for wrong in ([0, 1, 3], [-1, 0, 0]):
        with pytest.raises(IndexError, match=r"labels must be in 0\.\.2"):
            predict(np.eye(3), np.array(wrong))
