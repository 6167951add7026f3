"""Models that are made of what the golden ones leave out: they are compiled and run, not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc


def mixed_outputs() -> gc.Graph:
    """Outputs of float, bool and int dtype; only the floats carry cotangents."""
    with gc.Graph("mixed_outputs") as g:
        x = g.input("x", ("rows", 4))
        bias = g.parameter("bias", (4,), init="normal")
        shifted = x - bias
        g.output("energy", (shifted * shifted).sum(axis=1))
        g.output("is_positive", shifted > 0)
        g.output("count", (shifted > 0).sum(axis=1))
        g.output("wide", gc.astype(shifted, "float64") * 2)
        g.output("total", shifted.sum())
    return g


def vector_function() -> gc.Graph:
    """No parameters and no loss: the gradients are those of the inputs."""
    with gc.Graph("vector_function", dtype="float64") as g:
        x = g.input("x", ("n",))
        y = g.input("y", ("n",))
        distance = np.sqrt(x**2 + y**2)
        g.output("polar", gc.stack([distance, x / distance], axis=1))
    return g


def joined() -> gc.Graph:
    """Split, concat, stack and slices."""
    with gc.Graph("joined") as g:
        x = g.input("x", ("batch", 6))
        W = g.parameter("W", (4, 6), init="normal")
        first, second, third = gc.split(x, 3, axis=1)
        both = gc.concat([first, third], axis=1)
        stacked = gc.stack([second, second * second])
        product = np.tanh(both @ W)
        g.output("product", product[:, 1:-1])
        g.loss((product[:, ::2] ** 2).mean() + stacked.sum(axis=0).mean())
    return g


def attention() -> gc.Graph:
    """A block of a transformer: attention of two heads, a residual connection, a norm."""
    with gc.Graph("attention") as g:
        x = g.input("x", ("batch", "time", 8))
        target = g.input("target", ("batch", "time", 8))
        weights = [g.parameter(f"W_{n}", (8, 8), init="glorot_uniform") for n in "qkvo"]
        gain = g.parameter("gain", (8,), init="ones")
        batch, time = x.shape[0], x.shape[1]
        heads = [(x @ w).reshape(batch, time, 2, 4).transpose(0, 2, 1, 3) for w in weights[:3]]
        query, key, value = heads
        scores = query @ gc.swapaxes(key, 2, 3) / 2.0
        mixed = (gc.softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(batch, time, 8)
        y = x + mixed @ weights[3]
        centred = y - y.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        normal = gain * centred / np.sqrt(variance + 1e-5)
        g.output("normal", normal)
        g.loss(gc.mse(normal, target))
    return g


def running_mean() -> gc.Graph:
    """Batch statistics in training, running ones in inference; one state is never updated."""
    with gc.Graph("running_mean") as g:
        x = g.input("x", ("batch", 3))
        scale = g.parameter("scale", (3,), init="ones")
        running = g.state("running", (3,))
        origin = g.state("origin", (3,), init="ones")
        mean = x.mean(axis=0)
        g.update(running, running * 0.9 + mean * 0.1)
        y = (x - gc.by_mode(mean, running) - origin) * scale
        g.output("y", y)
        g.loss((y**2).mean())
    return g


def constants() -> gc.Graph:
    """A constant of each size: a literal, base64, and one for the companion file."""
    rng = np.random.default_rng(5)
    with gc.Graph("constants") as g:
        x = g.input("x", (3,))
        small = g.constant(np.array([[1.5, -0.0, 2e-30], [np.inf, 1 / 3, -7.0]], np.float32))
        middle = g.constant(rng.normal(size=(3, 50)))
        large = g.constant(rng.normal(size=(50, 400)))
        hidden = np.tanh(x @ middle)
        g.output("small", small)
        g.output("y", hidden @ large)
        g.loss((hidden @ large).mean() + (x[1:] * small[1, 1:]).sum())
    return g


def pretrained() -> gc.Graph:
    """Weights and states that are given, one large, called like what reads them; a large table."""
    rng = np.random.default_rng(6)
    with gc.Graph("pretrained", pretrained=True) as g:
        x = g.input("x", ("batch", 3))
        W = g.parameter("CHECKSUM", (3, 150), init=rng.normal(size=(3, 150)) / 3)
        V = g.parameter("arrays/V.npy", (150, 120), init=rng.normal(size=(150, 120)) / 150)
        bias = g.parameter('lo"ad\\_companion', (120,), init=np.linspace(-1, 1, 120))
        scale = g.parameter("path", init=np.array(0.5))
        shift = g.state("shift", (3,), init=np.array([0.1, -0.0, 2.0]))
        g.update(shift, 0.5 * shift + 0.5 * x.mean(axis=0))
        hidden = np.tanh((x - shift) @ W) @ V + bias * scale
        y = hidden @ g.constant(rng.normal(size=(120, 150)) / 120)
        g.output("y", y)
        g.loss((y**2).mean())
    return g


AWKWARD = [
    "lambda",
    "np",
    'quo"te',
    "back\\slash",
    "new\nline",
    '"""',
    "gewöhnlich",
    "слово",
    "\u202eright to left",
    "layer 1/kernel:0",
    "1st",
    "_private",
    "__class__",
    "params",
    "{braces}",
    "{{ jinja }}",
    "%s",
    "",
]


