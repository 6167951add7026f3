"""What tests of custom ops share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from graphc.ir.op import FUNCTIONS, OPS


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Ops of one test are unknown to the next, and to the tests that go over all ops."""
    before = set(OPS)
    yield
    for name in set(OPS) - before:
        del OPS[name], FUNCTIONS[name]
