"""What an operator, or a function of the model, takes: counts, attributes and types.

The descriptions of operators are the standard's own, from the package onnx. An operator that they
do not describe is told elsewhere, with all others that are not supported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import AttributeProto, defs

from graphc.errors import ModelError
from graphc.frontends.onnx.names import nearest, quoted
from graphc.frontends.onnx.registry import Tensors, Value
from graphc.ir.node import Node
from graphc.ir.types import DTYPES, FLOAT, DType

SINGLE = defs.OpSchema.FormalParameterOption.Single
VARIADIC = defs.OpSchema.FormalParameterOption.Variadic
# The field of an attribute that holds a value of each type.
HELD = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g",
    "SPARSE_TENSOR": "sparse_tensor", "TYPE_PROTO": "tp", "FLOATS": "floats", "INTS": "ints",
    "STRINGS": "strings", "TENSORS": "tensors", "GRAPHS": "graphs",
    "SPARSE_TENSORS": "sparse_tensors", "TYPE_PROTOS": "type_protos",
}  # fmt: skip
REQUIRED_FIELDS = ("t", "g", "sparse_tensor", "tp")  # the others have a zero to fall back to


def require_call(proto: Any, function: Any, schema: Any, around: set[str] | None) -> None:
    """Raise ModelError for a node that its operator does not allow.

    function  what the model defines the operator as, if it does
    schema    the standard's description, if there is one
    around    the attributes of the function that the node is part of, None outside of functions
    """
    for attribute in proto.attribute:
        require_attribute(attribute, around)
    names = [attribute.name for attribute in proto.attribute]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"the attribute {quoted(name)} is given twice")
    if function is not None:
        require_count("inputs", proto.input, 0, len(function.input))
        require_count("outputs", proto.output, 0, len(function.output))
    elif schema is not None and not schema.deprecated:  # what was dropped is described no more
        require_count("inputs", proto.input, schema.min_input, schema.max_input)
        require_count("outputs", proto.output, schema.min_output, schema.max_output)
        for name, formal in zip(proto.input, schema.inputs, strict=False):
            if not name and formal.option == SINGLE:
                raise ModelError(f"the input {formal.name} is left out, and has to be there")
        require_attributes(proto, schema)


def require_count(what: str, names: Sequence[str], least: int, most: int) -> None:
    """Raise ModelError for a wrong number of inputs or outputs."""
    given = len(names)
    while names and given > most and not names[given - 1]:
        given -= 1  # names left out at the end do not count
    if not least <= given <= most:
        allowed = f"{least}" if least == most else f"at least {least}"
        if least < most < 2**31 - 1:
            allowed = f"{least} to {most}"
        raise ModelError(f"has {given} {what}, and the operator {allowed}")


def require_attribute(attribute: Any, around: set[str] | None) -> None:
    """Raise ModelError for an attribute that is not of the type that it says."""
    if not attribute.name or not isinstance(attribute.name, str):
        raise ModelError(f"an attribute has no name: {quoted(attribute.name)}")
    what = f"the attribute {quoted(attribute.name)}"
    kind = AttributeProto.AttributeType.Name(attribute.type)
    if attribute.ref_attr_name:
        if around is None:
            raise ModelError(f"{what} stands for one of a function, outside of functions")
        if attribute.ref_attr_name not in around:
            raise ModelError(
                f"{what} stands for {quoted(attribute.ref_attr_name)}, which the function does "
                "not have"
            )
        return
    if kind not in HELD:
        raise ModelError(f"{what} does not say its type")
    filled = [field.name for field, _ in attribute.ListFields() if field.name in HELD.values()]
    wrong = [field for field in filled if field != HELD[kind]]
    if wrong or (not filled and HELD[kind] in REQUIRED_FIELDS):
        held = f"holds {', '.join(wrong)}" if wrong else "holds nothing"
        raise ModelError(f"{what} is of type {kind}, and {held}")


def require_attributes(proto: Any, schema: Any) -> None:
    """Raise ModelError for attributes that an operator does not have, or not of this type."""
    given = {attribute.name: attribute for attribute in proto.attribute}
    for name, attribute in given.items():
        known = schema.attributes.get(name)
        if known is None:
            raise ModelError(
                f"{proto.op_type} has no attribute {quoted(name)}",
                hint=nearest(name, schema.attributes),
            )
        if attribute.type != known.type.value:
            kind = AttributeProto.AttributeType.Name(attribute.type)
            raise ModelError(f"the attribute {quoted(name)} is {known.type.name}, got {kind}")
    missing = [a.name for a in schema.attributes.values() if a.required and a.name not in given]
    if missing:
        raise ModelError(f"the attribute {missing[0]!r} is missing")


def require_types(schema: Any, inputs: Sequence[Value | None]) -> None:
    """Raise ModelError for inputs whose dtypes an operator does not take together."""
    if schema is None or schema.deprecated:
        return
    bound: dict[str, tuple[Node, str]] = {}
    for place, value in enumerate(inputs):
        node = value[0] if isinstance(value, Tensors) and value else value
        if node is None or isinstance(node, Tensors):
            continue  # what is left out, or has no tensors, has no dtype
        formal = schema.inputs[min(place, len(schema.inputs) - 1)]
        several = isinstance(value, Tensors)
        if not takes(formal, node.dtype, several):
            allowed = [name for name, dtype in DTYPES.items() if takes(formal, dtype, several)]
            if not allowed:
                kinds = ("a sequence", "a tensor") if several else ("a tensor", "a sequence")
                raise ModelError(f"the input {formal.name} is {kinds[0]}, not {kinds[1]}")
            raise ModelError(
                f"the input {formal.name} holds {node.dtype}, not {' or '.join(allowed)}"
            )
        if formal.option == VARIADIC and not formal.is_homogeneous:
            continue
        first, name = bound.setdefault(formal.type_str, (node, formal.name))
        floats = first.dtype.kind == node.dtype.kind == FLOAT  # converters do mix these
        if first.dtype is not node.dtype and not floats:
            raise ModelError(
                f"the inputs {name} and {formal.name} hold {first.dtype} and {node.dtype}, and "
                "have to hold the same"
            )


def takes(formal: Any, dtype: DType, several: bool = False) -> bool:
    """Whether an input may hold a dtype, in one tensor or in a sequence of them."""
    element = {"float32": "float", "float64": "double"}.get(dtype.name, dtype.name)
    held = f"seq(tensor({element}))" if several else f"tensor({element})"
    return bool({held, f"optional({held})"} & formal.types)
