"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import basic as basic
from . import resizing as resizing
from . import windows as windows
