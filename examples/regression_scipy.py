"""Exact gradients for SciPy: a curve fitted by `scipy.optimize.minimize(jac=True)`.

    python examples/regression_scipy.py [--size small|full]

The curve is a damped oscillation with noise, y = a exp(-k s) cos(w s + p). A workspace keeps its
parameters in one vector and the gradients in another, which is what SciPy's optimisers read and
write. Prints the parameters that were found, and how often the curve was computed with derived
gradients and with SciPy's own differences. Exits with status 1 if a parameter is off by more than
its uncertainty explains, or if the derived gradients saved nothing.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize

import graphc as gc

POINTS = {"small": 500, "full": 50_000}
TRUE = {"a": 2.0, "k": 0.3, "w": 3.0, "p": 0.5}
START = {"a": 1.5, "k": 0.1, "w": 2.9, "p": 0.0}
NOISE = 0.1


def oscillation() -> gc.Graph:
    """Half the squared residuals over the variance: its Hessian tells the uncertainties."""
    with gc.Graph("oscillation", dtype="float64") as g:
        s = g.input("s", ("points",))
        y = g.input("y", ("points",))
        a, k, w, p = (g.parameter(name, init=START[name]) for name in TRUE)
        curve = a * gc.exp(-k * s) * gc.cos(w * s + p)
        g.output("curve", curve)
        g.loss(gc.sum(((y - curve) / NOISE) ** 2) / 2)
    return g


def fit(workspace: Any, s: Any, y: Any, *, jac: bool) -> OptimizeResult:
    """Minimise the loss over the workspace's vector of parameters."""

    def loss(vector: Any) -> Any:
        workspace.param_vector[:] = vector
        if not jac:
            return workspace.evaluate(s, y)
        value, _ = workspace.value_and_grad(s, y)
        return value, workspace.grad_vector.copy()  # SciPy keeps it beyond the next call

    start = np.array(list(START.values()))
    return minimize(loss, start, jac=jac, method="BFGS", options={"gtol": 1e-2})


def main(size: str) -> None:
    net = gc.compile(oscillation(), style="workspace").load()
    workspace = net.Workspace(points=POINTS[size])
    rng = np.random.default_rng(0)
    s = np.linspace(0, 10, POINTS[size])
    curve = TRUE["a"] * np.exp(-TRUE["k"] * s) * np.cos(TRUE["w"] * s + TRUE["p"])
    y = curve + NOISE * rng.normal(size=s.shape)

    exact = fit(workspace, s, y, jac=True)
    differences = fit(workspace, s, y, jac=False)

    errors = np.sqrt(np.diag(exact.hess_inv))
    print("parameter     true    found  uncertainty")
    for name, found, error in zip(TRUE, exact.x, errors, strict=True):
        print(f"{name:9} {TRUE[name]:8.4f} {found:8.4f}  ±{error:.4f}")
    print(f"\nderived gradients: {exact.nfev:4} evaluations, loss {exact.fun:.6f}")
    print(f"differences:       {differences.nfev:4} evaluations, loss {differences.fun:.6f}")

    if np.any(np.abs(exact.x - list(TRUE.values())) > 5 * errors):
        sys.exit("expected each parameter within 5 standard errors")
    if exact.nfev >= differences.nfev:
        sys.exit("expected fewer evaluations with derived gradients")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A curve fitted with SciPy.")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    main(parser.parse_args().size)
