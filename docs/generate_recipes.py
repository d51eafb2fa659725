"""Write `docs/recipes.md` and `recipes/recipe.schema.json` from the records and what ships.

python docs/generate_recipes.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperprune.plugins import Contribution, registry
from hyperprune.plugins.parameters import Parameter, describe_schema
from hyperprune.recipe.problems import expected
from hyperprune.recipe.records import CHOICES, Recipe
from hyperprune.recipe.schema import recipe_schema
from hyperprune.recipe.section import Choice
from hyperprune.recipe.write import inline

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "recipes.md"
SCHEMA = ROOT / "recipes" / "recipe.schema.json"

INTRODUCTION = """\
# Recipes

<!-- Written by docs/generate_recipes.py; edit that file, or the records it reads. -->

A recipe is one experiment in one TOML file: the same recipe, on the same machine with the same
versions, makes the same run. Every key has a default, unknown keys are errors, and all mistakes are
told at once, each with its line, what was found and what would be right:

```console
$ hyperprune validate my.toml
my.toml:12: prune.sparsity: found 1.2; expected number, ≥ 0, < 1
my.toml:14: prune.removl: unknown key (did you mean 'removal'?)
```

`hyperprune recipes` lists those that ship; a shipped recipe's name works from any folder.
`--set KEY=VALUE` replaces one key for one run: `--set prune.sparsity=0.8`,
`--set prune.removal.gamma=0.3`, `--set 'space.lr={low=5, high=40, log=true}'`. A first line
`#:schema recipe.schema.json` lets editors that know TOML schemas complete and check as you type
(`hyperprune schema` writes one with your own plugins in it).

A **control** or any other plugin is chosen by name, `removal = "mest"`, or with options,
`removal = { name = "mest", gamma = 0.3 }`. In `[data]`, `[task]` and `[model]` all keys that the section does
not know go to the plugin. A **preset** (`preset = "rigl"`) fills in the controls of a named method;
keys written beside it win. A search has one too: `preset = "published"` under `[search]` is LSH as the
paper has it (hidden state, distance alone, rounds of three epochs), whatever the defaults have become.

`plugins = ["my_gru.py"]` at the top names Python files with [code of your own](plugins/using.md); they are
run, so a recipe that has the key is a program.

## What may vary: `[space]`

A key of `[space]` names any setting of `[prune]`, `[train]` or `[model]` that a candidate may have
to itself, by its full path or by an end of the path that only one setting has. Its value is one
value, a list, or a range:

```toml
[space]
removal = ["magnitude", "mest"]
growth = ["random", "gradient"]
removal_rate = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
lr = { low = 5, high = 40, log = true }   # train.lr
"model.dropout" = { low = 0.2, high = 0.7 }
"prune.removal.gamma" = [0.1, 0.3, 1.0]    # an option: counts while the control has it
```

A preset cannot stand in a space, since it only fills in controls; presets are compared as arms.

Some settings are the same for every candidate and cannot vary: {common}.
A control listed by name alone keeps the options that `[prune]` gives it.

## Studies: `[[arms]]` and `seeds`

A recipe may name what to compare itself, in place of a space and a search:

```toml
seeds = 3                       # or a list, [1, 2, 3]

[prune]
sparsity = 0.8

[[arms]]
name = "RigL"
prune.preset = "rigl"

[[arms]]
name = "SET, smaller steps"
preset = "set"                  # the ends of keys do as well
removal_rate = 0.2

[[arms]]
name = "SET in a GRU"
preset = "set"
model = { name = "gru", hidden = 64 }
```

Every arm is trained in full from every seed, and so is the dense network: it is an arm by itself, `dense`.
There are no rounds, unless `search.full = false` asks for them; then arms take the place of candidates. Arms
differ in keys of `prune`, `train` and `model`; text, epochs and judgement are the same for all. An arm's keys
and what its preset says stand above the recipe's own; `--set` stands above what a preset says, and below an
arm's keys that say something else. With a `[space]` of lists beside them each arm is tried at every
configuration of it, `sparsity = [0.8, 0.9]` for instance.
[What a study tells](studies.md).

