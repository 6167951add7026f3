"""Four ways to one derivative, and what each costs.

    python examples/four_ways.py [--size small|full]

Centred differences, symbolic differentiation, forward mode and reverse mode agree on both
derivatives of y = exp(x z) + x z / log x + sin(log x) / (x z) at x = 2, z = 3. They differ in cost:

- many inputs: the gradient of a product of n numbers, in operations;
- depth: the derivative of x sin x, nested d times, as a tree, with sharing and as lines of code.

Prints the three tables. Exits with status 1 if two ways disagree, if reverse mode takes more than 4
times the operations of the function, or if the generated lines grow faster than the depth.
"""

from __future__ import annotations

import argparse
import ast
import math
import sys
from collections.abc import Callable
from functools import reduce
from types import ModuleType
from typing import Any

import sympy

import graphc as gc

INPUTS = {"small": (2, 4, 8, 16), "full": (2, 4, 8, 16, 32, 64)}
DEPTHS = {"small": (1, 2, 3, 4, 5), "full": (1, 2, 3, 4, 5, 6, 7, 8)}


def scalar_module(graph: gc.Graph) -> tuple[ModuleType, str]:
    """The generated module on Python's numbers, and its source."""
    module = gc.compile(graph, style="scalar")
    return module.load(), module.source


def statements(source: str, *functions: str) -> list[ast.stmt]:
    """The statements of functions of a module."""
    found = [f for f in ast.parse(source).body if isinstance(f, ast.FunctionDef)]
    return [statement for f in found if f.name in functions for statement in f.body]


def operations(*statements: ast.stmt) -> int:
    """The arithmetic operations and calls of `math` in them."""
    nodes = [node for statement in statements for node in ast.walk(statement)]
    operators = sum(isinstance(node, (ast.BinOp, ast.UnaryOp)) for node in nodes)
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    return operators + sum(ast.unparse(function).startswith("math.") for function in calls)


# --- the same number --------------------------------------------------------------------------


def quiz() -> tuple[gc.Graph, gc.Graph]:
    """The function, and its derivative by forward mode in a direction (dx, dz)."""
    graphs = []
    for name in ("reverse", "forward"):
        with gc.Graph(name, dtype="float64") as g:
            x = g.input("x")
            z = g.input("z")
            y = gc.exp(x * z) + x * z / gc.log(x) + gc.sin(gc.log(x)) / (x * z)
            if name == "forward":
                dx = g.input("dx")
                dz = g.input("dz")
                y = gc.jvp(y, [x, z], [dx, dz])
            g.output("y", y)
        graphs.append(g)
    return graphs[0], graphs[1]


def one_number() -> bool:
    """Print ∂y/∂x and ∂y/∂z by each of the ways; whether all agree."""
    point = 2.0, 3.0
    reverse_graph, forward_graph = quiz()
    net, _ = scalar_module(reverse_graph)
    pushforward, _ = scalar_module(forward_graph)
    x, z = sympy.symbols("x z")
    y = sympy.exp(x * z) + x * z / sympy.log(x) + sympy.sin(sympy.log(x)) / (x * z)
    at_point = {x: 2, z: 3}

    def difference(dx: float, dz: float, step: float = 1e-5) -> float:
        above = net.predict(point[0] + step * dx, point[1] + step * dz)
        below = net.predict(point[0] - step * dx, point[1] - step * dz)
        return float(above - below) / (2 * step)

    _, grads = net.value_and_grad(*point)
    exact = [float(y.diff(v).evalf(20, subs=at_point)) for v in (x, z)]
    ways = {
        "centred differences": [difference(1, 0), difference(0, 1)],
        "symbolic": [float(sympy.lambdify((x, z), y.diff(v))(*point)) for v in (x, z)],
        "forward mode": [pushforward.predict(*point, 1, 0), pushforward.predict(*point, 0, 1)],
        "reverse mode": [grads["x"], grads["z"]],
    }
    print(f"{'at x = 2, z = 3':22}{'∂y/∂x':>16}{'∂y/∂z':>16}{'relative error':>16}")
    agree = True
    for way, found in ways.items():
        error = max(abs(f / e - 1) for f, e in zip(found, exact, strict=True))
        agree &= error < (1e-7 if way == "centred differences" else 1e-14)
        print(f"{way:22}{found[0]:16.8f}{found[1]:16.8f}{error:16.1e}")
    print(f"{'rounded':22}{exact[0]:16.0f}{exact[1]:16.0f}\n")
    return agree


