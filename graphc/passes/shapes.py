"""Identities of shapes and views, all EXACT: what is moved or repeated more than it has to be."""

from __future__ import annotations

from graphc.ir.graph import CONSTANT, ITEM, scalar_value
from graphc.ir.node import Node
from graphc.ir.pattern import EXACT, Rule, call, wilds
from graphc.ir.types import FLOAT, broadcast
from graphc.ops.indexing import Key, Span, embed, getitem
from graphc.ops.joining import concat, stack
from graphc.ops.shape import broadcast_to, expand_dims, permute_dims, reshape

x, y, s = wilds("x y s")

# Rounded in one way: functions of arrays and of scalars may differ in their last bits.
ARITHMETIC = ("add", "subtract", "multiply", "divide", "negative")


def absorb_broadcast(node: Node) -> Node | None:
    """An elementwise op repeats its operands itself: f(broadcast(a), b) = f(a, b)."""
    for index, arg in enumerate(node.args):
        plain = _unrepeated(arg)
        if plain is not None:
            args = (*node.args[:index], plain, *node.args[index + 1 :])
            if broadcast([a.shape for a in args])[0] == node.shape:
                return node.graph.rebuild(node, args)
    return None


def _unrepeated(x: Node) -> Node | None:
    """What broadcasting makes of x what x is."""
    if x.op is CONSTANT and x.ndim and x.params.data.array.size == 1:
        return x.graph.constant(x.params.data.array.reshape(()), x.dtype)
    return x.args[0] if x.op is broadcast_to or (x.op is expand_dims and _leading(x)) else None


def _leading(node: Node) -> bool:
    axes: tuple[int, ...] = node.params.axes
    return axes == tuple(range(len(axes)))


def broadcast_adds_axes(node: Node, x: Node) -> Node | None:
    """Broadcasting adds leading axes itself."""
    return broadcast_to(x, node.shape) if _leading(node.args[0]) else None


def is_scalar_broadcast(node: Node) -> bool:
    """Whether every element is the same scalar."""
    return node.op is broadcast_to and not node.args[0].shape


def view_of_scalar(node: Node) -> Node | None:
    """Another view of a repeated scalar is that scalar repeated otherwise."""
    if node.op is broadcast_to or len(node.types) > 1 or not is_scalar_broadcast(node.args[0]):
        return None
    return broadcast_to(node.args[0].args[0], node.shape)


def broadcast_last(node: Node) -> Node | None:
    """What is the same in every element is computed once."""
    if not all(arg.ndim == 0 or is_scalar_broadcast(arg) for arg in node.args):
        return None
    scalars = tuple(arg.args[0] if arg.ndim else arg for arg in node.args)
    return broadcast_to(node.graph.rebuild(node, scalars), node.shape)


def times_ones(node: Node, x: Node, s: Node) -> Node | None:
    """A product with ones repeats the other factor at most."""
    if s.op is CONSTANT and scalar_value(s) == 1:
        return broadcast_to(x, node.shape)
    return None


def compose_permutations(node: Node, x: Node) -> Node | None:
    """Two permutations are one."""
    inner, outer = node.args[0].params.axes, node.params.axes
    result: Node = permute_dims(x, tuple(inner[axis] for axis in outer))
    return result


def permute_unmerged(node: Node, x: Node) -> Node | None:
    """Leading axes that are merged for a transposition of others, and split again, need not be."""
    permuted = node.args[0]
    merged, axes = permuted.args[0], permuted.params.axes
    count = x.ndim - merged.ndim + 1  # of the axes that are merged
    kept = count > 1 and axes[0] == 0 and x.shape[count:] == merged.shape[1:]
    if not kept or node.shape != (*x.shape[:count], *permuted.shape[1:]):
        return None
    order = (*range(count), *(axis + count - 1 for axis in axes[1:]))
    result: Node = permute_dims(x, order)
    return result


def reshape_in_order(node: Node, x: Node) -> Node | None:
    """A permutation that moves axes of size 1 alone changes no order of elements."""
    moved = [axis for axis in node.args[0].params.axes if x.shape[axis] != 1]
    return reshape(x, node.shape) if moved == sorted(moved) else None


def compose_expansions(node: Node, x: Node) -> Node | None:
    """Axes that are added one after the other are added at once."""
    inner, outer = node.args[0].params.axes, node.params.axes
    moved = [axis for axis in range(node.ndim) if axis not in outer]
    result: Node = expand_dims(x, (*outer, *(moved[axis] for axis in inner)))
    return result


def without_axes(key: Key, axes: tuple[int, ...]) -> Key:
    """An index that reads the same elements, into an array without some axes of size 1."""
    made = [at for at, entry in enumerate(key) if entry is None or isinstance(entry, Span)]
    dropped = {made[axis] for axis in axes}
    return tuple(
        entry.start if at in dropped else entry
        for at, entry in enumerate(key)
        if entry is not None or at not in dropped
    )


def read_single(node: Node, x: Node) -> Node | None:
    """One element of an axis is read by its number."""
    shape, key = node.args[0].params
    return getitem.node((x,), shape, without_axes(key, node.params.axes))


def embed_single(node: Node, x: Node) -> Node | None:
    """One element of an axis is written by its number."""
    shape, key = node.params
    return embed.node((x,), shape, without_axes(key, node.args[0].params.axes))


def stack_single(node: Node) -> Node | None:
    """A stack of one array is that array with another axis."""
    return expand_dims(node.args[0], node.params.axis) if len(node.args) == 1 else None


