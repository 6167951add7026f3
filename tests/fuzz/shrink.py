"""Shrinking: the smallest case that fails as the found one does, by greedy removal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import graphc as gc
from graphc.ir import dims
from tests.fuzz.cases import Case
from tests.random_recipes import Declared, Recipe, Step, fill


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """A smaller case that still fails; every smaller one that is tried does not."""
    while True:
        found = next((candidate for candidate in smaller(case) if fails(candidate)), None)
        if found is None:
            return case
        case = found


def smaller(case: Case) -> Iterator[Case]:
    """Cases with one thing less, the largest cuts first."""
    recipe = case.recipe
    if needed(recipe) != recipe:
        yield on(case, needed(recipe))
    for kept in range(1, len(recipe.steps)):
        yield on(case, ending_at(recipe, kept))
    for place in range(len(recipe.outputs)):
        outputs = [*recipe.outputs[:place], *recipe.outputs[place + 1 :]]
        if outputs or recipe.loss is not None:
            yield on(case, replace(recipe, outputs=outputs))
    for step in reversed(recipe.steps):
        for arg in step.args:
            yield on(case, bypassed(recipe, step.name, arg))
    for step, shape in shapes(recipe):
        yield on(case, given(recipe, step, shape))
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
            yield on(case, replace(recipe, steps=plain))
    for name, size in recipe.sizes.items():
        if size > 1:
            yield on(case, replace(recipe, sizes={**recipe.sizes, name: size - 1}))


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


def on(case: Case, recipe: Recipe) -> Case:
    """The case with another recipe, differentiated by those of its arguments that are left."""
    left = [name for name in case.options.get("wrt", ()) if name in recipe.variables]
    options = case.options | {"wrt": left or recipe.variables} if "wrt" in case.options else {}
    return replace(case, recipe=recipe, options=options or case.options)


def shapes(recipe: Recipe) -> Iterator[tuple[Step, tuple[int | str, ...]]]:
    """The steps whose results could be arguments as well, with the shapes of these."""
    with gc.Graph("shapes", dtype="float64") as graph:
        try:
            values = fill(graph, recipe)
        except gc.GraphcError:  # steps that were cut may leave shapes that do not fit
            return
    for step in reversed(recipe.steps):
        sizes = [size if isinstance(size, int) else dims.pure_name(size)
                 for size in values[step.name].shape]  # fmt: skip
        if None not in sizes and values[step.name].dtype.name == "float64":
            yield step, tuple(size for size in sizes if size is not None)


def given(recipe: Recipe, step: Step, shape: tuple[int | str, ...]) -> Recipe:
    """The recipe with an argument in place of the result of a step."""
    declared = [*recipe.declared, Declared(step.name, "input", shape)]
    steps = [other for other in recipe.steps if other is not step]
    return needed(replace(recipe, declared=declared, steps=steps))


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
