"""Parameters: made, flattened for SciPy and back, written to files and read again."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.codegen.nets import ALL, built, net

RAVELLED = [name for name in ALL if hasattr(net(name).module, "ravel_params")]
SAVED = [name for name in ALL if hasattr(net(name).module, "save_params")]


def mixed(g: gc.Graph) -> None:
    """Parameters of several dtypes, one of them not trained, and a scalar."""
    x = g.input("x", (2,))
    a = g.parameter("a", (2, 3), init="normal")
    b = g.parameter("b", (), init=0.5)
    table = g.parameter("table", (2,), dtype="int64", init=np.array([4, 5]), trainable=False)
    wide = g.parameter("wide", (2,), dtype="float64", init="ones")
    g.loss((x @ a).sum() * b + (x * table * gc.astype(wide, "float32")).sum())


# --- init ---------------------------------------------------------------------------------------


def test_init_params_follows_the_declaration() -> None:
    made = built(mixed).module.init_params(np.random.default_rng(0))
    assert list(made) == ["a", "b", "table", "wide"]
    assert {k: (v.dtype.name, v.shape) for k, v in made.items()} == {
        "a": ("float32", (2, 3)),
        "b": ("float32", ()),
        "table": ("int64", (2,)),
        "wide": ("float64", (2,)),
    }
    assert (made["b"], made["table"].tolist(), made["wide"].tolist()) == (0.5, [4, 5], [1, 1])


def test_init_params_draws_from_the_generator_alone() -> None:
    module = net("mlp").module
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    first = module.init_params(np.random.default_rng(7))
    np.random.seed(2)  # noqa: NPY002
    second = module.init_params(np.random.default_rng(7))
    other = module.init_params(np.random.default_rng(8))
    np.testing.assert_equal(first, second)
    assert not np.array_equal(first["W1"], other["W1"])
    assert abs(first["W1"].std() - np.sqrt(2 / 64)) < 0.01
    assert np.abs(first["W2"]).max() <= np.sqrt(6 / 138)
    assert not first["b1"].any()


def test_an_initial_array_is_copied() -> None:
    module = built(mixed).module
    made = module.init_params(np.random.default_rng(0))
    made["table"][...] = 0
    assert module.init_params(np.random.default_rng(0))["table"].tolist() == [4, 5]


@pytest.mark.parametrize("name", SAVED)
def test_initial_parameters_fit_the_functions(name: str) -> None:
    made = net(name)
    sizes = {"units": 2} if name == "named_dimensions" else {}
    if made.compiled.lowered.is_given("params"):
        params = made.module.load_params()
    else:
        params = made.module.init_params(np.random.default_rng(0), **sizes)
    made.call("forward", {**made.values, "params": params})
    assert params.keys() == made.graph.parameters.keys()


# --- one vector ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RAVELLED)
def test_a_round_trip_through_the_vector(name: str) -> None:
    made = net(name)
    params = made.values["params"]
    trained = [key for key in params if key in made.compiled.lowered.gradients]
    vector = made.module.ravel_params(params)
    assert vector.shape == (sum(params[key].size for key in trained),)
    np.testing.assert_array_equal(vector, np.concatenate([params[k].ravel() for k in trained]))
    frozen = [params] if len(trained) < len(params) else []
    again = made.module.unravel_params(vector.astype(np.float64), *frozen)
    assert list(again) == list(params)
    for key, value in params.items():
        assert again[key].dtype == value.dtype
        np.testing.assert_array_equal(again[key], value)


def test_gradients_make_the_same_vector() -> None:
    made = net("mlp")
    _, gradients = made.call("value_and_grad")
    vector = made.module.ravel_params(gradients)
    again = made.module.unravel_params(vector)
    for key, gradient in gradients.items():
        np.testing.assert_array_equal(again[key], gradient)


def test_what_is_frozen_is_passed_through_as_a_copy() -> None:
    made = net("frozen")
    params = made.values["params"]
    vector = made.module.ravel_params(params)
    np.testing.assert_array_equal(vector, params["b"])
    again = made.module.unravel_params(vector + 1, params)
    np.testing.assert_array_equal(again["W"], params["W"])
    np.testing.assert_array_equal(again["b"], params["b"] + 1)
    assert not np.shares_memory(again["W"], params["W"])
    assert not np.shares_memory(again["b"], vector)


def test_a_gradient_vector_is_ordered_like_a_parameter_vector() -> None:
    made = net("frozen")
    _, gradients = made.call("value_and_grad")
    np.testing.assert_array_equal(made.module.ravel_params(gradients), gradients["b"])


def test_parameters_in_fortran_order_make_the_same_vector() -> None:
    made = net("mlp")
    params = {key: np.asfortranarray(value) for key, value in made.values["params"].items()}
    expected = made.module.ravel_params(made.values["params"])
    np.testing.assert_array_equal(made.module.ravel_params(params), expected)


def test_minimising_over_the_vector() -> None:
    made = net("two_inputs")
    module, inputs = made.module, list(made.values["inputs"].values())

    def objective(vector: Any) -> tuple[float, Any]:
        loss, gradients = module.value_and_grad(module.unravel_params(vector), *inputs)
        return float(loss), module.ravel_params(gradients)

    start = module.init_params(np.random.default_rng(0))
    vector = module.ravel_params(start).astype(np.float64)  # as SciPy would hand it over
    first, _ = objective(vector)
    for _ in range(1000):
        loss, gradient = objective(vector)
        vector = vector - 0.1 * gradient
    assert loss < 0.02 * first
    assert float(np.abs(module.predict(module.unravel_params(vector), *inputs)).max()) < 0.05


def test_a_vector_of_another_length_is_told() -> None:
    made = net("frozen")
    vector = made.module.ravel_params(made.values["params"])
    for wrong in (vector[:-1], np.append(vector, 1.0), vector[None]):
        with pytest.raises(ValueError, match="vector"):
            made.module.unravel_params(wrong, made.values["params"])


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAVED)
def test_a_round_trip_through_a_file(name: str, tmp_path: Path) -> None:
    made = net(name)
    if name == "named_dimensions":
        made.sizes = {"units": 5}
    params = made.values["params"]
    path = tmp_path / "weights"  # and no other name, such as weights.npz
    made.module.save_params(path, params)
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
    again = made.module.load_params(str(path))
    assert list(again) == list(params)
    for key, value in params.items():
        assert again[key].dtype == value.dtype
        np.testing.assert_array_equal(again[key], value)


def test_keys_in_the_file_are_prefixed(tmp_path: Path) -> None:
    made = net("mlp")
    made.module.save_params(tmp_path / "w.npz", made.values["params"])
    with np.load(tmp_path / "w.npz") as archive:
        assert archive.files == ["params/W1", "params/b1", "params/W2", "params/b2"]
    names = zipfile.ZipFile(tmp_path / "w.npz").namelist()
    assert all(name.endswith(".npy") for name in names)


def test_parameters_of_another_model_are_refused(tmp_path: Path) -> None:
    module = net("mlp").module
    np.savez(tmp_path / "other.npz", **{"params/W1": np.ones((64, 128))})
    with pytest.raises(ValueError, match=r"npz holds no 'params/b1'; it holds 'params/W1'$"):
        module.load_params(tmp_path / "other.npz")
    arrays: dict[str, Any] = {f"params/{k}": v for k, v in net("mlp").values["params"].items()}
    wrong = {**arrays, "params/b1": np.ones(127, np.float32)}
    np.savez(tmp_path / "shape.npz", **wrong)
    expected = r"^b1: expected float32 of shape \(128,\), got"
    with pytest.raises(ValueError, match=rf"{expected} shape \(127,\)$"):
        module.load_params(tmp_path / "shape.npz")
    wrong = {**arrays, "params/b1": np.full(128, "x")}
    np.savez(tmp_path / "dtype.npz", **wrong)
    with pytest.raises(TypeError, match=f"{expected} str"):
        module.load_params(tmp_path / "dtype.npz")


class Evil:
    """What would run if a file were unpickled."""

    ran = False

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return setattr, (Evil, "ran", True)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    module = net("mlp").module
    objects = np.array([Evil()], dtype=object)
    np.savez(tmp_path / "evil.npz", **{"params/W1": objects})
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.npz", "evil.pkl"):
        with pytest.raises(ValueError, match="allow_pickle="):
            module.load_params(tmp_path / name)
    assert not Evil.ran
    with np.load(tmp_path / "evil.npz", allow_pickle=True) as archive:
        archive["params/W1"]
    assert Evil.ran  # the file would have done it


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        net("mlp").module.load_params(tmp_path / "nowhere.npz")


def test_a_file_with_a_single_array_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "single.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"single\.npy"):
        net("mlp").module.load_params(tmp_path / "single.npy")
