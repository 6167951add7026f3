"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import basic as basic
from . import indexing as indexing
from . import resizing as resizing
from . import shape as shape
from . import windows as windows
