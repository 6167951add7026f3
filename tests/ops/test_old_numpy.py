"""Generated code under NumPy 1.23.5: the same types and the same values as under today's.

All modules run in one process of another interpreter. What differs is promotion: there a Python
number beside a float32 scalar makes a float64, and value-based casting looks at ints.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.ops import run_modules
from tests.ops.cases import (
    CASES,
    FLOATS,
    Array,
    Case,
    Model,
    largest,
    over,
)
from tests.ops.kinds import KINDS, of_kinds
from tests.styles import STYLES

# NumPy's own functions differ in the last bits from release to release.
TOLERANCE = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-13}


def models(case: Case) -> Iterator[tuple[str, Model, str]]:
    """The modules of a case: in both float dtypes, with derivatives, and in every other kind."""
    for dtype in FLOATS:
        for style in STYLES:
            yield f"{case.op.name}_{case.sample}_{dtype}_{style}", largest(case, dtype), style
    for dtype in KINDS:
        model, _ = of_kinds(case, dtype)
        if model.graph.outputs:
            yield f"{case.op.name}_{case.sample}_kinds_of_{dtype}", model, "functional"


@pytest.fixture(scope="module")
def old_results(
    old_numpy_python: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, Array]:
    """The results of the modules of all selected tests, under the old NumPy: `module/number`."""
    folder = tmp_path_factory.mktemp("modules")
    feeds: dict[str, Array] = {}
    tests = [test for test in request.session.items if isinstance(test, pytest.Function)]
    for case in [test.callspec.params["case"] for test in tests if test.path == request.path]:
        for name, model, style in models(case):
            (folder / f"{name}.py").write_text(model.modules[style].source, encoding="utf-8")
            feeds.update({f"{name}/{key}": value for key, value in model.feeds.items()})
    np.savez(folder / "feeds.npz", **feeds)  # type: ignore[arg-type]
    command = [str(old_numpy_python), run_modules.__file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "results.npz") as stored:
        return {key: stored[key] for key in stored.files}


@over(CASES)
def test_the_old_numpy_computes_the_same(case: Case, old_results: dict[str, Array]) -> None:
    for name, model, style in models(case):
        assert f"{name}/error" not in old_results, old_results[f"{name}/error"]
        with np.errstate(all="ignore"):
            results = model.run(style=style)
        for i, (key, value) in enumerate(results.items()):
            old, declared = old_results[f"{name}/{i}"], model.graph.outputs[key]
            assert (old.dtype, old.shape) == (declared.dtype.numpy, declared.shape), (name, key)
            tolerance = TOLERANCE.get(old.dtype.name, 0.0)
            finite = np.abs(value[np.isfinite(value)]) if tolerance else value
            scale = float(np.max(finite, initial=1.0))
            np.testing.assert_allclose(
                old, value, rtol=tolerance, atol=tolerance * scale, err_msg=f"{name}: {key}"
            )
