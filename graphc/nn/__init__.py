"""Layers: functions that create their parameters in the graph and compute with them."""

from graphc.nn.convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]
