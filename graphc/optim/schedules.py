"""Schedules: the learning rate of a step, as a graph of scalars.

Steps are those of `train_step`, counted from 0 by the state of the optimiser; numbers are fixed at
compile time, but for the learning rate that a schedule starts from.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.errors import UsageError, suggest
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import float64
from graphc.ops import astype, cos, where
from graphc.optim.optimizer import checked_number

Rate = Callable[[Node, Node], Node]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule.

    kind  its name and numbers, as the command line takes them
    rate  (learning rate, step) -> learning rate of that step; None for one that stays
    """

    kind: str
    rate: Rate | None

    def graph(self) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """Arguments (lr, step) and result."""
        assert self.rate is not None
        graph = Graph("schedule", float64)
        lr = graph.argument("hyperparameter", "lr", (), float64)
        step = graph.argument("step", "step", (), float64)
        return (lr, step), (self.rate(lr, step).named("rate"),)


def constant() -> Schedule:
    """The learning rate as it is."""
    return Schedule("constant", None)


def step(every: int, *, gamma: float = 0.1) -> Schedule:
    """`lr · gamma ** (step // every)` (torch.optim.lr_scheduler.StepLR)."""
    count, factor = counted("every", every), checked_number("gamma", gamma, positive=True)

    def rate(lr: Node, step: Node) -> Node:
        drops = astype(step / count, "int64").named("drops")
        return lr * factor**drops

    return Schedule(told("step", every=count, gamma=factor), rate)


def exponential(gamma: float) -> Schedule:
    """`lr · gamma ** step` (torch.optim.lr_scheduler.ExponentialLR)."""
    factor = checked_number("gamma", gamma, positive=True)
    return Schedule(told("exponential", gamma=factor), lambda lr, step: lr * factor**step)


def cosine(steps: int, *, minimum: float = 0.0) -> Schedule:
    """Half a cosine, from the learning rate to a minimum (torch.optim.lr_scheduler's
    CosineAnnealingLR, which climbs again after so many steps: this one stays at the minimum).
    """
    count, least = counted("steps", steps), checked_number("minimum", minimum)

    def rate(lr: Node, step: Node) -> Node:
        progress = (step / count).named("progress")
        share = (0.5 + 0.5 * cos(math.pi * progress)).named("share")
        annealed = least + (lr - least) * share if least else lr * share
        annealed = annealed.named("annealed")
        return where(step < count, annealed, least)

    return Schedule(told("cosine", steps=count, minimum=least), rate)


def warmup(steps: int, *, start: float = 1 / 3, then: Schedule | None = None) -> Schedule:
    """From a share of the learning rate up to all of it along a line (torch.optim.lr_scheduler's
    LinearLR), and then another schedule, whose steps count from there (SequentialLR).
    """
    count, share = counted("steps", steps), checked_number("start", start, positive=True)
    following = constant() if then is None else then
    if not isinstance(following, Schedule):
        raise UsageError(
            f"then has to be a schedule, got {then!r}", hint="as in gc.optim.cosine(9)"
        )

    def rate(lr: Node, step: Node) -> Node:
        rising = (lr * (share + (1 - share) * (step / count))).named("rising")
        after = lr if following.rate is None else following.rate(lr, (step - count).named("since"))
        return where(step < count, rising, after)

    rest = [] if following.rate is None else [following.kind]
    return Schedule(" then ".join([told("warmup", steps=count, start=share), *rest]), rate)


# --- by name -----------------------------------------------------------------------------------

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
    "warmup": warmup,
}


def as_schedule(schedule: Schedule | str | Sequence[str] | None) -> Schedule | None:
    """What `compile` is given as a schedule; None for one that stays as it is.

    A text is a name and numbers, as in "cosine:steps=1000"; of several, each but the last is a
    warm-up. Raises UsageError for what is none.
    """
    texts = [schedule] if isinstance(schedule, str) else schedule
    found: object = schedule
    if isinstance(texts, Sequence):
        found = None
        for text in reversed(texts):
            name, options = parsed(text)
            if found is not None and name != "warmup":
                raise UsageError(f"a schedule can follow a warmup only, not {text!r}")
            found = SCHEDULES[name](**options, **({} if found is None else {"then": found}))
    if found is not None and not isinstance(found, Schedule):
        hint = "use one of gc.optim, or its name and numbers, as in 'cosine:steps=1000'"
        raise UsageError(f"schedule has to be a schedule, got {schedule!r}", hint=hint)
    return found if found is not None and found.rate is not None else None


def told(name: str, **numbers: float) -> str:
    """A schedule as text that `as_schedule` reads, without the defaults."""
    known = inspect.signature(SCHEDULES[name]).parameters
    given = [f"{n}={value!r}" for n, value in numbers.items() if value != known[n].default]
    return f"{name}:{','.join(given)}" if given else name


def parsed(text: object) -> tuple[str, dict[str, float]]:
    """The name and the numbers of a schedule. Raises UsageError for what does not exist."""
    name, _, listed = text.partition(":") if isinstance(text, str) else ("", "", "")
    if name not in SCHEDULES:
        hint = suggest(name, SCHEDULES) or f"use one of {', '.join(SCHEDULES)}"
        raise UsageError(f"there is no schedule {text!r}", hint=hint)
    known = inspect.signature(SCHEDULES[name]).parameters
    takes = [option for option in known if option != "then"]
    options: dict[str, float] = {}
    for item in filter(None, listed.split(",")):
        option, _, value = item.partition("=")
        if option not in takes:
            hint = suggest(option, takes) or f"it has {', '.join(takes) or 'no numbers'}"
            raise UsageError(f"the schedule {name} has no {option!r}", hint=hint)
        if option in options:
            raise UsageError(f"the schedule {text!r} gives {option} twice")
        options[option] = as_number(f"{name}: {option}", value)
    for option in takes:
        if option not in options and known[option].default is inspect.Parameter.empty:
            hint = f"as in '{name}:{option}={EXAMPLES[option]}'"
            raise UsageError(f"the schedule {name} needs {option}", hint=hint)
    return name, options


EXAMPLES = {"every": "30", "gamma": "0.99", "steps": "1000"}


def as_number(name: str, text: str) -> float:
    """An int or a float. Raises UsageError for what is none."""
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise UsageError(f"{name} has to be a number, got {text!r}") from None


def counted(name: str, value: object) -> int:
    """A count of steps. Raises UsageError unless it is an int of 1 or more."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} has to be an int >= 1, got {value!r}")
    return int(value)
