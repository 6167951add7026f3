"""`gc.nn`: layers, which are functions that declare the parameters that they compute with.

A layer belongs to the graph of its operand, and calls its parameters `name.W`, `name.b` and so on,
under the paths that are open. Its default name may be used again: `dense`, `dense_2`, … What has no
parameters, and what shares those of another, is an op: `gc.dropout`, `gc.layer_norm`, `gc.lstm`.

Weights start with Glorot's uniform distribution and biases with zeros, unless a layer says
otherwise; PyTorch draws both within ±1/√inputs. Where there are groups, fans are those of one.
"""

from typing import Any

from graphc.errors import suggest
from graphc.nn.attention import multi_head_attention
from graphc.nn.convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from graphc.nn.linear import dense, embedding
from graphc.nn.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from graphc.nn.recurrence import gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell

__all__ = [
    "batch_norm", "conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "dense",
    "embedding", "group_norm", "gru", "gru_cell", "instance_norm", "layer_norm", "lstm",
    "lstm_cell", "multi_head_attention", "rms_norm", "rnn", "rnn_cell",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # Asked for by users of `gc.nn`.
    if name.startswith("__"):
        raise AttributeError(name)
    advice = suggest(name, __all__)
    raise AttributeError(f"gc.nn has no {name!r}; {advice or 'it has ' + ', '.join(__all__)}")
