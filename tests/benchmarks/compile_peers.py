"""The models of `compile_time` in other libraries; each result is compared before it is timed.

Each function takes a model and returns what the library has to do before a first gradient, as
seconds by stage, with the loss and the gradients that it then computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tests.benchmarks.compile_models import BATCH, Model

Result: TypeAlias = tuple[dict[str, float], Any, list[Any]]

# The largest number of forward nodes, by kind of model: what is beyond takes minutes, or does not
# come back. SymPy has no arrays, and its derivative of the chain doubles every other round;
# PyTensor recurses into the chain.
LIMITS = {
    "sympy": {"chain": 36},
    "jax": {"chain": 3_000, "mlp": 1_000, "lstm": 1_000},
    "pytensor": {"chain": 300, "mlp": 1_000, "lstm": 1_000},
    "casadi": {"chain": 100_000, "mlp": 10_000, "lstm": 10_000},
}


def timed(times: dict[str, float], stage: str, work: Callable[[], Any]) -> Any:
    """The result of some work; its time is noted."""
    start = time.process_time()
    result = work()
    times[stage] = time.process_time() - start
    return result


def graphc(model: Model) -> Result:
    """graphc, for comparison: build, compile, and CPython's import of the module."""
    import graphc as gc

    times: dict[str, float] = {}
    graph = timed(times, "build", lambda: model.graph("float64"))
    module = timed(times, "compile", lambda: gc.compile(graph))
    net = timed(times, "import", module.load)
    x, params = model.values()
    loss, grads = net.value_and_grad(params, x) if params else net.value_and_grad(x)
    return times, loss, [grads[name] for name in params or ["x"]]


def sympy(model: Model) -> Result:
    """SymPy: the expression, and `sympy.diff` of it."""
    import sympy as sp

    times: dict[str, float] = {}
    x = sp.Symbol("x")
    loss = timed(times, "build", lambda: model.loss(sp, x, {}))
    gradient = timed(times, "diff", lambda: sp.diff(loss, x))
    at = {x: model.values()[0]}
    return times, float(loss.subs(at)), [float(gradient.subs(at))]


def jax(model: Model) -> Result:
    """JAX: the trace of value_and_grad, and XLA's compilation."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    class Lib:
        sin, tanh, mean, sigmoid = jnp.sin, jnp.tanh, jnp.mean, jax.nn.sigmoid
        row = staticmethod(lambda vector: vector)

    times: dict[str, float] = {}
    x, params = model.values()
    derived = jax.value_and_grad(lambda p, x: model.loss(Lib, x, p), argnums=0 if params else 1)
    lowered = timed(times, "trace", lambda: jax.jit(derived).lower(params, x))
    compiled = timed(times, "compile", lowered.compile)
    loss, grads = compiled(params, x)
    return times, loss, [grads[name] for name in params] if params else [grads]


def pytensor(model: Model) -> Result:
    """PyTensor: the graph, `pytensor.grad`, and `pytensor.function`; quickest without rewriting."""
    import pytensor
    import pytensor.tensor as pt

    class Lib:
        sin, tanh, mean, sigmoid = pt.sin, pt.tanh, pt.mean, pt.sigmoid
        row = staticmethod(lambda vector: vector)

    times: dict[str, float] = {}
    value, values = model.values()

    def variable(array: Any) -> Any:
        return pt.tensor(dtype="float64", shape=np.shape(array))

    x, params = variable(value), {name: variable(array) for name, array in values.items()}
    loss = timed(times, "build", lambda: model.loss(Lib, x, params))
    wrt = list(params.values()) or [x]
    grads = timed(times, "grad", lambda: pytensor.grad(loss, wrt))
    inputs, mode = [x, *params.values()], pytensor.Mode("py", None)
    function = timed(times, "compile", lambda: pytensor.function(inputs, [loss, *grads], mode))
    result = function(value, *values.values())
    return times, result[0], result[1:]


def casadi(model: Model) -> Result:
    """CasADi, which is C++: scalars as SX, matrices as MX; interpreted, without its C compiler."""
    import casadi as ca

    class Lib:
        sin, tanh = ca.sin, ca.tanh
        sigmoid = staticmethod(lambda z: 1 / (1 + ca.exp(-z)))
        mean = staticmethod(lambda m: ca.sum1(ca.sum2(m)) / m.numel())
        row = staticmethod(lambda vector: ca.repmat(vector.T, BATCH, 1))

    times: dict[str, float] = {}
    value, values = model.values()
    symbol = ca.SX.sym if model.kind == "chain" else ca.MX.sym
    x = symbol("x", *np.shape(value))
    # One vector of all parameters: a gradient for each by itself would be a pass for each.
    flat = symbol("p", sum(array.size for array in values.values()))
    ends = np.cumsum([0, *(array.size for array in values.values())]).tolist()
    parts = ca.vertsplit(flat, ends) if values else []
    params = {
        name: ca.reshape(part, *(*array.shape, 1)[:2])
        for (name, array), part in zip(values.items(), parts, strict=True)
    }
    loss = timed(times, "build", lambda: model.loss(Lib, x, params))
    wrt = flat if values else x
    gradient = timed(times, "gradient", lambda: ca.gradient(loss, wrt))
    function = timed(times, "compile", lambda: ca.Function("f", [x, flat], [loss, gradient]))
    given = [array.ravel("F") for array in values.values()]
    result, slopes = function(value, np.concatenate(given) if given else [])
    listed = np.split(np.asarray(slopes).ravel(), ends[1:-1])
    grads = [part.reshape(np.shape(array), order="F")
             for part, array in zip(listed, values.values() or [value], strict=True)]  # fmt: skip
    return times, float(result), grads


PEERS: dict[str, Callable[[Model], Result]] = {
    "sympy": sympy,
    "jax": jax,
    "pytensor": pytensor,
    "casadi": casadi,
}


def compared(name: str, model: Model) -> dict[str, float]:
    """The times of a peer by stage. Raises AssertionError where it disagrees with graphc."""
    _, loss, grads = graphc(model)
    times, other, others = PEERS[name](model)
    np.testing.assert_allclose(other, loss, rtol=1e-7)
    for mine, theirs in zip(grads, others, strict=True):
        np.testing.assert_allclose(np.asarray(theirs), mine, rtol=1e-6, atol=1e-9)
    return times
