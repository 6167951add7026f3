"""The optimisers. Each is, step for step, what torch.optim has under the name in its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from graphc.errors import UsageError, suggest
from graphc.ir.node import Node
from graphc.ops import maximum, sqrt, square, where
from graphc.optim.optimizer import Optimizer, checked_number

Numbers = dict[str, Node]
LR = "the learning rate"
DECAY = "the L2 penalty"
EPS = "what keeps the divisor from 0"
MEAN = "how much of the mean of gradients stays"
SQUARES = "how much of the mean of squares stays"
VELOCITY = "how much of the last step's velocity stays"


def sgd(
    lr: float = 0.01,
    *,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Stochastic gradient descent (torch.optim.SGD).

    g += weight_decay · p;  v = momentum · v + (1 - dampening) · g, in the first step g;
    p -= lr · v, or lr · (g + momentum · v) with Nesterov.

    What is 0 here is left out of the generated code. Raises UsageError for numbers that make no
    sense.
    """
    checked_number("momentum", momentum)
    checked_number("dampening", dampening)
    if nesterov and (not momentum or dampening):
        raise UsageError("nesterov needs a momentum > 0" + " and no dampening" * bool(dampening))
    if dampening and not momentum:
        raise UsageError("dampening needs a momentum > 0")
    hyperparameters = [
        ("lr", checked_number("lr", lr), LR),
        *[("momentum", float(momentum), VELOCITY)] * bool(momentum),
        *[("dampening", float(dampening), "how much less of a gradient the velocity takes up")]
        * bool(dampening),
        *decaying(weight_decay),
    ]

    def rates(n: Numbers) -> Numbers:
        if not dampening:
            return n
        taken = where(n["step"] > 1, 1 - n.pop("dampening"), 1.0).named("taken")
        return {**n, "taken": taken}

    def update(n: Numbers) -> tuple[Node, ...]:
        step = decayed(n) if weight_decay else n["gradient"]
        if not momentum:
            return ((n["parameter"] - n["lr"] * step).named("updated"),)
        taken = n["taken"] * step if dampening else step
        velocity = (n["momentum"] * n["velocity"] + taken).named("new_velocity")
        step = step + n["momentum"] * velocity if nesterov else velocity
        return (n["parameter"] - n["lr"] * step).named("updated"), velocity

    slots = {"velocity": 0.0} if momentum else {}
    flags = ("nesterov",) if nesterov else ()
    return Optimizer("sgd", slots, tuple(hyperparameters), update, rates, flags)


def momentum(
    lr: float = 0.01,
    *,
    momentum: float = 0.9,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
) -> Optimizer:
    """`sgd` with a momentum of 0.9, unless another is given (torch.optim.SGD)."""
    return sgd(lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)


