"""Operators that the standard defines by others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import onnx
from onnx import defs, helper

from graphc.frontends.onnx.names import standard
from graphc.frontends.onnx.registry import Tensors, Value

Key: TypeAlias = "tuple[str, str, str]"  # domain, name, and which of several under one name


def functions_of(model: Any) -> dict[Key, Any]:
    """The functions that a model defines, by what a node calls them."""
    return {(standard(f.domain), f.name, f.overload): f for f in model.functions}


def called_by(proto: Any) -> Key:
    """What a node calls, if it is a function."""
    return standard(proto.domain), proto.op_type, proto.overload


def operator_sets(model: Any) -> dict[str, int]:
    """The version of each operator set that a model, or a function, is written in."""
    return {standard(opset.domain): opset.version for opset in model.opset_import}


@lru_cache(maxsize=4096)
def schema_of(domain: str, op_type: str, opset: int) -> Any:
    """The standard's description of an operator; None if there is none in that version."""
    try:
        return defs.get_schema(op_type, opset, domain)
    except defs.SchemaError:
        return None


def plain_body(schema: Any, opset: int) -> Any:
    """The definition of an operator by others that is the same for all nodes."""
    version = newest(schema.function_opset_versions, opset)
    return with_defaults(parsed(schema.get_function_with_opset_version(version)), schema)


def body_of(schema: Any, opset: int, proto: Any, inputs: Sequence[Value | None]) -> Any:
    """The definition of a node's operator by others, for inputs of these types; None without."""
    if schema is None:
        return None
    if schema.has_function:
        return plain_body(schema, opset)
    if schema.has_context_dependent_function:
        version = newest(schema.context_dependent_function_opset_versions, opset)
        types = [type_of(node).SerializeToString() for node in inputs]
        content = proto.SerializeToString()
        return parsed(
            schema.get_context_dependent_function_with_opset_version(version, content, types)
        )
    return None


def with_defaults(function: Any, schema: Any) -> Any:
    """A definition in which the attributes that an operator may leave out have their defaults."""
    named = {attribute.name for attribute in function.attribute_proto}
    defaults = [attribute.default_value for attribute in schema.attributes.values()]
    function.attribute_proto.extend(d for d in defaults if d.name and d.name not in named)
    return function


def newest(versions: Sequence[int], opset: int) -> int:
    """The newest of some versions that an operator set has; the oldest if it has none of them."""
    return max((v for v in versions if v <= opset), default=min(versions))


def parsed(function: Any) -> Any:
    """A function as a message."""
    if isinstance(function, bytes):
        message = onnx.FunctionProto()
        message.ParseFromString(function)
        return message
    return function


def type_of(node: Value | None) -> Any:
    """The type of an input in ONNX's terms; an empty one for an input that is left out."""
    if node is None:
        return onnx.TypeProto()
    if isinstance(node, Tensors):
        return helper.make_sequence_type_proto(type_of(node[0] if node else None))
    element = helper.np_dtype_to_tensor_dtype(node.dtype.numpy)
    shape = [size if isinstance(size, int) else str(size) for size in node.shape]
    return helper.make_tensor_type_proto(element, shape)
