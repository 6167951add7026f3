"""The command line: what each option does to the module that is written, and what is printed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.api import VERSION
from graphc.cli import main
from graphc.ir.op import FUNCTIONS, OPS
from tests.command_line import GOOD, ROOT, run, run_process


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(GOOD)


def generated(*options: str) -> Any:
    """The module that a compilation writes, imported from its text."""
    result = run("compile", "model.py", "-o", "net.py", *options)
    assert (result.status, result.err) == (0, "")
    return executed(Path("net.py").read_text())


def executed(source: str) -> ModuleType:
    module = ModuleType("net")
    exec(compile(source, "net.py", "exec"), module.__dict__)
    return module


def arguments(net: Any) -> tuple[Any, Any, Any]:
    """Parameters, inputs and targets of the model."""
    rng = np.random.default_rng(3)
    params = net.init_params(rng)
    params["b"] += rng.normal(size=2).astype(params["b"].dtype)
    x, t = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    return params, x.astype(params["b"].dtype), t.astype(params["b"].dtype)


def expected(params: Any, x: Any, t: Any) -> tuple[Any, Any]:
    """Loss and gradients of the model, by hand."""
    h = np.tanh(x @ params["W"] + params["b"])
    error = 2 * h - t
    h_pre_bar = 2 * error / error.size * 2 * (1 - h * h)
    return (error**2).mean(), {"W": x.T @ h_pre_bar, "b": h_pre_bar.sum(axis=0)}


# --- compile --------------------------------------------------------------------------------------


def test_compile_writes_the_module_and_says_so() -> None:
    result = run("compile", "model.py", "-o", "net.py")
    lines = Path("net.py").read_text().count("\n")
    assert result == (0, f"wrote net.py ({lines} lines) from graph 'good'\n", "")
    net = executed(Path("net.py").read_text())
    params, x, t = arguments(net)
    loss, grads = net.value_and_grad(params, x, t)
    wanted, slopes = expected(params, x, t)
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    np.testing.assert_allclose(grads["W"], slopes["W"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(grads["b"], slopes["b"], rtol=1e-5, atol=1e-7)
    assert not hasattr(net, "train_step")


def test_standard_output_is_the_module_alone() -> None:
    run("compile", "model.py", "-o", "net.py")
    result = run("compile", "model.py", "-o", "-")
    header = "make it again with\n    graphc compile model.py -o {}\n"
    assert header.format("-") in result.out
    assert result.out.replace(header.format("-"), header.format("net.py")) == (
        Path("net.py").read_text()
    )
    assert (result.status, result.err) == (0, "")


def test_what_a_model_prints_does_not_end_in_the_module() -> None:
    Path("model.py").write_text(f"print('loading')\n{GOOD}")
    result = run("compile", "model.py", "-o", "-")
    assert result.err == "loading\n"
    assert result.out.startswith('"""good: forward and backward pass in NumPy.')


def test_a_model_that_changes_folder_is_compiled_where_the_user_is(tmp_path: Path) -> None:
    Path("elsewhere").mkdir()
    Path("model.py").write_text(f"import os\nos.chdir('elsewhere')\n{GOOD}")
    generated()
    assert Path.cwd() == tmp_path
    assert not Path("elsewhere/net.py").exists()


SGD_OPTIONS = {
    "": ("    lr: float = 0.01,\n", None),
    "--lr 0.5": ("    lr: float = 0.5,\n", None),
    "--lr 0.5 --momentum 0.9": ("    lr: float = 0.5,\n    momentum: float = 0.9,\n", "velocity"),
    "--momentum 0.9 --nesterov": (
        "    lr: float = 0.01,\n    momentum: float = 0.9,\n",
        "velocity",
    ),
    "--weight-decay 1e-3": ("    lr: float = 0.01,\n    weight_decay: float = 0.001,\n", None),
}


