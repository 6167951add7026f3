"""What a replacement was made from is noted, and stays noted; of the user's nodes nothing is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import graphc as gc
from graphc.ir.node import Node
from graphc.ir.pattern import EXACT, STABILIZE, Rule, call, compile_rules, wilds
from graphc.passes.driver import Report, normalize, origin
from graphc.passes.expand import EXPAND_RULES

x, y = wilds("x y")


def stable(name: str, left: object, right: object) -> Rule:
    return Rule(name, left, right, STABILIZE)  # type: ignore[arg-type]


SIN = stable("sin(x) = cos(x)", call("sin", x), call("cos", x))
COS = stable("cos(x) = tanh(x)", call("cos", x), call("tanh", x))
UNDO = stable("log(exp(x)) = x", call("log", call("exp", x)), x)
PAIR = stable("sin(x) * cos(y) = -tanh(y)", call("sin", x) * call("cos", y), -call("tanh", y))
TWICE = Rule("-(-x) = x", -(-x), x, EXACT)  # noqa: B002
MINUS = Rule("x + (-y) = x - y", x + -y, x - y, EXACT)
SOFTMAX = stable("tanh(x) = softmax(x)", call("tanh", x), lambda node, x: gc.softmax(x))


def normal(root: Node, *rules: Rule) -> Node:
    with root.graph.quiet():
        (result,) = normalize([root], compile_rules(rules), Report())
    return result


@pytest.fixture
def a() -> Iterator[Node]:
    """An input of a graph that is open, so that what is made is the user's."""
    with gc.Graph("origins", dtype="float64") as g:
        yield g.input("a", (3,))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("log(sum(exp(x))) = logsumexp(x)", "logsumexp, from log(sum(exp(.)))"),
        ("log(1 + exp(x)) = softplus(x)", "softplus, from log(1 + exp(.))"),
        ("sqrt(x * x) = abs(x)", "abs, from sqrt(. * .)"),
        ("x ** 2.0 = square(x)", "square, from . ** 2.0"),
        ("exp(x) * exp(y) = exp(x + y)", "exp, from exp(x) * exp(y)"),
        ("log(x ** k) = k * log(x)", "k * log(x), from log(x ** k)"),
        ("log(sigmoid(x)) = -softplus(-x)", "softplus, from -(log(sigmoid(.)))"),
        ("f(x) = log(x) - log(1 - x)", "log(x) - log(1 - x), from f(.)"),
        ("x / x = where(isfinite(x), 1, nan)", "where, from . / ."),
        ("log(exp(x)) = x", "x, from log(exp(.))"),
        ("exp(maximum(x, 1e3)) = g(x)", "g, from exp(maximum(., 1e3))"),
    ],
)
def test_the_name_of_a_rule_is_read_backwards(name: str, told: str) -> None:
    assert origin(name) == told


def test_a_replacement_is_noted_and_what_it_is_made_of_is_not(a: Node) -> None:
    result = normal(gc.sin(a * 2), SIN)
    assert a.graph.origins == {result: "cos, from sin(.)"}


def test_exact_rules_note_nothing(a: Node) -> None:
    normal(a + -gc.sin(a), MINUS)
    normal(gc.negative(-gc.sin(a)), TWICE)
    assert a.graph.origins == {}


def test_of_two_rules_the_last_one_is_told(a: Node) -> None:
    result = normal(gc.sin(a), SIN, COS)
    assert a.graph.origins[result] == "tanh, from cos(.)"


def test_an_operand_in_the_place_of_a_node_is_not_noted(a: Node) -> None:
    product = a * 2
    assert normal(gc.log(gc.exp(product)), UNDO) is product
    with a.graph.quiet():
        derived = gc.tanh(a)
        assert normal(gc.log(gc.exp(derived)), UNDO) is derived
    assert a.graph.origins == {}


def test_what_the_user_wrote_too_is_not_noted(a: Node) -> None:
    written = gc.cos(a)
    assert normal(gc.sin(a), SIN) is written
    assert a.graph.origins == {}


def test_a_node_with_the_site_of_another_is_not_the_users(a: Node) -> None:
    """What has been rewritten once has a site, and is still graphc's."""
    kept = normal(gc.sin(a) + 0, SIN)
    (cosine,) = [node for node in kept.args if node.op.name == "cos"]
    assert a.graph.site_of(cosine) is not None
    result = normal(cosine, COS)
    assert a.graph.origins[result] == "tanh, from cos(.)"


def test_it_survives_new_operands_and_the_body_of_a_composite(a: Node) -> None:
    with a.graph.quiet():
        nested = gc.sin(gc.sin(a))
    result = normal(nested, SIN)
    assert [a.graph.origins[node] for node in (result, result.args[0])] == ["cos, from sin(.)"] * 2
    softmax = normal(gc.tanh(a * 3), SOFTMAX)
    assert softmax.op.name == "softmax"
    body = normal(softmax, *EXPAND_RULES)
    assert body.op.name == "divide"
    assert a.graph.origins[body] == "softmax, from tanh(.)"


def test_what_is_swallowed_is_told_at_what_swallowed_it(a: Node) -> None:
    result = normal(gc.sin(a) * gc.cos(a), PAIR)
    assert a.graph.origins[result.args[0]] == "tanh, from -(sin(x) * cos(y))"
    gone = Rule("x + tanh(y) = sinh(x)", x + call("tanh", y), call("sinh", x), EXACT)
    total = normal(a * 5 + result.args[0], gone)
    assert total.op.name == "sinh"
    assert a.graph.origins[total] == a.graph.origins[result.args[0]]
    other = normal(a * 7 + -gc.exp(a), MINUS)
    assert other not in a.graph.origins


def test_what_undoes_a_replacement_is_not_told_of_it(a: Node) -> None:
    wave = gc.sin(a * 2)
    negated = stable("exp(x) = -log(x)", call("exp", x), -call("log", x))
    assert normal(gc.exp(a), negated).args[0] in a.graph.origins
    assert normal(-normal(gc.exp(wave), negated), TWICE).op.name == "log"
    undone = stable("exp(x) = -x", call("exp", x), -x)
    assert wave * 3 not in a.graph.origins
    assert normal(-normal(gc.exp(wave * 3), undone), TWICE) not in a.graph.origins


def test_a_compilation_forgets_what_the_one_before_noted() -> None:
    with gc.Graph("twice", dtype="float64") as g:
        v = g.input("v", (3,))
        g.output("y", gc.log(gc.sum(gc.exp(v))))
    first = gc.compile(g).source
    assert "# logsumexp, from log(sum(exp(.)))" in first
    assert set(g.origins.values()) == {"logsumexp, from log(sum(exp(.)))"}
    assert ", from " not in gc.compile(g, stabilize=False).source
    assert g.origins == {}
    assert gc.compile(g).source == first


def test_arguments_are_not_explained(a: Node) -> None:
    a.graph.explain(a, "masked")
    with a.graph.quiet():
        made = a.graph.constant(2.0) * a
    a.graph.explain(made, "masked")
    assert a.graph.origins == {made: "masked"}
    a.graph.forget_derived()
    assert a.graph.origins == {}
