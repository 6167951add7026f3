"""Every rewrite rule fires on its case, and keeps what its list promises.

EXACT rules are tried on infinities, NaN, signed zeros and subnormals, bit for bit: an identity of
real numbers that is none of floating point numbers does not belong there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.pattern import EXACT, REASSOCIATE, STABILIZE
from graphc.ir.verify import verify
from graphc.lower.interpreter import interpret
from graphc.lower.program import lower
from graphc.ops.indexing import Span, embed
from graphc.passes.parts import PARTS_RULES
from graphc.passes.simplify import EXACT_RULES, REASSOCIATE_RULES
from graphc.passes.stabilize import STABILIZE_RULES
from tests.passes.stable_exponentials import ELEMENTWISE
from tests.passes.stable_reductions import REDUCTIONS
from tests.styles import functions

LISTS = (*EXACT_RULES, *REASSOCIATE_RULES, *PARTS_RULES, *STABILIZE_RULES)
RULES = {rule.name: rule for rule in LISTS}
TABLE = np.array([0.5, -0.0, 3.0])


@dataclass(frozen=True)
class Case:
    """A graph on which a rule fires.

    rule    its name
    build   (*nodes) -> node
    shapes  of the operands; by default two vectors that run through all pairs of values;
            the named size "n" is 99
    special whether the rule keeps infinities and NaN when the operands hold infinities; it cannot
            where it distributes over a sum: inf * (1 - 2) is -inf, and inf * 1 - inf * 2 is NaN
    """

    rule: str
    build: Callable[..., gc.Node]
    shapes: tuple[tuple[int | str, ...], ...] | None = None
    special: bool = True

    def __str__(self) -> str:
        return self.rule


def reduced(name: str, **options: Any) -> Callable[[gc.Node], gc.Node]:
    return lambda x: getattr(gc, name)(x, **options)


def squeezed(name: str) -> Callable[[gc.Node], gc.Node]:
    return lambda x: gc.squeeze(reduced(name, axis=(0, 2), keepdims=True)(x), (0, 2))


def constants(x: gc.Node) -> gc.Node:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e308, -1.5])
    table = x.graph.constant(values)
    return x + gc.sqrt(table) * table / gc.abs(table)


def embedded(x: gc.Node, *entries: Any, rows: int = 120) -> gc.Node:
    """x in zeros that are written to at a key."""
    key = tuple(Span(*entry, 1) if isinstance(entry, tuple) else entry for entry in entries)
    return embed(x, (rows, 40) if len(key) > 1 else (rows,), key)


ALL = (0, 40)
PARTS = (
    lambda x, y, z: embedded(y, (40, 80)) + embedded(z, (80, 120)) + embedded(x, ALL),
    lambda x, y, z: embedded(z, 2, ALL, rows=3)
    + (embedded(x, 0, ALL, rows=3) + embedded(y, 1, ALL, rows=3)),
    lambda x, y, z: embedded(x, ALL, 2) + embedded(y, (40, 80), 2) + embedded(z, (80, 120), 2),
    lambda x, y, z: gc.abs(gc.concat([x, y, z])) + embedded(x, ALL) + embedded(y, (40, 80))
    + embedded(z, (80, 120)),
)  # fmt: skip

CASES = [
    Case("mask(x, y) = x where x is 0 unless y",
         lambda x: gc.mask(gc.mask(x, x > 0) * gc.exp(gc.where(x > 0, x, 0)), x > 0), ((99,),)),
    Case("f(constants) = constant", constants, ((200, 8),)),
    Case("f(constants) = constant", lambda x: x * (gc.log(x.graph.constant(2)) + 1), ((9,),)),
    Case("f(broadcast(x), y) = f(x, y)", lambda x, y: gc.broadcast_to(x, (50, 7)) / y,
         ((7,), (50, 7))),
    Case("f(broadcast(x), y) = f(x, y)", lambda x, y: gc.maximum(y, gc.broadcast_to(x, (50, 7))),
         ((50, 1), (50, 7))),
    Case("f(broadcast(x), y) = f(x, y)", lambda x, y: gc.expand_dims(x, 0) - y, ((7,), (50, 7))),
    Case("f(broadcast(x), y) = f(x, y)", lambda x: x * x.graph.constant([[0.7]]), ((50, 7),)),
    Case("view(broadcast(scalar)) = broadcast(scalar)",
         lambda x: gc.broadcast_to(x, (2, 3)).T, ((),)),
    Case("view(broadcast(scalar)) = broadcast(scalar)",
         lambda x: gc.broadcast_to(x, (2, 3)).reshape(6)[1:4], ((),)),
    Case("f(broadcast(scalar)) = broadcast(f(scalar))",
         lambda x, y: -(gc.broadcast_to(x, (5, 3)) * y), ((), ())),
    Case("x * broadcast(1) = broadcast(x)",
         lambda x: x * gc.broadcast_to(x.graph.constant(1.0), (20, 4)), ((20, 1),)),
    Case("permute(permute(x)) = permute(x)",
         lambda x: gc.permute_dims(gc.permute_dims(x, (1, 2, 0)), (0, 2, 1)), ((5, 6, 7),)),
    Case("reshape(permute(reshape(x))) = permute(x)",
         lambda x: x.reshape(20, 6, 7).swapaxes(1, 2).reshape(4, 5, 7, 6), ((4, 5, 6, 7),)),
    Case("permute(x) in order = x", lambda x: gc.permute_dims(x, (0, 1)), ((5, 6),)),
    Case("permute(x) in order = x", lambda x: x.T.T, ((5, 6),)),
    Case("reshape(reshape(x)) = reshape(x)", lambda x: x.reshape(4, 9).reshape(3, 12), ((6, 6),)),
    Case("reshape(x) to its shape = x", lambda x: x.reshape(6, -1), ((6, 6),)),
    Case("broadcast(x) to its shape = x", lambda x: gc.broadcast_to(x, (6, 6)), ((6, 6),)),
    Case("broadcast(broadcast(x)) = broadcast(x)",
         lambda x: gc.broadcast_to(gc.broadcast_to(x, (4, 6)), (3, 4, 6)), ((4, 1),)),
    Case("broadcast(expand(x)) = broadcast(x)",
         lambda x: gc.broadcast_to(gc.expand_dims(x, 0), (4, 6)), ((6,),)),
    Case("squeeze(reshape(x)) = reshape(x)",
         lambda x: gc.squeeze(gc.reshape(x, (25, 1, 14)), 1), ((50, 7),)),
    *(Case("embed(x) + embed(y) = concat(x, y)", build, ((40,), (40,), (40,))) for build in PARTS),
    Case("squeeze(expand(x)) = x", lambda x: gc.squeeze(gc.expand_dims(x, (0, 2)), (0, 2)),
         ((6, 5),)),
    Case("expand(squeeze(x)) = x", lambda x: gc.expand_dims(gc.squeeze(x, 1), 1), ((6, 1, 5),)),
    Case("reshape(permute(x)) = reshape(x)",
         lambda x: gc.permute_dims(x, (2, 0, 1, 3)).reshape(4, 15), ((5, 4, 1, 3),)),
    Case("reshape(expand(x)) = reshape(x)",
         lambda x: gc.expand_dims(x, 1).reshape(4, 15), ((5, 12),)),
    Case("expand(expand(x)) = expand(x)",
         lambda x: gc.expand_dims(gc.expand_dims(x, (0, 2)), (1, 3)), ((6, 5),)),
    Case("squeeze(x[i:i+1]) = x[i]",
         lambda x: gc.squeeze(x[:, 3:4, None, ::2, -1:], (1, 2, 4)), ((6, 5, 4, 7),)),
    Case("embed(expand(x), at[i:i+1]) = embed(x, at[i])",
         lambda x: embedded(gc.expand_dims(x, 0), (5, 6), ALL, rows=8), ((40,),)),
    Case("stack(x) = expand(x)", lambda x: gc.stack([x], 1), ((6, 5),)),
    Case("concat(expand(x), expand(y)) = stack(x, y)",
         lambda x, y, z: gc.concat([gc.expand_dims(x, 1), gc.stack([y, z], 1)], 1),
         ((6, 5), (6, 5), (6, 5))),
    *(Case(f"squeeze({name}(x, keepdims)) = {name}(x)", squeezed(name), ((2, 40, 3),))
      for name in ("sum", "mean", "max", "min", "prod")),
    *(Case(f"{name}(x) over no axes = x", reduced(name, axis=()), ((60,),))
      for name in ("max", "min", "prod", "sum", "mean")),
    *(Case(f"{name}(x) over no axes = x", reduced(name), ((),))
      for name in ("max", "min", "prod")),
    Case("cast(cast(x)) = x", lambda x: x.astype("float64").astype(x.dtype), ((99,),)),
    Case("x + x = 2 * x", lambda x: x + x, ((99,),)),
    Case("-(-x) = x", lambda x: gc.negative(-x), ((99,),)),
    Case("(-x) * y = -(x * y)", lambda x, y: -x * y),
    Case("(-x) * y = -(x * y)", lambda x, y: y * -x),
    Case("(-x) / y = -(x / y)", lambda x, y: -x / y),
    Case("x / (-y) = -(x / y)", lambda x, y: x / -y),
    Case("x + (-y) = x - y", lambda x, y: x + -y),
    Case("x + (-y) = x - y", lambda x, y: -y + x),
    Case("x - (-y) = x + y", lambda x, y: x - -y),
    Case("x * -1 = -x", lambda x: x * -1, ((99,),)),
    Case("x * -1 = -x", lambda x: -1 * x, ((),)),
    Case("x / -1 = -x", lambda x: x / -1, ((99,),)),
    Case("x * 1 = x", lambda x: 1 * x, ((99,),)),
    Case("x / 1 = x", lambda x: x / 1, ((99,),)),
    Case("x - 0 = x", lambda x: x - 0, ((99,),)),
    Case("x + 0 = x", lambda x: x + 0.0, ((99,),)),
    Case("x + -0 = x", lambda x: x + -0.0, ((99,),)),
    Case("x ** 1 = x", lambda x: x**1, ((99,),)),
    Case("where(c, x, x) = x", lambda x, y: gc.where(x < y, y, y)),
    Case("not not x = x", lambda x, y: ~(~(x < y))),
    Case("where(c, f(x), f(where(c, y, x))) = f(x)",
         lambda x, y: gc.where(x < y, x + y, x + gc.where(x < y, 1, y))),
    Case("where(not c, x, y) = where(c, y, x)", lambda x, y: gc.where(~(x < y), x, y)),
    Case("maximum(x, x) = x", lambda x: gc.maximum(x, x), ((99,),)),
    Case("minimum(x, x) = x", lambda x: gc.minimum(x, x), ((99,),)),
    # last bits may change
    Case("(-x) - y = -(x + y)", lambda x, y: -x - y),
    Case("(-x) @ y = -(x @ y)", lambda x, y: -x @ y, ((30, 2), (2, 30))),
    Case("x @ (-y) = -(x @ y)", lambda x, y: x @ -y, ((30, 2), (2, 30))),
    Case("sum(-x) = -sum(x)", lambda x: gc.sum(-x, 1), ((60, 3),)),
    Case("mean(-x) = -mean(x)", lambda x: gc.mean(-x, 1), ((60, 3),)),
    Case("x * (y * s) = (x * y) * s", lambda x, y: x * (y * 2.5), ((60, 3), (60, 3))),
    Case("x * (y * s) = (x * y) * s", lambda x, y: (2.5 * y) * x, ((3,), (60, 3))),
    Case("s * (x / n) = x / (n / s)", lambda x: 2 * (x / gc.concat([x] * 4).shape[0]), (("n",),)),
    Case("(x * s) * t = x * (s * t)", lambda x, t: x * 2.5 * t, ((99,), ())),
    Case("(x * s) * t = x * (s * t)", lambda x, s: 2.5 * (s * x), ((99,), ())),
    Case("x * (1 / y) = x / y", lambda x, y: gc.reciprocal(y) * x),
    Case("(x * s) @ y: s to the smaller", lambda x, s, y: (x * s) @ y, ((4, 5), (), (5, 2)), False),
    Case("(x * s) @ y: s to the smaller", lambda x, s, y: (x * s) @ y, ((6, 3), (), (3, 4)), False),
    Case("(x @ y) * s: s to the smaller", lambda x, s, y: (x @ y) * s, ((4, 2), (), (2, 5)), False),
    Case("(x @ y) * s: s to the smaller", lambda x, s, y: s * (x @ y), ((5, 2), (), (2, 4)), False),
    Case("sum(sum(x)) = sum(x)", lambda x: gc.sum(gc.sum(x, 1), 0), ((9, 4, 5),)),
    Case("sum(x * s) = sum(x) * s", lambda x: gc.sum(x * 2.5, 1), ((40, 3),), False),
    Case("(x @ y).T = y.T @ x.T", lambda x, y: (x @ y).T, ((30, 2), (2, 30))),
    Case("(x @ y) @ z = x @ (y @ z)", lambda x, y, z: (x @ y) @ z, ((6, 5), (5, 4), (4,)), False),
    Case("x @ (y @ z) = (x @ y) @ z", lambda x, y, z: x @ (y @ z), ((5,), (5, 4), (4, 6)), False),
    Case("x ** 2 = square(x)", lambda x: x**2, ((99,),)),
    Case("x ** 3 = square(x) * x", lambda x: x**3, ((99,),)),
    Case("x ** 4 = square(square(x))", lambda x: x**4, ((99,),)),
    Case("x ** -1 = 1 / x", lambda x: x**-1, ((99,),)),
    Case("x ** -2 = square(1 / x)", lambda x: x**-2, ((99,),)),
]  # fmt: skip


def of(kind: str) -> list[Case]:
    return [case for case in CASES if RULES[case.rule].preserves == kind]


# --- how a case is run ----------------------------------------------------------------------------


def specials(dtype: str) -> np.ndarray[Any, Any]:
    """The values on which identities of real numbers break."""
    info = np.finfo(dtype)
    positive = [0.0, info.smallest_subnormal, info.tiny, 0.3, 1.0, 2.5, info.max, np.inf]
    return np.array([*positive, *(-np.array(positive)), np.nan], dtype)


def all_pairs(values: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [grid.ravel() for grid in np.meshgrid(values, values)]


def drawn(case: Case, values: np.ndarray[Any, Any], seed: int) -> list[np.ndarray[Any, Any]]:
    """Arrays for the operands: vectors hold all values or all pairs, others a random choice."""
    if case.shapes is None:
        return all_pairs(values)
    rng = np.random.default_rng(seed)
    shapes = [[99 if size == "n" else size for size in shape] for shape in case.shapes]
    return [
        np.resize(values, shape) if len(shape) == 1 else rng.choice(values, shape)
        for shape in shapes
    ]


def declared(case: Case, arrays: list[np.ndarray[Any, Any]]) -> gc.Graph:
    dtype = arrays[0].dtype
    with gc.Graph("case", dtype=dtype if dtype.kind == "f" else "float64") as graph:
        shapes = case.shapes or [array.shape for array in arrays]
        nodes = [graph.input(f"in{i}", shape, dtype) for i, shape in enumerate(shapes)]
        graph.output("y", case.build(*nodes))
    return graph


def as_written(graph: gc.Graph, arrays: list[np.ndarray[Any, Any]]) -> Any:
    """The declared graph, node by node."""
    inputs = list(graph.inputs.values())
    program = lower("naive", inputs, list(graph.outputs.values()))
    known = interpret(program, dict(zip(inputs, arrays, strict=True)))
    return known[graph.outputs["y"]]


def both_ways(case: Case, arrays: list[np.ndarray[Any, Any]]) -> tuple[Any, Any]:
    """As written and as compiled; asserts that the rule, and none of a weaker list, fired."""
    # Backward passes have uses of their own for inner values, which keeps some rules from firing.
    graph = declared(case, arrays)
    module = gc.compile(graph, inference=True, after_pass=lambda name, f: verify(f))
    fired = [rule for rule, _ in module.report.fired]
    assert RULES[case.rule] in fired
    if RULES[case.rule].preserves == EXACT:
        assert {rule.preserves for rule in fired} == {EXACT}
    with np.errstate(all="ignore"):
        naive = as_written(declared(case, arrays), arrays)
        actual = module.load().predict(**needed(module, arrays))
        again = gc.compile(declared(case, arrays), inference=True, style="workspace")
        np.testing.assert_allclose(functions(again).predict(**needed(again, arrays)), actual, 1e-13)
    assert (actual.shape, actual.dtype) == (naive.shape, naive.dtype)
    return naive, actual


def needed(module: gc.Module, arrays: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
    """The arguments that are left after rewriting."""
    assert module.lowered.predict is not None
    names = [node.params.name for node in module.lowered.predict.arguments]
    return {name: arrays[int(name.removeprefix("in"))] for name in names}


def assert_same_bits(actual: Any, expected: Any) -> None:
    """Equal bits, where one NaN is as good as another."""
    a, b = np.ascontiguousarray(actual), np.ascontiguousarray(expected)
    nan = np.isnan(a) & np.isnan(b)
    same = nan | (a.view(f"u{a.itemsize}") == b.view(f"u{b.itemsize}"))
    assert same.all(), f"{a[~same][:3]} instead of {b[~same][:3]}"


# --- what the lists promise -----------------------------------------------------------------------


def test_every_rule_has_a_name_of_its_own_and_a_case() -> None:
    assert len(RULES) == len(LISTS)
    shown = {case.rule for case in (*CASES, *ELEMENTWISE)}
    assert shown | set(REDUCTIONS) == set(RULES)


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        (EXACT_RULES, EXACT),
        ((*REASSOCIATE_RULES, *PARTS_RULES), REASSOCIATE),
        (STABILIZE_RULES, STABILIZE),
    ],
)
def test_a_list_holds_rules_of_its_kind(rules: Any, kind: str) -> None:
    assert {rule.preserves for rule in rules} == {kind}


EXACT_RUNS = [
    pytest.param(case, dtype, id=f"{case}-{dtype}")
    for case in of(EXACT)
    for dtype in ("float64", "float32", "float16")
    if not (case.rule == "cast(cast(x)) = x" and dtype == "float64")  # nothing is wider
]


@pytest.mark.parametrize(("case", "dtype"), EXACT_RUNS)
def test_exact_rules_keep_every_bit(case: Case, dtype: str) -> None:
    for seed in range(3):
        naive, actual = both_ways(case, drawn(case, specials(dtype), seed))
        if naive.dtype == bool:
            np.testing.assert_array_equal(actual, naive)
        else:
            assert_same_bits(actual, naive)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_exact_rules_keep_ints_and_bools(dtype: str) -> None:
    met = 0
    for case in of(EXACT):
        arrays = drawn(case, np.array([0, 1, 2, 3, 5, 7, 100]).astype(dtype), 4)
        try:
            graph = declared(case, arrays)
        except gc.GraphcError:  # a formula for floats alone
            continue
        module = gc.compile(graph, inference=True)
        with np.errstate(all="ignore"):
            naive = as_written(declared(case, arrays), arrays)
            actual = module.load().predict(**needed(module, arrays))
        np.testing.assert_array_equal(actual, naive, str(case))
        assert actual.dtype == naive.dtype
        met += 1
    assert met > 40


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", of(REASSOCIATE), ids=str)
def test_reassociation_moves_the_last_bits_at_most(case: Case, dtype: str) -> None:
    values = np.random.default_rng(0).uniform(0.5, 2, 17).astype(dtype)  # no cancellation
    naive, actual = both_ways(case, drawn(case, values, 1))
    np.testing.assert_array_max_ulp(actual, naive, maxulp=8)


@pytest.mark.parametrize("case", of(REASSOCIATE), ids=str)
def test_reassociation_keeps_infinities_and_nan(case: Case) -> None:
    values = [0.0, -0.0, 1.0, -1.0, 2.5, -0.75, np.nan]
    arrays = drawn(case, np.array(values + [np.inf, -np.inf] * case.special), 2)
    naive, actual = both_ways(case, arrays)
    assert np.isnan(naive).any()
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(naive))
    infinite = np.isinf(naive)
    np.testing.assert_array_equal(np.isinf(actual), infinite)
    np.testing.assert_array_equal(np.sign(actual[infinite]), np.sign(naive[infinite]))


@pytest.mark.parametrize("factor", [np.inf, -np.inf, np.nan, 2.5, 3])
def test_a_size_is_only_cancelled_by_what_divides_it(factor: float) -> None:
    case = Case("", lambda x: factor * (x / gc.concat([x, x]).shape[0]), (("n",),))
    arrays = [np.linspace(-1, 1, 99)]
    module = gc.compile(declared(case, arrays), inference=True)
    assert "s * (x / n) = x / (n / s)" not in [rule.name for rule, _ in module.report.fired]
    np.testing.assert_array_equal(module.load().predict(*arrays), factor * (arrays[0] / 198))


@pytest.mark.parametrize("place", ["x", "product"])
@pytest.mark.parametrize(
    ("x", "y", "scaled"),
    [
        ((4, 2), (2, 5), (4, 2)),
        ((6, 3), (3, 4), (3, 4)),
        ((4, 5), (5, 2), (4, 2)),
        (("n", 3), (3, 4), ("n", 3)),
    ],
)
def test_a_factor_stands_where_it_scales_the_least(
    x: tuple[Any, int], y: tuple[int, int], scaled: tuple[Any, int], place: str
) -> None:
    with gc.Graph("scaled", dtype="float64") as g:
        a, b, s = g.input("a", x), g.input("b", y), g.input("s")
        g.output("z", (a * s) @ b if place == "x" else (a @ b) * s)
    program = gc.compile(g, inference=True).lowered.predict
    assert program is not None
    shapes = [node.shape for node in program.order if node.op.name == "multiply"]
    assert [tuple(map(str, shape)) for shape in shapes] == [tuple(map(str, scaled))]


@pytest.mark.parametrize(
    ("factor", "moves"),
    [(1e3, True), (1001, False), (-1e3, True), (1e-3, True), (2.0**-10, False), (0.0, False)],
)
def test_a_factor_within_a_thousandfold_of_1_leaves_a_sum(factor: float, moves: bool) -> None:
    case = Case("", lambda x: gc.sum(x * factor, 1), ((40, 3),))
    module = gc.compile(declared(case, [np.ones(1)]), inference=True)
    fired = [rule.name for rule, _ in module.report.fired]
    assert ("sum(x * s) = sum(x) * s" in fired) is moves


@pytest.mark.parametrize(("rows", "folded"), [(8, True), (9, False)])
def test_constants_are_folded_unless_that_makes_them_larger(rows: int, folded: bool) -> None:
    with gc.Graph("table", dtype="float64") as g:
        x = g.input("x", (rows, 8))
        g.output(
            "y", x * (g.constant(np.arange(rows * 1.0)[:, None]) + g.constant(np.arange(8) / 2))
        )
    module = gc.compile(g, inference=True)
    fired = [rule.name for rule, _ in module.report.fired]
    assert ("f(constants) = constant" in fired) is folded
    table = np.arange(rows)[:, None] + np.arange(8) / 2
    np.testing.assert_array_equal(module.load().predict(np.full((rows, 8), 2.0)), 2 * table)


@pytest.mark.parametrize("seed", range(12))
def test_chains_of_products_take_the_fewest_multiplications(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, k, n, p = (int(size) for size in rng.choice([2, 3, 7, 20, 50], 4))
    with gc.Graph("chain", dtype="float64") as g:
        x, y, z = g.input("x", (m, k)), g.input("y", (k, n)), g.input("z", (n, p))
        g.output("w", (x @ y) @ z if seed % 2 else x @ (y @ z))
    program = gc.compile(g, inference=True).lowered.predict
    assert program is not None
    products = [node for node in program.order if node.op.name == "matmul"]
    sizes = [node.args[0].shape[0] * node.args[0].shape[1] * node.shape[1] for node in products]
    assert sum(sizes) == min(m * k * n + m * n * p, k * n * p + m * k * p)
