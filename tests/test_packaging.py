"""What users install: the wheel that is built from the sdist, and an editable checkout.

The templates lie beside the package in a checkout and inside it in a wheel, and `py.typed` is
easily forgotten: both are looked at where users have them. Nothing here reaches for the network:
hatchling is taken from the environment of the tests, and so are NumPy, SymPy and Jinja.
"""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted(path.name for path in (ROOT / "templates").iterdir())

# Compile y = sum(x * x) with the graphc that is found, and tell what came of it.
COMPILE = """
import numpy as np
import graphc as gc
from graphc.codegen.render import stock_templates

with gc.Graph("square") as g:
    x = g.input("x", (3,))
    g.loss(gc.sum(x * x))
module = gc.compile(g)
loss, grads = module.load().value_and_grad(np.array([1.0, 2.0, 3.0], np.float32))
print(gc.__file__, stock_templates(), float(loss), grads["x"].tolist(), sep="\\n")
"""


def command(arguments: Sequence[str | Path], folder: Path) -> str:
    """Standard output of a command; what it said on standard error if it fails."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str | Path) -> list[str | Path]:
    """Pip of this environment, without an index, without dependencies, with hatchling from here."""
    options = ["-q", "--no-index", "--no-deps", "--no-build-isolation"]
    return [sys.executable, "-m", "pip", *arguments, *options]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("built")
    command([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder], ROOT)
    (sdist,) = folder.glob("graphc-*.tar.gz")
    command([*pip("wheel"), "-w", folder, sdist], folder)
    (wheel,) = folder.glob("graphc-*.whl")
    return sdist, wheel


def environment_of(folder: Path) -> Path:
    """The Python of a new environment that sees the dependencies here, but no graphc."""
    command([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(command([python, "-c", where], folder).strip())
    # Read last and searched last, and the .pth file of an editable graphc in there is not read.
    borrowed = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (own / "zz_dependencies.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    return python


def install_into(python: Path, arguments: Sequence[str | Path]) -> None:
    """Install graphc into another environment."""
    # --ignore-installed: pip sees a graphc among the borrowed packages, and would be content.
    install = pip("--python", python, "install", "--ignore-installed")
    command([*install, *arguments], python.parent)


def check_compiles(python: Path, package: Path, templates: Path, folder: Path) -> None:
    """A graph compiles, with the package and the templates from where they are expected."""
    file, found, loss, gradient = command([python, "-c", COMPILE], folder).splitlines()
    assert Path(file).resolve() == (package / "__init__.py").resolve()
    assert Path(found).resolve() == templates.resolve()
    assert (loss, gradient) == ("14.0", "[2.0, 4.0, 6.0]")


def test_the_wheel_holds_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "graphc").rglob("*.py")}
    expected = {*modules, "graphc/py.typed", *(f"graphc/templates/{name}" for name in TEMPLATES)}
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_sdist_holds_what_the_tests_need(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames()}
    expected = {f"templates/{name}" for name in TEMPLATES}
    expected |= {"pyproject.toml", "LICENSE", "README.md", ".ci/run", "examples/digits_mlp.py"}
    expected |= {f"tests/{Path(__file__).name}"}
    assert expected <= names
    assert not any(".venv" in name or "__pycache__" in name for name in names)


def test_metadata(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        (place,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        text = wheel.read(place).decode()
        entry_points = wheel.read(place.replace("METADATA", "entry_points.txt")).decode()
    metadata = email.message_from_string(text)
    api = (ROOT / "graphc" / "api.py").read_text(encoding="utf-8")
    version = re.search(r'^VERSION = "(.+)"$', api, re.MULTILINE)
    assert version is not None
    assert metadata["Version"] == version[1]
    required = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in required}
    assert names == {"numpy", "sympy", "jinja2"}
    assert "graphc = graphc.cli:main" in entry_points


def test_the_installed_wheel_compiles(built: tuple[Path, Path], tmp_path: Path) -> None:
    python = environment_of(tmp_path / "env")
    install_into(python, [built[1]])
    (package,) = (tmp_path / "env").rglob("site-packages/graphc")
    check_compiles(python, package, package / "templates", tmp_path)


def test_an_editable_install_compiles(tmp_path: Path) -> None:
    python = environment_of(tmp_path / "env")
    install_into(python, ["-e", ROOT])
    check_compiles(python, ROOT / "graphc", ROOT / "templates", tmp_path)


def test_the_installed_wheel_has_its_command(built: tuple[Path, Path], tmp_path: Path) -> None:
    python = environment_of(tmp_path / "env")
    install_into(python, [built[1]])
    usage = command([python.with_name("graphc"), "--help"], tmp_path)
    assert usage.startswith("usage: graphc")
    assert command([python, "-m", "graphc", "--help"], tmp_path) == usage
