"""Writes `stability.json`: the formulas of `stability_formulas` with values and gradients.

    python -m tests.data.make_stability            # needs mpmath
    python -m tests.data.make_stability --peers    # and asks PyTorch and JAX what they find

Formulas are evaluated as they are written, on numbers of so many digits that nothing in them is
lost: again and again with more, until 50 digits stay. Gradients are central differences on such
numbers (`mp.diff`). At kinks and in limits both are given by hand, and compared with the slopes to
the left and to the right.

Points are rounded to float32, so that both dtypes see the same one; those that float32 cannot hold
are for float64 alone. Without --peers, what the file says of PyTorch and JAX stays in it. The same
formulas give the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np

from tests.benchmarks.stability_peers import PEERS
from tests.data.stability_branches import CHOOSING
from tests.data.stability_formulas import SMOOTH, TABLE, Formula, Point
from tests.stability_cases import PATH, cases, close, encoded

DIGITS = 50
PRECISIONS = (600, 900, 1350, 2000)  # squares of floats go down to 1e-616, and are added to 1
RECORDED = ("torch", "jax")
VECTOR = re.compile(r"\b(sum|mean|prod|max)\(|\[")  # no expression of scalars has one of these


# --- expressions on mpmath ------------------------------------------------------------------------


def elementwise(function: Any, count: int = 1) -> Any:
    """On numbers, and on arrays of them."""
    return np.frompyfunc(function, count, 1)


def divide(x: Any, y: Any) -> Any:
    """NaN where mpmath would raise: `where` may not choose it."""
    return mp.nan if y == 0 else x / y


def power(x: Any, y: Any) -> Any:
    """The same for 0 to a negative power."""
    return mp.nan if x == 0 and y < 0 else mp.power(x, y)


def larger(x: Any, y: Any) -> Any:
    """NaN beside a number without order: the root of a negative one, to the left of a kink."""
    if isinstance(x, mp.mpc) or isinstance(y, mp.mpc):
        return mp.nan
    return x if x >= y else y


EXACT = {
    "exp": elementwise(mp.exp), "log": elementwise(mp.log), "sqrt": elementwise(mp.sqrt),
    "sin": elementwise(mp.sin), "cos": elementwise(mp.cos), "tanh": elementwise(mp.tanh),
    "abs": abs,
    "where": elementwise(lambda c, x, y: x if c else y, 3),
    "maximum": elementwise(larger, 2),
    "minimum": elementwise(lambda x, y: -larger(-x, -y), 2),
    "sum": np.sum, "mean": np.mean, "prod": np.prod, "max": np.max,
    "divide": elementwise(divide, 2), "power": elementwise(power, 2),
}  # fmt: skip


class Careful(ast.NodeTransformer):
    """`/` and `**` become functions that do not raise."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        name = {ast.Div: "divide", ast.Pow: "power"}.get(type(node.op))
        if name is None:
            return node
        call = ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], [])
        return ast.copy_location(call, node)


@cache
def code(expression: str) -> Any:
    """What computes it."""
    tree = Careful().visit(ast.parse(expression, mode="eval"))
    return compile(ast.fix_missing_locations(tree), "stability.json", "eval")


def exact_inputs(point: Point) -> dict[str, Any]:
    """Numbers and arrays of mpmath's."""
    return {
        name: np.vectorize(mp.mpf, otypes=[object])(value) if np.ndim(value) else mp.mpf(value)
        for name, value in point.items()
    }


def exact_value(formula: Formula, inputs: Mapping[str, Any]) -> Any:
    """At the precision that is set."""
    return eval(code(formula.expression), {**EXACT, **inputs})


def moved(inputs: Mapping[str, Any], name: str, place: tuple[int, ...], to: Any) -> dict[str, Any]:
    """With another number in one place."""
    if not place:
        return {**inputs, name: to}
    array = inputs[name].copy()
    array[place] = to
    return {**inputs, name: array}


def slope(formula: Formula, inputs: Mapping[str, Any], name: str, place: tuple[int, ...]) -> Any:
    """The derivative of the sum of all elements, by one number."""
    at = inputs[name][place] if place else inputs[name]

    def total(x: Any) -> Any:
        return np.sum(exact_value(formula, moved(inputs, name, place, x)))

    return mp.diff(total, at, relative=bool(at != 0))


