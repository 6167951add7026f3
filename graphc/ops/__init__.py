"""The ops, by family. Importing this package registers them all."""

from graphc.ops.comparison import *
from graphc.ops.derivatives import *
from graphc.ops.elementwise import *
from graphc.ops.functions import *
from graphc.ops.indexing import *
from graphc.ops.joining import *
from graphc.ops.linalg import *
from graphc.ops.losses import *
from graphc.ops.mode import *
from graphc.ops.nn import *
from graphc.ops.operands import astype as astype
from graphc.ops.penalties import *
from graphc.ops.reduction import *
from graphc.ops.shape import *
from graphc.ops.stable import *

from . import (
    comparison,
    derivatives,
    elementwise,
    functions,
    indexing,
    joining,
    linalg,
    losses,
    mode,
    nn,
    penalties,
    random,
    reduction,
    shape,
    stable,
)

__all__ = [
    "astype",
    "random",
    *comparison.__all__,
    *derivatives.__all__,
    *elementwise.__all__,
    *functions.__all__,
    *indexing.__all__,
    *joining.__all__,
    *linalg.__all__,
    *losses.__all__,
    *mode.__all__,
    *nn.__all__,
    *penalties.__all__,
    *reduction.__all__,
    *shape.__all__,
    *stable.__all__,
]
