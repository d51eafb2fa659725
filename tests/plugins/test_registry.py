"""What a registry says of names it does not know, and of the packages that would."""

import json
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from hyperprune import hookimpl
from hyperprune.errors import PluginError, RecipeError
from hyperprune.hookspecs import API_VERSION
from hyperprune.plugins import KINDS, Registry, known_packages, registry
from hyperprune.plugins.parameters import takes
from hyperprune.recipe import loads

PACKAGES = Path(__file__).resolve().parents[2] / "plugins"


@hookimpl
def hyperprune_schedules():
    return {"one": lambda progress, start: start}


def test_a_known_package_is_named_with_how_to_get_it():
    with pytest.raises(PluginError) as caught:
        registry().get("model", "mgu")
    assert str(caught.value).startswith(
        "no model named 'mgu'; hyperprune-mgu has it: `hyperprune plugins install hyperprune-mgu`"
    )


def test_a_recipe_says_which_kind_and_name_it_misses_and_where_they_are():
    with pytest.raises(RecipeError) as caught:
        loads('[model]\nname = "mgu"\n[search]\nsearcher = "tpe"\n', "mine.toml")
    first, second = caught.value.problems
    assert first.startswith("mine.toml:2: model.name: no model named 'mgu'; hyperprune-mgu has it")
    assert second.startswith(
        "mine.toml:4: search.searcher: no searcher named 'tpe'; hyperprune-opt"
    )


def test_other_names_get_the_nearest():
    with pytest.raises(
        PluginError, match=r"no growth named 'gradeint' \(did you mean 'gradient'\?\)"
    ):
        registry().get("growth", "gradeint")


def test_known_packages_are_those_of_the_plugins_folder(monkeypatch):
    for package, entry in known_packages().items():
        monkeypatch.syspath_prepend(PACKAGES / package)
        about = tomllib.loads((PACKAGES / package / "pyproject.toml").read_text())["project"]
        assert about["name"] == package
        (module,) = about["entry-points"]["hyperprune"].values()
        found = Registry()
        found.add_plugin(import_module(module), package, "0")
        provided: dict[str, list[str]] = {}
        for kind, name in found.contributions:
            provided.setdefault(kind, []).append(name)
        assert provided == entry["provides"]
    assert {path.name for path in PACKAGES.iterdir() if path.is_dir()} == set(known_packages())


def test_every_kind_has_an_example_package_or_ships():
    assert set(KINDS) == {kind for kind, _ in registry().contributions} | {"observer"}
    shown = {kind for entry in known_packages().values() for kind in entry["provides"]}
    assert {"model", "removal", "growth", "distance", "corpus", "searcher", "observer"} <= shown


def test_an_older_api_is_taken_and_a_newer_one_is_not():
    for version in range(1, API_VERSION + 1):
        Registry().add_plugin(
            SimpleNamespace(HYPERPRUNE_API=version, hyperprune_schedules=hyperprune_schedules),
            "p",
            "0",
        )
    with pytest.raises(PluginError, match="made for plugin API"):
        Registry().add_plugin(SimpleNamespace(HYPERPRUNE_API=API_VERSION + 1), "p", "0")


def test_a_clash_rolls_everything_of_the_package_back():
    found = Registry()
    found.add_plugin(SimpleNamespace(hyperprune_schedules=hyperprune_schedules), "first", "0")
    before = dict(found.contributions)

    @hookimpl
    def hyperprune_growths():
        return {"other": lambda view: view.weight}

    both = SimpleNamespace(
        hyperprune_growths=hyperprune_growths, hyperprune_schedules=hyperprune_schedules
    )
    with pytest.raises(PluginError, match="schedule 'one' is registered by first already"):
        found.add_plugin(both, "second", "0")
    assert found.contributions == before


@pytest.mark.parametrize(
    ("function", "counts"),
    [
        (lambda a, b: 0, {2}),
        (lambda a, b=0: 0, {1, 2}),
        (lambda *rest: 0, {0, 1, 2, 3}),
        (lambda a, *, b: 0, {1}),
        (lambda a, /, **rest: 0, {1}),
    ],
)
def test_takes(function, counts):
    assert {count for count in range(4) if takes(function, count)} == counts


def test_the_list_of_known_packages_is_json_that_a_person_can_read():
    import hyperprune

    text = (Path(hyperprune.__file__).parent / "plugins" / "known_plugins.json").read_text()
    for package, entry in json.loads(text).items():
        assert package.startswith("hyperprune-")
        assert set(entry) == {"about", "provides"}
        assert set(entry["provides"]) <= set(KINDS)
