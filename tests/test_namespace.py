"""The public names: complete, documented, without duplicates."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import graphc as gc
from graphc import ops

# Ops that graphc itself makes nodes of; a user gets them through the builder, through operators
# and through the derivatives of other ops.
INTERNAL = {
    "argument",
    "at_maxima",
    "cofactors",
    "constant",
    "convolution",
    "deviation",
    "dimension",
    "embed",
    "embed_diagonal",
    "exp_sum",
    "first_maximum",
    "gather",
    "gelu_tanh",
    "interpolation_places",
    "interpolation_weights",
    "item",
    "jvp_node",
    "kept_mean",
    "linear_recurrence",
    "log1mexp",
    "log_cosh",
    "log_share",
    "logit_cross_entropy",
    "loser",
    "lp_pool",
    "masked_softmax",
    "max_pool",
    "max_unpool",
    "nearest_weights",
    "peak",
    "places",
    "product_of_others",
    "rel_entr",
    "rms_scaled",
    "root_mean_square",
    "safe_softmax",
    "saturation",
    "scatter",
    "scatter_add",
    "share",
    "sigmoid_cross_entropy",
    "sigmoid_slope",
    "soft_cross_entropy",
    "spread_pool",
    "standard_normal",
    "standard_uniform",
    "standardized",
    "standardized_by",
    "sum_pool",
    "tanh_slope",
    "top_places",
    "transposed_convolution",
    "unbiased",
    "unpad",
    "vjp_node",
    "weighted_logsumexp",
    "xlogx",
}

NAMESPACES = {"random"}  # whose functions are `gc.random.normal`, not `gc.normal`
OP_MODULES = [m.name for m in pkgutil.iter_modules(ops.__path__) if not m.name.startswith("_")]


def test_every_public_name_resolves() -> None:
    missing = [name for name in gc.__all__ if not hasattr(gc, name)]
    assert missing == []


def test_no_public_name_is_listed_twice() -> None:
    twice = [name for name, count in Counter(gc.__all__).items() if count > 1]
    assert twice == []


def test_graphcs_own_names_are_sorted() -> None:
    own = [name for name in gc.__all__ if name not in ops.__all__]
    assert own == sorted(own)
    assert gc.__all__ == [*own, *ops.__all__]


@pytest.mark.parametrize("name", OP_MODULES)
def test_names_of_ops_are_sorted(name: str) -> None:
    names = getattr(importlib.import_module(f"graphc.ops.{name}"), "__all__", [])
    assert names == sorted(names, key=by_number)


def by_number(name: str) -> list[str | int]:
    """What names are sorted by: log2 comes before log10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("name", OP_MODULES)
def test_names_of_ops_are_public(name: str) -> None:
    module = importlib.import_module(f"graphc.ops.{name}")
    place = getattr(gc, name) if name in NAMESPACES else gc
    for public in getattr(module, "__all__", []):
        assert getattr(place, public) is getattr(module, public), public


@pytest.mark.parametrize("name", sorted(set(gc.__all__) - {"__version__"}))
def test_every_public_name_says_what_it_is(name: str) -> None:
    value = getattr(gc, name)
    inherited = None if isinstance(value, type) else type(value).__doc__
    assert value.__doc__, f"{name} has no docstring"
    assert value.__doc__ != inherited, f"{name} has no docstring of its own"


def test_every_op_is_public() -> None:
    # In a process of its own: other tests register ops, as users do.
    code = """
import json, graphc
from graphc.ir.op import OPS
public = [name for name in OPS if not name.startswith("_")]
print(json.dumps([public, [name for name in public if name in graphc.__all__]]))
"""
    fresh = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(gc.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    declared, reachable = json.loads(fresh.stdout)
    assert {"softmax", "relu", "matmul"} <= set(reachable)
    assert set(declared) - set(reachable) == INTERNAL


def test_a_namespace_is_public_and_answers_for_itself() -> None:
    assert set(gc.__all__) >= NAMESPACES
    assert gc.random.__all__ == ["bernoulli", "normal", "uniform"]
    for name in gc.random.__all__:
        assert getattr(gc.random, name).__doc__
        assert name not in gc.__all__
    with pytest.raises(AttributeError, match=r"gc\.random has no 'norml'; did you mean 'normal'"):
        gc.random.norml
    with pytest.raises(AttributeError, match=r"gc\.random has no 'qqqq'; it has bernoulli, normal"):
        gc.random.qqqq


def test_initialisers_are_a_namespace_too() -> None:
    assert {"he_normal", "orthogonal", "zeros"} <= set(gc.init.__all__)
    assert gc.init.__all__ == sorted(gc.init.__all__)
    for name in gc.init.__all__:
        assert getattr(gc.init, name).__doc__
    with pytest.raises(
        AttributeError, match=r"gc\.init has no 'he_norml'; did you mean 'he_normal'"
    ):
        gc.init.he_norml
    with pytest.raises(AttributeError, match=r"gc\.init has no 'qqqq'; it has constant, glorot_"):
        gc.init.qqqq


def test_layers_are_a_namespace_too() -> None:
    assert {"dense", "lstm", "batch_norm"} <= set(gc.nn.__all__)
    assert gc.nn.__all__ == sorted(gc.nn.__all__)
    for name in gc.nn.__all__:
        assert getattr(gc.nn, name).__doc__
    with pytest.raises(AttributeError, match=r"gc\.nn has no 'dens'; did you mean 'dense'"):
        gc.nn.dens
    with pytest.raises(AttributeError, match=r"gc\.nn has no 'qqqq'; it has batch_norm, "):
        gc.nn.qqqq


def test_a_misspelt_name_gets_an_answer() -> None:
    with pytest.raises(AttributeError, match="did you mean 'softmax'") as caught:
        gc.sofmax
    assert "sofmax" in str(caught.value)


def test_a_name_like_no_other_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"graphc has no 'qqqqqq'$"):
        gc.qqqqqq
