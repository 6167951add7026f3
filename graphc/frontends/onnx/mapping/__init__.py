"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import basic as basic
