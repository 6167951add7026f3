"""The cases of ONNX's own test suite, by name; it comes with the package and needs no network.

tests/data/onnx_cases.json lists those that are deterministic and static, by what they need of
graphc: T1 and AUX are operators of networks, T2 what is more general; T3 and `other` are not
asked for.
"""

from __future__ import annotations

import functools
import json
import unittest
import warnings
from pathlib import Path

import numpy as np

LISTS = json.loads(
    (Path(__file__).parents[1] / "data" / "onnx_cases.json").read_text(encoding="utf-8")
)
ASKED = ("T1", "T1+AUX", "T1+AUX+T2")


def names(lists: tuple[str, ...] = ASKED) -> list[str]:
    """The names of the cases of some lists."""
    return [name for listed in lists for name in LISTS[listed]]


@functools.cache
def cases() -> dict[str, unittest.TestCase]:
    """All cases, each as the suite itself runs it: outputs, dtypes and shapes at its tolerance."""
    from onnx.backend.test.runner import Runner  # not needed to list the names

    from tests.onnx.backend import GraphcBackend

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite divides by zero to get its infinities
        np.random.seed(0)  # noqa: NPY002 - the suite draws its inputs from there
        found = Runner(GraphcBackend).test_cases
    return {
        name: kind(name)
        for kind in found.values()
        for name in unittest.defaultTestLoader.getTestCaseNames(kind)
    }


def run(name: str) -> None:
    """Run a case; raises whatever the suite or graphc raises."""
    cases()[name].debug()
