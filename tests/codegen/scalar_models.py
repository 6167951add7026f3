"""Models in which every value is a scalar: the catalogue of the scalar style."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gc
from tests.golden.models import expression


def polynomial() -> gc.Graph:
    """Horner's scheme beside powers: no parameters, three inputs."""
    with gc.Graph("polynomial", dtype="float64") as g:
        x = g.input("x")
        a = g.input("a")
        b = g.input("b")
        horner = ((2.5 * x - a) * x + b) * x - 7
        g.output("y", horner + x**5 - 3 * a**2 * b**3 + x**-2 + x**0.5)
    return g


def logistic() -> gc.Graph:
    """Logistic regression on two features, with a penalty and a frozen offset."""
    with gc.Graph("logistic", dtype="float64") as g:
        u = g.input("u")
        v = g.input("v")
        label = g.input("label", dtype="int64")
        w1 = g.parameter("w1", init="he_normal")
        w2 = g.parameter("w2", init=0.3)
        bias = g.parameter("bias")
        offset = g.parameter("offset", init=-0.1, trainable=False)
        p = gc.sigmoid(w1 * u + w2 * v + bias + offset)
        g.output("p", p)
        penalty = 0.01 * (w1**2 + w2**2)
        g.loss(penalty - label * gc.log(p) - (1 - label) * gc.log(1 - p))
    return g


def running_mean() -> gc.Graph:
    """A state that follows the input, and a counter that is an int."""
    with gc.Graph("running_mean", dtype="float64") as g:
        x = g.input("x")
        gain = g.parameter("gain", init="ones")
        mean = g.state("mean", init=0.5)
        steps = g.state("steps", dtype="int64")
        seen = g.state("seen", dtype="bool", init=False)
        g.update(mean, 0.9 * mean + 0.1 * x)
        g.update(steps, steps + 1)
        centred = gc.by_mode(x - 0.9 * mean - 0.1 * x, x - mean)
        y = gain * gc.tanh(centred) + gc.where(seen, 1.0, 0.0)
        g.output("y", y)
        g.loss((y - 1) ** 2)
    return g


def several() -> gc.Graph:
    """Outputs of each kind and no loss: backward takes a cotangent for each float."""
    with gc.Graph("several", dtype="float64") as g:
        x = g.input("x")
        n = g.input("n", dtype="int32")
        flag = g.input("flag", dtype="bool")
        g.output("product", gc.sin(x) * n)
        g.output("double", 2 * n)
        g.output("positive", (x > 0) & flag)
        g.output("chosen", gc.where(flag, x * x, gc.exp(x)))
        g.output("pi", g.constant(np.pi))
        g.output("x", x)
    return g


def pieces() -> gc.Graph:
    """Every op with a kink or a case, on floats."""
    with gc.Graph("pieces", dtype="float64") as g:
        x = g.input("x")
        y = g.input("y")
        low = gc.minimum(x, y)
        high = gc.maximum(x * y, y + 1)
        limited = gc.clip(x, -0.5, 0.5) + gc.clip(x, low, high)
        bent = gc.relu(x - 0.3) + gc.abs(y) + gc.leaky_relu(x) + gc.sign(y) * x
        g.output("y", low * high + limited * bent + gc.maximum(1.0, x) + gc.minimum(0.25, y))
    return g


def functions() -> gc.Graph:
    """Every function of one float."""
    with gc.Graph("functions", dtype="float64") as g:
        x = g.input("x")
        y = gc.log1p(x) + gc.expm1(x) + gc.cos(x) + gc.tanh(x) + gc.sqrt(x) + gc.sigmoid(x)
        g.output("y", y * gc.reciprocal(x) - gc.square(gc.log(x)) + gc.pow(x, x))
    return g


def second_derivative() -> gc.Graph:
    """Derivatives inside the model, of three orders and in three ways."""
    with gc.Graph("second_derivative", dtype="float64") as g:
        x = g.input("x")
        f = gc.exp(gc.sin(x)) * x
        g.output("slope", gc.grad(f, x))
        g.output("curvature", gc.hessian(f, x))
        g.output("product", gc.hvp(f, x, 2.0))
        g.loss(gc.jacobian(gc.grad(f, x), x) ** 2)
    return g


def single() -> gc.Graph:
    """float32 is declared: constants keep their value, what is computed is float64."""
    with gc.Graph("single") as g:
        x = g.input("x")
        n = g.input("n", dtype="int64")
        w = g.parameter("w", init=0.1)
        y = w * x + 0.1 * n
        g.output("y", y.astype("float64"))
        g.loss(y * y.astype("float16"))
    return g


