"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import attention as attention
from . import basic as basic
from . import classical as classical
from . import indexing as indexing
from . import losses as losses
from . import normalization as normalization
from . import products as products
from . import reduction as reduction
from . import sequences as sequences
from . import shape as shape
