"""Plugins that cannot be used never take the command line down, and are said to be broken."""

import json

import pytest
from distributions import installed_beside, write_distribution

HEAD = "from hyperprune import hookimpl\n"
GOOD = (
    HEAD
    + '''
def halves(progress: float, start: float) -> float:
    """Half of the rate at the start."""
    return start / 2

@hookimpl
def hyperprune_schedules():
    return {"halves": halves}
'''
)
BROKEN = {
    "hyperprune-a-clash": (
        GOOD.replace('"halves": halves', '"fresh": halves, "cosine": halves'),
        "schedule 'cosine' is registered by hyperprune already",
    ),
    "hyperprune-exits": ("raise SystemExit('no licence')", "SystemExit: no licence"),
    "hyperprune-future": (
        GOOD.replace("halves", "later") + "HYPERPRUNE_API = 99\n",
        "made for plugin API 99; this hyperprune speaks 1",
    ),
    "hyperprune-import": (
        "import a_module_that_is_not_there",
        "ModuleNotFoundError: No module named",
    ),
    "hyperprune-no-table": (
        HEAD + "@hookimpl\ndef hyperprune_models():\n    return ['x']\n",
        "hyperprune_models must return {name: callable}, not list",
    ),
    "hyperprune-raises": (
        HEAD + "@hookimpl\ndef hyperprune_models():\n    1 / 0\n",
        "ZeroDivisionError",
    ),
    "hyperprune-second": (GOOD, "schedule 'halves' is registered by hyperprune-good already"),
    "hyperprune-signature": (
        GOOD.replace("progress: float, start: float", "progress: float").replace("halves", "short"),
        "must take 2 positional arguments; options are keyword-only",
    ),
    "hyperprune-types": (
        "from __future__ import annotations\n"
        + GOOD.replace("start: float)", "start: float, *, power: Unknown = 1)").replace(
            "halves", "typed"
        ),
        "its options cannot be read: name 'Unknown' is not defined",
    ),
    "hyperprune-unknown-hook": (
        HEAD + "@hookimpl\ndef hyperprune_modles():\n    return {}\n",
        "there is no hook 'hyperprune_modles' (did you mean 'hyperprune_models'?)",
    ),
    "hyperprune-unknown-start": (
        HEAD + "@hookimpl\ndef hyprprune_models():\n    return {}\n",
        "there is no hook 'hyprprune_models' (did you mean 'hyperprune_models'?)",
    ),
    "hyperprune-version": (
        GOOD.replace("halves", "versioned") + "HYPERPRUNE_API = 'one'\n",
        "HYPERPRUNE_API is 'one'",
    ),
}
RECIPE = """
[prune]
schedule = "{schedule}"
[search]
searcher = "random"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    write_distribution(site, "hyperprune-good", "good_plugin", source=GOOD)
    for package, (source, _) in BROKEN.items():
        write_distribution(site, package, package.replace("-", "_"), source=source)
    for schedule in ("halves", "fresh"):
        (site / f"{schedule}.toml").write_text(RECIPE.format(schedule=schedule))
    return site


@pytest.fixture(scope="module")
def listed(site, hyperprune_in):
    done = hyperprune_in(site, "plugins", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", BROKEN)
def test_each_is_shown_as_broken_with_its_reason(listed, package):
    (shown,) = [item for item in listed["broken"] if item["package"] == package]
    assert BROKEN[package][1] in shown["reason"]
    assert shown["version"] == "1.0"


def test_what_works_is_there_and_a_broken_one_leaves_nothing(listed):
    packages = {item["package"] for item in listed["plugins"]}
    assert packages - installed_beside() == {"hyperprune", "hyperprune-good"}
    assert len(listed["broken"]) == len(BROKEN)


def test_recipes_work_and_broken_plugins_are_warnings(site, hyperprune_in):
    done = hyperprune_in(site, "validate", "halves.toml")
    assert (done.returncode, done.stdout) == (0, "halves.toml: ok\n")
    assert done.stderr.count("warning: plugin ") == len(BROKEN)
    assert "Traceback" not in done.stderr


def test_a_recipe_that_needs_what_is_broken_says_so(site, hyperprune_in):
    done = hyperprune_in(site, "validate", "fresh.toml")
    assert done.returncode == 2
    assert "fresh.toml:3: prune.schedule: no schedule named 'fresh'" in done.stderr
    assert "Installed but broken: hyperprune-a-clash" in done.stderr


def test_strict_makes_any_broken_plugin_an_error(site, hyperprune_in):
    done = hyperprune_in(site, "plugins", HYPERPRUNE_STRICT="1")
    assert done.returncode == 2
    assert done.stderr.count("is broken") == len(BROKEN)
    assert "Traceback" not in done.stderr


def test_autoload_off_leaves_only_what_ships(site, hyperprune_in):
    done = hyperprune_in(site, "plugins", "--json", HYPERPRUNE_AUTOLOAD="0")
    shown = json.loads(done.stdout)
    assert shown["broken"] == []
    assert {item["package"] for item in shown["plugins"]} == {"hyperprune"}
