"""Tensors of a model as arrays. What a tensor says of itself is checked before it is believed."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import onnx

from graphc.errors import ModelError, UnsupportedError
from graphc.frontends.onnx.names import quoted
from graphc.ir.types import DTYPES, DType, as_dtype

FLOATS = {1: "float32", 10: "float16", 11: "float64"}  # by the numbers that ONNX has for them

# Which field holds the elements, and as what, where they are no raw bytes. Smaller types are
# stored in wider ones; float16 as the integer that its bits are.
FIELDS = {
    "float32": ("float_data", "float32"),
    "float64": ("double_data", "float64"),
    "int64": ("int64_data", "int64"),
    "uint64": ("uint64_data", "uint64"),
    "uint32": ("uint64_data", "uint64"),
    **dict.fromkeys(
        ("bool", "int8", "int16", "int32", "uint8", "uint16", "float16"), ("int32_data", "int32")
    ),
}
MOST_AXES = 32  # of NumPy 1; NumPy 2 has 64
ALL_FIELDS = (
    "raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data",
    "string_data",
)  # fmt: skip


def shortest(value: float) -> float:
    """The shortest decimal of a number that is stored with 32 bits.

    A slope of 0.01 is stored as 0.009999999776; a model of 64 bits was made with 0.01.
    """
    return float(str(np.float32(value)))


def element_type(number: int, what: str) -> DType:
    """The dtype of ONNX's number for it.

    Raises ModelError for a number that is none, UnsupportedError for what graphc has no dtype for.
    """
    try:
        name = onnx.TensorProto.DataType.Name(number).lower()
    except ValueError:
        raise ModelError(f"{what} has the unknown element type {number}") from None
    if name == "undefined":
        raise ModelError(f"{what} does not say which type its elements have")
    name = {"float": "float32", "double": "float64"}.get(name, name)
    if name not in DTYPES:
        raise UnsupportedError(f"{what} holds {name}", hint=f"graphc has {', '.join(DTYPES)}")
    return as_dtype(name)


def tensor_array(tensor: Any) -> np.ndarray[Any, Any]:
    """The array that a tensor is; one whose data is external is mapped, and read when it is used.

    Raises ModelError where sizes and data contradict each other, before anything is allocated.
    """
    what = f"the tensor {quoted(tensor.name)}" if tensor.name else "a tensor"
    dtype = element_type(tensor.data_type, what)
    shape = tuple(tensor.dims)
    count = math.prod(shape)
    if any(size < 0 for size in shape):
        raise ModelError(f"{what} has a negative size: {shape}")
    if math.prod(size or 1 for size in shape) * dtype.itemsize > sys.maxsize:
        raise ModelError(f"{what} has more elements than memory has addresses: {shape}")
    if len(shape) > MOST_AXES:
        raise UnsupportedError(f"{what} has {len(shape)} axes; NumPy has at most {MOST_AXES}")
    if tensor.HasField("segment"):
        raise UnsupportedError(f"{what} is a segment of a larger one")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        array = mapped(tensor, count, dtype, what)
    else:
        array = stored(tensor, count, dtype, what)
    if dtype.name == "bool":
        if array.size and array.max() > 1:
            raise ModelError(f"{what} holds bool, and bytes that are neither 0 nor 1")
        array = array.view(np.bool_)
    return array.reshape(shape)


def stored(tensor: Any, count: int, dtype: DType, what: str) -> np.ndarray[Any, Any]:
    """The elements within the model, as a vector."""
    given = [field for field in ALL_FIELDS if holds(tensor, field)]
    if not given and count == 0:
        return np.empty(0, raw(dtype))
    if not given:
        raise ModelError(f"{what} has {count} elements, and no data")
    if len(given) > 1:
        raise ModelError(f"{what} has its data twice: {' and '.join(given)}")
    if given == ["raw_data"]:
        content = tensor.raw_data
        if len(content) != count * dtype.itemsize:
            raise ModelError(wrong_length(what, count, dtype, len(content)))
        return np.frombuffer(content, raw(dtype))
    field, wide = FIELDS[dtype.name]
    if given != [field]:
        raise ModelError(f"{what} holds {dtype}, which are in {field}; its data is in {given[0]}")
    values = getattr(tensor, field)
    if len(values) != count:
        raise ModelError(f"{what} has {count} elements, and data for {len(values)}")
    array = np.fromiter(values, wide, count)  # an array of a list would take ten times the memory
    narrow: np.ndarray[Any, Any]
    if dtype.name == "float16":
        narrow = array.astype(np.uint16)
        fits = np.array_equal(narrow, array)
        return checked(narrow.view(np.float16), fits, dtype, what)
    narrow = array.astype(raw(dtype), copy=False)
    return checked(narrow, dtype.name == wide or np.array_equal(narrow, array), dtype, what)


def checked(
    array: np.ndarray[Any, Any], fits: bool, dtype: DType, what: str
) -> np.ndarray[Any, Any]:
    """The array, if no element was too large for its dtype."""
    if not fits:
        raise ModelError(f"{what} holds {dtype}, and numbers that are none")
    return array


def mapped(tensor: Any, count: int, dtype: DType, what: str) -> np.ndarray[Any, Any]:
    """The elements in a file whose place was found when the model was read, as a vector."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    length = int(entries["length"])
    if length != count * dtype.itemsize:
        raise ModelError(wrong_length(what, count, dtype, length))
    if count == 0:
        return np.empty(0, raw(dtype))
    offset = int(entries["offset"])
    # A plain view of the map: a subclass of arrays would spread through everything computed.
    return np.asarray(np.memmap(entries["location"], raw(dtype), "r", offset, (count,)))


def raw(dtype: DType) -> np.dtype[Any]:
    """How elements lie in bytes: little-endian, and bools as bytes that are still to be checked."""
    return np.dtype("uint8") if dtype.name == "bool" else dtype.numpy.newbyteorder("<")


def wrong_length(what: str, count: int, dtype: DType, length: int) -> str:
    """The message about data that are not as long as the sizes say."""
    return f"{what} has {count} elements of {dtype}, {count * dtype.itemsize} bytes, got {length}"


def holds(tensor: Any, field: str) -> bool:
    """Whether there is data in a field."""
    if field == "raw_data":  # the bytes would be copied to see how many they are
        return bool(tensor.HasField(field))
    return len(getattr(tensor, field)) > 0
