"""Thirteen formulas that users write, in graphc and its peers: right, or what comes out instead.

    python -m tests.benchmarks.stability [--markdown] [--details]

Formulas, points and what is right come from `tests/data/stability.json`. A formula counts where
value and gradient are right at each of its points, to 1e-6, in float64. At a kink any derivative is
right that a convention may choose (abs'(0) between -1 and 1, shares of a tie that add up to 1), so
that nobody is wrong for a convention.

Peers that are not installed are left out. --markdown prints the table of the README, --details what
was found at each point that is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.benchmarks.stability_peers import NAMES, PEERS, Run
from tests.stability_cases import Case, cases, close, table

RTOL_ULP = 1e-6 / float(np.finfo(np.float64).eps)
WORST = ("error", "nan", "inf", "wrong")  # of several, the first is told
RIGHT = "✓"


def acceptable(found: Any, bounds: Mapping[str, Any]) -> bool:
    """Whether a derivative is one that a convention may choose."""
    slopes = np.asarray(found, np.float64)
    inside = (slopes >= bounds["least"]) & (slopes <= bounds["most"])
    return bool(inside.all()) and abs(slopes.sum() - bounds.get("sum", slopes.sum())) <= 1e-6


def verdict(case: Case, value: Any, slopes: Mapping[str, Any]) -> str:
    """What is wrong with a result; nothing where it is right."""
    pairs = [(value, case.value, None)]
    pairs += [(slopes[n], wanted, case.accept.get(n)) for n, wanted in case.gradient.items()]
    found = set()
    for result, wanted, bounds in pairs:
        result = np.asarray(result, np.float64)
        if result.shape != np.shape(wanted):
            found.add("error")
        elif bounds is not None and acceptable(result, bounds):
            continue
        else:
            bad = result[~close(result, wanted, np.float64, RTOL_ULP, 0)]
            found |= {"nan" if b != b else "inf" if np.isinf(b) else "wrong" for b in bad.ravel()}
    return next((name for name in WORST if name in found), "")


def outcome(case: Case, run: Run, details: bool) -> str:
    """The verdict on what a library finds at one point."""
    try:
        value, slopes = run(case.expression, case.inputs, list(case.gradient))
    except Exception as error:  # of whatever kind: it is the result
        if details:
            print(f"    {case.name}: {type(error).__name__}: {str(error)[:80]}")
        return "error"
    told = verdict(case, value, slopes)
    if told and details:
        print(f"    {case.name}: {told}; value {value}, gradient {dict(slopes)}")
    return told


def cells(run: Run, details: bool = False) -> list[str]:
    """A column of the table."""
    column = []
    for row in range(1, len(table()) + 1):
        found = {outcome(case, run, details) for case in cases() if case.table == row} - {""}
        column.append(next((name for name in WORST if name in found), RIGHT))
    return column


def lines(columns: Mapping[str, list[str]], markdown: bool) -> list[str]:
    """The table, a text for each row."""
    rows = [["formula", *columns]]
    rows += [[f, *cs] for f, *cs in zip(table(), *columns.values(), strict=True)]
    rows.append(["right", *(f"{c.count(RIGHT)}/{len(c)}" for c in columns.values())])
    if not markdown:
        rows = [[cell.replace("`", "") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = [[f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)] for row in rows]
    if not markdown:
        return ["  ".join(row).rstrip() for row in texts]
    texts.insert(1, ["-" * width for width in widths])
    return [f"| {' | '.join(row)} |" for row in texts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="print the table of the README")
    parser.add_argument("--details", action="store_true", help="print what is wrong, and how")
    options = parser.parse_args()
    columns, missing = {}, []
    for name, peer in PEERS.items():
        try:
            run = peer()
        except ImportError:
            missing.append(NAMES[name])
            continue
        if options.details:
            print(NAMES[name])
        columns[NAMES[name]] = cells(run, options.details)
    print("\n".join(lines(columns, options.markdown)))
    if missing:
        print(f"\nnot installed: {', '.join(missing)}")


if __name__ == "__main__":
    main()
