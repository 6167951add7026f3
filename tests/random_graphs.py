"""Random DAGs for differential tests.

They are drawn with a `random.Random`: Hypothesis provides one that shrinks. Values stay where the
ops are well conditioned: each op knows the range of its result, and operands are brought into its
domain by further steps of the recipe.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import graphc as gc
from graphc.ir import dims
from tests.random_ops import RANDOM_OPS, Interval, RandomOp, largest
from tests.random_recipes import Declared, Recipe, Step, apply, declare

LIMIT = 40.0  # beyond it, values are scaled down
Shapes: TypeAlias = tuple[tuple[int | str, ...], ...]
SHAPES: Shapes = (
    (), (1,), (3,), (2, 3), (3, 2), (1, 3), (2, 1), (4, 2, 3), (4, 3, 2), (2, 1, 2, 3),
    ("batch",), ("batch", 3), ("batch", 1), ("batch", "n"), ("n", 3), (2, "batch", 3),
)  # fmt: skip


@dataclass(frozen=True)
class Value:
    """What the generator knows of a value; `generic` where elements are equal only by chance."""

    name: str
    node: gc.Node
    interval: Interval
    generic: bool


class Maker:
    """Draws a recipe step by step, and builds its graph along the way to know the shapes."""

    def __init__(self, rng: random.Random, *, empty: bool, shapes: Shapes | None = None) -> None:
        self.rng = rng
        self.shapes = shapes or SHAPES
        self.recipe = Recipe({"batch": rng.choice([3, 2, 5, 1]), "n": rng.choice([2, 4, 3])})
        self.graph = gc.Graph("draft", dtype="float64")
        self.values: dict[str, gc.Node] = {}
        self.pool: list[Value] = []
        for i in range(rng.randint(1, 4)):
            shape = (0, 3) if empty and i == 0 and not shapes else rng.choice(self.shapes)
            kind = "parameter" if rng.random() < 0.3 else "input"
            narrow = rng.random() < 0.15
            dtype = "float32" if narrow else "float64"
            value = self.declare(Declared(f"x{i}", kind, shape, dtype))
            # What is float32 is widened at once: only the gradient is computed in less precision.
            self.pool.append(self.step("widen", [value]) if narrow else value)

    def declare(self, d: Declared) -> Value:
        self.recipe.declared.append(d)
        self.values[d.name] = declare(self.graph, d)
        return Value(d.name, self.values[d.name], (-1.5, 1.5), True)

    def size(self, shape: Any) -> int:
        """How many elements a shape has at the sizes of the recipe."""
        return dims.evaluate(dims.product(tuple(shape)), self.recipe.sizes)

    # --- steps ------------------------------------------------------------------------------------

    def step(self, op: str, args: list[Value], **options: Any) -> Value:
        """Append a step, after the ones that bring its operands into the domain of the op."""
        case = RANDOM_OPS[op]
        args = [self.adapted(arg, case.domain) for arg in args]
        labelled = self.rng.random() < 0.3
        name = f"v{len(self.recipe.steps)}"
        step = Step(name, op, tuple(arg.name for arg in args), options, labelled)
        self.recipe.steps.append(step)
        apply(step, self.values)
        node = self.values[name]
        before = max(self.size(arg.node.shape) for arg in args)
        after = self.size(node.shape)
        floats = [arg.interval for arg in args if arg.node.dtype.name.startswith("float")]
        joined = dict.fromkeys(("matmul", "einsum", "cross_entropy"), args[0].node.shape[-1:])
        count = self.size(joined[op]) if op in joined else max(1, before // max(1, after))
        if op in ("softmax", "log_softmax", "log_of_softmax", "cumulative_sum", "cumulative_prod"):
            count = self.size(args[0].node.shape)
        low, high = self.bound(case, max(count, 1), floats, options)
        generic = case.smooth and any(
            arg.generic and self.size(arg.node.shape) >= after for arg in args
        )
        return Value(name, node, (low, high), generic)

    def bound(
        self, case: RandomOp, n: int, intervals: list[Interval], options: dict[str, Any]
    ) -> Interval:
        if case.kind != "number":
            return case.bound(n, *intervals)
        c = options["c"]
        ends = [case.graphc(end, c) if end or case.name != "number_over" else 0.0
                for end in intervals[0]]  # fmt: skip
        return min(ends), max(ends)

    def adapted(self, value: Value, domain: Interval) -> Value:
        """The value, or a function of it that lies in a domain."""
        low, high = domain
        if low <= value.interval[0] and value.interval[1] <= high:
            return value
        if low > 0 or low == -0.7:
            way = self.rng.choice(["square", "sigmoid", "exp"])
            inside = self.step(way, [value])
            value = inside if way == "exp" else self.step("shift", [inside], c=0.5)
            if low <= value.interval[0] and value.interval[1] <= high:
                return value
            if low > 0:
                inside = self.step("sigmoid", [value])
                return self.step("shift", [inside], c=0.5)
            return self.step("tanh", [self.step("scale", [value], c=0.5)])
        return self.scaled(value, min(-low, high))

    def scaled(self, value: Value, most: float) -> Value:
        """The value times a power of two that makes it small enough."""
        factor = 1.0
        while factor * largest(value.interval) > most:
            factor /= 2
        return self.step("scale", [value], c=factor) if factor < 1 else value

    def random_step(self) -> None:
        """Draw an op and its operands; nothing happens where no operands fit."""
        case = self.rng.choice(DRAWN)
        chosen = getattr(self, f"draw_{case.kind}")()
        if chosen is None:
            return
        args, options = chosen
        value = self.step(case.name, args, **options)
        if self.size(value.node.shape) <= 200:
            self.pool.append(self.scaled(value, LIMIT))

    # --- operands and options, by kind ------------------------------------------------------------

    def one(self, fits: Callable[[Value], bool] = lambda v: True) -> Value | None:
        fitting = [v for v in self.pool if fits(v)]
        recent = fitting[-3:] if self.rng.random() < 0.4 else fitting  # long chains, and sharing
        return self.rng.choice(recent) if recent else None

    def draw_one(self) -> Any:
        return [self.one()], {}

    def draw_number(self) -> Any:
        return [self.one()], {"c": self.rng.choice([2.0, 0.5, -1.0, 1.0, -0.75, 3, -2.0])}

    def draw_exponent(self) -> Any:
        return [self.one()], {"p": self.rng.choice([2, 3, 4, 1, 2.0, 0])}

    def draw_real(self) -> Any:
        return [self.one()], {"p": self.rng.choice([0.5, -0.5, -1, -2, 1.5, -1.5])}

    def draw_three(self) -> Any:
        value = self.one(lambda v: v.node.ndim > 0 and v.node.shape[-1] in (1, 3))
        return value and ([value], {})

    def partner(self, value: Value) -> Value:
        others = [v for v in self.pool if broadcasts(value.node.shape, v.node.shape)]
        return self.rng.choice(others)

    def draw_two(self) -> Any:
        value = self.one()
        assert value is not None
        return [value, self.partner(value)], {}

    def draw_three_operands(self) -> Any:
        value = self.one()
        assert value is not None
        other = self.partner(value)
        shape = (value.node + other.node).shape
        third = self.one(lambda v: broadcasts(shape, v.node.shape))
        return third and ([value, other, third], {})

    def draw_same_pair(self) -> Any:
        value = self.one(self.full)
        other = self.one(lambda v: value is not None and same(v.node.shape, value.node.shape))
        return value and ([value, other], {})

    def draw_same_shape(self) -> Any:
        value = self.one(lambda v: v.node.ndim > 0)
        if value is None:
            return None
        fitting = [v for v in self.pool if same(v.node.shape, value.node.shape)]
        values = [self.rng.choice(fitting) for _ in range(self.rng.randint(1, 3))]
        return values, {"axis": self.rng.randrange(-value.node.ndim, value.node.ndim)}

    def draw_int(self) -> Any:
        k = self.declare(Declared(f"k{len(self.recipe.declared)}", "input", (), "int64", 4))
        return [self.one(), k], {}

    def full(self, value: Value) -> bool:
        return self.size(value.node.shape) > 0

    def draw_axes(self, fits: Callable[[Value], bool] = lambda v: True) -> Any:
        value = self.one(lambda v: fits(v) and self.full(v))
        if value is None:
            return None
        axes = list(range(-value.node.ndim, value.node.ndim))
        options: list[Any] = [None, *axes, *((a, b) for a in axes[: len(axes) // 2] for b in
                              axes[len(axes) // 2 :] if a % value.node.ndim != b)]  # fmt: skip
        keepdims = self.rng.random() < 0.4
        return [value], {"axis": self.rng.choice(options), "keepdims": keepdims}

    def draw_generic_axes(self) -> Any:
        return self.draw_axes(lambda v: v.generic)

    def draw_generic_axis(self) -> Any:
        return self.draw_axis(lambda v: v.generic)

    def draw_matrix(self) -> Any:
        value = self.one(lambda v: v.node.ndim > 1)
        return value and ([value], {})

    def draw_axis(self, fits: Callable[[Value], bool] = lambda v: True) -> Any:
        value = self.one(lambda v: v.node.ndim > 0 and self.full(v) and fits(v))
        return value and (
            [value], {"axis": self.rng.randrange(-value.node.ndim, value.node.ndim)}
        )  # fmt: skip

    def draw_unit_axes(self) -> Any:
        value = self.one(lambda v: 1 in concrete(v))
        return value and ([value], {"axis": self.rng.choice(
            [i for i, size in enumerate(concrete(value)) if size == 1])})  # fmt: skip

    def draw_merge(self) -> Any:
        value = self.one()
        assert value is not None
        groups: list[tuple[int, ...]] = []
        for axis in range(value.node.ndim):
            if groups and self.rng.random() < 0.5:
                groups[-1] = (*groups[-1], axis)
            else:
                groups += [(), (axis,)] if self.rng.random() < 0.2 else [(axis,)]
        return [value], {"groups": tuple(groups)}

    def draw_order(self) -> Any:
        value = self.one()
        assert value is not None
        axes = list(range(value.node.ndim))
        self.rng.shuffle(axes)
        return [value], {"axes": tuple(axes)}

    def draw_new_axis(self) -> Any:
        value = self.one(lambda v: v.node.ndim < 4)
        if value is None:
            return None
        return [value], {"axis": self.rng.randint(-value.node.ndim - 1, value.node.ndim)}

    def draw_key(self) -> Any:
        value = self.one(lambda v: v.node.ndim > 0)
        if value is None:
            return None
        key: list[Any] = []
        for size in value.node.shape[: self.rng.randint(1, value.node.ndim)]:
            ways: list[Any] = [(None,), "reversed"]
            if self.size([size]) > 1:
                ways += [0, -1, (1, None), (None, -1), (None, None, 2)]
            if isinstance(size, int) and size > 2:
                ways += [(1, 2), (-2, None), 1]
            key.append(self.rng.choice(ways))
        if self.rng.random() < 0.2 and value.node.ndim < 4:
            key.insert(self.rng.randint(0, len(key)), None)
        return [value], {"key": tuple(key)}

    def draw_part(self) -> Any:
        value = self.one(lambda v: any(size > 1 for size in concrete(v)))
        if value is None:
            return None
        axis = self.rng.choice([i for i, size in enumerate(concrete(value)) if size > 1])
        cut = self.rng.randrange(1, concrete(value)[axis])
        return [value], {"cut": cut, "axis": axis, "part": self.rng.choice([0, 1])}

    def draw_matmul(self) -> Any:
        pairs: dict[tuple[int, int], list[list[Value]]] = {}  # by ranks, so that all are tried
        for a in self.pool:
            for b in self.pool:
                if multiplies(a.node.shape, b.node.shape):
                    pairs.setdefault((a.node.ndim, b.node.ndim), []).append([a, b])
        return (self.rng.choice(pairs[self.rng.choice(list(pairs))]), {}) if pairs else None

    def draw_labels(self) -> Any:
        value = self.one(lambda v: v.node.ndim > 0 and self.full(v) and labelable(v.node.shape))
        if value is None:
            return None
        shape = tuple(s if isinstance(s, int) else str(s) for s in value.node.shape[:-1])
        classes = value.node.shape[-1]
        name = f"t{len(self.recipe.declared)}"
        return [value, self.declare(Declared(name, "input", shape, "int64", classes))], {}


def concrete(value: Value) -> list[int]:
    """The sizes, with 0 for those that have names."""
    return [size if isinstance(size, int) else 0 for size in value.node.shape]


def same(a: Any, b: Any) -> bool:
    """Whether two shapes are equal (`==` of named sizes is identity)."""
    return len(a) == len(b) and all(x is y or x == y for x, y in zip(a, b, strict=True))


def broadcasts(a: Any, b: Any) -> bool:
    """Whether two shapes broadcast."""
    pairs = zip(reversed(a), reversed(b), strict=False)
    return all(x is y or x == y or x == 1 or y == 1 for x, y in pairs)


def multiplies(a: Any, b: Any) -> bool:
    """Whether a @ b exists."""
    if not a or not b:
        return False
    inner = b[-2] if len(b) > 1 else b[0]
    return (a[-1] is inner or a[-1] == inner) and broadcasts(a[:-2], b[:-2])


def labelable(shape: Any) -> bool:
    """Whether labels for logits of this shape can be declared."""
    *rows, classes = shape
    return isinstance(classes, int) and all(isinstance(s, int) or dims.pure_name(s) for s in rows)


OFTEN = {"matmul": 5, "getitem": 3, "part": 2, "multiply": 2, "broadcast_like": 2}  # many cases
DRAWN = [
    op for op in RANDOM_OPS.values() if op.kind != "inner" for _ in range(OFTEN.get(op.name, 1))
]


def random_recipe(
    rng: random.Random,
    *,
    steps: int = 14,
    loss: bool | None = None,
    empty: bool | None = None,
    shapes: Shapes | None = None,
) -> Recipe:
    """A random graph of at most so many ops, beside those that keep values in range."""
    maker = Maker(rng, empty=rng.random() < 0.05 if empty is None else empty, shapes=shapes)
    for _ in range(rng.randint(1, steps)):
        maker.random_step()
    recipe = maker.recipe
    used = {name for step in recipe.steps for name in step.args}
    made = [v for v in maker.pool if v.name.startswith("v")] or [maker.step("tanh", maker.pool[:1])]
    ends = [v for v in made if v.name not in used] or made[-1:]  # so that no step is in vain
    if rng.random() < 0.5 if loss is None else loss:
        terms = [maker.step(rng.choice(["sum", "mean"]) if maker.full(v) else "sum", [v])
                 for v in ends]  # fmt: skip
        total = terms[0]
        for term in terms[1:]:
            total = maker.step("add", [total, term])
        recipe.loss = total.name
        ends = [v for v in made if rng.random() < 0.15]
    recipe.outputs = [v.name for v in ends]
    return recipe
