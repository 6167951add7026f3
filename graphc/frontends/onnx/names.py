"""How nodes and values of a model are called, in messages and in generated code."""

from __future__ import annotations

import re
from typing import Any

from graphc.frontends.onnx.registry import STANDARD

COUNTED = re.compile(r"(onnx::)?([A-Za-z]+_?)?\d+")  # what exporters count up: 12, onnx::Add_12
OUTPUT = re.compile(r"_output_\d+$")
WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def standard(domain: str) -> str:
    """A domain, with one spelling of the standard's own."""
    return STANDARD if domain == "ai.onnx" else domain


def qualified(domain: str, op_type: str) -> str:
    """An operator with its domain, if it is not the standard's."""
    return f"{domain}.{op_type}" if domain else op_type


def describe(proto: Any) -> str:
    """A node in messages: its name, else what it computes, and its operator."""
    operator = qualified(standard(proto.domain), proto.op_type)
    if proto.name:
        return f"node {proto.name!r} ({operator})"
    output = next((name for name in proto.output if name), None)
    return f"the {operator} node" + (f" of {output!r}" if output else "")


def label_of(name: str) -> str | None:
    """A value's name as a label; None for one that says nothing."""
    plain = OUTPUT.sub("", name).strip("/")
    return None if not plain or COUNTED.fullmatch(plain) else plain.replace("/", ".")


def noun_of(op_type: str) -> str:
    """What the result of an operator is called: `LayerNormalization`, `layer_normalization`."""
    return WORD.sub("_", op_type).lower()
