"""What the tests of this folder share."""

from __future__ import annotations

import gc

import pytest

from tests.ops import cases, kinds


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """No other test needs the modules of this folder, of which there are thousands."""
    if nextitem is None or nextitem.path.parent != item.path.parent:
        for made in (cases.values, cases.first_order, cases.second_order, kinds.of_kinds):
            made.cache_clear()
        gc.collect()
