"""Mutation check: do the fast tests notice small changes of meaning in graphc?

    python -m tests.mutation                         200 mutants, spread over the packages
    python -m tests.mutation --only graphc/lower --count 40 --seed 3
    python -m tests.mutation --list                  what would be run
    python -m tests.mutation --results FILE          goes on where it was stopped
    python -m tests.mutation --results FILE --again  what survived there, once more

mutmut and cosmic-ray run the whole suite, which takes minutes, for each mutant, in no order of
likelihood; here most mutants are caught by the tests next to them, within seconds. With
coverage.py installed, the first run notes which tests reach which lines (--map keeps that).

Mutants that compute the same as the original are listed, with the reason, in equivalent.txt.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mutation import recording
from tests.mutation.mutants import Mutant, compiles, mutants
from tests.mutation.running import BROKEN, CAUGHT, HUNG, OPTIONS, PASSED, Copy, Outcome, preload
from tests.mutation.selection import stages

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")
PACKAGES = ("ir", "ops", "autodiff", "passes", "lower", "codegen", "runtime")
NOT_EQUIVALENT = (CAUGHT, HUNG, PASSED)


def main() -> int:
    """Run mutants and tell what became of them; 1 if fewer than 95 % are caught."""
    options = arguments()
    drawn = list(draw(options))
    if options.list:
        for mutant in drawn:
            print(heading(mutant), *changed(mutant), sep="\n")
        return 0
    results = run(options, drawn)
    return report([(mutant, results[identity(mutant)]) for mutant in drawn])


def arguments() -> argparse.Namespace:
    """The command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("tests.mutation", description=__doc__, formatter_class=layout)
    parser.add_argument("--count", type=int, default=200, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--only", action="append", default=[], help="files or folders to mutate")
    parser.add_argument("--exclude", action="append", default=[], help="files to leave alone")
    parser.add_argument("--list", action="store_true", help="show the mutants, run nothing")
    parser.add_argument("--timeout", type=float, default=15, help="seconds for a stage of tests")
    parser.add_argument("--results", type=Path, help="JSON lines to append to and to resume from")
    parser.add_argument("--again", action="store_true", help="run what survived before once more")
    parser.add_argument("--map", type=Path, help="where to keep what the tests reach")
    parser.add_argument("--quick", action="store_true", help="leave out tests that are far away")
    return parser.parse_args()


def draw(options: argparse.Namespace) -> Iterator[Mutant]:
    """Mutants spread evenly over the packages, the same ones for the same seed."""
    sites: dict[str, list[Mutant]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / "graphc" / package).glob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            wanted = not options.only or any(name.startswith(start) for start in options.only)
            if wanted and not any(name.startswith(start) for start in options.exclude):
                sites.setdefault(package, []).extend(mutants(name, path.read_bytes()))
    left = options.count
    for done, found in enumerate(sorted(sites.values(), key=len)):
        quota = -(-left // (len(sites) - done))
        found.sort(key=lambda mutant: rank(options.seed, mutant))
        chosen = list(itertools.islice(filter(compiles, found), quota))
        left -= len(chosen)
        yield from chosen


def rank(seed: int, mutant: Mutant) -> bytes:
    """A number as if drawn by chance; it stays as it is when other lines change."""
    text = "\n".join([str(seed), mutant.file, mutant.kind, *mutant.diff()])
    return hashlib.sha256(text.encode()).digest()


def identity(mutant: Mutant) -> str:
    """What results are kept under: the change and the file that it is made in."""
    return f"{mutant.key}:{hashlib.sha256(mutant.source).hexdigest()[:12]}"


def run(options: argparse.Namespace, drawn: list[Mutant]) -> dict[str, dict[str, Any]]:
    """The result of each mutant, from the file of results or from tests run now."""
    results: dict[str, dict[str, Any]] = {}
    if options.results and options.results.exists():
        for line in options.results.read_text(encoding="utf-8").splitlines():
            result = json.loads(line)
            results[result["id"]] = result
    equivalent = reviewed()
    preload()
    with tempfile.TemporaryDirectory(prefix="graphc-mutants-") as folder:
        copy = Copy(ROOT, Path(folder).resolve() / "graphc")
        known = mapped(options, copy)
        for number, mutant in enumerate(drawn, 1):
            before = results.get(identity(mutant))
            if (mutant.file, *mutant.diff()) in equivalent:
                results[identity(mutant)] = {"state": "equivalent"}
                continue
            if before and not (options.again and before["state"] == PASSED):
                continue
            started = time.monotonic()
            outcome = tried(options, mutant, copy, known)
            result = {
                "id": identity(mutant),
                "state": outcome.state,
                "test": outcome.test,
                "seconds": round(time.monotonic() - started, 1),
            }
            results[identity(mutant)] = result
            print(f"{number:4} {told(mutant, result)}", flush=True)
            if options.results:
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
    return results


def mapped(options: argparse.Namespace, copy: Copy) -> recording.Map:
    """What the tests of the tree as it is take and reach."""
    path: Path = options.map or copy.path.parent / "map.json"
    if not path.exists():
        print("running all fast tests once", flush=True)

        def session() -> Outcome:
            recording.record(copy.path, path.resolve(), [*OPTIONS, "tests"])
            return Outcome(PASSED)

        copy.forked(session, 3600)
    known = recording.Map.load(path)
    copy.known = frozenset(test.id for test in known.tests)
    now = recording.digests(copy.path)
    copy.changed = [
        file
        for file, digest in now.items()
        if file.startswith("tests/") and known.files.get(file) != digest
    ]
    failing = [test.id for test in known.tests if not test.passed]
    if failing:
        print(f"{len(failing)} tests fail without any mutant and are left out:", *failing[:20],
              sep="\n  ")  # fmt: skip
    return known


def tried(options: argparse.Namespace, mutant: Mutant, copy: Copy, known: recording.Map) -> Outcome:
    """What becomes of one mutant."""
    with copy.mutated(mutant):
        groups = stages(mutant, known, thorough=not options.quick)
        for number, tests in enumerate(groups):
            seconds = sum(test.seconds for test in tests)
            outcome = copy.run(tests, options.timeout + 2 * seconds, fresh=number == 0)
            if outcome.state != PASSED:
                return outcome
    return Outcome(PASSED)


def reviewed() -> set[tuple[str, str, str]]:
    """File, original and mutant of what computes the same: blocks of four lines."""
    found = set()
    for block in EQUIVALENT.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("##")]
        if lines:
            file, before, after, reason = lines
            assert before.startswith("- ") and after.startswith("+ ") and reason.startswith("# ")
            found.add((file, before[2:], after[2:]))
    return found


def heading(mutant: Mutant) -> str:
    return f"{mutant.file}:{mutant.lines[0]} ({mutant.kind})"


def changed(mutant: Mutant) -> list[str]:
    before, after = mutant.diff()
    return [f"    - {before}", f"    + {after}"]


def told(mutant: Mutant, result: dict[str, Any]) -> str:
    """One line about a mutant, and the change where nothing noticed it."""
    state = "SURVIVED" if result["state"] == PASSED else result["state"]
    line = f"{state:8} {result['seconds']:6.1f} s  {heading(mutant)}  {result['test']}"
    return "\n".join([line, *changed(mutant)]) if result["state"] == PASSED else line


def report(results: list[tuple[Mutant, dict[str, Any]]]) -> int:
    """The table of packages, and what survived."""
    counts: dict[str, Counter[str]] = {}
    for mutant, result in results:
        counts.setdefault(mutant.file.split("/")[1], Counter())[result["state"]] += 1
    counts["all"] = sum(counts.values(), Counter())
    print(f"\n{'':10}{'caught':>8}{'survived':>10}{'equivalent':>12}{'broken':>8}{'rate':>9}")
    rate = 1.0
    for package, count in counts.items():
        caught = count[CAUGHT] + count[HUNG]
        rate = caught / max(1, caught + count[PASSED])
        print(f"{package:10}{caught:8}{count[PASSED]:10}{count['equivalent']:12}{count[BROKEN]:8}"
              f"{rate:9.1%}")  # fmt: skip
    print("broken: raises when graphc is imported; no test is needed, and none counted")
    for mutant, result in results:
        if result["state"] == PASSED:
            print("", heading(mutant), *changed(mutant), sep="\n")
    return 0 if rate >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
