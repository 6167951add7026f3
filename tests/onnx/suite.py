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
from typing import Any

import numpy as np

DATA = json.loads(
    (Path(__file__).parents[1] / "data" / "onnx_cases.json").read_text(encoding="utf-8")
)
LISTS = DATA["lists"]
WITHOUT_FLOATS = DATA["without_floats"]  # of those asked for: none goes in, or none comes out
ASKED = ("T1", "T1+AUX", "T1+AUX+T2")


def names(lists: tuple[str, ...] = ASKED) -> list[str]:
    """The names of the cases of some lists."""
    return [name for listed in lists for name in LISTS[listed]]


@functools.cache
def cases(style: str) -> dict[str, unittest.TestCase]:
    """All cases, each as the suite itself runs it: outputs, dtypes and shapes at its tolerance."""
    from onnx.backend.test.runner import Runner  # not needed to list the names

    from tests.onnx.backend import GraphcBackend, WorkspaceBackend

    backend = {"functional": GraphcBackend, "workspace": WorkspaceBackend}[style]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite divides by zero to get its infinities
        np.random.seed(0)  # noqa: NPY002 - the suite draws its inputs from there
        found = Runner(backend).test_cases
    return {
        name: kind(name)
        for kind in found.values()
        for name in unittest.defaultTestLoader.getTestCaseNames(kind)
    }


def run(name: str, style: str = "functional") -> None:
    """Run a case; raises whatever the suite or graphc raises."""
    cases(style)[name].debug()


@functools.cache
def models() -> dict[str, Any]:
    """Model and data of all cases but the light models, as the suite has them."""
    from onnx.backend.test.loader import load_model_tests

    cases("functional")  # under the same seed
    kinds = ("node", "simple", "pytorch-converted", "pytorch-operator")
    return {f"{case.name}_cpu": case for kind in kinds for case in load_model_tests(kind=kind)}


def example(name: str) -> tuple[Any, list[Any]]:
    """The model of a case and its first inputs."""
    import onnx

    case = models()[name]
    if case.model is not None:
        return case.model, [plain(value) for value in case.data_sets[0][0]]
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    files = sorted(folder.glob("test_data_set_0/input_*.pb"), key=lambda p: int(p.stem[6:]))
    tensors = [onnx.TensorProto.FromString(file.read_bytes()) for file in files]
    return model, [plain(tensor) for tensor in tensors]


def plain(value: Any) -> Any:
    """An array, also of what the suite keeps as a tensor."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
