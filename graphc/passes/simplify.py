"""Algebra on the joint graph, as lists of identities.

EXACT keeps every bit, for infinities, NaN and signed zeros too; `x * 0` and `x - x` are in no list.
(A view may take the place of an array; products and sums over it may add in another order.)
REASSOCIATE may change the last bits, and the sign of a zero: it moves scalar factors to where they
cost least, and orders chains of products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir import dims
from graphc.ir.emission import evaluate
from graphc.ir.function import sizes_read
from graphc.ir.graph import CONSTANT, scalar_value
from graphc.ir.intervals import ZERO, interval_of
from graphc.ir.node import Node
from graphc.ir.pattern import EXACT, REASSOCIATE, Rule, call, wilds
from graphc.ir.types import TensorType, bool_, broadcast
from graphc.ops.operands import size_node
from graphc.ops.reduction import sum as sum_over
from graphc.ops.shape import permute_dims
from graphc.passes.shapes import SHAPES, over_nothing

x, y, z, s, t = wilds("x y z s t")

# --- arithmetic --------------------------------------------------------------------------------


def fold(node: Node) -> Node | None:
    """An op on constants is a constant: what its emission computes now, it computes at run time."""
    if not node.args or not isinstance(node.type, TensorType) or not node.op.emission.numpy:
        return None
    if node.op.emission.view:
        return None  # costs nothing, and reads better than its numbers
    if any(isinstance(size, dims.Dim) for size in sizes_read(node)):
        return None
    elements = [dims.evaluate(dims.product(n.shape), {}) for n in (node, *node.args)]
    if elements[0] > max(64, *elements[1:]):
        return None
    try:
        with np.errstate(all="ignore"):
            value = evaluate(node, tuple(arg.params.data.array for arg in node.args), {})
    except (IndexError, ValueError):
        return None  # told where it happens, when the module runs
    return node.graph.constant(value, node.dtype)


FOLD = Rule("f(constants) = constant", lambda op: bool(op.operands), fold, EXACT,
            operands=lambda ops: all(op is CONSTANT for op in ops))  # fmt: skip


def negated_reduction(node: Node, x: Node) -> Node | None:
    """The sign of all terms is that of the sum."""
    return -node.op.node((x,), *node.params)


SIGNS = (
    Rule("x + x = 2 * x", x + x, 2.0 * x, EXACT),
    Rule("-(-x) = x", -(-x), x, EXACT),
    Rule("(-x) * y = -(x * y)", -x * y, -(x * y), EXACT,
         when=lambda x, y: broadcast([x.shape, y.shape])[0] == x.shape),
    Rule("(-x) / y = -(x / y)", -x / y, -(x / y), EXACT),
    Rule("x / (-y) = -(x / y)", x / -y, -(x / y), EXACT),
    Rule("x + (-y) = x - y", x + -y, x - y, EXACT),
    Rule("x - (-y) = x + y", x - -y, x + y, EXACT),
    Rule("x * -1 = -x", x * -1.0, -x, EXACT),
    Rule("x / -1 = -x", x / -1.0, -x, EXACT),
)  # fmt: skip


def masked_again(node: Node, s: Node, x: Node, y: Node) -> Node | None:
    """What guards leave of an operand that loses a comparison, once its slope is taken."""
    if x.op is not y.op or x.op.family != "elementwise" or x.params != y.params:
        return None
    pairs = zip(x.args, y.args, strict=True)
    same = all(
        b is a or (b.op.name == "where" and b.args[0] is s and b.args[2] is a) for a, b in pairs
    )
    return x if same and x.type == node.type else None


UNITS = (
    Rule("x * 1 = x", x * 1.0, lambda node, x: _same(node, x), EXACT),
    Rule("x / 1 = x", x / 1.0, lambda node, x: _same(node, x), EXACT),
    Rule("x - 0 = x", x - 0.0, lambda node, x: _same(node, x), EXACT),
    Rule("x + -0 = x", x + -0.0, lambda node, x: _same(node, x), EXACT),
    Rule("x ** 1 = x", x**1.0, lambda node, x: _same(node, x), EXACT),
    Rule("where(c, x, x) = x", call("where", s, x, x), lambda node, s, x: _same(node, x), EXACT),
    Rule("not not x = x", ~(~x), lambda node, x: _same(node, x), EXACT),
    Rule("where(c, f(x), f(where(c, y, x))) = f(x)", call("where", s, x, y), masked_again, EXACT),
    Rule("where(not c, x, y) = where(c, y, x)", call("where", ~s, x, y), call("where", s, y, x),
         EXACT, when=lambda s, x, y: s.dtype is bool_),
    Rule("maximum(x, x) = x", call("maximum", x, x), x, EXACT),
    Rule("minimum(x, x) = x", call("minimum", x, x), x, EXACT),
)  # fmt: skip


def _same(node: Node, x: Node) -> Node | None:
    return x if x.type == node.type else None


# --- last bits may change ----------------------------------------------------------------------


def is_scalar(node: Node) -> bool:
    """Whether a node has no axes."""
    return not node.shape


def cheaper(small: Node, large: Node) -> bool:
    """Whether scaling the one costs less than scaling the other, for all sizes."""
    a, b = dims.product(small.shape), dims.product(large.shape)
    return dims.at_least(b, a) and not dims.at_least(a, b)


def scale_smaller(node: Node, x: Node, s: Node, y: Node) -> Node | None:
    """s (x @ y): the factor goes to the product, unless it stands at a smaller operand."""
    if not is_scalar(s) or s.dtype.itemsize < 4:
        return None
    product = x @ y
    if cheaper(product, x):
        return product * s
    return x @ (y * s) if cheaper(y, x) else None


def scale_operand(node: Node, x: Node, y: Node, s: Node) -> Node | None:
    """(x @ y) s: the factor goes to the smaller operand, if that is smaller than the product."""
    if not is_scalar(s) or s.dtype.itemsize < 4:
        return None
    small = y if cheaper(y, x) else x
    if not cheaper(small, x @ y):
        return None
    return (x * s) @ y if small is x else x @ (y * s)


def transposed_product(node: Node, x: Node, y: Node) -> Node | None:
    """(x y)ᵀ = yᵀ xᵀ, for matrices."""
    if node.params.axes != (1, 0) or x.ndim != 2 or y.ndim != 2:
        return None
    return permute_dims(y) @ permute_dims(x)


def chain_right(node: Node, x: Node, y: Node, z: Node) -> Node | None:
    """(x y) z = x (y z), where that takes fewer multiplications for all sizes."""
    if any(m.ndim > 2 for m in (x, y, z)) or x.ndim < 2 or y.ndim < 2:
        return None
    (m, k), n = x.shape, y.shape[1]
    p = z.shape[1] if z.ndim == 2 else 1
    left, right = m * k * n + m * n * p, k * n * p + m * k * p
    return x @ (y @ z) if _fewer(right, left) else None


def chain_left(node: Node, x: Node, y: Node, z: Node) -> Node | None:
    """x (y z) = (x y) z, where that takes fewer multiplications for all sizes."""
    if any(m.ndim > 2 for m in (x, y, z)) or y.ndim < 2 or z.ndim < 2:
        return None
    m = x.shape[0] if x.ndim == 2 else 1
    (k, n), p = y.shape, z.shape[1]
    left, right = m * k * n + m * n * p, k * n * p + m * k * p
    return (x @ y) @ z if _fewer(left, right) else None


def _fewer(a: Any, b: Any) -> bool:
    return dims.at_least(b, a) and not dims.at_least(a, b)


def merge_sums(node: Node, x: Node) -> Node | None:
    """A sum over some axes of a sum over others is one sum."""
    inner = node.args[0]
    if inner.params.keepdims or node.params.keepdims:
        return None
    left = [axis for axis in range(x.ndim) if axis not in inner.params.axes]
    axes = {*inner.params.axes, *(left[axis] for axis in node.params.axes)}
    result: Node = sum_over(x, tuple(sorted(axes)))
    return result


def sum_of_scaled(node: Node, x: Node, s: Node) -> Node | None:
    """sum(x s) = s sum(x)."""
    if not is_moderate(s) or not node.params.axes:
        return None
    return sum_over(x, node.params.axes, node.params.keepdims) * s


def masked_already(node: Node, x: Node, y: Node) -> Node | None:
    """A mask on what has the same mask inside, and is finite where that is 0."""
    if x.type != node.type:
        return None
    cases = [(y, part) for part in y.args] if y.op.name == "logical_and" else [(y,)]
    return x if all(interval_of(x, case) == ZERO for case in cases) else None


ZEROS = (  # the sign of a zero may change: a sum begins with 0, and terms that cancel make 0
    *(Rule(f"{name}(x) over no axes = x", call(name, x), over_nothing, REASSOCIATE)
      for name in ("sum", "mean")),
    Rule("x + 0 = x", x + 0.0, lambda node, x: _same(node, x), REASSOCIATE),
    Rule("(-x) - y = -(x + y)", -x - y, -(x + y), REASSOCIATE, once=True),
    Rule("x @ (-y) = -(x @ y)", call("matmul", x, -y), -call("matmul", x, y), REASSOCIATE),
    *(Rule(f"{name}(-x) = -{name}(x)", call(name, -x), negated_reduction, REASSOCIATE)
      for name in ("sum", "mean")),
    Rule("(-x) @ y = -(x @ y)", call("matmul", -x, y), -call("matmul", x, y), REASSOCIATE),
    Rule("mask(x, y) = x where x is 0 unless y", call("mask", x, y), masked_already, REASSOCIATE),
)  # fmt: skip


def is_moderate(node: Node) -> bool:
    """Whether a scalar factor can change places without a value leaving the range of its dtype.

    A size, or a constant within a thousandfold of 1; float16 has no range to spare.
    """
    if not is_scalar(node) or node.dtype.itemsize < 4:
        return False
    value = scalar_value(node)
    return node.op.name == "dimension" or (value is not None and 1e-3 <= abs(value) <= 1e3)


def same_size(x: Node, s: Node, y: Node) -> bool:
    """Whether a scalar factor of y can go to x * y without scaling more elements."""
    return is_moderate(s) and bool(x.shape) and broadcast([x.shape, y.shape])[0] == y.shape


def two_scalars(x: Node, s: Node, t: Node) -> bool:
    """Whether two scalar factors of an array can be multiplied first."""
    moderate = is_moderate(s) or is_moderate(t)
    return bool(x.shape) and is_scalar(s) and is_scalar(t) and moderate


def cancel_size(node: Node, x: Node, s: Node, t: Node) -> Node | None:
    """s (x / n) = x / (n / s), where s divides n."""
    factor = scalar_value(s)
    if factor is None or factor < 2 or not float(factor).is_integer() or t.op.name != "dimension":
        return None
    size = dims.exact_quotient(t.params.size, int(factor))
    return None if size is None else x / size_node(node.graph, size, t.dtype)


SCALARS = (
    Rule("x * (y * s) = (x * y) * s", x * (y * s), (x * y) * s, REASSOCIATE, once=True,
         when=same_size),
    Rule("s * (x / n) = x / (n / s)", s * (x / t), cancel_size, REASSOCIATE, once=True),
    Rule("(x * s) * t = x * (s * t)", (x * s) * t, x * (s * t), REASSOCIATE, once=True,
         when=two_scalars),
    Rule("x * (1 / y) = x / y", x * call("reciprocal", y), x / y, REASSOCIATE),
    Rule("(x * s) @ y: s to the smaller", call("matmul", x * s, y), scale_smaller,
         REASSOCIATE, once=True),
    Rule("(x @ y) * s: s to the smaller", call("matmul", x, y) * s, scale_operand,
         REASSOCIATE, once=True),
    Rule("sum(sum(x)) = sum(x)", call("sum", call("sum", x)), merge_sums, REASSOCIATE, once=True),
    Rule("sum(x * s) = sum(x) * s", call("sum", x * s), sum_of_scaled, REASSOCIATE, once=True),
)  # fmt: skip

PRODUCTS = (
    Rule("(x @ y).T = y.T @ x.T", call("permute_dims", call("matmul", x, y)), transposed_product,
         REASSOCIATE, once=True),
    Rule("(x @ y) @ z = x @ (y @ z)", call("matmul", call("matmul", x, y), z), chain_right,
         REASSOCIATE, once=True),
    Rule("x @ (y @ z) = (x @ y) @ z", call("matmul", x, call("matmul", y, z)), chain_left,
         REASSOCIATE, once=True),
)  # fmt: skip

POWERS = (
    Rule("x ** 2 = square(x)", x**2.0, call("square", x), REASSOCIATE),
    Rule("x ** 3 = square(x) * x", x**3.0, call("square", x) * x, REASSOCIATE),
    Rule("x ** 4 = square(square(x))", x**4.0, call("square", call("square", x)), REASSOCIATE),
    Rule("x ** -1 = 1 / x", x**-1.0, call("reciprocal", x), REASSOCIATE),
    Rule("x ** -2 = square(1 / x)", x**-2.0, call("square", call("reciprocal", x)), REASSOCIATE),
)  # fmt: skip

EXACT_RULES = (FOLD, *SHAPES, *SIGNS, *UNITS)
REASSOCIATE_RULES = (*ZEROS, *SCALARS, *PRODUCTS, *POWERS)
