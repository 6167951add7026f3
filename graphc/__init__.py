"""graphc: networks and expressions as static graphs, compiled to NumPy with their gradients."""

from typing import Any

from graphc import errors as errors
from graphc import nn as nn
from graphc import ops as _ops
from graphc import optim as optim
from graphc.api import VERSION as __version__
from graphc.api import Module, compile
from graphc.custom.code import custom_op
from graphc.custom.formula import elementwise_op
from graphc.errors import GraphcError, suggest
from graphc.frontends import initializers as init
from graphc.frontends.builder import Graph, path
from graphc.frontends.expression import from_expression
from graphc.frontends.onnx import from_onnx
from graphc.frontends.symbolic import from_sympy
from graphc.frontends.tracing import param, trace
from graphc.inspect.symbolic import to_sympy
from graphc.ir.node import Node
from graphc.ops import *

__all__ = [
    "Graph",
    "GraphcError",
    "Module",
    "Node",
    "__version__",
    "compile",
    "custom_op",
    "elementwise_op",
    "errors",
    "from_expression",
    "from_onnx",
    "from_sympy",
    "init",
    "nn",
    "optim",
    "param",
    "path",
    "to_sympy",
    "trace",
    *_ops.__all__,
]


def __getattr__(name: str) -> Any:
    # `gc.sofmax` is the likeliest mistake of all, so it gets an answer.
    advice = suggest(name, __all__)
    raise AttributeError(f"graphc has no {name!r}" + (f"; {advice}" if advice else ""))