@pytest.mark.parametrize("options", SGD_OPTIONS)
def test_sgd_has_the_numbers_as_defaults(options: str) -> None:
    keywords, slot = SGD_OPTIONS[options]
    net = generated("--optimizer", "sgd", *options.split())
    wanted = dict(re.findall(r"(\w+): float = ([\d.]+)", keywords))
    defaults = {k: repr(v) for k, v in net.train_step.__kwdefaults__.items()}
    assert defaults == wanted
    params, x, t = arguments(net)
    state = net.init_optimizer(params)
    assert list(state) == ["step", *([slot] if slot else [])]
    new, state, loss = net.train_step(params, state, x, t)
    _, slopes = expected(params, x, t)
    numbers = {k: float(v) for k, v in wanted.items()}
    for name in ("W", "b"):
        step = slopes[name] + numbers.get("weight_decay", 0) * params[name]
        step *= 1 + numbers["momentum"] if "--nesterov" in options else 1
        change = params[name] - numbers["lr"] * step
        np.testing.assert_allclose(new[name], change, rtol=1e-5, atol=1e-6)
    assert state["step"] == 1
    np.testing.assert_allclose(loss, expected(params, x, t)[0], rtol=1e-6)


TRAINING: dict[str, dict[str, Any]] = {
    "--optimizer momentum --dampening 0.1": {"optimizer": gc.optim.momentum(dampening=0.1)},
    "--optimizer nesterov --momentum 0.8": {"optimizer": gc.optim.nesterov(momentum=0.8)},
    "--optimizer adagrad --lr-decay 0.1 --initial-accumulator 0.2 --eps 1e-6": {
        "optimizer": gc.optim.adagrad(lr_decay=0.1, initial_accumulator=0.2, eps=1e-6)
    },
    "--optimizer rmsprop --alpha 0.9 --centered": {
        "optimizer": gc.optim.rmsprop(alpha=0.9, centered=True)
    },
    "--optimizer adam --betas 0.8,0.99 --lr 0.1": {
        "optimizer": gc.optim.adam(0.1, betas=(0.8, 0.99))
    },
    "--optimizer adamw --weight-decay 0.5 --clip-norm 2 --fit": {
        "optimizer": gc.optim.adamw(weight_decay=0.5), "clip_norm": 2.0, "fit": True,
    },
    "--optimizer sgd --schedule warmup:steps=5,start=0.1 --schedule step:every=3": {
        "optimizer": "sgd", "schedule": gc.optim.warmup(5, start=0.1, then=gc.optim.step(3)),
    },
    "--l1 0.1 --l2 0.2 --penalize W --penalize b": {"l1": 0.1, "l2": 0.2, "penalize": ["W", "b"]},
}  # fmt: skip


@pytest.mark.parametrize("options", TRAINING)
def test_options_of_training_are_arguments_of_compile(options: str) -> None:
    scope: dict[str, Any] = {}
    exec(compile(GOOD, "model.py", "exec"), scope)
    right = gc.compile(scope["g"], **TRAINING[options]).load()
    assert generated(*options.split()).__graphc__ == right.__graphc__


def test_inference_emits_what_predict_needs() -> None:
    net = generated("--inference")
    functions = {name for name, value in vars(net).items() if callable(value)}
    assert {"predict", "load_params"} <= functions
    assert functions.isdisjoint({"forward", "backward", "evaluate", "init_params", "Grads"})
    full = generated()
    params, x, _ = arguments(full)
    np.testing.assert_array_equal(net.predict(params, x), full.predict(params, x))