def awkward_names() -> gc.Graph:
    """Names that are no identifiers, or identifiers of somebody else."""
    with gc.Graph('awk"ward\\ """ \n{{ names }}') as g:
        x = g.input("class", ("def", 2))
        total: Any = x
        for name in filter(None, AWKWARD):
            total = total * g.parameter(name, (2,), init="ones")
        g.output("re turn", total)
        g.output("re_turn", total.T)
        g.loss(total.mean())
    return g


def long_expression() -> gc.Graph:
    """Expressions that have to be cut over several lines."""
    with gc.Graph("long_expression") as g:
        names = ["temperature_of_the_water", "pressure_in_the_vessel", "concentration_of_the_salt"]
        a, b, c = (g.input(name, ("number_of_samples",)) for name in names)
        first = g.parameter("coefficient_of_the_first_polynomial", (), init=0.5)
        g.output(
            "reaction_rate",
            gc.exp(-a * b + c) * (a + b * c - first) / (1 + gc.exp(-(a + b + c) * first)) * 3.25
            + np.tanh(a * a * b * b * c * c + first * first * a * b * c) * np.sin(a + b + c + first)
            + (a - b) * (b - c) * (c - a) * (a + b) * (b + c) * (c + a) * first,
        )
    return g


def many_parameters() -> gc.Graph:
    """Sixty parameters, so that dicts and types take a line an entry."""
    with gc.Graph("many_parameters") as g:
        x = g.input("x", ("batch", 3))
        y: Any = x
        for layer in range(30):
            with gc.path(f"block{layer}"):
                W = g.parameter("W", (3, 3), init="glorot_normal")
                b = g.parameter("b", (3,))
                y = y + np.tanh(y @ W + b)
        g.output("y", y)
        g.loss((y * y).mean())
    return g


def long_keys() -> gc.Graph:
    """Keys as frameworks make them, nearly as long as a line."""
    with gc.Graph("long_keys") as g:
        x = g.input("x", ("batch", 4))
        y: Any = x
        for layer in range(2):
            with gc.path(f"encoder.layers.{layer}.attention.self.query_projection"):
                weight = g.parameter("weight", (4, 4), init="glorot_normal")
                bias = g.parameter("bias", (4,))
                y = np.tanh(y @ weight + bias)
        g.output("y", y)
        g.loss((y * y).mean())
    return g


def half() -> gc.Graph:
    """float16 throughout."""
    with gc.Graph("half", dtype="float16") as g:
        x = g.input("x", ("batch", 4))
        W = g.parameter("W", (4, 2), init="normal")
        y = gc.softmax(x @ W * 0.5 + 0.1)
        g.output("y", y)
        g.loss((y * y).sum(axis=1).mean())
    return g