def one_sided(formula: Formula, inputs: Mapping[str, Any], name: str, place: tuple[int, ...],
              towards: int) -> Any:  # fmt: skip
    """The quotient of differences to one side, over a very short way."""
    at = inputs[name][place] if place else inputs[name]
    step = towards * mp.mpf(10) ** -200 * (abs(at) or 1)
    there = np.sum(exact_value(formula, moved(inputs, name, place, at + step)))
    return (there - np.sum(exact_value(formula, inputs))) / step


# --- values and gradients -------------------------------------------------------------------------


def listed(value: Any) -> Any:
    """Floats of 64 bits, in lists."""
    if isinstance(value, np.ndarray):
        return [listed(inner) for inner in value]
    if isinstance(value, (list, tuple)):
        return [listed(inner) for inner in value]
    assert not isinstance(value, mp.mpc), value
    return float(value) + 0.0 if value else 0.0


def digits(value: Any) -> Any:
    """The digits that have to stay when the precision grows."""
    return [mp.nstr(v, DIGITS) for v in np.ravel(np.asarray(value, object))]


def settled(compute: Any) -> Any:
    """A result at the first precision that the next one confirms."""
    before = None
    for precision in PRECISIONS:
        with mp.workdps(precision):
            result = compute()
        if before is not None and digits(before) == digits(result):
            return result
        before = result
    raise AssertionError(f"{DIGITS} digits do not settle at {PRECISIONS[-1]}")


def gradient(formula: Formula, point: Point) -> dict[str, Any]:
    """By each input that is asked for."""
    inputs = exact_inputs(point)
    found: dict[str, Any] = {}
    for name in formula.wrt or point:
        slopes = np.empty(np.shape(point[name]), object)
        for place in np.ndindex(slopes.shape):
            slopes[place] = settled(lambda n=name, p=place: slope(formula, inputs, n, p))
        found[name] = slopes if slopes.shape else slopes[()]
    return found


def check_by_hand(formula: Formula, point: Point, given: Mapping[str, Any]) -> None:
    """A slope given by hand lies between those to the left and to the right, where both exist."""
    if not all(np.isfinite(value).all() for value in point.values()):
        return
    inputs = exact_inputs(point)
    with mp.workdps(1000):
        if not np.all([mp.isfinite(v) for v in np.ravel(exact_value(formula, inputs))]):
            return
        for name, slopes in given.items():
            for place in np.ndindex(np.shape(point[name])):
                wanted = mp.mpf(np.asarray(slopes, object)[place])
                sides = [one_sided(formula, inputs, name, place, side) for side in (-1, 1)]
                if all(isinstance(s, mp.mpf) and mp.isfinite(s) for s in sides):
                    low, high = min(sides) - 1e-9, max(sides) + 1e-9
                    assert low <= wanted <= high or abs(high) > 1e90, (formula.expression, sides)


# --- the file -------------------------------------------------------------------------------------


def rounded(value: Any) -> Any:
    """To float32, where that has a number near."""
    if isinstance(value, (list, tuple)):
        return [rounded(inner) for inner in value]
    with np.errstate(over="ignore", under="ignore"):
        single = float(np.float32(value))
    if not np.isfinite(value) or value == 0:
        return float(value)
    normal = float(np.finfo(np.float32).tiny) <= abs(single) < np.inf
    return single if normal else float(value)


def fits_float32(numbers: Any) -> bool:
    """Whether float32 can hold results: infinities only where they are meant."""
    flat = np.ravel(np.asarray(numbers, np.float64))
    return bool((np.abs(flat[np.isfinite(flat)]) <= np.finfo(np.float32).max).all())


