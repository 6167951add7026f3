"""Late rewrites: composites become their bodies, and modes are resolved."""

from __future__ import annotations

from graphc.ir.node import Node
from graphc.ir.pattern import EXACT, Rule, call, wilds

train, infer = wilds("train infer")


def body(node: Node) -> Node | None:
    """What a composite without an emission of its own stands for."""
    assert node.op.body is not None
    return node.op.body(*node.args, *node.params)


EXPAND_RULES = (
    Rule(
        "composite = body",
        lambda op: op.body is not None and not op.emission.numpy,
        body,
        EXACT,
    ),
)
MODE_RULES = {
    "train": (Rule("by_mode(train, infer) = train", call("by_mode", train, infer), train, EXACT),),
    "infer": (Rule("by_mode(train, infer) = infer", call("by_mode", train, infer), infer, EXACT),),
}