`seeds` in a recipe with a space are those from which its finalists and the dense network train.
`search.full = true` with `searcher = "grid"` trains every configuration of a space in full.

## Sections

"""


def page(keep: Any) -> str:
    """The whole page."""
    from hyperprune.recipe.space import COMMON

    common = ", ".join(f"`{path}`" for path in sorted(COMMON))
    text = INTRODUCTION.replace("{common}", common)
    return text + "\n".join([*_sections(), *_plugins(keep)]) + "\n"


def _sections() -> Iterator[str]:
    top = Recipe.model_fields
    yield (
        "At the top of the file: `title`, a name for people, `seed` (default 1), `seeds`, and `plugins`, a "
        "list of Python files."
    )
    for name, field in top.items():
        record = field.annotation
        if name in ("title", "seed", "space") or not hasattr(record, "model_fields"):
            continue
        yield f"\n### `[{name}]`\n\n{(record.__doc__ or '').strip()}\n"
        yield "| key | value | default | |\n|---|---|---|---|"
        for key, item in record.model_fields.items():
            if key == "options":
                continue
            value = item.default.plain if isinstance(item.default, Choice) else item.default
            default = "" if value is None else f"`{inline(value)}`"
            kind = key if key in CHOICES.get(name, ()) else None
            kind = {
                ("data", "corpus"): "corpus",
                ("model", "name"): "model",
                ("task", "name"): "task",
            }.get((name, key), kind)
            what = f"[{kind}](#{_anchor(kind)})" if kind else _cell(expected(item))
            if (name, key) == ("prune", "preset"):
                what = f"[preset](#{_anchor('preset')})"
            yield f"| `{key}` | {what} | {default} | {_cell(item.description or '')} |"


def _plugins(keep: Any) -> Iterator[str]:
    yield "\n## What ships\n\n`hyperprune plugins` lists these with all that is installed beside them."
    for kind in (
        "corpus",
        "task",
        "model",
        *CHOICES["prune"],
        "preset",
        "distance",
        "objective",
        "searcher",
        "executor",
    ):
        yield f"\n### {PLURALS[kind]}\n"
        what = "what it sets" if kind == "preset" else "options"
        yield f"| name | | {what} |\n|---|---|---|"
        for item in registry().of_kind(kind):
            if keep(item):
                options = "; ".join(_option(parameter) for parameter in item.parameters)
                if kind == "preset":
                    options = "; ".join(f"`{k}` = `{inline(v)}`" for k, v in item.target().items())
                yield f"| `{item.name}` | {_cell(item.help)} | {options} |"


def _option(parameter: Parameter) -> str:
    kind = _cell(describe_schema(_without_null(parameter.schema)))
    return f"`{parameter.name}` ({kind}) = `{inline_or_dash(parameter.default)}`"


def inline_or_dash(value: Any) -> str:
    """A default in TOML, or a dash where there is none."""
    return "–" if value is None else inline(value)


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = [part for part in schema.get("anyOf", []) if part != {"type": "null"}]
    return parts[0] if len(parts) == 1 else schema


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PLURALS = {
    "corpus": "Corpora",
    "task": "Tasks",
    "model": "Models",
    "init": "Sparse initialisations",
    "removal": "Removal",
    "growth": "Growth",
    "redistribution": "Redistribution",
    "schedule": "Removal-rate schedules",
    "preset": "Presets",
    "distance": "Distances",
    "objective": "Objectives",
    "searcher": "Searchers",
    "executor": "Executors",
}


def _anchor(kind: str) -> str:
    return PLURALS[kind].lower().replace(" ", "-")


def shipped(item: Contribution) -> bool:
    """Whether a contribution is hyperprune's own: the files do not depend on what else is there."""
    return item.package == "hyperprune"


def outputs() -> dict[Path, str]:
    """The files and what they should hold."""
    schema = json.dumps(recipe_schema(shipped), indent=1, ensure_ascii=False) + "\n"
    return {PAGE: page(shipped), SCHEMA: schema}


if __name__ == "__main__":
    for path, text in outputs().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
