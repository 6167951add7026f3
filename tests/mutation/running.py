"""Running chosen tests on a copy of the tree, in a fork that has NumPy and the like loaded."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant
from tests.mutation.recording import FastTest

# What takes long to import and is no part of graphc; what is not there is not needed.
PRELOADED = ("numpy", "sympy", "hypothesis", "jinja2", "mpmath", "torch", "xml.etree.ElementTree")
IGNORED = (".git", ".hypothesis", "*_cache", "build", "dist", ".venv*", "*.egg-info", "__pycache__")
PASSED, CAUGHT, HUNG, BROKEN, FAILED = "passed", "caught", "hung", "broken", "failed"
MEMORY = 8 << 30  # more than the tests take: what never stops growing ends here
OPTIONS = (
    *("-q", "--tb=no", "--hypothesis-seed=0"),
    *("-p", "no:cacheprovider", "-p", "no:faulthandler"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # what is preloaded
)


def preload() -> None:
    """Import here what every fork would otherwise import anew."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert "graphc" not in sys.modules


@dataclass(frozen=True)
class Outcome:
    """What became of one run: the test that failed, if one did."""

    state: str
    test: str = ""


class Chosen:
    """A plugin of pytest that keeps the chosen tests, and those that the map does not know yet."""

    def __init__(self, ids: Sequence[str], known: Collection[str] | None) -> None:
        self.ids = set(ids)
        self.known = known  # None: no others
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = (
            item.nodeid in self.ids or (self.known is not None and item.nodeid not in self.known)
            for item in items
        )
        items[:] = itertools.compress(items, list(wanted))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


class Copy:
    """A copy of the tree, for one mutant at a time."""

    def __init__(self, root: Path, target: Path) -> None:
        self.path = target
        self.known: Collection[str] = ()  # the tests of the map
        self.changed: Collection[str] = ()  # the files that may have others
        shutil.copytree(root, target, ignore=shutil.ignore_patterns(*IGNORED), symlinks=True)

    @contextlib.contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """In here, the copy is that of the mutant."""
        file = self.path / mutant.file
        self.write(file, mutant.text)
        try:
            yield
        finally:
            self.write(file, mutant.source)

    def write(self, file: Path, content: bytes) -> None:
        """Without what Python and hypothesis remember of the file that was there."""
        file.write_bytes(content)
        for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            stale.unlink()
        shutil.rmtree(self.path / ".hypothesis", ignore_errors=True)

    def run(self, tests: Sequence[FastTest], timeout: float, *, fresh: bool = True) -> Outcome:
        """Run tests until one fails. They hang if they take more seconds of the processor.

        With `fresh` the tests that the map does not know are run too.
        """

        def session() -> Outcome:
            chosen = Chosen([test.id for test in tests], self.known if fresh else None)
            changed = self.changed if fresh else ()
            files = list(dict.fromkeys([*(test.file for test in tests), *changed]))
            try:
                importlib.import_module("graphc")
            except Exception as error:  # whatever a mutant does when it is imported
                return Outcome(BROKEN, f"{type(error).__name__}: {error}")
            code = pytest.main([*OPTIONS, "-x", *files], plugins=[chosen])
            if code == pytest.ExitCode.USAGE_ERROR:
                raise RuntimeError("pytest refuses its arguments")
            if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                return Outcome(PASSED)
            return Outcome(CAUGHT, chosen.failed or str(code))

        return self.forked(session, timeout)

    def forked(self, work: Callable[[], Outcome], timeout: float) -> Outcome:
        """The outcome of work in a fork of this process, in the copy."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                outcome = in_child(work, self.path, timeout)
                os.write(writing, f"{outcome.state}\n{outcome.test}".encode()[:4096])
            except BaseException:
                os.write(writing, f"{FAILED}\n{traceback.format_exc()}".encode()[:4096])
            finally:
                os._exit(0)
        os.close(writing)
        deadline = time.monotonic() + 8 * timeout  # other work may share the processor
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                ended = os.waitpid(child, 0)
                break
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # whatever it left behind
        with os.fdopen(reading, "rb") as pipe:
            state, _, test = pipe.read().decode().partition("\n")
        if state == FAILED:
            raise RuntimeError(f"the tests could not be run: {test}")
        return Outcome(state, test) if state else Outcome(HUNG, f"status {ended[1]}")


def in_child(work: Callable[[], Outcome], path: Path, timeout: float) -> Outcome:
    """Work done quietly in a folder, within bounds."""
    os.setsid()
    os.chdir(path)
    sys.path[0] = str(path)
    for name in [name for name in sys.modules if name == "tests" or name.startswith("tests.")]:
        del sys.modules[name]
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    seconds = int(timeout) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    return work()
