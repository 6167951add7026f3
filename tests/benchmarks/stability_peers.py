"""Formulas of `stability.json` in other libraries: the functions by name, and how each is run.

A peer is a function that imports the library and returns what runs a case: it takes the expression,
the inputs and the names to differentiate by, and returns the value and the gradient of the sum of
its elements by name, in float64. Nothing is rewritten on the way: functions of a library are those
that the expression names, where it has them.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tests.stability_cases import evaluated

Run: TypeAlias = Callable[[str, Mapping[str, Any], Sequence[str]], tuple[Any, dict[str, Any]]]

ALIKE = ("exp", "log", "sqrt", "sin", "cos", "tanh", "abs", "where", "maximum", "minimum",
         "sum", "mean", "prod", "max")  # fmt: skip


def spelled(library: Any, **others: Any) -> dict[str, Any]:
    """The functions that a library calls as NumPy does, and others."""
    return {name: getattr(library, name) for name in ALIKE if name not in others} | others


def quietly(run: Run) -> Run:
    """What a library warns of is not what is asked here."""

    @functools.wraps(run)
    def quiet(*arguments: Any) -> Any:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return run(*arguments)

    return quiet


def graphc() -> Run:
    """graphc: compiled in the functional style."""
    import graphc as gc

    functions = spelled(gc)

    @quietly
    def run(expression: str, inputs: Mapping[str, Any], names: Sequence[str]) -> Any:
        with gc.Graph("stability", dtype="float64") as graph:
            nodes = {name: graph.input(name, np.shape(value)) for name, value in inputs.items()}
            value = evaluated(expression, functions, nodes)
            graph.output("value", value)
            graph.loss(gc.sum(value))
        module = gc.compile(graph, wrt=tuple(names), allow_unused=True).load()
        arrays = [np.array(value) for value in inputs.values()]
        return module.predict(*arrays), module.value_and_grad(*arrays)[1]

    return run


def jax() -> Run:
    """JAX: under jit, as its users run it."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    functions = spelled(jnp)

    @quietly
    def run(expression: str, inputs: Mapping[str, Any], names: Sequence[str]) -> Any:
        arrays = {name: jnp.array(value) for name, value in inputs.items()}

        def summed(wrt: Any, others: Any) -> Any:
            value = evaluated(expression, functions, {**others, **wrt})
            return value.sum(), value

        wrt = {name: arrays.pop(name) for name in names}
        derived = jax.jit(jax.value_and_grad(summed, has_aux=True))
        (_, value), slopes = derived(wrt, arrays)
        return value, slopes

    return run


def torch() -> Run:
    """PyTorch: eager, as its users run it."""
    import torch

    def both(function: Any) -> Any:
        """A function of two tensors, for numbers too."""
        return lambda x, y: function(*(torch.as_tensor(v, dtype=torch.float64) for v in (x, y)))

    maximum, minimum = both(torch.maximum), both(torch.minimum)
    functions = spelled(torch, maximum=maximum, minimum=minimum)

    @quietly
    def run(expression: str, inputs: Mapping[str, Any], names: Sequence[str]) -> Any:
        tensors = {
            name: torch.tensor(value, dtype=torch.float64, requires_grad=name in names)
            for name, value in inputs.items()
        }
        value = evaluated(expression, functions, tensors)
        slopes = torch.autograd.grad(value.sum(), [tensors[n] for n in names], allow_unused=True)
        return value.detach().numpy(), {
            name: np.zeros_like(inputs[name]) if slope is None else slope.numpy()
            for name, slope in zip(names, slopes, strict=True)
        }

    return run


def autograd() -> Run:
    """Autograd: NumPy with a tape."""
    import autograd as ag
    import autograd.numpy as anp

    functions = spelled(anp)

    @quietly
    def run(expression: str, inputs: Mapping[str, Any], names: Sequence[str]) -> Any:
        arrays = {name: anp.array(value, dtype=float) for name, value in inputs.items()}

        def summed(wrt: Any) -> Any:
            return anp.sum(evaluated(expression, functions, {**arrays, **wrt}))

        slopes = ag.grad(summed)({name: arrays[name] for name in names})
        return evaluated(expression, functions, arrays), slopes

    return run


def casadi() -> Run:
    """CasADi: scalars and columns of SX, whose elements are numbered from 0 as in NumPy."""
    import casadi as ca

    def mean(x: Any) -> Any:
        return ca.sum1(x) / x.numel()

    functions = {
        **{name: getattr(ca, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh")},
        "abs": ca.fabs, "where": ca.if_else, "maximum": ca.fmax, "minimum": ca.fmin,
        "sum": ca.sum1, "mean": mean, "max": ca.mmax,
        "prod": lambda x: functools.reduce(operator.mul, ca.vertsplit(x)),
    }  # fmt: skip

    @quietly
    def run(expression: str, inputs: Mapping[str, Any], names: Sequence[str]) -> Any:
        symbols = {name: ca.SX.sym(name, np.size(value)) for name, value in inputs.items()}
        value = evaluated(expression, functions, symbols)
        slopes = [ca.gradient(ca.sum1(value), symbols[name]) for name in names]
        function = ca.Function("f", list(symbols.values()), [value, *slopes])
        results = [np.asarray(r).ravel() for r in function.call(list(map(ca.DM, inputs.values())))]
        shaped = [r.reshape(np.shape(inputs[n])) for n, r in zip(names, results[1:], strict=True)]
        whole = results[0] if results[0].size > 1 else results[0][0]
        return whole, dict(zip(names, shaped, strict=True))

    return run


def pytensor() -> Run:
    """PyTensor: all of its rewrites, the operations run by NumPy."""
    import pytensor
    import pytensor.tensor as pt

    functions = spelled(pt, where=pt.switch)
    mode = pytensor.compile.mode.Mode(linker="py", optimizer="fast_run")

    @quietly
    def run(expression: str, inputs: Mapping[str, Any], names: Sequence[str]) -> Any:
        symbols = {
            name: pt.tensor(name, dtype="float64", shape=np.shape(value))
            for name, value in inputs.items()
        }
        value = evaluated(expression, functions, symbols)
        slopes = pytensor.grad(
            value.sum(), [symbols[name] for name in names], disconnected_inputs="ignore"
        )
        function = pytensor.function(
            list(symbols.values()), [value, *slopes], mode=mode, on_unused_input="ignore"
        )
        found, *rest = function(*(np.array(value, float) for value in inputs.values()))
        return found, dict(zip(names, rest, strict=True))

    return run


PEERS: dict[str, Callable[[], Run]] = {
    "graphc": graphc,
    "pytensor": pytensor,
    "casadi": casadi,
    "jax": jax,
    "torch": torch,
    "autograd": autograd,
}
NAMES = {
    "graphc": "graphc",
    "pytensor": "PyTensor",
    "casadi": "CasADi",
    "jax": "JAX",
    "torch": "PyTorch",
    "autograd": "autograd",
}
