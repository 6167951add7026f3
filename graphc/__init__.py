"""graphc: networks and expressions as static graphs, compiled to NumPy with their gradients."""

from typing import Any

from graphc import errors as errors
from graphc import ops as _ops
from graphc import optim as optim
from graphc.api import VERSION as __version__
from graphc.api import Module, compile
from graphc.errors import GraphcError, suggest
from graphc.frontends.builder import Graph, path
from graphc.frontends.tracing import param, trace
from graphc.ir.node import Node
from graphc.ops import *

__all__ = [
    "Graph",
    "GraphcError",
    "Module",
    "Node",
    "__version__",
    "compile",
    "errors",
    "optim",
    "param",
    "path",
    "trace",
    *_ops.__all__,
]


def __getattr__(name: str) -> Any:
    # `gc.sofmax` is the likeliest mistake of all, so it gets an answer.
    advice = suggest(name, __all__)
    raise AttributeError(f"graphc has no {name!r}" + (f"; {advice}" if advice else ""))
