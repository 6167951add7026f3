"""Fitting: checks of what it is told, its progress, and the files that it goes on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphc.runtime.boundary import check_rng, shape_text
from graphc.runtime.files import load_arrays, save_arrays


def checked_count(name: str, count: Any, least: int) -> int:
    """A count as an int. TypeError or ValueError, naming it, for what is none or too small."""
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool):
        raise TypeError(f"{name}: expected an int, got {count!r}")
    if count < least:
        raise ValueError(f"{name}: expected an int >= {least}, got {count}")
    return int(count)


def show_progress(epoch: int, epochs: int, done: int, examples: int, loss: float) -> None:
    """Write the line of an epoch over itself; a whole epoch ends it."""
    told = f"epoch {epoch + 1:{len(str(epochs))}}/{epochs}  {done:{len(str(examples))}}/{examples}"
    end = "\n" if done == examples else ""
    print(f"\r{told}  loss {loss:<12.6g}", end=end, flush=True)


def write_checkpoint(
    path: str | Path,
    optimizer: str,
    groups: Mapping[str, Mapping[str, Any]],
    step: int,
    rng: np.random.Generator,
    epoch: int,
) -> None:
    """Write arrays by group and name, and as JSON what else training goes on from."""
    check_rng(rng)
    training = {
        "optimizer": optimizer,
        "step": int(step),
        "epoch": checked_count("epoch", epoch, 0),
    }
    arrays = {f"{group}/{name}": a for group, named in groups.items() for name, a in named.items()}
    state = {"rng": rng.bit_generator.state}
    text = json.dumps({**training, **state}, default=lambda value: value.tolist())
    save_arrays(path, {**arrays, "training": np.array(text)})


def read_checkpoint(
    path: str | Path, optimizer: str, groups: Mapping[str, Mapping[str, tuple[Any, ...]]]
) -> tuple[dict[str, Any], int, np.random.Generator, int]:
    """The arrays by group and name, the number of steps, the generator, the number of epochs.

    groups  the dtype and sizes of each array; sizes given as text are free, but the same everywhere

    Raises ValueError for a file of another model or optimiser: nothing is converted.
    """
    arrays = load_arrays(path)
    if "training" not in arrays:
        raise ValueError(f"{path} is no checkpoint: it holds no 'training'")
    try:
        training = json.loads(str(arrays.pop("training")))
        kind, rng = training["optimizer"], restored_rng(training["rng"])
        step, epoch = [checked_count(name, training[name], 0) for name in ("step", "epoch")]
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: 'training' cannot be read: {error!r}") from None
    if kind != optimizer:
        raise ValueError(f"{path} is a checkpoint of the optimizer {kind!r}, not {optimizer!r}")
    sizes: dict[Any, int] = {}
    found: dict[str, Any] = {group: {} for group in groups}
    for group, types in groups.items():
        for name, (dtype, *shape) in types.items():
            key = f"{group}/{name}"
            if key not in arrays:
                raise ValueError(f"{path} is a checkpoint of another model: it holds no {key!r}")
            array = found[group][name] = arrays.pop(key)
            wanted = [sizes.get(size, size) for size in shape]
            fits = array.ndim == len(wanted) and all(
                size == own or isinstance(size, str) for size, own in zip(wanted, array.shape)
            )
            if not fits or array.dtype != dtype:
                expected = f"{np.dtype(dtype).name} of shape {shape_text(wanted)}"
                got = f"{array.dtype} of shape {shape_text(array.shape)}"
                raise ValueError(f"{path}: {key!r}: expected {expected}, got {got}")
            sizes.update((s, own) for s, own in zip(shape, array.shape) if isinstance(s, str))
    if arrays:
        raise ValueError(f"{path} is a checkpoint of another model: it holds {min(arrays)!r}")
    return found, step, rng, epoch


def restored_rng(state: Any) -> np.random.Generator:
    """The generator that goes on from a state. Raises ValueError for a kind that NumPy lacks."""
    random = np.random
    kinds = (random.MT19937, random.PCG64, random.PCG64DXSM, random.Philox, random.SFC64)
    named = {kind.__name__: kind for kind in kinds}
    if state["bit_generator"] not in named:
        raise ValueError(f"NumPy has no generator {state['bit_generator']!r}")
    bits = named[state["bit_generator"]]()
    bits.state = state
    return random.Generator(bits)
