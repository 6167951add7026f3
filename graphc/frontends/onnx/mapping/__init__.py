"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import basic as basic
from . import classical as classical
from . import sequences as sequences