@pytest.mark.parametrize(
    ("options", "gradients"),
    [
        (["--freeze", "b"], ["W"]),
        (["--freeze", "?", "--wrt", "x"], ["x"]),
        (["--wrt", "b,x"], ["b", "x"]),
        (["--wrt", "t", "--wrt", "W"], ["t", "W"]),
    ],
)
def test_wrt_and_freeze_choose_the_gradients(options: list[str], gradients: list[str]) -> None:
    net = generated(*options)
    params, x, t = arguments(net)
    _, grads = net.value_and_grad(params, x, t)
    assert list(grads) == gradients
    _, slopes = expected(params, x, t)
    for name in {"W", "b"} & set(gradients):
        np.testing.assert_allclose(grads[name], slopes[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_that_of_whatever_names_none(dtype: str) -> None:
    net = generated("--dtype", dtype)
    params, x, t = arguments(net)
    loss, grads = net.value_and_grad(params, x, t)
    assert {str(np.asarray(v).dtype) for v in [loss, *params.values(), *grads.values()]} == {dtype}


@pytest.mark.parametrize(("kinks", "slope"), [("torch", 0.0), ("jax", 0.0), ("textbook", 1.0)])
def test_kinks_choose_the_convention(kinks: str, slope: float) -> None:
    Path("model.py").write_text(GOOD.replace("gc.tanh", "gc.relu"))
    net = generated("--kinks", kinks)
    params, x, t = arguments(net)
    zeros = {"W": params["W"] * 0, "b": params["b"] * 0}
    _, grads = net.value_and_grad(zeros, x, t)
    np.testing.assert_allclose(grads["b"], slope * (-4 * t / t.size).sum(axis=0), rtol=1e-5)
    assert f"relu'(0) = {slope:.0f}" in Path("net.py").read_text()


def test_no_stabilize_keeps_naive_formulas() -> None:
    """exp overflows at 89 in float32, the logarithm of the sum does not."""
    naive = GOOD.replace("gc.mse(y, t)", "gc.log(gc.exp(1000 * y).sum())")
    Path("model.py").write_text(naive)
    with np.errstate(over="ignore", invalid="ignore"):
        for options, finite in (([], True), (["--no-stabilize"], False)):
            net = generated(*options)
            params, x, _ = arguments(net)
            loss, grads = net.value_and_grad(params, x)
            assert np.isfinite(loss) == finite
            assert np.isfinite(grads["W"]).all() == finite


def test_debug_nan_tells_where_a_value_stops_being_finite() -> None:
    line = 1 + GOOD.splitlines().index("    y = h * 2")
    Path("model.py").write_text(GOOD.replace("y = h * 2", "y = gc.log(h)"))
    net = generated("--debug-nan")
    source = Path("net.py").read_text()
    assert "graphc compile model.py -o net.py --debug-nan\n" in source
    params, x, t = arguments(net)
    with np.errstate(invalid="ignore"), pytest.raises(FloatingPointError) as caught:
        net.value_and_grad(params, -x * 0 - 1, t)
    message = str(caught.value)
    assert re.fullmatch(
        rf"forward: y \(from model\.py:{line}\): nan at \[\d, \d\], .* are not finite", message
    )
    generated()
    assert "check_finite" not in Path("net.py").read_text()


def test_templates_are_searched_first() -> None:
    Path("mine/graphc").mkdir(parents=True)
    template = (
        '{% extends "graphc/functional.py.jinja" %}\n'
        "{% block metadata %}\n# mine\n{{ super() }}{% endblock %}\n"
    )
    Path("mine/functional.py.jinja").write_text(template)
    generated("--templates", "mine")
    assert "# mine\n__graphc__ = {" in Path("net.py").read_text()
    result = run("compile", "model.py", "-o", "net.py", "--templates", "missing")
    assert result.err == "graphc: the template folder 'missing' does not exist\n"


@pytest.mark.parametrize(
    ("command", "header"),
    [
        ("compile {0}/model.py -o {0}/net.py", "graphc compile model.py -o net.py"),
        ("compile {0}/model.py --output={0}/net.py", "graphc compile model.py --output=net.py"),
        ("compile {0}/model.py:g -o{0}/net.py", "graphc compile model.py:g -onet.py"),
        ("compile model.py -o net.py --debug --force", "graphc compile model.py -o net.py"),
        ("compile model.py -o net.py --wrt W,x", "graphc compile model.py -o net.py --wrt W,x"),
        (
            "compile model.py -o net.py --freeze=b*",
            "graphc compile model.py -o net.py '--freeze=b*'",
        ),
    ],
)
def test_the_header_says_how_to_make_it_again(command: str, header: str, tmp_path: Path) -> None:
    assert run(*command.format(tmp_path).split()).status == 0
    text = Path("net.py").read_text()
    assert f"make it again with\n    {header}\n" in text
    assert str(tmp_path) not in text


# --- what the other commands print ----------------------------------------------------------------


def test_check_compares_each_gradient() -> None:
    result = run("check", "model.py")
    lines = result.out.splitlines()
    assert (result.status, result.err) == (0, "")
    assert re.fullmatch(r"ok      W \(3, 2\): relative error \d\.\de-\d+ in 6 directions", lines[0])
    assert re.fullmatch(r"ok      b \(2,\): relative error \d\.\de-\d+ in 2 directions", lines[1])
    assert lines[2:] == ["2 of 2 gradients agree with central differences"]
    assert run("check", "model.py", "--seed", "1").out != result.out
    assert run("check", "model.py", "--seed", "0").out == result.out


def test_check_ends_with_1_where_a_gradient_is_wrong() -> None:
    tanh, rule = OPS["tanh"], OPS["tanh"].vjp
    assert rule is not None
    try:
        object.__setattr__(tanh, "vjp", lambda index, bar, y, kinks: bar * (1 - y))
        result = run("check", "model.py")
    finally:
        object.__setattr__(tanh, "vjp", rule)
    assert (result.status, result.err) == (1, "")
    lines = result.out.splitlines()
    assert [line.split()[0] for line in lines] == ["FAILED", "FAILED", "0"]
    assert lines[2] == "0 of 2 gradients agree with central differences"
    assert run("check", "model.py").status == 0


def test_ops_lists_each_op_with_its_derivative() -> None:
    result = run("ops")
    assert (result.status, result.err) == (0, "")
    entries = re.split(r"\n(?=\S)", result.out.rstrip("\n"))
    names = [entry.partition("(")[0] for entry in entries]
    listed = [op.name for op in OPS.values() if op.samples and not op.random]
    composed = [name for name in FUNCTIONS if name not in OPS]
    assert names == [*listed, *composed]
    assert len(listed) > 50
    assert {"dropout", "grad", "random.normal", "swapaxes"} <= set(composed)
    for entry in entries[len(listed) :]:
        assert re.fullmatch(r"[a-z0-9_.]+\(.*\)\n    \S.*\.", entry), entry
    for entry in entries[: len(listed)]:
        name, lines = entry.partition("(")[0], entry.splitlines()
        assert lines[1].strip() == OPS[name].doc.splitlines()[0]
        assert len(lines) > 2, f"{name} says nothing about its derivative"
        if OPS[name].vjp is not None and OPS[name].differentiable:
            assert re.fullmatch(r" {4}[a-z0-9]+_bar = .+", lines[2]), entry
    known = dict(zip(names, entries, strict=True))
    assert known["tanh"].splitlines()[2] == "    x_bar = out_bar * (1 - out * out)"
    assert known["multiply"].splitlines()[2:] == [
        "    x_bar = out_bar * y",
        "    y_bar = out_bar * x",
    ]
    assert known["less"].splitlines()[2] == "    no derivative"


def test_version() -> None:
    assert run_process(["--version"], Path()) == (0, f"graphc {VERSION}\n", "")
    assert gc.__version__ == VERSION


def test_without_a_command_help_is_shown() -> None:
    result = run()
    assert result.out.startswith("usage: graphc [-h] [--version] COMMAND ...\n")
    assert (result.status, result.err) == (2, "")
    for command in ("compile", "inspect", "check", "derive", "ops"):
        (told,) = re.findall(rf"^    {command} +(\w.*)", result.out, re.MULTILINE)
        with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"\n{told[0].upper()}{told[1:]}.\n" in out.getvalue()


USAGE = {
    "complie model.py": "argument COMMAND: invalid choice: 'complie'",
    "compile": "the following arguments are required: MODEL, -o/--output",
    "compile model.py": "the following arguments are required: -o/--output",
    "compile model.py -o": "argument -o/--output: expected one argument",
    "compile model.py -o n.py --optimizer adm": "there is no optimizer 'adm'; did you mean 'adam",
    "compile model.py -o n.py --optimizer sgd --lr x": "argument --lr: invalid float value: 'x'",
    "compile model.py -o n.py --kinks x": "argument --kinks: invalid choice: 'x'",
    "compile model.py -o n.py --dtype int8": "argument --dtype: invalid choice: 'int8'",
    "compile model.py -o n.py --style x": "argument --style: invalid choice: 'x'",
    "compile model.py -o n.py --nonsense": "unrecognized arguments: --nonsense",
    "compile model.py:c -o n.py": "model.py has no 'c'\n",  # nothing like `gc`, which is no graph
    "inspect model.py --format x": "argument --format: invalid choice: 'x'",
    "check model.py --seed x": "argument --seed: expected an int >= 0, got 'x'",
    "check model.py --seed -1": "argument --seed: expected an int >= 0, got '-1'",
    "compile model.py -o n.py --lr 1": "--lr needs --optimizer",
    "compile model.py -o n.py --nesterov": "--nesterov needs --optimizer",
    "compile model.py -o n.py --optimizer adam --alpha 1": "the optimizer adam has no 'alpha'",
    "compile model.py -o n.py --optimizer adam --betas 1,x": "argument --betas: expected numbers",
    "compile model.py -o n.py --optimizer adam --betas 1": "betas has to be two numbers, got",
    "compile model.py -o n.py --optimizer sgd --schedule cosin:steps=9": (
        "there is no schedule 'cosin:steps=9'; did you mean 'cosine'?"
    ),
    "compile model.py -o n.py --schedule cosine:steps=9": "schedule needs an optimizer",
    "compile model.py -o n.py --clip-norm 1": "clip_norm needs an optimizer",
    "compile model.py -o n.py --fit": "fit needs an optimizer",
    "compile model.py -o n.py --penalize W": "penalize needs l1 or l2",
    "compile model.py -o n.py --l2 1 --penalize w": "--penalize 'w' fits no trained parameter",
    "compile model.py -o n.py --optimizer sgd --lr -1": "lr has to be a number >= 0, got -1.0",
    "compile model.py -o n.py --optimizer sgd --lr nan": "lr has to be a number >= 0, got nan",
    "compile model.py -o n.py --optimizer sgd --lr inf": "lr has to be a number >= 0, got inf",
    "compile model.py -o n.py --optimizer sgd --nesterov": "nesterov needs a momentum > 0",
    "compile model.py -o n.py --optimizer sgd --inference": "inference and an optimizer exclude",
}


@pytest.mark.parametrize("command", USAGE)
def test_wrong_usage_is_told_in_one_line(command: str) -> None:
    result = run(*command.split())
    assert result.err.startswith(f"graphc: {USAGE[command]}")
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert not Path("n.py").exists()


def test_an_interrupt_leaves_no_traceback() -> None:
    Path("model.py").write_text("raise KeyboardInterrupt\n")
    assert run("check", "model.py") == (130, "", "graphc: interrupted\n")


def test_a_console_without_mathematics_gets_escapes(tmp_path: Path) -> None:
    result = run_process(["inspect", "model.py"], tmp_path, PYTHONIOENCODING="ascii")
    assert (result.status, result.err) == (0, "")
    assert "  \\u2202loss/\\u2202W = x\\u1d40 \\xb7 h_pre_bar  " in result.out


@pytest.mark.parametrize("command", [["ops"], ["inspect", "model.py"]])
def test_a_closed_pipe_is_no_error(command: list[str]) -> None:
    """As in `graphc ops | head`; what is short stays in a buffer until the very end."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONUNBUFFERED", None)
    done = subprocess.run(
        [sys.executable, "-m", "graphc", *command],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


# --- where models come from -----------------------------------------------------------------------


def test_a_function_makes_the_graph_with_its_neighbours_at_hand() -> None:
    Path("neighbour.py").write_text("SIZE = 7\n")
    Path("model.py").write_text(
        "import graphc as gc\n\n\ndef make():\n    from neighbour import SIZE\n\n"
        "    with gc.Graph('made') as g:\n        x = g.input('x', (SIZE,))\n"
        "        g.output('y', x * 2)\n    return g\n"
    )
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    path = list(sys.path)
    result = run("compile", "../model.py:make", "-o", "net.py")
    assert (result.status, result.err) == (0, "")
    assert result.out.endswith("from graph 'made'\n")
    assert sys.path == path
    assert not Path("../__pycache__").exists()


def test_a_module_is_found_from_the_working_directory(tmp_path: Path) -> None:
    Path("some_package").mkdir()
    Path("some_package/__init__.py").touch()
    Path("some_package/models.py").write_text(
        GOOD.replace("as g:", "as first:").replace("g.", "first.")
    )
    result = run_process(["compile", "some_package.models:first", "-o", "net.py"], tmp_path)
    assert (result.status, result.err) == (0, "")
    assert run_process(["compile", "some_package.models", "-o", "net.py"], tmp_path).status == 0
