"""PyTorch's networks exported, read back, and compared: outputs and all gradients.

An exporter renames, transposes, folds and joins weights. Each initialiser is therefore found among
what it may make of PyTorch's parameters; what graphc says of the initialiser is then pulled back to
the parameters by PyTorch, and compared with PyTorch's own gradients of them.
"""

from __future__ import annotations

import io
import itertools
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

import graphc as gc
from tests.onnx.torch_models import EXAMPLES, Example

TOLERANCE = {"float32": 2e-4, "float64": 1e-8}
NAMES = "abc"
SEED = 5


@dataclass(frozen=True)
class Export:
    """How a network is exported.

    exporter  "trace": by TorchScript; "dynamo": by torch.export and onnxscript
    folding   whether constants are folded, and batch normalisations into convolutions
    dynamic   whether the batch has a name instead of a size
    opset     the version of the operator set, if not the exporter's own
    """

    name: str
    exporter: str
    dtype: str
    folding: bool = True
    dynamic: bool = False
    opset: int | None = None

    @property
    def example(self) -> Example:
        """The network."""
        return EXAMPLES[self.name]

    def network(self) -> tuple[nn.Module, list[Tensor]]:
        """The network and its inputs: the same numbers in each run."""
        torch.manual_seed(len(self.name))
        dtype = getattr(torch, self.dtype)
        module = self.example.module().to(dtype).train(self.example.training)
        with torch.no_grad():  # exporters make one of equal weights, as fresh norms and copies have
            for value in [*module.parameters(), *module.buffers()]:
                if value.is_floating_point():
                    value.add_(torch.rand_like(value), alpha=0.5 if value.ndim == 1 else 0.1)
        return module, [draw(dtype) for draw in self.example.inputs]

    def model(self) -> onnx.ModelProto:
        """The model as the exporter writes it."""
        module, inputs = self.network()
        names = list(NAMES[: len(inputs)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            try:
                make = self._traced if self.exporter == "trace" else self._exported
                return make(module, tuple(inputs), names)
            finally:
                logging.disable(logging.NOTSET)

    def _traced(self, module: nn.Module, inputs: Any, names: list[str]) -> onnx.ModelProto:
        mode = torch.onnx.TrainingMode
        file = io.BytesIO()
        batches = zip(names, self.example.batches, strict=True)
        axes = {name: {axis: "batch"} for name, axis in batches if axis is not None}
        torch.onnx.export(
            module, inputs, file, dynamo=False, input_names=names, opset_version=self.opset,
            do_constant_folding=self.folding, dynamic_axes=axes if self.dynamic else None,
            training=mode.TRAINING if self.example.training else mode.EVAL,
        )  # fmt: skip
        return onnx.load_from_string(file.getvalue())

    def _exported(self, module: nn.Module, inputs: Any, names: list[str]) -> onnx.ModelProto:
        batch = torch.export.Dim("batch")
        shapes = tuple(None if axis is None else {axis: batch} for axis in self.example.batches)
        program = torch.onnx.export(
            module, inputs, dynamo=True, verbose=False, input_names=names, optimize=self.folding,
            opset_version=self.opset, dynamic_shapes=shapes if self.dynamic else None,
        )  # fmt: skip
        assert program is not None
        return program.model_proto

    def agrees(self) -> None:
        """Assert that outputs and gradients are PyTorch's."""
        module, inputs = self.network()
        for x in inputs:
            x.requires_grad_(x.is_floating_point())
        rng = np.random.default_rng(SEED)
        draws = [torch.tensor(rng.standard_normal(shape)) for shape in self.example.draws]
        results = module(*inputs, *(noise.to(inputs[0].dtype) for noise in draws))
        expected = [*results] if isinstance(results, tuple) else [results]
        bars = [torch.arange(y.numel(), dtype=y.dtype).cos().reshape(y.shape) for y in expected]
        parameters = dict(module.named_parameters())
        floats = [x for x in inputs if x.requires_grad]
        wanted = torch.autograd.grad(expected, [*floats, *parameters.values()], bars)

        assert len(inputs) <= len(NAMES)
        graph = gc.from_onnx(self.model())
        by = [name for name, x in zip(NAMES, inputs, strict=False) if x.requires_grad]
        trained = [name for name, p in graph.parameters.items() if p.trainable]
        compiled = gc.compile(graph, wrt=[*by, *trained])
        arrays = [x.detach().numpy() for x in inputs]
        found, grads = evaluated(compiled, arrays, bars, bool(draws))
        for own, theirs in zip(found, expected, strict=True):
            self.compare("output", own, theirs)
        for name, theirs in zip(by, wanted, strict=False):
            self.compare(f"gradient of input {name}", grads[name], theirs)
        pulled = pulled_back(module, {n: graph.parameters[n].init for n in trained}, grads)
        for name, theirs in zip(parameters, wanted[len(floats) :], strict=True):
            self.compare(f"gradient of {name}", pulled[name], theirs)

    def compare(self, what: str, own: Any, theirs: Tensor) -> None:
        """Assert that an array is PyTorch's, measured by its largest element."""
        expected = theirs.detach().numpy()
        own = np.asarray(own)
        assert own.dtype == expected.dtype, f"{what}: {own.dtype}, {expected.dtype}"
        assert own.shape == expected.shape, f"{what}: {own.shape}, {expected.shape}"
        scale = max(1.0, np.abs(expected).max(initial=0.0))
        error = np.abs(own - expected).max(initial=0.0) / scale
        assert error <= TOLERANCE[self.dtype], f"{what} is off by {error:.2g}"


def evaluated(
    compiled: gc.Module, inputs: list[Any], bars: list[Tensor], draws: bool
) -> tuple[list[Any], dict[str, Any]]:
    """The outputs of a module, and its gradients for some cotangents of them."""
    net = compiled.load()
    graph = compiled.lowered.graph
    groups = [compiled.params] * bool(graph.parameters) + [compiled.state] * bool(graph.states)
    kept = [value for value, name in zip(inputs, NAMES, strict=False) if name in graph.inputs]
    rng = {"rng": np.random.default_rng(SEED)} if draws else {}
    *values, residuals = flattened(net.forward(*groups, *kept, **rng))
    return values[: len(bars)], net.backward(residuals, *(bar.numpy() for bar in bars))


def flattened(results: Any) -> list[Any]:
    """What `forward` returns, without the grouping of outputs."""
    return [
        leaf for item in results for leaf in (item if type(item).__name__ == "Outputs" else [item])
    ]


def pulled_back(
    module: nn.Module, weights: dict[str, Any], grads: dict[str, Any]
) -> dict[str, np.ndarray]:
    """The gradients by PyTorch's parameters that follow from those by a model's initialisers."""
    parameters = dict(module.named_parameters())
    forms = list(forms_of(module))
    origins, bars = [], []
    for name, array in weights.items():
        own = [parameters[name]] if name in parameters else []
        origin = next((form for form in [*own, *forms] if is_close(form, array)), None)
        if origin is not None:
            origins.append(origin)
            bars.append(torch.tensor(grads[name]))
    found = torch.autograd.grad(origins, list(parameters.values()), bars, allow_unused=True)
    lost = [name for name, slope in zip(parameters, found, strict=True) if slope is None]
    assert not lost, f"no initialiser of the model holds {lost}"
    return {name: slope.numpy() for name, slope in zip(parameters, found, strict=True)}


def is_close(form: Tensor, array: Any) -> bool:
    """Whether a form of some parameters is an initialiser."""
    return tuple(form.shape) == array.shape and np.allclose(
        form.detach().numpy(), array, rtol=1e-5, atol=1e-7
    )


def forms_of(module: nn.Module) -> Iterator[Tensor]:
    """What exporters make of the parameters of a network, as functions of them."""
    for parameter in module.parameters():
        yield parameter
        if parameter.ndim == 2:
            yield parameter.T
        yield parameter[None]
        for axes in range(1, 4):
            yield parameter.reshape(*parameter.shape, *[1] * axes)
    children = list(module.modules())
    for first, second in itertools.product(children, children):
        both = isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d)
        if both and first.out_channels == second.num_features:
            yield from folded(first, second)
    for layer in children:
        if isinstance(layer, nn.MultiheadAttention):
            for part in (slice(layer.embed_dim), slice(layer.embed_dim, None)):
                yield layer.in_proj_weight[part].T
                yield layer.in_proj_bias[part]
        if isinstance(layer, nn.RNNBase):
            yield from recurrent(layer)


def folded(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> Iterator[Tensor]:
    """A convolution that a batch normalisation was folded into."""
    assert bn.running_mean is not None and bn.running_var is not None
    factor = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    yield conv.weight * factor[:, None, None, None]
    bias = 0.0 if conv.bias is None else conv.bias
    yield (bias - bn.running_mean) * factor + bn.bias


def recurrent(layer: nn.RNNBase) -> Iterator[Tensor]:
    """The weights of recurrent layers in the standard's order of gates, both directions as one."""
    order = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}.get(layer.mode, (0,))

    def ordered(weight: Tensor) -> Tensor:
        parts = weight.chunk(len(order))
        return torch.cat([parts[i] for i in order])

    for i in range(layer.num_layers):
        ends = [f"_l{i}", f"_l{i}_reverse"][: 1 + layer.bidirectional]
        for kind in ("weight_ih", "weight_hh"):
            yield torch.stack([ordered(getattr(layer, kind + end)) for end in ends])
        both = [
            [ordered(getattr(layer, kind + end)) for kind in ("bias_ih", "bias_hh")] for end in ends
        ]
        yield torch.stack([torch.cat(pair) for pair in both])
