"""Recipes: TOML in, a frozen validated record out, every mistake reported at once.

Imports plugins, for names and their parameters, and the search space. Called by `cli` and `pipeline`.
"""

from hyperprune.recipe.load import load_recipe, loads
from hyperprune.recipe.records import Recipe
from hyperprune.recipe.section import Choice
from hyperprune.recipe.shipped import find_recipe, shipped_recipes
from hyperprune.recipe.space import apply, default_configuration, space_of
from hyperprune.recipe.write import dumps

__all__ = [
    "Choice",
    "Recipe",
    "apply",
    "default_configuration",
    "dumps",
    "find_recipe",
    "load_recipe",
    "loads",
    "shipped_recipes",
    "space_of",
]
