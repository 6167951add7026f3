"""What ONNX's operators are in graphc's ops. Importing this package registers all mappings."""

from . import activations as activations
from . import attention as attention
from . import basic as basic
from . import casting as casting
from . import classical as classical
from . import constants as constants
from . import elementwise as elementwise
from . import indexing as indexing
from . import losses as losses
from . import normalization as normalization
from . import products as products
from . import randomness as randomness
from . import recurrence as recurrence
from . import reduction as reduction
from . import resizing as resizing
from . import sequences as sequences
from . import shape as shape
from . import windows as windows
