"""The command line: one thin function a subcommand.

Exit status 0; 1 where a check failed; 2 for a usage or model error, told in one line on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import graphc
from graphc import ops
from graphc.api import STYLES, VERSION, check_writable, compile
from graphc.check import check
from graphc.derive import add_arguments, derive, point_of
from graphc.errors import GraphcError, UsageError
from graphc.frontends.bindings import as_bindings
from graphc.frontends.builder import Graph, default_dtype
from graphc.frontends.model import is_onnx, load_model, split
from graphc.frontends.onnx import known_operators
from graphc.inspect.formulas import ops_text
from graphc.inspect.supported import operators_text, supported_text
from graphc.inspect.text import inspect_text, passes_text, printable
from graphc.ir.op import KINKS
from graphc.passes.driver import Report, normalize
from graphc.passes.pipeline import table
from graphc.passes.simplify import EXACT_RULES, REASSOCIATE_RULES
from graphc.training_options import add_training_options, training_options


class Parser(argparse.ArgumentParser):
    """A parser whose errors are told like all others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see `{self.prog} --help`")


def parser() -> Parser:
    """All subcommands and options."""
    top = Parser(prog="graphc", description="Compile a model definition to a NumPy module.")
    top.add_argument("--version", action="version", version=f"graphc {VERSION}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def subcommand(name: str, told: str, *parents: Parser) -> Parser:
        description = f"{told[0].upper()}{told[1:]}."
        return commands.add_parser(name, parents=parents, help=told, description=description)

    model = Parser(add_help=False)
    model.add_argument(
        "model", metavar="MODEL", help="file.py, file.py:name, package.module:name or file.onnx"
    )
    model.add_argument(
        "--wrt",
        action="append",
        default=[],
        metavar="NAME",
        help="differentiate by this parameter or input (repeat, or list with commas)",
    )
    model.add_argument(
        "--freeze",
        action="append",
        default=[],
        metavar="PATTERN",
        help="do not train the parameters that fit, as in 'layer1.*'",
    )
    model.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what an input or dimension of an ONNX model is: 3, 0.5, 2,3 or FILE.npy (repeat)",
    )
    model.add_argument(
        "--trainable",
        action="append",
        default=[],
        metavar="PATTERN",
        help="train the weights of an ONNX model that fit, and no others (repeat)",
    )
    model.add_argument(
        "--dtype",
        choices=["float16", "float32", "float64"],
        help="the float dtype of whatever names none in the model",
    )
    model.add_argument(
        "--kinks",
        choices=KINKS,
        default="torch",
        help="the convention about derivatives at kinks (default: torch)",
    )
    model.add_argument(
        "--no-stabilize", action="store_true", help="keep naive formulas as they are written"
    )
    model.add_argument(
        "--allow-unused", action="store_true", help="accept gradients that are zero everywhere"
    )
    debug = Parser(add_help=False)
    debug.add_argument("--debug", action="store_true", help="show tracebacks")

    command = subcommand("compile", "write a module", model, debug)
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="where to write the module; - for standard output",
    )
    command.add_argument(
        "--style",
        choices=STYLES,
        default="functional",
        help="the layout of the generated code (default: functional)",
    )
    add_training_options(command)
    command.add_argument(
        "--inference",
        action="store_true",
        help="emit predict alone, nothing that only training needs",
    )
    command.add_argument(
        "--debug-nan",
        action="store_true",
        help="check each value; what is not finite is told with the line of the model",
    )
    command.add_argument(
        "--templates", metavar="DIR", help="a folder searched before the stock one"
    )
    command.add_argument(
        "--embed",
        action="store_true",
        help="keep weights in the module itself, not in an .npz file beside it",
    )
    command.add_argument(
        "--force",
        action="store_true",
        help="replace a file that graphc did not write; embed weights of any size",
    )
    command.set_defaults(run=run_compile)

    command = subcommand("inspect", "show values, shapes and gradients as equations", model, debug)
    command.add_argument(
        "--format", choices=["text"], default="text", help="the form of the report"
    )
    command.add_argument("--passes", action="store_true", help="list the rewrite rules that fired")
    command.add_argument(
        "--size", action="append", default=[], metavar="NAME=N", type=named_size,
        help="the size for which memory is told; 128 otherwise (repeat for several)",
    )  # fmt: skip
    command.set_defaults(run=run_inspect)

    command = subcommand("check", "compare gradients with central differences", model, debug)
    command.add_argument(
        "--seed", type=whole, default=0, help="of the random arguments (default: 0)"
    )
    command.set_defaults(run=run_check)

    command = subcommand("derive", "differentiate a formula, and show how", debug)
    add_arguments(command)
    command.set_defaults(run=run_derive, model=None, templates=None, bind=[])

    command = subcommand("ops", "list ops and their derivatives", debug)
    command.add_argument(
        "--format", choices=["text", "markdown"], default="text",
        help="text: with each derivative; markdown: a table of all names",
    )  # fmt: skip
    command.add_argument(
        "--onnx", action="store_true", help="a table of the operators of ONNX, with their versions"
    )
    command.set_defaults(run=run_ops)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every console can show ∂
    try:
        options = parser().parse_args(given)
        if options.command is None:
            parser().print_help()
            return 2
        options.given = given
        status: int = options.run(options)
        sys.stdout.flush()  # a pipe may turn out to be closed only here
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in given:
            raise
        print(f"graphc: {told(error)}", file=sys.stderr)
        return 130 if isinstance(error, KeyboardInterrupt) else 2


def told(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, GraphcError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, OSError):
        return text
    return f"internal error, please report it: {text}; --debug shows where"