def told(value: Any) -> str:
    """A number or a list of them, short."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(told(inner) for inner in value)}]"
    return f"{value:.9g}"


def made(formula: Formula, written: Point) -> dict[str, Any]:
    """A case, as the file has it."""
    point = {name: rounded(value) for name, value in written.items()}
    by_hand = formula.gradient is not None
    if formula.gradient is not None:
        check_by_hand(formula, point, formula.gradient)
        slopes = listed_by_name(formula.gradient)
    else:
        slopes = listed_by_name(gradient(formula, point))
    value = formula.value
    if value is None:
        value = settled(lambda: exact_value(formula, exact_inputs(point)))
    value = listed(value)
    results = [value, *slopes.values()]
    finite = all(np.isfinite(np.ravel(r)).all() for r in results)
    assert by_hand or finite, formula.expression
    in_float32 = all(rounded(v) == v or v != v for v in flat(point)) and all(
        abs(v) == 0 or not np.isfinite(v) or 1e-38 < abs(v) < 3e38 for v in flat(point)
    )
    dtypes = ["float32"] * (in_float32 and all(map(fits_float32, results))) + ["float64"]
    scalar = not any(map(np.ndim, point.values())) and not VECTOR.search(formula.expression)
    where = ", ".join(f"{name}={told(value)}" for name, value in written.items())
    case = {
        "name": f"{formula.expression} at {where}",
        "group": formula.group,
        "expression": formula.expression,
        "inputs": point,
        "value": value,
        "gradient": slopes,
        "source": "closed form" if by_hand else "mp.diff",
        "dtypes": dtypes,
        "in_domain": finite and formula.quiet,
        "scalar": scalar,
    }
    extras = ("why", "table", "accept", "rtol_ulp", "atol_ulp")
    return case | {key: getattr(formula, key) for key in extras if getattr(formula, key)}


def flat(point: Point) -> list[float]:
    """All numbers of a point."""
    return [float(v) for value in point.values() for v in np.ravel(value)]


def listed_by_name(found: Mapping[str, Any]) -> dict[str, Any]:
    """Gradients as floats."""
    return {name: listed(value) for name, value in found.items()}


def missed(case: Mapping[str, Any], run: Any) -> dict[str, Any] | None:
    """What a library finds where that is not close to what is right."""
    names = list(case["gradient"])
    value, slopes = run(case["expression"], case["inputs"], names)
    found = [value, *(slopes[name] for name in names)]
    wanted = [case["value"], *case["gradient"].values()]
    rtol_ulp = 1e-6 / float(np.finfo(np.float64).eps)
    if all(
        np.shape(f) == np.shape(w) and close(f, w, np.float64, rtol_ulp, 0).all()
        for f, w in zip(found, wanted, strict=True)
    ):
        return None
    return {"value": plain(value), "gradient": {name: plain(slopes[name]) for name in names}}


def plain(value: Any) -> Any:
    """Of an array, lists of floats; to 12 digits, so that the last bits of a peer's exp on another
    machine do not change the file.
    """
    array = np.asarray(value, np.float64)
    if array.ndim:
        return [plain(inner) for inner in array]
    return float(f"{float(array):.12g}") if math.isfinite(array) else float(array)


def text(found: list[dict[str, Any]]) -> str:
    """The file: a line for each key."""

    def line(value: Any) -> str:
        return json.dumps(encoded(value), ensure_ascii=False)

    rows = ",\n".join(f"  {line(row)}" for row in TABLE)
    bodies = ",\n".join(
        "  {\n" + ",\n".join(f"   {line(key)}: {line(case[key])}" for key in case) + "\n  }"
        for case in found
    )
    return f'{{\n "table": [\n{rows}\n ],\n "cases": [\n{bodies}\n ]\n}}\n'


def all_cases() -> list[dict[str, Any]]:
    """Without what peers say."""
    found = [made(formula, point) for formula in (*SMOOTH, *CHOOSING) for point in formula.points]
    for name, group in itertools.groupby(sorted(case["name"] for case in found)):
        assert len(list(group)) == 1, f"twice: {name}"
    return found


def with_peers(found: list[dict[str, Any]], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """With what the peers that are asked find, and what the file says of the others."""
    known = {case.name: case.peers for case in cases()} if PATH.exists() else {}
    completed = []
    for case in found:
        told = dict(known.get(case["name"], {}))
        for peer, run in asked.items():
            told[peer] = missed(case, run)
        wrong = {peer: told[peer] for peer in RECORDED if told.get(peer)}
        completed.append({**case, "peers": wrong} if wrong else case)
    return completed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="ask PyTorch and JAX again")
    options = parser.parse_args()
    asked = {}
    for peer in RECORDED if options.peers else ():
        try:
            asked[peer] = PEERS[peer]()
        except ImportError:
            print(f"{peer} is not installed: what the file says of it stays")
    found = with_peers(all_cases(), asked)
    PATH.write_text(text(found), encoding="utf-8")
    print(f"{len(found)} cases in {len({case['group'] for case in found})} groups")


if __name__ == "__main__":
    main()
