"""The example packages: built, installed into a new environment, listed, used by a run, removed."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from distributions import ROOT, environment, installed_beside

from hyperprune.plugins import known_packages
from hyperprune.testing.tiny import RECIPE, tiny_text

PACKAGES = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())
PIP = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
"""No network: what packages need is here already. (To pip, 0 means isolation is off.)"""
ALL_AT_ONCE = """
[data]
corpus = "unicode_characters"
root = "{text}"
[model]
name = "mgu"
hidden = 6
dropout = 0.0
[prune]
removal = {{ name = "relative_importance", temperature = 2.0 }}
growth = "link_prediction"
[spectrum]
distance = "pca"
[search]
searcher = {{ name = "tpe", startup = 1 }}
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a new environment, with what hyperprune and its plugins need from ours."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    interpreter = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    purelib = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    ours = sysconfig.get_path("purelib")
    (Path(purelib) / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return interpreter


def recipe(folder):
    """The tiny recipe with all packages in it but the second corpus, of which a recipe has one."""
    sections = {}
    for text in (RECIPE.read_text(), ALL_AT_ONCE.format(text=tiny_text(folder / "text"))):
        name = ""
        for line in text.splitlines():
            if line.startswith("["):
                name = line
            elif "=" in line and not line.startswith("#"):
                sections.setdefault(name, {})[line.split("=")[0].strip()] = line
    del sections["[model]"]["layers"]
    path = folder / "all.toml"
    path.write_text(
        "\n".join("\n".join([name, *lines.values()]) for name, lines in sections.items())
    )
    return path


def test_installed_listed_used_and_removed(python, hyperprune_in, tmp_path):
    def hyperprune(*words):
        done = hyperprune_in(
            tmp_path, *words, python=python, HYPERPRUNE_CACHE=str(tmp_path / "cache"), **PIP
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    added = hyperprune("plugins", "install", *PACKAGES).stdout
    new = known_packages().keys() - installed_beside()
    for package in new:
        for kind, names in known_packages()[package]["provides"].items():
            for name in names:
                assert f"{kind} {name}  from {package}" in added.splitlines()

    file = recipe(tmp_path)
    done = hyperprune("run", file, "--out", tmp_path / "run", "--json", "--observe", "tensorboard")
    result = json.loads(done.stdout)
    assert len(result["candidates"]) == 2
    assert result["active"] < result["masked"]
    assert "failed, ignored" not in done.stderr
    assert list((tmp_path / "run" / "tensorboard" / "dense").glob("events.*"))

    hyperprune("plugins", "uninstall", *(path.name for path in PACKAGES))
    left = json.loads(hyperprune("plugins", "--json").stdout)
    assert {item["package"] for item in left["plugins"]} - installed_beside() == {"hyperprune"}
    assert left["broken"] == []

    done = hyperprune_in(tmp_path, "validate", file, python=python)
    assert done.returncode == 2
    for package in new:
        if package not in ("hyperprune-tensorboard", "hyperprune-hf-datasets"):
            assert f"hyperprune plugins install {package}" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_their_own_tests(package, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--target", tmp_path, package],
        env={**os.environ, **PIP},
        check=True,
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=package,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_what_is_no_plugin_is_left_alone(hyperprune_in, tmp_path):
    for package, said in (
        ("torch", "'torch' registers nothing here"),
        ("hyperprune", "hyperprune itself is no plugin"),
        ("--yes", "No such option"),
    ):
        done = hyperprune_in(tmp_path, "plugins", "uninstall", package, **PIP)
        assert done.returncode == 2, done.stdout
        assert said in done.stderr


def test_what_pip_cannot_do_is_told_in_its_own_words(hyperprune_in, tmp_path):
    done = hyperprune_in(tmp_path, "plugins", "install", tmp_path / "nowhere", **PIP)
    assert done.returncode == 2
    assert "pip could not do it" in done.stderr
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
