"""The fuzzer: it compares what it says, shrinks what fails, and what it found stays right."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphc.lower import buffers
from tests.fuzz.__main__ import fails_by, failure
from tests.fuzz.cases import Case, random_case
from tests.fuzz.finds import FINDS
from tests.fuzz.shrink import shrunk
from tests.random_recipes import Recipe

ROOT = Path(__file__).parents[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", FINDS)
def test_what_was_found_stays_right(what: str) -> None:
    assert failure(FINDS[what]) in (None, "rejected")


def test_a_case_is_data_that_can_be_rebuilt() -> None:
    for seed in range(20):
        case = random_case(random.Random(seed))
        names: dict[str, Any] = {"Case": Case, "Recipe": Recipe}
        names |= {type(x).__name__: type(x) for x in (*case.recipe.declared, *case.recipe.steps)}
        assert eval(repr(case), names) == case


def test_every_style_and_option_is_drawn() -> None:
    cases = [random_case(random.Random(seed)) for seed in range(400)]
    assert {case.style for case in cases} == {"functional", "workspace", "scalar"}
    assert {case.dtype for case in cases} == {"float64", "float32"}
    assert {case.drawing for case in cases} == {True, False}
    options = {name for case in cases for name in case.options}
    assert options == {"wrt", "allow_unused", "stabilize", "kinks", "optimizer", "inference"}


@pytest.mark.filterwarnings("ignore")
def test_a_broken_plan_of_memory_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    right = buffers.last_uses

    def too_early(order: Any, *arguments: Any) -> dict[Any, int]:
        places = {node: place for place, node in enumerate(order)}
        found = right(order, *arguments)
        return {node: max(last - 1, places.get(node, 0)) for node, last in found.items()}

    monkeypatch.setattr(buffers, "last_uses", too_early)
    cases = (random_case(random.Random(seed)) for seed in range(300))
    case = next(c for c in cases if c.style == "workspace" and wrong(c))
    small = shrunk(case, fails_by(failure(case) or ""))
    assert len(small.recipe.steps) <= min(6, len(case.recipe.steps))
    monkeypatch.undo()
    assert failure(small) is None


def wrong(case: Case) -> bool:
    """Whether a case fails, and not for want of anything to compare."""
    return failure(case) not in (None, "rejected")


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--cases", "3", "--folder", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_case_with_another_seed_is_another_case() -> None:
    case = random_case(random.Random(1))
    assert replace(case, seed=1).recipe.arrays(1).keys() == case.recipe.arrays(2).keys()