def nesterov(lr: float = 0.01, *, momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """`sgd` with Nesterov's momentum of 0.9, unless another is given (torch.optim.SGD)."""
    return sgd(lr, momentum=momentum, nesterov=True, weight_decay=weight_decay)


def adagrad(
    lr: float = 0.01,
    *,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    initial_accumulator: float = 0.0,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adagrad (torch.optim.Adagrad; Duchi, Hazan and Singer 2011).

    g += weight_decay · p;  s += g²;  p -= lr / (1 + (t - 1) · lr_decay) · g / (√s + eps), where s
    starts from `initial_accumulator` and t counts from 1.
    """
    start = checked_number("initial_accumulator", initial_accumulator)
    hyperparameters = [
        ("lr", checked_number("lr", lr), LR),
        *[("lr_decay", checked_number("lr_decay", lr_decay), "how fast the learning rate falls")]
        * bool(lr_decay),
        ("eps", checked_number("eps", eps), EPS),
        *decaying(weight_decay),
    ]

    def rates(n: Numbers) -> Numbers:
        if not lr_decay:
            return n
        size = (n["lr"] / (1 + (n["step"] - 1) * n.pop("lr_decay"))).named("step_size")
        return {**n, "lr": size}

    def update(n: Numbers) -> tuple[Node, ...]:
        gradient = decayed(n) if weight_decay else n["gradient"]
        sums = (n["sum_square"] + square(gradient)).named("new_sum_square")
        change = (n["lr"] * (gradient / (sqrt(sums) + n["eps"]))).named("change")
        return (n["parameter"] - change).named("updated"), sums

    return Optimizer("adagrad", {"sum_square": start}, tuple(hyperparameters), update, rates)


def rmsprop(
    lr: float = 0.01,
    *,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
) -> Optimizer:
    """RMSprop (torch.optim.RMSprop; Tieleman and Hinton 2012, centred: Graves 2013).

    g += weight_decay · p;  s = alpha · s + (1 - alpha) · g²;  d = g / (√s + eps), or with the
    variance s - m² in place of s if centred, m = alpha · m + (1 - alpha) · g;
    v = momentum · v + d;  p -= lr · v. A variance that rounding makes negative counts as 0, where
    PyTorch has NaN.
    """
    checked_number("momentum", momentum)
    hyperparameters = [
        ("lr", checked_number("lr", lr), LR),
        ("alpha", checked_number("alpha", alpha, below=1), SQUARES),
        ("eps", checked_number("eps", eps), EPS),
        *[("momentum", float(momentum), VELOCITY)] * bool(momentum),
        *decaying(weight_decay),
    ]

    def rates(n: Numbers) -> Numbers:
        return {**n, "taken": (1 - n["alpha"]).named("taken")}

    def update(n: Numbers) -> tuple[Node, ...]:
        gradient = decayed(n) if weight_decay else n["gradient"]
        squares = n["alpha"] * n["mean_square"] + n["taken"] * square(gradient)
        slots = [squares.named("new_mean_square")]
        if centered:
            mean = n["alpha"] * n["mean"] + n["taken"] * gradient
            slots.append(mean.named("new_mean"))
            squares = maximum(squares - square(mean), 0)
        step = gradient / (sqrt(squares) + n["eps"])
        if momentum:
            step = n["momentum"] * n["velocity"] + step
            slots.append(step.named("new_velocity"))
        return (n["parameter"] - n["lr"] * step).named("updated"), *slots

    slots = ["mean_square", *["mean"] * centered, *["velocity"] * bool(momentum)]
    flags = ("centered",) if centered else ()
    return Optimizer(
        "rmsprop", dict.fromkeys(slots, 0.0), tuple(hyperparameters), update, rates, flags
    )


def adam(
    lr: float = 0.001,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam (torch.optim.Adam; Kingma and Ba 2015).

    g += weight_decay · p;  m = beta1 · m + (1 - beta1) · g;  s = beta2 · s + (1 - beta2) · g²;
    p -= lr · m / (1 - beta1ᵗ) / (√(s / (1 - beta2ᵗ)) + eps), where t counts from 1. Both
    corrections are numbers of a step, computed once.
    """
    return moments("adam", lr, betas, eps, weight_decay)


def adamw(
    lr: float = 0.001,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Adam with decoupled weight decay (torch.optim.AdamW; Loshchilov and Hutter 2019).

    p -= lr · weight_decay · p, then a step of `adam` for the gradient as it is.
    """
    return moments("adamw", lr, betas, eps, weight_decay)


def moments(
    kind: str, lr: float, betas: tuple[float, float], eps: float, weight_decay: float
) -> Optimizer:
    """Adam, with weight decay of either kind."""
    beta1, beta2 = pair("betas", betas)
    decoupled = kind == "adamw" and bool(weight_decay)
    hyperparameters = [
        ("lr", checked_number("lr", lr), LR),
        ("beta1", checked_number("betas[0]", beta1, below=1), MEAN),
        ("beta2", checked_number("betas[1]", beta2, below=1), SQUARES),
        ("eps", checked_number("eps", eps), EPS),
        *decaying(weight_decay, "the share of parameters that is taken off, times the learning rate"
                  if decoupled else DECAY),
    ]  # fmt: skip

    def rates(n: Numbers) -> Numbers:
        # √(s / c) + eps = (√s + eps √c) / √c, so no array has to be divided by c.
        root = sqrt(1 - n["beta2"] ** n["step"]).named("root")
        found = {
            "step_size": (n["lr"] * root / (1 - n["beta1"] ** n["step"])).named("step_size"),
            "beta1": n["beta1"],
            "taken1": (1 - n["beta1"]).named("taken1"),
            "beta2": n["beta2"],
            "taken2": (1 - n["beta2"]).named("taken2"),
            "floor": (n["eps"] * root).named("floor"),
        }
        if decoupled:
            found["kept"] = (1 - n["lr"] * n["weight_decay"]).named("kept")
        elif weight_decay:
            found["weight_decay"] = n["weight_decay"]
        return found

    def update(n: Numbers) -> tuple[Node, ...]:
        gradient = decayed(n) if weight_decay and not decoupled else n["gradient"]
        mean = (n["beta1"] * n["mean"] + n["taken1"] * gradient).named("new_mean")
        squares = n["beta2"] * n["mean_square"] + n["taken2"] * square(gradient)
        squares = squares.named("new_mean_square")
        before = n["kept"] * n["parameter"] if decoupled else n["parameter"]
        change = (n["step_size"] * (mean / (sqrt(squares) + n["floor"]))).named("change")
        return (before - change).named("updated"), mean, squares

    slots = {"mean": 0.0, "mean_square": 0.0}
    return Optimizer(kind, slots, tuple(hyperparameters), update, rates)


# --- what they share ---------------------------------------------------------------------------


def decaying(weight_decay: float, meaning: str = DECAY) -> list[tuple[str, float, str]]:
    """The hyperparameter of weight decay, if there is any."""
    value = checked_number("weight_decay", weight_decay)
    return [("weight_decay", value, meaning)] if value else []


def decayed(n: Numbers) -> Node:
    """The gradient with that of the L2 penalty."""
    return (n["gradient"] + n["weight_decay"] * n["parameter"]).named("decayed")


def pair(name: str, value: object) -> tuple[object, object]:
    """Two values. Raises UsageError for anything else."""
    if not isinstance(value, Iterable) or isinstance(value, str) or len(found := [*value]) != 2:
        raise UsageError(f"{name} has to be two numbers, got {value!r}")
    return found[0], found[1]


# --- by name -----------------------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adam": adam,
    "adamw": adamw,
}


def optimizer_named(name: str, **options: object) -> Optimizer:
    """An optimiser from its name. Raises UsageError for one, or an option, that does not exist."""
    if not isinstance(name, str) or name not in OPTIMIZERS:
        hint = suggest(str(name), OPTIMIZERS) or f"use one of {', '.join(OPTIMIZERS)}"
        hint = "call it" if callable(name) else hint
        raise UsageError(f"there is no optimizer {name!r}", hint=hint)
    known = inspect.signature(OPTIMIZERS[name]).parameters
    for option in options:
        if option not in known:
            hint = f"it has {', '.join(known)}"
            raise UsageError(f"the optimizer {name} has no {option!r}", hint=hint)
    return OPTIMIZERS[name](**options)


def as_optimizer(optimizer: Optimizer | str | None) -> Optimizer | None:
    """What `compile` is given as an optimiser. Raises UsageError for what is none."""
    if optimizer is None or isinstance(optimizer, Optimizer):
        return optimizer
    return optimizer_named(optimizer)