def concat_stacks(node: Node) -> Node | None:
    """Arrays with an axis of their own, joined along it, are one stack."""
    axis = node.params.axis
    parts: list[Node] = []
    for arg in node.args:
        stacked = arg.op is stack and arg.params.axis == axis
        if not stacked and not (arg.op is expand_dims and arg.params.axes == (axis,)):
            return None
        parts += arg.args
    return stack(parts, axis)


def undo_expand(node: Node, x: Node) -> Node | None:
    """Axes added and taken away again."""
    return x if node.args[0].params.axes == node.params.axes else None


def drop_kept_axes(node: Node, x: Node) -> Node | None:
    """A reduction that keeps axes of size 1 which are then squeezed keeps none."""
    reduction = node.args[0]
    if reduction.params.axes == node.params.axes and reduction.params.keepdims:
        return reduction.op.node((x,), reduction.params.axes, False)
    return None


def over_nothing(node: Node, x: Node) -> Node | None:
    """A reduction over no axes reduces nothing."""
    return x if node.params.axes == () else None


def narrow_again(node: Node, x: Node) -> Node | None:
    """A float widened and then cast back is unchanged."""
    wide = node.args[0].dtype
    exact = x.dtype.kind == FLOAT == wide.kind and x.dtype.itemsize <= wide.itemsize
    return x if exact and node.dtype is x.dtype else None


ABSORB = Rule(
    "f(broadcast(x), y) = f(x, y)",
    lambda op: op.family == "elementwise" and len(op.operands) > 1,
    absorb_broadcast,
    EXACT,
    operands=lambda ops: broadcast_to in ops or expand_dims in ops or CONSTANT in ops,
)

SHAPES = (
    ABSORB,
    Rule("view(broadcast(scalar)) = broadcast(scalar)",
         lambda op: op.emission.view and len(op.operands) == 1 and op is not ITEM,
         view_of_scalar, EXACT, operands=lambda ops: broadcast_to in ops),
    Rule("f(broadcast(scalar)) = broadcast(f(scalar))", lambda op: op.name in ARITHMETIC,
         broadcast_last, EXACT, operands=lambda ops: broadcast_to in ops),
    Rule("x * broadcast(1) = broadcast(x)", x * call("broadcast_to", s), times_ones, EXACT),
    Rule("permute(permute(x)) = permute(x)",
         call("permute_dims", call("permute_dims", x)), compose_permutations, EXACT),
    Rule("reshape(permute(reshape(x))) = permute(x)",
         call("reshape", call("permute_dims", call("reshape", x))), permute_unmerged, EXACT),
    Rule("permute(x) in order = x", call("permute_dims", x),
         lambda node, x: x if node.params.axes == tuple(range(x.ndim)) else None, EXACT),
    Rule("reshape(reshape(x)) = reshape(x)", call("reshape", call("reshape", x)),
         lambda node, x: reshape(x, node.shape), EXACT),
    Rule("squeeze(reshape(x)) = reshape(x)", call("squeeze", call("reshape", x)),
         lambda node, x: reshape(x, node.shape), EXACT),
    Rule("reshape(x) to its shape = x", call("reshape", x),
         lambda node, x: x if node.shape == x.shape else None, EXACT),
    Rule("broadcast(x) to its shape = x", call("broadcast_to", x),
         lambda node, x: x if node.shape == x.shape else None, EXACT),
    Rule("broadcast(broadcast(x)) = broadcast(x)", call("broadcast_to", call("broadcast_to", x)),
         lambda node, x: broadcast_to(x, node.shape), EXACT),
    Rule("broadcast(expand(x)) = broadcast(x)", call("broadcast_to", call("expand_dims", x)),
         broadcast_adds_axes, EXACT),
    Rule("squeeze(expand(x)) = x", call("squeeze", call("expand_dims", x)), undo_expand, EXACT),
    Rule("expand(squeeze(x)) = x", call("expand_dims", call("squeeze", x)), undo_expand, EXACT),
    Rule("reshape(permute(x)) = reshape(x)", call("reshape", call("permute_dims", x)),
         reshape_in_order, EXACT),
    Rule("reshape(expand(x)) = reshape(x)", call("reshape", call("expand_dims", x)),
         lambda node, x: reshape(x, node.shape), EXACT),
    Rule("expand(expand(x)) = expand(x)", call("expand_dims", call("expand_dims", x)),
         compose_expansions, EXACT),
    Rule("squeeze(x[i:i+1]) = x[i]", call("squeeze", call("getitem", x)), read_single, EXACT),
    Rule("embed(expand(x), at[i:i+1]) = embed(x, at[i])",
         call("embed", call("expand_dims", x)), embed_single, EXACT),
    Rule("stack(x) = expand(x)", lambda op: op is stack, stack_single, EXACT),
    Rule("concat(expand(x), expand(y)) = stack(x, y)", lambda op: op is concat,
         concat_stacks, EXACT, operands=lambda ops: expand_dims in ops or stack in ops),
    *(Rule(f"squeeze({name}(x, keepdims)) = {name}(x)",
           call("squeeze", call(name, x)), drop_kept_axes, EXACT)
      for name in ("sum", "mean", "max", "min", "prod")),
    *(Rule(f"{name}(x) over no axes = x", call(name, x), over_nothing, EXACT)
      for name in ("max", "min", "prod")),
    Rule("cast(cast(x)) = x", call("astype", call("astype", x)), narrow_again, EXACT),
)  # fmt: skip
