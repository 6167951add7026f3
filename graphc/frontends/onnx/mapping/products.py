"""Products of matrices and tensors."""

from __future__ import annotations

from graphc import ops
from graphc.frontends.onnx.registry import Call, maps
from graphc.ir.node import Node
from graphc.ir.types import FLOAT

maps("MatMul", lambda call, x, y: ops.matmul(x, y))
maps("Det", lambda call, x: ops.det(x))


@maps("Einsum")
def einsum(call: Call, *operands: Node, equation: str) -> Node:
    """Products summed over the labels that the result does not have."""
    return ops.einsum(equation, *operands)


@maps("Gemm", until=6)
def gemm_of_flags(
    call: Call, x: Node, y: Node, z: Node, *, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0, broadcast: int = 0,
) -> Node:  # fmt: skip
    """Up to opset 6, a flag says that z is broadcast; where it is not, no axis needs that."""
    return gemm(call, x, y, z, alpha=alpha, beta=beta, transA=transA, transB=transB)


@maps("Gemm", since=7)
def gemm(
    call: Call, x: Node, y: Node, z: Node | None = None, *, alpha: float = 1.0, beta: float = 1.0,
    transA: int = 0, transB: int = 0,
) -> Node:  # fmt: skip
    """alpha x y + beta z, with each matrix transposed or not."""
    x = ops.matrix_transpose(x) if transA else x
    y = ops.matrix_transpose(y) if transB else y
    product = scaled(call, ops.matmul(x, y), alpha, "alpha")
    return product if z is None else product + scaled(call, z, beta, "beta")


def scaled(call: Call, x: Node, factor: float, name: str) -> Node:
    """x times a number, which is a whole one where x holds ints."""
    if factor == 1:
        return x
    if x.dtype.kind == FLOAT:
        return factor * x
    if factor != int(factor):
        call.refuse(f"{name} of {factor} for {x.dtype.name}: an int times a fraction is no int")
    return int(factor) * x
