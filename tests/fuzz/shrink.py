"""Shrinking: the smallest case that fails as the found one does, by greedy removal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fuzz.cases import Case
from tests.random_recipes import Recipe


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """A smaller case that still fails; every smaller one that is tried does not."""
    while True:
        for candidate in smaller(case):
            if fails(candidate):
                case = candidate
                break
        else:
            return case


def smaller(case: Case) -> Iterator[Case]:
    """Cases with one thing less, the largest cuts first."""
    recipe = case.recipe
    for kept in range(1, len(recipe.steps)):
        yield replace(case, recipe=ending_at(recipe, kept))
    for place in range(len(recipe.outputs)):
        outputs = [*recipe.outputs[:place], *recipe.outputs[place + 1 :]]
        if outputs or recipe.loss is not None:
            yield replace(case, recipe=replace(recipe, outputs=outputs))
    for step in reversed(recipe.steps):
        for arg in step.args:
            yield replace(case, recipe=bypassed(recipe, step.name, arg))
    for name in case.options:
        if name not in ("wrt", "allow_unused"):
            rest = {n: value for n, value in case.options.items() if n != name}
            yield replace(case, options={"wrt": recipe.variables, "allow_unused": True} | rest)
    if case.drawing:
        yield replace(case, drawing=False)
    if case.dtype != "float64":
        yield replace(case, dtype="float64")
    for step in recipe.steps:
        if step.labelled:
            plain = [replace(s, labelled=s.labelled and s is not step) for s in recipe.steps]
            yield replace(case, recipe=replace(recipe, steps=plain))
    for name, size in recipe.sizes.items():
        if size > 1:
            yield replace(case, recipe=replace(recipe, sizes={**recipe.sizes, name: size - 1}))


def ending_at(recipe: Recipe, count: int) -> Recipe:
    """The first steps, with the last of them as the only output."""
    steps = recipe.steps[:count]
    return needed(replace(recipe, steps=steps, outputs=[steps[-1].name], loss=None))


def bypassed(recipe: Recipe, name: str, arg: str) -> Recipe:
    """The recipe with one of the operands of a step in place of its result."""

    def exchanged(other: str) -> str:
        return arg if other == name else other

    steps = [
        replace(step, args=tuple(map(exchanged, step.args)))
        for step in recipe.steps
        if step.name != name
    ]
    outputs = list(dict.fromkeys(map(exchanged, recipe.outputs)))
    loss = None if recipe.loss is None else exchanged(recipe.loss)
    return needed(replace(recipe, steps=steps, outputs=outputs, loss=loss))


def needed(recipe: Recipe) -> Recipe:
    """The recipe without steps and arguments that no result depends on."""
    used = {*recipe.outputs, *([recipe.loss] if recipe.loss is not None else [])}
    for step in reversed(recipe.steps):
        if step.name in used:
            used.update(step.args)
    return replace(
        recipe,
        steps=[step for step in recipe.steps if step.name in used],
        declared=[d for d in recipe.declared if d.name in used],
    )