def double() -> gc.Graph:
    """float64, with a scalar parameter and labels."""
    with gc.Graph("double", dtype="float64") as g:
        x = g.input("x", ("batch", 5))
        t = g.input("t", ("batch",), dtype="int32")
        W = g.parameter("W", (5, 3), init="he_uniform")
        temperature = g.parameter("temperature", init=1.5)
        logits = x @ W / temperature
        g.output("classes", gc.softmax(logits))
        g.loss(gc.cross_entropy(logits, t))
    return g


def named_dimensions() -> gc.Graph:
    """A parameter with a named axis, and an input whose size is computed from it."""
    with gc.Graph("named_dimensions") as g:
        n = g.dim("units")
        x = g.input("x", ("batch", 2 * n))
        W = g.parameter("W", ("units", 3), init="he_normal")
        folded = x.reshape(-1, 2, n).sum(axis=1)
        g.output("y", folded @ W)
        g.loss(((folded @ W) ** 2).mean())
    return g


def two_inputs() -> gc.Graph:
    """Two parameters and two float inputs, for the options that choose among them."""
    with gc.Graph("two_inputs") as g:
        x = g.input("x", ("batch", 3))
        y = g.input("y", ("batch", 2))
        W = g.parameter("W", (3, 2), init="normal")
        b = g.parameter("b", (2,), init=0.25)
        residual = np.tanh(x @ W + b) - y
        g.output("residual", residual)
        g.loss((residual**2).sum())
    return g


def unused() -> gc.Graph:
    """A parameter that nothing depends on."""
    with gc.Graph("unused") as g:
        x = g.input("x", (3,))
        W = g.parameter("W", (3,), init="ones")
        g.parameter("V", (2, 2), init="ones")
        g.loss((x * W).sum())
    return g


def named_like_tuples() -> gc.Graph:
    """Residuals that are called like the methods of a tuple."""
    with gc.Graph("named_like_tuples") as g:
        x = g.input("x", (3,))
        count = np.tanh(x)
        index = count * np.exp(x)
        g.loss((index * count).sum())
    return g


def named_like_imports() -> gc.Graph:
    """Inputs with names in which those of imports occur."""
    with gc.Graph("named_like_imports") as g:
        g.output("y", g.input("Pathway", (3,)) + g.input("base64.b64decode", (3,)))
    return g


def named_like_the_constants() -> gc.Graph:
    """A large constant called like the dict of large constants."""
    with gc.Graph("named_like_the_constants") as g:
        CONSTANTS = g.constant(np.ones((200, 200)))
        g.output("y", g.input("x", (200,)) @ CONSTANTS)
    return g


def scalar_constant() -> gc.Graph:
    """A constant scalar among the outputs."""
    with gc.Graph("scalar_constant") as g:
        g.output("y", g.input("x", (3,)) * 2)
        g.output("version", g.constant(np.array(3.0)))
    return g


def wide_names() -> gc.Graph:
    """Names of characters that take two columns."""
    with gc.Graph("wide_names") as g:
        total: Any = g.input("x", (3,))
        for length in range(8, 24, 2):
            total = total * g.parameter("漢" * length, (3,), init="ones")
        g.loss(total.sum())
    return g


def sampler() -> gc.Graph:
    """A variational autoencoder: noise of learned mean and scale, in `predict` as well."""
    with gc.Graph("sampler") as g:
        x = g.input("x", ("batch", 4))
        W = g.parameter("W", (4, 3), init="normal")
        V = g.parameter("V", (3, 4), init="normal")
        log_scale = g.parameter("log_scale", (3,))
        mean = x @ W
        scale = gc.exp(log_scale)
        code = gc.random.normal(mean.shape, mean, scale)
        g.output("code", code)
        divergence = 0.5 * (mean**2 + scale**2 - 1 - 2 * log_scale).sum(axis=1).mean()
        g.loss(gc.mse(code @ V, x) + 0.1 * divergence)
    return g


def noisy_outputs() -> gc.Graph:
    """Draws of each kind, no loss, outputs of several dtypes, a draw without axes."""
    with gc.Graph("noisy_outputs", dtype="float64") as g:
        x = g.input("x", ("rows", 3))
        low = g.parameter("low", (3,), init="normal")
        jitter = gc.random.uniform(x.shape, low, 1.0)
        chosen = gc.random.bernoulli(gc.sigmoid(x))
        g.output("chosen", chosen)
        g.output("moved", gc.where(chosen, x * jitter, low))
        g.output("scaled", (gc.random.normal() * gc.dropout(x, 0.3)).sum(axis=1))
    return g


