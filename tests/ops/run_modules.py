"""`python run_modules.py FOLDER`: call `predict` of every generated module in a folder.

Runs in an interpreter that has NumPy and nothing else, so it imports neither graphc nor pytest.
`feeds.npz` holds the arguments as `module/argument`; the results go to `results.npz` as
`module/number`, and the message of an exception as `module/error`.
"""

import importlib
import inspect
import sys
from pathlib import Path

import numpy as np


def main(folder: Path) -> None:
    """Run all modules, each with the arguments that it asks for."""
    sys.path.insert(0, str(folder))
    feeds: dict[str, dict[str, np.ndarray]] = {}
    with np.load(folder / "feeds.npz") as stored:
        for key in stored.files:
            module, argument = key.split("/")
            feeds.setdefault(module, {})[argument] = stored[key]
    results = {}
    for path in sorted(folder.glob("*.py")):
        try:
            module = importlib.import_module(path.stem)
            predict = getattr(module, "predict", None) or module.Workspace().predict
            wanted = inspect.signature(predict).parameters
            values = {k: v for k, v in feeds.get(path.stem, {}).items() if k in wanted}
            if "rng" in wanted:
                values["rng"] = np.random.default_rng(7)
            with np.errstate(all="ignore"):
                result = predict(**values)
        except Exception as error:  # told to whoever compares
            results[f"{path.stem}/error"] = np.array(f"{type(error).__name__}: {error}")
            continue
        for i, value in enumerate(result if isinstance(result, tuple) else (result,)):
            results[f"{path.stem}/{i}"] = value
    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
