"""Cases: a random graph, the options it is compiled with, and the numbers it is run on."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.random_graphs import random_recipe
from tests.random_recipes import Recipe
from tests.styles import STYLES

EVERY = (*STYLES, "scalar")
SCALAR = ((),)  # the shapes of graphs that fit every style


@dataclass(frozen=True)
class Case:
    """What is compiled and run; plain data, so that a failing one can be written into a script.

    dtype    of the whole graph; recipes are float64
    options  those of `gc.compile`, beside the style
    seed     of the arguments
    drawing  with dropout on its float arguments, and a state that follows their mean
    """

    recipe: Recipe
    style: str
    dtype: str = "float64"
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    drawing: bool = False


def random_case(rng: random.Random) -> Case:
    """Draw a case. Every style is drawn as often; the scalar one takes graphs of scalars only."""
    style = rng.choice(EVERY)
    scalars = style == "scalar" or rng.random() < 0.05
    steps = rng.choice([3, 8, 14, 30])
    recipe = random_recipe(rng, steps=steps, shapes=SCALAR if scalars else None)
    dtype = "float32" if rng.random() < 0.2 else "float64"
    options = random_options(rng, recipe)
    drawing = rng.random() < 0.15 and "inference" not in options
    return Case(recipe, style, dtype, options, rng.randrange(2**31), drawing)


def random_options(rng: random.Random, recipe: Recipe) -> dict[str, Any]:
    """Options that the recipe can be compiled with."""
    parameters = [d.name for d in recipe.declared if d.kind == "parameter"]
    options: dict[str, Any] = {"wrt": recipe.variables, "allow_unused": True}
    if rng.random() < 0.2:
        options["wrt"] = rng.sample(recipe.variables, rng.randint(1, len(recipe.variables)))
    if rng.random() < 0.2:
        options["stabilize"] = False
    if rng.random() < 0.2:
        options["kinks"] = rng.choice(["jax", "textbook"])
    trained = [name for name in parameters if name in recipe.variables]
    if recipe.loss is not None and trained and rng.random() < 0.4:
        options["wrt"] = trained
        options["optimizer"] = "sgd"
    elif recipe.outputs and rng.random() < 0.1:
        options = {"inference": True}
    return options
