"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ops import cases, kinds


@pytest.fixture(scope="package", autouse=True)
def _forget_models() -> Iterator[None]:
    """No other test needs the modules of this folder, of which there are thousands."""
    yield
    for made in (cases.values, cases.first_order, cases.second_order, kinds.of_kinds):
        made.cache_clear()
