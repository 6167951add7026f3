"""`python -I run_standalone.py FOLDER`: run generated modules where only NumPy can be imported.

For each `NAME.py` in the folder: its self-test, and its functions on the arguments in `NAME.npz`
(`predict/params/W` is an entry of a dict, `predict/x` an argument). Results go to
`NAME.results.npz`; what went wrong to standard output, which is empty if all is well.

Runs in interpreters of Python 3.9 and later that have neither graphc nor pytest.
"""

import contextlib
import importlib.util
import inspect
import io
import runpy
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path

STANDARD = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
ALLOWED = {"numpy"}


class OnlyNumPy:
    """An import hook that refuses what comes from neither the standard library nor NumPy."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Raise an error, or leave the module to the next finder."""
        if path is not None or name in ALLOWED or name in sys.builtin_module_names:
            return
        spec = PathFinder.find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None or "-packages" in origin or not origin.startswith(tuple(STANDARD)):
            raise ModuleNotFoundError(f"import of {name!r} is refused", name=name)


def leaves(value, name=""):
    """All arrays in nested dicts and tuples."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}/{key}")
    elif isinstance(value, tuple):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{name}/{place}")
    else:
        yield name, value


def arguments(archive, function):
    """The arguments of one function."""
    found = {}
    for key in archive.files:
        wanted, name, *rest = key.split("|")
        if wanted == function and rest:
            found.setdefault(name, {})[rest[0]] = archive[key]
        elif wanted == function:
            found[name] = archive[key]
    return found


def run_workspace(module, archive, np):
    """The results of the methods of a workspace, each called on a new one."""
    results = {}
    sizes = {key.split("|")[1]: int(archive[key]) for key in archive.files if "sizes|" in key}
    for name in ("predict", "evaluate", "forward", "value_and_grad", "step"):
        if not hasattr(module.Workspace, name):
            continue
        key = "train_step" if name == "step" else name
        given = arguments(archive, key)
        params = [given.pop("params")] if "params" in given else []
        state = given.pop("state", None)
        workspace = module.Workspace(*params, **sizes)
        if state is not None:
            workspace.state = state
        method = getattr(workspace, name)
        if "rng" in inspect.signature(method).parameters:
            given["rng"] = np.random.default_rng(0)
        result = method(**given)
        if name == "forward":
            bars = arguments(archive, "backward")
            results.update(leaves(workspace.backward(**bars), "backward"))
        results.update(leaves((workspace.params, result) if name == "step" else result, key))
    return results


def run(path, np):
    """Self-test and functions of one module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    results = {}
    with np.load(path.with_suffix(".feeds.npz")) as archive:
        if hasattr(module, "Workspace"):
            results = run_workspace(module, archive, np)
        for name in ("predict", "evaluate", "forward", "value_and_grad", "train_step"):
            function = getattr(module, name, None)
            given = arguments(archive, name)
            if function is None:
                continue
            if name == "train_step":
                given["optimizer_state"] = module.init_optimizer(given["params"])
            if "rng" in inspect.signature(function).parameters:
                given["rng"] = np.random.default_rng(0)
            result = function(**given)
            if name == "forward":
                shapes = [key for key in archive.files if key.startswith("backward|")]
                bars = {key.split("|")[1]: archive[key] for key in shapes}
                results.update(leaves(module.backward(result[-1], **bars), "backward"))
            results.update(leaves(result, name))
    np.savez(path.with_suffix(".results.npz"), **results)
    if not hasattr(module, "self_test"):
        return
    sys.argv = [str(path), "--self-test"]
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            runpy.run_path(str(path), run_name="__main__")
        print(f"{path.stem}: --self-test did not exit")
    except SystemExit as end:
        if end.code != 0:
            print(f"{path.stem}: --self-test exits with {end.code!r}: {told.getvalue()}")


def main(folder):
    """Run all modules."""
    sys.meta_path.insert(0, OnlyNumPy)
    import numpy as np

    for refused in ("jinja2", "sympy", "graphc", "numpy_typo"):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(refused)
            print(f"{refused} can be imported")
    for path in sorted(folder.glob("*.py")):
        try:
            run(path, np)
        except Exception as error:  # told to whoever compares
            print(f"{path.stem}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
