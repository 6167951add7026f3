"""The test suite of ONNX, through a backend: values, dtypes and shapes at its own tolerance."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.onnx import suite
from tests.peers import peer
from tests.styles import in_every_style

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module", autouse=True)
def suite_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The suite writes the inputs of its models to a folder, which is not to be the user's."""
    peer("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "ONNX_HOME", str(tmp_path_factory.mktemp("onnx")))
        yield


@in_every_style
@pytest.mark.parametrize("name", suite.names())
def test_the_case_passes(name: str, style: str) -> None:
    suite.run(name, style)


def test_these_are_all_cases_that_are_asked_for() -> None:
    assert len(suite.names()) == len({*suite.names()}) == 1435
