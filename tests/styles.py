"""Generated modules of every style, called in one way: as the functions of the functional style.

So a test of values or gradients needs to know nothing of styles. A workspace is used as users do:
one for all calls, resized and refilled; before each call its buffers are filled with rubbish, so
that nothing is right only because an earlier call left it there.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir import dims

STYLES = ("functional", "workspace")  # that fit every model; `scalar` takes scalars only
RUBBISH = 0xA5
in_every_style = pytest.mark.parametrize("style", STYLES)


def functions(compiled: gc.Module) -> Any:
    """The generated module, or what makes it look like one of the functional style."""
    module = compiled.load()
    if compiled.lowered.options["style"] == "workspace":
        return WorkspaceFunctions(compiled, module)
    return module


def load(graph: gc.Graph, *, style: str, **options: Any) -> Any:
    """The functions of a graph that is compiled in a style."""
    return functions(gc.compile(graph, style=style, **options))


def predicted(graph: gc.Graph, arguments: Mapping[str, Any], **options: Any) -> Any:
    """What `predict` returns for inputs by name, of which it takes those that it reads.

    That is the result of the functional style, after the others were compared with it.
    """
    return predictor(graph, **options)(arguments)


def predictor(graph: gc.Graph, **options: Any) -> Callable[[Mapping[str, Any]], Any]:
    """The function of `predicted` for some inputs after others: one module in each style."""
    options = {"inference": True, **options}
    modules = [gc.compile(graph, style=style, **options) for style in STYLES]
    predicts = [functions(module).predict for module in modules]
    program = modules[0].lowered.predict
    assert program is not None
    names = [node.params.name for node in program.arguments]

    def predict(arguments: Mapping[str, Any]) -> Any:
        with np.errstate(all="ignore"):
            results = [run(*(arguments[name] for name in names)) for run in predicts]
        first, *others = [result if isinstance(result, tuple) else (result,) for result in results]
        for other in others:
            for a, b in zip(other, first, strict=True):
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                close = {"rtol": 1e-13} if a.dtype == np.float64 else {"rtol": 1e-5, "atol": 1e-6}
                np.testing.assert_allclose(a, b, **close)
        return results[0]

    return predict


class WorkspaceFunctions:
    """The pure functions that a workspace would be without its memory."""

    def __init__(self, compiled: gc.Module, module: Any) -> None:
        self.lowered = compiled.lowered
        self.generated = module
        self.workspace: Any = None
        self.exact: dict[str, str] = {}  # the declared name of an input, by its identifier
        methods = vars(module.Workspace)
        for name in ("predict", "evaluate", "forward", "value_and_grad", "step"):
            if name in methods:
                self.expose("train_step" if name == "step" else name, methods[name])
        self.init_optimizer = self.new_optimizer_state
        if "backward" in methods:
            _, *rest = inspect.signature(methods["backward"]).parameters.values()
            residuals = inspect.Parameter("residuals", inspect.Parameter.POSITIONAL_OR_KEYWORD)

            def backward(residuals: Any, *bars: Any, **named: Any) -> dict[str, Any]:
                return copied(residuals.backward(*bars, **named))

            backward.__signature__ = inspect.Signature([residuals, *rest])  # type: ignore[attr-defined]
            self.backward = backward

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generated, name)

    def expose(self, name: str, method: Callable[..., Any]) -> None:
        """Make a method a function that takes parameters and state as arguments too."""
        _, *rest = inspect.signature(method).parameters.values()
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        program = getattr(self.lowered, name, None) or self.lowered.forward
        read = {node.params.kind for node in program.arguments}
        training = name not in ("predict", "evaluate")
        before = ["params"] * ("parameter" in read or name == "train_step")
        before += ["state"] * ("state" in read or (training and bool(self.lowered.updates)))
        before += ["optimizer_state"] * (name == "train_step")
        signature = inspect.Signature([*(inspect.Parameter(n, kind) for n in before), *rest])

        def function(*args: Any, **options: Any) -> Any:
            bound = signature.bind(*args, **options)
            bound.apply_defaults()
            return getattr(self, f"run_{name}")(dict(bound.arguments))

        inputs = [n.params.name for n in program.arguments if n.params.kind == "input"]
        self.exact.update(zip([p.name for p in rest if p.kind is kind], inputs, strict=True))

        function.__signature__ = signature  # type: ignore[attr-defined]
        setattr(self, name, function)

    # --- the workspace --------------------------------------------------------------------------

    def prepared(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Set the workspace up for a call; what is left are the arguments of the method."""
        params = arguments.pop("params", None)
        state = arguments.pop("state", None)
        sizes = self.sizes(params or {}, state or {}, arguments)
        free = inspect.signature(self.generated.Workspace.resize).parameters if hasattr(
            self.generated.Workspace, "resize") else {}  # fmt: skip
        fixed = {name: size for name, size in sizes.items() if name not in free}
        if self.workspace is None or any(getattr(self.workspace, n) != s for n, s in fixed.items()):
            given = {} if params is None else {"params": params}
            self.workspace = self.generated.Workspace(**given, **sizes)
        elif any(getattr(self.workspace, name) != size for name, size in sizes.items()):
            self.workspace.resize(**{name: sizes[name] for name in free if name != "self"})
        if params is not None:
            self.workspace.set_params(params)
        if state is not None:
            self.workspace.state = copy.deepcopy(state)  # arrays stay of the kind that they are
        self.spoil()
        return arguments

    def sizes(self, *groups: Mapping[str, Any]) -> dict[str, int]:
        """The sizes that the arguments show; those that none shows stay, or are 1."""
        asked = [
            name
            for name in inspect.signature(self.generated.Workspace).parameters
            if name != "params"
        ]
        spelled = dict(zip(self.declared_sizes(), asked, strict=True))
        found = {name: getattr(self.workspace, name, 1) for name in asked}
        given = {
            self.exact.get(name, name): value for group in groups for name, value in group.items()
        }
        shown: dict[str, int] = {}
        for node in self.lowered.graph.declared():
            value = given.get(node.params.name)
            for size, length in zip(node.shape, shape_of(value), strict=False):
                name = dims.pure_name(size)
                if name in spelled:
                    shown.setdefault(spelled[name], length)
        return found | shown

    def declared_sizes(self) -> list[str]:
        """The names of sizes, in the order in which a workspace takes them."""
        inputs = set(self.lowered.inputs)
        listed = [p.node for p in self.lowered.parameters]
        listed += [node for node, _ in self.lowered.graph.states.values()]
        listed += [n for n in self.lowered.graph.inputs.values() if n in inputs]
        return list(dict.fromkeys(n for node in listed for s in node.shape for n in dims.names(s)))

    def spoil(self) -> None:
        """Fill the buffers with rubbish."""
        workspace = self.workspace
        own = [
            getattr(workspace, n) for n in ("param_vector", "grad_vector") if hasattr(workspace, n)
        ]
        own += list(getattr(workspace, "params", {}).values())
        for array in buffers(workspace):
            if not any(np.shares_memory(array, other) for other in own):
                array.reshape(-1).view(np.uint8)[...] = RUBBISH

    # --- the functions --------------------------------------------------------------------------

    def run_predict(self, arguments: dict[str, Any]) -> Any:
        arguments = self.prepared(arguments)
        return self.workspace.predict(**arguments)

    def run_evaluate(self, arguments: dict[str, Any]) -> Any:
        arguments = self.prepared(arguments)
        return self.workspace.evaluate(**arguments)

    def run_forward(self, arguments: dict[str, Any]) -> Any:
        arguments = self.prepared(arguments)
        result = self.workspace.forward(**arguments)
        return (result, *self.new_state(), self.workspace)

    def run_value_and_grad(self, arguments: dict[str, Any]) -> Any:
        arguments = self.prepared(arguments)
        loss, grads = self.workspace.value_and_grad(**arguments)
        return (loss, *self.new_state(), copied(grads))

    def run_train_step(self, arguments: dict[str, Any]) -> Any:
        before = arguments.pop("optimizer_state")
        arguments = self.prepared(arguments)
        workspace, optimizer = self.workspace, self.lowered.optimizer
        assert optimizer is not None
        workspace.steps = before["step"]
        for slot in optimizer.slots:
            flat = [np.ravel(before[slot][name]) for name in optimizer.trained]
            getattr(workspace, f"{slot}_vector")[...] = np.concatenate(flat)
        loss = workspace.step(**arguments)
        after: dict[str, Any] = {"step": workspace.steps}
        for slot in optimizer.slots:
            ends = np.cumsum([np.size(before[slot][name]) for name in optimizer.trained])
            parts = np.split(getattr(workspace, f"{slot}_vector").copy(), ends[:-1])
            after[slot] = {
                name: part.reshape(np.shape(before[slot][name]))
                for name, part in zip(optimizer.trained, parts, strict=True)
            }
        return (copied(workspace.params), *self.new_state(), after, loss)

    def new_optimizer_state(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The state of the optimiser before the first step."""
        optimizer = self.lowered.optimizer
        assert optimizer is not None
        slots = {
            slot: {name: np.full_like(params[name], start) for name in optimizer.trained}
            for slot, start in optimizer.slots.items()
        }
        return {"step": 0, **slots}

    def new_state(self) -> tuple[Any, ...]:
        """The state after a call, where the model updates one."""
        return (self.workspace.state,) if self.lowered.updates else ()


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an argument; of what is no array, that of a scalar."""
    try:
        return np.asarray(value).shape
    except (TypeError, ValueError):
        return ()


def copied(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of what the next call would overwrite; scalars as NumPy's functions return them."""
    return {name: np.copy(value)[()] for name, value in arrays.items()}


def buffers(workspace: Any) -> Iterator[Any]:
    """The arrays that the methods of a workspace write into."""
    for name in ("_predict", "_evaluate", "_forward", "_backward", "_update"):
        yield from getattr(workspace, name, ())
