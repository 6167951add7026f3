"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import attention as attention
from . import basic as basic
from . import sequences as sequences
