"""The recipes that come with hyperprune, found by name from any folder."""

from __future__ import annotations

from pathlib import Path

from hyperprune.errors import RecipeError, nearest
from hyperprune.recipe.problems import printable

PACKAGE = Path(__file__).resolve().parent.parent


def recipes_folder() -> Path:
    """Folder of the shipped recipes: inside an installed package, beside it in a checkout."""
    inside = PACKAGE / "recipes"
    return inside if inside.is_dir() else PACKAGE.parent / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Shipped recipes by name, sorted; one in a subfolder is named `folder/name`."""
    folder = recipes_folder()
    names = {
        path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.toml")
    }
    return dict(sorted(names.items()))


def find_recipe(name: str) -> Path:
    """File of a shipped recipe; raises RecipeError with the nearest name."""
    known = shipped_recipes()
    if name not in known:
        listed = ", ".join(known) or "none"
        raise RecipeError(
            [
                f"{printable(name)}: neither a file nor a shipped recipe{nearest(name, known)}; "
                f"shipped: {listed}"
            ]
        )
    return known[name]