def loaded(options: argparse.Namespace) -> Graph:
    """The model, in the float dtype that is asked for.

    What the model prints goes to stderr: stdout may be the generated module.
    """
    dtype = options.dtype
    if dtype is not None and is_onnx(options.model):
        raise UsageError("--dtype is for models in Python; an ONNX model says its dtypes")
    with (
        contextlib.redirect_stdout(sys.stderr),
        contextlib.nullcontext() if dtype is None else default_dtype(dtype),
    ):
        bind = as_bindings(options.bind)
        return load_model(options.model, bind=bind, trainable=options.trainable)


def shared(options: argparse.Namespace) -> dict[str, Any]:
    """The options of `compile` that several subcommands have."""
    return {
        "wrt": ",".join(options.wrt),
        "freeze": ",".join(options.freeze),
        "kinks": options.kinks,
        "stabilize": not options.no_stabilize,
        "allow_unused": options.allow_unused,
    }


def run_compile(options: argparse.Namespace) -> int:
    """graphc compile"""
    training = training_options(options)
    target = Path(options.output)
    if options.output != "-":
        check_writable(target)
        check_replaceable(target, options)
    module = compile(
        loaded(options),
        inference=options.inference,
        style=options.style,
        templates=options.templates,
        command=reproducing(options),
        debug_nan=options.debug_nan,
        embed=options.embed and (sys.maxsize if options.force else True),
        **training,
        **shared(options),
    )
    if options.output == "-":
        sys.stdout.write(module.source)
        if module.companion:
            note = "graphc: the weights were not written; name a file with -o, or pass --embed"
            print(note, file=sys.stderr)
        return 0
    module.save(target, force=options.force)
    lines = module.source.count("\n")
    print(f"wrote {options.output} ({lines} lines) from graph {module.lowered.graph.name!r}")
    return 0


def check_replaceable(target: Path, options: argparse.Namespace) -> None:
    """Raise UsageError for an existing file that is not graphc's to replace."""
    if not target.exists():
        return
    if options.model is not None:
        model = Path(options.model if Path(options.model).exists() else split(options.model)[0])
        if model.exists() and model.samefile(target):
            raise UsageError(f"{options.output!r} is the model itself")
    if not options.force and not re.search(rb"^__graphc__ = ", target.read_bytes(), re.MULTILINE):
        raise UsageError(f"{options.output!r} was not written by graphc", hint="pass --force")


def reproducing(options: argparse.Namespace) -> str:
    """The command that makes the module again; of an absolute path only the file is told."""
    bound = [text.partition("=")[2] for text in options.bind]
    given = [options.model, options.output, options.templates, *bound]
    paths = [path for path in given if path and Path(path).is_absolute()]
    words = ["graphc"]
    for word in options.given:
        if word not in ("--debug", "--force"):
            # As a word of its own, or in --output=FILE, -oFILE.
            path = max((p for p in paths if word.endswith(p)), key=len, default="")
            words.append(word.removesuffix(path) + Path(path).name if path else word)
    return shlex.join(words)


def named_size(text: str) -> tuple[str, int]:
    """A size from `NAME=N`."""
    name, _, size = text.partition("=")
    if not name or not size.isascii() or not size.isdigit():
        raise argparse.ArgumentTypeError(f"expected NAME=N, got {text!r}")
    return name, int(size)


def whole(text: str) -> int:
    """An int from 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected an int >= 0, got {text!r}")
    return int(text)


def run_inspect(options: argparse.Namespace) -> int:
    """graphc inspect"""
    module = compile(loaded(options), **shared(options))
    memory = module.report.text(dict(options.size))  # first: it refuses sizes that do not exist
    sys.stdout.write(f"{inspect_text(module.lowered)}\n{memory}")
    if options.passes:
        sys.stdout.write("\n" + passes_text(module.report.fired))
    return 0


def run_check(options: argparse.Namespace) -> int:
    """graphc check"""
    rows = check(loaded(options), seed=options.seed, **shared(options))
    for row in rows:
        verdict = "ok" if row.ok else "FAILED"
        print(f"{verdict:6}  {printable(row.name)} {row.shape}: relative error {row.error:.1e} "
              f"in {row.directions} directions")  # fmt: skip
    failed = sum(not row.ok for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} gradients agree with central differences")
    return 1 if failed else 0


def run_derive(options: argparse.Namespace) -> int:
    """graphc derive"""
    if options.output not in (None, "-"):
        check_writable(Path(options.output))
        check_replaceable(Path(options.output), options)
    wrt = [name.strip() for name in options.wrt.split(",") if name.strip()]
    derivation = derive(options.formula, wrt=wrt, order=options.order, command=reproducing(options))
    names = derivation.expression.names
    point = None if options.at is None else point_of(options.at, names)
    if options.output == "-":
        sys.stdout.write(derivation.module.source)
        return 0
    sys.stdout.write(derivation.text(point))
    if options.output is not None:
        derivation.module.save(options.output)
        print(f"\nwrote {options.output}")
    return 0


def run_ops(options: argparse.Namespace) -> int:
    """graphc ops"""
    if options.onnx:
        sys.stdout.write(operators_text(known_operators()))
        return 0
    if options.format == "markdown":
        public = {name: getattr(graphc, name) for name in graphc.__all__}
        named = {f"{name}.": m for name, m in public.items() if hasattr(m, "__all__")}
        sys.stdout.write(supported_text({"": ops, **named}))
        return 0
    rules = table((*EXACT_RULES, *REASSOCIATE_RULES), 0)
    sys.stdout.write(ops_text(lambda roots: normalize(roots, rules, Report())))
    return 0
