"""How nodes and values of a model are called, in messages and in generated code."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from graphc.errors import GraphcError, Site, UsageError, suggest
from graphc.frontends.onnx.registry import STANDARD

COUNTED = re.compile(r"(onnx::)?([A-Za-z]+_?)?\d+")  # what exporters count up: 12, onnx::Add_12
UNNAMED = re.compile(r"(onnx::(\w+_)?|val_)?\d+")  # PyTorch's, of what has no name in a network
OUTPUT = re.compile(r"_output_\d+$")
WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
LONG = 120  # characters of a name that a message shows
MANY = 2000  # names among which a similar one is searched


@dataclass(frozen=True, slots=True)
class NodeSite(Site):
    """A place in a model: the file, and which of its nodes, if it is one."""

    told: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.told}" if self.told else self.file


@contextlib.contextmanager
def located(site: Callable[[], NodeSite]) -> Iterator[None]:
    """In here, errors about the model are told with a place in it, the innermost one."""
    try:
        yield
    except GraphcError as error:
        if isinstance(error, UsageError) or isinstance(error.site, NodeSite):
            raise  # what the caller asks for is wrong, or the place is known already
        raise type(error)(error.message, site=site(), hint=error.hint) from None


def standard(domain: str) -> str:
    """A domain, with one spelling of the standard's own."""
    return STANDARD if domain == "ai.onnx" else domain


def qualified(domain: str, op_type: str) -> str:
    """An operator with its domain, if it is not the standard's."""
    return shortened(f"{domain}.{op_type}" if domain else op_type)


def shortened(text: str) -> str:
    """A text of the model's without the middle, if it is long."""
    return text if len(text) <= LONG else f"{text[: LONG // 2]}…{text[-LONG // 4 :]}"


def quoted(name: str | bytes) -> str:
    """A name of the model's in messages; one that is no UTF-8 is read as bytes."""
    return repr(shortened(name)) if isinstance(name, str) else shortened(repr(name))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?` for the most similar name; models have many names, and long ones."""
    if len(name) > LONG:
        return None
    return suggest(name, [other for other in islice(known, MANY) if len(other) <= LONG])


def describe(proto: Any) -> str:
    """A node in messages: its name, else what it computes, and its operator."""
    operator = qualified(standard(proto.domain), proto.op_type)
    if proto.name:
        return f"node {quoted(proto.name)} ({operator})"
    output = next((name for name in proto.output if name), None)
    return f"the {operator} node" + (f" of {quoted(output)}" if output else "")


def label_of(name: str) -> str | None:
    """A value's name as a label; None for one that an exporter made up of scope and operator."""
    return None if "/" in name or COUNTED.fullmatch(name) else name


def hint_of(name: str, op_type: str) -> str:
    """What an exporter's name says of a value: where it is computed, and by what.

    `/block/mlp/mlp.0/MatMul_1_output_0` is `block_mlp_0_mat_mul_1`, `/0/Conv` is `conv_0`.
    """
    *scope, last = OUTPUT.sub("", name).strip("/").split("/")
    if UNNAMED.fullmatch(name):
        return noun_of(op_type)
    own = [part for part, inner in pairwise((*scope, "")) if not inner.startswith(f"{part}.")]
    words = [*own, noun_of(last)] if name[:1] == "/" or scope else [last]
    if words[0][:1].isdigit():
        words = [words[-1], *words[:-1]]
    return re.sub(r"\W+", "_", "_".join(words))


def noun_of(op_type: str) -> str:
    """What the result of an operator is called: `LayerNormalization`, `layer_normalization`."""
    return WORD.sub("_", op_type).lower()
