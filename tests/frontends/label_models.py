"""Ways in which a node gets the name of a variable, to be run by each Python that graphc supports.

Run as a script it prints the labels as JSON: bytecode differs between releases of Python, and
labels are read off it.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable

import numpy as np

import graphc as gc

Model = Callable[[gc.Graph, gc.Node], None]


def assigned(g: gc.Graph, x: gc.Node) -> None:
    h = x * 2
    y = gc.exp(h) + 1
    z: gc.Node = y.sum()
    np.tanh(z)


def in_a_loop(g: gc.Graph, x: gc.Node) -> None:
    h = x
    for _ in range(3):
        h = np.tanh(h)


def rebound(g: gc.Graph, x: gc.Node) -> None:
    h = x * 2
    h = h + 1
    h += 3


def returning(v: gc.Node) -> gc.Node:
    return gc.tanh(v * 2)


def returning_its_own(v: gc.Node) -> gc.Node:
    inner = gc.sin(v)
    return inner  # noqa: RET504 - the assignment is what is tested


def returned_by_helpers(g: gc.Graph, x: gc.Node) -> None:
    a = returning(x)
    b = returning_its_own(a)
    c = (lambda v: returning(v + b))(a)
    c.sum()


def in_a_path(g: gc.Graph, x: gc.Node) -> None:
    with gc.path("outer"):
        a = returning(x)
        W = g.parameter("W", (3,))
        with gc.path("inner"):
            b = a + W
    c = b * 3
    c.sum()


def named(g: gc.Graph, x: gc.Node) -> None:
    a = (x * 2).named("double")
    b = x * 3
    b.named("triple")
    x.named("an argument keeps its name")
    a + b


def unpacked(g: gc.Graph, x: gc.Node) -> None:
    """No instruction says so; the names are read off the variables when the graph is closed."""
    with g:
        a, b = x * 2, x * 3
        (c, *d) = [a + 1, a + 2]
        left, right = gc.split(x[:2], 2)
        left + right + b + c + d[0]


def in_a_comprehension(g: gc.Graph, x: gc.Node) -> None:
    several = [x * k for k in (2, 3)]
    last = several[1] + 1
    keyed = {k: x - k for k in (4, 5)}
    keyed[4] * last


def not_a_plain_name(g: gc.Graph, x: gc.Node) -> None:
    with g:
        holder = types.SimpleNamespace()
        holder.h = x * 2
        holder.k = {"key": x * 3}
        if (walrus := x * 5) is x:
            return
        first = second = x * 6
        walrus + first + second


def same_node_twice(g: gc.Graph, x: gc.Node) -> None:
    a = x * 2
    b = x * 2
    a + b


def closed_over(g: gc.Graph, x: gc.Node) -> None:
    cell = x

    def change() -> None:
        nonlocal cell
        cell = x * 7

    change()
    cell + 1


def global_names(g: gc.Graph, x: gc.Node) -> None:
    code = "h = x * 2\nfor _ in range(2):\n    h = -h\nu, v = h + 1, h + 2\n"
    exec("with g:\n" + "".join(f"    {line}\n" for line in code.splitlines()), {"g": g, "x": x})


def many_names(g: gc.Graph, x: gc.Node) -> None:
    """More than 255 variables need a longer instruction."""
    names = "".join(f"    v{i} = {i}\n" for i in range(300))
    body = "    h = x * 2\n    h = -h\n"
    space: dict[str, Model] = {}
    exec(f"def f(g, x):\n{names}{body}", space)
    space["f"](g, x)


EXPECTED: dict[Model, list[str]] = {
    assigned: ["h", "y", "z"],
    in_a_loop: ["h_1", "h_2", "h_3"],
    rebound: ["h_1", "h_2", "h_3"],
    returned_by_helpers: ["a", "inner", "c"],
    in_a_path: ["outer.a", "outer.inner.b", "c"],
    named: ["double", "triple"],
    unpacked: ["a", "b", "c", "left", "right"],
    in_a_comprehension: ["last"],
    not_a_plain_name: ["walrus", "first"],
    same_node_twice: ["a"],
    closed_over: ["cell"],
    global_names: ["h_1", "h_2", "h_3", "u", "v"],
    many_names: ["h_1", "h_2"],
}


def labels(model: Model) -> list[str]:
    """The labels that a model leaves, in the order of the nodes."""
    g = gc.Graph("m")
    x = g.input("x", (3,))
    model(g, x)
    return [str(g.label_of(node)) for node in g.nodes if node in g.labels]


if __name__ == "__main__":
    print(json.dumps({model.__name__: labels(model) for model in EXPECTED}))
