"""ONNX models of real size: time and memory of compiling, and `predict` beside onnxruntime.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 taskset -c 1 python -m tests.benchmarks.onnx_models

The models are those of the onnx package (`onnx/backend/test/data/light`), which come without their
weights; here they get random ones of a scale at which values stay moderate. Each is compiled in a
process of its own, from the .onnx file to the .py and .npz files: seconds, and the peak of its
memory over that of a process which has only imported everything, as a multiple of the weights.
Results are compared with onnxruntime's before `predict` is timed, in the functional style and in a
workspace; both use one thread. Medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import graphc as gc
from tests.onnx import light_models

NAMES = sorted(path.stem.removeprefix("light_") for path in light_models.FOLDER.glob("*.onnx"))
SMALL = '<ir_version: 8, opset_import: ["": 17]> m (float[2] x) => (float[2] y) {y = Relu(x)}'
DEFAULT = ["squeezenet", "resnet50"]
Array = np.ndarray[Any, Any]


# --- compiling -----------------------------------------------------------------------------------


def peak() -> int:
    """The largest memory of this process so far, in bytes.

    From Linux, as what `getrusage` tells includes the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def compile_file(path: Path, options: dict[str, Any]) -> dict[str, float]:
    """Compile a file, in this process: seconds of each stage, and bytes over those of imports."""
    gc.compile(gc.from_onnx(onnx.parser.parse_model(SMALL)), **options)  # imports everything
    before = peak()
    start = time.perf_counter()
    graph = gc.from_onnx(path)
    read = time.perf_counter()
    module = gc.compile(graph, **options)
    compiled = time.perf_counter()
    module.save(path.with_suffix(".py"))
    return {
        "read": read - start,
        "compile": compiled - read,
        "save": time.perf_counter() - compiled,
        "memory": peak() - before,
    }


def compiled_apart(path: Path, **options: Any) -> dict[str, float]:
    """What `compile_file` measures, in a process of its own."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
    command += ["--compile", str(path), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def imported(path: Path) -> Any:
    """The module of a file."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    return module


# --- running -------------------------------------------------------------------------------------


def runs(path: Path, name: str, x: Array) -> dict[str, Callable[[], Any]]:
    """What is timed, by what runs it."""
    found: dict[str, Callable[[], Any]] = {}
    for style in ("functional", "workspace"):
        compiled_apart(path, style=style, inference=True)
        net = imported(path.with_suffix(".py"))
        if style == "workspace":
            predict = net.Workspace().predict
            found[style] = lambda predict=predict: predict(x)  # type: ignore[misc]
            continue
        given = [net.load_params()]
        given += [net.load_state()] if hasattr(net, "load_state") else []
        found[style] = lambda net=net, given=given: net.predict(*given, x)  # type: ignore[misc]
    session = session_of(path)
    if session is not None:
        found["onnxruntime"] = lambda: session.run(None, {name: x})[0]
    return found


def session_of(path: Path) -> Any:
    """The model in onnxruntime with one thread; None where that is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def check_equal(results: dict[str, Array]) -> None:
    """Raise AssertionError unless all results are the same, and say something."""
    (_, first), *others = results.items()
    assert np.ptp(first) > 0, "all outputs are the same"
    for name, other in others:
        np.testing.assert_allclose(other, first, rtol=1e-3, atol=1e-5, err_msg=name)


def timed(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Milliseconds of the processor's time, medians of interleaved rounds."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(found) for name, found in times.items()}


def measure(name: str, rounds: int, folder: Path) -> None:
    """One line of compiling and one of running."""
    model, info = light_models.read(name, full=True)
    image = np.random.default_rng(1).normal(size=light_models.shape_of(info)).astype(np.float32)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    size = sum(numpy_helper.to_array(t).nbytes for t in model.graph.initializer)
    print(f"{name}: {len(model.graph.node)} nodes, {size / 1e6:.1f} MB of weights", flush=True)
    for what, options in {"with gradients": {}, "inference": {"inference": True}}.items():
        found = compiled_apart(path, **options)
        stages = ", ".join(f"{stage} {found[stage]:.2f} s" for stage in ("read", "compile", "save"))
        lines = path.with_suffix(".py").read_text().count("\n")
        print(f"  {what:15} {stages}, {lines} lines; memory {found['memory'] / size:.2f} × weights",
              flush=True)  # fmt: skip
    functions = runs(path, info.name, image)
    check_equal({style: function() for style, function in functions.items()})
    times = timed(functions, rounds)
    print("  predict        ", ", ".join(f"{style} {ms:.1f} ms" for style, ms in times.items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.compile:
        print(json.dumps(compile_file(Path(given.compile[0]), json.loads(given.compile[1]))))
    else:
        with tempfile.TemporaryDirectory() as work:
            for each in given.models or DEFAULT:
                measure(each, given.rounds, Path(work))
