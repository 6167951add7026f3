"""A missing peer skips a test, unless peers are required: then it fails."""

from __future__ import annotations

import pytest

from tests.peers import peer


def test_a_peer_is_the_package() -> None:
    assert peer("json").loads("[1]") == [1]


def test_a_missing_peer_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHC_REQUIRE_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no_such_package is not installed"):
        peer("no_such_package")


def test_a_missing_peer_fails_where_peers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_REQUIRE_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="no_such_package cannot be imported"):
        peer("no_such_package")
