"""Operators that the standard defines by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from graphc.frontends.onnx.names import standard
from graphc.ir.node import Node
from onnx import defs, helper


def operator_sets(model: Any) -> dict[str, int]:
    """The version of each operator set that a model, or a function, is written in."""
    return {standard(opset.domain): opset.version for opset in model.opset_import}


def schema_of(domain: str, op_type: str, opset: int) -> Any:
    """The standard's description of an operator; None if there is none in that version."""
    try:
        return defs.get_schema(op_type, opset, domain)
    except defs.SchemaError:
        return None


def is_defined(domain: str, op_type: str, opset: int) -> bool:
    """Whether the standard defines an operator by others."""
    schema = schema_of(domain, op_type, opset)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def body_of(proto: Any, inputs: Sequence[Node | None], opsets: Mapping[str, int]) -> Any:
    """The definition of a node's operator by others, for inputs of these types; None without."""
    domain = standard(proto.domain)
    opset = opsets.get(domain, 1)
    schema = schema_of(domain, proto.op_type, opset)
    if schema is None:
        return None
    if schema.has_function:
        version = newest(schema.function_opset_versions, opset)
        return parsed(schema.get_function_with_opset_version(version))
    if schema.has_context_dependent_function:
        version = newest(schema.context_dependent_function_opset_versions, opset)
        types = [type_of(node).SerializeToString() for node in inputs]
        content = proto.SerializeToString()
        return parsed(
            schema.get_context_dependent_function_with_opset_version(version, content, types)
        )
    return None


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


def type_of(node: Node | None) -> Any:
    """The type of an input in ONNX's terms; an empty one for an input that is left out."""
    if node is None:
        return onnx.TypeProto()
    element = helper.np_dtype_to_tensor_dtype(node.dtype.numpy)
    shape = [size if isinstance(size, int) else str(size) for size in node.shape]
    return helper.make_tensor_type_proto(element, shape)
