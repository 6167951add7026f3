"""The dialect of NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from graphc.codegen.dialect import LOADERS, Dialect, Helper, Spell
from graphc.codegen.literals import LINE, bracketed, clipped, escaped, number, quoted, width
from graphc.codegen.view import FunctionView
from graphc.ir import dims
from graphc.ir.emission import Template
from graphc.ir.graph import CONSTANT
from graphc.ir.node import Node
from graphc.ir.types import FLOAT, INT, shape_text
from graphc.lower.module import LoweredModule, SelfTest
from graphc.lower.naming import Names
from graphc.lower.program import beside_array
from graphc.runtime import boundary, checkpoints, finite, training
from graphc.runtime.files import load_arrays, save_arrays

ABSTRACT = ("Callable", "Iterable", "Iterator", "Mapping")  # collections that annotations mention


class Arrays(Dialect):
    """NumPy arrays of the declared dtypes."""

    what = "NumPy"
    reserved = ("np", "NDArray", "Array", "base64", "hashlib", "arrays", "load_arrays",
                "load_companion", "CHECKSUM", "CONSTANTS", "checked", "shape_text", "sample_values",
                "sample_slope")  # fmt: skip
    typed = False
    names = ("Array",)
    infinity = "np.inf"
    raises = False
    finite = staticmethod(finite.check_finite)
    residuals = "What the backward pass reads of the forward pass: its arrays, not copies of them."
    file = "an .npz file"
    companion = True
    checks = "their shapes and dtypes are checked"
    generator = draws = "np.random.Generator"
    check_rng = staticmethod(boundary.check_rng)
    checked_number = staticmethod(training.checked_number)
    vector = ("Array", "Array")

    # --- values ---------------------------------------------------------------------------------

    def annotation(self, node: Node) -> str:
        return "Array"

    def described(self, node: Node) -> str:
        return clipped(str(node.types[0]), 50)  # float32 (batch, 64)

    def comment(self, node: Node) -> str:
        return escaped(f"{shape_text(node.shape)} {node.dtype.name}")

    def cotangent(self, node: Node) -> str:
        return "Array" if node.shape else "Array | float"

    # --- expressions ----------------------------------------------------------------------------

    def template(self, node: Node) -> Template:
        return node.op.emission.template(node)

    def helpers(self, node: Node) -> Sequence[Helper]:
        return node.op.emission.helpers

    def literal(self, user: Node, node: Node, spell: Spell) -> str:
        """Bare beside an array of its dtype, else with its dtype.

        NumPy 1.x makes a float64 of a float32 scalar and a bare number, and of a float32 array and
        a large one.
        """
        bare = beside_array(user, node, user.args) and not is_large(node)
        text = scalar_text(node, spell, whole=bare)
        return text if bare else f"{node.dtype.source}({text})"

    def constant(self, node: Node, spell: Spell) -> str:
        return f"np.array({scalar_text(node, spell)}, dtype={node.dtype.source})"

    def zeros(self, node: Node, shape: str) -> str:
        return f"np.zeros({shape}, {node.dtype.source})"

    def slot(self, key: str, start: float) -> str:
        return f"{key}: {filled(f'params[{key}]', start)}"

    def copied(self, text: str) -> str:
        return f"{text}.copy()"

    def kept(self, group: str, node: Node) -> str:
        return f"np.array({group}[{quoted(node.params.name)}], {node.dtype.source})"

    def readied(self, node: Node, name: str) -> str:
        return "" if name == "gradient" else f"{name} = np.asarray({name}, gradient.dtype)"

    def converted(self, name: str, source: str, like: str) -> str:
        return f"{name} = {like}.dtype.type({source})"

    # --- the boundary ---------------------------------------------------------------------------

    def check(
        self, node: Node, key: str, source: str, sizes: Sequence[str]
    ) -> tuple[str, list[str]]:
        return "checked", [key, source, node.dtype.source, *sizes]

    def boundary(self, module: LoweredModule) -> Sequence[Helper]:
        checks: list[Helper] = [boundary.checked, boundary.plain_array, boundary.shape_text]
        kept = module.parameters or module.graph.states
        saves = [save_arrays] if module.forward is not None else []  # else there are no save_…
        return [*checks, load_arrays, *saves] if kept else checks

    def clipping(self) -> Sequence[Helper]:
        return [training.clip_scale, training.global_norm]

    def fitting(self) -> Sequence[Helper]:
        loop: list[Helper] = [checkpoints.checked_count, checkpoints.show_progress]
        files: list[Helper] = [checkpoints.read_checkpoint, checkpoints.restored_rng]
        return [*loop, checkpoints.write_checkpoint, *files]

    def testing(self, test: SelfTest) -> Sequence[Helper]:
        how = [boundary.nearest_difference, boundary.is_slope] if test.slopes else [boundary.agrees]
        return [boundary.sample_values, boundary.sample_slope, *how]

    def imports(self, functions: Sequence[FunctionView], code: str) -> list[str]:
        defined = {function.name for function in functions}
        needed = {
            "import base64": "base64.b64decode" in code,
            "import contextlib": "contextlib.suppress(" in code,
            "import copy": "copy.deepcopy(" in code,
            "import hashlib": "hashlib.sha256(" in code,
            "import json": "json.dumps(" in code,
            "import math": any(f"math.{name}" in code for name in ("pow(", "sqrt(", "cos(")),
            "import os": "os.replace(" in code,
            "import sys": "self_test" in defined,
            "import tempfile": "tempfile.mkstemp(" in code,
            "import zipfile": "zipfile.BadZipFile" in code,
            "import zlib": "zlib.error" in code,
            "from collections.abc import {}": [n for n in ABSTRACT if f"{n}[" in code],
            "from pathlib import Path": "Path(" in code or bool(LOADERS & defined),
        }
        standard = [
            line.format(", ".join(condition)) if isinstance(condition, list) else line
            for line, condition in needed.items()
            if condition
        ]
        typing = ", ".join(["Any", *(t for t in ("NamedTuple", "TypedDict") if t in code)])
        return [
            *standard,
            f"from typing import {typing}",
            *("", "import numpy as np", "from numpy.typing import NDArray"),
        ]

    # --- parameters -----------------------------------------------------------------------------

    def saved(self, group: str) -> list[str]:
        items = f'{{f"{group}/{{name}}": value for name, value in {group}.items()}}'
        return [f"    save_arrays(path, {items})"]

    def stored(self, group: str, declared: Sequence[Node]) -> tuple[str, list[str]]:
        sources = [f"arrays[{quoted(f'{group}/{node.params.name}')}]" for node in declared]
        names = f'[f"{group}/{{name}}" for name in {group.capitalize()}.__annotations__]'
        return f"    arrays = load_arrays(path, {names})", sources

    def ravelled(self, trained: Sequence[Node]) -> list[str]:
        parts = [f"np.asarray(params[{quoted(node.params.name)}]).ravel()" for node in trained]
        listed = bracketed("parts = [", parts, "]", 4)
        return [*f"    {listed}".split("\n"), "    return np.concatenate(parts)"]

    def unravelled(
        self, declared: Sequence[Node], trained: Collection[Node], names: Names
    ) -> tuple[list[str], dict[Node, str]]:
        body = []
        values = {}
        start = 0
        for node in declared:
            if node not in trained:
                continue
            stop = start + dims.evaluate(dims.product(node.shape), {})
            part = f"vector[{start or ''}:{stop}]{reshaped(list(map(str, node.shape)))}"
            value = f"{part}.astype({node.dtype.source})"
            if width(f"        {quoted(node.params.name)}: {value},") > LINE:
                body.append(f"    {names.of(node)} = {value}")
                value = names.of(node)
            values[node] = value
            start = stop
        return [f'    vector = checked("vector", vector, np.float64, {start})', *body], values

    # --- the self-test --------------------------------------------------------------------------

    def sample(self, node: Node, test: SelfTest) -> str:
        sizes = [str(dims.evaluate(size, test.sizes)) for size in node.shape]
        labels = [f"labels={test.labels}"] if node.dtype.kind == INT else []
        offset = [f"offset={test.offset}"] if test.offset and node.dtype.kind == FLOAT else []
        options = [str(test.phases[node]), *sizes, *labels, *offset]
        return f"sample_values({', '.join([node.dtype.source, *options])})"

    def slope(self, gradient: str) -> str:
        return f"sample_slope({gradient})"


ARRAYS = Arrays()


def filled(array: str, start: float) -> str:
    """An array like another one, all of one number."""
    return f"np.full_like({array}, {start!r})" if start else f"np.zeros_like({array})"


def reshaped(sizes: Sequence[str]) -> str:
    """What makes an array of a part of a vector, which has one axis already."""
    return "" if len(sizes) == 1 else f".reshape({', '.join(sizes) or '()'})"


def is_large(node: Node) -> bool:
    """Whether NumPy 1.x takes a scalar constant, written bare, for one of a wider dtype."""
    limit = LARGE.get(node.dtype.name)
    if limit is None or node.op is not CONSTANT:
        return False
    return bool(limit <= abs(node.params.data.array) < math.inf)


LARGE = {"float16": np.float16(65000.0), "float32": np.float32(3.4e38)}


def scalar_text(node: Node, spell: Callable[[str], str], *, whole: bool = False) -> str:
    """A scalar constant or a size as source; `whole` writes small whole floats as ints."""
    if node.op is CONSTANT:
        return number(node.params.data.array[()], whole=whole)
    return dims.text(node.params.size, spell)
