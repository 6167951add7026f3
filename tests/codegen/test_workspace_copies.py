"""Several workspaces: copies, and one beside another in a second thread."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.codegen.workspaces import (
    Reference,
    batch,
    compiled,
    generated,
    held,
    owned,
    parameters,
    same,
)

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda workspace: pickle.loads(pickle.dumps(workspace)),
}


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as a file that pickle finds."""
    path = compiled("workspace").save(tmp_path / "saved_classifier.py")
    spec = importlib.util.spec_from_file_location("saved_classifier", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "saved_classifier", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_goes_on_where_the_original_was(way: str, importable: Any) -> None:
    right = Reference()
    workspace = importable.Workspace(right.params, batch=6)
    for seed in range(3):
        workspace.step(*batch(seed))
        right.step(*batch(seed))
    copied = COPIES[way](workspace)
    assert type(copied) is importable.Workspace
    right.agrees(copied)
    same(copied.grads, workspace.grads)
    for seed in range(3, 6):
        same(copied.step(*batch(seed)), right.step(*batch(seed)))
    right.agrees(copied)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_shares_nothing_with_the_original(way: str, importable: Any) -> None:
    workspace = importable.Workspace(batch=6)
    workspace.step(*batch(0))
    copied = COPIES[way](workspace)
    for name, array in owned(workspace):
        for other, theirs in owned(copied):
            assert not np.shares_memory(array, theirs), (name, other)
    before = held(workspace)
    copied.step(*batch(1))
    copied.resize(batch=2)
    same(held(workspace), before)


@pytest.mark.parametrize("way", COPIES)
def test_the_views_of_a_copy_are_views_of_its_own_vectors(way: str, importable: Any) -> None:
    copied = COPIES[way](importable.Workspace(batch=6))
    for name, value in copied.params.items():
        assert np.shares_memory(value, copied.param_vector), name
        assert np.shares_memory(copied.grads[name], copied.grad_vector), name


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_keeps_size_but_no_forward_pass(way: str, importable: Any) -> None:
    workspace = importable.Workspace(batch=6)
    workspace.resize(batch=3)
    workspace.forward(*batch(0, 3))
    copied = COPIES[way](workspace)
    assert copied.batch == 3
    with pytest.raises(RuntimeError, match="forward"):
        copied.backward()
    same(workspace.backward(), Reference(workspace.params).value_and_grad(*batch(0, 3))[1])


# --- threads ------------------------------------------------------------------------------------


def test_two_workspaces_in_two_threads_do_not_disturb_each_other() -> None:
    rights = [Reference(parameters(seed)) for seed in range(2)]
    workspaces = [generated().Workspace(right.params, batch=6) for right in rights]
    losses: list[list[Any]] = [[], []]
    barrier = threading.Barrier(2)

    def train(which: int) -> None:
        barrier.wait()
        for seed in range(200):
            losses[which].append(workspaces[which].step(*batch(1000 * which + seed)))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=train, args=(which,)) for which in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for which, right in enumerate(rights):
        same(
            tuple(losses[which]),
            tuple(right.step(*batch(1000 * which + seed)) for seed in range(200)),
        )
        right.agrees(workspaces[which])
