"""What the fast tests run: of each test its time and outcome, of each line the tests that reach it.

The lines need coverage.py; without it a map has none, and files are ordered by their names alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

try:
    import coverage
except ImportError:
    coverage = None  # type: ignore[assignment]


@dataclass(eq=False)
class FastTest:
    """One test: its id, how long it took, whether it passed and whether it started processes."""

    id: str
    seconds: float = 0.0
    passed: bool = True
    spawns: bool = False

    @property
    def file(self) -> str:
        return self.id.partition("::")[0]

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]

    @property
    def function(self) -> str:
        return self.id.partition("[")[0]

    @property
    def parameters(self) -> str:
        return self.id.partition("[")[2].rstrip("]")

    @property
    def case(self) -> str:
        """The first word of the parameters: for tests of ops, the op."""
        return self.parameters.partition("-")[0]


@dataclass
class Map:
    """What was known when the map was made.

    tests  all fast tests in their order
    lines  for each line of each file the tests that reach it: bits are places in `tests`
    files  a digest of each file
    """

    tests: list[FastTest]
    lines: dict[str, dict[int, int]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def reaching(self, path: str, source: bytes, lines: Iterable[int]) -> list[FastTest]:
        """The tests that reach one of the lines of a file after it has been imported."""
        known = self.lines.get(path, {}) if self.files.get(path) == digest(source) else {}
        mask = 0
        for line in lines:
            mask |= known.get(line, 0)
        return [test for place, test in enumerate(self.tests) if mask >> place & 1]

    def save(self, path: Path) -> None:
        masks: dict[int, int] = {}  # lines of one block have one mask: it is written once
        lines = {
            file: {line: masks.setdefault(mask, len(masks)) for line, mask in known.items()}
            for file, known in self.lines.items()
        }
        tests = [vars(test) for test in self.tests]
        texts = [f"{mask:x}" for mask in masks]
        stored = {"tests": tests, "lines": lines, "masks": texts, "files": self.files}
        path.write_text(json.dumps(stored), encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Map:
        stored = json.loads(path.read_text(encoding="utf-8"))
        masks = [int(mask, 16) for mask in stored["masks"]]
        lines = {
            file: {int(line): masks[place] for line, place in known.items()}
            for file, known in stored["lines"].items()
        }
        return Map([FastTest(**test) for test in stored["tests"]], lines, stored["files"])


class Recorder:
    """A plugin of pytest that fills a map."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tests: dict[str, FastTest] = {}
        self.current: FastTest | None = None
        self.coverage: Any = None
        if coverage is not None:
            self.coverage = coverage.Coverage(
                data_file=None, source=[str(root / "graphc")], config_file=False
            )
            self.coverage.start()
        sys.addaudithook(self.audited)

    def audited(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn") and self.current is not None:
            self.current.spawns = True

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        test = self.current = self.tests[item.nodeid] = FastTest(item.nodeid)
        if self.coverage is not None:
            self.coverage.switch_context(str(len(self.tests)))
        started = time.perf_counter()
        yield
        test.seconds = round(time.perf_counter() - started, 4)
        self.current = None
        if self.coverage is not None:
            self.coverage.switch_context("0")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.tests[report.nodeid].passed = False

    def result(self) -> Map:
        found = Map(list(self.tests.values()), files=digests(self.root))
        if self.coverage is not None:
            self.coverage.stop()
            data = self.coverage.get_data()
            for name in data.measured_files():
                known = found.lines[Path(name).relative_to(self.root).as_posix()] = {}
                for line, contexts in data.contexts_by_lineno(name).items():
                    places = [int(context) - 1 for context in contexts if context not in ("", "0")]
                    if places:
                        known[line] = sum(1 << place for place in set(places))
        return found


def digests(root: Path) -> dict[str, str]:
    """A digest of each source file and each file of tests."""
    return {
        path.relative_to(root).as_posix(): digest(path.read_bytes())
        for path in sorted([*root.glob("graphc/**/*.py"), *root.glob("tests/**/test_*.py")])
    }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def record(root: Path, target: Path, arguments: list[str]) -> None:
    """Run the fast tests of a tree and write their map."""
    recorder = Recorder(root)
    pytest.main(arguments, plugins=[recorder])
    recorder.result().save(target)
