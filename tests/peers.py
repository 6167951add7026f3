"""Packages that graphc is compared with, and that it does not need."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def peer(name: str) -> Any:
    """The package of that name.

    Without it the test is skipped; with GRAPHC_REQUIRE_PEERS=1, as in CI, it fails, so that a
    comparison cannot vanish unnoticed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("GRAPHC_REQUIRE_PEERS") == "1":
            pytest.fail(f"GRAPHC_REQUIRE_PEERS=1, but {name} cannot be imported: {error}")
        pytest.skip(f"{name} is not installed")
