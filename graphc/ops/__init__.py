"""The ops, by family. Importing this package registers them all."""

from graphc.ops.activations import *
from graphc.ops.angles import *
from graphc.ops.attention import *
from graphc.ops.averaging import *
from graphc.ops.bitwise import *
from graphc.ops.comparison import *
from graphc.ops.contraction import *
from graphc.ops.convolution import *
from graphc.ops.coordinates import *
from graphc.ops.cumulative import *
from graphc.ops.derivatives import *
from graphc.ops.elementwise import *
from graphc.ops.functions import *
from graphc.ops.indexing import *
from graphc.ops.interpolation import *
from graphc.ops.joining import *
from graphc.ops.labels import *
from graphc.ops.linalg import *
from graphc.ops.lookup import *
from graphc.ops.losses import *
from graphc.ops.matrices import *
from graphc.ops.mode import *
from graphc.ops.nn import *
from graphc.ops.normalization import *
from graphc.ops.operands import astype as astype
from graphc.ops.ordering import *
from graphc.ops.padding import *
from graphc.ops.penalties import *
from graphc.ops.pooling import *
from graphc.ops.probabilities import *
from graphc.ops.rearranging import *
from graphc.ops.recurrence import *
from graphc.ops.reduction import *
from graphc.ops.rounding import *
from graphc.ops.scattering import *
from graphc.ops.shape import *
from graphc.ops.stable import *
from graphc.ops.windows import *

from . import (
    activations,
    angles,
    attention,
    averaging,
    bitwise,
    comparison,
    contraction,
    convolution,
    coordinates,
    cumulative,
    derivatives,
    elementwise,
    functions,
    indexing,
    interpolation,
    joining,
    labels,
    linalg,
    lookup,
    losses,
    matrices,
    mode,
    nn,
    normalization,
    ordering,
    padding,
    penalties,
    pooling,
    probabilities,
    random,
    rearranging,
    recurrence,
    reduction,
    rounding,
    scattering,
    shape,
    stable,
    windows,
)

__all__ = [
    "astype",
    "random",
    *activations.__all__,
    *angles.__all__,
    *attention.__all__,
    *averaging.__all__,
    *bitwise.__all__,
    *comparison.__all__,
    *contraction.__all__,
    *convolution.__all__,
    *coordinates.__all__,
    *cumulative.__all__,
    *derivatives.__all__,
    *elementwise.__all__,
    *functions.__all__,
    *indexing.__all__,
    *interpolation.__all__,
    *joining.__all__,
    *labels.__all__,
    *linalg.__all__,
    *lookup.__all__,
    *losses.__all__,
    *matrices.__all__,
    *mode.__all__,
    *nn.__all__,
    *normalization.__all__,
    *ordering.__all__,
    *padding.__all__,
    *penalties.__all__,
    *pooling.__all__,
    *probabilities.__all__,
    *rearranging.__all__,
    *recurrence.__all__,
    *reduction.__all__,
    *rounding.__all__,
    *scattering.__all__,
    *shape.__all__,
    *stable.__all__,
    *windows.__all__,
]