def logic() -> gc.Graph:
    """Ints and bools all the way."""
    with gc.Graph("logic") as g:
        m = g.input("m", dtype="int64")
        n = g.input("n", dtype="int64")
        p = g.input("p", dtype="bool")
        q = g.input("q", dtype="bool")
        g.output("total", m * n - gc.maximum(m, 3) + gc.abs(n) + gc.sign(m) + gc.relu(-n) + p)
        g.output("all", (p & q) | (m < n) ^ ~q)
        g.output("bools", (p + q) * gc.maximum(p, q))
        g.output("numbers", gc.logical_and(m, n) & gc.logical_not(gc.logical_xor(m, q)))
        g.output("least", gc.minimum(p, q))
        g.output("either", p + q)
        g.output("doubled", (m + n).astype("int32") * 2)
        g.output("limited", gc.clip(m, 0, 5) + m.astype("int8") + gc.where(p, m, n))
    return g


def reductions() -> gc.Graph:
    """Reductions over no axes, and views that change nothing."""
    with gc.Graph("reductions", dtype="float64") as g:
        x = g.input("x")
        t = g.input("t")
        total = gc.sum(x) + gc.mean(x * t) + gc.max(x + t) * gc.min(x * x) + gc.prod(x)
        g.output("y", total + gc.logsumexp(x) + x.reshape(()) + gc.permute_dims(x))
        g.loss(gc.mse(total, t) + gc.stop_gradient(x) * x)
    return g


def constants() -> gc.Graph:
    """Numbers that need care: infinities, NaN, a negative zero, large and small ones."""
    with gc.Graph("constants", dtype="float64") as g:
        x = g.input("x")
        g.output("inf", gc.minimum(x, np.inf) + gc.maximum(x, -np.inf))
        g.output("nan", gc.where(x > 1e300, np.nan, x))
        g.output("zero", gc.where(x > 1e300, x, -0.0))
        g.output("large", x * 1e22 + 1e-7)
        g.output("third", x / 3 + 0.1 * x)
        g.output("fixed", g.constant(-2.5))
        g.output("whole", g.constant(7))
    return g


def constant_gradient() -> gc.Graph:
    """A linear loss: gradients are constants, one the cotangent itself; hostile names."""
    with gc.Graph("json.math", dtype="float64") as g:
        x = g.input("math")
        y = g.input("float")
        w = g.parameter("json.dumps('sys.argv')", init=2)
        v = g.parameter("random.Random", init="glorot_uniform")
        numbers = 3 * x - y
        g.loss(numbers * w + v + y)
    return g


def hostile_inputs() -> gc.Graph:
    """Names that look like code of modules which are not used."""
    with gc.Graph("random.Random", dtype="float64") as g:
        x = g.input("random.Random('operator.index')")
        y = g.input('operator.index "json.dumps')
        g.output("math.sin(Iterable)", x * y)
        g.output("Path", x - y)
        g.output("float", x + y)
        g.output("Any", x / y)
    return g


def long_sum() -> gc.Graph:
    """Fifty parameters with long names: lines that have to be broken everywhere."""
    with gc.Graph("long_sum", dtype="float64") as g:
        x = g.input("the_only_input_of_this_model")
        total = x
        for i in range(50):
            w = g.parameter(f"a_rather_long_name_of_a_parameter_{i}", init="normal")
            total = total + w * x * (i + 1)
        g.output("total", total)
        g.loss(total**2)
    return g


def nested() -> gc.Graph:
    """Expressions whose operands would be computed twice if they were pasted."""
    with gc.Graph("nested", dtype="float64") as g:
        x = g.input("x")
        y = g.input("y")
        g.output("y", (x + y) ** 2 + (x * y - 1) ** 3 + (x - y) ** 4 - (-x) ** 2 / (x / y))
    return g


MODELS: dict[str, tuple[Callable[[], gc.Graph], dict[str, Any]]] = {
    "quiz": (expression, {}),
    "polynomial": (polynomial, {}),
    "polynomial_wrt": (polynomial, {"wrt": ["b", "x"]}),
    "logistic": (logistic, {"optimizer": gc.optim.sgd(0.1, momentum=0.9, weight_decay=1e-3)}),
    "logistic_frozen": (logistic, {"optimizer": "sgd", "freeze": "w*"}),
    "logistic_inference": (logistic, {"inference": True}),
    "logistic_wrt": (logistic, {"wrt": ["u", "w2"]}),
    "running_mean": (running_mean, {"optimizer": gc.optim.sgd(momentum=0.5, nesterov=True)}),
    "several": (several, {}),
    "pieces": (pieces, {}),
    "pieces_jax": (pieces, {"kinks": "jax"}),
    "pieces_textbook": (pieces, {"kinks": "textbook"}),
    "functions": (functions, {}),
    "functions_naive": (functions, {"stabilize": False}),
    "second_derivative": (second_derivative, {}),
    "single": (single, {}),
    "logic": (logic, {}),
    "reductions": (reductions, {}),
    "reductions_textbook": (reductions, {"kinks": "textbook"}),
    "constants": (constants, {}),
    "constant_gradient": (constant_gradient, {"optimizer": "sgd"}),
    "hostile_inputs": (hostile_inputs, {}),
    "long_sum": (long_sum, {"optimizer": gc.optim.sgd(momentum=0.9)}),
    "nested": (nested, {}),
}
