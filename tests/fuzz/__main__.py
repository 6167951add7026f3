"""Random valid models, compiled in every style and compared with what was declared.

    python -m tests.fuzz --seconds 1800

Each failure is shrunk and written as a script that shows it; the exit status is 1 if there was one.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.fuzz.cases import Case, random_case
from tests.fuzz.checks import RejectedError, check
from tests.fuzz.shrink import shrunk

REJECTED = "rejected"
SCRIPT = '''"""Found by the fuzzer with --seed {seed}: {what}"""

from tests.fuzz.cases import Case
from tests.fuzz.checks import check
from tests.random_recipes import Declared, Recipe, Step

CASE = {case!r}

if __name__ == "__main__":
    check(CASE)
'''


def main() -> int:
    """Fuzz for a while; the number of failures decides the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="at most so many")
    parser.add_argument("--folder", type=Path, default=Path("finds"), help="for the scripts")
    parser.add_argument("--stop-after", type=int, default=20, help="failures of different kinds")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    start = time.monotonic()
    outcomes: Counter[str] = Counter()
    styles: Counter[str] = Counter()
    seen: set[str] = set()
    for seed in range(options.seed, options.seed + options.cases):
        if time.monotonic() - start > options.seconds or len(seen) >= options.stop_after:
            break
        case = random_case(random.Random(seed))
        problem = failure(case)
        styles[case.style] += 1
        if problem in (None, REJECTED):
            outcomes[problem or "passed"] += 1
            continue
        outcomes["failed"] += 1
        if problem not in seen:
            seen.add(problem)
            report(seed, case, problem, options.folder)
    told = f"{counted(outcomes)} ({counted(styles)})" if outcomes else "nothing was tried"
    print(f"{time.monotonic() - start:.0f} s: {told}")
    return 1 if seen else 0


def counted(counts: Counter[str]) -> str:
    """How many of each kind."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def failure(case: Case) -> str | None:
    """How a case fails, without numbers that differ from case to case; None if it does not."""
    try:
        with np.errstate(all="ignore"):
            check(case)
    except RejectedError:
        return REJECTED
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = next((f for f in reversed(frames) if "graphc" in f.filename), frames[-1])
        text = "".join(c for c in str(error).split("\n")[0] if not c.isdigit())[:80]
        return f"{type(error).__name__} in {Path(place.filename).name} {place.name}: {text}"
    return None


def fails_by(problem: str) -> Callable[[Case], bool]:
    """Whether a case fails in the place of a problem: a smaller one may be no model at all."""
    kind = problem.partition(":")[0]
    return lambda case: (failure(case) or "").startswith(kind)


def report(seed: int, case: Case, problem: str, folder: Path) -> None:
    """Shrink a failing case, and write a script that shows it."""
    print(f"seed {seed}: {problem}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        case = shrunk(case, fails_by(problem))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"find_{seed}.py"
    path.write_text(SCRIPT.format(seed=seed, what=problem.replace('"', "'"), case=case))
    print(f"    {len(case.recipe.steps)} steps, {path}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
