"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import basic as basic
from . import indexing as indexing
from . import losses as losses
from . import normalization as normalization
from . import products as products
from . import reduction as reduction
from . import shape as shape
