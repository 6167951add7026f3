"""The layers of graphc: who may import whom, read off the source.

Each package can be understood knowing only those below it. That holds as long as nothing imports
upward, so it is checked for every file, together with the habits that keep a layer readable.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphc

PACKAGE = Path(graphc.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400

# What each layer may import of graphc, beside itself.
CORE = {"ir", "ops", "errors"}
LAYERS = CORE | {
    *("runtime", "autodiff", "passes", "lower", "codegen", "inspect", "frontends", "nn", "optim"),
}
ALLOWED = {
    "errors": set[str](),
    "runtime": set[str](),
    "ir": {"errors"},
    "ops": {"ir", "runtime", "errors"},
    "autodiff": CORE,
    "passes": CORE,
    "lower": {"ir", "errors"},
    "codegen": {"ir", "lower", "runtime", "errors"},
    "inspect": {"ir", "lower", "codegen", "errors"},
    "frontends": CORE | {"runtime"},
    "nn": CORE | {"frontends"},
    "optim": CORE,
    "self_test": LAYERS,
    "training": LAYERS,
    "compiler": LAYERS | {"self_test", "training"},
    "api": LAYERS | {"compiler", "training"},
    "check": LAYERS | {"compiler", "api"},
    "derive": LAYERS | {"api"},
    "custom": LAYERS | {"compiler", "api"},
    "training_options": {"optim", "errors"},
    "cli": LAYERS | {"training_options", "compiler", "api", "check", "derive", "__init__"},
    "__main__": {"cli"},
    "__init__": LAYERS | {"compiler", "api", "check", "custom"},
}
DEPENDENCIES = {"numpy", "sympy", "jinja2"}
# What comes when it is needed: SymPy takes 0.2 s, and onnx is an extra.
LATE = ("sympy", "onnx", "graphc.frontends.onnx.")


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that a file imports, relative imports included.

    `from a.b import c` counts as `a.b.c`, whether c is a module or a name in one.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def layer_of(name: str) -> str:
    """The layer that a dotted name of graphc's lies in; a name of the facade lies in `__init__`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else "__init__"


def forbidden(source: str, package: str, layer: str) -> list[str]:
    """The imports in a file of a layer that its place does not allow."""
    found = []
    for line, name in imports(ast.parse(source), package):
        root = name.split(".")[0]
        if root == "graphc":
            target = layer_of(name)
            if target != layer and target not in ALLOWED[layer]:
                found.append(f"line {line}: {layer} may not import {name} ({target})")
        elif root not in sys.stdlib_module_names:
            third_party = DEPENDENCIES if layer != "runtime" else {"numpy"}
            reads_onnx = "onnx" in package.split(".") and root in ("onnx", "google")
            if root not in third_party and not reads_onnx:
                found.append(f"line {line}: {layer} may not import {name}")
    return found


def function_level(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Imports inside functions. They hide a dependency, and mostly a cycle."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for line, name in imports(node, "graphc"):
                if not name.startswith(LATE):
                    yield line, name


def package_and_layer(path: Path) -> tuple[str, str]:
    """The package that a file's relative imports start from, and its layer."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("graphc", *parts[:-1])), parts[0]


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


each_file = pytest.mark.parametrize("path", FILES, ids=relative)


@each_file
def test_imports_go_downward(path: Path) -> None:
    package, layer = package_and_layer(path)
    assert layer in ALLOWED, f"{layer} has no place in the layers yet"
    assert forbidden(path.read_text(encoding="utf-8"), package, layer) == []


@each_file
def test_no_hidden_imports(path: Path) -> None:
    assert list(function_level(ast.parse(path.read_text(encoding="utf-8")))) == []


@each_file
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@each_file
def test_names_say_what_is_inside(path: Path) -> None:
    vague = {"utils", "util", "helpers", "common", "misc"}
    assert vague.isdisjoint(path.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize(
    ("layer", "source", "expected"),
    [
        ("ir", "from graphc.ops import relu", "ops"),
        ("ir", "import graphc.ops.nn", "ops"),
        ("ir", "if TYPE_CHECKING:\n    from graphc.ops.nn import softmax", "ops"),
        ("ir", "from ..ops import nn", "ops"),
        ("ir", "from .. import ops", "ops"),
        ("ir", "from graphc import Graph", "__init__"),
        ("ir", "import graphc", "__init__"),
        ("runtime", "from graphc.errors import ShapeError", "errors"),
        ("runtime", "import sympy", "sympy"),
        ("codegen", "from graphc.ops.nn import softmax", "ops"),
        ("passes", "from graphc.autodiff.pullback import pullback", "autodiff"),
        ("autodiff", "from graphc.passes.driver import rewrite", "passes"),
        ("frontends", "from graphc.passes.driver import rewrite", "passes"),
        ("compiler", "from graphc.api import compile", "api"),
        ("api", "from graphc.cli import main", "cli"),
        ("lower", "import torch", "torch"),
        ("frontends", "import onnx", "onnx"),
    ],
)
def test_an_import_upward_is_found(layer: str, source: str, expected: str) -> None:
    (found,) = forbidden(source, f"graphc.{layer}", layer)
    assert expected in found


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("ir", "from graphc.ir.node import Node\nfrom . import dims\nfrom graphc import errors"),
        ("ops", "import sympy\nimport os.path\nfrom graphc.runtime import arrays"),
        ("inspect", "from graphc.codegen.render import render"),
        ("cli", "import graphc as gc\nfrom graphc.api import compile"),
    ],
)
def test_an_import_downward_is_fine(layer: str, source: str) -> None:
    assert forbidden(source, f"graphc.{layer}", layer) == []


def test_a_hidden_import_is_found() -> None:
    source = "def f():\n    import sympy\n    def g():\n        from os import path\n"
    assert set(function_level(ast.parse(source))) == {(4, "os.path")}


def test_importing_graphc_leaves_sympy_alone() -> None:
    code = "import graphc, sys; print('numpy' in sys.modules, 'sympy' in sys.modules)"
    fresh = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert fresh.stdout.split() == ["True", "False"]