def batch_norm() -> gc.Graph:
    """Running statistics, written by hand: of the batch in training, of the past in inference."""
    with gc.Graph("batch_norm") as g:
        x = g.input("x", ("batch", "time", 5))
        t = g.input("t", ("batch", "time", 2))
        W = g.parameter("W", (5, 2), init="glorot_uniform")
        gain = g.parameter("gain", (2,), init="ones")
        bias = g.parameter("bias", (2,))
        mean = g.state("mean", (2,))
        variance = g.state("variance", (2,), init="ones")
        steps = g.state("steps", dtype="int64")
        z = x @ W
        batch_mean, batch_variance = z.mean(axis=(0, 1)), z.var(axis=(0, 1))
        g.update(mean, 0.9 * mean + 0.1 * batch_mean)
        g.update(variance, 0.9 * variance + 0.1 * batch_variance)
        g.update(steps, steps + 1)
        center = gc.by_mode(batch_mean, mean)
        spread = gc.by_mode(batch_variance, variance)
        y = gain * (z - center) / np.sqrt(spread + 1e-5) + bias
        g.output("y", y)
        g.loss(gc.mse(y, t))
    return g


VARIED: dict[str, tuple[Callable[[], gc.Graph], dict[str, Any]]] = {
    "mixed_outputs": (mixed_outputs, {}),
    "vector_function": (vector_function, {}),
    "joined": (joined, {"optimizer": "sgd"}),
    "attention": (attention, {"optimizer": gc.optim.sgd(0.1, momentum=0.9)}),
    "running_mean": (running_mean, {"optimizer": gc.optim.sgd(weight_decay=0.1), "fit": True}),
    "constants": (constants, {}),
    "pretrained": (pretrained, {"optimizer": "adam", "fit": True}),
    "pretrained_embedded": (pretrained, {"embed": True}),
    "pretrained_inference": (pretrained, {"inference": True}),
    "awkward_names": (
        awkward_names,
        {"optimizer": gc.optim.momentum(dampening=0.1), "fit": True},
    ),
    "long_expression": (long_expression, {"wrt": "temperature_of_the_water"}),
    "many_parameters": (
        many_parameters,
        {"optimizer": "adamw", "schedule": "step:every=3", "clip_norm": 1.0, "fit": True},
    ),
    "long_keys": (
        long_keys,
        {"optimizer": gc.optim.rmsprop(centered=True, momentum=0.9), "clip_norm": 1.0, "fit": True},
    ),
    "half": (half, {"optimizer": "sgd", "clip_norm": 1.0}),
    "double": (double, {"optimizer": gc.optim.adagrad(lr_decay=0.1, initial_accumulator=0.1)}),
    "named_dimensions": (
        named_dimensions,
        {"optimizer": "adam", "schedule": "exponential:gamma=0.9"},
    ),
    "two_inputs": (two_inputs, {}),
    "wrt_inputs": (two_inputs, {"wrt": "y,W"}),
    "frozen": (two_inputs, {"freeze": "W", "optimizer": gc.optim.sgd(momentum=0.5)}),
    "unused": (unused, {"allow_unused": True, "optimizer": "sgd"}),
    "inference_only": (attention, {"inference": True}),
    "named_like_tuples": (named_like_tuples, {}),
    "named_like_imports": (named_like_imports, {"inference": True}),
    "named_like_the_constants": (named_like_the_constants, {}),
    "scalar_constant": (scalar_constant, {}),
    "sampler": (
        sampler,
        {"optimizer": "adam", "schedule": ["warmup:steps=5", "cosine:steps=9,minimum=0.001"]},
    ),
    "noisy_outputs": (noisy_outputs, {}),
    "batch_norm": (batch_norm, {"optimizer": "sgd"}),
    "wide_names": (wide_names, {}),
}
