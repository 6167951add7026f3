"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import activations as activations
from . import basic as basic
from . import casting as casting
from . import constants as constants
from . import elementwise as elementwise
from . import randomness as randomness
