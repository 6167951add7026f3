"""Which tests are run on a mutant, and in which order: the likeliest to notice it first."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tests.mutation.mutants import Mutant
from tests.mutation.recording import FastTest, Map

GOLDEN = "tests/test_golden.py"  # looks at every byte of many modules: quick to notice
PER_FUNCTION = 2  # of the cases of one test function, at first
SECONDS = 12.0  # of a first look


def stages(mutant: Mutant, known: Map, *, thorough: bool = True) -> Iterator[list[FastTest]]:
    """Groups of tests: near the mutated file, through the mutated lines, and all that is left.

    What a test makes may be kept for later ones, so that only the first was seen to reach a line:
    tests of the same case count as reaching it too.
    """
    tests = [test for test in known.tests if test.passed]
    passed = {test.id for test in tests}
    reached = known.reaching(mutant.file, mutant.source, mutant.lines)
    reaching = [test for test in reached if test.id in passed]
    if reaching:
        cases = {(test.folder, test.case) for test in reaching if test.case}
        related = [test for test in tests if (test.folder, test.case) in cases]
    else:  # what only runs when the module is imported, or is newer than the map
        related = [test for test in tests if is_near(test, mutant)]
    through = list(dict.fromkeys([*reaching, *related]))
    done: set[str] = set()
    subject = subject_of(mutant)
    named = [t for t in through if is_mirror(t, mutant) or (subject and subject in t.parameters)]
    near = [test for test in through if is_near(test, mutant)]
    calm = [test for test in through if not is_heavy(test)]
    first_looks = (named, near, calm, calm if reaching else tests)
    groups = [fastest(group) for group in first_looks]
    groups += [calm, through, tests] if thorough else []
    for group in groups:
        chosen = [test for test in group if test.id not in done]
        done.update(test.id for test in chosen)
        if chosen:
            yield in_order(chosen)


def is_mirror(test: FastTest, mutant: Mutant) -> bool:
    """Whether a test stands in the file that mirrors the mutated one."""
    path = PurePosixPath(mutant.file)
    return test.file == f"tests/{path.parent.name}/test_{path.name}"


def is_near(test: FastTest, mutant: Mutant) -> bool:
    """Whether a test stands in the folder that mirrors the mutated one, or looks at everything."""
    return test.file == GOLDEN or test.folder == f"tests/{PurePosixPath(mutant.file).parent.name}"


def is_heavy(test: FastTest) -> bool:
    """Whether a test starts processes that take long."""
    return test.spawns and test.seconds > 1.5


def subject_of(mutant: Mutant) -> str:
    """The name of the op or rule whose declaration is mutated."""
    found = ""
    for node in ast.walk(ast.parse(mutant.source)):  # inner calls come after outer ones
        match node:
            case ast.Call(args=[ast.Constant(value=str(name)), *_], lineno=first, end_lineno=last):
                if last is not None and first <= mutant.lines[0] <= last:
                    found = name
    return found


def fastest(tests: Iterable[FastTest]) -> list[FastTest]:
    """All tests if they take little time; else of each test function the fastest cases."""
    quiet = [test for test in tests if not is_heavy(test)]
    if sum(test.seconds for test in quiet) <= SECONDS / 2:
        return quiet
    chosen: list[FastTest] = []
    counts: dict[str, int] = {}
    total = 0.0
    for test in sorted(quiet, key=lambda test: test.seconds):
        counts[test.function] = counts.get(test.function, 0) + 1
        if counts[test.function] <= PER_FUNCTION and total + test.seconds <= SECONDS:
            total += test.seconds
            chosen.append(test)
    return chosen


def in_order(tests: list[FastTest]) -> list[FastTest]:
    """Golden files first, then the files that take little time; inside a file as they stand."""
    cost: dict[str, float] = {}
    for test in tests:
        cost[test.file] = cost.get(test.file, 0.0) + test.seconds
    return sorted(tests, key=lambda test: (test.file != GOLDEN, cost[test.file], test.file))