# --- many inputs ------------------------------------------------------------------------------


def product(n: int, *, forward: bool) -> gc.Graph:
    """x1 x2 ⋯ xn, or its derivative in a direction."""
    with gc.Graph("product", dtype="float64") as g:
        factors = [g.input(f"x{i}") for i in range(n)]
        y: gc.Node = reduce(lambda a, b: a * b, factors)
        if forward:
            y = gc.jvp(y, factors, [g.input(f"dx{i}") for i in range(n)])
        g.output("y", y)
    return g


def many_inputs(counts: tuple[int, ...]) -> bool:
    """Print the operations that a gradient takes, by the number of inputs."""
    ways = "function", "differences", "symbolic", "forward", "reverse"
    print("operations for the gradient of x1 x2 ⋯ xn")
    print(f"{'n':>8}" + "".join(f"{way:>14}" for way in ways))
    cheap = True
    for n in counts:
        net, source = scalar_module(product(n, forward=False))
        pushforward, forward_source = scalar_module(product(n, forward=True))
        function = operations(*statements(source, "predict"))
        reverse = operations(*statements(source, "forward", "backward"))
        symbols = sympy.symbols(f"x:{n}")
        symbolic = sum(int(sympy.prod(symbols).diff(s).count_ops()) for s in symbols)
        costs = {
            "function": function,
            "differences": n * (2 * function + 4),  # two points, each 1 more; their quotient
            "symbolic": symbolic,
            "forward": n * operations(*statements(forward_source, "predict")),
            "reverse": reverse,
        }
        print(f"{n:8}" + "".join(f"{costs[way]:14}" for way in ways))
        point = [1 + math.sin(i) / 2 for i in range(n)]
        _, grads = net.value_and_grad(*point)
        for i, gradient in enumerate(grads.values()):
            direction = [float(i == j) for j in range(n)]
            tangent = pushforward.predict(*point, *direction)
            expected = math.prod(point) / point[i]
            cheap &= math.isclose(gradient, expected) and math.isclose(tangent, expected)
        cheap &= reverse <= 4 * function
    print()
    return cheap


# --- depth ------------------------------------------------------------------------------------


def nested(depth: int, sine: Callable[[Any], Any], x: Any) -> Any:
    """x sin x, of itself, and so on."""
    for _ in range(depth):
        x = x * sine(x)
    return x


def depth_by_depth(depths: tuple[int, ...]) -> bool:
    """Print how large the derivative of a nested function is, in three notations."""
    columns = "as a tree", "with sharing", "generated lines"
    print("the derivative of x sin x, nested d times")
    print(f"{'d':>8}" + "".join(f"{column:>18}" for column in columns))
    x = sympy.Symbol("x")
    lines = []
    for depth in depths:
        derivative = nested(depth, sympy.sin, x).diff(x)
        replacements, reduced = sympy.cse(derivative)
        shared = sum(e.count_ops() for _, e in replacements) + sum(e.count_ops() for e in reduced)
        with gc.Graph("nested", dtype="float64") as g:
            g.output("y", nested(depth, gc.sin, g.input("x")))
        source = gc.compile(g, style="scalar").source
        passes = statements(source, "forward", "backward")
        lines.append(sum(operations(statement) > 0 for statement in passes))
        print(f"{depth:8}{derivative.count_ops():18}{shared:18}{lines[-1]:18}")
    return lines == [depth * lines[0] for depth in depths]


def main(size: str) -> None:
    claims = {
        "four ways agree": one_number(),
        "reverse mode costs at most 4 functions": many_inputs(INPUTS[size]),
        "generated lines are proportional to depth": depth_by_depth(DEPTHS[size]),
    }
    failed = [claim for claim, holds in claims.items() if not holds]
    if failed:
        sys.exit(f"expected that {', '.join(failed)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Four ways to one derivative.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
