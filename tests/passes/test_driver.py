"""The driver: order, identity of what is untouched, and refusals of rules that are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.node import Node
from graphc.ir.pattern import EXACT, Rule, call, compile_rules, wilds
from graphc.passes.driver import Report, normalize

x, y = wilds("x y")


def rule(left: Any, right: Any, **options: Any) -> Rule:
    return Rule(f"{left} = {right}", left, right, EXACT, **options)


def normal(root: Node, *rules: Rule) -> tuple[Node, list[str]]:
    """The normal form of a node, and the names of the rules that fired."""
    report = Report()
    with root.graph.quiet():
        (result,) = normalize([root], compile_rules(rules), report)
    return result, [fired.name for fired, _ in report.fired]


@pytest.fixture
def a() -> Node:
    return gc.Graph("driver", dtype="float64").input("a", (3,))


@pytest.fixture
def b(a: Node) -> Node:
    return a.graph.input("b", (3,))


SIN_IS_COS = rule(call("sin", x), call("cos", x))
COS_IS_TANH = rule(call("cos", x), call("tanh", x))


def test_rules_apply_to_what_rules_make_and_to_every_occurrence(a: Node) -> None:
    result, fired = normal(gc.sin(gc.sin(a)) + gc.cos(a), SIN_IS_COS, COS_IS_TANH)
    assert result is gc.tanh(gc.tanh(a)) + gc.tanh(a)
    # Of the three nodes gc.cos(a) is met twice, and rewritten once.
    assert sorted(fired) == sorted([SIN_IS_COS.name] * 2 + [COS_IS_TANH.name] * 2)


def test_roots_are_rewritten_in_their_order(a: Node, b: Node) -> None:
    report = Report()
    roots = [gc.sin(a) * 2, gc.sin(b), gc.sin(a + b)]
    with a.graph.quiet():
        normalize(roots, compile_rules((SIN_IS_COS,)), report)
    assert [node.id for _, node in report.fired] == [
        gc.sin(a).id, gc.sin(b).id, gc.sin(a + b).id,
    ]  # fmt: skip


def test_the_first_rule_of_a_list_wins(a: Node) -> None:
    other = rule(call("sin", x), call("tanh", x))
    assert normal(gc.sin(a), SIN_IS_COS, other)[0] is gc.cos(a)
    assert normal(gc.sin(a), other, SIN_IS_COS)[0] is gc.tanh(a)


def test_what_no_rule_matches_comes_back_by_identity(a: Node) -> None:
    root = gc.exp(a * 2) + gc.tanh(a)
    size = len(a.graph.nodes)
    result, fired = normal(root, SIN_IS_COS)
    assert result is root
    assert fired == []
    assert len(a.graph.nodes) == size


def test_a_rewrite_rebuilds_its_users_and_nothing_else(a: Node) -> None:
    untouched = gc.exp(a * 2)
    result, _ = normal(gc.sin(a) + untouched, SIN_IS_COS)
    assert result is gc.cos(a) + untouched
    assert result.args[1] is untouched


def test_rules_that_run_in_a_circle_are_an_error(a: Node) -> None:
    back = rule(call("cos", x), call("sin", x))
    with pytest.raises(RecursionError, match="circle"):
        normal(gc.sin(a), SIN_IS_COS, back)


def test_a_rule_that_wraps_what_it_matches_is_an_error(a: Node) -> None:
    with pytest.raises(RecursionError, match="circle"):
        normal(gc.sin(a), rule(call("sin", x), call("exp", call("sin", x))))


def test_a_circle_is_told_from_a_rule_that_stops(a: Node) -> None:
    # tanh(sin(x)) = sin(tanh(x)) ends, although sin and tanh occur on both sides.
    swap = rule(call("tanh", call("sin", x)), call("sin", call("tanh", x)))
    result, fired = normal(gc.tanh(gc.tanh(gc.sin(gc.sin(a)))), swap)
    assert result is gc.sin(gc.sin(gc.tanh(gc.tanh(a))))
    assert len(fired) == 4


@pytest.mark.parametrize(
    "change",
    [lambda node, x: gc.sum(x), lambda node, x: x.astype("float32"), lambda node, x: x > 0],
    ids=["shape", "dtype", "kind"],
)
def test_a_rule_that_changes_the_type_is_refused_by_name(a: Node, change: Any) -> None:
    broken = Rule("sin(x) = something else", call("sin", x), change, EXACT)
    with pytest.raises(TypeError, match=r"'sin\(x\) = something else'.*another type"):
        normal(gc.sin(a), broken)


@pytest.mark.parametrize("swapped", [False, True])
def test_operands_of_commutative_ops_match_in_either_order(a: Node, b: Node, swapped: bool) -> None:
    pythagoras = rule(call("add", call("square", call("sin", x)), call("square", call("cos", x))),
                      call("exp", x))  # fmt: skip
    for node in (gc.sin(a) ** 1, b):  # an operand that is older than the others, and a younger one
        terms = [gc.square(gc.sin(node)), gc.square(gc.cos(node))]
        first, second = terms[::-1] if swapped else terms
        assert normal(first + second, pythagoras)[0] is gc.exp(node)


def test_operands_of_other_ops_match_in_one_order(a: Node, b: Node) -> None:
    minus = rule(call("subtract", call("sin", x), y), y)
    assert normal(gc.sin(a) - b, minus)[0] is b
    assert normal(b - gc.sin(a), minus)[1] == []


def test_numbers_match_by_value_and_sign_in_either_order(a: Node) -> None:
    plus_zero, plus_minus_zero = rule(x + 0.0, x), rule(x + -0.0, x)
    assert normal(a + 0.0, plus_zero)[0] is a
    assert normal(0.0 + a, plus_zero)[0] is a
    assert normal(a + 0.0, plus_minus_zero)[1] == []
    assert normal(a + -0.0, plus_zero)[1] == []
    assert normal(a + np.zeros(3), plus_zero)[1] == []


def test_the_same_wildcard_means_the_same_node(a: Node, b: Node) -> None:
    double = rule(call("maximum", x, x), x)
    assert normal(gc.maximum(a, a), double)[0] is a
    assert normal(gc.maximum(a, b), double)[1] == []


def test_once_keeps_work_that_another_user_needs(a: Node, b: Node) -> None:
    moved = rule(call("exp", call("negative", x)), call("reciprocal", call("exp", x)), once=True)
    alone, shared = gc.exp(-a), gc.exp(-a) + -a
    assert normal(alone, moved)[0] is gc.reciprocal(gc.exp(a))
    assert normal(shared, moved)[0] is shared


def test_a_condition_and_a_replacement_can_decline(a: Node, b: Node) -> None:
    only_a = rule(call("sin", x), call("cos", x), when=lambda x: x is a)
    declining = Rule("never", call("cos", x), lambda node, x: None, EXACT)
    result, fired = normal(gc.sin(a) + gc.sin(b), only_a, declining)
    assert result is gc.cos(a) + gc.sin(b)
    assert fired == [only_a.name]


def test_the_report_says_which_node_was_rewritten(a: Node) -> None:
    report = Report()
    normalize([gc.exp(gc.sin(a))], compile_rules((SIN_IS_COS,)), report)
    ((fired, node),) = report.fired
    assert fired is SIN_IS_COS
    assert node is gc.sin(a)


def test_labels_and_sites_survive_a_rewrite(a: Node) -> None:
    with a.graph:
        h = gc.sin(a)
    result, _ = normal(h, SIN_IS_COS)
    assert a.graph.label_of(result) == "h"
    assert a.graph.site_of(result) == a.graph.site_of(h)
